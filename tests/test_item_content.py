"""ItemContent: its scores are those of ridge regression, for few features and many, old items and new."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import EASE, IALS, Blend, Interactions, ItemContent, ItemKNN
from lrrec.errors import DataError, FileFormatError, ParameterError
from lrrec.linalg import feature_regression

REG = 2.0


@pytest.fixture(scope="module")
def table():
    """Histories (40, 30), the last five items of which nobody has, and features (30, 12), one item without any."""
    rng = np.random.default_rng(0)
    matrix = np.where(rng.random((40, 30)) < 0.2, rng.integers(1, 4, (40, 30)), 0).astype(np.float32)
    matrix[:, 25:] = 0
    features = np.where(rng.random((30, 12)) < 0.3, rng.normal(size=(30, 12)), 0).astype(np.float32)
    features[7] = 0
    return matrix, features


def ridge_scores(matrix, features, reg):
    """The scores as the docstring defines them, by one regression a user, in double precision."""
    norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    F = features / np.where(norms > 0, norms, 1)
    used = (matrix > 0).any(axis=0)
    profiles = np.linalg.solve(F[used].T @ F[used] + reg * np.eye(F.shape[1]), F[used].T @ matrix[:, used].T)
    return profiles.T @ F.T


@pytest.mark.parametrize("form", ["sparse", "dense", "full"])
@pytest.mark.parametrize("few", [4096, 5])
def test_scores_are_those_of_ridge_regression(table, form, few, monkeypatch):
    monkeypatch.setattr(feature_regression, "FEW_FEATURES", few)
    matrix, features = table
    if form == "full":  # most values are not 0: kept as an array
        features = features + np.float32(0.5)
    model = ItemContent(REG).fit(matrix, item_features=sp.csr_array(features) if form == "sparse" else features)
    assert isinstance(model.item_features_, np.ndarray) == (form == "full")
    expected = ridge_scores(matrix, features, REG)
    served = np.flatnonzero(matrix.any(axis=1))
    lists = model.recommend(served, k=30, exclude_seen=False)
    for row, scores, items in zip(served, lists.scores, lists.indices, strict=True):
        there = items >= 0
        np.testing.assert_allclose(scores[there], expected[row, items[there]], atol=2e-5)
    from_history = model.recommend_from(matrix[served], k=30, exclude_seen=False)
    np.testing.assert_allclose(from_history.scores, lists.scores, atol=2e-5)
    assert form == "full" or not np.isin(lists.indices, 7).any()  # nothing is known of it
    pairs = np.repeat(served[:3], 30), np.tile(np.arange(30), 3)
    np.testing.assert_allclose(model.predict(*pairs), expected[pairs], atol=2e-5)
    explained = model.explain(served[0], 27)
    assert explained.score == pytest.approx(expected[served[0], 27], abs=2e-5)


def test_a_large_penalty_gives_the_plain_profile(table):
    matrix, features = table
    model = ItemContent(1e6).fit(matrix, item_features=features)
    F = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    served = np.flatnonzero(matrix.any(axis=1))
    pairs = np.repeat(served, 30), np.tile(np.arange(30), len(served))
    np.testing.assert_allclose(1e6 * model.predict(*pairs), (matrix @ F @ F.T)[pairs], rtol=1e-3, atol=1e-4)


def test_lengths_of_features_change_nothing(table):
    matrix, features = table
    lengths = np.random.default_rng(1).uniform(0.1, 10, (30, 1)).astype(np.float32)
    one, other = (ItemContent().fit(matrix, item_features=F) for F in (features, lengths * features))
    np.testing.assert_allclose(one.item_features_.toarray(), other.item_features_.toarray(), atol=1e-6)


@pytest.mark.parametrize("form", ["sparse", "full"])
def test_new_items_are_as_if_they_had_been_there(table, form, tmp_path):
    matrix, features = table
    features = features + np.float32(0.5 * (form == "full"))
    whole = ItemContent().fit(matrix, item_features=features)
    model = ItemContent().fit(matrix[:, :25], item_features=features[:25])
    model.recommend(k=3)
    wider = model.with_items(np.arange(25, 30), features[25:])
    users = np.flatnonzero(matrix.any(axis=1))
    for other in (wider, save_and_load(wider, tmp_path / "model")):
        lists = other.recommend(users, k=8)
        np.testing.assert_array_equal(lists.indices, whole.recommend(users, k=8).indices)
    again = wider.with_items([30], np.ones((1, 12)))
    assert 30 in again.recommend(users, k=20, items=np.arange(25, 31)).indices


def save_and_load(model, path):
    model.save(path)
    return lrrec.load(path)


def test_files_hold_either_form_and_damage_is_refused(table, tmp_path):
    matrix, features = table
    for F in (features, features + np.float32(0.5)):
        model = ItemContent().fit(matrix, item_features=pd.DataFrame(F).rename(columns=str))
        loaded = save_and_load(model, tmp_path / "model")
        assert type(loaded.item_features_) is type(model.item_features_)
        np.testing.assert_array_equal(
            loaded.recommend(k=5, unknown="mask").items, model.recommend(k=5, unknown="mask").items
        )
        assert [*loaded.feature_names_] == [str(n) for n in range(12)]
        broken = lrrec.load(tmp_path / "model")
        broken.item_features_ = model.item_features_[:, :5]
        broken.save(tmp_path / "broken")
        with pytest.raises(FileFormatError, match="item_features_ must be items x features"):
            lrrec.load(tmp_path / "broken")


def test_features_have_to_be_given(table):
    with pytest.raises(ParameterError, match="item_features must be given: ItemContent recommends by features"):
        ItemContent().fit(table[0])
    with pytest.raises(DataError, match="a row for each of 30 items"):
        ItemContent().fit(table[0], item_features=table[1][:9])
    with pytest.raises(ParameterError, match="item_features must be for a model that takes them"):
        Blend([ItemKNN()]).fit(table[0], item_features=table[1])


def test_similar_items_have_similar_features(table):
    matrix, features = table
    F = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    found = ItemContent().fit(matrix, item_features=features).similar_items([3], k=4)
    cosines = F[3] @ F.T
    cosines[3] = -1
    assert found.neighbors[0].tolist() == np.argsort(-cosines)[:4].tolist()


@pytest.mark.filterwarnings("ignore::lrrec.errors.DataWarning")
def test_a_blend_passes_features_on(tmp_path):
    rng = np.random.default_rng(0)
    features = (rng.random((120, 10)) < 0.2).astype(np.float32)
    matrix = (rng.random((150, 120)) < 1 / (1 + np.exp(4 - 2 * rng.normal(size=(150, 10)) @ features.T))).astype("f4")
    split = lrrec.splits.cold_items(Interactions.from_matrix(matrix), random_state=0)
    blend = Blend([IALS(4, random_state=0), ItemContent(), EASE(50)], weights=[1, 1, 1])
    compared = lrrec.compare(
        {"blend": blend, "content": ItemContent(), "popular": lrrec.Popularity()}, split, metrics=["ndcg@10"],
        item_features=features,
    )  # fmt: skip
    means = {name: one.mean()["ndcg@10"] for name, one in compared.evaluations.items()}
    assert min(means["blend"], means["content"]) > 1.5 * means["popular"]
    fitted = compared.models["blend"]
    np.testing.assert_array_equal(
        save_and_load(fitted, tmp_path / "blend").recommend(k=4).items, fitted.recommend(k=4).items
    )


@pytest.mark.filterwarnings("ignore::lrrec.errors.DataWarning")
def test_a_blend_has_other_weights_for_new_items(tmp_path):
    """Users choose by groups of items that no feature tells, and a little by features: all there is of new items."""
    rng = np.random.default_rng(0)
    features = np.eye(6, dtype=np.float32)[rng.integers(6, size=150)]
    liked_groups, liked_features = rng.random((300, 8)) < 0.3, rng.random((300, 6)) < 0.3
    chance = 0.02 + 0.4 * liked_groups[:, rng.integers(8, size=150)] + 0.1 * (liked_features @ features.T)
    matrix = np.where(np.arange(150) < 120, rng.random((300, 150)) < chance, 0).astype(np.float32)
    known = Blend([ItemKNN(), ItemContent(), IALS(4, random_state=0)], random_state=0)
    known.fit(matrix[:, :120], item_features=features[:120])
    assert not len(known.new_item_weights_)
    blend = Blend(known.models, random_state=0).fit(matrix, item_features=features)
    assert blend.weights_.sum() == pytest.approx(1)
    assert blend.new_item_weights_.sum() == pytest.approx(1)
    assert blend.weights_[0] > blend.new_item_weights_[0]
    one = save_and_load(blend, tmp_path / "blend")
    np.testing.assert_array_equal(one.new_item_weights_, blend.new_item_weights_)
    scores, encoded = {}, blend._encode(blend.seen_[[3]])
    for name, weights in (("all", blend.weights_), ("new", blend.new_item_weights_)):
        other = Blend(known.models, weights=weights.tolist()).fit(matrix, item_features=features)
        scores[name] = other._supported_scores(encoded, slice(None))
    expected = np.where(np.arange(150) < 120, scores["all"], scores["new"])
    np.testing.assert_allclose(blend._supported_scores(encoded, slice(None)), expected, atol=1e-5)
    blend.new_item_weights_ = np.zeros(3)
    blend.save(tmp_path / "broken")
    with pytest.raises(FileFormatError, match="new_item_weights_ must be >= 0 and not all 0"):
        lrrec.load(tmp_path / "broken")


def test_all_items_of_small_data_decide_on_the_weights_of_new_items(table, monkeypatch):
    matrix, features = table
    fitted = []
    fit = ItemContent.fit
    monkeypatch.setattr(ItemContent, "fit", lambda self, X, **options: fitted.append(X) or fit(self, X, **options))
    Blend([ItemContent(), ItemContent(5.0)]).fit(matrix, item_features=features)
    known = set(Interactions.from_matrix(matrix).matrix.indices.tolist())
    without = [known - set(data.matrix.indices.tolist()) for data in fitted[10:20:2]]  # of five folds, of two models
    assert len(fitted) == 22
    assert set().union(*without) == known
    assert sum(map(len, without)) == len(known)


def test_tuning_reaches_the_models_of_a_blend(table):
    pytest.importorskip("optuna")
    matrix, features = table
    split = lrrec.splits.by_user(Interactions.from_matrix(matrix), random_state=0)
    blend = Blend([IALS(2, n_iter=2, random_state=0), ItemContent()], weights=[1, 1])
    tuned = lrrec.tune(blend, split, n_trials=2, item_features=features)
    assert {"0__feature_reg", "1__reg", "0__reg"} <= {*tuned.best_params_}


def test_items_that_only_a_model_without_weight_knows_have_no_score(table):
    """New items with features, of which the weights for new items leave out the one model that knows them."""
    matrix, features = table
    blend = Blend([ItemKNN(), ItemContent()], weights=[1, 1]).fit(matrix, item_features=features)
    assert blend.item_evidence_[25:].all()
    blend.new_item_weights_ = np.array([1.0, 0.0])
    blend._remember_all(Interactions(blend.seen_, blend.users_, blend.items_))
    assert not blend.item_evidence_[25:].any()
    assert np.isnan(blend._supported_scores(blend._encode(blend.seen_), slice(None))[:, 25:]).all()
    assert not np.isin(blend.recommend(k=30, unknown="mask").indices, np.arange(25, 30)).any()
