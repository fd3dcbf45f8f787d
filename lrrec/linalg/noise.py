"""How much of a matrix may be noise: a default for regularization."""

import numpy as np
import scipy.sparse as sp

NOISE_SHARE = 0.75  # near the best for NMF and TruncatedSVD on eight data sets of movies, shops, papers and check-ins
LARGEST_SHARE = 0.5


def noise_norm(matrix: sp.csr_array) -> float:
    """Return sqrt(|X|^2 / n_rows) + sqrt(|X|^2 / n_columns), |X|^2 the sum of squares.

    A random matrix of independent entries with mean 0 and as many and as large values has about this as its largest
    singular value: what is below it may be noise.

    References
    ----------
    Bai & Yin (1993), "Limit of the smallest eigenvalue of a large dimensional sample covariance matrix".
    """
    squares = float(np.square(matrix.data, dtype=np.float64).sum())
    return float(np.sqrt(squares / max(matrix.shape[0], 1)) + np.sqrt(squares / max(matrix.shape[1], 1)))


def reg_of_noise(matrix: sp.csr_array) -> float:
    """Return a penalty r for |X - U V^T|^2 + r (|U|^2 + |V|^2), which lowers every singular value by r.

    Most of `noise_norm`, and at most half of the largest norm of a row or column, so that something is left of a small
    matrix, too.
    """
    squares = np.square(matrix.data, dtype=np.float64)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    largest = max(np.bincount(places, squares, minlength=1).max() for places in (rows, matrix.indices))
    reg = min(NOISE_SHARE * noise_norm(matrix), LARGEST_SHARE * float(np.sqrt(largest)))
    return max(reg, float(np.finfo(np.float32).tiny))
