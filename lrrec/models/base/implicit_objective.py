"""ImplicitObjective: the objective of implicit ALS, from the parameters of a model."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.implicit_als import Objective
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.models.base.auto_params import NOT_AUTO, AutoParams, shared_users
from lrrec.validate import check_option, check_real

AUTO_SCALE = 4.0  # near the best on eight data sets of movies, shops, papers and check-ins, with shares of .002 to .13


class ImplicitObjective(AutoParams):
    """What `QuadraticModel` needs to know of the objective, by the parameters that `IALS` documents."""

    objective: str
    confidence: str
    alpha: Any
    unobserved_weight: Any
    reg: Any
    reg_exponent: Any
    unobserved_weight_: np.ndarray = NOT_AUTO
    _auto: ClassVar[dict[str, tuple[float, float]]] = {"unobserved_weight": (0.0, 1.0)}

    def _is_auto(self, name: str) -> bool:
        return self.objective != "hu" and super()._is_auto(name)

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        return min(1.0, AUTO_SCALE * shared_users(matrix))

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        return self._objective().quadratic_loss(self._weights(matrix), likes=likes_of(matrix))

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        return self._objective(reg).penalties(matrix)

    def _weights(self, matrix: sp.csr_array) -> sp.csr_array:
        """The weights w of the objective: alpha * |value|; minus 1 with "hu" and confidence "alpha r"."""
        alpha = check_real(self.alpha, "alpha", low=0, open_low=True)
        less = 1 if self.objective == "hu" and self.confidence == "alpha r" else 0
        dislikes = likes_of(matrix) is not None
        if alpha == 1 and not less and not dislikes:
            return matrix
        values = np.abs(matrix.data) if dislikes else matrix.data
        data = (values * np.float32(alpha)) - np.float32(less)
        return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def _objective(self, reg: float | None = None) -> Objective:
        """The constants of the objective, checked; with `reg` instead of the model's own where it is passed."""
        hu = check_option(self.objective, "objective", ("rendle", "hu")) == "hu"
        check_option(self.confidence, "confidence", ("1 + alpha r", "alpha r"))
        return Objective(
            unobserved_weight=self._checked_unobserved_weight(hu=hu),
            reg=check_real(self.reg if reg is None else reg, "reg", low=0, open_low=True),
            reg_exponent=check_real(self.reg_exponent, "reg_exponent", low=0),
            offset=1.0 if hu else 0.0,
            reg_unobserved=not hu,
        )

    def _checked_unobserved_weight(self, *, hu: bool) -> float:
        if hu and super()._is_auto("unobserved_weight"):
            return 1.0
        weight = self._number("unobserved_weight", low=0, open_low=True)
        return 1.0 if hu else weight


def likes_of(matrix: sp.csr_array) -> np.ndarray | None:
    """Which entries are likes, (n_entries,); None if all are."""
    likes: np.ndarray = matrix.data > 0
    return None if likes.all() else likes
