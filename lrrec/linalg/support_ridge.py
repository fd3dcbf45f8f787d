"""Ridge regression of each column of a sparse matrix on a few others."""

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.threads import balanced_blocks, even_blocks, run_blocks
from lrrec.validate import check_memory, check_threads

HINT = "lower n_neighbors, or leave out rare items, e.g. by k_core()"


def support_ridge(
    X: sp.csr_array, k: int, reg: float, diagonal_weight: float = 0.0, *, n_threads: int | None = None
) -> sp.csr_array:
    """Return B, csr float32 (I, I), where each column is the best with at most k nonzeros at chosen places.

    Column b of item i minimises |x_i - X b|^2 + sum_j (reg + diagonal_weight |x_j|^2) b_j^2 over the b that are 0
    outside i's support: the k other items with the largest cosines of x_i and x_j, of equal ones the more popular.

    Parameters
    ----------
    X : csr_array of float32, shape (U, I)
        Sorted, with values > 0.
    k : int
    reg : float
    diagonal_weight : float
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Notes
    -----
    A block with a system that single precision cannot solve is solved in double precision.
    O(sum over users of n_u^2 + I k^3 + k times the pairs of items with a user in common) time. Memory: 8 bytes for each
    of these pairs, at most 4 I^2 together, and 24 bytes for each weight.

    Raises
    ------
    DataError
        If a system is not positive definite, or the memory is too small.
    """
    n_items, n_threads = X.shape[1], check_threads(n_threads)
    k = min(k, n_items - 1)
    if k < 1:  # LAPACK would print an error
        return sp.csr_array((n_items, n_items), dtype=np.float32)
    check_memory(24 * n_items * k + 4 * n_threads * k**2, f"{k:,} weights for each of {n_items:,} items", HINT)
    order = np.argsort(-np.bincount(X.indices, minlength=n_items), kind="stable").astype(np.int32)
    by_items = X.T.tocsr()[order]
    by_users = by_items.T.tocsr()
    entries = (
        *kernels.index_arrays(by_items), kernels.as_input(by_items.data),
        *kernels.index_arrays(by_users), kernels.as_input(by_users.data),
    )  # fmt: skip
    pairs = _lower_products(entries, n_threads)
    squares = np.asarray((by_items * by_items).sum(axis=1)).ravel()
    norms, diagonal = np.sqrt(squares), squares.astype(np.float64) * (1 + diagonal_weight) + reg
    items, weights = np.zeros((n_items, k), dtype=np.int32), np.zeros((n_items, k), dtype=np.float32)

    def work(start: int, stop: int) -> None:
        for dtype in (np.float32, np.float64):
            precision = diagonal.astype(dtype), dtype(np.finfo(dtype).eps)
            if kernels.support_columns(start, stop, *entries, *pairs, norms, *precision, order, items, weights):
                return
        raise DataError("the matrix is not positive definite in float64: raise reg")

    run_blocks(work, even_blocks(n_items, max(32, n_items // 512)), n_threads)
    kept = weights != 0
    indptr = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    return sp.csc_array((weights[kept], items[kept], indptr), shape=(n_items, n_items)).tocsr()


def _lower_products(entries: tuple[np.ndarray, ...], n_threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lower half of X^T X without its diagonal, for X^T and X in csr: indptr, indices and values."""
    item_indptr, users, _, user_indptr, items, _ = entries
    counts = np.zeros(len(item_indptr) - 1, dtype=np.int64)
    blocks = balanced_blocks(item_indptr, 64)

    def count(start: int, stop: int) -> None:
        kernels.pair_counts(start, stop, item_indptr, users, user_indptr, items, counts)

    def multiply(start: int, stop: int) -> None:
        kernels.pair_products(start, stop, *entries, indptr, indices, values)

    run_blocks(count, blocks, n_threads)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    n_pairs = int(indptr[-1])
    check_memory(8 * n_pairs, f"{n_pairs:,} pairs of items with a user in common", HINT)
    indices, values = np.empty(n_pairs, dtype=np.int32), np.empty(n_pairs, dtype=np.float32)
    run_blocks(multiply, blocks, n_threads)
    return indptr, indices, values
