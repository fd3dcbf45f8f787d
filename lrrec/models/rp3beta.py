"""RP3Beta: where a short walk over shared users leads, popular places damped."""

from os import PathLike
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import power, scaled
from lrrec.models.base.recommender import Recommender
from lrrec.validate import check_int, check_real

BLOCK = 512  # items whose transitions are computed at a time


class RP3Beta(Recommender):
    """Score an item by walks from the user's items over other users to it.

    score(u, i) = sum over items j of u, j != i, of x_uj s_ji, with

        s_ji = d_j^-alpha  (sum over users v of x_vj x_vi d_v^-alpha)  d_i^-beta

    where d_u, d_i are the numbers of interactions of a user and an item. alpha = 1 is a random walk of three steps.

    Parameters
    ----------
    alpha : float, default 0.7
        Exponent of the steps' probabilities, >= 0. Typical: 0.4 to 1.
    beta : float, default 0.3
        How much popular items are damped, >= 0. Typical: 0 to 0.6.
    n_neighbors : int or None, default 1000
        Only the n_neighbors largest s_ji of each item j are kept; all of them when None, which wants memory for as
        many numbers as there are pairs of items with a user in common.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        s_ji.

    Notes
    -----
    O(sum over users of n_u^2) time, and no training beyond: on sparse data among the best for its cost.

    References
    ----------
    Paudel, Christoffel, Newell & Bernstein (2017), "Updatable, accurate, diverse, and scalable recommendations for
    interactive applications", eq. 4; exponents and truncation as in Ferrari Dacrema, Cremonesi & Jannach (2019),
    arXiv:1907.06902.

    Examples
    --------
    >>> from lrrec import Interactions, RP3Beta
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> RP3Beta().fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "alpha": (0.3, 1.2), "beta": (0.0, 0.8), "n_neighbors": (50, 2000, "log"),
    }  # fmt: skip

    _learned_csr = ("item_weights_",)

    def __init__(self, alpha: float = 0.7, beta: float = 0.3, *, n_neighbors: int | None = 1000) -> None:
        self.alpha = alpha
        self.beta = beta
        self.n_neighbors = n_neighbors

    def _fit(self, matrix: sp.csr_array) -> None:
        alpha, beta = check_real(self.alpha, "alpha", low=0), check_real(self.beta, "beta", low=0)
        n_items = matrix.shape[1]
        k = n_items if self.n_neighbors is None else check_int(self.n_neighbors, "n_neighbors", low=1)
        of_users, of_items = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=n_items)
        steps = scaled(matrix, power(of_users, -alpha), power(of_items, -beta))
        starts = scaled(matrix.T.tocsr(), power(of_items, -alpha), np.ones(len(of_users), dtype=np.float32))
        blocks = [_largest(starts[at : at + BLOCK] @ steps, at, k) for at in range(0, n_items, BLOCK)]
        self.item_weights_ = sp.csr_array(sp.vstack(blocks, format="csr"))

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        every = isinstance(columns, slice) and columns == slice(None)  # spares a copy
        return (encoded @ (self.item_weights_ if every else self.item_weights_[:, columns])).toarray()

    def _check_loaded(self, path: str | PathLike) -> None:
        n_items = len(self.items_)
        if self.item_weights_.shape != (n_items, n_items):
            raise FileFormatError(f"{path}: item_weights_ must be items x items, got {self.item_weights_.shape}")


def _largest(block: sp.csr_array, first: int, k: int) -> sp.csr_array:
    """The k largest entries of each row, without the diagonal; row r of the block is row first + r of the matrix."""
    sizes = np.diff(block.indptr)
    kept = block.indices != np.repeat(np.arange(first, first + len(sizes)), sizes)
    kept &= block.data > 0  # what underflowed
    block.data[~kept] = 0
    for row in np.flatnonzero(sizes > k):
        begin, end = block.indptr[row], block.indptr[row + 1]
        least = np.argpartition(block.data[begin:end], sizes[row] - k)[: sizes[row] - k]
        kept[begin + least] = False
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return sp.csr_array((block.data[kept], (rows[kept], block.indices[kept])), shape=block.shape)
