"""Exact row solver of every quadratic loss."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.blas import add_column_products, add_row_products
from lrrec.linalg.kernels.cholesky import solve_cholesky
from lrrec.linalg.kernels.memory_access import gather, longest_row


@kernel(fastmath=REORDER, inline="always")
def add_combination(q, b, n, out):
    """Add sum_s b_s q_s over s < n to out, four rows of q at a time; b is padded with zeros to a multiple of four."""
    for s in range(0, n, 4):
        b0, b1, b2, b3 = b[s], b[s + 1], b[s + 2], b[s + 3]
        for f in range(len(out)):
            out[f] += b0 * q[s, f] + b1 * q[s + 1, f] + b2 * q[s + 2, f] + b3 * q[s + 3, f]


@kernel(fastmath=REORDER)
def ridge_rows(start, stop, indptr, indices, weights, linear, Y, shared, lam, eps, most, X, mixed=None):
    """Solve each row's ridge problem exactly, in the basis where the shared part is diagonal.

    Row u: (M + sum_i w_i y_i y_i^T) x = X[u] + sum_i b_i y_i over its cells i, with M = diag(shared) + lam[u] I,
    w the weights and b the linear terms. shared (D,), lam (U,), Y (I, D), X (U, D): right sides in, results out; eps:
    the precision of their type; most: multiplications of one call of BLAS, which from some number on starts threads.

    Cells of weight 0 go to the right side r. A row with fewer other cells than factors, all of positive weight, is
    solved in its dual system (Woodbury): with Q (N, D) the vectors of these cells and W their weights,
    x = M^-1 (r + Q^T z), (I + W Q M^-1 Q^T) z = b - W Q M^-1 r. A direction that nothing determines stays at 0.

    mixed: True where a weight may be <= 0. Otherwise None, and the code for such weights is not even compiled.
    """
    n_factors = Y.shape[1]
    longest = longest_row(start, stop, indptr)
    q = np.empty((longest, n_factors), Y.dtype)
    w = np.empty(longest, Y.dtype)
    b = np.empty(longest, Y.dtype)
    A = np.empty((n_factors, n_factors), Y.dtype)
    r = np.empty(n_factors, Y.dtype)
    root = np.empty(n_factors, Y.dtype)
    floor = np.empty(n_factors, Y.dtype)
    if mixed is not None:
        signed = np.empty((longest, n_factors), Y.dtype)
    zero = Y.dtype.type(0)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        gather(Y, indices, weights, begin, end, q, w)
        size = zero
        for f in range(n_factors):
            r[f] = X[u, f]
            size += abs(r[f])
        shifted = size != 0
        n = end - begin
        ones = True
        for s in range(n):
            b[s] = linear[begin + s]
            ones = ones and w[s] == 1
        positive = True
        if mixed is not None:
            n = 0
            for s in range(end - begin):
                if w[s] == 0:
                    for f in range(n_factors):
                        r[f] += b[s] * q[s, f]
                    continue
                positive = positive and w[s] > 0
                w[n], b[n] = w[s], b[s]
                for f in range(n_factors):
                    q[n, f] = q[s, f]
                n += 1
            shifted = shifted or n < end - begin
        for s in range(n, (n + 3) // 4 * 4):
            b[s] = 0
        dual = positive and n < n_factors
        if dual:
            for f in range(n_factors):
                base = shared[f] + lam[u]
                root[f] = 1 / np.sqrt(base) if base > 0 else zero
                dual = dual and base > 0
        if n == 0:
            for f in range(n_factors):
                X[u, f] = r[f] * root[f] * root[f] if r[f] != 0 else zero  # root^2 may overflow
        elif dual:
            for s in range(n):
                scale = np.sqrt(w[s])
                for f in range(n_factors):
                    q[s, f] *= scale * root[f]
                b[s] /= scale
            for f in range(n_factors):
                r[f] *= root[f]
            if shifted:
                for s in range(n):
                    for f in range(n_factors):
                        b[s] -= q[s, f] * r[f]
            part = max(most // (n * n), 1)
            for first in range(0, n_factors, part):
                add_row_products(q, q, n, first, min(part, n_factors - first), A)
            for s in range(n):
                A[s, s] += 1
            solve_cholesky(A, b, n, eps, floor)
            add_combination(q, b, n, r)
            for f in range(n_factors):
                X[u, f] = r[f] * root[f]
        else:
            add_combination(q, b, n, r)
            if not ones:
                for s in range(n):
                    scale = np.sqrt(abs(w[s]))
                    for f in range(n_factors):
                        q[s, f] *= scale
            part = max(most // (n_factors * n_factors), 1)
            if mixed is None:
                for first in range(0, n, part):
                    add_column_products(q, q, n, first, min(part, n - first), A)
            else:
                for s in range(n):
                    for f in range(n_factors):
                        signed[s, f] = q[s, f] if w[s] > 0 else -q[s, f]
                for first in range(0, n, part):
                    add_column_products(signed, q, n, first, min(part, n - first), A)
            for f in range(n_factors):
                A[f, f] += shared[f] + lam[u]
            solve_cholesky(A, r, n_factors, eps, floor)
            for f in range(n_factors):
                X[u, f] = r[f]
