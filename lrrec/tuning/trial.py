"""One trial: fit a model, watch it sweep by sweep where it has sweeps, and say what it reached on validation."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, DataWarning
from lrrec.evaluation.evaluator import evaluate
from lrrec.metrics.registry import parse
from lrrec.models.ials import IALS
from lrrec.models.neural.neural_mf import NeuralMF
from lrrec.splits import Split, by_time, by_user, leave_last, random

MAX_WATCHED = 2000  # users judged after every sweep; the last word has everybody
VALIDATION_SIZE = 0.2
PATIENCE = 4  # sweeps of iALS that are no better before a trial ends; few users make for noise

Watch = Callable[[int, float], bool]


@dataclass(frozen=True)
class Outcome:
    """What a trial reached.

    value : on validation; of a pruned trial what it had when it was stopped. n_steps : sweeps or epochs that were
    run, 0 for a model without. best : parameters to fit with once more where nobody watches.
    """

    value: float
    n_steps: int
    best: dict[str, int]
    pruned: bool = False


class PrunedError(Exception):
    """A trial has been stopped by its watcher."""


def cut_validation(split: Split, seed: int) -> Split:
    """A validation split of the training part alone, made the way that the split was."""
    train, params = split.train, split.params
    if split.folds_in:
        order = params.get("order", "random") if train.times is not None else "random"
        history = params.get("history", 0.8)
        return by_user(train, VALIDATION_SIZE, history=history, order=order, random_state=seed)
    if split.kind == "leave_last":
        return leave_last(train, params["n"])
    if split.kind in ("by_time", "windows"):
        return by_time(train, VALIDATION_SIZE)
    return random(train, VALIDATION_SIZE, random_state=seed)


def some_users(split: Split, seed: int) -> Split:
    """The split with at most MAX_WATCHED of its test users."""
    rows = split.test_rows
    if len(rows) <= MAX_WATCHED:
        return split
    kept = np.zeros(len(split.users), dtype=bool)
    kept[np.random.default_rng(seed).choice(rows, MAX_WATCHED, replace=False)] = True
    candidates = split.candidates
    if candidates is not None and candidates.ndim == 2:
        candidates = candidates[kept[rows]]
    return replace(split, test=split.test.filter(kept[split.test.rows()]), candidates=candidates)


def run(model: Any, validation: Split, watched: Split, metric: str, watch: Watch) -> Outcome:
    """Fit an unfitted model on validation.train and evaluate it; `watch(step, value)` says whether to stop."""
    try:
        if isinstance(model, IALS):
            return _run_ials(model, validation, watched, metric, watch)
        if isinstance(model, NeuralMF):
            return _run_neural(model, validation, watched, metric, watch)
    except PrunedError as stopped:
        step, value = stopped.args
        return Outcome(value, step, {}, pruned=True)
    return Outcome(measure(model.fit(validation.train), validation, metric), 0, {})


def measure(model: Any, split: Split, metric: str) -> float:
    """The mean over the test users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # once is enough: in the comparison
        return evaluate(model, split, metrics=[metric]).mean()[metric]


def _run_ials(model: IALS, validation: Split, watched: Split, metric: str, watch: Watch) -> Outcome:
    """Sweeps are judged by the metric in the place of nDCG@10, and the best one's factors kept."""
    lower = not parse(metric)[0].greater_is_better
    found: list[float] = []

    def judge(V: np.ndarray, data: Interactions, _: Split) -> float:
        probe = clone(model)
        probe.item_factors_ = V
        if validation.folds_in:
            probe.user_factors_ = np.zeros((data.n_users, V.shape[1]), dtype=np.float32)
        else:
            probe.user_factors_ = probe._fold_in(data.matrix, V, None)
        found.append(measure(probe._remember(data), watched, metric))
        if watch(len(found), found[-1]):
            raise PrunedError(len(found), found[-1])
        return 1 / (1 + found[-1]) if lower else found[-1]  # fit keeps the highest

    fitting = clone(model)
    fitting._validate = judge
    fitting.fit(validation.train, validation=watched, patience=PATIENCE)
    best = int(np.argmin(found) if lower else np.argmax(found)) + 1
    return Outcome(measure(fitting, validation, metric), len(found), {"n_iter": best})


def _run_neural(model: NeuralMF, validation: Split, watched: Split, metric: str, watch: Watch) -> Outcome:
    """Epochs are judged by nDCG@10, whatever the metric, and the best one's towers kept."""

    def see(entry: dict[str, float]) -> None:
        if watch(int(entry["epoch"]), entry["ndcg@10"]):
            raise PrunedError(int(entry["epoch"]), entry["ndcg@10"])

    model.fit(validation.train, validation=watched, callback=see)
    of_epochs = [entry["ndcg@10"] for entry in model.history_]
    best = int(model.history_[int(np.argmax(of_epochs))]["epoch"])
    return Outcome(measure(model, validation, metric), len(of_epochs), {"n_epochs": best})


def check_validation(validation: Any, split: Split) -> Split:
    """Refuse a validation split of other items, or one that cannot be one."""
    if not isinstance(validation, Split):
        raise DataError(f"validation must be a Split, got {type(validation).__name__}; cut one from split.train")
    if validation.items != split.items:
        raise DataError("validation must be a Split of the same items as split: cut one from split.train")
    if not len(validation.test_rows):
        raise DataError("validation must have at least one test interaction, got none")
    return validation
