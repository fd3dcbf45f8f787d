"""The contract of a model: every check runs on every model. check(model, data) gets an unfitted model."""

import hashlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import lrrec
from lrrec import FactorModel, Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError

CHECKS = []
FACTOR_CHECKS = []


def every_model(check):
    CHECKS.append(check)
    return check


def factor_models(check):
    FACTOR_CHECKS.append(check)
    return check


def assert_same(a, b):
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.scores.filled(0), b.scores.filled(0))


def fingerprint(model):
    arrays = [value for _, value in sorted(vars(model).items()) if isinstance(value, np.ndarray)]
    arrays += [model.seen_.data, model.seen_.indices, model.seen_.indptr]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def population(made_up, data, name):
    """The interactions of one population, with ids of their own."""
    table = data.to_frame()
    mine = made_up.users.user[made_up.users.population == name]
    return Interactions.from_frame(table[table["user"].isin(mine)], value="value")


def quality(model, parts):
    return lrrec.evaluate(model, lrrec.Split(*parts), metrics=["ndcg@20"]).mean()["ndcg@20"]


@every_model
def check_init_stores_parameters_and_nothing_else(model, data):
    assert set(vars(model)) == set(model.get_params(deep=False))


@every_model
def check_fit_returns_self(model, data):
    assert model.fit(data) is model


@every_model
def check_fit_does_not_change_its_parameters(model, data):
    before = model.get_params()
    assert model.fit(data).get_params() == before


@every_model
def check_fit_forgets(model, data):
    fresh = clone(model).fit(data).recommend(data.users.ids)
    model.fit(sp.csr_array(np.eye(7, dtype=np.float32)))
    assert_same(model.fit(data).recommend(data.users.ids), fresh)


@every_model
def check_fit_repeats(model, data):
    assert fingerprint(clone(model).fit(data)) == fingerprint(clone(model).fit(data))


@every_model
def check_fit_leaves_the_data_alone(model, data):
    before = data.matrix.data.copy(), data.matrix.indices.copy()
    model.fit(data).recommend(data.users.ids)
    np.testing.assert_array_equal(data.matrix.data, before[0])
    np.testing.assert_array_equal(data.matrix.indices, before[1])


@every_model
def check_unfitted_says_so(model, data):
    for call in (lambda: model.recommend([1]), lambda: model.recommend_from(data), lambda: model.save("nowhere")):
        with pytest.raises(NotFittedError, match="must be fitted"):
            call()


@every_model
def check_matrix_and_interactions_agree(model, data):
    by_id = clone(model).fit(data).recommend(data.users.ids)
    by_index = clone(model).fit(data.matrix).recommend(np.arange(data.n_users))
    np.testing.assert_array_equal(by_id.indices, by_index.indices)


@every_model
def check_output_order_is_input_order(model, data):
    model.fit(data)
    users = data.users.ids[[5, 0, 5, 3]]
    lists = model.recommend(users, 4)
    np.testing.assert_array_equal(lists.users, users)
    for row, user in enumerate(users):
        np.testing.assert_array_equal(lists.indices[row], model.recommend([user], 4).indices[0])


@every_model
def check_best_first_and_distinct(model, data):
    lists = model.fit(data).recommend(data.users.ids, 12)
    scores = lists.scores.filled(-np.inf)
    assert (np.diff(scores, axis=1) <= 0).all()
    for row in lists.items:
        found = row.compressed()
        assert len(set(found)) == len(found)


@every_model
def check_seen_is_left_out(model, data):
    model.fit(data)
    lists = model.recommend(data.users.ids, 30)
    users, places = np.nonzero(~np.ma.getmaskarray(lists.items))
    items = data.items.indices(lists.items.data[users, places])
    assert len(items) > 5 * data.n_users
    assert not data.matrix.toarray()[data.users.indices(lists.users[users]), items].any()
    kept = model.recommend(data.users.ids, 5, exclude_seen=False)
    assert (kept.scores.filled(-1)[:, 0] >= model.recommend(data.users.ids, 5).scores.filled(-1)[:, 0]).all()


@every_model
def check_longer_lists_extend_shorter_ones(model, data):
    model.fit(data)
    long, short = (model.recommend(data.users.ids, k).indices for k in (20, 7))
    np.testing.assert_array_equal(long[:, :7], short)


@every_model
def check_k_beyond_what_is_left_is_masked(model, data):
    lists = model.fit(data).recommend(data.users.ids, data.n_items + 5, unknown="popular")
    filled = (~np.ma.getmaskarray(lists.items)).sum(axis=1)
    np.testing.assert_array_equal(filled, model.item_evidence_.sum() - np.diff(data.matrix.indptr))
    assert (lists.indices[np.ma.getmaskarray(lists.items)] == -1).all()
    assert len(lists.to_frame()) == filled.sum()


@every_model
def check_candidates_restrict(model, data):
    model.fit(data)
    users, chosen = data.users.ids[:9], data.items.ids[[30, 2, 11, 2, 50]]
    lists = model.recommend(users, 10, items=chosen)
    assert set(lists.items.compressed()) <= set(chosen)
    everything = model.recommend(users, data.n_items)
    for row in range(len(users)):
        expected = [item for item in everything.items[row].compressed() if item in chosen]
        assert lists.items[row].compressed().tolist() == expected


@every_model
def check_candidates_for_each_user(model, data):
    model.fit(data)
    users = data.users.ids[:6]
    used = data.items.ids[model.item_counts_ > 0]
    own = np.stack([np.roll(used, 7 * row)[:15] for row in range(len(users))])
    lists = model.recommend(users, 20, items=own, exclude_seen=False, unknown="popular")
    for row, user in enumerate(users):
        alone = model.recommend([user], 20, items=own[row], exclude_seen=False, unknown="popular")
        assert set(lists.items[row].compressed()) == set(alone.items[0].compressed()) == set(own[row])
        np.testing.assert_allclose(lists.scores[row].compressed(), alone.scores[0].compressed(), rtol=1e-4, atol=1e-6)
    doubled = np.concatenate((own, own), axis=1)
    assert_same(model.recommend(users, 20, items=doubled, exclude_seen=False, unknown="popular"), lists)


@every_model
def check_unknown_users(model, data):
    model.fit(data)
    with pytest.raises(UnknownIdError, match=r"-3.*unknown='popular'"):
        model.recommend([data.users.ids[0], -3])
    known, unknown = model.recommend([data.users.ids[0], -3], unknown="popular").items
    assert known.tolist() == model.recommend(data.users.ids[:1]).items[0].tolist()
    popularity = lrrec.Popularity().fit(data).item_counts_
    np.testing.assert_array_equal(unknown.compressed(), data.items.ids[np.argsort(-popularity, kind="stable")[:10]])


@every_model
def check_users_without_data_are_unknown(model, data):
    mask = data.rows() != 0
    model.fit(data.filter(mask))
    with pytest.raises(UnknownIdError, match="no interaction"):
        model.recommend(data.users.ids[:1])
    assert model.recommend(data.users.ids[:1], unknown="popular").items.count() == 10


@every_model
def check_everybody_by_default(model, data):
    model.fit(data.filter(data.rows() != 0))
    lists = model.recommend()
    np.testing.assert_array_equal(lists.users, data.users.ids[1:])


@every_model
def check_new_users_are_like_known_ones(model, data):
    model.fit(data)
    known, new = model.recommend(data.users.ids), model.recommend_from(data)
    np.testing.assert_array_equal(known.users, new.users)
    np.testing.assert_array_equal(known.indices, new.indices)
    by_position = model.recommend_from(data.matrix)
    np.testing.assert_array_equal(known.indices, by_position.indices)


@every_model
def check_histories_match_by_id(model, data):
    model.fit(data)
    some = data.to_frame().sample(frac=0.5, random_state=0)
    some = some[some.item.isin(sorted(some.item.unique())[::2])]
    strange = some.iloc[:5].assign(item=-1)
    plain, mixed = (Interactions.from_frame(f, value="value") for f in (some, pd.concat([some, strange])))
    lists = model.recommend_from(mixed, users=plain.users.ids)
    assert_same(lists, model.recommend_from(plain))
    assert set(lists.items.compressed()) <= set(data.items.ids)


@every_model
def check_empty_histories(model, data):
    model.fit(data)
    histories = data.matrix[:3].copy()
    histories.data[: histories.indptr[1]] = 0
    with pytest.raises(UnknownIdError, match="history"):
        model.recommend_from(histories)
    assert model.recommend_from(histories, unknown="popular").items.count() == 30
    assert len(model.recommend_from(histories, users=[1, 2])) == 2


@every_model
def check_predict_is_the_score(model, data):
    model.fit(data)
    lists = model.recommend(data.users.ids[:20], 5)
    table = lists.to_frame()
    np.testing.assert_allclose(model.predict(table.user, table["item"]), table.score, rtol=1e-4, atol=1e-6)
    with pytest.raises(UnknownIdError):
        model.predict([data.users.ids[0]], [-1])
    with pytest.raises(DataError, match="equally long"):
        model.predict(data.users.ids[:2], data.items.ids[:3])


@every_model
def check_threads_change_nothing(model, data):
    model.fit(data)
    users = np.tile(data.users.ids, 5)
    assert_same(model.recommend(users, n_threads=1), model.recommend(users, n_threads=3))


@every_model
def check_score_is_a_share(model, data):
    assert 0 < model.fit(data).score(data) < 1


@every_model
def check_save_and_load(model, data, tmp_path):
    model.fit(data).save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    assert type(loaded) is type(model)
    assert repr(loaded.get_params()) == repr(model.get_params())
    assert fingerprint(loaded) == fingerprint(model)
    assert_same(loaded.recommend(data.users.ids), model.recommend(data.users.ids))


@every_model
def check_save_and_load_string_ids(model, data, tmp_path):
    frame = data.to_frame()
    frame["user"] = "ü" + frame["user"].astype(str)
    frame["item"] = frame["item"].astype(str) + "\n"
    named = Interactions.from_frame(frame, value="value")
    model.fit(named).save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    assert loaded.recommend(named.users.ids).items.tolist() == model.recommend(named.users.ids).items.tolist()


@every_model
def check_bad_arguments(model, data):
    model.fit(data)
    user = data.users.ids[:1]
    for bad, error in (
        (0, ParameterError),
        (2.5, ParameterTypeError),
        (True, ParameterTypeError),
        (None, ParameterTypeError),
    ):
        with pytest.raises(error, match=r"k must be an integer >= 1 and <= \d+, got"):
            model.recommend(user, bad)
    with pytest.raises(ParameterError, match="unknown must be one of 'raise', 'mask', 'popular', got 'skip'"):
        model.recommend(user, unknown="skip")
    with pytest.raises(UnknownIdError, match="strings"):
        model.recommend(["ann"])
    with pytest.raises(DataError, match="sequence of ids"):
        model.recommend("ann")
    with pytest.raises(DataError, match="integers or strings"):
        model.recommend([1.5])
    with pytest.raises(UnknownIdError):
        model.recommend(user, items=[-1])
    with pytest.raises(ParameterError, match="candidate"):
        model.recommend(user, items=[])
    with pytest.raises(DataError, match="expecting"):
        model.recommend_from(np.ones((2, 3)))
    assert len(model.recommend([])) == 0


@every_model
def check_bad_data(model, data):
    good = data.matrix[:5].toarray()
    for spoil in (np.nan, np.inf, *((-1,) if model._values == "positive" else ())):
        bad = good.copy()
        bad[1, 1] = spoil
        with pytest.raises(DataError, match=r"must be finite|must have values >= 0"):
            model.fit(bad)
    for bad, words in (
        (np.zeros((3, 4)), "at least one interaction"),
        (np.ones(4), "two-dimensional"),
        (np.ones((0, 4)), "at least one user"),
        (np.ones((4, 0)), "at least one item"),
        ([["a", "b"]], "numbers"),
        (good + 1j, "real numbers"),
        ("table.csv", "Interactions"),
    ):
        with pytest.raises(DataError, match=words):
            model.fit(bad)


@factor_models
def check_training_users_fold_in_to_their_rows(model, data):
    model.fit(data)
    np.testing.assert_allclose(model.transform(data), model.user_factors_, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(model.transform(data.matrix[:3]), model.user_factors_[:3], rtol=1e-4, atol=1e-7)


@factor_models
def check_factor_shapes(model, data):
    model.fit(data)
    for factors, n in ((model.user_factors_, data.n_users), (model.item_factors_, data.n_items)):
        assert factors.shape == (n, model._n_columns)
        assert factors.dtype == np.float32
        assert np.isfinite(factors).all()


@factor_models
def check_scores_are_inner_products(model, data):
    model.fit(data)
    lists = model.recommend(data.users.ids[:8], 3)
    products = model.user_factors_[:8] @ model.item_factors_.T
    np.testing.assert_allclose(lists.scores, np.take_along_axis(products, lists.indices, axis=1), rtol=1e-4, atol=1e-6)


@factor_models
def check_compress_is_the_nearest(model, data):
    model.fit(data)
    scores = model.user_factors_.astype(np.float64) @ model.item_factors_.T
    small = model.compress(2)
    U, s, Vt = np.linalg.svd(scores, full_matrices=False)
    np.testing.assert_allclose(
        small.user_factors_ @ small.item_factors_.T, (U[:, :2] * s[:2]) @ Vt[:2], atol=1e-4 * s[0]
    )
    assert small.item_factors_.shape[1] == 2
    whole = model.compress(model._n_columns)
    np.testing.assert_allclose(whole.user_factors_ @ whole.item_factors_.T, scores, atol=1e-4 * s[0])


@factor_models
def check_similar(model, data):
    model.fit(data)
    items = data.items.ids[[3, 1]]
    found = model.similar_items(items, 4)
    assert found.neighbors.shape == (2, 4)
    unit = model.item_factors_ / np.maximum(np.linalg.norm(model.item_factors_, axis=1, keepdims=True), 1e-30)
    cosines = unit[[3, 1]] @ unit.T
    cosines[[0, 1], [3, 1]] = -np.inf
    np.testing.assert_allclose(found.scores, -np.sort(-cosines, axis=1)[:, :4], rtol=1e-4, atol=1e-5)
    assert model.similar_users(data.users.ids[:2], 3).neighbors.shape == (2, 3)
    with pytest.raises(UnknownIdError):
        model.similar_items([-1])


def all_checks(model):
    return CHECKS + (FACTOR_CHECKS if isinstance(model, FactorModel) else [])
