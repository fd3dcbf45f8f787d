"""Candidates: the items that may be recommended, from lists of ids to allow and to exclude."""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError, ParameterError, UnknownIdError
from lrrec.linalg.ranking import Candidates
from lrrec.validate import check_option, first_three

UNKNOWN_ITEMS = ("raise", "ignore")


def from_ids(
    items: Any, ids: IdMap, users: np.ndarray, *, exclude: Any = None, unknown_items: str = "raise"
) -> Candidates:
    """Return candidates by index.

    Parameters
    ----------
    items, exclude : ids, lists of ids, or None
        What may be recommended, and what of it may not: ids for all users; a list of ids for each user, as a nested
        sequence or an array (n, m), of which masked places are ignored; or a mapping from user ids to lists. Users
        that `exclude` lacks have nothing excluded.
    ids : IdMap
        Of all items.
    users : ndarray of ids, shape (n,)
    unknown_items : {"raise", "ignore"}, default "raise"
        For ids that the map does not hold.
    """
    ignore = check_option(unknown_items, "unknown_items", UNKNOWN_ITEMS) == "ignore"
    allowed = None if items is None else _columns(items, "items", ids, users, ignore)
    excluded = None if exclude is None else _columns(exclude, "exclude", ids, users, ignore)
    by_row = excluded if isinstance(excluded, sp.csr_array) else None
    if isinstance(allowed, np.ndarray):
        shared = np.unique(allowed) if excluded is None or by_row is not None else np.setdiff1d(allowed, excluded)
        return Candidates(shared=shared, excluded_by_row=by_row)
    return Candidates(own=allowed, excluded=None if by_row is not None else excluded, excluded_by_row=by_row)


def _columns(values: Any, name: str, ids: IdMap, users: np.ndarray, ignore: bool) -> np.ndarray | sp.csr_array:
    """The indices of ids for all users (m,), or of each user's in a row of a matrix, in order and without repeats."""
    if isinstance(values, pd.Series) and len(values) and values.map(_is_list).all():
        values = values.to_dict()
    flat, lengths = _joined(_by_user(values, name, users)) if isinstance(values, Mapping) else _flat(values)
    flat = as_ids(flat, name)
    if name == "items" and not len(flat) and len(users):
        per_user = "" if lengths is None else " for each user"
        raise ParameterError(f"items must name at least one candidate{per_user}, got none")
    if lengths is not None and len(lengths) != len(users):
        raise DataError(f"{name} must have one list for each of the {len(users)} users, got {len(lengths)}")
    places = ids.find(flat)
    unknown = places < 0
    if unknown.any() and not ignore:
        strange = [value for value, missing in zip(flat, unknown.tolist(), strict=True) if missing]
        hint = "pass unknown_items='ignore' to leave them out"
        raise UnknownIdError(f"unknown ids in {name}: {first_three(strange)} (the model has {len(ids)})", hint=hint)
    if lengths is None:
        return places[~unknown]
    rows = np.repeat(np.arange(len(users)), lengths)[~unknown]
    columns = places[~unknown]
    first = np.sort(np.unique(rows * len(ids) + columns, return_index=True)[1])
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows[first], minlength=len(users)))))
    shape = len(users), len(ids)
    return sp.csr_array((np.ones(len(first), dtype=np.float32), columns[first], indptr), shape=shape)


def _by_user(lists: Mapping[Any, Any], name: str, users: np.ndarray) -> list[Any]:
    """The list of each user, empty for those that have none."""
    if not all(map(_is_list, lists.values())):
        raise DataError(f"{name} must map user ids to lists of item ids, got single values")
    if len(lists) and len(users) and as_ids(list(lists), f"the users of {name}").dtype != users.dtype:
        raise DataError(f"{name} must map user ids to lists of item ids, got keys like {first_three(lists)}")
    lacking = [user for user in users.tolist() if user not in lists] if name == "items" else []
    if lacking:
        raise DataError(f"items must have a list for every user, lacks {first_three(lacking)}")
    return [lists.get(user, ()) for user in users.tolist()]


def _flat(values: Any) -> tuple[Any, np.ndarray | None]:
    """The ids of all lists one after the other, and the length of each list; None if there is one list for all."""
    if isinstance(values, np.ma.MaskedArray) and values.ndim == 2:
        present = ~np.ma.getmaskarray(values)
        return values.data[present], present.sum(axis=1)
    if isinstance(values, np.ndarray) and values.ndim == 2:
        return values.reshape(-1), np.full(len(values), values.shape[1])
    nested = isinstance(values, list | tuple) or (isinstance(values, np.ndarray) and values.dtype == object)
    return _joined(values) if nested and len(values) and all(map(_is_list, values)) else (values, None)


def _joined(lists: Any) -> tuple[Any, np.ndarray | None]:
    return list(chain.from_iterable(lists)), np.array([len(part) for part in lists], dtype=np.int64)


def _is_list(value: Any) -> bool:
    return isinstance(value, Collection | np.ndarray) and not isinstance(value, str | bytes)
