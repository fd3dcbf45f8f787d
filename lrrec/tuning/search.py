"""tune: choose parameters on a validation part of the training data; the test part decides nothing."""

import itertools
import math
import time
import warnings
from collections.abc import Mapping
from typing import Any, overload

import numpy as np
from sklearn.base import clone

from lrrec.data.features import FeaturesLike
from lrrec.errors import DataError, DataWarning, ParameterError, ParameterTypeError
from lrrec.files import canonical
from lrrec.metrics.registry import check_names
from lrrec.models.base.feature_model import check_features, check_taken, digest, fit_options
from lrrec.models.base.recommender import Recommender
from lrrec.progress import ProgressBar
from lrrec.splits import Split
from lrrec.tuning import trial as trials
from lrrec.tuning.space import Dimension, Space, as_text, default_space, include_own, read_space
from lrrec.tuning.study import ended_trials, finished_trials, is_below_median, open_study, quiet, trial_table
from lrrec.tuning.tuning_result import Tuning
from lrrec.tuning.user_values import intervals, is_worse, mean_of, pack, unpack
from lrrec.tuning.validation_folds import ValidationFolds, read_folds
from lrrec.typing import PathLike
from lrrec.validate import check_bool, check_int, check_real, import_extra

N_RANDOM = 8  # trials before the sampler uses the earlier ones
MAX_COMPARED = 100  # finished trials, the best, whose choice the interval of the gain allows for


@overload
def tune(model: Mapping[str, Any], split: Split, **options: Any) -> dict[str, Tuning]: ...


@overload
def tune(model: Any, split: Split, **options: Any) -> Tuning: ...


def tune(  # type: ignore[misc]
    model: Any, split: Split, *, space: Any = None, metric: str = "ndcg@10", validation: Split | None = None,
    folds: int | None = None, n_trials: int | None = 20, timeout: float | None = None, storage: PathLike | None = None,
    random_state: int = 0, progress: bool = False, item_features: FeaturesLike | None = None,
    user_features: FeaturesLike | None = None,
) -> Tuning | dict[str, Tuning]:  # fmt: skip
    """Search for the parameters with which a model is best on validation, and fit them on all training data.

    Parameters
    ----------
    model : Recommender, or dict of str to Recommender
        One model, or several to tune with the same budget on the same validation part. They are not changed.
        Parameters outside of the space keep their values, except that a random_state of None becomes the one below.
        The first trial has the model's own values, if the space contains them; for "auto" what it is for the training
        part. A default space is widened to contain them, and an n_factors beyond it is cut.
    split : Split
        Only split.train is used: the history and test parts decide nothing.
    space : dict of str to (low, high), (low, high, "log") or list, optional
        Numbers between bounds, both included (integers where both are), uniform or log-uniform; or a list of values.
        A space of at most n_trials settings is searched exhaustively. By default the model's `tuning_space`. With
        several models: dict of name to space, for those that are not to have their default.
    metric : str, default "ndcg@10"
        One metric of `evaluate`; errors such as "rmse" are minimized, all others maximized.
    validation : Split, optional
        Of the same items, to measure trials on. By default split.validation; for a split without one, `folds`.
    folds : int >= 1, optional
        On how many validation parts of split.train, cut as the split was, each trial is measured; its value is the mean
        over the users of all. By default as many as have about 1,000 validation users together, at most 5: large data
        are fitted once a trial. One is what `splits.with_validation` cuts. Of more, each holds out another fifth (with
        more than five folds a smaller part): of the users as `splits.k_folds`, where the split's test users are new; of
        the interactions, of a split by `random`, so that a user is served several times and has the mean of these; of
        the items, of one by `cold_items`. Of `leave_last`, each has the last interactions of another group of users,
        but one fold has those of all: this is the default. Splits in the order of time have one.
    n_trials : int or None, default 20
        The number of trials of each model, those in `storage` included; None for as many as `timeout` allows.
    timeout : float, optional
        Seconds of all trials of a model, those in `storage` included, after which no other is started.
    storage : path, optional
        An SQLite file, created if it does not exist. The same call finds its trials there and continues with
        identical results; a process that is killed loses only the running trial. For one process at a time.
    random_state : int, default 0
    progress : bool, default False
        Show a progress bar if there is a terminal.
    item_features : Features, frame, or sparse matrix or array of shape (n_items, n_features), optional
        For every fit of models that take them, as for `IALS.fit`. By default `feature_reg` is then searched too.
    user_features : Features, frame, or sparse matrix or array of shape (n_users, n_features), optional
        The same; validation users who are served from a history are served by them too.

    Returns
    -------
    Tuning, or dict of str to Tuning
        With several models, by their names: `lrrec.compare({name: tuning.model_ for name, tuning in tunings.items()},
        split)` compares them.

    Raises
    ------
    MissingDependencyError
        If optuna is not installed.
    ParameterError
        If `storage` holds trials of another model, space, metric, random_state, validation part or features; if folds
        are more than the users to hold out, or come with `validation`, a split that has one, or one in order of time.

    Warns
    -----
    DataWarning
        If the best trial is not better than the model's own parameters beyond chance: the 95 % interval of the
        difference, paired by validation user, includes 0 (`Tuning.gain_interval_`).

    Notes
    -----
    Trials are drawn by the tree-structured Parzen estimator. With several folds they race: after each fold, a trial is
    pruned if on the users so far it is worse than the best one by two standard errors of the difference. A hopeless
    trial costs one fold. The trial of the model's own parameters is never pruned: the best one is compared with it.

    Iterative models (`IALS`, `ALS`, `NMF`, `EDLAE`, `NeuralMF`) are scored after every iteration on all users of the
    fold, with one fold on at most 2,000: in the first fold, a trial below the median of the earlier ones at the same
    iteration is pruned, and four iterations without improvement end the fit; the other folds are fitted for as many.
    The iteration that is best in the mean over all folds becomes n_iter (n_epochs) of the best parameters.

    References
    ----------
    Bergstra, Bardenet, Bengio & Kegl (2011), "Algorithms for hyper-parameter optimization", sec. 4; Golovin et al.
    (2017), "Google Vizier", sec. 3.2 (median stopping); Moore & Lee (1994), "Efficient algorithms for minimizing cross
    validation error" (races; the paired differences are their "blocking").

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> tuned = lrrec.tune(lrrec.EASE(reg=2.0), split, space={"reg": (1.0, 1000.0, "log")}, n_trials=5)
    >>> len(tuned.trials_), list(tuned.best_params_), tuned.n_users
    (5, ['reg'], 336)
    """
    check_taken(model.values() if isinstance(model, Mapping) else [model], item_features, user_features)
    options: Any = {
        "metric": metric, "n_trials": n_trials, "timeout": timeout, "random_state": random_state,
        "item_features": item_features, "user_features": user_features,
    }  # fmt: skip
    if not isinstance(model, Mapping):
        parts = read_folds(split, validation, folds, check_int(random_state, "random_state", low=0))
        tuning = _Search(model, split, space, parts, **options).run("tune", storage, progress=progress)
        _warn(tuning, "")
        return tuning
    if not model or not all(isinstance(name, str) for name in model):
        raise ParameterTypeError(f"model must be a model, or a dict of at least one name to a model, got {model!r}")
    spaces = space or {}
    unknown = [name for name in spaces if name not in model]
    if unknown:
        raise ParameterError(f"space must be by names of the models ({', '.join(model)}), got {', '.join(unknown)}")
    parts = read_folds(split, validation, folds, check_int(random_state, "random_state", low=0))
    searches = {name: _Search(one, split, spaces.get(name), parts, **options) for name, one in model.items()}
    tunings = {name: search.run(f"tune {name}", storage, progress=progress) for name, search in searches.items()}
    for name, tuning in tunings.items():
        _warn(tuning, name)
    return tunings


def _warn(tuning: Tuning, name: str) -> None:
    """Warn whoever has called `tune` if the best trial is not better than the model's own parameters beyond chance."""
    if tuning.doubt:
        warnings.warn(DataWarning(tuning.doubt, model=name), stacklevel=3)


class _Search:
    """The search of one model, arguments checked."""

    def __init__(
        self, model: Any, split: Split, space: Space | None, folds: ValidationFolds, *, metric: str,
        n_trials: int | None, timeout: float | None, random_state: int, item_features: FeaturesLike | None,
        user_features: FeaturesLike | None,
    ) -> None:  # fmt: skip
        if isinstance(model, type) or not callable(getattr(model, "get_params", None)):
            got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            raise ParameterTypeError(f"model must be an estimator, got {got}")
        if n_trials is None and timeout is None:
            raise ParameterError("n_trials must be an integer >= 1 without a timeout, got None")
        self.n_trials = math.inf if n_trials is None else check_int(n_trials, "n_trials", low=1)
        self.timeout = math.inf if timeout is None else check_real(timeout, "timeout", low=0, open_low=True)
        self.seed = check_int(random_state, "random_state", low=0)
        if not isinstance(metric, str):
            raise ParameterTypeError(f"metric must be the name of one metric, got {metric!r}")
        (self.metric,) = check_names(metric)
        self.minimizes = not trials.greater_is_better(self.metric)
        self.train, self.model = split.train, clone(model)
        self.fit_options = options = fit_options(model, item_features, user_features)
        of_items, _ = check_features(options.get("item_features"), split.items)
        of_users, _ = check_features(
            options.get("user_features"), split.users, name="user_features", unit="user"
        )  # fmt: skip
        self.features = {"item features": of_items, "user features": of_users}
        if self.model.get_params(deep=False).get("random_state", 0) is None:
            self.model.set_params(random_state=self.seed)
        self.folds, self.validation = folds, trials.Validation(folds.parts, self.metric, self.seed)
        self.own = self.model.get_params()
        if isinstance(self.model, Recommender):
            self.own |= self.model._chosen_params(folds.parts[0].train.matrix)
        self._set_space(space)

    def _set_space(self, space: Space | None) -> None:
        if space is None:
            space = default_space(self.model, self.folds.parts[0].train.matrix.shape)
            space |= self.model._feature_tuning_space() if self.fit_options else {}
            space, self.own = include_own(space, self.own)
        self.space = space
        self.dimensions = read_space(self.space, self.model)
        n_settings = math.prod(dimension.size for dimension in self.dimensions.values())
        self.exhaustive = n_settings <= self.n_trials < math.inf
        if self.exhaustive:
            self.n_trials = n_settings

    def run(self, name: str, storage: PathLike | None, *, progress: bool) -> Tuning:
        """Run the trials that the storage lacks, then fit the best parameters."""
        check_bool(progress, "progress")
        optuna = import_extra("optuna", "tune", "tune()")
        with quiet(optuna):
            study = open_study(optuna, name, storage, self._identity(), minimize=self.minimizes)
            ended = self._run_trials(optuna, study, progress=progress)
            complete = finished_trials(optuna, study)
            if not complete:
                errors = sorted({trial.user_attrs.get("error", "pruned") for trial in ended})
                raise DataError(f"all {len(ended)} trials failed: {'; '.join(errors)}")
            best = self._best(complete)
            params = {**best.params, **best.user_attrs["best"]}
            model = clone(self.model).set_params(**params).fit(self.train, **self.fit_options)
            return Tuning(
                params, float(best.value), model, trial_table(optuna, ended, self.dimensions), self.metric,
                self.folds.description, self.seed, self.space, *self._gain(complete),
            )  # fmt: skip

    def _best(self, complete: list[Any]) -> Any:
        """Return the best of complete trials, of equal ones the first; None of none."""
        return min(complete, key=lambda trial: -self.validation.sign * trial.value, default=None)

    def _gain(self, complete: list[Any]) -> tuple[float, tuple[float, float], int]:
        """Compare the best trial with the model's own parameters: the gain, its interval, the number of users."""
        validation, best = self.validation, self._best(complete)
        complete = [trial for trial in complete if "values" in trial.user_attrs]  # not those of earlier versions
        own = next((trial for trial in complete if self._is_own(trial.params)), None)
        if not validation.per_user or own is None or best not in complete:
            return np.nan, (np.nan, np.nan), 0
        ranked = sorted(complete, key=lambda trial: -validation.sign * trial.value)[:MAX_COMPARED]
        own_values, *others = (unpack(trial.user_attrs["values"], validation.rows) for trial in [own, *ranked])
        differences = np.column_stack([validation.differences(values, own_values) for values in others])
        low, high = intervals(differences)
        place = ranked.index(best)
        n_users = int((~np.isnan(differences[:, place])).sum())
        return mean_of(differences[:, place]), (float(low[place]), float(high[place])), n_users

    def _is_own(self, params: dict[str, Any]) -> bool:
        """Return whether a trial has the model's own parameters."""
        return all(
            dimension.holds(self.own[name]) and params[name] == self.own[name]
            for name, dimension in self.dimensions.items()
        )

    def _run_trials(self, optuna: Any, study: Any, *, progress: bool) -> list[Any]:
        """Run trials until the budget is spent; return all that have ended."""
        for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # of a killed process
        ended = ended_trials(optuna, study)
        seconds = sum(trial.user_attrs["seconds"] for trial in ended)
        total = None if self.n_trials == math.inf else int(self.n_trials)
        label = f"tune {type(self.model).__name__}"
        with ProgressBar(shown=progress, total=total, initial=len(ended), desc=label, unit="trial") as bar:
            while len(ended) < self.n_trials and seconds < self.timeout:
                seconds += self._run_trial(optuna, study, len(ended))
                ended = ended_trials(optuna, study)
                bar.update()
        return ended

    def _identity(self) -> dict[str, str]:
        """Return what two searches must have in common to share their trials."""
        fixed = {name: value for name, value in self.model.get_params().items() if name not in self.dimensions}
        fixed = {name: value for name, value in fixed.items() if name.split("__")[-1] != "n_threads"}  # changes nothing
        features = {name: digest(matrix) for name, matrix in self.features.items()}
        return features | {
            "model": f"{type(self.model).__name__} {canonical(fixed)}",
            "space": as_text(self.dimensions) + (" exhaustive" if self.exhaustive else ""),
            "metric": self.metric,
            "random_state": str(self.seed),
            "validation part": self.folds.sha256,
        }

    def _run_trial(self, optuna: Any, study: Any, index: int) -> float:
        """Run the trial after `index` others, in whichever process these ran; return its seconds."""
        seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=N_RANDOM, multivariate=True, seed=seed)
        fixed = self._fixed_params(index)
        if fixed is not None and not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.WAITING]):
            study.enqueue_trial(fixed)
        began = time.perf_counter()
        trial = study.ask()
        params = {name: dimension.suggest(trial, name) for name, dimension in self.dimensions.items()}
        states, state, value = optuna.trial.TrialState, None, None
        try:
            candidate = clone(self.model).set_params(**params)
            state, value = self._measure(optuna, study, trial, candidate, is_own=self._is_own(params))
        except (DataError, np.linalg.LinAlgError, FloatingPointError) as error:  # diverged: other trials may not
            trial.set_user_attr("error", str(error))
            state = states.FAIL
        seconds = time.perf_counter() - began
        trial.set_user_attr("seconds", seconds)
        study.tell(trial, None if state != states.COMPLETE else value, state=state)
        return seconds

    def _measure(self, optuna: Any, study: Any, trial: Any, model: Any, *, is_own: bool) -> tuple[Any, float | None]:
        """Run a trial unless it proves to be worse; return its state and value, and store what later trials need.

        The model's own parameters are never pruned: the best trial is compared with them.
        """
        states, validation = optuna.trial.TrialState, self.validation
        best = self._best(finished_trials(optuna, study))
        curve: dict[int, float] = {}
        races = best is not None and len(validation.parts) > 1
        rivals = unpack(best.user_attrs["values"], validation.rows) if races else []

        def estimate(values: list[np.ndarray]) -> float:
            return best.value + validation.sign * mean_of(validation.differences(values, rivals))

        def report(iteration: int, value: float) -> bool:
            trial.report(value, iteration)
            curve[iteration] = value
            return not is_own and is_below_median(optuna, study, curve, sign=validation.sign)

        def race(values: list[np.ndarray]) -> bool:
            return races and not is_own and is_worse(validation.differences(values, rivals))

        result = trials.run(model, validation, report, race, self.fit_options)
        trial.set_user_attr("best", result.best)
        trial.set_user_attr("iterations", result.n_iterations)
        trial.set_user_attr("folds", len(result.values))
        if result.pruned:
            trial.set_user_attr("value", estimate(result.values) if races else mean_of(result.values[0]))
            return states.PRUNED, None
        if result.raced:  # for the sampler a trial like others: it ranks pruned ones below all, whatever their value
            trial.set_user_attr("raced", True)
            return states.COMPLETE, estimate(result.values)
        trial.set_user_attr("values", pack(result.values))
        return states.COMPLETE, validation.mean(result.values)

    def _fixed_params(self, index: int) -> dict[str, Any] | None:
        """Return a trial's parameters, or None if the sampler draws them."""
        if self.exhaustive:
            settings = itertools.product(*(dimension.values() for dimension in self.dimensions.values()))
            return dict(zip(self.dimensions, next(itertools.islice(settings, index, None)), strict=True))
        if index == 0 and all(dimension.holds(self.own[name]) for name, dimension in self.dimensions.items()):
            return {name: _as(dimension, self.own[name]) for name, dimension in self.dimensions.items()}
        return None


def _as(dimension: Dimension, value: Any) -> Any:
    """Return a value in the type that Optuna expects: a float for a range of floats."""
    return float(value) if isinstance(getattr(dimension, "low", None), float) else value
