"""The generated parts of the documents: tables of what is stored, and what their Python blocks print.

A table stands between `<!-- results: NAME -->` (or `<!-- recipes -->`, `<!-- metrics -->`) and `<!-- end -->`. A `text`
block right after a `python` block holds its output; the blocks of a document share their names, as cells of a notebook
do.
"""

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lrrec
from benchmarks import costs
from benchmarks.report import RESULTS, ROOT, table

GENERATED_PAGES = ("_build", "api", "auto_gallery", "examples")  # folders of docs whose files are made, or no pages
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "docs").rglob("*.md")
    if path.relative_to(ROOT / "docs").parts[0] not in GENERATED_PAGES
)
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *PAGES, "benchmarks/README.md", "datasets/README.md")
USES = {  # when to use a model
    "IALS": "the default for clicks, plays and likes: fast on millions of rows, easy to adapt; takes features",
    "NeuralMF": "two-tower network, for longer fits (extra `torch`)",
    "EASE": "linear regression of each item on all others: up to 20,000 items",
    "EDLAE": "the same at low rank, for any number of items",
    "SparseEASE": "the same with few weights per item, for many items",
    "SLIM": "elastic net: few weights of each item, most of them 0",
    "TruncatedSVD": "SVD of the rescaled matrix: the fastest factors",
    "NMF": "nonnegative factors, which can be read as topics",
    "RP3Beta": "random walks: many items, few interactions per user",
    "GraphFilter": "filters over the graph of items: for large sparse data",
    "ItemKNN": "nearest items by cosine: simple to explain",
    "ItemContent": "items with features like those of the history: for new items",
    "Blend": "several models' scores added, weights from validation users",
    "Popularity": "the same list for everyone: the baseline to beat",
    "ALS": "star ratings to be predicted, rather than lists",
}

TRANSFERS = {  # of the table of adaptation: the file, the transfer, and how the documents call it
    "ml-1m to latest-small, shared items": ("adapt-latest-small", "movies: ml-1m to latest-small"),
    "ml-1m, split by taste": ("adapt-taste", "movies: users of another taste"),
    "ml-1m, male to female (a null case)": ("adapt-gender", "movies: men to women"),
    "uk + ca to jp": ("markets", "shops: uk and ca to jp"),
    "uk + ca to de": ("markets", "shops: uk and ca to de"),
}
WAYS = {  # to serve a target: the names of a method in the stored rows, of which the better one is shown
    "the base as it is": ("fold-in",),
    "the target alone, the better of two models": ("scratch", "scratch, item-item", "alone, IALS", "alone, item-item"),
    "adapted": ("auto, guarded on its own", "guarded on its own"),
}


def with_tables(text: str) -> str:
    """Return the text with every table generated anew."""

    def fill(match: re.Match[str]) -> str:
        marker = match[1]
        body = GENERATED[marker]() if marker in GENERATED else table(stored(marker.removeprefix("results: ")))
        return f"<!-- {marker} -->\n{body}\n<!-- end -->"

    return re.sub(r"<!-- (results: [\w-]+|recipes|metrics) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def stored(name: str) -> list[dict[str, Any]]:
    """Return the rows of a benchmark as they were stored."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


def model_table() -> str:
    """Return a row for each model: when to use it, its accuracy and its fit seconds in the stored pipelines."""
    pipelines = {
        name: json.loads((RESULTS / "pipelines" / f"{name}.json").read_text())["models"]
        for name in ("ml-1m-by-user", "gowalla-published")
    }
    (rmse,) = (row["measured"] for row in stored("accuracy") if row["data"] == "ml-1m, RMSE, 5 random folds")

    def measured(pipeline: str, model: str, metric: str) -> tuple[str, str]:
        result = pipelines[pipeline].get(lrrec.models.MODELS[model].command_name)
        return (f"{result['metrics'][metric]['mean']:.3f}", f"{result['fit_seconds']:.2f}") if result else ("-", "-")

    rows = []
    for model, use in USES.items():
        accuracy, seconds = measured("ml-1m-by-user", model, "ndcg@10")
        sparse_accuracy, sparse_seconds = measured("gowalla-published", model, "recall@20")
        rows.append({
            "model": f"`{model}`",
            "when to use it": use,
            "ml-1m: nDCG@10": f"RMSE {float(rmse):.3f}" if model == "ALS" else accuracy,
            "ml-1m: fit, s": seconds,
            "gowalla: recall@20": sparse_accuracy,
            "gowalla: fit, s": sparse_seconds,
        })  # fmt: skip
    return table(rows)


def default_table() -> str:
    """Return a row for each model: the mean share of the tuned metric that its default parameters reach."""
    classes = lrrec.models.by_command_name()
    means = {row["measurement"]: row["measured"] for row in stored("defaults")}
    prefix = "mean over the data sets, "
    return table([
        {"model": f"`{classes[name.removeprefix(prefix)]}`", "default / tuned": share}
        for name, share in means.items() if name.startswith(prefix)
    ])  # fmt: skip


def adaptation_table() -> str:
    """Return how well users of a target are served in each way, by the number of users that were adapted to."""
    rows = []
    for transfer, (name, shown) in TRANSFERS.items():
        details = json.loads((RESULTS / f"{name}-details.json").read_text())
        values: dict[str, dict[int, float]] = {way: {} for way in WAYS}
        for row in (row for row in details if row["transfer"] == transfer):
            value = row.get("ndcg@20") or row["ndcg@10"]
            for way, methods in WAYS.items():
                if row["method"] in methods:
                    values[way][row["users"]] = max(value, values[way].get(row["users"], 0.0))
        largest = max(values["adapted"])
        for way, by_users in values.items():
            cells = {str(n): f"{by_users[n]:.3f}" if n in by_users else "-" for n in (10, 25, 50, 100)}
            rows.append({"transfer": shown, "served by": way, **cells, "all": f"{by_users[largest]:.3f} ({largest:,})"})
    return table(rows)


def recipe_table() -> str:
    """Return a row for each data set, from its recipe."""
    rows = []
    for recipe in map(lrrec.datasets.recipe, lrrec.datasets.names()):
        counts = recipe.statistics
        rows.append({
            "name": f"`{recipe.name}`",
            "users × items": f"{counts['users']:,} × {counts['items']:,}",  # noqa: RUF001
            "ratings": f"{counts['ratings']:,}",
            "about": recipe.about,
            "licence": recipe.licence,
        })  # fmt: skip
    return table(rows)


def metric_table() -> str:
    """Return a row for each metric of the registry."""
    return table([
        {
            "metric": f"`{metric.name}@k`" if metric.has_cutoff else f"`{metric.name}`",
            "better": "greater" if metric.greater_is_better else "smaller",
            "formula": metric.formula.replace("|", "\\|"),
        }
        for metric in lrrec.metrics.METRICS.values()
    ])  # fmt: skip


def misses() -> str:
    """Return a sentence: how many of the benchmarks' goals were not reached."""
    verdicts = [
        row["verdict"]
        for path in sorted(RESULTS.glob("*.json")) if "details" not in path.name
        for row in stored(path.stem) if "verdict" in row and row.get("target") != ""
    ]  # fmt: skip
    return (
        f"{verdicts.count('missed')} of {len(verdicts)} goals were missed; [the tables](benchmarks/README.md) show all."
    )


GENERATED: dict[str, Callable[[], str]] = {
    "results: models": model_table,
    "results: default-shares": default_table,
    "results: misses": misses,
    "results: adaptation": adaptation_table,
    "results: predictions": lambda: table(costs.predictions()),
    "recipes": recipe_table,
    "metrics": metric_table,
}


def with_outputs(text: str) -> str:
    """Run the Python blocks of a document in order; return the text with what they print.

    Blocks that need torch keep their text where torch is not installed.
    """
    namespace: dict[str, Any] = {}

    def run(match: re.Match[str]) -> str:
        code, output = match[1], io.StringIO()
        if "neural" in code.lower() and not find_spec("torch"):
            return match[0]
        with contextlib.redirect_stdout(output):
            exec(code, namespace)
        printed = "\n".join(line.rstrip() for line in output.getvalue().splitlines())
        return f"```python\n{code}```\n" + (f"\n```text\n{printed}\n```\n" if match[2] else "")

    return re.sub(r"```python\n(.*?)```\n(\n```text\n.*?```\n)?", run, text, flags=re.DOTALL)


def refresh(*, outputs: bool = False) -> None:
    """Rewrite the documents' tables, and with outputs=True what their blocks print."""
    for path in (ROOT / name for name in DOCUMENTS):
        text = with_tables(path.read_text())
        if outputs:
            with _temporary_folder():
                text = with_outputs(text)
        path.write_text(text)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Work in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
