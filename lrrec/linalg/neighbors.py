"""Nearest neighbours among the columns of sparse matrices, by shrunk cosine similarity."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.ranking import top_k
from lrrec.linalg.threads import even_blocks

CELLS = 2**24  # similarities that are worked on at once
SPARSE = 0.05  # share of similarities other than 0, below which those alone are looked at


def nearest_columns(
    A: sp.csr_array, B: sp.csr_array, norms: tuple[np.ndarray, np.ndarray], k: int, shrink: float,
    excluded: Sequence[np.ndarray],
) -> sp.csr_array:  # fmt: skip
    """Return a_i . b_j / (|a_i| |b_j| + shrink) > 0 for the k nearest columns b_j of each a_i; csr float32 (I, J).

    Parameters
    ----------
    A, B : csr_array of float32, shapes (n, I), (n, J)
    norms : pair of ndarray of float32, shapes (I,), (J,)
        Of the columns.
    k : int
    shrink : float
    excluded : sequence of ndarray of int, shape (I,)
        Columns of B that are no neighbours of the column of A, -1 for none.

    Notes
    -----
    O(sum over rows of n_A n_B) time, and the memory of a block of similarities. Of equal ones the first are taken.
    """
    columns, J, blocks = A.T.tocsr(), B.shape[1], []
    for start, stop in even_blocks(A.shape[1], max(CELLS // max(J, 1), 1)):
        products = (columns[start:stop] @ B).tocsr()
        some = [(np.flatnonzero(array[start:stop] >= 0), array[start:stop]) for array in excluded]
        if products.nnz < SPARSE * (stop - start) * J:
            blocks.append(_of_few(products, norms[0][start:stop], norms[1], k, shrink, some))
            continue
        dense = products.toarray()
        with np.errstate(divide="ignore", invalid="ignore"):
            similarities = dense / (norms[0][start:stop, None] * norms[1] + np.float32(shrink))
        for rows, array in some:
            similarities[rows, array[rows]] = 0
        similarities[~(similarities > 0)] = -np.inf
        neighbors, values = top_k(similarities.astype(np.float32, copy=False), min(k, J))
        rows, places = np.nonzero(neighbors >= 0)
        entries = values[rows, places], (rows, neighbors[rows, places])
        blocks.append(sp.csr_array(entries, shape=(stop - start, J)))
    return sp.csr_array(sp.vstack(blocks, format="csr"))


def column_norms(A: sp.csr_array) -> np.ndarray:
    """Return the norms of the columns of a csr matrix, float32 (n_columns,)."""
    columns = A.T.tocsr()
    norms: np.ndarray = np.sqrt(np.asarray((columns * columns).sum(axis=1)).ravel()).astype(np.float32)
    return norms


def _of_few(
    products: sp.csr_array, row_norms: np.ndarray, norms: np.ndarray, k: int, shrink: float,
    excluded: Sequence[tuple[np.ndarray, np.ndarray]],
) -> sp.csr_array:  # fmt: skip
    """The same from the products that are not 0."""
    rows, columns = np.repeat(np.arange(products.shape[0]), np.diff(products.indptr)), products.indices
    with np.errstate(divide="ignore", invalid="ignore"):
        values = products.data / (row_norms[rows] * norms[columns] + np.float32(shrink))
    kept = values > 0
    for _, array in excluded:
        kept &= columns != array[rows]
    rows, columns, values = rows[kept], columns[kept], values[kept].astype(np.float32, copy=False)
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    begin = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=products.shape[0]))))
    nearest = np.arange(len(rows)) - begin[rows] < k
    return sp.csr_array((values[nearest], (rows[nearest], columns[nearest])), shape=products.shape)
