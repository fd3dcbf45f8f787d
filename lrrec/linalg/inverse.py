"""The inverse of a large positive definite matrix, in place."""

import numpy as np
from scipy.linalg import lapack

from lrrec.errors import DataError
from lrrec.linalg.dense import product
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.validate import check_threads

SMALL = 512  # rows of a matrix that is inverted whole, in double precision
TILE = 1024  # columns updated at a time: the product stays in the cache


@one_threaded_blas
def invert(A: np.ndarray, *, block: int | None = None, n_threads: int | None = None) -> None:
    """Replace a symmetric positive definite matrix (n, n) by its inverse; only its upper half is read.

    Parameters
    ----------
    A : ndarray of float32 or float64, shape (n, n)
    block : int, optional
        Columns eliminated at a time.
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Notes
    -----
    Gauss-Jordan elimination by blocks (the sweep operator), which needs no pivoting for positive definite matrices:
    n^3 multiplications, and the memory of a few columns. LAPACK's spotri, as built with 32-bit integers, writes
    outside the matrix at 41,000 rows.

    Raises
    ------
    DataError
        If the matrix is not positive definite in its precision.

    References
    ----------
    Goodnight (1979), "A tutorial on the SWEEP operator".

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import invert
    >>> A = np.array([[2.0, 0.0], [0.0, 4.0]])
    >>> invert(A)
    >>> A.round(3).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    n, n_threads = len(A), check_threads(n_threads)
    if n == 0:  # LAPACK would print an error
        return
    if n <= SMALL and block is None:
        A[:] = _small_inverse(A)
        return
    block = block or (256 if n < 8192 else 512)
    for begin, end in even_blocks(n, block):
        columns = np.concatenate((A[:begin, begin:end], A[begin:end, begin:].T))  # (n, b), as they are
        corner = columns[begin:end].astype(np.float64)
        corner = np.triu(corner.T) + np.triu(corner.T, 1).T
        columns[begin:end] = corner
        pivot = _small_inverse(corner, A.dtype)
        swept = product(columns, pivot, n_threads)

        def update(start: int, stop: int, columns: np.ndarray = columns, swept: np.ndarray = swept) -> None:
            for first in range(start, n, TILE):
                last = min(first + TILE, n)
                A[start:stop, first:last] -= swept[start:stop] @ columns[first:last].T

        run_blocks(update, even_blocks(n, 256), n_threads)
        A[:begin, begin:end], A[begin:end, end:] = swept[:begin], swept[end:].T
        A[begin:end, begin:end] = -pivot
    for start, stop in even_blocks(n, 1024):
        A[start:stop, start:] *= -1
        A[stop:, start:stop] = A[start:stop, stop:].T
        square = A[start:stop, start:stop]
        square[:] = np.triu(square) + np.triu(square, 1).T


def _small_inverse(A: np.ndarray, dtype: np.dtype | None = None) -> np.ndarray:
    """The inverse by LAPACK of a symmetric matrix of which the upper half is read, in double precision; both halves."""
    factor, info = lapack.dpotrf(A, lower=False)
    if info:
        raise DataError(f"the matrix is not positive definite in {dtype or A.dtype}: raise reg")
    inverse, _ = lapack.dpotri(factor, lower=False)
    result: np.ndarray = np.triu(inverse) + np.triu(inverse, 1).T
    return result
