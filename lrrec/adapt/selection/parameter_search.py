"""Choosing the "auto" parameters of candidates on validation users.

Each fold of these is scored with the settings chosen on the other folds (nested cross-validation), so that adapters
with many settings have no advantage over those with few.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import numpy as np
from sklearn.base import clone

from lrrec.adapt.domain import Domain
from lrrec.adapt.search_rules import SearchRules
from lrrec.adapt.selection.candidate_result import CandidateResult, near_best, nested
from lrrec.adapt.selection.cross_validation import CrossValidation, ParameterPath
from lrrec.adapt.selection.folds import LARGE
from lrrec.linalg.threads import one_threaded_blas
from lrrec.validate import check_option, check_real

THOROUGH, FAST = "thorough", "fast"


class Candidate(Protocol):
    """What is used of an `Adapter` here."""

    name: ClassVar[str]
    _search_rules: ClassVar[SearchRules]
    _uses_all_threads: bool

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def n_parameters(self) -> int: ...  # noqa: D102

    def search_space(self, domain: Domain) -> dict[str, Sequence[Any]]:
        """See `Adapter`, here and below."""

    def get_params(self) -> dict[str, Any]: ...  # noqa: D102

    def _settings(self, domain: Domain) -> dict[str, Any]: ...

    def _prepare(self, domain: Domain, n_users: int) -> bool: ...

    def _fit_path(self, domain: Domain, users: np.ndarray, path: ParameterPath) -> Any: ...

    def _for_scoring(self) -> Any: ...


def check_budget(budget: Any) -> None:
    """Refuse what is neither "thorough" nor "fast" nor seconds."""
    if isinstance(budget, str):
        check_option(budget, "budget", (THOROUGH, FAST))
    else:
        check_real(budget, "budget", low=0)


@one_threaded_blas  # once, and not for every small product
def tune_all(
    cv: CrossValidation, candidates: Sequence[Candidate], budget: float | str = THOROUGH
) -> list[CandidateResult]:
    """Tune each candidate; where it says so, its search starts from the choices of those before it.

    With a budget of seconds all are measured with their defaults first, and then tuned from the best to the worst until
    the time is over.
    """
    order = list(range(len(candidates)))
    results: list[Any] = [None] * len(candidates)
    deadline = np.inf
    if budget != THOROUGH:
        results = [cv.evaluate([_start(cv, candidate, {})], {})[0] for candidate in candidates]
        order.sort(key=lambda place: -results[place].mean)
        deadline = time.perf_counter() + (0.0 if isinstance(budget, str) else budget)
    chosen: dict[str, Any] = {}
    for place in order:
        candidate = candidates[place]
        if time.perf_counter() < deadline:
            results[place] = tune(cv, candidate, _start(cv, candidate, chosen), deadline)
        chosen[candidate.name] = results[place].adapter
    return results


def _start(cv: CrossValidation, candidate: Candidate, chosen: Mapping[str, Any]) -> Any:
    """A candidate with the settings that its search starts from, given the adapters chosen so far, by their names."""
    settings = candidate._settings(cv.domain)
    for name in candidate.search_space(cv.domain):
        source = chosen.get(candidate._search_rules.starts_from.get(name, ""))
        if source is not None:
            settings[name] = getattr(source, name)
    start: Any = clone(candidate)
    return start.set_params(**settings)


def tune(cv: CrossValidation, candidate: Candidate, start: Any, deadline: float = np.inf) -> CandidateResult:
    """Choose the "auto" parameters of a candidate one after another, each with the best values so far of the others.

    With many validation users, those that interact are then moved by a step on their fine grids, one or all of them,
    as long as that is better. No further parameter is begun after the deadline, a time of `time.perf_counter`.
    """
    space, rules = candidate.search_space(cv.domain), candidate._search_rules
    by_rule = rules.one_standard_error
    path = {name: space[name] for name in rules.path if name in space and name not in by_rule}
    grids = {name: grid for name, grid in space.items() if name not in path and name not in by_rule}
    best, tried = start, [] if grids else cv.evaluate([start], path)
    for name, grid in grids.items():
        if tried and time.perf_counter() > deadline:
            break
        current = cv.domain.base_reg if getattr(best, name) is None else getattr(best, name)
        batch = [clone(best).set_params(**{name: value}) for value in grid if value != current]
        tried += cv.evaluate(batch if tried else [start, *batch], path)
        best = max(tried, key=lambda result: result.mean).adapter
    fine = {name: grid for name, grid in rules.interacting.items() if name in grids}
    many = len(tried[0].scores) >= LARGE  # so many tell neighbors apart
    while many and len(fine) > 1 and time.perf_counter() < deadline:
        before, neighbors = best, _neighbors(best, fine)
        tried += cv.evaluate(neighbors, path)
        best = max(tried, key=lambda result: result.mean).adapter
        if best is before:
            break
    if rules.keeps_default:
        tried = tried[:1] + [result for result in tried[1:] if result.clearly_better_than(tried[0])]
    result = nested(tried)
    for name, preferred in by_rule.items():
        if name in space:
            result = one_standard_error(cv, result, name, space[name], preferred)
    return result


def _neighbors(adapter: Any, grids: Mapping[str, Sequence[Any]]) -> list[Any]:
    """The adapter with the next smaller or larger value of one of some parameters, or of all of them."""
    lower: dict[str, Any] = {}
    higher: dict[str, Any] = {}
    for name, grid in grids.items():
        current = getattr(adapter, name)
        below, above = [value for value in grid if value < current], [value for value in grid if value > current]
        if below:
            lower[name] = max(below)
        if above:
            higher[name] = min(above)
    steps = [{name: value} for step in (lower, higher) for name, value in step.items()]
    steps += [step for step in (lower, higher) if len(step) == len(grids)]
    return [clone(adapter).set_params(**step) for step in steps]


def one_standard_error(
    cv: CrossValidation, tuned: CandidateResult, name: str, values: Sequence[Any], preferred: str
) -> CandidateResult:
    """The result with the lowest (or highest) value of a parameter within one standard error of the best."""
    place = 0 if preferred == "lowest" else -1
    if name not in tuned.adapter._search_rules.path:
        batch = [clone(tuned.adapter).set_params(**{name: value}) for value in values]
        return near_best([*cv.evaluate(batch, {}), tuned])[place]
    results = cv.evaluate([tuned.adapter], {name: values})
    chosen = near_best(results)[place]
    return replace(chosen, nested_scores=tuned.estimated_scores + chosen.scores - results[0].scores)
