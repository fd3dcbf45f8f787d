"""ItemKNN: item-based nearest neighbours with shrunk cosine similarity."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.neighbors import column_norms, nearest_columns
from lrrec.models.base.finite import check_finite
from lrrec.models.base.item_item import ItemItemModel
from lrrec.validate import check_int, check_real


class ItemKNN(ItemItemModel):
    """Score an item by its similarity to the items in a user's history, over the item's nearest neighbours.

    score(u, i) = sum of s_ij x_uj over the neighbours j of i, with s_ij = c_i . c_j / (|c_i| |c_j| + shrink), c_i the
    column of item i. The neighbours of an item are the n_neighbors other items with the largest s_ij.

    Parameters
    ----------
    n_neighbors : int, default 100
        Typical: 20 to 500.
    shrink : float, default 10.0
        Shrinks similarities that rest on few users toward 0. Typical: 0 to 100.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        s_ij in row j and column i, for the neighbours j of each item i.

    Notes
    -----
    O(sum over users of n_u^2) time. Memory: a block of similarities, and n_neighbors weights an item.

    References
    ----------
    Sarwar et al. (2001), "Item-based collaborative filtering recommendation algorithms"; Deshpande & Karypis (2004),
    "Item-based top-N recommendation algorithms".

    Examples
    --------
    >>> from lrrec import Interactions, ItemKNN
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> ItemKNN().fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {"n_neighbors": (10, 1000, "log"), "shrink": (0.0, 100.0)}

    def __init__(self, n_neighbors: int = 100, *, shrink: float = 10.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrink = shrink

    def _fit(self, matrix: sp.csr_array) -> None:
        k = check_int(self.n_neighbors, "n_neighbors", low=1)
        shrink = check_real(self.shrink, "shrink", low=0)
        norms = column_norms(matrix)
        check_finite(norms, "norms of the items")
        itself = np.arange(matrix.shape[1])
        self.item_weights_ = nearest_columns(matrix, matrix, (norms, norms), k, shrink, [itself]).T.tocsr()

    def _neighbor_weights(self, rows: np.ndarray) -> sp.csr_array:
        return self.item_weights_[:, rows].T
