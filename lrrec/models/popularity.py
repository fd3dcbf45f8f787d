"""Popularity: the same list for everybody, and the baseline that every model has to beat."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.ranking import Columns
from lrrec.models.base.recommender import Recommender


class Popularity(Recommender):
    """Score an item by the number of users who interacted with it.

    Objective: score(u, i) = |{v : (v, i) observed}|; values do not count.

    Examples
    --------
    >>> from lrrec import Interactions, Popularity
    >>> train = Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
    >>> Popularity().fit(train).recommend(["bob"], k=2).items.tolist()
    [['y', None]]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {}

    def _fit(self, matrix: sp.csr_array) -> None:
        """Nothing beyond the counts that every model keeps."""

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        counts = self.item_counts_[columns].astype(np.float32)
        return np.tile(counts, (encoded.shape[0], 1))
