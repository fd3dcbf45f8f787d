"""Row solvers of implicit ALS, and the loss over observed entries."""

import numpy as np
from numba import njit

from lrrec.linalg.kernels.prefetch import prefetch

REORDER = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered (SIMD); NaN and infinity keep their meaning
AHEAD = 8  # vectors between the one gathered and the one asked for from memory


@njit(nogil=True, cache=True, fastmath=REORDER, inline="always")
def gather(Y, indices, data, begin, end, q, w):
    """Copy the rows of Y named by indices[begin:end] into q, and their weights into w; return how many, padded.

    q (N, D) and w (N,) are filled up with zeros to a multiple of four, so that rows can be worked on by fours.
    """
    n_factors = Y.shape[1]
    last = end - AHEAD
    for s in range(begin, end):
        if s < last:
            ahead = indices[s + AHEAD]
            for z in range(0, n_factors, 16):
                prefetch(Y, ahead, z)  # type: ignore[call-arg]
        j = indices[s]
        for f in range(n_factors):
            q[s - begin, f] = Y[j, f]
        w[s - begin] = data[s]
    n = end - begin
    padded = (n + 3) // 4 * 4
    for s in range(n, padded):
        w[s] = 0
        for f in range(n_factors):
            q[s, f] = 0
    return padded


@njit(nogil=True, cache=True, fastmath=REORDER, inline="always")
def add_products(q, w, n, p, out):
    """Add sum_s w_s (q_s . p) q_s to out, four rows of q at a time."""
    n_factors = len(p)
    zero = p.dtype.type(0)
    for s in range(0, n, 4):
        d0, d1, d2, d3 = zero, zero, zero, zero
        for f in range(n_factors):
            d0 += q[s, f] * p[f]
            d1 += q[s + 1, f] * p[f]
            d2 += q[s + 2, f] * p[f]
            d3 += q[s + 3, f] * p[f]
        d0, d1, d2, d3 = d0 * w[s], d1 * w[s + 1], d2 * w[s + 2], d3 * w[s + 3]
        for f in range(n_factors):
            out[f] += d0 * q[s, f] + d1 * q[s + 1, f] + d2 * q[s + 2, f] + d3 * q[s + 3, f]


@njit(nogil=True, cache=True, fastmath=REORDER, inline="always")
def longest_row(start, stop, indptr):
    """The number of entries of the longest of some rows, padded to a multiple of four."""
    longest = indptr[start] - indptr[start]
    for u in range(start, stop):
        longest = max(longest, indptr[u + 1] - indptr[u])
    return (longest + 3) // 4 * 4


@njit(nogil=True, cache=True, fastmath=REORDER)
def cg_rows(start, stop, indptr, indices, data, Y, shared, lam, offset, cg_steps, X):
    """Improve each row's X[u] by preconditioned conjugate gradients, in the basis where the shared part is diagonal.

    Row u: (diag(shared) + lam[u] I + sum_i w_i y_i y_i^T) x = sum_i (w_i + offset) y_i.
    shared (D,), lam (U,), Y (I, D), X (U, D): start values in, results out. A row without nonzeros becomes 0.
    """
    n_factors = Y.shape[1]
    zero, one = Y.dtype.type(0), Y.dtype.type(1)
    longest = longest_row(start, stop, indptr)
    q = np.empty((longest, n_factors), Y.dtype)
    w = np.empty(longest, Y.dtype)
    x = np.empty(n_factors, Y.dtype)
    r = np.empty(n_factors, Y.dtype)
    p = np.empty(n_factors, Y.dtype)
    Ap = np.empty(n_factors, Y.dtype)
    base = np.empty(n_factors, Y.dtype)
    scale = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        if begin == end:
            for f in range(n_factors):
                X[u, f] = 0
            continue
        n = gather(Y, indices, data, begin, end, q, w)
        for f in range(n_factors):
            x[f] = X[u, f]
            base[f] = shared[f] + lam[u]
            scale[f] = base[f]
            r[f] = -base[f] * x[f]
        for s in range(0, n, 4):
            d0, d1, d2, d3 = zero, zero, zero, zero
            for f in range(n_factors):
                d0 += q[s, f] * x[f]
                d1 += q[s + 1, f] * x[f]
                d2 += q[s + 2, f] * x[f]
                d3 += q[s + 3, f] * x[f]
            w0, w1, w2, w3 = w[s], w[s + 1], w[s + 2], w[s + 3]
            d0, d1 = w0 * (one - d0) + offset, w1 * (one - d1) + offset
            d2, d3 = w2 * (one - d2) + offset, w3 * (one - d3) + offset
            for f in range(n_factors):
                q0, q1, q2, q3 = q[s, f], q[s + 1, f], q[s + 2, f], q[s + 3, f]
                r[f] += d0 * q0 + d1 * q1 + d2 * q2 + d3 * q3
                scale[f] += w0 * q0 * q0 + w1 * q1 * q1 + w2 * q2 * q2 + w3 * q3 * q3
        rz = zero
        for f in range(n_factors):
            scale[f] = one / scale[f] if scale[f] > 0 else zero
            p[f] = scale[f] * r[f]
            rz += r[f] * p[f]
        for step in range(cg_steps):
            if not rz > 0:
                break
            for f in range(n_factors):
                Ap[f] = base[f] * p[f]
            add_products(q, w, n, p, Ap)
            pAp = zero
            for f in range(n_factors):
                pAp += p[f] * Ap[f]
            if not pAp > 0:
                break
            alpha = rz / pAp
            for f in range(n_factors):
                x[f] += alpha * p[f]
            if step == cg_steps - 1:
                break
            new = zero
            for f in range(n_factors):
                r[f] -= alpha * Ap[f]
                Ap[f] = scale[f] * r[f]
                new += r[f] * Ap[f]
            beta = new / rz
            rz = new
            for f in range(n_factors):
                p[f] = Ap[f] + beta * p[f]
        for f in range(n_factors):
            X[u, f] = x[f]


@njit(nogil=True, cache=True, fastmath=REORDER)
def exact_rows(start, stop, indptr, indices, data, Y, shared, lam, offset, X):
    """Solve each row exactly, in the basis where the shared part is diagonal.

    Row u: (M + Q^T W Q) x = Q^T (w + offset), with M = diag(shared) + lam[u] I and Q (N, D) the vectors of its N
    entries. Rows with fewer entries than factors go through the dual system of size N (Woodbury):
    x = M^-1 Q^T z with (I + W Q M^-1 Q^T) z = w + offset. Shapes as in `cg_rows`. A row without nonzeros becomes 0;
    a direction that neither data nor regularization determine is left at 0.
    """
    n_factors = Y.shape[1]
    longest = longest_row(start, stop, indptr)
    q = np.empty((longest, n_factors), Y.dtype)
    w = np.empty(longest, Y.dtype)
    small = np.empty((n_factors, n_factors), Y.dtype)
    b = np.empty(n_factors, Y.dtype)
    root = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        n = end - begin
        if n == 0:
            for f in range(n_factors):
                X[u, f] = 0
            continue
        gather(Y, indices, data, begin, end, q, w)
        dual = n < n_factors
        if dual:
            for f in range(n_factors):
                base = shared[f] + lam[u]
                root[f] = 1 / np.sqrt(base) if base > 0 else Y.dtype.type(0)
                dual = dual and base > 0
            for s in range(n):
                dual = dual and w[s] > 0
        if dual:
            for s in range(n):
                scale = np.sqrt(w[s])
                b[s] = (w[s] + offset) / scale
                w[s] = scale
                for f in range(n_factors):
                    q[s, f] *= scale * root[f]
            A = np.dot(q[:n], q[:n].T)  # BLAS
            for s in range(n):
                A[s, s] += 1
            solve_cholesky(A, b[:n])
            for f in range(n_factors):
                X[u, f] = 0
            for s in range(n):
                for f in range(n_factors):
                    X[u, f] += b[s] * q[s, f]
            for f in range(n_factors):
                X[u, f] *= root[f]
            continue
        for f in range(n_factors):
            b[f] = 0
        for s in range(n):
            for f in range(n_factors):
                b[f] += (w[s] + offset) * q[s, f]
        weighted = q[:n] * w[:n].reshape(n, 1)
        np.dot(weighted.T, q[:n], small)  # BLAS
        for f in range(n_factors):
            small[f, f] += shared[f] + lam[u]
        solve_cholesky(small, b)
        for f in range(n_factors):
            X[u, f] = b[f]


@njit(nogil=True, cache=True, fastmath=REORDER)
def solve_cholesky(A, b):
    """Overwrite b with the solution of A x = b, A symmetric positive semi-definite; its upper half is used up.

    A = R^T R by rows, four at a time. The diagonal of R is kept as reciprocals; that of a row which depends on those
    before it is 0, and so is its x.
    """
    n = len(b)
    zero = A.dtype.type(0)
    tiny = A.dtype.type(n) * np.finfo(A.dtype).eps
    floor = np.empty(n, A.dtype)
    for k in range(n):
        floor[k] = tiny * A[k, k]
    for panel in range(0, n, 4):
        after = min(panel + 4, n)
        for k in range(panel, after):
            for m in range(panel, k):
                c0 = A[m, k]
                for j in range(k, n):
                    A[k, j] -= c0 * A[m, j]
            inverse = 1 / np.sqrt(A[k, k]) if A[k, k] > floor[k] else zero
            for j in range(k + 1, n):
                A[k, j] *= inverse
            A[k, k] = inverse
        if after == panel + 4:
            for i in range(after, n):
                c0, c1, c2, c3 = A[panel, i], A[panel + 1, i], A[panel + 2, i], A[panel + 3, i]
                for j in range(i, n):
                    A[i, j] -= c0 * A[panel, j] + c1 * A[panel + 1, j] + c2 * A[panel + 2, j] + c3 * A[panel + 3, j]
    for k in range(n):
        b[k] *= A[k, k]
        c0 = b[k]
        for j in range(k + 1, n):
            b[j] -= c0 * A[k, j]
    for k in range(n - 1, -1, -1):
        dot = zero
        for j in range(k + 1, n):
            dot += A[k, j] * b[j]
        b[k] = (b[k] - dot) * A[k, k]


@njit(nogil=True, cache=True, fastmath=REORDER)
def observed_loss(start, stop, indptr, indices, data, X, Y, offset):
    """Return sum of w s^2 - 2 (w + offset) s + w + offset over the nonzeros of rows start..stop, s = x_u . y_i.

    In double precision; that is w (s - 1)^2 where offset is 0.
    """
    n_factors = X.shape[1]
    total = 0.0
    for u in range(start, stop):
        for s in range(indptr[u], indptr[u + 1]):
            j = indices[s]
            product = X.dtype.type(0)
            for f in range(n_factors):
                product += X[u, f] * Y[j, f]
            dot, w = np.float64(product), np.float64(data[s])
            total += w * (dot - 1) ** 2 + offset * (1 - 2 * dot)
    return total
