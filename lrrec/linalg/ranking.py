"""Top-k ranking of scores: in blocks of rows on several threads, in memory bounded by a block a thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.dense import FEW_ROWS
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.validate import check_int

Columns = slice | np.ndarray
ALL_COLUMNS = slice(None)
BLOCK_CELLS = 2**23  # scores in a block: 32 MB of float32 a thread
BLOCK_ROWS = 512
MANY_SCORES = 2**17  # of a few rows, from which on starting threads is worth it


@dataclass(frozen=True)
class Candidates:
    """The columns that may be ranked: all (both None), the same for every row, or a list for each row.

    shared (m,): distinct columns in ascending order. own, a csr matrix of n_rows rows: each row's columns, without
    repeats; of equal scores the earlier in the row comes first. excluded (e,): columns that are never ranked.
    excluded_by_row, a csr matrix of n_rows rows: each row's columns that are not ranked for it.
    """

    shared: np.ndarray | None = None
    own: sp.csr_array | None = None
    excluded: np.ndarray | None = None
    excluded_by_row: sp.csr_array | None = None

    @property
    def columns(self) -> Columns:
        """The columns to score."""
        return ALL_COLUMNS if self.shared is None else self.shared

    def of_rows(self, rows: slice | np.ndarray) -> "Candidates":
        """The candidates of some rows alone."""
        own, excluded = (None if part is None else part[rows] for part in (self.own, self.excluded_by_row))
        return replace(self, own=own, excluded_by_row=excluded)


ALL_CANDIDATES = Candidates()


def are_all(columns: Columns) -> bool:
    """Whether columns are all of them, in their order."""
    return isinstance(columns, slice) and columns == ALL_COLUMNS


def rank(
    score: Callable[[slice, Columns], np.ndarray],
    n_rows: int,
    n_columns: int,
    k: int,
    *,
    candidates: Candidates = ALL_CANDIDATES,
    seen: sp.csr_array | None = None,
    seen_rows: np.ndarray | None = None,
    threshold: float | None = None,
    popularity: np.ndarray | None = None,
    n_threads: int = 1,
    block_rows: int = BLOCK_ROWS,
    columns_apart: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best columns of each row, int32 (n_rows, k), and their scores, float32 (n_rows, k).

    score(block of rows, columns) returns a new (B, m) array, NaN where there is no evidence. Of equal scores the
    smaller column comes first, or the earlier in a row's own list. The columns of row seen_rows[b] of `seen` are left
    out for row b (none where it is negative), and those with a score below the threshold. Places for which no column
    with a score is left have index -1 and score NaN; with popularity (n_columns,), they are filled by the columns
    without evidence of the largest popularity, -inf for never, and have score NaN. A thread keeps at most BLOCK_CELLS
    scores (at least a row) at a time.

    columns_apart: whether score(block, slice of columns) takes no longer for all parts of the columns than for all at
    once: then several threads share the columns of a few long rows.
    """
    indices = np.full((n_rows, k), -1, dtype=np.int32)
    values = np.full((n_rows, k), np.nan, dtype=np.float32)
    shared, own = candidates.shared, candidates.own
    left_out = [] if seen is None or seen_rows is None else [(seen, seen_rows)]
    if candidates.excluded_by_row is not None:
        left_out.append((candidates.excluded_by_row, np.arange(n_rows)))

    def work(start: int, stop: int) -> None:
        block = slice(start, stop)
        if in_parts:
            scores = _score_in_parts(score, block, n_columns, n_threads)
        else:
            scores = np.ascontiguousarray(score(block, candidates.columns), dtype=np.float32)
        for matrix, rows in left_out:
            if shared is None:
                kernels.mask_rows(scores, *kernels.index_arrays(matrix), rows[block])
            else:
                scores[_seen_cells(matrix, rows[block], shared)] = -np.inf
        if candidates.excluded is not None:
            scores[:, candidates.excluded] = -np.inf
        if threshold is not None:
            scores[scores < np.float32(threshold)] = -np.inf
        columns = candidates.columns
        if own is not None:
            columns = _padded(own, start, stop)
            present = columns >= 0
            scores = np.where(present, np.take_along_axis(scores, np.where(present, columns, 0), axis=1), -np.inf)
        _top_k(scores, indices[block], values[block])
        if popularity is not None:
            _fill(indices[block], scores, popularity[columns])
        if isinstance(columns, np.ndarray):
            places = np.maximum(indices[block], 0)
            named = columns[places] if columns.ndim == 1 else np.take_along_axis(columns, places, axis=1)
            indices[block] = np.where(indices[block] < 0, -1, named)

    if shared is not None and not len(shared):
        return indices, values
    blocks = even_blocks(n_rows, max(1, min(block_rows, BLOCK_CELLS // max(n_columns, 1))))
    few = columns_apart and len(blocks) == 1 and n_rows <= FEW_ROWS and are_all(candidates.columns)
    in_parts = few and n_threads > 1 and n_rows * n_columns >= MANY_SCORES
    if len(blocks) == 1:
        work(*blocks[0])  # threads would cost more than they gain
    else:
        run_blocks(work, blocks, n_threads)
    return indices, values


def _score_in_parts(
    score: Callable[[slice, Columns], np.ndarray], block: slice, n_columns: int, n_threads: int
) -> np.ndarray:
    """Return the scores of a few rows, by as many ranges of columns as threads."""
    scores = np.empty((block.stop - block.start, n_columns), dtype=np.float32)

    def work(start: int, stop: int) -> None:
        scores[:, start:stop] = score(block, slice(start, stop))

    run_blocks(work, even_blocks(n_columns, -(-n_columns // n_threads)), n_threads)
    return scores


def _padded(lists: sp.csr_array, start: int, stop: int) -> np.ndarray:
    """The columns of some rows of a csr matrix, (n, longest of them, at least 1), followed by -1."""
    begin, lengths = lists.indptr[start:stop, None], np.diff(lists.indptr[start : stop + 1])[:, None]
    places = np.arange(max(1, lengths.max(initial=0)))
    columns = np.append(lists.indices, -1)
    return columns[np.where(places < lengths, begin + places, -1)]


def _fill(indices: np.ndarray, scores: np.ndarray, popularity: np.ndarray) -> None:
    """Fill the places of index -1, in place, with the columns of score NaN, the most popular first."""
    short = np.flatnonzero(indices[:, -1] < 0)
    if not len(short):
        return
    popular = np.where(np.isnan(scores[short]), popularity if popularity.ndim == 1 else popularity[short], -np.inf)
    more, _ = top_k(popular.astype(np.float32, copy=False), indices.shape[1])
    places = np.arange(indices.shape[1]) - (indices[short] >= 0).sum(axis=1, keepdims=True)
    fillers = np.take_along_axis(more, np.maximum(places, 0), axis=1)
    indices[short] = np.where(places < 0, indices[short], fillers)


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

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import top_k
    >>> indices, values = top_k(np.array([[0.1, 0.7, -np.inf], [0.5, 0.2, 0.9]]), 2)
    >>> indices.tolist(), values.tolist()
    ([[1, 0], [2, 0]], [[0.7, 0.1], [0.9, 0.5]])
    """
    scores = np.ascontiguousarray(scores)
    if scores.ndim != 2 or scores.dtype not in (np.float32, np.float64):
        raise DataError(f"scores must be a float array (n_rows, n_columns), got {scores.dtype} {scores.shape}")
    k = check_int(k, "k", low=1)
    indices = np.empty((len(scores), k), dtype=np.int32)
    values = np.empty((len(scores), k), dtype=scores.dtype)
    _top_k(scores, indices, values)
    return indices, values
