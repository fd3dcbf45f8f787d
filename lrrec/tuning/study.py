"""Studies of Optuna, as tune opens, reads and shows them."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from lrrec.errors import ParameterError
from lrrec.typing import PathLike
from lrrec.validate import as_path

WARM_UP = 2  # the first iteration at which a trial may be pruned
N_BEFORE_PRUNING = 4  # trials that went through the first fold before any is pruned for its iterations


def open_study(optuna: Any, name: str, storage: PathLike | None, identity: dict[str, str], *, minimize: bool) -> Any:
    """Open or create a study; refuse one of another identity."""
    url = None if storage is None else f"sqlite:///{as_path(storage, 'storage')}"
    pruner = optuna.pruners.NopPruner()  # what is pruned is decided by is_below_median, and by races
    try:
        study = optuna.create_study(
            storage=url, study_name=name, pruner=pruner, direction="minimize" if minimize else "maximize",
            load_if_exists=True,
        )  # fmt: skip
    except Exception as error:  # from any layer below Optuna
        if storage is None:
            raise
        reason = str(error).strip().splitlines()[0]
        raise ParameterError(f"storage must be a file that SQLite can open, got {str(storage)!r}: {reason}") from None
    stored = study.user_attrs.get("identity")
    if stored is None:
        study.set_user_attr("identity", identity)
        return study
    different = [part for part, value in identity.items() if stored.get(part, "") != value]
    if different:
        raise ParameterError(
            f"storage must hold trials of the same {', '.join(identity)}, got {str(storage)!r} with another "
            f"{' and '.join(different)}; name another file"
        )
    return study


def finished_trials(optuna: Any, study: Any) -> list[Any]:
    """Return the trials that were measured on all folds."""
    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return [trial for trial in complete if "raced" not in trial.user_attrs]


def ended_trials(optuna: Any, study: Any) -> list[Any]:
    """Return the trials that ended by themselves, in order."""
    states = optuna.trial.TrialState
    ended = study.get_trials(deepcopy=False, states=[states.COMPLETE, states.PRUNED, states.FAIL])
    return [trial for trial in ended if trial.state != states.FAIL or "error" in trial.user_attrs]


def is_below_median(optuna: Any, study: Any, values: dict[int, float], *, sign: float) -> bool:
    """Return whether a trial's best value so far is below the median of earlier trials at its last iteration.

    values has those of its iterations; sign -1 if they are errors. The earlier trials are all that went through the
    first fold: those alone that went through all folds would be the best ones, where trials race.
    """
    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    earlier = [trial.intermediate_values for trial in complete]
    iteration = max(values)
    reached = [sign * one[iteration] for one in earlier if iteration in one]
    if iteration < WARM_UP or len(earlier) < N_BEFORE_PRUNING or not reached:
        return False
    return max(sign * value for value in values.values()) < np.median(reached)


def trial_table(optuna: Any, ended: list[Any], names: Iterable[str]) -> pd.DataFrame:
    """Return trials as a frame, with a column for each of the parameters' names."""
    states = optuna.trial.TrialState
    words = {states.COMPLETE: "finished", states.PRUNED: "pruned", states.FAIL: "failed"}
    values = [trial.user_attrs.get("value", trial.value) for trial in ended]
    columns = {
        "number": range(len(ended)),
        "value": [np.nan if value is None else value for value in values],
        "seconds": [trial.user_attrs["seconds"] for trial in ended],
        "state": ["pruned" if "raced" in trial.user_attrs else words[trial.state] for trial in ended],
        "iterations": [trial.user_attrs.get("iterations", 0) for trial in ended],
        "folds": [trial.user_attrs.get("folds", 0) for trial in ended],
    }
    return pd.DataFrame(columns | {name: [trial.params.get(name) for trial in ended] for name in names})


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Silence Optuna's log and its warnings of experimental features."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
