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
from benchmarks import adapt_shared, curves
from benchmarks.report import RESULTS, line
from benchmarks.transfers import Transfer, get, transfers
from lrrec import IALS, AdapterSelector, Interactions, LowRankAdapter, Split
from lrrec.adapt import Adapter, Anchored, FoldIn, LowRank, Scratch
from lrrec.interop import from_factors
from lrrec.linalg import solve_rows

SEEDS = 5
POOL_WEIGHTS = (1, 3, 10, 30, 100, 300)
RANKS = (2, 4, 8, 16)
METRICS = ["ndcg@20", "recall@20"]
N_FACTORS = 32
GUARDED = {  # the guard decides on the validation users, as all are tuned on; on nobody but those it is fitted to
    "auto, guarded": "guarded",
    "auto, guarded on its own": "guarded, no validation users",
}


def run() -> Iterator[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    for name in transfers():
        transfer = get(name)
        base, source = source_model(transfer)
        print(f"{transfer.name}: {transfer.source!r} to {transfer.target!r}; base {' '.join(repr(base).split())}")
        runs = [Run(transfer, base, source, seed) for seed in range(SEEDS)]
        found = {size: [one.measure(size) for one in runs] for size in transfer.sizes}
        details += list(summary(transfer, found))
        (RESULTS / "adapt-details.json").write_text(json.dumps(details, indent=1) + "\n")
        yield from verdicts(name, transfer, found)
        if name == "latest-small":
            yield from histories(transfer, runs)
    curves.draw()
    yield from adapt_shared.run()


def source_model(transfer: Transfer) -> tuple[IALS, Split]:
    """The base, tuned on users of the source held back; and that split, to measure forgetting with."""
    split = lrrec.splits.by_user(transfer.source, 300, history=0.5, random_state=0)
    settings = [
        IALS(N_FACTORS, unobserved_weight=weight, reg=reg, n_iter=12, random_state=0)
        for weight in (0.05, 0.2, 0.5) for reg in (0.001, 0.003, 0.01)
    ]  # fmt: skip
    best = max(settings, key=lambda model: mean(lrrec.evaluate(model.fit(split.train), split, METRICS)))
    return best.fit(split.train), split


def mean(found: lrrec.Evaluation) -> float:
    return found.mean()["ndcg@20"]


class Run:
    """One seed: users cut into test, validation and nested training sets."""

    def __init__(self, transfer: Transfer, base: IALS, source: Split, seed: int) -> None:
        self.transfer, self.base, self.source, self.seed = transfer, base, source, seed
        rng, target = np.random.default_rng(seed), transfer.target
        able = rng.permutation(np.flatnonzero(np.diff(target.matrix.indptr) >= 10))
        self.test_rows = able[: transfer.n_test]
        self.validation_rows = able[transfer.n_test : transfer.n_test + transfer.n_validation]
        self.pool = able[transfer.n_test + transfer.n_validation :]
        self.key = rng.random(len(target))

    def split(self, rows: np.ndarray, share: float = 0.5, at_most: int | None = None) -> Split:
        """Histories and test interactions of some users; train has the rest, and is not used."""
        target = self.transfer.target
        mine = np.isin(target.rows(), rows)
        some = target.filter(mine)
        first = lrrec.splits.history_mask(some, share, self.key[mine])
        if at_most is not None:
            first &= _ranks(some, self.key[mine]) < at_most
        return Split(target.filter(~mine), some.filter(first), some.filter(~first))

    def measure(self, size: int) -> dict[str, dict[str, Any]]:
        """Every method at one size: per-user values on test, seconds, parameters."""
        rows = self.pool[:size]
        train = self.transfer.target.filter(np.isin(self.transfer.target.rows(), rows))
        validation, test = self.split(self.validation_rows), self.split(self.test_rows)
        out: dict[str, dict[str, Any]] = {}

        def note(name: str, model: Any, seconds: float, n_parameters: int) -> None:
            found = lrrec.evaluate(model, test, METRICS)
            out[name] = {"values": found.values, "seconds": seconds, "parameters": n_parameters}

        def adapt(name: str, candidate: Adapter, base: Any = self.base) -> AdapterSelector:
            begun = time.perf_counter()
            adapter = AdapterSelector([candidate], guard=False, random_state=self.seed).fit(
                train, base=base, catalogue=self.transfer.catalogue, validation=validation
            )
            note(name, adapter, time.perf_counter() - begun, adapter.n_parameters)
            out[name]["validation"] = float(adapter.report_["ndcg@20"].to_numpy()[-1])
            return adapter

        popular = train.align_items(adapt("fold-in", FoldIn()).items_)
        note("popularity", lrrec.Popularity().fit(popular), 0.0, 0)
        adapt("scratch", Scratch())
        adapt("anchored", Anchored())
        for rank in RANKS:
            adapter = adapt(f"low rank {rank}", LowRank(rank))
            if rank == 8:
                parts = (self.source.train, self.source.history, self.source.test)
                source = Split(*(part.align_items(adapter.items_) for part in parts))
                quality = {}
                for told, scale in (("before", 0.0), ("adapted", 1.0)):
                    adapter.scale = scale
                    quality[told] = lrrec.evaluate(adapter, source, ["ndcg@20"]).mean()["ndcg@20"]
                out["low rank 8"]["source"] = quality
        for name in GUARDED:
            begun = time.perf_counter()
            guarded = LowRankAdapter("auto", random_state=self.seed).fit(
                train, base=self.base, catalogue=self.transfer.catalogue,
                validation=validation if name == "auto, guarded" else None,
            )  # fmt: skip
            note(name, guarded, time.perf_counter() - begun, guarded.n_parameters)
            out[name]["kept"] = guarded.best_.name
        if size in self.transfer.sizes[:-1]:
            self._pooled(train, adapt, out)
        adapt("continued", FoldIn(), base=self._continued(train))
        return out

    def _pooled(self, train: Interactions, adapt: Callable[..., Any], out: dict[str, dict[str, Any]]) -> None:
        """Source and weighted target in one training; the weight that validation prefers.

        A weight is a number of copies of the target's users, so that what they did not do is weighted too (weights of
        their interactions alone do worse).
        """
        best, seconds, of_one = -1.0, 0.0, 0.0
        for weight in POOL_WEIGHTS:
            begun = time.perf_counter()
            model = pooled(self.transfer.source, train, weight, self.base)
            adapt("pooled of one weight", FoldIn(), base=model)
            seconds += time.perf_counter() - begun
            of_one = of_one or seconds
            this = out.pop("pooled of one weight")
            if this["validation"] > best:
                best = this["validation"]
                out["pooled"] = this | {"weight": weight}
        out["pooled"] |= {"seconds": seconds, "without copies": of_one * len(POOL_WEIGHTS)}
        out["pooled"]["parameters"] = len(self.base.items_) * N_FACTORS

    def _continued(self, train: Interactions) -> Any:
        """The base's ALS, carried on with the target alone: what not to do."""
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
    """The base's configuration, fitted to the source and so many copies of the target's users."""
    items = lrrec.IdMap(np.union1d(source.items.ids, target.items.ids))
    theirs = target.align_items(items).matrix[np.diff(target.matrix.indptr) > 0]
    matrix = sp.csr_array(sp.vstack([source.align_items(items).matrix] + [theirs] * weight, format="csr"))
    users = lrrec.IdMap.range(matrix.shape[0])
    model: IALS = clone(base).fit(Interactions.from_matrix(matrix, users=users, items=items))
    return model


def _ranks(data: Interactions, key: np.ndarray) -> np.ndarray:
    """The place of each interaction among its user's by key."""
    ranks = np.empty(len(data), dtype=np.int64)
    counts = np.diff(data.matrix.indptr)
    ranks[np.lexsort((key, data.rows()))] = np.arange(len(data)) - np.repeat(data.matrix.indptr[:-1], counts)
    return ranks


def averages(runs: list[dict[str, dict[str, Any]]], method: str, metric: str = "ndcg@20") -> np.ndarray:
    """The mean over test users of each seed."""
    return np.array([one[method]["values"][metric].mean() for one in runs])


def summary(
    transfer: Transfer, found: dict[int, list[dict[str, dict[str, Any]]]], against: str = "fold-in"
) -> Iterator[dict[str, Any]]:
    """A row a size and method, with the paired interval of the difference to folding in over all seeds' users."""
    for size, runs in found.items():
        for method in runs[0]:
            if not all(method in one for one in runs):
                continue
            apart = np.concatenate(
                [one[method]["values"]["ndcg@20"] - one[against]["values"]["ndcg@20"] for one in runs]
            )
            error = 1.96 * apart.std(ddof=1) / np.sqrt(len(apart))
            row = {
                "transfer": transfer.name,
                "users": size,
                "method": method,
                "ndcg@20": round(float(averages(runs, method).mean()), 4),
                "recall@20": round(float(averages(runs, method, "recall@20").mean()), 4),
                f"against {against}": [round(float(apart.mean() + sign * error), 4) for sign in (-1, 1)],
                "seconds": round(float(np.median([one[method]["seconds"] for one in runs])), 3),
                "parameters": int(np.median([one[method]["parameters"] for one in runs])),
            }
            for extra in ("weight", "kept", "source"):
                if extra in runs[0][method]:
                    row[extra] = [one[method][extra] for one in runs]
            print(json.dumps(row), flush=True)
            yield row


def verdicts(
    name: str, transfer: Transfer, found: dict[int, list[dict[str, dict[str, Any]]]]
) -> Iterator[dict[str, Any]]:
    """What the transfer must reach."""
    at25 = found[25]
    if name in ("latest-small", "union"):
        bars = {"fold-in": 1.15, "scratch": 1.30, "anchored": 0.99, "pooled": 0.98}
        if name == "union":
            bars = {"fold-in": 1.10, "scratch": 1.10}
        for rival, bar in bars.items():
            yield ratio(transfer, "25 users, low rank 8", rival, at25, at25, "low rank 8", bar)
    if name == "latest-small":
        largest = found[transfer.sizes[-1]]
        yield ratio(transfer, "100 users, low rank 8", "scratch", found[100], largest, "low rank 8", 0.98,
                    f"scratch on all {transfer.sizes[-1]} users")  # fmt: skip
        yield seconds_row(transfer, at25)
    for name, told in GUARDED.items():
        for size, runs in found.items():
            yield guarded_row(transfer, size, runs, name, told)


def seconds_row(transfer: Transfer, runs: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Tuning and adapting against tuning and pooling, as run and if copies of users cost nothing."""
    ours, pooling, spared = (
        float(np.median([one[method][field] for one in runs]))
        for method, field in (("low rank 8", "seconds"), ("pooled", "seconds"), ("pooled", "without copies"))
    )
    shown = f"{ours:.2f} s ({pooling / ours:.1f} times faster; {spared / ours:.1f} times if copies cost nothing)"
    return line(f"{transfer.name}: seconds to tune and adapt, 25 users", f"pooled, {pooling:.1f} s", shown, "a tenth",
                ours <= pooling / 10)  # fmt: skip


def guarded_row(
    transfer: Transfer, size: int, runs: list[dict[str, dict[str, Any]]], name: str, told: str,
    against: tuple[str, ...] = ("fold-in", "scratch"),
) -> dict[str, Any]:  # fmt: skip
    """Whether the guard did harm."""
    guarded = np.concatenate([one[name]["values"]["ndcg@20"] for one in runs])
    rivals = {m: np.concatenate([one[m]["values"]["ndcg@20"] for one in runs]) for m in against}
    rival = max(rivals, key=lambda m: rivals[m].mean())
    apart = guarded - rivals[rival]
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    kept = ", ".join(sorted({one[name]["kept"] for one in runs}))
    return line(
        f"{transfer.name}: {told}, {size} users (kept {kept})", rival,
        f"{guarded.mean():.4f} and {rivals[rival].mean():.4f}", "not below by more than 1 SE",
        bool(apart.mean() >= -error),
    )  # fmt: skip


def ratio(
    transfer: Transfer, what: str, rival: str, ours: list[Any], theirs: list[Any], method: str, bar: float,
    told: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    mine, other = averages(ours, method), averages(theirs, rival)
    ratios = np.sort(mine / other)
    whole = mine.mean() / other.mean()
    shown = f"{whole:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}): {mine.mean():.4f}, {other.mean():.4f}"
    return line(f"{transfer.name}: {what}", told or rival, shown, f"{bar:g} x", whole >= bar)


def histories(transfer: Transfer, runs: list[Run]) -> Iterator[dict[str, Any]]:
    """25 users, test users given 5 items or 80 % of theirs."""
    for told, share, at_most in (("5 items given", 0.8, 5), ("80 % given", 0.8, None)):
        means: dict[str, list[float]] = {"low-rank": [], "fold-in": []}
        kinds: dict[str, Adapter] = {"low-rank": LowRank(), "fold-in": FoldIn()}
        for one in runs:
            train = transfer.target.filter(np.isin(transfer.target.rows(), one.pool[:25]))
            validation, test = (one.split(rows, share, at_most) for rows in (one.validation_rows, one.test_rows))
            for method, values in means.items():
                adapter = AdapterSelector([kinds[method]], guard=False, random_state=one.seed).fit(
                    train, base=one.base, catalogue=transfer.catalogue, validation=validation
                )
                values.append(mean(lrrec.evaluate(adapter, test, METRICS)))
        mine, other = (float(np.mean(values)) for values in means.values())
        yield line(f"{transfer.name}: 25 users, low rank 8, {told}", "fold-in",
                   f"{mine / other:.3f}: {mine:.4f}, {other:.4f}", "1 x", mine >= other)  # fmt: skip
