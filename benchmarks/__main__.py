"""Run benchmarks by name, store their results, and refresh the tables of the documents.

python -m benchmarks interactions          measure, print, store in benchmarks/results, refresh the tables
python -m benchmarks adapt:union           the same for one part of a benchmark that has parts
python -m benchmarks --readme              refresh the tables from the stored results
python -m benchmarks --outputs             also run the documents' Python blocks and refresh what they print
"""

import argparse
import importlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import documents, report

NAMES = (
    "interactions", "als", "topk", "svd", "ease", "memory", "accuracy", "adapt", "adapt_shared", "adapt_neural",
    "serving", "neural", "evaluation", "pipelines", "markets", "scale", "spark", "busy", "hybrid",
    "graph_filter", "gowalla", "defaults", "recency", "slim", "sparse_ease",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(NAMES)}; NAME:PART for one part"
    )
    parser.add_argument("--readme", action="store_true", help="only refresh the tables from the stored results")
    parser.add_argument("--outputs", action="store_true", help="run the documents' Python blocks, refresh their output")
    options = parser.parse_args()
    unknown = {name for name in options.names if name.partition(":")[0] not in NAMES}
    if unknown or not (options.names or options.readme or options.outputs):
        parser.error(f"NAME must be one of {', '.join(NAMES)}, got {', '.join(sorted(unknown)) or 'none'}")
    runs = [run for name in options.names for run in _runs(name, parser)]
    for run, stored_as in runs:
        rows: list[dict[str, Any]] = []
        for row in run():
            rows.append(row)
            report.store(stored_as, rows)  # kept when a later row fails
        print(report.table(rows))
    documents.refresh(outputs=options.outputs)


def _runs(name: str, parser: argparse.ArgumentParser) -> list[tuple[Callable[[], Iterator[dict[str, Any]]], str]]:
    """Return what runs a benchmark, or each of its parts, and the names that their results are stored under."""
    name, _, part = name.partition(":")
    module = importlib.import_module(f"benchmarks.{name}")
    parts = getattr(module, "PARTS", [])
    if part and part not in parts:
        parser.error(f"the parts of {name} are {', '.join(parts) or 'none'}, got {part}")
    return [(partial(module.run, one), f"{name}-{one}") for one in ([part] if part else parts)] or [(module.run, name)]


if __name__ == "__main__":
    main()
