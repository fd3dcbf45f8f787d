"""Solution of one small positive semi-definite system."""

import numpy as np
from numba import njit

from lrrec.linalg.kernels.memory_access import REORDER


@njit(nogil=True, cache=True, fastmath=REORDER)
def solve_cholesky(A, b):
    """Overwrite b with the solution of A x = b, A symmetric positive semi-definite; its upper half is overwritten.

    A = R^T R by rows, four at a time. The diagonal of R is stored as reciprocals; it is 0 for a row that depends
    linearly on those before it, and so is that row's x.
    """
    n = len(b)
    zero = A.dtype.type(0)
    tiny = A.dtype.type(n) * np.finfo(A.dtype).eps
    floor = np.empty(n, A.dtype)
    for k in range(n):
        floor[k] = tiny * A[k, k]
    for panel in range(0, n, 4):
        after = min(panel + 4, n)
        for k in range(panel, after):
            for m in range(panel, k):
                c0 = A[m, k]
                for j in range(k, n):
                    A[k, j] -= c0 * A[m, j]
            inverse = 1 / np.sqrt(A[k, k]) if A[k, k] > floor[k] else zero
            for j in range(k + 1, n):
                A[k, j] *= inverse
            A[k, k] = inverse
        if after == panel + 4:
            for i in range(after, n):
                c0, c1, c2, c3 = A[panel, i], A[panel + 1, i], A[panel + 2, i], A[panel + 3, i]
                for j in range(i, n):
                    A[i, j] -= c0 * A[panel, j] + c1 * A[panel + 1, j] + c2 * A[panel + 2, j] + c3 * A[panel + 3, j]
    for k in range(n):
        b[k] *= A[k, k]
        c0 = b[k]
        for j in range(k + 1, n):
            b[j] -= c0 * A[k, j]
    for k in range(n - 1, -1, -1):
        dot = zero
        for j in range(k + 1, n):
            dot += A[k, j] * b[j]
        b[k] = (b[k] - dot) * A[k, k]
