"""Adapting a trained model to a new domain, against everything a team might do instead.

Users of the target are cut, by seed, into training users (nested sizes), validation and test users. Every method is
tuned on the same validation users, then serves the test users from a part of their history; the whole catalogue is
ranked. The source model is trained and tuned once a transfer, on its own users.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from benchmarks import curves
from benchmarks.report import over_seeds, quality_row, relative, store_details
from benchmarks.transfers import Transfer, get, transfers
from lrrec import IALS, AdapterSelector, Interactions, LowRankAdapter, Split
from lrrec.adapt import Adapter, Anchored, FoldIn, ItemItem, ItemItemScratch, LowRank, Scratch
from lrrec.interop import from_factors
from lrrec.linalg import solve_rows

SEEDS = 5
POOL_WEIGHTS = (1, 3, 10, 30, 100, 300)
RANKS = (2, 4, 8, 16)
METRICS = ["ndcg@20", "recall@20"]
N_FACTORS = 32
GUARDED = {  # the guard decides on the validation users; or by cross-validation on the training users alone
    "auto, guarded": "guarded",
    "auto, guarded on its own": "guarded, no validation users",
}
SINGLE = ("fold-in", "scratch", "scratch, item-item", "anchored", "pooled")  # what a team might do instead


PARTS = transfers()


def run(name: str) -> Iterator[dict[str, Any]]:
    transfer = get(name)
    base, source = source_model(transfer)
    print(f"{transfer.name}: {transfer.source!r} to {transfer.target!r}; base {' '.join(repr(base).split())}")
    runs = [Run(transfer, base, source, seed) for seed in range(SEEDS)]
    results = {size: [run.measure(size) for run in runs] for size in transfer.sizes}
    details = list(summary(transfer, results))
    store_details(f"adapt-{name}", details)
    curves.draw(name)
    yield from verdicts(name, transfer, results)
    if name == "latest-small":
        yield from histories(transfer, runs)


def source_model(transfer: Transfer) -> tuple[IALS, Split]:
    """Return the base, tuned on validation users of the source; and that split, to measure forgetting with."""
    split = lrrec.splits.by_user(transfer.source, 300, history=0.5, random_state=0)
    settings = [
        IALS(N_FACTORS, unobserved_weight=weight, reg=reg, n_iter=12, random_state=0)
        for weight in (0.05, 0.2, 0.5) for reg in (0.001, 0.003, 0.01)
    ]  # fmt: skip
    best = max(settings, key=lambda model: mean(lrrec.evaluate(model.fit(split.train), split, metrics=METRICS)))
    return best.fit(split.train), split


def mean(evaluation: lrrec.Evaluation) -> float:
    return evaluation.mean()["ndcg@20"]


class Run:
    """One seed: users cut into test, validation and nested training sets."""

    def __init__(self, transfer: Transfer, base: IALS, source: Split, seed: int) -> None:
        self.transfer, self.base, self.source, self.seed = transfer, base, source, seed
        rng, target = np.random.default_rng(seed), transfer.target
        rows = rng.permutation(np.flatnonzero(np.diff(target.matrix.indptr) >= 10))
        self.test_rows = rows[: transfer.n_test]
        self.validation_rows = rows[transfer.n_test : transfer.n_test + transfer.n_validation]
        self.train_rows = rows[transfer.n_test + transfer.n_validation :]
        self.key = rng.random(len(target))

    def split(self, rows: np.ndarray, share: float = 0.5, at_most: int | None = None) -> Split:
        """Return histories and test interactions of some users; train has the rest, and is not used."""
        target = self.transfer.target
        selected = np.isin(target.rows(), rows)
        data = target.filter(selected)
        in_history = lrrec.splits.history_mask(data, share, self.key[selected])
        if at_most is not None:
            in_history &= _ranks(data, self.key[selected]) < at_most
        return Split(target.filter(~selected), data.filter(in_history), data.filter(~in_history))

    def train(self, size: int) -> Interactions:
        """Return the interactions of the first training users."""
        target = self.transfer.target
        return target.filter(np.isin(target.rows(), self.train_rows[:size]))

    def measure(self, size: int) -> dict[str, dict[str, Any]]:
        """Return per-user test values, seconds and parameters of every method at one size."""
        train = self.train(size)
        validation, test = self.split(self.validation_rows), self.split(self.test_rows)
        results: dict[str, dict[str, Any]] = {}

        def note(name: str, model: Any, seconds: float, n_parameters: int) -> None:
            values = lrrec.evaluate(model, test, metrics=METRICS).values
            results[name] = {"values": values, "seconds": seconds, "parameters": n_parameters}

        def adapt(name: str, candidate: Adapter, base: Any = self.base) -> AdapterSelector:
            begun = time.perf_counter()
            adapter = AdapterSelector([candidate], guard=False, random_state=self.seed).fit(
                train, base=base, catalogue=self.transfer.catalogue, validation=validation
            )
            note(name, adapter, time.perf_counter() - begun, adapter.n_parameters)
            results[name]["validation"] = float(adapter.report_["ndcg@20"].to_numpy()[-1])
            return adapter

        popular = train.align_items(adapt("fold-in", FoldIn()).items_)
        note("popularity", lrrec.Popularity().fit(popular), 0.0, 0)
        adapt("scratch", Scratch())
        adapt("scratch, item-item", ItemItemScratch())
        adapt("item-item", ItemItem())
        adapt("anchored", Anchored())
        for rank in RANKS:
            adapter = adapt(f"low rank {rank}", LowRank(rank))
            if rank == 8:
                parts = (self.source.train, self.source.history, self.source.test)
                source = Split(*(part.align_items(adapter.items_) for part in parts))
                quality = {}
                for state, scale in (("before", 0.0), ("adapted", 1.0)):
                    adapter.scale = scale
                    quality[state] = lrrec.evaluate(adapter, source, metrics=["ndcg@20"]).mean()["ndcg@20"]
                results["low rank 8"]["source"] = quality
        for name in GUARDED:
            begun = time.perf_counter()
            guarded = LowRankAdapter("auto", history=0.5, random_state=self.seed).fit(
                train, base=self.base, catalogue=self.transfer.catalogue,
                validation=validation if name == "auto, guarded" else None,
            )  # fmt: skip
            note(name, guarded, time.perf_counter() - begun, guarded.n_parameters)
            results[name]["kept"] = guarded.best_.name
        if size in self.transfer.sizes[:-1]:
            self._pooled(train, adapt, results)
        adapt("continued", FoldIn(), base=self._continued(train))
        return results

    def _pooled(self, train: Interactions, adapt: Callable[..., Any], results: dict[str, dict[str, Any]]) -> None:
        """Train on source and weighted target at once, with the weight that is best on the validation users.

        A weight is a number of copies of the target's users, so that their unobserved items are weighted too (weights
        of their interactions alone do worse).
        """
        best, seconds, first_seconds = -1.0, 0.0, 0.0
        for weight in POOL_WEIGHTS:
            begun = time.perf_counter()
            model = pooled(self.transfer.source, train, weight, self.base)
            adapt("pooled of one weight", FoldIn(), base=model)
            seconds += time.perf_counter() - begun
            first_seconds = first_seconds or seconds
            result = results.pop("pooled of one weight")
            if result["validation"] > best:
                best = result["validation"]
                results["pooled"] = result | {"weight": weight}
        results["pooled"] |= {"seconds": seconds, "without copies": first_seconds * len(POOL_WEIGHTS)}
        results["pooled"]["parameters"] = len(self.base.items_) * N_FACTORS

    def _continued(self, train: Interactions) -> Any:
        """Continue the base's ALS on the target alone, without any penalty toward the base."""
        domain = FoldIn(fold_in_reg=None).fit(train, base=self.base, catalogue=self.transfer.catalogue)
        C, V, objective = domain.seen_, domain.item_factors_, self.base._objective()
        for _ in range(3):
            U = solve_rows(C, V, objective)
            V = solve_rows(sp.csr_array(C.T.tocsr()), U, objective)
        return from_factors(
            solve_rows(C, V, objective), V, users=domain.users_, items=domain.items_, seen=C,
            unobserved_weight=self.base.unobserved_weight, reg=self.base.reg,
        )  # fmt: skip


def pooled(source: Interactions, target: Interactions, weight: float, base: IALS) -> IALS:
    """Fit the base's configuration to the source and `weight` copies of the target's users."""
    items = lrrec.IdMap(np.union1d(source.items.ids, target.items.ids))
    copied = target.align_items(items).matrix[np.diff(target.matrix.indptr) > 0]
    matrix = sp.csr_array(sp.vstack([source.align_items(items).matrix] + [copied] * weight, format="csr"))
    users = lrrec.IdMap.range(matrix.shape[0])
    model: IALS = clone(base).fit(Interactions.from_matrix(matrix, users=users, items=items))
    return model


def _ranks(data: Interactions, key: np.ndarray) -> np.ndarray:
    """Return the rank of each interaction among its user's, by key."""
    ranks = np.empty(len(data), dtype=np.int64)
    counts = np.diff(data.matrix.indptr)
    ranks[np.lexsort((key, data.rows()))] = np.arange(len(data)) - np.repeat(data.matrix.indptr[:-1], counts)
    return ranks


def averages(runs: list[dict[str, dict[str, Any]]], method: str, metric: str = "ndcg@20") -> np.ndarray:
    """Return the mean over the test users of each seed."""
    return np.array([run[method]["values"][metric].mean() for run in runs])


def summary(
    transfer: Transfer, results: dict[int, list[dict[str, dict[str, Any]]]], rival: str = "fold-in"
) -> Iterator[dict[str, Any]]:
    """Yield a row for each size and method, with the paired 95 % interval of its difference to a rival."""
    for size, runs in results.items():
        for method in runs[0]:
            if not all(method in run for run in runs):
                continue
            difference = np.concatenate(
                [run[method]["values"]["ndcg@20"] - run[rival]["values"]["ndcg@20"] for run in runs]
            )
            margin = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
            row = {
                "transfer": transfer.name,
                "users": size,
                "method": method,
                "ndcg@20": round(float(averages(runs, method).mean()), 4),
                "recall@20": round(float(averages(runs, method, "recall@20").mean()), 4),
                f"against {rival}": [round(float(difference.mean() + sign * margin), 4) for sign in (-1, 1)],
                "seconds": round(float(np.median([run[method]["seconds"] for run in runs])), 3),
                "parameters": int(np.median([run[method]["parameters"] for run in runs])),
            }
            if "weight" in runs[0][method]:
                row["weight"] = [run[method]["weight"] for run in runs]
            for extra in ("kept", "source"):
                if extra in runs[0][method]:
                    row[extra] = over_seeds([run[method][extra] for run in runs])
            print(json.dumps(row), flush=True)
            yield row


def verdicts(
    name: str, transfer: Transfer, results: dict[int, list[dict[str, dict[str, Any]]]]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the transfer's targets."""
    at25 = results[25]
    if name in ("latest-small", "union"):
        targets = {"fold-in": 1.15, "scratch": 1.30, "anchored": 0.99, "pooled": 0.98}
        if name == "union":
            targets = {"fold-in": 1.10, "scratch": 1.10}
        for rival, target in targets.items():
            yield ratio_row(f"{transfer.name}: 25 users, low rank 8", rival, averages(at25, "low rank 8"),
                            averages(at25, rival), target)  # fmt: skip
    if name == "latest-small":
        n_users = transfer.sizes[-1]
        yield ratio_row(
            f"{transfer.name}: 100 users, low rank 8", f"scratch on all {n_users} users",
            averages(results[100], "low rank 8"), averages(results[n_users], "scratch"), 0.98,
        )  # fmt: skip
        yield seconds_row(transfer, at25)
        for rival, target in {"low rank 8": 1.05, "pooled": 1.05, "fold-in": 1.25}.items():
            ours, rivals = averages(at25, "auto, guarded"), averages(at25, rival)
            yield ratio_row(f"{transfer.name}: 25 users, guarded", rival, ours, rivals, target)
    for method, label in GUARDED.items():
        for size, runs in results.items():
            yield guarded_row(transfer, size, runs, method, label)


def ratio_row(measurement: str, rival: str, ours: np.ndarray, rivals: np.ndarray, target: float) -> dict[str, Any]:
    """Return a row of the means of each seed beside a rival's: their ratio must be at least the target."""
    return quality_row(
        measurement, rival, relative(ours, rivals), f"{target:g} x", bool(ours.mean() >= target * rivals.mean())
    )


def seconds_row(transfer: Transfer, runs: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return tuning and adapting against tuning and pooling, as run and if copies of users cost nothing."""
    ours, pooled_seconds, without_copies = (
        float(np.median([run[method][field] for run in runs]))
        for method, field in (("low rank 8", "seconds"), ("pooled", "seconds"), ("pooled", "without copies"))
    )
    times, times_without = pooled_seconds / ours, without_copies / ours
    return quality_row(
        f"{transfer.name}: seconds to tune and adapt, 25 users", f"pooled, {pooled_seconds:.1f} s",
        f"{ours:.2f} s ({times:.1f} times faster; {times_without:.1f} times if copies cost nothing)", "a tenth",
        ours <= pooled_seconds / 10,
    )  # fmt: skip


def guarded_row(
    transfer: Transfer, size: int, runs: list[dict[str, dict[str, Any]]], method: str, label: str,
    rivals: tuple[str, ...] = SINGLE,
) -> dict[str, Any]:  # fmt: skip
    """Return whether the guard's choice is worse than the best rival, by more than a standard error."""
    guarded = np.concatenate([run[method]["values"]["ndcg@20"] for run in runs])
    values = {
        rival: np.concatenate([run[rival]["values"]["ndcg@20"] for run in runs])
        for rival in rivals if rival in runs[0]
    }  # fmt: skip
    best = max(values, key=lambda rival: values[rival].mean())
    difference = guarded - values[best]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    kept = ", ".join(sorted({run[method]["kept"] for run in runs}))
    return quality_row(
        f"{transfer.name}: {label}, {size} users (kept {kept})", best,
        f"{guarded.mean():.4f} and {values[best].mean():.4f}", "not below by more than 1 SE",
        bool(difference.mean() >= -error),
    )  # fmt: skip


def histories(transfer: Transfer, runs: list[Run]) -> Iterator[dict[str, Any]]:
    """Yield rows of 25 users, with a history of 5 items or of 80 % of their items for the test users."""
    for label, share, at_most in (("history of 5 items", 0.8, 5), ("history of 80 %", 0.8, None)):
        means: dict[str, list[float]] = {"low-rank": [], "fold-in": []}
        kinds: dict[str, Adapter] = {"low-rank": LowRank(), "fold-in": FoldIn()}
        for run in runs:
            train = run.train(25)
            validation, test = (run.split(rows, share, at_most) for rows in (run.validation_rows, run.test_rows))
            for method, values in means.items():
                adapter = AdapterSelector([kinds[method]], guard=False, random_state=run.seed).fit(
                    train, base=run.base, catalogue=transfer.catalogue, validation=validation
                )
                values.append(mean(lrrec.evaluate(adapter, test, metrics=METRICS)))
        ours, rival = (np.array(values) for values in means.values())
        yield ratio_row(f"{transfer.name}: 25 users, low rank 8, {label}", "fold-in", ours, rival, 1)
