"""Products of a sparse matrix with a block of dense vectors, and products of factors at its entries."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.memory_access import prefetch

AHEAD = 32  # distance in rows between the one multiplied and the one prefetched, where rows are read one after another
SORTED = 16  # of rows that fill less than this part of the columns, the indices are sorted; others are read in order


@kernel(fastmath=REORDER, inline="always")
def add_row(begin, end, indices, data, X, t):
    """Add sum_s w_s X[i_s] over the entries begin..end to t, four vectors at a time."""
    n = X.shape[1]
    fours = (end - begin) // 4
    for group in range(fours):
        s = begin + 4 * group
        if s + 11 < end:
            for ahead in range(8, 12):
                for z in range(0, n, 16):
                    prefetch(X, indices[s + ahead], z)  # type: ignore[call-arg]
        i0, i1, i2, i3 = indices[s], indices[s + 1], indices[s + 2], indices[s + 3]
        w0, w1, w2, w3 = data[s], data[s + 1], data[s + 2], data[s + 3]
        for f in range(n):
            t[f] += w0 * X[i0, f] + w1 * X[i1, f] + w2 * X[i2, f] + w3 * X[i3, f]
    for s in range(begin + 4 * fours, end):
        i0, w0 = indices[s], data[s]
        for f in range(n):
            t[f] += w0 * X[i0, f]


@kernel(fastmath=REORDER)
def times_rows(start, stop, indptr, indices, data, X, out):
    """Write A X for the rows start..stop of the csr matrix A. X (I, B), out (U, B)."""
    n = X.shape[1]
    t = np.empty(n, X.dtype)
    for u in range(start, stop):
        for f in range(n):
            t[f] = 0
        add_row(indptr[u], indptr[u + 1], indices, data, X, t)
        for f in range(n):
            out[u, f] = t[f]


@kernel(fastmath=REORDER)
def gram_times(start, stop, indptr, indices, data, X, out):
    """Add A^T A X for the rows start..stop of the csr matrix A, in one pass over them. X, out (I, B)."""
    n = X.shape[1]
    t = np.empty(n, X.dtype)
    for u in range(start, stop):
        for f in range(n):
            t[f] = 0
        add_row(indptr[u], indptr[u + 1], indices, data, X, t)
        for s in range(indptr[u], indptr[u + 1]):
            if s + 8 < indptr[u + 1]:
                for z in range(0, n, 16):
                    prefetch(out, indices[s + 8], z)  # type: ignore[call-arg]
            j, w = indices[s], data[s]
            for f in range(n):
                out[j, f] += w * t[f]


@kernel(fastmath=REORDER)
def co_occurrences(start, stop, item_indptr, users, weights, user_indptr, items, data, out):
    """Write the rows start..stop of the upper half of X^T X, for X both in csc and in csr.

    X^T in csr: item_indptr (I + 1,), users, weights. X in csr, sorted: user_indptr (U + 1,), items, data. out (I, I).
    """
    for i in range(start, stop):
        for s in range(item_indptr[i], item_indptr[i + 1]):
            u, w = users[s], weights[s]
            z = user_indptr[u + 1] - 1
            while z >= user_indptr[u] and items[z] >= i:
                out[i, items[z]] += w * data[z]
                z -= 1


@kernel(fastmath=REORDER)
def gram_rows(start, stop, item_indptr, users, weights, user_indptr, items, data, n_items):
    """Return the rows start..stop of X^T X in csr, sorted: their lengths, indices and values.

    X^T in csr: item_indptr (I + 1,), users, weights. X in csr: user_indptr (U + 1,), items, data.
    """
    room = 0
    for i in range(start, stop):
        longest = 0
        for s in range(item_indptr[i], item_indptr[i + 1]):
            longest += user_indptr[users[s] + 1] - user_indptr[users[s]]
        room += min(longest, n_items)
    indices, values = np.empty(room, np.int32), np.empty(room, data.dtype)  # memory that is not written is not used
    lengths = np.zeros(stop - start, np.int64)
    sums, of_item = np.zeros(n_items), np.full(n_items, -1, np.int32)
    filled = 0
    for i in range(start, stop):
        row, length = indices[filled:], 0
        for s in range(item_indptr[i], item_indptr[i + 1]):
            w = np.float64(weights[s])
            for z in range(user_indptr[users[s]], user_indptr[users[s] + 1]):
                j = items[z]
                if of_item[j] != i:
                    of_item[j], sums[j], row[length] = i, 0, j
                    length += 1
                sums[j] += w * data[z]
        if length < n_items // SORTED:
            row[:length].sort()
        else:
            length = 0
            for j in range(n_items):
                if of_item[j] == i:
                    row[length] = j
                    length += 1
        for s in range(length):
            values[filled + s] = sums[row[s]]
        lengths[i - start] = length
        filled += length
    return lengths, indices[:filled].copy(), values[:filled].copy()


@kernel(fastmath=REORDER)
def dot_rows(start, stop, indptr, indices, X, Y, out):
    """Write x_u . y_i for every entry of the rows start..stop of a csr matrix. X (U, D), Y (I, D), out (N,)."""
    n = X.shape[1]
    for u in range(start, stop):
        for s in range(indptr[u], indptr[u + 1]):
            i, total = indices[s], X[u, 0] * 0
            for f in range(n):
                total += X[u, f] * Y[i, f]
            out[s] = total


@kernel(fastmath=REORDER)
def observed_loss(start, stop, indptr, indices, weights, linear, X, Y):
    """Return the sum of w s^2 - 2 b s over the cells of the rows start..stop, s = x_u . y_i, in double precision.

    weights w and linear b (N,), X (U, D), Y (I, D).
    """
    n_factors = X.shape[1]
    total = 0.0
    for u in range(start, stop):
        for s in range(indptr[u], indptr[u + 1]):
            j, dot = indices[s], X[u, 0] * 0
            for f in range(n_factors):
                dot += X[u, f] * Y[j, f]
            score = np.float64(dot)
            total += (np.float64(weights[s]) * score - 2 * np.float64(linear[s])) * score
    return total


@kernel(fastmath=REORDER)
def few_products(X, Y, out):
    """Write X Y^T for a few rows X (B, D) and Y (I, D), four of its rows at a time. out (B, I)."""
    n, n_rows = X.shape[1], len(Y)
    for u in range(len(X)):
        x, t = X[u], out[u]
        for i in range(0, n_rows - 3, 4):
            if i + AHEAD + 4 < n_rows:
                for ahead in range(i + AHEAD, i + AHEAD + 4):
                    for z in range(0, n, 16):
                        prefetch(Y, ahead, z)  # type: ignore[call-arg]
            t0 = t1 = t2 = t3 = Y.dtype.type(0)
            for f in range(n):
                t0 += x[f] * Y[i, f]
                t1 += x[f] * Y[i + 1, f]
                t2 += x[f] * Y[i + 2, f]
                t3 += x[f] * Y[i + 3, f]
            t[i], t[i + 1], t[i + 2], t[i + 3] = t0, t1, t2, t3
        for i in range(n_rows - n_rows % 4, n_rows):
            t0 = Y.dtype.type(0)
            for f in range(n):
                t0 += x[f] * Y[i, f]
            t[i] = t0
