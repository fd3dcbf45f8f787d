"""Scratch: a model of the base's class, fitted to the target alone."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Callback
from lrrec.adapt.domain import BaseUsers, Domain
from lrrec.adapt.kinds.change import Change
from lrrec.adapt.kinds.factor_adapter import FactorAdapter, check_auto_real, check_quadratic
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions

FACTORS = (0.3, 1.0, 3.0, 10.0)  # of the base's own regularization


class Scratch(FactorAdapter):
    """Item factors of the base's class and parameters, fitted to the target alone; the base's factors are not used.

    Parameters
    ----------
    reg : float, None or "auto", default "auto"
        Regularization of the fit, in the place of the base's own; None keeps that. "auto" is for an
        `AdapterSelector` to choose.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Scratch
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve"], ["x", "z", "x"])
    >>> Scratch(reg=None).fit(target, base=base).recommend(["eve"], k=1).items.tolist()
    [['z']]
    """

    name = "scratch"
    uses_base = False
    serves_without_history = False  # the base's user factors mean nothing here
    _defaults: ClassVar = {"reg": None}

    def __init__(self, *, reg: float | str | None = "auto") -> None:
        self.reg = reg

    def _check_params(self) -> None:
        check_auto_real(self, "reg", allow_none=("reg",))

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        super()._check_base(base, same_users=same_users, source=source)
        check_quadratic(base, type(self).__name__)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        reg = domain.base_reg
        return {"reg": [reg * factor for factor in FACTORS]} if reg else {}

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return (counts > 0) & self.item_factors_.any(axis=1)

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        model = self.domain_.base._as_objective()  # the one that folds users in
        reg = self.domain_.base_reg if self.params_["reg"] is None else self.params_["reg"]
        params = {"reg": reg, "random_state": 0}
        model.set_params(**{name: value for name, value in params.items() if name in model.get_params()})
        data = self.domain_.data
        target = Interactions(data.matrix[users], IdMap(data.users.ids[users]), data.items)
        self.change_ = Change.replace_all(model.fit(target).item_factors_)

    def _encode_around(self, matrix: sp.csr_array, known: BaseUsers | None) -> np.ndarray:
        return super()._encode_around(matrix, None)
