"""Row solvers of alternating least squares on implicit feedback, and the objectives they lower.

With a = unobserved_weight, nu = reg_exponent, n_u and n_i the numbers of observed entries, w the weights:

    "rendle"  sum_{(u,i) observed} w_ui (x_u . y_i - 1)^2  +  a sum_{u,i} (x_u . y_i)^2
              + reg [ sum_u (n_u + a I)^nu |x_u|^2  +  sum_i (n_i + a U)^nu |y_i|^2 ]

    "hu"      sum_{u,i} c_ui (x_u . y_i - p_ui)^2  +  reg [ sum_u n_u^nu |x_u|^2  +  sum_i n_i^nu |y_i|^2 ]

p is 1 where observed and 0 elsewhere; c is 1 elsewhere. Up to the penalty, "hu" is "rendle" with a = 1, weights
c - 1 and an `offset` of 1 in the pull towards 1: c (s - 1)^2 - s^2 = (c - 1) s^2 - 2 c s + c. With one side fixed,
each row is a ridge problem of its own.

References: Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", eq. 3; Rendle et
al. (2021), arXiv:2110.14037, eq. 4.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg import kernels
from lrrec.linalg.dense import gram, rotate
from lrrec.linalg.threads import balanced_blocks, one_threaded_blas, run_blocks
from lrrec.validate import check_option, check_threads

SOLVERS = ("cg", "cholesky")


@dataclass(frozen=True)
class Objective:
    """The numbers of an objective.

    Attributes
    ----------
    unobserved_weight : float
        a, the weight of every cell.
    reg, reg_exponent : float
        Scale of the penalty, and the power nu of a row's frequency in it.
    offset : float
        0 for "rendle"; 1 for "hu", whose weights are c - 1.
    reg_unobserved : bool
        Whether the frequency counts unobserved cells with weight a ("rendle") or not ("hu").
    """

    unobserved_weight: float = 0.1
    reg: float = 0.01
    reg_exponent: float = 1.0
    offset: float = 0.0
    reg_unobserved: bool = True

    def penalties(self, C: sp.csr_array, dtype: type = np.float32) -> np.ndarray:
        """Return the factor of |x_u|^2 for every row u of C, (n_rows,)."""
        unobserved = self.unobserved_weight * C.shape[1] if self.reg_unobserved else 0.0
        with np.errstate(over="ignore"):
            lam = (self.reg * (np.diff(C.indptr) + unobserved) ** self.reg_exponent).astype(dtype)
        if not np.isfinite(lam).all():
            raise ParameterError(
                f"reg must keep the penalty finite, got reg {self.reg:g} and reg_exponent {self.reg_exponent:g}"
            )
        return lam


def solve_rows(
    C: sp.csr_array,
    Y: np.ndarray,
    objective: Objective,
    *,
    solver: str = "cholesky",
    start: np.ndarray | None = None,
    cg_steps: int = 2,
    n_threads: int | None = None,
) -> np.ndarray:
    """Solve every row's ridge problem against fixed factors.

    Parameters
    ----------
    C : csr_array, shape (n_rows, n_columns)
        Weights w of the observed entries (c - 1 for "hu").
    Y : ndarray of float32 or float64, shape (n_columns, n_factors)
        The fixed factors; results have its dtype.
    objective : Objective
    solver : {"cholesky", "cg"}, default "cholesky"
        Exact, or `cg_steps` of preconditioned conjugate gradients from `start`.
    start : ndarray, shape (n_rows, n_factors), optional
        Where "cg" begins; zeros when not given.
    cg_steps : int, default 2
        Steps of "cg".
    n_threads : int, optional
        All cores when None. Results are bit-identical for every value.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)
        A row without an observed entry is 0.

    Notes
    -----
    Both work in the eigenbasis of Y^T Y = E diag(l) E^T, where the shared part a Y^T Y of every row's matrix is
    diagonal. There a CG step costs O(N D) for N entries and D factors and not D^2 a row, and the diagonal
    a l + lam_u + sum_i w y_i^2 is a good preconditioner. Exactly, a row with n entries costs O(n^2 D + n^3) where n < D
    (dual system), and O(n D^2 + D^3) otherwise.

    References
    ----------
    Takacs, Pilaszy & Tikk (2011), "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering".
    """
    if C.shape[1] != len(Y):
        raise DataError(f"Y must have a row for each of the {C.shape[1]} columns of C, got {len(Y)}")
    X = np.zeros((C.shape[0], Y.shape[1]), dtype=Y.dtype) if start is None else np.array(start, order="C")
    Y = np.array(Y, order="C")
    E = half_sweep(C, X, Y, objective, solver=solver, cg_steps=cg_steps, n_threads=n_threads)
    rotate(X, np.ascontiguousarray(E.T), check_threads(n_threads))
    return X


def half_sweep(
    C: sp.csr_array,
    X: np.ndarray,
    Y: np.ndarray,
    objective: Objective,
    *,
    solver: str = "cg",
    cg_steps: int = 2,
    n_threads: int | None = None,
) -> np.ndarray:
    """Solve the rows X against Y as `solve_rows` does, in place; X and Y are left rotated by E, which is returned.

    E (D, D) is the eigenbasis of Y^T Y. Rotating both sides changes no inner product, so a fit can stay in the
    rotated basis and save the way back.
    """
    check_option(solver, "solver", SOLVERS)
    dtype, n_threads = Y.dtype.type, check_threads(n_threads)
    lam, offset = objective.penalties(C, dtype), dtype(objective.offset)
    indptr, weights = C.indptr.astype(np.int64, copy=False), C.data.astype(dtype, copy=False)
    with one_threaded_blas:
        eigenvalues, E = np.linalg.eigh(gram(Y, n_threads))
    E = E.astype(dtype)
    shared = (objective.unobserved_weight * np.maximum(eigenvalues, 0)).astype(dtype)
    for factors in (X, Y):
        rotate(factors, E, n_threads)

    def work(first: int, last: int) -> None:
        if solver == "cholesky":
            kernels.exact_rows(first, last, indptr, C.indices, weights, Y, shared, lam, offset, X)
        else:
            kernels.cg_rows(first, last, indptr, C.indices, weights, Y, shared, lam, offset, cg_steps, X)

    run_blocks(work, balanced_blocks(indptr, max(1, min(len(lam) // 64, 128))), n_threads)
    return E


def implicit_loss(C: sp.csr_array, X: np.ndarray, Y: np.ndarray, objective: Objective) -> float:
    """Return the value of an objective, in double precision.

    Parameters
    ----------
    C : csr_array, shape (n_users, n_items)
        Weights of the observed entries (c - 1 for "hu").
    X, Y : ndarray, shapes (n_users, n_factors), (n_items, n_factors)
        User and item factors.
    objective : Objective

    Notes
    -----
    The sum over all pairs is the inner product of the two Gram matrices; O((N + U D + I D) D) time.
    """
    indptr = C.indptr.astype(np.int64, copy=False)
    parts = np.zeros(65)
    blocks = balanced_blocks(indptr, 64)
    numbers = {block: number for number, block in enumerate(blocks)}

    def work(first: int, last: int) -> None:
        parts[numbers[first, last]] = kernels.observed_loss(
            first, last, indptr, C.indices, C.data, X, Y, objective.offset
        )

    run_blocks(work, blocks, check_threads(None))
    everywhere = objective.unobserved_weight * float((gram(X) * gram(Y)).sum())
    penalty = 0.0
    for counts, factors in ((C, X), (C.T.tocsr(), Y)):
        squares = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
        penalty += float((objective.penalties(counts, np.float64) * squares).sum())
    return float(parts.sum()) + everywhere + penalty
