"""Ranked lists: recommended items of users, nearest neighbours of items or users."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames
from lrrec.data.ids import IdMap
from lrrec.errors import UnknownIdError
from lrrec.linalg.ranking import Columns, rank
from lrrec.models.base.candidates import from_ids
from lrrec.typing import ArrayLike, Frame, Ids
from lrrec.validate import check_int, check_threads, first_three

MAX_K = 2**20  # longer lists are a mistake, and would not fit memory


@dataclass(frozen=True, eq=False, repr=False)
class _Lists:
    """A ranked list of at most K entries for each query, best first; unfilled places are masked.

    Iterating yields (query id, [(id, score), ...]); lists[query id] is the list of one query.
    """

    scores: np.ma.MaskedArray

    _columns = ("query", "entry")

    def _queries(self) -> np.ndarray:
        raise NotImplementedError

    def _entries(self) -> np.ma.MaskedArray:
        raise NotImplementedError

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return a frame with a row for each entry: the query, the entry, its rank (from 1) and its score.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        filled = ~np.ma.getmaskarray(self._entries())
        rows, places = np.nonzero(filled)
        query, entry = self._columns
        columns = {
            query: self._queries()[rows],
            entry: self._entries().data[filled],
            "rank": places + 1,
            "score": self.scores.data[filled],
        }
        return frames.make(columns, backend)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[Any, list[tuple[Any, float]]]]:
        """Yield (query id, [(id, score), ...]) for every query, without unfilled places."""
        for row, query in enumerate(self._queries().tolist()):
            yield query, self._row(row)

    def __getitem__(self, query: Any) -> list[tuple[Any, float]]:
        """Return the list [(id, score), ...] of a query by its id, without unfilled places.

        Raises
        ------
        UnknownIdError
            If there is no list of this query.
        """
        rows = np.flatnonzero(self._is(query))
        if not len(rows):
            raise UnknownIdError(f"no list of {query!r}: the {len(self)} lists are of {first_three(self._queries())}")
        return self._row(int(rows[0]))

    def __contains__(self, query: Any) -> bool:
        """Whether there is a list of a query, by its id."""
        return bool(self._is(query).any())

    def _is(self, query: Any) -> np.ndarray:
        kind = str if self._queries().dtype == object else (int, np.integer)
        if not isinstance(query, kind):
            return np.zeros(len(self), dtype=bool)
        same: np.ndarray = self._queries() == query
        return same

    def _row(self, row: int) -> list[tuple[Any, float]]:
        filled = ~np.ma.getmaskarray(self._entries())[row]
        ids, scores = self._entries().data[row, filled], self.scores.data[row, filled]
        return list(zip(ids.tolist(), scores.tolist(), strict=True))

    def __repr__(self) -> str:
        query, entry = self._columns
        return f"{type(self).__name__}({len(self)} {query}s x {self.scores.shape[1]} {entry}s)"

    def _repr_html_(self) -> str:
        html: str = self.to_frame()._repr_html_()
        return html


@dataclass(frozen=True, eq=False, repr=False)
class Recommendations(_Lists):
    """The K best items of each user, best first.

    Attributes
    ----------
    users : ndarray, shape (n,)
        The requested ids, in their order.
    items : masked array of ids, shape (n, K)
        Masked where fewer than K items were left.
    scores : masked array of float32, shape (n, K)
        Masked (NaN in frames) too where an item was filled in without a score; see `filled`.
    indices : ndarray of int32, shape (n, K)
        The model's indices of the items; -1 where masked.

    Examples
    --------
    >>> from lrrec import Interactions, Popularity
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> lists = Popularity().fit(train).recommend(["bob", "cat"], k=2)
    >>> lists
    Recommendations(2 users x 2 items)
    >>> lists.items.tolist()
    [['y', 'z'], ['x', 'y']]
    >>> lists["cat"]
    [('x', 2.0), ('y', 1.0)]
    >>> lists.to_frame()
      user item  rank  score
    0  bob    y     1    1.0
    1  bob    z     2    1.0
    2  cat    x     1    2.0
    3  cat    y     2    1.0
    """

    users: np.ndarray
    items: np.ma.MaskedArray
    indices: np.ndarray

    _columns = ("user", "item")

    @property
    def filled(self) -> np.ndarray:
        """Which places hold a popular item, as the model has no evidence for others, bool (n, K)."""
        return np.ma.getmaskarray(self.scores) & ~np.ma.getmaskarray(self.items)

    def _queries(self) -> np.ndarray:
        return self.users

    def _entries(self) -> np.ma.MaskedArray:
        return self.items


@dataclass(frozen=True, eq=False, repr=False)
class Neighbors(_Lists):
    """The K nearest neighbours of each item or user, nearest first.

    Attributes
    ----------
    ids : ndarray, shape (n,)
        The requested ids, in their order.
    neighbors : masked array of ids, shape (n, K)
    scores : masked array of float32, shape (n, K)
        Cosine similarities, or the weights of an item-item model.

    Examples
    --------
    >>> from lrrec import Interactions, ItemKNN
    >>> users, items = ["ann", "ann", "bob", "bob", "cat"], ["x", "y", "x", "y", "z"]
    >>> neighbors = ItemKNN(shrink=0.0).fit(Interactions.from_pairs(users, items)).similar_items(["x"], k=1)
    >>> neighbors.neighbors.tolist(), neighbors.to_frame().columns.tolist()
    ([['y']], ['id', 'neighbor', 'rank', 'score'])
    """

    ids: np.ndarray
    neighbors: np.ma.MaskedArray

    _columns = ("id", "neighbor")

    def _queries(self) -> np.ndarray:
        return self.ids

    def _entries(self) -> np.ma.MaskedArray:
        return self.neighbors


def find_neighbors(
    ids: Ids, k: int, id_map: IdMap, score: Callable[[np.ndarray, Columns], np.ndarray],
    candidates: Ids | ArrayLike | None, n_threads: int | None,
) -> Neighbors:  # fmt: skip
    """Return the k neighbours of some ids among candidates, without themselves, by score(indices, columns) (B, m)."""
    rows, n = id_map.indices(ids), len(id_map)
    k, n_threads = check_int(k, "k", low=1, high=MAX_K), check_threads(n_threads)
    itself = sp.csr_array((np.ones(n, dtype=np.float32), np.arange(n), np.arange(n + 1)), shape=(n, n))
    indices, values = rank(
        lambda block, columns: score(rows[block], columns), len(rows), n, k,
        candidates=from_ids(candidates, id_map, id_map.ids[rows]), seen=itself, seen_rows=rows, n_threads=n_threads,
    )  # fmt: skip
    scores = np.ma.MaskedArray(values, mask=indices < 0)
    return Neighbors(scores=scores, ids=id_map.ids[rows], neighbors=masked_ids(id_map, indices))


def masked_ids(ids: IdMap, indices: np.ndarray) -> np.ma.MaskedArray:
    """The ids at indices, masked where the index is -1."""
    if not len(ids):
        return np.ma.masked_all(indices.shape, dtype=ids.ids.dtype)
    return np.ma.MaskedArray(ids.ids[indices], mask=indices < 0)
