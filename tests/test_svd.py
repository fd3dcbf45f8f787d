"""Singular value decompositions: the dense truth, planted values, the theorems."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from lrrec.errors import DataError, ParameterError
from lrrec.linalg import best_low_rank, compact_svd, compress, pinv, randomized_svd, truncated_svd


def random_matrix(shape, density, seed):
    rng = np.random.default_rng(seed)
    return sp.csr_array(np.where(rng.random(shape) < density, rng.random(shape), 0))


@pytest.fixture(params=[(300, 200), (200, 300), (60, 60)], ids=str)
def sparse(request):
    return random_matrix(request.param, 0.1, 0)


def assert_svd(result, A, atol):
    U, s, Vt = result
    np.testing.assert_allclose(U.T @ U, np.eye(len(s)), atol=atol)
    np.testing.assert_allclose(Vt @ Vt.T, np.eye(len(s)), atol=atol)
    assert (np.diff(s) <= 0).all()
    largest = Vt[np.arange(len(Vt)), np.abs(Vt).argmax(axis=1)]
    assert (largest > 0).all()


@pytest.mark.parametrize(("tol", "rtol"), [(1e-4, 1e-5), (1e-9, 1e-12)])
@pytest.mark.parametrize("k", [1, 7, 40])
def test_truncated_is_the_dense_truth(sparse, tol, rtol, k):
    result = truncated_svd(sparse, k, tol=tol)
    want = np.linalg.svd(sparse.toarray(), compute_uv=False)[:k]
    np.testing.assert_allclose(result.s, want, rtol=rtol)
    assert_svd(result, sparse, atol=10 * rtol)
    A = sparse.toarray()
    residual = np.linalg.norm(A.T @ (A @ result.Vt.T) - result.Vt.T * result.s**2, axis=0) / result.s**2
    assert residual.max() < 2 * tol


def test_all_values_of_a_matrix(sparse):
    k = min(sparse.shape)
    want = np.linalg.svd(sparse.toarray(), compute_uv=False)
    np.testing.assert_allclose(truncated_svd(sparse, k, tol=1e-9).s, want, atol=1e-7 * want[0])


def test_planted_values_are_found():
    rng = np.random.default_rng(0)
    s = np.array([9, 7, 5, 3, 1, 0.5])
    U, V = (np.linalg.qr(rng.normal(size=(n, 6)))[0] for n in (120, 80))
    result = truncated_svd(sp.csr_array((U * s) @ V.T), 6, tol=1e-9)
    np.testing.assert_allclose(result.s, s, rtol=1e-6)
    more = truncated_svd(sp.csr_array((U * s) @ V.T), 9, tol=1e-9)
    np.testing.assert_allclose(more.s[6:], 0, atol=1e-6)
    np.testing.assert_allclose(more.U.T @ more.U, np.eye(9), atol=1e-8)
    np.testing.assert_allclose(more.Vt @ more.Vt.T, np.eye(9), atol=1e-8)


def test_long_columns_lose_no_digits():
    """Sums over many rows must not be taken in single precision one after the other."""
    A = random_matrix((60_000, 30), 0.3, 0).astype(np.float32)
    want = np.linalg.svd(A.toarray().astype(np.float64), compute_uv=False)[:8]
    np.testing.assert_allclose(truncated_svd(A, 8).s, want, rtol=2e-6)


def test_restarts_reach_the_same_values():
    """A slowly decaying spectrum needs more steps than the basis holds."""
    A = random_matrix((600, 500), 0.05, 1)
    result = truncated_svd(A, 10, tol=1e-6)
    want = np.linalg.svd(A.toarray(), compute_uv=False)[:10]
    np.testing.assert_allclose(result.s, want, rtol=1e-8)


@pytest.mark.parametrize("solve", [truncated_svd, randomized_svd])
def test_threads_change_no_bit(solve, likes):
    one, three = (solve(likes.matrix, 8, n_threads=n) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        np.testing.assert_array_equal(a, b)


def test_randomized_captures_more_with_every_pass(sparse):
    best = (np.linalg.svd(sparse.toarray(), compute_uv=False)[:10] ** 2).sum()
    energy = [(randomized_svd(sparse, 10, n_iter=q).s ** 2).sum() / best for q in (1, 2, 4, 8)]
    assert (np.diff(energy) > -1e-6).all()
    assert energy[2] > 0.98
    assert energy[3] == pytest.approx(1, abs=1e-3)
    assert_svd(randomized_svd(sparse, 10), sparse, atol=1e-5)


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 4), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_pinv_obeys_penrose(m, n, rank, seed):
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    P = pinv(A)
    for left, right in ((A @ P @ A, A), (P @ A @ P, P), ((A @ P).T, A @ P), ((P @ A).T, P @ A)):
        np.testing.assert_allclose(left, right, atol=1e-9)


def test_compact_leaves_the_null_space_out():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(9, 3)) @ rng.normal(size=(3, 7))
    U, s, Vt = compact_svd(A)
    assert len(s) == 3
    np.testing.assert_allclose((U * s) @ Vt, A, atol=1e-12)
    assert len(compact_svd(np.zeros((3, 2))).s) == 0
    with pytest.raises(DataError, match="finite"):
        compact_svd(np.array([[np.nan]]))


@pytest.mark.parametrize("make", [sp.csr_array, np.asarray])
def test_no_low_rank_matrix_is_nearer(sparse, make):
    """Eckart-Young-Mirsky: the errors are as the theorem says, and random changes only raise them."""
    A = sparse.toarray()
    s = np.linalg.svd(A, compute_uv=False)
    options = {"tol": 1e-9} if make is sp.csr_array else {}
    result, frobenius, spectral = best_low_rank(make(A), 5, **options)
    assert frobenius == pytest.approx(np.sqrt((s[5:] ** 2).sum()), rel=1e-6)
    assert spectral == pytest.approx(s[5], rel=1e-6)
    nearest = (result.U * result.s) @ result.Vt
    assert np.linalg.norm(A - nearest) == pytest.approx(frobenius, rel=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(5):
        U = result.U + 0.01 * rng.normal(size=result.U.shape)
        assert np.linalg.norm(A - (U * result.s) @ result.Vt) > frobenius


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.data())
@settings(max_examples=30, deadline=None)
def test_compress_is_the_svd_of_the_product(m, n, d, data):
    k = data.draw(st.integers(1, min(m, n, d)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    X, Y = rng.normal(size=(m, d)), rng.normal(size=(n, d))
    np.testing.assert_allclose(compress(X, Y, k).s, np.linalg.svd(X @ Y.T, compute_uv=False)[:k], atol=1e-9)


def test_bad_arguments(sparse):
    for k in (0, 10**6):
        with pytest.raises(ParameterError, match="k must be"):
            truncated_svd(sparse, k)
    with pytest.raises(DataError, match="sparse matrix"):
        truncated_svd(sparse.toarray(), 3)
    with pytest.raises(ParameterError, match=r"residual .* > tol = 1.0e-12 after 1 iterations: raise max_iter or tol"):
        truncated_svd(sparse, 30, tol=1e-12, max_iter=1)
    bad = sparse.copy()
    bad.data[0] = np.nan
    with pytest.raises(DataError, match="finite"):
        truncated_svd(bad, 3)


@pytest.mark.parametrize("seed", range(6))
def test_spaces_that_are_exhausted_stay_orthonormal(seed):
    """Few columns, of which some are empty or repeated: the search space is all there is, and more is asked for."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((60, 40)) < 0.5 * rng.random(40) ** 2 + 0.02).astype(np.float64)
    dense[:, rng.choice(40, 1 + seed, replace=False)] = 0
    dense[:, 11] = dense[:, 12]
    dense /= np.sqrt(np.maximum(dense.sum(axis=1), 1))[:, None] * np.sqrt(np.maximum(dense.sum(axis=0), 1))
    wanted = np.linalg.svd(dense, compute_uv=False)
    for k, n_iter in ((6, 4), (6, 30), (20, 5), (40, 3)):
        U, s, Vt = randomized_svd(sp.csr_array(dense.astype(np.float32)), k, n_iter=n_iter)
        np.testing.assert_allclose(s, wanted[:k], atol=1e-4)
        np.testing.assert_allclose(Vt @ Vt.T, np.eye(k), atol=1e-4)
        np.testing.assert_allclose(U.T @ U, np.eye(k), atol=1e-4)
