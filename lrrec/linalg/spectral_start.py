"""Initial item factors that already point where the interactions do."""

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.krylov import orthonormal
from lrrec.linalg.sparse import times


def spectral_start(
    A: sp.csr_array, At: sp.csr_array, V: np.ndarray, rng: np.random.Generator, n_threads: int
) -> np.ndarray:
    """Return an orthonormal basis of A^T D^-1 A V, where D holds the numbers of entries of A's rows; At is A^T.

    One step of subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4) from a random V (n_items, r), r at
    most n_items. A user with many interactions counts no more than others: they would pull all directions to the most
    popular items. Entries <= 0 are left out, and the values of others do not matter. O(N r + n_items r^2).
    """
    counts = np.diff(A.indptr)
    likes, likes_of_items = ((M.data > 0).astype(np.float32) for M in (A, At))
    means = sp.csr_array((likes / np.repeat(counts, counts), A.indices, A.indptr), shape=A.shape)
    sums = sp.csr_array((likes_of_items, At.indices, At.indptr), shape=At.shape)
    return orthonormal(times(sums, times(means, V, n_threads=n_threads), n_threads=n_threads), V[:, :0], rng, n_threads)
