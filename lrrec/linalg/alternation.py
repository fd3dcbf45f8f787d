"""Implicit ALS with users and items in turn, either side of which may have a linear prior from features."""

from typing import Any

import numpy as np

from lrrec.linalg.dense import rotate
from lrrec.linalg.implicit_als import Objective, half_sweep, implicit_loss
from lrrec.linalg.linear_prior import FeatureMatrix, LinearPrior
from lrrec.linalg.quadratic import QuadraticLoss


class Side:
    """The users, or the items: their factors, and the map from their features.

    Parameters
    ----------
    loss : QuadraticLoss
        As a function of the rows of this side.
    factors : ndarray of float32, shape (n_rows, D)
        Initial ones; those of rows without an observed entry become 0.
    features : csr_array or ndarray of float32, shape (n_rows, n_features), or None
    objective : Objective
    feature_reg : float
        As for `LinearPrior`.
    n_threads : int
    """

    def __init__(
        self, loss: QuadraticLoss, factors: np.ndarray, features: FeatureMatrix | None, objective: Objective,
        feature_reg: float, n_threads: int,
    ) -> None:  # fmt: skip
        self.loss, self.factors = loss, factors
        self.has_data = np.diff(loss.weights.indptr) > 0
        factors[~self.has_data] = 0
        self.map = np.zeros((0 if features is None else features.shape[1], factors.shape[1]), dtype=np.float32)
        self.prior: LinearPrior | None = None
        if features is not None:
            lam = objective.penalties(loss.weights)
            self.prior = LinearPrior(features, loss, lam, feature_reg, n_threads)

    def placed(self) -> np.ndarray:
        """The factors, with rows without data where their features say."""
        if self.prior is None or self.has_data.all():
            return self.factors
        return np.where(self.has_data[:, None], self.factors, self.prior.rows(self.map))

    def penalty(self) -> float | None:
        """The value of the prior; None for that of an ordinary penalty."""
        return None if self.prior is None else self.prior.value(self.factors, self.map)


class Alternation:
    """Improve the users, then the items, again and again.

    Parameters
    ----------
    users, items : Side
    objective : Objective
    n_steps : int
        Steps of conjugate gradients for a side with features, in each iteration.
    solver : dict
        The options of `half_sweep`, for a side without.
    """

    def __init__(self, users: Side, items: Side, objective: Objective, n_steps: int, solver: dict[str, Any]) -> None:
        self.users, self.items, self.objective = users, items, objective
        self.n_steps, self.solver = n_steps, solver

    def sweep(self) -> None:
        """Improve both sides once. All factors and maps may be left in another orthonormal basis, the same for all."""
        for side, other in ((self.users, self.items), (self.items, self.users)):
            if side.prior is None:
                basis = half_sweep(side.loss, side.factors, other.factors, self.objective, **self.solver)
            else:
                basis = side.prior.improve(side.factors, side.map, other.factors, self.n_steps)
            if basis is not None and len(other.map):
                rotate(other.map, basis, self.solver["n_threads"])

    def loss(self, likes: np.ndarray | None) -> float:
        """The value of the objective, in double precision; likes as for `implicit_loss`."""
        penalties = self.users.penalty(), self.items.penalty()
        weights = self.users.loss.weights
        return implicit_loss(weights, self.users.factors, self.items.factors, self.objective, likes, penalties)
