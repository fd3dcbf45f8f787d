"""Interactions over other ids: matched with other maps, and the k-core."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.errors import DataError
from lrrec.validate import check_int

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions


def align(data: "Interactions", users: IdMap, items: IdMap) -> "Interactions":
    """Match users and items by id with other maps; interactions on ids that these lack are left out."""
    if (users is data.users or users == data.users) and (items is data.items or items == data.items):
        return replace(data, users=users, items=items)
    rows = data.rows() if users is data.users else users.find(data.users.ids)[data.rows()]
    columns = items.find(data.items.ids)[data.matrix.indices]
    order = np.lexsort((columns, rows))
    order = order[(rows[order] >= 0) & (columns[order] >= 0)]
    indptr = np.append(0, np.cumsum(np.bincount(rows[order], minlength=len(users))))
    matrix = sp.csr_array((data.matrix.data[order], columns[order], indptr), shape=(len(users), len(items)))
    events = None if data.events is None else data.events.with_unmerged(lambda unmerged: align(unmerged, users, items))
    times = None if data.times is None else data.times[order]
    return replace(data, matrix=matrix, users=users, items=items, times=times, events=events)


def k_core(data: "Interactions", users: int, items: int) -> "Interactions":
    """See `Interactions.k_core`."""
    least_of_user, least_of_item = check_int(users, "users", low=1), check_int(items, "items", low=1)
    rows, columns, kept, n_before = data.rows(), data.matrix.indices, np.ones(len(data), dtype=bool), -1
    while n_before != (n_before := int(kept.sum())):
        of_users = np.bincount(rows[kept], minlength=data.n_users)
        of_items = np.bincount(columns[kept], minlength=data.n_items)
        kept &= (of_users >= least_of_user)[rows] & (of_items >= least_of_item)[columns]
    if not n_before:
        raise DataError(f"no interaction is left with users={users}, items={items}: choose smaller numbers")
    left = IdMap(data.users.ids[of_users > 0]), IdMap(data.items.ids[of_items > 0])
    return align(data.filter(kept), *left)
