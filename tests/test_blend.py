"""Blends: the sum of standardized scores, the search for the weights, and blends of adapters."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from checks import assert_same, quality

import lrrec
from lrrec import ALS, EASE, IALS, AdapterSelector, Blend, Interactions, ItemKNN, LowRankAdapter, Popularity, Split
from lrrec.adapt import Anchored, Blended, FoldIn, ItemItemScratch, LowRank
from lrrec.adapt.selection import blend_search, cross_validation
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.models.base.blending import find_weights, ranked_values, standardized

FIXED = {"reg": 1.0, "fold_in_reg": None, "new_item_reg": 1.0}


def test_scores_are_standardized_over_the_new_items():
    rng = np.random.default_rng(0)
    scores = rng.normal(100, 7, (5, 40)).astype(np.float32)
    scores[1, [3, 9]], scores[2], scores[3], scores[4] = np.nan, np.nan, 4.0, 1e4
    histories = sp.csr_array((rng.random((5, 40)) < 0.2).astype(np.float32))
    for ratings in (False, True):
        unknown = np.ones((5, 40), dtype=bool)
        z = standardized(scores.copy(), histories, unknown, ratings=ratings)
        np.testing.assert_array_equal(unknown, np.isnan(scores))
        for user in range(2):
            filled = scores[user] if ratings else np.nan_to_num(scores[user])
            new = (histories.toarray()[user] == 0) & ~np.isnan(filled)
            expected = np.nan_to_num((filled - filled[new].mean()) / filled[new].std())
            np.testing.assert_allclose(z[user], expected, rtol=1e-4, atol=1e-4)
        assert (z[2:] == 0).all()


@pytest.mark.parametrize("model", [EASE(50), IALS(6, random_state=0), ItemKNN(5)], ids=repr)
def test_a_blend_of_one_model_ranks_as_it_does(model, likes):
    blend = Blend([model]).fit(likes)
    np.testing.assert_array_equal(blend.recommend(k=8).indices, model.fit(likes).recommend(k=8).indices)
    others = likes.filter(likes.rows() < 9)
    np.testing.assert_array_equal(blend.recommend_from(others).indices, model.recommend_from(others).indices)
    weighted = Blend([ALS(2, random_state=0), model, Popularity()], weights=[0, 3, 0]).fit(likes)
    np.testing.assert_array_equal(weighted.recommend(k=8).indices, blend.recommend(k=8).indices)


def test_scores_do_not_depend_on_the_candidates(likes):
    blend = Blend([IALS(4, random_state=0), EASE(50)], weights=[1, 1]).fit(likes)
    user, items = likes.users.ids[:1], likes.items.ids[:7]
    lists = blend.recommend(user, 7, items=items, exclude_seen=False)
    expected = dict(zip(items, blend.predict(np.repeat(user, 7), items), strict=True))
    np.testing.assert_allclose(lists.scores[0], [expected[item] for item in lists.items[0]], rtol=1e-5, atol=1e-5)


class Given(Popularity):
    """Users are encoded as their scores."""

    def _supported_scores(self, encoded, columns):
        return encoded[:, columns].copy()


def test_items_without_evidence_are_not_ranked():
    scores, test = np.full((1, 4), np.nan, dtype=np.float32), sp.csr_array(np.eye(1, 4, dtype=np.float32))
    scores[0, 1:3] = -5, -6
    values = ranked_values([(Given(), scores)] * 2, sp.csr_array((1, 4), dtype=np.float32), test, "ndcg@4")
    assert values(np.array([1.0, 1.0])).tolist() == [0]


@pytest.fixture(scope="module")
def two_views():
    """The scores of two models, each of which sees half of what users like, and of one that sees nothing."""
    rng = np.random.default_rng(0)
    halves = [rng.normal(size=(200, 60)).astype(np.float32) for _ in range(2)]
    liked = np.argsort(-(halves[0] + halves[1]), axis=1)[:, :5]
    test = np.zeros((200, 60), dtype=np.float32)
    np.put_along_axis(test, liked, 1, axis=1)
    noise = rng.normal(size=(200, 60)).astype(np.float32)
    scored = [(Given(), scores) for scores in (*halves, noise)]
    return ranked_values(scored, sp.csr_array((200, 60), dtype=np.float32), sp.csr_array(test), "ndcg@5")


def test_the_weights_of_planted_views_are_found(two_views):
    tried, values = find_weights(two_views, 3, 20)
    best = tried[values.mean(axis=1).argmax()]
    np.testing.assert_allclose(best, [0.5, 0.5, 0], atol=0.15)
    np.testing.assert_allclose(tried.sum(axis=1), 1)
    assert values.mean(axis=1).max() > 1.2 * values[:2].mean(axis=1).max()
    assert {(1, 0, 0), (0, 1, 0), (0, 0, 1)} <= set(map(tuple, tried))


def test_a_blend_is_not_worse_than_its_members(likes):
    split = lrrec.splits.by_user(likes, test_size=0.3, random_state=1)
    models = [IALS(8, unobserved_weight=0.1, random_state=0), EASE(50.0), Popularity()]
    alone = [quality(model.fit(split.train), (split.train, split.history, split.test)) for model in models]
    blend = Blend(models, random_state=0).fit(split.train)
    assert quality(blend, (split.train, split.history, split.test)) > max(alone) - 0.005
    assert blend.weights_.sum() == pytest.approx(1)


def test_all_users_of_small_data_decide_on_the_weights(likes):
    n_steps, models = 3, [EASE(50.0), Popularity()]
    blend = Blend(models, metric="ndcg@10", n_steps=n_steps, random_state=3).fit(likes)
    rng = np.random.default_rng(3)
    rng.integers(2**31)  # the seed of the models
    splits = list(lrrec.splits.k_folds(likes, 5, random_state=rng))
    assert sum(len(split.test_rows) for split in splits) == (np.diff(likes.matrix.indptr) >= 2).sum()

    def mean(weights):
        fixed = Blend(models, weights=weights)
        of_folds = [lrrec.evaluate(fixed.fit(split.train), split, metrics=["ndcg@10"]) for split in splits]
        return np.concatenate([evaluation.to_frame()["ndcg@10"] for evaluation in of_folds]).mean()

    means = {weights: mean(weights) for weights in [(1, 0), (0, 1), (1, 1), (2, 1), (1, 2)]}
    best = max(means, key=means.get)
    np.testing.assert_allclose(blend.weights_, np.array(best) / sum(best))


@pytest.mark.parametrize(("n_long", "fits"), [(1, 0), (2, 2), (4, 4), (9, 5), (3000, 2), (4000, 1)])
def test_how_often_members_are_fitted_to_choose_the_weights(n_long, fits, monkeypatch):
    pairs = [(f"u{user}", f"i{(user + place) % 7}") for user in range(n_long) for place in range(2)]
    data = Interactions.from_pairs(*zip(*pairs, ("one", "i0"), strict=True))
    fitted = []
    monkeypatch.setattr(Popularity, "fit", lambda self, X, y=None, fit=Popularity.fit: fitted.append(X) or fit(self, X))
    Blend([Popularity(), Popularity()]).fit(data)
    assert len(fitted) == 2 * (fits + 1)  # two members, on all data last


def test_members_are_saved_and_loaded(likes, tmp_path):
    inner = Blend([EASE(50.0), ItemKNN(5)], weights=[1, 2])
    blend = Blend([IALS(4), inner, Popularity()], random_state=0, n_steps=4).fit(likes)
    for histories in (True, False):
        blend.save(tmp_path / "model", histories=histories)
        loaded = lrrec.load(tmp_path / "model")
        assert_same(loaded.recommend_from(likes, 6), blend.recommend_from(likes, 6))
        assert len(loaded.users_) == (likes.n_users if histories else 0)
        again = Blend(**loaded.get_params(deep=False)).fit(likes)
        assert_same(again.recommend_from(likes, 6), blend.recommend_from(likes, 6))
    mapped = lrrec.load(tmp_path / "model", mmap=True)
    assert_same(mapped.recommend_from(likes, 6), blend.recommend_from(likes, 6))


def test_parameters_of_models_are_set_and_tuned_by_place(likes):
    blend = Blend([IALS(4, random_state=0), EASE(50.0)], weights=[1, 1])
    blend.set_params(**{"0__n_factors": 6, "1__reg": 7.0})
    assert (blend.models[0].n_factors, blend.models[1].reg) == (6, 7.0)
    assert {name.split("__")[0] for name in blend.default_tuning_space()} == {"0", "1"}
    pytest.importorskip("optuna")
    split = lrrec.splits.by_user(likes, test_size=0.3, random_state=1)
    result = lrrec.tune(blend, split, space={"1__reg": [5.0, 80.0]}, n_trials=3)
    assert result.best_params_["1__reg"] in (5.0, 80.0)
    assert blend.models[1].reg == 7.0


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"models": []}, ParameterTypeError, "models must be a list of models"),
    ({"models": EASE()}, ParameterTypeError, "models must be a list of models"),
    ({"models": [EASE(), "als"]}, ParameterTypeError, "models must be recommenders, got str"),
    ({"models": [EASE(), Popularity()], "weights": [1]}, ParameterError, "a number for each of the 2 that"),
    ({"models": [EASE(), Popularity()], "weights": [0, 0]}, ParameterError, "one of them > 0"),
    ({"models": [EASE(), Popularity()], "weights": [1, -1]}, ParameterError, "weights must be"),
    ({"models": [EASE(), Popularity()], "metric": "rmse"}, ParameterError, "metric"),
    ({"models": [EASE(), Popularity()], "n_steps": 0}, ParameterError, "n_steps must be"),
])  # fmt: skip
def test_bad_parameters_are_refused(options, error, message, likes):
    with pytest.raises(error, match=message):
        Blend(**options).fit(likes)


def test_what_the_models_cannot_take_is_refused():
    ratings = Interactions.from_pairs([0, 0, 1], [0, 1, 0], values=[1, -1, 1])
    with pytest.raises(DataError, match="values >= 0 for Blend"):
        Blend([IALS(2), EASE()], weights=[1, 1]).fit(ratings)
    assert Blend([EASE(), Popularity()]).fit(Interactions.from_pairs([0, 1], [0, 1])).weights_.tolist() == [0.5, 0.5]


@pytest.fixture(scope="module")
def base(source):
    return IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(source)


def test_a_blend_of_adapters_is_the_blend_of_its_merged_members(base, parts, tmp_path):
    train, history, _ = parts
    adapter = Blended([LowRank(3, **FIXED), ItemItemScratch(reg=10.0)], [1.0, 3.0]).fit(train, base=base)
    merged = adapter.merge()
    assert isinstance(merged, Blend)
    for lists in (lambda model: model.recommend(k=6), lambda model: model.recommend_from(history, 6)):
        np.testing.assert_array_equal(lists(merged).indices, lists(adapter).indices)
        np.testing.assert_allclose(lists(merged).scores, lists(adapter).scores, rtol=1e-3, atol=1e-3)
    adapter.save(tmp_path / "a", histories=True)
    assert_same(lrrec.load(tmp_path / "a", base=base).recommend(k=6), adapter.recommend(k=6))
    merged.save(tmp_path / "m")
    assert_same(lrrec.load(tmp_path / "m").recommend(k=6), merged.recommend(k=6))
    bank = lrrec.AdapterBank(base)
    bank["here"], bank["there"] = adapter, FoldIn(fold_in_reg=None).fit(train, base=base)
    np.testing.assert_array_equal(
        bank["here"].recommend_from(history, 6).indices, adapter.recommend_from(history, 6).indices
    )


@pytest.mark.parametrize("seed", [1, 3])
def test_the_selector_blends_what_complements_each_other(seed):
    """Users abroad choose by what the base knows and by something else, which only their own interactions tell."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 600, 3)), rng.normal(size=(2, 120, 3))
    x[1, :300] = 0
    scores = x[0] @ y[0].T + x[1] @ y[1].T + 0.5 * rng.normal(size=(600, 120))
    data = Interactions.from_pairs(np.repeat(np.arange(600), 16), np.argsort(-scores, axis=1)[:, :16].ravel())
    base = IALS(4, unobserved_weight=0.1, reg=0.01, random_state=0).fit(data.filter(data.rows() < 300))
    train, rest = data.filter((data.rows() >= 300) & (data.rows() < 330)), data.filter(data.rows() >= 400)
    mask = lrrec.splits.history_mask(rest, 0.5, rng.random(len(rest)))
    values = {}
    for blend in (True, False):
        selector = AdapterSelector([FoldIn(), ItemItemScratch()], blend=blend, random_state=0).fit(train, base=base)
        assert isinstance(selector.best_, Blended) == blend
        values[blend] = quality(selector, (train, rest.filter(mask), rest.filter(~mask)))
    assert values[True] > values[False]


def test_members_of_small_targets_are_not_fitted_again_to_be_blended(base, parts, monkeypatch):
    """Their scores of the validation users are kept, and lead to the same blend."""

    def choose():
        selector = AdapterSelector(
            [FoldIn(), LowRank(2, **FIXED), ItemItemScratch()], random_state=0, metric="recall@5"
        )
        chosen = selector.fit(parts[0], base=base)
        return chosen.verdict_, chosen.report_.round(6).to_string(), chosen.best_.get_params().get("weights")

    monkeypatch.setattr(cross_validation, "KEPT_CELLS", 0)
    again = choose()
    assert again[2] is not None
    monkeypatch.undo()
    monkeypatch.setattr(blend_search, "prepared", lambda *_: pytest.fail("a member was fitted again"))
    assert choose() == again


def test_no_blend_of_ratings(likes):
    ratings = Interactions.from_matrix(likes.matrix)
    base = ALS(2, random_state=0).fit(ratings.filter(ratings.rows() < 200))
    with pytest.raises(ParameterError, match="predicts ratings"):
        Blended([FoldIn(fold_in_reg=None)], [1]).fit(ratings.filter(ratings.rows() >= 200), base=base)
    with pytest.raises(ParameterTypeError, match="members must be a list of adapters"):
        Blended([], []).fit(ratings, base=EASE().fit(ratings))
    with pytest.raises(ParameterError, match="a number for each of the 1 that"):
        Blended([ItemItemScratch(reg=1.0)], [1, 2]).fit(ratings, base=EASE().fit(ratings))


def test_the_verdict_says_what_the_base_is_worth():
    """Of users with the base's tastes few are needed beside it; where the base knows other tastes, it does not help."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)), rng.normal(size=(2, 80, 3))
    likes = [np.argsort(-x @ side.T - rng.gumbel(size=(400, 80)) / 3, axis=1)[:, :12] for side in y]
    here, elsewhere = (Interactions.from_pairs(np.repeat(np.arange(400), 12), items.ravel()) for items in likes)
    bases = [IALS(4, unobserved_weight=0.1, reg=0.01, random_state=0).fit(data.filter(data.rows() < 300))
             for data in (here, elsewhere)]  # fmt: skip
    train = here.filter((here.rows() >= 300) & (here.rows() < 330))
    options = {"candidates": [FoldIn(), ItemItemScratch()], "random_state": 0}
    verdict = AdapterSelector(**options, blend=False).fit(train, base=bases[0]).verdict_
    assert "nothing is clearly better than the base as it is" in verdict
    assert "the base is worth 24 target users: as it is it ranks as well as item-item scratch with 24" in verdict
    changing = [Anchored(reg=100.0, fold_in_reg=None, new_item_reg=1.0), ItemItemScratch()]
    verdict = AdapterSelector(changing, random_state=0, blend=False).fit(train, base=bases[0]).verdict_
    worth = re.search(
        r"not clearly better than the base as it is, 0.\d+; the base is worth (\d+) target users: the adapter, "
        r"fitted to (\d+) of them, ranks as well as item-item scratch with 24", verdict
    )  # fmt: skip
    assert int(worth[1]) + int(worth[2]) == 24
    assert int(worth[1]) >= 20
    many = here.filter(here.rows() >= 300)
    verdict = AdapterSelector(**options).fit(many, base=bases[1]).verdict_
    assert "the base does not help" in verdict
    assert "the base as it is" not in verdict


def test_the_verdict_says_whether_adapting_is_clearly_better(source, target):
    """Where tastes differ, and where they do not."""
    base = IALS(8, reg=0.02, unobserved_weight=0.2, random_state=0).fit(source)
    few = target.filter(target.rows() % 3 == 0)
    adapter = LowRankAdapter(4, metric="ndcg@10", random_state=0).fit(few, base=base)
    row = adapter.report_[adapter.report_.kept].iloc[0]
    as_it_is = adapter.report_.set_index("method").loc["fold-in", "ndcg@10"]
    assert row.low > 0
    assert f"; clearly better than the base as it is, {as_it_is:.4f}" in adapter.verdict_


def test_the_weights_follow_the_split_that_is_given(likes):
    """Of test interactions that only popularity predicts, or only the histories."""
    split = lrrec.splits.by_user(likes, test_size=100, random_state=0)
    popular = Popularity().fit(split.train).recommend_from(split.history, 5)
    rows = np.repeat(split.test_rows, 5)
    lists = popular.indices[np.flatnonzero(np.isin(popular.users, split.users.ids[split.test_rows]))].ravel()
    X = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, lists)), shape=split.test.matrix.shape)
    X.sort_indices()
    of_popular = Split(split.train, split.history, Interactions(X, split.users, split.items))
    models = [Popularity(), EASE(50.0)]
    assert Blend(models, random_state=0).fit(split.train, validation=of_popular).weights_.tolist() == [1, 0]
    assert Blend(models, random_state=0).fit(split.train, validation=split).weights_[1] > 0.4
    for wrong in (split.train, lrrec.splits.by_user(Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 2]), 1)):
        with pytest.raises(DataError, match="validation must be a Split of the same items"):
            Blend(models).fit(split.train, validation=wrong)


def test_a_split_that_cannot_give_the_weights_is_refused(likes):
    data = Interactions(likes.matrix, likes.users, likes.items, times=np.arange(len(likes)))
    split = lrrec.splits.leave_last(data)
    ranked = lrrec.splits.with_negatives(split, 20, random_state=0)
    with pytest.raises(DataError, match="validation must be a Split in which all items, or some, are ranked for every"):
        Blend([EASE(50.0), Popularity()]).fit(split.train, validation=ranked)
    with pytest.raises(ParameterError, match="validation must be left out with weights"):
        Blend([EASE(50.0), Popularity()], weights=[1, 1]).fit(split.train, validation=split)
