"""Labels: data that say which id each row and column belongs to are aligned by id, never taken by position.

A pandas frame or Series has an index, a dict has keys, an xarray has coordinates: these are ids. Arrays, lists, sparse
matrices and columns of polars or Arrow have none, and are taken by position. A polars or Arrow frame has names of its
columns alone, so that nothing says whose its rows are: it is refused where rows have to be somebody's.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.features import Features
from lrrec.data.frames import is_frame
from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError
from lrrec.typing import Ids
from lrrec.validate import first_three

ID_COLUMN = re.compile(r"[Uu]ser|[Ii]tem|[ui]id|(user|customer|item|movie|product|book|artist)id|[\w ]+(Id|ID|_id| id)")
LONG_COLUMNS = 4  # user, item, value, time
READ_TABLE = "a table with a row for each interaction is read by Interactions.from_frame"


def align(values: Any, ids: Ids, name: str, unit: str = "user") -> Any:
    """Return one value for each id, in the order of ids: by their labels, or the values as they are if they have none.

    Parameters
    ----------
    values : pandas Series, dict of id to value, xarray, or anything without labels
    ids : sequence of ids, shape (n,)
        What the rows of the result are. Values of other ids are left out.
    name, unit : str
        For errors: what the values are, and what each of them is of.

    Returns
    -------
    pandas Series, or values
        Values without labels are returned as they are; checking their length is up to the caller.

    Raises
    ------
    DataError
        If an id has no value, or values are not labelled by distinct ids.
    """
    labelled = _labelled(values, name)
    if labelled is None:
        return values
    if isinstance(labelled, pd.DataFrame):
        raise DataError(f"{name} must be one value for each {unit}, got a frame: pass one of its columns")
    return _select(labelled, ids, name, unit)


def _select(labelled: Any, ids: Ids, name: str, unit: str) -> Any:
    """The rows of a pandas object with these labels."""
    labels, wanted = _label_map(labelled.index, f"the index of {name}"), as_ids(ids, "ids")
    same_kind = labels.ids.dtype == wanted.dtype
    places = labels.find(wanted) if same_kind else np.full(len(wanted), -1)
    if (places < 0).any():
        raise DataError(
            f"{name} must have a row for each {unit}, got none for {first_three(wanted[places < 0])}: its index has "
            f"{first_three(labels.ids) or 'nothing'}. Label it by {unit} id, or pass an array in the order of the "
            f"{unit}s"
        )
    return labelled.iloc[places]


def align_matrix(
    values: Any, ids: Ids, name: str, unit: str = "item", columns: IdMap | None = None
) -> tuple[Any, IdMap | None]:
    """Return a matrix with a row for each id, and the labels of its columns; `align` for numbers.

    columns: those to have, in their order, where the matrix has labels of columns. A matrix without labels is returned
    as it is, with None.
    """
    if isinstance(values, Features):
        _check_names(values.names, columns, name)
        selected = values.select(ids, name=name, unit=unit)
        return selected.matrix[:, values.names.find((columns or values.names).ids)], columns or values.names
    labelled = _labelled(values, name)
    if labelled is None:
        return values, None
    aligned = _select(labelled, ids, name, unit)
    if isinstance(aligned, pd.Series):  # a vector for each id
        try:
            return np.array(aligned.tolist(), dtype=np.float64), None
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} must have as many numbers for each {unit}: {error}") from None
    labels = _label_map(aligned.columns, f"the columns of {name}")
    _check_names(labels, columns, name)
    if columns is not None:
        aligned, labels = aligned.iloc[:, labels.find(columns)], columns
    return _numbers(aligned, name), labels


def _check_names(names: IdMap, wanted: IdMap | None, what: str) -> None:
    """Refuse names of columns that are not those that are wanted, in any order."""
    if wanted is None or (len(names) == len(wanted) and set(names) == set(wanted)):
        return
    raise DataError(
        f"{what} must have the columns {first_three(wanted)}, got {first_three(names)}: select them by name, or pass "
        "an array"
    )


def read_pivot(X: Any, name: str) -> tuple[sp.coo_array, IdMap, IdMap] | None:
    """Return a users-by-items frame as a matrix and the ids of its rows and columns; None for what has no labels.

    NaN is no interaction. Zeros are entries of the matrix only where there are NaN.

    Raises
    ------
    DataError
        If it is not a users-by-items frame; the message says what to pass.
    """
    frame = _labelled(X, name)
    if frame is None:
        return None
    if not isinstance(frame, pd.DataFrame):
        raise DataError(
            f"{name} must be users by items, got a {type(X).__name__}: write its interactions as "
            "Interactions.from_pairs(users, items)"
        )
    _refuse_long_table(frame, name)
    try:
        users = _label_map(frame.index, f"the index of {name}")
        items = _label_map(frame.columns, f"the columns of {name}")
        values = _numbers(frame, name)
    except DataError as error:
        raise DataError(f"{error}; {READ_TABLE}") from None
    if isinstance(values, np.ndarray):
        missing = np.isnan(values)
        rows, columns = np.nonzero(~missing if missing.any() else values)
        return sp.coo_array((values[rows, columns], (rows, columns)), shape=values.shape), users, items
    kept = ~np.isnan(values.data)
    rows, columns = values.coords
    return sp.coo_array((values.data[kept], (rows[kept], columns[kept])), shape=values.shape), users, items


def index_of(values: Any, name: str) -> pd.Index | None:
    """Return the labels of the rows of values, None if they have none."""
    labelled = _labelled(values, name)
    return None if labelled is None else labelled.index


def same_order(**columns: Any) -> None:
    """Refuse columns whose labels pair their entries otherwise than their positions do."""
    first: tuple[str, pd.Index] | None = None
    for name, column in columns.items():
        if isinstance(column, Mapping | pd.DataFrame) or is_frame(column):
            raise DataError(f"{name} must be one-dimensional, got a {type(column).__name__}: pass a column or a list")
        if not isinstance(column, pd.Series):
            continue
        if first is not None and not column.index.equals(first[1]):
            raise DataError(
                f"{first[0]} and {name} must have the same index, got other labels or another order: take both from "
                "one frame, or pass .to_numpy() to pair them by position"
            )
        first = first or (name, column.index)


def _labelled(values: Any, name: str) -> pd.DataFrame | pd.Series | None:
    """Values as a pandas object if their rows are labelled, None if they are not."""
    if values is None or isinstance(values, np.ndarray | list | tuple) or sp.issparse(values):
        return None
    if hasattr(values, "dims") and hasattr(values, "coords") and hasattr(values, "to_pandas"):  # xarray
        try:
            values = values.to_pandas()
        except ValueError as error:
            raise DataError(f"{name} must have one or two dimensions: {error}") from None
    if isinstance(values, pd.DataFrame | pd.Series):
        return values
    if isinstance(values, Mapping):
        index = pd.Index(list(values), tupleize_cols=False)
        return pd.Series(list(values.values()), index=index, dtype=object).infer_objects()
    if is_frame(values):
        raise DataError(
            f"{name} must say whose its rows are, which a frame of {type(values).__module__.partition('.')[0]} cannot: "
            "make the ids the index of a pandas frame, .to_pandas().set_index(...), or pass an array in the order of "
            f"the ids; {READ_TABLE}"
        )
    return None


def _label_map(labels: pd.Index, what: str) -> IdMap:
    """The labels of an axis as ids."""
    if isinstance(labels, pd.MultiIndex):
        raise DataError(f"{what} must have one level of ids, got {labels.nlevels}: select one, or use droplevel")
    try:
        return IdMap(as_ids(labels, what))
    except DataError as error:
        raise DataError(str(error).replace("ids must be distinct", f"{what} must be distinct ids")) from None


def _numbers(frame: pd.DataFrame, name: str) -> Any:
    """The numbers of a frame: a coo matrix if all columns are sparse with fill value 0, else float64; NaN: missing."""
    kinds = {dtype: column for column, dtype in frame.dtypes.items()}
    for dtype, column in kinds.items():
        is_real = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
        if not is_real and not pd.api.types.is_object_dtype(dtype):
            raise DataError(f"{name} must hold numbers, got {dtype} in column {column!r}")
    if kinds and all(isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0 for dtype in kinds):
        return sp.coo_array(frame.sparse.to_coo())  # type: ignore[attr-defined]  # pandas-stubs lack it
    if any(isinstance(value, str) for value in frame.select_dtypes(object).to_numpy().reshape(-1)):
        raise DataError(f"{name} must hold numbers, got text")
    try:
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers: {error}") from None


def _refuse_long_table(frame: pd.DataFrame, name: str) -> None:
    """Refuse a table with a row for each interaction, whose columns are no items.

    Signs of one: a column named like ids; columns with names where rows have numbers; no names at all, and at most four
    columns of which the first two are full.
    """
    index, columns = frame.index, frame.columns
    names = [column for column in columns if isinstance(column, str)]
    by_name = any(ID_COLUMN.fullmatch(column) for column in names)
    numbered = index.name is None and pd.api.types.is_integer_dtype(index.dtype) and len(names) == len(columns) > 0
    nameless = isinstance(index, pd.RangeIndex) and isinstance(columns, pd.RangeIndex)
    nameless &= 2 <= len(columns) <= LONG_COLUMNS < len(frame)
    first = frame.iloc[:, :2]
    if not (by_name or numbered or (nameless and (first.notna() & first.astype(bool)).all(axis=None))):
        return
    call = ", ".join(f"{role}={column!r}" for role, column in zip(("user", "item"), columns, strict=False))
    named = f", or name its index: {name}.rename_axis(index='user')" if numbered and not by_name else ""
    raise DataError(
        f"{name} must have user ids as its index and item ids as columns, got what looks like a table with a row for "
        f"each interaction, with columns {first_three(columns)}: read it by Interactions.from_frame({name}, {call}), "
        f"with the names of its columns. If its columns are items, pass Interactions.from_matrix({name}.to_numpy(), "
        f"users=..., items={name}.columns){named}"
    )
