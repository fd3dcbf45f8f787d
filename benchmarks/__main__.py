"""Run benchmarks by name, store their results, and put them into the README.

python -m benchmarks interactions          measure, print, store in benchmarks/results, refresh the README
python -m benchmarks --readme              refresh the README from what is stored
"""

import argparse
import importlib

from benchmarks import report

NAMES = (
    "interactions", "als", "topk", "svd", "ease", "memory", "accuracy", "adapt", "serving", "neural", "evaluation",
    "pipelines",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(NAMES)}")
    parser.add_argument("--readme", action="store_true", help="only refresh the README from the stored results")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown or not (options.names or options.readme):
        parser.error(f"NAME must be one of {', '.join(NAMES)}, got {', '.join(sorted(unknown)) or 'none'}")
    for name in options.names:
        rows = []
        for row in importlib.import_module(f"benchmarks.{name}").run():
            rows.append(row)
            report.store(name, rows)  # at once: what was measured is kept when a later row fails
        print(report.table(rows))
    report.refresh_readme()


if __name__ == "__main__":
    main()
