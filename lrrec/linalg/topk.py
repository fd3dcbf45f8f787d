"""The k best columns of every row of a block of scores."""

import numpy as np

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.validate import check_int


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best columns of each row, best first; equal scores by column.

    Parameters
    ----------
    scores : ndarray of float32 or float64, shape (n_rows, n_columns)
        -inf marks what must not be taken; NaN is never taken either.
    k : int
        May exceed the number of columns.

    Returns
    -------
    indices : ndarray of int32, shape (n_rows, k)
        -1 where a row has fewer than k columns left.
    scores : ndarray, shape (n_rows, k)
        NaN where the index is -1.

    Notes
    -----
    One pass over the scores, O(n_columns + k log k) a row for scores in random order; releases the
    interpreter lock.
    """
    scores = np.ascontiguousarray(scores)
    if scores.ndim != 2 or scores.dtype not in (np.float32, np.float64):
        raise DataError(f"scores must be a float array (n_rows, n_columns), got {scores.dtype} {scores.shape}")
    k = check_int(k, "k", low=1)
    indices = np.empty((len(scores), k), dtype=np.int32)
    values = np.empty((len(scores), k), dtype=scores.dtype)
    kernels.top_k_rows(scores, k, indices, values)
    return indices, values
