"""Fused passes of conjugate gradients over rows that are a linear map of features plus deviations."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.conjugate_gradient import add_products
from lrrec.linalg.kernels.memory_access import gather, longest_row


@kernel(fastmath=REORDER)
def curve_rows(start, stop, indptr, indices, weights, Y, shared, lam, ratio, Z, P, D, image, A):
    """Step to the next direction, and multiply it by the Hessian of the loss; return sum p . a in double precision.

    Row i: p = ratio p + z, the direction of the deviation; d += p, that of the row, where D comes in as that of the
    map; image = shared d + sum_u w_u (y_u . d) y_u; a = image + lam_i p. P, D, image, A (U, D) are written.
    """
    n_factors, longest = Y.shape[1], longest_row(start, stop, indptr)
    q = np.empty((longest, n_factors), Y.dtype)
    w = np.empty(longest, Y.dtype)
    d = np.empty(n_factors, Y.dtype)
    t = np.empty(n_factors, Y.dtype)
    total = 0.0
    for i in range(start, stop):
        for f in range(n_factors):
            P[i, f] = ratio * P[i, f] + Z[i, f]
            d[f] = D[i, f] + P[i, f]
            t[f] = shared[f] * d[f]
        n = gather(Y, indices, weights, indptr[i], indptr[i + 1], q, w)
        add_products(q, w, n, d, t)
        product = Y.dtype.type(0)
        for f in range(n_factors):
            D[i, f] = d[f]
            image[i, f] = t[f]
            A[i, f] = t[f] + lam[i] * P[i, f]
            product += P[i, f] * A[i, f]
        total += np.float64(product)
    return total


@kernel(fastmath=REORDER)
def advance_rows(start, stop, step, D, A, scale, X, R, Z):
    """Take a step: x += step d, r -= step a, z = scale r, all (U, D); return sum r . z in double precision."""
    total = 0.0
    for i in range(start, stop):
        product = X.dtype.type(0)
        for f in range(X.shape[1]):
            X[i, f] += step * D[i, f]
            R[i, f] -= step * A[i, f]
            Z[i, f] = scale[i, f] * R[i, f]
            product += R[i, f] * Z[i, f]
        total += np.float64(product)
    return total


@kernel(fastmath=REORDER)
def add_rows(start, stop, ratio, X, out):
    """Out += ratio X, all (U, D), and return sum out . X in double precision."""
    total = 0.0
    for i in range(start, stop):
        product = X.dtype.type(0)
        for f in range(X.shape[1]):
            out[i, f] += ratio * X[i, f]
            product += out[i, f] * X[i, f]
        total += np.float64(product)
    return total
