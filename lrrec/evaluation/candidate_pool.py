"""Candidates: the items that are ranked for each test user, and how many of them can be in a list."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError
from lrrec.evaluation.list_reader import item_indices
from lrrec.evaluation.protocol import Candidates
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks
from lrrec.metrics.hits import count_hits
from lrrec.splits import Split
from lrrec.splits.parts import draw_negatives
from lrrec.validate import check_int, check_rng

BLOCK_PLACES = 2**22  # of the lists that a model is asked for at once


@dataclass(frozen=True)
class CandidatePool:
    """The candidates of the test users of a split.

    shared (m,): ids of "given" candidates. per_user (n_test_users, m): ids of those "given per user". rng: of the
    sample.
    """

    split: Split
    candidates: Candidates
    shared: np.ndarray | None = None
    per_user: np.ndarray | None = None
    rng: np.random.Generator | None = None

    @classmethod
    def of(cls, split: Split, candidates: Any, random_state: Any) -> "CandidatePool":
        """Return the requested candidates, or those of the split, or all items."""
        n_items, own = len(split.items), split.candidates
        if own is not None and candidates is not None:
            raise ParameterError("candidates must not be given for a split that brings its own")
        if own is not None and own.ndim == 2:
            return cls(split, Candidates("given per user", n_items, own.shape[1]), per_user=own)
        if own is None and candidates is None:
            return cls(split, Candidates("all", n_items))
        if isinstance(candidates, int | np.integer):
            n = check_int(candidates, "candidates", low=1)
            seed = int(random_state) if isinstance(random_state, int | np.integer) else None
            return cls(split, Candidates("sampled", n_items, n, seed), rng=check_rng(random_state))
        shared = split.items.ids[np.unique(split.items.indices(candidates if own is None else own))]
        if not len(shared):
            raise ParameterError("candidates must name at least one item, got none")
        return cls(split, Candidates("given", n_items, len(shared)), shared=shared)

    @cached_property
    def relevant(self) -> sp.csr_array:
        """The test interactions with a value > 0."""
        return positive(self.split.test.matrix)

    def length(self, rows: np.ndarray) -> int:
        """Return how long a list of all candidates is, at most."""
        n_items, n = self.candidates.n_items, self.candidates.n
        if n is None:
            return n_items
        if self.rng is None:
            return n
        return min(n_items, n + int(np.diff(self.relevant.indptr)[rows].max()))

    def blocks(self, rows: np.ndarray, k: int) -> Iterator[tuple[slice, np.ndarray | None]]:
        """Yield blocks of the users at rows, with their candidates; k: how long their lists are."""
        width = k if self.rng is None else max(k, self.length(rows))
        for start, stop in even_blocks(len(rows), max(1, BLOCK_PLACES // width)):
            if self.per_user is not None:
                yield slice(start, stop), self.per_user[start:stop]
            else:
                yield slice(start, stop), self.shared if self.rng is None else self._sample(rows[start:stop], self.rng)

    def _sample(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Ids of each user's relevant items and of n others, by rising index; the last one fills the row up."""
        test, history = self.relevant, self.split.history.matrix
        n_items, n = self.candidates.n_items, self.candidates.n or 0
        lists = np.empty((len(rows), min(n, n_items) + int(np.diff(test.indptr)[rows].max())), dtype=np.int64)
        for place, row in enumerate(rows):
            relevant = test.indices[test.indptr[row] : test.indptr[row + 1]]
            excluded = np.union1d(relevant, history.indices[history.indptr[row] : history.indptr[row + 1]])
            sample = draw_negatives(excluded, n_items, n, self.split.users.ids[row], rng)
            items = np.sort(np.concatenate((relevant, sample)))
            lists[place, : len(items)], lists[place, len(items) :] = items, items[-1]
        return self.split.items.ids[lists]

    def sizes(self, items: np.ndarray | None, rows: np.ndarray, exclude_seen: bool) -> np.ndarray:
        """Return how many of the candidates `items` of a block can be in the list of each user at rows, (n,)."""
        n_items, history = self.candidates.n_items, self.split.history.matrix
        if items is None:
            return n_items - np.diff(history.indptr)[rows] * exclude_seen
        if items.ndim == 1:
            is_candidate = np.zeros(n_items, dtype=history.data.dtype)
            is_candidate[self.split.items.indices(items)] = 1
            seen = sp.csr_array((np.ones_like(history.data), history.indices, history.indptr), shape=history.shape)
            return len(items) - (seen @ is_candidate)[rows].astype(np.int64) * exclude_seen
        columns = np.sort(item_indices(items, self.split.items)[0], axis=1)
        columns[:, 1:][columns[:, 1:] == columns[:, :-1]] = -1
        return (columns >= 0).sum(axis=1) - count_hits(columns, history, rows) * exclude_seen
