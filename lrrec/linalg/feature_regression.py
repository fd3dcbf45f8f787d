"""Ridge regression on features of items, for many targets that share the features."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.dense import gram, product
from lrrec.linalg.inverse import invert
from lrrec.linalg.sparse import times

FEW_FEATURES = 4096  # up to which (F^T F + reg I)^-1 is formed
TOLERANCE = 1e-5  # of a residual, relative to the right-hand side
MAX_STEPS = 300


class FeatureRegression:
    """The operator R -> (F^T F + reg I)^-1 R for the features F of items.

    Parameters
    ----------
    features : csr_array or ndarray of float32, shape (n_items, n_features)
        F.
    reg : float
        > 0.
    n_threads : int

    Notes
    -----
    Up to 4,096 features the inverse is formed, O(n_features^3) time; for more, each right-hand side is solved by
    preconditioned conjugate gradients, in some dozens of products with F and F^T. The operator may be used by several
    threads at once.
    """

    def __init__(self, features: sp.csr_array | np.ndarray, reg: float, n_threads: int) -> None:
        self.reg, self.inverse = np.float32(reg), None
        self._F, n_features = features, features.shape[1]
        if n_features <= FEW_FEATURES:
            if isinstance(features, np.ndarray):
                squares = gram(features, n_threads)
            else:
                squares = (features.T @ features).toarray().astype(np.float64)
            squares[np.diag_indices(n_features)] += reg
            invert(squares, n_threads=n_threads)
            self.inverse = squares.astype(np.float32)
            return
        dense = isinstance(features, np.ndarray)
        self._T: Any = np.ascontiguousarray(features.T) if dense else sp.csr_array(features.T)
        self._diagonal = (features**2).sum(axis=0)[:, None].astype(np.float32) + self.reg

    def solve(self, R: np.ndarray) -> np.ndarray:
        """Return (F^T F + reg I)^-1 R, float32 (n_features, B), for R (n_features, B)."""
        R = np.ascontiguousarray(R, dtype=np.float32)
        return self._iterate(R) if self.inverse is None else self.inverse @ R

    def _iterate(self, R: np.ndarray) -> np.ndarray:
        """Conjugate gradients, with step lengths for each column, until all have converged."""
        X, residual = np.zeros_like(R), R.copy()
        target = TOLERANCE**2 * _squares(R)
        Z = residual / self._diagonal
        P, size = Z.copy(), _inner(residual, Z)
        for _ in range(MAX_STEPS):
            image = _times(self._T, _times(self._F, P))
            image += self.reg * P
            bend = _inner(P, image)
            step = np.divide(size, bend, out=np.zeros_like(size), where=bend > 0).astype(np.float32)
            X += step * P
            residual -= step * image
            if (_squares(residual) <= target).all():
                break
            Z = residual / self._diagonal
            previous, size = size, _inner(residual, Z)
            P *= np.divide(size, previous, out=np.zeros_like(size), where=previous > 0).astype(np.float32)
            P += Z
        return X


def _times(F: sp.csr_array | np.ndarray, X: np.ndarray) -> np.ndarray:
    return product(F, X, 1) if isinstance(F, np.ndarray) else times(F, X, n_threads=1)


def _inner(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The sums of products of columns, in double precision."""
    return np.einsum("fb,fb->b", X, Y, dtype=np.float64)


def _squares(X: np.ndarray) -> np.ndarray:
    return _inner(X, X)
