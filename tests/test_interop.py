"""Models trained elsewhere score, fold in and adapt as they should."""

import importlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from checks import assert_same
from sklearn import decomposition

import lrrec
from lrrec.adapt import LowRank
from lrrec.errors import DataError, NotFittedError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.interop import ImplicitModel, from_factors, from_implicit, from_sklearn, to_implicit


def test_factors_become_a_model(likes, tmp_path):
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(likes.n_users, 6)), rng.normal(size=(likes.n_items, 6))
    model = from_factors(U, V, users=likes.users.ids, items=likes.items.ids, seen=likes)
    user, items = likes.users.ids[3], likes.items.ids[:5]
    np.testing.assert_allclose(model.predict([user] * 5, items), V[:5] @ U[3], rtol=1e-5)
    assert np.isfinite(model.transform(likes)).all()
    model.save(tmp_path / "m")
    assert_same(lrrec.load(tmp_path / "m").recommend(k=4), model.recommend(k=4))
    LowRank(rank=2, reg=1.0, fold_in_reg=0.1).fit(likes, base=model)


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


def test_a_model_of_factors_has_its_own(likes):
    """What the caller does with theirs afterwards changes nothing, and nothing is done to theirs."""
    rng = np.random.default_rng(0)
    U, V = (rng.normal(size=(n, 4)).astype(np.float32) for n in (likes.n_users, likes.n_items))
    model = from_factors(U, V, seen=likes.matrix)
    before = model.recommend_from(likes.matrix, 5), model.recommend(k=5)
    V[:], U[:] = V[::-1].copy(), 0
    assert_same(model.recommend_from(likes.matrix, 5), before[0])
    assert_same(model.recommend(k=5), before[1])
    with pytest.raises(ValueError, match="read-only"):
        model.item_factors_[0] = 0  # what follows from them is kept


def test_factors_that_are_all_zero_make_a_model():
    model = from_factors(np.ones((2, 3)), np.zeros((4, 3)))
    assert model.recommend_from(np.eye(4)[:1], 2, unknown="mask").items.count() == 0


PEERS = {
    "als": ("als.AlternatingLeastSquares", {"factors": 8, "regularization": 0.05, "iterations": 4, "random_state": 0}),
    "bpr": ("bpr.BayesianPersonalizedRanking", {"factors": 8, "iterations": 5, "random_state": 0}),
    "lmf": ("lmf.LogisticMatrixFactorization", {"factors": 8, "iterations": 5, "random_state": 0}),
    "knn": ("nearest_neighbours.CosineRecommender", {"K": 20}),
}


def peer(name, data):
    """A model of implicit, fitted to the data."""
    pytest.importorskip("implicit")
    where, params = PEERS[name]
    module, cls = where.split(".")
    model = getattr(importlib.import_module(f"implicit.{module}"), cls)(**params)
    model.fit(sp.csr_matrix(data.matrix), show_progress=False)
    return ImplicitModel(model, data)


def implicits(test):
    """Of what implicit warns, threads and conversions of its own, nothing matters here."""
    ignore = pytest.mark.filterwarnings
    return ignore("ignore:.*:RuntimeWarning")(ignore("ignore:Method expects CSR input")(test))


@implicits
@pytest.mark.parametrize("name", PEERS)
def test_models_of_implicit_answer_by_id_as_they_do_by_index(name, likes):
    model, rows = peer(name, likes), np.arange(20)
    lists = model.recommend(likes.users.ids[rows], 7)
    theirs, scores = model.model.recommend(rows, sp.csr_matrix(likes.matrix[rows]), N=7)
    np.testing.assert_array_equal(lists.items, likes.items.ids[theirs])
    np.testing.assert_allclose(lists.scores, scores)
    kept = model.recommend(likes.users.ids[rows], 7, exclude_seen=False)
    assert not np.array_equal(kept.indices, lists.indices)


@implicits
@pytest.mark.parametrize("name", PEERS)
def test_models_of_implicit_leave_out_what_is_seen_and_mask_what_is_not_there(name, likes):
    model = peer(name, likes)
    lists = model.recommend(k=likes.n_items + 5)
    assert lists.items.shape == (likes.n_users, likes.n_items + 5)
    for row, found in enumerate(lists.items):
        listed = likes.items.indices(found.compressed())
        seen = likes.matrix[[row]].indices
        assert not np.isin(listed, seen).any()
        assert len(listed) == len(set(listed)) <= likes.n_items - len(seen)
        assert name == "knn" or len(listed) == likes.n_items - len(seen)


@implicits
@pytest.mark.parametrize("name", ["als", "knn"])
def test_candidates_of_implicit(name, likes):
    model, users = peer(name, likes), likes.users.ids[:10]
    rng = np.random.default_rng(0)
    own = np.stack([rng.choice(likes.items.ids, 30, replace=False) for _ in users])
    lists = model.recommend(users, 5, items=own)
    assert all(np.isin(found.compressed(), some).all() for found, some in zip(lists.items, own, strict=True))
    shared = model.recommend(users, 40, items=own[0], exclude_seen=False)
    same = model.recommend(users, 40, items=np.tile(own[0], (10, 1)), exclude_seen=False)
    np.testing.assert_array_equal(shared.indices, same.indices)
    assert (shared.items.count(axis=1) <= 30).all()


@implicits
def test_users_of_whom_implicit_knows_nothing(likes):
    split = lrrec.splits.by_time(likes, 0.3)
    model, popular = peer("als", split.train), lrrec.Popularity().fit(split.train)
    cold = split.users.ids[np.diff(split.train.matrix.indptr) == 0]
    assert len(cold)
    with pytest.raises(UnknownIdError, match=r"unknown users: .* of the model; pass unknown="):
        model.recommend(cold)
    users = [split.users.ids[split.train.rows()[0]], *cold]
    lists = model.recommend(users, 4, unknown="popular")
    np.testing.assert_array_equal(lists.indices[1:], popular.recommend(cold, 4, unknown="popular").indices)
    assert (lists.indices[0] != model.recommend(users[:1], 4).indices[0]).sum() == 0
    assert len(lrrec.evaluate(model, split, metrics=["ndcg@10"]).users) == len(split.test_rows)


@implicits
def test_models_of_implicit_are_compared(split, likes):
    als, knn = peer("als", split.train), peer("knn", split.train)
    models = {"popular": lrrec.Popularity(), "als": als, "knn": knn, "als in lrrec": from_implicit(
        als.model, users=split.users.ids, items=split.items.ids, seen=split.train)}  # fmt: skip
    found = lrrec.compare(models, split, metrics=["ndcg@10"])
    pairs = found.pairs("ndcg@10").set_index(["model", "other"])
    assert (pairs.loc["popular", "high"] < 0).all()
    assert pairs.loc[("als", "als in lrrec"), "difference"] == pytest.approx(0, abs=0.01)
    known = lrrec.splits.leave_last(likes)
    bpr = peer("bpr", known.train)
    assert lrrec.compare({"bpr": bpr}, known, metrics=["ndcg@10"]).recommend_seconds["bpr"] > 0
    with pytest.raises(ParameterTypeError, match="BayesianPersonalizedRanking of implicit cannot recommend to new"):
        lrrec.evaluate(peer("bpr", split.train), split)


@implicits
def test_new_users_are_matched_by_id(likes):
    model, rows = peer("als", likes), np.arange(6)
    half = likes.filter(likes.matrix.indices % 2 == 0).align_items(lrrec.IdMap(likes.items.ids[::-2]))
    users = half.users.ids[np.diff(half.matrix.indptr) > 0][rows]
    lists = model.recommend_from(half, 5, users=users)
    raw = half.align_items(likes.items).matrix[half.users.indices(users)]
    np.testing.assert_array_equal(lists.users, users)
    np.testing.assert_array_equal(lists.indices, model.recommend_from(raw, 5).indices)
    assert len(model.recommend_from(half)) == np.count_nonzero(np.diff(half.matrix.indptr))


@implicits
def test_what_is_no_model_of_implicit(likes):
    als, knn = pytest.importorskip("implicit.als"), pytest.importorskip("implicit.nearest_neighbours")
    with pytest.raises(ParameterTypeError, match="recommender of implicit, got Popularity"):
        ImplicitModel(lrrec.Popularity().fit(likes), likes)
    for unfitted in (als.AlternatingLeastSquares(4), knn.CosineRecommender()):
        with pytest.raises(NotFittedError, match=f"{type(unfitted).__name__} is not fitted: call its fit"):
            ImplicitModel(unfitted, likes)
    with pytest.raises(DataError, match="the training data of the model"):
        ImplicitModel(peer("als", likes).model, likes.matrix[:-1])
    with pytest.raises(DataError, match="the training data of the model"):
        ImplicitModel(peer("knn", likes).model, likes.matrix[:, :-1])


@implicits
@pytest.mark.parametrize("model", [
    lrrec.IALS(8, n_iter=2, random_state=0), lrrec.TruncatedSVD(8), lrrec.ALS(4, n_iter=2, random_state=0),
    lrrec.NMF(8, n_iter=2, random_state=0),
], ids=lambda model: type(model).__name__)  # fmt: skip
def test_implicit_recommends_what_the_model_does(model, made_up):
    pytest.importorskip("implicit")
    model, rows = model.fit(made_up.interactions()), np.arange(30)
    peer = to_implicit(model)
    exact = model.recommend(model.users_.ids[rows], 7)
    indices, scores = peer.recommend(
        rows, sp.csr_matrix(model.seen_[rows]), N=7, filter_items=np.flatnonzero(~model.item_evidence_)
    )
    np.testing.assert_allclose(scores, exact.scores, rtol=1e-5)
    assert (indices == exact.indices).mean() > 0.99  # but for scores that differ in their last digit
    peer.item_factors[:] = 0
    assert model.item_factors_.any()


@implicits
def test_users_fold_in_alike_where_implicit_has_the_objective(likes):
    pytest.importorskip("implicit")
    model = lrrec.IALS(8, objective="hu", confidence="alpha r", reg_exponent=0, alpha=3.0, reg=0.05, n_iter=3,
                       random_state=0).fit(likes)  # fmt: skip
    rows = np.arange(20)
    folded = to_implicit(model).recalculate_user(rows, sp.csr_matrix(likes.matrix[rows]))
    np.testing.assert_allclose(folded, model.transform(likes)[rows], rtol=1e-2, atol=1e-3)
    again = from_implicit(to_implicit(model), users=likes.users.ids, items=likes.items.ids, seen=likes)
    np.testing.assert_allclose(again.transform(likes), model.transform(likes), rtol=1e-3, atol=1e-5)


def test_what_implicit_cannot_hold(likes, tmp_path):
    with pytest.raises(ParameterTypeError, match="model must be a factor model, got EASE"):
        to_implicit(lrrec.EASE().fit(likes))
    with pytest.raises(NotFittedError):
        to_implicit(lrrec.IALS())
    lrrec.TruncatedSVD(2).fit(likes).save(tmp_path / "m", histories=False)
    with pytest.raises(DataError, match=r"to_implicit\(\) needs the users' histories"):
        to_implicit(lrrec.load(tmp_path / "m"))


def test_scores_of_a_truncated_svd_of_scikit_learn(likes, tmp_path):
    X = likes.matrix.toarray()
    peer = decomposition.TruncatedSVD(6, random_state=0).fit(X)
    model = from_sklearn(peer, items=likes.items.ids, seen=likes)
    np.testing.assert_allclose(model.transform(likes), peer.transform(X), rtol=1e-4, atol=1e-5)
    scores = X @ peer.components_.T @ peer.components_
    user = likes.users.ids[3]
    found = model.predict([user] * likes.n_items, likes.items.ids)
    np.testing.assert_allclose(found, scores[3], rtol=1e-4, atol=1e-5)
    lists = model.recommend_from(X[:20], 5)
    best = np.argsort(np.where(X[:20] > 0, np.inf, -scores[:20]), axis=1)[:, :5]
    np.testing.assert_array_equal(lists.indices, best)
    model.save(tmp_path / "m")
    assert_same(lrrec.load(tmp_path / "m").recommend(k=4), model.recommend(k=4))
    LowRank(rank=2, reg=1.0, fold_in_reg=0.1).fit(likes, base=model)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("alpha", [0.0, 0.002])
def test_an_nmf_of_scikit_learn_encodes_users_alike(alpha, likes):
    X = likes.matrix.toarray()
    peer = decomposition.NMF(4, alpha_W=alpha, alpha_H=0.0, init="nndsvda", random_state=0, max_iter=300)
    peer.fit(X)
    peer.set_params(tol=1e-9, max_iter=3000)  # of its transform
    model = from_sklearn(peer, items=likes.items.ids, seen=likes)
    np.testing.assert_allclose(model.transform(likes), peer.transform(X), rtol=1e-2, atol=2e-3)
    assert (model.user_factors_ >= 0).all()


def test_names_of_columns_are_item_ids(likes):
    frame = pd.DataFrame(likes.matrix.toarray()).rename(columns=lambda i: f"item {i}").rename_axis(index="user")
    model = from_sklearn(decomposition.TruncatedSVD(3, random_state=0).fit(frame))
    assert model.items_.ids[0] == "item 0"
    shuffled = frame.iloc[:, ::-1]
    assert_same(model.recommend_from(frame, 3), model.recommend_from(shuffled, 3))
    with pytest.raises(DataError, match="use recommend_from"):
        model.recommend()


@pytest.mark.parametrize(("estimator", "error", "told"), [
    (decomposition.PCA(2).fit(np.eye(4)), ParameterTypeError, "TruncatedSVD or an NMF of scikit-learn, got PCA"),
    (decomposition.NMF(2), NotFittedError, "NMF is not fitted"),
    (decomposition.NMF(2, init="random", beta_loss="kullback-leibler", solver="mu", max_iter=2000).fit(np.eye(4)),
     ParameterError, "beta_loss='frobenius', got 'kullback-leibler'"),
    (decomposition.NMF(2, init="random", alpha_W=0.01, l1_ratio=0.5, max_iter=2000).fit(np.eye(4)), ParameterError,
     "no L1 penalty of users"),
])  # fmt: skip
def test_other_estimators_are_refused(estimator, error, told):
    with pytest.raises(error, match=told):
        from_sklearn(estimator)


def test_items_of_an_estimator_are_its_columns():
    peer = decomposition.TruncatedSVD(2, random_state=0).fit(np.eye(4))
    with pytest.raises(DataError, match="items must have one id for each of 4 columns, got 1"):
        from_sklearn(peer, items=["a"])
    with pytest.raises(DataError, match="3 features"):
        from_sklearn(peer, seen=np.eye(3))
