"""Row solver of ridge problems whose weights and right sides are given cell by cell."""

import numpy as np
from numba import njit

from lrrec.linalg.kernels.rows import REORDER, gather, longest_row, solve_cholesky


@njit(nogil=True, cache=True, fastmath=REORDER)
def ridge_rows(start, stop, indptr, indices, weights, pulls, Y, shared, lam, X):
    """Solve each row exactly, in the basis where the shared part is diagonal; its right side is read from X.

    Row u: (M + Q^T W Q) x = X[u] + sum_i b_i y_i, with M = diag(shared) + lam[u] I, Q (N, D) the vectors of its N
    cells, W their weights >= 0 and b their pulls. shared (D,), lam (U,), Y (I, D), X (U, D). Rows with fewer cells
    than D go through the dual system (Woodbury). A direction that nothing determines is left at 0.
    """
    n_factors = Y.shape[1]
    zero = Y.dtype.type(0)
    longest = longest_row(start, stop, indptr)
    q = np.empty((longest, n_factors), Y.dtype)
    w = np.empty(longest, Y.dtype)
    small = np.empty((n_factors, n_factors), Y.dtype)
    inverse = np.empty(n_factors, Y.dtype)
    r = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        n = end - begin
        gather(Y, indices, weights, begin, end, q, w)
        dual = n < n_factors
        for f in range(n_factors):
            base = shared[f] + lam[u]
            inverse[f] = 1 / base if base > 0 else zero
            dual = dual and base > 0
            r[f] = X[u, f]
        for s in range(n):
            dual = dual and w[s] >= 0
            for f in range(n_factors):
                r[f] += pulls[begin + s] * q[s, f]
        if n == 0:
            for f in range(n_factors):
                X[u, f] = r[f] * inverse[f]
        elif dual:
            c = np.empty(n, Y.dtype)
            for s in range(n):
                scale = np.sqrt(w[s])
                c[s] = 0
                for f in range(n_factors):
                    q[s, f] *= scale * np.sqrt(inverse[f])
                    c[s] += q[s, f] * np.sqrt(inverse[f]) * r[f]
            A = np.dot(q[:n], q[:n].T)  # BLAS
            for s in range(n):
                A[s, s] += 1
            solve_cholesky(A, c)
            for f in range(n_factors):
                total = zero
                for s in range(n):
                    total += q[s, f] * c[s]
                X[u, f] = r[f] * inverse[f] - total * np.sqrt(inverse[f])
        else:
            weighted = q[:n] * w[:n].reshape(n, 1)
            np.dot(weighted.T, q[:n], small)  # BLAS
            for f in range(n_factors):
                small[f, f] += shared[f] + lam[u]
            solve_cholesky(small, r)
            for f in range(n_factors):
                X[u, f] = r[f]
