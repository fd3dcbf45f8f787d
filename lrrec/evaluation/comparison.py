"""compare: several models on one split, with paired intervals and tests of their differences."""

import numbers
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from lrrec.data import frames
from lrrec.data.features import FeaturesLike
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError, DataWarning, ParameterError, ParameterTypeError
from lrrec.evaluation.evaluation_result import Evaluation
from lrrec.evaluation.evaluator import evaluate
from lrrec.evaluation.protocol import Protocol
from lrrec.evaluation.statistics import bootstrap, effect_size, holm, sign_flip
from lrrec.evaluation.timed_model import TimedModel
from lrrec.metrics.measurement import catalogue_for
from lrrec.metrics.registry import DEFAULT_METRICS, check_names, parse
from lrrec.models.base.feature_model import check_taken, fit_options, serving_options
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, axes_for
from lrrec.splits import Split
from lrrec.splits.split import check_split
from lrrec.typing import Axes, Frame, Ids, MatrixLike, RandomState
from lrrec.validate import check_int, check_option, check_real, check_rng


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Evaluations of several models for the same users, and tests of their differences.

    Made by `compare`, or from evaluations: Comparison({"a": ..., "b": ...}).

    Attributes
    ----------
    evaluations : dict of str to Evaluation
        By the names of the models.
    models : dict of str to models
        The fitted models.
    fit_seconds : dict of str to float
        For the models that `compare` has fitted.
    recommend_seconds : dict of str to float
        For all lists of the evaluation.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> models = {"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}
    >>> comparison = lrrec.compare(models, split, metrics=["ndcg@10"])
    >>> comparison.best_first("ndcg@10")
    ['knn', 'popularity']
    >>> comparison.summary().columns[:4].tolist()
    ['model', 'ndcg@10', 'ndcg@10 low', 'ndcg@10 high']
    """

    evaluations: dict[str, Evaluation]
    models: dict[str, Any] = field(default_factory=dict)
    fit_seconds: dict[str, float] = field(default_factory=dict)
    recommend_seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.evaluations:
            raise ParameterError("evaluations must be of at least one model, got none")
        first_name, first = next(iter(self.evaluations.items()))
        for name, result in self.evaluations.items():
            if not np.array_equal(result.users, first.users):
                raise DataError(f"evaluations must be of the same users in the same order, {name!r} has others")
            if result.metrics != first.metrics:
                raise DataError(
                    f"evaluations must be of the same metrics, got {', '.join(first.metrics)} of {first_name!r} "
                    f"and {', '.join(result.metrics)} of {name!r}"
                )

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics: those with a value for each user, then those of all lists together."""
        return next(iter(self.evaluations.values())).metrics

    @property
    def per_user_metrics(self) -> list[str]:
        """The metrics with a value for each user, which `pairs` can compare."""
        return list(next(iter(self.evaluations.values())).values)

    @property
    def protocol(self) -> Protocol:
        """How the models were evaluated."""
        return next(iter(self.evaluations.values())).protocol

    def best_first(self, metric: str) -> list[str]:
        """Return the names of the models by their mean of a metric, the best first."""
        check_option(metric, "metric", tuple(self.metrics))
        means = {name: result.mean()[metric] for name, result in self.evaluations.items()}
        sign = -1 if parse(metric)[0].greater_is_better else 1
        return sorted(means, key=lambda name: sign * means[name])

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return a frame with one row per model and user: model, user and every metric that has a value for each user.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        results = self.evaluations.values()
        columns: dict[str, np.ndarray] = {
            "model": np.repeat(np.array(list(self.evaluations), dtype=object), [len(one.users) for one in results]),
            "user": np.concatenate([result.users for result in results]),
        }
        for metric in self.per_user_metrics:
            columns[metric] = np.concatenate([result.values[metric] for result in results])
        return frames.make(columns, backend)

    def summary(
        self, backend: str = "pandas", *, level: float = 0.95, n_resamples: int = 1000, random_state: RandomState = 0
    ) -> Frame:
        """Return a frame with one row per model.

        The columns are model, for every metric NAME its mean, "NAME low" and "NAME high" (NaN for metrics of all
        lists together, such as coverage), then "fit seconds" and "recommend seconds", NaN where they were not measured.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        level, n_resamples, random_state
            Of the intervals, as for `Evaluation.interval`. They say how well each model's mean is known; whether two
            models differ is tested by `pairs`, even if their intervals overlap.
        """
        means = [result.mean() for result in self.evaluations.values()]
        intervals = [
            result.interval(level, n_resamples=n_resamples, random_state=random_state)
            for result in self.evaluations.values()
        ]  # fmt: skip
        columns: dict[str, np.ndarray] = {"model": np.array(list(self.evaluations), dtype=object)}
        for metric in self.metrics:
            columns[metric] = np.array([mean[metric] for mean in means])
            columns[f"{metric} low"] = np.array([interval[metric][0] for interval in intervals])
            columns[f"{metric} high"] = np.array([interval[metric][1] for interval in intervals])
        for task, seconds in (("fit", self.fit_seconds), ("recommend", self.recommend_seconds)):
            columns[f"{task} seconds"] = np.array([seconds.get(name, np.nan) for name in self.evaluations])
        return frames.make(columns, backend)

    def pairs(
        self, metric: str, baseline: str | None = None, *, level: float = 0.95, n_resamples: int = 10_000,
        random_state: RandomState = 0, backend: str = "pandas",
    ) -> Frame:  # fmt: skip
        """Return a frame with one row per pair of models, compared user by user.

        Parameters
        ----------
        metric : str
            One of `per_user_metrics`.
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
            (exactly, where few users differ); p holm : Holm–Bonferroni adjusted for the number of rows; effect size :
            Cohen's d_z; wins, ties, losses : the numbers of users for whom model is better than, equal to, worse than
            other, whichever direction of the metric is better.

        Notes
        -----
        The adjustment counts the rows of this frame, not the metrics you look at. The tests are about the choice of
        users, given the split and the fitted models; for the chance in those, compare on several splits
        (`splits.repeated`). Users for whom the metric is not defined with every model (an empty list has no novelty)
        are left out. Memory does not grow with n_resamples x users.

        References
        ----------
        Smucker, Allan & Carterette (2007), "A comparison of statistical significance tests for information retrieval
        evaluation"; Holm (1979), "A simple sequentially rejective multiple test procedure".
        """
        if not isinstance(metric, str) or metric not in self.per_user_metrics:
            if isinstance(metric, str) and metric in self.metrics:
                raise ParameterError(
                    f"{metric} is one number for the lists of all users, which cannot be compared user by user: use "
                    "summary(), or compare on several splits"
                )
            raise ParameterError(f"metric must be one of {', '.join(self.per_user_metrics)}, got {metric!r}")
        level = check_real(level, "level", low=0, high=1)
        n_resamples, rng = check_int(n_resamples, "n_resamples", low=1), check_rng(random_state)
        names = list(self.evaluations)
        if baseline is not None and not (isinstance(baseline, str) and baseline in names):
            raise ParameterError(f"baseline must be one of {', '.join(names)}, got {baseline!r}")
        pairs = list(combinations(names, 2) if baseline is None else ((n, baseline) for n in names if n != baseline))
        if not pairs:
            raise ParameterError(f"pairs() needs at least two models, got {', '.join(names)} alone")
        values = {name: result.values[metric] for name, result in self.evaluations.items()}
        D = np.stack([values[model] - values[other] for model, other in pairs], axis=1)  # (n, P)
        D = D[~np.isnan(D).any(axis=1)]
        bootstrap_rng, sign_rng = rng.spawn(2)
        low, high = bootstrap(D, level, n_resamples, bootstrap_rng)
        p_values = sign_flip(D, n_resamples, sign_rng)
        better = D if parse(metric)[0].greater_is_better else -D
        columns = {
            "model": np.array([model for model, _ in pairs], dtype=object),
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

    def plot(self, metric: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the mean of every model with its 95 % interval, the best on top.

        Parameters
        ----------
        metric : str, optional
            One of `metrics`; the first when not given. Metrics of all lists together have no interval.
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given.

        Returns
        -------
        matplotlib Axes

        Notes
        -----
        Needs matplotlib. The intervals are those of `Evaluation.interval`: they say how well each model's mean is
        known. Whether two models differ is tested by `pairs`, even if their intervals overlap.

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.by_user(data, random_state=0)
        >>> models = {"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}
        >>> axes = lrrec.compare(models, split, metrics=["ndcg@10"]).plot()
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['knn', 'popularity']
        """
        metric = self.metrics[0] if metric is None else metric
        results = {name: self.evaluations[name] for name in self.best_first(metric)}
        rows = [(name, one.mean()[metric], *one.interval()[metric]) for name, one in results.items()]
        axes = axes_for(ax, "Comparison.plot()", 0.9 + 0.4 * len(rows))
        label = f"mean {metric}" if metric in self.per_user_metrics else metric
        drawings.draw_intervals(axes, rows, label, COLOR_BLIND_SAFE)
        return axes

    def __repr__(self) -> str:
        first = next(iter(self.evaluations.values()))
        rows = [["", *self.metrics, "fit s", "recommend s"]]
        for name, result in self.evaluations.items():
            times = (seconds.get(name) for seconds in (self.fit_seconds, self.recommend_seconds))
            shown = ["-" if seconds is None else f"{seconds:.2f}" for seconds in times]
            rows.append([name, *(f"{mean:.4f}" for mean in result.mean().values()), *shown])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"Comparison of {len(self.evaluations)} models for {len(first.users):,} users"]
        for name, *cells in rows:
            shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join(("", name.ljust(widths[0]), *shown)))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def compare(
    models: dict[str, Any], split: Split, *, metrics: Sequence[str] = DEFAULT_METRICS, exclude_seen: bool | None = None,
    candidates: Ids | int | None = None, vectors: MatrixLike | None = None, random_state: RandomState = 0,
    item_features: FeaturesLike | None = None, user_features: FeaturesLike | None = None,
) -> Comparison:  # fmt: skip
    """Evaluate several models on the same split.

    Parameters
    ----------
    models : dict of str to model
        By name. An estimator that is not fitted is cloned, fitted on split.train, and timed; a fitted model, and any
        other object that `evaluate` accepts, is used as it is. (Fit models that need more than the data yourself, as
        adapters need their base.)
    split : Split
    metrics, exclude_seen, candidates, vectors, random_state
        As for `evaluate`; where candidates are drawn, they are the same for all models.
    item_features : pandas frame, or sparse matrix or array of shape (n_items, n_features), optional
        For the models that are fitted here and take them, as for `IALS.fit`; the others are fitted without.
    user_features : pandas frame, or sparse matrix or array of shape (n_users, n_features), optional
        The same; and for the test users of models that were fitted with them, as for `evaluate`.

    Returns
    -------
    Comparison

    Warns
    -----
    DataWarning
        A DataWarning of `evaluate`, with the name of the model.

    Notes
    -----
    Seconds are wall-clock time, one model after the other. The first use of a kind of model in a new installation
    includes the compilation of its kernels.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> models = {"popularity": lrrec.Popularity(), "knn": lrrec.ItemKNN()}
    >>> comparison = lrrec.compare(models, split, metrics=["ndcg@10"])
    >>> comparison.pairs("ndcg@10", baseline="popularity")[["model", "other", "wins", "losses"]].values.tolist()
    [['knn', 'popularity', 49, 10]]
    >>> bool(comparison.pairs("ndcg@10")["p"][0] < 0.05)
    True
    """
    check_split(split)
    if not isinstance(models, dict) or not models or not all(isinstance(name, str) for name in models):
        raise ParameterTypeError(f"models must be a dict of at least one name to a model, got {models!r}")
    method = "recommend_from" if split.folds_in else "recommend"
    for name, model in models.items():
        if isinstance(model, type) or not callable(getattr(model, method, None)):
            got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            raise DataError(f"models[{name!r}] must be a model with a method {method} for this split, got {got}")
    names = check_names(metrics)  # before a model is fitted for nothing
    vectors, _ = align_matrix(vectors, split.items, "vectors")
    catalogue_for(names, split.train.matrix, vectors)
    check_taken((model for model in models.values() if _is_unfitted(model)), item_features, user_features)
    seed = random_state if isinstance(random_state, numbers.Integral) else int(check_rng(random_state).integers(2**31))
    fitted: dict[str, Any] = {}
    evaluations: dict[str, Evaluation] = {}
    fit_seconds: dict[str, float] = {}
    recommend_seconds: dict[str, float] = {}
    for name, model in models.items():
        if _is_unfitted(model):
            model = clone(model)
            began = time.perf_counter()
            model.fit(split.train, **fit_options(model, item_features, user_features))
            fit_seconds[name] = time.perf_counter() - began
        timed = TimedModel(model)
        with _naming(name):
            evaluations[name] = evaluate(
                timed, split, metrics=names, exclude_seen=exclude_seen, candidates=candidates, vectors=vectors,
                random_state=seed, **serving_options(model, user_features),
            )  # fmt: skip
        fitted[name], recommend_seconds[name] = model, timed.seconds
    return Comparison(evaluations, fitted, fit_seconds, recommend_seconds)


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Turn every DataWarning inside into one that names the model; other warnings stay as they are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield
    for warning in caught:
        if issubclass(warning.category, DataWarning):
            warnings.warn(DataWarning(str(warning.message), model=model), stacklevel=4)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _is_unfitted(model: Any) -> bool:
    """Whether a model is an estimator that is not fitted."""
    if not isinstance(model, BaseEstimator):
        return False
    try:
        check_is_fitted(model)
    except NotFittedError:
        return True
    return False
