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
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.dense import cross, eigh, gram, product, rotate
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.linalg.sparse import times
from lrrec.linalg.threads import even_blocks, run_blocks

FeatureMatrix: TypeAlias = sp.csr_array | np.ndarray
ROWS = 256  # of a block
FEW_FEATURES = 512  # up to which F^T F is formed, to precondition


class LinearPrior:
    """The prior of the rows of one side: their features, and the penalties.

    Parameters
    ----------
    features : csr_array or ndarray of float32, shape (n_rows, n_features)
        F.
    loss : QuadraticLoss, shape (n_rows, n_columns)
        As a function of the rows. Rows without an observed entry have no part in the objective, and factors F W.
    lam : ndarray, shape (n_rows,)
        The L2 penalty of each row's deviation.
    feature_reg : float
        mu in units of the mean of lam_i |f_i|^2 over the rows with data: 1 where the prior expects as much of the map
        as of the deviations. So multiplying all features by a number changes nothing.
    n_threads : int
    """

    def __init__(
        self, features: FeatureMatrix, loss: QuadraticLoss, lam: np.ndarray, feature_reg: float,
        n_threads: int,
    ) -> None:  # fmt: skip
        self.features, self.n_threads = features, n_threads
        self._rows = np.flatnonzero(np.diff(loss.weights.indptr))
        self._loss, self._F, self._lam = loss, features, lam
        if len(self._rows) < features.shape[0]:
            self._loss = QuadraticLoss(loss.unobserved_weight, loss.weights[self._rows], loss.linear)
            self._F, self._lam = features[self._rows], lam[self._rows]
        squares: FeatureMatrix = self._F**2
        sizes = squares @ np.ones(features.shape[1])
        scale = float((sizes * self._lam).sum()) / max(len(self._rows), 1)
        self.penalty = np.float32(max(feature_reg * scale, float(np.finfo(np.float32).tiny)))
        dense = isinstance(features, np.ndarray)
        self._T = None if dense else sp.csr_array(self._F.T)
        self._squares: Any = squares if dense else sp.csr_array(squares.T)
        self._spectrum: tuple[np.ndarray, np.ndarray] | None = None
        if features.shape[1] <= FEW_FEATURES:
            eigenvalues, Q = eigh(gram(self._F if isinstance(self._F, np.ndarray) else self._F.toarray(), n_threads))
            self._spectrum = np.maximum(eigenvalues, 0).astype(np.float32), Q.astype(np.float32)

    def rows(self, W: np.ndarray) -> np.ndarray:
        """Return F W, (n_rows, D): the prior means of all rows, with data or without."""
        return _times(self.features, W, self.n_threads)

    def value(self, V: np.ndarray, W: np.ndarray) -> float:
        """Return the penalties, sum_i lam_i |v_i - W^T f_i|^2 + mu |W|^2 over the rows with data."""
        deviations = V[self._rows].astype(np.float64) - _times(self._F, W, self.n_threads)
        squares = np.einsum("nd,nd->n", deviations, deviations)
        return float((self._lam * squares).sum() + self.penalty * (W.astype(np.float64) ** 2).sum())

    def improve(self, V: np.ndarray, W: np.ndarray, U: np.ndarray, n_steps: int) -> np.ndarray:
        """Improve V (n_rows, D) and W (n_features, D) by steps of conjugate gradients, in place; U is fixed.

        Rows of V without data have to be 0, and stay so. All three are left in another orthonormal basis, which changes
        no score, and is returned.

        Notes
        -----
        O((N + n_rows + nonzeros of F) D) time a step, for N observed entries.
        """
        E = eigh(gram(U, self.n_threads))[1].astype(V.dtype)
        X = V[self._rows]
        for factors in (U, X, W):
            rotate(factors, E, self.n_threads)
        self._descend(X, W, U, n_steps)
        V[self._rows] = X
        return E

    def _descend(self, X: np.ndarray, W: np.ndarray, U: np.ndarray, n_steps: int) -> None:
        """Conjugate gradients on the rows with data X and the map W, in the basis where U^T U is diagonal."""
        loss, lam = self._loss, self._lam.astype(X.dtype)
        shared = (loss.unobserved_weight * np.square(U, dtype=np.float64).sum(axis=0)).astype(X.dtype)
        (indptr, indices), weights = kernels.index_arrays(loss.weights), kernels.as_input(loss.weights.data, X.dtype)
        (Z, P, image, A), p_map, a_map, z_map = np.zeros((4, *X.shape), X.dtype), *np.zeros((3, *W.shape), W.dtype)
        D = X.copy()

        def curve(start: int, stop: int) -> float:
            return kernels.curve_rows(start, stop, indptr, indices, weights, U, shared, lam, ratio, Z, P, D, image, A)

        def curve_map(start: int, stop: int) -> float:
            return kernels.add_rows(start, stop, self.penalty, p_map, a_map)

        def advance(start: int, stop: int) -> float:
            return kernels.advance_rows(start, stop, step, D, A, own, X, R, Z)

        def advance_map(start: int, stop: int) -> float:
            return kernels.advance_rows(start, stop, step, p_map, a_map, of_map, W, r_map, z_map)

        def advance_all() -> float:
            size = self._sum(advance, len(X)) + self._sum(advance_map, len(W))
            if self._spectrum is None:
                return size
            Q = self._spectrum[1]
            z_map[:] = Q @ (of_spectrum * (Q.T @ r_map))
            return size + _inner(r_map, z_map)

        ratio = step = np.float32(0)
        own, of_map, of_spectrum = self._preconditioners(shared, U)
        self._sum(curve, len(X))  # with D = X: the Hessian's product with the rows as they are
        R = loss.times(loss.linear, U, n_threads=self.n_threads) - image
        r_map = self._transposed(R, np.empty_like(W)) - self.penalty * W
        R -= lam[:, None] * (X - _times(self._F, W, self.n_threads))
        size = advance_all()  # by a step of 0, which sets Z and z_map
        for _ in range(n_steps):
            if not size > 0:
                break
            p_map *= ratio
            p_map += z_map
            _times(self._F, p_map, self.n_threads, D)
            bend = self._sum(curve, len(X))
            self._transposed(image, a_map)
            bend += self._sum(curve_map, len(W))
            if not bend > 0:
                break
            step, previous = np.float32(size / bend), size
            size = advance_all()
            ratio = np.float32(size / previous)

    def _sum(self, kernel: Callable[[int, int], float], n_rows: int) -> float:
        """Run a kernel over blocks of rows, and add what it returns in a fixed order."""
        blocks = even_blocks(n_rows, ROWS)
        sums = dict.fromkeys(blocks, 0.0)

        def work(start: int, stop: int) -> None:
            sums[start, stop] = kernel(start, stop)

        run_blocks(work, blocks, self.n_threads)
        return sum(sums.values())

    def _transposed(self, X: np.ndarray, out: np.ndarray) -> np.ndarray:
        """F^T X over the rows with data, in `out`."""
        if self._T is not None:
            return times(self._T, X, out=out, n_threads=self.n_threads)
        out[:] = cross(self._F, X, self.n_threads)
        return out

    def _preconditioners(self, shared: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Approximate inverses of the Hessian: of the rows, and of the map, by feature or by eigenvector of F^T F.

        One of the last two has zeros alone.
        """
        curvature = times(self._loss.weights, U * U, n_threads=self.n_threads) + shared
        curvature += self._lam.astype(U.dtype)[:, None]
        own = np.divide(1, curvature, out=np.zeros_like(curvature), where=curvature > 0)
        shape = self.features.shape[1], U.shape[1]
        if self._spectrum is not None:  # with the mean curvature of the rows in each factor
            of_spectrum = 1 / (self._spectrum[0][:, None] * curvature.mean(axis=0) + self.penalty)
            return own, np.zeros(shape, dtype=U.dtype), of_spectrum
        if self._T is None:
            squares = cross(self._squares, curvature, self.n_threads).astype(U.dtype)
        else:
            squares = times(self._squares, curvature, n_threads=self.n_threads)
        return own, 1 / (squares + self.penalty), np.zeros(shape, dtype=U.dtype)


def _times(F: FeatureMatrix, W: np.ndarray, n_threads: int, out: np.ndarray | None = None) -> np.ndarray:
    """F W; in `out`, if given."""
    if not isinstance(F, np.ndarray):
        return times(F, W, out=out, n_threads=n_threads)
    result = product(F, W, n_threads)
    if out is not None:
        out[:] = result
    return result


def _inner(X: np.ndarray, Y: np.ndarray) -> float:
    """The sum of products, in double precision."""
    return float(np.einsum("nd,nd->n", X, Y).sum(dtype=np.float64))
