"""ImplicitObjective: the objective of implicit ALS, from the parameters of a model."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.implicit_als import Objective
from lrrec.linalg.noise import reg_of_noise
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.models.base.auto_params import NOT_AUTO, AutoParams, shared_users
from lrrec.validate import check_option, check_real

AUTO_SCALE = 4.0  # near the best on eight data sets of movies, shops, papers and check-ins, with shares of .002 to .13
LOWEST_REG = 0.005
OBJECTIVES = ("rendle", "hu")
CONFIDENCES = ("1 + alpha r", "alpha r")


class ImplicitObjective(AutoParams):
    """What `QuadraticModel` needs to know of the objective, by the parameters that `IALS` documents."""

    objective: str
    confidence: str
    alpha: Any
    unobserved_weight: Any
    reg: Any
    reg_exponent: Any
    unobserved_weight_: np.ndarray = NOT_AUTO
    reg_: np.ndarray = NOT_AUTO
    _auto: ClassVar[dict[str, tuple[float, float]]] = {
        name: (0.0, float(np.finfo(np.float64).max)) for name in ("unobserved_weight", "reg")
    }

    @property
    def _is_hu(self) -> bool:
        return check_option(self.objective, "objective", OBJECTIVES) == "hu"

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        if self._is_hu:
            return LOWEST_REG if name == "reg" else 1.0
        return self._reg_of_noise(matrix) if name == "reg" else self._weight_of_shares(matrix)

    def _weight_of_shares(self, matrix: sp.csr_array) -> float:
        return min(1.0, AUTO_SCALE * shared_users(matrix)) * self._mean_weight(matrix)

    def _reg_of_noise(self, matrix: sp.csr_array) -> float:
        """The reg by which a user of mean frequency has the penalty that keeps noise out, or LOWEST_REG if more.

        Both in units of the weights, so that a model does not depend on the unit of the values.
        """
        auto = self._is_auto("unobserved_weight")
        a = self._weight_of_shares(matrix) if auto else self._number("unobserved_weight", low=0, open_low=True)
        nu = check_real(self.reg_exponent, "reg_exponent", low=0)
        weights, likes = self._weights(matrix), likes_of(matrix)
        n_active = max(int(np.count_nonzero(np.diff(matrix.indptr))), 1)
        mean = float(weights.data.sum(dtype=np.float64)) / n_active
        frequency = max(np.float64(mean + a * matrix.shape[1]), np.finfo(np.float64).tiny)
        if likes is not None:
            weights = sp.csr_array((weights.data * likes, matrix.indices, matrix.indptr), shape=matrix.shape)
        noise = np.sqrt(a) * reg_of_noise(weights)
        with np.errstate(over="ignore"):
            return float(max(LOWEST_REG * frequency, noise) / frequency**nu)

    def _mean_weight(self, matrix: sp.csr_array) -> float:
        """The mean weight of a like; 1 where there is none."""
        weights, likes = self._weights(matrix).data, likes_of(matrix)
        n_likes = len(weights) if likes is None else np.count_nonzero(likes)
        total = weights.sum(dtype=np.float64, where=True if likes is None else likes)
        return float(total) / n_likes if n_likes else 1.0

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        return self._objective().quadratic_loss(self._weights(matrix), likes=likes_of(matrix))

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        return self._objective(reg).penalties(self._weights(matrix))

    def _weights(self, matrix: sp.csr_array) -> sp.csr_array:
        """The weights w of the objective: alpha * |value|; minus 1 with "hu" and confidence "alpha r"."""
        alpha = check_real(self.alpha, "alpha", low=0, open_low=True)
        less = 1 if self._is_hu and check_option(self.confidence, "confidence", CONFIDENCES) == "alpha r" else 0
        dislikes = likes_of(matrix) is not None
        if alpha == 1 and not less and not dislikes:
            return matrix
        values = np.abs(matrix.data) if dislikes else matrix.data
        data = (values * np.float32(alpha)) - np.float32(less)
        return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def _objective(self, reg: float | None = None) -> Objective:
        """The constants of the objective, checked; with `reg` instead of the model's own where it is passed."""
        hu = self._is_hu
        check_option(self.confidence, "confidence", CONFIDENCES)
        weight = self._number("unobserved_weight", low=0, open_low=True)
        own = self._number("reg", low=0, open_low=True) if reg is None else reg
        return Objective(
            unobserved_weight=1.0 if hu else weight,
            reg=check_real(own, "reg", low=0, open_low=True),
            reg_exponent=check_real(self.reg_exponent, "reg_exponent", low=0),
            offset=1.0 if hu else 0.0,
            reg_unobserved=not hu,
        )


def likes_of(matrix: sp.csr_array) -> np.ndarray | None:
    """Which entries are likes, (n_entries,); None if all are."""
    likes: np.ndarray = matrix.data > 0
    return None if likes.all() else likes
