"""What happened is cut before repeated pairs are merged; ties in time are drawn; an evaluation says what it kept."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import lrrec
from lrrec import Interactions, Split, splits
from lrrec.data.alignment import align
from lrrec.errors import DataError, DataWarning, ParameterError

QUICK = settings(max_examples=15, deadline=None)
POLICIES = st.sampled_from(["sum", "last"])
REPEATS = st.sampled_from(["keep", "drop"])


@st.composite
def logs(draw, distinct_times=False):
    """Tables of 4..60 events of few users and items, so that pairs repeat."""
    rng, n = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(4, 60))
    times = rng.permutation(n) if distinct_times else rng.integers(0, 12, n)
    columns = {"user": rng.integers(0, 4, n), "item": rng.integers(0, 5, n), "value": rng.integers(1, 6, n)}
    return pd.DataFrame(columns | {"time": times})


def read(log, duplicates="sum"):
    return Interactions.from_frame(log, value="value", time="time", duplicates=duplicates)


def cells(part):
    """The interactions of a part, by ids."""
    return {(row.user, row.item): (row.value, row.time) for row in part.to_frame().itertuples()}


def merged(log, duplicates="sum", min_value=None):
    """The interactions of a table read by itself."""
    if not len(log):
        return {}
    part = read(log, duplicates)
    return cells(part if min_value is None else part.binarize(min_value))


def quietly(make, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return make(*arguments, **options)


def assert_parts(split, before, after, repeats, **how):
    known, later = merged(before, **how), merged(after, **how)
    assert cells(split.history) == known
    new = {pair: cell for pair, cell in later.items() if pair not in known}
    assert cells(split.test) == (later if repeats == "keep" else new)
    assert split.n_repeats == (len(later) - len(new) if repeats == "keep" else 0)


@given(logs(), st.integers(1, 11), POLICIES, REPEATS)
@QUICK
def test_each_side_of_a_cut_is_what_its_rows_alone_are(log, at, duplicates, repeats):
    before, after = log[log["time"] < at], log[log["time"] >= at]
    assume(len(before))
    assume(len(after))
    split = splits.by_time(read(log, duplicates), at=at, repeats=repeats)
    assert_parts(split, before, after, repeats, duplicates=duplicates)


@given(logs(), st.integers(1, 11), POLICIES, st.integers(2, 8))
@QUICK
def test_likes_are_those_of_their_time(log, at, duplicates, min_value):
    """A rating that was raised after the cut is no like before it, one that was lowered is."""
    before, after = log[log["time"] < at], log[log["time"] >= at]
    how = {"duplicates": duplicates, "min_value": min_value}
    assume(merged(before, **how))
    likes = read(log, duplicates).binarize(min_value)
    assume(likes.events is not None)
    assume(len(after))
    for data in (likes, likes.binarize(), likes.filter(np.ones(len(likes), dtype=bool))):
        assert_parts(splits.by_time(data, at=at, repeats="keep"), before, after, "keep", **how)


@given(logs(), st.integers(2, 4), st.integers(1, 3), st.booleans(), REPEATS)
@QUICK
def test_windows(log, width, n_windows, rolling, repeats):
    try:
        found = list(splits.windows(read(log), n_windows, width=width, span=3 if rolling else None, repeats=repeats))
    except DataError:
        assume(False)
    for j, split in zip(range(n_windows, 0, -1), found, strict=True):
        cut, time = log["time"].max() - width * j, log["time"]
        after = log[(time >= cut) & ((time < cut + width) | (j == 1))]
        assert_parts(split, log[(time < cut) & ((time >= cut - 3) | (not rolling))], after, repeats)


@given(logs(distinct_times=True), st.integers(1, 3), REPEATS)
@QUICK
def test_the_last_events_of_each_user(log, n, repeats):
    count, rank = log.groupby("user")["time"].transform("size"), log.groupby("user")["time"].rank(ascending=False)
    held_out = (count > n) & (rank <= n)
    assume(held_out.any())
    split = splits.leave_last(read(log), n, repeats=repeats)
    assert_parts(split, log[~held_out], log[held_out], repeats)


@given(logs(distinct_times=True), st.floats(0.2, 0.8), REPEATS)
@QUICK
def test_the_first_events_of_new_users(log, share, repeats):
    assume((read(log).matrix.sum(axis=1) > 0).sum() >= 2)
    try:
        split = splits.by_user(read(log), 0.5, history=share, order="time", repeats=repeats, random_state=0)
    except DataError:
        assume(False)
    mine = log[log["user"].isin(split.users.ids[np.diff(split.history.matrix.indptr) > 0])]
    count, rank = mine.groupby("user")["time"].transform("size"), mine.groupby("user")["time"].rank()
    first = rank <= np.clip(np.rint(share * count), 1, count - 1)
    assert_parts(split, mine[first], mine[~first], repeats)
    assert cells(split.train) == merged(log.drop(mine.index))


@given(logs(), st.integers(1, 11), st.integers(0, 9))
@QUICK
def test_events_go_where_their_interactions_go(log, at, seed):
    """Filtered, moved to another catalogue and back, and in the k-core."""
    data = read(log)
    kept = np.random.default_rng(seed).random(len(data)) < 0.7
    pairs = set(zip(data.users.ids[data.rows()[kept]], data.items.ids[data.matrix.indices[kept]], strict=True))
    log = log[[pair in pairs for pair in zip(log["user"], log["item"], strict=True)]]
    before, after = log[log["time"] < at], log[log["time"] >= at]
    assume(len(before))
    assume(len(after))
    few = data.filter(kept)
    wide = align(few, lrrec.IdMap([9, 3, 1, 0, 2]), lrrec.IdMap([5, 4, 3, 2, 1, 0]))
    for part in (few, wide, wide.align_items(few.items), few.k_core(1, 1)):
        assert cells(part) == cells(few)
        assert_parts(splits.by_time(part, at=at, repeats="keep"), before, after, "keep")


def test_nothing_is_kept_where_no_pair_repeats():
    data = Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 1], times=[1, 2, 3, 4])
    assert len(data.events.unmerged) == 4
    assert data.filter(data.rows() == 0).events is None
    assert Interactions.from_pairs([1, 1, 2], [1, 2, 1], times=[1, 2, 3]).events is None
    assert Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 1]).events is None
    assert splits.by_time(data, at=4, repeats="keep").train.events is None


@pytest.fixture
def milk():
    """Everybody buys milk (item 0) twice before time 100 and once after it, and one of nine other things each time."""
    rng, users = np.random.default_rng(0), np.repeat(np.arange(100), 6)
    items = np.where(np.arange(600) % 2, 0, 1 + rng.integers(0, 9, 600))
    times = np.tile([10, 20, 30, 40, 110, 120], 100) + rng.integers(0, 9, 600)
    return Interactions.from_pairs(users, items, times=times)


def test_what_people_buy_again_is_in_training_and_counts(milk):
    split = splits.by_time(milk, at=100, repeats="keep")
    assert split.train.matrix[:, [0]].nnz == split.test.matrix[:, [0]].nnz == 100
    model = lrrec.Popularity().fit(split.train)
    result = lrrec.evaluate(model, split, metrics=["hit@1"])
    assert result.mean() == {"hit@1": 1}
    assert result.protocol.exclude_seen is False
    assert f"kept; {split.n_repeats} test interactions are of such items" in result.protocol.describe()["seen items"]
    lists = model.recommend(result.users, 1, exclude_seen=False)
    assert lrrec.evaluate_lists(lists, split, metrics=["hit@1"]).mean() == {"hit@1": 1}


def test_new_things_alone(milk):
    split = splits.by_time(milk, at=100, repeats="drop")
    assert split.params == {"at": 100, "repeats": "drop"}
    assert split.exclude_seen
    assert split.train.matrix.multiply(split.test.matrix).nnz == 0
    assert lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@1"]).protocol.exclude_seen


def test_whoever_has_not_chosen_is_told(milk):
    with pytest.warns(DataWarning, match=r"by_time\(\): \d+ of \d+ test interactions repeat") as told:
        split = splits.by_time(milk, at=100)
    assert f" {split.n_repeats} of {len(split.test)} " in str(told[0].message)
    assert told[0].filename == __file__
    assert split.sha256 == splits.by_time(milk, at=100, repeats="keep").sha256
    with pytest.raises(ParameterError, match="repeats must be one of"):
        splits.by_time(milk, at=100, repeats="yes")


def test_excluding_what_is_to_be_found_is_remarked(milk):
    split = splits.by_time(milk, at=100, repeats="keep")
    model = lrrec.Popularity().fit(split.train)
    with pytest.warns(
        DataWarning, match=f"^{split.n_repeats} of {len(split.test)} test interactions are of items that"
    ):
        lrrec.evaluate(model, split, metrics=["hit@1"], exclude_seen=True)
    by_hand = Split(split.train, split.train, split.test)
    with pytest.warns(DataWarning) as told:
        lrrec.evaluate(model, by_hand, metrics=["hit@1"])
    assert any("pass exclude_seen=False" in str(one.message) for one in told)


def test_validation_during_a_fit_counts_repeats(milk):
    split = splits.with_validation(splits.by_time(milk, at=100, repeats="keep"), 100)
    assert split.validation.params["repeats"] == "keep"
    model, scores = lrrec.IALS(2, n_iter=2, random_state=0), []
    model.fit(split.validation.train, validation=split.validation, callback=lambda state: scores.append(state.score))
    result = lrrec.evaluate(model, split.validation, metrics=["ndcg@10"])
    assert max(scores) == pytest.approx(result.mean()["ndcg@10"], rel=1e-5)
    assert max(scores) > 0.4


# Ties in time


def table(n_users, n_items, time=5):
    """Everybody has had everything, at one time."""
    users, items = np.divmod(np.arange(n_users * n_items), n_items)
    return Interactions.from_pairs(users, items, times=np.full(len(users), time))


@pytest.mark.parametrize("make", [
    lambda data: splits.leave_last(data, 2, random_state=1),
    lambda data: splits.by_user(data, 299, history=0.8, order="time", random_state=1),
    lambda data: next(splits.k_folds(data, 2, history=0.8, order="time", random_state=1)),
])  # fmt: skip
def test_ties_in_time_are_drawn_evenly(make):
    """Of ten items that are all last, each is held out of a fifth of the users: no list of fixed items does better."""
    data = table(300, 10)
    with pytest.warns(DataWarning, match=r"ties in time decide what is held out of (300|299) users"):
        split = make(data)
    share = np.bincount(split.test.matrix.indices, minlength=10) / len(split.test_rows)
    np.testing.assert_allclose(share, 0.2, atol=0.1)
    assert quietly(make, data).sha256 == split.sha256


def test_items_that_begin_together_are_drawn():
    with pytest.warns(DataWarning, match=r"cold_items\(\): ties in time decide which of 100 items are held out"):
        split = splits.cold_items(table(2, 100), 0.5, order="time", random_state=0)
    assert 15 < (split.candidates >= 50).sum() < 35


def test_a_score_does_not_profit_from_ties():
    """Of a model that likes large indices."""

    class Largest(lrrec.Popularity):
        def _scores(self, encoded, columns):
            return np.tile(np.arange(len(self.items_), dtype=np.float32)[columns], (encoded.shape[0], 1))

    data = table(300, 100).filter(np.random.default_rng(0).random(300 * 100) < 0.3)
    model = Largest().fit(data)
    with pytest.warns(DataWarning, match=r"score\(\): ties in time decide what is held out of 300 users"):
        tied = model.score(data)
    assert tied == pytest.approx(model.score(replace(data, times=None)), rel=0.15)


@given(logs(), st.integers(1, 3))
@QUICK
def test_ties_are_counted_where_they_decide(log, n):
    log = log.drop_duplicates(["user", "item"])
    expected = sum(
        len(times) > n and times[-n - 1] == times[-n]
        for times in (sorted(own) for _, own in log.groupby("user")["time"])
    )
    assume((log.groupby("user").size() > n).any())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        split = splits.leave_last(read(log), n)
    assert [f" {expected} users" in str(one.message) for one in told] == [True] * (expected > 0)
    assert split.params == {"n": n} | ({"random_state": 0} if expected else {})
    assert split.seed == (0 if expected else None)


def test_a_seed_decides_ties():
    data = table(20, 6)
    first, again, other = (quietly(splits.leave_last, data, random_state=seed) for seed in (0, 0, 1))
    assert first.sha256 == again.sha256 != other.sha256
