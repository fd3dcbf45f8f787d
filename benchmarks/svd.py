"""Exact and randomized truncated SVD of the large matrix, 64 values, against SciPy and scikit-learn."""

import time
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds
from sklearn.utils.extmath import randomized_svd as sklearn_randomized_svd

from benchmarks import matrices
from benchmarks.report import ratio_row
from lrrec.linalg import randomized_svd, truncated_svd

ROUNDS, K, TOL = 5, 64, 1e-4


def run() -> list[dict[str, Any]]:
    A = matrices.large()
    truncated_svd(A[:2000], 8), randomized_svd(A[:2000], 8)  # warm-up
    return [exact(A), *(randomized(A, n_iter) for n_iter in (2, 4, 7))]


def exact(A: Any) -> dict[str, Any]:
    pairs, worst = [], 0.0
    for seed in range(ROUNDS):
        theirs, _ = timed(lambda seed=seed: svds(A, K, tol=TOL, random_state=seed))
        mine, found = timed(lambda seed=seed: truncated_svd(A, K, tol=TOL, random_state=seed))
        pairs.append((theirs, mine))
        worst = max(worst, residual(A, found.Vt, found.s))
    note = f"largest relative residual {worst:.1e}"
    return ratio_row(f"exact SVD, {K} values, tol {TOL:g}: large", "scipy svds", pairs, 1.3, note)


def randomized(A: Any, n_iter: int) -> dict[str, Any]:
    """Ours takes the fewest passes that capture no less energy than scikit-learn's n_iter, found before measuring."""
    goal = energy(sklearn_randomized_svd(A, K, n_iter=n_iter, random_state=0)[1])
    mine = next(q for q in range(1, 20) if energy(randomized_svd(A, K, n_iter=q).s) >= goal)
    pairs, captured = [], []
    for seed in range(ROUNDS):
        theirs, peer = timed(lambda seed=seed: sklearn_randomized_svd(A, K, n_iter=n_iter, random_state=seed))
        seconds, found = timed(lambda seed=seed: randomized_svd(A, K, n_iter=mine, random_state=seed))
        pairs.append((theirs, seconds))
        captured.append(energy(found.s) / energy(peer[1]))
    note = f"n_iter {mine}, energy x {min(captured):.4f} at least"
    return ratio_row(f"randomized SVD, {K} values, n_iter {n_iter}: large", "scikit-learn", pairs, 1.7, note)


def energy(s: np.ndarray) -> float:
    return float((np.asarray(s, dtype=np.float64) ** 2).sum())


def residual(A: Any, Vt: np.ndarray, s: np.ndarray) -> float:
    """The largest |A^T A v - s^2 v| / s^2, in double precision."""
    A, V = A.astype(np.float64), Vt.T.astype(np.float64)
    return float((np.linalg.norm(A.T @ (A @ V) - V * s**2, axis=0) / s**2).max())


def timed(call: Any) -> tuple[float, Any]:
    begun = time.perf_counter()
    found = call()
    return time.perf_counter() - begun, found
