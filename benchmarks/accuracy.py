"""Accuracy of the linear models beside published figures, in the published protocols; nothing is tuned on test data.

Settings of iALS on `ncf-ml-1m` are those of Rendle et al. (2021) and those of EASE are the published ones; those of
ALS are chosen on a part of the first fold's training ratings, and those on gowalla on a part of its training data.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from lrrec import ALS, EASE, IALS, Interactions, Recommender, RP3Beta, Split

N_FOLDS = 5


def run() -> Iterator[dict[str, Any]]:
    yield from neural_cf()
    yield from gowalla()
    yield rmse("ml-100k", 0.920)
    yield rmse("ml-1m", 0.862)


def neural_cf() -> Iterator[dict[str, Any]]:
    """Rank the last movie of every user among 99 published negatives."""
    split = lrrec.datasets.load("ncf-ml-1m", matrices.data_home()).split()
    model = IALS(192, unobserved_weight=0.3, reg=0.007, n_iter=12, random_state=0).fit(split.train)
    yield from rows("ncf-ml-1m", model, split, {"hit@10": 0.720, "ndcg@10": 0.440})
    ease = EASE(1320).fit(split.train)
    yield from rows("ncf-ml-1m", ease, split, {"hit@10": 0.7192, "ndcg@10": 0.4494}, within=0.002)


def gowalla() -> Iterator[dict[str, Any]]:
    """Evaluate on the published split of check-ins; settings are tuned on a part of its training data."""
    data = lrrec.datasets.load("gowalla", matrices.data_home())
    split, inner = data.split(), data.split("valid")
    walks = [RP3Beta(alpha, beta, n_neighbors=None) for alpha in (0.5, 0.6, 0.7, 0.8) for beta in (0.2, 0.3, 0.4)]
    factors = [
        IALS(1024, unobserved_weight=weight, reg=reg, n_iter=12, random_state=0)
        for weight in (0.01, 0.015) for reg in (0.004, 0.006)
    ]  # fmt: skip
    for settings in (walks, factors):
        best = max(settings, key=lambda model: recall(model.fit(inner.train), inner))
        yield from rows("gowalla", best.fit(split.train), split, {"recall@20": 0.1830})
    ease = EASE(80).fit(split.train)
    yield from rows("gowalla", ease, split, {"recall@20": 0.1765, "ndcg@20": 0.1467}, within=0.002)


def recall(model: Recommender, split: Split) -> float:
    return lrrec.evaluate(model, split, metrics=["recall@20"]).mean()["recall@20"]


def rmse(name: str, target: float) -> dict[str, Any]:
    """Return the root mean squared error over five random folds of the ratings."""
    data = lrrec.datasets.load(name, matrices.data_home()).interactions()
    fold = np.random.default_rng(0).permutation(len(data)) % N_FOLDS
    inner = lrrec.splits.random(data.filter(fold != 0), 0.1, random_state=1)
    settings = [
        ALS(n_factors, reg=reg, n_iter=20, clip=True, random_state=0)
        for n_factors in (8, 16, 32, 64)
        for reg in (0.04, 0.06, 0.08, 0.1)
    ]
    best = min(settings, key=lambda model: error(model.fit(inner.train), inner.test))
    errors = [error(best.fit(data.filter(fold != f)), data.filter(fold == f)) for f in range(N_FOLDS)]
    return row(f"{name}, RMSE, {N_FOLDS} random folds", best, float(np.mean(errors)), target, higher=False)


def error(model: ALS, test: Interactions) -> float:
    """Return the root mean squared error; users and items without a training rating are included."""
    predicted = model.predict(test.users.ids[test.rows()], test.items.ids[test.matrix.indices])
    return float(np.sqrt(np.mean((predicted - test.matrix.data.astype(np.float64)) ** 2)))


def rows(
    data: str, model: Recommender, split: Split, targets: dict[str, float], within: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric of a fitted model, which must reach its target or lie within a distance of it."""
    means = lrrec.evaluate(model, split, metrics=list(targets)).mean()
    for metric, target in targets.items():
        yield row(f"{data}, {metric}", model, means[metric], target, higher=True, within=within)


def row(
    data: str, model: Any, value: float, target: float, *, higher: bool, within: float | None = None
) -> dict[str, Any]:
    """Return a row whose value must be at least the target, at most the target (higher=False), or within a distance."""
    met = abs(value - target) <= within if within else value >= target if higher else value <= target
    sign = ">=" if higher else "<="
    line = {
        "data": data,
        "model": " ".join(repr(model).split()),
        "measured": f"{value:.4f}",
        "target": f"{target:.4f} +- {within}" if within else f"{sign} {target:.3f}",
        "verdict": "met" if met else "missed",
    }
    print(" | ".join(line.values()), flush=True)
    return line
