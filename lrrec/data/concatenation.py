"""Several interactions as the rows of one table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap, union
from lrrec.data.merging import grouped
from lrrec.data.recency import refuse_decayed
from lrrec.errors import DataError

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions


def joined(
    parts: Iterable["Interactions"], kind: type
) -> tuple[IdMap, IdMap, sp.csc_array, np.ndarray, np.ndarray | None]:
    """Return users and items, the rows as `grouped` orders them, their values, and times if all parts have them.

    kind: what each of the parts must be.
    """
    listed = isinstance(parts, Iterable) and getattr(parts, "ndim", 1) != 0
    parts = list(parts) if listed else []
    if not parts or not all(isinstance(part, kind) for part in parts):
        raise DataError(f"parts must be one or more Interactions, got {[type(part).__name__ for part in parts]}")
    for part in parts:
        refuse_decayed(part, "concat()", "join them first, then weight by age")
    users, items = (union([getattr(part, axis) for part in parts], axis) for axis in ("users", "items"))
    of_user = np.concatenate([users.indices(part.users.ids)[part.rows()] for part in parts])
    of_item = np.concatenate([items.indices(part.items.ids)[part.matrix.indices] for part in parts])
    known = [part.times for part in parts if part.times is not None]
    if len({part.dtype.kind == "M" for part in known}) > 1:
        raise DataError("times of the parts must be all datetimes or all numbers, got both")
    values = np.concatenate([part.matrix.data for part in parts])
    times = np.concatenate(known) if len(known) == len(parts) else None
    return users, items, grouped(of_user, of_item, len(users), len(items)), values, times
