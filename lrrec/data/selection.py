"""Some of the interactions: by a mask, by a mask of events, by their values."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import labels
from lrrec.data.assembly import assemble
from lrrec.data.recency import refuse_decayed
from lrrec.errors import DataError
from lrrec.validate import as_array, check_real

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions


def filtered(data: "Interactions", mask: Any) -> "Interactions":
    """See `Interactions.filter`."""
    matrix = data.matrix
    mask = as_array(labels.align(mask, range(matrix.nnz), "mask", "interaction"), "mask")
    if mask.dtype != bool or mask.shape != (matrix.nnz,):
        raise DataError(f"mask must be bool of shape ({matrix.nnz},), got {mask.dtype} of shape {mask.shape}")
    before = np.concatenate(([0], np.cumsum(mask)))
    indptr = before[matrix.indptr].astype(matrix.indptr.dtype)
    kept = sp.csr_array((matrix.data[mask], matrix.indices[mask], indptr), shape=matrix.shape)
    events = data.events if data.events is None or mask.all() else data.events.of_pairs(kept)
    return replace(data, matrix=kept, times=None if data.times is None else data.times[mask], events=events)


def filtered_events(data: "Interactions", mask: Any) -> "Interactions":
    """See `Interactions.filter_events`."""
    if data.events is None:
        return data.filter(mask)
    rows = data.events.unmerged.filter(mask)
    read = np.arange(len(rows)), rows.matrix.indices, rows.matrix.indptr
    cells = sp.csc_array(read, shape=rows.matrix.shape[::-1])
    merged: Interactions = assemble(
        type(data), data.users, data.items, cells, rows.matrix.data, rows.times, data.events.duplicates, "values"
    )
    return merged if data.events.min_value is None else merged.binarize(data.events.min_value)


def binarized(data: "Interactions", min_value: float | None) -> "Interactions":
    """See `Interactions.binarize`."""
    if min_value is not None:
        refuse_decayed(data, "binarize(min_value=...)", "binarize first, then weight by age")
    low = float(np.finfo(np.float32).tiny) if min_value is None else check_real(min_value, "min_value")
    kept = replace(data.filter(data.matrix.data >= low), half_life=None)
    kept.matrix.data[:] = 1
    if data.events is None or data.events.min_value is not None:
        return kept
    return replace(kept, events=replace(data.events, min_value=low))  # also of pairs that counted for a while
