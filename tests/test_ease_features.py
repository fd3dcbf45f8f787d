"""EASE with features of items: the closed form, new items, growth, files."""

import numpy as np
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import EASE, Interactions
from lrrec.errors import DataError


@pytest.fixture(scope="module")
def planted():
    """Users with a taste for one of four features, of which an item has one or two."""
    rng = np.random.default_rng(0)
    features = np.eye(4)[rng.integers(0, 4, 60)] + np.eye(4)[rng.integers(0, 4, 60)]
    tastes = np.eye(4)[rng.integers(0, 4, 120)]
    matrix = (rng.random((120, 60)) < 0.02 + 0.3 * (tastes @ features.T > 0)).astype(np.float32)
    return matrix, np.minimum(features, 1).astype(np.float32)


def closed_form(matrix, features, reg, weight, dropout=0.0):
    scaled = features * np.sqrt(weight / (features**2).sum(axis=1).mean())
    gram = matrix.T @ matrix + scaled @ scaled.T
    P = np.linalg.inv(gram + np.diag(reg + dropout / (1 - dropout) * np.diag(gram)))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_features_are_rows_of_the_closed_form(planted, form):
    matrix, features = planted
    given = sp.csr_array(features) if form == "sparse" else features
    model = EASE(20.0, feature_weight=7.0).fit(matrix, item_features=given)
    wanted = closed_form(matrix.astype(np.float64), features.astype(np.float64), 20.0, 7.0)
    np.testing.assert_allclose(model.item_weights_, wanted, atol=2e-5)
    one, many = (EASE(20.0, n_threads=n).fit(matrix, item_features=given).item_weights_ for n in (1, 3))
    np.testing.assert_array_equal(one, many)


def test_features_of_nothing_change_nothing(planted):
    matrix, features = planted
    without = EASE(20.0).fit(matrix)
    np.testing.assert_array_equal(
        EASE(20.0).fit(matrix, item_features=0 * features).item_weights_, without.item_weights_
    )
    rng = np.random.default_rng(1)
    useless = EASE(20.0, feature_weight=0.1).fit(matrix, item_features=rng.normal(size=(60, 2)))
    scores, noisy = (matrix @ model.item_weights_ for model in (without, useless))
    assert np.corrcoef(scores.ravel(), noisy.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("form", "dropout"), [("dense", 0.0), ("sparse", 0.0), ("dense", 0.4)])
def test_a_new_item_is_as_it_would_be_in_the_fit(planted, form, dropout, tmp_path):
    matrix, features = planted
    given = sp.csr_array(features) if form == "sparse" else features
    model = EASE(20.0, dropout=dropout, feature_weight=7.0).fit(matrix[:, :58], item_features=given[:58])
    wider = model.with_items([58, 59], given[58:])
    for place in (58, 59):
        chosen = np.append(np.arange(58), place)
        empty = np.where(np.arange(59) < 58, matrix[:, chosen], 0)
        weight = 7.0 * (features[chosen] ** 2).sum(axis=1).mean() / (features[:58] ** 2).sum(axis=1).mean()
        wanted = closed_form(empty.astype(np.float64), features[chosen].astype(np.float64), 20.0, weight, dropout)
        np.testing.assert_allclose(wider.item_weights_[:58, place], wanted[:58, 58], atol=2e-5)
        np.testing.assert_allclose(wider.item_weights_[place, :58], wanted[58, :58], atol=2e-5)
    np.testing.assert_array_equal(wider.item_weights_[:58, :58], model.item_weights_)
    one_by_one = model.with_items([58], given[58:59]).with_items([59], given[59:])
    np.testing.assert_allclose(one_by_one.item_weights_, wider.item_weights_, atol=1e-6)
    wider.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.recommend(k=60).scores, wider.recommend(k=60).scores)
    assert loaded.with_items([99], given[:1]).item_weights_.shape == (61, 61)


def test_new_items_are_ranked_by_their_features(planted):
    matrix, features = planted
    hidden = np.arange(60) >= 45
    model = EASE(20.0).fit(np.where(hidden, 0, matrix), item_features=features)
    assert model.item_evidence_.all()
    scores = (np.where(hidden, 0, matrix) @ model.item_weights_)[:, hidden]
    liked = matrix[:, hidden] > 0
    places = np.argsort(np.argsort(scores, axis=1), axis=1) / 14
    assert places[liked].mean() > 0.65


def test_updates_keep_the_features(planted):
    matrix, features = planted
    data = Interactions.from_matrix(matrix)
    first = np.random.default_rng(0).random(len(data)) < 0.7
    model = EASE(20.0).fit(data.filter(first), item_features=features).update(data.filter(~first))
    np.testing.assert_allclose(
        model.item_weights_, EASE(20.0).fit(data, item_features=features).item_weights_, atol=1e-6
    )
    with pytest.raises(DataError, match="have no features: add them by with_items"):
        model.update(Interactions.from_pairs([0], [77]))
    with pytest.raises(DataError, match="fitted without item_features"):
        EASE().fit(matrix).with_items([77], features[:1])
