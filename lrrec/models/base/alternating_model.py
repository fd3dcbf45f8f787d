"""AlternatingModel: a quadratic model whose items are solved for as its users are, one side after the other."""

from abc import abstractmethod

import numpy as np
import scipy.sparse as sp

from lrrec.data.interactions import Interactions
from lrrec.models.base.iterative import IterativeModel
from lrrec.models.base.quadratic_model import QuadraticModel

REFRESHED = 0.1  # of an item's interactions: so many new ones, and `update` solves for it


class AlternatingModel(IterativeModel, QuadraticModel):
    """A quadratic model that is fitted by solving for users and items in turn; so it can grow without a new fit."""

    item_factors_: np.ndarray

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        matrix, (n_users, n_items) = data.matrix, self.seen_.shape
        more = np.tile(self._new_item_factors(), (data.n_items - n_items, 1))
        U = np.pad(self.user_factors_, ((0, data.n_users - n_users), (0, 0)))
        unplaced = users & ~U.any(axis=1)
        U[unplaced] = self._encode(matrix[unplaced][:, :n_items])
        self.item_factors_ = np.concatenate((self.item_factors_, more))
        counts = np.bincount(matrix.indices, minlength=data.n_items)
        solved = (items >= REFRESHED * counts) & (items > 0)
        solved[n_items:] = True
        self._solve_items(matrix[:, solved].T.tocsr(), np.flatnonzero(solved), U)
        known = np.pad(self.item_evidence_, (0, len(more))) | ((counts > 0) & self.item_factors_.any(axis=1))
        self._remember(data, item_evidence=known)
        U[users] = self._improve(matrix[users], U[users])
        self.user_factors_ = U

    @abstractmethod
    def _solve_items(self, columns: sp.csr_array, items: np.ndarray, U: np.ndarray) -> None:
        """Solve for the factors of items with these histories (m, n_users), given those of all users, exactly."""

    def _improve(self, matrix: sp.csr_array, U: np.ndarray) -> np.ndarray:
        """Return the factors of users with these histories, for whom factors were known before they grew."""
        return self._encode(matrix)
