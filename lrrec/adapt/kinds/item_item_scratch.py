"""ItemItemScratch: item-item weights of the target alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain import Domain, check_ranks
from lrrec.adapt.kinds.factor_adapter import check_auto_real
from lrrec.adapt.kinds.item_features import content_weight, n_directions
from lrrec.adapt.kinds.item_item_adapter import AFFORDABLE, CONTENTS, REGS, ItemItem
from lrrec.adapt.search_rules import SearchRules
from lrrec.linalg.item_item_weights import FactoredGram, GramMatrix, multiplications


class ItemItemScratch(ItemItem):
    """`EASE` of the target alone: `ItemItem` with weight 0.

    Parameters
    ----------
    reg : float or "auto", default "auto"
        Regularization, > 0, in interactions. "auto", here and below, is for an `AdapterSelector` to choose.
    content : float or "auto", default "auto"
        As for `ItemItem`.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import ItemItemScratch
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve", "eve"], ["y", "y", "z"])
    >>> ItemItemScratch(reg=1.0).fit(target, base=base).recommend(["dan"], k=1).items.tolist()
    [['z']]
    """

    name = "item-item scratch"
    uses_base = False
    _search_rules: ClassVar = SearchRules()
    _defaults: ClassVar = {"reg": 10.0, "content": 10.0}

    def __init__(self, *, reg: float | str = "auto", content: float | str = "auto") -> None:
        self.reg = reg
        self.content = content

    def _check_params(self) -> None:
        check_auto_real(self, "reg", "content", zero=("content",))

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "ItemItemScratch")

    label = Adapter.label

    def _settings(self, domain: Domain) -> dict[str, Any]:
        settings = super(ItemItem, self)._settings(domain)
        return settings | {"content": content_weight(settings, domain)}

    def is_affordable(self, domain: Domain) -> bool:
        """Whether one solution takes seconds at most."""
        cost = multiplications(len(domain.active_users) + n_directions(domain), len(domain.items), 0)
        return cost < AFFORDABLE

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {"reg": REGS} | ({} if domain.features is None else {"content": CONTENTS})

    def _shares_inverse(self, domain: Domain, n_users: int) -> bool:
        return False

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        described: np.ndarray = domain.described & self._uses_features
        return described | (counts > 0)

    def _prior(self) -> GramMatrix:
        return FactoredGram(np.zeros((len(self.domain_.items), 0), dtype=np.float32))
