"""Seconds and peak memory of converting a pandas frame to Interactions.

Each size runs in a new process. Its peak memory is what the process needs beyond the frame, plus the frame, as a
multiple of the frame.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {1_000_000: 1.0, 20_000_000: 20.0}  # rows: seconds allowed
ROUNDS = 5


def run() -> list[dict[str, Any]]:
    rows = []
    for n_rows, at_most in SIZES.items():
        command = [sys.executable, "-m", "benchmarks.interactions", str(n_rows)]
        measured = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        seconds, memory = np.median(measured["seconds"]), measured["memory"]
        rows.append({
            "rows of a pandas frame to Interactions": f"{n_rows:,}",
            "seconds (median of 5)": f"{seconds:.2f}",
            "at most": f"{at_most:g}",
            "peak memory, frame included (x frame)": f"{memory:.2f}",
            "verdict": "met" if seconds <= at_most and memory <= 3 else "missed",
        })  # fmt: skip
    return rows


def measure(n_rows: int) -> dict[str, Any]:
    """Return seconds of every round and peak memory, for a long-tailed table in random order."""
    import pandas as pd

    import lrrec

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "user": rng.integers(0, n_rows // 70, n_rows) * 7,
        "item": (20_000 * rng.random(n_rows) ** 3).astype(np.int64),
        "rating": rng.integers(1, 6, n_rows).astype(np.float64),
        "time": rng.integers(0, 10**9, n_rows),
    })  # fmt: skip
    size = frame.memory_usage().sum()
    lrrec.Interactions.from_frame(frame[:1000], value="rating", time="time")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _memory("VmHWM")
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        data = lrrec.Interactions.from_frame(frame, value="rating", time="time", duplicates="last")
        seconds.append(time.perf_counter() - begun)
        del data
    return {"seconds": seconds, "memory": 1 + float(_memory("VmHWM") - before) / float(size)}


def _memory(field: str) -> int:
    """Return a memory figure of this process in bytes, from Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
