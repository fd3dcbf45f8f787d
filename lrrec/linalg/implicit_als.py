"""Alternating least squares on implicit feedback: its objectives, and the solvers of its rows.

With a = unobserved_weight, nu = reg_exponent, w the weights, and n_u and n_i the sums of the weights of a user and an
item in "rendle", the numbers of their observed entries in "hu":

    "rendle"  sum_{(u,i) observed} w_ui (x_u . y_i - p_ui)^2  +  a sum_{u,i} (x_u . y_i)^2
              + reg [ sum_u (n_u + a I)^nu |x_u|^2  +  sum_i (n_i + a U)^nu |y_i|^2 ]

    "hu"      sum_{u,i} c_ui (x_u . y_i - p_ui)^2  +  reg [ sum_u n_u^nu |x_u|^2  +  sum_i n_i^nu |y_i|^2 ]

p is 1 for a like, 0 for a dislike and where nothing is observed; c is 1 where nothing is observed. Both are a quadratic
loss (`lrrec.linalg.quadratic`) plus penalties: "rendle" with the linear terms w p; "hu" with a = 1, weights w = c - 1
and the linear terms c p, because c (s - p)^2 - s^2 = (c - 1) s^2 - 2 c p s + c p^2. With one side fixed, each row is a
separate ridge problem.

References: Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", eq. 3; Rendle et
al. (2021), arXiv:2110.14037, eq. 4.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg import kernels
from lrrec.linalg.dense import eigh, gram, rotate, spectrum
from lrrec.linalg.quadratic import QuadraticLoss, solve_ridge
from lrrec.linalg.sparse import row_sums
from lrrec.linalg.threads import balanced_blocks, run_blocks
from lrrec.validate import check_option, check_threads

SOLVERS = ("cg", "cholesky")


@dataclass(frozen=True)
class Objective:
    """The constants of an objective of implicit-feedback ALS; `lrrec.IALS` has the formulas.

    Attributes
    ----------
    unobserved_weight : float
        a: the weight of every cell, observed or not.
    reg, reg_exponent : float
        Scale of the penalty, and the power nu of a row's frequency in it: with "rendle" its sum of weights and a times
        the number of columns, with "hu" the number of its entries.
    offset : float
        By how much the linear terms of likes exceed the weights: 0 for "rendle"; 1 for "hu", whose weights are c - 1.
    reg_unobserved : bool
        Whether the frequency is one of weights, of unobserved cells too ("rendle"), or of entries ("hu").

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import Objective
    >>> C = csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32))
    >>> Objective(unobserved_weight=1.0, reg=0.5).penalties(C).tolist()  # 0.5 (n_u + 3) for users of 2 and 1 items
    [2.5, 2.0]
    """

    unobserved_weight: float = 0.1
    reg: float = 0.01
    reg_exponent: float = 1.0
    offset: float = 0.0
    reg_unobserved: bool = True

    def penalties(self, C: sp.csr_array, dtype: type = np.float32) -> np.ndarray:
        """Return the L2 penalty of every row of the weights C, (n_rows,)."""
        with np.errstate(over="ignore"):
            if self.reg_unobserved:  # sums in the precision of the weights take a quarter of the time
                frequency = row_sums(C).astype(np.float64) + self.unobserved_weight * C.shape[1]
            else:
                frequency = np.diff(C.indptr).astype(np.float64)
            lam = (self.reg * frequency**self.reg_exponent).astype(dtype)
        if not np.isfinite(lam).all():
            raise ParameterError(
                f"reg must keep the penalty finite, got reg {self.reg:g} and reg_exponent {self.reg_exponent:g}, with "
                f"unobserved_weight {self.unobserved_weight:g}: lower them, or scale the values down"
            )
        return lam

    def quadratic_loss(
        self, C: sp.csr_array, dtype: type = np.float32, likes: np.ndarray | None = None
    ) -> QuadraticLoss:
        """Return the loss, without penalties and up to a constant, for the weights C of the observed entries.

        likes (n_entries,): whether p is 1 or 0; all 1 when not given.
        """
        linear = C.data.astype(dtype, copy=False)
        linear = linear + dtype(self.offset) if self.offset else linear
        return QuadraticLoss(self.unobserved_weight, C, linear if likes is None else np.where(likes, linear, dtype(0)))


def solve_rows(
    C: sp.csr_array,
    Y: np.ndarray,
    objective: Objective,
    *,
    solver: str = "cholesky",
    init: np.ndarray | None = None,
    cg_steps: int = 2,
    tolerance: float = 0.0,
    likes: np.ndarray | None = None,
    n_threads: int | None = None,
) -> np.ndarray:
    """Solve every row's ridge problem against fixed factors.

    Minimises over each row x_u, with a, o and lam_u from the objective,

        a sum_i (x_u . y_i)^2  +  sum_{i observed} [w_ui (x_u . y_i)^2 - 2 (w_ui + o) p_ui x_u . y_i]  +  lam_u |x_u|^2

    Parameters
    ----------
    C : csr_array, shape (n_rows, n_columns)
        Weights w of the observed entries (c - 1 for "hu").
    Y : ndarray of float32 or float64, shape (n_columns, n_factors)
        The fixed factors; the result has its type.
    objective : Objective
    solver : {"cholesky", "cg"}, default "cholesky"
        Exact (see `solve_ridge`), or `cg_steps` of preconditioned conjugate gradients from `init`.
    init : ndarray, shape (n_rows, n_factors), optional
        Initial values of "cg"; zeros by default.
    cg_steps : int, default 2
        Steps of "cg".
    tolerance : float, default 0.0
        Of "cg": a row takes no further step once its residual is as small, relative to the row, as `cg_rows` says.
    likes : ndarray of bool, shape (n_entries,), optional
        Which observed entries are likes (p is 1), in the order of C.data; the others are dislikes (p is 0). All when
        not given.
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Returns
    -------
    ndarray, shape (n_rows, n_factors)
        A row without an observed entry is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import Objective, solve_rows
    >>> C = csr_array(np.array([[1.0, 0.0], [1.0, 1.0]]))
    >>> Y = np.eye(2)
    >>> solve_rows(C, Y, Objective(unobserved_weight=1.0, reg=1.0, reg_exponent=0.0)).round(3).tolist()
    [[0.333, 0.0], [0.333, 0.333]]
    """
    if C.shape[1] != len(Y):
        raise DataError(f"Y must have a row for each of the {C.shape[1]} columns of C, got {len(Y)}")
    loss = objective.quadratic_loss(C, Y.dtype.type, likes)
    if check_option(solver, "solver", SOLVERS) == "cholesky":
        return solve_ridge(loss, Y, objective.penalties(C, Y.dtype.type), n_threads=n_threads)
    X = np.zeros((C.shape[0], Y.shape[1]), dtype=Y.dtype) if init is None else np.array(init, order="C")
    E = _cg_half_sweep(loss, X, np.array(Y, order="C"), objective, cg_steps, check_threads(n_threads), tolerance)
    rotate(X, np.ascontiguousarray(E.T), check_threads(n_threads))
    return X


def half_sweep(
    loss: QuadraticLoss,
    X: np.ndarray,
    Y: np.ndarray,
    objective: Objective,
    *,
    solver: str = "cg",
    cg_steps: int = 2,
    n_threads: int | None = None,
) -> np.ndarray | None:
    """Solve the rows X against Y as `solve_rows` does, in place, starting from X; for the loss of an objective.

    X and Y may both be left in another orthonormal basis, which is returned: this changes no score and saves the way
    back.
    """
    if solver == "cg":
        return _cg_half_sweep(loss, X, Y, objective, cg_steps, check_threads(n_threads))
    X[:] = solve_ridge(loss, Y, objective.penalties(loss.weights, Y.dtype.type), n_threads=n_threads)
    return None


def _cg_half_sweep(
    loss: QuadraticLoss, X: np.ndarray, Y: np.ndarray, objective: Objective, cg_steps: int, n_threads: int,
    tolerance: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Improve the rows X against Y by conjugate gradients, in place, and return the basis E that both are left in.

    Notes
    -----
    In the eigenbasis of Y^T Y = E diag(e) E^T the shared part a Y^T Y of every row's matrix is diagonal. A step then
    costs O(N D) for N entries and D factors instead of D^2 a row, and the diagonal a e + lam_u + sum_i w y_i^2 is a
    good preconditioner.

    References
    ----------
    Takacs, Pilaszy & Tikk (2011), "Applications of the conjugate gradient method for implicit feedback
    collaborative filtering".
    """
    dtype = Y.dtype.type
    C, lam, offset = loss.weights, objective.penalties(loss.weights, dtype), dtype(objective.offset)
    linear = kernels.as_input(loss.linear if loss.has_zero_linear else loss.linear[:0], dtype)
    (indptr, indices), weights = kernels.index_arrays(C), kernels.as_input(C.data, dtype)
    eigenvalues, E = eigh(gram(Y, n_threads))
    E = E.astype(dtype)
    with np.errstate(over="ignore"):
        shared = (objective.unobserved_weight * np.maximum(eigenvalues, 0)).astype(dtype)
    for factors in (X, Y):
        rotate(factors, E, n_threads)

    def work(start: int, stop: int) -> None:
        kernels.cg_rows(
            start, stop, indptr, indices, weights, linear, Y, shared, lam, offset, cg_steps, dtype(tolerance), X
        )

    run_blocks(work, balanced_blocks(indptr, max(1, min(len(lam) // 64, 128))), n_threads)
    return E


def excess_loss(
    loss: QuadraticLoss, X: np.ndarray, Y: np.ndarray, objective: Objective, n_threads: int | None = None
) -> float:
    """Return an upper bound of how much the objective falls if all rows X are solved for, Y fixed.

    For a row with half gradient g = H x - b that is g^T H^-1 g, and H is at least a Y^T Y + lam I, which is diagonal in
    the eigenbasis of Y^T Y; where weights w are negative, at least (a + min w) Y^T Y + lam I. O(N D) time for N
    entries, and O((n_rows + n_columns) D^2).
    """
    n_threads = check_threads(n_threads)
    lam = objective.penalties(loss.weights, np.float64)[:, None]
    eigenvalues, E = spectrum(Y, n_threads)
    observed = loss.scores(X, Y, n_threads=n_threads) * loss.weights.data - loss.linear
    gradient = loss.times(observed, Y, n_threads=n_threads).astype(np.float64) + lam * X
    curvature = objective.unobserved_weight * eigenvalues
    gradient = gradient @ E + (X.astype(np.float64) @ E) * curvature
    least = loss.unobserved_weight + min(0.0, float(loss.weights.data.min(initial=0)))
    whole = max(least, 0.0) * eigenvalues + lam
    return float(np.divide(gradient**2, whole, out=np.zeros_like(gradient), where=whole > 0).sum())


def implicit_loss(
    C: sp.csr_array, X: np.ndarray, Y: np.ndarray, objective: Objective, likes: np.ndarray | None = None,
    penalties: tuple[float | None, float | None] = (None, None),
) -> float:  # fmt: skip
    """Return the value of an objective of `lrrec.IALS`, in double precision.

    Parameters
    ----------
    C : csr_array, shape (n_users, n_items)
        Weights of the observed entries (c - 1 for "hu").
    X, Y : ndarray, shapes (n_users, n_factors), (n_items, n_factors)
        User and item factors.
    objective : Objective
    likes : ndarray of bool, shape (n_entries,), optional
        As for `solve_rows`.
    penalties : pair of float or None
        All penalties of the user factors, and of the item factors, where they have another prior mean than 0.

    Notes
    -----
    The sum over all pairs is the inner product of the two Gram matrices; O((N + U D + I D) D) time.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import Objective, implicit_loss
    >>> C, X, Y = csr_array(np.array([[1.0, 0.0]])), np.array([[1.0]]), np.array([[1.0], [1.0]])
    >>> implicit_loss(C, X, Y, Objective(unobserved_weight=0.5, reg=1.0, reg_exponent=0.0))  # 0.5 * 2 + 1 + 2
    4.0
    """
    loss = objective.quadratic_loss(C, likes=likes)
    value = loss.loss(X, Y) + float(loss.linear.sum(dtype=np.float64))
    for counts, factors, penalty in ((C, X, penalties[0]), (C.T.tocsr(), Y, penalties[1])):
        squares = np.einsum("ij,ij->i", factors, factors, dtype=np.float64)
        value += float((objective.penalties(counts, np.float64) * squares).sum()) if penalty is None else penalty
    return value
