"""Alternating least squares on ratings, and its objective.

    sum_{(u,i) observed} (r_ui - mu - b_u - c_i - x_u . y_i)^2
    + reg [ sum_u n_u^nu (|x_u|^2 + b_u^2)  +  sum_i n_i^nu (|y_i|^2 + c_i^2) ]

A bias is one more factor whose counterpart is 1: each row's factors and bias are solved together.
"""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.threads import balanced_blocks, run_blocks
from lrrec.validate import check_threads


def rating_rows(
    R: sp.csr_array, Y: np.ndarray, bias: np.ndarray, *, reg: float, reg_exponent: float, n_threads: int | None = None
) -> np.ndarray:
    """Return each row's factors and bias, (n_rows, D + 1), the bias last.

    Parameters
    ----------
    R : csr_array, shape (n_rows, n_columns)
        Ratings less their mean.
    Y : ndarray, shape (n_columns, D)
        The other side's factors.
    bias : ndarray, shape (n_columns,)
        The other side's biases.
    reg, reg_exponent : float
        reg and nu of the objective.
    """
    lam = (reg * np.diff(R.indptr).astype(np.float64) ** reg_exponent).astype(Y.dtype)
    X = np.zeros((R.shape[0], Y.shape[1] + 1), dtype=Y.dtype)
    Y = np.column_stack((Y, np.ones(len(Y), dtype=Y.dtype)))
    data = R.data.astype(Y.dtype, copy=False)

    def work(start: int, stop: int) -> None:
        kernels.rating_rows(start, stop, R.indptr, R.indices, data, Y, bias, lam, X)

    run_blocks(work, balanced_blocks(R.indptr, max(1, min(len(lam) // 64, 64))), check_threads(n_threads))
    return X


def rating_loss(R: sp.csr_array, X: np.ndarray, Y: np.ndarray, *, reg: float, reg_exponent: float) -> float:
    """Return the objective for ratings less their mean; X and Y (·, D + 1) with the biases last."""
    rows = np.repeat(np.arange(R.shape[0]), np.diff(R.indptr))
    D = X.shape[1] - 1
    found = np.einsum("nd,nd->n", X[rows, :D], Y[R.indices, :D]) + X[rows, D] + Y[R.indices, D]
    loss = float(((R.data - found).astype(np.float64) ** 2).sum())
    for counts, factors in ((np.diff(R.indptr), X), (np.bincount(R.indices, minlength=R.shape[1]), Y)):
        loss += reg * float(counts.astype(np.float64) ** reg_exponent @ (factors.astype(np.float64) ** 2).sum(axis=1))
    return loss
