"""The guard: try the ways to adapt on target users held back, and keep what wins there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.change import Change
from lrrec.adapt.closed_form import find_change, shrunk
from lrrec.adapt.domain import Domain
from lrrec.adapt.settings import Settings
from lrrec.data import frames
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError
from lrrec.linalg.ranking import Columns, rank
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import find_hits, parse
from lrrec.splits import history_mask
from lrrec.validate import check_threads

REGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # in interactions
FOLD_FACTORS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the base's own regularization
SCRATCH_FACTORS = (0.3, 1.0, 3.0, 10.0)
RANKS = (1, 2, 4, 8, 16, 32)
LEARNING_RATES = (0.01, 0.03)  # of a neural base, as are the next three
EPOCHS = (5, 10, 20, 40, 80)
NEURAL_REGS = (3.0, 10.0)  # beside 1
SHRINKAGES = (0.0, 0.1, 0.2)  # more costs on the target; a fifth forgets a third less of the source
N_FOLDS = 5
LARGE = 200  # from so many users on, one part of them is held back once
Z = 1.282  # beyond which a normal variable is once in ten


Measured = tuple[Settings, np.ndarray, int]


@dataclass(frozen=True, eq=False)
class Trial:
    """One round of holding back: fit on the users at `fit`, then serve others from `history` and ask for `test`.

    history, test : csr_array, shapes (n, I), over the catalogue. priors : ndarray, shape (n, D), or None.
    """

    fit: np.ndarray
    history: sp.csr_array
    test: sp.csr_array
    priors: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Settings and what they reached.

    values : one for every user held back. groups : the part of the users that each belongs to. overlap : where users
    take turns, those held back for each one fitted to, summed over the trials.
    """

    settings: Settings
    values: np.ndarray
    groups: np.ndarray
    n_parameters: int
    overlap: float = 0.0

    @property
    def mean(self) -> float:
        """The mean over the users held back."""
        return float(self.values.mean())

    def ahead(self, other: "Outcome") -> tuple[float, float]:
        """Mean of the paired differences to another, and its standard error.

        Those held back in one trial were fitted to in the others, so that luck in who they are is shared: the variance
        is widened as Nadeau and Bengio (2003), "Inference for the generalization error", correct it.
        """
        apart = self.values - other.values
        if len(apart) < 2:
            return float(apart.mean()), np.inf
        return float(apart.mean()), float(apart.std(ddof=1) * np.sqrt((1 + self.overlap) / len(apart)))


def hold_back(domain: Domain, history: float, rng: np.random.Generator) -> list[Trial]:
    """Cut the target's users into folds; of those held back a share of the interactions is given."""
    matrix = domain.data.matrix
    able = np.flatnonzero(np.diff(matrix.indptr) >= 2)
    if len(able) < 2:
        raise DataError(
            f"target must have at least two users with two interactions to compare methods on, got {len(able)}; give "
            "reg and reg_fold as numbers and guard=False to adapt without a comparison"
        )
    rng.shuffle(able)
    if len(able) >= LARGE:
        groups = [able[: max(len(able) // 5, 100)]]
    else:
        groups = np.array_split(able, min(N_FOLDS, len(able)))
    first = history_mask(domain.data, history, rng.random(len(domain.data)))
    histories, tests = domain.data.filter(first).matrix, domain.data.filter(~first).matrix
    active = np.flatnonzero(np.diff(matrix.indptr) > 0)
    return [
        Trial(np.setdiff1d(active, group), histories[group], tests[group], domain.priors_of(group)) for group in groups
    ]


def on_users(domain: Domain, history: Interactions, test: Interactions) -> list[Trial]:
    """Fit on all of the target's users, and hold back none: others are given to judge by."""
    served, priors = np.diff(history.matrix.indptr) > 0, None
    if domain.priors is not None:
        places = domain.data.users.find(history.users.ids)
        priors = np.where(places[:, None] >= 0, domain.priors[np.maximum(places, 0)], np.float32(0))
        served |= (priors != 0).any(axis=1)
    rows = np.flatnonzero(served & (np.diff(test.matrix.indptr) > 0))
    if not len(rows):
        raise DataError("validation must have a user with a history and a test interaction, got none")
    given_part, asked = (part.align_items(domain.items).matrix[rows] for part in (history, test))
    users = np.flatnonzero(np.diff(domain.data.matrix.indptr) > 0)
    return [Trial(users, given_part, asked, None if priors is None else priors[rows])]


def compare(
    domain: Domain,
    trials: Sequence[Trial],
    start: Settings,
    fixed: frozenset[str],
    metric: str,
    *,
    guard: bool,
    cut: bool,
) -> list[Outcome]:
    """Tune folding in alone, then with the guard every method, without it the one of `start`; `cut` finds the rank."""

    def tuned(method: str, **known: Any) -> Outcome:
        return tune(domain, trials, replace(start, method=method, **known), fixed, metric)

    outcomes = [tuned("fold-in")]
    fold = {"reg_fold": outcomes[0].settings.reg_fold}
    for method in ("scratch", "anchored", "low-rank") if guard else (start.method,):
        if method == "scratch":
            outcomes.append(tuned(method, reg=getattr(domain.base, "reg", 1.0), reg_fold=None))
        elif method == "anchored":
            outcomes.append(tuned(method, **fold))
        elif domain.tower:
            found = tuned(method, **fold)
            outcomes.append(cut_back(domain, trials, found, metric) if cut else found)
        else:
            held = next((o.settings for o in outcomes if o.settings.method == "anchored"), start)
            found = tuned(method, **fold, reg=held.reg, reg_free=held.reg_free)
            outcomes.append(cut_back(domain, trials, found, metric) if cut else found)
    return outcomes


def cut_back(domain: Domain, trials: Sequence[Trial], widest: Outcome, metric: str) -> Outcome:
    """The smallest rank within a standard error of the best."""
    ranks = [rank for rank in RANKS if rank < widest.settings.rank]
    smaller = [replace(widest.settings, rank=rank) for rank in ranks]
    outcomes = judge(domain, trials, smaller, metric)
    outcomes.append(widest)
    return near_best(outcomes)[0]  # ranks rise


def near_best(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those within a standard error of the best, in their order."""
    best = max(outcomes, key=lambda outcome: outcome.mean)
    return [outcome for outcome in outcomes if outcome is best or not clearly(best, outcome)]


def judge(
    domain: Domain, trials: Sequence[Trial], tried: Sequence[Settings], metric: str, *, epochs: Sequence[int] = (),
    shrinkages: Sequence[float] = (),
) -> list[Outcome]:  # fmt: skip
    """Fit each of the settings in every trial, and measure the users held back.

    An outcome for each of several shrinkages, where they are given, and of a neural base's change for each of several
    numbers of epochs: both cost one training.
    """
    pairs = [(settings, trial) for settings in tried for trial in trials]
    found: list[list[Measured]] = [[]] * len(pairs)

    def work(start: int, stop: int) -> None:
        for place in range(start, stop):
            settings, trial = pairs[place]
            changes = _changes(domain, trial.fit, settings, epochs, shrinkages)
            found[place] = [_measured(domain, change, one, trial, metric) for one, change in changes]

    run_blocks(work, even_blocks(len(pairs), 1), 1 if domain.tower else check_threads(None))
    outcomes = []
    for number in range(len(tried)):
        for mine in zip(*found[number * len(trials) : (number + 1) * len(trials)], strict=True):
            settings, n_parameters = mine[-1][0], mine[-1][2]
            values = [part for _, part, _ in mine]
            if len(trials) == 1:
                outcomes.append(Outcome(settings, values[0], np.arange(len(values[0])) % N_FOLDS, n_parameters))
                continue
            groups = np.repeat(np.arange(len(trials)), [len(part) for part in values])
            overlap = sum(len(part) / len(trial.fit) for part, trial in zip(values, trials, strict=True))
            outcomes.append(Outcome(settings, np.concatenate(values), groups, n_parameters, overlap))
    return outcomes


def _changes(
    domain: Domain, users: np.ndarray, settings: Settings, epochs: Sequence[int], shrinkages: Sequence[float]
) -> Iterator[tuple[Settings, Change]]:
    """The change of some settings; of a neural base, at several lengths of training; in full or in parts."""
    whole = replace(settings, shrinkage=0.0)
    if domain.tower and epochs and settings.method != "fold-in":
        from lrrec.adapt.two_tower import find_changes

        found = find_changes(domain, users, whole, epochs)
    else:
        found = iter([(settings.n_epochs, find_change(domain, users, whole))])
    for n_epochs, change in found:
        for shrinkage in shrinkages or (settings.shrinkage,):
            one = replace(settings, n_epochs=n_epochs, shrinkage=shrinkage)
            yield one, shrunk(domain, change, one)


def _measured(domain: Domain, change: Change, settings: Settings, trial: Trial, metric: str) -> Measured:
    """The metric of each user held back, and the parameters of the change."""
    function, k = parse(metric)
    V, tower = change.apply(domain.item_factors), change.apply_to_tower(domain.tower)
    U = domain.fold(trial.history, V, settings.reg_fold, trial.priors, tower)

    def score(block: slice, columns: Columns) -> np.ndarray:
        return U[block] @ V[columns].T

    n_threads = check_threads(None)
    lists, _ = rank(score, len(U), len(V), k, seen=trial.history, seen_rows=np.arange(len(U)), n_threads=n_threads)
    return settings, function(find_hits(lists, trial.test), np.diff(trial.test.indptr)), change.n_parameters


def tune(domain: Domain, trials: Sequence[Trial], start: Settings, fixed: frozenset[str], metric: str) -> Outcome:
    """The best settings of a method, found one after the other; those named in `fixed` stay.

    The values are those of choosing, not of the chosen: in each part of the users, of what is best on all others.
    """
    epochs = () if not domain.tower or "n_epochs" in fixed else EPOCHS
    grids = {field: grid for field, grid in _grids(domain, start).items() if field not in fixed}
    tried, best = [] if grids else judge(domain, trials, [start], metric, epochs=epochs), start
    for field, grid in grids.items():
        own = getattr(domain.base, "reg", None)
        here = own if field == "reg_fold" and best.reg_fold is None else getattr(best, field)
        batch = [replace(best, **dict[str, Any]({field: value})) for value in grid if value != here]
        tried += judge(domain, trials, batch if tried else [start, *batch], metric, epochs=epochs)
        best = max(tried, key=lambda outcome: outcome.mean).settings
    if start.method == "fold-in":  # away from the base's own for a reason only
        tried = tried[:1] + [other for other in tried[1:] if clearly(other, tried[0])]
    found = cross_chosen(tried)
    if domain.tower and start.method in ("anchored", "low-rank") and "shrinkage" not in fixed:
        return held(domain, trials, found, metric)
    return found


def held(domain: Domain, trials: Sequence[Trial], found: Outcome, metric: str) -> Outcome:
    """The outcome, its change shrunk as far as that stays within a standard error of the best."""
    outcomes = judge(domain, trials, [found.settings], metric, shrinkages=SHRINKAGES)
    kept = near_best(outcomes)[-1]
    return replace(kept, values=found.values + kept.values - outcomes[0].values)


def _grids(domain: Domain, start: Settings) -> dict[str, Sequence[float]]:
    """What to try of each field, one field after the other."""
    own = getattr(domain.base, "reg", None)
    if domain.tower:
        rates: dict[str, Sequence[float]] = {} if start.method == "fold-in" else {"learning_rate": LEARNING_RATES}
        return rates if start.method in ("fold-in", "scratch") else rates | {"reg": NEURAL_REGS}
    if start.method == "scratch":
        return {"reg": [own * factor for factor in SCRATCH_FACTORS]} if own else {}
    if start.method == "fold-in":
        return {"reg_fold": fold_grid(domain)}
    return {"reg": REGS} | ({} if domain.known.all() else {"reg_free": REGS}) | {"reg_fold": fold_grid(domain)}


def clearly(better: Outcome, worse: Outcome) -> bool:
    """Whether one is ahead of another by more than a standard error."""
    gap, error = better.ahead(worse)
    return gap > error


def cross_chosen(tried: Sequence[Outcome]) -> Outcome:
    """The best outcome, its values replaced: each part of the users has those of what is best on the other parts."""
    best = max(tried, key=lambda outcome: outcome.mean)
    table, values = np.stack([outcome.values for outcome in tried]), best.values.copy()
    for group in np.unique(best.groups):
        here = best.groups == group
        if not here.all():
            values[here] = table[table[:, ~here].mean(axis=1).argmax()][here]
    return replace(best, values=values)


def fold_grid(domain: Domain) -> list[float]:
    """Regularizations of users to try: multiples of the base's own."""
    own = getattr(domain.base, "reg", None)
    return [own * factor for factor in FOLD_FACTORS] if own else [0.0, 0.1, 0.3, 1.0, 3.0, 10.0]


def choose(outcomes: Sequence[Outcome]) -> tuple[Outcome, str]:
    """What to keep, and why.

    The first outcome is the safest (fold-in). Another is kept where its paired advantage over the safest has a lower
    90 % bound above 0; of several such, the one of fewest parameters within a standard error of the best.
    """
    safest = outcomes[0]
    better = []
    for outcome in outcomes[1:]:
        gain, error = outcome.ahead(safest)
        if gain - Z * error > 0:
            better.append(outcome)
    if not better:
        ahead = [outcome.settings.method for outcome in outcomes[1:] if outcome.mean > safest.mean]
        told = f"{' and '.join(ahead)} came out ahead, but by less than the {len(safest.values)} users can tell"
        return safest, told if ahead else "nothing did better on the users held back"
    best = max(better, key=lambda outcome: outcome.mean)
    kept = min(near_best(better), key=lambda outcome: outcome.n_parameters)
    return kept, "better than folding in alone, on the users held back" + (
        "" if kept is best else f"; as good as {best.settings.method} with fewer parameters"
    )


def report(outcomes: list[Outcome], kept: Outcome, metric: str) -> Any:
    """The table of what was compared."""
    rows = []
    for outcome in outcomes:
        gain, error = outcome.ahead(outcomes[0])
        spread = 0.0 if outcome is outcomes[0] else Z * error
        settings = outcome.settings
        rows.append({
            "method": settings.method + (f" {settings.rank}" if settings.method == "low-rank" else ""),
            metric: outcome.mean,
            "against fold-in": gain,
            "low": gain - spread,
            "high": gain + spread,
            "parameters": outcome.n_parameters,
            "reg": settings.reg,
            "reg_fold": np.nan if settings.reg_fold is None else settings.reg_fold,
            "users": len(outcome.values),
            "kept": outcome is kept,
        })  # fmt: skip
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return frames.make(columns, "pandas")
