"""How much of a matrix may be noise: a default for regularization."""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.sparse import row_sums

NOISE_SHARE = 0.75  # near the best for NMF and TruncatedSVD on eight data sets of movies, shops, papers and check-ins
LARGEST_SHARE = 0.5
BLOCK = 2**22  # entries


def noise_norm(squares: sp.csr_array) -> float:
    """Return sqrt(S / n_rows) + sqrt(S / n_columns) for a matrix X, S the sum of its squares.

    A random matrix of independent entries with mean 0 and as many and as large values has about this as its largest
    singular value: what is below it may be noise. Rows and columns of zeros are not counted.

    Parameters
    ----------
    squares : csr_array
        The squares of the values of X.

    References
    ----------
    Bai & Yin (1993), "Limit of the smallest eigenvalue of a large dimensional sample covariance matrix".
    """
    return _noise_norm(_sums(squares))


def reg_of_noise(squares: sp.csr_array) -> float:
    """Return a penalty r for |X - U V^T|^2 + r (|U|^2 + |V|^2), which lowers every singular value by r.

    Most of `noise_norm`, and at most half of the largest norm of a row or column, so that something is left of a small
    matrix, too.

    Parameters
    ----------
    squares : csr_array
        The squares of the values of X.
    """
    sums = _sums(squares)
    largest = max(side.max(initial=0.0) for side in sums)
    reg = min(NOISE_SHARE * _noise_norm(sums), LARGEST_SHARE * float(np.sqrt(largest)))
    return max(reg, float(np.finfo(np.float32).tiny))


def _sums(matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The sums of the rows and of the columns, in float64; without a copy of the entries."""
    columns = np.zeros(matrix.shape[1])
    for begin in range(0, matrix.nnz, BLOCK):
        part = slice(begin, begin + BLOCK)
        columns += np.bincount(matrix.indices[part], matrix.data[part], minlength=len(columns))
    return row_sums(matrix, np.float64), columns


def _noise_norm(sums: tuple[np.ndarray, np.ndarray]) -> float:
    return sum(float(np.sqrt(side.sum() / max(np.count_nonzero(side), 1))) for side in sums)
