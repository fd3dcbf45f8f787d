"""The compiled inner loops: the only file that imports numba.

Each kernel works through a block of rows of a csr matrix, releases the interpreter lock, and gives every row a
result that depends on nothing but the row: results are bit-identical for any number of threads.

U, I: users, items; D: factors; N: nonzeros of a row; K: length of a list; B: rows of a block.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# Sums may be reordered (for SIMD); NaN and infinity keep their meaning.
REORDER = {"reassoc", "contract", "nsz", "arcp"}
AHEAD = 8  # vectors between the one gathered and the one asked for from memory
STRIPE = 64  # scores looked at together by top_k_rows


@intrinsic
def prefetch(typingctx: Any, array: Any, i: Any, j: Any) -> Any:
    """Ask for the cache line of array[i, j] of a two-dimensional array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, args[0])
        at = [context.cast(builder, v, t, types.intp) for v, t in zip(args[1:], signature.args[1:], strict=True)]
        pointer = cgutils.get_item_pointer(context, builder, kind, data, at, wraparound=False)
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        call = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0"
        )
        builder.call(call, [builder.bitcast(pointer, byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, i, j), codegen


@njit(nogil=True, cache=True, fastmath=REORDER, inline="always")
def gather(Y, indices, begin, end, q):
    """Copy the rows of Y named by indices[begin:end] into q (N, D)."""
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


@njit(nogil=True, cache=True, fastmath=REORDER)
def cg_rows(start, stop, indptr, indices, data, Y, shared, lam, n_steps, X):
    """Improve each row's X[u] by preconditioned conjugate gradients, in the basis where the shared part is diagonal.

    Row u: (diag(shared) + lam[u] I + sum_i w_i y_i y_i^T) x = sum_i w_i y_i.
    shared (D,), lam (U,), Y (I, D), X (U, D): start values in, results out. A row without nonzeros becomes 0.
    """
    n_factors = Y.shape[1]
    longest = 1
    for u in range(start, stop):
        longest = max(longest, indptr[u + 1] - indptr[u])
    q = np.empty((longest, n_factors), Y.dtype)
    x = np.empty(n_factors, Y.dtype)
    r = np.empty(n_factors, Y.dtype)
    p = np.empty(n_factors, Y.dtype)
    Ap = np.empty(n_factors, Y.dtype)
    scale = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        if begin == end:
            for f in range(n_factors):
                X[u, f] = 0
            continue
        gather(Y, indices, begin, end, q)
        n = end - begin
        for f in range(n_factors):
            x[f] = X[u, f]
            scale[f] = shared[f] + lam[u]
            r[f] = -scale[f] * x[f]
        for s in range(n):
            w = data[begin + s]
            dot = Y.dtype.type(0)
            for f in range(n_factors):
                dot += q[s, f] * x[f]
            miss = w * (1 - dot)
            for f in range(n_factors):
                r[f] += miss * q[s, f]
                scale[f] += w * q[s, f] * q[s, f]
        rz = Y.dtype.type(0)
        for f in range(n_factors):
            scale[f] = 1 / scale[f] if scale[f] > 0 else Y.dtype.type(0)
            p[f] = scale[f] * r[f]
            rz += r[f] * p[f]
        for _ in range(n_steps):
            if not rz > 0:
                break
            for f in range(n_factors):
                Ap[f] = (shared[f] + lam[u]) * p[f]
            for s in range(n):
                dot = Y.dtype.type(0)
                for f in range(n_factors):
                    dot += q[s, f] * p[f]
                dot *= data[begin + s]
                for f in range(n_factors):
                    Ap[f] += dot * q[s, f]
            pAp = Y.dtype.type(0)
            for f in range(n_factors):
                pAp += p[f] * Ap[f]
            if not pAp > 0:
                break
            alpha = rz / pAp
            new = Y.dtype.type(0)
            for f in range(n_factors):
                x[f] += alpha * p[f]
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
def exact_rows(start, stop, indptr, indices, data, Y, shared, lam, X):
    """Solve each row exactly by Cholesky.

    Row u: (shared + lam[u] I + sum_i w_i y_i y_i^T) x = sum_i w_i y_i.
    shared (D, D), lam (U,), Y (I, D), X (U, D). A row without nonzeros becomes 0; a direction that neither data
    nor regularization determine is left at 0.
    """
    n_factors = Y.shape[1]
    longest = 1
    for u in range(start, stop):
        longest = max(longest, indptr[u + 1] - indptr[u])
    q = np.empty((longest, n_factors), Y.dtype)
    A = np.empty((n_factors, n_factors), Y.dtype)
    b = np.empty(n_factors, Y.dtype)
    for u in range(start, stop):
        begin, end = indptr[u], indptr[u + 1]
        if begin == end:
            for f in range(n_factors):
                X[u, f] = 0
            continue
        n = end - begin
        gather(Y, indices, begin, end, q)
        for f in range(n_factors):
            b[f] = 0
        for s in range(n):
            w = data[begin + s]
            root = np.sqrt(w)
            for f in range(n_factors):
                b[f] += w * q[s, f]
                q[s, f] *= root
        np.dot(q[:n].T, q[:n], A)  # BLAS
        for f in range(n_factors):
            for g in range(n_factors):
                A[f, g] += shared[f, g]
            A[f, f] += lam[u]
        solve_cholesky(A, b)
        for f in range(n_factors):
            X[u, f] = b[f]


@njit(nogil=True, cache=True, fastmath=REORDER)
def solve_cholesky(A, b):
    """Overwrite b with the solution of A x = b, A symmetric positive semi-definite; its lower half is used up."""
    n = len(b)
    tiny = A.dtype.type(n) * np.finfo(A.dtype).eps
    for i in range(n):
        floor = tiny * A[i, i]
        for j in range(i):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = s * A[j, j]  # the diagonal holds reciprocals
        s = A[i, i]
        for k in range(i):
            s -= A[i, k] * A[i, k]
        A[i, i] = 1 / np.sqrt(s) if s > floor else A.dtype.type(0)
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= A[i, k] * b[k]
        b[i] = s * A[i, i]
    for i in range(n - 1, -1, -1):
        b[i] *= A[i, i]
        for k in range(i):
            b[k] -= A[i, k] * b[i]


@njit(nogil=True, cache=True, fastmath=REORDER)
def observed_loss(start, stop, indptr, indices, data, X, Y):
    """Return sum_ui w_ui ((x_u . y_i - 1)^2) over the nonzeros of rows start..stop, in double precision."""
    n_factors = X.shape[1]
    total = 0.0
    for u in range(start, stop):
        for s in range(indptr[u], indptr[u + 1]):
            j = indices[s]
            dot = X.dtype.type(0)
            for f in range(n_factors):
                dot += X[u, f] * Y[j, f]
            total += data[s] * (np.float64(dot) - 1) ** 2
    return total


@njit(nogil=True, cache=True)
def mask_rows(scores, indptr, indices, rows):
    """Set scores[b, i] to -inf for every nonzero i of the csr row rows[b]; no row where rows[b] is negative."""
    for b in range(scores.shape[0]):
        if rows[b] < 0:
            continue
        for s in range(indptr[rows[b]], indptr[rows[b] + 1]):
            scores[b, indices[s]] = -np.inf


@njit(nogil=True, cache=True, inline="always")
def count_above(scores, b, begin, end, threshold):
    """How many of scores[b, begin:end] are above threshold; NaN never is."""
    n = np.int32(0)
    for i in range(begin, end):
        n += np.int32(scores[b, i] > threshold)
    return n


@njit(nogil=True, cache=True)
def top_k_rows(scores, k, out_indices, out_scores):
    """Write the k largest of each row, best first; equal scores by column. -inf is never taken: index -1, score nan.

    scores (B, I), out_indices int32 and out_scores (B, K). A heap with the worst on top is only looked at where
    something in a stripe of columns beats it.
    """
    n_columns = scores.shape[1]
    heap = np.empty(k, scores.dtype)
    at = np.empty(k, np.int32)
    for b in range(scores.shape[0]):
        size = 0
        threshold = scores.dtype.type(-np.inf)
        for begin in range(0, n_columns, STRIPE):
            end = min(begin + STRIPE, n_columns)
            if count_above(scores, b, begin, end, threshold) == 0:
                continue
            for i in range(begin, end):
                value = scores[b, i]
                if not value > threshold:
                    continue
                if size < k:
                    heap[size], at[size] = value, i
                    size += 1
                    _rise(heap, at, size - 1)
                    if size < k:
                        continue
                else:
                    heap[0], at[0] = value, i
                    _sink(heap, at, size)
                threshold = heap[0]
        for place in range(size, k):
            out_indices[b, place] = -1
            out_scores[b, place] = np.nan
        while size > 0:
            size -= 1
            out_indices[b, size], out_scores[b, size] = at[0], heap[0]
            heap[0], at[0] = heap[size], at[size]
            _sink(heap, at, size)


@njit(nogil=True, cache=True, inline="always")
def _worse(heap, at, a, b):
    """Whether entry a ranks behind entry b: a smaller score, or the same score and a larger column."""
    return heap[a] < heap[b] or (heap[a] == heap[b] and at[a] > at[b])


@njit(nogil=True, cache=True)
def _rise(heap, at, i):
    """Move the last entry up to its place."""
    while i > 0:
        parent = (i - 1) // 2
        if not _worse(heap, at, i, parent):
            return
        heap[i], heap[parent] = heap[parent], heap[i]
        at[i], at[parent] = at[parent], at[i]
        i = parent


@njit(nogil=True, cache=True)
def _sink(heap, at, size):
    """Move the top entry down to its place."""
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            return
        if child + 1 < size and _worse(heap, at, child + 1, child):
            child += 1
        if not _worse(heap, at, child, i):
            return
        heap[i], heap[child] = heap[child], heap[i]
        at[i], at[child] = at[child], at[i]
        i = child
