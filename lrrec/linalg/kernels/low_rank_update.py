"""Scores plus a product of low rank."""

from lrrec.linalg.jit import REORDER, kernel

WIDTH = 512  # columns updated at a time: their slice of At fits the first-level cache


@kernel(fastmath=REORDER)
def add_low_rank(scores, Z, At, top, begin, end):
    """Add Z At to scores[top : top + B, begin:end], for Z (B, R) and At (R, >= end); all C-contiguous.

    Four columns of Z and two rows of scores at a time: half as many reads as row by row.
    """
    rank, n = len(At), len(Z)
    for first in range(begin, end, WIDTH):
        stop = min(first + WIDTH, end)
        for b in range(0, n - 1, 2):
            first_row, second_row = scores[top + b, first:stop], scores[top + b + 1, first:stop]
            for r in range(0, rank - 3, 4):
                a0, a1, a2, a3 = At[r, first:stop], At[r + 1, first:stop], At[r + 2, first:stop], At[r + 3, first:stop]
                y0, y1, y2, y3 = Z[b, r], Z[b, r + 1], Z[b, r + 2], Z[b, r + 3]
                z0, z1, z2, z3 = Z[b + 1, r], Z[b + 1, r + 1], Z[b + 1, r + 2], Z[b + 1, r + 3]
                for i in range(stop - first):
                    first_row[i] += (y0 * a0[i] + y1 * a1[i]) + (y2 * a2[i] + y3 * a3[i])
                    second_row[i] += (z0 * a0[i] + z1 * a1[i]) + (z2 * a2[i] + z3 * a3[i])
            for r in range(rank - rank % 4, rank):
                a0, y0, z0 = At[r, first:stop], Z[b, r], Z[b + 1, r]
                for i in range(stop - first):
                    first_row[i] += y0 * a0[i]
                    second_row[i] += z0 * a0[i]
        for b in range(n - n % 2, n):
            last_row = scores[top + b, first:stop]
            for r in range(rank):
                a0, y0 = At[r, first:stop], Z[b, r]
                for i in range(stop - first):
                    last_row[i] += y0 * a0[i]
