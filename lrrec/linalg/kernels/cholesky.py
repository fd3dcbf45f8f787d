"""Solution of one small positive semi-definite system."""

import numpy as np

from lrrec.linalg.jit import REORDER, kernel


@kernel(helper=True, fastmath=REORDER)
def solve_cholesky(A, b, n, eps, floor):
    """Overwrite b[:n] with the solution of A[:n, :n] x = b[:n], A positive semi-definite; its upper half is lost.

    A = R^T R by rows, four at a time. The diagonal of R is stored as reciprocals; it is 0 for a row that depends
    linearly on those before it, in a precision of eps, and so is that row's x. floor (n,) is a buffer.
    """
    zero = A.dtype.type(0)
    tiny = A.dtype.type(n) * eps
    for k in range(n):
        floor[k] = tiny * A[k, k]
    for panel in range(0, n, 4):
        after = panel + 4 if panel + 4 < n else n
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
