"""Interactions: a user-by-item matrix with ids and times."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames, labels, tables
from lrrec.data.alignment import align, k_core
from lrrec.data.assembly import assemble, read_rows
from lrrec.data.concatenation import joined
from lrrec.data.csv_blocks import Format
from lrrec.data.events import Events
from lrrec.data.ids import IdMap
from lrrec.data.interactions_parts import checked, id_map
from lrrec.data.json_lines import read_json_lines
from lrrec.data.merging import POLICIES
from lrrec.data.parquet import read_parquet
from lrrec.data.recency import decayed
from lrrec.data.selection import binarized, filtered, filtered_events
from lrrec.data.tables import Reading
from lrrec.errors import DataError
from lrrec.typing import ArrayLike, DurationLike, FileLike, Frame, FrameLike, Ids, MatrixLike, TimeLike
from lrrec.validate import check_bool, check_columns, check_matrix, check_option


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
    half_life : float, timedelta64 or None
        Of the weights by age that `decayed` has multiplied the values by; None where they are as they were read.

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
    half_life: float | np.timedelta64 | None = None

    def __post_init__(self) -> None:
        parts = self.users, self.items, self.times, self.events, self.half_life
        object.__setattr__(self, "matrix", checked(self.matrix, *parts))

    @classmethod
    def from_frame(
        cls, df: FrameLike, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None, missing: str = "error",
    ) -> "Interactions":  # fmt: skip
        """Read a frame with a row for each interaction, in O(n log n) time for n rows.

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
            How several rows of one user and item are merged: add their values, keep the latest or earliest row (by
            time; in the order of the frame without times), the largest value or the mean, or refuse. The time kept
            is that of the row, or the latest. "sum" when not given, with a warning if the values of a pair differ.
        time_format : str, optional
            How text of dates is written, as for strptime, e.g. "%d/%m/%Y"; ISO 8601 when not given.
        missing : {"error", "drop"}, default "error"
            Refuse rows in which one of the columns is missing, or leave them out.

        Raises
        ------
        DataError
            If a column is missing, an id or value is missing (with missing="error"), a value is infinite or not a
            number, a text is no date, or there are no rows.

        Examples
        --------
        >>> import pandas as pd
        >>> from lrrec import Interactions
        >>> Interactions.from_frame(pd.DataFrame({"user": ["ann", "bob"], "item": ["x", "y"]}))
        Interactions(2 users, 2 items, 2 interactions, density 50.00%)
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        return read_rows(cls, frames.eager(df), roles, Reading(duplicates, time_format, missing))

    @classmethod
    def from_pairs(
        cls, users: Ids, items: Ids, *, values: ArrayLike | None = None, times: ArrayLike | None = None,
        duplicates: str | None = None, time_format: str | None = None, missing: str = "error",
    ) -> "Interactions":  # fmt: skip
        """Read equally long sequences of user ids, item ids and, optionally, values and times.

        The same as `from_frame` for data that are not in a frame; see there. pandas Series must have the same index.
        """
        frame = tables.from_pairs(user=users, item=items, value=values, time=times)
        roles, reading = {str(role): str(role) for role in frame}, Reading(duplicates, time_format, missing)
        return read_rows(cls, frames.eager(frame), roles, reading)

    @classmethod
    def from_csv(
        cls, path: FileLike | TextIO, *, user: str | int = "user", item: str | int = "item",
        value: str | int | None = None, time: str | int | None = None, duplicates: str | None = None,
        delimiter: str = ",", encoding: str = "utf-8", header: int | None = 0, quoting: int = 0, decimal: str = ".",
        time_format: str | None = None, missing: str = "error",
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
        duplicates, time_format, missing
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
        form, reading = Format(delimiter, encoding, header, quoting, decimal), Reading(duplicates, time_format, missing)
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        frame = frames.eager(tables.read_csv(path, roles, form, time_format))
        return read_rows(cls, frame, {role: str(name) for role, name in roles.items()}, reading, ids_as_written=True)

    @classmethod
    def from_parquet(
        cls, path: FileLike, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None, missing: str = "error",
    ) -> "Interactions":  # fmt: skip
        """Read the named columns of a Parquet file. See `from_frame`.

        Parameters
        ----------
        path : path or open file
            A file, a folder of such files, or a pattern of names such as `2024-*.parquet`. Needs pyarrow.

        Notes
        -----
        Tables of more than 16 million rows are read twice, in batches: memory for the result and little more.
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        return read_parquet(cls, path, roles, Reading(duplicates, time_format, missing))

    @classmethod
    def from_json_lines(
        cls, path: FileLike | TextIO, *, user: str = "user", item: str = "item", value: str | None = None,
        time: str | None = None, duplicates: str | None = None, time_format: str | None = None, missing: str = "error",
    ) -> "Interactions":  # fmt: skip
        """Read a file with a JSON object in each line, which has the named fields. See `from_frame`.

        Parameters
        ----------
        path : path or open file, of bytes or of text; compressed files (.gz, .bz2, .xz, .zst, .zip) too
        """
        roles = frames.check_roles(user=user, item=item, value=value, time=time)
        reading = Reading(duplicates, time_format, missing)
        return read_rows(cls, frames.eager(read_json_lines(path, roles, reading)), roles, reading)

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
        data = as_interactions(X)
        return cls(data.matrix, id_map(X, users, data.users, "users"), id_map(X, items, data.items, "items"))

    @classmethod
    def concat(cls, parts: Iterable["Interactions"], *, duplicates: str = "error") -> "Interactions":
        """Join several interactions, matched by the ids of users and items.

        Parameters
        ----------
        parts : sequence of Interactions
            The result has the users and items of all of them, those without an interaction included: in their order
            where they are the same in every part, else sorted. It has times if every part has.
        duplicates : {"error", "sum", "last", "first", "max", "mean"}, default "error"
            How pairs that occur in several parts are merged, as in `from_frame`; without times the last part is latest.

        Examples
        --------
        >>> from lrrec import Interactions
        >>> monday = Interactions.from_pairs(["ann", "bob"], ["x", "x"])
        >>> tuesday = Interactions.from_pairs(["bob", "cat"], ["x", "y"])
        >>> Interactions.concat([monday, tuesday], duplicates="sum").matrix.toarray().tolist()
        [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
        """
        check_option(duplicates, "duplicates", POLICIES)
        return assemble(cls, *joined(parts, Interactions), duplicates, "values")

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
        return binarized(self, min_value)

    def filter(self, mask: np.ndarray) -> "Interactions":
        """Keep the interactions where mask, a bool array in the order of `matrix.data`, is true.

        A Series, e.g. of a column of `to_frame()`, is matched by its index.
        """
        return filtered(self, mask)

    def filter_events(self, mask: np.ndarray) -> "Interactions":
        """Keep the events where mask is true, and merge those of a pair again.

        Parameters
        ----------
        mask : ndarray of bool, shape (n_events,)
            In the order of `events.unmerged`; where no pair repeats, of `matrix.data`.
        """
        return filtered_events(self, mask)

    def decayed(self, half_life: DurationLike, *, at: TimeLike | None = None) -> "Interactions":
        """Weight interactions by their age: multiply each value by 2^(-age / half_life), with age = at - time.

        Models then learn more from what is recent. Ids, order and times stay. Of a split, see `Split.decayed`.

        Parameters
        ----------
        half_life : length of time
            > 0, in the units of `times`; where these are datetimes, anything that pandas.Timedelta takes with a unit,
            e.g. "90 days". Typical: a tenth of the time that the data span, to all of it.
        at : time, optional
            When an interaction has weight 1, in the units of `times`, e.g. now. Not before the latest time, which it
            is when not given.

        Raises
        ------
        DataError
            If there are no times, or the values were weighted before.
        ParameterError
            If an interaction is later than `at`.

        Notes
        -----
        Where several rows were merged to a pair, they are weighted and merged anew; a binarized pair has the weight of
        its time. The result has no `events`. No interaction vanishes: weights do not fall below 2^-60, so that what was
        seen long ago is not recommended either. Models of ratings, such as `ALS`, refuse the result, as it has no
        ratings any more. `Popularity` counts users unless weighted=True. The others take values as weights, also in
        the histories of new users, which are used as they are: weight those too, with the same `at`. O(n) time.

        References
        ----------
        Ding & Li (2005), "Time weight collaborative filtering".

        Examples
        --------
        >>> from lrrec import Interactions
        >>> plays = Interactions.from_pairs(["ann", "ann"], ["x", "y"], times=["2024-03-01", "2024-03-31"])
        >>> plays.decayed("30 days").matrix.toarray().tolist()
        [[0.5, 1.0]]
        """
        return decayed(self, half_life, at)

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
        columns = {"user": self.users.ids[self.rows()], "item": self.items.ids[self.matrix.indices]}
        times = {} if self.times is None else {"time": self.times}
        return frames.make(columns | {"value": self.matrix.data} | times, backend)

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
        >>> from lrrec import Interactions
        >>> plays = Interactions.from_pairs(["ann", "bob"], ["x", "y"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     plays.save(f"{folder}/plays.lrrec")
        ...     Interactions.open(f"{folder}/plays.lrrec")
        Interactions(2 users, 2 items, 2 interactions, density 50.00%)
        """
        verify = not check_bool(mmap, "mmap") if verify is None else check_bool(verify, "verify")
        made: Interactions = importlib.import_module("lrrec.interaction_files").read(path, mmap=mmap, verify=verify)
        return made

    def __len__(self) -> int:
        return self.matrix.nnz

    def __repr__(self) -> str:
        density = len(self) / (self.n_users * self.n_items or 1)
        size = f"{self.n_users:,} users, {self.n_items:,} items, {len(self):,} interactions"
        return f"Interactions({size}, density {density:.2%})"


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
