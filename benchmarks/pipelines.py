"""Every model on every data set, tuned, evaluated and stored by `lrrec benchmark`; published figures beside.

Settings and results go to benchmarks/results/pipelines; `lrrec benchmark DATA --settings FILE` repeats a run without
tuning.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lrrec
from benchmarks import matrices
from benchmarks.report import RESULTS, dumps
from lrrec import Recommender, Split
from lrrec.models import by_command_name

STORED = RESULTS / "pipelines"
ALL_MODELS = "popularity,itemknn,rp3beta,graphfilter,slim,ease,edlae,svd,nmf,ials,neural"
OF_MANY_ITEMS = "popularity,itemknn,rp3beta,sparseease,svd,edlae,ials"


@dataclass(frozen=True)
class Pipeline:
    """A run of `lrrec benchmark`. timeout: seconds for a model's trials. published: figures by model and metric."""

    data: str
    protocol: str
    models: str
    trials: int
    timeout: int
    metrics: tuple[str, ...]
    published: dict[tuple[str, str], str]

    @property
    def name(self) -> str:
        """What its results are stored under."""
        return f"{self.data}-{self.protocol}"

    @property
    def source(self) -> str:
        """The data set that has the split, or is split."""
        return "ncf-ml-1m" if self.protocol == "ncf" else self.data


PIPELINES = (
    Pipeline("ml-100k", "by-user", ALL_MODELS, 20, 60, ("ndcg@10", "recall@20"), {}),
    Pipeline("ml-latest-small", "by-user", ALL_MODELS, 20, 60, ("ndcg@10", "recall@20"), {}),
    Pipeline("ml-1m", "by-user", ALL_MODELS, 20, 90, ("ndcg@10", "recall@20"), {}),
    # Ferrari Dacrema et al. (2021), tables 54 and 59; iALS: Rendle et al. (2021)
    Pipeline("ml-1m", "ncf", ALL_MODELS, 20, 90, ("ndcg@10", "hit@10"), {
        ("popularity", "hit@10"): ".4533", ("popularity", "ndcg@10"): ".2542",
        ("itemknn", "hit@10"): ".6694", ("itemknn", "ndcg@10"): ".3979",
        ("svd", "hit@10"): ".6937", ("svd", "ndcg@10"): ".4303", ("ease", "hit@10"): ".7192",
        ("ease", "ndcg@10"): ".4494", ("neural", "hit@10"): "NeuMF .7093", ("neural", "ndcg@10"): "NeuMF .4349",
    }),
    # the BARS leaderboard
    Pipeline("gowalla", "published", OF_MANY_ITEMS, 12, 150, ("recall@20", "ndcg@20"), {
        ("popularity", "recall@20"): ".0416", ("popularity", "ndcg@20"): ".0317",
        ("itemknn", "recall@20"): ".1570", ("itemknn", "ndcg@20"): ".1214",
        ("rp3beta", "recall@20"): "LightGCN .1830", ("rp3beta", "ndcg@20"): "LightGCN .1554",
    }),
)  # fmt: skip


def run() -> Iterator[dict[str, Any]]:
    STORED.mkdir(parents=True, exist_ok=True)
    for pipeline in PIPELINES:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "lrrec", "benchmark", pipeline.data, "--protocol", pipeline.protocol,
                     "--models", pipeline.models, "--trials", str(pipeline.trials), "--timeout", str(pipeline.timeout),
                     "--out", folder, "--report", f"{folder}/report.html"]  # fmt: skip
            if pipeline.protocol != "published":  # see the benchmark gowalla
                command.append("--blend")
            for metric in pipeline.metrics:
                command += ["--metric", metric]
            if home := matrices.data_home():
                command += ["--data-home", home]
            subprocess.run(command, check=True, stdout=sys.stderr)
            seconds = time.perf_counter() - begun
            name = pipeline.name
            settings = json.loads((Path(folder) / "settings.json").read_text())
            (STORED / f"{name}-settings.json").write_text(dumps(settings, levels=1))
            results = json.loads((Path(folder) / "results.json").read_text())
        results["seconds"] = round(seconds, 1)
        for tuned in (results["tuning"] or {}).values():
            tuned["trials"] = len(tuned["trials"])
        del results["pairs"]  # the comparisons of each model with each other one, which no table shows
        (STORED / f"{name}.json").write_text(dumps(results, levels=2))
        yield from rows(pipeline, results)


def split_of(pipeline: Pipeline, data: lrrec.datasets.Dataset) -> Split:
    """The split that `lrrec benchmark` measured on."""
    if pipeline.protocol == "by-user":
        return lrrec.splits.by_user(data.interactions(min_rating=4), random_state=0)
    return data.split()


def make(command_name: str, params: dict[str, Any]) -> Recommender:
    model: Recommender = getattr(lrrec, by_command_name()[command_name])(**params)
    return model


def shown_name(name: str, params: dict[str, Any]) -> str:
    """The name of a model; of a blend with its weights."""
    if name != "blend":
        return name
    return f"blend: {', '.join(f'{member} {weight:.2f}' for member, weight in params['weights'].items())}"


def rows(pipeline: Pipeline, results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each model, the best first by the metric that was tuned for."""
    first = pipeline.metrics[0]
    models = sorted(results["models"].items(), key=lambda pair: -pair[1]["metrics"][first]["mean"])
    for name, result in models:
        shown = []
        for metric in pipeline.metrics:
            value = result["metrics"][metric]
            published = pipeline.published.get((name, metric))
            shown.append(f"{metric} {value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})"
                         + (f", published {published}" if published else ""))  # fmt: skip
        n_trials = results["tuning"][name]["trials"] if name in results["tuning"] else "-"
        line = {
            "data": pipeline.data,
            "protocol": pipeline.protocol,
            "model": shown_name(name, result["params"]),
            "measured (95 % interval)": "; ".join(shown),
            "trials": n_trials,
            "fit, s": f"{result['fit_seconds']:.2f}",
        }
        print(" | ".join(map(str, line.values())), flush=True)
        yield line
