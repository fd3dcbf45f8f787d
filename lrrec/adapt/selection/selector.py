"""AdapterSelector: adapters compared on validation users, and the best one kept."""

import numbers
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain import check_fitted, make_domain
from lrrec.adapt.kinds.blended import Blended
from lrrec.adapt.kinds.fold_in import FoldIn
from lrrec.adapt.kinds.popular import Popular
from lrrec.adapt.selection.blend_search import find_blend
from lrrec.adapt.selection.by_group import combined, fallback
from lrrec.adapt.selection.choice import choose
from lrrec.adapt.selection.comparison_report import plot_report, report
from lrrec.adapt.selection.cross_validation import CrossValidation
from lrrec.adapt.selection.default_candidates import default_candidates
from lrrec.adapt.selection.folds import AS_SERVED, WITH, WITHOUT, check_history, make_folds
from lrrec.adapt.selection.parameter_search import THOROUGH, check_budget, tune_all
from lrrec.adapt.selection.source_worth import NO_HELP, gain_of_adapting, source_worth
from lrrec.adapt.selection.verdict import Compared, left_out, verdict
from lrrec.adapt.sources import as_base
from lrrec.data.features import FeaturesLike
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.ranking import Columns
from lrrec.metrics import parse
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.feature_model import check_taken
from lrrec.models.base.one_fit import become
from lrrec.models.base.recommender import Recommender
from lrrec.splits import Split
from lrrec.typing import Axes, FileLike, MatrixLike
from lrrec.validate import check_bool, check_option, check_rng

PREFERENCES = ("best", "small")


class AdapterSelector(Recommender):
    """Tune several adapters on validation users, compare them with fold-in, and keep the best.

    As in scikit-learn's GridSearchCV, candidates go in, and a report and the winner come out. Parameters that are
    "auto" are chosen on the validation users: folds of the target's users, or those of `validation`. Adapters are
    compared by nested cross-validation: each fold is scored with the settings chosen on the other folds. What is kept
    is a blend of the best three, or the best by the mean where that is clearly better. With `same_users`, users who
    have no interaction in the target are a separate group: their validation users are served without a history,
    too, and another adapter may be kept for them.

    Parameters
    ----------
    candidates : sequence of Adapter, optional
        Those for the kind of base when not given: models of the target alone, item factors of full rank anchored at
        the base's, a low-rank change. The base as it is (fold-in) and popularity are always among them.
    guard : bool, default True
        False keeps the last candidate, tuned, whatever the comparison says.
    metric : str, default "ndcg@20"
        NAME@K, the metric by which settings and adapters are chosen.
    history : "as served", float in (0, 1] or int, default "as served"
        The history that a validation user is served from: about as much as the target's users have (all but a fifth of
        their interactions), a share of it, or a number of interactions. The rest is relevant. The earliest come first
        where the target has times; otherwise they are drawn.
    prefer : {"best", "small"}, default "best"
        Keep the best by the mean, or the one with the fewest parameters within a standard error of the best.
    budget : {"thorough", "fast"} or float, default "thorough"
        "fast" compares all candidates with their default settings, in a fifth of the time. A number is the seconds that
        tuning may take on top of that, the best candidates first: what is chosen then depends on the machine.
    blend : bool, default True
        Whether a blend of the best three is compared, too, and kept unless one of them is better by more than a
        standard error; see `Blended`. Not for a base that predicts ratings.
    random_state : int, Generator or None, default None
        Seed of the folds, and of adapters whose own random_state is None; all else is deterministic.

    Attributes
    ----------
    best_ : Adapter
        The winner, fitted to all of the target's users. Its attributes and methods are the selector's too.
    report_ : DataFrame
        A row for each adapter compared: method, metric on the validation users, its paired difference to fold-in (to
        the first method where the base does not fold in) with one-sided 90 % bounds (low, high: an 80 % interval), the
        number of parameters, and which is kept.
    verdict_ : str
        Why that one was kept; whether it is clearly (by the bound of the report) better than the base as it is; and
        how many target users the base is worth: the kept adapter, fitted to that many fewer, ranks as well as the best
        model of the target alone.
    tuned_ : list of Adapter
        The candidates that were compared, unfitted, with the settings that were chosen: `AdapterSelector(tuned_)`
        compares them in another domain and tunes nothing.
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
    >>> selector = AdapterSelector([Anchored()], blend=False, random_state=0).fit(likes.filter(abroad), base=base)
    >>> selector.report_["method"].tolist()
    ['fold-in', 'popularity', 'anchored']
    """

    best_: Adapter
    report_: pd.DataFrame
    tuned_: list[Adapter]

    def __init__(
        self,
        candidates: Sequence[Adapter] | None = None,
        *,
        guard: bool = True,
        metric: str = "ndcg@20",
        history: float | int | str = AS_SERVED,
        prefer: str = "best",
        budget: float | str = THOROUGH,
        blend: bool = True,
        random_state: Any = None,
    ) -> None:
        self.candidates = candidates
        self.guard = guard
        self.metric = metric
        self.history = history
        self.prefer = prefer
        self.budget = budget
        self.blend = blend
        self.random_state = random_state

    def fit(  # type: ignore[override]
        self, X: Any, y: None = None, *, base: Recommender, catalogue: Any = None, same_users: bool = False,
        source: Any = None, validation: Split | None = None, item_features: FeaturesLike | None = None,
    ) -> Self:  # fmt: skip
        """Choose an adapter of the base for the target's interactions, and fit it to them.

        Parameters
        ----------
        X, y, base, catalogue, same_users, source, item_features
            As for `Adapter.fit`. How much features help the item-item candidates is measured on the validation users.
        validation : Split, optional
            Its test users, served from its history, are the validation users in place of folds of the target's; its
            candidates, if it has them (`splits.with_negatives`), are what is ranked. With
            `same_users` they are served without their history too; if none has one, users with a history are evaluated
            on folds.

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
        check_bool(self.blend, "blend")
        parse(self.metric, ("ranking",))
        check_history(self.history)
        check_option(self.prefer, "prefer", PREFERENCES)
        check_budget(self.budget)
        if validation is not None and not isinstance(validation, Split):
            raise ParameterTypeError(f"validation must be a Split, got {validation!r}")
        base = as_base(base, same_users=same_users)
        check_fitted(base)
        candidates = self._prepared_candidates(base, same_users)
        for candidate in candidates:
            candidate._check_base(base, same_users=same_users, source=source)
        check_taken(candidates, item_features)
        domain = make_domain(
            base, X, catalogue, same_users=same_users, source=source, item_features=item_features
        )  # fmt: skip
        folds = make_folds(domain, self.history, validation, check_rng(self.random_state))
        compared = self._compare_all(CrossValidation(domain, folds, self.metric), candidates)
        fresh = copy(self)
        first, *_ = compared.values()
        fresh.tuned_ = [clone(result.adapter) for result in first[0] if not isinstance(result.adapter, Blended)]
        fresh.report_ = report({group: parts[:2] for group, parts in compared.items()}, self.metric)
        winners = {group: kept.adapter for group, (_, kept, _) in compared.items()}
        if not guard and candidates[-1]._can_serve_group(domain, history=False):
            winners |= dict.fromkeys((WITH, WITHOUT), *winners.values())
        best = fresh.best_ = combined(winners, domain)
        best._fit_domain(domain).verdict_ = verdict(compared, domain, best)
        return become(self, fresh._remember(domain.data, item_evidence=best.item_evidence_))

    def _compare_all(self, cv: CrossValidation, candidates: Sequence[Adapter]) -> dict[str, Compared]:
        """Compare the candidates on each group of users; with guard=False, on the first that the last can serve."""
        last, domain, groups = candidates[-1], cv.domain, list(cv.folds)
        if not self.guard:
            served = [group for group in groups if last._can_serve_group(domain, history=group == WITH)]
            groups = served[:1] or groups[:1]
        return {group: self._compare(cv.of_group(group), candidates) for group in groups}

    def _compare(self, cv: CrossValidation, candidates: Sequence[Adapter]) -> Compared:
        """Tune the candidates that can serve a group of users; return their results, the one to keep, and why.

        Fold-in is measured in any case.
        """
        history, domain = cv.group == WITH, cv.domain
        last = fallback(domain.base)
        able = [candidate for candidate in candidates if candidate._can_serve_group(domain, history=history)]
        if not self.guard:
            kept = able[-1:] == candidates[-1:]
            others = [candidate for candidate in candidates[:-1] if candidate.name != last.name]
            results = tune_all(cv, able if kept else [*others, last], self.budget)
            why = "the last candidate is kept" if kept else "the last candidate cannot serve these users"
            return results, results[-1], f"guard is False: {why}"
        costly = [candidate for candidate in able if not candidate.is_affordable(domain)]
        able = [candidate for candidate in able if candidate not in costly] or [last]
        names = {candidate.name for candidate in able}
        measured = [one for one in candidates if isinstance(one, FoldIn) and one.name not in names]
        results = tune_all(cv, [*measured, *able], self.budget)
        blend = find_blend(cv, results[len(measured) :]) if self.blend else None
        chosen, why = choose(results[len(measured) :], self.prefer, blend)
        worth = source_worth(cv, results, chosen) if history else ""
        gain = gain_of_adapting(results, chosen) if history and worth != NO_HELP else ""
        words = filter(None, (why, gain, worth, left_out(costly, len(domain.items))))
        return [*results, *([] if blend is None else [blend])], chosen, "; ".join(words)

    def _prepared_candidates(self, base: Any, same_users: bool) -> list[Adapter]:
        """The candidates to tune, fold-in first, checked."""
        candidates = self._candidates(base, same_users)
        listed = isinstance(candidates, list | tuple) and len(candidates) > 0
        if not listed or not all(isinstance(candidate, Adapter) for candidate in candidates):
            raise ParameterTypeError(f"candidates must be a sequence of adapters, got {candidates!r}")
        candidates = [clone(candidate) for candidate in candidates]
        if not self.guard:
            candidates = candidates[-1:]
        first: list[Adapter] = [FoldIn()] if isinstance(base, FactorModel) else []
        if not first or isinstance(candidates[0], FoldIn):
            first = [candidate for candidate in candidates if isinstance(candidate, FoldIn)]
        others = [candidate for candidate in candidates if not isinstance(candidate, FoldIn | Popular)]
        popular = [Popular()] if self.guard and not base._predicts_ratings else []
        candidates = [*first, *popular, *others]
        whole = isinstance(self.random_state, numbers.Integral)
        seed = self.random_state if whole else int(check_rng(self.random_state).integers(2**31))
        for candidate in candidates:
            if candidate.get_params().get("random_state", 0) is None:
                candidate.set_params(random_state=seed)
            candidate._check_params()
        return candidates

    def _candidates(self, base: Any, same_users: bool) -> Sequence[Adapter]:
        return default_candidates(base, same_users=same_users) if self.candidates is None else self.candidates

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the scores of the methods that were compared, the best on top, with the one kept marked.

        Scores are those of `report_`: the metric on the validation users, by nested cross-validation. The bars are the
        80 % intervals of the paired differences to fold-in (to the first method where the base does not fold in), whose
        score is the dashed line: a bar that does not cross it is a difference beyond chance in the choice of users.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given.

        Returns
        -------
        matplotlib Axes

        Notes
        -----
        Needs matplotlib. With `same_users`, users with and without a history are compared apart, one below the other.

        Examples
        --------
        >>> import lrrec
        >>> from lrrec.adapt import AdapterSelector, Anchored
        >>> dataset = lrrec.datasets.load("made-up")
        >>> likes = dataset.interactions(min_rating=4)
        >>> abroad = (dataset.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
        >>> base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad))
        >>> selector = AdapterSelector([Anchored()], blend=False, random_state=0).fit(likes.filter(abroad), base=base)
        >>> [label.get_text() for label in selector.plot().get_yticklabels()]
        ['anchored', 'popularity', 'fold-in']
        """
        self._check_fitted()
        return plot_report(self.report_, ax)

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
        best: Any = self.best_
        return float(best.scale)

    @scale.setter
    def scale(self, value: float) -> None:
        self._check_fitted()
        if not hasattr(type(self.best_), "scale"):
            raise ParameterError(f"the chosen adapter, {self.best_.label}, has no scale")
        best: Any = self.best_
        best.scale = value

    def update(self, new: Interactions | MatrixLike, *, decay: float = 1.0) -> Self:
        """Add interactions of the target and fit the winner again; see `Adapter.update`."""
        self._check_fitted()
        best, fresh = self.best_.update(new, decay=decay), copy(self)  # in place: a bank that has it serves the new one
        return become(self, fresh._remember(best.domain_.data, item_evidence=best.item_evidence_))

    def merge(self) -> Recommender:
        """Return an ordinary model that recommends the same, without the adapter."""
        self._check_fitted()
        return self.best_.merge()

    def save(self, path: FileLike, *, float16: bool = False, histories: bool = False) -> None:
        """Write the winner to path; `lrrec.load(path, base=model)` reads it. See `Adapter.save`."""
        self._check_fitted()
        self.best_.save(path, float16=float16, histories=histories)

    def __add__(self, other: Any) -> Adapter:
        """The sum of two low-rank changes; see `FactorAdapter`."""
        self._check_fitted()
        return self.best_ + other

    def __getattr__(self, name: str) -> Any:
        """Whatever the winner has and the selector has not, e.g. `item_factors_`, `transform`, `truncate`."""
        if name.startswith("_") or name in ("best_", "report_", "tuned_") or "best_" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.best_, name)

    def _encode(self, matrix: sp.csr_array) -> Any:
        return self.best_._encode(matrix)

    def _explain(self, matrix: sp.csr_array, column: int) -> Any:
        return self.best_._explain(matrix, column)

    def _training_users(self, rows: np.ndarray) -> Any:
        return self.best_._training_users(rows)

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        return self.best_._can_serve(rows)

    def _scores(self, encoded: Any, columns: Columns) -> np.ndarray:
        return self.best_._scores(encoded, columns)

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.best_._predict(rows, columns)

    def _recommend(self, *args: Any, **options: Any) -> Any:
        return self.best_._recommend(*args, **options)
