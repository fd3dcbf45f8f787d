"""Hits: the relevant items among ranked lists, and prefix sums over them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg.kernels import as_input, index_arrays
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import kernels

MIN_PLACES, MAX_PLACES = 2**18, 2**20  # of lists that a thread measures at once


@dataclass(frozen=True, eq=False)
class Hits:
    """The hits of a block of B lists: one entry per hit, list by list, by rising rank; N hits altogether.

    Attributes
    ----------
    starts : ndarray of int64, shape (B + 1,)
        The hits of list b are the entries starts[b] to starts[b + 1].
    ranks : ndarray of int64, shape (N,)
        From 1.
    positions : ndarray of int64, shape (N,)
        Rank among the filled places of the list.
    gains : ndarray of float64, shape (N,)
        The value of the test interaction.
    rows : ndarray of int, shape (B,)
        The row of `relevant` of each list.
    relevant : csr_array, shape (n_users, n_items)
    n_listed, n_candidates : ndarray of int, shape (B,)
        How many places are filled, and how many items were ranked.
    length : int
        Number of places of a list.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.metrics.hits import locate_hits
    >>> relevant = csr_array(np.array([[1.0, 0.0, 1.0]]))
    >>> hits, _ = locate_hits(np.array([[2, 1, 0]]), relevant, rows=np.array([0]), n_candidates=np.array([3]))
    >>> hits.ranks.tolist(), hits.count(1).tolist()
    ([1, 3], [1])
    >>> hits.sum(hits.discounts, 3).tolist()  # the gain of ndcg@3: 1 / log2(2) + 1 / log2(4)
    [1.5]
    """

    starts: np.ndarray
    ranks: np.ndarray
    positions: np.ndarray
    gains: np.ndarray
    rows: np.ndarray
    relevant: sp.csr_array
    n_listed: np.ndarray
    n_candidates: np.ndarray
    length: int

    def count(self, k: int | np.ndarray | None) -> np.ndarray:
        """Return how many hits are among the first k places of each list, (B,); k may differ from list to list."""
        return self._ends(k) - self.starts[:-1]

    def sum(self, values: np.ndarray, k: int | np.ndarray | None) -> np.ndarray:
        """Return the sum of a value of each hit, (N,), over the hits among the first k places of each list, (B,)."""
        counted = np.arange(len(values)) < np.repeat(self._ends(k), np.diff(self.starts))
        return np.bincount(self.lists, weights=np.where(counted, values, 0), minlength=len(self.rows))

    def _ends(self, k: int | np.ndarray | None) -> np.ndarray:
        """Where the hits among the first k places of each list end, (B,)."""
        if k is None or (np.ndim(k) == 0 and k >= self.length):
            return self.starts[1:]
        if np.ndim(k) == 0 and k in self._ends_at:
            return self._ends_at[k]
        within = self.ranks <= (k if np.ndim(k) == 0 else np.repeat(np.asarray(k), np.diff(self.starts)))
        n_before = np.append(0, within.cumsum())
        ends = self.starts[:-1] + n_before[self.starts[1:]] - n_before[self.starts[:-1]]
        if np.ndim(k) == 0:
            self._ends_at[k] = ends
        return ends

    @cached_property
    def _ends_at(self) -> dict[Any, np.ndarray]:
        """The ends for each cutoff so far: every metric asks for the same."""
        return {}

    @cached_property
    def n_relevant(self) -> np.ndarray:
        """The number of relevant items of each list, (B,)."""
        indptr = self.relevant.indptr
        return (indptr[self.rows + 1] - indptr[self.rows]).astype(np.int64)

    @cached_property
    def discount_of_rank(self) -> np.ndarray:
        """1 / log2(rank + 1) of the ranks 1 to length."""
        return 1 / np.log2(np.arange(2, self.length + 2))

    @cached_property
    def discounts(self) -> np.ndarray:
        """1 / log2(rank + 1) of each hit, (N,)."""
        return self.discount_of_rank[self.ranks - 1]

    @cached_property
    def lists(self) -> np.ndarray:
        """Which list each hit belongs to, (N,)."""
        return np.repeat(np.arange(len(self.rows)), np.diff(self.starts))

    @cached_property
    def nth(self) -> np.ndarray:
        """Which hit of its list each one is, from 1, (N,)."""
        return np.arange(1, len(self.ranks) + 1) - np.repeat(self.starts[:-1], np.diff(self.starts))

    @cached_property
    def precisions(self) -> np.ndarray:
        """The precision at the rank of each hit, (N,)."""
        return self.nth / self.ranks

    @cached_property
    def first_ranks(self) -> np.ndarray:
        """The rank of the first hit of each list, (B,); above every rank for lists without a hit."""
        first = np.append(self.ranks, 0)[self.starts[:-1]]
        return np.where(self.count(None) > 0, first, self.length + 1)

    @cached_property
    def ideal(self) -> "Hits":
        """The hits of the best lists there are: every relevant item, the largest gain first."""
        starts = np.append(0, self.n_relevant.cumsum())
        gains = kernels.falling_rows(self.rows, index_arrays(self.relevant)[0], as_input(self.relevant.data), starts)
        ranks = np.arange(1, len(gains) + 1) - np.repeat(starts[:-1], self.n_relevant)
        length = int(self.n_relevant.max(initial=1))
        return Hits(
            starts, ranks, ranks, gains, self.rows, self.relevant, self.n_relevant, self.n_candidates, length
        )  # fmt: skip


def locate_hits(
    lists: np.ndarray, relevant: sp.csr_array, rows: np.ndarray, n_candidates: np.ndarray
) -> tuple[Hits, np.ndarray]:
    """Return the hits of lists, and whether each list names an item twice, bool (B,). A repeated item counts once.

    Arguments as for `lrrec.metrics.measure`.
    """
    lists = _for_kernels(lists, relevant)
    indptr, indices = index_arrays(relevant)
    capacity = int(np.minimum(indptr[rows + 1] - indptr[rows], lists.shape[1]).sum())
    starts, n_listed = np.zeros(len(lists) + 1, dtype=np.int64), np.empty(len(lists), dtype=np.int64)
    ranks, positions = np.empty(capacity, dtype=np.int64), np.empty(capacity, dtype=np.int64)
    gains, repeats = np.empty(capacity), np.zeros(len(lists), dtype=bool)
    kernels.locate_hits(
        lists, rows, indptr, indices, as_input(relevant.data), starts, ranks, positions, gains, n_listed, repeats,
        np.zeros(relevant.shape[1], relevant.data.dtype), np.full(relevant.shape[1], -1, dtype=np.int32),
    )  # fmt: skip
    n = starts[-1]
    hits = Hits(starts, ranks[:n], positions[:n], gains[:n], rows, relevant, n_listed, n_candidates, lists.shape[1])
    return hits, repeats


def find_hits(lists: np.ndarray, relevant: sp.csr_array) -> np.ndarray:
    """Return whether each place of each list holds a relevant item, bool (B, k).

    Parameters
    ----------
    lists : ndarray of int, shape (B, k)
        Item indices, best first; negative for an empty place.
    relevant : csr_array, shape (B, n_items)
        The relevant items of each list's user; in canonical form.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.metrics import find_hits
    >>> find_hits(np.array([[2, 1]]), csr_array(np.array([[1.0, 0.0, 1.0]]))).tolist()
    [[True, False]]
    """
    n_items = relevant.shape[1]
    rows = np.repeat(np.arange(len(lists), dtype=np.int64), np.diff(relevant.indptr))
    relevant_cells = rows * n_items + relevant.indices  # rising
    if not len(relevant_cells):
        return np.zeros(lists.shape, dtype=bool)
    cells = np.arange(len(lists), dtype=np.int64)[:, None] * n_items + lists
    places = np.minimum(np.searchsorted(relevant_cells, cells), len(relevant_cells) - 1)
    return (lists >= 0) & (lists < n_items) & (relevant_cells[places] == cells)


def count_hits(lists: np.ndarray, relevant: sp.csr_array, rows: np.ndarray, *, n_threads: int = 1) -> np.ndarray:
    """Return how many places of each list hold an item of its row of `relevant`, int64 (B,).

    Parameters
    ----------
    lists : ndarray of int, shape (B, k)
        Item indices; negative for an empty place.
    relevant : csr_array, shape (n_users, n_items)
        The items to count, as the stored entries of a row.
    rows : ndarray of int, shape (B,)
        The row of `relevant` of each list.
    n_threads : int, default 1

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.metrics import count_hits
    >>> count_hits(np.array([[2, 0], [1, 2]]), csr_array(np.array([[1.0, 0.0, 1.0]])), rows=np.array([0, 0])).tolist()
    [2, 1]
    """
    out, lists = np.empty(len(lists), dtype=np.int64), _for_kernels(lists, relevant)
    indptr, indices = index_arrays(relevant)

    def work(start: int, stop: int) -> None:
        row_of = np.full(relevant.shape[1], -1, dtype=np.int64)
        kernels.count_hits(start, stop, lists, rows, indptr, indices, row_of, out)

    run_blocks(work, list_blocks(lists, n_threads), n_threads)
    return out


def _for_kernels(lists: np.ndarray, relevant: sp.csr_array) -> np.ndarray:
    """Lists as int32; those of wider integers, which could wrap around to other items, are checked."""
    if lists.dtype == np.int32:
        return np.ascontiguousarray(lists)
    if lists.size and lists.max() >= relevant.shape[1]:
        raise DataError(f"lists must hold item indices below {relevant.shape[1]}, got {lists.max()}")
    return np.maximum(lists.astype(np.int64), -1).astype(np.int32)


def list_blocks(lists: np.ndarray, n_threads: int) -> list[tuple[int, int]]:
    """Return blocks (start, stop) of lists for the threads: large ones, but one for each thread if it is worth it."""
    n_places = min(max(lists.size // n_threads, MIN_PLACES), MAX_PLACES)
    return even_blocks(len(lists), -(-n_places // max(lists.shape[1], 1)))
