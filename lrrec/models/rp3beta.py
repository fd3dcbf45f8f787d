"""RP3Beta: random walks user -> item -> user -> item, with a penalty for popular items."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.sparse import power, scaled
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.auto_params import NOT_AUTO, shared_users
from lrrec.models.base.item_item import ItemItemModel
from lrrec.validate import check_int, check_real

BLOCK = 512  # items whose transitions are computed at a time
BETA_LIMIT = 0.65


class RP3Beta(ItemItemModel):
    """Score an item by random walks from the items of a user's history, over other users, to the item.

    score(u, i) = sum over items j of u, j != i, of x_uj s_ji, with

        s_ji = d_j^-alpha  (sum over users v of x_vj x_vi d_v^-alpha)  d_i^-beta

    where d_u and d_i count the interactions of a user and an item. alpha = 1 is
    the random walk user -> item -> user -> item.

    Parameters
    ----------
    alpha : float, default 0.6
        Exponent of the transition probabilities, >= 0. Typical: 0.4 to 1.
    beta : float or "auto", default "auto"
        Exponent of the popularity penalty, >= 0. Typical: 0 to 0.8. "auto" is 0.2 + 4 s, at most 0.65, where s is the
        mean, over interactions, of the share of users with the interaction's item: popular items need a larger
        penalty where many users share them. That is near the best on eight data sets, with s of .002 to .13.
    n_neighbors : int or None, default 1000
        The number of largest s_ji that are kept for each item j. None keeps all: a number for each pair of items with
        a user in common.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        s_ji in row j and column i.
    beta_ : ndarray of float64, shape (1,)
        The number chosen for "auto"; empty without it.

    Notes
    -----
    O(sum over users of n_u^2) time. On sparse data among the most accurate models for its cost.

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

    _auto: ClassVar[dict[str, tuple[float, float]]] = {"beta": (0.0, BETA_LIMIT)}
    _learned = ("beta_",)

    beta_: np.ndarray = NOT_AUTO

    def __init__(self, alpha: float = 0.6, beta: float | str = "auto", *, n_neighbors: int | None = 1000) -> None:
        self.alpha = alpha
        self.beta = beta
        self.n_neighbors = n_neighbors

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        return min(BETA_LIMIT, 0.2 + 4 * shared_users(matrix))

    def _fit(self, matrix: sp.csr_array) -> None:
        self._choose(matrix)
        alpha, beta = check_real(self.alpha, "alpha", low=0), self._number("beta", low=0)
        n_items = matrix.shape[1]
        k = n_items if self.n_neighbors is None else check_int(self.n_neighbors, "n_neighbors", low=1)
        user_counts, item_counts = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=n_items)
        to_items = scaled(matrix, power(user_counts, -alpha), power(item_counts, -beta))
        to_users = scaled(matrix.T.tocsr(), power(item_counts, -alpha), np.ones(len(user_counts), dtype=np.float32))
        blocks = [_largest(to_users[a:b] @ to_items, a, k) for a, b in even_blocks(n_items, BLOCK)]
        self.item_weights_ = sp.csr_array(sp.vstack(blocks, format="csr"))
        self.item_weights_.sort_indices()  # SciPy before 1.15 leaves them as they come


def _largest(block: sp.csr_array, first: int, k: int) -> sp.csr_array:
    """The k largest entries of each row, without the diagonal; row r of the block is row first + r of the matrix."""
    sizes = np.diff(block.indptr)
    kept = block.indices != np.repeat(np.arange(first, first + len(sizes)), sizes)
    kept &= block.data > 0  # products may underflow to 0
    block.data[~kept] = 0
    for row in np.flatnonzero(sizes > k):
        begin, end = block.indptr[row], block.indptr[row + 1]
        smallest = np.argpartition(block.data[begin:end], sizes[row] - k)[: sizes[row] - k]
        kept[begin + smallest] = False
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return sp.csr_array((block.data[kept], (rows[kept], block.indices[kept])), shape=block.shape)
