"""Top-k ranking of scores: in blocks of rows on several threads, in memory bounded by a block a thread."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.validate import check_int

Columns = slice | np.ndarray
BLOCK_CELLS = 2**23  # scores in a block: 32 MB of float32 a thread
BLOCK_ROWS = 512


@dataclass(frozen=True)
class Candidates:
    """The columns that may be ranked: all (both None), the same for every row, or a list for each row.

    shared (m,): distinct columns in ascending order. own (n, m): a list of columns for each row, -1 for no candidate;
    of equal scores the earlier in the list comes first.
    """

    shared: np.ndarray | None = None
    own: np.ndarray | None = None

    @property
    def columns(self) -> Columns:
        """The columns to score."""
        return slice(None) if self.shared is None else self.shared


def rank(
    score: Callable[[slice, Columns], np.ndarray],
    n_rows: int,
    n_columns: int,
    k: int,
    *,
    candidates: Candidates = Candidates(),
    seen: sp.csr_array | None = None,
    seen_rows: np.ndarray | None = None,
    n_threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best columns of each row, int32 (n_rows, k), and their scores, float32 (n_rows, k).

    score(block of rows, columns) returns a new (B, m) array. Of equal scores the smaller column comes first, or the
    earlier in a row's own list. The columns of row seen_rows[b] of `seen` are left out for row b (none where it is
    negative). Unfilled places have index -1 and score NaN. A thread keeps at most BLOCK_CELLS scores (at least a row)
    at a time.
    """
    indices = np.empty((n_rows, k), dtype=np.int32)
    values = np.empty((n_rows, k), dtype=np.float32)
    shared, own = candidates.shared, candidates.own

    def work(start: int, stop: int) -> None:
        block = slice(start, stop)
        scores = np.ascontiguousarray(score(block, candidates.columns), dtype=np.float32)
        if seen is not None and seen_rows is not None:
            if shared is None:
                kernels.mask_rows(
                    scores, kernels.as_input(seen.indptr), kernels.as_input(seen.indices), seen_rows[block]
                )
            else:
                scores[_seen_cells(seen, seen_rows[block], shared)] = -np.inf
        if own is not None:
            lists = own[block]
            scores = np.where(lists >= 0, np.take_along_axis(scores, np.maximum(lists, 0), axis=1), np.float32(-np.inf))
        _top_k(scores, indices[block], values[block])
        if shared is not None or own is not None:
            places = np.maximum(indices[block], 0)
            columns = np.take_along_axis(lists, places, axis=1) if shared is None else shared[places]
            indices[block] = np.where(indices[block] < 0, -1, columns)

    blocks = even_blocks(n_rows, max(1, min(block_rows, BLOCK_CELLS // max(n_columns, 1))))
    if len(blocks) == 1:
        work(*blocks[0])  # threads would cost more than they gain
    else:
        run_blocks(work, blocks, n_threads)
    return indices, values


def _top_k(scores: np.ndarray, indices: np.ndarray, values: np.ndarray) -> None:
    """Write the best columns of each row, and their scores."""
    heap, at = np.empty(values.shape[1], values.dtype), np.empty(values.shape[1], np.int32)
    kernels.top_k_rows(scores, indices, values, heap, at)


def _seen_cells(seen: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nonzeros of seen[rows][:, columns], as positions in rows and in columns; no nonzero in a negative row."""
    place = np.full(seen.shape[1], -1, dtype=np.int64)
    place[columns] = np.arange(len(columns))
    counts = np.where(rows < 0, 0, np.diff(seen.indptr)[rows])
    row_places = np.repeat(np.arange(len(rows)), counts)
    offsets = np.arange(len(row_places)) - np.repeat(np.cumsum(counts) - counts, counts)
    column_places = place[seen.indices[np.repeat(seen.indptr[rows], counts) + offsets]]
    return row_places[column_places >= 0], column_places[column_places >= 0]


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best columns of each row, best first; equal scores by column.

    Parameters
    ----------
    scores : ndarray of float32 or float64, shape (n_rows, n_columns)
        Columns with -inf or NaN are never returned.
    k : int
        May exceed the number of columns.

    Returns
    -------
    indices : ndarray of int32, shape (n_rows, k)
        -1 where a row has fewer than k columns left.
    scores : ndarray, shape (n_rows, k)
        NaN where the index is -1.

    Notes
    -----
    One pass over the scores: O(n_columns + k log k) a row for scores in random order. Releases the interpreter lock.
    """
    scores = np.ascontiguousarray(scores)
    if scores.ndim != 2 or scores.dtype not in (np.float32, np.float64):
        raise DataError(f"scores must be a float array (n_rows, n_columns), got {scores.dtype} {scores.shape}")
    k = check_int(k, "k", low=1)
    indices = np.empty((len(scores), k), dtype=np.int32)
    values = np.empty((len(scores), k), dtype=scores.dtype)
    _top_k(scores, indices, values)
    return indices, values
