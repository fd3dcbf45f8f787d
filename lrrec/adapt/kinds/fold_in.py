"""FoldIn: no adaptation; the base's item factors serve the target's users."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lrrec.adapt.adapter import Callback
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.change import Change
from lrrec.adapt.kinds.factor_adapter import FactorAdapter, check_auto_real
from lrrec.adapt.search_rules import SearchRules

FOLD_IN_FACTORS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the base's own regularization
FOLD_IN_REGS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # of a base without one


class FoldIn(FactorAdapter):
    """Fold the target's users in to the base as it is: the baseline of every adapter.

    Parameters
    ----------
    fold_in_reg : float, None or "auto", default "auto"
        Regularization of users, in the place of the base's own; None keeps that. "auto" is for an `AdapterSelector`
        to choose, which leaves the base's own unless another is clearly better.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import FoldIn
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve"], ["x", "z"])
    >>> FoldIn(fold_in_reg=None).fit(target, base=base).n_parameters
    0
    """

    name = "fold-in"
    low_rank = True  # of rank 0
    _defaults: ClassVar = {"fold_in_reg": None}
    _search_rules: ClassVar = SearchRules(keeps_default=True)

    def __init__(self, *, fold_in_reg: float | str | None = "auto") -> None:
        self.fold_in_reg = fold_in_reg

    def _check_params(self) -> None:
        check_auto_real(self, "fold_in_reg", allow_none=("fold_in_reg",), zero=("fold_in_reg",))

    def _can_serve_group(self, domain: Domain, *, history: bool) -> bool:
        return super()._can_serve_group(domain, history=history) and bool(domain.in_base.any())

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {} if domain.encoder or not domain.in_base.any() else {"fold_in_reg": fold_in_grid(domain)}

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        self.change_ = Change.nothing(*self.domain_.item_factors.shape)


def fold_in_grid(domain: Domain) -> list[float]:
    """Regularizations of users to try."""
    reg = domain.base_reg
    return [reg * factor for factor in FOLD_IN_FACTORS] if reg else list(FOLD_IN_REGS)
