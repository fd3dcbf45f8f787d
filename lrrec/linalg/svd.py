"""Singular value decompositions: truncated ones of large sparse matrices, compact ones of small dense matrices.

A large sparse A (m, n) is only used in products A^T A X with blocks X of some tens of vectors, each in one pass over
A on all threads. With B = A^T A (or A A^T, whichever is smaller), a Krylov space of blocks [X, BX, B^2 X, ...] is
built with full orthogonalization, and the Rayleigh-Ritz approximations within it are returned.
"""

from collections.abc import Iterator
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
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, axes_for, name_series, named_series
from lrrec.typing import Axes, RandomState
from lrrec.validate import check_int, check_real, check_rng, check_threads


@dataclass(frozen=True)
class SVD:
    """A singular value decomposition U diag(s) Vt, whole or truncated; it unpacks to (U, s, Vt).

    Signs: the entry of largest magnitude in each row of Vt is positive.

    Attributes
    ----------
    U : ndarray, shape (m, k)
        The left singular vectors, as orthonormal columns.
    s : ndarray, shape (k,)
        The singular values, in descending order.
    Vt : ndarray, shape (k, n)
        The right singular vectors, as orthonormal rows.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import compact_svd
    >>> A = np.array([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    >>> U, s, Vt = compact_svd(A)
    >>> s.round(3).tolist()
    [3.0, 2.0]
    >>> np.allclose(U * s @ Vt, A)
    True
    """

    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.U, self.s, self.Vt))

    def plot(self, *, noise: float | None = None, ax: Axes | None = None) -> Axes:
        """Draw the singular values, on a logarithmic axis.

        Parameters
        ----------
        noise : float > 0, optional
            The largest singular value that noise alone would have: drawn as a horizontal line.
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given.

        Returns
        -------
        matplotlib Axes

        Notes
        -----
        Needs matplotlib. Singular values of 0 are left out.

        Examples
        --------
        >>> import numpy as np
        >>> from lrrec.linalg import compact_svd
        >>> axes = compact_svd(np.diag([9.0, 5.0, 1.0])).plot(noise=2)
        >>> axes.lines[0].get_ydata().tolist(), axes.lines[1].get_label()
        ([9.0, 5.0, 1.0], 'noise 2 (2 above)')
        """
        if noise is not None:
            noise = check_real(noise, "noise", low=0, open_low=True)
        axes = axes_for(ax, "SVD.plot()", 3.8)
        drawings.draw_spectrum(axes, self.s, noise, COLOR_BLIND_SAFE)
        if len(named_series(axes)) > 1:
            name_series(axes)
        return axes


def truncated_svd(
    A: sp.csr_array,
    k: int,
    *,
    tol: float = 1e-4,
    max_iter: int = 200,
    random_state: RandomState = 0,
    n_threads: int | None = None,
) -> SVD:
    """Return the k largest singular triplets of a sparse matrix, to a tolerance.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
        At most min(m, n).
    tol : float, default 1e-4
        Largest relative residual |A^T A v - s^2 v| / s^2 of a triplet. Below 1e-5, double precision is used.
    max_iter : int, default 200
        Largest number of products of A^T A with a block.
    random_state : int, Generator or None, default 0
        Of the initial block.
    n_threads : int, optional
        All cores when None. The result is the same for every value.

    Raises
    ------
    ParameterError
        If the tolerance is not reached; the message has the largest residual.

    Notes
    -----
    Block Lanczos with full orthogonalization on the smaller Gram operator, restarted from the best Ritz vectors
    when the basis is full. Memory: A, the basis of at most about 8 k + 100 vectors of length min(m, n), and U.

    References
    ----------
    Golub & Underwood (1977), "The block Lanczos method for computing eigenvalues"; Wu & Simon (2000),
    "Thick-restart Lanczos method for large symmetric eigenvalue problems".

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import truncated_svd
    >>> A = csr_array(np.random.default_rng(0).random((40, 30)) < 0.2, dtype=float)
    >>> svd = truncated_svd(A, 5)
    >>> svd.U.shape, svd.s.shape, svd.Vt.shape
    ((40, 5), (5,), (5, 30))
    """
    A, k, rng = _checked(A, k, random_state)
    tol = check_real(tol, "tol", low=0, open_low=True)
    max_iter = check_int(max_iter, "max_iter", low=1)
    dtype = np.float32 if tol >= 1e-5 else np.float64
    return _lanczos(Gram(A, dtype, check_threads(n_threads)), k, tol, max_iter, rng)


@one_threaded_blas
def _lanczos(gram: Gram, k: int, tol: float, max_iter: int, rng: np.random.Generator) -> SVD:
    """The body of truncated_svd."""
    n, dtype, n_threads = gram.n, gram.dtype, gram.n_threads
    block = min(n, max(8, min(48, (k + 1) // 2)))
    room = min(n, 6 * k + 4 * block)
    Q = np.empty((n, room), dtype=dtype)
    H = np.zeros((room, room))
    Q[:, :block] = orthonormal(rng.standard_normal((n, block)).astype(dtype), Q[:, :0], rng, n_threads)
    size, begin = block, 0  # the columns of Q so far; the first of the block to multiply
    worst = np.inf
    for _ in range(max_iter):
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
        if width < W.shape[1] and room < n:  # full: restart from the best Ritz vectors and the residual
            keep = min(size - block, k + block)
            Q[:, :keep] = product(Q[:, :size], vectors[:, :keep], n_threads)
            H[:] = 0
            H[np.arange(keep), np.arange(keep)] = values[:keep]
            size, width = keep, W.shape[1]
        Q[:, size : size + width] = orthonormal(W[:, :width], Q[:, :size], rng, n_threads)
        begin, size = size, size + width
    raise ParameterError(
        f"truncated_svd did not converge: residual {worst:.1e} > tol = {tol:.1e} after {max_iter} iterations: raise "
        "max_iter or tol"
    )


def randomized_svd(
    A: sp.csr_array,
    k: int,
    *,
    n_iter: int = 3,
    oversampling: int = 10,
    random_state: RandomState = 0,
    n_threads: int | None = None,
) -> SVD:
    """Return approximately the k largest singular triplets of a sparse matrix, in n_iter + 1 passes.

    Parameters
    ----------
    A : csr_array, shape (m, n)
    k : int
    n_iter : int, default 3
        Products of A^T A with a block of vectors; all of them span the search space. 2 gives a rough approximation,
        5 a good one.
    oversampling : int, default 10
        The space has at least k + oversampling dimensions, and a block five eighths of that: a deep space of narrow
        blocks is more accurate than a shallow one of wide blocks.
    random_state : int, Generator or None, default 0
    n_threads : int, optional
        All cores when None. The result is the same for every value.

    Notes
    -----
    Block Krylov: from 3 products on it is more accurate than subspace iteration of as many, because it searches the
    span of all iterates, not only of the last; with 2 its narrower block weighs more, and it may be less accurate.

    References
    ----------
    Musco & Musco (2015), "Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition", arXiv:1504.05477; Halko, Martinsson & Tropp (2011), arXiv:0909.4061.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.linalg import randomized_svd, truncated_svd
    >>> A = csr_array(np.random.default_rng(0).random((40, 30)) < 0.2, dtype=float)
    >>> np.allclose(randomized_svd(A, 5).s, truncated_svd(A, 5).s, rtol=0.01)
    True
    """
    A, k, rng = _checked(A, k, random_state)
    n_iter = check_int(n_iter, "n_iter", low=1)
    n_dims = k + check_int(oversampling, "oversampling", low=0)
    return _krylov(Gram(A, np.float32, check_threads(n_threads)), k, n_dims, n_iter, rng)


@one_threaded_blas
def _krylov(gram: Gram, k: int, n_dims: int, n_iter: int, rng: np.random.Generator) -> SVD:
    """The body of randomized_svd: a space of at least n_dims dimensions, as far as there are so many."""
    n_threads = gram.n_threads
    block = max(-(-n_dims // n_iter), -(-5 * n_dims // 8))
    block = min(gram.n, -(-block // 16) * 16)  # whole SIMD registers
    room = min(gram.n, block * n_iter)
    Q, H = np.empty((gram.n, room), dtype=np.float32), np.zeros((room, room))
    W = gram(rng.standard_normal((gram.n, block), dtype=np.float32))
    previous, size = slice(0, 0), 0
    while True:
        current = slice(size, min(size + block, room))
        Q[:, current] = orthonormal(W[:, : current.stop - size], Q[:, :size], rng, n_threads)
        H[current, previous] = cross(Q[:, current], W[:, : previous.stop - previous.start], n_threads)
        size = current.stop
        if size == room:
            break
        W = gram(Q[:, current])
        H[:size, current] = cross(Q[:, :size], W, n_threads)
        previous = current
    H[current, current] = dense_gram(times(gram.A, Q[:, current], n_threads=n_threads), n_threads)
    H[previous, current] = H[current, previous].T
    _, vectors = _leading(H, k)
    return _triplets(gram, product(Q, vectors, n_threads))


def compact_svd(A: np.ndarray, *, rtol: float | None = None) -> SVD:
    """Return the SVD of a dense matrix without its null space: the triplets with s > rtol * s[0].

    Parameters
    ----------
    A : ndarray, shape (m, n)
    rtol : float, optional
        Default: max(m, n) times the precision of A's type, as in numpy.linalg.matrix_rank.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import compact_svd
    >>> compact_svd(np.array([[1.0, 1.0], [1.0, 1.0]])).s.round(3).tolist()  # of rank 1
    [2.0]
    """
    A = np.asarray(A)
    if A.ndim != 2 or not np.isfinite(A).all():
        raise DataError(f"A must be a finite matrix, got shape {A.shape}")
    A = A if A.dtype == np.float32 else A.astype(np.float64)
    U, s, Vt = scipy.linalg.svd(A, full_matrices=False)
    if rtol is None:
        rtol = max(A.shape) * float(np.finfo(A.dtype).eps)
    rank = int((s > check_real(rtol, "rtol", low=0) * (s[0] if len(s) else 0)).sum())
    return signed(U[:, :rank], s[:rank], Vt[:rank])


def pinv(A: np.ndarray, *, rtol: float | None = None) -> np.ndarray:
    """Return the Moore-Penrose inverse (n, m) of a dense matrix, by its compact SVD.

    Parameters
    ----------
    A : ndarray, shape (m, n)
    rtol : float, optional
        As for `compact_svd`: singular values of at most rtol * s[0] count as 0.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec.linalg import pinv
    >>> pinv(np.array([[2.0, 0.0], [0.0, 0.0]])).round(3).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    U, s, Vt = compact_svd(A, rtol=rtol)
    return (Vt.T / s) @ U.T


def _leading(H: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues of a symmetric matrix, in descending order, and their vectors in columns."""
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
    if (np.diff(s) > 0).any():  # by rounding
        order = np.argsort(-s, kind="stable")
        U, s, V = U[:, order], s[order], V[:, order]
    zero = s <= np.finfo(gram.dtype).eps * s[0] * 10
    U /= np.where(zero, 1, s)
    s[zero] = 0
    if zero.any():  # complete U to orthonormal columns
        empty = np.zeros((len(U), int(zero.sum())), U.dtype)
        U[:, zero] = orthonormal(empty, U[:, ~zero], np.random.default_rng(0), gram.n_threads)
    return signed(V, s, U.T) if gram.wide else signed(U, s, V.T)


def signed(U: np.ndarray, s: np.ndarray, Vt: np.ndarray) -> SVD:
    """The SVD with signs flipped so that the entry of largest magnitude in each row of Vt is positive."""
    largest = Vt[np.arange(len(Vt)), np.abs(Vt).argmax(axis=1)] if Vt.size else np.ones(len(Vt))
    signs = np.where(largest < 0, -1, 1).astype(Vt.dtype)
    return SVD(np.ascontiguousarray(U * signs), s, np.ascontiguousarray(Vt * signs[:, None]))


def _checked(A: Any, k: int, random_state: RandomState) -> tuple[sp.csr_array, int, np.random.Generator]:
    """The arguments of a sparse SVD, checked and converted."""
    if not sp.issparse(A) or A.ndim != 2:
        raise DataError(f"A must be a sparse matrix, got {type(A).__name__}; for a dense one use compact_svd")
    A = sp.csr_array(A)
    if not A.nnz or not np.isfinite(A.data).all():
        raise DataError(f"A must have finite entries, at least one, got {A.nnz} entries")
    return A, check_int(k, "k", low=1, high=min(A.shape)), check_rng(random_state)
