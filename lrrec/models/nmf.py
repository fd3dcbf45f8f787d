"""NMF: non-negative matrix factorization."""

from functools import partial
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.dense import gram
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.linalg.sparse import times
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.models.base.alternating_model import AlternatingModel
from lrrec.models.base.iterative import Monitor
from lrrec.models.base.noise_reg import NoiseReg
from lrrec.typing import RandomState
from lrrec.validate import check_int, check_real, check_rng, check_threads


class NMF(NoiseReg, AlternatingModel):
    """Non-negative matrix factorization: an item's factors read as its share in each of n_factors themes.

    Minimises |X - U V^T|_F^2 + reg (|U|_F^2 + |V|_F^2) over U, V >= 0; all cells have the same weight.

    Parameters
    ----------
    n_factors : int, default 128
        Rank. Fewer, 8 to 32, for themes to read.
    reg : float or "auto", default "auto"
        Regularization, > 0. Every singular value of U V^T is about reg smaller than without it, so that "auto" is
        three quarters of what noise alone would have: 0.75 (sqrt(S / n_users) + sqrt(S / n_items)), S the sum of the
        squares of all values, at most half of the largest norm of a row or column.
    n_iter : int, default 30
        Iterations; one updates all users, then all items.
    cd_steps : int, default 3
        Coordinate-descent steps over a row's factors in each iteration.
    random_state : int, Generator or None, default None
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
    item_factors_ : ndarray of float32, shape (n_items, n_factors)
    reg_ : ndarray of float64, shape (1,)
        The number chosen for "auto"; empty without it.

    Notes
    -----
    O(N D + (U + I) D^2) time an iteration. Fold-in and the final user factors run the same coordinate descent from 0
    to convergence.

    References
    ----------
    Lee & Seung (1999); Cichocki & Phan (2009), "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations" (coordinate descent, HALS).

    Examples
    --------
    >>> from lrrec import NMF, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> NMF(n_factors=2, random_state=0).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    _learned = (*AlternatingModel._learned, "reg_")

    tuning_space: ClassVar[dict[str, Any] | None] = {"n_factors": (8, 256, "log"), "reg": (0.1, 30.0, "log")}

    def __init__(
        self,
        n_factors: int = 128,
        *,
        reg: float | str = "auto",
        n_iter: int = 30,
        cd_steps: int = 3,
        random_state: RandomState = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.reg = reg
        self.n_iter = n_iter
        self.cd_steps = cd_steps
        self.random_state = random_state
        self.n_threads = n_threads

    def _iterate(self, matrix: sp.csr_array, monitor: Monitor) -> None:
        D, cd_steps = check_int(self.n_factors, "n_factors", low=1), check_int(self.cd_steps, "cd_steps", low=1)
        rng = check_rng(self.random_state)
        transposed, chosen = matrix.T.tocsr(), self._unlearned()
        chosen._choose(matrix)
        scale = np.sqrt(matrix.data.mean(dtype=np.float64) * matrix.nnz / (matrix.shape[0] * matrix.shape[1]) / D)
        V = np.abs(rng.standard_normal((matrix.shape[1], D), dtype=np.float32)) * np.float32(scale)
        V[np.diff(transposed.indptr) == 0] = 0
        U = np.full((matrix.shape[0], D), scale, dtype=np.float32)
        for _ in monitor:
            U = chosen._solve(matrix, V, U, cd_steps)
            V = chosen._solve(transposed, U, V, cd_steps)
            monitor.record({"item_factors_": V} | chosen._chosen_arrays(), partial(chosen._loss, matrix, U, V))
        chosen._warn_if_nothing_is_left(V)

    def _loss(self, matrix: sp.csr_array, U: np.ndarray, V: np.ndarray) -> float:
        """Return the value of the objective, in double precision."""
        squares = sum(float(np.square(array, dtype=np.float64).sum()) for array in (U, V))
        constant = float(np.square(matrix.data, dtype=np.float64).sum())
        return self._quadratic_loss(matrix).loss(U, V) + constant + self._own_reg() * squares

    def _fold_in(self, matrix: sp.csr_array, V: np.ndarray, lam: np.ndarray) -> np.ndarray:
        init = np.zeros((matrix.shape[0], V.shape[1]), dtype=np.float32)
        return self._solve(matrix, V, init, cd_steps=1000, lam=lam)

    def _shares(
        self, matrix: sp.csr_array, V: np.ndarray, reg: float | None, column: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        """By the user's positive factors: they solve the ridge problem of their own, as the others stay 0."""
        positive = self._fold_in(matrix, V, self._penalties(matrix, reg))[0] > 0
        return super()._shares(matrix, V[:, positive], reg, column)

    def _solve_items(self, columns: sp.csr_array, items: np.ndarray, U: np.ndarray) -> None:
        self.item_factors_[items] = self._fold_in(columns, U, self._penalties(columns, None))

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        zeros = sp.csr_array((np.zeros_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
        return QuadraticLoss(1.0, zeros, matrix.data)

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        reg = self._own_reg() if reg is None else check_real(reg, "reg", low=0, open_low=True)
        return np.full(matrix.shape[0], reg, dtype=np.float32)

    def _solve(
        self, matrix: sp.csr_array, Y: np.ndarray, init: np.ndarray, cd_steps: int, lam: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows of non-negative factors against Y, by coordinate descent from `init`."""
        lam = self._penalties(matrix, None) if lam is None else lam
        n_threads = check_threads(self.n_threads)
        B, G, X = times(matrix, Y, n_threads=n_threads), gram(Y, n_threads).astype(np.float32), init.copy()

        def work(start: int, stop: int) -> None:
            kernels.nonnegative_rows(start, stop, B, G, lam, cd_steps, np.float32(1e-6), X)

        run_blocks(work, even_blocks(len(X), max(64, len(X) // 64)), n_threads)
        return X
