"""Popularity: the most popular items for everyone, the baseline that every model has to beat."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.ranking import Columns
from lrrec.models.base.recommender import Recommender
from lrrec.typing import PathLike
from lrrec.validate import check_bool

NO_SUMS = np.zeros(0, dtype=np.float32)
NO_SUMS.flags.writeable = False


class Popularity(Recommender):
    """Score an item by the number of users who interacted with it: score(u, i) = |{v : (v, i) observed}|.

    Parameters
    ----------
    weighted : bool, default False
        Add up the users' values instead: plays, or after `Interactions.decayed` what is popular lately.

    Attributes
    ----------
    item_sums_ : ndarray of float32, shape (n_items,)
        With weighted=True, the sum of each item's values.

    Examples
    --------
    >>> from lrrec import Interactions, Popularity
    >>> train = Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
    >>> Popularity().fit(train).recommend(["bob"], k=2).items.tolist()
    [['y', None]]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {}

    item_sums_: np.ndarray = NO_SUMS
    _learned = ("item_sums_",)

    def __init__(self, *, weighted: bool = False) -> None:
        self.weighted = weighted

    @property
    def _unused_params(self) -> tuple[str, ...]:
        return () if self.weighted else ("weighted",)

    def _fit(self, matrix: sp.csr_array) -> None:
        """Nothing to learn beyond the item counts that every model keeps, unless weighted."""
        if check_bool(self.weighted, "weighted"):
            with np.errstate(over="ignore"):  # refused after the fit
                self.item_sums_ = np.bincount(matrix.indices, matrix.data, matrix.shape[1]).astype(np.float32)

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        of_items = self.item_sums_ if self.weighted else self.item_counts_
        return np.tile(of_items[columns].astype(np.float32), (encoded.shape[0], 1))

    def _check_loaded(self, path: PathLike) -> None:
        self._check_array(path, "item_sums_", (len(self.items_) if self.weighted else 0,))
