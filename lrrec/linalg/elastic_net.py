"""Sparse item-item weights: regression of each item on the others, with penalties on their sizes and squares."""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.sparse import co_occurrences, sparse_gram, stacked_rows
from lrrec.linalg.threads import balanced_blocks, even_blocks

DENSE = 8192  # items up to which the Gram matrix is dense, 256 MB at most: twice as fast where half of it is not 0
N_BLOCKS = 256


def elastic_net_weights(
    X: sp.csr_array, l1_reg: float, l2_reg: float, *, nonnegative: bool, n_iter: int, tol: float,
    n_threads: int | None = None,
) -> sp.csr_array:  # fmt: skip
    """Return the weights W of each item (column) from the others; csr float32 (n_items, n_items), sorted.

    Column i minimises 1/2 |x_i - X w|^2 + l1_reg |w|_1 + l2_reg / 2 |w|^2 subject to w_i = 0 and, if nonnegative,
    w >= 0.

    Parameters
    ----------
    X : csr_array of float32, shape (n_users, n_items)
        Sorted.
    l1_reg, l2_reg : float
        >= 0.
    nonnegative : bool
    n_iter : int
        Passes of coordinate descent for an item, at most: over those with weights, or all candidates.
    tol : float
        No weight of an item moves by more than this in a step to the minimum along its coordinate, unless n_iter ends
        the descent: the conditions of a minimum hold within tol times the curvature |x_j|^2 + l2_reg.
    n_threads : int, optional
        All cores when None. Items are independent: the result is the same for every value.
    """
    n_items = X.shape[1]
    dense, gram = np.empty((0, 0), dtype=np.float32), sp.csr_array((n_items, n_items), dtype=np.float32)
    if n_items <= DENSE:
        dense = co_occurrences(X, n_threads=n_threads)
        dense += np.triu(dense, 1).T
        diagonal, blocks = dense.diagonal(), even_blocks(n_items, max(16, n_items // N_BLOCKS))
    else:
        gram = sparse_gram(X, n_threads=n_threads)
        diagonal, blocks = gram.diagonal(), balanced_blocks(gram.indptr, N_BLOCKS)
    arrays = *kernels.index_arrays(gram), kernels.as_input(gram.data), dense
    curvature = kernels.as_input(diagonal, np.float64)
    screened = nonnegative and not (X.data < 0).any()

    def rows(start: int, stop: int) -> tuple[np.ndarray, ...]:
        return kernels.elastic_net_rows(
            start, stop, arrays, curvature, l1_reg, l2_reg, nonnegative, screened, n_iter, tol
        )

    by_target = stacked_rows(rows, blocks, n_items, n_threads)
    return sp.csr_array(by_target.T.tocsr())
