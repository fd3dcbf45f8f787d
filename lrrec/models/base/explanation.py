"""Explanation: what each item of a history adds to a score."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.models.base.one_fit import of_one_fit
from lrrec.typing import Frame, MatrixLike
from lrrec.validate import check_int


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """What each item of a user's history adds to their score of an item.

    Attributes
    ----------
    item : id
    items : ndarray of ids, shape (n,)
        The history, by falling contribution.
    values : ndarray of float32, shape (n,)
        The values of its interactions.
    contributions : ndarray of float64, shape (n,)
    constants : dict of str to float
        The other parts of the score, by name. For `ALS` "mean rating", "item bias" ("item mean", the sum of both, where
        the model has no training data) and "user bias"; for `NeuralMF` "item bias"; "stored user factors" where those
        of a training user are not the fold-in of their history (compressed and imported models, adapters with
        same_users=True): what they add to it.
    user : id or None
        None for a history.

    Examples
    --------
    >>> from lrrec import EASE, Interactions
    >>> likes = [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 1]]
    >>> users, items = ["ann", "bob", "cat", "dan", "eve"], ["x", "y", "z"]
    >>> train = Interactions.from_matrix(likes, users=users, items=items)
    >>> explanation = EASE(reg=1).fit(train).explain("bob", "z")
    >>> explanation
    Explanation of item z for user bob: score 0.7500
      item x               +0.5000
      item y               +0.2500
    >>> explanation.to_frame().columns.tolist()
    ['source', 'item', 'value', 'contribution']
    """

    item: Any
    items: np.ndarray
    values: np.ndarray
    contributions: np.ndarray
    constants: dict[str, float]
    user: Any = None

    @property
    def score(self) -> float:
        """The score: the sum of contributions and constants."""
        return float(self.contributions.sum()) + sum(self.constants.values())

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return a frame of what the score consists of: source, item, value and contribution, which add up to it.

        The source is "history" for its items; constants have no item and no value.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        return self._frame(backend, len(self.items), {})

    def summary(self, backend: str = "pandas", *, k: int = 5) -> Frame:
        """Return `to_frame` of the k items with the largest contributions, up or down, with the others in one row.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        k : int, default 5
        """
        k = check_int(k, "k", low=1)
        others = np.argsort(-np.abs(self.contributions), kind="stable")[k:]
        rest = {f"{len(others)} other items": float(self.contributions[others].sum())} if len(others) else {}
        return self._frame(backend, k, rest)

    def _frame(self, backend: str, k: int, rest: dict[str, float]) -> Frame:
        """A frame of the k largest contributions, of the rest, and of the constants."""
        shown = np.sort(np.argsort(-np.abs(self.contributions), kind="stable")[:k])
        more = rest | self.constants
        items = self.items[shown]
        columns = {
            "source": np.array(["history"] * len(shown) + list(more), dtype=object),
            "item": np.append(items.astype(object), [None] * len(more)) if more else items,
            "value": np.append(self.values[shown], np.full(len(more), np.nan, dtype=np.float32)),
            "contribution": np.append(self.contributions[shown], list(more.values())),
        }
        return frames.make(columns, backend)

    def __repr__(self) -> str:
        of_user = "" if self.user is None else f" for user {self.user}"
        lines = [f"Explanation of item {self.item}{of_user}: score {self.score:.4f}"]
        for row in self.summary().itertuples():
            name = f"item {row.item}" if row.source == "history" else row.source
            lines.append(f"  {name:<20} {row.contribution:+.4f}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        html: str = self.summary()._repr_html_()
        return html


class Explains:
    """A recommender that can tell what its scores consist of, if `_explain` does."""

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        """Return what each interaction of a history (1, I) adds to the score of an item, and the constants by name."""
        raise ParameterTypeError(f"{type(self).__name__} cannot explain scores: they are no sum over a history")

    @of_one_fit
    def explain(self: Any, user: Any, item: Any) -> Explanation:
        """Return what each item of a training user's history adds to their score of an item.

        The contributions and constants add up to `predict` (before `ALS` clips it).

        Parameters
        ----------
        user, item : id

        Raises
        ------
        ParameterTypeError
            If the model's scores are no sum over a history: `Popularity`, and `NeuralMF` with a hidden layer.

        Notes
        -----
        Of item-item models and `TruncatedSVD` the score is linear in the history. Models that fold users in solve
        A x = sum_j b_j v_j for their factors x, so that item j adds b_j v_j^T A^-1 v_i; A depends on which items are in
        the history: without item j, the others' contributions would change too. For `NMF` A is that of the user's
        positive factors. O(n_items D^2 + D^3) time for D factors.

        Examples
        --------
        >>> from lrrec import EASE, Interactions
        >>> likes = [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 1]]
        >>> users, items = ["ann", "bob", "cat", "dan", "eve"], ["x", "y", "z"]
        >>> train = Interactions.from_matrix(likes, users=users, items=items)
        >>> model = EASE(reg=1).fit(train)
        >>> explanation = model.explain("bob", "z")
        >>> explanation.items.tolist(), explanation.contributions.round(3).tolist()
        (['x', 'y'], [0.5, 0.25])
        """
        self._check_fitted()
        rows, columns = self.users_.indices([user]), self.items_.indices([item])
        matrix = self.seen_[rows]
        parts, constants = self._explain(matrix, int(columns[0]))
        stored = float(self._scores(self._training_users(rows), columns)[0, 0])
        explained = [*parts, *constants.values()]
        if abs(stored - sum(explained)) > 1e-5 * np.abs([stored, *explained]).sum():
            constants["stored user factors"] = stored - sum(explained)
        return _explanation(self, matrix, columns, parts, constants, user)

    @of_one_fit
    def explain_from(self: Any, history: Interactions | MatrixLike, item: Any) -> Explanation:
        """Return what each item of a history adds to the score of an item; see `explain`.

        Parameters
        ----------
        history : Interactions of one user, or sparse matrix or array of shape (1, n_items)
            As for `recommend_from`.
        item : id

        Examples
        --------
        >>> from lrrec import EASE, Interactions
        >>> likes = [[1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 1]]
        >>> users, items = ["ann", "bob", "cat", "dan", "eve"], ["x", "y", "z"]
        >>> train = Interactions.from_matrix(likes, users=users, items=items)
        >>> model = EASE(reg=1).fit(train)
        >>> model.explain_from(Interactions.from_pairs(["new"], ["x"]), "z").contributions.round(3).tolist()
        [0.5]
        """
        self._check_fitted()
        matrix, _ = self._histories(history)
        rows, columns = np.flatnonzero(np.diff(matrix.indptr)), self.items_.indices([item])
        if len(rows) != 1:
            raise DataError(f"history must be of one user with items of the model, got {len(rows)} such users")
        matrix = matrix[rows]
        return _explanation(self, matrix, columns, *self._explain(matrix, int(columns[0])))


def _explanation(
    model: Any, matrix: sp.csr_array, columns: np.ndarray, parts: np.ndarray, constants: dict[str, float],
    user: Any = None,
) -> Explanation:  # fmt: skip
    order, ids = np.argsort(-parts, kind="stable"), model.items_.ids
    items, values = ids[matrix.indices[order]], matrix.data[order]
    return Explanation(ids[columns].tolist()[0], items, values, parts[order].astype(np.float64), constants, user)
