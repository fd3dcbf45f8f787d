"""IdMap: the caller's ids to our indices and back."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lrrec.errors import DataError, UnknownIdError
from lrrec.typing import Ids
from lrrec.validate import check_int, first_three


class IdMap:
    """A frozen, ordered set of ids: index i belongs to ids[i].

    Ids are integers or strings, of one kind in each map; indices are 0 .. len - 1.

    Parameters
    ----------
    ids : array-like of int or str, shape (n,)
        Distinct ids, in index order.

    Raises
    ------
    DataError
        If an id occurs twice, is missing, or is neither an integer nor a string.

    Notes
    -----
    Looking up n ids costs O(n); the hash table is built at the first look-up.

    Examples
    --------
    >>> from lrrec import IdMap
    >>> users = IdMap(["ann", "bob"])
    >>> users.indices(["bob", "ann"]).tolist()
    [1, 0]
    >>> users.ids[[1]].tolist()
    ['bob']
    """

    __slots__ = ("_index", "ids")

    def __init__(self, ids: Ids) -> None:
        self.ids: np.ndarray = as_ids(ids, "ids").copy()
        self.ids.flags.writeable = False
        self._index = pd.Index(self.ids)
        if not self._index.is_unique:
            repeated = self._index[self._index.duplicated()].unique()
            raise DataError(f"ids must be distinct, got {first_three(repeated)} more than once")

    @classmethod
    def range(cls, n: int) -> "IdMap":
        """The map whose ids are the indices 0 .. n - 1."""
        return cls(np.arange(check_int(n, "n", low=0), dtype=np.int64))

    def indices(self, ids: Ids) -> np.ndarray:
        """Return the index of each id, int64 (n,).

        Raises
        ------
        UnknownIdError
            If an id is not in the map.
        """
        ids = as_ids(ids, "ids")
        indices = self.find(ids)
        if (indices < 0).any():
            raise UnknownIdError(f"unknown ids: {first_three(ids[indices < 0])} (the map holds {len(self)} ids)")
        return indices

    def find(self, ids: Ids) -> np.ndarray:
        """Return the index of each id, int64 (n,), and -1 where the map does not hold it.

        Raises
        ------
        UnknownIdError
            If the ids are strings and those of the map integers, or the other way round.
        """
        ids = as_ids(ids, "ids")
        if ids.dtype != self.ids.dtype and len(ids) and len(self):
            kinds = ("strings", "integers") if ids.dtype == object else ("integers", "strings")
            raise UnknownIdError(f"ids must be {kinds[1]}, as those of the map are, got {kinds[0]}: {first_three(ids)}")
        return self._index.get_indexer(ids).astype(np.int64, copy=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.ids.tolist())

    def __contains__(self, value: Any) -> bool:
        try:
            return bool(self.find([value])[0] >= 0)
        except (DataError, UnknownIdError):
            return False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IdMap):
            return NotImplemented
        return self is other or (self.ids.dtype == other.ids.dtype and np.array_equal(self.ids, other.ids))

    def __hash__(self) -> int:
        return hash((len(self), *self.ids[:3].tolist()))

    def __repr__(self) -> str:
        return f"IdMap({len(self)} ids: {first_three(self.ids)})" if len(self) else "IdMap(no ids)"

    def __reduce__(self) -> tuple[Any, ...]:
        return (IdMap, (np.array(self.ids),))


def union(maps: list[IdMap], axis: str) -> IdMap:
    """Return the ids of several maps: the first map where they are equal, else sorted."""
    if all(ids == maps[0] for ids in maps):
        return maps[0]
    if len({ids.ids.dtype for ids in maps if len(ids)}) > 1:
        raise DataError(f"{axis} of the parts must be all integers or all strings, got both: convert one of them")
    return IdMap(np.unique(np.concatenate([ids.ids for ids in maps if len(ids)])))


def as_ids(values: Ids, name: str) -> np.ndarray:
    """Return ids as an int64 array or an object array of str, (n,); refuse everything else."""
    array = values if isinstance(values, np.ndarray) else _array(values, name)
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise DataError(f"{name} must not be missing, got {int(np.ma.getmaskarray(array).sum())} masked")
        array = array.data
    if array.ndim != 1:
        raise DataError(f"{name} must be a one-dimensional sequence of ids, got {array.ndim} dimension(s)")
    kind = array.dtype.kind
    if kind == "i" or (kind == "u" and (array.size == 0 or array.max() <= np.iinfo(np.int64).max)):
        return array.astype(np.int64, copy=False)
    if kind == "U":
        return array.astype(object)
    if kind == "T":
        return _objects(array.astype(object), name)
    if kind == "O" and array.size:
        return _objects(array, name)
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    shown = "missing values (NaN)" if kind == "f" and np.isnan(array).any() else f"values of type {array.dtype}"
    raise DataError(f"{name} must be integers or strings, got {shown}; convert them, e.g. .astype(str)")


def _objects(array: np.ndarray, name: str) -> np.ndarray:
    """Ids in an object array: all strings, or all integers."""
    kind = pd.api.types.infer_dtype(array, skipna=False)
    if kind == "string":
        try:
            "".join(array).encode()
        except UnicodeEncodeError:
            raise DataError(f"{name} must be text that UTF-8 can hold, got a lone surrogate") from None
        return array.astype(object)
    if kind == "integer":
        try:
            return array.astype(np.int64)
        except OverflowError:
            raise DataError(f"{name} must fit 64 bits where they are integers, got {max(array, key=abs)}") from None
    missing = np.flatnonzero(pd.isna(array))
    if len(missing):
        raise DataError(f"{name} must not be missing, got {len(missing)} missing (first at row {missing[0]})")
    shown = f"{kind.replace('-', ' ')} values like {first_three(array)}"
    raise DataError(f"{name} must be integers or strings, all of one kind, got {shown}")


def _array(values: Any, name: str) -> np.ndarray:
    """A sequence of ids as an array, without numpy turning mixed ids into strings."""
    if isinstance(values, Mapping):
        raise DataError(
            f"{name} must be a sequence of ids, got a {type(values).__name__}; write list(...) for its keys"
        )
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise DataError(f"{name} must be a sequence of ids, got the single value {values!r}; write [{values!r}]")
    if isinstance(values, IdMap):
        return values.ids
    if hasattr(values, "to_pylist"):  # Arrow
        values = values.to_pylist()
    elif hasattr(values, "to_numpy"):
        return values.to_numpy()
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
