"""ALS: matrix factorization of ratings, biases included, for predicting them."""

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg.quadratic import QuadraticLoss, ridge_shares, solve_ridge
from lrrec.models.base.alternating_model import AlternatingModel
from lrrec.models.base.iterative import Monitor
from lrrec.typing import RandomState
from lrrec.validate import check_bool, check_int, check_real, check_rng


class ALS(AlternatingModel):
    """Predict ratings from observed ratings by alternating least squares.

    Minimises

        sum_{(u,i) observed} (r_ui - mu - b_u - c_i - x_u . y_i)^2
        + reg [ sum_u n_u^nu (|x_u|^2 + b_u^2)  +  sum_i n_i^nu (|y_i|^2 + c_i^2) ]

    with mu the mean rating and nu = reg_exponent; ratings are any real numbers, 0 and negative ones too. It predicts
    how users rate items; to rank the items that they will choose, use `IALS`.

    Parameters
    ----------
    n_factors : int, default 16
        Rank, biases not counted.
    reg : float, default 0.06
        Regularization, > 0. Typical: 0.02 to 0.2 with reg_exponent 1.
    reg_exponent : float, default 1.0
        nu: 1 scales a row's regularization by its number of ratings, 0 makes it the same for all rows.
    n_iter : int, default 15
        Iterations; one solves all users, then all items.
    clip : bool, default False
        Whether `predict` stays within the smallest and largest training rating.
    init_scale : float, default 0.1
        Initial factors are N(0, (init_scale / sqrt(n_factors))^2).
    random_state : int, Generator or None, default None
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors + 2)
        x_u, b_u, 1.
    item_factors_ : ndarray of float32, shape (n_items, n_factors + 2)
        y_i, 1, mu + c_i: biases are factors too.

    Notes
    -----
    O(N D^2 + (U + I) D^3) time an iteration. A user without ratings gets the item's mean: mu + c_i.

    References
    ----------
    Zhou et al. (2008), "Large-scale parallel collaborative filtering for the Netflix prize" (count-scaled
    regularization); Koren, Bell & Volinsky (2009), "Matrix factorization techniques for recommender systems", eq. 5.

    Examples
    --------
    >>> from lrrec import ALS, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "bob"], ["x", "y", "x", "y"], values=[5, 1, 5, 1])
    >>> ALS(n_factors=1, random_state=0).fit(train).predict(["ann", "ann"], ["x", "y"]).round().tolist()
    [5.0, 1.0]
    """

    _values = "any"
    tuning_space: ClassVar[dict[str, Any] | None] = {"n_factors": [8, 16, 32, 64], "reg": (0.01, 0.3, "log")}

    def __init__(
        self,
        n_factors: int = 16,
        *,
        reg: float = 0.06,
        reg_exponent: float = 1.0,
        n_iter: int = 15,
        clip: bool = False,
        init_scale: float = 0.1,
        random_state: RandomState = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.n_iter = n_iter
        self.clip = clip
        self.init_scale = init_scale
        self.random_state = random_state
        self.n_threads = n_threads

    @property
    def _predicts_ratings(self) -> bool:
        return True

    def _iterate(self, matrix: sp.csr_array, monitor: Monitor) -> None:
        D = check_int(self.n_factors, "n_factors", low=1)
        scale = check_real(self.init_scale, "init_scale", low=0, open_low=True)
        check_bool(self.clip, "clip")
        rng = check_rng(self.random_state)
        mean = float(matrix.data.mean(dtype=np.float64))
        centred = sp.csr_array((matrix.data - np.float32(mean), matrix.indices, matrix.indptr), shape=matrix.shape)
        users, items = self._quadratic_loss(centred), self._quadratic_loss(centred.T.tocsr())
        V = np.zeros((matrix.shape[1], D + 1), dtype=np.float32)
        V[:, :D] = rng.standard_normal((len(V), D), dtype=np.float32) * (scale / np.sqrt(D))
        ones = np.ones(len(V), dtype=np.float32)
        for _ in monitor:
            U = self._solve(users, V)
            V = self._solve(items, U)
            if not np.isfinite(V).all():
                raise ParameterError("the factors overflowed: scale the values down, or lower init_scale or reg")
            arrays = {"item_factors_": np.column_stack((V[:, :D], ones, V[:, D] + np.float32(mean)))}
            monitor.record(arrays, partial(self._loss, users, items, U, V))

    def _loss(self, users: QuadraticLoss, items: QuadraticLoss, U: np.ndarray, V: np.ndarray) -> float:
        """Return the objective in double precision; biases come last in U and V."""
        X = np.column_stack((U, np.ones(len(U), dtype=U.dtype)))
        Y = np.column_stack((V[:, :-1], np.ones(len(V), dtype=V.dtype), V[:, -1]))
        loss = users.loss(X, Y) + float(np.square(users.linear, dtype=np.float64).sum())
        for side, factors in ((users, U), (items, V)):
            penalties = self._penalties(side.weights, None).astype(np.float64)
            loss += float(penalties @ np.square(factors, dtype=np.float64).sum(axis=1))
        return loss

    def _fold_in(self, matrix: sp.csr_array, V: np.ndarray, lam: np.ndarray) -> np.ndarray:
        X = self._solve(self._quadratic_loss(matrix), self._without_ones(V), lam)
        return np.column_stack((X, np.ones(len(X), dtype=np.float32)))

    def _shares(
        self, matrix: sp.csr_array, V: np.ndarray, reg: float | None, column: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        """What ratings add by the factors; the user's bias, which they determine too, is a constant."""
        loss, factors = self._centred(self._quadratic_loss(matrix), self._without_ones(V))
        targets = np.zeros((V.shape[1] - 1, 2))
        targets[:-1, 0], targets[-1, 1] = V[column, :-2], V[column, -2]
        parts, bias = ridge_shares(loss, factors, self._penalties(matrix, reg), targets).T
        constants = {"item mean": float(V[column, -1])}
        if self.seen_.nnz:
            mean = float(self.seen_.data.mean(dtype=np.float64))
            constants = {"mean rating": mean, "item bias": constants["item mean"] - mean}
        return parts, constants | {"user bias": float(bias.sum())}

    def _solve(self, loss: QuadraticLoss, Y: np.ndarray, lam: np.ndarray | None = None) -> np.ndarray:
        """Each row's factors and bias (n_rows, D + 1), given the other side's Y (n_columns, D + 1).

        Biases come last. A bias is one more factor, which multiplies 1 on the other side. lam (n_rows,): penalties, by
        default the model's own.
        """
        lam = self._penalties(loss.weights, None) if lam is None else lam
        centred, factors = self._centred(loss, Y)
        return solve_ridge(centred, factors, lam, n_threads=self.n_threads)

    def _centred(self, loss: QuadraticLoss, Y: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """The loss of ratings less the other side's biases, and the other side's factors with 1 in their place."""
        linear = loss.linear - np.take(Y[:, -1], loss.weights.indices)
        return replace(loss, linear=linear), np.column_stack((Y[:, :-1], np.ones(len(Y), dtype=Y.dtype)))

    def _without_ones(self, V: np.ndarray) -> np.ndarray:
        """The item factors without their column of ones."""
        self._check_biases("fold in users", V)
        return np.delete(V, -2, axis=1)

    def _check_biases(self, what: str, factors: np.ndarray) -> None:
        """Refuse what a compressed model cannot do."""
        if factors.shape[1] != self.n_factors + 2:
            raise DataError(f"a compressed ALS cannot {what}, as biases are mixed with factors: fit a small one")

    def _solve_items(self, columns: sp.csr_array, items: np.ndarray, U: np.ndarray) -> None:
        """With the mean rating of the fit, which is part of the item biases."""
        mean = np.float32(self.seen_.data.mean(dtype=np.float64))
        centred = sp.csr_array((columns.data - mean, columns.indices, columns.indptr), shape=columns.shape)
        rows = self._solve(self._quadratic_loss(centred), U[:, :-1])
        self.item_factors_[items] = np.column_stack((rows[:, :-1], np.ones(len(rows)), rows[:, -1] + mean))

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        weights = sp.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)
        return QuadraticLoss(0.0, weights, matrix.data)

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        reg = check_real(self.reg if reg is None else reg, "reg", low=0, open_low=True)
        nu = check_real(self.reg_exponent, "reg_exponent", low=0)
        with np.errstate(over="ignore"):  # infinity: its factors are 0
            return (reg * np.diff(matrix.indptr).astype(np.float64) ** nu).astype(np.float32)

    def _item_problem(self, matrix: sp.csr_array, U: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """User biases are subtracted from the ratings: their factor in V, which is 1, is not to change."""
        self._check_biases("tell item_precision_", U)
        loss, U = self._quadratic_loss(matrix), U.copy()
        linear = loss.linear - U[loss.rows, -2]
        U[:, -2] = 0
        return QuadraticLoss(0.0, loss.weights, linear), U

    def _new_item_factors(self) -> np.ndarray:
        self._check_biases("take new items", self.item_factors_)
        row = super()._new_item_factors()
        row[-2:] = 1, self.item_factors_[:, -1].mean()
        return row

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self._clipped(super()._predict(rows, columns))

    def _predict_baseline(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        self._check_biases("predict a baseline", self.item_factors_)
        self._check_histories("predict(unknown='baseline')")
        ratings = np.full(len(rows), self.seen_.data.mean(dtype=np.float64), dtype=np.float32)
        of_item, of_user = columns >= 0, rows >= 0
        ratings[of_item] = self.item_factors_[columns[of_item], -1]
        ratings[of_user] += self.user_factors_[rows[of_user], -2]
        return self._clipped(ratings)

    def _clipped(self, ratings: np.ndarray) -> np.ndarray:
        return np.clip(ratings, self.seen_.data.min(), self.seen_.data.max()) if self.clip and len(ratings) else ratings

    @property
    def _n_columns(self) -> int:
        compressed = hasattr(self, "item_factors_") and self.item_factors_.shape[1] == self.n_factors
        return self.n_factors if compressed else self.n_factors + 2
