"""Tables that are read twice, in batches: first the ids, then the rows, which go straight into the final arrays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames
from lrrec.data.assembly import Entries, Merger
from lrrec.data.id_counts import CHANGED, IdCounts
from lrrec.data.ids import IdMap
from lrrec.data.text_ids import TextIds, is_text
from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.validate import check_finite

BLOCK = 2**22  # rows that are sorted and merged at a time

Batches = Callable[[Sequence[str]], Iterator[Any]]  # narwhals frames of some columns, each time from the beginning


class GroupedRows(NamedTuple):
    """The rows of a table by user, those of a user in the order they were read."""

    users: IdMap
    items: IdMap
    indptr: np.ndarray  # int64: where the rows of each user begin
    columns: np.ndarray  # int32: the item of each row
    values: np.ndarray | None
    times: np.ndarray | None
    label: str


def read_grouped(batches: Batches, n_rows: int, roles: Mapping[str, str], time_format: str | None) -> GroupedRows:
    """Read the columns that `roles` names of a table of n_rows, in two passes.

    Memory: 4 bytes a row for the item and for each column of ids that is text, those of values and times, the ids, and
    a batch.
    """
    ids = _count_ids(batches, n_rows, {role: roles[role] for role in ("user", "item")})
    (users, counts), (items, _) = (ids[role].finish() for role in ("user", "item"))
    indptr = np.concatenate(([0], np.cumsum(counts)))
    free, columns = indptr[:-1].copy(), np.empty(n_rows, dtype=np.int32)
    cells = {role: _Cells(roles[role], n_rows) for role in ("value", "time") if role in roles}
    label = f"column {roles['value']!r}" if "value" in roles else "values"
    n_read, again = 0, {role: name for role, name in roles.items() if not isinstance(ids.get(role), TextIds)}
    for n_more, batch in _batches_again(batches, n_rows, list(again.values())):
        if n_read + n_more > n_rows:
            break
        parts = {role: frames.column(batch, name, role, n_before=n_read) for role, name in again.items()}
        user_codes, item_codes = (ids[role].codes(n_more, parts.get(role)) for role in ("user", "item"))
        places = np.empty(n_more, dtype=np.int64)
        kernels.take_places(user_codes, free, places)
        if places.max() >= n_rows:
            break
        columns[places] = item_codes
        if "value" in parts:
            numbers = frames.numbers(parts["value"], roles["value"])
            check_finite(numbers, label, n_before=n_read)
            cells["value"].put(places, _narrow(numbers))
        if "time" in parts:
            cells["time"].put(places, frames.times(parts["time"], roles["time"], time_format))
        n_read += n_more
    if n_read != n_rows or (free != indptr[1:]).any():
        raise DataError(f"the table {CHANGED}")
    values, times = (cells[role].array if role in cells else None for role in ("value", "time"))
    return GroupedRows(users, items, indptr, columns, values, times, label)


def _count_ids(batches: Batches, n_rows: int, roles: Mapping[str, str]) -> dict[str, IdCounts | TextIds]:
    """The first pass: the ids of the columns that `roles` names, counted."""
    ids: dict[str, IdCounts | TextIds] = {}
    n_counted = 0
    for batch in batches(list(roles.values())):
        for role, name in roles.items():
            series, label = frames.column(batch, name, role, n_before=n_counted), f"column {name!r}"
            if role not in ids:
                ids[role] = TextIds(label, n_rows) if is_text(series) else IdCounts(label)
            ids[role].add(series)
        n_counted += len(batch)
    if not n_counted:
        raise DataError("the table must have at least one row, got none")
    if n_counted != n_rows:
        raise DataError(f"the table {CHANGED}")
    return ids


def _batches_again(batches: Batches, n_rows: int, names: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """The second pass: the number of rows of each batch, and the columns that have to be read again, if any."""
    if names:
        yield from ((len(batch), batch) for batch in batches(names))
    else:
        yield from ((min(BLOCK, n_rows - begin), None) for begin in range(0, n_rows, BLOCK))


def merge_grouped(rows: GroupedRows, merger: Merger) -> tuple[Entries | None, Entries | None]:
    """Return the rows in order, and merged, as `Merger.merge` does; block by block, in the arrays of the rows."""
    columns, times, n_items = rows.columns, rows.times, len(rows.items)
    in_place = rows.values is not None and rows.values.dtype == np.float32
    data: Any = rows.values if in_place else np.empty(len(columns), dtype=np.float32)
    parts: list[Entries | None] = []  # merged, of each block
    counts, end = np.diff(rows.indptr), 0
    for first, last in _blocks(rows.indptr):
        begin, stop = int(rows.indptr[first]), int(rows.indptr[last])
        order, by_item, indptr = _in_order(columns[begin:stop], rows.indptr[first : last + 1] - begin, n_items)
        values, whens = (None if part is None else part[begin:stop] for part in (rows.values, times))
        read, merged = merger.merge(order, by_item, indptr, values, whens, first)
        kept: Any = read or merged
        counts[first:last] = np.diff((merged or kept).indptr)
        if times is None:  # what is merged is shorter: it moves up
            begin, stop = end, end + len(kept.data)
        else:
            times[begin:stop] = kept.times
            parts.append(merged)
        data[begin:stop], columns[begin:stop] = kept.data, kept.columns
        end = stop
    merger.warn()
    indptr = np.concatenate(([0], np.cumsum(counts)))
    if times is None:
        for array in (data, columns):
            array.resize(end, refcheck=False)
        return Entries(data, columns, indptr, None), None
    read = Entries(data, columns, rows.indptr, times)
    return read, None if not any(parts) else _joined(read, parts, indptr)


def _blocks(indptr: np.ndarray) -> Iterator[tuple[int, int]]:
    """Users (first, last) with about BLOCK rows together; a user is never cut."""
    edges = np.searchsorted(indptr, np.arange(BLOCK, indptr[-1], BLOCK))
    edges = np.unique(np.concatenate(([0], edges, [len(indptr) - 1])))
    return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def _in_order(columns: np.ndarray, indptr: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by item within each user, as a csr matrix of their numbers; equal ones stay in their order."""
    numbers = np.arange(len(columns), dtype=np.int32)
    cells = sp.csr_array((numbers, columns, indptr), shape=(len(indptr) - 1, n_items))
    cells.has_canonical_format = True  # so that pairs that repeat are not added
    cells = cells.tocsc().tocsr()  # two counting sorts, both stable
    return cells.data, cells.indices, cells.indptr


def _joined(read: Entries, parts: list[Entries | None], indptr: np.ndarray) -> Entries:
    """The merged entries of all blocks; those of a block without repeated pairs are its rows."""
    assert read.times is not None
    pieces = []
    for part, (first, last) in zip(parts, _blocks(read.indptr), strict=True):
        rows = slice(int(read.indptr[first]), int(read.indptr[last]))
        pieces.append(part or Entries(read.data[rows], read.columns[rows], indptr, read.times[rows]))
    data, columns, times = (np.concatenate([piece[place] for piece in pieces]) for place in (0, 1, 3))
    return Entries(data, columns, indptr, times)


def _narrow(values: np.ndarray) -> np.ndarray:
    """Values as float32 where that changes none."""
    with np.errstate(over="ignore", under="ignore"):
        small = values.astype(np.float32)
    return small if (small == values).all() else values


class _Cells:
    """A value of each row, of the type that holds them all."""

    def __init__(self, name: str, n_rows: int) -> None:
        self.name, self.n_rows = name, n_rows
        self.array: np.ndarray | None = None

    def put(self, places: np.ndarray, values: np.ndarray) -> None:
        """Write the values of some rows to their places."""
        if self.array is None:
            self.array = np.zeros(self.n_rows, dtype=values.dtype)
        try:
            dtype = np.promote_types(self.array.dtype, values.dtype)
        except TypeError:
            raise DataError(f"column {self.name!r} must hold all numbers or all dates, got both") from None
        if dtype != self.array.dtype:
            self.array = self.array.astype(dtype)
        self.array[places] = values
