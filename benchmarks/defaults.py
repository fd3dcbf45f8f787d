"""What models reach without tuning: default parameters beside those that `pipelines` tuned, on its data sets.

Both are fitted to the same training part and measured on the same test part; tuning saw the training part alone.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from benchmarks.pipelines import PIPELINES, STORED, Pipeline, make, split_of
from benchmarks.report import quality_row

AT_LEAST, GOAL = 0.97, 0.99


def run() -> Iterator[dict[str, Any]]:
    shares: dict[tuple[str, str], float] = {}
    for pipeline in PIPELINES:
        for name, default, tuned in measured(pipeline):
            shares[pipeline.name, name] = share = default / tuned
            yield row(
                f"{pipeline.name}, {name}, {pipeline.metrics[0]}", f"{share:.3f}: {default:.4f}, {tuned:.4f}", share
            )
    for name in dict.fromkeys(name for _, name in shares):
        mean = float(np.mean([share for (_, model), share in shares.items() if model == name]))
        yield row(f"mean over the data sets, {name}", f"{mean:.3f}", mean)
    mean = float(np.mean(list(shares.values())))
    yield row("mean over data sets and models", f"{mean:.3f}", mean)


def measured(pipeline: Pipeline) -> Iterator[tuple[str, float, float]]:
    """The metric that each model was tuned for, with default and with tuned parameters, on the test part."""
    stored, metric = json.loads((STORED / f"{pipeline.name}.json").read_text()), pipeline.metrics[0]
    split = split_of(pipeline, lrrec.datasets.load(pipeline.source, matrices.data_home()))
    for name, tuning in stored["tuning"].items():
        if not tuning["best_params"]:
            continue  # nothing to tune
        model = make(name, {})
        if "random_state" in model.get_params():
            model.set_params(random_state=0)
        default = lrrec.evaluate(model.fit(split.train), split, metrics=[metric]).mean()[metric]
        yield name, default, stored["models"][name]["metrics"][metric]["mean"]


def row(measurement: str, measured: str, share: float) -> dict[str, Any]:
    return quality_row(measurement, "tuned", measured, f"{AT_LEAST}; goal {GOAL}", share >= AT_LEAST)
