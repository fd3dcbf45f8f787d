"""Fits of many domains: one after another, or on several processes where that pays."""

import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterTypeError
from lrrec.linalg.threads import on_one_thread
from lrrec.models.base.recommender import Recommender

WORTH_PROCESSES = 15.0  # seconds of work left: starting processes takes several
BASE = -1  # of the memo of a deep copy, whose other keys are ids
SIMPLE = (int, float, str, bytes, type(None))  # what is the same object wherever it occurs


def fit_domains(base: Recommender, adapter: Any, targets: Sequence[Interactions], n_jobs: int) -> list[Any]:
    """Return the best adapter of each target.

    The fit of a small domain consists of many short steps, most of which hold the interpreter lock: threads would only
    wait for each other. Processes do not, but take seconds to start, so that the first domains show what is left.
    """
    fitted: list[Any] = []
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


def _fit(base: Recommender, adapter: Any, target: Interactions) -> Any:
    """Return the best adapter of a target, fitted on one thread."""
    return on_one_thread(lambda: clone(adapter).fit(target, base=base).best_)


def _fit_on_processes(base: Recommender, adapter: Any, targets: Sequence[Interactions], n_jobs: int) -> list[Any]:
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
