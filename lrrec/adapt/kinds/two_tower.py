"""Adapters of a two-tower base (NeuralMF): changes of both towers, trained in torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone

from lrrec.adapt.adapter import Callback, Settings, is_auto
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.factor_adapter import FactorAdapter, check_auto_real
from lrrec.adapt.kinds.low_rank import RANKS, check_rank, ranks_below
from lrrec.adapt.search_rules import SearchRules
from lrrec.errors import ParameterTypeError
from lrrec.models.neural.neural_mf import NeuralMF
from lrrec.typing import RandomState
from lrrec.validate import check_bool, check_int, check_real, check_rng

LEARNING_RATES = (0.01, 0.03)
EPOCHS = (5, 10, 20, 40, 80)
REGS = (1.0, 3.0, 10.0)
PATH = ("n_epochs", "shrinkage")
SHRINKAGES = (0.0, 0.1, 0.2)  # more costs accuracy on the target; 0.2 forgets a third less of the source


class TowerAdapter(FactorAdapter):
    """What the adapters of a two-tower base share; see `LowRankTowers`."""

    n_epochs: int | str
    balance: float
    random_state: RandomState

    _uses_all_threads = True  # torch does
    _search_rules: ClassVar = SearchRules(path=PATH, one_standard_error={"shrinkage": "highest"})
    _defaults: ClassVar = {"reg": 1.0, "learning_rate": 0.01, "n_epochs": 20, "shrinkage": 0.0}

    def _check_params(self) -> None:
        params = self.get_params()
        check_auto_real(self, *(name for name in ("reg", "learning_rate") if name in params))
        check_auto_real(self, *(name for name in ("source_weight",) if name in params), zero=("source_weight",))
        if not is_auto(self.n_epochs):
            check_int(self.n_epochs, "n_epochs", low=1)
        if not is_auto(params.get("shrinkage", "auto")):
            check_real(params["shrinkage"], "shrinkage", low=0, high=1)
        check_real(self.balance, "balance", low=0, high=2)
        check_bool(params.get("adapt_encoder", True), "adapt_encoder")

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        super()._check_base(base, same_users=same_users, source=source)
        if not isinstance(base, NeuralMF):
            raise ParameterTypeError(f"base must be a NeuralMF for {type(self).__name__}, got {type(base).__name__}")

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {"learning_rate": LEARNING_RATES, "reg": REGS, "n_epochs": EPOCHS, "shrinkage": SHRINKAGES}

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        *_, (_, fitted) = self._fit_path(self.domain_, users, {})
        self.change_ = fitted.change_

    def _fit_path(
        self, domain: Domain, users: np.ndarray, path: Mapping[str, Sequence[Any]]
    ) -> Iterator[tuple[Settings, Self]]:
        """One training gives the change after several numbers of epochs, and each change with several shrinkages."""
        from lrrec.adapt.kinds.tower_training import train_changes

        settings = self._settings(domain)
        seed = int(check_rng(self.random_state).integers(2**31))
        epochs = path.get("n_epochs", [settings["n_epochs"]])
        for n_epochs, change in train_changes(domain, users, self.name, {**settings, "seed": seed}, epochs):
            for shrinkage in path.get("shrinkage", [settings.get("shrinkage", 0.0)]):
                fitted = clone(self)
                fitted.domain_, fitted.base_, fitted.params_ = domain, domain.base, settings
                scaled = change.scaled(1 - shrinkage, domain.item_factors, domain.encoder) if shrinkage else change
                fitted.change_ = scaled
                values = {"n_epochs": n_epochs, "shrinkage": shrinkage}
                yield {name: value for name, value in values.items() if name in path}, fitted


class FullRankTowers(TowerAdapter):
    """Fine-tune both towers of a two-tower base, with an L2 penalty toward the base's weights.

    Parameters
    ----------
    reg, learning_rate, n_epochs, shrinkage, source_weight, adapt_encoder, balance, random_state
        As for `LowRankTowers`.

    Examples
    --------
    >>> import lrrec
    >>> from lrrec.adapt import FullRankTowers
    >>> likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> source, target = likes.filter(likes.rows() >= 60), likes.filter(likes.rows() < 60)
    >>> base = lrrec.NeuralMF(n_factors=8, n_hidden=16, n_epochs=1, random_state=0).fit(source)
    >>> adapter = FullRankTowers(reg=1.0, learning_rate=0.01, n_epochs=1, shrinkage=0.0, random_state=0)
    >>> adapter.fit(target, base=base).item_factors_.shape
    (319, 9)
    """

    name = "anchored"

    def __init__(
        self,
        *,
        reg: float | str = "auto",
        learning_rate: float | str = "auto",
        n_epochs: int | str = "auto",
        shrinkage: float | str = "auto",
        source_weight: float = 1.0,
        adapt_encoder: bool = True,
        balance: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.reg = reg
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.shrinkage = shrinkage
        self.source_weight = source_weight
        self.adapt_encoder = adapt_encoder
        self.balance = balance
        self.random_state = random_state


class LowRankTowers(FullRankTowers):
    """Change both towers of a two-tower base by low-rank matrices, trained in torch with the base's own loss.

    Minimises over the changes D = A B^T of the towers' weights

        sum_u c_u loss_u  +  reg * (mean |u|^2 before adaptation) * sum_layers |D|_F^2
        + source_weight * (mean loss of the source's users, where `fit` is given the source)

    The items' biases, and the vectors of items that the base does not know, are trained without a limit of rank.

    Parameters
    ----------
    rank : int or "auto", default 8
        Rank of the change of the item vectors; hidden layers change at the same share of their width. "auto", here
        and below, is for an `AdapterSelector` to choose.
    reg : float or "auto", default "auto"
        Penalty on the changes, > 0. Typical: 1 to 10.
    learning_rate : float or "auto", default "auto"
        Typical: 0.003 to 0.03.
    n_epochs : int or "auto", default "auto"
        Passes over the target's users.
    shrinkage : float in [0, 1] or "auto", default "auto"
        The share of the change that is taken back after training. "auto" takes the highest, up to 0.2, within one
        standard error of the best on the target: a fifth forgets a third less of the source.
    source_weight : float, default 1.0
        Weight of the source's loss, where `fit` is given the source.
    adapt_encoder : bool, default True
        Whether the encoder of histories changes too, or the item factors alone.
    balance : float, default 0.5
        A user of n interactions has weight n^-balance.
    random_state : int, Generator or None, default None

    References
    ----------
    Hu et al. (2022), "LoRA: low-rank adaptation of large language models", arXiv:2106.09685.

    Examples
    --------
    >>> import lrrec
    >>> from lrrec.adapt import LowRankTowers
    >>> likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> source, target = likes.filter(likes.rows() >= 60), likes.filter(likes.rows() < 60)
    >>> base = lrrec.NeuralMF(n_factors=8, n_hidden=16, n_epochs=1, random_state=0).fit(source)
    >>> adapter = LowRankTowers(rank=2, reg=1.0, learning_rate=0.01, n_epochs=1, shrinkage=0.0, random_state=0)
    >>> adapter.fit(target, base=base).item_factors_.shape
    (319, 9)
    """

    name = "low-rank"
    low_rank = True
    _defaults: ClassVar = {**FullRankTowers._defaults, "rank": RANKS[-1]}
    _search_rules: ClassVar = SearchRules(path=PATH, one_standard_error={"shrinkage": "highest", "rank": "lowest"})

    def __init__(
        self,
        rank: int | str = 8,
        *,
        reg: float | str = "auto",
        learning_rate: float | str = "auto",
        n_epochs: int | str = "auto",
        shrinkage: float | str = "auto",
        source_weight: float = 1.0,
        adapt_encoder: bool = True,
        balance: float = 0.5,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            reg=reg, learning_rate=learning_rate, n_epochs=n_epochs, shrinkage=shrinkage, source_weight=source_weight,
            adapt_encoder=adapt_encoder, balance=balance, random_state=random_state,
        )  # fmt: skip
        self.rank = rank

    def _check_params(self) -> None:
        super()._check_params()
        check_rank(self.rank)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {**super()._grids(domain), "rank": ranks_below(domain.item_factors.shape[1] - 1)}

    def _settings(self, domain: Domain) -> Settings:
        settings = super()._settings(domain)
        return settings | {"rank": min(settings["rank"], domain.item_factors.shape[1] - 1)}


class ScratchTowers(TowerAdapter):
    """Towers of the base's sizes, trained on the target alone; the base's weights are not used.

    Parameters
    ----------
    learning_rate, n_epochs, balance, random_state
        As for `LowRankTowers`.

    Examples
    --------
    >>> import lrrec
    >>> from lrrec.adapt import ScratchTowers
    >>> likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> source, target = likes.filter(likes.rows() >= 60), likes.filter(likes.rows() < 60)
    >>> base = lrrec.NeuralMF(n_factors=8, n_hidden=16, n_epochs=1, random_state=0).fit(source)
    >>> adapter = ScratchTowers(learning_rate=0.01, n_epochs=1, random_state=0).fit(target, base=base)
    >>> adapter.item_factors_.shape
    (319, 9)
    """

    name = "scratch"
    uses_base = False
    _search_rules: ClassVar = SearchRules(path=PATH)

    def __init__(
        self,
        *,
        learning_rate: float | str = "auto",
        n_epochs: int | str = "auto",
        balance: float = 0.5,
        random_state: Any = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_epochs = n_epochs
        self.balance = balance
        self.random_state = random_state

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return (counts > 0) & self.item_factors_.any(axis=1)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {"learning_rate": LEARNING_RATES, "n_epochs": EPOCHS}
