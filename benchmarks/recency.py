"""Weights by age before models that rank what comes later: nDCG@10 after a point in time, with and without them.

Settings and half-life (or none) are chosen on a validation part, the last of the training part. For each half-life the
same settings are tried.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from lrrec import EASE, IALS, Interactions, ItemKNN, Popularity, RP3Beta, Split
from lrrec.evaluation import Comparison, Evaluation

DATA = ("ml-latest-small", "ml-100k", "ml-1m", "xmarket/jp", "xmarket/de", "xmarket/ca", "xmarket/uk")
METRIC = "ndcg@10"
DAYS = (None, 7, 30, 90, 365, 1460)  # half-lives
SETTINGS = {
    "Popularity": [Popularity(weighted=True)],
    "ItemKNN": [ItemKNN(n, shrink=shrink) for n, shrink in product((50, 200, 1000), (0.0, 10.0, 100.0, 1000.0))],
    "RP3Beta": [RP3Beta(alpha, beta) for alpha, beta in product((0.2, 0.5, 0.9), (0.0, 0.2, 0.5))],
    "EASE": [EASE(reg) for reg in (10.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4)],
    "IALS": [
        IALS(64, unobserved_weight=weight, reg=reg, random_state=0)
        for weight, reg in product((0.03, 0.3, 1.0), (0.003, 0.03, 0.1, 0.3, 1.0))
    ],
}


def run() -> Iterator[dict[str, Any]]:
    for name in DATA:
        data = lrrec.datasets.load(name, matrices.data_home()).interactions(min_rating=4).k_core(5, 5)
        split = by_time(data)
        validation = by_time(split.train)
        for model, settings in SETTINGS.items():
            yield row(name, model, settings, split, validation)


def by_time(data: Interactions) -> Split:
    """The last fifth as test, without users who have no history: all models serve these the same list."""
    split = lrrec.splits.by_time(data, test_size=0.2, repeats="drop")
    known = np.diff(split.history.matrix.indptr) > 0
    return replace(split, test=split.test.filter(known[split.test.rows()]))


def row(name: str, model: str, settings: list[Any], split: Split, validation: Split) -> dict[str, Any]:
    """One model on one data set: the best settings without weights, and the best half-life and settings."""
    validations = {days: weighted(validation, days) for days in DAYS}
    scores = {
        (days, place): evaluated(one, validations[days]).mean()[METRIC]
        for days in DAYS for place, one in enumerate(settings)
    }  # fmt: skip
    plain = max((key for key in scores if key[0] is None), key=lambda key: scores[key])
    chosen = max(scores, key=lambda key: scores[key])
    tested = {
        arm: evaluated(settings[place], weighted(split, days))
        for arm, (days, place) in (("with", chosen), ("without", plain))
    }
    pair = Comparison(tested).pairs(METRIC).iloc[0]
    clear = "better" if pair["low"] > 0 else "worse" if pair["high"] < 0 else "no clear difference"
    made = {
        "data": name,
        "test users": f"{len(split.test_rows):,}",
        "model": f"`{model}`",
        "half-life, days": chosen[0] or "none",
        "validation": f"{scores[chosen]:.4f} and {scores[plain]:.4f}",
        "test: with": f"{tested['with'].mean()[METRIC]:.4f}",
        "without": f"{tested['without'].mean()[METRIC]:.4f}",
        "difference": f"{pair['difference']:+.4f} [{pair['low']:+.4f}, {pair['high']:+.4f}]",
        "result": clear if chosen[0] else "none was chosen",
    }
    print(made, settings[chosen[1]], settings[plain[1]], flush=True)
    return made


def weighted(split: Split, days: int | None) -> Split:
    """The split with weights of a half-life, if there is one."""
    return split if days is None else split.decayed(f"{days} days")


def evaluated(model: Any, split: Split) -> Evaluation:
    return lrrec.evaluate(model.fit(split.train), split, metrics=[METRIC])
