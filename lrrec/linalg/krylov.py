"""Building blocks of Krylov methods on A^T A: products with blocks of vectors, and orthonormal bases."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.dense import cross, rotate, subtract
from lrrec.linalg.dense import gram as dense_gram
from lrrec.linalg.threads import balanced_blocks, even_blocks, run_blocks

MAX_STEPS = 6  # of an orthonormalization; two do for columns that do not depend on each other
KEPT_LENGTH, LOST_LENGTH = 0.5, 1e-2  # of a column of length 1 that was orthogonal before, and of a rounding error
N_CHUNKS = 16  # partial sums of A^T A X: a fixed number, so that the result is the same for any number of threads


class Gram:
    """The operator X -> A^T A X, in one pass over A. A wide A is transposed first.

    Attributes
    ----------
    A : csr_array, shape (m, n)
        m >= n.
    wide : bool
        Whether A is the transpose of the original matrix.
    """

    def __init__(self, A: sp.csr_array, dtype: type, n_threads: int) -> None:
        self.wide = A.shape[1] > A.shape[0]
        self.A = A.T.tocsr() if self.wide else A
        self.n = self.A.shape[1]
        self.dtype, self.n_threads = dtype, n_threads
        self._index_arrays = kernels.index_arrays(self.A)
        self._data = kernels.as_input(self.A.data, dtype)
        self._chunks = balanced_blocks(self.A.indptr, min(N_CHUNKS, max(1, self.A.nnz // 50_000)))
        self._parts: np.ndarray = np.empty((0, 0, 0))  # reused between calls: new memory costs as much as a sum

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """A^T A X, (n, B), for X (n, B)."""
        X = np.ascontiguousarray(X)
        if self._parts.shape != (len(self._chunks), *X.shape):
            self._parts = np.empty((len(self._chunks), *X.shape), dtype=self.dtype)
        parts, numbers = self._parts, {chunk: number for number, chunk in enumerate(self._chunks)}

        def multiply(start: int, stop: int) -> None:
            part = parts[numbers[start, stop]]
            part[:] = 0
            kernels.gram_times(start, stop, *self._index_arrays, self._data, X, part)

        out = np.empty_like(X)

        def add(start: int, stop: int) -> None:
            np.sum(parts[:, start:stop], axis=0, out=out[start:stop])

        run_blocks(multiply, self._chunks, self.n_threads)
        run_blocks(add, even_blocks(self.n, 1024), self.n_threads)
        return out


def norms(X: np.ndarray) -> np.ndarray:
    """Norms of columns, summed in double precision."""
    return np.sqrt(np.einsum("nb,nb->b", X, X, dtype=np.float64)).astype(X.dtype)


def orthonormal(W: np.ndarray, Q: np.ndarray, rng: np.random.Generator, n_threads: int) -> np.ndarray:
    """An orthonormal basis of the columns of W after projecting out those of Q; vanished columns are drawn at random.

    Cholesky-QR, twice: it runs at full BLAS speed, unlike a Householder QR. Columns that depend on others leave
    rounding errors behind, which may depend on them as well: where these vanish in their turn, a random column is
    drawn, and all is projected out again until columns keep their length.
    """
    W = np.array(W, order="C")
    for step in range(MAX_STEPS):
        _project_out(W, Q, n_threads)
        G = dense_gram(W, n_threads)
        vanished = np.diag(G) <= (np.finfo(W.dtype).tiny * 1e6) ** 2
        vanished |= np.diag(G) <= (LOST_LENGTH**2 if step else np.finfo(np.float64).tiny)
        if vanished.any():
            random = rng.standard_normal((len(W), int(vanished.sum()))).astype(W.dtype)
            _project_out(random, Q, n_threads)
            W[:, vanished] = random
            G = dense_gram(W, n_threads)
        sizes = np.sqrt(np.diag(G))
        try:
            R = np.linalg.cholesky(G / np.outer(sizes, sizes)).T
            if np.diag(R).min() < 1e-2:
                raise np.linalg.LinAlgError
            inverse = scipy.linalg.solve_triangular(R, np.eye(len(R))) / sizes[:, None]
            rotate(W, inverse.astype(W.dtype), n_threads)
            kept = min(sizes.min(), np.diag(R).min()) > KEPT_LENGTH
        except np.linalg.LinAlgError:
            W, kept = np.linalg.qr(W / sizes.astype(W.dtype))[0], False
        if step and kept:
            break
    return W


def _project_out(W: np.ndarray, Q: np.ndarray, n_threads: int) -> None:
    """Replace W by W - Q Q^T W."""
    if Q.shape[1]:
        subtract(W, Q, cross(Q, W, n_threads), n_threads)
