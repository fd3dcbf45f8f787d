"""Several bases at once: their statistics add up, each by its weight, and one that misleads is left out."""

import io

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import EASE, IALS, AdapterBank, AdapterSelector, DomainFitter, Interactions
from lrrec.adapt import FoldIn, ItemItem, LowRank
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError

GIVEN = {"weight": 3.0, "reg": 10.0, "scaling": 0.5}
N_ITEMS = 48


def market(n_users, seed, group_of, letter, items=range(N_ITEMS)):
    """Users of six groups, each of whom likes the items of their group."""
    rng = np.random.default_rng(seed)
    liked = rng.integers(6, size=n_users)[:, None] == np.array([group_of(item) for item in items])
    users, places = np.nonzero(rng.random(liked.shape) < np.where(liked, 0.4, 0.03))
    return Interactions.from_pairs([f"{letter}{user}" for user in users], [f"i{items[place]}" for place in places])


def by_rest(item):
    return item % 6


def by_part(item):
    return item // 8


@pytest.fixture(scope="module")
def sources():
    """Two markets that overlap in items, in which the same items go together."""
    return market(200, 1, by_rest, "u", range(36)), market(200, 2, by_rest, "c", range(12, 48))


@pytest.fixture(scope="module")
def target():
    return market(30, 3, by_rest, "t")


def scores_of(adapter, histories):
    """All scores of users, from their histories."""
    return adapter._scores(adapter._encode(histories.align_items(adapter.items_).matrix), slice(None))


def assert_same_scores(one, other, histories):
    """Of the items of the second, in its order."""
    mine = scores_of(one, histories)[:, one.items_.indices(other.items_.ids)]
    np.testing.assert_allclose(mine, scores_of(other, histories), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("few_users", [True, False])
def test_it_is_the_model_of_both_markets_at_once(sources, few_users):
    target = market(10 if few_users else 60, 3, by_rest, "t")
    several = ItemItem(**GIVEN).fit(target, base=[EASE(50).fit(source) for source in sources])
    pooled = ItemItem(**GIVEN).fit(target, base=EASE(50).fit(Interactions.concat(list(sources))))
    assert_same_scores(several, pooled, target)


@pytest.mark.parametrize("statistics", ["interactions", "scores"])
def test_a_source_of_weight_0_says_nothing_of_pairs(sources, target, statistics):
    models = [IALS(8, n_iter=4, random_state=0).fit(source) for source in sources]
    options = {**GIVEN, "statistics": statistics}
    several = ItemItem(**options, source_weights=[2.0, 0.0]).fit(target, base=models)
    alone = ItemItem(**options).fit(target, base=models[0])
    assert_same_scores(several, alone, target)


def test_statistics_of_scores_add_up(sources, target):
    models = [IALS(8, n_iter=4, random_state=0).fit(source) for source in sources]
    adapter = ItemItem(reg=2.0, weight=1.0, scaling=0.0, statistics="scores", source_weights=[1.0, 0.5])
    adapter.fit(target, base={"uk": models[0], "ca": models[1]})
    items, S = adapter.items_, np.zeros((len(adapter.items_),) * 2)
    for model, weight in zip(models, (1.0, 0.5), strict=True):
        places = items.indices(model.items_.ids)
        scores = model.user_factors_.astype(np.float64) @ model.item_factors_.T
        S[np.ix_(places, places)] += weight * scores.T @ scores
    S /= np.diag(S)[np.diag(S) > 0].mean()
    X = target.align_items(items).matrix.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + S + 2.0 * np.eye(len(S)))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    np.testing.assert_allclose(scores_of(adapter, target), X @ B, rtol=1e-3, atol=1e-4)


def test_a_source_that_misleads_is_left_out(target):
    bases = {"uk": EASE(50).fit(market(200, 1, by_rest, "u")), "xx": EASE(50).fit(market(2000, 2, by_part, "x"))}
    candidate = ItemItem(source_weights="auto", statistics="interactions")
    selector = AdapterSelector([candidate], blend=False, random_state=0).fit(target, base=bases)
    useful, misleading = selector.best_.params_["source_weights"]
    assert useful >= 1
    assert misleading == 0


def test_the_default_candidates_weigh_the_sources(sources, target):
    bases = [IALS(8, n_iter=4, random_state=0).fit(source) for source in sources]
    selector = AdapterSelector(budget="fast", random_state=0).fit(target, base=bases)
    methods = selector.report_["method"].tolist()
    assert "against popularity" in selector.report_  # several bases do not fold in
    assert methods[:4] == ["popularity", "item-item scratch", "item-item", "item-item of scores"]


def test_files_banks_and_domains_take_several_bases(sources, target):
    bases = {"uk": EASE(50).fit(sources[0]), "ca": EASE(50).fit(sources[1])}
    adapter = ItemItem(**GIVEN, source_weights=[1.0, 0.3]).fit(target, base=bases)
    expected, file = adapter.recommend(target.users.ids, 5), io.BytesIO()
    adapter.save(file, histories=True)
    loaded = lrrec.load(io.BytesIO(file.getvalue()), base=list(bases.values()))
    assert loaded.params_ == adapter.params_
    np.testing.assert_array_equal(loaded.recommend(target.users.ids, 5).items, expected.items)
    with pytest.raises(FileFormatError, match="another base"):
        lrrec.load(io.BytesIO(file.getvalue()), base=list(bases.values())[::-1])
    with pytest.raises(FileFormatError, match="another base"):
        lrrec.load(io.BytesIO(file.getvalue()), base=bases["uk"])
    bank = AdapterBank(bases, {"de": loaded})
    np.testing.assert_array_equal(bank.recommend(target.users.ids, "de", k=5).items, expected.items)
    with pytest.raises(DataError, match="another base"):
        AdapterBank(bases["uk"], {"de": loaded})
    fit = DomainFitter(bases, ItemItem(**GIVEN, source_weights=[1.0, 0.3]))
    table = fit(pd.DataFrame({"domain": "de", **target.to_frame()[["user", "item"]]}))
    ((name, read),) = fit.adapters(table)
    assert name == "de"
    np.testing.assert_array_equal(read.recommend_from(target, 5).items, adapter.recommend_from(target, 5).items)


def test_a_base_fitted_again_does_not_touch_the_adapter(sources, target):
    bases, more = [EASE(50).fit(source) for source in sources], market(2, 9, by_rest, "new")
    adapter, other = (ItemItem(**GIVEN).fit(target, base=bases) for _ in range(2))
    bases[0].fit(sources[1])
    updated, expected = (
        ItemItem(**GIVEN).fit(Interactions.concat([target, more]), base=[EASE(50).fit(source) for source in sources]),
        adapter.update(more),
    )
    assert_same_scores(updated, expected, target)
    assert other.params_ == adapter.params_


@pytest.mark.parametrize(("base", "message"), [
    (lambda base: [], "at least one model, got none"),
    (lambda base: {base}, "in a list or a dict, got a set"),
    (lambda base: [base, None], "base must be a fitted Recommender, got NoneType"),
    (lambda base: [base, EASE()], "base must be fitted first"),
    (lambda base: [base, EASE(50).fit(np.eye(3))], "of one type, got strings and integers"),
    (lambda base: [base, lrrec.ALS(2).fit(np.eye(3))], "must be a model that ranks items, .*, got ALS"),
], ids=["none", "set", "nothing", "unfitted", "types", "ratings"])  # fmt: skip
def test_what_cannot_be_put_together_is_refused(sources, target, base, message):
    with pytest.raises((ParameterError, ParameterTypeError, lrrec.errors.NotFittedError), match=message):
        ItemItem(**GIVEN).fit(target, base=base(EASE(50).fit(sources[0])))


def test_weights_are_checked(sources, target):
    bases = [EASE(50).fit(source) for source in sources]
    for weights, message in (
        ([1.0], "one weight for each base, 2, got 1"), ([0.0, 0.0], "must have a weight > 0"),
        ([1.0, -1.0], "source_weights must be a finite number >= 0, got -1.0"), ("x", "must be a sequence of numbers"),
        ({"uk": 1.0, "ca": 2.0}, "must be a sequence of numbers"), (np.array(1.0), "must be a sequence of numbers"),
        ([1.0, [2.0]], "source_weights must be a number"), (np.eye(2), "must be a sequence of numbers"),
    ):  # fmt: skip
        with pytest.raises((ParameterError, ParameterTypeError), match=message):
            ItemItem(**GIVEN, source_weights=weights).fit(target, base=bases)
    with pytest.raises(ParameterError, match="one weight for each base, 1, got 2"):
        ItemItem(**GIVEN, source_weights=[1.0, 1.0]).fit(target, base=bases[0])


def test_adapters_of_factors_and_shared_users_need_one_base(sources, target):
    bases = [IALS(8, n_iter=2, random_state=0).fit(source) for source in sources]
    for adapter in (FoldIn(fold_in_reg=None), LowRank(2, reg=1.0, fold_in_reg=None, new_item_reg=1.0)):
        with pytest.raises(ParameterTypeError, match=r"base must be .*factor model.*, got several"):
            adapter.fit(target, base=bases)
    with pytest.raises(ParameterTypeError, match="use AdapterSelector"):
        lrrec.LowRankAdapter().fit(target, base=bases)
    with pytest.raises(ParameterError, match="same_users needs a single base"):
        ItemItem(**GIVEN).fit(target, base=bases, same_users=True)
