"""Scoring of users of many domains at once: the base's scores, and what each domain's adapter changes of them."""

from collections.abc import Iterator
from copy import copy
from functools import cached_property
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
from lrrec.linalg.ranking import ALL_COLUMNS, Columns
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.recommender import Recommender
from lrrec.validate import first_three

TILE = 4096  # columns scored and changed at once, while they are in the cache


class Group(NamedTuple):
    """Users of one domain: their places in the request."""

    view: "View"
    rows: np.ndarray


class Served(NamedTuple):
    """Users of a domain: target users by their rows, or new ones as encoded.

    histories : the bank's columns of each. cold : whose histories say nothing.
    """

    rows: np.ndarray | None
    encoded: Any
    histories: list[np.ndarray]
    cold: np.ndarray | None = None

    def encode(self, adapter: Adapter, part: slice) -> tuple[list[np.ndarray], Any]:
        """Some of the users as vectors and what else is needed, or as none and encoded; see `Adapter._vectors`."""
        if self.rows is None:
            encoded = self.encoded[part]
            return adapter._vectors(encoded) or ([], encoded)
        rows = self.rows[part]
        return adapter._training_vectors(rows) or ([], adapter._training_users(rows))


class Piece:
    """Users of one domain in a block of rows.

    Attributes
    ----------
    rows : slice
        Where they are in the block.
    vectors : list of ndarray
        For inner products with the base's item factors, where scores follow from those; see `Adapter._vectors`.
    encoded : array-like
        What else is needed of the users.
    """

    def __init__(self, view: "View", served: Served, within: slice, rows: slice) -> None:
        self.view, self.rows = view, rows
        self.vectors, self.encoded = served.encode(view.adapter, within)
        self.cold = None if served.cold is None else served.cold[within]

    @property
    def is_low_rank(self) -> bool:
        """Whether scores are the base's and a product of low rank."""
        return bool(self.vectors) and self.view.is_low_rank


class Scorer:
    """Scores of users in groups: the base's inner products for all at once, and what each adapter makes of them."""

    def __init__(self, base: Recommender, groups: list[Group], served: list[Served]) -> None:
        self.base, self.views, self.served = base, [group.view for group in groups], served
        self.bounds = np.concatenate(([0], np.cumsum([len(group.rows) for group in groups]))).astype(np.int64)
        self.n_base = len(base.items_)
        self.width = max((view.width for view in self.views), default=self.n_base)

    def __call__(self, block: slice, columns: Columns) -> np.ndarray:
        """Scores of a block of users over all of the bank's columns."""
        pieces, n_rows = self._pieces(block), block.stop - block.start
        scores = np.empty((n_rows, self.width), dtype=np.float32)
        scores[:, self.n_base :] = -np.inf
        more = self._multiply(pieces, scores)
        for piece in pieces:
            rows = scores[piece.rows]
            if piece.is_low_rank:
                piece.view.adapter._marked(rows[:, : self.n_base], piece.encoded, ALL_COLUMNS)
            elif piece.vectors:
                n_more = len(piece.vectors) - 1
                products = [rows[:, : self.n_base], *(next(more) for _ in range(n_more))]
                piece.view.finish(rows, products, piece.encoded, piece.vectors)
            else:
                piece.view.score(rows, piece.encoded)
            if piece.cold is not None:
                rows[piece.cold] = -np.inf
        return scores

    def _pieces(self, block: slice) -> list[Piece]:
        """The groups that a block of users is of."""
        pieces = []
        number = int(np.searchsorted(self.bounds, block.start, side="right")) - 1
        while number < len(self.views) and self.bounds[number] < block.stop:
            start = int(self.bounds[number])
            begin, end = max(start, block.start), min(int(self.bounds[number + 1]), block.stop)
            if begin < end:
                within, rows = slice(begin - start, end - start), slice(begin - block.start, end - block.start)
                pieces.append(Piece(self.views[number], self.served[number], within, rows))
            number += 1
        return pieces

    def _multiply(self, pieces: list[Piece], scores: np.ndarray) -> Iterator[np.ndarray]:
        """Write the inner products of each user's first vectors, with changes of low rank, and return the others'."""
        with_vectors = [piece for piece in pieces if piece.vectors]
        if not with_vectors:
            return iter(())
        base: Any = self.base
        V0: np.ndarray = base.item_factors_
        U = np.zeros((len(scores), V0.shape[1]), dtype=np.float32)
        for piece in with_vectors:
            U[piece.rows] = piece.vectors[0]
        others = [vectors for piece in with_vectors for vectors in piece.vectors[1:]]
        W = np.concatenate(others) if others else np.empty((0, V0.shape[1]), dtype=np.float32)
        more = np.empty((len(W), self.n_base), dtype=np.float32)
        changes = [(piece.vectors[0] @ piece.view.B, piece.view.At, piece.rows.start)
                   for piece in with_vectors if piece.is_low_rank]  # fmt: skip
        for start, stop in even_blocks(self.n_base, TILE):
            np.matmul(U, V0[start:stop].T, out=scores[:, start:stop])
            for Z, At, top in changes:
                kernels.add_low_rank(scores, Z, At, top, start, stop)
            if len(W):
                np.matmul(W, V0[start:stop].T, out=more[:, start:stop])
        return iter(np.split(more, np.cumsum([len(vectors) for vectors in others])[:-1]))


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
        self.is_low_rank = self.all_base_items and isinstance(adapter, FactorAdapter) and not len(adapter.change_.rows)
        if isinstance(adapter, FactorAdapter):
            change = adapter.change_
            self.At, self.B = np.ascontiguousarray(change.A.T), change.B * np.float32(adapter.scale)

    def is_current(self) -> bool:
        """Whether the adapter is still as it was when the view was made."""
        adapter = self.reference()
        return adapter is not None and all(old is new for old, new in zip(self.state, _state(adapter), strict=True))

    @cached_property
    def unserved(self) -> np.ndarray:
        """Which of the adapter's users it has nothing to recommend from, bool (n,)."""
        return ~self.adapter._can_serve(np.arange(len(self.adapter.users_)))

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

    def finish(self, scores: np.ndarray, products: list[np.ndarray], rest: Any, vectors: list[np.ndarray]) -> None:
        """Write the adapter's scores of some rows, from inner products with the base's item factors (n, n_base)."""
        domain = self.adapter.domain_
        if not self.all_base_items:
            products = [part[:, np.maximum(domain.base_indices, 0)] for part in products]
            for part, U in zip(products, vectors, strict=True):
                part[:, domain.new_items] = U @ domain.item_factors[domain.new_items].T
        self._write(scores, self.adapter._from_products(map(np.ascontiguousarray, products), rest))

    def score(self, scores: np.ndarray, encoded: Any) -> None:
        """Write the adapter's own scores of some rows."""
        self._write(scores, self.adapter._supported_scores(encoded, ALL_COLUMNS))

    def _write(self, scores: np.ndarray, values: np.ndarray) -> None:
        """Write scores of the adapter's items at the bank's columns."""
        if self.all_base_items:
            part = scores[:, : values.shape[1]]
            if not np.may_share_memory(part, values):
                part[:] = values
        else:
            scores[:] = -np.inf
            scores[:, self.columns] = values

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Item ids of the bank's columns; those at negative columns have no meaning."""
        place = np.zeros(max(int(self.columns.max()) + 1, 1), dtype=np.int64)
        place[self.columns] = np.arange(len(self.columns))
        return self.adapter.items_.ids[place[np.maximum(indices, 0)]]


def _state(adapter: Any) -> tuple[Any, ...]:
    """What a view is made from; replaced, and never modified, when the adapter changes."""
    return adapter.domain_, getattr(adapter, "change_", None), getattr(adapter, "user_factors_", None)


def known_users(view: View, users: np.ndarray) -> Served:
    """Target users of a domain, by id."""
    adapter = view.adapter
    places = view.find(users)
    unknown = places < 0
    if len(adapter.users_):
        unknown |= view.unserved[np.maximum(places, 0)]
    if unknown.any():
        raise UnknownIdError(f"unknown users: {first_three(users[unknown])} are not known in their domain")
    return Served(places, None, view.histories(adapter.seen_, places))


def new_users(view: View, data: Interactions, rows: np.ndarray) -> Served:
    """Users given by their histories."""
    matrix, _ = view.adapter._histories(of_users(data, rows))
    _, cold = view.adapter._cold_histories(matrix)
    return Served(None, view.adapter._encode(matrix), view.histories(matrix, np.arange(len(rows))), cold)


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
