"""Change: what adaptation makes of a base's item factors, and how it is found."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.domain import Domain
from lrrec.linalg.cells import Cells, solve, solve_basis
from lrrec.linalg.dense import gram

METHODS = ("low-rank", "anchored", "scratch", "fold-in")


@dataclass(frozen=True)
class Settings:
    """One way to adapt.

    Attributes
    ----------
    method : str
        One of METHODS.
    rank : int
        Of "low-rank".
    reg : float
        What holds an item to the base, in interactions: 1 weighs as much as one user's. Of "scratch": the base
        class's own reg.
    reg_fold : float or None
        Takes the place of the base's own regularization of users.
    reg_free : float
        As reg, for items that the base does not know.
    n_iter : int
        Rounds over items and users.
    """

    method: str = "low-rank"
    rank: int = 8
    reg: float = 1.0
    reg_fold: float | None = None
    reg_free: float = 1.0
    n_iter: int = 3


@dataclass(frozen=True, eq=False)
class Change:
    """New item factors as V0 + A B^T, but for the rows that are given outright.

    Attributes
    ----------
    A, B : ndarray of float32, shapes (I, R), (D, R)
        Columns by falling weight in the scores of the target's users: the first r are the best change of rank r.
    rows : ndarray of int64, shape (m,)
        Items with factors of their own, rising.
    values : ndarray of float32, shape (m, D)
        Their factors.
    """

    A: np.ndarray
    B: np.ndarray
    rows: np.ndarray
    values: np.ndarray

    @classmethod
    def nothing(cls, n_items: int, n_columns: int) -> "Change":
        """The change that leaves everything as it is."""
        empty = np.zeros(0, dtype=np.int64)
        A, B = np.zeros((n_items, 0), dtype=np.float32), np.zeros((n_columns, 0), dtype=np.float32)
        return cls(A, B, empty, np.zeros((0, n_columns), dtype=np.float32))

    def apply(self, V0: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """The new item factors (I, D); scale 0 gives V0, 1 the change in full."""
        V = V0 + np.float32(scale) * (self.A @ self.B.T)
        V[self.rows] = V0[self.rows] + np.float32(scale) * (self.values - V0[self.rows])
        return V

    def truncate(self, rank: int) -> "Change":
        """The first columns of A and B alone."""
        return replace(self, A=np.ascontiguousarray(self.A[:, :rank]), B=np.ascontiguousarray(self.B[:, :rank]))

    @property
    def n_parameters(self) -> int:
        """How many numbers it is made of; rows of A that the change does not use are not counted."""
        n_changed = len(self.A) - len(self.rows)
        return self.B.size + n_changed * self.A.shape[1] + self.values.size


def find_change(
    domain: Domain, users: np.ndarray, settings: Settings, watch: Callable[[float], Any] | None = None
) -> Change:
    """Fit a change to some of the domain's users.

    Minimises over V = V0 + A B^T (rows of unknown items free) and U, in turns, each exactly or downhill,

        loss(U V^T) + sum_u lam_u |u - p_u|^2 + t |A B^T|_F^2 + t_free sum_{i unknown} |v_i - v0_i|^2

    with the base's own loss and lam, and t = reg * (mean |u|^2 before adaptation). `watch` gets the value after every
    step.
    """
    base, V0, n_columns = domain.base, domain.item_factors, domain.item_factors.shape[1]
    nothing = Change.nothing(len(V0), n_columns)
    if settings.method == "fold-in":
        return nothing
    matrix, priors = domain.data.matrix[users], domain.priors_of(users)
    if settings.method == "scratch":
        return replace(nothing, rows=np.arange(len(V0)), values=_scratch(domain, matrix, settings))
    known, new = np.flatnonzero(domain.known), np.flatnonzero(~domain.known)
    U = domain.fold(matrix, V0, settings.reg_fold, priors)
    unit = float(np.einsum("ud,ud->", U, U, dtype=np.float64)) / max(1, int((U != 0).any(axis=1).sum()))
    t, t_free = max(settings.reg * unit, 1e-12), max(settings.reg_free * unit, 1e-12)
    of_known, of_new = np.ascontiguousarray(V0[known]), np.ascontiguousarray(V0[new])
    held, loose = np.full(len(known), t, dtype=np.float32), np.full(len(new), t_free, dtype=np.float32)
    low_rank, B = settings.method == "low-rank", np.eye(n_columns, dtype=np.float32)
    A = np.zeros((len(known), n_columns), dtype=np.float32)
    V = V0.copy()

    def told() -> None:
        if watch is not None:
            V[known] = of_known + A @ B.T
            lam = base._penalties(matrix, settings.reg_fold)
            away = U if priors is None else U - priors
            value = base._cells(matrix).loss(U, V) + float(lam @ np.einsum("ud,ud->u", away, away, dtype=np.float64))
            value += t * float(np.trace(gram(A) @ gram(B))) + t_free * float(np.sum((V[new] - of_new) ** 2.0))
            watch(value)

    for number in range(settings.n_iter):
        whole, facing = base._item_problem(matrix, U)
        cells = whole.columns(known) if len(new) else whole
        if len(new):
            V[new] = of_new + solve(whole.columns(new).T, facing, loose, prior=of_new)
        if low_rank and number == 0:
            B = _leading(solve(cells.T, facing, held, prior=of_known), settings.rank)
        A = solve(cells.T, facing, held, prior=of_known, basis=B if low_rank else None)
        told()
        if low_rank:
            A, B = _better_basis(cells, facing, of_known, A, B, held)
            told()
        V[known] = of_known + A @ B.T
        U = domain.fold(matrix, V, settings.reg_fold, priors)
        told()
    if not low_rank:
        return replace(nothing, rows=np.arange(len(V0)), values=V)
    A, B = _by_weight(A, B, U, t)
    everywhere = np.zeros((len(V0), A.shape[1]), dtype=np.float32)
    everywhere[known] = A
    return Change(everywhere, B, new, V[new])


def _scratch(domain: Domain, matrix: sp.csr_array, settings: Settings) -> np.ndarray:
    """Item factors of the base's class, fitted to the target alone."""
    model = clone(domain.base)
    params = {"reg": settings.reg, "random_state": 0}
    model.set_params(**{name: value for name, value in params.items() if name in model.get_params()})
    return model.fit(matrix).item_factors_


def _leading(change: np.ndarray, rank: int) -> np.ndarray:
    """The leading directions (D, R) of a change of item factors (I, D)."""
    _, vectors = np.linalg.eigh(gram(change))
    return np.ascontiguousarray(vectors[:, ::-1][:, :rank]).astype(np.float32)


def _better_basis(
    cells: Cells, U: np.ndarray, V0: np.ndarray, A: np.ndarray, B: np.ndarray, lam: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A and B after a step of B, which is made orthonormal again."""
    Q, R = np.linalg.qr(solve_basis(cells, U, V0, A, B, lam))
    return (A @ R.T).astype(np.float32), np.ascontiguousarray(Q).astype(np.float32)


def _by_weight(A: np.ndarray, B: np.ndarray, U: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """The same A B^T with columns by falling singular value of A B^T (U^T U + t I)^(1/2)."""
    values, E = np.linalg.eigh(gram(U) + t * np.eye(len(B)))
    root = np.sqrt(np.maximum(values, t))
    Q, R = np.linalg.qr(A.astype(np.float64))
    P, s, Wt = np.linalg.svd(R @ ((B.T.astype(np.float64) @ E) * root), full_matrices=False)
    A, B = Q @ (P * s), E @ (Wt.T / root[:, None])
    size = np.maximum(np.linalg.norm(B, axis=0), np.finfo(np.float64).tiny)
    return np.ascontiguousarray(A * size).astype(np.float32), np.ascontiguousarray(B / size).astype(np.float32)
