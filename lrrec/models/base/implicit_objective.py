"""ImplicitObjective: the objective of implicit ALS, from the parameters of a model."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError
from lrrec.linalg.implicit_als import Objective
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.validate import check_option, check_real

UNKNOWN = np.zeros(0)
UNKNOWN.flags.writeable = False
AUTO_SCALE = 4.0  # near the best on eight data sets of movies, shops, papers and check-ins, with shares of .002 to .13


class ImplicitObjective:
    """What `QuadraticModel` needs to know of the objective, by the parameters that `IALS` documents."""

    objective: str
    confidence: str
    alpha: Any
    unobserved_weight: Any
    reg: Any
    reg_exponent: Any
    unobserved_weight_: np.ndarray = UNKNOWN

    @property
    def _is_auto(self) -> bool:
        return isinstance(self.unobserved_weight, str) and self.unobserved_weight == "auto"

    def _chosen_params(self, matrix: sp.csr_array) -> dict[str, Any]:
        if self.objective == "hu" or not self._is_auto:
            return {}
        return {"unobserved_weight": min(1.0, AUTO_SCALE * shared_users(matrix))}

    def _choose_unobserved_weight(self, matrix: sp.csr_array) -> None:
        """Set what "auto" means for a training matrix."""
        if chosen := self._chosen_params(matrix):
            self.unobserved_weight_ = np.array([chosen["unobserved_weight"]])

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
        value = self.unobserved_weight
        if self._is_auto:
            return 1.0 if hu else float(self.unobserved_weight_[0])
        if isinstance(value, str):
            raise ParameterError(f"unobserved_weight must be a number > 0 or 'auto', got {value!r}")
        weight = check_real(value, "unobserved_weight", low=0, open_low=True)
        return 1.0 if hu else weight


def shared_users(matrix: sp.csr_array) -> float:
    """The share of users who like the item of a like, in the mean over likes: the density that a like sees."""
    likes = matrix.data > 0
    counts = np.bincount(matrix.indices[likes], minlength=matrix.shape[1]).astype(np.float64)
    active = np.count_nonzero(np.diff(matrix.indptr))
    return float((counts @ counts) / max(counts.sum() * active, 1.0))


def likes_of(matrix: sp.csr_array) -> np.ndarray | None:
    """Which entries are likes, (n_entries,); None if all are."""
    likes: np.ndarray = matrix.data > 0
    return None if likes.all() else likes
