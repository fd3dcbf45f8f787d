"""One trial of tune: fit a model, score it on validation, and report its iterations on the way."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lrrec.errors import DataError, DataWarning
from lrrec.evaluation.evaluator import evaluate
from lrrec.metrics.registry import parse
from lrrec.models.base.feature_model import serving_options
from lrrec.models.base.iterative import FitState, IterativeModel
from lrrec.splits import Split, with_validation

MAX_MONITORED = 2000  # users scored after every iteration; the trial's value is of all validation users
PATIENCE = 4  # iterations without improvement that end a trial: few users are noisy

Report = Callable[[int, float], bool]


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    value : on validation; of a pruned trial at its last iteration. n_iterations : 0 for models without. best : the
    best number of iterations, as a parameter.
    """

    value: float
    n_iterations: int
    best: dict[str, int]
    pruned: bool = False


class PrunedError(Exception):
    """The trial is pruned."""


def greater_is_better(metric: str) -> bool:
    """Return whether a metric is maximized."""
    return parse(metric)[0].greater_is_better


def cut_validation(split: Split, seed: int) -> Split:
    """Return the split's own validation part, or one cut from its training part as the split was made."""
    own = split.validation or with_validation(split, random_state=seed).validation
    assert own is not None
    return own


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


def run(
    model: Any, validation: Split, monitored: Split, metric: str, report: Report, options: dict[str, Any]
) -> TrialResult:
    """Fit a model on validation.train and evaluate it; prune it when report(iteration, value) is True.

    options are those of the model's own `fit`.
    """
    if not isinstance(model, IterativeModel):
        return TrialResult(measure(model.fit(validation.train, **options), validation, metric, options), 0, {})
    sign = 1.0 if greater_is_better(metric) else -1.0
    scores: list[float] = []

    def scorer(candidate: IterativeModel) -> float:
        return sign * measure(candidate, monitored, metric, options)

    def callback(state: FitState) -> None:
        assert state.score is not None
        scores.append(state.score)
        if report(state.iteration, sign * state.score):
            raise PrunedError

    try:
        model.fit(
            validation.train, validation=monitored, scorer=scorer, patience=PATIENCE, callback=callback, **options
        )
    except PrunedError:
        return TrialResult(sign * scores[-1], len(scores), {}, pruned=True)
    best = {model.iteration_parameter: int(np.argmax(scores)) + 1}
    return TrialResult(measure(model, validation, metric, options), len(scores), best)


def measure(model: Any, split: Split, metric: str, options: dict[str, Any]) -> float:
    """Return the mean of a metric over the test users, who are served by the features that `fit` had, too."""
    serving = serving_options(model, options.get("user_features"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # shown once, in the comparison
        return evaluate(model, split, metrics=[metric], **serving).mean()[metric]


def check_validation(validation: Any, split: Split) -> Split:
    """Return a validation split if it has the items of the split and a test interaction."""
    if not isinstance(validation, Split):
        raise DataError(f"validation must be a Split, got {type(validation).__name__}; cut one from split.train")
    if validation.items != split.items:
        raise DataError("validation must be a Split of the same items as split: cut one from split.train")
    if not len(validation.test_rows):
        raise DataError("validation has no test interaction: cut a larger one from split.train")
    return validation
