"""Nearest columns: against the definition, whether few similarities are other than 0 or most."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from lrrec.linalg import neighbors
from lrrec.linalg.neighbors import column_norms, nearest_columns


@given(st.integers(0, 2**31), st.sampled_from([1, 2, 9]), st.sampled_from([0.0, 2.5]), st.sampled_from([4, 10**6]))
def test_nearest_columns(seed, k, shrink, cells):

    rng = np.random.default_rng(seed)
    A, B = (np.round(rng.random((6, n)) * (rng.random((6, n)) < 0.4), 1).astype(np.float32) for n in (5, 7))
    excluded = [rng.integers(-1, 7, 5), np.full(5, -1)]
    sparse = sp.csr_array(A), sp.csr_array(B)
    norms = column_norms(sparse[0]), column_norms(sparse[1])
    np.testing.assert_allclose(norms[0], np.linalg.norm(A, axis=0), rtol=1e-6)
    nearest = []
    for share in (0.0, 2.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(neighbors, "SPARSE", share)
            patch.setattr(neighbors, "CELLS", cells)
            nearest.append(nearest_columns(*sparse, norms, k, shrink, excluded).toarray())
    np.testing.assert_array_equal(nearest[0], nearest[1])
    with np.errstate(invalid="ignore"):
        exact = np.nan_to_num((A.T @ B) / (np.outer(*norms) + np.float32(shrink)))
    for row, array in enumerate(exact):
        array[excluded[0][row]] = array[excluded[0][row]] if excluded[0][row] < 0 else 0
        order = [j for j in np.lexsort((np.arange(7), -np.round(array, 5))) if array[j] > 0]
        assert np.count_nonzero(nearest[0][row]) == min(k, len(order))
        np.testing.assert_allclose(np.sort(nearest[0][row])[::-1][: len(order[:k])], array[order[:k]], rtol=1e-5)
