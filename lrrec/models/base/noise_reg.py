"""NoiseReg: a regularization that may be "auto", by how much of the matrix may be noise."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.noise import reg_of_noise
from lrrec.models.base.auto_params import NOT_AUTO, AutoParams
from lrrec.validate import warn


class NoiseReg(AutoParams):
    """A model that minimises |X - U V^T|^2 + reg (|U|^2 + |V|^2), where reg may be "auto"; see `reg_of_noise`."""

    _auto: ClassVar[dict[str, tuple[float, float]]] = {"reg": (0.0, float(np.finfo(np.float32).max))}

    _needs_reg: ClassVar[bool] = True  # whether 0 is refused

    reg: Any
    reg_: np.ndarray = NOT_AUTO

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        squares = np.square(matrix.data, dtype=np.float64)
        return reg_of_noise(sp.csr_array((squares, matrix.indices, matrix.indptr), shape=matrix.shape))

    def _warn_if_nothing_is_left(self, item_factors: np.ndarray) -> None:
        if not item_factors.any():
            warn(f"all factors of {type(self).__name__} are 0, and so are all scores: lower reg, {self._own_reg():g}")

    def _own_reg(self) -> float:
        return self._number("reg", low=0, open_low=self._needs_reg)
