"""ItemKNN: what is liked together with what you liked."""

from os import PathLike
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.ranking import Columns, top_k
from lrrec.models.base.recommender import Recommender
from lrrec.validate import check_int, check_real


class ItemKNN(Recommender):
    """Score an item by its similarity to the items of the user, over its nearest neighbours.

    score(u, i) = sum of s_ij x_uj over the neighbours j of i, with s_ij = c_i . c_j / (|c_i| |c_j| + shrink), c_i the
    column of item i; an item's neighbours are the n_neighbors others with the largest s_ij.

    Parameters
    ----------
    n_neighbors : int, default 100
        Typical: 20 to 500.
    shrink : float, default 10.0
        Pulls similarities that rest on few users towards 0. Typical: 0 to 100.

    Attributes
    ----------
    neighbors_ : ndarray of int32, shape (n_items, n_neighbors)
        Indices of each item's neighbours, nearest first; places without one repeat index 0.
    similarities_ : ndarray of float32, shape (n_items, n_neighbors)
        s_ij, 0 where there is no neighbour.

    Notes
    -----
    O(sum over users of n_u^2) time; memory: a block of dense similarities, and the neighbours.

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

    _learned = ("neighbors_", "similarities_")

    def __init__(self, n_neighbors: int = 100, *, shrink: float = 10.0) -> None:
        self.n_neighbors = n_neighbors
        self.shrink = shrink

    def _fit(self, matrix: sp.csr_array) -> None:
        k = check_int(self.n_neighbors, "n_neighbors", low=1)
        shrink = check_real(self.shrink, "shrink", low=0)
        n_items = matrix.shape[1]
        k = min(k, n_items)
        columns = matrix.T.tocsr()  # a row an item
        norms = np.sqrt(np.asarray((columns * columns).sum(axis=1)).ravel()).astype(np.float32)
        neighbors = np.zeros((n_items, k), dtype=np.int32)
        similarities = np.zeros((n_items, k), dtype=np.float32)
        size = max(1, 2**24 // n_items)
        for start in range(0, n_items, size):
            block = slice(start, min(start + size, n_items))
            products = (columns[block] @ matrix).toarray()
            with np.errstate(divide="ignore", invalid="ignore"):
                cosines = products / (norms[block, None] * norms + np.float32(shrink))
            cosines[np.arange(len(cosines)), np.arange(start, block.stop)] = 0
            cosines[~(cosines > 0)] = -np.inf
            indices, values = top_k(cosines.astype(np.float32, copy=False), k)
            neighbors[block] = np.maximum(indices, 0)
            similarities[block] = np.where(indices < 0, 0, values)
        self.neighbors_, self.similarities_ = neighbors, similarities

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        neighbors, similarities = self.neighbors_[columns], self.similarities_[columns]
        indptr = np.arange(0, neighbors.size + 1, neighbors.shape[1])
        weights = sp.csr_array(
            (similarities.ravel(), neighbors.ravel(), indptr), shape=(len(neighbors), len(self.items_))
        )
        return (encoded @ weights.T.tocsr()).toarray()

    def _check_loaded(self, path: str | PathLike) -> None:
        shape = (len(self.items_), min(self.n_neighbors, len(self.items_)))
        self._check_array(path, "similarities_", shape)
        self._check_array(path, "neighbors_", shape, np.int32)
