"""Popular: the target's popular items, for everybody."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter, Callback
from lrrec.adapt.domain import Domain, check_ranks
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import positive
from lrrec.models.base.recommender import Recommender
from lrrec.models.popularity import Popularity


class Popular(Adapter):
    """Recommend the target's popular items: what every other adapter has to beat.

    It serves all users, those without a history too.

    Attributes
    ----------
    counts_ : ndarray of float32, shape (I,)
        The number of the target's users with a value > 0 of each item.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Popular
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve", "eve"], ["z", "y", "z"])
    >>> adapter = Popular().fit(target, base=base)
    >>> adapter.recommend(["dan"], k=1).items.tolist()
    [['y']]
    """

    name = "popularity"
    serves_without_history = True
    uses_base = False

    counts_: np.ndarray

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "Popular")

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        likes = positive(self.domain_.data.matrix[users])
        counts = np.bincount(likes.indices, minlength=len(self.domain_.items))
        self.counts_ = counts.astype(np.float32)

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        return np.tile(self.counts_[columns], (encoded.shape[0], 1))

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        return np.ones(len(rows), dtype=bool)

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return self.counts_ > 0

    @property
    def n_parameters(self) -> int:
        """The number of items."""
        if not hasattr(self, "counts_"):
            self._check_fitted()
        return len(self.counts_)

    def merge(self) -> Recommender:
        """Return a `Popularity` of the target."""
        self._check_fitted()
        return Popularity()._remember(self.domain_.data, self.counts_.astype(np.int64))

    def _pack(self) -> dict[str, np.ndarray]:
        return {"counts": self.counts_.astype(np.float64)}

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        counts = arrays["counts"]
        if counts.shape != (len(self.domain_.items),) or not (np.isfinite(counts) & (counts >= 0)).all():
            raise ValueError("counts must be a number >= 0 for each item")
        self.counts_ = counts.astype(np.float32)
        self._remember_domain(self.domain_)
