"""Quadratic losses of scores, cell by cell, and the ridge problems that they pose for each row.

    loss(S) = a sum_{u,i} s_ui^2  +  sum_{(u,i) observed} (w_ui s_ui^2 - 2 b_ui s_ui)

with the unobserved weight a, the weights w and the linear terms b. Up to a constant, the losses of all factor models
of lrrec have this form: iALS has b = w ("rendle") or b = w + 1 ("hu", w = c - 1), rating ALS a = 0, w = 1 and b = r,
and the SVD of X a = 1, w = 0 and b = x.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.changed_matrix import ChangedMatrix
from lrrec.linalg.dense import (
    ONE_THREAD,
    eigh,
    few_product,
    gram,
    kept_spectrum,
    product,
    rotate,
    spectrum,
    thin_spectrum,
)
from lrrec.linalg.threads import balanced_blocks, run_blocks
from lrrec.validate import check_threads

FEW_ROWS, FEW_CELLS = 64, 2**12  # a problem so small is solved by the calling thread alone
UNLIMITED = 2**62


@dataclass(frozen=True, eq=False)
class QuadraticLoss:
    """A quadratic loss of the scores s of rows u and columns i.

        loss(S) = a sum_{u,i} s_ui^2  +  sum_{(u,i) observed} (w_ui s_ui^2 - 2 b_ui s_ui)

    Up to a constant, the losses of all factor models of lrrec have this form.

    Attributes
    ----------
    unobserved_weight : float
        a: the weight of every cell, observed or not.
    weights : csr_array, shape (n_rows, n_columns)
        w: the additional weight of each observed cell; cells of weight 0 are stored.
    linear : ndarray, shape (n_cells,)
        b: the linear term of each observed cell, in the order of `weights.data`.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import QuadraticLoss
    >>> loss = QuadraticLoss(0.5, csr_array(np.array([[1.0, 0.0]])), np.array([1.0]))
    >>> X, Y = np.array([[1.0]]), np.array([[1.0], [2.0]])
    >>> loss.loss(X, Y)  # 0.5 (1 + 4) + 1 - 2, of the scores 1 and 2
    1.5
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
    def has_zero_linear(self) -> bool:
        """Whether a linear term is 0, as those of dislikes are in implicit ALS."""
        return bool((self.linear == 0).any())

    @cached_property
    def T(self) -> "QuadraticLoss":
        """The same loss as a function of the transposed scores."""
        order = np.argsort(self.weights.indices, kind="stable")
        indptr = np.concatenate(([0], np.cumsum(np.bincount(self.weights.indices, minlength=self.shape[1]))))
        weights = sp.csr_array((self.weights.data[order], self.rows[order], indptr), shape=self.shape[::-1])
        return QuadraticLoss(self.unobserved_weight, weights, self.linear[order])

    def columns(self, selected: np.ndarray) -> "QuadraticLoss":
        """The part of the loss in some columns, in ascending order."""
        place = np.full(self.shape[1], -1, dtype=np.int32)
        place[selected] = np.arange(len(selected), dtype=np.int32)
        indices = place[self.weights.indices]
        kept = indices >= 0
        indptr = np.concatenate(([0], np.cumsum(kept)))[self.weights.indptr]
        weights = sp.csr_array((self.weights.data[kept], indices[kept], indptr), shape=(self.shape[0], len(selected)))
        return QuadraticLoss(self.unobserved_weight, weights, self.linear[kept])

    def scores(self, X: np.ndarray, Y: np.ndarray, *, n_threads: int | None = None) -> np.ndarray:
        """x_u . y_i of each observed cell, (n_cells,), for X (n_rows, D) and Y (n_columns, D)."""
        X, Y = kernels.as_input(X), kernels.as_input(Y)
        out, (indptr, indices) = np.empty(len(self.linear), dtype=X.dtype), kernels.index_arrays(self.weights)

        def work(start: int, stop: int) -> None:
            kernels.dot_rows(start, stop, indptr, indices, X, Y, out)

        run_blocks(work, balanced_blocks(indptr, 64), check_threads(n_threads))
        return out

    def loss(self, X: np.ndarray, Y: np.ndarray) -> float:
        """The loss of the scores X Y^T, in double precision; no score is kept."""
        X, Y = kernels.as_input(X), kernels.as_input(Y)
        (indptr, indices), n_threads = kernels.index_arrays(self.weights), check_threads(None)
        weights, linear = (kernels.as_input(values, X.dtype) for values in (self.weights.data, self.linear))
        blocks = balanced_blocks(indptr, 64)
        parts = dict.fromkeys(blocks, 0.0)

        def work(start: int, stop: int) -> None:
            parts[start, stop] = kernels.observed_loss(start, stop, indptr, indices, weights, linear, X, Y)

        run_blocks(work, blocks, n_threads)
        everywhere = self.unobserved_weight * float((gram(X, n_threads) * gram(Y, n_threads)).sum())
        return everywhere + sum(parts.values())

    def times(self, values: np.ndarray, Y: np.ndarray, *, n_threads: int | None = None) -> np.ndarray:
        """A Y (n_rows, D) for the matrix A with these values in the observed cells, and Y (n_columns, D)."""
        Y, values = kernels.as_input(Y), kernels.as_input(values)
        out, (indptr, indices) = np.empty((self.shape[0], Y.shape[1]), Y.dtype), kernels.index_arrays(self.weights)

        def work(start: int, stop: int) -> None:
            kernels.times_rows(start, stop, indptr, indices, values, Y, out)

        run_blocks(work, balanced_blocks(indptr, 64), check_threads(n_threads))
        return out


def solve_ridge(
    loss: QuadraticLoss,
    Y: np.ndarray | ChangedMatrix,
    lam: np.ndarray,
    *,
    prior: np.ndarray | None = None,
    basis: np.ndarray | None = None,
    row_linear: np.ndarray | None = None,
    n_threads: int | None = None,
    keep: bool = False,
) -> np.ndarray:
    """Minimise loss(X Y^T) + sum_u lam_u |c_u|^2 - 2 l_u . x_u over rows x_u = p_u + B c_u; return c (n_rows, R).

    Parameters
    ----------
    loss : QuadraticLoss, shape (n_rows, n_columns)
    Y : ndarray of float32 or float64, or ChangedMatrix, shape (n_columns, D)
        The fixed factors; the result has its type. A changed matrix is for a few rows, without basis and prior.
    lam : ndarray, shape (n_rows,)
        The L2 penalty of each row.
    prior : ndarray, shape (n_rows, D), optional
        p, toward which rows are penalized; zeros by default.
    basis : ndarray, shape (D, R), optional
        B, with orthonormal columns; the identity by default.
    row_linear : ndarray, shape (n_rows, D), optional
        l: a linear term of each row; zeros by default.
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.
    keep : bool, default False
        Whether what depends on Y alone is kept for further calls; Y becomes read-only.

    Notes
    -----
    Exact, in the eigenbasis of B^T Y^T Y B = E diag(e) E^T, where the part a B^T Y^T Y B of every row's matrix is
    diagonal; without row_linear, rows lie in the span of Y's rows, so that R is n_columns where these are fewer than
    the factors. A row of n cells costs O(n^2 R + n^3) where n < R (dual system) and O(n R^2 + R^3) otherwise; a row
    without cells costs O(R). To this come O(n_columns D^2) once, unless it is kept.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import QuadraticLoss, solve_ridge
    >>> loss = QuadraticLoss(0.0, csr_array(np.array([[1.0, 0.0]])), np.array([3.0]))
    >>> solve_ridge(loss, np.eye(2), lam=np.array([2.0])).round(3).tolist()  # b / (w + lam)
    [[1.0, 0.0]]
    """
    dtype, n_threads = Y.dtype.type, check_threads(n_threads)
    (indptr, indices), a = kernels.index_arrays(loss.weights), loss.unobserved_weight
    few = len(indptr) <= FEW_ROWS and len(indices) <= FEW_CELLS
    B = None if basis is None else basis.astype(dtype)
    shared = np.zeros(Y.shape[1] if B is None else B.shape[1], dtype=dtype)
    if a:
        if isinstance(Y, ChangedMatrix):
            eigenvalues, E = Y.spectrum
        elif basis is not None:
            G = gram(Y, n_threads)
            eigenvalues, E = eigh(basis.T @ G @ basis)
        elif len(Y) < Y.shape[1] and row_linear is None:
            eigenvalues, E = thin_spectrum(Y)
        else:
            eigenvalues, E = kept_spectrum(Y, n_threads) if keep else spectrum(Y, n_threads)
        shared = (a * np.maximum(eigenvalues, 0)).astype(dtype)
        GB = E * eigenvalues if basis is None else G @ basis @ E
        E = E.astype(dtype)
        B = E if B is None else B @ E
    if B is not None and 2 * len(indices) < len(Y):
        occurring, indices = np.unique(indices, return_inverse=True)
        indices, Z = indices.astype(np.int32), Y[occurring]
    else:
        Z = kernels.as_input(np.asarray(Y))
    if B is not None:
        Z = few_product(Z, B) if few else product(Z, B, n_threads)
    weights, linear = (kernels.as_input(values, dtype) for values in (loss.weights.data, loss.linear))
    X = np.zeros((loss.shape[0], Z.shape[1]), dtype=dtype)
    if prior is not None:
        linear = linear - weights * loss.scores(prior, np.asarray(Y), n_threads=n_threads)
        if a:
            X -= dtype(a) * (prior @ GB.astype(dtype))
    if row_linear is not None:
        X += row_linear.astype(dtype) if B is None else row_linear.astype(dtype) @ B
    lam = np.asarray(lam).astype(dtype)

    eps, mixed = np.finfo(dtype).eps, True if len(weights) and weights.min() <= 0 else None
    most = ONE_THREAD if few else UNLIMITED

    def work(start: int, stop: int) -> None:
        kernels.ridge_rows(start, stop, indptr, indices, weights, linear, Z, shared, lam, eps, most, X, mixed)

    if few:  # no thread is started, and no limit of the process is set: requests at the same time do not meet
        work(0, len(X))
        return few_product(X, np.ascontiguousarray(E.T)) if a else X
    run_blocks(work, balanced_blocks(indptr, max(1, min(len(X) // 64, 64))), n_threads)
    return rotate(X, np.ascontiguousarray(E.T), n_threads) if a else X


def ridge_shares(loss: QuadraticLoss, Y: np.ndarray, lam: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return what each cell adds to x . t for the solution x of `solve_ridge` for one row, float64 (n_cells, T).

    The solution is linear in the linear terms, x = (a Y^T Y + sum_j w_j y_j y_j^T + lam I)^-1 sum_j b_j y_j, with the
    sums over the row's cells. targets (D, T): vectors t.
    """
    observed = Y[loss.weights.indices].astype(np.float64)
    system = (observed.T * loss.weights.data) @ observed + lam[0] * np.eye(Y.shape[1])
    if loss.unobserved_weight:
        system += loss.unobserved_weight * gram(Y)
    shares: np.ndarray = observed @ np.linalg.lstsq(system, targets, rcond=None)[0]
    return shares * loss.linear[:, None]


def improve_basis(
    loss: QuadraticLoss, X: np.ndarray, Y: np.ndarray, A: np.ndarray, B: np.ndarray, lam: np.ndarray,
    *, cg_steps: int = 4,
) -> np.ndarray:  # fmt: skip
    """Lower loss(X (Y + A B^T)^T) + sum_i lam_i |B a_i|^2 over B (D, R) by conjugate gradients, starting from B.

    Parameters
    ----------
    loss : QuadraticLoss, shape (n_rows, n_columns)
    X, Y : ndarray, shapes (n_rows, D), (n_columns, D)
    A : ndarray, shape (n_columns, R)
    B : ndarray, shape (D, R)
    lam : ndarray, shape (n_columns,)
    cg_steps : int, default 4

    Notes
    -----
    O(N R + (n_rows + n_columns) D R) time a step for N cells: the (D R, D R) system is never formed.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import QuadraticLoss, improve_basis
    >>> rng = np.random.default_rng(0)
    >>> X, Y, A, B = (rng.normal(size=shape) for shape in [(6, 3), (5, 3), (5, 1), (3, 1)])
    >>> loss, lam = QuadraticLoss(0.1, csr_array(np.ones((6, 5))), np.ones(30)), np.ones(5)
    >>> improved = improve_basis(loss, X, Y, A, B, lam)
    >>> before, after = (loss.loss(X, Y + A @ C.T) + (lam @ (A @ C.T) ** 2).sum() for C in (B, improved))
    >>> bool(after < before)
    True
    """
    G, AA = loss.unobserved_weight * gram(X), gram(A)
    penalty = A.T.astype(np.float64) @ (A * np.asarray(lam)[:, None])
    X64, A64 = X.astype(np.float64), A.astype(np.float64)

    def observed(values: np.ndarray) -> np.ndarray:
        return X64.T @ loss.times(values, A64)

    def half_hessian(D: np.ndarray) -> np.ndarray:
        return G @ D @ AA + observed(loss.weights.data * loss.scores(X64 @ D, A64)) + D @ penalty

    scores = loss.scores(X, Y) + loss.scores(X64 @ B, A64)
    residual = -(G @ (Y.T.astype(np.float64) @ A64 + B @ AA))
    residual -= observed(loss.weights.data * scores - loss.linear) + B @ penalty
    basis, direction, size = B.astype(np.float64), residual.copy(), float((residual**2).sum())
    for _ in range(cg_steps):
        if not size > 0:
            break
        image = half_hessian(direction)
        curvature = float((direction * image).sum())
        if not curvature > 0:
            break
        basis += size / curvature * direction
        residual -= size / curvature * image
        previous, size = size, float((residual**2).sum())
        direction = residual + size / previous * direction
    return basis
