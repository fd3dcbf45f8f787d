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

WARM_UP = 2  # iterations that are never pruned
N_BEFORE_PRUNING = 4  # finished trials before any is pruned for its iterations


def open_study(optuna: Any, name: str, storage: PathLike | None, identity: dict[str, str], *, minimize: bool) -> Any:
    """Open or create a study; refuse one of another identity."""
    url = None if storage is None else f"sqlite:///{as_path(storage, 'storage')}"
    pruner = optuna.pruners.MedianPruner(n_startup_trials=N_BEFORE_PRUNING, n_warmup_steps=WARM_UP)
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


def ended_trials(optuna: Any, study: Any) -> list:
    """Return the trials that ended by themselves, in order."""
    states = optuna.trial.TrialState
    ended = study.get_trials(deepcopy=False, states=[states.COMPLETE, states.PRUNED, states.FAIL])
    return [trial for trial in ended if trial.state != states.FAIL or "error" in trial.user_attrs]


def trial_table(optuna: Any, ended: list, names: Iterable[str]) -> pd.DataFrame:
    """Return trials as a frame, with a column for each of the parameters' names."""
    states = optuna.trial.TrialState
    words = {states.COMPLETE: "finished", states.PRUNED: "pruned", states.FAIL: "failed"}
    values = [trial.user_attrs.get("value", trial.value) for trial in ended]
    columns = {
        "number": range(len(ended)),
        "value": [np.nan if value is None else value for value in values],
        "seconds": [trial.user_attrs["seconds"] for trial in ended],
        "state": [words[trial.state] for trial in ended],
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
