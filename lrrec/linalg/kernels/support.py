"""Ridge regression of each item on a few others, its support, from sparse products of items.

X in csr, with the items of a user sorted: user_indptr (U + 1,), items, data (N,). X^T in csr: item_indptr (I + 1,),
users, weights (N,). The lower half of G = X^T X without its diagonal in csr, in any order within a row: indptr (I + 1,)
int64, lower, products. Items are numbered by falling popularity, so that rows of the lower half are short.
"""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.blas import factor_cholesky
from lrrec.linalg.kernels.heap import push


@kernel()
def pair_counts(start, stop, item_indptr, users, user_indptr, items, out):
    """Write how many items before i share a user with it, for i from start to stop. out (I,)."""
    last = np.full(len(item_indptr) - 1, -1, np.int32)  # the last item that an item was counted for
    for i in range(start, stop):
        count = 0
        for s in range(item_indptr[i], item_indptr[i + 1]):
            u = users[s]
            for z in range(user_indptr[u], user_indptr[u + 1]):
                j = items[z]
                if j >= i:
                    break
                if last[j] != i:
                    last[j] = i
                    count += 1
        out[i] = count


@kernel()
def pair_products(
    start, stop, item_indptr, users, weights, user_indptr, items, data, indptr, lower, products
):  # fmt: skip
    """Write the rows start..stop of the lower half of G to `lower` and `products`."""
    place = np.full(len(item_indptr) - 1, -1, np.int64)
    for i in range(start, stop):
        end = indptr[i]
        for s in range(item_indptr[i], item_indptr[i + 1]):
            u, w = users[s], weights[s]
            for z in range(user_indptr[u], user_indptr[u + 1]):
                j = items[z]
                if j >= i:
                    break
                if place[j] < indptr[i]:
                    place[j] = end
                    lower[end] = j
                    products[end] = 0
                    end += 1
                products[place[j]] += w * data[z]


@kernel(helper=True)
def choose_support(i, item_indptr, users, weights, user_indptr, items, data, norms, last, touched, sums, heap, at):
    """Write the support of item i to at (K,), and G_ij to sums[j] for j in it; return its size.

    The support are the K other items with the largest cosine G_ij / (norms[i] norms[j]), of equal ones the more
    popular. Buffers: last (I,), the last item that an item was summed for; touched (I,), heap (K,).
    """
    n_touched, size, j = 0, 0, 0
    for s in range(item_indptr[i], item_indptr[i + 1]):
        u, w = users[s], weights[s]
        for z in range(user_indptr[u], user_indptr[u + 1]):
            j = items[z]
            if last[j] != i:
                last[j] = i
                sums[j] = 0
                touched[n_touched] = j
                n_touched += 1
            sums[j] += w * data[z]
    for t in range(n_touched):
        j = touched[t]
        if j != i:
            cosine = sums[j] / norms[j] if norms[j] > 0 else sums.dtype.type(0)
            size = push(heap, at, size, cosine, j)
    j = 0
    while size < len(at) and j < len(norms):
        if j != i and last[j] != i:
            at[size] = j
            sums[j] = 0
            size += 1
        j += 1
    return size


@kernel(helper=True, fastmath=REORDER)
def solve_factored(L, b, n):
    """Overwrite b[:n] with the solution of L L^T x = b[:n], L the lower half of L[:n, :n]."""
    for p in range(n):
        dot = b[p]
        for q in range(p):
            dot -= L[p, q] * b[q]
        b[p] = dot / L[p, p]
    for p in range(n - 1, -1, -1):
        b[p] /= L[p, p]
        c = b[p]
        for q in range(p):
            b[q] -= L[p, q] * c


@kernel()
def support_columns(
    start, stop, item_indptr, users, weights, user_indptr, items, data, indptr, lower, products, norms, diagonal, eps,
    names, out_items, out_weights,
):  # fmt: skip
    """Write the support S and the weights b of the items start..stop; return whether all could be solved.

    (G_SS + diag(diagonal_S - G_SS)) b = G_Si, of at most K items. norms, diagonal (I,). Item i is called names[i] in
    the results: out_items and out_weights (I, K), by rows. They are solved in the type of the diagonal, of precision
    eps. A matrix that is not positive definite in it ends the block.
    """
    n_items, k = out_items.shape
    last, place = np.full(n_items, -1, np.int32), np.full(n_items, -1, np.int32)
    touched, sums = np.empty(n_items, np.int32), np.empty(n_items, products.dtype)
    heap, at = np.empty(k, products.dtype), np.empty(k, np.int32)
    A, b = np.empty((k, k), diagonal.dtype), np.empty(k, diagonal.dtype)
    for i in range(start, stop):
        n = choose_support(
            i, item_indptr, users, weights, user_indptr, items, data, norms, last, touched, sums, heap, at
        )  # fmt: skip
        for p in range(n):
            place[at[p]] = p
            for q in range(p):
                A[p, q] = 0
        for p in range(n):
            j = at[p]
            b[p], A[p, p] = sums[j], diagonal[j]
            for z in range(indptr[j], indptr[j + 1]):
                q = place[lower[z]]
                if q >= 0:
                    A[max(p, q), min(p, q)] = products[z]
        for p in range(n):
            place[at[p]] = -1
        if factor_cholesky(A, n) != 0:  # type: ignore[call-arg]
            return False
        for p in range(n):
            if not A[p, p] ** 2 > 8 * eps * diagonal[at[p]]:
                return False
        solve_factored(A, b, n)
        for p in range(n):
            out_items[names[i], p], out_weights[names[i], p] = names[at[p]], b[p]
    return True
