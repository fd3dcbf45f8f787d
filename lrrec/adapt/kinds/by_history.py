"""ByHistory: one adapter for users with a history in the target, another for those without."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.kinds.composite import Composite
from lrrec.linalg.ranking import Columns
from lrrec.models.base.blending import Encoded


class ByHistory(Composite):
    """Serve users with a history in the target by one adapter, and users without by another.

    `AdapterSelector` makes it where users are the same people in both domains (`same_users`) and another adapter is
    better for those who have no interaction in the target yet.

    Parameters
    ----------
    with_history, without_history : Adapter
        The second must be able to serve users without a history.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import ByHistory, ItemItemScratch, Popular
    >>> books = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(books)
    >>> films = Interactions.from_pairs(["ann", "ann", "bob"], ["f", "g", "f"])
    >>> adapter = ByHistory(ItemItemScratch(reg=1.0), Popular())
    >>> adapter = adapter.fit(films, base=base, catalogue=["f", "g"], same_users=True)
    >>> adapter.recommend(["bob", "cat"], k=1).items.tolist()  # cat has no history of films
    [['g'], ['f']]
    """

    name = "by history"
    serves_without_history = True
    _members: ClassVar = ("with_history", "without_history")

    def __init__(self, with_history: Adapter, without_history: Adapter) -> None:
        self.with_history = with_history
        self.without_history = without_history

    @property
    def label(self) -> str:
        """The two kinds."""
        return f"{self.with_history.label}; without history {self.without_history.label}"

    def _own(self, matrix: sp.csr_array) -> np.ndarray:
        """Whether each user has a history."""
        has: np.ndarray = np.diff(matrix.indptr) > 0
        return has

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        has = self._own(self.seen_[rows])
        with_history, without = (member._can_serve(rows) for member in self.members_)
        served: np.ndarray = np.where(has, with_history, without)
        return served

    def _scores(self, encoded: Encoded, columns: Columns) -> np.ndarray:
        return self._by_member(encoded, columns, "_scores")

    def _supported_scores(self, encoded: Encoded, columns: Columns) -> np.ndarray:
        return self._by_member(encoded, columns, "_supported_scores")

    def _by_member(self, encoded: Encoded, columns: Columns, method: str) -> np.ndarray:
        """Each user's scores by the member that serves them."""
        parts = [(np.flatnonzero(encoded.own), 0), (np.flatnonzero(~encoded.own), 1)]
        parts = [(rows, place) for rows, place in parts if len(rows)]
        if len(parts) == 1:
            alone: np.ndarray = getattr(self.members_[parts[0][1]], method)(encoded.parts[parts[0][1]], columns)
            return alone
        scores = [getattr(self.members_[place], method)(encoded.parts[place][rows], columns) for rows, place in parts]
        out = np.empty((len(encoded), scores[0].shape[1]), dtype=np.float32)
        for (rows, _), part in zip(parts, scores, strict=True):
            out[rows] = part
        return out
