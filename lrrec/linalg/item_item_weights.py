"""Item-item weights in closed form, from users' rows and a prior on second-order statistics.

With users' rows X (n, I) and a positive semi-definite S (I, I), the weights B (I, I) minimise

    |X - X B|_F^2 + tr[(I - B)^T S (I - B)] + reg |B|_F^2    subject to diag(B) = 0,

which is EASE (Steck 2019) for the Gram matrix X^T X + S: B = I - P / diag(P), P = (X^T X + S + reg I)^-1.
"""

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.dense import inner_products, product
from lrrec.linalg.inverse import invert
from lrrec.linalg.ranking import ALL_COLUMNS, Columns, are_all
from lrrec.linalg.sparse import co_occurrences
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks
from lrrec.validate import check_threads

MAX_DENSE = 20_000  # items: from more on, the weights would not fit memory


class ItemItemWeights(ABC):
    """Item-item weights B, with which users' histories are scored."""

    @abstractmethod
    def scores(self, histories: sp.csr_array, columns: Columns = ALL_COLUMNS) -> np.ndarray:
        """H B at the given columns, float32 (b, n_columns), for histories H (b, I)."""


class DenseWeights(ItemItemWeights):
    """B itself, (I, I)."""

    def __init__(self, B: np.ndarray) -> None:
        self.B = B

    def scores(self, histories: sp.csr_array, columns: Columns = ALL_COLUMNS) -> np.ndarray:
        """See `ItemItemWeights`."""
        out: np.ndarray = histories @ self.B[:, columns]
        return out


class FactoredGram:
    """The matrix diag(s) L M M^T L^T diag(s) (I, I).

    L : ndarray of float32, shape (I, D), which is only referred to. M : ndarray, shape (D, R), and s : ndarray, shape
    (I,), the unit matrix and ones when not given.
    """

    def __init__(self, L: np.ndarray, M: np.ndarray | None = None, s: np.ndarray | None = None) -> None:
        self.L, self.M = L, np.eye(L.shape[1]) if M is None else M
        self.s = np.ones(len(L)) if s is None else s

    @cached_property
    def unscaled(self) -> np.ndarray:
        """L M (I, R), in double precision."""
        product: np.ndarray = self.L @ self.M
        return product

    def root(self) -> np.ndarray:
        """diag(s) L M (I, R)."""
        root: np.ndarray = self.unscaled * self.s[:, None]
        return root

    def times(self, weights: np.ndarray) -> "FactoredGram":
        """The matrix with weights (I,) on both sides."""
        other = FactoredGram(self.L, self.M, self.s * weights)
        other.unscaled = self.unscaled
        return other


GramMatrix = np.ndarray | FactoredGram


class DualWeights(ItemItemWeights):
    """B by the inverse of a matrix of the n users and the R columns of F, for S = F F^T; B is never formed.

    With Z = [X; F^T] (n + R, I) and K = Z Z^T + reg I, Woodbury's identity gives reg P = I - Z^T K^-1 Z. Of F, which is
    diag(s) L M, only the parts are kept.
    """

    def __init__(self, X: sp.csr_array, S: FactoredGram, reg: float) -> None:
        self.X, self.L, self.M, self.s, self.reg = X.astype(np.float32), S.L, S.M, S.s, reg
        F, n = S.root(), X.shape[0]
        X = X.astype(np.float64)
        K = np.empty((n + F.shape[1],) * 2)
        K[:n, :n] = (X @ X.T).toarray()
        K[:n, n:] = X @ F
        K[n:, :n] = K[:n, n:].T
        K[n:, n:] = F.T @ F
        K[np.diag_indices_from(K)] += reg
        factor, _ = cho_factor(K, lower=True, overwrite_a=True, check_finite=False)
        self.diagonal = np.empty(X.shape[1])  # of reg P
        by_item = X.T.tocsr()
        for start, stop in even_blocks(X.shape[1], max(1, 2**22 // len(K))):
            Z = np.hstack((by_item[start:stop].toarray(), F[start:stop])).T
            root = solve_triangular(factor, Z, lower=True, overwrite_b=True, check_finite=False)
            self.diagonal[start:stop] = 1 - np.einsum("mi,mi->i", root, root)
        if not (self.diagonal > 0).all():
            raise DataError("the item-item weights cannot be solved for in double precision: raise reg")
        half, _ = dpotri(factor, lower=1)
        inverse = np.tril(half) + np.tril(half, -1).T
        T = np.concatenate((inverse[:n], self.M @ inverse[n:]))
        self.T = np.hstack((T[:, :n], T[:, n:] @ self.M.T))  # K^-1 between [X; L^T diag(s)] on both sides

    def encode(self, histories: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors for inner products with L, float32 (b, D), and weights of the users' rows, float64 (b, n)."""
        n = self.X.shape[0]
        right = np.empty((histories.shape[0], len(self.T)))
        kernels.dual_products(*_csr(histories), *_csr(self.X), self.s, kernels.as_input(self.L), right)
        coefficients = right @ self.T
        return coefficients[:, n:].astype(np.float32), coefficients[:, :n]

    def encode_training(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `encode` of rows of X, given by their indices: K^-1 Z Z^T = I - reg K^-1."""
        n = self.X.shape[0]
        coefficients = -self.reg * self.T[rows]
        coefficients[np.arange(len(rows)), rows] += 1
        return coefficients[:, n:].astype(np.float32), coefficients[:, :n]

    def finish(
        self, products: np.ndarray, of_users: np.ndarray, histories: sp.csr_array, columns: Columns = ALL_COLUMNS
    ) -> np.ndarray:
        """Turn inner products with rows of L, float32 (b, n_columns), into scores, in place; see `encode`."""
        X, diagonal, s = self.X, self.diagonal, self.s
        if not are_all(columns):
            X, histories, diagonal, s = X[:, columns], histories[:, columns], diagonal[columns], s[columns]
        kernels.finish_dual_rows(products, np.ascontiguousarray(of_users), s, diagonal, *_csr(X), *_csr(histories))
        return products

    def scores(self, histories: sp.csr_array, columns: Columns = ALL_COLUMNS) -> np.ndarray:
        """See `ItemItemWeights`."""
        vectors, of_users = self.encode(histories)
        return self.finish(inner_products(vectors, self.L[columns]), of_users, histories, columns)


def _csr(A: sp.csr_array) -> tuple[np.ndarray, ...]:
    return *kernels.index_arrays(A), kernels.as_input(A.data, np.float32)


class PriorInverse:
    """Q = (S + reg I)^-1 (I, I) for an S that is 0 but between some items: the inverse of that block, and 1 / reg.

    S : ndarray, shape (m, m). items : ndarray of int, shape (m,), rising: which of the n_items. O(m^3) time.
    """

    def __init__(
        self, S: np.ndarray, items: np.ndarray, n_items: int, reg: float, *, n_threads: int | None = None
    ) -> None:
        self.items, self.elsewhere = items, np.float32(1 / reg)
        self.block = S.astype(np.float32)
        self.block[np.diag_indices_from(self.block)] += np.float32(reg)
        invert(self.block, n_threads=n_threads)
        self.diagonal = np.full(n_items, self.elsewhere)
        self.diagonal[items] = np.diag(self.block)

    def times(self, H: sp.csr_array) -> np.ndarray:
        """H Q, float32 (b, I), for H (b, I)."""
        if len(self.items) == H.shape[1]:
            whole: np.ndarray = H @ self.block
            return whole
        out: np.ndarray = (H * self.elsewhere).toarray()
        out[:, self.items] = H[:, self.items] @ self.block
        return out


class UpdatedWeights(ItemItemWeights):
    """B by the inverse for S alone and a correction of the rank of the n users.

    With P0 = Q / weight, Q = (S + reg / weight I)^-1, for the statistics weight S, and W = X P0, Woodbury's identity
    gives P = P0 - W^T (I + W X^T)^-1 W. A Q serves many weights.
    """

    def __init__(self, X: sp.csr_array, Q: PriorInverse, weight: float = 1.0) -> None:
        self.Q, self.factor = Q, np.float32(1 / weight)
        self.W = Q.times(X) * self.factor
        K = X.astype(np.float64) @ self.W.T.astype(np.float64)
        K[np.diag_indices_from(K)] += 1
        factor = cho_factor((K + K.T) / 2, lower=True, overwrite_a=True, check_finite=False)
        self.V = cho_solve(factor, self.W, check_finite=False).astype(np.float32)
        self.diagonal = Q.diagonal * self.factor - np.einsum("ni,ni->i", self.W, self.V)
        if not (self.diagonal > 0).all():
            raise DataError("the item-item weights cannot be solved for in single precision: raise reg")

    def scores(self, histories: sp.csr_array, columns: Columns = ALL_COLUMNS) -> np.ndarray:
        """See `ItemItemWeights`."""
        out: np.ndarray = (histories @ self.W.T) @ self.V[:, columns]
        out -= self.Q.times(histories * self.factor)[:, columns]
        out /= self.diagonal[columns]
        own = histories[:, columns].tocoo()
        out[own.row, own.col] += own.data
        return out


def solve_item_item(X: sp.csr_array, S: GramMatrix, reg: float, *, n_threads: int | None = None) -> ItemItemWeights:
    """Return the weights B that minimise the objective of this module.

    Parameters
    ----------
    X : csr_array, shape (n, I)
    S : ndarray, shape (I, I), or FactoredGram of rank R
        Symmetric and positive semi-definite.
    reg : float
        > 0.
    n_threads : int, optional
        All cores when None.

    Notes
    -----
    O(I^3) time and I^2 numbers. For a `FactoredGram`, where that is cheaper: O((n + R)^2 I + (n + R)^3) time, and
    memory for (n + R)^2 numbers and X.

    Raises
    ------
    DataError
        If I^2 numbers are needed for more than 20,000 items, or reg is too small to solve.
    """
    n_items = X.shape[1]
    if isinstance(S, FactoredGram) and X.shape[0] + S.M.shape[1] <= n_items:
        return one_threaded_blas(DualWeights)(X, S, reg)
    if n_items > MAX_DENSE:
        raise DataError(
            f"item-item weights of {n_items:,} items do not fit memory: at most {MAX_DENSE:,} can be solved"
        )
    A = co_occurrences(X.astype(np.float32), n_threads=n_threads)  # the upper half, which is all that is read
    if isinstance(S, FactoredGram):
        F = S.root().astype(np.float32)
        S = product(F, F.T, check_threads(n_threads))
    A += S
    return DenseWeights(bounded_diagonal_ridge(A, reg, n_threads=n_threads)[0])


def multiplications(n_users: int, n_items: int, rank: int) -> float:
    """About how many multiplications `solve_item_item` takes for a `FactoredGram`; infinity where it refuses."""
    dual = n_users + rank
    if dual <= n_items:
        return float(dual) ** 2 * n_items + float(dual) ** 3 / 3
    return float(n_items) ** 3 if n_items <= MAX_DENSE else np.inf


def add_products(A: np.ndarray, F: sp.csr_array | np.ndarray, *, n_threads: int | None = None) -> None:
    """Add F F^T to the upper half of a matrix A (I, I), for F (I, n), sparse or dense."""
    transposed = F.T if isinstance(F, np.ndarray) else F.T.tocsc()

    def work(start: int, stop: int) -> None:
        products = F[start:stop] @ transposed[:, start:]
        block = products if isinstance(products, np.ndarray) else products.toarray()
        A[start:stop, start:stop] += np.triu(block[:, : stop - start])
        A[start:stop, stop:] += block[:, stop - start :]

    run_blocks(work, even_blocks(len(A), 512), check_threads(n_threads))


def weights_of_new_items(
    B: np.ndarray, diagonal: np.ndarray, F: sp.csr_array | np.ndarray, new: sp.csr_array | np.ndarray, reg: float,
    dropout: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the weights to new items (I, m), and from them (m, I), by their features (m, n) and those of the others.

    The weights B (I, I) and the diagonal of P, (I,), are those of `bounded_diagonal_ridge` for A with F F^T in it. Each
    new item has the weights that the Gram matrix with its row and column would give it: by block inversion, of a
    column g = F f they are P g, with P = (I - B) diag(P).
    """
    products = F @ new.T
    G = products if isinstance(products, np.ndarray) else products.toarray()
    scaled = np.asarray(diagonal[:, None] * G)
    columns = np.where(diagonal[:, None] > 0, scaled - B @ scaled, np.float32(0))
    squares = np.asarray((new**2).sum(axis=1), dtype=np.float64)
    pivots = 1 / (squares / (1 - dropout) + reg - np.einsum("im,im->m", G, columns, dtype=np.float64))
    rows = columns * pivots / np.maximum(diagonal[:, None] + columns**2 * pivots, np.finfo(np.float32).tiny)
    return columns.astype(np.float32), rows.T.astype(np.float32)


def bounded_diagonal_ridge(
    A: np.ndarray, penalties: np.ndarray | float, bound: float = 0.0, *, n_threads: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the upper half of a Gram matrix A (I, I) into the weights B that predict it best, in place.

    B = I - P diag(m), P = (A + diag(penalties))^-1, is the ridge regression whose diagonal is at most the bound: m_j is
    the larger one of penalties_j, without a bound, and of (1 - bound) / P_jj. A bound of 0 makes the diagonal 0.
    Returns B, and the diagonal of P.
    """
    diagonal = np.diag_indices(len(A))
    A[diagonal] += np.float32(penalties)
    invert(A, n_threads=n_threads)
    of_inverse = A[diagonal]
    with np.errstate(divide="ignore", invalid="ignore"):  # infinity and NaN are refused by who gets the weights
        scale = np.minimum(of_inverse / np.float32(1 - bound), 1 / np.float32(penalties)) if bound else of_inverse
        A /= -scale
        A[diagonal] = 1 - of_inverse / scale
    return A, of_inverse


def scaled(S: GramMatrix, exponent: float, weight: float) -> GramMatrix:
    """Return weight S_ij / (S_ii S_jj)^(exponent / 2), scaled to a mean diagonal of `weight` over items with S_ii > 0.

    An exponent of 0 keeps counts, 1 gives cosines.
    """
    if isinstance(S, FactoredGram):
        diagonal = np.einsum("ir,ir->i", S.unscaled, S.unscaled) * S.s**2
    else:
        diagonal = np.maximum(np.diag(S).astype(np.float64), 0)
    known = diagonal > 0
    root = np.zeros(len(diagonal))
    if known.any():
        root[known] = diagonal[known] ** (-exponent / 2)
        root *= np.sqrt(weight / np.mean(diagonal[known] ** (1 - exponent)))
    if isinstance(S, FactoredGram):
        return S.times(root)
    result: np.ndarray = S * root.astype(np.float32)[:, None] * root.astype(np.float32)
    return result
