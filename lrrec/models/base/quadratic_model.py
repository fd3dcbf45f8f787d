"""QuadraticModel: a factor model with a quadratic loss, which folds new users in."""

from abc import abstractmethod
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.quadratic import QuadraticLoss, ridge_shares, solve_ridge
from lrrec.models.base.factor_model import FactorModel


class QuadraticModel(FactorModel):
    """A factor model whose loss is quadratic in the user factors and in the item factors.

    New users are folded in: their factors minimise the model's objective for their history, item factors fixed.
    `LowRankAdapter` adapts these models in closed form.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec import IALS, Interactions, QuadraticModel
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> isinstance(model, QuadraticModel), model.item_precision_.shape
    (True, (3,))
    >>> np.allclose(model.transform(train), model.user_factors_, atol=1e-5)  # a training user folds in to their factors
    True
    """

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return self._fold_in(matrix, self.item_factors_, self._penalties(matrix, None))

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        return self._shares(matrix, self.item_factors_, None, column)

    def _shares(
        self, matrix: sp.csr_array, V: np.ndarray, reg: float | None, column: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        """Return `_explain` for a user whom `_fold_in` encodes."""
        target = V[column, :, None].astype(np.float64)
        return ridge_shares(self._quadratic_loss(matrix), V, self._penalties(matrix, reg), target)[:, 0], {}

    def _fold_in(self, matrix: sp.csr_array, V: Any, lam: np.ndarray) -> np.ndarray:
        """Return user factors (B, D) that minimise the objective for histories (B, I), item factors V (I, D) fixed.

        lam (B,): the penalties of the rows, as `_penalties` gives them. The result depends on V by its Gram matrix and
        the rows of items that occur in a history.
        """
        n_threads, own = getattr(self, "n_threads", None), V is getattr(self, "item_factors_", None)
        return solve_ridge(self._quadratic_loss(matrix), V, lam, n_threads=n_threads, keep=own)

    @abstractmethod
    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        """Return the model's loss on a matrix (B, I), without penalties."""

    @abstractmethod
    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        """Return the factor of |x_u|^2 in the objective for every row of a matrix, (B,).

        reg replaces the model's own regularization; None keeps it.
        """

    def _item_problem(self, matrix: sp.csr_array, U: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """Return the loss as a function of the item factors alone, and the user factors that multiply them."""
        return self._quadratic_loss(matrix), U

    @property
    def item_precision_(self) -> np.ndarray:
        """The mean curvature of the training loss in each item's factors, float64 (n_items,).

        trace(a U^T U + sum_u w_ui u u^T) / D with the model's own weights w and a: how firmly the training data
        determine an item's factors.
        """
        self._check_fitted()
        self._check_histories("item_precision_")
        loss, U = self._item_problem(self.seen_, self.user_factors_)
        squares = np.einsum("ud,ud->u", U, U, dtype=np.float64)
        precision: np.ndarray = (loss.unobserved_weight * squares.sum() + loss.weights.T @ squares) / U.shape[1]
        return precision
