"""Store measurements with their circumstances, and show them: on the terminal, in the README."""

import importlib.metadata
import json
import os
import platform
import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scipy", "pandas", "numba", "scikit-learn")


def store(name: str, rows: list[dict[str, Any]]) -> None:
    """Write the rows of a benchmark, with versions, machine and commit, to benchmarks/results/NAME.json."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    about = {
        "date": date.today().isoformat(),
        "commit": commit,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {package: importlib.metadata.version(package) for package in PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rendered(text: str) -> str:
    """The README's text with every results table as stored."""

    def fill(found: re.Match[str]) -> str:
        stored = RESULTS / f"{found[1]}.json"
        body = table(json.loads(stored.read_text())["rows"]) + "\n" if stored.is_file() else ""
        return f"<!-- results: {found[1]} -->\n{body}<!-- end -->"

    return re.sub(r"<!-- results: (\w+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def refresh_readme() -> None:
    """Put the stored results into the README."""
    readme = ROOT / "README.md"
    readme.write_text(rendered(readme.read_text()))


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
