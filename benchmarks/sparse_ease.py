"""SparseEASE on the published split of Gowalla, time and memory beside accuracy, and beside EASE on ml-1m."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from benchmarks.graph_filter import some_users, values
from benchmarks.memory import status
from benchmarks.report import quality_row
from lrrec import EASE, SparseEASE, Split

ROUNDS = 5
EASE_THERE = (0.1765, 0.1467)  # of EASE(reg=80), recall@20 and nDCG@20, published
SECONDS, GIGABYTES = 60, 2.0


def run() -> Iterator[dict[str, Any]]:
    yield from gowalla()
    yield from by_user()


def gowalla() -> Iterator[dict[str, Any]]:
    """Measure with settings chosen on valid.txt."""
    data = lrrec.datasets.load("gowalla", matrices.data_home())
    split, few = data.split(), some_users(data.split("valid"))
    trials = [SparseEASE(reg, dropout=dropout) for reg in (10, 20, 40, 80) for dropout in (0.0, 0.3, 0.5, 0.7)]
    best = max(trials, key=lambda model: values(model, few)[0])
    sizes = [SparseEASE(**best.get_params() | {"n_neighbors": n}) for n in (100, 200)]
    best = max(sizes, key=lambda model: values(model, few)[0])
    pair = values(best, split)
    yield quality_row(
        f"gowalla, {best}, settings from valid.txt: recall@20, nDCG@20", "EASE, published",
        f"{pair[0]:.4f}, {pair[1]:.4f}", f"{EASE_THERE[0]:.4f}, {EASE_THERE[1]:.4f}", bool((pair >= EASE_THERE).all()),
    )  # fmt: skip
    fits = [child(best) for _ in range(ROUNDS)]
    seconds, gigabytes = np.array([one["seconds"] for one in fits]), max(one["peak"] for one in fits) / 2**30
    yield quality_row(
        f"gowalla, {best}: fit of {split.train.n_items:,} items; peak memory of the process", "",
        f"{np.median(seconds):.1f} s ({seconds.min():.1f} to {seconds.max():.1f}); {gigabytes:.2f} GB",
        f"{SECONDS} s; {GIGABYTES:g} GB", bool(np.median(seconds) <= SECONDS and gigabytes <= GIGABYTES),
    )  # fmt: skip


def by_user() -> Iterator[dict[str, Any]]:
    """Compare with EASE on new users of ml-1m; reg is chosen for EASE."""
    data = lrrec.datasets.load("ml-1m", matrices.data_home()).interactions().binarize()
    outer = lrrec.splits.by_user(data, 0.2, random_state=0)
    inner = lrrec.splits.by_user(outer.train, 0.15, random_state=1)
    reg = max((100.0, 200.0, 300.0, 500.0, 1000.0), key=lambda reg: ndcg(EASE(reg), inner))
    full = ndcg(EASE(reg), outer)
    for n_neighbors, share in ((100, 0.96), (400, 0.99)):
        few = ndcg(SparseEASE(reg, n_neighbors=n_neighbors), outer)
        yield quality_row(
            f"ml-1m by user, SparseEASE, {n_neighbors} of {outer.train.n_items:,} items: nDCG@10", f"EASE(reg={reg:g})",
            f"{few / full:.3f}: {few:.4f}, {full:.4f}", f">= {share}", few >= share * full,
        )  # fmt: skip


def ndcg(model: EASE | SparseEASE, split: Split) -> float:
    return lrrec.evaluate(model.fit(split.train), split, metrics=["ndcg@10"]).mean()["ndcg@10"]


def child(model: SparseEASE) -> dict[str, float]:
    """Fit in a new process, which prints the seconds and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.sparse_ease", json.dumps(model.get_params())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def fit(model: SparseEASE) -> dict[str, float]:
    data = lrrec.datasets.load("gowalla", matrices.data_home()).split().train
    model.fit(data.matrix[:200])  # kernels are compiled
    begun = time.perf_counter()
    model.fit(data)
    return {"seconds": time.perf_counter() - begun, "peak": status("VmHWM")}


if __name__ == "__main__":
    print(json.dumps(fit(SparseEASE(**json.loads(sys.argv[1])))))
