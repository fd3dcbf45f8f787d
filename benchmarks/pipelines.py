"""Every model on every data set, as `lrrec benchmark` tunes, evaluates and stores it; published figures beside.

Settings and results go to benchmarks/results/pipelines; `lrrec benchmark DATA --settings FILE` repeats a run without
tuning.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import matrices
from benchmarks.report import RESULTS

STORED = RESULTS / "pipelines"
EVERYBODY = "popularity,itemknn,rp3beta,ease,svd,nmf,ials,neural"


@dataclass(frozen=True)
class Pipeline:
    """A run. timeout: seconds after which no other setting of a model is tried. published: of a model and metric."""

    data: str
    protocol: str
    models: str
    trials: int
    timeout: int
    metrics: tuple[str, ...]
    published: dict[tuple[str, str], str]


PIPELINES = (
    Pipeline("ml-100k", "by-user", EVERYBODY, 20, 60, ("ndcg@10", "recall@20"), {}),
    Pipeline("ml-latest-small", "by-user", EVERYBODY, 20, 60, ("ndcg@10", "recall@20"), {}),
    Pipeline("ml-1m", "by-user", EVERYBODY, 20, 90, ("ndcg@10", "recall@20"), {}),
    # Ferrari Dacrema et al. (2021), tables 54 and 59; iALS: Rendle et al. (2021)
    Pipeline("ml-1m", "ncf", EVERYBODY, 20, 90, ("ndcg@10", "hit@10"), {
        ("popularity", "hit@10"): ".4533", ("popularity", "ndcg@10"): ".2542",
        ("itemknn", "hit@10"): ".6694", ("itemknn", "ndcg@10"): ".3979",
        ("svd", "hit@10"): ".6937", ("svd", "ndcg@10"): ".4303", ("ease", "hit@10"): ".7192",
        ("ease", "ndcg@10"): ".4494", ("neural", "hit@10"): "NeuMF .7093", ("neural", "ndcg@10"): "NeuMF .4349",
    }),
    # the BARS leaderboard
    Pipeline("gowalla", "published", "popularity,itemknn,rp3beta,svd,ials", 12, 150, ("recall@20", "ndcg@20"), {
        ("popularity", "recall@20"): ".0416", ("popularity", "ndcg@20"): ".0317",
        ("itemknn", "recall@20"): ".1570", ("itemknn", "ndcg@20"): ".1214",
        ("rp3beta", "recall@20"): "LightGCN .1830", ("rp3beta", "ndcg@20"): "LightGCN .1554",
    }),
)  # fmt: skip


def run() -> Iterator[dict[str, Any]]:
    STORED.mkdir(parents=True, exist_ok=True)
    for one in PIPELINES:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "lrrec", "benchmark", one.data, "--protocol", one.protocol,
                     "--models", one.models, "--trials", str(one.trials), "--timeout", str(one.timeout),
                     "--out", folder, "--report", f"{folder}/report.html"]  # fmt: skip
            for metric in one.metrics:
                words += ["--metric", metric]
            if home := matrices.data_home():
                words += ["--data-home", home]
            subprocess.run(words, check=True, stdout=sys.stderr)
            seconds = time.perf_counter() - begun
            name = f"{one.data}-{one.protocol}"
            shutil.copy(Path(folder) / "settings.json", STORED / f"{name}-settings.json")
            results = json.loads((Path(folder) / "results.json").read_text())
        results["seconds"] = round(seconds, 1)
        for tuned in (results["tuning"] or {}).values():
            tuned["trials"] = len(tuned["trials"])
        (STORED / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
        yield from rows(one, results)


def rows(one: Pipeline, results: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row a model, the best first by what was tuned for."""
    first = one.metrics[0]
    models = sorted(results["models"].items(), key=lambda pair: -pair[1]["metrics"][first]["mean"])
    for name, found in models:
        shown = []
        for metric in one.metrics:
            value = found["metrics"][metric]
            told = one.published.get((name, metric))
            shown.append(f"{metric} {value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f})"
                         + (f", published {told}" if told else ""))  # fmt: skip
        n_trials = results["tuning"][name]["trials"]
        line = {
            "data": one.data,
            "protocol": one.protocol,
            "model": name,
            "measured (95 % interval)": "; ".join(shown),
            "trials": n_trials,
            "fit, s": f"{found['fit_seconds']:.2f}",
        }
        print(" | ".join(map(str, line.values())), flush=True)
        yield line
