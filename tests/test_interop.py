"""Models trained elsewhere score, fold in and adapt as they should."""

import numpy as np
import pytest
import scipy.sparse as sp
from checks import assert_same

import lrrec
from lrrec import LowRankAdapter
from lrrec.errors import DataError, ParameterTypeError
from lrrec.interop import from_factors, from_implicit


def test_factors_become_a_model(likes, tmp_path):
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(likes.n_users, 6)), rng.normal(size=(likes.n_items, 6))
    model = from_factors(U, V, users=likes.users.ids, items=likes.items.ids, seen=likes)
    user, items = likes.users.ids[3], likes.items.ids[:5]
    np.testing.assert_allclose(model.predict([user] * 5, items), V[:5] @ U[3], rtol=1e-5)
    assert np.isfinite(model.transform(likes)).all()
    model.save(tmp_path / "m")
    assert_same(lrrec.load(tmp_path / "m").recommend(k=4), model.recommend(k=4))
    LowRankAdapter(rank=2, reg=1.0, reg_fold=0.1, guard=False).fit(likes, base=model)


@pytest.mark.parametrize(("change", "told"), [
    ({"item_factors": np.ones((5, 3))}, "as many columns, got 2 and 3"),
    ({"item_factors": [[np.nan, 1]]}, "item_factors must be finite"),
    ({"user_factors": np.ones(4)}, "user_factors must be a matrix"),
    ({"user_factors": "x"}, "user_factors must be a matrix of numbers"),
    ({"users": ["a"]}, "users must have one id for each of 4"),
    ({"seen": sp.csr_array(np.ones((2, 2)))}, r"seen must be users x items, \(4, 5\)"),
])  # fmt: skip
def test_bad_factors(change, told):
    with pytest.raises(DataError, match=told):
        from_factors(**({"user_factors": np.ones((4, 2)), "item_factors": np.ones((5, 2))} | change))


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_implicits_als_folds_in_as_it_does_itself(likes):
    als = pytest.importorskip("implicit.als")
    X = sp.csr_matrix(likes.matrix)
    peer = als.AlternatingLeastSquares(8, regularization=0.05, alpha=3.0, iterations=4, random_state=0)
    peer.fit(X, show_progress=False)
    model = from_implicit(peer, users=likes.users.ids, items=likes.items.ids, seen=likes)
    rows = np.arange(10)
    np.testing.assert_allclose(model.transform(likes)[rows], peer.recalculate_user(rows, X[rows]), rtol=1e-2, atol=1e-3)
    theirs, _ = peer.recommend(rows, X[rows], N=8)
    np.testing.assert_array_equal(model.recommend(likes.users.ids[rows], 8).indices, theirs)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("name", ["bpr.BayesianPersonalizedRanking", "lmf.LogisticMatrixFactorization"])
def test_other_models_of_implicit(name, likes):
    implicit = pytest.importorskip("implicit.cpu." + name.split(".")[0])
    peer = getattr(implicit, name.split(".")[1])(8, iterations=5, random_state=0)
    X = sp.csr_matrix(likes.matrix)
    peer.fit(X, show_progress=False)
    model = from_implicit(peer, seen=X)
    theirs, _ = peer.recommend(np.arange(10), X[:10], N=5)
    assert (model.recommend(np.arange(10), 5).indices == theirs).mean() > 0.95
    assert np.isfinite(model.transform(likes.matrix)).all()


def test_what_is_no_model():
    with pytest.raises(ParameterTypeError, match="matrix factorization of implicit"):
        from_implicit(object())


def test_factors_that_are_all_zero_make_a_model():
    model = from_factors(np.ones((2, 3)), np.zeros((4, 3)))
    assert (model.recommend_from(np.eye(4)[:1], 2).scores == 0).all()
