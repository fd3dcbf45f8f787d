"""EDLAE and the denoising forms of EASE: stationarity, closed forms, and what they have to recover."""

import numpy as np
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import EASE, EDLAE, AdapterSelector, Interactions, TruncatedSVD
from lrrec.adapt import FoldIn, LowRank
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.denoising import DenoisingAutoencoder


def dense_objective(X, penalties, B):
    """The objective of `lrrec.linalg.denoising` for weights with a zero diagonal."""
    B = B - np.diag(np.diag(B))
    return ((X - X @ B) ** 2).sum() + (penalties[:, None] * B**2).sum()


def ragged(seed=0, shape=(40, 15)):
    """Values of several sizes, a user and an item without any, and an item that everyone else has."""
    rng = np.random.default_rng(seed)
    X = (rng.random(shape) < 0.25) * rng.uniform(0.5, 2, shape)
    X[3], X[:, 5], X[:, 7] = 0, 0, 1
    X[3] = 0
    return X


def penalties_of(X, reg, dropout):
    return reg + dropout / (1 - dropout) * (X**2).sum(axis=0)


def gradients(X, penalties, E, V):
    """Of the objective in E and V, in double precision."""
    G, E, V = X.T @ X, E.astype(np.float64), V.astype(np.float64)
    B = E @ V.T
    np.fill_diagonal(B, 0)
    R = 2 * ((G + np.diag(penalties)) @ B - G)
    np.fill_diagonal(R, 0)
    return R @ V, R.T @ E


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_encoders_and_decoders_are_stationary(dropout):
    X = ragged()
    model = EDLAE(4, dropout=dropout, reg=2.0, user_power=0, n_iter=1500, cg_steps=4).fit(Interactions.from_matrix(X))
    E, V = model.item_encoders_, model.item_factors_
    for gradient in gradients(X, penalties_of(X, 2.0, dropout), E, V):
        assert np.abs(gradient).max() < 2e-3 * (X**2).sum()
    np.testing.assert_allclose(V.T @ V, np.eye(4), atol=1e-5)


def test_the_decoders_are_the_exact_minimum_for_their_encoders():
    X = ragged(1)
    penalties = penalties_of(X, 1.5, 0.4)
    solver = DenoisingAutoencoder(sp.csr_array(X.astype(np.float32)), 1.5, 0.4, 1)
    E, V, loss = solver.decoders(np.random.default_rng(0).standard_normal((15, 3)).astype(np.float32))
    oracle = np.empty((15, 3))
    C, G = X.T @ X + np.diag(penalties), X.T @ X
    for i in range(15):
        others = E.astype(np.float64)
        others[i] = 0
        oracle[i] = np.linalg.lstsq(others.T @ C @ others, others.T @ G[:, i], rcond=None)[0]
    np.testing.assert_allclose(V, oracle, atol=2e-4)
    assert loss == pytest.approx(dense_objective(X, penalties, E.astype(np.float64) @ V.T), rel=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_conjugate_gradients_reach_the_best_encoders_and_stop_there(seed):
    X = ragged(seed)
    penalties = penalties_of(X, 1.0, 0.3)
    solver = DenoisingAutoencoder(sp.csr_array(X.astype(np.float32)), 1.0, 0.3, 2)
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((15, 3)))[0].astype(np.float32)
    E = solver.encoders(np.zeros_like(V), V, 500)
    assert np.abs(gradients(X, penalties, E, V)[0]).max() < 1e-3 * (X**2).sum()


def test_every_iteration_lowers_the_objective(likes):
    X, losses = likes.matrix.toarray().astype(np.float64), []
    for n_iter in range(1, 7):
        model = EDLAE(6, dropout=0.4, reg=5.0, user_power=0, n_iter=n_iter).fit(likes)
        B = model.item_encoders_ @ model.item_factors_.astype(np.float64).T
        losses.append(dense_objective(X, penalties_of(X, 5.0, 0.4), B))
    assert (np.diff(losses) < 0).all()
    reported = []
    EDLAE(6, dropout=0.4, reg=5.0, user_power=0, n_iter=6).fit(
        likes, callback=lambda state: reported.append(state.loss)
    )
    np.testing.assert_allclose(reported, losses, rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_full_rank_is_ease(dropout):
    data = Interactions.from_matrix(ragged(3))
    ease = EASE(3.0, dropout=dropout, user_power=0.3).fit(data)
    low_rank = EDLAE(15, reg=3.0, dropout=dropout, user_power=0.3, n_iter=400, cg_steps=10).fit(data)
    B = low_rank.item_encoders_ @ low_rank.item_factors_.T
    np.fill_diagonal(B, 0)
    np.testing.assert_allclose(B, ease.item_weights_, atol=5e-3)


def test_it_predicts_better_than_the_singular_vectors_of_its_rank(likes):
    split = lrrec.splits.by_user(likes, random_state=0)
    models = [EDLAE(80, reg=30.0).fit(split.train), TruncatedSVD(80, reg=0).fit(split.train)]
    denoising, plain = (lrrec.evaluate(model, split).mean()["ndcg@10"] for model in models)
    assert denoising > 1.1 * plain


def test_the_result_is_the_same_on_any_number_of_threads(likes):
    one, three = (EDLAE(8, n_iter=3, n_threads=n).fit(likes) for n in (1, 3))
    np.testing.assert_array_equal(one.item_encoders_, three.item_encoders_)
    np.testing.assert_array_equal(one.item_factors_, three.item_factors_)


def test_more_factors_than_the_rank_are_zeros():
    data = Interactions.from_matrix(ragged(4, (6, 15)))
    model = EDLAE(20, reg=1.0).fit(data)
    assert np.isfinite(model.item_encoders_).all()
    assert not model.item_factors_[:, 15:].any()
    assert np.isfinite(model.recommend(k=3).scores.filled(0)).all()


def test_a_compressed_model_encodes_histories_as_its_training_users(likes):
    model = EDLAE(10, reg=5.0).fit(likes)
    small = model.compress(4)
    np.testing.assert_allclose(small.transform(likes), small.user_factors_, atol=1e-4)
    scores = model.user_factors_ @ model.item_factors_.T
    U, s, Vt = np.linalg.svd(scores.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(small.user_factors_ @ small.item_factors_.T, (U[:, :4] * s[:4]) @ Vt[:4], atol=1e-3)


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.8])
def test_ease_with_dropout_is_the_closed_form(dropout):
    X = ragged(5)
    model = EASE(2.0, dropout=dropout).fit(Interactions.from_matrix(X))
    P = np.linalg.inv(X.T @ X + np.diag(penalties_of(X, 2.0, dropout)))
    B = np.eye(15) - P / np.diag(P)
    np.testing.assert_allclose(model.item_weights_, B, atol=2e-5)
    plain = EASE(2.0).fit(Interactions.from_matrix(X)).item_weights_
    assert (dropout == 0) == np.array_equal(plain, model.item_weights_)


@pytest.mark.parametrize("power", [0.0, 0.25, 1.0])
def test_users_are_weighted_by_a_power_of_their_number_of_items(power):
    X = ragged(8)
    counts = np.maximum((X > 0).sum(axis=1, keepdims=True), 1)
    weighted = X * counts**-power
    weighted *= np.sqrt((X**2).sum() / (weighted**2).sum())
    direct, by_hand = (EASE(2.0, dropout=0.3, user_power=p).fit(Y) for p, Y in ((power, X), (0, weighted)))
    np.testing.assert_allclose(direct.item_weights_, by_hand.item_weights_, atol=1e-5)
    np.testing.assert_allclose(direct.seen_.toarray(), X, rtol=1e-6)


def test_dropout_is_the_mean_over_histories_with_items_left_out():
    """The expected squared error of the items left out, by sampling."""
    X, p, reg = ragged(6, (30, 8)), 0.4, 1.0
    B = EASE(reg, dropout=p).fit(Interactions.from_matrix(X)).item_weights_.astype(np.float64)
    rng, error = np.random.default_rng(0), 0.0
    for _ in range(4000):
        kept = rng.random(X.shape) >= p
        error += ((X - (X * kept / (1 - p)) @ B) ** 2).sum() / 4000
    expected = dense_objective(X, penalties_of(X, reg, p), B) - reg * (B**2).sum()
    assert error == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("bound", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_a_relaxed_diagonal_meets_the_optimality_conditions(bound, dropout):
    X, reg = ragged(7), 3.0
    B = EASE(reg, dropout=dropout, relaxed=bound).fit(Interactions.from_matrix(X)).item_weights_.astype(np.float64)
    gradient = 2 * ((X.T @ X + np.diag(penalties_of(X, reg, dropout))) @ B - X.T @ X)
    multipliers = -np.diag(gradient)  # of the bound: >= 0, and 0 where it is not reached
    np.testing.assert_allclose(gradient - np.diag(np.diag(gradient)), 0, atol=1e-3)
    assert np.diag(B).max() <= bound + 1e-5
    assert multipliers.min() > -1e-3
    assert np.abs(multipliers * (bound - np.diag(B))).max() < 1e-3


def test_a_relaxed_diagonal_is_refused_with_features():
    with pytest.raises(ParameterError, match="relaxed must be 0 with item_features"):
        EASE(relaxed=0.1).fit(Interactions.from_matrix(np.eye(3)), item_features=np.ones((3, 1)))


@pytest.mark.parametrize("value", [1.0, -0.1, 2, float("nan")])
def test_dropout_is_below_one(value):
    for model in (EASE(dropout=value), EDLAE(2, dropout=value), EASE(relaxed=value)):
        with pytest.raises(ParameterError, match=r"(dropout|relaxed) must be a finite number >= 0 and < 1"):
            model.fit(Interactions.from_matrix(np.eye(3)))


def test_adapters_encode_the_users_of_the_target_as_the_base_does(likes, tmp_path):
    source, target = likes.filter(likes.rows() % 3 > 0), likes.filter(likes.rows() % 3 == 0)
    base = EDLAE(8, reg=5.0).fit(source)
    known = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    adapter = FoldIn().fit(known, base=base)
    mine, theirs = (model.recommend_from(known, 10) for model in (adapter, base))
    np.testing.assert_array_equal(mine.items, theirs.items)
    np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-5)
    np.testing.assert_array_equal(adapter.merge().recommend_from(known, 10).items, theirs.items)
    adapter.save(tmp_path / "adapter.lrrec", histories=True)
    loaded = lrrec.load(tmp_path / "adapter.lrrec", base=base)
    np.testing.assert_array_equal(loaded.recommend(k=5).items, adapter.recommend(k=5).items)


def test_the_selector_compares_what_a_linear_encoder_can_be_adapted_by(likes):
    source, target = likes.filter(likes.rows() % 3 > 0), likes.filter(likes.rows() % 3 == 0)
    selector = AdapterSelector(random_state=0).fit(target, base=EDLAE(8, reg=5.0).fit(source))
    methods = set(selector.report_["method"])
    assert "fold-in" in methods
    assert any(method.startswith("item-item") for method in methods)
    with pytest.raises(ParameterTypeError, match="quadratic loss for LowRank, got EDLAE"):
        LowRank(reg=1.0, fold_in_reg=1.0, new_item_reg=1.0).fit(target, base=EDLAE(8).fit(source))
