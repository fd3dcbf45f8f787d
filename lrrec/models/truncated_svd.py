"""TruncatedSVD: the best low-rank approximation of the matrix, zeros included, with smaller singular values."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError
from lrrec.linalg.dense import eigh, gram, kept, product
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.linalg.sparse import power, scaled, times
from lrrec.linalg.svd import randomized_svd, truncated_svd
from lrrec.models.base.noise_reg import NoiseReg
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.typing import RandomState
from lrrec.validate import check_int, check_option, check_real, check_threads

SINGULAR = 1e-6  # eigenvalues up to this share of the largest are rounding errors


class TruncatedSVD(NoiseReg, QuadraticModel):
    """Score by a low-rank approximation of the matrix, from its singular value decomposition.

    Minimises

        |Z - U V^T|_F^2 + reg (|U|_F^2 + |V|_F^2)

    over factors of rank n_factors, where Z = D_u^-p X D_i^-q, with D_u and D_i the numbers of interactions of users and
    items; scores are U V^T D_i^r. At the minimum U V^T has the singular vectors of Z, and its singular values less reg;
    those below reg are dropped. With reg = 0 it is PureSVD, the projection of users' rows onto the singular vectors.

    Parameters
    ----------
    n_factors : int, default 256
        Rank, at most. Typical: 64 to 512; 20 to 200 with reg = 0.
    reg : float or "auto", default "auto"
        By how much singular values are lowered, >= 0. "auto" is three quarters of the largest that noise alone would
        have: 0.75 (sqrt(S / n_users) + sqrt(S / n_items)), S the sum of the squares of Z, at most half of the largest
        norm of a row or column.
    solver : {"randomized", "exact"}, default "randomized"
        Block Krylov with `n_iter` passes, or block Lanczos until every triplet is accurate to `tol`.
    user_power : float, default 0.0
        p: 0.5 gives active users less weight.
    item_power : float, default 0.0
        q: above 0 popular items count less. Typical: 0 to 0.5.
    score_power : float, default 0.0
        r: above 0 popular items are ranked higher. With p = q = r = 0.5 this is the low-rank part of GF-CF.
    n_iter : int, default 4
        Passes of "randomized".
    tol : float, default 0.0001
        Relative residual of "exact".
    random_state : int, Generator or None, default 0
        Of the initial block; the result hardly depends on it.
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
        U; as new users' factors, the minimum of the objective for their rows of Z.
    item_factors_ : ndarray of float32, shape (n_items, n_factors)
        V, rows scaled by D_i^r; the sign of each column is fixed.
    reg_ : ndarray of float64, shape (1,)
        The number chosen for "auto"; empty without it.

    Notes
    -----
    O(N D) time for N interactions a pass, plus O((U + I) D^2). Memory: the matrix twice and the factors.

    References
    ----------
    Cremonesi, Koren & Turrin (2010), "Performance of recommender algorithms on top-n recommendation tasks", sec. 3
    (PureSVD); Mazumder, Hastie & Tibshirani (2010), "Spectral regularization algorithms for learning large incomplete
    matrices", lemmas 1 and 6 (the minimum with reg);
    Shen et al. (2021), "How powerful is graph convolution for recommendation?", arXiv:2108.07567 (GF-CF).

    Examples
    --------
    >>> from lrrec import Interactions, TruncatedSVD
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> TruncatedSVD(n_factors=2).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    _learned = (*QuadraticModel._learned, "reg_")
    _needs_reg = False

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "n_factors": (16, 512, "log"), "reg": (0.1, 30.0, "log"), "user_power": (0.0, 0.5), "item_power": (0.0, 0.5),
        "score_power": (0.0, 0.5),
    }  # fmt: skip

    def __init__(
        self,
        n_factors: int = 256,
        *,
        reg: float | str = "auto",
        solver: str = "randomized",
        user_power: float = 0.0,
        item_power: float = 0.0,
        score_power: float = 0.0,
        n_iter: int = 4,
        tol: float = 1e-4,
        random_state: RandomState = 0,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.reg = reg
        self.solver = solver
        self.user_power = user_power
        self.item_power = item_power
        self.score_power = score_power
        self.n_iter = n_iter
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads

    def _fit(self, matrix: sp.csr_array) -> None:
        k = check_int(self.n_factors, "n_factors", low=1)
        score_power = check_real(self.score_power, "score_power", low=0)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        options: dict[str, Any] = {"random_state": self.random_state, "n_threads": self.n_threads}
        normalized = self._normalized(matrix, counts)
        self._choose(normalized)
        reg, rank = self._own_reg(), min(k, min(matrix.shape))
        if check_option(self.solver, "solver", ("randomized", "exact")) == "exact":
            svd = truncated_svd(normalized, rank, tol=self.tol, **options)
        else:
            svd = randomized_svd(normalized, rank, n_iter=self.n_iter, **options)
        V = np.zeros((matrix.shape[1], k), dtype=np.float32)  # columns beyond the matrix's rank stay 0
        V[:, :rank] = svd.Vt.T * np.sqrt(np.maximum(svd.s - reg, 0))
        V[counts == 0] = 0  # up to rounding they are
        self._warn_if_nothing_is_left(V)
        self.item_factors_ = V * power(counts, score_power)[:, None]
        self.user_factors_ = times(normalized, _encoders(V, reg, self.n_threads), n_threads=self.n_threads)

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return times(self._normalized(matrix, self.item_counts_), self._projection(), n_threads=self.n_threads)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        normalized = self._normalized(matrix, self.item_counts_)
        target = self.item_factors_[column].astype(np.float64)
        return normalized.data * (self._projection()[matrix.indices] @ target), {}

    def _projection(self) -> np.ndarray:
        """The matrix (I, D) that histories are multiplied by."""
        score_power, reg = check_real(self.score_power, "score_power", low=0), self._own_reg()

        def make() -> np.ndarray:
            V = self.item_factors_ * power(self.item_counts_, -score_power)[:, None]
            return _encoders(V, reg, self.n_threads)

        return kept(self.item_factors_, ("projection", score_power, reg), make)

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        if self.item_power or self.score_power:
            raise ParameterError(
                f"item_power and score_power must be 0 in a base to adapt, got {self.item_power} and {self.score_power}"
            )
        data = self._normalized(matrix, np.ones(matrix.shape[1])).data
        zeros = sp.csr_array((np.zeros_like(data), matrix.indices, matrix.indptr), shape=matrix.shape)
        return QuadraticLoss(1.0, zeros, data)

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        return np.full(matrix.shape[0], self._own_reg() if reg is None else reg, dtype=np.float32)

    def _normalized(self, matrix: sp.csr_array, item_counts: np.ndarray) -> sp.csr_array:
        """D_u^-p X D_i^-q."""
        p, q = check_real(self.user_power, "user_power", low=0), check_real(self.item_power, "item_power", low=0)
        if p == 0 and q == 0:
            return matrix
        return scaled(matrix, power(np.diff(matrix.indptr), -p), power(item_counts, -q))


def _encoders(V: np.ndarray, reg: float, n_threads: int | None) -> np.ndarray:
    """Return V (V^T V + reg I)^-1, float32 (n_items, D): it makes the best factors for item factors V of rows."""
    n_threads = check_threads(n_threads)
    eigenvalues, E = eigh(gram(V, n_threads))
    positive = eigenvalues > SINGULAR**2 * eigenvalues.max(initial=0)
    inverse = np.where(positive, 1 / np.where(positive, eigenvalues + reg, 1), 0)
    return product(V, (E * inverse) @ E.T, n_threads)
