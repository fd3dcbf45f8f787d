"""compare: several models on one split, and whether their differences are more than chance."""

import numbers
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from lrrec.data import frames
from lrrec.errors import DataError, DataWarning, ParameterError, ParameterTypeError
from lrrec.evaluation.evaluator import evaluate
from lrrec.evaluation.ready_lists import METRICS, check_names
from lrrec.evaluation.result import Evaluation
from lrrec.evaluation.statistics import bootstrap, effect_size, holm, sign_flip
from lrrec.metrics import ERRORS
from lrrec.splits import Split
from lrrec.validate import check_int, check_real, check_rng


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What several models scored for the same users, and how sure their differences are.

    Made by `compare`, or of evaluations that were made one by one: Comparison({"a": ..., "b": ...}).

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        By the names of the models.
    models : dict of str to models
        The models evaluated, those that were fitted here included.
    fit_seconds : dict of str to float
        For the models that were fitted here.
    recommend_seconds : dict of str to float
        For all lists of the evaluation.
    """

    evaluations: dict[str, Evaluation]
    models: dict[str, Any] = field(default_factory=dict)
    fit_seconds: dict[str, float] = field(default_factory=dict)
    recommend_seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.evaluations:
            raise ParameterError("evaluations must be of at least one model, got none")
        first_name, first = next(iter(self.evaluations.items()))
        for name, one in self.evaluations.items():
            if not np.array_equal(one.users, first.users):
                raise DataError(f"evaluations must be of the same users in the same order, {name!r} has others")
            if list(one.values) != list(first.values):
                raise DataError(
                    f"evaluations must be of the same metrics, got {', '.join(first.values)} of {first_name!r} "
                    f"and {', '.join(one.values)} of {name!r}"
                )

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics."""
        return list(next(iter(self.evaluations.values())).values)

    def table(
        self, backend: str = "pandas", *, level: float = 0.95, n_resamples: int = 1000, random_state: Any = 0
    ) -> Any:
        """Return a frame with a row a model.

        The columns are model, for every metric NAME its mean, "NAME low" and "NAME high", then "fit seconds" and
        "recommend seconds", NaN where it was not measured.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        level, n_resamples, random_state
            Of the intervals, as for `Evaluation.interval`. They say how well a model's mean is known: two of them may
            overlap although the models surely differ, which `pairs` answers.
        """
        means = [one.mean() for one in self.evaluations.values()]
        intervals = [
            one.interval(level, n_resamples=n_resamples, random_state=random_state)
            for one in self.evaluations.values()
        ]  # fmt: skip
        columns: dict[str, np.ndarray] = {"model": np.array(list(self.evaluations), dtype=object)}
        for metric in self.metrics:
            columns[metric] = np.array([one[metric] for one in means])
            columns[f"{metric} low"] = np.array([one[metric][0] for one in intervals])
            columns[f"{metric} high"] = np.array([one[metric][1] for one in intervals])
        for what, seconds in (("fit", self.fit_seconds), ("recommend", self.recommend_seconds)):
            columns[f"{what} seconds"] = np.array([seconds.get(name, np.nan) for name in self.evaluations])
        return frames.make(columns, backend)

    def pairs(
        self, metric: str, baseline: str | None = None, *, level: float = 0.95, n_resamples: int = 10_000,
        random_state: Any = 0, backend: str = "pandas",
    ) -> Any:  # fmt: skip
        """Return a frame with a row a pair of models, compared user by user.

        Parameters
        ----------
        metric : str
            One of `metrics`.
        baseline : str, optional
            The name of a model: every other one is compared with it. All pairs when not given.
        level : float in (0, 1), default 0.95
            Of the interval.
        n_resamples : int, default 10000
            How often the bootstrap draws users, and the test signs.
        random_state : int, Generator or None, default 0
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"

        Returns
        -------
        frame
            model, other; difference : the mean of model minus the mean of other; low, high : its paired bootstrap
            interval; p : of a paired randomization test, which flips the signs of users' differences at random
            (exactly, where few users differ); p holm : corrected for the number of rows; effect size : Cohen's d_z;
            wins, ties, losses : the numbers of users for whom model is better than, equal to, worse than other (of
            rmse and mae, the smaller is better).

        Notes
        -----
        The correction counts the rows of this frame: looking at several metrics and reporting the best is beyond it.
        The tests speak of the choice of users, given the split and the fitted models; for the chance in those, compare
        on several splits (`splits.repeated`). Memory does not grow with n_resamples x users.

        References
        ----------
        Smucker, Allan & Carterette (2007), "A comparison of statistical significance tests for information retrieval
        evaluation"; Holm (1979), "A simple sequentially rejective multiple test procedure".
        """
        if metric not in self.metrics:
            raise ParameterError(f"metric must be one of {', '.join(self.metrics)}, got {metric!r}")
        level = check_real(level, "level", low=0, high=1)
        n_resamples, rng = check_int(n_resamples, "n_resamples", low=1), check_rng(random_state)
        names = list(self.evaluations)
        if baseline is not None and baseline not in names:
            raise ParameterError(f"baseline must be one of {', '.join(names)}, got {baseline!r}")
        pairs = list(combinations(names, 2) if baseline is None else ((n, baseline) for n in names if n != baseline))
        if not pairs:
            raise ParameterError(f"pairs must be given at least two models, got {', '.join(names)} alone")
        of = {name: one.values[metric] for name, one in self.evaluations.items()}
        D = np.stack([of[one] - of[other] for one, other in pairs], axis=1)  # (n, P)
        bootstrap_rng, sign_rng = rng.spawn(2)
        low, high = bootstrap(D, level, n_resamples, bootstrap_rng)
        p_values = sign_flip(D, n_resamples, sign_rng)
        better = -D if metric in ERRORS else D
        columns = {
            "model": np.array([one for one, _ in pairs], dtype=object),
            "other": np.array([other for _, other in pairs], dtype=object),
            "difference": D.mean(axis=0),
            "low": low,
            "high": high,
            "p": p_values,
            "p holm": holm(p_values),
            "effect size": effect_size(D),
            "wins": (better > 0).sum(axis=0),
            "ties": (D == 0).sum(axis=0),
            "losses": (better < 0).sum(axis=0),
        }
        return frames.make(columns, backend)

    def __repr__(self) -> str:
        first = next(iter(self.evaluations.values()))
        rows = [["", *self.metrics, "fit s", "recommend s"]]
        for name, one in self.evaluations.items():
            times = (seconds.get(name) for seconds in (self.fit_seconds, self.recommend_seconds))
            shown = ["-" if seconds is None else f"{seconds:.2f}" for seconds in times]
            rows.append([name, *(f"{mean:.4f}" for mean in one.mean().values()), *shown])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"Comparison of {len(self.evaluations)} models for {len(first.users):,} users"]
        for name, *cells in rows:
            shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join(("", name.ljust(widths[0]), *shown)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def compare(
    models: dict[str, Any], split: Split, metrics: Sequence[str] = METRICS, *, exclude_seen: bool = True,
    candidates: Any = None, random_state: Any = 0,
) -> Comparison:  # fmt: skip
    """Evaluate several models on the same split.

    Parameters
    ----------
    models : dict of str to model
        By the names they are to have. An estimator that is not fitted is cloned and fitted on split.train, and timed;
        whatever is fitted, and any other object that `evaluate` takes, is asked as it is. (So fit yourself what wants
        more than the data, as adapters want their base.)
    split : Split
    metrics, exclude_seen, candidates, random_state
        As for `evaluate`; where candidates are drawn, they are the same for all models.

    Returns
    -------
    Comparison

    Warns
    -----
    DataWarning
        As `evaluate` does, with the model's name in front.

    Notes
    -----
    Seconds are of the wall clock, one model after the other. The first of lrrec's models to run in a new installation
    also waits for its kernels to be compiled.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> models = {"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}
    >>> found = lrrec.compare(models, split, ["ndcg@10"])
    >>> found.pairs("ndcg@10", baseline="popularity")[["model", "other", "wins", "losses"]].values.tolist()
    [['knn', 'popularity', 49, 10]]
    >>> bool(found.pairs("ndcg@10")["p"][0] < 0.05)
    True
    """
    if not isinstance(split, Split):
        raise DataError(
            f"split must be a Split, got {type(split).__name__}; make one with lrrec.splits, e.g. by_user(data)"
        )
    if not isinstance(models, dict) or not models or not all(isinstance(name, str) for name in models):
        raise ParameterTypeError(f"models must be a dict of at least one name to a model, got {models!r}")
    method = "recommend_from" if split.folds_in else "recommend"
    for name, model in models.items():
        if isinstance(model, type) or not callable(getattr(model, method, None)):
            got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            raise DataError(f"models[{name!r}] must be a model with a method {method} for this split, got {got}")
    names = check_names(metrics)  # before a model is fitted for nothing
    seed = random_state if isinstance(random_state, numbers.Integral) else int(check_rng(random_state).integers(2**31))
    fitted: dict[str, Any] = {}
    evaluations: dict[str, Evaluation] = {}
    fit_seconds: dict[str, float] = {}
    recommend_seconds: dict[str, float] = {}
    for name, model in models.items():
        if _is_unfitted(model):
            model = clone(model)
            began = time.perf_counter()
            model.fit(split.train)
            fit_seconds[name] = time.perf_counter() - began
        timed = _Timed(model)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", DataWarning)
            evaluations[name] = evaluate(
                timed, split, names, exclude_seen=exclude_seen, candidates=candidates, random_state=seed
            )
        for one in told:
            if issubclass(one.category, DataWarning):
                warnings.warn(DataWarning(str(one.message), model=name), stacklevel=2)
            else:
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        fitted[name], recommend_seconds[name] = model, timed.seconds
    return Comparison(evaluations, fitted, fit_seconds, recommend_seconds)


def _is_unfitted(model: Any) -> bool:
    """Whether a model is an estimator that has yet to be fitted."""
    if not isinstance(model, BaseEstimator):
        return False
    try:
        check_is_fitted(model)
    except NotFittedError:
        return True
    return False


class _Timed:
    """A model whose answers are timed; all else is the model's own, its class included."""

    def __init__(self, model: Any) -> None:
        self._model, self.seconds = model, 0.0

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._model)

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._model, name)
        return self._timed(own) if name in ("recommend", "recommend_from") else own

    def _timed(self, ask: Callable) -> Callable:
        @wraps(ask)
        def answer(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return ask(*args, **options)
            finally:
                self.seconds += time.perf_counter() - began

        return answer
