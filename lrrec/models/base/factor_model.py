"""FactorModel: a recommender whose scores are inner products of factors."""

from abc import abstractmethod
from os import PathLike
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import TransformerMixin, clone

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.linalg.ranking import Columns, nearest
from lrrec.linalg.svd import compress
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.recommender import MAX_K, Recommender
from lrrec.models.base.results import Neighbors, masked_ids
from lrrec.validate import check_int, check_threads


class FactorModel(TransformerMixin, Recommender):
    """A model that scores by the inner product of a user's and an item's factors.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
    item_factors_ : ndarray of float32, shape (n_items, n_factors)

    Notes
    -----
    Law of every factor model: `transform(train)` equals `user_factors_`.
    """

    _learned: tuple[str, ...] = ("user_factors_", "item_factors_")
    _tower: tuple[str, ...] = ()  # the learned arrays by which histories are encoded, where they are not folded in

    def _scores(self, encoded: np.ndarray, columns: Columns) -> np.ndarray:
        return encoded @ self.item_factors_[columns].T

    def _known(self, rows: np.ndarray) -> np.ndarray:
        return self.user_factors_[rows]

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        """User factors (B, D) of histories (B, I): fold-in, unless the model says otherwise."""
        return self._fold_in(matrix, self.item_factors_, None)

    @abstractmethod
    def _fold_in(self, matrix: sp.csr_array, V: np.ndarray, reg: float | None) -> np.ndarray:
        """Fold-in: the user factors (B, D) that minimise the model's objective for histories (B, I), V (I, D) fixed.

        reg takes the place of the model's own regularization.
        """

    @abstractmethod
    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        """The model's loss on a matrix (B, I), penalties apart."""

    @abstractmethod
    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        """The factor of |x_u|^2 in the objective for every row of a matrix."""

    def _item_problem(self, matrix: sp.csr_array, U: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """The loss as a function of item factors alone, and the user factors that face what may change of them."""
        return self._quadratic_loss(matrix), U

    @property
    def item_precision_(self) -> np.ndarray:
        """How firmly the training data hold each item's factors: the mean curvature of the loss in them, (n_items,).

        trace(a U^T U + sum_u w_ui u u^T) / D, in double precision, with the model's own weights; of the interactions
        that it keeps.
        """
        self._check_fitted()
        cells, U = self._item_problem(self.seen_, self.user_factors_)
        squares = np.einsum("ud,ud->u", U, U, dtype=np.float64)
        found: np.ndarray = (cells.unobserved_weight * squares.sum() + cells.weights.T @ squares) / U.shape[1]
        return found

    def _new_item(self) -> np.ndarray:
        """The factors (D,) of an item of which nothing is known."""
        return np.zeros(self.item_factors_.shape[1], dtype=np.float32)

    def transform(self, X: Any) -> np.ndarray:
        """Return the factors of users given by what they did (fold-in), float32 (n, n_factors).

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n, n_items)
            As for `recommend_from`; a row for every user of X. Rows without a known item are 0.
        """
        self._check_fitted()
        return self._encode(self._histories(X)[0])

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        out = np.empty(len(rows), dtype=np.float32)
        for start, stop in even_blocks(len(rows), 2**16):
            part = slice(start, stop)
            out[part] = np.einsum("nd,nd->n", self.user_factors_[rows[part]], self.item_factors_[columns[part]])
        return out

    def similar_items(self, items: Any, k: int = 10) -> Neighbors:
        """Return the k items whose factors point most in the direction of each item's, by cosine.

        Parameters
        ----------
        items : sequence of ids, shape (n,)
        k : int, default 10
            The item itself is not among them.
        """
        self._check_fitted()
        return _neighbors(items, k, self.items_, self.item_factors_)

    def similar_users(self, users: Any, k: int = 10) -> Neighbors:
        """Return the k users nearest to each user by the cosine of their factors. See `similar_items`."""
        self._check_fitted()
        return _neighbors(users, k, self.users_, self.user_factors_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def compress(self, n_factors: int) -> Self:
        """Return a model of fewer factors whose scores are nearest to this one's.

        U V^T of the new model is the best approximation of rank n_factors of this one's (Eckart-Young), in the sum of
        squares over all users and items. New users are folded in to the new item factors as ever; a training user's
        row is that of the approximation, and not that of a fold-in.

        Parameters
        ----------
        n_factors : int
            At most the number of columns of this model's factors.

        Notes
        -----
        O((n_users + n_items) D^2) time; the scores are never formed.
        """
        self._check_fitted()
        found = compress(self.user_factors_, self.item_factors_, n_factors)
        model = clone(self).set_params(n_factors=n_factors)
        root = np.sqrt(found.s)
        model.user_factors_ = (found.U * root).astype(np.float32)
        model.item_factors_ = (found.Vt.T * root).astype(np.float32)
        return model._remember(Interactions(self.seen_, self.users_, self.items_))

    @property
    def _n_columns(self) -> int:
        """The number of columns of the factors, biases included."""
        return self.n_factors

    def _check_loaded(self, path: str | PathLike) -> None:
        self._check_array(path, "user_factors_", (len(self.users_), self._n_columns))
        self._check_array(path, "item_factors_", (len(self.items_), self._n_columns))


def _neighbors(ids: Any, k: int, known: IdMap, factors: np.ndarray) -> Neighbors:
    """The nearest rows of factors to those of the given ids."""
    rows = known.indices(ids)
    indices, values = nearest(rows, check_int(k, "k", low=1, high=MAX_K), factors, check_threads(None))
    scores = np.ma.MaskedArray(values, mask=indices < 0)
    return Neighbors(scores=scores, ids=known.ids[rows], neighbors=masked_ids(known, indices))
