"""Adapting a model of some Amazon markets to another: electronics by country, items shared, users not.

Users of the target are cut, by seed, into training users (nested sizes), validation and test users. Every method is
tuned on the same validation users; a test user's last interaction is to be found among all items of the target's
market, from the others (nDCG@10). The source model is trained and tuned once a transfer, on its own users.
"""

import json
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import lrrec
from benchmarks import matrices, published_markets
from benchmarks.adapt import pooled
from benchmarks.report import over_seeds, quality_row, relative, store_details
from lrrec import IALS, AdapterSelector, Interactions, Split
from lrrec.adapt import Adapter, Anchored, FoldIn, ItemItem, ItemItemScratch, LowRank
from lrrec.data.alignment import align

SEEDS = 5
METRIC = "ndcg@10"
TRANSFERS = {"jp": ("uk", "ca"), "de": ("uk", "ca")}
SIZES = (25, 100)  # and all
POOL_WEIGHTS = (1, 3, 10, 30)
ALONE = ("alone, IALS", "alone, item-item")
TODAY = ("fold-in", *ALONE, "low rank 8", "anchored", "pooled")  # what there is without item-item adapters
AT_LEAST = {"jp": (1.45, 1.15), "de": (1.65, 1.10)}  # of 25 users: against a model of the target alone, anchored


@cache
def market(name: str) -> pd.DataFrame:
    """Return a market's interactions in the order of time, of repeated ones the last: user, item, time."""
    data = lrrec.datasets.load(f"xmarket/{name}", matrices.data_home()).interactions()
    return pd.DataFrame(data.to_frame()).sort_values("time", kind="stable", ignore_index=True)


def run() -> Iterator[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    for target, sources in TRANSFERS.items():
        name = f"{' + '.join(sources)} to {target}"
        base, source = source_model(sources)
        print(f"{name}: {source!r}; base {' '.join(repr(base).split())}", flush=True)
        runs = [Run(target, base, source, seed) for seed in range(SEEDS)]
        for size in (*SIZES, len(runs[0].train_users)):
            results = [one.measure(size) for one in runs]
            details += summary(name, size, results)
            store_details("markets", details)
            yield from verdicts(name, target, size, results)
    yield from published_markets.run(source_model)


def source_model(sources: tuple[str, ...]) -> tuple[IALS, Interactions]:
    """Return the base, tuned on validation users of the source and fitted to all, and the source."""
    table = pd.concat([market(name).assign(user=name + market(name)["user"]) for name in sources])
    data = Interactions.from_pairs(table["user"], table["item"])
    split = lrrec.splits.by_user(data, 500, history=0.8, random_state=0)
    settings = [
        IALS(128, unobserved_weight=weight, reg=reg, n_iter=12, random_state=0)
        for weight in (0.01, 0.03, 0.1) for reg in (0.003, 0.01, 0.03)
    ]  # fmt: skip
    best = max(settings, key=lambda model: mean(model.fit(split.train), split).mean())
    return best.fit(data), data


def mean(model: Any, split: Split) -> np.ndarray:
    """Return the metric of every test user."""
    return np.asarray(lrrec.evaluate(model, split, metrics=[METRIC]).values[METRIC])


class Run:
    """One seed: users cut into test (at most 500), validation (at most 150) and training users."""

    def __init__(self, target: str, base: IALS, source: Interactions, seed: int) -> None:
        self.base, self.source, self.seed = base, source, seed
        self.table = market(target)
        self.catalogue = self.table["item"].unique()
        users = np.random.default_rng(seed).permutation(np.sort(self.table["user"].unique()))
        n_test, n_validation = min(500, len(users) * 7 // 20), min(150, len(users) * 3 // 20)
        self.test_users, self.validation_users = users[:n_test], users[n_test : n_test + n_validation]
        self.train_users = users[n_test + n_validation :]

    def split(self, users: np.ndarray, train: Interactions) -> Split:
        """Return the last interaction of some users as test, the others as their histories."""
        table = self.table[self.table["user"].isin(users)]
        last = ~table.duplicated("user", keep="last")
        maps = lrrec.IdMap(np.concatenate((users, train.users.ids))), train.items
        parts = [train] + [Interactions.from_pairs(part["user"], part["item"]) for part in (table[~last], table[last])]
        return Split(*(align(part, *maps) for part in parts))

    def train(self, size: int) -> Interactions:
        """Return the interactions of the first training users."""
        table = self.table[self.table["user"].isin(self.train_users[:size])]
        return Interactions.from_pairs(table["user"], table["item"], times=table["time"]).align_items(
            lrrec.IdMap(self.catalogue)
        )

    def measure(self, size: int) -> dict[str, dict[str, Any]]:
        """Return per-user test values, seconds and what was kept of every method at one size."""
        train = self.train(size)
        validation, test = (self.split(users, train) for users in (self.validation_users, self.test_users))
        results: dict[str, dict[str, Any]] = {}

        def note(name: str, model: Any, begun: float) -> None:
            results[name] = {"seconds": time.perf_counter() - begun, "values": mean(model, test)}

        def adapt(name: str, *candidates: Adapter, base: Any = self.base, guard: bool = False, **options: Any) -> Any:
            begun = time.perf_counter()
            selector = AdapterSelector(
                candidates or None, guard=guard, metric=METRIC, random_state=self.seed
            ).fit(train, base=base, catalogue=self.catalogue, **options)  # fmt: skip
            note(name, selector, begun)
            results[name]["kept"] = selector.best_.label
            return selector

        note("popularity", lrrec.Popularity().fit(train), time.perf_counter())
        adapt("fold-in", FoldIn(), validation=validation)
        adapt("alone, item-item", ItemItemScratch(), validation=validation)
        begun = time.perf_counter()
        settings = [
            IALS(n_factors, unobserved_weight=weight, reg=reg, n_iter=12, random_state=0)
            for n_factors in (16, 64) for weight in (0.01, 0.03, 0.1) for reg in (0.003, 0.01, 0.03)
        ]  # fmt: skip
        best = max(settings, key=lambda model: mean(model.fit(train), validation).mean())
        note("alone, IALS", best.fit(train), begun)
        for name, kind in {
            "anchored": Anchored(), "low rank 8": LowRank(8), "item-item, interactions": ItemItem(
                statistics="interactions"), "item-item, scores": ItemItem(statistics="scores"),
        }.items():  # fmt: skip
            adapt(name, kind, validation=validation)
        adapt("guarded", guard=True, validation=validation)
        adapt("guarded on its own", guard=True)
        if size <= max(SIZES):
            self._pooled(train, validation, adapt, results)
        return results

    def _pooled(self, train: Interactions, validation: Split, adapt: Any, results: dict[str, dict[str, Any]]) -> None:
        """Train on source and weighted target at once, with the weight that is best on the validation users."""
        models = [pooled(self.source, train, weight, self.base) for weight in POOL_WEIGHTS]
        values = []
        for weight, model in zip(POOL_WEIGHTS, models, strict=True):
            selector = adapt(f"pooled {weight}", FoldIn(), base=model, validation=validation)
            values.append((float(selector.report_[METRIC].to_numpy()[-1]), results.pop(f"pooled {weight}")))
        results["pooled"] = max(values, key=lambda pair: pair[0])[1]


def summary(name: str, size: int, results: list[dict[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each method."""
    for method in results[0]:
        row = {
            "transfer": name,
            "users": size,
            "method": method,
            METRIC: round(float(np.mean([one[method]["values"].mean() for one in results])), 4),
            "seconds": round(float(np.median([one[method]["seconds"] for one in results])), 3),
        }
        if "kept" in results[0][method]:
            row["kept"] = over_seeds([one[method]["kept"] for one in results])
        print(json.dumps(row), flush=True)
        yield row


def verdicts(name: str, target: str, size: int, results: list[dict[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of the targets at a size."""

    def means(method: str) -> np.ndarray:
        return np.array([one[method]["values"].mean() for one in results])

    def best(methods: Any) -> str:
        return max((method for method in methods if method in results[0]), key=lambda method: means(method).mean())

    def ratio(rival: str, at_least: float) -> dict[str, Any]:
        ours, rivals = means("guarded"), means(rival)
        met = bool(ours.mean() >= at_least * rivals.mean())
        return quality_row(
            f"{name}: {size} users, guarded, {METRIC}", rival, relative(ours, rivals), f"{at_least:g} x", met
        )

    if size == SIZES[0]:
        alone, anchored = AT_LEAST[target]
        yield ratio(best(ALONE), alone)
        yield ratio("anchored", anchored)
    if size == SIZES[1]:
        yield ratio(best(TODAY), 1.05)
    rival = best(method for method in results[0] if not method.startswith("guarded"))
    for method in ("guarded", "guarded on its own"):
        ours, theirs = (np.concatenate([one[which]["values"] for one in results]) for which in (method, rival))
        difference = ours - theirs
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        yield quality_row(
            f"{name}: {size} users, {method}, {METRIC}", f"best single method: {rival}",
            f"{ours.mean():.4f} and {theirs.mean():.4f}", "not below by more than 1 SE",
            bool(difference.mean() >= -error),
        )  # fmt: skip
