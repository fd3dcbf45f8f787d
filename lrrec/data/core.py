"""The k-core of a user-by-item matrix."""

import numpy as np
import scipy.sparse as sp


def core_mask(matrix: sp.csr_array, least_of_user: int, least_of_item: int) -> np.ndarray:
    """Return which entries are left after leaving out users and items with too few until all have enough, bool (nnz,).

    References
    ----------
    Seidman (1983), "Network structure and minimum degree"; of bipartite graphs Ahmed et al. (2007), "Visualisation and
    analysis of the internet movie database".
    """
    rows, columns = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices
    kept, n_before = np.ones(len(columns), dtype=bool), -1
    while n_before != (n_before := int(kept.sum())):
        of_users = np.bincount(rows[kept], minlength=matrix.shape[0])
        of_items = np.bincount(columns[kept], minlength=matrix.shape[1])
        kept &= (of_users >= least_of_user)[rows] & (of_items >= least_of_item)[columns]
    return kept
