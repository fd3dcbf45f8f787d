"""Elastic-net regression of each item on the others, by coordinate descent on the Gram matrix.

For a target item i, and G = X^T X, the weights w minimise 1/2 |x_i - X w|^2 + l1_reg |w|_1 + l2_reg / 2 |w|^2, w_i = 0.
A candidate is an item whose weight may be other than 0; its slope is x_j . (x_i - X w), its curvature G_jj, and its
step how far its weight is from the minimum along it. C: candidates of an item; A: those taken into a block.
"""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel
from lrrec.linalg.kernels.matmul import add_row

FIRST, CAPACITY = 256, 1024  # candidates in a block: at first, and at most
ROW_CELLS = 2**23  # numbers of the dense rows of candidates in a block, of a sparse Gram matrix
SHARE = 0.7  # of the largest step that a candidate's has to reach to be taken; its square the next time, and so on
INNER = 0.01  # of the largest step: a block is left when its own steps are no larger
LANES = 32  # rows of a block are padded to a multiple of it: the loop over them has no remainder


@kernel(fastmath=REORDER, inline="always")
def step_of(slope, weight, curvature, inverse, l1_reg, below):
    """Return the step of a candidate. inverse: 1 / (curvature + l2_reg); below: 1 where weights may be < 0, else 0."""
    pull = slope + curvature * weight
    return (max(pull - l1_reg, 0.0) + below * min(pull + l1_reg, 0.0)) * inverse - weight


@kernel(fastmath=REORDER | {"nnan"}, helper=True)  # a maximum is vectorized where there can be no NaN
def largest_step(n, slopes, weights, curvature, inverse, l1_reg, below):
    """Return the largest size of a step of n candidates."""
    largest = 0.0
    for c in range(n):
        largest = max(largest, abs(step_of(slopes[c], weights[c], curvature[c], inverse[c], l1_reg, below)))
    return largest


@kernel(fastmath=REORDER, helper=True)
def solve_block(size, chosen, block, pulls, weights, inverse, l1_reg, below, n_iter, goal):
    """Improve the weights of a block until no step exceeds the goal; return how many of n_iter passes are left.

    chosen (A,): its candidates; block (A, padded): their Gram matrix, with a diagonal of 0; pulls (padded,): slope +
    curvature x weight of each, overwritten. A step changes the pulls of others alone.
    """
    padded = (size + LANES - 1) // LANES * LANES
    pulls[size:padded] = 0
    moved = np.inf
    while n_iter > 0 and moved > goal:
        n_iter -= 1
        moved = 0.0
        for a in range(size):
            c, pull = chosen[a], pulls[a]
            step = -weights[c]
            if pull > l1_reg:
                step += (pull - l1_reg) * inverse[c]
            elif pull < -l1_reg:
                step += below * (pull + l1_reg) * inverse[c]
            if step != 0:
                weights[c] += step
                moved = max(moved, abs(step))
                for b in range(padded):
                    pulls[b] -= step * block[a, b]
    return n_iter


@kernel(fastmath=REORDER, helper=True)
def descend(n, gram, candidates, scratch, rows, block, l1_reg, below, n_iter, tol):
    """Improve weights and slopes of n candidates until no step exceeds tol, or the block is full.

    Returns how many of n_iter passes are left, and whether the block is full. Each look at all candidates takes those
    with large steps into the block, which is then solved.
    With a sparse Gram matrix, rows (A, C + 1) become theirs; position (I,) is C for items that are no candidates.
    """
    indptr, indices, data, dense = gram
    items, position, curvature, inverse, weights, slopes = candidates
    chosen, place, pulls, before, moved = scratch
    sparse = len(dense) == 0
    size, share = 0, SHARE
    place[:n] = -1
    while n_iter > 0:
        n_iter -= 1
        largest = largest_step(n, slopes, weights, curvature, inverse, l1_reg, below)
        if not largest > tol:
            return n_iter, False
        if size == len(block):
            return n_iter, True
        least = max(share * largest, tol)
        share *= SHARE
        for c in range(n):
            step = step_of(slopes[c], weights[c], curvature[c], inverse[c], l1_reg, below)
            if abs(step) < least or place[c] >= 0 or size == len(block):
                continue
            if sparse:
                rows[size, :] = 0
                for s in range(indptr[items[c]], indptr[items[c] + 1]):
                    rows[size, position[indices[s]]] = data[s]
            chosen[size], place[c] = c, size
            for a in range(size + 1):
                value = rows[size, chosen[a]] if sparse else dense[c, chosen[a]]
                block[size, a] = value
                block[a, size] = value
            block[size, size] = 0
            size += 1
        for a in range(size):
            c = chosen[a]
            pulls[a], before[a] = slopes[c] + curvature[c] * weights[c], weights[c]
        goal = max(INNER * largest, 0.5 * tol)
        n_iter = solve_block(size, chosen, block, pulls, weights, inverse, l1_reg, below, n_iter, goal)
        n_moved = 0
        for a in range(size):
            change = before[a] - weights[chosen[a]]
            if change != 0:
                moved[n_moved], before[n_moved] = a if sparse else chosen[a], change
                n_moved += 1
        if sparse:
            add_row(0, n_moved, moved, before, rows, slopes)
        else:
            add_row(0, n_moved, moved, before, dense, slopes)
    return n_iter, False


@kernel(fastmath=REORDER, helper=True)
def add_violators(i, n, gram, candidates, diagonal, inverses, gradient, l1_reg, below, tol):
    """Set the slopes of n candidates anew, and add the other items that have a step of more than tol; return n."""
    indptr, indices, data, _ = gram
    items, position, _, _, weights, slopes = candidates
    gradient[:] = 0
    for s in range(indptr[i], indptr[i + 1]):
        gradient[indices[s]] = data[s]
    for c in range(n):
        if weights[c] != 0:
            for s in range(indptr[items[c]], indptr[items[c] + 1]):
                gradient[indices[s]] -= weights[c] * data[s]
    for c in range(n):
        slopes[c] = gradient[items[c]]
    n_before = n
    for j in range(len(gradient)):
        step = step_of(gradient[j], 0.0, diagonal[j], inverses[j], l1_reg, below)
        if abs(step) > tol and position[j] == n_before and j != i:
            items[n], weights[n], slopes[n] = j, 0, gradient[j]
            n += 1
    return n


@kernel(fastmath=REORDER)
def elastic_net_rows(start, stop, gram, diagonal, l1_reg, l2_reg, nonnegative, screened, n_iter, tol):
    """Return the weights of the target items start..stop: how many each has, of which items, and the weights.

    gram: indptr, indices, data of G in csr, and G (I, I), one of which is empty. diagonal (I,). screened: whether
    weights and values are >= 0. Then slopes only fall, and items with G_ij <= l1_reg are no candidates.
    """
    indptr, indices, data, dense = gram
    n_items, sparse, below = len(diagonal), len(dense) == 0, 0.0 if nonnegative else 1.0
    inverses = np.zeros(n_items)
    for j in range(n_items):
        if diagonal[j] + l2_reg > 0:
            inverses[j] = 1 / (diagonal[j] + l2_reg)
    items, place, position = np.empty(n_items, np.int32), np.empty(n_items, np.int32), np.empty(n_items, np.int32)
    curvature, inverse, weights = np.empty(n_items), np.empty(n_items), np.empty(n_items)
    slopes, gradient = np.empty(n_items + 1), np.empty(n_items)
    candidates = items, position, curvature, inverse, weights, slopes
    chosen, moved = np.empty(CAPACITY, np.int32), np.empty(CAPACITY, np.int32)
    scratch = chosen, place, np.empty(CAPACITY), np.empty(CAPACITY), moved
    row_cells = np.empty(max(ROW_CELLS, n_items + 1) if sparse else 0, data.dtype)
    block_cells = np.zeros(0)
    counts, filled = np.zeros(stop - start, np.int64), 0
    room = indptr[stop] - indptr[start] if sparse and screened else (stop - start) * n_items
    out_items, out_weights = np.empty(room, np.int32), np.empty(room, data.dtype)
    for i in range(start, stop):
        n = 0
        if sparse:
            for s in range(indptr[i], indptr[i + 1]):
                if indices[s] != i and (data[s] > l1_reg or not screened):
                    items[n], slopes[n] = indices[s], data[s]
                    n += 1
        else:
            for n in range(n_items):
                items[n], slopes[n] = n, dense[i, n]
            n = n_items
        weights[:n] = 0
        n_before, left = 0, n_iter
        while n > n_before and left > 0:
            for c in range(n_before, n):
                curvature[c], inverse[c] = diagonal[items[c]], inverses[items[c]] if items[c] != i else 0.0
            if sparse:
                position[:] = n
                for c in range(n):
                    position[items[c]] = c
            most = min(CAPACITY, n, max(ROW_CELLS // (n + 1), 1)) if sparse else min(CAPACITY, n)
            capacity, full = min(FIRST, most), True
            while full and left > 0:  # with a larger block, or another of the largest
                stride = (capacity + LANES - 1) // LANES * LANES + 8  # 4 KB between rows would share cache sets
                if len(block_cells) < capacity * stride:
                    block_cells = np.zeros(capacity * stride)
                block = block_cells[: capacity * stride].reshape((capacity, stride))
                width = n + 1 if sparse else 0
                rows = row_cells[: capacity * width].reshape((capacity, width))
                left, full = descend(n, gram, candidates, scratch, rows, block, l1_reg, below, left, tol)
                capacity = min(4 * capacity, most)
            n_before = n
            if sparse and not screened:
                n = add_violators(i, n, gram, candidates, diagonal, inverses, gradient, l1_reg, below, tol)
        for c in range(n):
            if data.dtype.type(weights[c]) != 0:
                out_items[filled], out_weights[filled] = items[c], weights[c]
                counts[i - start] += 1
                filled += 1
    return counts, out_items[:filled].copy(), out_weights[:filled].copy()
