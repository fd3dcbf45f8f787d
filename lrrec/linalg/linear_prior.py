"""Factors with a linear prior: each row is a linear map of its features, plus a deviation.

For fixed factors U of the other side, with features F (n_rows, n_features),

    loss(V U^T)  +  sum_i lam_i |c_i|^2  +  mu |W|^2,      V = F W + C,

is quadratic in the deviations C and the map W together. Solving for one of them after the other hardly moves: C gives
way to any W only as far as lam allows. So both are improved at once, by preconditioned conjugate gradients, in the
basis where U^T U is diagonal. F^T F is formed only where it is small.

Reference: Adams, Dahl & Murray (2010), "Incorporating side information in probabilistic matrix factorization with
Gaussian processes", of which this is the linear case; Agarwal & Chen (2009), "Regression-based latent factor models".
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.dense import cross, eigh, gram, product, rotate
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.linalg.sparse import times

FEW_FEATURES = 512  # up to which F^T F is formed, to precondition


class LinearPrior:
    """The prior of the rows of one side: their features, and the penalties.

    Parameters
    ----------
    features : csr_array or ndarray of float32, shape (n_rows, n_features)
        F.
    has_data : ndarray of bool, shape (n_rows,)
        Rows with an observed entry. The others have no part in the objective, and factors F W.
    lam : ndarray, shape (n_rows,)
        The L2 penalty of each row's deviation.
    feature_reg : float
        mu in units of the mean of lam_i |f_i|^2 over the rows with data: 1 where the prior expects as much of the map
        as of the deviations. So multiplying all features by a number changes nothing.
    n_threads : int
    """

    def __init__(
        self, features: sp.csr_array | np.ndarray, has_data: np.ndarray, lam: np.ndarray, feature_reg: float,
        n_threads: int,
    ) -> None:  # fmt: skip
        kept = has_data.astype(np.float32)
        self.features, self.n_threads = features, n_threads
        self.lam, self.has_data = lam[:, None] * kept[:, None], kept[:, None]
        if isinstance(features, np.ndarray):
            self._F: sp.csr_array | np.ndarray = np.ascontiguousarray(features * self.has_data)
            self._squares: sp.csr_array | np.ndarray = self._F**2
            sizes = self._squares.sum(axis=1, dtype=np.float64)
        else:
            data = features.data * np.repeat(kept, np.diff(features.indptr))
            self._F = sp.csr_array((data, features.indices, features.indptr), shape=features.shape)
            self._T = self._F.T.tocsr()
            self._squares = sp.csr_array((self._T.data**2, self._T.indices, self._T.indptr), shape=self._T.shape)
            sizes = self._F.power(2) @ np.ones(features.shape[1])
        scale = float((sizes * lam).sum()) / max(int(has_data.sum()), 1)
        self.penalty = np.float32(max(feature_reg * scale, float(np.finfo(np.float32).tiny)))
        self._spectrum: tuple[np.ndarray, np.ndarray] | None = None
        if features.shape[1] <= FEW_FEATURES:
            dense = self._F if isinstance(self._F, np.ndarray) else self._F.toarray()
            eigenvalues, Q = eigh(gram(dense, n_threads))
            self._spectrum = np.maximum(eigenvalues, 0).astype(np.float32), Q.astype(np.float32)

    def rows(self, W: np.ndarray) -> np.ndarray:
        """Return F W, (n_rows, D): the prior means of all rows, with data or without."""
        return _times(self.features, W, self.n_threads)

    def value(self, V: np.ndarray, W: np.ndarray) -> float:
        """Return the penalties, sum_i lam_i |v_i - W^T f_i|^2 + mu |W|^2 over the rows with data."""
        deviations = V.astype(np.float64) - self._means(W)
        return float((self.lam * deviations**2).sum() + self.penalty * (W.astype(np.float64) ** 2).sum())

    def improve(self, loss: QuadraticLoss, V: np.ndarray, W: np.ndarray, U: np.ndarray, n_steps: int) -> None:
        """Improve V (n_rows, D) and W (n_features, D) by steps of conjugate gradients, in place; U is fixed.

        The loss has a row for each row of V. Rows of V without data have to be 0, and stay so. All three are left in
        another orthonormal basis, which changes no score.

        Notes
        -----
        O((N + n_rows + nonzeros of F) D) time a step, for N observed entries.
        """
        E = eigh(gram(U, self.n_threads))[1].astype(V.dtype)
        for factors in (U, V, W):
            rotate(factors, E, self.n_threads)
        shared = (loss.unobserved_weight * np.square(U, dtype=np.float64).sum(axis=0)).astype(V.dtype)
        weights, has_data = loss.weights, self.has_data

        def hessian(P: np.ndarray) -> np.ndarray:
            scores = loss.scores(P, U, n_threads=self.n_threads)
            scores *= weights.data
            image = loss.times(scores, U, n_threads=self.n_threads)
            image += P * shared * has_data
            return image

        curvature = times(weights, U * U, n_threads=self.n_threads) + shared * has_data
        curvature += self.lam
        precondition = self._preconditioner(curvature)
        C = V - self._means(W)
        residual = (loss.times(loss.linear, U, n_threads=self.n_threads) - hessian(V)) * has_data
        r_map = self._transposed(residual) - self.penalty * W
        r_own = residual - self.lam * C
        z_own, z_map = precondition(r_own, r_map)
        p_own, p_map = z_own.copy(), z_map.copy()
        size = _inner(r_own, z_own) + _inner(r_map, z_map)
        for _ in range(n_steps):
            if not size > 0:
                break
            direction = self._means(p_map) + p_own
            image = hessian(direction) * has_data
            a_own = image + self.lam * p_own
            a_map = self._transposed(image) + self.penalty * p_map
            bend = _inner(p_own, a_own) + _inner(p_map, a_map)
            if not bend > 0:
                break
            step = np.float32(size / bend)
            V += step * direction
            W += step * p_map
            r_own -= step * a_own
            r_map -= step * a_map
            z_own, z_map = precondition(r_own, r_map)
            previous, size = size, _inner(r_own, z_own) + _inner(r_map, z_map)
            ratio = np.float32(size / previous)
            p_own *= ratio
            p_own += z_own
            p_map *= ratio
            p_map += z_map

    def _means(self, W: np.ndarray) -> np.ndarray:
        """F W of the rows with data, 0 elsewhere."""
        return _times(self._F, W, self.n_threads)

    def _transposed(self, V: np.ndarray) -> np.ndarray:
        """F^T V over the rows with data."""
        if isinstance(self._F, np.ndarray):
            return cross(self._F, V, self.n_threads).astype(V.dtype)
        return times(self._T, V, n_threads=self.n_threads)

    def _preconditioner(
        self, curvature: np.ndarray
    ) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """A function of the residuals of C and W that divides them by approximate curvatures."""
        own = np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        if self._spectrum is not None:  # with the mean curvature of the rows in each factor
            eigenvalues, Q = self._spectrum
            mean = curvature.sum(axis=0) / max(float(self.has_data.sum()), 1.0)
            of_map = 1 / (eigenvalues[:, None] * mean + self.penalty)
            return lambda r_own, r_map: (own * r_own, Q @ (of_map * (Q.T @ r_map)))
        if isinstance(self._squares, np.ndarray):
            of_map = 1 / (cross(self._squares, curvature, self.n_threads).astype(np.float32) + self.penalty)
        else:
            of_map = 1 / (times(self._squares, curvature, n_threads=self.n_threads) + self.penalty)
        return lambda r_own, r_map: (own * r_own, of_map * r_map)


def _times(F: sp.csr_array | np.ndarray, W: np.ndarray, n_threads: int) -> np.ndarray:
    """F W."""
    return product(F, W, n_threads) if isinstance(F, np.ndarray) else times(F, W, n_threads=n_threads)


def _inner(X: np.ndarray, Y: np.ndarray) -> float:
    """The sum of products, in double precision."""
    return float(np.einsum("nd,nd->", X, Y, dtype=np.float64))
