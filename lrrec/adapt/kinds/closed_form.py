"""Alternating closed-form steps that fit a change of item factors to a target, for bases with a quadratic loss."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.change import Change, order_columns
from lrrec.linalg.dense import gram
from lrrec.linalg.quadratic import QuadraticLoss, improve_basis, solve_ridge

ANCHORS = ("constant", "precision")


class AlternatingSolver:
    """Item factors and user factors, each solved for while the other is fixed.

    Minimises over V = V0 + A B^T (rows of new items are free) and U, each step exactly or downhill,

        sum_u c_u [loss_u(V u_u) + lam_u |u_u - p_u|^2] + t |A B^T|_F^2 + t_new sum_{i new} |v_i - v0_i|^2

    with the base's own loss and lam; c_u = n_u^-balance (mean 1) for a user of n_u interactions; p_u the prior where
    users are the base's too, else 0; t = reg * (mean |u|^2 before adaptation), times each item's share of the base's
    precision with anchor="precision". B is the identity until `reduce_rank`.
    """

    def __init__(self, domain: Domain, users: np.ndarray, params: Mapping[str, Any]) -> None:
        self.domain = domain
        matrix = domain.data.matrix[users]
        self.penalties = domain.base._penalties(matrix, params["fold_in_reg"])
        self.priors = None if domain.users is None else domain.users.factors[users]
        self.items = ReducedItems(domain, matrix, shared=params["anchor"] == "constant")
        self.matrix, V0 = self.items.matrix, self.items.V0
        self.old, self.new = self.items.old, self.items.new
        self.old_V0, self.new_V0 = np.ascontiguousarray(V0[self.old]), np.ascontiguousarray(V0[self.new])
        self.V, self.U = V0.copy(), self._users(V0)
        unit = float(np.einsum("ud,ud->", self.U, self.U, dtype=np.float64))
        unit /= max(1, int((self.U != 0).any(axis=1).sum()))
        self.t, self.new_t = (max(params[name] * unit, 1e-12) for name in ("reg", "new_item_reg"))
        self.anchor_strength = np.full(len(self.old), self.t)
        if params["anchor"] == "precision":
            precision = domain.base.item_precision_[domain.base_indices[domain.in_base]]
            share = precision / max(float(precision.mean()), 1e-12)
            self.anchor_strength *= np.maximum(share, 0.01)  # items that the source never saw stay near the base too
        weights = np.maximum(np.diff(matrix.indptr), 1.0) ** -params["balance"]
        self.weights = weights / weights.mean()
        self.low_rank, self.B = False, np.eye(V0.shape[1], dtype=np.float32)
        self.A = np.zeros((len(self.old), V0.shape[1]), dtype=np.float32)

    def reduce_rank(self, rank: int) -> None:
        """Continue within the leading directions of the change so far."""
        _, vectors = np.linalg.eigh(gram(self.A @ self.B.T))
        self.B, self.low_rank = np.ascontiguousarray(vectors[:, ::-1][:, :rank]).astype(np.float32), True

    def alternate(self, n_iter: int, callback: Callable[[float], Any] | None = None) -> None:
        """Solve for items, then for users, n_iter times; callback(loss) after each step."""
        report = (lambda: None) if callback is None else (lambda: callback(self.loss()))
        anchor = self.anchor_strength.astype(np.float32)
        new_penalty = np.full(len(self.new), self.new_t, dtype=np.float32)
        for _ in range(n_iter):
            loss, U = self._weighted(*self.domain.base._item_problem(self.matrix, self.U))
            old_loss = loss.columns(self.old) if len(self.new) else loss
            if len(self.new):
                change = solve_ridge(loss.columns(self.new).T, U, new_penalty, prior=self.new_V0)
                self.V[self.new] = self.new_V0 + change
            basis = self.B if self.low_rank else None
            self.A = solve_ridge(old_loss.T, U, anchor, prior=self.old_V0, basis=basis)
            report()
            if self.low_rank:
                Q, R = np.linalg.qr(improve_basis(old_loss, U, self.old_V0, self.A, self.B, anchor))
                self.A, self.B = (self.A @ R.T).astype(np.float32), np.ascontiguousarray(Q).astype(np.float32)
                report()
            self.V[self.old] = self.old_V0 + self.A @ self.B.T
            self.U = self._users(self.V)
            report()

    def item_factors(self) -> np.ndarray:
        """The item factors so far, of the whole catalogue."""
        V = self.domain.item_factors.copy()
        V[self.domain.in_base] += self.items.expand(self.A) @ self.B.T
        V[self.items.new_in_catalogue] = self.V[self.new]
        return V

    def change(self) -> Change:
        """The low-rank change so far, new items replaced."""
        gram_U = gram(self.U) + self.t * np.eye(len(self.B))
        A, B = order_columns(self.items.expand(self.A), self.B, gram(self.A), self.B.T @ gram_U @ self.B)
        padded = np.zeros((len(self.domain.items), A.shape[1]), dtype=np.float32, order="F")
        padded[self.domain.in_base] = A
        return Change(padded, B, self.domain.new_items, self.item_factors()[self.domain.new_items])

    def loss(self) -> float:
        """The objective, which every step lowers."""
        self.V[self.old] = self.old_V0 + self.A @ self.B.T
        loss, U = self._weighted(self.domain.base._quadratic_loss(self.matrix), self.U)
        from_prior = self.U if self.priors is None else self.U - self.priors
        lam = self.weights * self.penalties
        value = loss.loss(U, self.V) + float(lam @ np.einsum("ud,ud->u", from_prior, from_prior, dtype=np.float64))
        change = self.A @ self.B.T
        anchored = float(self.anchor_strength @ np.einsum("id,id->i", change, change, dtype=np.float64))
        return value + anchored + self.new_t * float(np.sum((self.V[self.new] - self.new_V0) ** 2.0))

    def _users(self, V: np.ndarray) -> np.ndarray:
        return self.domain.fold_in_penalized(self.matrix, V, self.penalties, self.priors)

    def _weighted(self, loss: QuadraticLoss, U: np.ndarray) -> tuple[QuadraticLoss, np.ndarray]:
        """The loss with weighted users, as that of scaled user factors: c (s - r)^2 = (s c^1/2 - r c^1/2)^2."""
        root = np.sqrt(self.weights).astype(np.float32)
        scaled = QuadraticLoss(loss.unobserved_weight, loss.weights, loss.linear * root[loss.rows])
        return scaled, U * root[:, None]


class ReducedItems:
    """The catalogue with few items in the place of all that the users have not touched.

    Old items without a cell and with the same penalty enter every step by their Gram matrix G = E diag(e) E^T alone,
    and change by the same linear map: A = V0 C. So as many items as there are factors, diag(e)^1/2 E^T, stand for them,
    and an iteration costs as much as the users' own items. New items without a cell stay what they are, and are left
    out, where their factors are 0 or no unobserved cell counts.

    Attributes
    ----------
    matrix : csr_array, shape (n, I')
        The users' rows. V0 : ndarray, shape (I', D). The factors before adaptation.
    old, new : ndarray of int
        The places of the old and the new items among the I'.
    new_in_catalogue : ndarray of int
        The indices of the new items among them.
    """

    def __init__(self, domain: Domain, matrix: sp.csr_array, *, shared: bool) -> None:
        V0 = domain.item_factors
        self.untouched = domain.in_base.copy()
        self.untouched[matrix.indices] = False
        if not shared or np.count_nonzero(self.untouched) < 2 * V0.shape[1]:
            self.untouched[:] = False
        left_out = ~domain.in_base
        left_out[matrix.indices] = False
        if V0[left_out].any() and domain.base._quadratic_loss(matrix).unobserved_weight:
            left_out[:] = False
        is_kept = ~(self.untouched | left_out)
        kept = np.flatnonzero(is_kept)
        self.rest, self.of_old = V0[self.untouched], self.untouched[domain.in_base]
        squares, self.E = np.linalg.eigh(gram(self.rest))
        self.root = np.sqrt(np.maximum(squares, 0)) if len(self.rest) else squares[:0]
        stand_in = (self.E * self.root).T.astype(np.float32) if len(self.rest) else self.rest
        self.V0 = np.concatenate((V0[kept], stand_in))
        places = np.cumsum(is_kept) - 1
        indices = places[matrix.indices].astype(matrix.indices.dtype)
        self.matrix = sp.csr_array((matrix.data, indices, matrix.indptr), shape=(matrix.shape[0], len(self.V0)))
        self.new_in_catalogue = np.flatnonzero(is_kept & ~domain.in_base)
        self.new = places[self.new_in_catalogue]
        self.old = np.setdiff1d(np.arange(len(self.V0)), self.new)

    def expand(self, A: np.ndarray) -> np.ndarray:
        """The rows of A of all old items, from those of the old among the I'."""
        if not len(self.rest):
            return A
        n_kept = len(A) - len(self.root)
        nonzero = self.root > 1e-6 * self.root.max(initial=0)
        C = self.E[:, nonzero] @ (A[n_kept:][nonzero] / self.root[nonzero, None])
        out = np.empty((len(self.of_old), A.shape[1]), dtype=np.float32)
        out[~self.of_old], out[self.of_old] = A[:n_kept], self.rest @ C.astype(np.float32)
        return out


def fit_to_scores(domain: Domain, params: Mapping[str, Any], targets: Any, n_iter: int) -> Change:
    """The change of full rank fitted to a teacher's scores; of a rank, if params has one, in its leading directions.

    targets : `lrrec.adapt.distillation.TeacherScores` of the domain's active users.
    """
    V0, reg = domain.item_factors, params["fold_in_reg"]
    matrix = domain.data.matrix[domain.active_users]
    U = domain.fold_in(matrix, V0, reg)
    unit = np.float32(np.einsum("ud,ud->u", U, U).mean())
    penalty = np.where(domain.in_base, params["reg"], params["new_item_reg"]).astype(np.float32) * unit
    V = V0

    def solve_items(basis: np.ndarray | None) -> np.ndarray:
        return solve_ridge(targets.loss.T, U, penalty, prior=V0, basis=basis, row_linear=targets.row_linear(U))

    for _ in range(n_iter):
        V = V0 + solve_items(None)
        U = domain.fold_in(matrix, V, reg)
    if "rank" not in params:
        return Change.replace_all(V)
    old, new = domain.in_base, domain.new_items
    change, identity = V[old] - V0[old], np.eye(V0.shape[1], dtype=np.float32)
    _, B = order_columns(change, identity, gram(change), gram(U))
    B, _ = np.linalg.qr(B[:, : params["rank"]])
    A = np.zeros((len(V0), B.shape[1]), dtype=np.float32)
    for _ in range(n_iter):
        A = solve_items(B)
        V[old] = (V0 + A @ B.T)[old]
        U = domain.fold_in(matrix, V, reg)
    A[new] = 0
    A, B = order_columns(A, B, gram(A), B.T @ gram(U) @ B)
    return Change(A, B, new, V[new])
