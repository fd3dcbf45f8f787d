"""LowRankAdapter: a trained model, a new domain, and the small change between them."""

from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter_files import Stored, read, write
from lrrec.adapt.change import Change
from lrrec.adapt.closed_form import find_change
from lrrec.adapt.domain import Domain, as_target, joined, make_domain
from lrrec.adapt.selection import RANKS, choose, compare, hold_back, on_users, report
from lrrec.adapt.settings import Settings, checked
from lrrec.data.ids import IdMap
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError
from lrrec.linalg.threads import one_threaded_blas
from lrrec.models.base.factor_model import FactorModel
from lrrec.splits import Split
from lrrec.validate import check_bool, check_int, check_real, check_rng


class LowRankAdapter(FactorModel):
    """Adapt a trained factor model to a new domain, by a low-rank change of its item factors.

    With the base's item factors V0 and its own loss on the target's interactions, minimises over U, A and B

        sum_u c_u [loss_u(u (V0 + A B^T)^T) + lam_u |u|^2] + t |A B^T|_F^2,        A (I, rank), B (D, rank)

    in closed-form turns, starting from the change of full rank; c_u evens out how much users did. Items that the base
    has never seen get factors of their own. No source data are needed, and the base is never changed. New users are
    folded in, as with any factor model.

    Of a `NeuralMF` both towers change: the tables of items by A B^T as above, the layers by low-rank matrices of the
    same share of their width, trained in torch with the base's own loss; see `lrrec.adapt.two_tower`.

    Parameters
    ----------
    rank : int or "auto", default 8
        Rank of the change. "auto" finds the smallest that is within a standard error of the best.
    method : {"low-rank", "anchored", "scratch", "fold-in"}, default "low-rank"
        What to do without the guard; with it, one of those compared. "anchored" is the change of full rank.
    reg : float or "auto", default "auto"
        What holds an item to the base, > 0, in interactions: 1 weighs as much as one user's. Typical: 0.1 to 30.
    reg_fold : float or "auto", default "auto"
        Regularization of users, in the place of the base's own.
    reg_free : float or "auto", default "auto"
        As reg, for items that the base does not know.
    n_iter : int, default 3
        Rounds over items and users.
    balance : float, default 0.5
        A user of n interactions weighs n^-balance in what items are fitted to: 0 counts interactions, 1 users.
    anchor : {"constant", "precision"}, default "constant"
        Whether all items are held to the base alike, or each in proportion to the base's `item_precision_`. The two
        came out alike where they were measured.
    learning_rate : float or "auto", default "auto"
        Of a neural base, as are n_epochs, source_weight and towers: how its change is trained. Typical: 0.003 to 0.03.
    n_epochs : int or "auto", default "auto"
        Passes over the target's users.
    shrinkage : float in [0, 1] or "auto", default "auto"
        How much of the way back to the base the trained change goes. "auto" finds the most, up to 0.2, that the users
        held back cannot tell from none: a fifth forgets a third less of the source. 0 where nothing is compared. Of
        other bases "auto" is 0, as reg is chosen finely enough.
    source_weight : float, default 1.0
        Weight of the source's loss, where `fit` is given the source.
    towers : bool, default True
        Whether the user's tower changes too, or the item factors alone.
    guard : bool, default True
        Compare with folding in alone, with the anchored change and with a model fitted to the target alone, on target
        users held back, and keep what wins.
    metric : str, default "ndcg@20"
        What settings are chosen by.
    history : float in (0, 1), default 0.5
        The share of a held-back user's interactions that is given.
    random_state : int, Generator or None, default None
        Of holding back; the solvers are deterministic.

    Attributes
    ----------
    base_ : FactorModel
    kept_ : str
        The method kept.
    settings_ : Settings
        All numbers of it.
    report_ : frame
        What was compared: method, metric on the users held back, its paired difference to folding in alone with lower
        and upper 90 % bounds, parameters, and which is kept. None where nothing was compared.
    verdict_ : str
        Why that one was kept.
    change_ : Change
        A, B and the rows given outright.
    scale : float
        1. Set it to less to blend with the base, whose items and fold-in 0 gives back.
    users_, items_ : IdMap
        Of the target; its catalogue.
    user_factors_, item_factors_ : ndarray of float32
        Of the target's users; of the catalogue, the change applied.

    Notes
    -----
    A fit of one setting costs O(N D^2 + I D R) a round for N target interactions and I items; the guard tries some
    thirty settings in each of five folds. The same for any number of threads.

    Examples
    --------
    >>> from lrrec import IALS, Interactions, LowRankAdapter
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve"], ["x", "z", "x", "z"])
    >>> adapter = LowRankAdapter(rank=2, reg=0.1, reg_fold=0.005, guard=False).fit(target, base=base)
    >>> adapter.kept_, adapter.change_.A.shape
    ('low-rank', (3, 2))
    >>> adapter.recommend_from(Interactions.from_pairs(["gus", "gus"], ["x", "y"]), k=1).items.tolist()
    [['z']]
    """

    def __init__(
        self,
        rank: int | str = 8,
        *,
        method: str = "low-rank",
        reg: float | str = "auto",
        reg_fold: float | str = "auto",
        reg_free: float | str = "auto",
        n_iter: int = 3,
        balance: float = 0.5,
        anchor: str = "constant",
        learning_rate: float | str = "auto",
        n_epochs: int | str = "auto",
        shrinkage: float | str = "auto",
        source_weight: float = 1.0,
        towers: bool = True,
        guard: bool = True,
        metric: str = "ndcg@20",
        history: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.rank = rank
        self.method = method
        self.reg = reg
        self.reg_fold = reg_fold
        self.reg_free = reg_free
        self.n_iter = n_iter
        self.balance = balance
        self.anchor = anchor
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.shrinkage = shrinkage
        self.source_weight = source_weight
        self.towers = towers
        self.guard = guard
        self.metric = metric
        self.history = history
        self.random_state = random_state

    def fit(  # type: ignore[override]
        self,
        X: Any,
        y: None = None,
        *,
        base: FactorModel,
        catalogue: Any = None,
        same_users: bool = False,
        source: Any = None,
        validation: Split | None = None,
    ) -> Self:
        """Adapt a base to the target's interactions.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            The target. Items are matched with the base's by id; the columns of a raw matrix are the base's items by
            position.
        y : None
            Ignored.
        base : FactorModel
            Fitted. It is not changed.
        catalogue : sequence of ids, optional
            The items of the new domain. All of the base's and all of the target's when not given.
        same_users : bool, default False
            Whether users of equal ids are the same people: then what the base knows of them is where they start
            from, and those of them without a target interaction can be served.
        source : Interactions, optional
            Of a neural base: what it was trained on, where that may be kept. Its loss is added to the target's,
            weighted by `source_weight`, so that less of the source is forgotten.
        validation : Split, optional
            Its test users, served from its history, are judged by instead of target users held back.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If target and base share nothing, or too few users are there to hold some back.
        """
        check_bool(same_users, "same_users")
        if validation is not None and not isinstance(validation, Split):
            raise ParameterTypeError(f"validation must be a Split, got {validation!r}")
        guard, (start, fixed) = check_bool(self.guard, "guard"), checked(self)
        domain = make_domain(base, X, catalogue, same_users=same_users, source=source)
        rank, n_columns = start.rank, domain.item_factors.shape[1]
        if self.rank == "auto":
            rank = min(RANKS[-1], n_columns)
        start = replace(start, rank=min(rank, n_columns - bool(domain.tower)))
        self.report_, self.verdict_ = None, "nothing was compared: all settings were given"
        needed = {"reg_fold"} if start.method == "fold-in" else {"reg", "reg_fold"}
        if domain.tower:
            needed = set() if start.method == "fold-in" else {"reg", "learning_rate", "n_epochs"}
            start = replace(start, seed=int(check_rng(self.random_state).integers(2**31)))
        elif start.method in ("low-rank", "anchored") and not domain.known.all():
            needed.add("reg_free")
        if guard or self.rank == "auto" or needed - fixed:
            if validation is not None:
                trials = on_users(domain, validation.history, validation.test)
            else:
                trials = hold_back(domain, self.history, check_rng(self.random_state))
            with one_threaded_blas:  # once, and not for every small product
                outcomes = compare(domain, trials, start, fixed, self.metric, guard=guard, cut=self.rank == "auto")
            kept, self.verdict_ = choose(outcomes) if guard else (outcomes[-1], "the method asked for: guard is False")
            self.report_, start = report(outcomes, kept, self.metric), kept.settings
            if same_users:
                self.verdict_ += "; where the base's data may be used, compare with training on both domains at once"
        return self._keep(domain, start)

    def _keep(self, domain: Domain, settings: Settings) -> Self:
        """Become the adapter of these settings, fitted to all of the target's users."""
        users = np.flatnonzero(np.diff(domain.data.matrix.indptr) > 0)
        self.settings_, self.kept_ = settings, settings.method
        self.change_ = find_change(domain, users, settings)
        self._become(domain)
        return self

    def _become(self, domain: Domain) -> None:
        """Take the domain and serve its users with the change as it is."""
        self.domain_, self.base_ = domain, domain.base
        self._remember(domain.data)
        self.scale = 1.0

    @property
    def scale(self) -> float:
        """How much of the change is applied; setting it folds the target's users in again."""
        self._check_fitted()
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._check_fitted()
        self._scale = check_real(value, "scale", low=0)
        domain, reg = self.domain_, self._reg_fold()
        self.user_factors_ = domain.fold(domain.data.matrix, self.item_factors_, reg, domain.priors, self._tower_now())

    def _tower_now(self) -> dict[str, np.ndarray]:
        """The arrays that histories are encoded by, the change applied; none where the base folds in."""
        return self.change_.apply_to_tower(self.domain_.tower, self._scale)

    def _reg_fold(self) -> float | None:
        return self.settings_.reg_fold if self._scale else None

    @property
    def item_factors_(self) -> np.ndarray:
        """V0 + scale (A B^T), and the rows given outright; made on every access."""
        return self.change_.apply(self.domain_.item_factors, self._scale)

    @property
    def n_parameters(self) -> int:
        """How many numbers the change is made of."""
        self._check_fitted()
        return self.change_.n_parameters

    def update(self, new: Any) -> Self:
        """Take further interactions of the target in, with the settings that were kept; nothing is compared again.

        Parameters
        ----------
        new : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Of users known or new, on items known or new. A value given again counts in addition.

        Notes
        -----
        The same as fitting everything at once with these settings: the solvers are deterministic, and take no longer.
        """
        self._check_fitted()
        if not len(self.domain_.data):
            raise DataError("the adapter must know its target to be updated: save it with histories=True, or fit again")
        data = joined(self.domain_.data, as_target(self.base_, new))
        known = self.domain_.items
        catalogue = np.concatenate((known.ids, data.items.ids[known.find(data.items.ids) < 0]))
        domain = make_domain(self.base_, data, catalogue, same_users=self.domain_.priors is not None)
        return self._keep(domain, self.settings_)

    def truncate(self, rank: int) -> "LowRankAdapter":
        """Return the adapter whose change is the best one of a smaller rank, as the target's users see it."""
        self._check_fitted()
        if self.kept_ != "low-rank":
            raise ParameterError(f"truncate wants a low-rank change, got {self.kept_!r}")
        return self._with(self.change_.truncate(check_int(rank, "rank", low=0)))

    def merge(self) -> FactorModel:
        """Return an ordinary model of the base's class that recommends the same, without the adapter."""
        self._check_fitted()
        model = clone(self.base_)
        for name, array in self._tower_now().items():
            setattr(model, name, array)
        if not self.domain_.tower and "reg" not in model.get_params() and self.kept_ != "fold-in":
            raise ParameterError(f"merge must have a base with regularization, got {model!r}: no reg to fold in by")
        if self._reg_fold() is not None and "reg" in model.get_params():
            model.set_params(reg=self._reg_fold())
        model.item_factors_, model.user_factors_ = self.item_factors_, self.user_factors_.copy()
        return model._remember(self.domain_.data)

    def compress(self, n_factors: int) -> FactorModel:
        """Return the merged model with fewer factors."""
        return self.merge().compress(n_factors)

    def __add__(self, other: Any) -> "LowRankAdapter":
        """Both changes at once: of two low-rank adapters of one base and catalogue, serving the users of the first."""
        if not isinstance(other, LowRankAdapter):
            return NotImplemented
        self._check_fitted()
        other._check_fitted()
        if other.base_ is not self.base_ or other.items_ != self.items_:
            raise DataError("adapters must have the same base and catalogue to be added")
        if {self.kept_, other.kept_} - {"low-rank", "fold-in"}:
            raise ParameterError(f"adapters must be low-rank to be added, got {self.kept_!r} and {other.kept_!r}")
        return self._with(self.change_.plus(other.change_, self.domain_.item_factors, self.domain_.tower))

    def save(self, path: str | PathLike, *, float16: bool = False, histories: bool = False) -> None:
        """Write the change to path, replacing it whole or not at all; `lrrec.load(path, base=model)` reads it.

        Parameters
        ----------
        path : path
        float16 : bool, default False
            Store in half precision.
        histories : bool, default False
            Store the target's users and interactions too, so that `recommend` knows them after loading. Without them
            the file holds no user data: users are served by `recommend_from`.
        """
        self._check_fitted()
        rows = np.flatnonzero(np.diff(self.seen_.indptr) > 0)
        known = IdMap(self.users_.ids[rows]), self.seen_[rows]
        users = known if check_bool(histories, "histories") else None
        stored = Stored(
            params={**self.get_params(), "random_state": None}, settings=self.settings_, verdict=self.verdict_,
            scale=self.scale, change=self.change_, domain=self.domain_, item_counts=self.item_counts_, users=users,
        )  # fmt: skip
        write(path, stored, float16=check_bool(float16, "float16"))

    @classmethod
    def from_file(cls, path: str | PathLike, base: Any) -> "LowRankAdapter":
        """Read what `save` wrote; `lrrec.load(path, base=base)` calls it."""
        stored = read(path, base)
        try:
            adapter = cls(**stored.params)
        except TypeError as error:
            raise FileFormatError(f"{path} must have the parameters of {cls.__name__}: {error}") from None
        adapter.settings_, adapter.kept_ = stored.settings, stored.settings.method
        adapter.report_, adapter.verdict_, adapter.change_ = None, stored.verdict, stored.change
        adapter._become(stored.domain)
        adapter.item_counts_ = stored.item_counts
        adapter.scale = stored.scale
        return adapter

    def _with(self, change: Change) -> "LowRankAdapter":
        """An adapter like this one, of another low-rank change."""
        other = clone(self)
        other.settings_, other.kept_, other.change_ = replace(self.settings_, method="low-rank"), "low-rank", change
        other.report_, other.verdict_ = self.report_, self.verdict_
        other._become(self.domain_)
        return other

    def _serves(self, rows: np.ndarray) -> np.ndarray:
        served = super()._serves(rows)
        return served if served.all() or not len(self.users_) else served | (self.user_factors_[rows] != 0).any(axis=1)

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return self.domain_.fold(matrix, self.item_factors_, self._reg_fold(), tower=self._tower_now())
