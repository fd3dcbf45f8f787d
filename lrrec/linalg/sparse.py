"""Products of sparse and dense matrices on several threads, and sums and scaling of sparse ones."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.threads import balanced_blocks, run_blocks
from lrrec.validate import check_memory, check_threads


def times(A: sp.csr_array, X: np.ndarray, *, out: np.ndarray | None = None, n_threads: int | None = None) -> np.ndarray:
    """Return A X, dense (n_rows, n) in X's type, for a csr matrix A and dense X (n_columns, n); in `out`, if given."""
    X = kernels.as_input(X)
    out = np.empty((A.shape[0], X.shape[1]), dtype=X.dtype) if out is None else out
    (indptr, indices), data = kernels.index_arrays(A), kernels.as_input(A.data, X.dtype)

    def work(start: int, stop: int) -> None:
        kernels.times_rows(start, stop, indptr, indices, data, X, out)

    blocks = balanced_blocks(A.indptr, max(1, min(A.shape[0] // 64, 64)))
    if len(blocks) == 1:
        work(*blocks[0])
    else:
        run_blocks(work, blocks, check_threads(n_threads))
    return out


def row_sums(A: sp.csr_array, dtype: type | None = None) -> np.ndarray:
    """Return the sums of the rows, (n_rows,), without a copy of the entries; in A's precision, or another."""
    sums = np.zeros(A.shape[0], dtype=A.dtype if dtype is None else dtype)
    has_entries = np.diff(A.indptr) > 0
    if has_entries.any():
        sums[has_entries] = np.add.reduceat(A.data[: A.indptr[-1]], A.indptr[:-1][has_entries], dtype=sums.dtype)
    return sums


def positive(A: sp.csr_array) -> sp.csr_array:
    """Return the values > 0 of a csr matrix alone; the matrix itself if all are."""
    kept = A.data > 0
    if kept.all():
        return A
    indptr = np.concatenate(([0], np.cumsum(kept)))[A.indptr].astype(A.indptr.dtype)
    return sp.csr_array((A.data[kept], A.indices[kept], indptr), shape=A.shape)


def co_occurrences(A: sp.csr_array, *, n_threads: int | None = None) -> np.ndarray:
    """Return the upper half of A^T A, dense float32 (n_columns, n_columns), 0 below, for a sorted csr matrix A.

    O(sum over rows of n^2) time. The result is summed row by row, so that it stays in the processor's cache.
    """
    hint = "leave out rare items, e.g. by k_core(), or take a model with sparse weights, such as ItemKNN"
    check_memory(4 * A.shape[1] ** 2, f"item-item weights of {A.shape[1]:,} items", hint)
    by_columns = A.T.tocsr()
    rows_of, columns_of, data = kernels.index_arrays(by_columns), kernels.index_arrays(A), kernels.as_input(A.data)
    out = np.zeros((A.shape[1], A.shape[1]), dtype=np.float32)

    def work(start: int, stop: int) -> None:
        kernels.co_occurrences(start, stop, *rows_of, by_columns.data, *columns_of, data, out)

    run_blocks(work, balanced_blocks(by_columns.indptr, 64), check_threads(n_threads))
    return out


def sparse_gram(A: sp.csr_array, *, n_threads: int | None = None) -> sp.csr_array:
    """Return A^T A as csr float32 (n_columns, n_columns), sorted, for a csr matrix A.

    O(sum over rows of n^2) time, summed in double precision. 8 bytes for each pair of columns with a row in common, and
    as many while the blocks of rows are put together.
    """
    by_columns, n_columns = A.T.tocsr(), A.shape[1]
    lengths = np.diff(A.indptr).astype(np.int64)
    products = np.concatenate(([0], np.cumsum(lengths[by_columns.indices])))[by_columns.indptr]  # up to each column
    n_pairs = int(np.minimum(np.diff(products), n_columns).sum())
    hint = "leave out rare items, e.g. by k_core(), or users with very many of them"
    check_memory(8 * n_pairs, f"the co-occurrences of {n_columns:,} items", hint)
    (rows_of, columns_of) = kernels.index_arrays(by_columns), kernels.index_arrays(A)
    weights, data = kernels.as_input(by_columns.data), kernels.as_input(A.data)

    def rows(start: int, stop: int) -> tuple[np.ndarray, ...]:
        return kernels.gram_rows(start, stop, *rows_of, weights, *columns_of, data, n_columns)

    return stacked_rows(rows, balanced_blocks(products, 64), n_columns, n_threads)


def stacked_rows(
    rows: Callable[[int, int], tuple[np.ndarray, ...]], blocks: list[tuple[int, int]], n_columns: int,
    n_threads: int | None,
) -> sp.csr_array:  # fmt: skip
    """Return the csr matrix of rows(start, stop): their lengths, column indices and values, for blocks in order."""
    parts: dict[int, tuple[np.ndarray, ...]] = {}

    def work(start: int, stop: int) -> None:
        parts[start] = rows(start, stop)

    run_blocks(work, blocks, check_threads(n_threads))
    lengths, indices, values = (np.concatenate(each) for each in zip(*(parts[at] for at, _ in blocks), strict=True))
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return sp.csr_array((values, indices, indptr), shape=(len(lengths), n_columns))


def power(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Return counts^exponent as float32, with counts of 0 replaced by 1."""
    with np.errstate(over="ignore"):  # infinity: what is made of it is refused as an overflow
        return (np.maximum(counts, 1).astype(np.float64) ** exponent).astype(np.float32)


def with_weighted_rows(A: sp.csr_array, exponent: float) -> sp.csr_array:
    """Return A with each row of n entries times n^-exponent, scaled to A's sum of squares; A itself for 0."""
    if exponent == 0 or not A.nnz:
        return A
    counts, data = np.diff(A.indptr), A.data.astype(np.float64)
    data *= np.repeat(np.maximum(counts, 1.0) ** -exponent, counts)
    squares = np.square(A.data, dtype=np.float64).sum(), np.square(data).sum()
    data *= np.sqrt(squares[0] / squares[1]) if squares[1] > 0 else 1.0
    return sp.csr_array((data.astype(np.float32), A.indices, A.indptr), shape=A.shape)


def scaled(matrix: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> sp.csr_array:
    """Return diag(rows) matrix diag(columns); the result shares its structure with the matrix."""
    data = matrix.data * np.repeat(rows, np.diff(matrix.indptr)) * columns[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
