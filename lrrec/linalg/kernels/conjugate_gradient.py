"""Row solver of implicit ALS by a few steps of conjugate gradients."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.memory_access import gather, longest_row


@kernel(fastmath=REORDER, inline="always")
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


@kernel(inline="always")
def is_zero(values, start, stop):
    """Return whether values[start:stop] are all zero."""
    zero = True
    for s in range(start, stop):
        zero &= values[s] == 0
    return zero


@kernel(fastmath=REORDER)
def cg_rows(start, stop, indptr, indices, data, linear, Y, shared, lam, offset, cg_steps, tolerance, X):
    """Improve each row's X[u] by preconditioned conjugate gradients, in the basis where the shared part is diagonal.

    Row u: (diag(shared) + lam[u] I + sum_i w_i y_i y_i^T) x = sum_i b_i y_i, where b is `linear`, or w + offset where
    that is empty.
    shared (D,), lam (U,), Y (I, D), X (U, D): initial values in, results out. A row without nonzeros, or with
    a right-hand side of zeros, becomes 0. A row takes cg_steps, or fewer if its residual is at most tolerance times
    the row itself, both in the norm of the preconditioner; 0 for no such test.
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
        if begin == end or (len(linear) and is_zero(linear, begin, end)):
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
        if len(linear):
            for s in range(end - begin):
                excess = w[s] + offset - linear[begin + s]
                for f in range(n_factors):
                    r[f] -= excess * q[s, f]
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
            if tolerance > 0:
                size = zero
                for f in range(n_factors):
                    if scale[f] > 0:
                        size += x[f] * x[f] / scale[f]
                if new <= tolerance * tolerance * size:
                    break
            beta = new / rz
            rz = new
            for f in range(n_factors):
                p[f] = Ap[f] + beta * p[f]
        for f in range(n_factors):
            X[u, f] = x[f]
