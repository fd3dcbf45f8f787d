"""Score, mask, take the k best: blocks of rows on all threads, in memory bounded by the blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.validate import check_int

Columns = slice | np.ndarray
BLOCK_CELLS = 2**23  # scores of a block: 32 MB of float32 a thread
BLOCK_ROWS = 512


@dataclass(frozen=True)
class Candidates:
    """Which columns may be taken: all (both None), the same for every row, or a list for each row.

    shared (m,): rising distinct columns. own (n, m): columns, in an order that breaks ties; -1 for no candidate.
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

    score(block of rows, columns) makes a fresh (B, m) array. Equal scores go by column, or by place in a row's own
    list. Columns of row seen_rows[b] of `seen` are left out for row b (none where that is negative). Unfilled
    places have index -1 and score NaN. At most BLOCK_CELLS scores (at least a row) a thread are held at a time.
    """
    indices = np.empty((n_rows, k), dtype=np.int32)
    values = np.empty((n_rows, k), dtype=np.float32)
    shared, own = candidates.shared, candidates.own

    def work(start: int, stop: int) -> None:
        block = slice(start, stop)
        scores = np.ascontiguousarray(score(block, candidates.columns), dtype=np.float32)
        if seen is not None and seen_rows is not None:
            if shared is None:
                kernels.mask_rows(scores, seen.indptr, seen.indices, seen_rows[block])
            else:
                scores[_meet(seen, seen_rows[block], shared)] = -np.inf
        if own is not None:
            lists = own[block]
            scores = np.where(lists >= 0, np.take_along_axis(scores, np.maximum(lists, 0), axis=1), np.float32(-np.inf))
        kernels.top_k_rows(scores, k, indices[block], values[block])
        if shared is not None or own is not None:
            places = np.maximum(indices[block], 0)
            columns = np.take_along_axis(lists, places, axis=1) if shared is None else shared[places]
            indices[block] = np.where(indices[block] < 0, -1, columns)

    blocks = even_blocks(n_rows, max(1, min(block_rows, BLOCK_CELLS // max(n_columns, 1))))
    if len(blocks) == 1:
        work(*blocks[0])  # a pool would cost more than it brings
    else:
        run_blocks(work, blocks, n_threads)
    return indices, values


def nearest(rows: np.ndarray, k: int, factors: np.ndarray, n_threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the k rows of factors nearest by cosine to each of the given ones, themselves left out. See `rank`."""
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = factors / np.where(norms > 0, norms, 1)

    def score(block: slice, columns: Columns) -> np.ndarray:
        cosines = directions[rows[block]] @ directions.T
        cosines[np.arange(len(cosines)), rows[block]] = -np.inf
        return cosines

    return rank(score, len(rows), len(factors), k, n_threads=n_threads)


def _meet(seen: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rows of seen meet the given rising columns: (place among rows, place among columns)."""
    place = np.full(seen.shape[1], -1, dtype=np.int64)
    place[columns] = np.arange(len(columns))
    counts = np.where(rows < 0, 0, np.diff(seen.indptr)[rows])
    at = np.repeat(np.arange(len(rows)), counts)
    offsets = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = place[seen.indices[np.repeat(seen.indptr[rows], counts) + offsets]]
    return at[found >= 0], found[found >= 0]


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best columns of each row, best first; equal scores by column.

    Parameters
    ----------
    scores : ndarray of float32 or float64, shape (n_rows, n_columns)
        -inf marks what must not be taken; NaN is never taken either.
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
    One pass over the scores, O(n_columns + k log k) a row for scores in random order; releases the
    interpreter lock.
    """
    scores = np.ascontiguousarray(scores)
    if scores.ndim != 2 or scores.dtype not in (np.float32, np.float64):
        raise DataError(f"scores must be a float array (n_rows, n_columns), got {scores.dtype} {scores.shape}")
    k = check_int(k, "k", low=1)
    indices = np.empty((len(scores), k), dtype=np.int32)
    values = np.empty((len(scores), k), dtype=scores.dtype)
    kernels.top_k_rows(scores, k, indices, values)
    return indices, values
