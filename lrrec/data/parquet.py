"""Parquet files, folders of them and patterns of names, in batches."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from lrrec.data import frames
from lrrec.data.assembly import Merger, read_rows
from lrrec.data.frames import brief
from lrrec.data.id_counts import CHANGED
from lrrec.data.streaming import merge_grouped, read_grouped
from lrrec.data.tables import Reading
from lrrec.errors import DataError
from lrrec.validate import first_three, import_extra

BATCH = 2**20  # rows
AT_ONCE = 2**24  # rows of a table that is read at once, which is faster


class ParquetTable:
    """The columns that `roles` names of a Parquet file; called, it is read again.

    It is a path, a pattern such as "2024-*.parquet", a folder of files or an open file.

    Attributes
    ----------
    n_rows : int
    """

    def __init__(self, source: Any, roles: Mapping[str, str]) -> None:
        self.source = source
        ids = [roles["user"], roles["item"]]
        self._batches: Any
        self._scan: Any
        self._files: list[str] = []
        self._complete: list[str] = []  # columns in which rows must have something
        with self._errors():
            if hasattr(source, "read"):
                file = import_extra("pyarrow.parquet", None, "from_parquet").ParquetFile(source, read_dictionary=ids)
                columns, self.n_rows = file.schema_arrow.names, file.metadata.num_rows
                self._batches = self._scan = file.iter_batches
            else:
                dataset = import_extra("pyarrow.dataset", None, "from_parquet")
                form = dataset.ParquetFileFormat(
                    read_options={"dictionary_columns": ids},  # of text
                    default_fragment_scan_options=dataset.ParquetFragmentScanOptions(pre_buffer=False),
                )
                opened = dataset.dataset(_paths(os.fspath(source)), format=form, partitioning="hive")
                columns, self.n_rows = opened.schema.names, opened.count_rows()
                self._batches, self._scan, self._files = partial(_batches, opened), opened.to_batches, opened.files
        self._stamps = self._stamped()
        absent = [name for name in roles.values() if name not in columns]
        if absent:
            raise DataError(f"{source} must have the columns {first_three(absent)}, got {', '.join(columns)}")

    def __call__(self, names: Sequence[str]) -> Iterator[Any]:
        """Yield the rows in order, batch by batch, as narwhals frames of the named columns."""
        arrow = import_extra("pyarrow", None, "from_parquet")
        with self._errors():
            self._check_unchanged()
            columns = list(dict.fromkeys([*names, *self._complete]))
            for batch in self._batches(columns=columns, batch_size=BATCH):
                frame = frames.eager(arrow.Table.from_batches([batch]))
                frame = frame.drop_nulls(self._complete).select(list(names)) if self._complete else frame
                if len(frame):
                    yield frame
            arrow.default_memory_pool().release_unused()
            self._check_unchanged()

    def drop_missing(self, roles: Mapping[str, str]) -> None:
        """Leave out the rows in which a column is missing, from now on; the table is read once to count the others."""
        self._complete = list(roles.values())
        self.n_rows = sum(len(frame) for frame in self([roles["user"]]))

    def whole(self, names: Sequence[str]) -> Any:
        """Return all rows as one narwhals frame."""
        arrow = import_extra("pyarrow", None, "from_parquet")
        with self._errors():
            batches = list(self._scan(columns=list(names), batch_size=BATCH))
            if not batches:
                raise DataError(f"{self.source} must have at least one row, got none")
            return frames.eager(arrow.Table.from_batches(batches))

    def _check_unchanged(self) -> None:
        if self._stamped() != self._stamps:
            raise DataError(f"{self.source} {CHANGED}")

    def _stamped(self) -> list[tuple[int, int]]:
        """Size and time of change of each file."""
        stats = map(os.stat, self._files)
        return [(one.st_size, one.st_mtime_ns) for one in stats]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Arrow's errors as ours."""
        try:
            yield
        except DataError:
            raise
        except FileNotFoundError:
            raise DataError(f"{str(self.source)!r} does not exist: path must be a Parquet file") from None
        except Exception as error:  # whatever Arrow raises
            raise DataError(f"{self.source} must be a Parquet file: {brief(error)}") from None


def _batches(dataset: Any, **options: Any) -> Iterator[Any]:
    """Yield the batches of one group of rows after the other; a scan decodes them faster than they are used."""
    for file in dataset.get_fragments():
        for group in file.split_by_row_group():
            yield from group.to_batches(schema=dataset.schema, **options)


def _paths(path: str) -> str | list[str]:
    """The path, or the files that a pattern names, in the order of their names."""
    if os.path.exists(path) or not glob.has_magic(path):
        return path
    return sorted(glob.glob(path)) or path


def read_parquet(cls: Any, path: Any, roles: dict[str, str], reading: Reading) -> Any:
    """Return the Interactions, `cls`, of the columns of Parquet files, which `roles` names."""
    table = ParquetTable(path, roles)
    if table.n_rows <= AT_ONCE:
        return read_rows(cls, table.whole(list(roles.values())), roles, reading)
    if reading.drops_missing:
        table.drop_missing(roles)
    rows = read_grouped(table, table.n_rows, roles, reading.time_format)
    merger = Merger(rows.users, rows.items, reading.duplicates, rows.label)
    return merger.build(cls, *merge_grouped(rows, merger))
