"""How good NeuralMF is beside iALS, tuned with the same number of trials; what distillation keeps."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import lrrec
from benchmarks import matrices
from benchmarks.report import quality_row, relative
from lrrec import IALS, NeuralMF, Recommender, Split, distill

SEEDS = 3
BASES = [
    IALS(n_factors, unobserved_weight=weight, reg=reg, random_state=0)
    for n_factors in (128, 256) for weight in (0.2, 0.4, 0.6) for reg in (0.003, 0.006, 0.01)
]  # fmt: skip
INITIAL = [BASES[index] for index in (1, 4, 10, 13)]  # four of the eighteen trials choose the model to start from
FINE_TUNING = [
    {"unobserved_weight": weight, "learning_rate": rate, "dropout": dropout}
    for weight in (0.5, 1.0) for rate in (5e-4, 1e-3) for dropout in (0.5, 0.6, 0.7)
]  # fmt: skip


def run() -> Iterator[dict[str, Any]]:
    yield from by_user()
    yield from neural_cf()
    yield from gowalla()


def ndcg(model: Recommender, split: Split, metric: str = "ndcg@20") -> float:
    return lrrec.evaluate(model, split, [metric]).mean()[metric]


def neural(base: IALS, n_epochs: int = 10, **options: Any) -> NeuralMF:
    D = base.n_factors
    return NeuralMF(D, n_hidden=max(256, 2 * D), n_epochs=n_epochs, random_state=0, **options)


def by_user() -> Iterator[dict[str, Any]]:
    """Measure on a fifth of the users of ml-1m, who are new to the model, with 80 % of their ratings as history."""
    data = lrrec.datasets.load("ml-1m", matrices.data_home()).interactions().binarize()
    outer = lrrec.splits.by_user(data, 0.2, random_state=0)
    inner = lrrec.splits.by_user(outer.train, 0.15, random_state=1)
    plain = max(BASES, key=lambda model: ndcg(model.fit(inner.train), inner))
    start = max(INITIAL, key=lambda model: ndcg(model.fit(inner.train), inner)).fit(inner.train)
    chosen = max(FINE_TUNING, key=lambda params: ndcg(neural(start, **params).fit(inner.train, init=start), inner))
    print(f"by user: {plain!r}; {start!r}, {chosen}", flush=True)
    values: dict[str, list[float]] = {"iALS": [], "NeuralMF": [], "equal time": []}
    first: tuple[Split, NeuralMF] | None = None
    for seed in range(SEEDS):
        split = outer if not seed else lrrec.splits.by_user(data, 0.2, random_state=seed)
        begun = time.perf_counter()
        plain.fit(split.train)
        plain_seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        model = neural(start, **chosen).fit(split.train, init=start.fit(split.train))
        neural_seconds = time.perf_counter() - begun
        values["iALS"].append(ndcg(plain, split))
        values["NeuralMF"].append(ndcg(model, split))
        n_iter = round(plain.n_iter * neural_seconds / plain_seconds)
        longer = IALS(**plain.get_params() | {"n_iter": n_iter}).fit(split.train)
        values["equal time"].append(ndcg(longer, split))
        first = first or (split, model)
    ours, ials, equal_time = (np.array(values[name]) for name in ("NeuralMF", "iALS", "equal time"))
    yield quality_row("ml-1m by user, nDCG@20, at most 18 trials each", f"IALS, D = {plain.n_factors}",
                      relative(ours, ials), "0.99 x", bool(ours.mean() >= 0.99 * ials.mean()))  # fmt: skip
    yield quality_row("ml-1m by user, nDCG@20, equal wall time", f"IALS, {n_iter} iterations, {neural_seconds:.1f} s",
                      relative(ours, equal_time), "1 x", bool(ours.mean() >= equal_time.mean()))  # fmt: skip
    assert first is not None
    yield from distilled(inner, *first)


def distilled(inner: Split, split: Split, teacher: NeuralMF) -> Iterator[dict[str, Any]]:
    """Yield small models beside the teacher: fitted alone (8 trials), compressed, and distilled (8 trials)."""
    inner_teacher = neural(IALS(teacher.n_factors))
    inner_teacher.set_params(**{name: teacher.get_params()[name] for name in FINE_TUNING[0]})
    start = IALS(teacher.n_factors, unobserved_weight=0.4, reg=0.006, random_state=0).fit(inner.train)
    inner_teacher.fit(inner.train, init=start)
    best = ndcg(teacher, split)
    for n_factors in (16, 32, 64):
        alone = [
            IALS(n_factors, unobserved_weight=weight, reg=reg, random_state=0)
            for weight in (0.3, 0.6) for reg in (0.001, 0.003, 0.006, 0.012)
        ]  # fmt: skip
        single = max(alone, key=lambda model: ndcg(model.fit(inner.train), inner)).fit(split.train)
        students = [(IALS(n_factors, unobserved_weight=a, reg=reg, random_state=0), weight)
                    for a in (0.3, 0.6) for reg in (0.001, 0.003) for weight in (1.0, 3.0)]  # fmt: skip
        student, weight = max(
            students, key=lambda pair: ndcg(distill(inner_teacher, pair[0], inner.train, weight=pair[1]), inner)
        )
        quality = {
            "distilled": ndcg(distill(teacher, student, split.train, weight=weight), split),
            "compressed": ndcg(teacher.compress(n_factors), split),
            "alone": ndcg(single, split),
        }
        kept, share = quality["distilled"] / best, n_factors / (teacher.n_factors + 1)
        yield quality_row(
            f"ml-1m by user, nDCG@20 of NeuralMF (D = {teacher.n_factors}, {best:.4f}) distilled to D = {n_factors}",
            f"fitted alone {quality['alone']:.4f}, compressed {quality['compressed']:.4f}",
            f"{quality['distilled']:.4f}: {kept:.1%} of the quality, {share:.1%} of an item's size",
            "1 x", quality["distilled"] >= max(quality["alone"], quality["compressed"]),
        )  # fmt: skip


def neural_cf() -> Iterator[dict[str, Any]]:
    """Rank the last movie of every user among 99 published negatives; tuned on the last but one among 99 sampled."""
    split = lrrec.datasets.load("ncf-ml-1m", matrices.data_home()).split()
    inner = lrrec.splits.with_negatives(lrrec.splits.leave_last(split.train), random_state=0)
    base = IALS(192, unobserved_weight=0.3, reg=0.007, n_iter=12, random_state=0).fit(inner.train)
    settings = [
        {"unobserved_weight": weight, "learning_rate": rate, "n_epochs": n_epochs}
        for weight in (0.05, 0.1, 0.2) for rate in (5e-4, 1e-3) for n_epochs in (5, 10)
    ]  # fmt: skip
    chosen = max(
        settings, key=lambda params: ndcg(neural(base, **params).fit(inner.train, init=base), inner, "ndcg@10")
    )
    print(f"ncf-ml-1m: {chosen}", flush=True)
    model = neural(base, **chosen).fit(split.train, init=base.fit(split.train))
    means = lrrec.evaluate(model, split, ["hit@10", "ndcg@10"]).mean()
    for metric, target, aim in (("hit@10", 0.7093, 0.7294), ("ndcg@10", 0.4349, 0.4523)):
        yield quality_row(f"ncf-ml-1m, {metric}", f"NeuMF as published {target}; aim {aim}", f"{means[metric]:.4f}",
                          f"{target}", means[metric] >= target)  # fmt: skip


def gowalla() -> Iterator[dict[str, Any]]:
    """Yield seconds an epoch of three losses over 41,000 places, and recall beside iALS of the same size."""
    data = lrrec.datasets.load("gowalla", matrices.data_home())
    split, inner = data.split(), data.split("valid")
    for loss in ("softmax", "squared", "sampled-softmax"):
        options: dict[str, Any] = {"init": "random", "unobserved_weight": 0.3, "n_negatives": 2000, "batch_size": 512}
        model = NeuralMF(64, loss=loss, learning_rate=3e-3, n_epochs=2, random_state=0, **options)
        history = model.fit(split.train).history_
        seconds = float(np.diff([epoch["seconds"] for epoch in history]).min())
        yield quality_row(f"gowalla, seconds an epoch, {loss}, D = 64", "", f"{seconds:.2f} s", "", True)
    base = IALS(256, unobserved_weight=0.015, reg=0.004, n_iter=12, random_state=0)
    settings = [{"unobserved_weight": weight, "learning_rate": rate, "n_epochs": 4, "batch_size": 1024}
                for weight in (0.01, 0.03) for rate in (3e-4, 1e-3)]  # fmt: skip
    start = base.fit(inner.train)
    chosen = max(
        settings, key=lambda params: ndcg(neural(start, **params).fit(inner.train, init=start), inner, "recall@20")
    )
    plain = base.fit(split.train)
    model = neural(plain, **chosen).fit(split.train, init=plain)
    ours, ials = (ndcg(model, split, "recall@20") for model in (model, plain))
    yield quality_row("gowalla, recall@20, initialized from IALS", "IALS, D = 256",
                      f"{ours / ials:.3f}: {ours:.4f}, {ials:.4f}", "0.99 x", ours >= 0.99 * ials)  # fmt: skip
