"""Exact and randomized truncated SVD of the large matrix, 64 values, against SciPy and scikit-learn."""

import time
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds
from sklearn.utils.extmath import randomized_svd as sklearn_randomized_svd

from benchmarks import matrices
from benchmarks.report import speed_row
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
        ours, svd = timed(lambda seed=seed: truncated_svd(A, K, tol=TOL, random_state=seed))
        pairs.append((theirs, ours))
        worst = max(worst, residual(A, svd.Vt, svd.s))
    note = f"largest relative residual {worst:.1e}"
    return speed_row(f"exact SVD, {K} values, tol {TOL:g}: large", "scipy svds", pairs, 1.3, note)


def randomized(A: Any, n_iter: int) -> dict[str, Any]:
    """Compare at equal energy: our n_iter is the smallest that captures no less, chosen before timing."""
    goal = energy(sklearn_randomized_svd(A, K, n_iter=n_iter, random_state=0)[1])
    our_n_iter = next(q for q in range(1, 20) if energy(randomized_svd(A, K, n_iter=q).s) >= goal)
    pairs, captured = [], []
    for seed in range(ROUNDS):
        theirs, peer = timed(lambda seed=seed: sklearn_randomized_svd(A, K, n_iter=n_iter, random_state=seed))
        ours, svd = timed(lambda seed=seed: randomized_svd(A, K, n_iter=our_n_iter, random_state=seed))
        pairs.append((theirs, ours))
        captured.append(energy(svd.s) / energy(peer[1]))
    note = f"n_iter {our_n_iter}, energy x {min(captured):.4f} at least"
    return speed_row(f"randomized SVD, {K} values, n_iter {n_iter}: large", "scikit-learn", pairs, 1.7, note)


def energy(s: np.ndarray) -> float:
    return float((np.asarray(s, dtype=np.float64) ** 2).sum())


def residual(A: Any, Vt: np.ndarray, s: np.ndarray) -> float:
    """Return the largest |A^T A v - s^2 v| / s^2, in double precision."""
    A, V = A.astype(np.float64), Vt.T.astype(np.float64)
    return float((np.linalg.norm(A.T @ (A @ V) - V * s**2, axis=0) / s**2).max())


def timed(call: Any) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result
