"""A linear autoencoder of low rank that learns to predict items left out of the history, in alternating closed form.

With users' rows X (n, I), encoders E and decoders V, both (I, D), minimise

    sum_i |x_i - X b_i|^2 + sum_ij penalties_j b_ji^2,    b_i = E v_i but 0 at i,

so that no item predicts itself, with penalties_j = reg + p / (1 - p) |x_j|^2. For reg = 0 this is the expected squared
error when every item of a history is left out with probability p, the dropout (Steck 2020). No matrix of items x items
is formed: with G = X^T X, C = G + diag(penalties) and B the matrix of the b_i, the objective is
tr(B^T C B) - 2 tr(B^T G) and a constant.
"""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.dense import checked, cross, eigh, product, spectrum
from lrrec.linalg.sparse import times

SINGULAR = 1e-6  # eigenvalues up to this share of the largest are rounding errors
CONVERGED = 1e-5  # a gradient that is smaller, relative to that of encoders of 0, is rounding errors
RIDGE = 1e-5  # a direction that a single item spans says nothing of others: its decoders are 0


class DenoisingAutoencoder:
    """The objective of this module for one X, and its two steps.

    After `decoders`, V has orthonormal columns (0 beyond the rank), and E^T C E is diagonal, falling.
    """

    def __init__(self, X: sp.csr_array, reg: float, dropout: float, n_threads: int) -> None:
        self.X, self.Xt, self.n_threads = X, X.T.tocsr(), n_threads
        self.squares = np.bincount(X.indices, X.data.astype(np.float64) ** 2, minlength=X.shape[1])
        penalties = reg + dropout / (1 - dropout) * self.squares
        with np.errstate(over="ignore"):
            self.penalties, self.diagonal = penalties.astype(np.float32), self.squares + penalties

    def gram_times(self, Y: np.ndarray) -> np.ndarray:
        """G Y (I, D)."""
        return times(self.Xt, times(self.X, Y, n_threads=self.n_threads), n_threads=self.n_threads)

    def system_times(self, Y: np.ndarray) -> np.ndarray:
        """C Y (I, D)."""
        products = self.gram_times(Y)
        products += self.penalties[:, None] * Y
        return products

    def encoders(self, E: np.ndarray, V: np.ndarray, n_steps: int) -> np.ndarray:
        """Encoders that are better than E for orthonormal V, by n_steps of conjugate gradients.

        C's diagonal preconditions them. Half the gradient is C (E - d V) - s V - (G - diag(G)) V, where d and s, (I,),
        multiply rows: d_i = e_i . v_i and s_i = c_i . v_i - C_ii d_i, for the rows c_i of C E, are what an item says of
        itself.
        """
        squares, diagonal = self.squares[:, None].astype(np.float32), self.diagonal.astype(np.float32)

        def half_hessian(E: np.ndarray) -> np.ndarray:
            d, CE = row_products(E, V), self.system_times(E)
            CE -= (row_products(CE, V) - diagonal * d)[:, None] * V
            CE -= self.system_times(d[:, None] * V)
            return CE

        residual = self.gram_times(V) - squares * V
        smallest = CONVERGED**2 * inner(residual, residual / diagonal[:, None])
        residual -= half_hessian(E)
        direction = residual / diagonal[:, None]
        slope = inner(residual, direction)
        for _ in range(n_steps):
            if not slope > smallest:
                break
            change = half_hessian(direction)
            curvature = inner(direction, change)
            if not curvature > 0:
                break
            step = np.float32(slope / curvature)
            E = E + step * direction
            residual -= step * change
            scaled, last = residual / diagonal[:, None], slope
            slope = inner(residual, scaled)
            direction = scaled + np.float32(slope / last) * direction
        return E

    def decoders(self, E: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The decoders that are best for the directions of E, and the encoders in their basis; and the objective.

        In the basis with E^T C E = I, v_i solves (I - c_i e_i^T - e_i c_i^T + C_ii e_i e_i^T) v_i = c_i - C_ii e_i for
        rows c_i of C E: it is a sum of c_i and e_i, with two coefficients to solve for.
        """
        CE = self.system_times(E)
        K = checked(cross(E, CE, self.n_threads))
        eigenvalues, T = eigh((K + K.T) / 2)
        T = T * _inverse_roots(eigenvalues)
        E, CE = (product(Y, T, self.n_threads) for Y in (E, CE))
        ec, ee, cc = (row_products(A, B, np.float64) for A, B in ((E, CE), (E, E), (CE, CE)))
        a11, a12, a21, a22 = 1 + RIDGE - ec, -ee, self.diagonal * ec - cc, 1 + RIDGE - ec + self.diagonal * ee
        determinant = a11 * a22 - a12 * a21
        of_c, of_e = (a22 + a12 * self.diagonal) / determinant, -(a11 * self.diagonal + a21) / determinant
        V = of_c[:, None].astype(np.float32) * CE + of_e[:, None].astype(np.float32) * E
        right = CE - self.diagonal[:, None].astype(np.float32) * E
        loss = float(self.squares.sum() - row_products(V, right, np.float64).sum())
        return *self._canonical(E, V), loss

    def _canonical(self, E: np.ndarray, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same products E V^T with orthonormal V."""
        eigenvalues, T = spectrum(V, self.n_threads)
        eigenvalues, T = eigenvalues[::-1], T[:, ::-1]
        inverse = _inverse_roots(eigenvalues)
        roots = np.where(inverse > 0, np.sqrt(eigenvalues), 0)
        return product(E, T * roots, self.n_threads), product(V, T * inverse, self.n_threads)


def _inverse_roots(eigenvalues: np.ndarray) -> np.ndarray:
    """Their -1/2-th powers, 0 for those that are rounding errors."""
    kept = eigenvalues > SINGULAR**2 * max(eigenvalues.max(initial=0), np.finfo(np.float64).tiny)
    return np.where(kept, 1 / np.sqrt(np.where(kept, eigenvalues, 1)), 0)


def row_products(A: np.ndarray, B: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """The inner products of the rows of A and B, (n,)."""
    return np.einsum("nd,nd->n", A, B, dtype=dtype)


def inner(A: np.ndarray, B: np.ndarray) -> float:
    """The inner product of all numbers of A and B, in double precision."""
    return float(row_products(A, B).sum(dtype=np.float64))
