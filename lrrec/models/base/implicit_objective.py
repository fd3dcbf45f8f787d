"""ImplicitObjective: the objective of implicit ALS, from the parameters of a model."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.implicit_als import Objective
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.validate import check_option, check_real


class ImplicitObjective:
    """What `QuadraticModel` needs to know of the objective, by the parameters that `IALS` documents."""

    objective: str
    confidence: str
    alpha: Any
    unobserved_weight: Any
    reg: Any
    reg_exponent: Any

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
        unobserved_weight = check_real(self.unobserved_weight, "unobserved_weight", low=0, open_low=True)
        return Objective(
            unobserved_weight=1.0 if hu else unobserved_weight,
            reg=check_real(self.reg if reg is None else reg, "reg", low=0, open_low=True),
            reg_exponent=check_real(self.reg_exponent, "reg_exponent", low=0),
            offset=1.0 if hu else 0.0,
            reg_unobserved=not hu,
        )


def likes_of(matrix: sp.csr_array) -> np.ndarray | None:
    """Which entries are likes, (n_entries,); None if all are."""
    likes: np.ndarray = matrix.data > 0
    return None if likes.all() else likes
