"""Columns of pandas, polars and Arrow frames in, frames out."""

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from lrrec.data.ids import as_ids
from lrrec.errors import DataError, ParameterError
from lrrec.typing import Frame, PathLike
from lrrec.validate import check_option, first_three, import_extra

BACKENDS = ("pandas", "polars", "pyarrow")


def eager(frame: Any) -> Any:
    """Return frame as a narwhals frame; a lazy one is collected."""
    try:
        wrapped = nw.from_native(frame)
        return wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped
    except TypeError:
        raise DataError(f"df must be a pandas, polars or Arrow frame, got {type(frame).__name__}") from None
    except Exception as error:  # whatever the frame's own library raises
        raise DataError(f"df must be a usable frame with distinct column names: {_brief(error)}") from None


def is_frame(value: Any) -> bool:
    """Whether value is a frame of any library."""
    return isinstance(nw.from_native(value, pass_through=True), nw.DataFrame | nw.LazyFrame)


def _brief(error: BaseException) -> str:
    """The first line of another library's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def read_csv(path: PathLike, sep: str, ids: tuple[str, str], value: str | None, time: str | None) -> pd.DataFrame:
    """The named columns of a CSV file: ids as integers or strings, times as numbers or datetimes."""
    wanted = [*ids, *(name for name in (value, time) if name is not None)]
    try:
        header = pd.read_csv(path, sep=sep, nrows=1, header=None, dtype=str)
        names = header.iloc[0].tolist()
        if len(set(names)) < len(names):
            raise DataError(f"{path} must have distinct column names, got {', '.join(map(str, names))}")
        absent = [name for name in wanted if name not in names]
        if absent:
            shown = ", ".join(map(str, names))
            raise DataError(f"{path} must have the columns {first_three(wanted)}, got {shown} (separated by {sep!r})")
        empty = {name: ["", "NA", "NaN", "nan", "null"] if name in (value, time) else [""] for name in wanted}
        frame = pd.read_csv(
            path, sep=sep, usecols=wanted, dtype=dict.fromkeys(ids, str), keep_default_na=False, na_values=empty
        )
    except FileNotFoundError:
        raise DataError(f"{str(path)!r} does not exist: path must be a CSV file") from None
    except DataError:
        raise
    except Exception as error:  # of the parser, or of the library that reads a compressed file
        raise DataError(f"{path} must be a CSV file with a header line: {_brief(error)}") from None
    for name in ids:
        frame[name] = _plain_integers(frame[name])
    if time is not None and not pd.api.types.is_numeric_dtype(frame[time]):
        try:
            frame[time] = pd.to_datetime(frame[time], format="ISO8601", utc=True)
        except ValueError:
            raise DataError(f"column {time!r} must hold numbers or ISO 8601 dates, e.g. 2024-01-31 12:00") from None
    return frame


def _plain_integers(texts: pd.Series) -> pd.Series:
    """Ids read as text, as integers if each is written as Python would write it."""
    distinct = pd.Series(texts.dropna().unique())
    if not distinct.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all() or texts.isna().any():
        return texts
    return texts.astype("int64")


def column(frame: Any, name: str, role: str) -> Any:
    """Return one column of a narwhals frame, without missing values."""
    if not isinstance(name, str):
        raise ParameterError(f"{role} must be the name of a column, got {name!r}")
    if name not in frame.columns:
        raise DataError(f"{role} must name one of the columns {', '.join(map(str, frame.columns))}, got {name!r}")
    series = frame[name]
    missing = series.null_count()
    if missing:
        first = int(np.flatnonzero(series.is_null().to_numpy())[0])
        raise DataError(f"column {name!r} ({role}) must not be missing, got {missing} missing (first at row {first})")
    return series


def codes(series: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted distinct ids of a column and the index of each row's id in them, int32 (n,)."""
    try:
        return _codes(series, name)
    except (TypeError, ValueError, UnicodeEncodeError, nw.exceptions.NarwhalsError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} must be integers or strings, got {series.dtype}: {_brief(error)}") from None


def _codes(series: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    native = series.to_native()
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        native = native.astype(native.cat.categories.dtype)
    column: Any = native if isinstance(native, pd.Series) else series.to_numpy()
    if series.dtype.is_integer():
        column = as_ids(series.to_numpy(), name)
        low, high = int(column.min()), int(column.max())
        if high - low < 4 * len(column):
            return _close_codes(column, low, high)
    if pd.api.types.is_object_dtype(column):
        column = as_ids(np.asarray(column), name)  # before equal objects of different kinds (1, 1.0) are merged
    code_of_row, distinct = pd.factorize(column)
    ids = as_ids(np.asarray(distinct), name)
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return ids[order], rank[code_of_row]


def _close_codes(values: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """`codes` of integers that lie close together: a table instead of a hash."""
    offsets = values - low
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[offsets] = True
    rank = np.cumsum(occurs, dtype=np.int32) - 1
    return np.flatnonzero(occurs) + low, rank[offsets]


def numbers(series: Any, name: str) -> np.ndarray:
    """Return a column of numbers as an array."""
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise DataError(f"column {name!r} must hold numbers, got {series.dtype} values like {series[0]!r}")
    values = series.to_numpy()
    return values.astype(np.float64) if values.dtype == object else values


def times(series: Any, name: str) -> np.ndarray:
    """Return a column of times as an array: integers, floats or datetime64."""
    if series.dtype.is_temporal() and getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    values = series.to_numpy()
    if values.dtype.kind not in "iufM":
        raise DataError(
            f"column {name!r} must hold times (numbers or datetimes), got {series.dtype} values like {series[0]!r}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"column {name!r} must hold finite times, got NaN or infinity")
    return values


def make(columns: dict[str, np.ndarray], backend: str) -> Frame:
    """Return a frame with these columns: of pandas, polars or Arrow."""
    check_option(backend, "backend", BACKENDS)
    no_strings = [name for name, values in columns.items() if values.dtype == object and not len(values)]
    if backend == "pandas":
        return pd.DataFrame(columns | {name: pd.Series([""]).iloc[:0] for name in no_strings})
    library = import_extra(backend, None, f"backend={backend!r}")
    if backend == "polars":
        lists = {name: values.tolist() if values.dtype == object else values for name, values in columns.items()}
        return library.DataFrame(lists | {name: library.Series([], dtype=library.String) for name in no_strings})
    return library.table(columns | {name: library.array([], library.string()) for name in no_strings})


def as_column(values: Any, name: str) -> Any:
    """Return a sequence as a column whose values pandas does not convert."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(f"{name} must be a sequence, got {values!r}")
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(f"{name} must be one-dimensional, got {values.ndim} dimensions")
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)  # by position, whatever its labels
    return values if isinstance(values, np.ndarray | pd.Index) else _objects(list(values))


def _objects(values: list) -> np.ndarray | list:
    """Values of several types in an object array, so that none is converted."""
    if len({type(value) for value in values}) <= 1:
        return values
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
