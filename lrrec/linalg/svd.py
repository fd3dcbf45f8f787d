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
from lrrec.linalg import kernels
from lrrec.linalg.blocks import balanced_blocks, run_blocks
from lrrec.linalg.dense import gram as dense_gram
from lrrec.linalg.products import times
from lrrec.validate import check_int, check_real, check_rng, check_threads

N_CHUNKS = 16  # partial sums of A^T A X: a fixed number, so that threads do not change the result


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
    dtype = np.float32 if tol >= 1e-5 else np.float64
    gram = _Gram(A, dtype, check_threads(n_threads))
    n = gram.n
    block = min(n, max(8, min(48, (k + 1) // 2)))
    room = min(n, 6 * k + 4 * block)
    Q = np.empty((n, room), dtype=dtype, order="F")
    H = np.zeros((room, room))
    Q[:, :block] = _orthonormal(rng.standard_normal((n, block)).astype(dtype), Q[:, :0], rng)
    size, begin = block, 0  # columns of Q; where the block to multiply begins
    worst = np.inf
    for _ in range(check_int(max_steps, "max_steps", low=1)):
        W = gram(Q[:, begin:size])
        H[:size, begin:size] = Q[:, :size].T @ W
        H[begin:size, :begin] = H[:begin, begin:size].T
        values, vectors = np.linalg.eigh((H[:size, :size] + H[:size, :size].T) / 2)
        values, vectors = values[::-1], vectors[:, ::-1]
        W -= Q[:, :size] @ (Q[:, :size].T @ W)
        width = min(W.shape[1], room - size)
        if size >= k:
            residuals = _norms(W @ vectors[begin:size, :k].astype(dtype))
            worst = float((residuals / np.maximum(values[:k], np.finfo(dtype).eps * values[0] * 10)).max())
            if worst <= tol or size == n:
                return gram.triplets(Q[:, :size] @ vectors[:, :k].astype(dtype), k)
        if width < W.shape[1] and room < n:  # full: keep the best Ritz vectors, and go on from the residual
            keep = min(size - block, k + block)
            Q[:, :keep] = Q[:, :size] @ vectors[:, :keep].astype(dtype)
            H[:] = 0
            H[np.arange(keep), np.arange(keep)] = values[:keep]
            size, width = keep, W.shape[1]
        Q[:, size : size + width] = _orthonormal(W[:, :width], Q[:, :size], rng)
        begin, size = size, size + width
    raise ParameterError(f"tol must be reachable in max_steps = {max_steps} steps, got to {worst:.1e} of {tol:.1e}")


def randomized_svd(
    A: sp.csr_array,
    k: int,
    *,
    n_iter: int = 2,
    oversampling: int = 10,
    random_state: Any = 0,
    n_threads: int | None = None,
) -> SVD:
    """Return nearly the k largest singular triplets of a sparse matrix, in n_iter + 1 passes.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
    n_iter : int, default 2
        Applications of A^T A to a block of k + oversampling vectors; all of them span the space searched.
    oversampling : int, default 10
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
    gram = _Gram(A, np.float32, check_threads(n_threads))
    block = k + check_int(oversampling, "oversampling", low=0)
    block = min(gram.n, -(-block // 16) * 16)  # whole SIMD registers
    room = min(gram.n, block * n_iter)
    Q = np.empty((gram.n, room), dtype=np.float32, order="F")
    X, size = rng.standard_normal((gram.n, block), dtype=np.float32), 0
    while size < room:
        width = min(block, room - size)
        Q[:, size : size + width] = _orthonormal(gram(X)[:, :width], Q[:, :size], rng)
        X, size = Q[:, size : size + width], size + width
    return gram.triplets(Q, k)


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


class _Gram:
    """X -> A^T A X (or A A^T X where A is wide), and from an eigenbasis to singular triplets."""

    def __init__(self, A: sp.csr_array, dtype: type, n_threads: int) -> None:
        self.wide = A.shape[1] > A.shape[0]
        self.A = A.T.tocsr() if self.wide else A
        self.n = self.A.shape[1]
        self.dtype, self.n_threads = dtype, n_threads
        self.data = self.A.data.astype(dtype, copy=False)
        self.chunks = balanced_blocks(self.A.indptr, min(N_CHUNKS, max(1, self.A.nnz // 50_000)))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        X = np.ascontiguousarray(X)
        parts = np.zeros((len(self.chunks), *X.shape), dtype=self.dtype)
        numbers = {chunk: number for number, chunk in enumerate(self.chunks)}

        def work(start: int, stop: int) -> None:
            part = parts[numbers[start, stop]]
            kernels.gram_times(start, stop, self.A.indptr, self.A.indices, self.data, X, part)

        run_blocks(work, self.chunks, self.n_threads)
        return parts.sum(axis=0)

    def triplets(self, Q: np.ndarray, k: int) -> SVD:
        """The k best singular triplets within the span of the orthonormal columns of Q."""
        AQ = times(self.A, Q, n_threads=self.n_threads)
        _, W = np.linalg.eigh(dense_gram(AQ, self.n_threads))
        W = W[:, ::-1][:, :k].astype(self.dtype)
        U, V = AQ @ W, Q @ W
        s = _norms(U)
        order = np.argsort(-s, kind="stable")
        U, s, V = U[:, order], s[order], V[:, order]
        dead = s <= np.finfo(self.dtype).eps * s[0] * 10
        U /= np.where(dead, 1, s)
        s[dead] = 0
        if dead.any():  # any orthonormal completion will do
            U[:, dead] = _orthonormal(
                np.zeros((len(U), int(dead.sum())), U.dtype), U[:, ~dead], np.random.default_rng(0)
            )
        return _signed(V, s, U.T) if self.wide else _signed(U, s, V.T)


def _norms(X: np.ndarray) -> np.ndarray:
    """Norms of columns, summed in double precision."""
    return np.sqrt(np.einsum("nb,nb->b", X, X, dtype=np.float64)).astype(X.dtype)


def _orthonormal(W: np.ndarray, Q: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An orthonormal basis of the columns of W after projecting out those of Q; directions lost are made anew.

    Cholesky-QR, twice: at full BLAS speed where a Householder QR is not.
    """
    for _ in range(2):
        W = W - Q @ (Q.T @ W)
        norms = _norms(W)
        lost = norms <= np.finfo(W.dtype).tiny * 1e6
        if lost.any():
            W[:, lost] = rng.standard_normal((len(W), int(lost.sum()))).astype(W.dtype)
            W[:, lost] -= Q @ (Q.T @ W[:, lost])
            norms[lost] = _norms(W[:, lost])
        W = W / norms
        try:
            R = np.linalg.cholesky((W.T @ W).astype(np.float64)).T
            if np.diag(R).min() < 1e-2:
                raise np.linalg.LinAlgError
            W = scipy.linalg.solve_triangular(R.astype(W.dtype), W.T, trans=1).T
        except np.linalg.LinAlgError:
            W = np.linalg.qr(W)[0]
    return W


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
