"""Row solvers of alternating least squares on implicit feedback, and the objective they lower.

The objective (Hu, Koren & Volinsky 2008, in the form of Rendle et al. 2021, arXiv:2110.14037), with
a = unobserved_weight and nu = reg_exponent:

    sum_{(u,i) observed} w_ui (x_u . y_i - 1)^2  +  a sum_{u,i} (x_u . y_i)^2
    + reg [ sum_u (n_u + a I)^nu |x_u|^2  +  sum_i (n_i + a U)^nu |y_i|^2 ]

where n_u and n_i count observed entries. With the other side fixed, each row is a ridge problem of its own.
"""

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg import kernels
from lrrec.linalg.blocks import balanced_blocks, run_blocks
from lrrec.validate import check_option, check_threads

SOLVERS = ("cg", "cholesky")


def row_penalties(
    C: sp.csr_array, *, unobserved_weight: float, reg: float, reg_exponent: float, dtype: type = np.float32
) -> np.ndarray:
    """Return reg (n_u + a I)^nu for every row u of C, (n_rows,)."""
    counts = np.diff(C.indptr)
    with np.errstate(over="ignore"):
        penalties = (reg * (counts + unobserved_weight * C.shape[1]) ** reg_exponent).astype(dtype)
    if not np.isfinite(penalties).all():
        raise ParameterError(f"reg must keep the penalty finite, got reg {reg:g} and reg_exponent {reg_exponent:g}")
    return penalties


def gram(Y: np.ndarray) -> np.ndarray:
    """Return Y^T Y in double precision, (D, D), by sums over fixed slices: the same for any number of threads."""
    total = np.zeros((Y.shape[1], Y.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(Y), 4096):
            part = Y[start : start + 4096]
            total += part.T @ part
    if not np.isfinite(total).all():
        raise DataError("values and parameters must keep the factors finite, got overflow: scale them down")
    return total


def solve_rows(
    C: sp.csr_array,
    Y: np.ndarray,
    *,
    unobserved_weight: float,
    reg: float,
    reg_exponent: float = 1.0,
    solver: str = "cholesky",
    start: np.ndarray | None = None,
    n_steps: int = 2,
    n_threads: int | None = None,
) -> np.ndarray:
    """Solve every row's ridge problem against fixed factors.

    Row u minimises  sum_i w_ui (x_u . y_i - 1)^2 + a sum_i (x_u . y_i)^2 + reg (n_u + a I)^nu |x_u|^2,
    the first sum over its observed columns i.

    Parameters
    ----------
    C : csr_array, shape (n_rows, n_columns)
        Weights w >= 0 of the observed entries.
    Y : ndarray of float32 or float64, shape (n_columns, n_factors)
        The fixed factors; results have its dtype.
    unobserved_weight, reg, reg_exponent : float
        a, reg and nu above.
    solver : {"cholesky", "cg"}, default "cholesky"
        Exact, or `n_steps` of conjugate gradients from `start`, preconditioned in the eigenbasis of Y^T Y.
    start : ndarray, shape (n_rows, n_factors), optional
        Where "cg" begins; zeros when not given.
    n_steps : int, default 2
        Steps of "cg".
    n_threads : int, optional
        All cores when None. Results are bit-identical for every value.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)
        A row without an observed entry is 0.

    Notes
    -----
    Cholesky costs O(N D^2 + n_rows D^3) for N entries and D factors, a CG step O(N D). In the eigenbasis
    Y^T Y = E diag(l) E^T the shared part of every row's matrix is diagonal, so a step does not cost D^2, and the
    diagonal a l + lam_u + sum_i w y_i^2 is close to the whole matrix: a good preconditioner.

    References
    ----------
    Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", eq. 4;
    Takacs, Pilaszy & Tikk (2011), "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering"; Rendle et al. (2021), arXiv:2110.14037, eq. 4.
    """
    check_option(solver, "solver", SOLVERS)
    n_threads = check_threads(n_threads)
    if C.shape[1] != len(Y):
        raise DataError(f"Y must have a row for each of the {C.shape[1]} columns of C, got {len(Y)}")
    lam = row_penalties(C, unobserved_weight=unobserved_weight, reg=reg, reg_exponent=reg_exponent, dtype=Y.dtype.type)
    indptr, weights = C.indptr.astype(np.int64, copy=False), C.data.astype(Y.dtype, copy=False)
    blocks = balanced_blocks(indptr, n_blocks=max(1, min(len(lam) // 64, 64)))
    if solver == "cholesky":
        shared = (unobserved_weight * gram(Y)).astype(Y.dtype)
        X = np.empty((C.shape[0], Y.shape[1]), dtype=Y.dtype)
        Y = np.ascontiguousarray(Y)

        def work(first: int, last: int) -> None:
            kernels.exact_rows(first, last, indptr, C.indices, weights, Y, shared, lam, X)

        run_blocks(work, blocks, n_threads)
        return X
    eigenvalues, E = np.linalg.eigh(gram(Y))
    E = E.astype(Y.dtype)
    shared = (unobserved_weight * np.maximum(eigenvalues, 0)).astype(Y.dtype)
    X = np.zeros((C.shape[0], Y.shape[1]), dtype=Y.dtype) if start is None else start @ E
    Y = Y @ E

    def step(first: int, last: int) -> None:
        kernels.cg_rows(first, last, indptr, C.indices, weights, Y, shared, lam, n_steps, X)

    run_blocks(step, blocks, n_threads)
    return X @ E.T


def implicit_loss(
    C: sp.csr_array, X: np.ndarray, Y: np.ndarray, *, unobserved_weight: float, reg: float, reg_exponent: float = 1.0
) -> float:
    """Return the value of the objective on top of this module, in double precision.

    Parameters
    ----------
    C : csr_array, shape (n_users, n_items)
        Weights of the observed entries.
    X, Y : ndarray, shapes (n_users, n_factors), (n_items, n_factors)
        User and item factors.
    unobserved_weight, reg, reg_exponent : float
        a, reg and nu of the objective.

    Notes
    -----
    The sum over all pairs is the inner product of the two Gram matrices; O((N + U D + I D) D) time.
    """
    indptr = C.indptr.astype(np.int64, copy=False)
    observed = kernels.observed_loss(0, C.shape[0], indptr, C.indices, C.data, X, Y)
    everywhere = unobserved_weight * float(np.sum(gram(X) * gram(Y)))
    penalty = 0.0
    for counts, factors in ((C, X), (C.T.tocsr(), Y)):
        lam = row_penalties(
            counts, unobserved_weight=unobserved_weight, reg=reg, reg_exponent=reg_exponent, dtype=np.float64
        )
        penalty += float(lam @ np.einsum("ij,ij->i", factors, factors, dtype=np.float64))
    return float(observed) + everywhere + penalty
