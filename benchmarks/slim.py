"""SLIM beside irspack's: seconds to fit with the same penalties, and the objective that both reach; Gowalla.

Both minimise 1/2 |X - X W|^2 + l1_reg |W|_1 + l2_reg / 2 |W|^2 with W >= 0, by coordinate descent with the same
tolerance. irspack's rows are left out where it is not installed.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

import lrrec
from benchmarks import matrices
from benchmarks.graph_filter import some_users, values
from benchmarks.report import installed, quality_row
from lrrec import SLIM

ROUNDS, THREADS = 5, 2
AT_LEAST, GOAL = 2.0, 5.0  # times faster
EXCESS = 1e-3  # of lrrec's objective over the peer's, at most
PUBLISHED = (0.1699, 0.1382)  # of SLIM on gowalla, the BARS leaderboard


def run() -> Iterator[dict[str, Any]]:
    if installed("irspack"):
        for name in ("ml-100k", "ml-1m"):
            yield from against_irspack(name)
    yield from gowalla()


def against_irspack(name: str) -> Iterator[dict[str, Any]]:
    data = lrrec.datasets.load(name, matrices.data_home()).interactions(min_rating=4)
    matrix = lrrec.splits.by_user(data, random_state=0).train.matrix
    ours = SLIM(n_threads=THREADS)
    fitted(ours, matrix[:, :100]), irspack(ours, matrix[:, :100])  # warm-up
    pairs, objectives = [], []
    for _ in range(ROUNDS):
        (seconds, peer), (our_seconds, weights) = irspack(ours, matrix), fitted(ours, matrix)
        pairs.append((seconds, our_seconds))
        objectives.append((objective(ours, matrix, peer), objective(ours, matrix, weights)))
    theirs, seconds = (float(np.median(side)) for side in zip(*pairs, strict=True))
    ratios = sorted(peer / own for peer, own in pairs)
    faster = float(np.median(ratios))
    yield quality_row(
        f"{name}, {settings(ours)}: seconds to fit", f"irspack: {theirs:.3g} s",
        f"{seconds:.3g} s, {faster:.2f} x faster ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        f"{AT_LEAST:g} x; goal {GOAL:g} x", faster >= AT_LEAST,
    )  # fmt: skip
    excess = max(own / peer - 1 for peer, own in objectives)
    yield quality_row(
        f"{name}, {settings(ours)}: objective, {weights.nnz / weights.shape[0]:.0f} weights an item", "irspack",
        f"{excess:+.1e} of the peer's", f"{EXCESS:+.0e} at most", excess <= EXCESS,
    )  # fmt: skip


def settings(model: SLIM) -> str:
    return f"SLIM(l1_reg={model.l1_reg:g}, l2_reg={model.l2_reg:g})"


def fitted(model: SLIM, matrix: sp.csr_array) -> tuple[float, sp.csr_array]:
    """Return seconds and weights of lrrec."""
    begun = time.perf_counter()
    weights = model.fit(matrix).item_weights_
    return time.perf_counter() - begun, weights


def irspack(model: SLIM, matrix: sp.csr_array) -> tuple[float, sp.csr_array]:
    """Return seconds and weights of irspack, whose penalties are shares of alpha times the number of users."""
    from irspack.recommenders import SLIMRecommender

    penalty = model.l1_reg + model.l2_reg
    peer = SLIMRecommender(
        sp.csr_matrix(matrix), alpha=penalty / matrix.shape[0], l1_ratio=model.l1_reg / penalty, positive_only=True,
        n_iter=model.n_iter, tol=model.tol, n_threads=THREADS,
    )  # fmt: skip
    begun = time.perf_counter()
    peer.learn()
    return time.perf_counter() - begun, sp.csr_array(peer.W)


def objective(model: SLIM, matrix: sp.csr_array, weights: sp.csr_array) -> float:
    """Return what both minimise, in double precision."""
    X, W = matrix.astype(np.float64), weights.astype(np.float64)
    residual = (X - X @ W).data
    return float(0.5 * residual @ residual + model.l1_reg * np.abs(W.data).sum() + model.l2_reg / 2 * W.data @ W.data)


def gowalla() -> Iterator[dict[str, Any]]:
    data = lrrec.datasets.load("gowalla", matrices.data_home())
    split, inner = data.split(), data.split("valid")
    few = some_users(inner)
    trials = [SLIM(l1_reg, l2_reg, n_threads=THREADS) for l1_reg in (0.5, 1.0) for l2_reg in (30.0, 100.0)]
    chosen = max(trials, key=lambda model: values(model, few)[1])
    pair = values(chosen, split)
    yield quality_row(
        f"gowalla, settings from valid.txt, {settings(chosen)}: recall@20, nDCG@20", "SLIM, published",
        f"{pair[0]:.4f}, {pair[1]:.4f}", f"{PUBLISHED[0]:.4f}, {PUBLISHED[1]:.4f}", bool((pair >= PUBLISHED).all()),
    )  # fmt: skip
    seconds = [fitted(chosen, split.train.matrix)[0] for _ in range(ROUNDS)]
    yield quality_row(
        "gowalla: fit", "", f"{np.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})", "60 s",
        float(np.median(seconds)) <= 60,
    )  # fmt: skip
