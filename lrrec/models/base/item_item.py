"""ItemItemModel: a recommender whose scores are a user's history times item-item weights."""

from os import PathLike

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import times
from lrrec.models.base.finite import LIMIT, check_finite, largest
from lrrec.models.base.recommender import Recommender


class ItemItemModel(Recommender):
    """A model that scores items by score(u, i) = sum_j x_uj b_ji, for a history x_u and item-item weights b.

    A subclass sets `item_weights_` in `_fit`. One with dense weights also declares `_learned = ("item_weights_",)` and
    `_learned_csr = ()`.

    Attributes
    ----------
    item_weights_ : ndarray or csr_array of float32, shape (n_items, n_items)
        b_ji: what item j (row) in a history adds to the score of item i (column). In a csr_array, values are > 0.
    """

    _learned_csr: tuple[str, ...] = ("item_weights_",)

    item_weights_: np.ndarray | sp.csr_array

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        weights = self.item_weights_
        if not (isinstance(columns, slice) and columns == slice(None)):
            if encoded.nnz < len(self.items_):  # selecting the rows of a few users first is cheaper
                items = np.unique(encoded.indices)
                encoded, weights = encoded[:, items], weights[items]
            weights = weights[:, columns]
        if isinstance(weights, np.ndarray):
            return times(encoded, weights, n_threads=1)
        return (encoded @ weights).toarray()

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        if not largest(encoded) <= LIMIT:
            check_finite(scores)
        reached = scores != 0
        if not reached.all():
            with np.errstate(invalid="ignore"):
                scores /= reached  # 0 / 0 is NaN: ten times faster than assigning by a mask

    def _check_loaded(self, path: str | PathLike) -> None:
        shape = (len(self.items_), len(self.items_))
        if "item_weights_" in self._learned:
            self._check_array(path, "item_weights_", shape)
        elif self.item_weights_.shape != shape:
            raise FileFormatError(f"{path}: item_weights_ must be items x items, got {self.item_weights_.shape}")
