"""Adapters of NeuralMF: low-rank changes beside full fine-tuning, frozen towers, scratch and the unchanged base.

Users of the target are cut as in `benchmarks.adapt`; every method is tuned on the same validation users.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks.adapt import METRICS, N_FACTORS, SEEDS, Run, averages, guarded_row, mean, pooled, source_model, summary
from benchmarks.report import RESULTS, line
from benchmarks.transfers import Transfer, get, transfers
from lrrec import IALS, AdapterSelector, LowRankAdapter, NeuralMF, Split, distill
from lrrec.adapt import Adapter, FoldIn, FullRankTowers, LowRank, LowRankTowers, ScratchTowers

D = 64
METHODS: dict[str, Adapter] = {
    "neural, zero-shot": FoldIn(),
    "neural, scratch": ScratchTowers(),
    "neural, full": FullRankTowers(shrinkage=0.0),
    "neural, full, shrunk": FullRankTowers(),
    "neural, frozen towers, rank 8": LowRankTowers(8, adapt_encoder=False),
    **{f"neural, low rank {rank}": LowRankTowers(rank) for rank in (2, 4, 8, 16)},
}
ELSEWHERE = ("neural, zero-shot", "neural, scratch", "neural, full", "neural, low rank 8")
GUARDED = "neural, guarded"
RIVALS = ("neural, zero-shot", "neural, scratch")
LITTLE_TO_GAIN = ("gender", "taste")  # where the guard is looked at too


def run() -> Iterator[dict[str, Any]]:
    """The main transfer with every method; the others at 25 and 100 users."""
    details: list[dict[str, Any]] = []
    for name in transfers():
        transfer = get(name)
        linear, source = source_model(transfer)
        main = name == "latest-small"
        base = neural_base(transfer, source)
        runs = [Run(transfer, linear, source, seed) for seed in range(SEEDS)]
        sizes = (25, 50, 100) if main else (25, 100)
        methods = tuple(METHODS) if main else ELSEWHERE + (GUARDED,) * (name in LITTLE_TO_GAIN)
        found = {size: [measure(one, base, size, methods) for one in runs] for size in sizes}
        details += list(summary(transfer, found, "neural, zero-shot"))
        (RESULTS / "adapt-neural-details.json").write_text(json.dumps(details, indent=1) + "\n")
        if main:
            yield from verdicts(transfer, base, found)
            yield merged(runs[0], base)
            yield pooled_teacher(transfer, linear, runs)
        else:
            yield from (adapted(transfer, found, size) for size in sizes)
            if GUARDED in methods:
                yield from (guarded_row(transfer, size, found[size], GUARDED, "NeuralMF, guarded", RIVALS)
                            for size in sizes)  # fmt: skip


def neural_base(transfer: Transfer, source: Split) -> NeuralMF:
    """The base: iALS tuned on the source's held-back users, then trained on; its own settings chosen on them too."""
    starts = [IALS(D, unobserved_weight=weight, reg=reg, random_state=0)
              for weight in (0.2, 0.4) for reg in (0.003, 0.006)]  # fmt: skip
    start = max(starts, key=lambda one: mean(lrrec.evaluate(one.fit(source.train), source, METRICS))).fit(source.train)
    models = [NeuralMF(D, unobserved_weight=weight, learning_rate=1e-3, n_epochs=10, random_state=0)
              for weight in (0.4, 1.0)]  # fmt: skip
    found = max(models, key=lambda one: mean(lrrec.evaluate(one.fit(source.train, init=start), source, METRICS)))
    shown = [f"{mean(lrrec.evaluate(one, source, METRICS)):.4f}" for one in (start, found)]
    print(f"{transfer.name}: {' '.join(repr(found).split())}; iALS, neural on source users {shown}", flush=True)
    return found


def measure(one: Run, base: NeuralMF, size: int, methods: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Every method at one size: per-user values on test, seconds, parameters, and quality left on the source."""
    target = one.transfer.target
    train = target.filter(np.isin(target.rows(), one.pool[:size]))
    validation, test = one.split(one.validation_rows), one.split(one.test_rows)
    out: dict[str, dict[str, Any]] = {}
    for name in methods:
        begun = time.perf_counter()
        adapter: Any = LowRankAdapter(8, random_state=one.seed)
        if name in METHODS:
            adapter = AdapterSelector([METHODS[name]], guard=False, random_state=one.seed)
        adapter.fit(train, base=base, catalogue=one.transfer.catalogue, validation=validation)
        seconds = time.perf_counter() - begun
        parts = (one.source.train, one.source.history, one.source.test)
        source = Split(*(part.align_items(adapter.items_) for part in parts))
        out[name] = {
            "values": lrrec.evaluate(adapter, test, METRICS).values, "seconds": seconds,
            "parameters": adapter.n_parameters, "source": mean(lrrec.evaluate(adapter, source, METRICS)),
            "kept": adapter.best_.name,
        }  # fmt: skip
    return out


def adapted(transfer: Transfer, found: dict[int, list[Any]], size: int) -> dict[str, Any]:
    mine, other = (averages(found[size], name) for name in ("neural, low rank 8", "neural, zero-shot"))
    ratios, bar = np.sort(mine / other), 1.10 if size == 25 and "null" not in transfer.name else 1.0
    shown = (
        f"{mine.mean() / other.mean():.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}): {mine.mean():.4f}, {other.mean():.4f}"
    )
    return line(f"{transfer.name}: NeuralMF, {size} users, low rank 8", "its own zero-shot", shown, f"{bar:g} x",
                bool(mine.mean() >= bar * other.mean()))  # fmt: skip


def verdicts(transfer: Transfer, base: NeuralMF, found: dict[int, list[Any]]) -> Iterator[dict[str, Any]]:
    for size in found:
        yield adapted(transfer, found, size)
        for rank in (2, 4, 8, 16):
            mine, other = (averages(found[size], name) for name in (f"neural, low rank {rank}", "neural, full"))
            names = f"neural, low rank {rank}", "neural, full", "neural, full, shrunk"
            left, full, left_shrunk = (np.mean([one[name]["source"] for one in found[size]]) for name in names)
            shrunk = averages(found[size], "neural, full, shrunk")
            share = np.median([one[f"neural, low rank {rank}"]["parameters"] / one["neural, full"]["parameters"]
                               for one in found[size]])  # fmt: skip
            whole, ratios = mine.mean() / other.mean(), np.sort(mine / other)
            shown = (f"{whole:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}): {mine.mean():.4f}, {other.mean():.4f}; "
                     f"{share:.1%} of the parameters; on the source {left:.4f}, {full:.4f} "
                     f"(full, shrunk as adapters are: {shrunk.mean():.4f}, {left_shrunk:.4f})")  # fmt: skip
            met = whole >= 0.98 and (share <= 0.15 or rank > 8) and left > full
            wanted = "0.98 x, 15 %, less forgotten" if rank <= 8 else "0.98 x, less forgotten"
            yield line(f"{transfer.name}: NeuralMF, {size} users, low rank {rank}", "full fine-tuning", shown, wanted,
                       bool(met))  # fmt: skip
        for rival in ("neural, frozen towers, rank 8", "neural, scratch"):
            mine, other = (averages(found[size], name) for name in ("neural, low rank 8", rival))
            shown = f"{mine.mean() / other.mean():.3f}: {mine.mean():.4f}, {other.mean():.4f}"
            yield line(f"{transfer.name}: NeuralMF, {size} users, low rank 8", rival.removeprefix("neural, "), shown,
                       "1 x", bool(mine.mean() >= other.mean()))  # fmt: skip


def merged(one: Run, base: NeuralMF) -> dict[str, Any]:
    """A merged adapter against the adapter: same lists, and scores."""
    target = one.transfer.target
    train = target.filter(np.isin(target.rows(), one.pool[:25]))
    options: dict[str, Any] = {"learning_rate": 0.01, "n_epochs": 20, "reg": 1.0, "shrinkage": 0.0, "random_state": 0}
    adapter = LowRankTowers(8, **options).fit(train, base=base, catalogue=one.transfer.catalogue)
    history = one.split(one.test_rows).history
    mine, other = (model.recommend_from(history, 20) for model in (adapter, adapter.merge()))
    apart = float(np.abs(mine.scores / other.scores - 1).max())
    same = bool((mine.indices == other.indices).all())
    shown = f"lists {'the same' if same else 'differ'}, scores within {apart:.1e}"
    return line("NeuralMF, merged adapter, 160 users", "the adapter", shown, "the same, 1e-5", same and apart <= 1e-5)


def pooled_teacher(transfer: Transfer, linear: IALS, runs: list[Run]) -> dict[str, Any]:
    """An adapter of rank 8 fitted to the scores of a pooled model, 25 users, against that model."""
    values: dict[str, list[float]] = {"adapter": [], "pooled": []}
    for one in runs:
        target = transfer.target
        train = target.filter(np.isin(target.rows(), one.pool[:25]))
        validation, test = one.split(one.validation_rows), one.split(one.test_rows)
        teachers = [pooled(transfer.source, train, weight, linear) for weight in (10, 30, 100)]
        teacher = max(teachers, key=lambda model: mean(lrrec.evaluate(model, validation, METRICS)))
        data = train.align_items(teacher.items_)
        students = [
            distill(teacher, LowRank(8, reg=reg, fold_in_reg=linear.reg), data, base=linear) for reg in (0.1, 1.0, 10.0)
        ]
        student = max(students, key=lambda model: mean(lrrec.evaluate(model, validation, METRICS)))
        for name, model in (("adapter", student), ("pooled", teacher)):
            values[name].append(mean(lrrec.evaluate(model, test, METRICS)))
    mine, other = (float(np.mean(found)) for found in values.values())
    return line(f"{transfer.name}: 25 users, adapter of rank 8 (D = {N_FACTORS}) distilled from the pooled model",
                "the pooled model", f"{mine / other:.3f}: {mine:.4f}, {other:.4f}", "", True)  # fmt: skip
