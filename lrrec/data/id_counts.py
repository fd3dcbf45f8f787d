"""The ids of a column that is read in parts: counted first, and then, when it is read again, as indices."""

from typing import Any

import numpy as np
import pandas as pd

from lrrec.data.id_columns import factorized, final_ids
from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError

CHANGED = "must stay as it is while it is read, got other rows the second time"
MIN_SPAN = 2**22  # integers within so many of each other are counted in a table whatever their number


class IdCounts:
    """How often each id of a column occurs: `add` every part, `finish`, then `codes` of every part.

    Integers that lie close together are counted in a table, others and strings by their hashes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._n, self._low = 0, 0
        self._table: np.ndarray | None = np.zeros(0, dtype=np.int64)  # of the integers from low on; None: hashes
        self._known, self._recent = _Hashed(), _Hashed()

    def add(self, series: Any) -> None:
        """Count the ids of a part of the column, a narwhals series without missing values."""
        self._n += len(series)
        if self._table is not None and series.dtype.is_integer():
            ids = as_ids(np.asarray(series.to_numpy()), self.name)
            if self._reaches(int(ids.min()), int(ids.max())):
                self._table += np.bincount(ids - self._low, minlength=len(self._table))
                return
        if self._table is not None:
            counted = np.flatnonzero(self._table)
            self._recent.add(counted + self._low, self._table[counted])
            self._table = None
        distinct, code_of_row = factorized(series, self.name)
        self._count(distinct, np.bincount(code_of_row, minlength=len(distinct)))

    def finish(self) -> tuple[IdMap, np.ndarray]:
        """Return the ids in sorted order, and how often each occurs, int64 (n,)."""
        if self._table is not None:
            counted = np.flatnonzero(self._table)
            ids, counts = counted + self._low, self._table[counted]
            self._table = np.full(len(self._table), -1, dtype=np.int32)
            self._table[counted] = np.arange(len(counted))
        else:
            self._known.add(self._recent.ids.to_numpy(), self._recent.counts)
            ids, counts = self._known.ids.to_numpy(), self._known.counts
            order = np.argsort(final_ids(ids, self.name), kind="stable")
            ids, counts = ids[order], counts[order]
        self._ids = IdMap(ids)
        return self._ids, counts

    def codes(self, n_rows: int, series: Any) -> np.ndarray:
        """Return the index of the id of each row of a part, int32 (n_rows,); ids that were not counted are refused."""
        if self._table is not None:
            places = as_ids(np.asarray(series.to_numpy()), self.name) - self._low
            counted = places.min() >= 0 and places.max() < len(self._table)
            indices = self._table[places] if counted else np.array([-1])
        else:
            distinct, code_of_row = factorized(series, self.name)
            indices = self._ids.find(distinct).astype(np.int32)[code_of_row]
        if indices.min() < 0:
            raise DataError(f"{self.name} {CHANGED}")
        return indices

    def _reaches(self, low: int, high: int) -> bool:
        """Whether the table can hold these integers too; it is made wider for them."""
        assert self._table is not None
        end = self._low + len(self._table)
        if len(self._table):
            low, high = min(low, self._low), max(high, end - 1)
        if high - low >= max(4 * self._n, MIN_SPAN):
            return False
        if (low, high + 1) != (self._low, end):
            wider = np.zeros(high - low + 1, dtype=np.int64)
            wider[self._low - low : end - low] = self._table
            self._table, self._low = wider, low
        return True

    def _count(self, ids: np.ndarray, counts: np.ndarray) -> None:
        """Count distinct ids: those that are new go to a small hash table, which is cheaper to make again."""
        new = ~self._known.count(ids, counts)
        ids, counts = ids[new], counts[new]
        new = ~self._recent.count(ids, counts)
        if new.any():
            self._recent.add(ids[new], counts[new])
            if 2 * len(self._recent.ids) > len(self._known.ids):
                self._known.add(self._recent.ids.to_numpy(), self._recent.counts)
                self._recent = _Hashed()


class _Hashed:
    """Ids with their counts, in a hash table."""

    def __init__(self) -> None:
        self.ids, self.counts = pd.Index([], dtype=object), np.zeros(0, dtype=np.int64)

    def add(self, ids: np.ndarray, counts: np.ndarray) -> None:
        """Add ids that are not among them."""
        if len(ids):
            self.ids = self.ids.append(pd.Index(ids)) if len(self.ids) else pd.Index(ids)
            self.counts = np.concatenate((self.counts, counts))

    def count(self, ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Count the distinct ids that are among them; return which, bool (n,)."""
        if not len(self.ids):
            return np.zeros(len(ids), dtype=bool)
        places = self.ids.get_indexer(pd.Index(ids))
        known: np.ndarray = places >= 0
        self.counts[places[known]] += counts[known]
        return known
