"""The user tower of NeuralMF in numpy."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterTypeError
from lrrec.linalg.dense import product
from lrrec.linalg.sparse import row_sums, times
from lrrec.models.base.finite import check_finite
from lrrec.validate import check_threads


def encode(matrix: sp.csr_array, tower: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return user factors (B, n_columns) of histories (B, I), by the arrays in `NeuralMF._encoder_arrays`."""
    n_threads = check_threads(None)
    x = times(normalized(matrix, tower["center_"]), tower["embedding_"])
    hidden = np.maximum(product(x, tower["hidden_"], n_threads) + tower["hidden_bias_"], 0)
    u = x + product(hidden, tower["output_"], n_threads) + tower["output_bias_"]
    u[np.diff(matrix.indptr) == 0] = 0
    return product(np.concatenate((u, np.ones((len(u), 1), dtype=np.float32)), axis=1), tower["projection_"], n_threads)


def shares(
    matrix: sp.csr_array, tower: Mapping[str, np.ndarray], item_factors: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Return what each interaction of a history (1, I) adds to the score of an item (n_columns,), and its bias."""
    if tower["hidden_"].size:
        raise ParameterTypeError(
            "explain() cannot be used on a NeuralMF with a hidden layer, whose scores are no sum over a history: fit "
            "one with n_hidden=0"
        )
    weights = normalized(matrix, tower["center_"])
    target = tower["projection_"] @ item_factors.astype(np.float64)
    bias = float(target[-1] + (tower["output_bias_"] @ target[:-1] if matrix.nnz else 0))
    return weights.data * (tower["embedding_"][weights.indices] @ target[:-1]), {"item bias": bias}


def normalized(matrix: sp.csr_array, center: np.ndarray | None = None) -> sp.csr_array:
    """Return (w_ui - m_i) / |w_u|, with m = 0 without center."""
    with np.errstate(over="ignore"):  # infinity is refused below
        squares = row_sums(sp.csr_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape))
    squares[np.diff(matrix.indptr) == 0] = 1
    check_finite(squares, "norms of the users")
    root = np.repeat(np.sqrt(squares), np.diff(matrix.indptr)).astype(np.float32)
    values = matrix.data if center is None else matrix.data - center[matrix.indices]
    return sp.csr_array((values / root, matrix.indices, matrix.indptr), shape=matrix.shape)


def centers(matrix: sp.csr_array, damping: float = 5.0) -> np.ndarray:
    """Return item means, damped towards the overall mean by so many pseudo-ratings, float32 (I,)."""
    counts, sums = np.bincount(matrix.indices, minlength=matrix.shape[1]), matrix.sum(axis=0, dtype=np.float64)
    means: np.ndarray = ((sums + damping * matrix.data.mean()) / (counts + damping)).astype(np.float32)
    return means
