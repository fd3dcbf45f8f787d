"""Growth: new interactions joined to old ones, whose users and items keep their indices."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError
from lrrec.validate import check_real, first_three


def check_labelled(new: Any, users: IdMap) -> None:
    """Refuse a matrix whose rows no id tells, unless the users are 0, 1, ... as those of such a matrix are."""
    if not isinstance(new, Interactions | pd.DataFrame) and users != IdMap.range(len(users)):
        raise DataError(
            f"new must name its users, {first_three(users)}, ... here: pass Interactions, or a frame by user id. "
            "The rows of an array would be taken for the users 0, 1, ..."
        )


def grown(old: Interactions, new: Interactions, *, decay: float, ratings: bool) -> Interactions:
    """Return the interactions of both: old users and items first, in their order, then those that are new.

    Only users and items of an interaction are added. Old values are multiplied by decay, then new ones are added to
    them, and pairs whose values cancel are left out; of ratings the new one replaces the old one. Times are not kept.
    """
    decay = check_real(decay, "decay", low=0, high=1, open_low=True)
    if ratings and decay < 1:
        raise ParameterError("decay must be 1 for a model of ratings, whose values are no weights")
    users = _extended(old.users, new.users.ids[np.unique(new.rows())])
    items = _extended(old.items, new.items.ids[np.unique(new.matrix.indices)])
    shape = len(users), len(items)
    rows, columns = users.find(new.users.ids)[new.rows()], items.find(new.items.ids)[new.matrix.indices]
    added = sp.csr_array((new.matrix.data, (rows, columns)), shape=shape)
    indptr = np.pad(old.matrix.indptr, (0, shape[0] - old.n_users), mode="edge")
    before = sp.csr_array((old.matrix.data, old.matrix.indices, indptr), shape=shape)
    added.sum_duplicates()  # sorts, which not every version of scipy has done
    if ratings:
        return Interactions(_replaced(before, added), users, items)
    total = before * np.float32(decay) if decay != 1 else before
    whole = sp.csr_array(total + added)
    whole.sort_indices()
    return Interactions(whole, users, items)


def _extended(ids: IdMap, others: np.ndarray) -> IdMap:
    """The ids, and after them the others that are not among them."""
    strange = others[ids.find(others) < 0]
    return IdMap(np.concatenate((ids.ids, strange))) if len(strange) else ids


def _replaced(before: sp.csr_array, added: sp.csr_array) -> sp.csr_array:
    """The cells of `added`, and those of `before` that it does not have. Cells of value 0 stay."""
    keys = [_keys(before), _keys(added)]
    kept = ~np.isin(keys[0], keys[1])
    order = np.argsort(np.concatenate((keys[0][kept], keys[1])), kind="stable")
    data, indices = (
        np.concatenate((getattr(before, name)[kept], getattr(added, name)))[order] for name in ("data", "indices")
    )
    rows = np.concatenate((np.repeat(np.arange(before.shape[0]), np.diff(before.indptr))[kept], added.tocoo().row))
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=before.shape[0]))))
    return sp.csr_array((data, indices, indptr), shape=before.shape)


def _keys(matrix: sp.csr_array) -> np.ndarray:
    """A number of each cell, rising."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    keys: np.ndarray = rows * matrix.shape[1] + matrix.indices
    return keys
