"""AdapterSelector: adapters compared on validation users, and the best one kept."""

import numbers
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.anchored import Anchored
from lrrec.adapt.by_history import by_history
from lrrec.adapt.domain import Domain, check_fitted, make_domain
from lrrec.adapt.fold_in import FoldIn
from lrrec.adapt.low_rank import LowRank, check_rank
from lrrec.adapt.popular import Popular
from lrrec.adapt.scratch import Scratch
from lrrec.adapt.selection import Choice, Comparison, choose, report, tune_all
from lrrec.adapt.trials import AS_SERVED, check_bounds, check_history, group_names, make_trials
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.ranking import Columns
from lrrec.linalg.threads import one_threaded_blas
from lrrec.metrics import parse
from lrrec.models.base.recommender import Recommender
from lrrec.splits import Split
from lrrec.validate import check_bool, check_rng


def default_candidates(base: Any, rank: int | str = 8) -> list[Adapter]:
    """Return the adapters worth comparing for a base: fold-in, from scratch, at full rank, at low rank."""
    if getattr(base, "_encoder_arrays", ()):
        from lrrec.adapt.two_tower import FullRankTowers, LowRankTowers, ScratchTowers

        return [FoldIn(), ScratchTowers(), FullRankTowers(), LowRankTowers(rank)]
    return [FoldIn(), Scratch(), Anchored(), LowRank(rank)]


class AdapterSelector(Recommender):
    """Tune several adapters on validation users, compare them with fold-in, and keep the best.

    As in scikit-learn's GridSearchCV, candidates go in, and a report and the winner come out. Parameters that are
    "auto" are chosen on the validation users: folds of the target's users, or those of `validation`. Adapters are
    compared by nested cross-validation: each fold is scored with the settings chosen on the other folds. Another
    adapter than fold-in is kept only where the lower 90 % bound of its paired advantage is above 0; of several such,
    the one with the fewest parameters within a standard error of the best.

    Parameters
    ----------
    candidates : sequence of Adapter, optional
        Those for the kind of base when not given: fold-in, a model of the target alone, item factors of full rank
        anchored at the base's, and a low-rank change. Fold-in is always compared with.
    guard : bool, default True
        False keeps the last candidate, tuned, whatever the comparison says.
    metric : str, default "ndcg@20"
        NAME@K: what settings are chosen by.
    history : float in (0, 1], default 0.5
        The share of a validation user's interactions that they are served from.
    random_state : int, Generator or None, default None
        Of the folds, and of adapters that have a random_state of None; all else is deterministic.

    Attributes
    ----------
    best_ : Adapter
        The winner, fitted to all of the target's users. Its attributes and methods are the selector's too.
    report_ : DataFrame
        What was compared: method, metric on the validation users, its paired difference to fold-in with lower and
        upper 90 % bounds, parameters, and which is kept.
    verdict_ : str
        Why that one was kept.
    users_, items_ : IdMap
        Of the target; its catalogue.

    Examples
    --------
    >>> import lrrec
    >>> from lrrec.adapt import AdapterSelector, Anchored
    >>> dataset = lrrec.datasets.load("made-up")
    >>> likes = dataset.interactions(min_rating=4)
    >>> abroad = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    >>> base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad))
    >>> selector = AdapterSelector([Anchored()], random_state=0).fit(likes.filter(abroad), base=base)
    >>> selector.report_["method"].tolist()
    ['fold-in', 'anchored']
    """

    def __init__(
        self,
        candidates: Sequence[Adapter] | None = None,
        *,
        guard: bool = True,
        metric: str = "ndcg@20",
        history: float | int | str = AS_SERVED,
        history_groups: Sequence[int] = (1,),
        random_state: Any = None,
    ) -> None:
        self.candidates = candidates
        self.guard = guard
        self.metric = metric
        self.history = history
        self.history_groups = history_groups
        self.random_state = random_state

    def fit(  # type: ignore[override]
        self, X: Any, y: None = None, *, base: Recommender, catalogue: Any = None, same_users: bool = False,
        source: Any = None, validation: Split | None = None,
    ) -> Self:  # fmt: skip
        """Choose an adapter of the base for the target's interactions, and fit it to them.

        Parameters
        ----------
        X, y, base, catalogue, same_users, source
            As for `Adapter.fit`.
        validation : Split, optional
            Its test users, served from its history, are the validation users in place of folds of the target's.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If target and base share nothing, or there are too few users to validate on.
        """
        check_bool(same_users, "same_users")
        guard = check_bool(self.guard, "guard")
        parse(self.metric, ("ranking",))
        check_history(self.history)
        bounds = check_bounds(self.history_groups)
        if validation is not None and not isinstance(validation, Split):
            raise ParameterTypeError(f"validation must be a Split, got {validation!r}")
        check_fitted(base)
        candidates = self._prepared_candidates(base)
        for candidate in candidates:
            candidate._check_base(base, same_users=same_users, source=source)
        domain = make_domain(base, X, catalogue, same_users=same_users, source=source)
        trials = make_trials(domain, self.history, bounds, validation, check_rng(self.random_state))
        if guard:
            candidates = [candidate for candidate in candidates if not candidate._is_redundant(domain)]
        comparison = Comparison(domain, trials, self.metric)
        with one_threaded_blas:  # once, and not for every small product
            choices = {group: self._choose(comparison.of_group(group), candidates) for group in comparison.groups}
        names = group_names(bounds)
        self.report_ = report({names[group]: choice for group, choice in choices.items()}, self.metric)
        self.best_ = by_history(_members(domain, choices, len(bounds) + 1), bounds)._fit_domain(domain)
        self.best_.verdict_ = _verdict(domain, choices, names)
        return self._remember(domain.data)

    def _choose(self, comparison: Comparison, candidates: Sequence[Adapter]) -> Choice:
        """Tune the candidates that can serve a group of users, and choose; fold-in is measured in any case."""
        fold_in, last, history = candidates[0], candidates[-1], comparison.group > 0
        able = [one for one in candidates if one.suits(comparison.domain, history=history)]
        if not self.guard:
            able = [last] if last in able else [Popular()]
        outcomes = tune_all(comparison, able if able[0] is fold_in else [fold_in, *able])
        if self.guard:
            return choose(outcomes, outcomes[-len(able) :])
        why = "the last candidate is kept" if able[0] is last else "the last candidate cannot serve these users"
        return Choice(outcomes, outcomes[-1], f"guard is False: {why}")

    def _prepared_candidates(self, base: Any) -> list[Adapter]:
        """The candidates to tune, fold-in first, checked."""
        candidates = [clone(candidate) for candidate in self._candidates(base)]
        if not candidates or not all(isinstance(candidate, Adapter) for candidate in candidates):
            raise ParameterTypeError(f"candidates must be a sequence of adapters, got {self._candidates(base)!r}")
        first = candidates[0] if isinstance(candidates[0], FoldIn) else FoldIn()
        if self.guard:
            others = [candidate for candidate in candidates if not isinstance(candidate, FoldIn | Popular)]
            candidates = [first, Popular(), *others]
        elif not isinstance(candidates[-1], FoldIn):
            candidates = [first, candidates[-1]]
        else:
            candidates = candidates[-1:]
        whole = isinstance(self.random_state, numbers.Integral)
        seed = self.random_state if whole else int(check_rng(self.random_state).integers(2**31))
        for candidate in candidates:
            if candidate.get_params().get("random_state", 0) is None:
                candidate.set_params(random_state=seed)
            candidate._check_params()
        return candidates

    def _candidates(self, base: Any) -> Sequence[Adapter]:
        return default_candidates(base) if self.candidates is None else self.candidates

    @property
    def verdict_(self) -> str:
        """Why the winner was kept."""
        return self.best_.verdict_

    @property
    def n_parameters(self) -> int:
        """The number of parameters of the winner's change."""
        self._check_fitted()
        return self.best_.n_parameters

    @property
    def scale(self) -> float:
        """The share of the winner's change that is applied; see `FactorAdapter`."""
        self._check_fitted()
        return self.best_.scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._check_fitted()
        if not hasattr(type(self.best_), "scale"):
            raise ParameterError(f"the chosen adapter, {self.best_.label}, has no scale")
        self.best_.scale = value

    def update(self, new: Any) -> Self:
        """Add interactions of the target and fit the winner again; see `Adapter.update`."""
        self._check_fitted()
        self.best_.update(new)
        return self._remember(self.best_.domain_.data)

    def merge(self) -> Recommender:
        """Return an ordinary model that recommends the same, without the adapter."""
        self._check_fitted()
        return self.best_.merge()

    def save(self, path: str | PathLike, *, float16: bool = False, histories: bool = False) -> None:
        """Write the winner to path; `lrrec.load(path, base=model)` gives it back. See `Adapter.save`."""
        self._check_fitted()
        self.best_.save(path, float16=float16, histories=histories)

    def __add__(self, other: Any) -> Adapter:
        """The sum of two low-rank changes; see `FactorAdapter`."""
        self._check_fitted()
        return self.best_ + other

    def __getattr__(self, name: str) -> Any:
        """Whatever the winner has and the selector has not, e.g. `item_factors_`, `transform`, `truncate`."""
        if name.startswith("_") or name in ("best_", "report_") or "best_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.best_, name)

    def _encode(self, matrix: sp.csr_array) -> Any:
        return self.best_._encode(matrix)

    def _training_users(self, rows: np.ndarray) -> Any:
        return self.best_._training_users(rows)

    def _serves(self, rows: np.ndarray) -> np.ndarray:
        return self.best_._serves(rows)

    def _scores(self, encoded: Any, columns: Columns) -> np.ndarray:
        return self.best_._scores(encoded, columns)

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.best_._predict(rows, columns)

    def _recommend(self, *args: Any, **options: Any) -> Any:
        return self.best_._recommend(*args, **options)


def _members(domain: Domain, choices: Mapping[int, Choice], n_groups: int) -> list[Adapter]:
    """The adapter of each group of users; of one without validation users, that of the most similar group.

    Users without a history get popular items where nothing could be validated on such users.
    """
    kept = {group: choice.kept.adapter for group, choice in choices.items()}
    if domain.same_users:
        kept.setdefault(0, Popular())
    members = []
    for group in range(n_groups):
        similar = [other for other in kept if (other > 0) == (group > 0)] or list(kept)
        members.append(kept[min(similar, key=lambda other: abs(other - group))])
    return members


def _verdict(domain: Domain, choices: Mapping[int, Choice], names: Sequence[str]) -> str:
    """Why the adapters were kept."""
    parts = [(f"users {names[group]}: " if len(choices) > 1 else "") + choices[group].verdict for group in choices]
    if domain.same_users and 0 not in choices:
        parts.append("users without history get popular items, as the base knows no validation user")
    if domain.same_users:
        parts.append("where the base's data may be used, compare with training on both domains at once")
    return "; ".join(parts)


class LowRankAdapter(AdapterSelector):
    """Adapt a fitted factor model to a new domain by a low-rank change of its item factors, where that helps.

    Compares the change, `LowRank` (of a `NeuralMF`, `LowRankTowers`), with fold-in, with a model of the target alone
    and with item factors of full rank anchored at the base's, on validation users of the target, and keeps the best.
    No source data are needed, and the base is never changed.

    Parameters
    ----------
    rank : int or "auto", default 8
        Rank of the change. "auto" takes the smallest within one standard error of the best.
    guard, metric, history, random_state
        As for `AdapterSelector`. guard=False keeps the low-rank change, tuned, whatever the comparison says.

    Attributes
    ----------
    best_, report_, verdict_, users_, items_
        As for `AdapterSelector`.

    Notes
    -----
    Some thirty settings are tried in each of five folds. The same for any number of threads.

    Examples
    --------
    >>> import lrrec
    >>> dataset = lrrec.datasets.load("made-up")
    >>> likes = dataset.interactions(min_rating=4)
    >>> abroad = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    >>> base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad))
    >>> adapter = lrrec.LowRankAdapter(rank=4, random_state=0).fit(likes.filter(abroad), base=base)
    >>> len(adapter.report_), adapter.best_.label in adapter.report_["method"].tolist()
    (4, True)
    """

    def __init__(
        self,
        rank: int | str = 8,
        *,
        guard: bool = True,
        metric: str = "ndcg@20",
        history: float | int | str = AS_SERVED,
        history_groups: Sequence[int] = (1,),
        random_state: Any = None,
    ) -> None:
        self.rank = rank
        self.guard = guard
        self.metric = metric
        self.history = history
        self.history_groups = history_groups
        self.random_state = random_state

    def _candidates(self, base: Any) -> Sequence[Adapter]:
        check_rank(self.rank)
        return default_candidates(base, self.rank)
