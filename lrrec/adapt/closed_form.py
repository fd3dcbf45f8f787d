"""Find the change that a target asks of a base's item factors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.change import Change, ordered
from lrrec.adapt.domain import Domain
from lrrec.adapt.settings import Settings
from lrrec.linalg.dense import gram
from lrrec.linalg.quadratic import QuadraticLoss, improve_basis, solve_ridge


def find_change(
    domain: Domain, users: np.ndarray, settings: Settings, watch: Callable[[float], Any] | None = None
) -> Change:
    """Fit a change to some of the domain's users, and shrink it as the settings ask."""
    return shrunk(domain, _found(domain, users, settings, watch), settings)


def shrunk(domain: Domain, change: Change, settings: Settings) -> Change:
    """What is left of a change after the settings' shrinkage; "scratch" has no base to go back to."""
    if not settings.shrinkage or settings.method == "scratch":
        return change
    return change.scaled(1 - settings.shrinkage, domain.item_factors, domain.tower)


def _found(domain: Domain, users: np.ndarray, settings: Settings, watch: Callable[[float], Any] | None) -> Change:
    """The change of some of the domain's users.

    Minimises over V = V0 + A B^T (rows of unknown items free) and U, in turns, each exactly or downhill,

        sum_u c_u [loss_u(V u_u) + lam_u |u_u - p_u|^2] + t |A B^T|_F^2 + t_free sum_{i unknown} |v_i - v0_i|^2

    with the base's own loss and lam, c_u falling with what a user did, and t = reg * (mean |u|^2 before adaptation),
    times each item's share of precision where the anchor asks for it.
    A change of low rank starts from the leading directions of the change of full rank. `watch` gets the value after
    every step, of low rank from there on. For a neural base see `lrrec.adapt.two_tower`.
    """
    V0 = domain.item_factors
    nothing = Change.nothing(len(V0), V0.shape[1])
    if settings.method == "fold-in":
        return nothing
    if domain.tower:
        from lrrec.adapt.two_tower import find_changes

        return next(change for _, change in find_changes(domain, users, settings, [settings.n_epochs]))
    if settings.method == "scratch":
        values = _scratch(domain, domain.data.matrix[users], settings)
        return replace(nothing, rows=np.arange(len(V0)), values=values)
    turns = _Turns(domain, users, settings)
    if settings.method == "anchored":
        turns.take(settings.n_iter, watch)
        return replace(nothing, rows=np.arange(len(V0)), values=turns.V)
    turns.take(settings.n_iter)
    turns.cut(settings.rank)
    turns.take(settings.n_iter, watch)
    facing = gram(turns.U) + turns.t * np.eye(len(turns.B))
    A, B = ordered(turns.A, turns.B, gram(turns.A), turns.B.T @ facing @ turns.B)
    everywhere = np.zeros((len(V0), A.shape[1]), dtype=np.float32, order="F")
    everywhere[turns.known] = A
    return Change(everywhere, B, turns.new, turns.V[turns.new])


def _scratch(domain: Domain, matrix: sp.csr_array, settings: Settings) -> np.ndarray:
    """Item factors of the base's class, fitted to the target alone."""
    model = clone(domain.base)
    params = {"reg": settings.reg, "random_state": 0}
    model.set_params(**{name: value for name, value in params.items() if name in model.get_params()})
    return model.fit(matrix).item_factors_


class _Turns:
    """Items and users, each solved for while the other stands still.

    The change of the items known is A B^T, with B the identity until `cut`.
    """

    def __init__(self, domain: Domain, users: np.ndarray, settings: Settings) -> None:
        self.domain, self.settings = domain, settings
        self.matrix, self.priors = domain.data.matrix[users], domain.priors_of(users)
        V0 = domain.item_factors
        self.known, self.new = np.flatnonzero(domain.known), np.flatnonzero(~domain.known)
        self.of_known, self.of_new = np.ascontiguousarray(V0[self.known]), np.ascontiguousarray(V0[self.new])
        self.V, self.U = V0.copy(), domain.fold(self.matrix, V0, settings.reg_fold, self.priors)
        unit = float(np.einsum("ud,ud->", self.U, self.U, dtype=np.float64))
        unit /= max(1, int((self.U != 0).any(axis=1).sum()))
        self.t, self.t_free = max(settings.reg * unit, 1e-12), max(settings.reg_free * unit, 1e-12)
        self.held = np.full(len(self.known), self.t)
        if settings.anchor == "precision":
            precision = domain.base.item_precision_[domain.of_base[self.known]]
            share = precision / max(float(precision.mean()), 1e-12)
            self.held *= np.maximum(share, 0.01)  # what the source never saw is held too
        weights = np.maximum(np.diff(self.matrix.indptr), 1.0) ** -settings.balance
        self.weights = weights / weights.mean()
        self.low_rank, self.B = False, np.eye(V0.shape[1], dtype=np.float32)
        self.A = np.zeros((len(self.known), V0.shape[1]), dtype=np.float32)

    def cut(self, rank: int) -> None:
        """Go on in the leading directions of the change so far."""
        _, vectors = np.linalg.eigh(gram(self.A @ self.B.T))
        self.B, self.low_rank = np.ascontiguousarray(vectors[:, ::-1][:, :rank]).astype(np.float32), True

    def take(self, n_rounds: int, watch: Callable[[float], Any] | None = None) -> None:
        """Solve for items, then for users, n_rounds times."""
        told = (lambda: None) if watch is None else (lambda: watch(self.loss()))
        held = self.held.astype(np.float32)
        loose = np.full(len(self.new), self.t_free, dtype=np.float32)
        for _ in range(n_rounds):
            whole, facing = self._weighted(*self.domain.base._item_problem(self.matrix, self.U))
            cells = whole.columns(self.known) if len(self.new) else whole
            if len(self.new):
                self.V[self.new] = self.of_new + solve_ridge(
                    whole.columns(self.new).T, facing, loose, prior=self.of_new
                )
            basis = self.B if self.low_rank else None
            self.A = solve_ridge(cells.T, facing, held, prior=self.of_known, basis=basis)
            told()
            if self.low_rank:
                Q, R = np.linalg.qr(improve_basis(cells, facing, self.of_known, self.A, self.B, held))
                self.A, self.B = (self.A @ R.T).astype(np.float32), np.ascontiguousarray(Q).astype(np.float32)
                told()
            self.V[self.known] = self.of_known + self.A @ self.B.T
            self.U = self.domain.fold(self.matrix, self.V, self.settings.reg_fold, self.priors)
            told()

    def loss(self) -> float:
        """What every step lowers."""
        base = self.domain.base
        self.V[self.known] = self.of_known + self.A @ self.B.T
        cells, facing = self._weighted(base._quadratic_loss(self.matrix), self.U)
        away = self.U if self.priors is None else self.U - self.priors
        lam = self.weights * base._penalties(self.matrix, self.settings.reg_fold)
        value = cells.loss(facing, self.V) + float(lam @ np.einsum("ud,ud->u", away, away, dtype=np.float64))
        apart = self.A @ self.B.T
        of_known = float(self.held @ np.einsum("id,id->i", apart, apart, dtype=np.float64))
        return value + of_known + self.t_free * float(np.sum((self.V[self.new] - self.of_new) ** 2.0))

    def _weighted(self, cells: QuadraticLoss, U: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """The loss in which users have weights, as one of other user factors: c (s - r)^2 = (s c^1/2 - r c^1/2)^2."""
        root = np.sqrt(self.weights).astype(np.float32)
        return QuadraticLoss(cells.unobserved_weight, cells.weights, cells.linear * root[cells.rows]), U * root[:, None]
