"""Fits of many domains: one after another, or on several processes where that pays."""

import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.adapt.selection.shared_settings import agreed
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterTypeError
from lrrec.linalg.threads import on_one_thread
from lrrec.models.base.recommender import Recommender

WORTH_PROCESSES = 15.0  # seconds of work left: starting processes takes several
BASE = -1  # of the memo of a deep copy, whose other keys are ids
Fitted = tuple[Any, list[Any]]  # the best adapter of a target, and the candidates with their settings
SIMPLE = (int, float, str, bytes, type(None))  # what is the same object wherever it occurs


def fit_domains(
    base: Recommender, adapter: Any, targets: Sequence[Interactions], n_jobs: int, tune_on: int | None = None
) -> list[Any]:
    """Return the best adapter of each target; with tune_on, settings are tuned on so many of them, evenly spaced."""
    if tune_on is None or tune_on >= len(targets):
        return [best for best, _ in _fit_all(base, adapter, targets, n_jobs)]
    places = np.linspace(0, len(targets) - 1, tune_on).astype(int).tolist()
    others = sorted(set(range(len(targets))) - set(places))
    tuned = _fit_all(base, adapter, [targets[place] for place in places], n_jobs)
    names = set(AdapterSelector().get_params(deep=False)) - {"candidates"}
    options = {name: value for name, value in adapter.get_params(deep=False).items() if name in names}
    shared = AdapterSelector(agreed([candidates for _, candidates in tuned]), **options)
    rest = _fit_all(base, shared, [targets[place] for place in others], n_jobs)
    fitted = dict(zip([*places, *others], [*tuned, *rest], strict=True))
    return [fitted[place][0] for place in range(len(targets))]


def _fit_all(base: Recommender, adapter: Any, targets: Sequence[Interactions], n_jobs: int) -> list[Fitted]:
    """Fit to each target, several at a time.

    The fit of a small domain consists of many short steps, most of which hold the interpreter lock: threads would only
    wait for each other. Processes do not, but take seconds to start, so that the first domains show what is left.
    """
    fitted: list[Fitted] = []
    fastest = float("inf")
    for position, target in enumerate(targets):
        rest = targets[position:]
        if position >= 2 and min(n_jobs, len(rest)) > 1 and fastest * len(rest) > WORTH_PROCESSES:
            return fitted + _fit_on_processes(base, adapter, rest, n_jobs)
        begun = time.perf_counter()
        fitted.append(_fit(base, adapter, target))
        fastest = min(fastest, time.perf_counter() - begun)
    return fitted


def check_unfitted(adapter: Any) -> Any:
    """Return the adapter to fit to each domain, a selector where none is given."""
    adapter = LowRankAdapter() if adapter is None else adapter
    if not isinstance(adapter, Adapter | AdapterSelector):
        raise ParameterTypeError(f"adapter must be an adapter, such as LowRankAdapter(), got {type(adapter).__name__}")
    return adapter


def _fit(base: Recommender, adapter: Any, target: Interactions) -> Fitted:
    """Return the best adapter of a target, fitted on one thread, and the candidates of a selector as tuned."""
    fitted = on_one_thread(lambda: clone(adapter).fit(target, base=base))
    return fitted.best_, getattr(fitted, "tuned_", [])


def _fit_on_processes(base: Recommender, adapter: Any, targets: Sequence[Interactions], n_jobs: int) -> list[Fitted]:
    """`_fit` for each target; each process reads the base once, from a file, and no result has it."""
    with tempfile.TemporaryDirectory(prefix="lrrec-", ignore_cleanup_errors=True) as folder:
        path = str(Path(folder) / "base")
        joblib.dump(base, path)
        jobs = (joblib.delayed(_fit_to_file)(path, adapter, target) for target in targets)
        fitted = joblib.Parallel(n_jobs=n_jobs, max_nbytes=None, return_as="generator")(jobs)
        return [deepcopy(one, {BASE: base}) for one in fitted]


def _fit_to_file(path: str, adapter: Any, target: Interactions) -> Any:
    """`_fit` to the base of a file, with references in the place of what belongs to the base."""
    base = _read(path)
    references = {id(value): _OfBase(name) for name, value in vars(base).items() if not isinstance(value, SIMPLE)}
    return deepcopy(_fit(base, adapter, target), references)


@lru_cache(maxsize=1)
def _read(path: str) -> Recommender:
    """The base of a file, kept for the next target."""
    base: Recommender = joblib.load(path)
    return base


class _OfBase:
    """Stands for an attribute of the base. A deep copy whose memo holds the base replaces it by that attribute."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __deepcopy__(self, memo: Any) -> Any:
        return getattr(memo[BASE], self.name)
