"""Tables with a row for each interaction: CSV files, and the columns of frames."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from lrrec.data import frames
from lrrec.data.csv_blocks import UNIT, Block, Format, Records, opened
from lrrec.data.frames import brief
from lrrec.data.id_columns import codes
from lrrec.data.labels import same_order
from lrrec.data.merging import POLICIES
from lrrec.errors import DataError, LrrecError, ParameterError
from lrrec.validate import check_finite, check_option, first_three

IDS = ("user", "item")
MISSING = ["", "NA", "NaN", "nan", "null"]  # of values and times; "" alone is no id


@dataclass(frozen=True)
class Reading:
    """How the rows of a table are read; see `Interactions.from_frame`."""

    duplicates: str | None = None
    time_format: str | None = None
    missing: str = "error"

    def __post_init__(self) -> None:
        if self.duplicates is not None:
            check_option(self.duplicates, "duplicates", POLICIES)
        check_option(self.missing, "missing", ("error", "drop"))

    @property
    def drops_missing(self) -> bool:
        """Whether rows in which something is missing are left out."""
        return self.missing == "drop"


@dataclass(frozen=True)
class Rows:
    """The rows of a table: distinct sorted ids, their indices by row, values and times; label: what the values are."""

    users: np.ndarray
    items: np.ndarray
    of_user: np.ndarray
    of_item: np.ndarray
    values: np.ndarray | None
    times: np.ndarray | None
    label: str


def read_columns(frame: Any, roles: Mapping[str, str], reading: Reading, *, ids_as_written: bool) -> Rows:
    """Read the columns of a narwhals frame, which `roles` names; for ids_as_written see `id_columns.codes`."""
    if not len(frame):
        raise DataError("df must have at least one row, got none")
    if reading.drops_missing:
        frame = frames.without_missing(frame, roles)
    columns = {role: frames.column(frame, name, role) for role, name in roles.items()}
    values = times = None
    label = f"column {roles['value']!r}" if "value" in roles else "values"
    if "value" in roles:
        values = frames.numbers(columns["value"], roles["value"])
        check_finite(values, label)
    if "time" in roles:
        times = frames.times(columns["time"], roles["time"], reading.time_format)
    users, of_user = codes(columns["user"], f"column {roles['user']!r}", as_written=ids_as_written)
    items, of_item = codes(columns["item"], f"column {roles['item']!r}", as_written=ids_as_written)
    return Rows(users, items, of_user, of_item, values, times, label)


def from_pairs(**parts: Any) -> pd.DataFrame:
    """Return sequences, by role, as columns of their names; those that are None are left out."""
    parts = {f"{role}s": part for role, part in parts.items() if part is not None or role in ("user", "item")}
    same_order(**parts)
    columns = {name.removesuffix("s"): frames.as_column(part, name) for name, part in parts.items()}
    if len({len(part) for part in columns.values()}) > 1:
        shown = ", ".join(f"{len(part)} {name}s" for name, part in columns.items())
        raise DataError(f"users, items, values and times must be equally long, got {shown}")
    try:
        return pd.DataFrame(columns)
    except ValueError as error:  # e.g. text that no encoding can hold
        raise DataError(f"users, items, values and times must fit into columns: {error}") from None


def read_csv(source: Any, roles: Mapping[str, Any], form: Format, time_format: str | None) -> pd.DataFrame:
    """Return the columns of the roles, under their names as text: ids as categories, values and times as they are.

    Memory: a block of the file, and 4 to 8 bytes a row and column.
    """
    name = getattr(source, "name", "the file") if hasattr(source, "read") else source
    try:
        with opened(source, form) as records:
            places = _places(records, roles)
            blocks = records.blocks(places[role] for role in IDS)
            parts = [_parse(block, records, places, time_format) for block in blocks if block.n_records]
    except LrrecError:
        raise
    except FileNotFoundError:
        raise DataError(f"{str(source)!r} does not exist: path must be a CSV file") from None
    except UnicodeError as error:
        raise DataError(
            f"{name} must be a CSV file with a header line in {form.encoding}: {error}. Pass encoding=, e.g. "
            "'latin-1' or 'utf-16'"
        ) from None
    except Exception as error:  # of the parser, or of the library that reads a compressed file
        raise DataError(f"{name} must be a CSV file with a header line: {brief(error)}") from None
    if not parts:
        raise DataError(f"{name} must have at least one row, got none")
    columns = {str(roles[role]): joined([part[role] for part in parts], roles[role]) for role in roles}
    return pd.DataFrame(columns, copy=False)


def _places(records: Records, roles: Mapping[str, Any]) -> dict[str, int]:
    """The place of the column of each role."""
    for role, name in roles.items():
        if records.form.header is None and not isinstance(name, int):
            raise ParameterError(f"{role} must be the number of a column, from 0, with header=None, got {name!r}")
        if records.form.header is not None and not isinstance(name, str):
            raise ParameterError(f"{role} must be the name of a column, got {name!r}")
    if not set(roles.values()) <= set(records.names):
        shown = ", ".join(map(str, records.names))
        raise DataError(
            f"{records.source} must have the columns {first_three(roles.values())}, got {shown} (separated by "
            f"{records.form.delimiter!r}). Name the columns by user=, item=, value= and time="
            + (", or pass delimiter=" if len(records.names) == 1 else "")
        )
    return {role: records.names.index(name) for role, name in roles.items()}


def _parse(block: Block, records: Records, places: Mapping[str, int], time_format: str | None) -> dict[str, pd.Series]:
    """The columns of a block's records, by role; ids as int64 where all are written as Python writes them, or text."""
    parts = {role: pd.Series(block.integers[places[role]]) for role in IDS if places[role] in block.integers}
    others = {role: place for role, place in places.items() if role not in parts}
    texts = {place for role, place in others.items() if role in IDS or (role == "time" and time_format is not None)}
    if others:
        parts |= _columns(block, records, others, texts)
    for role in set(IDS) & set(others):
        ids = parts[role] = parts[role].astype("category")
        broken = [text for text in ids.cat.categories.tolist() if "\n" in text] if records.form.quoted else []
        if broken:
            raise DataError(
                f"{records.source} must have a value for each column in every line, got ids over several lines, as "
                f"quotes without a counterpart make them: {first_three(broken)}"
            )
        if records.form.separator == UNIT:
            names = [text.replace(UNIT, records.form.delimiter) for text in ids.cat.categories]
            parts[role] = ids.cat.rename_categories(names)
    return parts


def _columns(block: Block, records: Records, places: Mapping[str, int], texts: set[int]) -> dict[str, pd.Series]:
    """The columns of a block at some places, by role, numbers where they are and not among the texts."""
    frame = pd.read_csv(  # type: ignore[call-overload]  # whose stubs want literals
        io.BytesIO(block.text), sep=records.form.separator, header=None, names=range(len(records.names)),
        index_col=False, usecols=list(places.values()), dtype=dict.fromkeys(texts, str), keep_default_na=False,
        quoting=records.form.quoting, decimal=records.form.decimal, low_memory=False,
        na_values={place: [""] if role in IDS else MISSING for role, place in places.items()},
    )  # fmt: skip
    if len(frame) != block.n_records:
        raise DataError(f"{records.source} must have {block.n_records} rows, as its lines do, got {len(frame)}")
    return {role: frame[place] for role, place in places.items()}


def joined(parts: list[pd.Series], name: Any) -> Any:
    """Return the parts of a column as one: numbers, or categories or objects of text."""

    def is_text(part: pd.Series) -> bool:
        return isinstance(part.dtype, pd.CategoricalDtype)

    numeric = [pd.api.types.is_numeric_dtype(part) for part in parts]
    if all(numeric):
        return np.concatenate([part.to_numpy() for part in parts])
    if any(map(is_text, parts)):
        parts = [part if is_text(part) else part.astype(str).astype("category") for part in parts]
        return union_categoricals(parts) if len(parts) > 1 else parts[0]
    if any(numeric):
        text = parts[numeric.index(False)].iloc[0]
        raise DataError(f"column {name!r} must hold all numbers or all text, got numbers and {text!r}")
    return np.concatenate([part.to_numpy() for part in parts])
