"""Ranked lists against what is relevant: where the hits are, and sums over them."""

import numpy as np

from lrrec.linalg.jit import kernel


@kernel()
def locate_hits(
    lists, rows, indptr, indices, data, starts, ranks, positions, gains, n_listed, repeats, gain, last_list
):  # fmt: skip
    """Write the hits of B lists, one entry per hit, and where those of each list start.

    lists (B, K): columns, best first, negative for an empty place. rows (B,): each list's row of the
    csr matrix of relevance, data > 0. starts (B + 1,); ranks, positions, gains: as long as there can be hits: the
    rank of each hit from 1, its rank among the filled places, and its value. n_listed (B,): filled places. repeats
    (B,) bool: set where a list names a column twice, which is a hit only once. Buffers of a place for each column:
    gain, zeros of the type of data, and last_list int32, -1.
    """
    n = 0
    for b in range(len(lists)):
        begin, end = indptr[rows[b]], indptr[rows[b] + 1]
        for s in range(begin, end):
            gain[indices[s]] = data[s]
        filled = 0
        for place in range(lists.shape[1]):
            column = lists[b, place]
            if column < 0:
                continue
            filled += 1
            if last_list[column] == b:
                repeats[b] = True
                continue
            last_list[column] = b
            if gain[column] > 0:
                ranks[n], positions[n], gains[n] = place + 1, filled, gain[column]
                n += 1
        for s in range(begin, end):
            gain[indices[s]] = 0
        n_listed[b] = filled
        starts[b + 1] = n


@kernel()
def falling_rows(rows, indptr, data, starts):
    """Return the data of some rows of a csr matrix, each row in falling order, row b from starts[b] on."""
    out = np.empty(starts[-1], np.float64)
    for b in range(len(rows)):
        out[starts[b] : starts[b + 1]] = np.sort(data[indptr[rows[b]] : indptr[rows[b] + 1]])[::-1]
    return out


@kernel()
def count_hits(start, stop, lists, rows, indptr, indices, row_of, out):
    """Write how many places of the lists start..stop hold a column of the list's row; shapes as in `locate_hits`.

    row_of: a buffer of a place for each column, int64, -1: the last list whose row holds it.
    """
    for b in range(start, stop):
        for s in range(indptr[rows[b]], indptr[rows[b] + 1]):
            row_of[indices[s]] = b
        n = 0
        for place in range(lists.shape[1]):
            if lists[b, place] >= 0 and row_of[lists[b, place]] == b:
                n += 1
        out[b] = n


@kernel()
def look_up(start, stop, values, low, table, out):
    """Write table[v - low] for the integers start..stop of values, -1 where that is outside of the table."""
    for s in range(start, stop):
        v = values[s]
        out[s] = table[v - low] if low <= v < low + len(table) else -1


@kernel()
def put_in_places(start, stop, rows, ranks, columns, lists):
    """Write columns[s] to lists[rows[s], ranks[s] - 1], and -2 for a negative one; skip rows < 0 and ranks > K.

    All (n,), entries start..stop; lists (U, K). Return how many were written, and the smallest rank seen.
    """
    K, n, smallest = lists.shape[1], 0, ranks[start]
    for s in range(start, stop):
        smallest = min(smallest, ranks[s])
        if rows[s] >= 0 and 1 <= ranks[s] <= K:
            lists[rows[s], ranks[s] - 1] = columns[s] if columns[s] >= 0 else -2
            n += 1
    return n, smallest
