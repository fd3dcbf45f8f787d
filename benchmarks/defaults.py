"""What models reach without tuning: their default parameters beside tuned ones, on five data sets.

Both are fitted to the same training part and measured on the test part; tuning sees the training part alone.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from benchmarks.report import quality_row
from lrrec import Recommender, Split
from lrrec.errors import DataWarning

MODELS = ("IALS", "TruncatedSVD", "NMF", "EASE", "EDLAE", "ItemKNN", "RP3Beta", "SLIM", "SparseEASE", "GraphFilter")
DATA = ("ml-100k", "ml-latest-small", "ml-1m", "citeulike-a", "xmarket/ca")
METRIC = "ndcg@10"
TRIALS, SECONDS = 20, 60  # of a model on a data set
AT_LEAST, GOAL = 0.97, 0.99


def run() -> Iterator[dict[str, Any]]:
    shares = {}
    for name in DATA:
        split = split_of(name)
        for model in MODELS:
            default, tuned = measured(getattr(lrrec, model)(), split)
            shares[name, model] = default / tuned
            yield row(f"{name}, {model}", f"{default / tuned:.3f}: {default:.4f}, {tuned:.4f}", default / tuned)
    for model in MODELS:
        mean = float(np.mean([shares[name, model] for name in DATA]))
        yield row(f"mean over the data sets, {model}", f"{mean:.3f}", mean)
    mean = float(np.mean(list(shares.values())))
    yield row("mean over data sets and models", f"{mean:.3f}", mean)


def split_of(name: str) -> Split:
    """A split by user of a data set; of ratings, those of at least 4 count."""
    data = lrrec.datasets.load(name, matrices.data_home())
    likes = data.interactions(**({"min_rating": 4} if name.startswith("ml-") else {}))
    return lrrec.splits.by_user(likes, random_state=0)


def measured(model: Recommender, split: Split) -> tuple[float, float]:
    """The metric of the default and of tuned parameters on the test part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        tuned = lrrec.tune(model, split, metric=METRIC, n_trials=TRIALS, timeout=SECONDS).model_
        models = {"default": model.fit(split.train), "tuned": tuned}
        values = [lrrec.evaluate(one, split, metrics=[METRIC]).mean()[METRIC] for one in models.values()]
    return values[0], values[1]


def row(measurement: str, measured: str, share: float) -> dict[str, Any]:
    return quality_row(measurement, "tuned", measured, f"{AT_LEAST}; goal {GOAL}", share >= AT_LEAST)
