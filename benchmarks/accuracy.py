"""How good the linear models are where others have published: each protocol is theirs, settings never come from test.

Settings of iALS on `ncf-ml-1m` are those of Rendle et al. (2021); those of ALS are chosen on a part of the first
fold's training ratings.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from lrrec import ALS, IALS, Interactions

N_FOLDS = 5


def run() -> Iterator[dict[str, Any]]:
    yield from neural_cf()
    yield rmse("ml-100k", 0.920)
    yield rmse("ml-1m", 0.862)


def neural_cf() -> Iterator[dict[str, Any]]:
    """The last movie of every user among 99 given ones."""
    split = lrrec.datasets.load("ncf-ml-1m", matrices.data_home()).split()
    model = IALS(192, unobserved_weight=0.3, reg=0.007, n_iter=12, random_state=0)
    means = lrrec.evaluate(model.fit(split.train), split, ["hit@10", "ndcg@10"]).mean()
    for metric, bar in (("hit@10", 0.720), ("ndcg@10", 0.440)):
        yield row(f"ncf-ml-1m, {metric}", model, means[metric], bar, higher=True)


def rmse(name: str, bar: float) -> dict[str, Any]:
    """Root mean squared error over five random folds of the ratings."""
    data = lrrec.datasets.load(name, matrices.data_home()).interactions()
    fold = np.random.default_rng(0).permutation(len(data)) % N_FOLDS
    inner = lrrec.splits.random(data.take(fold != 0), 0.1, random_state=1)
    settings = [
        ALS(n_factors, reg=reg, n_iter=20, clip=True, random_state=0)
        for n_factors in (8, 16, 32, 64)
        for reg in (0.04, 0.06, 0.08, 0.1)
    ]
    best = min(settings, key=lambda model: error(model.fit(inner.train), inner.test))
    errors = [error(best.fit(data.take(fold != f)), data.take(fold == f)) for f in range(N_FOLDS)]
    return row(f"{name}, RMSE, {N_FOLDS} random folds", best, float(np.mean(errors)), bar, higher=False)


def error(model: ALS, test: Interactions) -> float:
    """Root mean squared error; users and items without a training rating included."""
    found = model.predict(test.users.ids[test.rows()], test.items.ids[test.matrix.indices])
    return float(np.sqrt(np.mean((found - test.matrix.data.astype(np.float64)) ** 2)))


def row(what: str, model: Any, value: float, bar: float, *, higher: bool) -> dict[str, Any]:
    met = value >= bar if higher else value <= bar
    line = {
        "what": what,
        "model": " ".join(repr(model).split()),
        "measured": f"{value:.4f}",
        "bar": f"{'>=' if higher else '<='} {bar:.3f}",
        "verdict": "met" if met else "missed",
    }
    print(" | ".join(line.values()), flush=True)
    return line
