"""The definition of each linear model: stationarity, zero diagonals, oracles."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from lrrec import ALS, EASE, NMF, SLIM, GraphFilter, ItemKNN, RP3Beta, SparseEASE, TruncatedSVD
from lrrec.errors import DataWarning, FileFormatError, ParameterError
from lrrec.linalg.inverse import invert
from lrrec.linalg.noise import noise_norm
from lrrec.linalg.sparse import co_occurrences


@pytest.fixture(scope="module")
def ratings(made_up):
    return made_up.interactions()


def test_als_rows_are_stationary(ratings):
    """Factors and bias of each row, for ratings less the other side's biases."""
    R, Y = ratings.matrix, np.random.default_rng(0).normal(size=(ratings.n_items, 5))
    model = ALS(reg=0.3, reg_exponent=0.5)
    X, lam = model._solve(model._quadratic_loss(R), Y), model._penalties(R, None)[:, None].astype(np.float64)
    dense, seen = R.toarray(), R.toarray() > 0
    residual = np.where(seen, dense - Y[:, 4] - X[:, :4] @ Y[:, :4].T - X[:, 4:], 0)
    np.testing.assert_allclose(lam[:, 0], 0.3 * np.sqrt(seen.sum(1)), rtol=1e-6)
    np.testing.assert_allclose(residual @ Y[:, :4] - lam * X[:, :4], 0, atol=1e-8)
    np.testing.assert_allclose(residual.sum(1)[:, None] - lam * X[:, 4:], 0, atol=1e-8)


def test_als_lowers_its_objective(ratings):
    R, losses = ratings.matrix, []
    mean = R.data.mean(dtype=np.float64)
    counts = np.diff(R.indptr), np.bincount(R.indices, minlength=R.shape[1])
    for n_iter in range(1, 6):
        model = ALS(n_factors=3, n_iter=n_iter, random_state=0).fit(ratings)
        U, V = (factors.astype(np.float64) for factors in (model.user_factors_, model.item_factors_))
        loss = model._quadratic_loss(R).loss(U, V) + (R.data.astype(np.float64) ** 2).sum()
        seen = R.toarray() > 0
        assert loss == pytest.approx(((R.toarray() - U @ V.T)[seen] ** 2).sum(), rel=1e-6)
        V[:, -1] -= mean
        penalized = (U[:, :-1] ** 2).sum(axis=1), (np.delete(V, -2, axis=1) ** 2).sum(axis=1)
        losses.append(loss + model.reg * sum(n @ squares for n, squares in zip(counts, penalized, strict=True)))
    assert (np.diff(losses) < 1e-2).all()


def test_als_predicts_ratings(ratings):
    split = lrrec.splits.random(ratings, 0.2, random_state=0)
    model = ALS(n_factors=6, random_state=0).fit(split.train)
    test = split.test.to_frame()
    test = test[np.isin(test["item"], split.items.ids[model.item_counts_ > 0])]
    error = np.sqrt(np.mean((model.predict(test.user, test["item"]) - test.value) ** 2))
    assert error < 0.93 * test.value.std()  # most of the rest is planted noise
    clipped = ALS(n_factors=6, random_state=0, clip=True).fit(split.train).predict(test.user, test["item"])
    assert clipped.min() >= 1
    assert clipped.max() <= 5


def test_co_occurrences_are_the_upper_half_of_the_gram(likes):
    X = likes.matrix.toarray().astype(np.float64)
    one, three = (co_occurrences(likes.matrix, n_threads=n) for n in (1, 3))
    np.testing.assert_allclose(one, np.triu(X.T @ X), rtol=1e-6)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(("n", "block"), [(1, 4), (37, 5), (300, 64), (1100, None)])
def test_inverses_are_the_dense_truth(n, block):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n + 5, n))
    A = X.T @ X + np.eye(n)
    result, three = np.triu(A), np.triu(A)
    invert(result, block=block, n_threads=1)
    invert(three, block=block, n_threads=3)
    np.testing.assert_allclose(result, np.linalg.inv(A), atol=1e-10)
    np.testing.assert_array_equal(result, three)
    with pytest.raises(lrrec.errors.DataError, match="positive definite"):
        invert(-np.eye(n))


def test_a_matrix_of_no_rows_has_an_inverse(capfd):
    invert(np.zeros((0, 0), dtype=np.float32))
    assert capfd.readouterr() == ("", "")  # LAPACK prints its errors


def test_ease_is_the_constrained_ridge(likes):
    model = EASE(reg=20).fit(likes)
    X, B = likes.matrix.toarray().astype(np.float64), model.item_weights_.astype(np.float64)
    assert not np.diag(B).any()
    gradient = X.T @ (X @ B - X) + 20 * B
    np.fill_diagonal(gradient, 0)  # the diagonal is held by the constraint
    np.testing.assert_allclose(gradient, 0, atol=2e-3 * np.abs(X.T @ X).max())


def test_itemknn_is_the_written_sum(likes):
    model = ItemKNN(n_neighbors=7, shrink=5).fit(likes)
    X = likes.matrix.toarray().astype(np.float64)
    norms = np.linalg.norm(X, axis=0)
    S = (X.T @ X) / (np.outer(norms, norms) + 5)
    np.fill_diagonal(S, 0)
    for row in S:
        row[row < np.sort(row)[-7]] = 0
    want = X @ S.T
    got = model._scores(likes.matrix, slice(None))
    assert np.isclose(got, want, rtol=1e-4, atol=1e-5).mean() > 0.98  # ties at the 7th neighbour may go either way


@pytest.mark.parametrize(
    "model", [EASE(20), ItemKNN(9), RP3Beta(n_neighbors=9), SparseEASE(20, n_neighbors=9), SLIM(1, 20)], ids=repr
)
def test_item_item_scores_are_history_times_weights(model, likes, tmp_path):
    model.fit(likes)
    W = model.item_weights_ if isinstance(model, EASE) else model.item_weights_.toarray()
    assert W.dtype == np.float32
    assert not np.diag(W).any()
    want = likes.matrix.toarray() @ W
    columns = np.array([1, 5, 200])
    for scorer in (model, (model.save(tmp_path / "m"), lrrec.load(tmp_path / "m"))[1]):
        np.testing.assert_allclose(scorer._scores(likes.matrix, slice(None)), want, rtol=1e-4, atol=1e-5)
        for users in (slice(None), slice(3, 5)):
            scores = scorer._scores(likes.matrix[users], columns)
            np.testing.assert_allclose(scores, want[users][:, columns], rtol=1e-4, atol=1e-5)


def test_threads_change_no_bit_of_ease(likes):
    one, three = (EASE(20, n_threads=n).fit(likes).item_weights_ for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_itemknn_keeps_the_nearest_neighbours_of_each_item(likes):
    weights = ItemKNN(n_neighbors=7).fit(likes).item_weights_
    assert np.bincount(weights.indices, minlength=likes.n_items).max() == 7


def test_rp3beta_is_the_written_walk(likes):
    X = likes.matrix.toarray().astype(np.float64)
    users, items = np.maximum((X > 0).sum(axis=1), 1), np.maximum((X > 0).sum(axis=0), 1)
    S = (X / items**0.6).T @ (X / users[:, None] ** 0.6) / items**0.25
    np.fill_diagonal(S, 0)
    every = RP3Beta(0.6, 0.25, n_neighbors=None).fit(likes)
    np.testing.assert_allclose(every._scores(likes.matrix, slice(None)), X @ S, rtol=1e-4, atol=1e-6)
    some = RP3Beta(0.6, 0.25, n_neighbors=9).fit(likes).item_weights_
    assert np.diff(some.indptr).max() == 9
    sums = -np.sort(-S, axis=1)[:, :9].sum(axis=1)
    np.testing.assert_allclose(some.sum(axis=1), sums, rtol=1e-4, atol=1e-6)


def test_nmf_meets_the_conditions_of_a_minimum(likes):
    model = NMF(n_factors=4, reg=0.5, n_iter=200, cd_steps=20, random_state=0).fit(likes)
    X, U, V = likes.matrix.toarray().astype(np.float64), model.user_factors_.astype(np.float64), model.item_factors_
    assert (U >= 0).all()
    assert (V >= 0).all()
    gradient = (U @ V.T - X) @ V + 0.5 * U
    np.testing.assert_allclose(gradient[U > 0], 0, atol=1e-3)
    assert (gradient[U == 0] > -1e-3).all()


def test_svd_scores_are_the_projection(likes):
    exact = TruncatedSVD(n_factors=10, reg=0, solver="exact", tol=1e-8).fit(likes)
    X = likes.matrix.toarray().astype(np.float64)
    _, _, Vt = np.linalg.svd(X, full_matrices=False)
    want = X @ Vt[:10].T @ Vt[:10]
    np.testing.assert_allclose(exact.user_factors_ @ exact.item_factors_.T, want, atol=1e-4)
    assert (exact.item_factors_[np.abs(exact.item_factors_).argmax(axis=0), np.arange(10)] > 0).all()
    randomized = TruncatedSVD(n_factors=10, reg=0, n_iter=8).fit(likes)
    np.testing.assert_allclose(randomized.user_factors_ @ randomized.item_factors_.T, want, atol=2e-2)


def test_svd_powers(likes):
    powers = {"user_power": 0.5, "item_power": 0.4, "score_power": 0.3}
    model = TruncatedSVD(n_factors=5, reg=0, solver="exact", tol=1e-8, **powers).fit(likes)
    X = likes.matrix.toarray().astype(np.float64)
    users, items = X.astype(bool).sum(1), np.maximum(X.astype(bool).sum(0), 1)
    Z = X / np.maximum(users, 1)[:, None] ** 0.5 / items**0.4
    _, _, Vt = np.linalg.svd(Z, full_matrices=False)
    want = Z @ Vt[:5].T @ Vt[:5] * items**0.3
    np.testing.assert_allclose(model.user_factors_ @ model.item_factors_.T, want, atol=1e-4)


@pytest.mark.parametrize("reg", [0.3, 4.0, "auto"])
def test_svd_is_the_minimum_of_its_objective(likes, reg):
    """U and V are stationary; a user's factors are the best for V; singular values are those of the matrix less reg."""
    model = TruncatedSVD(n_factors=319, reg=reg, solver="exact", tol=1e-8).fit(likes)
    X, reg = likes.matrix.toarray().astype(np.float64), float(model.reg_[0]) if reg == "auto" else reg
    U, V = (factors.astype(np.float64) for factors in (model.user_factors_, model.item_factors_))
    residual = U @ V.T - X
    np.testing.assert_allclose(residual @ V + reg * U, 0, atol=2e-3)
    np.testing.assert_allclose(residual.T @ U + reg * V, 0, atol=2e-3)
    values = np.linalg.svd(X, compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(U @ V.T, compute_uv=False), np.maximum(values - reg, 0), atol=1e-3)
    np.testing.assert_allclose(model.transform(likes), model.user_factors_, atol=1e-4)


def test_auto_reg_is_most_of_what_noise_would_have_and_scales_with_the_values():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((300, 200)) * (rng.random((300, 200)) < 0.1)
    assert noise_norm(sp.csr_array(noise**2)) == pytest.approx(np.linalg.norm(noise, 2), rel=0.1)
    X = sp.csr_array((rng.random((300, 200)) < 0.1).astype(np.float32))
    reg = TruncatedSVD().fit(X).reg_[0]
    limit = 0.5 * np.sqrt(max(X.sum(axis=0).max(), X.sum(axis=1).max()))
    assert reg == pytest.approx(min(0.75 * (np.sqrt(X.sum() / 300) + np.sqrt(X.sum() / 200)), limit), rel=1e-4)
    assert NMF(4, n_iter=1, random_state=0).fit(X).reg_[0] == pytest.approx(reg)
    assert TruncatedSVD().fit(3 * X).reg_[0] == pytest.approx(3 * reg)
    assert TruncatedSVD().fit(np.eye(3)).reg_[0] == 0.5  # something is left of small data


def test_more_factors_than_there_are(likes):
    model = TruncatedSVD(n_factors=400).fit(likes)
    assert model.item_factors_.shape == (likes.n_items, 400)
    assert np.isfinite(model.user_factors_).all()


@pytest.mark.parametrize(
    "model", [EASE(50), SparseEASE(), ItemKNN(), RP3Beta(), SLIM(), TruncatedSVD(16), NMF(8, random_state=0)], ids=repr
)
def test_every_model_beats_popularity(model, split):
    popular = lrrec.evaluate(lrrec.Popularity().fit(split.train), split).mean()["ndcg@10"]
    assert lrrec.evaluate(model.fit(split.train), split).mean()["ndcg@10"] > 1.05 * popular


@pytest.mark.parametrize(("model", "name"), [
    (EASE(), "reg"), (SparseEASE(), "reg"), (SparseEASE(), "n_neighbors"), (SparseEASE(), "dropout"),
    (ItemKNN(), "shrink"), (RP3Beta(), "alpha"), (RP3Beta(), "beta"),
    (ALS(), "reg"), (NMF(), "reg"),
    (TruncatedSVD(), "user_power"), (TruncatedSVD(), "n_factors"),
])  # fmt: skip
def test_bad_parameters(model, name, likes):
    for bad in (-1, "x", None, np.nan):
        with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
            model.set_params(**{name: bad}).fit(likes)


def test_learned_arrays_are_checked(likes, tmp_path):
    from lrrec import files

    EASE(reg=50).fit(likes).save(tmp_path / "m")
    kind, params, arrays = files.read(tmp_path / "m")
    files.write(tmp_path / "m", kind, params, arrays | {"item_weights_": arrays["item_weights_"][:5]})
    with pytest.raises(FileFormatError, match=r"item_weights_ must be float32 \(319, 319\)"):
        lrrec.load(tmp_path / "m")
    for model in (ItemKNN(5), RP3Beta(n_neighbors=5)):
        model.fit(likes).save(tmp_path / "m")
        kind, params, arrays = files.read(tmp_path / "m")
        files.write(tmp_path / "m", kind, params, arrays | {"item_weights_.shape": np.array([319, 320])})
        with pytest.raises(FileFormatError, match=r"item_weights_ must be items x items, got \(319, 320\)"):
            lrrec.load(tmp_path / "m")


def test_recommend_all_writes_what_recommend_says(likes, tmp_path):
    model = TruncatedSVD(8).fit(likes)
    assert model.recommend_all(tmp_path / "all.parquet", 4) == len(model.recommend().users)
    stored = pd.read_parquet(tmp_path / "all.parquet")
    pd.testing.assert_frame_equal(stored, model.recommend(k=4).to_frame(), check_exact=False, rtol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]
    with pytest.raises(FileFormatError, match="folder that exists"):
        model.recommend_all(tmp_path / "none" / "all.parquet")
    parts = []
    assert model.recommend_all(parts.append, 4) == len(stored["user"].unique())
    pd.testing.assert_frame_equal(pd.concat([part.to_frame() for part in parts]), model.recommend(k=4).to_frame())


def test_auto_follows_how_many_users_share_an_item(likes):
    """A rule of the share s of users with an interaction's item, in the mean over interactions; files keep it."""
    X = likes.matrix.toarray() > 0
    s = (X.mean(axis=0)[None, :] * X).sum() / X.sum()
    walks, graph = RP3Beta().fit(likes), GraphFilter().fit(likes)
    assert walks.beta_[0] == pytest.approx(min(0.65, 0.2 + 4 * s))
    assert graph.degree_power_[0] == pytest.approx(max(0.1, 0.5 - 1.2 * np.sqrt(s)))
    assert graph.n_factors_[0] == min(X.shape) // 3 == graph.item_directions_.shape[1]
    for auto in (walks, graph):
        by_hand = clone(auto).set_params(**auto._numbers())
        if isinstance(auto, GraphFilter):
            by_hand.set_params(n_factors=int(graph.n_factors_[0]))
        np.testing.assert_array_equal(by_hand.fit(likes).recommend(k=5).indices, auto.recommend(k=5).indices)
    sparse = likes.filter(np.random.default_rng(0).random(len(likes)) < 0.02)
    assert RP3Beta().fit(sparse).beta_[0] < walks.beta_[0]
    assert GraphFilter().fit(sparse).degree_power_[0] > graph.degree_power_[0]


@pytest.mark.parametrize(("model", "name"), [
    (RP3Beta(beta="most"), "beta"), (GraphFilter(degree_power="auto "), "degree_power"), (NMF(reg="AUTO"), "reg"),
    (TruncatedSVD(reg=""), "reg"), (GraphFilter(n_factors="all"), "n_factors"),
])  # fmt: skip
def test_text_that_is_not_auto_is_refused(likes, model, name):
    with pytest.raises(ParameterError, match=f"{name} must be a number.* or 'auto', got"):
        model.fit(likes)


@pytest.mark.parametrize(("model", "name"), [
    (TruncatedSVD(4, reg=1.0), "reg"), (NMF(4, reg=1.0, random_state=0, n_iter=2), "reg"),
    (GraphFilter(4, degree_power=0.2), "degree_power"),
    (lrrec.IALS(4, unobserved_weight=0.1, n_iter=2), "unobserved_weight"),
])  # fmt: skip
def test_auto_that_no_fit_has_chosen_is_refused(likes, model, name):
    """Of a model that was fitted with a number, whose parameter is set to "auto" afterwards."""
    fitted = model.fit(likes).set_params(**{name: "auto"})
    with pytest.raises(ParameterError, match=f"{name}='auto' is chosen by fit\\(\\), .* call fit\\(\\) again"):
        fitted.recommend_from(likes, k=3)


@pytest.mark.parametrize("model", [TruncatedSVD(4, reg=1e4), NMF(4, reg=1e4, random_state=0)], ids=repr)
def test_a_model_that_learns_nothing_says_so(model, likes):
    with pytest.warns(DataWarning, match="all factors of .* are 0, and so are all scores: lower reg, 10000"):
        model.fit(likes)
