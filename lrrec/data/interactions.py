"""Interactions: a user-by-item matrix with ids and times."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TextIO

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames, labels, tables
from lrrec.data.alignment import align, k_core
from lrrec.data.assembly import Merger, assemble, read_rows
from lrrec.data.concatenation import joined
from lrrec.data.events import Events
from lrrec.data.ids import IdMap
from lrrec.data.interactions_parts import checked
from lrrec.data.json_lines import read_json_lines
from lrrec.data.merging import POLICIES
from lrrec.data.parquet import AT_ONCE, ParquetTable
from lrrec.data.streaming import merge_grouped, read_grouped
from lrrec.errors import DataError
from lrrec.typing import ArrayLike, FileLike, Frame, FrameLike, Ids, MatrixLike
from lrrec.validate import as_array, check_bool, check_columns, check_matrix, check_option, check_real


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A user-by-item matrix with the ids of its rows and columns.

    Made by `from_frame`, `from_pairs`, `from_csv`, `from_parquet` or `from_matrix`, which check their input; ids are
    put in sorted order, so that the order of the rows read has no influence.

    Attributes
    ----------
    matrix : csr_array of float32, shape (n_users, n_items)
        The value of each interaction, any finite number; sorted, without duplicates. A stored 0 is a value of 0.
    users, items : IdMap
        The ids of the rows and of the columns.
    times : ndarray, shape (n_interactions,), or None
        When each interaction happened, in the order of `matrix.data`; integers, floats or datetime64.
    events : Events or None
        With times, where pairs of user and item repeat: the rows before they were merged, which splits by time cut.

    Examples
    --------
    >>> from lrrec import Interactions
    >>> plays = Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"], values=[3, 1, 2])
    >>> plays
    Interactions(2 users, 2 items, 3 interactions, density 75.00%)
    >>> plays.matrix.toarray().tolist()
    [[3.0, 1.0], [2.0, 0.0]]
    """

    matrix: sp.csr_array
    users: IdMap
    items: IdMap
    times: np.ndarray | None = None
    events: Events | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", checked(self.matrix, self.users, self.items, self.times, self.events))

    @classmethod
    def from_frame(
        cls, df: FrameLike, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None,
    ) -> "Interactions":  # fmt: skip
        """Read a frame with a row for each interaction.

        Parameters
        ----------
        df : pandas, polars or Arrow frame, or anything else that narwhals reads
            Extra columns are ignored.
        user, item : str, default "user", "item"
            Columns of ids: integers or strings; where a column has both, all are read as strings.
        value : str, optional
            Column of numbers (ratings, counts, seconds), 0 and negative ones too; every row counts 1 when not given.
            Most models take values > 0 alone, `ALS` any, `IALS` negative ones as dislikes.
        time : str, optional
            Column of numbers, datetimes, or text of dates.
        duplicates : {"sum", "last", "first", "max", "mean", "error"}, optional
            What to do with several rows of one user and item: add their values, keep the latest or earliest row (by
            time; in the order of the frame without times), the largest value or the mean, or refuse. The time kept
            is that of the row, or the latest. "sum" when not given, with a warning if the values of a pair differ.
        time_format : str, optional
            How text of dates is written, as for strptime, e.g. "%d/%m/%Y"; ISO 8601 when not given.

        Raises
        ------
        DataError
            If a column is missing, an id or value is missing, a value is infinite or not a number, a text is no date,
            or there are no rows.

        Notes
        -----
        O(n log n) time for n rows. A million rows take a fraction of a second.
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        return read_rows(cls, frames.eager(df), roles, duplicates, time_format)

    @classmethod
    def from_pairs(
        cls, users: Ids, items: Ids, *, values: ArrayLike | None = None, times: ArrayLike | None = None,
        duplicates: str | None = None, time_format: str | None = None,
    ) -> "Interactions":  # fmt: skip
        """Read equally long sequences of user ids, item ids and, optionally, values and times.

        The same as `from_frame` for data that are not in a frame; see there. pandas Series must have the same index.
        """
        frame = tables.from_pairs(user=users, item=items, value=values, time=times)
        return read_rows(cls, frames.eager(frame), {str(role): str(role) for role in frame}, duplicates, time_format)

    @classmethod
    def from_csv(
        cls, path: FileLike | TextIO, *, user: str | int = "user", item: str | int = "item",
        value: str | int | None = None, time: str | int | None = None, duplicates: str | None = None,
        delimiter: str = ",", encoding: str = "utf-8", header: int | None = 0, quoting: int = 0, decimal: str = ".",
        time_format: str | None = None,
    ) -> "Interactions":  # fmt: skip
        """Read a CSV file; compressed files (.gz, .bz2, .xz, .zst, .zip) too.

        Ids are integers where every id of the column is one of 64 bits, written plainly; otherwise strings, so that
        "007" and "7" stay apart. Spaces around ids are left out, with a warning. Every line must have as many fields as
        the header. For the rest see `from_frame`.

        Parameters
        ----------
        path : path or open file, of bytes or of text
            Read by blocks of 32 MB.
        user, item, value, time : str
            Names of columns; with header=None their numbers, from 0.
        duplicates, time_format
            As for `from_frame`.
        delimiter : str, default ","
            One character or more.
        encoding : str, default "utf-8"
        header : int or None, default 0
            The line of the names, blank lines not counted; None if there is none.
        quoting : int, default csv.QUOTE_MINIMAL (0)
            With csv.QUOTE_NONE (3) quotes are ordinary characters; otherwise they enclose fields.
        decimal : str, default "."

        Raises
        ------
        DataError
            As `from_frame`; also for a line with more or fewer fields than the header, or quotes within a field.
        """
        form = tables.Format(delimiter, encoding, header, quoting, decimal)
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        frame = frames.eager(tables.read_csv(path, roles, form, time_format))
        named = {role: str(name) for role, name in roles.items()}
        return read_rows(cls, frame, named, duplicates, time_format, ids_as_written=True)

    @classmethod
    def from_parquet(
        cls, path: FileLike, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None,
    ) -> "Interactions":  # fmt: skip
        """Read the named columns of a Parquet file. See `from_frame`.

        Parameters
        ----------
        path : path or open file
            A file, a folder of such files, or a pattern of names such as "2024-*.parquet". Needs pyarrow.

        Notes
        -----
        Tables of more than 16 million rows are read twice, in batches, the ids first: memory for the result and little
        more.
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        table = ParquetTable(path, roles)
        if table.n_rows <= AT_ONCE:
            return read_rows(cls, table.whole(list(roles.values())), roles, duplicates, time_format)
        if duplicates is not None:
            check_option(duplicates, "duplicates", POLICIES)
        rows = read_grouped(table, table.n_rows, roles, time_format)
        merger = Merger(rows.users, rows.items, duplicates, rows.label)
        return merger.build(cls, *merge_grouped(rows, merger))

    @classmethod
    def from_json_lines(
        cls, path: FileLike | TextIO, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None,
    ) -> "Interactions":  # fmt: skip
        """Read a file with a JSON object in each line, which has the named fields. See `from_frame`.

        Parameters
        ----------
        path : path or open file, of bytes or of text
            Compressed files (.gz, .bz2, .xz, .zst, .zip) too.
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        return read_rows(cls, frames.eager(read_json_lines(path, roles)), roles, duplicates, time_format)

    @classmethod
    def from_matrix(cls, X: MatrixLike, *, users: Ids | None = None, items: Ids | None = None) -> "Interactions":
        """Make interactions of a sparse or dense user-by-item matrix.

        Parameters
        ----------
        X : sparse matrix or array-like, shape (n_users, n_items)
            Zeros are no interaction; duplicates are summed. The arrays of a canonical float32 csr matrix are not
            copied: do not change them afterwards. A pandas frame, such as a pivot table, has user ids as its index and
            item ids as columns; NaN is no interaction.
        users, items : sequence of ids or IdMap, optional
            Ids of the rows and columns; their indices when not given. Those of a frame are its own.
        """
        data, maps = as_interactions(X), []
        for ids, own, name in ((users, data.users, "users"), (items, data.items, "items")):
            id_map = own if ids is None else ids if isinstance(ids, IdMap) else IdMap(ids)
            if len(id_map) != len(own):
                raise DataError(f"{name} must have one id for each of the {len(own)} {name} of X, got {len(id_map)}")
            if id_map != own and labels.index_of(X, "X") is not None:
                raise DataError(f"{name} must be the labels of X, got others: pass X.to_numpy() to give it other ids")
            maps.append(id_map)
        return cls(data.matrix, maps[0], maps[1])

    @classmethod
    def concat(cls, parts: Iterable["Interactions"], *, duplicates: str = "error") -> "Interactions":
        """Join several interactions, matched by the ids of users and items.

        Parameters
        ----------
        parts : sequence of Interactions
            The result has the users and items of all of them, those without an interaction included: in their order
            where they are the same in every part, else sorted. It has times if every part has.
        duplicates : {"error", "sum", "last", "first", "max", "mean"}, default "error"
            What to do with a user and item of several parts, as in `from_frame`; without times the last part is latest.

        Examples
        --------
        >>> from lrrec import Interactions
        >>> monday = Interactions.from_pairs(["ann", "bob"], ["x", "x"])
        >>> tuesday = Interactions.from_pairs(["bob", "cat"], ["x", "y"])
        >>> Interactions.concat([monday, tuesday], duplicates="sum").matrix.toarray().tolist()
        [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
        """
        check_option(duplicates, "duplicates", POLICIES)
        listed = isinstance(parts, Iterable) and getattr(parts, "ndim", 1) != 0
        parts = list(parts) if listed else []
        if not parts or not all(isinstance(part, Interactions) for part in parts):
            raise DataError(f"parts must be one or more Interactions, got {[type(part).__name__ for part in parts]}")
        return assemble(cls, *joined(parts), duplicates, "values")

    @property
    def n_users(self) -> int:
        """The number of users, those without an interaction included."""
        return self.matrix.shape[0]

    @property
    def n_items(self) -> int:
        """The number of items, those without an interaction included."""
        return self.matrix.shape[1]

    def binarize(self, min_value: float | None = None) -> "Interactions":
        """Keep what counts as positive, each with weight 1; the id maps stay the same objects.

        Parameters
        ----------
        min_value : float, optional
            Interactions with a value of at least this are kept; all those > 0 when not given. Where events are cut by
            time, each part's merged values are compared with it.
        """
        data = self.matrix.data
        low = float(np.finfo(np.float32).tiny) if min_value is None else check_real(min_value, "min_value")
        kept = self.filter(data >= low)
        kept.matrix.data[:] = 1
        if self.events is None or self.events.min_value is not None:
            return kept
        return replace(kept, events=replace(self.events, min_value=low))  # also of pairs that counted for a while

    def filter(self, mask: np.ndarray) -> "Interactions":
        """Keep the interactions where mask, a bool array in the order of `matrix.data`, is true.

        A Series, e.g. of a column of `to_frame()`, is matched by its index.
        """
        mask = as_array(labels.align(mask, range(self.matrix.nnz), "mask", "interaction"), "mask")
        if mask.dtype != bool or mask.shape != (self.matrix.nnz,):
            raise DataError(f"mask must be bool of shape ({self.matrix.nnz},), got {mask.dtype} of shape {mask.shape}")
        before = np.concatenate(([0], np.cumsum(mask)))
        indptr = before[self.matrix.indptr].astype(self.matrix.indptr.dtype)
        matrix = sp.csr_array((self.matrix.data[mask], self.matrix.indices[mask], indptr), shape=self.matrix.shape)
        events = self.events if self.events is None or mask.all() else self.events.of_pairs(matrix)
        return Interactions(matrix, self.users, self.items, None if self.times is None else self.times[mask], events)

    def filter_events(self, mask: np.ndarray) -> "Interactions":
        """Keep the events where mask is true, and merge those of a pair again.

        Parameters
        ----------
        mask : ndarray of bool, shape (n_events,)
            In the order of `events.unmerged`; where no pair repeats, of `matrix.data`.
        """
        if self.events is None:
            return self.filter(mask)
        rows = self.events.unmerged.filter(mask)
        read = np.arange(len(rows)), rows.matrix.indices, rows.matrix.indptr
        cells = sp.csc_array(read, shape=rows.matrix.shape[::-1])
        merged = assemble(
            Interactions, self.users, self.items, cells, rows.matrix.data, rows.times, self.events.duplicates, "values"
        )  # fmt: skip
        return merged if self.events.min_value is None else merged.binarize(self.events.min_value)

    def k_core(self, users: int = 5, items: int = 5) -> "Interactions":
        """Keep the users with at least `users` interactions and the items with at least `items`; no other ids stay.

        Leaving out an item may leave a user with too few, and the other way round: it is repeated until all that are
        left have enough. An item that a user has repeatedly counts once.
        """
        return k_core(self, users, items)

    def align_items(self, items: IdMap) -> "Interactions":
        """Match the items by id with another catalogue; interactions on items that it lacks are left out."""
        if not isinstance(items, IdMap):
            raise DataError(f"items must be an IdMap, got {type(items).__name__}: pass IdMap(ids)")
        return align(self, self.users, items)

    def rows(self) -> np.ndarray:
        """The user index of each interaction, int32 (n_interactions,), in the order of `matrix.data`."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.matrix.indptr))

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return a frame with columns user, item, value and, where there are times, time.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        columns = {
            "user": self.users.ids[self.rows()],
            "item": self.items.ids[self.matrix.indices],
            "value": self.matrix.data,
        }
        if self.times is not None:
            columns["time"] = self.times
        return frames.make(columns, backend)

    def save(self, path: FileLike) -> None:
        """Write the interactions to path, a path or binary file object, for `open`: ids, values, times and events."""
        importlib.import_module("lrrec.interaction_files").write(path, self)

    @classmethod
    def open(cls, path: FileLike, *, mmap: bool = False, verify: bool | None = None) -> "Interactions":
        """Read the interactions of a file written by `save`.

        Parameters
        ----------
        path, mmap, verify
            As for `lrrec.load`: with mmap=True the arrays stay in the file, and processes share them.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from lrrec import Interactions
        >>> plays = Interactions.from_pairs(["ann", "bob"], ["x", "y"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plays.save(Path(folder) / "plays.lrrec")
        ...     Interactions.open(Path(folder) / "plays.lrrec")
        Interactions(2 users, 2 items, 2 interactions, density 50.00%)
        """
        verify = not check_bool(mmap, "mmap") if verify is None else check_bool(verify, "verify")
        made: Interactions = importlib.import_module("lrrec.interaction_files").read(path, mmap=mmap, verify=verify)
        return made

    def __len__(self) -> int:
        return self.matrix.nnz

    def __repr__(self) -> str:
        density = len(self) / (self.n_users * self.n_items or 1)
        return (
            f"Interactions({self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions, "
            f"density {density:.2%})"
        )


def as_interactions(
    X: Interactions | MatrixLike, items: IdMap | None = None, *, name: str = "X", owner: str = "the model"
) -> Interactions:
    """Return X as Interactions: as it is, a pandas frame with the ids that label it, other matrices by position.

    items: what the columns of a matrix without labels are, those of `owner`; their indices when None.
    """
    if isinstance(X, Interactions):
        return X
    pivot = labels.read_pivot(X, name)
    if pivot is not None:
        return Interactions(check_matrix(pivot[0], name, keep_zeros=True), *pivot[1:])
    matrix = check_matrix(X, name)
    if items is not None:
        check_columns(matrix, len(items), owner)
    return Interactions(matrix, IdMap.range(matrix.shape[0]), IdMap.range(matrix.shape[1]) if items is None else items)
