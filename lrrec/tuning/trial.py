"""One trial of tune: fit a model for each fold, score it on the fold's users, and report on the way."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from lrrec.errors import DataWarning
from lrrec.evaluation.evaluator import evaluate
from lrrec.metrics.registry import parse
from lrrec.models.base.feature_model import serving_options
from lrrec.models.base.iterative import FitState, IterativeModel
from lrrec.splits import Split
from lrrec.tuning.user_values import mean_of, pooled

MAX_MONITORED = 2000  # users of one fold scored after every iteration; the trial's value is of all validation users
PATIENCE = 4  # iterations without improvement that end a trial: few users are noisy

Report = Callable[[int, float], bool]
Race = Callable[[list[np.ndarray]], bool]


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    values : of each validation user, an array for each fold; of a pruned trial those seen until then. n_iterations :
    0 for models without. best : the best number of iterations, as a parameter. pruned : for its iterations in the first
    fold. raced : for its values on the folds so far.
    """

    values: list[np.ndarray]
    n_iterations: int
    best: dict[str, int]
    pruned: bool = False
    raced: bool = False


class PrunedError(Exception):
    """The trial is pruned."""


class Validation:
    """What trials are measured on: a metric, and the splits of the folds.

    rows has the indices of each fold's test users; of a metric that is one number for the lists of all users, such as
    coverage, the number of the fold stands in for them.
    """

    def __init__(self, parts: list[Split], metric: str, seed: int) -> None:
        self.parts, self.metric = parts, metric
        self.per_user = parse(metric)[0].kind != "catalogue"
        self.rows = [part.test_rows if self.per_user else np.array([fold]) for fold, part in enumerate(parts)]
        self.monitored = [sample_users(parts[0], seed)] if len(parts) == 1 else parts
        self.sign = 1.0 if greater_is_better(metric) else -1.0

    def mean(self, values: list[np.ndarray]) -> float:
        """Return the mean over the users of the first len(values) folds."""
        return mean_of(pooled(self.rows, values))

    def differences(self, values: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
        """Return by how much each user of the first len(values) folds is served better than in another trial."""
        return self.sign * (pooled(self.rows, values) - pooled(self.rows, others[: len(values)]))


def greater_is_better(metric: str) -> bool:
    """Return whether a metric is maximized."""
    return parse(metric)[0].greater_is_better


def sample_users(split: Split, seed: int) -> Split:
    """Return the split with at most MAX_MONITORED of its test users."""
    rows = split.test_rows
    if len(rows) <= MAX_MONITORED:
        return split
    kept = np.zeros(len(split.users), dtype=bool)
    kept[np.random.default_rng(seed).choice(rows, MAX_MONITORED, replace=False)] = True
    candidates = split.candidates
    if candidates is not None and candidates.ndim == 2:
        candidates = candidates[kept[rows]]
    return replace(split, test=split.test.filter(kept[split.test.rows()]), candidates=candidates)


def run(model: Any, validation: Validation, report: Report, race: Race, options: dict[str, Any]) -> TrialResult:
    """Fit a model on each fold's training part and measure it; options are those of the model's own `fit`.

    The trial is pruned when report(iteration, value) is True, which is called in the first fold, or race(values), which
    is called after every fold but the last.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "all factors of", DataWarning)  # of such parameters the score says enough
        if isinstance(model, IterativeModel):
            return _run_iterations(model, validation, report, race, options)
        return _run_whole(model, validation, race, options)


def _run_whole(model: Any, validation: Validation, race: Race, options: dict[str, Any]) -> TrialResult:
    """The same for a model that is not iterative."""
    values: list[np.ndarray] = []
    for part in validation.parts:
        fitted = clone(model).fit(part.train, **options)
        values.append(measure(fitted, part, validation.metric, options))
        if len(values) < len(validation.parts) and race(values):
            return TrialResult(values, 0, {}, raced=True)
    return TrialResult(values, 0, {})


def _run_iterations(
    model: IterativeModel, validation: Validation, report: Report, race: Race, options: dict[str, Any]
) -> TrialResult:
    """Score every iteration; the best is that of the mean over the folds.

    The first fold decides how many there are, by PATIENCE; the others are fitted for as many.
    """
    curves: list[list[np.ndarray]] = []
    for fold in range(len(validation.parts)):
        n_iter = len(curves[0]) if curves else None
        fitted = clone(model)
        curve, pruned = _fit_curve(fitted, validation, fold, n_iter, report, options)
        curves.append(curve)
        if pruned:
            return TrialResult([curve[-1]], len(curve), {}, pruned=True)
        if len(validation.parts) == 1:
            scores = [validation.sign * mean_of(values) for values in curve]
            best = {model.iteration_parameter: int(np.argmax(scores)) + 1}
            values = measure(fitted, validation.parts[0], validation.metric, options)
            return TrialResult([values], len(curve), best)
        best_iteration = _best_iteration(curves, validation)
        values_so_far = [values[best_iteration] for values in curves]
        if fold + 1 < len(validation.parts) and race(values_so_far):
            return TrialResult(values_so_far, len(curves[0]), {}, raced=True)
    return TrialResult(values_so_far, len(curves[0]), {model.iteration_parameter: best_iteration + 1})


def _best_iteration(curves: list[list[np.ndarray]], validation: Validation) -> int:
    """Return the index of the iteration with the best mean over all users; curves are cut to the shortest."""
    steps = zip(*curves, strict=False)
    return int(np.argmax([validation.sign * validation.mean(list(values)) for values in steps]))


def _fit_curve(
    model: IterativeModel, validation: Validation, fold: int, n_iter: int | None, report: Report,
    options: dict[str, Any],
) -> tuple[list[np.ndarray], bool]:  # fmt: skip
    """Fit a model on a fold; return the users' values after each iteration, and whether it was pruned.

    It ends after n_iter iterations; if there is no such number, by PATIENCE, or when `report` is True.
    """
    part, curve, sign = validation.monitored[fold], [], validation.sign

    def scorer(candidate: IterativeModel) -> float:
        curve.append(measure(candidate, part, validation.metric, options))
        return sign * mean_of(curve[-1])

    def callback(state: FitState) -> bool:
        assert state.score is not None
        if n_iter is None and report(state.iteration, sign * state.score):
            raise PrunedError
        return state.iteration == n_iter

    patience = PATIENCE if n_iter is None else n_iter
    try:
        model.fit(part.train, validation=part, scorer=scorer, patience=patience, callback=callback, **options)
    except PrunedError:
        return curve, True
    return curve, False


def measure(model: Any, split: Split, metric: str, options: dict[str, Any]) -> np.ndarray:
    """Return a metric of each test user, or of all of them (1,); they are served by features that `fit` had, too."""
    serving = serving_options(model, options.get("user_features"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # shown once, in the comparison
        result = evaluate(model, split, metrics=[metric], **serving)
    return result.values[metric] if metric in result.values else np.array([result.overall[metric]])
