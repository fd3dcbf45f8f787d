"""Row solvers against squared errors: ratings (observed cells) and non-negative factors (all cells)."""

import numpy as np
from numba import njit

from lrrec.linalg.kernels.rows import REORDER, longest_row, solve_cholesky


@njit(nogil=True, cache=True, fastmath=REORDER)
def rating_rows(start, stop, indptr, indices, data, Y, bias, lam, X):
    """Solve each row's ridge problem on its observed ratings.

    Row u minimises sum_i (r_i - bias_i - y_i . x)^2 + lam[u] |x|^2 over its entries i. Y (I, D), bias (I,), lam (U,),
    X (U, D) out. A row without entries becomes 0.
    """
    n_factors = Y.shape[1]
    q = np.empty((longest_row(start, stop, indptr), n_factors), Y.dtype)
    A = np.empty((n_factors, n_factors), Y.dtype)
    b = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        n = end - begin
        for f in range(n_factors):
            b[f] = 0
        for s in range(n):
            j = indices[begin + s]
            miss = data[begin + s] - bias[j]
            for f in range(n_factors):
                q[s, f] = Y[j, f]
                b[f] += miss * q[s, f]
        if n > 0:
            np.dot(q[:n].T, q[:n], A)  # BLAS
            for f in range(n_factors):
                A[f, f] += lam[u]
            solve_cholesky(A, b)
        for f in range(n_factors):
            X[u, f] = b[f]


@njit(nogil=True, cache=True, fastmath=REORDER)
def nonnegative_rows(start, stop, B, G, reg, n_sweeps, tol, X):
    """Improve each row of X >= 0 by coordinate descent on x^T G x - 2 b . x + reg |x|^2.

    B (U, D): right sides; G (D, D): the other side's Gram matrix; X (U, D): start values in, results out. Ends when no
    coordinate of a row moves by more than tol times the row's largest, or after n_sweeps.
    """
    n_factors = B.shape[1]
    zero = X.dtype.type(0)
    for u in range(start, stop):
        for _ in range(n_sweeps):
            moved, largest = zero, zero
            for f in range(n_factors):
                curvature = G[f, f] + reg
                if not curvature > 0:
                    X[u, f] = 0
                    continue
                slope = B[u, f] - reg * X[u, f]
                for g in range(n_factors):
                    slope -= G[f, g] * X[u, g]
                new = max(zero, X[u, f] + slope / curvature)
                moved = max(moved, abs(new - X[u, f]))
                largest = max(largest, new)
                X[u, f] = new
            if moved <= tol * largest:
                break
