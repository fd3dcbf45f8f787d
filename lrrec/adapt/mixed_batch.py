"""Scoring of users of many domains at once: the base's scores, and what each domain's adapter changes of them."""

from copy import copy
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.kinds.factor_adapter import FactorAdapter
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import UnknownIdError
from lrrec.linalg import kernels
from lrrec.linalg.ranking import Columns
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.recommender import Recommender
from lrrec.validate import first_three

TILE = 4096  # columns scored and changed at once, while they are in the cache


class Group(NamedTuple):
    """Users of one domain: their places in the request."""

    view: "View"
    rows: np.ndarray


class Served(NamedTuple):
    """Users as their adapter encodes them, the bank's columns of their histories, and whose say nothing."""

    encoded: Any
    histories: list[np.ndarray]
    cold: np.ndarray | None = None


class Scorer:
    """Scores of users in groups: the base's scores once for all factor adapters, and what each changes of them."""

    def __init__(self, base: Recommender, groups: list[Group], served: list[Served]) -> None:
        self.base, self.views, self.served = base, [group.view for group in groups], served
        self.bounds = np.concatenate(([0], np.cumsum([len(group.rows) for group in groups]))).astype(np.int64)
        self.n_base = len(base.items_)
        self.width = max((view.width for view in self.views), default=self.n_base)
        self.U: np.ndarray | None = None
        if isinstance(base, FactorModel):
            n_factors = base.item_factors_.shape[1]
            self.U = np.zeros((int(self.bounds[-1]), n_factors), dtype=np.float32)
            for view, part, start in zip(self.views, served, self.bounds, strict=False):
                if view.changes_factors:
                    self.U[start : start + len(part.encoded)] = part.encoded

    def __call__(self, block: slice, columns: Columns) -> np.ndarray:
        """Scores of a block of users over all of the bank's columns."""
        scores = np.empty((block.stop - block.start, self.width), dtype=np.float32)
        scores[:, self.n_base :] = -np.inf
        low_rank, others, parts = [], [], []
        first = int(np.searchsorted(self.bounds, block.start, side="right")) - 1
        for number in range(first, len(self.views)):
            begin, end = max(self.bounds[number], block.start), min(self.bounds[number + 1], block.stop)
            if begin >= block.stop:
                break
            view = self.views[number]
            parts.append((number, begin, end))
            if begin < end and view.is_low_rank and self.U is not None:
                low_rank.append((self.U[begin:end] @ view.B, view.At, begin - block.start))
            elif begin < end:
                others.append((number, begin, end))
        if self.U is not None:
            V0 = self.base.item_factors_
            for start, stop in even_blocks(self.n_base, TILE):
                np.matmul(self.U[block], V0[start:stop].T, out=scores[:, start:stop])
                for Z, At, top in low_rank:
                    kernels.add_low_rank(scores, Z, At, top, start, stop)
        for number, begin, end in others:
            view, rows = self.views[number], scores[begin - block.start : end - block.start]
            if view.changes_factors and self.U is not None:
                view.add(rows, self.U[begin:end])
            else:
                start = self.bounds[number]
                view.score(rows, self.served[number].encoded[begin - start : end - start])
        for number, begin, end in parts:
            self._leave_out(scores[begin - block.start : end - block.start], number, begin, end)
        return scores

    def _leave_out(self, scores: np.ndarray, number: int, begin: int, end: int) -> None:
        """Set the scores of some users of a domain to -inf where their adapter has no evidence."""
        view = self.views[number]
        if len(view.without_evidence):
            scores[:, view.without_evidence] = -np.inf
        if view.changes_factors and self.U is not None:
            scores[~self.U[begin:end].any(axis=1)] = -np.inf
        cold, start = self.served[number].cold, self.bounds[number]
        if cold is not None:
            scores[cold[begin - start : end - start]] = -np.inf


class View:
    """An adapter over the bank's columns: the base's items, then as many more as any domain has new ones.

    `adapter` is as it was when the view was made.
    """

    def __init__(self, live: Adapter, n_base: int) -> None:
        self.reference, self.adapter = ref(live), copy(live)
        adapter, domain = self.adapter, self.adapter.domain_
        self.state = _state(adapter)
        self.order = np.argsort(adapter.users_.ids, kind="stable")
        self.users = adapter.users_.ids[self.order]
        n_new = len(domain.new_items)
        self.columns = domain.base_indices.copy()  # the bank's column of each of the adapter's items
        self.columns[domain.new_items] = n_base + np.arange(n_new)
        self.width, self.all_base_items = n_base + n_new, len(domain.base_indices) == n_base and not n_new
        self.without_evidence = self.columns[~adapter.item_evidence_]
        self.changes_factors = isinstance(adapter, FactorAdapter)
        if isinstance(adapter, FactorAdapter):
            self._take_change(adapter)

    def _take_change(self, adapter: FactorAdapter) -> None:
        """The change as a product of low rank, and the rows that are replaced."""
        domain, change, scale = adapter.domain_, adapter.change_, np.float32(adapter.scale)
        A = change.A if domain.in_base.all() else change.A[domain.in_base]
        self.At, self.B = np.ascontiguousarray(A.T), change.B * scale
        self.rows = np.union1d(change.rows, domain.new_items)
        self.values = domain.item_factors[self.rows]
        replaced = np.searchsorted(self.rows, change.rows)
        self.values[replaced] += scale * (change.values - self.values[replaced])

    def is_current(self) -> bool:
        """Whether the adapter is still as it was when the view was made."""
        adapter = self.reference()
        return adapter is not None and all(old is new for old, new in zip(self.state, _state(adapter), strict=True))

    @property
    def is_low_rank(self) -> bool:
        """Whether A B^T over the base's items is all there is."""
        return self.changes_factors and self.all_base_items and not len(self.rows)

    def histories(self, matrix: sp.csr_array, rows: np.ndarray) -> list[np.ndarray]:
        """The bank's columns in some rows of a matrix over the adapter's items."""
        begin, end, indices = matrix.indptr[rows].tolist(), matrix.indptr[rows + 1].tolist(), matrix.indices
        parts = [indices[start:stop] for start, stop in zip(begin, end, strict=True)]
        return parts if self.all_base_items else [self.columns[part] for part in parts]

    def find(self, users: np.ndarray) -> np.ndarray:
        """As the adapter's own `users_.find`, in microseconds for a few users."""
        if users.dtype != self.users.dtype or not len(self.users):
            return self.adapter.users_.find(users)
        at = np.minimum(np.searchsorted(self.users, users), len(self.users) - 1)
        return np.where(self.users[at] == users, self.order[at], -1)

    def add(self, scores: np.ndarray, U: np.ndarray) -> None:
        """Turn the base's scores of some rows, followed by -inf, into the adapter's, in place."""
        if len(self.At):
            scores[:, self.columns[: self.At.shape[1]]] += (U @ self.B) @ self.At
        self._exclude_other_items(scores)
        if len(self.rows):
            scores[:, self.columns[self.rows]] = U @ self.values.T

    def score(self, scores: np.ndarray, encoded: Any) -> None:
        """Write the adapter's own scores of some rows."""
        scores[:] = -np.inf
        scores[:, self.columns] = self.adapter._supported_scores(encoded, slice(None))

    def _exclude_other_items(self, scores: np.ndarray) -> None:
        if not self.all_base_items:
            outside = np.ones(scores.shape[1], dtype=bool)
            outside[self.columns] = False
            scores[:, outside] = -np.inf

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Item ids of the bank's columns; those at negative columns have no meaning."""
        place = np.zeros(max(int(self.columns.max()) + 1, 1), dtype=np.int64)
        place[self.columns] = np.arange(len(self.columns))
        return self.adapter.items_.ids[place[np.maximum(indices, 0)]]


def _state(adapter: Any) -> tuple:
    """What a view is made from; replaced, and never modified, when the adapter changes."""
    return adapter.domain_, getattr(adapter, "change_", None), getattr(adapter, "user_factors_", None)


def known_users(view: View, users: np.ndarray) -> Served:
    """Target users of a domain, by id."""
    adapter = view.adapter
    places = view.find(users)
    unknown = places < 0
    if len(adapter.users_):
        unknown |= ~adapter._can_serve(np.maximum(places, 0))
    if unknown.any():
        raise UnknownIdError(f"unknown users: {first_three(users[unknown])} are not known in their domain")
    return Served(adapter._training_users(places), view.histories(adapter.seen_, places))


def new_users(view: View, data: Interactions, rows: np.ndarray) -> Served:
    """Users given by their histories."""
    matrix, _ = view.adapter._histories(of_users(data, rows))
    _, cold = view.adapter._cold_histories(matrix)
    return Served(view.adapter._encode(matrix), view.histories(matrix, np.arange(len(rows))), cold)


def of_users(data: Interactions, rows: np.ndarray) -> Interactions:
    """The interactions of some users, in this order, with their times."""
    starts, counts = data.matrix.indptr[rows], np.diff(data.matrix.indptr)[rows]
    entries = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
    times = None if data.times is None else data.times[entries]
    return Interactions(data.matrix[rows], IdMap(data.users.ids[rows]), data.items, times)


def as_rows(columns: list[np.ndarray], width: int) -> sp.csr_array:
    """A matrix of ones in the given columns of each row."""
    indptr = np.concatenate(([0], np.cumsum(list(map(len, columns)), dtype=np.int64)))
    indices = np.concatenate(columns).astype(np.int32, copy=False) if columns else np.zeros(0, dtype=np.int32)
    return sp.csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(columns), width))
