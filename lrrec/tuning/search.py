"""tune: choose parameters on a validation part of the training data, so that the test part decides nothing."""

import itertools
import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from tqdm.auto import tqdm

from lrrec.errors import DataError, MissingDependencyError, ParameterError, ParameterTypeError
from lrrec.metrics.registry import check_names, parse
from lrrec.splits import Split
from lrrec.tuning import trial as trials
from lrrec.tuning.space import Dimension, Space, as_text, default_space, read_space
from lrrec.validate import check_int, check_real

N_RANDOM = 8  # trials before the sampler looks at what came before
WARM_UP = 2  # sweeps that are never pruned
N_BEFORE_PRUNING = 4  # finished trials without which nothing is pruned


@dataclass(frozen=True, eq=False, repr=False)
class Tuning:
    """What tuning found.

    Attributes
    ----------
    best_params_ : dict
        Of the best trial: what was tuned, and the number of sweeps (epochs) after which it was best.
    best_value_ : float
        The metric it reached on validation. The best of many trials flatters: quote what the test part says.
    model_ : Recommender
        A model of these parameters, fitted on the whole of split.train.
    trials_ : DataFrame
        A row a trial: number, value, seconds, state ("finished", "pruned", "failed"), steps (sweeps or epochs run, 0
        for models without) and a column for each parameter.
    metric, validation, seed, space : str, str, int, dict
        What was asked for: how validation was cut, and what was tried out.
    """

    best_params_: dict[str, Any]
    best_value_: float
    model_: Any
    trials_: pd.DataFrame
    metric: str
    validation: str
    seed: int
    space: Space = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = Counter(self.trials_["state"])
        states = ", ".join(f"{counts[name]} {name}" for name in ("finished", "pruned", "failed") if name in counts)
        shown = " ".join(repr(self.model_).split())
        return (
            f"Tuning of {len(self.trials_)} trials ({states}) in {self.trials_['seconds'].sum():.1f} s\n"
            f"  best {self.metric} on validation {self.best_value_:.4f}: {shown}"
        )

    def _repr_html_(self) -> str:
        ascending = not parse(self.metric)[0].greater_is_better
        return self.trials_.sort_values("value", ascending=ascending, na_position="last").to_html(index=False)


def tune(
    model: Any, split: Split, space: Space | None = None, *, metric: str = "ndcg@10", validation: Split | None = None,
    n_trials: int | None = 20, timeout: float | None = None, storage: str | PathLike | None = None,
    random_state: int = 0, progress: bool = False,
) -> Tuning:  # fmt: skip
    """Search for the parameters with which a model is best on validation, and fit them on all training data.

    Parameters
    ----------
    model : Recommender
        Not changed. Its parameters that are not in the space stay as they are, but for a random_state of None, which
        becomes the one below. Its own values are the first trial, where the space holds them.
    split : Split
        Only split.train is looked at: the history and test parts decide nothing.
    space : dict of str to (low, high), (low, high, "log") or list, optional
        Numbers between bounds, both included (integers where both are), evenly or by their logarithm; or a list of
        values. Spaces of no more settings than n_trials are tried out whole. Every model of lrrec has a space of its
        own, for the default.
    metric : str, default "ndcg@10"
        What `evaluate` knows; "rmse" and "mae" are made small, all others large.
    validation : Split, optional
        Of the same items. By default a fifth of split.train is cut off, of the kind that split is: users for a split
        by user, last interactions, what is latest, or interactions at random.
    n_trials : int or None, default 20
        How many, those in `storage` counted; None for as many as fit into `timeout`.
    timeout : float, optional
        Seconds of all trials, those in `storage` counted, after which no other is begun.
    storage : path, optional
        An SQLite file, made when it is not there. The same call finds its trials and goes on after them to the same
        end; a process that is killed loses the running trial alone. For one process at a time.
    random_state : int, default 0
    progress : bool, default False
        Show a progress bar, where there is a terminal to show it on.

    Returns
    -------
    Tuning

    Raises
    ------
    MissingDependencyError
        If optuna is not installed.
    ParameterError
        If `storage` holds trials of another model, space, metric, random_state or validation part.

    Notes
    -----
    Trials are drawn by the tree-structured Parzen estimator. `IALS` and `NeuralMF` are watched sweep by sweep (epoch
    by epoch) on at most 2,000 validation users: a trial that is below the median of the earlier ones at the same sweep
    is pruned, and the sweep after which a trial was best is kept as n_iter (n_epochs) of the parameters. NeuralMF is
    watched by nDCG@10, whatever the metric. Other models are fitted to their end.

    References
    ----------
    Bergstra, Bardenet, Bengio & Kegl (2011), "Algorithms for hyper-parameter optimization", sec. 4; Golovin et al.
    (2017), "Google Vizier", sec. 3.2 (median stopping).

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> tuned = lrrec.tune(lrrec.EASE(), split, {"reg": (1.0, 1000.0, "log")}, n_trials=5)
    >>> len(tuned.trials_), list(tuned.best_params_)
    (5, ['reg'])
    """
    search = _Search(model, split, space, metric, validation, n_trials, timeout, random_state)
    return search.run("tune", storage, progress)


def tune_all(
    models: dict[str, Any], split: Split, spaces: dict[str, Space] | None = None, *, metric: str = "ndcg@10",
    validation: Split | None = None, n_trials: int | None = 20, timeout: float | None = None,
    storage: str | PathLike | None = None, random_state: int = 0, progress: bool = False,
) -> dict[str, Tuning]:  # fmt: skip
    """Tune several models with the same budget on the same validation part; see `tune`.

    Parameters
    ----------
    models : dict of str to Recommender
    split : Split
    spaces : dict of str to space, optional
        For the models that are not to have their default space.
    metric, validation, storage, random_state, progress
        As for `tune`.
    n_trials, timeout : int, float
        For each model.

    Returns
    -------
    dict of str to Tuning
        By the same names. `lrrec.compare({name: one.model_ for name, one in tunings.items()}, split)` compares.
    """
    if not isinstance(models, dict) or not models or not all(isinstance(name, str) for name in models):
        raise ParameterTypeError(f"models must be a dict of at least one name to a model, got {models!r}")
    strange = [name for name in spaces or {} if name not in models]
    if strange:
        raise ParameterError(f"spaces must name models ({', '.join(models)}), got {', '.join(strange)}")
    if validation is None and isinstance(split, Split):
        validation = trials.cut_validation(split, check_int(random_state, "random_state", low=0))
    searches = {
        name: _Search(model, split, (spaces or {}).get(name), metric, validation, n_trials, timeout, random_state)
        for name, model in models.items()
    }
    return {name: search.run(f"tune_all: {name}", storage, progress) for name, search in searches.items()}


class _Search:
    """What is asked of one study, checked."""

    def __init__(
        self, model: Any, split: Any, space: Space | None, metric: str, validation: Split | None,
        n_trials: int | None, timeout: float | None, random_state: int,
    ) -> None:  # fmt: skip
        if not isinstance(split, Split):
            raise DataError(
                f"split must be a Split, got {type(split).__name__}; make one with lrrec.splits, e.g. by_user(data)"
            )
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
        self.train, self.model = split.train, clone(model)
        if self.model.get_params(deep=False).get("random_state", 0) is None:
            self.model.set_params(random_state=self.seed)
        if validation is None:
            self.validation = trials.cut_validation(split, self.seed)
        else:
            self.validation = trials.check_validation(validation, split)
        self.watched = trials.some_users(self.validation, self.seed)
        shape = self.validation.train.matrix.shape
        self.space = default_space(self.model, shape) if space is None else space
        self.dimensions = read_space(self.space, self.model)
        n_settings = math.prod(one.size for one in self.dimensions.values())
        self.whole = n_settings <= self.n_trials < math.inf
        if self.whole:
            self.n_trials = n_settings

    def run(self, name: str, storage: str | PathLike | None, progress: bool) -> Tuning:
        """Run the trials that are not there yet, then fit the best."""
        optuna = _optuna()
        with _quiet(optuna):
            study = self._study(optuna, name, storage)
            done = _settle(optuna, study)
            spent = sum(one.user_attrs["seconds"] for one in done)
            total = None if self.n_trials == math.inf else int(self.n_trials)
            label = f"tune {type(self.model).__name__}"
            with tqdm(
                total=total, initial=len(done), desc=label, unit="trial", disable=None if progress else True
            ) as bar:
                while len(done) < self.n_trials and spent < self.timeout:
                    spent += self._trial(optuna, study, len(done))
                    done = _finished(optuna, study)
                    bar.update()
            finished = [one for one in done if one.state == optuna.trial.TrialState.COMPLETE]
            if not finished:
                errors = sorted({one.user_attrs.get("error", "pruned") for one in done})
                raise DataError(f"tune must have a trial that ends, got {len(done)} that failed: {'; '.join(errors)}")
            lower = not parse(self.metric)[0].greater_is_better
            best = min(finished, key=lambda one: one.value if lower else -one.value)
            params = {**best.params, **best.user_attrs["best"]}
            model = clone(self.model).set_params(**params).fit(self.train)
            return Tuning(
                params, float(best.value), model, self._frame(optuna, done), self.metric,
                self.validation.description, self.seed, self.space,
            )  # fmt: skip

    def _study(self, optuna: Any, name: str, storage: str | PathLike | None) -> Any:
        """The study of this search, made or found."""
        direction = "maximize" if parse(self.metric)[0].greater_is_better else "minimize"
        pruner = optuna.pruners.MedianPruner(n_startup_trials=N_BEFORE_PRUNING, n_warmup_steps=WARM_UP)
        url = None if storage is None else f"sqlite:///{storage}"
        try:
            study = optuna.create_study(
                storage=url, study_name=name, direction=direction, pruner=pruner, load_if_exists=True
            )
        except Exception as error:  # of whatever lies below Optuna
            if storage is None:
                raise
            reason = str(error).strip().splitlines()[0]
            raise ParameterError(
                f"storage must be a file that SQLite can open, got {str(storage)!r}: {reason}"
            ) from None
        asked = self._asked()
        stored = study.user_attrs.get("asked")
        if stored is None:
            study.set_user_attr("asked", asked)
            return study
        other = [what for what, value in asked.items() if stored.get(what) != value]
        if other:
            raise ParameterError(
                f"storage must hold trials of the same {', '.join(asked)}, got {str(storage)!r} with another "
                f"{' and '.join(other)}; name another file"
            )
        return study

    def _asked(self) -> dict[str, str]:
        """What two searches must have in common to share their trials."""
        fixed = {name: repr(value) for name, value in self.model.get_params().items() if name not in self.dimensions}
        fixed.pop("n_threads", None)  # which changes nothing
        return {
            "model": f"{type(self.model).__name__} {json.dumps(fixed, sort_keys=True)}",
            "space": as_text(self.dimensions) + (" whole" if self.whole else ""),
            "metric": self.metric,
            "random_state": str(self.seed),
            "validation part": str(self.validation.summary()["sha256"]),
        }

    def _trial(self, optuna: Any, study: Any, index: int) -> float:
        """Run the trial after `index` others, the same whether or not they ran in this process; its seconds."""
        seed = int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=N_RANDOM, multivariate=True, seed=seed)
        given = self._given(index)
        if given is not None and not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.WAITING]):
            study.enqueue_trial(given)
        began = time.perf_counter()
        trial = study.ask()
        params = {name: one.suggest(trial, name) for name, one in self.dimensions.items()}

        def watch(step: int, value: float) -> bool:
            trial.report(value, step)
            return trial.should_prune()

        state, value = optuna.trial.TrialState, None
        try:
            candidate = clone(self.model).set_params(**params)
            outcome = trials.run(candidate, self.validation, self.watched, self.metric, watch)
            trial.set_user_attr("best", outcome.best)
            trial.set_user_attr("steps", outcome.n_steps)
            ended, value = state.PRUNED if outcome.pruned else state.COMPLETE, outcome.value
        except (DataError, np.linalg.LinAlgError, FloatingPointError) as error:  # diverged: no other trial's fault
            trial.set_user_attr("error", str(error))
            ended = state.FAIL
        seconds = time.perf_counter() - began
        trial.set_user_attr("seconds", seconds)
        study.tell(trial, None if ended != state.COMPLETE else value, state=ended)
        return seconds

    def _given(self, index: int) -> dict[str, Any] | None:
        """What a trial is to try out, where that is not the sampler's choice."""
        if self.whole:
            settings = itertools.product(*(one.values() for one in self.dimensions.values()))
            return dict(zip(self.dimensions, next(itertools.islice(settings, index, None)), strict=True))
        own = self.model.get_params(deep=False)
        if index == 0 and all(one.holds(own[name]) for name, one in self.dimensions.items()):
            return {name: _as(one, own[name]) for name, one in self.dimensions.items()}
        return None

    def _frame(self, optuna: Any, done: list) -> pd.DataFrame:
        """The trials as a frame."""
        state = optuna.trial.TrialState
        names = {state.COMPLETE: "finished", state.PRUNED: "pruned", state.FAIL: "failed"}
        columns = {
            "number": range(len(done)),
            "value": [np.nan if one.value is None else one.value for one in done],
            "seconds": [one.user_attrs["seconds"] for one in done],
            "state": [names[one.state] for one in done],
            "steps": [one.user_attrs.get("steps", 0) for one in done],
        }
        return pd.DataFrame(columns | {name: [one.params.get(name) for one in done] for name in self.dimensions})


def _as(dimension: Dimension, value: Any) -> Any:
    """A value as Optuna takes it: a range of floats wants floats."""
    return float(value) if isinstance(getattr(dimension, "low", None), float) else value


def _finished(optuna: Any, study: Any) -> list:
    """The trials that ended by themselves, in their order."""
    state = optuna.trial.TrialState
    ended = study.get_trials(deepcopy=False, states=[state.COMPLETE, state.PRUNED, state.FAIL])
    return [one for one in ended if one.state != state.FAIL or "error" in one.user_attrs]


def _settle(optuna: Any, study: Any) -> list:
    """Give up the trials that a killed process left running; the others."""
    for one in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
        study.tell(one.number, state=optuna.trial.TrialState.FAIL)
    return _finished(optuna, study)


def _optuna() -> Any:
    """Optuna, which is loaded by nothing else."""
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError(f"tune must have optuna to be run: pip install 'lrrec[tune]' ({error})") from None
    return optuna


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Nothing of Optuna's own to read meanwhile."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
