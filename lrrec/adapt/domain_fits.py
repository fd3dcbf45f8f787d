"""Fits of many domains: one after another, or on several processes where that pays."""

import time
from collections.abc import Sequence
from typing import Any

from joblib import Parallel, delayed
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterTypeError
from lrrec.linalg.threads import run_blocks
from lrrec.models.base.recommender import Recommender

WORTH_PROCESSES = 15.0  # seconds of work left: starting processes takes several


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
            jobs = (delayed(_fit)(base, adapter, target) for target in rest)
            return fitted + list(Parallel(n_jobs=n_jobs, max_nbytes=None)(jobs))
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
    fitted: list[Any] = []
    run_blocks(lambda *_: fitted.append(clone(adapter).fit(target, base=base).best_), [(0, 1)], 1)
    return fitted[0]
