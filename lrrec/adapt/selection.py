"""Comparing adapters on validation users: trials, tuning, nested cross-validation, the choice.

Settings are chosen on validation users, and each fold of these is scored with the settings chosen on the other folds
(nested cross-validation), so that adapters with many settings have no advantage over those with few.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone

from lrrec.adapt.domain import Domain
from lrrec.adapt.trials import N_FOLDS, WITH, Trial
from lrrec.data import frames
from lrrec.linalg.ranking import Columns, rank
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.metrics import measure, parse
from lrrec.validate import check_option, check_real, check_threads

Z = 1.282  # the 90 % quantile of the normal distribution

THOROUGH, FAST = "thorough", "fast"
Path = Mapping[str, Sequence[Any]]
Stage = tuple[Any, dict[int, np.ndarray], int]  # an adapter, its values in every trial, its parameters


class Candidate(Protocol):
    """What is used of an `Adapter` here."""

    name: str
    label: str
    _starts_from: Mapping[str, str]
    _one_se: Mapping[str, str]
    _path: tuple[str, ...]
    _keeps_default: bool
    _uses_all_threads: bool
    n_parameters: int

    def search_space(self, domain: Domain) -> dict[str, Sequence[Any]]:
        """See `Adapter`, here and below."""

    def get_params(self) -> dict[str, Any]: ...  # noqa: D102

    def _settings(self, domain: Domain) -> dict[str, Any]: ...

    def _prepare(self, domain: Domain, n_users: int) -> bool: ...

    def _fit_path(self, domain: Domain, users: np.ndarray, path: Path) -> Any: ...

    def _for_scoring(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an adapter with some settings reached on the validation users.

    values : one for each validation user. nested : the same by nested cross-validation, where settings were chosen.
    groups : the fold of each user. overlap : with several trials, validation users for each user fitted to, summed.
    """

    adapter: Any
    values: np.ndarray
    groups: np.ndarray
    n_parameters: int
    overlap: float = 0.0
    nested: np.ndarray | None = None

    @property
    def estimates(self) -> np.ndarray:
        """The values by nested cross-validation, if settings were chosen."""
        return self.values if self.nested is None else self.nested

    @property
    def mean(self) -> float:
        """The mean over the validation users."""
        return float(self.estimates.mean())

    def ahead(self, other: "Outcome") -> tuple[float, float]:
        """Return the mean of the paired differences to another outcome, and its standard error.

        The validation users of one trial are fitted to in the others, so that trials are not independent: the variance
        is corrected as in Nadeau & Bengio (2003), "Inference for the generalization error".
        """
        difference = self.estimates - other.estimates
        if len(difference) < 2:
            return float(difference.mean()), np.inf
        variance = difference.var(ddof=1) * (1 + self.overlap) / len(difference)
        return float(difference.mean()), float(np.sqrt(variance))

    def clearly_ahead(self, other: "Outcome") -> bool:
        """Whether it is ahead by more than a standard error."""
        gain, error = self.ahead(other)
        return gain > error


@dataclass(frozen=True, eq=False)
class Comparison:
    """Adapters measured on the validation users of one group.

    trials : of every group. measured : what each adapter with its settings reached in the trials of all groups, so
    that it is fitted once, whatever groups are looked at.
    """

    domain: Domain
    trials: Mapping[str, Sequence[Trial]]
    metric: str
    group: str = WITH
    measured: dict[str, list[Stage]] = field(default_factory=dict)

    def of_group(self, group: str) -> "Comparison":
        """The same on the validation users of another group."""
        return replace(self, group=group)

    def evaluate(self, adapters: Sequence[Any], path: Path) -> list[Outcome]:
        """Fit each adapter in every trial, and measure its validation users; an outcome for each value on the path."""
        keys = [f"{type(adapter).__qualname__} {sorted(adapter.get_params().items())} {path}" for adapter in adapters]
        new = {key: adapter for key, adapter in zip(keys, adapters, strict=True) if key not in self.measured}
        if new:
            self.measured.update(zip(new, self._measure(list(new.values()), path), strict=True))
        return [self._outcome(*stage) for key in keys for stage in self.measured[key]]

    def _measure(self, adapters: Sequence[Any], path: Path) -> list[list[Stage]]:
        """Each adapter at each value on the path: its settings, values in every trial (by its id), and parameters."""
        fits: dict[int, list[Trial]] = {}
        for trial in (trial for trials in self.trials.values() for trial in trials):
            fits.setdefault(id(trial.fit), []).append(trial)
        n_users = max(len(trials[0].fit) for trials in fits.values())
        if adapters[0]._prepare(self.domain, n_users) and len(adapters) > 1:
            return [row for adapter in adapters for row in self._measure([adapter], path)]
        pairs = [(adapter, trials) for adapter in adapters for trials in fits.values()]
        measured: list[list[Stage]] = [[]] * len(pairs)

        def work(start: int, stop: int) -> None:
            for place in range(start, stop):
                adapter, trials = pairs[place]
                measured[place] = [
                    (
                        clone(adapter).set_params(**values),
                        {id(trial): _measure(fitted, trial, self.metric) for trial in trials},
                        fitted.n_parameters,
                    )
                    for values, fitted in adapter._fit_path(self.domain, trials[0].fit, path)
                ]

        n_threads = 1 if any(adapter._uses_all_threads for adapter in adapters) else check_threads(None)
        run_blocks(work, even_blocks(len(pairs), 1), n_threads)
        return [
            [
                (stage[-1][0], {key: values for _, part, _ in stage for key, values in part.items()}, stage[-1][2])
                for stage in zip(*measured[first : first + len(fits)], strict=True)
            ]
            for first in range(0, len(pairs), len(fits))
        ]

    def _outcome(self, adapter: Any, values: Mapping[int, np.ndarray], n_parameters: int) -> Outcome:
        """The group's values together; users of a single trial are cut into folds for nested cross-validation."""
        trials = self.trials[self.group]
        parts = [values[id(trial)] for trial in trials]
        if len(trials) == 1:
            return Outcome(adapter, parts[0], np.arange(len(parts[0])) % N_FOLDS, n_parameters)
        groups = np.repeat(np.arange(len(trials)), [len(part) for part in parts])
        overlap = sum(len(part) / len(trial.fit) for part, trial in zip(parts, trials, strict=True))
        return Outcome(adapter, np.concatenate(parts), groups, n_parameters, overlap)


def check_budget(budget: Any) -> None:
    """Refuse what is neither "thorough" nor "fast" nor seconds."""
    if isinstance(budget, str):
        check_option(budget, "budget", (THOROUGH, FAST))
    else:
        check_real(budget, "budget", low=0)


@one_threaded_blas  # once, and not for every small product
def tune_all(comparison: Comparison, candidates: Sequence[Candidate], budget: float | str = THOROUGH) -> list[Outcome]:
    """Tune each candidate; where it says so, its search starts from the choices of those before it.

    With a budget of seconds all are measured with their defaults first, and then tuned from the best to the worst until
    the time is over.
    """
    order = list(range(len(candidates)))
    outcomes: list[Any] = [None] * len(candidates)
    deadline = np.inf
    if budget != THOROUGH:
        outcomes = [comparison.evaluate([_start(comparison, candidate, {})], {})[0] for candidate in candidates]
        order.sort(key=lambda place: -outcomes[place].mean)
        deadline = time.perf_counter() + (0.0 if isinstance(budget, str) else budget)
    chosen: dict[str, Any] = {}
    for place in order:
        candidate = candidates[place]
        if time.perf_counter() < deadline:
            outcomes[place] = tune(comparison, candidate, _start(comparison, candidate, chosen), deadline)
        chosen[candidate.name] = outcomes[place].adapter
    return outcomes


def _start(comparison: Comparison, candidate: Candidate, chosen: Mapping[str, Any]) -> Any:
    """A candidate with the settings that its search starts from, given the adapters chosen so far, by their names."""
    settings = candidate._settings(comparison.domain)
    for name in candidate.search_space(comparison.domain):
        source = chosen.get(candidate._starts_from.get(name, ""))
        if source is not None:
            settings[name] = getattr(source, name)
    start: Any = clone(candidate)
    return start.set_params(**settings)


def tune(comparison: Comparison, candidate: Candidate, start: Any, deadline: float = np.inf) -> Outcome:
    """Choose the "auto" parameters of a candidate one after another, each with the best values so far of the others.

    No further parameter is begun after the deadline, a time of `time.perf_counter`.
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
        best = max(tried, key=lambda outcome: outcome.mean).adapter
    if candidate._keeps_default:
        tried = tried[:1] + [outcome for outcome in tried[1:] if outcome.clearly_ahead(tried[0])]
    outcome = nested(tried)
    for name, preferred in candidate._one_se.items():
        if name in space:
            outcome = one_standard_error(comparison, outcome, name, space[name], preferred)
    return outcome


def nested(tried: Sequence[Outcome]) -> Outcome:
    """The best outcome; each fold's nested values are those of the settings that are best on the other folds."""
    best = max(tried, key=lambda outcome: outcome.mean)
    table, values = np.stack([outcome.values for outcome in tried]), best.values.copy()
    for group in np.unique(best.groups):
        fold = best.groups == group
        if not fold.all():
            values[fold] = table[table[:, ~fold].mean(axis=1).argmax()][fold]
    return replace(best, nested=values)


def one_standard_error(
    comparison: Comparison, tuned: Outcome, name: str, values: Sequence[Any], preferred: str
) -> Outcome:
    """The outcome with the lowest (or highest) value of a parameter within one standard error of the best."""
    place = 0 if preferred == "lowest" else -1
    if name not in tuned.adapter._path:
        batch = [clone(tuned.adapter).set_params(**{name: value}) for value in values]
        return near_best([*comparison.evaluate(batch, {}), tuned])[place]
    outcomes = comparison.evaluate([tuned.adapter], {name: values})
    chosen = near_best(outcomes)[place]
    return replace(chosen, nested=tuned.estimates + chosen.values - outcomes[0].values)


def near_best(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those within a standard error of the best, in their order."""
    best = max(outcomes, key=lambda outcome: outcome.mean)
    return [outcome for outcome in outcomes if outcome is best or not best.clearly_ahead(outcome)]


def _measure(adapter: Any, trial: Trial, metric: str) -> np.ndarray:
    """The metric of each validation user, served as `recommend` does: without evidence, popular items."""
    _, k = parse(metric, ("ranking",))
    assert k is not None
    n_users, n_items = trial.history.shape
    likes = np.bincount(positive(adapter.domain_.data.matrix[trial.fit]).indices, minlength=n_items)
    scorer, encoded = prepared(adapter, trial)

    def score(block: slice, columns: Columns) -> np.ndarray:
        return scorer._supported_scores(encoded[block], columns)

    lists, _ = rank(
        score, n_users, n_items, k, seen=trial.history, seen_rows=np.arange(n_users),
        popularity=np.where(likes > 0, likes, -np.inf).astype(np.float32), n_threads=check_threads(None),
    )  # fmt: skip
    values = measure(lists, trial.test, np.arange(n_users), [metric])[0][:, 0]
    return np.nan_to_num(values)  # 0 for all candidates where a user's test interactions are dislikes


def prepared(adapter: Any, trial: Trial) -> tuple[Any, Any]:
    """An adapter that was fitted in a trial, ready to score, and the validation users as it encodes them."""
    matrix = adapter.domain_.data.matrix[trial.fit]
    adapter._find_evidence(np.bincount(matrix.indices, minlength=matrix.shape[1]))
    scorer = adapter._for_scoring()
    return scorer, scorer._encode_around(trial.history, trial.priors)


def choose(outcomes: Sequence[Outcome], prefer: str = "best", blend: Outcome | None = None) -> tuple[Outcome, str]:
    """Return the outcome to keep, and why: the best by the mean; of equals, the one with the fewest parameters.

    The blend, which many samples of the users vote for, is kept unless a single adapter is clearly ahead of it.
    Popularity is kept where nothing beats it. With prefer="small", all within a standard error of the best are equals.
    """
    compared = [*outcomes, *([] if blend is None else [blend])]
    best = max(outcomes, key=lambda outcome: outcome.mean)
    if prefer == "small":
        best = max(compared, key=lambda outcome: outcome.mean)
        kept = min(near_best(compared), key=lambda outcome: outcome.n_parameters)
    else:
        equals = [outcome for outcome in outcomes if outcome.mean == best.mean]
        unbeaten = [outcome for outcome in equals if outcome.adapter.name == "popularity"]
        kept = best = min(unbeaten or equals, key=lambda outcome: outcome.n_parameters)
        if blend is not None and not unbeaten and not best.clearly_ahead(blend):
            kept = best = blend
    others = [outcome for outcome in compared if outcome is not kept]
    if not others:
        return kept, "nothing else was compared"
    rival = max(others, key=lambda outcome: outcome.mean)
    gain, error = kept.ahead(rival)
    verdict = f"{kept.mean:.4f} on {len(kept.values)} validation users, {rival.adapter.label} {rival.mean:.4f}"
    if abs(gain) <= Z * error:
        verdict += ": too close to be sure"
    return kept, verdict + ("" if kept is best else "; the smallest within a standard error of the best")


def report(compared: Mapping[str, tuple[list[Outcome], Outcome]], metric: str) -> Any:
    """A frame with a row for each group of users and adapter compared: (outcomes, the one kept) of each group."""
    rows = []
    pairs = [(name, outcome) for name, parts in compared.items() for outcome in parts[0]]
    for group, outcome in pairs:
        outcomes, kept = compared[group]
        reference = next((one for one in outcomes if one.adapter.name == "fold-in"), outcomes[0])
        gain, error = outcome.ahead(reference)
        margin = 0.0 if outcome is reference else Z * error
        params = outcome.adapter.get_params()
        rows.append({
            "method": outcome.adapter.label + ("" if group == WITH else f", users {group}"),
            metric: outcome.mean,
            "against fold-in": gain,
            "low": gain - margin,
            "high": gain + margin,
            "parameters": outcome.n_parameters,
            **{name: _number(params.get(name)) for name in ("reg", "fold_in_reg")},
            "users": len(outcome.values),
            "kept": outcome is kept,
            "group": group,
        })  # fmt: skip
    return frames.make({name: np.array([row[name] for row in rows]) for name in rows[0]}, "pandas")


def _number(value: Any) -> float:
    return np.nan if value is None or isinstance(value, str) else float(value)
