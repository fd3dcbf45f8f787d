"""Predicts: the scores of single pairs of users and items."""

from typing import Any

import numpy as np

from lrrec.data.ids import IdMap
from lrrec.data.labels import same_order
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.ranking import ALL_COLUMNS, BLOCK_CELLS
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.finite import check_finite
from lrrec.models.base.one_fit import of_one_fit
from lrrec.typing import Ids
from lrrec.validate import check_option

PREDICT_UNKNOWN = ("raise", "nan", "baseline")


class Predicts:
    """A recommender's scores of pairs, by its `_scores` or, where that is faster, a `_predict` that overrides this."""

    @of_one_fit
    def predict(self: Any, users: Ids, items: Ids, *, unknown: str = "raise") -> np.ndarray:
        """Return the scores of pairs of users and items, float32 (n,).

        Parameters
        ----------
        users, items : sequence of ids, shape (n,)
        unknown : {"raise", "nan", "baseline"}, default "raise"
            For pairs with a user or an item that the model does not have: raise an error, return NaN, or (models of
            ratings) predict from the half that is known: for `ALS` the mean rating plus the bias of the known user or
            item. Scores of other models only order a user's items: "baseline" is an error.

        Raises
        ------
        UnknownIdError
            If a user or an item is unknown, with unknown="raise".

        Examples
        --------
        >>> from lrrec import ALS, Interactions
        >>> train = Interactions.from_pairs(["ann", "ann", "bob", "bob"], ["x", "y", "x", "y"], values=[5, 1, 5, 1])
        >>> model = ALS(n_factors=1, random_state=0).fit(train)
        >>> model.predict(["ann", "bob"], ["x", "y"]).round().tolist()
        [5.0, 1.0]
        >>> model.predict(["new"], ["x"], unknown="baseline").round().tolist()  # the mean rating, and x's bias
        [4.0]
        >>> model.predict(["new"], ["x"], unknown="nan").tolist()
        [nan]
        """
        self._check_fitted()
        check_option(unknown, "unknown", PREDICT_UNKNOWN)
        same_order(users=users, items=items)
        find = IdMap.indices if unknown == "raise" else IdMap.find
        rows, columns = find(self.users_, users), find(self.items_, items)
        if len(rows) != len(columns):
            raise DataError(f"users and items must be equally long, got {len(rows)} and {len(columns)}")
        known = (rows >= 0) & (columns >= 0)
        out = np.full(len(rows), np.nan, dtype=np.float32)
        out[known] = self._predict(rows[known], columns[known])
        check_finite(out[known])
        if unknown == "baseline":
            out[~known] = self._predict_baseline(rows[~known], columns[~known])
        return out

    def _predict_baseline(self: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return what to expect of pairs of indices, of which one or both are -1 for unknown."""
        raise ParameterError(
            f"unknown='baseline' needs a model of ratings such as ALS, got {type(self).__name__}: pass unknown='nan'"
        )

    def _predict(self: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the scores of pairs of indices, from blocks of all items' scores."""
        out = np.empty(len(rows), dtype=np.float32)
        distinct, which = np.unique(rows, return_inverse=True)
        order = np.argsort(which, kind="stable")
        for start, stop in even_blocks(len(distinct), max(1, BLOCK_CELLS // len(self.items_))):
            scores = self._scores(self._training_users(distinct[start:stop]), ALL_COLUMNS)
            pairs = order[np.searchsorted(which[order], start) : np.searchsorted(which[order], stop)]
            out[pairs] = scores[which[pairs] - start, columns[pairs]]
        return out
