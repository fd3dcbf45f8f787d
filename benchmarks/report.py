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

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("numpy", "scipy", "pandas", "numba", "scikit-learn", "implicit", "irspack", "cmfrec", "rectools", "ranx")


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
        "packages": {package: _version(package) for package in PACKAGES},
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


def ratio_row(what: str, peer: str, pairs: list[tuple[float, float]], bar: float, note: str = "") -> dict[str, Any]:
    """A row from (peer's, our) seconds of every round: medians, the median ratio with its spread, and a verdict."""
    ratios = sorted(theirs / ours for theirs, ours in pairs)
    middle = float(np.median(ratios))
    theirs, mine = (float(np.median(side)) for side in zip(*pairs, strict=True))
    row = {
        "what": what,
        "peer": peer,
        "peer, s": f"{theirs:.3g}",
        "lrrec, s": f"{mine:.3g}",
        "times faster (spread)": f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        "at least": f"{bar:g}",
        "verdict": "met" if middle >= bar else "missed",
        "note": note,
    }
    print(" | ".join(map(str, row.values())), flush=True)
    return row


def line(what: str, rival: str, measured: str, bar: str, met: bool) -> dict[str, Any]:
    """A row of a figure beside a rival's, and a verdict."""
    row = {
        "what": what,
        "against": rival,
        "measured": measured,
        "at least": bar,
        "verdict": "met" if met else "missed",
    }
    print(" | ".join(row.values()), flush=True)
    return row


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


def _version(package: str) -> str | None:
    """A package's version, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
