"""Ranked lists against what is relevant: metrics of every list, and lists put in their places."""

import numpy as np
from numba import njit

NDCG, RECALL, CAPPED_RECALL, PRECISION, MAP, UNCAPPED_MAP, MRR, HIT, R_PRECISION, GRADED_NDCG, AUC = range(11)


@njit(nogil=True, cache=True)
def measure_rows(start, stop, lists, rows, indptr, indices, data, n_columns, codes, cutoffs, n_candidates, out, twice):
    """Write every metric of the lists start..stop in one pass over each.

    lists (n, K): columns below n_columns, best first, negative where none. rows (n,): each list's row of the csr
    matrix of relevance, data > 0. codes, cutoffs (M,): which metric (the constants of this file) of how many first
    places, at most K. n_candidates (n,): what was ranked for each list, for AUC. out (n, M); nan where nothing is
    relevant. twice (n,) bool: set where a list names a column twice. The formulas are those of `lrrec.metrics`.
    """
    K, M = lists.shape[1], len(codes)
    gain = np.zeros(n_columns, np.float64)  # of each column for the list at hand
    named_by = np.full(n_columns, -1, np.int64)
    discount = np.empty(K, np.float64)
    ideal = np.zeros(K + 1, np.float64)
    for place in range(K):
        discount[place] = 1 / np.log2(place + 2.0)
        ideal[place + 1] = ideal[place] + discount[place]
    hits = np.zeros(K + 1, np.int64)  # each of these: of the first c places
    dcg = np.zeros(K + 1, np.float64)
    graded = np.zeros(K + 1, np.float64)
    precisions = np.zeros(K + 1, np.float64)
    graded_ideal = np.zeros(K + 1, np.float64)
    any_graded = False
    for m in range(M):
        any_graded = any_graded or codes[m] == GRADED_NDCG
    for b in range(start, stop):
        begin, end = indptr[rows[b]], indptr[rows[b] + 1]
        n_relevant = end - begin
        if n_relevant == 0:
            for m in range(M):
                out[b, m] = np.nan
        for s in range(begin, end):
            gain[indices[s]] = data[s]
        n_listed, behind, first = 0, 0, K
        for place in range(K):
            column = lists[b, place]
            g = 0.0
            if column >= 0:
                twice[b] = twice[b] or named_by[column] == b
                named_by[column] = b
                g = gain[column]
                n_listed += 1
            n = hits[place]
            if g > 0:
                n += 1
                first = min(first, place)
                dcg[place + 1] = dcg[place] + discount[place]
                precisions[place + 1] = precisions[place] + n / (place + 1)
            else:
                dcg[place + 1] = dcg[place]
                precisions[place + 1] = precisions[place]
                if column >= 0:
                    behind += n  # pairs of a hit and a miss, the hit before the miss
            graded[place + 1] = graded[place] + g * discount[place]
            hits[place + 1] = n
        if any_graded:
            _add_up_best(data[begin:end], discount, graded_ideal)
        for s in range(begin, end):
            gain[indices[s]] = 0
        if n_relevant == 0:
            continue
        for m in range(M):
            code, c = codes[m], cutoffs[m]
            n, most = hits[c], min(c, n_relevant)
            value = 0.0
            if code == NDCG:
                value = dcg[c] / ideal[most]
            elif code == RECALL:
                value = n / n_relevant
            elif code == CAPPED_RECALL:
                value = n / most
            elif code == PRECISION:
                value = n / c
            elif code == MAP:
                value = precisions[c] / most
            elif code == UNCAPPED_MAP:
                value = precisions[c] / n_relevant
            elif code == MRR:
                value = 1 / (first + 1) if first < c else 0.0
            elif code == HIT:
                value = 1.0 if n > 0 else 0.0
            elif code == R_PRECISION:
                value = hits[most] / n_relevant
            elif code == GRADED_NDCG:
                value = graded[c] / graded_ideal[most]
            elif code == AUC:
                found = hits[K]
                unlisted = max(n_candidates[b] - n_listed - (n_relevant - found), 0)
                n_pairs = n_relevant * (n_listed - found + unlisted)
                right = behind + unlisted * (found + 0.5 * (n_relevant - found))
                value = right / n_pairs if n_pairs > 0 else 0.5
            out[b, m] = value


@njit(nogil=True, cache=True)
def _add_up_best(values, discount, out):
    """Write to out[c] the sum of the c largest values, each times the discount of its place. out (K + 1,)."""
    rising = np.sort(values)
    for place in range(min(len(values), len(discount))):
        out[place + 1] = out[place] + rising[len(values) - 1 - place] * discount[place]


@njit(nogil=True, cache=True)
def count_hits(start, stop, lists, rows, indptr, indices, n_columns, out):
    """Write how many places of each of the lists start..stop hold a column of the list's row. Shapes as above."""
    row_of = np.full(n_columns, -1, np.int64)  # the last list whose row holds the column
    for b in range(start, stop):
        for s in range(indptr[rows[b]], indptr[rows[b] + 1]):
            row_of[indices[s]] = b
        n = 0
        for place in range(lists.shape[1]):
            if lists[b, place] >= 0 and row_of[lists[b, place]] == b:
                n += 1
        out[b] = n


@njit(nogil=True, cache=True)
def look_up(start, stop, values, low, table, out):
    """Write table[v - low] for the integers start..stop of values, -1 where that is outside of the table."""
    for s in range(start, stop):
        v = values[s]
        out[s] = table[v - low] if low <= v < low + len(table) else -1


@njit(nogil=True, cache=True)
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
