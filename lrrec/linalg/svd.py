"""Singular value decompositions: truncated of large sparse matrices, compact of small dense ones.

Large sparse A (m, n) is only touched through A^T A X for blocks X of some tens of vectors, one pass over A each, on
all threads. With B = A^T A (or A A^T, whichever is smaller) a Krylov space of blocks [X, BX, B^2 X, ...] is built
with full orthogonalization, and the best approximations within it are taken (Rayleigh-Ritz).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg.dense import cross, product, rotate, subtract
from lrrec.linalg.dense import gram as dense_gram
from lrrec.linalg.krylov import Gram, norms, orthonormal
from lrrec.linalg.sparse import times
from lrrec.linalg.threads import one_threaded_blas
from lrrec.validate import check_int, check_real, check_rng, check_threads


@dataclass(frozen=True)
class SVD:
    """U diag(s) Vt, singular values falling; U (m, k) and Vt (k, n) with orthonormal columns and rows.

    Signs: the entry of largest magnitude in each row of Vt is positive.
    """

    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray

    def __iter__(self) -> Any:
        return iter((self.U, self.s, self.Vt))


def truncated_svd(
    A: sp.csr_array,
    k: int,
    *,
    tol: float = 1e-4,
    max_steps: int = 200,
    random_state: Any = 0,
    n_threads: int | None = None,
) -> SVD:
    """Return the k largest singular triplets of a sparse matrix, to a tolerance.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
        At most min(m, n).
    tol : float, default 1e-4
        Largest relative residual |A^T A v - s^2 v| / s^2 of a triplet. Below 1e-5 the work is done in double
        precision.
    max_steps : int, default 200
        Applications of A^T A to a block before giving up.
    random_state : int, Generator or None, default 0
        Of the start.
    n_threads : int, optional
        All cores when None. The result is the same for every value.

    Raises
    ------
    ParameterError
        If the tolerance is not reached; the message says how far it got.

    Notes
    -----
    Block Lanczos with full orthogonalization on the smaller Gram operator, restarted from the best Ritz vectors
    when the basis is full. Memory: A, the basis of at most about 8 k + 100 vectors of length min(m, n), and U.

    References
    ----------
    Golub & Underwood (1977), "The block Lanczos method for computing eigenvalues"; Wu & Simon (2000),
    "Thick-restart Lanczos method for large symmetric eigenvalue problems".
    """
    A, k, rng = _checked(A, k, random_state)
    tol = check_real(tol, "tol", low=0, open_low=True)
    max_steps = check_int(max_steps, "max_steps", low=1)
    dtype = np.float32 if tol >= 1e-5 else np.float64
    with one_threaded_blas:
        return _lanczos(Gram(A, dtype, check_threads(n_threads)), k, tol, max_steps, rng)


def _lanczos(gram: Gram, k: int, tol: float, max_steps: int, rng: np.random.Generator) -> SVD:
    """The body of truncated_svd."""
    n, dtype, n_threads = gram.n, gram.dtype, gram.n_threads
    block = min(n, max(8, min(48, (k + 1) // 2)))
    room = min(n, 6 * k + 4 * block)
    Q = np.empty((n, room), dtype=dtype)
    H = np.zeros((room, room))
    Q[:, :block] = orthonormal(rng.standard_normal((n, block)).astype(dtype), Q[:, :0], rng, n_threads)
    size, begin = block, 0  # columns of Q; where the block to multiply begins
    worst = np.inf
    for _ in range(max_steps):
        W = gram(Q[:, begin:size])
        C = cross(Q[:, :size], W, n_threads)
        H[:size, begin:size] = C
        H[begin:size, :begin] = C[:begin].T
        values, vectors = _leading(H[:size, :size], k + block)
        subtract(W, Q[:, :size], C, n_threads)
        width = min(W.shape[1], room - size)
        if size >= k:
            residuals = norms(product(W, vectors[begin:size, :k], n_threads))
            worst = float((residuals / np.maximum(values[:k], np.finfo(dtype).eps * values[0] * 10)).max())
            if worst <= tol or size == n:
                return _triplets(gram, product(Q[:, :size], vectors[:, :k], n_threads))
        if width < W.shape[1] and room < n:  # full: keep the best Ritz vectors, and go on from the residual
            keep = min(size - block, k + block)
            Q[:, :keep] = product(Q[:, :size], vectors[:, :keep], n_threads)
            H[:] = 0
            H[np.arange(keep), np.arange(keep)] = values[:keep]
            size, width = keep, W.shape[1]
        Q[:, size : size + width] = orthonormal(W[:, :width], Q[:, :size], rng, n_threads)
        begin, size = size, size + width
    raise ParameterError(f"tol must be reachable in max_steps = {max_steps} steps, got to {worst:.1e} of {tol:.1e}")


def randomized_svd(
    A: sp.csr_array,
    k: int,
    *,
    n_iter: int = 3,
    oversampling: int = 10,
    random_state: Any = 0,
    n_threads: int | None = None,
) -> SVD:
    """Return nearly the k largest singular triplets of a sparse matrix, in n_iter + 1 passes.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
    n_iter : int, default 3
        Applications of A^T A to a block of vectors; all their results span the space searched. 2 is a rough answer,
        5 a good one.
    oversampling : int, default 10
        The space has at least k + oversampling dimensions, and a block five eighths of that: a deeper space of narrow
        blocks finds more than a shallow one of wide blocks.
    random_state : int, Generator or None, default 0
    n_threads : int, optional

    Notes
    -----
    Block Krylov: at the same number of passes it captures at least what subspace iteration captures, since it
    searches all its iterates and not the last one alone.

    References
    ----------
    Musco & Musco (2015), "Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition", arXiv:1504.05477; Halko, Martinsson & Tropp (2011), arXiv:0909.4061.
    """
    A, k, rng = _checked(A, k, random_state)
    n_iter = check_int(n_iter, "n_iter", low=1)
    wanted = k + check_int(oversampling, "oversampling", low=0)
    with one_threaded_blas:
        return _krylov(Gram(A, np.float32, check_threads(n_threads)), k, wanted, n_iter, rng)


def _krylov(gram: Gram, k: int, wanted: int, n_iter: int, rng: np.random.Generator) -> SVD:
    """The body of randomized_svd: a space of at least `wanted` dimensions, if there are as many."""
    n_threads = gram.n_threads
    block = max(-(-wanted // n_iter), -(-5 * wanted // 8))
    block = min(gram.n, -(-block // 16) * 16)  # whole SIMD registers
    room = min(gram.n, block * n_iter)
    Q, H = np.empty((gram.n, room), dtype=np.float32), np.zeros((room, room))
    W = gram(rng.standard_normal((gram.n, block), dtype=np.float32))
    before, size = slice(0, 0), 0
    while True:
        now = slice(size, min(size + block, room))
        Q[:, now] = orthonormal(W[:, : now.stop - size], Q[:, :size], rng, n_threads)
        H[now, before] = cross(Q[:, now], W[:, : before.stop - before.start], n_threads)
        size = now.stop
        if size == room:
            break
        W = gram(Q[:, now])
        H[:size, now] = cross(Q[:, :size], W, n_threads)
        before = now
    H[now, now] = dense_gram(times(gram.A, Q[:, now], n_threads=n_threads), n_threads)
    H[before, now] = H[now, before].T
    _, vectors = _leading(H, k)
    return _triplets(gram, product(Q, vectors, n_threads))


def compact_svd(A: np.ndarray, *, rtol: float | None = None) -> SVD:
    """Return the SVD of a dense matrix without its null space: the triplets with s > rtol * s[0].

    Parameters
    ----------
    A : ndarray, shape (m, n)
    rtol : float, optional
        max(m, n) times the precision of A's type when not given, as in numpy.linalg.matrix_rank.
    """
    A = np.asarray(A)
    if A.ndim != 2 or not np.isfinite(A).all():
        raise DataError(f"A must be a finite matrix, got shape {A.shape}")
    A = A if A.dtype == np.float32 else A.astype(np.float64)
    U, s, Vt = scipy.linalg.svd(A, full_matrices=False)
    if rtol is None:
        rtol = max(A.shape) * float(np.finfo(A.dtype).eps)
    rank = int((s > check_real(rtol, "rtol", low=0) * (s[0] if len(s) else 0)).sum())
    return _signed(U[:, :rank], s[:rank], Vt[:rank])


def pinv(A: np.ndarray, *, rtol: float | None = None) -> np.ndarray:
    """Return the Moore-Penrose inverse (n, m) of a dense matrix by its compact SVD. See `compact_svd` for rtol."""
    U, s, Vt = compact_svd(A, rtol=rtol)
    return (Vt.T / s) @ U.T


def best_low_rank(A: sp.csr_array | np.ndarray, k: int, **options: Any) -> tuple[SVD, float, float]:
    """Return the best approximation of rank k and how far it is from A: Frobenius norm, spectral norm.

    No matrix of rank k is nearer to A, in either norm: the errors are (sum of s_i^2, i > k)^(1/2) and s_{k+1}.

    Parameters
    ----------
    A : csr_array or ndarray, shape (m, n)
    k : int
    **options
        Of `truncated_svd`, for a sparse A.

    References
    ----------
    Eckart & Young (1936); Mirsky (1960).
    """
    if not sp.issparse(A):
        U, s, Vt = compact_svd(A, rtol=0)
        k = check_int(k, "k", low=1)
        return SVD(U[:, :k], s[:k], Vt[:k]), float(np.sqrt((s[k:] ** 2).sum())), float(s[k]) if k < len(s) else 0.0
    k = check_int(k, "k", low=1, high=min(A.shape))
    found = truncated_svd(A, min(k + 1, min(A.shape)), **options)
    total = float((np.asarray(A.data, dtype=np.float64) ** 2).sum())
    rest = max(0.0, total - float((found.s[:k].astype(np.float64) ** 2).sum()))
    spectral = float(found.s[k]) if k < len(found.s) else 0.0
    return SVD(found.U[:, :k], found.s[:k], found.Vt[:k]), float(np.sqrt(rest)), spectral


def compress(X: np.ndarray, Y: np.ndarray, k: int) -> SVD:
    """Return the SVD of the best rank-k approximation of X Y^T, without ever forming the product.

    Parameters
    ----------
    X, Y : ndarray, shapes (m, D), (n, D)
    k : int
        At most D.

    Notes
    -----
    Two QR decompositions and the SVD of a (D, D) matrix: O((m + n) D^2) time.
    """
    k = check_int(k, "k", low=1, high=X.shape[1])
    Qx, Rx = scipy.linalg.qr(X.astype(np.float64), mode="economic")
    Qy, Ry = scipy.linalg.qr(Y.astype(np.float64), mode="economic")
    U, s, Vt = scipy.linalg.svd(Rx @ Ry.T, full_matrices=False)
    return _signed(Qx @ U[:, :k], s[:k], Vt[:k] @ Qy.T)


def _leading(H: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues of a symmetric matrix, falling, and their vectors in columns."""
    n = len(H)
    values, vectors = scipy.linalg.eigh((H + H.T) / 2, subset_by_index=[max(0, n - k), n - 1])
    return values[::-1], vectors[:, ::-1]


def _triplets(gram: Gram, V: np.ndarray) -> SVD:
    """The singular triplets within the span of V's orthonormal columns (n, k)."""
    U = times(gram.A, V, n_threads=gram.n_threads)
    _, E = _leading(dense_gram(U, gram.n_threads), V.shape[1])
    E = E.astype(gram.dtype)
    rotate(U, E, gram.n_threads)
    rotate(V, E, gram.n_threads)
    s = norms(U)
    if (np.diff(s) > 0).any():  # in the last digits
        order = np.argsort(-s, kind="stable")
        U, s, V = U[:, order], s[order], V[:, order]
    dead = s <= np.finfo(gram.dtype).eps * s[0] * 10
    U /= np.where(dead, 1, s)
    s[dead] = 0
    if dead.any():  # any orthonormal completion will do
        empty = np.zeros((len(U), int(dead.sum())), U.dtype)
        U[:, dead] = orthonormal(empty, U[:, ~dead], np.random.default_rng(0), gram.n_threads)
    return _signed(V, s, U.T) if gram.wide else _signed(U, s, V.T)


def _signed(U: np.ndarray, s: np.ndarray, Vt: np.ndarray) -> SVD:
    """Flip signs so that the entry of largest magnitude in each row of Vt is positive."""
    largest = Vt[np.arange(len(Vt)), np.abs(Vt).argmax(axis=1)] if Vt.size else np.ones(len(Vt))
    signs = np.where(largest < 0, -1, 1).astype(Vt.dtype)
    return SVD(np.ascontiguousarray(U * signs), s, np.ascontiguousarray(Vt * signs[:, None]))


def _checked(A: Any, k: int, random_state: Any) -> tuple[sp.csr_array, int, np.random.Generator]:
    if not sp.issparse(A) or A.ndim != 2:
        raise DataError(f"A must be a sparse matrix, got {type(A).__name__}; for a dense one use compact_svd")
    A = sp.csr_array(A)
    if not A.nnz or not np.isfinite(A.data).all():
        raise DataError(f"A must have finite entries, at least one, got {A.nnz} entries")
    return A, check_int(k, "k", low=1, high=min(A.shape)), check_rng(random_state)
