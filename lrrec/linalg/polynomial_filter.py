"""Filters of signals over items by the graph that users' interactions make between them, without its matrix."""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels


class Polynomial:
    """The polynomial of P = R^T R whose values at the eigenvalues are those of a filter, by Chebyshev interpolation.

    The eigenvalues of P, for rows and columns of R (n, I) normalized by the square roots of their sums, lie in 0..1.
    With x = 1 - 2 P in -1..1, whose low frequencies are near -1, the polynomial is sum_k c_k T_k(x).

    Parameters
    ----------
    R : csr_array of float32, shape (n, I)
    coefficients : ndarray, shape (order + 1,)
        c; see `plateau`.
    """

    def __init__(self, R: sp.csr_array, coefficients: np.ndarray) -> None:
        self.n_rows, self.coefficients = R.shape[0], coefficients
        self.index_arrays, self.data = kernels.index_arrays(R), kernels.as_input(R.data)

    def times(self, S: np.ndarray) -> np.ndarray:
        """The polynomial times signals S, float32 (I, B), in one pass over R for each order."""
        c = self.coefficients.astype(np.float32)
        before, now = np.zeros_like(S), S.copy()
        out, product = c[0] * S, np.zeros_like(S)
        for k in range(1, len(c)):
            kernels.gram_times(0, self.n_rows, *self.index_arrays, self.data, now, product)
            kernels.chebyshev_step(np.float32(1 if k == 1 else 2), c[k], product, before, now, out)
            before, now = now, before
        return out


def plateau(order: int, flatness: float) -> np.ndarray:
    """Return the Chebyshev coefficients, (order + 1,), of the interpolation of a plateau filter.

    Its value is 1/2 + |x|^flatness / 2 at low frequencies x < 0 and 1/2 - x^flatness / 2 at high ones: the larger the
    flatness, the wider the plateau of 1/2 between them. With flatness 1 it is the line (1 - x) / 2, which is P.
    """
    nodes = (np.arange(order + 1) + 0.5) * (np.pi / (order + 1))
    x = np.cos(nodes)
    values = 0.5 - 0.5 * np.sign(x) * np.abs(x) ** flatness
    coefficients: np.ndarray = 2 / (order + 1) * np.cos(np.outer(np.arange(order + 1), nodes)) @ values
    coefficients[0] /= 2
    return coefficients
