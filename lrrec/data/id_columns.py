"""Columns of ids: the distinct ids, and the index of each row's id in them; read the same from every source."""

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from lrrec.data.frames import brief
from lrrec.data.ids import as_ids
from lrrec.errors import DataError
from lrrec.validate import first_three, warn

# What programs write where nothing is.
MISSING = ("NA", "N/A", "<NA>", "nan", "NaN", "NAN", "None", "none", "null", "NULL")
PLAIN = r"0|-?[1-9][0-9]{0,18}"  # integers as Python writes them, of at most 64 bits but for a few


def codes(series: Any, name: str, *, as_written: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted distinct ids of a column and the index of each row's id in them, int32 (n,).

    Ids are integers or strings; where a column has both, all are strings. as_written: of a source without types, whose
    ids are integers where all are written as such, and where spaces around them are left out, with a warning.
    """
    distinct, code_of_row = factorized(series, name)
    ids = final_ids(distinct, name, as_written=as_written)
    if ids.dtype != object and (ids[1:] > ids[:-1]).all():
        return ids, code_of_row.astype(np.int32, copy=False)
    ids, rank = np.unique(ids, return_inverse=True)
    return ids, rank.astype(np.int32)[code_of_row]


def factorized(series: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct ids of a column, all integers or all strings, and the place of each row's id in them."""
    try:
        return _factorized(series, name)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError, nw.exceptions.NarwhalsError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} must be integers or strings, got {series.dtype}: {brief(error)}") from None


def final_ids(distinct: np.ndarray, name: str, *, as_written: bool = False) -> np.ndarray:
    """Return distinct ids of a whole column in their final form; for as_written see `codes`."""
    if distinct.dtype != object:
        return distinct
    return _as_written(distinct, name) if as_written else _as_given(distinct, name)


def _factorized(series: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    native = series.to_native()
    of_arrow = not isinstance(native, pd.Series) and hasattr(native, "dictionary_encode")
    if of_arrow and series.dtype in (nw.String, nw.Categorical) and len(series):
        parts = native.dictionary_encode().unify_dictionaries().chunks  # no text becomes an object of Python twice
        code_of_row = np.concatenate([part.indices.to_numpy() for part in parts])
        used = np.bincount(code_of_row, minlength=len(parts[0].dictionary)) > 0
        distinct = parts[0].dictionary.to_numpy(zero_copy_only=False)[used]
        return _one_kind(distinct, name), (np.cumsum(used, dtype=np.int32) - 1)[code_of_row]
    column: Any = native if isinstance(native, pd.Series) else series.to_numpy()
    if isinstance(column.dtype, pd.CategoricalDtype):
        code_of_row, distinct = column.cat.codes.to_numpy(), column.cat.categories
        used = np.bincount(code_of_row, minlength=len(distinct)) > 0
        code_of_row, distinct = (np.cumsum(used, dtype=np.int32) - 1)[code_of_row], distinct[used]
    else:
        if series.dtype.is_integer():
            column = as_ids(np.asarray(series.to_numpy()), name)
            low, high = int(column.min()), int(column.max())
            if high - low < 4 * len(column):
                return _close_codes(column, low, high)
        elif pd.api.types.is_object_dtype(column):
            column = _one_kind(np.asarray(column), name)  # before equal objects of other kinds (1, 1.0) are merged
        code_of_row, distinct = pd.factorize(column)
    return _one_kind(np.asarray(distinct), name), code_of_row


def _one_kind(values: np.ndarray, name: str) -> np.ndarray:
    """Ids all integers or all strings: strings where any is one."""
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=False) == "mixed-integer":
        whole = (int, np.integer)
        if all(isinstance(value, str) or (isinstance(value, whole) and value is not True) for value in values):
            values = np.array([str(value) for value in values], dtype=object)
    return as_ids(values, name)


def _as_written(texts: np.ndarray, name: str) -> np.ndarray:
    """Distinct ids of a source without types: without spaces around them, as integers if all are written as such."""
    stripped, spaced = _stripped(texts)
    if len(spaced):
        warn(f"{name}: {len(spaced)} ids have spaces around them, which are left out: {first_three(spaced)}")
    if (stripped == "").any():
        raise DataError(f"{name} must not be missing, got empty text")
    missing = np.isin(stripped, MISSING)
    if missing.any() and (~missing).any() and pd.Series(stripped[~missing]).str.fullmatch(PLAIN).all():
        raise DataError(f"{name} must not be missing, got {first_three(stripped[missing])} among integers")
    if pd.Series(stripped).str.fullmatch(PLAIN).all():
        try:
            return stripped.astype(np.int64)
        except OverflowError:
            return stripped
    return stripped


def _as_given(texts: np.ndarray, name: str) -> np.ndarray:
    """Distinct ids of a source with types; a warning if some differ by spaces alone."""
    stripped, spaced = _stripped(texts)
    twice = spaced[np.isin(stripped[stripped != texts], texts)] if len(spaced) else spaced
    if len(twice):
        warn(
            f"{name}: {len(twice)} ids differ from others by spaces around them alone: {first_three(twice)}. Strip them"
        )
    return texts


def _stripped(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texts without spaces around them, and those that had any."""
    stripped = np.array([text.strip() for text in texts], dtype=object)
    return stripped, texts[stripped != texts]


def _close_codes(values: np.ndarray, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """`factorized` for integers that lie close together: a table instead of a hash."""
    offsets = values - low
    occurs = np.zeros(high - low + 1, dtype=bool)
    occurs[offsets] = True
    rank = np.cumsum(occurs, dtype=np.int32) - 1
    return np.flatnonzero(occurs) + low, rank[offsets]
