"""Store measurements with their circumstances, and show them as tables."""

import importlib.metadata
import importlib.util
import io
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


def installed(peer: str) -> bool:
    """Whether a peer is installed; says so where its rows are left out."""
    there = importlib.util.find_spec(peer) is not None
    if not there:
        print(f"{peer} is not installed: its rows are left out", flush=True)
    return there


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
    (RESULTS / f"{name}.json").write_text(dumps({"about": about, "rows": rows}, levels=2))


def store_details(name: str, details: list[dict[str, Any]]) -> None:
    """Write what pictures are drawn from, and what the rows of a benchmark sum up."""
    (RESULTS / f"{name}-details.json").write_text(dumps(details, levels=1))


def dumps(value: Any, levels: int) -> str:
    """Return JSON that is short and can be compared: a line for each entry of the first levels."""
    return _entries(value, levels, "\n") + "\n"


def _entries(value: Any, levels: int, line: str) -> str:
    if not levels or not isinstance(value, dict | list) or not value:
        return json.dumps(value)
    if isinstance(value, dict):
        entries = [f"{json.dumps(key)}: {_entries(part, levels - 1, line + ' ')}" for key, part in value.items()]
    else:
        entries = [_entries(part, levels - 1, line + " ") for part in value]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}{line} " + f",{line} ".join(entries) + f"{line}{end}"


def over_seeds(values: list[Any]) -> Any:
    """Return what the values of several seeds are in short: the mean of numbers, the names that there are."""
    if isinstance(values[0], dict):
        return {key: over_seeds([value[key] for value in values]) for key in values[0]}
    if isinstance(values[0], str):
        return ", ".join(sorted(set(values)))
    return round(float(np.mean(values)), 4)


def save_picture(figure: Any, name: str) -> None:
    """Write a matplotlib figure to benchmarks/results/NAME.svg: letters as letters, coordinates to a hundredth."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lrrec"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    (RESULTS / f"{name}.svg").write_text(thinned(out.getvalue()))


def thinned(svg: str) -> str:
    """Return a picture without metadata and comments, its numbers with at most two decimals."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<!DOCTYPE.*?>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    return re.sub(r'(d|points)="[^"]*"', lambda path: " ".join(path[0].split()).replace(' "', '"'), svg)


def speed_row(
    measurement: str, peer: str, seconds: list[tuple[float, float]], at_least: float, note: str = ""
) -> dict[str, Any]:
    """Return a row of (peer's, our) seconds of every round: medians, the median ratio and its range, a verdict."""
    ratios = sorted(theirs / ours for theirs, ours in seconds)
    median = float(np.median(ratios))
    peer_seconds, our_seconds = (float(np.median(side)) for side in zip(*seconds, strict=True))
    row = {
        "measurement": measurement,
        "peer": peer,
        "peer, s": f"{peer_seconds:.3g}",
        "lrrec, s": f"{our_seconds:.3g}",
        "times faster (range)": f"{median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        "at least": f"{at_least:g}",
        "verdict": "met" if median >= at_least else "missed",
        "note": note,
    }
    print(" | ".join(map(str, row.values())), flush=True)
    return row


def quality_row(measurement: str, rival: str, measured: str, target: str, met: bool) -> dict[str, Any]:
    """Return a row of a figure beside a rival's, with its target and a verdict."""
    row = {
        "measurement": measurement,
        "compared with": rival,
        "measured": measured,
        "target": target,
        "verdict": "met" if met else "missed",
    }
    print(" | ".join(row.values()), flush=True)
    return row


def relative(ours: np.ndarray, rival: np.ndarray) -> str:
    """Return the ratio of two means over seeds, the range of each seed's ratio, and both means."""
    ratios = np.sort(ours / rival)
    whole = ours.mean() / rival.mean()
    return f"{whole:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}): {ours.mean():.4f}, {rival.mean():.4f}"


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(map(str.strip, line)) + " |" for line in lines)


def _version(package: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's name, where the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
