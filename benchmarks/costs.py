"""What operations cost as the data grow: measured over two decades, and what follows for much larger data.

Seconds are fitted by c n^e over five sizes n; e is the exponent, and seconds / n the constant of this machine.
Predictions are the formulas of the documentation with these constants.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.report import RESULTS, quality_row, save_picture, store_details
from benchmarks.single_requests import drawn
from lrrec import IALS, AdapterBank, Interactions
from lrrec.adapt import LowRank

D, N_ITEMS, K, ROUNDS = 64, 20_000, 10, 3
AT_MOST = 1.1


@dataclass(frozen=True)
class Operation:
    """An operation: what its cost grows with, and how to time it. work(size) returns what is timed."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    work: Callable[[int], Callable[[], Any]]


def run() -> Iterator[dict[str, Any]]:
    measured = []
    for operation in OPERATIONS:
        seconds = [timed(operation.work(size)) for size in operation.sizes]
        exponent, _ = np.polyfit(np.log(operation.sizes), np.log(seconds), 1)
        each = seconds[-1] / operation.sizes[-1]
        measured.append({
            "name": operation.name, "unit": operation.unit, "sizes": operation.sizes, "seconds": seconds,
            "exponent": float(exponent), "each": each,
        })  # fmt: skip
        shown = f"{exponent:.2f}; {seconds[0]:.3g} s to {seconds[-1]:.3g} s, {scaled(each)} each"
        yield quality_row(
            f"{operation.name}, {operation.sizes[0]:,} to {operation.sizes[-1]:,} {operation.unit}: exponent", "",
            shown, f"{AT_MOST} at most", bool(exponent <= AT_MOST),
        )  # fmt: skip
        store_details("costs", measured)
    draw()


def timed(work: Callable[[], Any]) -> float:
    """Return the median of the seconds of a few rounds, after one that does not count."""
    taken = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
        if sum(taken) > 60:
            break
    return float(np.median(taken[1:] or taken))


def scaled(seconds: float) -> str:
    """Return a time with three digits in a unit that suits it."""
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def interactions(n: int) -> sp.csr_array:
    """Draw n long-tailed interactions, 70 a user."""
    rng = np.random.default_rng(0)
    rows, columns = np.repeat(np.arange(n // 70), 70), (N_ITEMS * rng.random(n // 70 * 70) ** 2).astype(np.int32)
    matrix = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n // 70, N_ITEMS))
    matrix.data[:] = 1
    return matrix


def fitting(n: int) -> Callable[[], Any]:
    matrix = interactions(n)
    return lambda: IALS(D, n_iter=1, random_state=0).fit(matrix)


def recommending(n: int) -> Callable[[], Any]:
    model = drawn(N_ITEMS, n)
    return lambda: model.recommend(k=K)


def folding_in(n: int) -> Callable[[], Any]:
    model, histories = drawn(N_ITEMS), interactions(70 * n)
    return lambda: model.transform(histories)


def adapting(n: int) -> Callable[[], Any]:
    base, matrix = IALS(D, n_iter=2, random_state=0).fit(interactions(10**6)), interactions(70 * 25 * n)
    adapter = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    return lambda: AdapterBank(base).fit_many(matrix, np.arange(25 * n) // 25, adapter=adapter)


def saving(n: int) -> Callable[[], Any]:
    data, folder = Interactions.from_matrix(interactions(n)), tempfile.TemporaryDirectory()
    return lambda: (data.save(Path(folder.name) / "data"), Interactions.open(Path(folder.name) / "data"))


DECADES = (10**3, 3162, 10**4, 31_623, 10**5)
OPERATIONS = (
    Operation(
        "an iteration of IALS and the users at its end", "interactions", tuple(300 * n for n in DECADES), fitting
    ),
    Operation("recommend, 10 of 20,000 items", "users", DECADES, recommending),
    Operation("fold-in, 70 items each", "users", DECADES, folding_in),
    Operation(
        "fit_many, settings given, 25 users over 20,000 items each", "domains", (10, 32, 100, 316, 1000), adapting
    ),
    Operation("interactions written and read", "interactions", tuple(300 * n for n in DECADES), saving),
)


def predictions(n_users: float = 1e8, n_items: float = 1e7, n_each: float = 100) -> list[dict[str, Any]]:
    """Return a row for each operation on data of another size, from the stored constants."""
    each = {row["name"]: row["each"] for row in json.loads((RESULTS / "costs-details.json").read_text())}
    fit, lists, fold, domain, _ = (each[operation.name] for operation in OPERATIONS)
    n = n_users * n_each
    factors, cells = 4 * D * (n_users + n_items), 8 * n
    rows = (
        ("interactions, mapped from the disk", "8 bytes an interaction, 16 while a model is fitted", cells, 0.0),
        ("factors", "4 D bytes a user and item", factors, 0.0),
        ("one iteration of IALS", "interactions x D, users x D^2", 2 * cells + factors, n * fit),
        ("fold-in of all users", "a user's items x D + D^2", factors, n_users * fold),
        ("lists for all users, exact", "users x items x D", factors, n_users * n_items / N_ITEMS * lists),
        ("10,000 adapters, settings given", "domains x items x D", 4 * D * n_items, 1e4 * n_items / N_ITEMS * domain),
    )
    return [
        {
            "operation": name, "grows with": grows, "memory": f"{size / 1e9:,.0f} GB",
            "on this machine": duration(seconds), "on 100 of it": duration(seconds / 100),
        }
        for name, grows, size, seconds in rows
    ]  # fmt: skip


def duration(seconds: float) -> str:
    """Return a time in words."""
    if not seconds:
        return "-"
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} seconds"


def draw() -> None:
    """Write the picture of seconds against sizes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    for row in json.loads((RESULTS / "costs-details.json").read_text()):
        label = f"{row['name'].split(',')[0]} ({row['unit']}): {row['exponent']:.2f}"
        axes.loglog(row["sizes"], row["seconds"], marker="o", markersize=3, label=label)
    axes.set(xlabel="size", ylabel="seconds", title="Seconds against size, and the exponent")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, framealpha=0.9, edgecolor="none")
    save_picture(figure, "costs")
