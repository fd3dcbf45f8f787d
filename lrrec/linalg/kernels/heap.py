"""Masking, and the k largest scores of every row of a block."""

import numpy as np

from lrrec.linalg.jit import kernel

STRIPE = 64  # scores compared together


@kernel()
def mask_rows(scores, indptr, indices, rows):
    """Set scores[b, i] to -inf for every nonzero i of the csr row rows[b]; no row where rows[b] is negative."""
    for b in range(scores.shape[0]):
        if rows[b] < 0:
            continue
        for s in range(indptr[rows[b]], indptr[rows[b] + 1]):
            scores[b, indices[s]] = -np.inf


@kernel()
def mark_zeros(scores):
    """Replace 0 by NaN in an array (B, I)."""
    for b in range(scores.shape[0]):
        row = scores[b]
        for i in range(len(row)):
            row[i] = np.nan if row[i] == 0 else row[i]


@kernel(inline="always")
def count_above(scores, b, begin, threshold):
    """Return how many of the STRIPE scores from scores[b, begin] on are above threshold; NaN never is.

    The length is a constant, so that the loop compiles to a few SIMD instructions.
    """
    n = np.int32(0)
    for i in range(STRIPE):
        n += np.int32(scores[b, begin + i] > threshold)
    return n


@kernel()
def top_k_rows(scores, out_indices, out_scores, heap, at):
    """Write the k largest of each row, best first; of equal scores the smaller column first.

    scores (B, I), out_indices int32 and out_scores (B, K). -inf and NaN are left out; unfilled places have index -1 and
    score NaN. Buffers: heap and at (K,), of the types of the outputs. The heap of the best, worst on top, is only used
    where a score in a stripe of columns beats the worst.
    """
    n_columns, k = scores.shape[1], len(heap)
    for b in range(scores.shape[0]):
        size = np.int64(0)
        threshold = scores.dtype.type(-np.inf)
        for stripe in range((n_columns + STRIPE - 1) // STRIPE):
            begin = stripe * STRIPE
            end = begin + STRIPE if begin + STRIPE < n_columns else n_columns
            if end - begin == STRIPE and count_above(scores, b, begin, threshold) == 0:
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


@kernel(helper=True)
def push(heap, at, size, value, column):
    """Add an entry to a heap of at most len(heap) entries, from which the worst is dropped; return the new size.

    The worst entry is on top: of equal values the one with the larger column. NaN is not added to a full heap.
    """
    if size < len(heap):
        heap[size], at[size] = value, column
        _rise(heap, at, size)
        return size + 1
    if value > heap[0] or (value == heap[0] and column < at[0]):
        heap[0], at[0] = value, column
        _sink(heap, at, size)
    return size


@kernel(inline="always")
def _worse(heap, at, a, b):
    """Whether entry a ranks behind entry b: a smaller score, or the same score and a larger column."""
    return heap[a] < heap[b] or (heap[a] == heap[b] and at[a] > at[b])


@kernel(helper=True)
def _rise(heap, at, i):
    """Move the last entry up to its place."""
    while i > 0:
        parent = (i - 1) // 2
        if not _worse(heap, at, i, parent):
            return
        heap[i], heap[parent] = heap[parent], heap[i]
        at[i], at[parent] = at[parent], at[i]
        i = parent


@kernel(helper=True)
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
