"""Candidates: the items that may be recommended."""

from typing import Any

import numpy as np

from lrrec.data.ids import IdMap
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.ranking import Candidates


def from_ids(items: Any, ids: IdMap, n_users: int) -> Candidates:
    """Return candidates by index: from ids for all users, from a row of ids for each user, or all items if None."""
    if items is None:
        return Candidates()
    nested = isinstance(items, list | tuple) and len(items) > 0 and isinstance(items[0], list | tuple | np.ndarray)
    lists = np.asarray(items, dtype=object) if nested else items
    if not (isinstance(lists, np.ndarray) and lists.ndim == 2):
        shared = np.unique(ids.indices(lists))
        if not len(shared):
            raise ParameterError("items must name at least one candidate, got none")
        return Candidates(shared=shared)
    if not lists.shape[1]:
        raise ParameterError("items must name at least one candidate for each user, got none")
    if len(lists) != n_users:
        raise DataError(f"items must have one list for each of the {n_users} users, got {len(lists)}")
    own = ids.indices(lists.reshape(-1)).reshape(lists.shape)
    order = np.argsort(own, axis=1, kind="stable")
    ranked = np.take_along_axis(own, order, axis=1)
    repeated = np.zeros_like(own, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    return Candidates(own=np.where(repeated, -1, own))
