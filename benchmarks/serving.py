"""How fast adapters are made and served: seconds to adapt, users a second through a bank, bytes of a file."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import matrices
from benchmarks.report import quality_row
from lrrec import IALS, AdapterBank, Interactions, LowRankAdapter
from lrrec.adapt import LowRank

ROUNDS, N_ADAPTERS, N_USERS, D = 5, 1000, 30, 64


def run() -> Iterator[dict[str, Any]]:
    matrix = matrices.large()
    popular = np.sort(np.argsort(-np.bincount(matrix.indices), kind="stable")[:10_000])
    yield from adapting(matrix[:, popular])
    yield bank(matrix)


def adapting(matrix: Any) -> Iterator[dict[str, Any]]:
    """Yield seconds to adapt to 25 users over 10,000 items, with fixed and with tuned settings, and the file's size."""
    matrix.data[:] = 1
    base = IALS(D, n_iter=4, random_state=0).fit(matrix[:50_000])
    target = matrix[50_000:50_025]
    fixed = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    for label, adapter in (
        ("settings given", fixed),
        ("tuned, compared and guarded", LowRankAdapter(random_state=0)),
        ("compared and guarded, budget fast", LowRankAdapter(budget="fast", random_state=0)),
    ):
        seconds = []
        for _ in range(ROUNDS + 1):
            begun = time.perf_counter()
            adapter.fit(target, base=base)
            seconds.append(time.perf_counter() - begun)
        median = float(np.median(seconds[1:]))
        measurement = f"adapting to 25 users over 10,000 items, D = {D}, {label}"
        yield quality_row(measurement, "", f"{median:.3f} s", "1 s at most", median <= 1)
    with tempfile.TemporaryDirectory() as folder:
        fixed.fit(target, base=base).save(Path(folder) / "a")
        size = (Path(folder) / "a").stat().st_size
        fixed.save(Path(folder) / "a", float16=True)
        half = (Path(folder) / "a").stat().st_size
    shown = f"{size / 1e3:.0f} kB, {half / 1e3:.0f} in float16"
    yield quality_row("file of a rank-8 adapter over 10,000 items", "", shown, "1 MB at most", size < 1e6)


def bank(matrix: Any) -> dict[str, Any]:
    """Return the speed of a mixed batch through a bank of adapters, beside the base alone."""
    base = IALS(D, n_iter=3, random_state=0).fit(matrix)
    users = np.arange(N_ADAPTERS * N_USERS)
    data = Interactions.from_matrix(matrix[: len(users)])
    adapter = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    served = AdapterBank(base).fit_many(data, users // N_USERS, adapter=adapter)
    order = np.random.default_rng(0).permutation(users)
    domains = order // N_USERS
    served.recommend(order[:2000], domains[:2000], k=20), base.recommend(order[:2000], 20)  # warm-up
    pairs = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        base.recommend(order, 20)
        between = time.perf_counter()
        served.recommend(order, domains, k=20)
        pairs.append((between - begun, time.perf_counter() - between))
    ratios = np.sort([alone / mixed for alone, mixed in pairs])
    rate = len(users) / np.median([mixed for _, mixed in pairs])
    shown = f"{np.median(ratios):.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f}), {rate:,.0f} users a second"
    measurement = f"recommend, mixed batch, bank of {N_ADAPTERS:,} adapters: large, D = {D}"
    return quality_row(measurement, "the base alone", shown, "0.7 x", bool(np.median(ratios) >= 0.7))
