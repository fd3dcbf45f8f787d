"""Columns of pandas, polars and Arrow frames in, frames out."""

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from lrrec.errors import DataError, ParameterError
from lrrec.typing import Frame
from lrrec.validate import check_option, import_extra

BACKENDS = ("pandas", "polars", "pyarrow")


def eager(frame: Any) -> Any:
    """Return frame as a narwhals frame; a lazy one is collected."""
    try:
        wrapped = nw.from_native(frame)
        return wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped
    except TypeError:
        raise DataError(f"df must be a pandas, polars or Arrow frame, got {type(frame).__name__}") from None
    except Exception as error:  # whatever the frame's own library raises
        raise DataError(f"df must be a usable frame with distinct column names: {brief(error)}") from None


def is_frame(value: Any) -> bool:
    """Whether value is a frame of any library."""
    return isinstance(nw.from_native(value, pass_through=True), nw.DataFrame | nw.LazyFrame)


def brief(error: BaseException) -> str:
    """The first line of another library's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_roles(**names: Any) -> dict[str, Any]:
    """Return the columns that are named, by role; user and item have to be. Refuse two roles of one column."""
    roles = {role: name for role, name in names.items() if name is not None or role in ("user", "item")}
    for role, name in roles.items():
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise ParameterError(f"{role} must be the name of a column, got {name!r}")
    for name in roles.values():
        twice = [other for other, same in roles.items() if same == name]
        if len(twice) > 1:
            raise ParameterError(f"{' and '.join(twice)} must be different columns, got {name!r} for both")
    return roles


def column(frame: Any, name: str, role: str, *, n_before: int = 0) -> Any:
    """Return one column of a narwhals frame, without missing values; n_before: rows of the table before the frame's."""
    if not isinstance(name, str):
        raise ParameterError(f"{role} must be the name of a column, got {name!r}")
    if name not in frame.columns:
        raise DataError(f"{role} must name one of the columns {', '.join(map(str, frame.columns))}, got {name!r}")
    series = frame[name]
    missing = series.null_count()
    if missing:
        first = n_before + int(np.flatnonzero(series.is_null().to_numpy())[0])
        raise DataError(
            f"column {name!r} ({role}) must not be missing, got {missing} missing (first at row {first}): pass "
            "missing='drop' to leave such rows out"
        )
    return _in_native_numbers(series, name)


def without_missing(frame: Any, roles: Mapping[str, str]) -> Any:
    """Return the rows of a narwhals frame in which nothing is missing in these columns, at least one."""
    names = [name for name in roles.values() if name in frame.columns]  # others are refused when they are read
    kept = frame.drop_nulls(names) if names else frame
    if not len(kept):
        raise DataError("df must have a row in which nothing is missing, got none")
    return kept


def _in_native_numbers(series: Any, name: str) -> Any:
    """A column in this machine's byte order, integers in 64 bits."""
    native = series.to_native()
    if isinstance(native, pd.Series) and isinstance(native.dtype, np.dtype) and not native.dtype.isnative:
        return nw.from_native(native.astype(native.dtype.newbyteorder("=")), series_only=True)
    if str(series.dtype) in ("Int128", "UInt128"):  # which numpy lacks
        try:
            return series.cast(nw.Int64)
        except Exception as error:  # whatever the frame's own library raises
            raise DataError(f"column {name!r} must fit 64 bits where it has integers: {brief(error)}") from None
    return series


def numbers(series: Any, name: str) -> np.ndarray:
    """Return a column of real numbers as an array."""
    values = _array(series)
    if values.dtype == object:
        try:
            exact = all(isinstance(value, Real | Decimal) for value in values)
            values = values.astype(np.float64) if exact else values
        except OverflowError:
            raise DataError(f"column {name!r} must hold numbers that fit 64 bits, got larger ones") from None
    if values.dtype.kind not in "biuf":
        wrong = next((value for value in values if not isinstance(value, Real | Decimal)), values[0])
        hint = ": pass decimal=','" if re.fullmatch(r"-?\d+,\d+", str(wrong)) else ""
        raise DataError(f"column {name!r} must hold numbers, got {series.dtype} values like {wrong!r}{hint}")
    return _narrow(values)


def times(series: Any, name: str, time_format: str | None = None) -> np.ndarray:
    """Return a column of times as an array: integers, floats or datetime64.

    Text is read by a format, as strptime does; by ISO 8601 without one.
    """
    if series.dtype.is_temporal() and getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    values = _array(series)
    if time_format is not None:
        if values.dtype.kind not in "iuO":
            raise DataError(f"column {name!r} must hold text for time_format, got {series.dtype}: leave it out")
        values = values.astype(str).astype(object)
    if values.dtype == object:
        values = _dates(values, name, time_format)
    if values.dtype.kind == "u":
        if values.max() > np.iinfo(np.int64).max:
            raise DataError(f"column {name!r} must hold times that fit 63 bits, got {values.max()}")
        values = values.astype(np.int64)  # differences of unsigned times would wrap
    if values.dtype.kind not in "ifM":
        raise DataError(
            f"column {name!r} must hold times (numbers or datetimes), got {series.dtype} values like {values[0]!r}"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"column {name!r} must hold finite times, got NaN or infinity")
    return _narrow(values)


def _dates(values: np.ndarray, name: str, time_format: str | None) -> np.ndarray:
    """Objects as times: all numbers, or all dates or text of dates."""
    if all(isinstance(value, Real | Decimal) for value in values):
        return values.astype(np.float64)
    if not all(isinstance(value, str | datetime.date | np.datetime64) for value in values):
        return values
    texts = pd.Series(values)
    texts = texts.str.strip() if isinstance(values[0], str) else texts
    try:
        dates = pd.to_datetime(texts, format=time_format or "ISO8601", utc=True)
    except (ValueError, TypeError, OverflowError) as error:
        what = f"the format {time_format!r}" if time_format else "ISO 8601, e.g. 2024-01-31 12:00"
        raise DataError(
            f"column {name!r} must hold times: numbers, datetimes, or text in {what}, got {texts.iloc[0]!r} or others. "
            f"Pass time_format={_likely_format(texts)!r} or another "
            f"({brief(error).partition('. You might')[0]})"
        ) from None
    return dates.dt.tz_localize(None).to_numpy()


def _likely_format(texts: pd.Series) -> str:
    """A format, as for strptime, that texts of dates may have: one that reads all, if there is one among the usual."""
    date = re.match(r"(\d{1,4})([./-])\d{1,2}\2(\d{1,4})", str(texts.iloc[0]))
    if not date:
        return "%d/%m/%Y"
    (first, separator, last), rest = date.groups(), str(texts.iloc[0])[date.end() :].replace("%", "%%")
    clock = re.sub(r"^(.*?)\d{1,2}:\d{2}(:\d{2})?", lambda m: f"{m[1]}%H:%M{':%S' if m[2] else ''}", rest)
    year = "%Y" if len(last) == 4 else "%y"
    orders = [("%Y", "%m", "%d")] if len(first) == 4 else [("%d", "%m", year), ("%m", "%d", year)]
    formats = [separator.join(order) + clock for order in orders]
    read = (form for form in formats if pd.to_datetime(texts, format=form, errors="coerce").notna().all())
    return next(read, formats[0])


def _array(series: Any) -> np.ndarray:
    """A column without missing values as an array; categories as what they name."""
    native = series.to_native()
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        native = native.astype(native.cat.categories.dtype)
    values = np.asarray(native if isinstance(native, pd.Series) else series.to_numpy())
    return values.astype(object) if values.dtype.kind in "UT" else values


def _narrow(values: np.ndarray) -> np.ndarray:
    """Values with floats of at most 64 bits."""
    return values.astype(np.float64) if values.dtype.kind == "f" and values.dtype.itemsize > 8 else values


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


def matrix_of_lists(column: Any) -> np.ndarray:
    """Return an Arrow column of lists of numbers, which are equally long, as a matrix (n, D)."""
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets)
    if not len(lengths) or lists.null_count or (lengths != lengths[0]).any():
        raise DataError("the lists of a column must be present and equally long")
    values: np.ndarray = lists.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(lengths), lengths[0])


def as_column(values: Any, name: str) -> Any:
    """Return a sequence as a column whose values pandas does not convert."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(f"{name} must be a sequence, got {values!r}")
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(f"{name} must be one-dimensional, got {values.ndim} dimensions")
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)  # by position, whatever its labels
    if isinstance(values, np.ndarray | pd.Index):
        return values
    try:
        return _objects(list(values))
    except TypeError:
        raise DataError(f"{name} must be a sequence, got {type(values).__name__}") from None


def _objects(values: list[Any]) -> np.ndarray | list[Any]:
    """Values of several types in an object array, so that none is converted."""
    if len({type(value) for value in values}) <= 1:
        return values
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
