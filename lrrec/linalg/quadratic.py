"""Quadratic losses of scores, cell by cell, and the ridge problems that they make of rows.

    loss(S) = a sum_{u,i} s_ui^2  +  sum_{(u,i) observed} (w_ui s_ui^2 - 2 b_ui s_ui)

Up to a constant, the losses of all factor models here have this form: iALS has b = w ("rendle") or b = w + 1 ("hu",
w = c - 1), rating ALS a = 0, w = 1 and b = r, and the SVD of X a = 1, w = 0 and b = x.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.dense import cross, gram
from lrrec.linalg.threads import balanced_blocks, one_threaded_blas, run_blocks
from lrrec.validate import check_threads


@dataclass(frozen=True, eq=False)
class QuadraticLoss:
    """A quadratic loss of scores.

    Attributes
    ----------
    unobserved_weight : float
        a.
    weights : csr_array of float32, shape (n_rows, n_columns)
        w, >= 0; zeros are stored.
    linear : ndarray of float32, shape (n_cells,)
        b, in the order of `weights.data`.
    """

    unobserved_weight: float
    weights: sp.csr_array
    linear: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.weights.shape

    @cached_property
    def rows(self) -> np.ndarray:
        """The row of each cell."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.weights.indptr))

    @cached_property
    def T(self) -> "QuadraticLoss":
        """The same cells by columns."""
        order = np.argsort(self.weights.indices, kind="stable")
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.weights.indices, minlength=self.shape[1]))))
        weights = sp.csr_array((self.weights.data[order], self.rows[order], indptr), shape=self.shape[::-1])
        return QuadraticLoss(self.unobserved_weight, weights, self.linear[order])

    def columns(self, kept: np.ndarray) -> "QuadraticLoss":
        """The cells of some columns, given in rising order."""
        place = np.full(self.shape[1], -1, dtype=np.int32)
        place[kept] = np.arange(len(kept), dtype=np.int32)
        at = place[self.weights.indices]
        inside = at >= 0
        indptr = np.concatenate(([0], np.cumsum(inside)))[self.weights.indptr]
        weights = sp.csr_array((self.weights.data[inside], at[inside], indptr), shape=(self.shape[0], len(kept)))
        return QuadraticLoss(self.unobserved_weight, weights, self.linear[inside])

    def scores(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """x_u . y_i of each cell, (n_cells,), for X (n_rows, D) and Y (n_columns, D)."""
        X, Y = np.ascontiguousarray(X), np.ascontiguousarray(Y)
        out, indptr, indices = np.empty(len(self.linear), dtype=X.dtype), self.weights.indptr, self.weights.indices

        def work(start: int, stop: int) -> None:
            kernels.dot_rows(start, stop, indptr, indices, X, Y, out)

        run_blocks(work, balanced_blocks(indptr, 64), check_threads(None))
        return out

    def loss(self, X: np.ndarray, Y: np.ndarray) -> float:
        """The loss of the scores X Y^T, in double precision."""
        s = self.scores(X, Y).astype(np.float64)
        observed = float((self.weights.data * s**2 - 2 * self.linear * s).sum())
        return self.unobserved_weight * float((gram(X) * gram(Y)).sum()) + observed

    def times(self, values: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """A Y (n_rows, D) for the matrix A of other values in the same cells, and Y (n_columns, D)."""
        Y = np.ascontiguousarray(Y)
        out, indptr, indices = np.empty((self.shape[0], Y.shape[1]), Y.dtype), self.weights.indptr, self.weights.indices

        def work(start: int, stop: int) -> None:
            kernels.times_rows(start, stop, indptr, indices, values, Y, out)

        run_blocks(work, balanced_blocks(indptr, 64), check_threads(None))
        return out


def solve_ridge(
    cells: QuadraticLoss,
    Y: np.ndarray,
    lam: np.ndarray,
    *,
    prior: np.ndarray | None = None,
    basis: np.ndarray | None = None,
    row_linear: np.ndarray | None = None,
    n_threads: int | None = None,
) -> np.ndarray:
    """Minimise loss(X Y^T) + sum_u lam_u |c_u|^2 - 2 l_u . x_u over rows x_u = p_u + B c_u; return c (n_rows, R).

    Parameters
    ----------
    cells : QuadraticLoss
    Y : ndarray of float32 or float64, shape (n_columns, D)
        The fixed side.
    lam : ndarray, shape (n_rows,)
    prior : ndarray, shape (n_rows, D), optional
        p; zeros when not given.
    basis : ndarray, shape (D, R), optional
        B, with orthonormal columns; the identity when not given.
    row_linear : ndarray, shape (n_rows, D), optional
        l; zeros when not given.

    Notes
    -----
    Exact, in the eigenbasis of B^T Y^T Y B: a row of n cells costs O(n^2 R + n^3) where n < R and O(n R^2 + R^3)
    otherwise, and one without cells O(R).
    """
    dtype, n_threads = Y.dtype.type, check_threads(n_threads)
    Z = Y if basis is None else Y @ basis.astype(dtype)
    with one_threaded_blas:
        eigenvalues, E = np.linalg.eigh(gram(Z, n_threads))
    E = E.astype(dtype)
    Z = np.ascontiguousarray(Z @ E)
    weights, pulls = cells.weights.data.astype(dtype, copy=False), cells.linear.astype(dtype, copy=False)
    X = np.zeros((cells.shape[0], Z.shape[1]), dtype=dtype)
    if prior is not None:
        pulls = pulls - weights * cells.scores(prior, Y)
        X -= dtype(cells.unobserved_weight) * (prior @ cross(Y, Z, n_threads).astype(dtype))
    if row_linear is not None:
        X += row_linear.astype(dtype) @ (E if basis is None else basis.astype(dtype) @ E)
    shared = (cells.unobserved_weight * np.maximum(eigenvalues, 0)).astype(dtype)
    lam = np.asarray(lam).astype(dtype)
    indptr = cells.weights.indptr

    def work(start: int, stop: int) -> None:
        kernels.ridge_rows(start, stop, indptr, cells.weights.indices, weights, pulls, Z, shared, lam, X)

    run_blocks(work, balanced_blocks(indptr, max(1, min(len(X) // 64, 64))), n_threads)
    return X @ E.T


def improve_basis(
    cells: QuadraticLoss, X: np.ndarray, Y: np.ndarray, A: np.ndarray, B: np.ndarray, lam: np.ndarray, n_steps: int = 4
) -> np.ndarray:
    """Lower loss(X (Y + A B^T)^T) + sum_i lam_i |B a_i|^2 over B (D, R) by conjugate gradients from B.

    Parameters
    ----------
    cells : QuadraticLoss, shape (n_rows, n_columns)
    X, Y : ndarray, shapes (n_rows, D), (n_columns, D)
    A : ndarray, shape (n_columns, R)
    lam : ndarray, shape (n_columns,)

    Notes
    -----
    O(N R + (n_rows + n_columns) D R) time a step for N cells: the (D R, D R) system is never formed.
    """
    G, AA = cells.unobserved_weight * gram(X), gram(A)
    penalty = A.T.astype(np.float64) @ (A * np.asarray(lam)[:, None])
    X64, A64 = X.astype(np.float64), A.astype(np.float64)

    def observed(values: np.ndarray) -> np.ndarray:
        return X64.T @ cells.times(values, A64)

    def half_hessian(D: np.ndarray) -> np.ndarray:
        return G @ D @ AA + observed(cells.weights.data * cells.scores(X64 @ D, A64)) + D @ penalty

    at = cells.scores(X, Y) + cells.scores(X64 @ B, A64)
    residual = -(G @ (Y.T.astype(np.float64) @ A64 + B @ AA))
    residual -= observed(cells.weights.data * at - cells.linear) + B @ penalty
    found, direction, size = B.astype(np.float64), residual.copy(), float((residual**2).sum())
    for _ in range(n_steps):
        if not size > 0:
            break
        image = half_hessian(direction)
        curvature = float((direction * image).sum())
        if not curvature > 0:
            break
        found += size / curvature * direction
        residual -= size / curvature * image
        before, size = size, float((residual**2).sum())
        direction = residual + size / before * direction
    return found
