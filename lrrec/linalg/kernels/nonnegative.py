"""Row solver of non-negative factorization."""

from lrrec.linalg.jit import REORDER, kernel


@kernel(fastmath=REORDER)
def nonnegative_rows(start, stop, B, G, lam, cd_steps, tol, X):
    """Improve each row of X >= 0 by coordinate descent on x^T G x - 2 b . x + lam[u] |x|^2.

    B (U, D): right sides; G (D, D): the other side's Gram matrix; X (U, D): initial values in, results out. Stops when
    no coordinate of a row moves by more than tol times the row's largest, or after cd_steps passes over the row.
    """
    n_factors = B.shape[1]
    zero = X.dtype.type(0)
    for u in range(start, stop):
        for _ in range(cd_steps):
            moved, largest = zero, zero
            for f in range(n_factors):
                curvature = G[f, f] + lam[u]
                if not curvature > 0:
                    X[u, f] = 0
                    continue
                slope = B[u, f] - lam[u] * X[u, f]
                for g in range(n_factors):
                    slope -= G[f, g] * X[u, g]
                new = max(zero, X[u, f] + slope / curvature)
                moved = max(moved, abs(new - X[u, f]))
                largest = max(largest, new)
                X[u, f] = new
            if moved <= tol * largest:
                break
