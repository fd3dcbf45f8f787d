"""Run benchmarks by name, store their results, and refresh the tables of the documents.

python -m benchmarks interactions          measure, print, store in benchmarks/results, refresh the tables
python -m benchmarks adapt:union           the same for one part of a benchmark that has parts
python -m benchmarks --readme              refresh the tables from the stored results
python -m benchmarks --outputs             also run the documents' Python blocks and refresh what they print
"""

import argparse
import importlib
from typing import Any

from benchmarks import documents, report

NAMES = (
    "interactions", "als", "topk", "svd", "ease", "memory", "accuracy", "adapt", "adapt_shared", "serving", "neural",
    "evaluation", "pipelines", "markets", "scale",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(NAMES)}; adapt:PART for one transfer"
    )
    parser.add_argument("--readme", action="store_true", help="only refresh the tables from the stored results")
    parser.add_argument("--outputs", action="store_true", help="run the documents' Python blocks, refresh their output")
    options = parser.parse_args()
    unknown = {name for name in options.names if name.partition(":")[0] not in NAMES}
    if unknown or not (options.names or options.readme or options.outputs):
        parser.error(f"NAME must be one of {', '.join(NAMES)}, got {', '.join(sorted(unknown)) or 'none'}")
    for name, _, part in (name.partition(":") for name in options.names):
        module = importlib.import_module(f"benchmarks.{name}")
        parts = getattr(module, "PARTS", [])
        if part and part not in parts:
            parser.error(f"the parts of {name} are {', '.join(parts) or 'none'}, got {part}")
        for only in ([part] if part else parts) or [None]:
            rows: list[dict[str, Any]] = []
            for row in module.run() if only is None else module.run(only):
                rows.append(row)
                report.store(name if only is None else f"{name}-{only}", rows)  # kept when a later row fails
            print(report.table(rows))
    documents.refresh(outputs=options.outputs)


if __name__ == "__main__":
    main()
