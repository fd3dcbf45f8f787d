"""Weights by age: values halve with each half-life, nothing vanishes, splits weight what is learned from alone."""

import datetime
import html
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from strategies import interactions
from test_models import ALL_MODELS

import lrrec
from lrrec import (
    ALS,
    EASE,
    IALS,
    GraphFilter,
    Interactions,
    ItemKNN,
    Popularity,
    RP3Beta,
    Split,
    TruncatedSVD,
    files,
    splits,
)
from lrrec.data.merging import POLICIES
from lrrec.errors import DataError, FileFormatError, LrrecError, ParameterError, ParameterTypeError

QUICK = settings(max_examples=30, deadline=None)
DAY = np.timedelta64(1, "D")
UNITS = ["D", "h", "s", "ms", "us", "ns"]
LISTENED = Interactions.from_pairs(["a", "a", "b"], ["x", "y", "x"], values=[1, 2, 4], times=[0, 10, 20])
DATED = Interactions.from_pairs(["a", "a"], ["x", "y"], times=["2024-03-01", "2024-03-31"])


def with_times(data, times):
    return Interactions(data.matrix, data.users, data.items, np.asarray(times))


def dense(data):
    return data.matrix.toarray().tolist()


# The law, in every unit.


def test_values_halve_with_each_half_life():
    assert LISTENED.decayed(10).matrix.data.tolist() == [0.25, 1, 4]
    assert LISTENED.decayed(10, at=30).matrix.data.tolist() == [0.125, 0.5, 2]
    assert LISTENED.decayed(5.0).matrix.data.tolist() == [1 / 16, 0.5, 4]


@QUICK
@given(interactions(), st.floats(1, 1e4), st.integers(0, 100))
def test_oracle(data, half_life, later):
    at = int(data.times.max()) + later
    expected = data.matrix.data * 2.0 ** -((at - data.times) / half_life).clip(max=60)
    for times in (data.times, data.times.astype(float)):
        got = with_times(data, times).decayed(half_life, at=at)
        np.testing.assert_allclose(got.matrix.data, expected, rtol=1e-6)
        np.testing.assert_array_equal(got.matrix.indices, data.matrix.indices)
        np.testing.assert_array_equal(got.matrix.indptr, data.matrix.indptr)
        np.testing.assert_array_equal(got.times, data.times)
        assert got.users is data.users
        assert got.items is data.items
        assert got.half_life == half_life
    assert data.half_life is None


@QUICK
@given(interactions(), st.floats(1, 1e4), st.integers(-(2**40), 2**40))
def test_moving_all_times_changes_nothing(data, half_life, shift):
    moved = with_times(data, data.times + shift)
    at = int(data.times.max()) + 7
    for first, second in ((None, None), (at, at + shift)):
        np.testing.assert_array_equal(
            moved.decayed(half_life, at=second).matrix.data, data.decayed(half_life, at=first).matrix.data
        )


def test_a_long_half_life_changes_nothing():
    for half_life in (1e30, np.float32(1e38), 10**30):
        assert LISTENED.decayed(half_life).matrix.data.tolist() == [1, 2, 4]
    assert DATED.decayed(pd.Timedelta(days=36500 * 2)).matrix.data.tolist() == pytest.approx([1, 1], rel=1e-3)


@pytest.mark.parametrize("half_life", [
    "30 days", "30d", "30D", "720h", datetime.timedelta(30), np.timedelta64(30, "D"), pd.Timedelta(days=30),
])  # fmt: skip
@pytest.mark.parametrize("unit", UNITS)
def test_dates_take_lengths_of_time(half_life, unit):
    data = with_times(DATED, DATED.times.astype(f"M8[{unit}]"))
    assert data.decayed(half_life).matrix.data.tolist() == [0.5, 1]
    for at in ("2024-04-30", datetime.date(2024, 4, 30), np.datetime64("2024-04-30"), "2024-04-30T02:00+02:00"):
        assert data.decayed(half_life, at=at).matrix.data.tolist() == [0.25, 0.5]
    assert data.decayed(half_life, at="2024-03-31T12:00").matrix.data.tolist() == pytest.approx(
        [2 ** -(30.5 / 30), 2 ** -(0.5 / 30)]
    )


def test_the_dates_of_long_ago_do_not_overflow():
    times = np.array(["1066-10-14", "2024-03-31"], "M8[s]")
    years = float((times[1] - times[0]) / DAY) / 365
    assert with_times(DATED, times).decayed("36500 days").matrix.data.tolist() == pytest.approx(
        [0.5 ** (years / 100), 1]
    )
    assert with_times(DATED, times.astype("M8[M]")).decayed("36500 days").matrix.data[0] > 0


@pytest.mark.parametrize(("low", "high", "dtype"), [
    (-128, 127, np.int8), (0, 2**64 - 1, np.uint64), (-(2**63), 2**63 - 1, np.int64), (-6e4, 6e4, np.float16),
    (-1.7e308, 1.7e308, np.float64),
])  # fmt: skip
def test_differences_of_times_do_not_overflow(low, high, dtype):
    data = with_times(DATED, np.array([low, high], dtype=dtype))
    half_life = float(Fraction(int(high)) - Fraction(int(low))) if abs(high) < 1e300 else 3e38
    expected = 0.5 if abs(high) < 1e300 else 2**-60
    assert data.decayed(half_life).matrix.data.tolist() == pytest.approx([expected, 1], rel=1e-3)


# What was merged is weighted before it is merged.


@QUICK
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2, st.integers(1, 5), st.integers(0, 30)), min_size=2, max_size=30),
       st.sampled_from([policy for policy in POLICIES if policy != "error"]))  # fmt: skip
def test_weighting_comes_before_merging(rows, duplicates):
    users, items, values, times = map(np.array, zip(*rows, strict=True))
    columns = {"times": times, "duplicates": duplicates}
    got = Interactions.from_pairs(users, items, values=values, **columns).decayed(7)
    weighted = values * 0.5 ** ((times.max() - times) / 7)
    expected = Interactions.from_pairs(users, items, values=weighted, **columns)
    np.testing.assert_allclose(got.matrix.toarray(), expected.matrix.toarray(), rtol=1e-5)
    np.testing.assert_array_equal(got.times, expected.times)
    assert got.events is None


def test_a_binarized_pair_has_the_weight_of_its_time():
    log = Interactions.from_pairs([*"aab"], [*"xxy"], values=[2, 3, 9], times=[0, 20, 30], duplicates="sum")
    assert dense(log.binarize(5).decayed(10)) == [[0.5, 0], [0, 1]]
    assert dense(log.decayed(10)) == [[0.25 + 1.5, 0], [0, 9]]


def test_signs_stay_and_nothing_vanishes():
    values = np.array([3, -2, 0, 1e-30, -1e-44], dtype=np.float32)
    data = Interactions.from_pairs([*"aaaaa"], [*"vwxyz"], values=values, times=[0, 0, 0, 0, 10**6])
    got = data.decayed(1).matrix.data
    np.testing.assert_array_equal(np.sign(got), np.sign(values))
    np.testing.assert_array_equal(got[:2], values[:2] * 2.0**-60)
    assert len(data.decayed(1).binarize()) == 2  # 1e-30 is too small to be counted


# What is refused.


@pytest.mark.parametrize(("data", "half_life", "at", "error", "words"), [
    (Interactions.from_pairs([*"a"], [*"x"]), 1, None, DataError, "needs interactions with times"),
    (with_times(DATED, [0.0, np.inf]), 1, None, DataError, "times must be finite"),
    (LISTENED.decayed(1), 1, None, DataError, "call it once"),
    *((LISTENED, bad, None, LrrecError, "half_life must be a .*number > 0")
      for bad in (0, -1, np.nan, np.inf, "30 days", None, True, datetime.timedelta(1), [1])),
    *((DATED, bad, None, ParameterError, "half_life must be a length of time > 0, e.g. '7 days'")
      for bad in (30, 30.0, "30", " 3. ", "30 moons", "-1 day", "0s", "", None, True, np.timedelta64(30), ["30 days"])),
    (LISTENED, 1, 19, ParameterError, r"at must not be before the latest time \(20\), got 19: leave later"),
    (DATED, "1h", "2024-03-30T23:59:59", ParameterError, "at must not be before the latest time"),
    *((LISTENED, 1, bad, LrrecError, "at must be a") for bad in ("2024-01-01", np.nan, np.inf, True, [1])),
    *((DATED, "1h", bad, ParameterError, "at must be a date or time") for bad in (30, "soon", np.nan, True, ["x"])),
])  # fmt: skip
def test_bad_arguments(data, half_life, at, error, words):
    with pytest.raises(error, match=words):
        data.decayed(half_life, at=at)


def test_what_needs_the_original_says_so():
    weighted = LISTENED.decayed(10)
    with pytest.raises(DataError, match="binarize first"):
        weighted.binarize(1)
    with pytest.raises(DataError, match="join them first"):
        Interactions.concat([weighted, LISTENED], duplicates="sum")
    with pytest.raises(DataError, match="half_life must be None for interactions without times"):
        Interactions(weighted.matrix, weighted.users, weighted.items, half_life=1)
    for cut in (splits.by_time, splits.leave_last, lambda data: next(iter(splits.windows(data, 1, test_size=1)))):
        with pytest.raises(DataError, match=r"split first, then split.decayed\(half_life\)"):
            cut(weighted)
    for model in (ALS(2), lrrec.Blend([ALS(2), EASE()])):
        with pytest.raises(DataError, match=r"ALS must have interactions .* its values are ratings"):
            model.fit(weighted)
    model = ALS(1, random_state=0).fit(LISTENED)
    for call in (model.update, model.recommend_from):
        with pytest.raises(DataError, match="its values are ratings"):
            call(weighted)


def test_a_change_of_rows_or_ids_keeps_the_mark():
    weighted = LISTENED.decayed(10)
    for same in (weighted.filter(np.ones(3, dtype=bool)), weighted.k_core(1, 1), weighted.align_items(DATED.items),
                 weighted.filter_events(np.ones(3, dtype=bool))):  # fmt: skip
        assert same.half_life == 10
        assert same.matrix.data.tolist() == [0.25, 1, 4]
    assert weighted.binarize().half_life is None
    assert weighted.binarize().decayed(10).matrix.data.tolist() == [0.25, 0.5, 1]


# Splits.


@pytest.fixture(scope="module")
def likes():
    return lrrec.datasets.load("made-up").interactions(min_rating=4)


def test_a_split_weights_what_is_learned_from(likes):
    split = splits.with_validation(splits.by_time(likes))
    weighted = split.decayed("90 days")
    end = split.train.times.max()
    np.testing.assert_array_equal(weighted.train.matrix.data, split.train.decayed("90 days", at=end).matrix.data)
    assert weighted.train.matrix.data.max() == 1
    assert weighted.history is weighted.train
    assert weighted.test is split.test
    own = weighted.validation
    np.testing.assert_array_equal(own.train.matrix.data, split.validation.train.decayed("90 days").matrix.data)
    assert own.train.matrix.data.max() == 1
    assert own.test is split.validation.test
    assert weighted.params["half_life"] == "90 days"
    assert "weighted with a half-life of 90 days" in weighted.description
    assert weighted.as_dict()["sha256"] != split.as_dict()["sha256"]
    assert weighted.exclude_seen == split.exclude_seen
    assert split.decayed(datetime.timedelta(90)).params["half_life"] == "90 days, 0:00:00"


def test_histories_of_new_users_share_the_end_of_training(likes):
    split = splits.by_user(likes, random_state=0)
    weighted = split.decayed("90 days")
    end = max(split.train.times.max(), split.history.times.max())
    for part in ("train", "history"):
        plain = getattr(split, part)
        np.testing.assert_array_equal(getattr(weighted, part).matrix.data, plain.decayed("90 days", at=end).matrix.data)
    assert weighted.folds_in
    nobody = splits.cold_users(likes, random_state=0).decayed("90 days")
    assert len(nobody.history) == 0


def test_a_validation_part_is_cut_before_weighting(likes):
    weighted = splits.by_time(likes).decayed("90 days")
    with pytest.raises(DataError, match=r"with_validation\(split\).decayed\(half_life\)"):
        splits.with_validation(weighted)
    pytest.importorskip("optuna")
    with pytest.raises(DataError, match=r"with_validation\(split\).decayed\(half_life\)"):
        lrrec.tune(EASE(), weighted)
    split = splits.with_validation(splits.by_time(likes)).decayed("90 days")
    tuned = lrrec.tune(EASE(), split, space={"reg": [1.0, 100.0]}, n_trials=2)
    np.testing.assert_array_equal(tuned.model_.seen_.data, split.train.matrix.data)


def test_weights_are_saved(tmp_path, likes):
    for data, half_life in ((LISTENED, 10.5), (likes, "90 days"), (DATED, np.timedelta64(7, "h"))):
        weighted = data.decayed(half_life)
        weighted.save(tmp_path / "weighted")
        for options in ({}, {"mmap": True}):
            opened = Interactions.open(tmp_path / "weighted", **options)
            assert opened.half_life == weighted.half_life
            np.testing.assert_array_equal(opened.matrix.data, weighted.matrix.data)


# Models.


def of_weights(model):
    return type(model).__name__ != "ALS" and not (type(model).__name__ == "NeuralMF" and model.loss == "ratings")


@pytest.mark.parametrize("model", [model for model in ALL_MODELS if of_weights(model)], ids=repr)
def test_what_was_seen_long_ago_is_left_out(model):
    """Also where weights are as small as they get: nothing is 0, and nothing overflows."""
    rng = np.random.default_rng(0)
    X = rng.random((30, 14)) < 0.4
    users, items = X.nonzero()
    data = Interactions.from_pairs(users, items, times=rng.choice([0, 900, 1000], len(users)))
    weighted = data.decayed(1, at=1001)
    assert len(weighted) == len(data)
    options = {"item_features": np.eye(data.n_items, 5)} if type(model).__name__ == "ItemContent" else {}
    lists = clone(model).fit(weighted, **options).recommend(data.users.ids, data.n_items)
    for row, user in enumerate(data.users.ids.tolist()):
        seen = set(data.items.ids[data.matrix[[data.users.indices([user])[0]]].indices].tolist())
        assert not seen & set(lists.items[row].compressed().tolist())


def drift(seed=0):
    """Users who liked films of one theme, lately like those of another, and go on to like more of these."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(120):
        old, new = 10 * rng.choice(4, 2, replace=False)
        rows += [(user, item, 0) for item in old + rng.permutation(10)[:7]]
        lately = new + rng.permutation(10)[:6]
        rows += [(user, item, 1000) for item in lately[:3]] + [(user, item, 1001) for item in lately[3:]]
    users, items, times = np.array(rows).T
    return Interactions.from_pairs(users, items, times=times)


PLANTED = [
    IALS(8, reg=0.01, random_state=0), EASE(10.0), ItemKNN(), RP3Beta(), TruncatedSVD(8), lrrec.NMF(8, random_state=0),
    GraphFilter(8),
]  # fmt: skip


@pytest.mark.parametrize("model", PLANTED, ids=repr)
def test_where_tastes_change_recent_interactions_say_more(model):
    split = splits.by_time(drift(), at=1001)

    def ndcg(split: Split) -> float:
        return lrrec.evaluate(clone(model).fit(split.train), split, metrics=["ndcg@3"]).mean()["ndcg@3"]

    assert ndcg(split.decayed(300)) > ndcg(split) + 0.1


def test_what_is_popular_lately():
    log = Interactions.from_pairs([*"abcde"], [*"xxxyy"], times=[0, 0, 0, 100, 100])
    assert Popularity().fit(log.decayed(10)).recommend(["e"], k=1, exclude_seen=False).items.tolist() == [["x"]]
    model = Popularity(weighted=True).fit(log.decayed(10))
    assert model.recommend(["e"], k=1, exclude_seen=False).items.tolist() == [["y"]]
    np.testing.assert_allclose(model.item_sums_, [3 * 2.0**-10, 2])
    np.testing.assert_array_equal(Popularity(weighted=True).fit(log).item_sums_, Popularity().fit(log).item_counts_)


def test_weighted_popularity_is_saved(tmp_path):
    model = Popularity(weighted=True).fit(LISTENED)
    model.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.item_sums_, model.item_sums_)
    assert loaded.recommend(["b"], 1).items.tolist() == model.recommend(["b"], 1).items.tolist() == [["y"]]
    with pytest.raises(ParameterTypeError, match="weighted must be True or False"):
        Popularity(weighted="yes").fit(LISTENED)


def test_a_damaged_half_life_is_refused(tmp_path):
    for data, bad in ((LISTENED, "long"), (LISTENED, -1), (DATED, 7), (DATED, [10**30, "us"]), (DATED, [0, "us"])):
        data.decayed("9 days" if data is DATED else 9).save(tmp_path / "data")
        kind, params, arrays = files.read(tmp_path / "data")
        files.write(tmp_path / "data", kind, params | {"half_life": bad}, arrays)
        for options in ({}, {"mmap": True}):
            with pytest.raises(FileFormatError, match="must hold interactions"):
                Interactions.open(tmp_path / "data", **options)


def test_the_report_repeats_the_weights(likes):
    split = splits.by_time(likes).decayed(datetime.timedelta(90))
    assert splits.by_time(likes).decayed(split.params["half_life"]).sha256 == split.sha256
    comparison = lrrec.compare({"popularity": Popularity()}, split, metrics=["hit@10"])
    page = html.unescape(lrrec.Report("x", comparison, split=split).html())
    assert "split = split.decayed('90 days, 0:00:00')" in page
