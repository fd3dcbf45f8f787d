"""LowRank: item factors changed by a product of two thin matrices, in closed form."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lrrec.adapt.adapter import Callback, Settings
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.anchored import Anchored
from lrrec.adapt.kinds.closed_form import AlternatingSolver
from lrrec.adapt.search_rules import SearchRules
from lrrec.errors import ParameterError
from lrrec.validate import check_int

RANKS = (1, 2, 4, 8, 16, 32)


class LowRank(Anchored):
    """Change the item factors by A B^T, fitted to the target in closed form.

    Minimises the objective of `Anchored` over V = V0 + A B^T, with V0 (I, D) the base's item factors, A (I, rank) and
    B (D, rank), in alternating steps that start from the leading directions of the change of full rank. The factors of
    items that the base does not know are free. New users are folded in, as with any factor model.

    Parameters
    ----------
    rank : int or "auto", default 8
        Rank of the change. "auto" is for an `AdapterSelector`, which takes the smallest within one standard error of
        the best.
    reg, fold_in_reg, new_item_reg, n_iter, balance, anchor
        As for `Anchored`; n_iter iterations of full rank are followed by n_iter of low rank.

    Notes
    -----
    O(N D^2 + I D R) time an iteration for N target interactions, I items, D factors and rank R. The same for any number
    of threads.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import LowRank
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve"], ["x", "z", "x", "z"])
    >>> adapter = LowRank(rank=2, reg=0.1, fold_in_reg=0.005).fit(target, base=base)
    >>> adapter.change_.A.shape
    (3, 2)
    >>> adapter.recommend_from(Interactions.from_pairs(["gus", "gus"], ["x", "y"]), k=1).items.tolist()
    [['z']]
    """

    name = "low-rank"
    low_rank = True
    _defaults: ClassVar = {**Anchored._defaults, "rank": RANKS[-1]}
    _search_rules: ClassVar = SearchRules(
        starts_from={**Anchored._search_rules.starts_from, "reg": "anchored", "new_item_reg": "anchored"},
        one_standard_error={"rank": "lowest"},
    )

    def __init__(
        self,
        rank: int | str = 8,
        *,
        reg: float | str = "auto",
        fold_in_reg: float | str | None = "auto",
        new_item_reg: float | str = "auto",
        n_iter: int = 3,
        balance: float = 0.5,
        anchor: str = "constant",
    ) -> None:
        super().__init__(
            reg=reg, fold_in_reg=fold_in_reg, new_item_reg=new_item_reg, n_iter=n_iter, balance=balance, anchor=anchor
        )
        self.rank = rank

    def _check_params(self) -> None:
        super()._check_params()
        check_rank(self.rank)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {**super()._grids(domain), "rank": ranks_below(domain.item_factors.shape[1])}

    def _settings(self, domain: Domain) -> Settings:
        settings = super()._settings(domain)
        return settings | {"rank": min(settings["rank"], domain.item_factors.shape[1])}

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        solver = AlternatingSolver(self.domain_, users, self.params_)
        solver.alternate(self.n_iter)
        solver.reduce_rank(self.params_["rank"])
        solver.alternate(self.n_iter, callback)
        self.change_ = solver.change()


def ranks_below(n_factors: int) -> list[int]:
    """Ranks to try that are smaller than the largest, which is n_factors at most."""
    return [rank for rank in RANKS if rank < min(RANKS[-1], n_factors)]


def check_rank(rank: Any) -> None:
    """Refuse what is neither a rank nor "auto"."""
    if not isinstance(rank, str):
        check_int(rank, "rank", low=1)
    elif rank != "auto":
        raise ParameterError(f"rank must be an integer >= 1 or 'auto', got {rank!r}")
