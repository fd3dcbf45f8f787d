"""ItemItemModel: a recommender whose scores are a user's history times item-item weights."""

from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError
from lrrec.linalg import kernels
from lrrec.linalg.ranking import Columns, are_all
from lrrec.linalg.sparse import times
from lrrec.models.base.finite import LIMIT, check_finite, largest
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import Neighbors, find_neighbors
from lrrec.typing import ArrayLike, Ids


class ItemItemModel(Recommender):
    """A model that scores items by score(u, i) = sum_j x_uj b_ji, for a history x_u and item-item weights b.

    A subclass sets `item_weights_` in `_fit`, and has scores, files, `explain` and `similar_items` of them. One with
    dense weights, or weights < 0, also declares `_learned = ("item_weights_",)` and `_learned_csr = ()`.

    Attributes
    ----------
    item_weights_ : ndarray or csr_array of float32, shape (n_items, n_items)
        b_ji: what item j (row) in a history adds to the score of item i (column). In a csr_array, values are > 0:
        files hold no others, so that damage is detected.
    """

    _learned_csr: tuple[str, ...] = ("item_weights_",)

    item_weights_: np.ndarray | sp.csr_array

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        return weighted_sums(encoded, self.item_weights_, columns)

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        mark_zeros(scores, encoded)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        weights = self.item_weights_[matrix.indices][:, [column]]
        column_weights = weights if isinstance(weights, np.ndarray) else weights.toarray()
        return matrix.data * column_weights[:, 0].astype(np.float64), {}

    @of_one_fit
    def similar_items(
        self, items: Ids, k: int = 10, *, candidates: Ids | ArrayLike | None = None, n_threads: int | None = None
    ) -> Neighbors:
        """Return the k items with the largest weight to each item; see `FactorModel.similar_items`.

        The weight of an item and its neighbour is what the one in a history adds to the score of the other (for
        `ItemKNN` what the neighbour adds to the item's: their similarity). Items of weight 0 or less are no
        neighbours.
        """
        self._check_fitted()

        def score(rows: np.ndarray, columns: Columns) -> np.ndarray:
            weights = self._neighbor_weights(rows)
            scores = (weights if isinstance(weights, np.ndarray) else weights.toarray())[:, columns]
            return np.where(scores > 0, scores, np.float32(-np.inf))

        return find_neighbors(items, k, self.items_, score, candidates, n_threads)

    def _neighbor_weights(self, rows: np.ndarray) -> np.ndarray | sp.csr_array:
        """The weights (B, I) of some items to their neighbours."""
        return self.item_weights_[rows]

    def _check_loaded(self, path: str | PathLike[str]) -> None:
        shape = (len(self.items_), len(self.items_))
        if "item_weights_" in self._learned:
            self._check_array(path, "item_weights_", shape)
        elif self.item_weights_.shape != shape:
            raise FileFormatError(f"{path}: item_weights_ must be items x items, got {self.item_weights_.shape}")


def weighted_sums(encoded: sp.csr_array, weights: Any, columns: Columns) -> np.ndarray:
    """Return histories (B, J) times some columns of the weights (J, I), sparse or dense."""
    if not are_all(columns):
        if encoded.nnz < weights.shape[0]:  # selecting the rows of a few users first is cheaper
            items = np.unique(encoded.indices)
            encoded, weights = encoded[:, items], weights[items]
        weights = weights[:, columns]
    if isinstance(weights, np.ndarray):
        return times(encoded, weights, n_threads=1)
    sums: np.ndarray = (encoded @ weights).toarray()
    return sums


def mark_zeros(scores: np.ndarray, encoded: sp.csr_array) -> None:
    """Set scores of 0 of some histories to NaN: no weight reaches the item."""
    if not largest(encoded) <= LIMIT:
        check_finite(scores)
    kernels.mark_zeros(scores)
