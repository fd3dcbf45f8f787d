"""Rows of a table by user and item: put in order, and those of a pair merged to one entry of the matrix."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from lrrec.data import tables
from lrrec.data.events import Events
from lrrec.data.ids import IdMap
from lrrec.data.merging import find_sums, grouped, merge, warn_of_sums
from lrrec.errors import DataError
from lrrec.validate import first_three, to_float32


class Entries(NamedTuple):
    """Entries of a csr matrix, and their times."""

    data: np.ndarray
    columns: np.ndarray
    indptr: np.ndarray
    times: np.ndarray | None


class Merger:
    """How the rows of a user and item become one entry; those of a table may come in several parts.

    duplicates: see `Interactions.from_frame`; None adds, and warns of values that differ. label: what the values are.
    """

    def __init__(self, users: IdMap, items: IdMap, duplicates: str | None, label: str) -> None:
        self.users, self.items, self.label = users, items, label
        self.duplicates = duplicates or "sum"
        self._warns = duplicates is None
        self._sums: list[tuple[np.ndarray, int]] = []

    def merge(
        self, order: np.ndarray, columns: np.ndarray, indptr: np.ndarray, values: np.ndarray | None,
        times: np.ndarray | None, first_user: int = 0,
    ) -> tuple[Entries | None, Entries | None]:  # fmt: skip
        """Return the rows in order, and merged.

        The second is None where no pair repeats; the first is None where one does and there are no times, as nothing
        needs the rows then.

        Parameters
        ----------
        order, columns, indptr : ndarray
            A csr matrix (users, items) whose data are the numbers of the rows; sorted, pairs repeat.
        values, times : ndarray, shape (n,), or None
            Of the rows.
        first_user : int
            The user of the first row of the matrix.
        """
        first = np.ones(len(order), dtype=bool)  # of a run of equal user and item
        first[1:] = columns[1:] != columns[:-1]
        first[indptr[:-1][np.diff(indptr) > 0]] = True
        repeats = not first.all()
        read = None
        if times is not None or not repeats:
            data = np.ones(len(order), dtype=np.float32) if values is None else to_float32(values, self.label)[order]
            read = Entries(data, columns, indptr, None if times is None else times[order])
        if not repeats:
            return read, None
        starts = np.flatnonzero(first)
        if self.duplicates == "error":
            again = np.unique(starts[np.searchsorted(starts, np.flatnonzero(~first)) - 1])
            whose = first_user + np.searchsorted(indptr, again, side="right") - 1
            pairs = zip(self.users.ids[whose].tolist(), self.items.ids[columns[again]].tolist(), strict=True)
            raise DataError(
                f"repeated pairs of user and item: {first_three(pairs)}; merge them by duplicates='sum' or 'last'"
            )
        if self._warns and values is not None:
            self._sums.append(find_sums(order, starts, values, times))
        merged, times = merge(order, starts, values, times, self.duplicates)
        indptr = np.concatenate(([0], np.cumsum(first)))[indptr].astype(indptr.dtype)
        return read, Entries(to_float32(merged, self.label), columns[starts], indptr, times)

    def build(self, cls: Any, read: Entries | None, merged: Entries | None) -> Any:
        """Return the Interactions, `cls`, of rows read and merged, either of which may be None; see `merge`."""

        def of(entries: Any, events: Events | None = None) -> Any:
            shape = len(self.users), len(self.items)
            small = len(entries.data) <= np.iinfo(np.int32).max  # indices take the type of indptr
            indptr = entries.indptr.astype(np.int32 if small else np.int64, copy=False)
            matrix = sp.csr_array((entries.data, entries.columns, indptr), shape=shape)
            return cls(matrix, self.users, self.items, entries.times, events)

        if merged is None:
            return of(read)
        return of(merged, None if read is None else Events(of(read), self.duplicates))

    def warn(self) -> None:
        """Warn of the values that were added, once for all parts."""
        warn_of_sums(self._sums, self.label)


def read_rows(
    cls: Any, frame: Any, roles: dict[str, str], reading: tables.Reading, *, ids_as_written: bool = False
) -> Any:
    """Return the Interactions, `cls`, of the columns of a narwhals frame, which `roles` names."""
    rows = tables.read_columns(frame, roles, reading, ids_as_written=ids_as_written)
    cells = grouped(rows.of_user, rows.of_item, len(rows.users), len(rows.items))
    return assemble(
        cls, IdMap(rows.users), IdMap(rows.items), cells, rows.values, rows.times, reading.duplicates, rows.label
    )


def assemble(
    cls: Any, users: IdMap, items: IdMap, cells: sp.csc_array, values: np.ndarray | None, times: np.ndarray | None,
    duplicates: str | None, label: str,
) -> Any:  # fmt: skip
    """Return the Interactions, `cls`, of rows in the order of `cells`, merged as `Merger` does."""
    merger = Merger(users, items, duplicates, label)
    read, merged = merger.merge(cells.data, cells.indices, cells.indptr, values, times)
    merger.warn()
    return merger.build(cls, read, merged)
