"""Scores by the dual form of item-item weights."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel


@kernel(fastmath=REORDER)
def dual_products(h_indptr, h_indices, h_data, x_indptr, x_indices, x_data, s, L, out):
    """Write [H X^T, H diag(s) L], float64 (B, N + D), for H (B, I) and X (N, I) in csr, s (I,), L (I, D)."""
    n, n_factors = len(x_indptr) - 1, L.shape[1]
    history = np.zeros(len(s))
    for b in range(len(out)):
        t = out[b]
        t[n:] = 0
        for z in range(h_indptr[b], h_indptr[b + 1]):
            i = h_indices[z]
            history[i] = h_data[z]
            weight = h_data[z] * s[i]
            for f in range(n_factors):
                t[n + f] += weight * L[i, f]
        for u in range(n):
            total = 0.0
            for z in range(x_indptr[u], x_indptr[u + 1]):
                total += history[x_indices[z]] * x_data[z]
            t[u] = total
        for z in range(h_indptr[b], h_indptr[b + 1]):
            history[h_indices[z]] = 0


@kernel(fastmath=REORDER)
def finish_dual_rows(products, C, s, diagonal, x_indptr, x_indices, x_data, h_indptr, h_indices, h_data):
    """Turn products (B, I) into (s products + C X + H (diagonal - 1)) / diagonal, in place.

    C (B, N) for users' rows X (N, I) in csr, histories H (B, I) in csr, s and diagonal (I,).
    """
    n_rows, n = C.shape
    n_items = len(s)
    factor, inverse = np.empty(n_items, products.dtype), np.empty(n_items, products.dtype)
    for i in range(n_items):
        factor[i], inverse[i] = s[i], 1 / diagonal[i]
    for b in range(n_rows):
        row = products[b]
        for i in range(n_items):
            row[i] *= factor[i]
        for u in range(n):
            c = np.float32(C[b, u])
            for z in range(x_indptr[u], x_indptr[u + 1]):
                row[x_indices[z]] += c * x_data[z]
        for z in range(h_indptr[b], h_indptr[b + 1]):
            i = h_indices[z]
            row[i] += h_data[z] * (diagonal[i] - 1)
        for i in range(n_items):
            row[i] *= inverse[i]
