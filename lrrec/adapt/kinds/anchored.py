"""Anchored: item factors of full rank, with an L2 penalty toward the base's."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from lrrec.adapt.adapter import Callback
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.change import Change
from lrrec.adapt.kinds.closed_form import ANCHORS, AlternatingSolver, fit_to_scores
from lrrec.adapt.kinds.factor_adapter import FactorAdapter, check_auto_real, check_quadratic
from lrrec.adapt.kinds.fold_in import fold_in_grid
from lrrec.adapt.search_rules import SearchRules
from lrrec.validate import check_int, check_option, check_real

REGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Anchored(FactorAdapter):
    """Fit the item factors V to the target in closed form, with a penalty toward the base's, V0.

    Minimises over U and V, in alternating steps,

        sum_u c_u [loss_u(V u_u) + lam_u |u_u|^2] + t sum_i |v_i - v0_i|^2

    with the base's own loss; see `lrrec.adapt.kinds.closed_form.AlternatingSolver`. Items that the base does not know
    have another penalty, `new_item_reg`.

    Parameters
    ----------
    reg : float or "auto", default "auto"
        Anchor strength: the L2 penalty toward the base's factors, > 0, in interactions: 1 weighs as much as one
        interaction. Typical: 0.1 to 30. "auto", here and below, is for an `AdapterSelector` to choose.
    fold_in_reg : float, None or "auto", default "auto"
        Regularization of users, in the place of the base's own; None keeps that.
    new_item_reg : float or "auto", default "auto"
        As reg, for items that the base does not know.
    n_iter : int, default 3
        Alternations of items and users.
    balance : float, default 0.5
        A user of n interactions has weight n^-balance: 0 counts interactions, 1 users.
    anchor : {"constant", "precision"}, default "constant"
        Whether the penalty is the same for all items, or proportional to the base's `item_precision_`. The two came
        out equal where they were measured.

    Notes
    -----
    O(N D^2 + I D^2) time an iteration for N target interactions, I items and D factors. The same for any number of
    threads.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Anchored
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve"], ["x", "z", "x", "z"])
    >>> adapter = Anchored(reg=0.1, fold_in_reg=None).fit(target, base=base)
    >>> adapter.recommend_from(Interactions.from_pairs(["gus", "gus"], ["x", "y"]), k=1).items.tolist()
    [['z']]
    """

    name = "anchored"
    _defaults: ClassVar = {"reg": 1.0, "fold_in_reg": None, "new_item_reg": 1.0}
    _search_rules: ClassVar = SearchRules(starts_from={"fold_in_reg": "fold-in"})

    def __init__(
        self,
        *,
        reg: float | str = "auto",
        fold_in_reg: float | str | None = "auto",
        new_item_reg: float | str = "auto",
        n_iter: int = 3,
        balance: float = 0.5,
        anchor: str = "constant",
    ) -> None:
        self.reg = reg
        self.fold_in_reg = fold_in_reg
        self.new_item_reg = new_item_reg
        self.n_iter = n_iter
        self.balance = balance
        self.anchor = anchor

    def _check_params(self) -> None:
        check_auto_real(self, "reg", "new_item_reg")
        check_auto_real(self, "fold_in_reg", allow_none=("fold_in_reg",), zero=("fold_in_reg",))
        check_int(self.n_iter, "n_iter", low=1)
        check_real(self.balance, "balance", low=0, high=2)
        check_option(self.anchor, "anchor", ANCHORS)

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        super()._check_base(base, same_users=same_users, source=source)
        check_quadratic(base, type(self).__name__)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        old = {"reg": REGS} if domain.in_base.any() else {}
        new = {} if domain.in_base.all() else {"new_item_reg": REGS}
        return {**old, **new, "fold_in_reg": fold_in_grid(domain)}

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        solver = AlternatingSolver(self.domain_, users, self.params_)
        solver.alternate(self.n_iter, callback)
        self.change_ = Change.replace_all(solver.item_factors())

    def _fit_scores(self, domain: Domain, targets: Any, n_iter: int) -> Self:
        self.domain_, self.base_, self.params_ = domain, domain.base, self._settings(domain)
        self.change_ = fit_to_scores(domain, self.params_, targets, n_iter)
        return self
