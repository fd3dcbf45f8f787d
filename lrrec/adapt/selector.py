"""AdapterSelector: adapters compared on validation users, and the best one kept."""

import numbers
from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.anchored import Anchored
from lrrec.adapt.domain import check_fitted, make_domain
from lrrec.adapt.fold_in import FoldIn
from lrrec.adapt.low_rank import LowRank, check_rank
from lrrec.adapt.scratch import Scratch
from lrrec.adapt.selection import choose, fold_trials, report, tune_all, validation_trial
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.ranking import Columns
from lrrec.linalg.threads import one_threaded_blas
from lrrec.metrics import parse
from lrrec.models.base.recommender import Recommender
from lrrec.splits import Split
from lrrec.validate import check_bool, check_real, check_rng


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
        history: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.candidates = candidates
        self.guard = guard
        self.metric = metric
        self.history = history
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
        check_real(self.history, "history", low=0, high=1, open_low=True)
        if validation is not None and not isinstance(validation, Split):
            raise ParameterTypeError(f"validation must be a Split, got {validation!r}")
        check_fitted(base)
        candidates = self._prepared_candidates(base)
        for candidate in candidates:
            candidate._check_base(base, same_users=same_users, source=source)
        domain = make_domain(base, X, catalogue, same_users=same_users, source=source)
        if validation is not None:
            trials = [validation_trial(domain, validation.history, validation.test)]
        else:
            trials = fold_trials(domain, self.history, check_rng(self.random_state))
        with one_threaded_blas:  # once, and not for every small product
            outcomes = tune_all(domain, trials, candidates, self.metric)
        kept, verdict = choose(outcomes) if guard else (outcomes[-1], "guard is False: the last candidate is kept")
        if same_users:
            verdict += "; where the base's data may be used, compare with training on both domains at once"
        self.report_, self.best_ = report(outcomes, kept, self.metric), clone(kept.adapter)._fit_domain(domain)
        self.best_.verdict_ = verdict
        return self._remember(domain.data, self.best_.item_evidence_)

    def _prepared_candidates(self, base: Any) -> list[Adapter]:
        """The candidates to tune, fold-in first, checked."""
        candidates = [clone(candidate) for candidate in self._candidates(base)]
        if not candidates or not all(isinstance(candidate, Adapter) for candidate in candidates):
            raise ParameterTypeError(f"candidates must be a sequence of adapters, got {self._candidates(base)!r}")
        if not self.guard:
            candidates = candidates[-1:]
        if not isinstance(candidates[0], FoldIn):
            candidates = [FoldIn(), *(candidate for candidate in candidates if not isinstance(candidate, FoldIn))]
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
        return self._remember(self.best_.domain_.data, self.best_.item_evidence_)

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
        history: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.rank = rank
        self.guard = guard
        self.metric = metric
        self.history = history
        self.random_state = random_state

    def _candidates(self, base: Any) -> Sequence[Adapter]:
        check_rank(self.rank)
        return default_candidates(base, self.rank)
