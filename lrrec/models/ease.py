"""EASE: one linear weight for every pair of items, in closed form."""

from os import PathLike
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.inverse import invert
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import co_occurrences, times
from lrrec.models.base.recommender import Recommender
from lrrec.validate import check_real


class EASE(Recommender):
    """Predict each item from all others by ridge regression with a zero diagonal.

    Minimises |X - X B|_F^2 + reg |B|_F^2 subject to diag(B) = 0; scores are x_u B.

    Parameters
    ----------
    reg : float, default 500.0
        Regularization, > 0. Typical: 100 to 1000; less for very sparse data.

    Attributes
    ----------
    item_weights_ : ndarray of float32, shape (n_items, n_items)
        B.

    Notes
    -----
    O(n_items^3) time and n_items^2 numbers of memory, whatever the number of users: 20,000 items need 1.6 GB and some
    minutes.

    References
    ----------
    Steck (2019), "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375, eq. 8.

    Examples
    --------
    >>> from lrrec import EASE, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> EASE(reg=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {"reg": (10.0, 10_000.0, "log")}

    _learned = ("item_weights_",)

    def __init__(self, reg: float = 500.0) -> None:
        self.reg = reg

    def _fit(self, matrix: sp.csr_array) -> None:
        reg = check_real(self.reg, "reg", low=0, open_low=True)
        n_items = matrix.shape[1]
        inverse = co_occurrences(matrix)
        inverse[np.diag_indices(n_items)] += np.float32(reg)
        invert(inverse)
        inverse /= -np.diag(inverse).copy()
        inverse[np.diag_indices(n_items)] = 0
        self.item_weights_ = inverse

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        return times(encoded, self.item_weights_[:, columns], n_threads=1)

    def _check_loaded(self, path: str | PathLike) -> None:
        self._check_array(path, "item_weights_", (len(self.items_), len(self.items_)))
