"""Tables that are large for the memory: read from Parquet, fitted from a mapped file, served; each in a new process.

Peaks are of anonymous memory, less that after the imports; pages of mapped files, which the system takes back when it
needs them, do not count. The largest table is worked on under a hard limit.
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lrrec
from benchmarks import costs
from benchmarks.report import quality_row

N_COMPARED, N_TEXT, N_LARGE = 10_000_000, 50_000_000, 300_000_000  # rows
N_USERS, N_ITEMS = 5_000_000, 500_000  # of the largest table
LIMIT = 8 * 2**30  # bytes
CHUNK = 5_000_000
ROUNDS = 5


PARTS = ("costs", "tables", "text", "large")


def run(part: str) -> Iterator[dict[str, Any]]:
    if part == "costs":
        yield from costs.run()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        if part == "tables":
            make(path, N_COMPARED, N_COMPARED // 70, 20_000)
            yield compared(path, "Parquet")
            yield compared(as_csv(path), "CSV")
        elif part == "text":
            make(path, N_TEXT, N_TEXT // 70, 100_000, text=True)
            yield of_text(path)
        else:
            make(path, N_LARGE, N_USERS, N_ITEMS)
            yield from large(path)


def make(path: Path, n_rows: int, n_users: int, n_items: int, *, text: bool = False) -> None:
    """Write a long-tailed table of users and items in random order, in chunks; ids as text on request."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, n_rows, CHUNK):
        n = min(CHUNK, n_rows - start)
        users, items = rng.integers(0, n_users, n), (n_items * rng.random(n) ** 3).astype(np.int64)
        columns: dict[str, Any] = {"user": users, "item": items}
        if text:
            for name, size in (("user", n_users), ("item", n_items)):
                columns[name] = pa.array([f"{name}{i:09d}" for i in range(size)]).take(pa.array(columns[name]))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=2**20)
    assert writer is not None
    writer.close()


def as_csv(path: Path) -> Path:
    """Write a table as a CSV file too."""
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    csv.write_csv(pq.read_table(path), path.with_suffix(".csv"))
    return path.with_suffix(".csv")


def compared(path: Path, form: str) -> dict[str, Any]:
    """Compare reading in batches with pandas and `from_frame`, in turns."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(child("read", path))
        theirs.append(child("read_by_pandas", path))
    ratios = np.sort([one["seconds"] / other["seconds"] for one, other in zip(ours, theirs, strict=True)])
    seconds, other_seconds = (np.median([one["seconds"] for one in ones]) for ones in (ours, theirs))
    peak, other_peak = (np.median([one["peak"] for one in ones]) / 1e6 for ones in (ours, theirs))
    shown = (
        f"{np.median(ratios):.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f}): {seconds:.1f} s, {other_seconds:.1f} s; "
        f"{peak:,.0f} MB, {other_peak:,.0f} MB"
    )
    met = bool(np.median(ratios) <= 1.2 and peak <= 1000)
    measurement = f"{form} of {N_COMPARED:,} rows to Interactions: seconds; peak memory"
    return quality_row(measurement, "pandas and from_frame", shown, "1.2 x; 1,000 MB", met)


def of_text(path: Path) -> dict[str, Any]:
    """Measure a table with ids of text."""
    one = child("read", path)
    times = one["peak"] / one["size"]
    shown = f"{one['seconds']:.0f} s; {times:.1f} x the result"
    measurement = f"Parquet of {N_TEXT:,} rows with ids of text to Interactions: seconds; peak memory"
    return quality_row(measurement, "", shown, "40 s; 3 x", one["seconds"] <= 40 and times <= 3)


def large(path: Path) -> Iterator[dict[str, Any]]:
    """Read, fit and serve the largest table, each step in a process with a hard limit."""
    stored, model = path.with_suffix(".data"), path.with_suffix(".model")
    for name, arguments in (("read", (path, stored)), ("fit", (stored, model)), ("serve", (model,))):
        one = child(name, *arguments, limit=LIMIT)
        shown = f"{one['seconds']:,.0f} s; {one['peak'] / 2**30:.1f} GB"
        measurement = f"{N_LARGE:,} rows of {N_USERS:,} users and {N_ITEMS:,} items: {one['what']}"
        yield quality_row(measurement, "", shown, f"runs within {LIMIT / 2**30:.0f} GB", True)


def child(name: str, *paths: Path, limit: int = 0) -> dict[str, Any]:
    """Run a measurement of this module in a new process, and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.scale", name, str(limit), *map(str, paths)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def read(path: str, stored: str | None = None) -> dict[str, Any]:
    begun = time.perf_counter()
    reader = lrrec.Interactions.from_csv if path.endswith(".csv") else lrrec.Interactions.from_parquet
    data = reader(path, duplicates="sum")
    seconds, matrix = time.perf_counter() - begun, data.matrix
    if stored is not None:
        data.save(stored)
    size = sum(part.nbytes for part in (matrix.data, matrix.indices, matrix.indptr, data.users.ids, data.items.ids))
    return {"seconds": seconds, "size": size, "what": "Parquet to Interactions, and saved"}


def read_by_pandas(path: str) -> dict[str, Any]:
    import pandas as pd

    begun = time.perf_counter()
    frame = pd.read_csv(path) if path.endswith(".csv") else pd.read_parquet(path)
    lrrec.Interactions.from_frame(frame, duplicates="sum")
    return {"seconds": time.perf_counter() - begun}


def fit(stored: str, model: str) -> dict[str, Any]:
    data, begun = lrrec.Interactions.open(stored, mmap=True), time.perf_counter()
    lrrec.IALS(64, n_iter=3, random_state=0).fit(data).save(model)
    return {"seconds": time.perf_counter() - begun, "what": "IALS of the mapped file, D = 64, 3 iterations, and saved"}


def serve(model: str) -> dict[str, Any]:
    loaded, begun = lrrec.load(model, mmap=True), time.perf_counter()
    loaded.recommend(loaded.users_.ids[:100_000], k=10)
    return {"seconds": time.perf_counter() - begun, "what": "top 10 of 100,000 users, model mapped"}


class Peak:
    """The peak of a process's anonymous memory, which mapped files do not count in, from Linux."""

    def __init__(self) -> None:
        self.before, self.largest = self.now(), 0
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Look at it again and again."""
        while True:
            self.largest = max(self.largest, self.now())
            time.sleep(0.02)

    def now(self) -> int:
        """Return the present one, in bytes."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    if limit := int(sys.argv[2]):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    steps = {"read": read, "read_by_pandas": read_by_pandas, "fit": fit, "serve": serve}
    lrrec.Interactions.from_csv(io.StringIO("user,item\n1,2\n"))  # imports and compiled code are loaded before
    memory = Peak()
    measured = steps[sys.argv[1]](*sys.argv[3:])
    print(json.dumps(measured | {"peak": memory.largest - memory.before}))
