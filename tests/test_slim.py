"""SLIM is the elastic net of each item: conditions of a minimum, oracles, both forms of the Gram matrix."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import ElasticNet

import lrrec
from lrrec import EASE, SLIM
from lrrec.errors import DataError
from lrrec.linalg import elastic_net, kernels
from lrrec.linalg.elastic_net import elastic_net_weights
from lrrec.linalg.sparse import sparse_gram

RNG = np.random.default_rng(0)
PRESENT = RNG.random((60, 24)) < 0.5 * RNG.random(24) + 0.05
PRESENT[:, 7] = True  # an item that everyone has
PRESENT[:, 3], PRESENT[5] = False, False  # nobody; a user without items
RATINGS = PRESENT * RNG.integers(1, 6, PRESENT.shape)
DATA = {
    "binary": PRESENT.astype(np.float64),
    "ratings": RATINGS.astype(np.float64),
    "negative": RATINGS * RNG.choice([-1.0, 1.0], PRESENT.shape),
}


@pytest.fixture(params=[0, 10_000], ids=["sparse", "dense"], autouse=True)
def form(request, monkeypatch):
    """Run with either form of the Gram matrix."""
    monkeypatch.setattr(elastic_net, "DENSE", request.param)


def weights_of(X, l1_reg, l2_reg, *, nonnegative, n_iter=10_000, tol=1e-7, n_threads=None):
    options = {"nonnegative": nonnegative, "n_iter": n_iter, "tol": tol, "n_threads": n_threads}
    return elastic_net_weights(sp.csr_array(X.astype(np.float32)), l1_reg, l2_reg, **options)


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize(("l1_reg", "l2_reg"), [(1.5, 3.0), (0.0, 2.0), (6.0, 0.5)])
@pytest.mark.parametrize("data", DATA)
def test_weights_meet_the_conditions_of_a_minimum(data, l1_reg, l2_reg, nonnegative):
    X = DATA[data]
    sparse = weights_of(X, l1_reg, l2_reg, nonnegative=nonnegative)
    W = sparse.toarray().astype(np.float64)
    assert W.any()
    assert sparse.has_canonical_format
    assert not np.diag(W).any()
    gradient = X.T @ (X @ W - X) + l2_reg * W  # of all but |w|_1
    largest = np.abs(X.T @ X).max()
    np.testing.assert_allclose((gradient + l1_reg * np.sign(W))[W != 0], 0, atol=1e-6 * largest)
    np.fill_diagonal(gradient, 0)
    lowest, highest = gradient[W == 0].min(), gradient[W == 0].max()
    assert lowest >= -l1_reg - 1e-6 * largest
    if nonnegative:
        assert (W >= 0).all()
    else:
        assert highest <= l1_reg + 1e-6 * largest


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("data", DATA)
def test_each_item_is_an_elastic_net(data, nonnegative):
    X, l1_reg, l2_reg = DATA[data], 1.5, 3.0
    net = ElasticNet(
        alpha=(l1_reg + l2_reg) / len(X), l1_ratio=l1_reg / (l1_reg + l2_reg), positive=nonnegative,
        fit_intercept=False, tol=1e-10, max_iter=100_000,
    )  # fmt: skip
    want = np.zeros((24, 24))
    for item in np.flatnonzero(X.any(axis=0)):  # of others scikit-learn's first versions warn that they do not converge
        others = np.arange(24) != item
        want[others, item] = net.fit(X[:, others], X[:, item]).coef_
    W = weights_of(X, l1_reg, l2_reg, nonnegative=nonnegative)
    assert W.nnz == np.count_nonzero(want)
    np.testing.assert_allclose(W.toarray(), want, atol=2e-6)


@cache
def descended(data, l1_reg, l2_reg, nonnegative):
    """Cyclic coordinate descent of each item on the users' rows."""
    X = DATA[data]
    W = np.zeros((X.shape[1],) * 2)
    for item, w in enumerate(W.T):
        residual = X[:, item].copy()
        for _ in range(60):
            for j, x in enumerate(X.T):
                if j == item or not x.any():
                    continue
                pull = x @ residual + x @ x * w[j]
                new = np.sign(pull) * max(abs(pull) - l1_reg, 0) / (x @ x + l2_reg)
                new = max(new, 0) if nonnegative else new
                residual -= x * (new - w[j])
                w[j] = new
    return W


@pytest.mark.parametrize("nonnegative", [True, False])
@pytest.mark.parametrize("data", DATA)
def test_the_kernel_is_plain_coordinate_descent(data, nonnegative):
    want = descended(data, 2.0, 5.0, nonnegative)
    np.testing.assert_allclose(weights_of(DATA[data], 2.0, 5.0, nonnegative=nonnegative).toarray(), want, atol=2e-6)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_threads_change_no_bit(likes, nonnegative):
    one, three = (SLIM(0.5, 20, nonnegative=nonnegative, n_threads=n).fit(likes).item_weights_ for n in (1, 3))
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one, part), getattr(three, part))


@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_large_l1_leaves_no_weights(likes, nonnegative):
    model = SLIM(l1_reg=1e5, nonnegative=nonnegative).fit(likes)
    assert model.item_weights_.nnz == 0
    assert model.recommend(k=2).items.count() == 0


def test_signed_weights_without_l1_are_those_of_ease():
    X = DATA["binary"].astype(np.float32)
    signed = SLIM(0, 5.0, nonnegative=False, n_iter=100_000, tol=1e-8).fit(X).item_weights_
    np.testing.assert_allclose(signed.toarray(), EASE(5.0).fit(X).item_weights_, atol=1e-5)


def test_full_blocks_begin_anew():
    """More weights than a block holds: some target items of many."""
    X = sp.csr_array((np.random.default_rng(1).random((200, 1400)) < 0.1).astype(np.float32))
    gram = sparse_gram(X)
    dense = gram.toarray().astype(np.float64)
    empty = np.empty((0, 0), dtype=np.float32)
    small = gram if elastic_net.DENSE == 0 else sp.csr_array(gram.shape, dtype=np.float32)
    arrays = *kernels.index_arrays(small), small.data, empty if elastic_net.DENSE == 0 else gram.toarray()
    options = (0.0, 300.0, False, False, 100_000, 1e-6)
    counts, items, values = kernels.elastic_net_rows(0, 2, arrays, np.diag(dense).copy(), *options)
    assert counts.min() > 1024
    want = EASE(300.0).fit(X).item_weights_[:, :2]
    got = sp.csr_array((values, items, np.append(0, np.cumsum(counts))), shape=(2, 1400))
    np.testing.assert_allclose(got.toarray().T, want, atol=1e-5)


def test_every_pass_lowers_the_objective_and_tol_ends_them():
    X = DATA["ratings"]

    def objective(**options):
        W = weights_of(X, 2.0, 1.0, nonnegative=True, **options).toarray().astype(np.float64)
        return 0.5 * ((X - X @ W) ** 2).sum() + 2 * W.sum() + 0.5 * (W**2).sum()

    values = [objective(n_iter=n) for n in (1, 3, 6, 12, 25, 50)]
    assert values[0] == pytest.approx(0.5 * (X**2).sum())
    assert (np.diff(values) < 0).all()
    best = objective()
    assert best < objective(tol=1e-2) < best * 1.01


def test_the_sparse_gram_matrix_is_the_product(likes):
    one, three = (sparse_gram(likes.matrix, n_threads=n) for n in (1, 3))
    X = likes.matrix.toarray().astype(np.float64)
    np.testing.assert_allclose(one.toarray(), X.T @ X, rtol=1e-6)
    assert one.has_canonical_format
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one, part), getattr(three, part))
    few = sp.csr_array(sp.random_array((50, 900), density=0.004, random_state=0, dtype=np.float32))
    gram = sparse_gram(few)  # of short rows, which are sorted
    np.testing.assert_allclose(gram.toarray(), (few.T @ few).toarray(), rtol=1e-5)
    assert gram.has_canonical_format


@pytest.mark.parametrize("bad", [
    {"l1_reg": -1}, {"l1_reg": np.nan}, {"l2_reg": -0.1}, {"tol": -1}, {"n_iter": 0}, {"nonnegative": 1},
])  # fmt: skip
def test_bad_parameters(likes, bad):
    with pytest.raises((ValueError, TypeError), match=f"{next(iter(bad))} must be"):
        SLIM(**bad).fit(likes)


def test_values_that_overflow_are_refused(likes):
    large = likes.matrix * np.float32(1e20)
    with pytest.raises(DataError, match="norms of the items overflowed"):
        SLIM().fit(large)


def test_signed_models_are_saved(likes, tmp_path):
    model = SLIM(0.5, 20, nonnegative=False).fit(likes)
    assert model.item_weights_.data.min() < 0
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(lrrec.load(tmp_path / "model").item_weights_.data, model.item_weights_.data)
