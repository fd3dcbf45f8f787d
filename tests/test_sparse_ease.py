"""SparseEASE is the exact optimum of EASE's objective on the support of each item."""

import numpy as np
import pytest
import scipy.sparse as sp

from lrrec import EASE, Interactions, SparseEASE
from lrrec.errors import DataError, ParameterError
from lrrec.linalg import support_ridge as module
from lrrec.linalg.support_ridge import support_ridge


def ragged(weighted=False):
    """Users and items of all sizes: empty ones, an isolated item (2), one with a single neighbour (3), equal ones."""
    rng = np.random.default_rng(0)
    dense = (rng.random((70, 45)) < 0.8 * rng.random(45) ** 3 + 0.02).astype(np.float32)
    dense[5], dense[:, [2, 3, 7]], dense[:, 11] = 0, 0, dense[:, 12]
    dense[8], dense[9] = 0, 0
    dense[8, 2], dense[9, [3, 4]] = 1, 1
    if weighted:
        dense *= rng.integers(1, 6, dense.shape)
    return dense


def oracle(X, k, reg, weight):
    """Dense: the support by a stable sort, the weights by numpy's solver."""
    X = X.astype(np.float64)
    G, counts = X.T @ X, (X > 0).sum(axis=0)
    norms = np.sqrt(np.diag(G))
    B = np.zeros_like(G)
    for i in range(len(G)):
        cosine = np.round(np.divide(G[i], norms, out=np.zeros(len(G)), where=norms > 0), 5)
        by_popularity = np.argsort(-counts, kind="stable")
        order = by_popularity[np.argsort(-cosine[by_popularity], kind="stable")]
        S = order[order != i][:k]
        B[S, i] = np.linalg.solve(G[np.ix_(S, S)] + np.diag(reg + weight * np.diag(G)[S]), G[S, i])
    return B


def objective(X, B, reg, weight=0.0):
    X = X.astype(np.float64)
    penalties = reg + weight * (X**2).sum(axis=0)
    return ((X - X @ B) ** 2).sum(axis=0) + penalties @ B**2


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("k", "weight"), [(1, 0.0), (6, 0.5), (20, 0.0), (44, 1.0), (500, 0.0)])
def test_weights_are_those_of_the_dense_oracle(k, weight, weighted):
    X = ragged(weighted)
    B = support_ridge(sp.csr_array(X), k, 2.0, weight)
    assert B.dtype == np.float32
    assert B.has_sorted_indices
    np.testing.assert_allclose(B.toarray(), oracle(X, k, 2.0, weight), atol=2e-5)
    assert not B.toarray()[:, [2, 7]].any(), "nothing predicts what stands alone"


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_gradient_is_zero_on_the_support(likes, dropout):
    X, weight = likes.matrix.toarray().astype(np.float64), dropout / (1 - dropout)
    model = SparseEASE(20, user_power=0, n_neighbors=15, dropout=dropout).fit(likes)
    B = model.item_weights_.toarray().astype(np.float64)
    gradient = X.T @ (X @ B - X) + (20 + weight * (X**2).sum(axis=0))[:, None] * B
    assert (B < 0).any()
    np.testing.assert_allclose(gradient[B != 0], 0, atol=1e-5 * np.abs(X.T @ X).max())


def test_supports_are_the_nearest_items(likes):
    X = likes.matrix.toarray().astype(np.float64)
    B = SparseEASE(20, user_power=0, n_neighbors=15).fit(likes).item_weights_.toarray()
    assert not np.diag(B).any()
    assert np.count_nonzero(B, axis=0).max() == 15
    norms = np.maximum(np.linalg.norm(X, axis=0), 1e-9)
    cosines = X.T @ X / norms / norms[:, None]
    np.fill_diagonal(cosines, -1)
    smallest = np.where(B != 0, cosines, np.inf).min(axis=0)
    assert (smallest >= -np.sort(-cosines, axis=0)[14] - 1e-6).all()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_with_all_neighbors_it_is_ease(likes, dropout):
    X = likes.matrix.toarray().astype(np.float64)
    G = X.T @ X
    P = np.linalg.inv(G + 20 * np.eye(len(G)) + dropout / (1 - dropout) * np.diag(np.diag(G)))
    wanted = np.eye(len(G)) - P / np.diag(P)
    for k in (likes.n_items - 1, likes.n_items, 10**6):
        weights = SparseEASE(20, user_power=0, n_neighbors=k, dropout=dropout).fit(likes).item_weights_.toarray()
        np.testing.assert_allclose(weights, wanted, atol=2e-5)
    if not dropout:
        np.testing.assert_allclose(weights, EASE(20).fit(likes).item_weights_, atol=4e-5)


def test_with_all_neighbors_and_weighted_users_it_is_ease(likes):
    ease = EASE(20, dropout=0.3, user_power=0.4).fit(likes)
    sparse = SparseEASE(20, n_neighbors=likes.n_items, dropout=0.3, user_power=0.4).fit(likes)
    np.testing.assert_allclose(sparse.item_weights_.toarray(), ease.item_weights_, atol=4e-5)


def test_more_neighbors_come_nearer_to_ease(likes):
    X, ease = likes.matrix.toarray(), EASE(20).fit(likes).item_weights_
    losses, distances, before = [], [], np.zeros((likes.n_items, likes.n_items), dtype=bool)
    for k in (1, 5, 20, 80, 200, 318):
        B = SparseEASE(20, user_power=0, n_neighbors=k).fit(likes).item_weights_.toarray()
        losses.append(objective(X, B, 20))
        distances.append(np.linalg.norm(B - ease))
        assert (before <= (B != 0)).mean() > 0.999, "supports are nested; a weight may be 0 by chance"
        before = B != 0
    assert (np.diff(losses, axis=0) <= 1e-4 * losses[0]).all(), "of every item"
    assert (np.diff(distances) < 0).all()
    assert distances[-1] < 1e-2


def test_items_that_are_bought_together_predict_each_other():
    """Groups of four items, of which a user of the group has three, and noise."""
    rng = np.random.default_rng(0)
    X = np.zeros((600, 40), dtype=np.float32)
    for row, group in zip(X, rng.integers(0, 10, 600), strict=True):
        row[4 * group + rng.permutation(4)[:3]] = 1
    X[rng.random(X.shape) < 0.02] = 1
    B = SparseEASE(5, user_power=0, n_neighbors=3).fit(Interactions.from_matrix(X)).item_weights_.toarray()
    groups = np.arange(40) // 4
    np.testing.assert_array_equal(B > 0.08, (groups[:, None] == groups) & ~np.eye(40, dtype=bool))


def test_dropout_takes_weight_from_popular_items(likes):
    popular = np.argsort(-likes.matrix.sum(axis=0))[:20]
    shares = []
    for dropout in (0.0, 0.3, 0.6):
        weights = np.abs(SparseEASE(20, user_power=0, n_neighbors=50, dropout=dropout).fit(likes).item_weights_)
        shares.append(weights[popular].sum() / weights.sum())
    assert (np.diff(shares) < 0).all()


def test_threads_and_blocks_change_no_bit(likes, monkeypatch):
    one = support_ridge(likes.matrix, 30, 20.0, n_threads=1)
    three = support_ridge(likes.matrix, 30, 20.0, n_threads=3)
    monkeypatch.setattr(module, "even_blocks", lambda n_rows, size: [(0, 7), (7, n_rows)])
    blocks = support_ridge(likes.matrix, 30, 20.0, n_threads=2)
    for other in (three, blocks):
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name))


def test_one_item_has_no_weights():
    model = SparseEASE().fit(Interactions.from_matrix(np.ones((3, 1))))
    assert model.item_weights_.shape == (1, 1)
    assert model.item_weights_.nnz == 0


def test_equal_items_of_large_values_are_solved_in_double_precision():
    X = np.repeat(np.array([[1000.0], [2000.0], [500.0]], dtype=np.float32), 5, axis=1)
    square = float((X[:, 0].astype(np.float64) ** 2).sum())
    weights = SparseEASE(0.01).fit(Interactions.from_matrix(X)).item_weights_.toarray()
    np.testing.assert_allclose(weights, (1 - np.eye(5)) * square / (4 * square + 0.01), rtol=1e-4)
    with pytest.raises(DataError, match="positive definite in float64: raise reg"):
        SparseEASE(1e-12).fit(Interactions.from_matrix(X))


def test_what_does_not_fit_memory_is_refused(likes, monkeypatch):
    def refuse(n_bytes, what, hint):
        raise DataError(f"{what} {hint}")

    monkeypatch.setattr(module, "check_memory", refuse)
    with pytest.raises(DataError, match="200 weights for each of 319 items lower n_neighbors"):
        SparseEASE().fit(likes)


@pytest.mark.parametrize("bad", [{"dropout": 1.0}, {"n_neighbors": 0}, {"reg": 0}, {"n_threads": 0}])
def test_bad_parameters(likes, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        SparseEASE(**bad).fit(likes)
