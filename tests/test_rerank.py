"""Re-ranking: MMR is what its formula says, quotas hold, boosts add; steps follow each other and lose nothing."""

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import rerank
from lrrec.errors import DataError, LrrecError, ParameterError, ParameterTypeError


@pytest.fixture(scope="module")
def lists(likes):
    return lrrec.IALS(8, n_iter=3, random_state=0).fit(likes).recommend(k=30)


@pytest.fixture(scope="module")
def genres(made_up):
    return made_up.items.set_index("item")["genres"].str.get_dummies("|").astype(float)


def mmr(scores, vectors, diversity):
    """The order by the formula of the docstring, item by item."""
    spread = scores.max() - scores.min()
    relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = []
    for _ in scores:
        rest = [place for place in range(len(scores)) if place not in order]
        values = [
            (1 - diversity) * relevance[i] - diversity * (max(unit[i] @ unit[j] for j in order) if order else 0)
            for i in rest
        ]
        order.append(rest[int(np.argmax(np.round(values, 9)))])
    return order


@pytest.mark.parametrize("diversity", [0.0, 0.2, 0.7, 1.0])
def test_mmr_is_its_formula(lists, diversity):
    rng = np.random.default_rng(0)
    ids = np.unique(lists.items.compressed())
    vectors = pd.DataFrame(rng.normal(size=(len(ids), 5)), index=ids)
    reordered = rerank.MMR(vectors.sample(frac=1, random_state=0), diversity=diversity)(lists)
    for row in range(0, len(lists), 40):
        items = lists.items[row].compressed()
        order = mmr(lists.scores[row].compressed().astype(float), vectors.loc[items].to_numpy(), diversity)
        assert reordered.items[row].compressed().tolist() == items[order].tolist()
        assert dict(reordered[reordered.users[row]]) == dict(lists[lists.users[row]])  # the same scores
    assert diversity or (reordered.items == lists.items).all()


def test_mmr_makes_lists_more_diverse(lists, genres):
    kept = {}
    for diversity in (0.0, 0.5):
        short = rerank.MMR(genres, diversity=diversity, k=10)(lists)
        assert short.items.shape == (len(lists), 10)
        unit = genres / np.linalg.norm(genres, axis=1, keepdims=True)
        cosines = [(V @ V.T)[np.triu_indices(10, 1)].mean() for V in (unit.loc[one].to_numpy() for one in short.items)]
        kept[diversity] = np.mean(cosines)
    assert kept[0.5] < 0.95 * kept[0.0]


def test_vectors_of_a_model(likes, lists):
    model = lrrec.IALS(4, n_iter=2, random_state=0).fit(likes)
    frame = pd.DataFrame(model.item_factors_, index=model.items_.ids)
    np.testing.assert_array_equal(rerank.MMR(model)(lists).items, rerank.MMR(frame)(lists).items)
    content = lrrec.ItemContent().fit(likes, item_features=np.eye(likes.n_items))
    assert (rerank.MMR(content)(lists).items == lists.items).all()  # all cosines are 0
    with pytest.raises(ParameterTypeError, match="vectors must be a model with vectors of items, got Popularity"):
        rerank.MMR(lrrec.Popularity().fit(likes))


@pytest.mark.parametrize("at_most", [0, 1, 3, {"a": 1}])
def test_quotas_hold_and_the_order_stays(lists, at_most):
    ids = np.unique(lists.items.compressed())
    names = np.array([*"abc"])[np.random.default_rng(0).integers(3, size=len(ids))]
    categories = dict(zip(ids[5:].tolist(), names[5:], strict=True))  # five items are in none
    reordered = rerank.Quota(categories, at_most)(lists)
    for row in range(len(lists)):
        old, new = lists.items[row].compressed().tolist(), reordered.items[row].compressed().tolist()
        expected, counts = [], {}
        for item in old:
            name = categories.get(item)
            limit = at_most.get(name, 99) if isinstance(at_most, dict) else at_most
            counts[name] = counts.get(name, 0) + 1
            if name is None or counts[name] <= limit:
                expected.append(item)
        assert new == expected
        assert dict(reordered[reordered.users[row]]).items() <= dict(lists[lists.users[row]]).items()


def test_boosts_are_in_standard_deviations(lists):
    boosted = np.unique(lists.items.compressed())[::3]
    reordered = rerank.Boost(pd.Series(1.0, index=boosted), k=12)(lists)
    for row in range(0, len(lists), 25):
        old = pd.Series(dict(lists[lists.users[row]]))
        new = old + old.std(ddof=0) * old.index.isin(boosted)
        expected = new.sort_values(ascending=False, kind="stable")[:12]
        assert reordered.items[row].tolist() == expected.index.tolist()
        np.testing.assert_allclose(reordered.scores[row], expected, rtol=1e-5)
    assert (rerank.Boost({})(lists).items == lists.items).all()


def test_steps_follow_each_other(lists, genres):
    first = genres.idxmax(axis=1)
    reordered = rerank.Quota(first, 2, k=5)(rerank.MMR(genres)(rerank.Boost({int(lists.items[0, 9]): 2.0})(lists)))
    assert reordered.items.shape[1] == 5
    for row in range(len(reordered)):
        assert first[reordered.items[row].compressed()].value_counts().max() <= 2
        assert {*reordered.items[row].compressed()} <= {*lists.items[row].compressed()}
    np.testing.assert_array_equal(reordered.users, lists.users)
    present = ~np.ma.getmaskarray(reordered.items)
    assert (reordered.indices[~present] == -1).all()
    assert {"user", "item", "rank", "score"} == {*reordered.to_frame()}


def test_empty_places_and_popular_items_stay_last(likes):
    popular = lrrec.IALS(4, n_iter=2, random_state=0).fit(likes)
    few = popular.recommend([likes.users.ids[0]], 6, items=likes.items.ids[:4])
    everybody = popular.recommend_from(np.zeros((2, likes.n_items)), 5, unknown="popular")
    vectors = pd.DataFrame(np.random.default_rng(0).normal(size=(likes.n_items, 3)), index=likes.items.ids)
    for step in (rerank.MMR(vectors), rerank.Boost({}), rerank.Quota({}, 1)):
        for lists in (few, everybody):
            reordered = step(lists)
            np.testing.assert_array_equal(np.ma.getmaskarray(reordered.items), np.ma.getmaskarray(lists.items))
            assert {*reordered.items[0].compressed()} == {*lists.items[0].compressed()}
            assert (reordered.filled == lists.filled).all()


def test_bad_input_is_refused(lists, genres):
    for make, words in (
        (lambda: rerank.MMR(genres.to_numpy()), "vectors must be Features, a frame by item id, or a model, got nd"),
        (lambda: rerank.MMR(genres, diversity=2), "diversity must be"),
        (lambda: rerank.MMR(genres, k=0), "k must be"),
        (lambda: rerank.MMR(genres[:5])(lists), "vectors must have a row for each item, got none for"),
        (lambda: rerank.MMR(genres.assign(x=np.nan))(lists), "finite"),
        (lambda: rerank.MMR(genres)(lists.items), "lists must be Recommendations"),
        (lambda: rerank.Boost([1, 2]), "values must be a dict or pandas Series by item id, got list"),
        (lambda: rerank.Boost({101: "much"}), "finite numbers"),
        (lambda: rerank.Boost({"101": 1.0})(lists), "item ids must be as those of the lists"),
        (lambda: rerank.Boost(pd.Series([1, 2], index=[101, 101])), "one value for each item, got several for 101"),
        (lambda: rerank.Quota({101: "a"}, {"b": 1}), "at_most must be of categories, got 'b'"),
        (lambda: rerank.Quota({101: "a"}, -1), "at_most must be"),
        (lambda: rerank.Quota({101: "a"}, 1.5), "at_most must be"),
    ):  # fmt: skip
        with pytest.raises(LrrecError, match=words):
            make()
    assert issubclass(ParameterError, LrrecError)
    assert issubclass(DataError, LrrecError)
