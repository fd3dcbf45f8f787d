"""Duplicates: several rows of one user and item, found and merged to one value and time."""

import numpy as np
import scipy.sparse as sp

from lrrec.validate import first_three, warn

POLICIES = ("sum", "last", "first", "max", "mean", "error")
REDUCE = {"sum": np.add, "mean": np.add, "max": np.maximum}


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
    if duplicates in REDUCE:
        latest = None if times is None else np.maximum.reduceat(times[order], starts)
        if values is None:
            return lengths if duplicates == "sum" else np.ones(len(lengths)), latest
        merged = REDUCE[duplicates].reduceat(values[order], starts, dtype=np.float64)
        return merged / lengths if duplicates == "mean" else merged, latest
    first = duplicates == "first"
    kept = starts if first else starts + lengths - 1  # as they were read
    if times is not None:
        several = np.flatnonzero(lengths > 1)
        run = np.repeat(several, lengths[several])
        within = np.arange(len(run)) - np.repeat(np.cumsum(lengths[several]) - lengths[several], lengths[several])
        positions = starts[run] + within
        by_time = np.lexsort((times[order[positions]], run))  # stable: of equal times in the order of reading
        by_time = by_time[::-1] if first else by_time
        kept = kept.copy()
        kept[run[by_time]] = positions[by_time]  # the last assignment to an index wins
    rows = order[kept]
    return np.ones(len(rows)) if values is None else values[rows], None if times is None else times[rows]


def find_sums(
    order: np.ndarray, starts: np.ndarray, values: np.ndarray, times: np.ndarray | None
) -> tuple[np.ndarray, int]:
    """The first two values (m, 2) of each run of duplicates that has others than 1, as revised ratings have.

    And how many of these runs have the same value, and time, in all of their rows.
    """
    read = values[order]
    others = np.maximum.reduceat(read != 1, starts)
    several = np.flatnonzero(others & (np.diff(starts, append=len(read)) > 1))
    same = _all_equal(read, starts)[several]
    if times is not None:
        same &= _all_equal(times[order], starts)[several]
    return read[starts[several][:, None] + [0, 1]], int(same.sum())


def _all_equal(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Whether all values of a run are equal."""
    equal: np.ndarray = np.maximum.reduceat(values, starts) == np.minimum.reduceat(values, starts)
    return equal


def warn_of_sums(sums: list[tuple[np.ndarray, int]], label: str) -> None:
    """Warn of runs of duplicates whose values are added. sums: the results of `find_sums` for parts of the rows."""
    n_pairs, n_same = sum(len(pairs) for pairs, _ in sums), sum(count for _, count in sums)
    if n_pairs:
        some = [pair for pairs, _ in sums for pair in pairs[:3].tolist()][:3]
        equal = f" In {n_same} of them all rows are equal, as where a file has rows twice." if n_same else ""
        warn(
            f"{label}: {n_pairs} pairs of user and item have several rows, whose values are added: "
            f"{first_three(some)}.{equal} Pass duplicates='last' (or 'first', 'max', 'mean') if they are ratings or "
            "rows that a file has twice, 'sum' if they are counts"
        )
