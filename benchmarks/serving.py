"""How fast adapters are made and served, and single lists: seconds to adapt, users a second, milliseconds, bytes."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import matrices, single_requests
from benchmarks.report import quality_row
from lrrec import IALS, AdapterBank, Interactions, LowRankAdapter
from lrrec.adapt import Blended, FoldIn, ItemItem, LowRank

ROUNDS, N_ADAPTERS, N_USERS, D = 5, 1000, 30, 64


PARTS = ("adapters", "lists")


def run(part: str) -> Iterator[dict[str, Any]]:
    if part == "lists":
        yield from single_requests.run()
        return
    matrix = matrices.large()
    popular = np.sort(np.argsort(-np.bincount(matrix.indices), kind="stable")[:10_000])
    yield from adapting(matrix[:, popular])
    yield from many_domains(matrix[:, popular])
    yield bank(matrix)
    yield mixed_bank(matrix[:, popular])


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


def many_domains(matrix: Any) -> Iterator[dict[str, Any]]:
    """Yield the seconds to fit an adapter for each of a thousand domains, with fixed and with tuned settings."""
    matrix.data[:] = 1
    base = IALS(D, n_iter=4, random_state=0).fit(matrix[50_000:])
    fixed = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    for label, adapter, n_domains, at_most in (
        ("settings given", fixed, N_ADAPTERS, 60), ("guarded", LowRankAdapter(random_state=0), 40, 1000),
    ):  # fmt: skip
        users = np.arange(25 * n_domains)
        begun = time.perf_counter()
        AdapterBank(base).fit_many(matrix[: len(users)], users // 25, adapter=adapter)
        seconds = (time.perf_counter() - begun) * N_ADAPTERS / n_domains
        measurement = f"{N_ADAPTERS:,} adapters of 25 users each over 10,000 items, {label}"
        note = "" if n_domains == N_ADAPTERS else f" ({n_domains} of them were fitted)"
        yield quality_row(measurement, "", f"{seconds:,.0f} s{note}", f"{at_most:,} s at most", seconds <= at_most)
    yield tuned_on_some(matrix, base, 10, 110)


def tuned_on_some(matrix: Any, base: IALS, tune_on: int, n_domains: int) -> dict[str, Any]:
    """Return the seconds for a thousand domains that have the settings of some, from those of these and of more."""
    users, adapter = np.arange(25 * n_domains), LowRankAdapter(random_state=0)
    taken = []
    for n in (tune_on, n_domains):
        some = users[: 25 * n]
        begun = time.perf_counter()
        AdapterBank(base).fit_many(matrix[: len(some)], some // 25, adapter=adapter, tune_on=tune_on)
        taken.append(time.perf_counter() - begun)
    seconds = taken[0] + (taken[1] - taken[0]) * (N_ADAPTERS - tune_on) / (n_domains - tune_on)
    measurement = f"{N_ADAPTERS:,} adapters of 25 users each over 10,000 items, guarded, settings of {tune_on} domains"
    shown = f"{seconds:,.0f} s ({n_domains} of them were fitted)"
    return quality_row(measurement, "", shown, "1,000 s at most", seconds <= 1000)


def bank(matrix: Any) -> dict[str, Any]:
    """Return the speed of a mixed batch through a bank of low-rank adapters, beside the base alone."""
    base = IALS(D, n_iter=3, random_state=0).fit(matrix)
    users = np.arange(N_ADAPTERS * N_USERS)
    data = Interactions.from_matrix(matrix[: len(users)])
    adapter = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    served = AdapterBank(base).fit_many(data, users // N_USERS, adapter=adapter)
    return mixed_batch(base, served, users, f"bank of {N_ADAPTERS:,} adapters: large, D = {D}")


def mixed_bank(matrix: Any) -> dict[str, Any]:
    """Return the same for adapters of several kinds."""
    base = IALS(D, n_iter=3, random_state=0).fit(matrix)
    users = np.arange(N_ADAPTERS * N_USERS)
    data = Interactions.from_matrix(matrix[: len(users)])
    low_rank = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)
    item_item = ItemItem(statistics="scores", weight=0.1, reg=30.0, scaling=0.0)
    kinds = [low_rank, low_rank, FoldIn(fold_in_reg=None), item_item, Blended([low_rank, item_item], [1.0, 1.0])]
    served = AdapterBank(base)
    for number, kind in enumerate(kinds):
        some = np.flatnonzero(users // N_USERS % len(kinds) == number)
        part = Interactions.from_matrix(data.matrix[some], users=data.users.ids[some], items=data.items)
        served.fit_many(part, users[some] // N_USERS, adapter=kind)
    kind_names = "low-rank twice, fold-in, item-item, a blend"
    return mixed_batch(base, served, users, f"bank of {N_ADAPTERS:,} adapters of several kinds ({kind_names}), D = {D}")


def mixed_batch(base: IALS, served: AdapterBank, users: np.ndarray, label: str) -> dict[str, Any]:
    """Return the users a second of a bank beside those of its base, all domains in one call."""
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
    return quality_row(
        f"recommend, mixed batch, {label}", "the base alone", shown, "0.7 x", bool(np.median(ratios) >= 0.7)
    )
