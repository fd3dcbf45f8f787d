"""What the parts that an `Interactions` is made of have to be."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import labels
from lrrec.data.events import Events
from lrrec.data.ids import IdMap
from lrrec.data.recency import checked_half_life
from lrrec.errors import DataError
from lrrec.validate import to_float32


def checked(matrix: Any, users: Any, items: Any, times: Any, events: Any, half_life: Any) -> sp.csr_array:
    """Return the matrix, float32, if the parts fit each other; refuse what does not."""
    parts = [("matrix", matrix, sp.csr_array), ("users", users, IdMap), ("items", items, IdMap)]
    parts += [("times", times, np.ndarray)] * (times is not None)
    parts += [("events", events, Events)] * (events is not None)
    for name, part, kind in parts:
        if not isinstance(part, kind):
            raise DataError(f"{name} must be {kind.__name__}, got {type(part).__name__}; see Interactions.from_matrix")
    if matrix.shape != (len(users), len(items)):
        raise DataError(f"matrix must be users x items, ({len(users)}, {len(items)}), got {matrix.shape}")
    if times is not None and (times.shape != (matrix.nnz,) or times.dtype.kind not in "iufM"):
        got = f"{times.dtype} of shape {times.shape}"
        raise DataError(f"times must be numbers or dates, one an interaction ({matrix.nnz}), got {got}")
    if times is not None and (np.isnat if times.dtype.kind == "M" else np.isnan)(times).any():
        raise DataError("times must not be missing, got NaN; pass times=None where they are not known")
    if half_life is not None and times is None:
        raise DataError(f"half_life must be None for interactions without times, got {half_life!r}")
    if half_life is not None:
        checked_half_life(half_life, times)
    if matrix.dtype != np.float32:
        data = to_float32(matrix.data, "matrix")
        matrix = sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
    if not np.isfinite(matrix.data).all():
        raise DataError("matrix must hold finite numbers, got NaN or infinity; see Interactions.from_matrix")
    if not matrix.has_sorted_indices:
        raise DataError("matrix must have sorted indices; see Interactions.from_matrix")
    return matrix


def id_map(X: Any, ids: Any, own: IdMap, name: str) -> IdMap:
    """Return the ids of the rows or columns of X as a map: those that X has itself when None."""
    chosen = own if ids is None else ids if isinstance(ids, IdMap) else IdMap(ids)
    if len(chosen) != len(own):
        raise DataError(f"{name} must have one id for each of the {len(own)} {name} of X, got {len(chosen)}")
    if chosen != own and labels.index_of(X, "X") is not None:
        raise DataError(f"{name} must be the labels of X, got others: pass X.to_numpy() to give it other ids")
    return chosen
