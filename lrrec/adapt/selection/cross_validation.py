"""Comparing adapters on validation users: folds, tuning, nested cross-validation, the choice.

Settings are chosen on validation users, and each fold of these is scored with the settings chosen on the other folds
(nested cross-validation), so that adapters with many settings have no advantage over those with few.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.base import clone

from lrrec.adapt.domain import Domain
from lrrec.adapt.folds import LARGE, N_FOLDS, WITH, Fold
from lrrec.errors import DataError
from lrrec.linalg.ranking import Columns, rank
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.metrics import measure, parse
from lrrec.validate import check_option, check_real, check_threads

Z = 1.282  # the 90 % quantile of the normal distribution

THOROUGH, FAST = "thorough", "fast"
ParameterPath = Mapping[str, Sequence[Any]]


class Candidate(Protocol):
    """What is used of an `Adapter` here."""

    name: str
    label: str
    _starts_from: Mapping[str, str]
    _one_se: Mapping[str, str]
    _path: tuple[str, ...]
    _keeps_default: bool
    _interacting: Mapping[str, Sequence[Any]]
    _uses_all_threads: bool
    n_parameters: int

    def search_space(self, domain: Domain) -> dict[str, Sequence[Any]]:
        """See `Adapter`, here and below."""

    def get_params(self) -> dict[str, Any]: ...  # noqa: D102

    def _settings(self, domain: Domain) -> dict[str, Any]: ...

    def _prepare(self, domain: Domain, n_users: int) -> bool: ...

    def _fit_path(self, domain: Domain, users: np.ndarray, path: ParameterPath) -> Any: ...

    def _for_scoring(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class CandidateResult:
    """What an adapter with some settings reached on the validation users.

    scores : the metric of each validation user. nested_scores : the same by nested cross-validation, where settings
    were chosen. fold_numbers : the fold of each user. overlap : with several folds, the sum over them of
    n_validation / n_training, for `difference`.
    """

    adapter: Any
    scores: np.ndarray
    fold_numbers: np.ndarray
    n_parameters: int
    overlap: float = 0.0
    nested_scores: np.ndarray | None = None

    @property
    def estimated_scores(self) -> np.ndarray:
        """The scores by nested cross-validation, if settings were chosen."""
        return self.scores if self.nested_scores is None else self.nested_scores

    @property
    def mean(self) -> float:
        """The mean over the validation users."""
        return float(self.estimated_scores.mean())

    def difference(self, other: "CandidateResult") -> tuple[float, float]:
        """Return the mean of the paired differences to another result, and its standard error.

        The validation users of one fold are fitted to in the others, so that folds are not independent: the variance
        is corrected as in Nadeau & Bengio (2003), "Inference for the generalization error".
        """
        difference = self.estimated_scores - other.estimated_scores
        if len(difference) < 2:
            return float(difference.mean()), np.inf
        variance = difference.var(ddof=1) * (1 + self.overlap) / len(difference)
        return float(difference.mean()), float(np.sqrt(variance))

    def clearly_better_than(self, other: "CandidateResult") -> bool:
        """Whether its mean is higher by more than a standard error."""
        gain, error = self.difference(other)
        return gain > error


class Measurement(NamedTuple):
    """An adapter with its settings, the scores of its validation users by the id of their fold, its parameters."""

    adapter: Any
    scores: dict[int, np.ndarray]
    n_parameters: int


@dataclass(frozen=True, eq=False)
class Comparison:
    """Adapters measured on the validation users of one group.

    folds : of every group. measured : what each adapter with its settings reached in the folds of all groups, so
    that it is fitted once, whatever groups are looked at.
    """

    domain: Domain
    folds: Mapping[str, Sequence[Fold]]
    metric: str
    group: str = WITH
    measured: dict[str, list[Measurement]] = field(default_factory=dict)

    def of_group(self, group: str) -> "Comparison":
        """The same on the validation users of another group."""
        return replace(self, group=group)

    def evaluate(self, adapters: Sequence[Any], path: ParameterPath) -> list[CandidateResult]:
        """Fit each adapter in every fold, and measure its validation users; a result for each value on the path."""
        keys = [f"{type(adapter).__qualname__} {sorted(adapter.get_params().items())} {path}" for adapter in adapters]
        new = {key: adapter for key, adapter in zip(keys, adapters, strict=True) if key not in self.measured}
        if new:
            self.measured.update(zip(new, self._measure(list(new.values()), path), strict=True))
        return [self._result(measurement) for key in keys for measurement in self.measured[key]]

    def _measure(self, adapters: Sequence[Any], path: ParameterPath) -> list[list[Measurement]]:
        """Measure each adapter at each value on the path; one that cannot be fitted in every fold scores 0."""
        fits: dict[int, list[Fold]] = {}
        for fold in (fold for folds in self.folds.values() for fold in folds):
            fits.setdefault(id(fold.fit), []).append(fold)
        n_users = max(len(folds[0].fit) for folds in fits.values())
        try:
            shares = adapters[0]._prepare(self.domain, n_users)
        except DataError:  # it fails below, too
            shares = True
        if shares and len(adapters) > 1:
            return [row for adapter in adapters for row in self._measure([adapter], path)]
        pairs = [(adapter, folds) for adapter in adapters for folds in fits.values()]
        measured: list[list[Measurement]] = [[]] * len(pairs)

        def work(start: int, stop: int) -> None:
            for place in range(start, stop):
                with suppress(DataError):  # such as a matrix that these settings leave singular
                    measured[place] = [*self._along_path(*pairs[place], path)]

        n_threads = 1 if any(adapter._uses_all_threads for adapter in adapters) else check_threads(None)
        run_blocks(work, even_blocks(len(pairs), 1), n_threads)
        rows = [measured[first : first + len(fits)] for first in range(0, len(pairs), len(fits))]
        return [
            [_joined(parts) for parts in zip(*row, strict=True)] if all(row) else self._without_scores(adapter, path)
            for adapter, row in zip(adapters, rows, strict=True)
        ]

    def _along_path(self, adapter: Any, folds: Sequence[Fold], path: ParameterPath) -> Iterator[Measurement]:
        """Measurements in folds that are fitted to the same users, for each value on the path."""
        for values, fitted in adapter._fit_path(self.domain, folds[0].fit, path):
            scores = {id(fold): _measure(fitted, fold, self.metric) for fold in folds}
            yield Measurement(clone(adapter).set_params(**values), scores, fitted.n_parameters)

    def _without_scores(self, adapter: Any, path: ParameterPath) -> list[Measurement]:
        """Measurements of an adapter that cannot be fitted: 0 for everybody."""
        folds = [fold for folds in self.folds.values() for fold in folds]
        scores = {id(fold): np.zeros(fold.history.shape[0]) for fold in folds}
        settings = [dict(zip(path, values, strict=True)) for values in itertools.product(*path.values())]
        return [Measurement(clone(adapter).set_params(**values), scores, 0) for values in settings]

    def _result(self, measurement: Measurement) -> CandidateResult:
        """The group's scores together; users of a single fold are cut into folds for nested cross-validation."""
        adapter, scores, n_parameters = measurement
        folds = self.folds[self.group]
        parts = [scores[id(fold)] for fold in folds]
        if len(folds) == 1:
            return CandidateResult(adapter, parts[0], np.arange(len(parts[0])) % N_FOLDS, n_parameters)
        fold_numbers = np.repeat(np.arange(len(folds)), [len(part) for part in parts])
        overlap = sum(len(part) / len(fold.fit) for part, fold in zip(parts, folds, strict=True))
        return CandidateResult(adapter, np.concatenate(parts), fold_numbers, n_parameters, overlap)


def _joined(parts: Sequence[Measurement]) -> Measurement:
    """One measurement of those in some of the folds each."""
    scores = {fold: values for part in parts for fold, values in part.scores.items()}
    return parts[-1]._replace(scores=scores)


def check_budget(budget: Any) -> None:
    """Refuse what is neither "thorough" nor "fast" nor seconds."""
    if isinstance(budget, str):
        check_option(budget, "budget", (THOROUGH, FAST))
    else:
        check_real(budget, "budget", low=0)


@one_threaded_blas  # once, and not for every small product
def tune_all(
    comparison: Comparison, candidates: Sequence[Candidate], budget: float | str = THOROUGH
) -> list[CandidateResult]:
    """Tune each candidate; where it says so, its search starts from the choices of those before it.

    With a budget of seconds all are measured with their defaults first, and then tuned from the best to the worst until
    the time is over.
    """
    order = list(range(len(candidates)))
    results: list[Any] = [None] * len(candidates)
    deadline = np.inf
    if budget != THOROUGH:
        results = [comparison.evaluate([_start(comparison, candidate, {})], {})[0] for candidate in candidates]
        order.sort(key=lambda place: -results[place].mean)
        deadline = time.perf_counter() + (0.0 if isinstance(budget, str) else budget)
    chosen: dict[str, Any] = {}
    for place in order:
        candidate = candidates[place]
        if time.perf_counter() < deadline:
            results[place] = tune(comparison, candidate, _start(comparison, candidate, chosen), deadline)
        chosen[candidate.name] = results[place].adapter
    return results


def _start(comparison: Comparison, candidate: Candidate, chosen: Mapping[str, Any]) -> Any:
    """A candidate with the settings that its search starts from, given the adapters chosen so far, by their names."""
    settings = candidate._settings(comparison.domain)
    for name in candidate.search_space(comparison.domain):
        source = chosen.get(candidate._starts_from.get(name, ""))
        if source is not None:
            settings[name] = getattr(source, name)
    start: Any = clone(candidate)
    return start.set_params(**settings)


def tune(comparison: Comparison, candidate: Candidate, start: Any, deadline: float = np.inf) -> CandidateResult:
    """Choose the "auto" parameters of a candidate one after another, each with the best values so far of the others.

    With many validation users, those that interact are then moved by a step on their fine grids, one or all of them,
    as long as that is better. No further parameter is begun after the deadline, a time of `time.perf_counter`.
    """
    space, own_reg = candidate.search_space(comparison.domain), getattr(comparison.domain.base, "reg", None)
    path = {name: space[name] for name in candidate._path if name in space and name not in candidate._one_se}
    grids = {name: grid for name, grid in space.items() if name not in path and name not in candidate._one_se}
    best, tried = start, [] if grids else comparison.evaluate([start], path)
    for name, grid in grids.items():
        if tried and time.perf_counter() > deadline:
            break
        current = own_reg if getattr(best, name) is None else getattr(best, name)
        batch = [clone(best).set_params(**{name: value}) for value in grid if value != current]
        tried += comparison.evaluate(batch if tried else [start, *batch], path)
        best = max(tried, key=lambda result: result.mean).adapter
    fine = {name: grid for name, grid in candidate._interacting.items() if name in grids}
    many = len(tried[0].scores) >= LARGE  # so many tell neighbors apart
    while many and len(fine) > 1 and time.perf_counter() < deadline:
        before, neighbors = best, _neighbors(best, fine)
        tried += comparison.evaluate(neighbors, path)
        best = max(tried, key=lambda result: result.mean).adapter
        if best is before:
            break
    if candidate._keeps_default:
        tried = tried[:1] + [result for result in tried[1:] if result.clearly_better_than(tried[0])]
    result = nested(tried)
    for name, preferred in candidate._one_se.items():
        if name in space:
            result = one_standard_error(comparison, result, name, space[name], preferred)
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


def nested(tried: Sequence[CandidateResult]) -> CandidateResult:
    """The result with the best mean; its nested scores are, in each fold, those of the best on the other folds."""
    best = max(tried, key=lambda result: result.mean)
    table, scores = np.stack([result.scores for result in tried]), best.scores.copy()
    for number in np.unique(best.fold_numbers):
        of_fold = best.fold_numbers == number
        if not of_fold.all():
            scores[of_fold] = table[table[:, ~of_fold].mean(axis=1).argmax()][of_fold]
    return replace(best, nested_scores=scores)


def one_standard_error(
    comparison: Comparison, tuned: CandidateResult, name: str, values: Sequence[Any], preferred: str
) -> CandidateResult:
    """The result with the lowest (or highest) value of a parameter within one standard error of the best."""
    place = 0 if preferred == "lowest" else -1
    if name not in tuned.adapter._path:
        batch = [clone(tuned.adapter).set_params(**{name: value}) for value in values]
        return near_best([*comparison.evaluate(batch, {}), tuned])[place]
    results = comparison.evaluate([tuned.adapter], {name: values})
    chosen = near_best(results)[place]
    return replace(chosen, nested_scores=tuned.estimated_scores + chosen.scores - results[0].scores)


def near_best(results: Sequence[CandidateResult]) -> list[CandidateResult]:
    """Those within a standard error of the best, in their order; none that scores 0, as what cannot be fitted does."""
    best = max(results, key=lambda result: result.mean)
    return [one for one in results if one is best or (one.mean > 0 and not best.clearly_better_than(one))]


def _measure(adapter: Any, fold: Fold, metric: str) -> np.ndarray:
    """The metric of each validation user, served as `recommend` does: popular items where it has no score."""
    _, k = parse(metric, ("ranking",))
    assert k is not None
    n_users, n_items = fold.history.shape
    likes = np.bincount(positive(adapter.domain_.data.matrix[fold.fit]).indices, minlength=n_items)
    scorer, encoded = prepared(adapter, fold)

    def score(block: slice, columns: Columns) -> np.ndarray:
        return scorer._supported_scores(encoded[block], columns)

    lists, _ = rank(
        score, n_users, n_items, k, candidates=fold.candidates, seen=fold.history, seen_rows=np.arange(n_users),
        popularity=np.where(likes > 0, likes, -np.inf).astype(np.float32), n_threads=check_threads(None),
    )  # fmt: skip
    values = measure(lists, fold.test, np.arange(n_users), [metric])[0][:, 0]
    return np.nan_to_num(values)  # 0 for all candidates where a user's test interactions are dislikes


def prepared(adapter: Any, fold: Fold) -> tuple[Any, Any]:
    """An adapter that was fitted in a fold, ready to score, and the validation users as it encodes them."""
    matrix = adapter.domain_.data.matrix[fold.fit]
    adapter._find_evidence(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    scorer = adapter._for_scoring()
    return scorer, scorer._encode_around(fold.history, fold.priors)


def choose(
    results: Sequence[CandidateResult], prefer: str = "best", blend: CandidateResult | None = None
) -> tuple[CandidateResult, str]:
    """Return the result to keep, and why: the best by the mean; of equals, the one with the fewest parameters.

    The blend, whose weights are averaged over bootstrap samples, is kept unless an adapter is clearly better than it.
    Popularity is kept where nothing beats it. With prefer="small", all within a standard error of the best are equals.
    """
    compared = [*results, *([] if blend is None else [blend])]
    best = max(results, key=lambda result: result.mean)
    if prefer == "small":
        best = max(compared, key=lambda result: result.mean)
        kept = min(near_best(compared), key=lambda result: result.n_parameters)
    else:
        equals = [result for result in results if result.mean == best.mean]
        unbeaten = [result for result in equals if result.adapter.name == "popularity"]
        kept = best = min(unbeaten or equals, key=lambda result: result.n_parameters)
        if blend is not None and not unbeaten and not best.clearly_better_than(blend):
            kept = best = blend
    others = [result for result in compared if result is not kept]
    if not others:
        return kept, "nothing else was compared"
    runner_up = max(others, key=lambda result: result.mean)
    gain, error = kept.difference(runner_up)
    verdict = f"{kept.mean:.4f} on {len(kept.scores)} validation users, {runner_up.adapter.label} {runner_up.mean:.4f}"
    if abs(gain) <= Z * error:
        verdict += ": too close to be sure"
    return kept, verdict + ("" if kept is best else "; the smallest within a standard error of the best")
