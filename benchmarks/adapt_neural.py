"""Adapters of NeuralMF: low-rank changes beside full fine-tuning, frozen towers, scratch and the unchanged base.

Users of the target are cut as in `benchmarks.adapt`; every method is tuned on the same validation users.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks.adapt import (
    METRICS,
    N_FACTORS,
    SEEDS,
    Run,
    averages,
    guarded_row,
    mean,
    pooled,
    ratio_row,
    source_model,
    summary,
)
from benchmarks.report import quality_row, relative, store_details
from benchmarks.transfers import Transfer, get, transfers
from lrrec import IALS, AdapterSelector, LowRankAdapter, NeuralMF, Split, distill
from lrrec.adapt import Adapter, FoldIn, FullRankTowers, LowRank, LowRankTowers, ScratchTowers

D = 64
METHODS: dict[str, Adapter] = {
    "neural, fold-in": FoldIn(),
    "neural, scratch": ScratchTowers(),
    "neural, full": FullRankTowers(shrinkage=0.0),
    "neural, full, shrunk": FullRankTowers(),
    "neural, frozen towers, rank 8": LowRankTowers(8, adapt_encoder=False),
    **{f"neural, low rank {rank}": LowRankTowers(rank) for rank in (2, 4, 8, 16)},
}
ELSEWHERE = ("neural, fold-in", "neural, scratch", "neural, full", "neural, low rank 8")
GUARDED = "neural, guarded"
RIVALS = ("neural, fold-in", "neural, scratch")
LITTLE_TO_GAIN = ("gender", "taste")  # transfers on which the guard is measured too


PARTS = transfers()


def run(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a transfer: of the main one with every method, of the others at 25 and 100 users."""
    transfer = get(name)
    linear, source = source_model(transfer)
    main = name == "latest-small"
    base = neural_base(transfer, source)
    runs = [Run(transfer, linear, source, seed) for seed in range(SEEDS)]
    sizes = (25, 50, 100) if main else (25, 100)
    methods = tuple(METHODS) if main else ELSEWHERE + (GUARDED,) * (name in LITTLE_TO_GAIN)
    results = {size: [measure(run, base, size, methods) for run in runs] for size in sizes}
    details = list(summary(transfer, results, "neural, fold-in"))
    store_details(f"adapt_neural-{name}", details)
    if main:
        yield from verdicts(transfer, results)
        yield merged(runs[0], base)
        yield pooled_teacher(transfer, linear, runs)
    else:
        yield from (fold_in_row(transfer, results, size) for size in sizes)
        if GUARDED in methods:
            yield from (guarded_row(transfer, size, results[size], GUARDED, "NeuralMF, guarded", RIVALS)
                        for size in sizes)  # fmt: skip


def neural_base(transfer: Transfer, source: Split) -> NeuralMF:
    """Return the base: initialized from iALS, then fine-tuned, both tuned on validation users of the source."""

    def score(model: Any) -> float:
        return mean(lrrec.evaluate(model, source, metrics=METRICS))

    linear_models = [IALS(D, unobserved_weight=weight, reg=reg, random_state=0)
                     for weight in (0.2, 0.4) for reg in (0.003, 0.006)]  # fmt: skip
    linear = max(linear_models, key=lambda model: score(model.fit(source.train)))
    models = [NeuralMF(D, unobserved_weight=weight, learning_rate=1e-3, n_epochs=10, random_state=0)
              for weight in (0.4, 1.0)]  # fmt: skip
    best = max(models, key=lambda model: score(model.fit(source.train, init=linear)))
    shown = [f"{score(model):.4f}" for model in (linear, best)]
    print(f"{transfer.name}: {' '.join(repr(best).split())}; iALS, neural on source users {shown}", flush=True)
    return best


def measure(run: Run, base: NeuralMF, size: int, methods: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return per-user test values, seconds, parameters, and the quality left on the source, of every method."""
    train, validation, test = run.train(size), run.split(run.validation_rows), run.split(run.test_rows)
    results: dict[str, dict[str, Any]] = {}
    for name in methods:
        begun = time.perf_counter()
        adapter: Any = LowRankAdapter(8, random_state=run.seed)
        if name in METHODS:
            adapter = AdapterSelector([METHODS[name]], guard=False, random_state=run.seed)
        adapter.fit(train, base=base, catalogue=run.transfer.catalogue, validation=validation)
        seconds = time.perf_counter() - begun
        parts = (run.source.train, run.source.history, run.source.test)
        source = Split(*(part.align_items(adapter.items_) for part in parts))
        results[name] = {
            "values": lrrec.evaluate(adapter, test, metrics=METRICS).values, "seconds": seconds,
            "parameters": adapter.n_parameters, "source": mean(lrrec.evaluate(adapter, source, metrics=METRICS)),
            "kept": adapter.best_.name,
        }  # fmt: skip
    return results


def fold_in_row(transfer: Transfer, results: dict[int, list[Any]], size: int) -> dict[str, Any]:
    ours, rival = (averages(results[size], name) for name in ("neural, low rank 8", "neural, fold-in"))
    target = 1.10 if size == 25 and "null" not in transfer.name else 1.0
    return ratio_row(
        f"{transfer.name}: NeuralMF, {size} users, low rank 8", "fold-in (no adaptation)", ours, rival, target
    )


def verdicts(transfer: Transfer, results: dict[int, list[Any]]) -> Iterator[dict[str, Any]]:
    for size, runs in results.items():
        yield fold_in_row(transfer, results, size)
        for rank in (2, 4, 8, 16):
            yield fine_tuning_row(f"{transfer.name}: NeuralMF, {size} users, low rank {rank}", rank, runs)
        for rival in ("frozen towers, rank 8", "scratch"):
            ours, rivals = (averages(runs, f"neural, {name}") for name in ("low rank 8", rival))
            yield ratio_row(f"{transfer.name}: NeuralMF, {size} users, low rank 8", rival, ours, rivals, 1)


def fine_tuning_row(measurement: str, rank: int, runs: list[Any]) -> dict[str, Any]:
    """Return a low-rank change beside full fine-tuning: quality on the target and on the source, and parameters."""
    names = f"neural, low rank {rank}", "neural, full", "neural, full, shrunk"
    ours, full, shrunk = (averages(runs, name) for name in names)
    source, full_source, shrunk_source = (np.mean([run[name]["source"] for run in runs]) for name in names)
    share = np.median([run[names[0]]["parameters"] / run[names[1]]["parameters"] for run in runs])
    shown = (f"{relative(ours, full)}; {share:.1%} of the parameters; on the source {source:.4f}, {full_source:.4f} "
             f"(full, shrunk as adapters are: {shrunk.mean():.4f}, {shrunk_source:.4f})")  # fmt: skip
    met = ours.mean() >= 0.98 * full.mean() and (share <= 0.15 or rank > 8) and source > full_source
    target = "0.98 x, 15 %, less forgotten" if rank <= 8 else "0.98 x, less forgotten"
    return quality_row(measurement, "full fine-tuning", shown, target, bool(met))


def merged(run: Run, base: NeuralMF) -> dict[str, Any]:
    """Return whether a merged adapter has the lists and scores of the adapter."""
    options: dict[str, Any] = {"learning_rate": 0.01, "n_epochs": 20, "reg": 1.0, "shrinkage": 0.0, "random_state": 0}
    adapter = LowRankTowers(8, **options).fit(run.train(25), base=base, catalogue=run.transfer.catalogue)
    history = run.split(run.test_rows).history
    lists, merged_lists = (model.recommend_from(history, 20) for model in (adapter, adapter.merge()))
    error = float(np.abs(lists.scores / merged_lists.scores - 1).max())
    same = bool((lists.indices == merged_lists.indices).all())
    shown = f"lists {'the same' if same else 'differ'}, scores within {error:.1e}"
    return quality_row(
        "NeuralMF, merged adapter, 160 users", "the adapter", shown, "the same, 1e-5", same and error <= 1e-5
    )


def pooled_teacher(transfer: Transfer, linear: IALS, runs: list[Run]) -> dict[str, Any]:
    """Return an adapter of rank 8 distilled from a pooled model, with 25 users, beside that model."""
    values: dict[str, list[float]] = {"adapter": [], "pooled": []}
    for run in runs:
        train, validation, test = run.train(25), run.split(run.validation_rows), run.split(run.test_rows)
        teachers = [pooled(transfer.source, train, weight, linear) for weight in (10, 30, 100)]
        teacher = max(teachers, key=lambda model: mean(lrrec.evaluate(model, validation, metrics=METRICS)))
        data = train.align_items(teacher.items_)
        students = [
            distill(teacher, LowRank(8, reg=reg, fold_in_reg=linear.reg), data, base=linear) for reg in (0.1, 1.0, 10.0)
        ]
        student = max(students, key=lambda model: mean(lrrec.evaluate(model, validation, metrics=METRICS)))
        for name, model in (("adapter", student), ("pooled", teacher)):
            values[name].append(mean(lrrec.evaluate(model, test, metrics=METRICS)))
    return quality_row(
        f"{transfer.name}: 25 users, adapter of rank 8 (D = {N_FACTORS}) distilled from the pooled model",
        "the pooled model", relative(*map(np.array, values.values())), "", True,
    )  # fmt: skip
