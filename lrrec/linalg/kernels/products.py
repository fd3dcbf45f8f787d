"""Products of a sparse matrix with a block of dense vectors."""

import numpy as np
from numba import njit

REORDER = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN and infinity keep their meaning


@njit(nogil=True, cache=True, fastmath=REORDER)
def times_rows(start, stop, indptr, indices, data, X, out):
    """Write A X for the rows start..stop of the csr matrix A. X (I, B), out (U, B)."""
    n = X.shape[1]
    for u in range(start, stop):
        for f in range(n):
            out[u, f] = 0
        for s in range(indptr[u], indptr[u + 1]):
            j, w = indices[s], data[s]
            for f in range(n):
                out[u, f] += w * X[j, f]


@njit(nogil=True, cache=True, fastmath=REORDER)
def gram_times(start, stop, indptr, indices, data, X, out):
    """Add A^T A X for the rows start..stop of the csr matrix A, in one pass over them. X, out (I, B)."""
    n = X.shape[1]
    t = np.empty(n, X.dtype)
    for u in range(start, stop):
        for f in range(n):
            t[f] = 0
        for s in range(indptr[u], indptr[u + 1]):
            j, w = indices[s], data[s]
            for f in range(n):
                t[f] += w * X[j, f]
        for s in range(indptr[u], indptr[u + 1]):
            j, w = indices[s], data[s]
            for f in range(n):
                out[j, f] += w * t[f]
