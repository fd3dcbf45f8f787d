"""The guard judges adapters on users like those who will be served."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import IALS, AdapterSelector, Interactions
from lrrec.adapt import Anchored, ByHistory, FoldIn, ItemItem, ItemItemScratch, LowRank, Popular, Scratch
from lrrec.adapt.domain import make_domain
from lrrec.adapt.selection.folds import AS_SERVED, WITH, WITHOUT, make_folds
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError


def tastes(rng, users, items, group, n=6, first=0):
    """Each user's n items of their own half of the items, by group."""
    half = len(items) // 2
    pairs = [
        (user, item) for user in users
        for item in rng.choice(items[:half] if group[user] == first else items[half:], n, replace=False)
    ]  # fmt: skip
    return Interactions.from_pairs(*zip(*pairs, strict=True))


@pytest.fixture(scope="module")
def shared():
    """Two domains of other items and the same users, whose taste in one tells their taste in the other."""
    rng = np.random.default_rng(0)
    users = np.arange(400)
    group = rng.integers(0, 2, 400)
    source = tastes(rng, users, np.arange(60), group)
    target = tastes(rng, users, np.arange(1000, 1060), group)
    active = np.isin(target.users.ids[target.rows()], users[:150])
    base = IALS(4, unobserved_weight=0.1, reg=0.01, random_state=0).fit(source)
    return base, target.filter(active), target.filter(~active)


def test_users_without_a_history_are_a_group_of_their_own(shared):
    base, target, rest = shared
    candidates = [FoldIn(), Scratch(), LowRank(4, fold_in_reg=None, new_item_reg=1.0)]
    selector = AdapterSelector(candidates, random_state=0).fit(
        target, base=base, same_users=True, catalogue=rest.items.ids
    )
    report = selector.report_.set_index("group")
    assert set(report.index) == {WITH, WITHOUT}
    assert not report.loc[WITHOUT, "method"].str.contains("scratch").any()
    assert report.groupby("group")["kept"].sum().eq(1).all()
    lists = selector.recommend(np.arange(150, 400), 10)
    split = lrrec.Split(target, target, rest)
    value = lrrec.evaluate_lists(dict(zip(lists.users, lists.items.tolist(), strict=True)), split, metrics=["ndcg@10"])
    popular = lrrec.evaluate(lrrec.Popularity().fit(target), split, metrics=["ndcg@10"])
    assert value.mean()["ndcg@10"] > 1.3 * popular.mean()["ndcg@10"]


def test_a_model_of_the_target_alone_does_not_serve_users_without_a_history(shared):
    base, target, rest = shared
    alone = Scratch(reg=None).fit(target, base=base, same_users=True, catalogue=rest.items.ids)
    with pytest.raises(UnknownIdError, match="have no interaction"):
        alone.recommend([200])
    lists = alone.recommend([200], 5, unknown="popular")
    counts = dict(zip(alone.items_.ids, alone.item_counts_, strict=True))
    assert [counts[item] for item in lists.items[0]] == sorted(counts.values(), reverse=True)[:5]


def test_each_group_has_its_own_adapter(shared, tmp_path):
    base, target, rest = shared
    adapter = ByHistory(Scratch(reg=None), Popular()).fit(
        target, base=base, same_users=True, catalogue=rest.items.ids
    )  # fmt: skip
    mixed = [0, 200, 1, 201]
    lists = adapter.recommend(mixed, 5)
    alone, popular = (
        kind.fit(target, base=base, same_users=True, catalogue=rest.items.ids).recommend(users, 5)
        for kind, users in ((Scratch(reg=None), [0, 1]), (Popular(), [200, 201]))
    )
    np.testing.assert_array_equal(lists.items[[0, 2]], alone.items)
    np.testing.assert_array_equal(lists.items[[1, 3]], popular.items)
    adapter.save(tmp_path / "a", histories=True)
    loaded = lrrec.load(tmp_path / "a", base=base)
    np.testing.assert_array_equal(loaded.recommend(mixed, 5).items, lists.items)
    assert loaded.n_parameters == adapter.n_parameters
    with pytest.raises(ParameterError, match="cannot be merged"):
        adapter.merge()


@pytest.mark.slow
def test_a_target_that_has_nothing_of_the_base_is_served_by_a_model_of_its_own():
    """The source's users pair items of one kind, the target's others: what the base knows misleads."""
    rng = np.random.default_rng(0)
    items, users = np.arange(80), np.arange(160)
    source = tastes(rng, users, rng.permutation(items), rng.integers(0, 2, 160))
    target = tastes(rng, users + 1000, rng.permutation(items), {user + 1000: user % 2 for user in users}, n=10)
    base = IALS(4, unobserved_weight=0.1, reg=0.01, random_state=0).fit(source)
    selector = AdapterSelector(random_state=0).fit(target, base=base)
    report = selector.report_.set_index("method")["ndcg@20"]
    assert report[selector.best_.label] == report.max()
    assert max(report["scratch"], report["item-item scratch"]) > 1.1 * report["fold-in"]


@pytest.mark.parametrize(("history", "lengths"), [(AS_SERVED, {8}), (0.5, {5}), (3, {3}), (1, {1})])
def test_histories_are_as_long_as_those_that_will_be_met(history, lengths):
    rng = np.random.default_rng(0)
    data = tastes(rng, np.arange(30), np.arange(40), np.zeros(30, dtype=int), n=10)
    domain = make_domain(IALS(2, random_state=0).fit(data), data)
    folds = make_folds(domain, history, None, rng)
    assert set(folds) == {WITH}
    for fold in folds[WITH]:
        assert set(np.diff(fold.history.indptr)) == lengths
        assert set(np.diff(fold.test.indptr)) == {10 - length for length in lengths}


@pytest.mark.parametrize("history", ["served", 0.0, 1.5, 0, -1, True, None])
def test_bad_histories(history, source, target):
    with pytest.raises((ValueError, TypeError), match="history must be"):
        AdapterSelector(history=history).fit(target, base=IALS(2, random_state=0).fit(source))


@pytest.mark.slow
def test_the_smallest_is_kept_on_request(source, parts):
    base = IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=5, random_state=0).fit(source)
    given = {"reg": 1.0, "fold_in_reg": None, "new_item_reg": 1.0}
    candidates = [Anchored(**given), LowRank(2, **given)]
    best, small = (
        AdapterSelector(candidates, prefer=prefer, random_state=0).fit(parts[0], base=base)
        for prefer in ("best", "small")
    )
    report = best.report_.set_index("method")
    assert report.loc[best.best_.label, "ndcg@20"] == report["ndcg@20"].max()
    assert small.n_parameters <= best.n_parameters


@pytest.mark.parametrize("budget", [pytest.param("fast", marks=pytest.mark.slow), 0.0])
def test_without_time_for_tuning_the_defaults_are_compared(budget, source, parts):
    base = IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=5, random_state=0).fit(source)
    given = [ItemItem(**ItemItem._defaults, statistics="interactions"), Anchored(**Anchored._defaults)]
    auto = [ItemItem(statistics="interactions"), Anchored()]
    options = {"blend": False, "random_state": 0}
    expected, fast = (AdapterSelector(given, **options), AdapterSelector(auto, budget=budget, **options))
    for selector in (expected, fast):
        selector.fit(parts[0], base=base)
    pd.testing.assert_frame_equal(fast.report_[["method", "ndcg@20"]], expected.report_[["method", "ndcg@20"]])
    tuned = AdapterSelector(auto, budget=3600.0, **options).fit(parts[0], base=base)
    assert tuned.report_["ndcg@20"].max() > fast.report_["ndcg@20"].max()


def test_unknown_budgets_are_refused(source, parts):
    base = IALS(2, random_state=0).fit(source)
    for budget, words in (
        ("slow", "budget must be one of"),
        (-1, "budget must be a finite number >= 0"),
        (None, "budget must"),
    ):
        with pytest.raises((ParameterError, ParameterTypeError), match=words):
            AdapterSelector(budget=budget).fit(parts[0], base=base)


@pytest.fixture(scope="module")
def ratings():
    """A base that predicts ratings from 1 to 5, and a target."""
    rng = np.random.default_rng(2)
    taste, quality = rng.normal(size=(90, 2)), rng.normal(size=(40, 2))
    stars = np.clip(np.round(3 + taste @ quality.T), 1, 5)
    users, items = np.nonzero(rng.random(stars.shape) < 0.3)
    data = Interactions.from_pairs(users, items, values=stars[users, items])
    return lrrec.ALS(2, random_state=0).fit(data.filter(data.rows() < 50)), data.filter(data.rows() >= 50)


@pytest.mark.parametrize("options", [{}, {"candidates": [Scratch()]}])
def test_a_base_of_ratings_gets_an_adapter_that_predicts_ratings(ratings, options):
    base, target = ratings
    selector = AdapterSelector(**options, random_state=0).fit(target, base=base)
    assert not selector.report_["method"].isin(["popularity", "item-item", "item-item scratch"]).any()
    table = target.to_frame()
    error = selector.predict(table["user"], table["item"]) - table["value"].to_numpy()
    assert abs(error.mean()) < 0.2
    assert error.std() < table["value"].std()


def test_users_without_a_history_get_ratings_too(ratings):
    base, target = ratings
    known = Interactions.from_pairs([0, 1, 2, 3], [100, 101, 100, 101], values=[5, 1, 4, 2])
    for candidates in ([Scratch(reg=None)], [LowRank(1, reg=1.0, fold_in_reg=None, new_item_reg=1.0)]):
        selector = AdapterSelector(candidates, random_state=0).fit(
            Interactions.concat([known, target.filter(target.rows() < 60)]), base=base, same_users=True
        )
        without_history = selector.predict([30] * 5, target.items.ids[:5])
        assert ((without_history > 0) & (without_history < 6)).all()


@pytest.mark.parametrize("adapter", [Popular(), ItemItem(), ItemItemScratch(reg=1.0)])
def test_adapters_that_only_rank_refuse_a_base_of_ratings(ratings, adapter):
    base, target = ratings
    with pytest.raises(ParameterError, match="predicts ratings: use FoldIn"):
        adapter.fit(target, base=base)
    if adapter.name != "popularity":  # which is compared with in any case, where that makes sense
        with pytest.raises(ParameterError, match="predicts ratings"):
            AdapterSelector([adapter]).fit(target, base=base)


def test_validation_users_are_served_from_their_earliest_interactions():
    """Where the target has times, the guard is asked for what comes next, as those who are served will ask."""
    data = Interactions.from_pairs(np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30))
    base, order = IALS(2, random_state=0).fit(data), np.random.default_rng(0).permutation(10)
    timed = Interactions(data.matrix, data.users, data.items, np.tile(order, 30))
    for fold in make_folds(make_domain(base, timed), AS_SERVED, None, np.random.default_rng(1))[WITH]:
        assert set(fold.history.indices) == set(np.flatnonzero(order < 8))
        assert set(fold.test.indices) == set(np.flatnonzero(order >= 8))


@pytest.mark.parametrize("fails_for", [1.0, None])
def test_settings_that_cannot_be_fitted_are_not_chosen(source, parts, monkeypatch, fails_for):
    """Some settings leave a matrix singular in single precision: the comparison goes on without them."""
    solve = ItemItemScratch._solve

    def singular(self, rows):
        if fails_for in (None, self.params_["reg"]):
            raise DataError("the matrix is not positive definite in float32: raise reg")
        return solve(self, rows)

    monkeypatch.setattr(ItemItemScratch, "_solve", singular)
    base = IALS(8, n_iter=4, random_state=0).fit(source)
    selector = AdapterSelector([FoldIn(), ItemItemScratch()], random_state=0)
    report = selector.fit(parts[0], base=base).report_.set_index("method")["ndcg@20"]
    if fails_for is None:
        assert report["item-item scratch"] == 0
        assert selector.best_.label in ("fold-in", "popularity", "blend of fold-in and popularity")
        with pytest.raises(DataError, match="raise reg"):
            AdapterSelector([ItemItemScratch()], guard=False, random_state=0).fit(parts[0], base=base)
    else:
        assert report["item-item scratch"] > 0


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.filterwarnings("ignore:the candidates are:lrrec.errors.DataWarning")
def test_validation_users_are_ranked_among_their_candidates(source, parts, shared):
    base = IALS(8, n_iter=4, random_state=0).fit(source)
    split = lrrec.Split(parts[0], *(part.align_items(parts[0].items) for part in parts[1:]))
    ids, rng = split.items.ids, np.random.default_rng(0)
    of_users = np.array([rng.choice(ids, 90, replace=False) for _ in split.test_rows])
    split = replace(split, candidates=ids[::3] if shared else of_users)
    options = {"fold_in_reg": 0.02}
    selector = AdapterSelector([FoldIn(**options), ItemItem(weight=3.0, reg=10.0, scaling=0.5)], random_state=0)
    report = selector.fit(parts[0], base=base, validation=split).report_.set_index("method")["ndcg@20"]
    alone = FoldIn(**options).fit(parts[0], base=base)
    measured = lrrec.evaluate(alone, split, metrics=["ndcg@20"]).mean()["ndcg@20"]
    assert report["fold-in"] == pytest.approx(measured, rel=1e-6)
    everything = AdapterSelector([FoldIn(**options)], random_state=0)
    everything.fit(parts[0], base=base, validation=replace(split, candidates=None))
    assert everything.report_["ndcg@20"][0] != pytest.approx(measured, rel=1e-2)
