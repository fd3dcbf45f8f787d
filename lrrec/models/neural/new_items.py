"""Where items that a NeuralMF has not seen in training are placed, by the users who chose them."""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.implicit_als import Objective, solve_rows
from lrrec.linalg.sparse import times
from lrrec.models.neural.feature_map import add_intercept, feature_map

REG = 0.05  # of the best factors, in units of the mean square of the users' factors


def place_new_items(
    matrix: sp.csr_array, U: np.ndarray, vectors: np.ndarray, known: np.ndarray, unobserved_weight: float | None
) -> np.ndarray:
    """Return the factors and history vectors of new items side by side, (n_new, C).

    Both are a linear map of the mean factors of an item's users, learned on the old items. With the weight a of
    unobserved pairs, of the squared loss, the factors are instead those with the least loss for the users as they are.

    Parameters
    ----------
    matrix : csr_array, shape (n_users, n_items + n_new)
    U : ndarray of float32, shape (n_users, n_columns)
    vectors : ndarray of float32, shape (n_items, C)
        Of the old items.
    known : ndarray of bool, shape (n_items,)
        The old items to learn from.
    unobserved_weight : float or None
    """
    of_items, n_old = matrix.T.tocsr(), len(vectors)
    counts = np.diff(of_items.indptr)
    shares = sp.csr_array((np.repeat(1 / np.maximum(counts, 1), counts), of_items.indices, of_items.indptr),
                          shape=of_items.shape)  # fmt: skip
    means = times(shares, U)
    placed: np.ndarray = add_intercept(means[n_old:]) @ feature_map(means[:n_old], vectors, known)
    if unobserved_weight is not None:
        objective = Objective(unobserved_weight, reg=REG * float(np.square(U).mean()))
        placed[:, : U.shape[1]] = solve_rows(of_items[n_old:], U, objective)
    return placed
