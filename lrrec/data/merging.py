"""Rows of a table by user and item, and several rows of one pair made one."""

import numpy as np
import scipy.sparse as sp


def grouped(of_user: np.ndarray, of_item: np.ndarray, n_users: int, n_items: int) -> sp.csc_array:
    """A matrix (n_items, n_users) whose data are the numbers of the rows read, by user and item.

    Two counting sorts, O(n): converting to csr groups by item, converting to csc then by user; both are stable.
    Duplicates stay, because the matrix is marked as canonical.
    """
    rows_read = np.arange(len(of_user), dtype=np.int32 if len(of_user) < 2**31 else np.int64)
    cells = sp.coo_array((rows_read, (of_item, of_user)), shape=(n_items, n_users))
    cells.has_canonical_format = True
    return cells.tocsr().tocsc()


def merge(
    order: np.ndarray, starts: np.ndarray, values: np.ndarray | None, times: np.ndarray | None, duplicates: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Merge each run of duplicates to one value and time. order (n,): rows read, by run; starts (m,) of the runs."""
    lengths = np.diff(starts, append=len(order))
    if duplicates == "sum":
        latest = None if times is None else np.maximum.reduceat(times[order], starts)
        if values is None:
            return lengths, latest
        return np.add.reduceat(values[order], starts, dtype=np.float64), latest
    kept = starts + lengths - 1  # the last one read
    if times is not None:
        several = np.flatnonzero(lengths > 1)
        run = np.repeat(several, lengths[several])
        within = np.arange(len(run)) - np.repeat(np.cumsum(lengths[several]) - lengths[several], lengths[several])
        positions = starts[run] + within
        by_time = np.lexsort((times[order[positions]], run))  # stable: of equal times the last one read comes last
        kept[run[by_time]] = positions[by_time]  # the last assignment to an index wins
    rows = order[kept]
    return np.ones(len(rows)) if values is None else values[rows], None if times is None else times[rows]
