"""Splits: nothing in both parts, nothing lost, nothing of the future in the past."""

import itertools
import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import interactions

import lrrec
from lrrec import Interactions, Split, splits
from lrrec.errors import DataError, LrrecError, ParameterError

QUICK = settings(max_examples=30, deadline=None)
ties_are_drawn = pytest.mark.filterwarnings("ignore:.*ties in time decide:lrrec.errors.DataWarning")


def cells(part):
    return set(zip(part.rows().tolist(), part.matrix.indices.tolist(), part.matrix.data.tolist(), strict=True))


def assert_lawful(split, data):
    """Nothing is shared, nothing lost, values and times stay with their interactions, maps are the same objects."""
    parts = [split.train, split.test] + ([split.history] if split.folds_in else [])
    assert sum(len(part) for part in parts) == len(data)
    assert set().union(*map(cells, parts)) == cells(data)
    when = dict(zip(zip(data.rows(), data.matrix.indices, strict=True), data.times, strict=True))
    for part in parts:
        assert part.users is data.users
        assert part.items is data.items
        assert [when[cell] for cell in zip(part.rows(), part.matrix.indices, strict=True)] == part.times.tolist()


@given(interactions(), st.floats(0.05, 0.9), st.integers(0, 9))
@QUICK
def test_random(data, test_size, seed):
    assume(round(test_size * len(data)) < len(data))
    split = splits.random(data, test_size, random_state=seed)
    assert_lawful(split, data)
    assert len(split.test) == max(1, round(test_size * len(data)))
    assert cells(split.test) == cells(splits.random(data, test_size, random_state=seed).test)
    assert not split.folds_in


@ties_are_drawn
@given(interactions(min_each=2), st.integers(1, 3))
@QUICK
def test_leave_last(data, n):
    counts = np.diff(data.matrix.indptr)
    assume((counts > n).any())
    split = splits.leave_last(data, n)
    assert_lawful(split, data)
    np.testing.assert_array_equal(np.diff(split.test.matrix.indptr), np.where(counts > n, n, 0))
    for user in split.test_rows:
        last_known = split.train.times[split.train.rows() == user].max()
        assert split.test.times[split.test.rows() == user].min() >= last_known


@given(interactions(), st.floats(0.05, 0.9))
@QUICK
def test_by_time_keeps_the_future_out_of_the_past(data, test_size):
    assume(len(np.unique(data.times)) > 1)
    try:
        split = splits.by_time(data, test_size)
    except LrrecError:
        assume(False)
    assert_lawful(split, data)
    assert split.train.times.max() < split.test.times.min()


@given(interactions(), st.integers(1, 9))
@QUICK
def test_by_time_at_a_given_time(data, at):
    assume(data.times.min() < at <= data.times.max())
    split = splits.by_time(data, at=at)
    assert_lawful(split, data)
    assert (split.train.times < at).all()
    assert (split.test.times >= at).all()


@given(interactions(min_users=4, min_each=2), st.floats(0.1, 0.9), st.floats(0, 1), st.integers(0, 9))
@QUICK
def test_by_user(data, test_size, history, seed):
    n_test = max(1, round(test_size * data.n_users))
    assume(n_test < data.n_users)
    split = splits.by_user(data, test_size, history=history, random_state=seed)
    assert_lawful(split, data)
    assert split.folds_in
    in_training = np.diff(split.train.matrix.indptr) > 0
    assert len(split.test_rows) == n_test
    assert not in_training[split.test_rows].any()
    given, total = np.diff(split.history.matrix.indptr), np.diff(data.matrix.indptr)
    rows = split.test_rows
    np.testing.assert_array_equal(given[rows], np.clip(np.rint(history * total[rows]), 1, total[rows] - 1))
    assert cells(split.test) == cells(splits.by_user(data, test_size, history=history, random_state=seed).test)


@ties_are_drawn
@given(interactions(min_users=4, min_each=3))
@QUICK
def test_by_user_in_the_order_of_time(data):
    split = splits.by_user(data, 2, history=0.5, order="time", random_state=0)
    for user in split.test_rows:
        given_until = split.history.times[split.history.rows() == user].max()
        assert split.test.times[split.test.rows() == user].min() >= given_until


def test_users_with_one_interaction_are_not_test_users(likes):
    data = Interactions.from_pairs([1, 2, 2, 3, 3, 4], [1, 1, 2, 1, 2, 1])
    for seed in range(5):
        assert set(splits.by_user(data, 1, random_state=seed).test_rows) <= {1, 2}


def test_dates():
    days = pd.date_range("2024-01-01", periods=4)
    data = Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 2], times=days)
    split = splits.by_time(data, at="2024-01-03")
    assert len(split.train) == len(split.test) == 2
    with pytest.raises(ParameterError, match="at must be a date"):
        splits.by_time(data, at="noon")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d: splits.random(d, 0.0), ParameterError, "test_size must be a finite number > 0"),
        (lambda d: splits.random(d, 1.0), ParameterError, "leave some"),
        (lambda d: splits.random(d, 10**9), ParameterError, "leave some"),
        (lambda d: splits.random(d, "half"), TypeError, "test_size must be an integer"),
        (lambda d: splits.random(d.matrix), DataError, "Interactions, got csr_array"),
        (lambda d: splits.leave_last(d, 0), ParameterError, "n must be"),
        (lambda d: splits.leave_last(d, 10**6), DataError, "more than n"),
        (lambda d: splits.by_time(d, 0.2, at=5), ParameterError, "either .*, got both"),
        (lambda d: splits.by_time(d, at="1990-01-01"), DataError, "after the first time"),
        (lambda d: splits.by_time(d, at="x"), ParameterError, "at must be a date"),
        (lambda d: splits.by_user(d, history=1.5), ParameterError, "history must be"),
        (lambda d: splits.by_user(d, order="date"), ParameterError, "order must be"),
        (lambda d: splits.by_time(Interactions.from_matrix(d.matrix)), DataError, "needs .* with times"),
        (lambda d: Split(d, d, Interactions.from_matrix(d.matrix)), DataError, "same IdMap"),
    ],
)
def test_bad_arguments(likes, make, error, words):
    with pytest.raises(error, match=words):
        make(likes)


def test_nanoseconds_are_compared_exactly():
    begun = 1_700_000_000_000_000_000
    data = Interactions.from_pairs([1, 1, 1, 2], [1, 2, 3, 1], times=[begun, begun + 50, begun + 100, begun - 10**9])
    assert sorted(splits.by_time(data, at=begun + 50).train.times) == [begun - 10**9, begun]


def assert_shares_maps(split, data):
    """The maps of ids are the very ones of the data, and no interaction is in two parts."""
    parts = [split.train, split.test] + ([split.history] if split.folds_in else [])
    assert all(part.users is data.users and part.items is data.items for part in parts)
    assert len(set().union(*map(cells, parts))) == sum(map(len, parts))


@ties_are_drawn
@given(interactions(min_users=5), st.integers(2, 4), st.sampled_from(["random", "time"]), st.integers(0, 9))
@QUICK
def test_every_eligible_user_is_tested_in_one_fold(data, n_folds, order, seed):
    counts = np.diff(data.matrix.indptr)
    assume((counts >= 2).sum() >= n_folds)
    folds = list(splits.k_folds(data, n_folds, order=order, random_state=seed))
    tested = np.concatenate([fold.test_rows for fold in folds])
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(counts >= 2))
    sizes = [len(fold.test_rows) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in folds:
        assert_lawful(fold, data)
        assert not (np.diff(fold.train.matrix.indptr) > 0)[fold.test_rows].any()
        assert (np.diff(fold.history.matrix.indptr) > 0)[fold.test_rows].all()


@given(interactions(), st.integers(2, 3), st.integers(0, 9))
@QUICK
def test_every_interaction_is_held_out_in_one_fold(data, n_folds, seed):
    assume(len(data) >= n_folds)
    folds = list(splits.k_folds(data, n_folds, by="interaction", random_state=seed))
    held_out = [cell for fold in folds for cell in cells(fold.test)]
    assert sorted(held_out) == sorted(cells(data))
    for fold in folds:
        assert_lawful(fold, data)


@given(interactions(), st.integers(2, 3), st.integers(0, 9))
@QUICK
def test_every_item_is_held_out_in_one_fold(data, n_folds, seed):
    items = np.unique(data.matrix.indices)
    assume(len(items) >= n_folds)
    folds = list(splits.k_folds(data, n_folds, by="item", random_state=seed))
    assert sorted(np.concatenate([fold.candidates for fold in folds])) == sorted(data.items.ids[items])
    for fold in folds:
        assert_lawful(fold, data)
        assert not set(fold.train.matrix.indices) & set(fold.test.matrix.indices)
        assert set(fold.test.items.ids[np.unique(fold.test.matrix.indices)]) == set(fold.candidates)


def test_validation_of_a_fold_of_items_is_of_items(likes):
    fold = next(splits.k_folds(likes, by="item", random_state=0))
    validation = splits.with_validation(fold, random_state=0).validation
    assert validation.kind == "cold_items"
    assert not set(validation.candidates) & set(fold.candidates)


def test_folds_are_the_same_for_the_same_seed(likes):
    def hashes(seed):
        return [fold.sha256 for fold in splits.k_folds(likes, 3, random_state=seed)]

    assert hashes(1) == hashes(1)
    assert len({*hashes(1), *hashes(2)}) == 6
    assert [fold.seed for fold in splits.k_folds(likes, 3, random_state=1)] == [1, 1, 1]


@ties_are_drawn
@given(interactions(), st.floats(0.05, 0.9), st.sampled_from(["random", "time"]))
@QUICK
def test_cold_items_have_no_training_interaction_and_are_the_candidates(data, test_size, order):
    n_eligible = len(np.unique(data.matrix.indices))
    n_cold = max(1, round(test_size * n_eligible))
    assume(n_cold < n_eligible)
    split = splits.cold_items(data, test_size, order=order, random_state=0)
    assert_lawful(split, data)
    cold = np.unique(split.test.matrix.indices)
    assert len(cold) == n_cold
    assert not np.isin(split.train.matrix.indices, cold).any()
    assert split.candidates.shape == (n_cold,)
    assert (split.candidates == data.items.ids[cold]).all()
    if order == "time":

        def first(part, item):
            return part.times[part.matrix.indices == item].min()

        newest_known = max(first(split.train, item) for item in np.unique(split.train.matrix.indices))
        assert all(first(split.test, item) >= newest_known for item in cold)


def test_a_model_of_interactions_alone_recommends_no_cold_item(likes):
    split = splits.cold_items(likes, random_state=0)
    result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@5"])
    assert not result.values["hit@5"].any()
    assert f"{len(split.candidates)} given items" in result.protocol.describe()["candidates"]


@given(interactions(), st.integers(1, 3), st.booleans(), st.booleans())
@QUICK
def test_windows_learn_from_the_past_alone(data, n_windows, by_width, rolling):
    low, high = int(data.times.min()), int(data.times.max())
    width = max(1, (high - low) // 4)
    size = {"width": width} if by_width else {"test_size": 0.2}
    try:
        found = list(splits.windows(data, n_windows, span=2 * width if rolling else None, **size))
    except LrrecError:
        assume(False)
    assert len(found) == n_windows
    for split in found:
        assert_shares_maps(split, data)
        assert split.train.times.max() < split.test.times.min()
        if rolling:
            assert split.train.times.min() >= split.test.times.min() - 2 * width - width
        if by_width:
            assert split.test.times.max() - split.test.times.min() <= width
    for split, later in itertools.pairwise(found):
        assert split.test.times.max() < later.test.times.min()
        if not rolling:
            assert cells(split.train) | cells(split.test) == cells(later.train)
    tested = [cell for split in found for cell in cells(split.test)]
    assert len(tested) == len(set(tested))
    assert found[-1].test.times.max() == high


def test_windows_of_dates():
    days = pd.date_range("2024-01-01", periods=12)
    data = Interactions.from_pairs(np.arange(12) % 3, np.arange(12), times=days)
    first, second = splits.windows(data, 2, width="2 days", span="3 days")
    assert [len(first.train), len(first.test), len(second.train), len(second.test)] == [3, 2, 3, 3]
    assert second.test.times.max() == np.datetime64("2024-01-12")
    assert "window 2, cut at 2024-01-10" in second.description
    assert second.params["width"] == "2 days"
    assert second.params["cut"].startswith("2024-01-10")


def test_windows_of_nanoseconds_are_cut_exactly():
    times = 1_700_000_000_000_000_000 + np.arange(4)
    found = list(splits.windows(Interactions.from_pairs([1] * 4, [1, 2, 3, 4], times=times), 2, width=1))
    assert [len(split.train) for split in found] == [1, 2]
    assert [len(split.test) for split in found] == [1, 2]  # the last one's end is in


def test_repeated_draws_with_seeds_of_their_own(likes):
    found = list(splits.repeated(partial(splits.by_user, likes, 0.1), 4, random_state=3))
    again = list(splits.repeated(partial(splits.by_user, likes, 0.1), 4, random_state=3))
    hashes = [split.sha256 for split in found]
    assert hashes == [split.sha256 for split in again]
    assert len(set(hashes)) == 4
    for split in found:
        assert_lawful(split, likes)
        made_again = splits.by_user(likes, 0.1, random_state=split.seed)
        assert made_again.as_dict() == split.as_dict()


def test_a_split_is_made_when_it_is_asked_for(likes):
    asked = []
    several = splits.repeated(lambda random_state: asked.append(random_state) or splits.leave_last(likes), 3)
    assert asked == []
    next(several)
    assert len(asked) == 1


def test_summary_is_for_a_json_file(likes):
    split = splits.by_user(likes, 50, random_state=np.int64(7))
    found = json.loads(json.dumps(split.as_dict()))
    assert found == split.as_dict()
    assert found["seed"] == 7
    assert found["test"] == {
        "users": 50,
        "items": len(np.unique(split.test.matrix.indices)),
        "interactions": len(split.test),
        "cold users": 0,
        "cold items": len(np.setdiff1d(split.test.matrix.indices, split.train.matrix.indices)),
    }
    assert found["train"]["interactions"] + found["history"]["interactions"] + len(split.test) == len(likes)
    assert found["description"] == split.description
    assert found["params"] == {"test_size": 50, "history": 0.8, "order": "random", "random_state": 7}
    assert splits.random(likes, random_state=np.random.default_rng(0)).as_dict()["seed"] is None


@pytest.mark.parametrize("make", [
    splits.random, splits.leave_last, splits.by_user, splits.cold_items, splits.cold_users, splits.by_time,
    lambda d, **more: splits.by_time(d, at=d.times[len(d) // 2]),
    lambda d, **more: splits.by_user(d, np.float64(0.3), order="time", **more),
])  # fmt: skip
def test_kind_and_params_make_the_split_again(likes, make):
    """Also after a round trip through JSON; the description is the same call, as code."""
    seed = {"random_state": np.int64(3)} if make not in (splits.leave_last, splits.by_time) else {}
    split = make(likes, **seed)
    stored = json.loads(json.dumps(split.as_dict()))
    for again in (
        getattr(splits, stored["kind"])(likes, **stored["params"]),
        eval(split.description.replace("(", "(data, ", 1), vars(splits) | {"data": likes}),
    ):
        assert again.as_dict() == split.as_dict()


def test_descriptions():
    data = Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 2], times=[1, 2, 3, 4])
    by_user = splits.by_user(data, 1, random_state=0)
    assert by_user.description == "by_user(test_size=1, history=0.8, order='random', random_state=0)"
    fold = next(splits.k_folds(data, 2, by="interaction", random_state=0))
    assert fold.description == "k_folds(n_folds=2, by='interaction', random_state=0), fold 1"
    window = next(splits.windows(data, 1, width=2))
    assert window.description == "windows(n_windows=1, test_size=None, width=2, span=None), window 1, cut at 2"
    more = Interactions(sp.csr_array(data.matrix, shape=(2, 9)), data.users, lrrec.IdMap.range(9), data.times)
    last = splits.with_negatives(splits.leave_last(more), 3, random_state=5)
    assert last.description == "leave_last(n=1), 3 negatives a user (random_state=5)"
    assert last.params == {"n": 1, "negatives": {"n": 3, "random_state": 5}}
    assert Split(data, data, data).description == ""


def hash_of(users=(1, 1, 2, 2), items=(1, 2, 1, 2), values=(1, 2, 3, 4), times=(1, 2, 3, 4), test=(1, 3), **more):
    times = None if times is None else np.array(times)
    data = Interactions.from_pairs(list(users), list(items), values=list(values), times=times)
    held_out = np.isin(np.arange(len(data)), test)
    train = data.filter(~held_out)
    return Split(train, train, data.filter(held_out), **more).sha256


@pytest.mark.parametrize("change", [
    {"users": (1, 1, 3, 3)}, {"users": ("1", "1", "2", "2")}, {"items": (1, 3, 1, 3)}, {"values": (1, 2, 3, 5)},
    {"times": (1, 2, 3, 5)}, {"times": None}, {"test": (0, 3)}, {"candidates": np.array([[1], [2]])},
    {"times": (1.0, 2.0, 3.0, 4.5)},
])  # fmt: skip
def test_other_splits_have_another_hash(change):
    assert hash_of(**change) != hash_of()


def test_the_hash_is_of_what_is_held_not_of_how():
    assert hash_of() == hash_of(kind="another way", params={"n": 1}, seed=3)
    assert hash_of() == hash_of(users=[2, 2, 1, 1], items=[1, 2, 1, 2], values=[3, 4, 1, 2], times=[3, 4, 1, 2])
    assert hash_of() == hash_of(times=np.array([1, 2, 3, 4], dtype=np.int32))
    assert hash_of(candidates=np.array([[1], [2]])) != hash_of(candidates=np.array([[2], [1]]))
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04T00:00:00.5"], dtype="datetime64[ms]")
    assert hash_of(times=days) == hash_of(times=days.astype("datetime64[ns]"))
    assert hash_of(times=days) != hash_of(times=days + np.timedelta64(1, "ms"))


def test_the_hash_stays_the_same_from_release_to_release():
    assert hash_of() == "524cd7a73a066216033cfd0b78f6ea3d50e64a4375208db6c2d58a83f305789c"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d: splits.k_folds(d, 1), ParameterError, "n_folds must be"),
        (lambda d: splits.k_folds(d, 10**6), DataError, "users with two interactions, got"),
        (lambda d: splits.k_folds(d, 10**6, by="interaction"), DataError, "interactions, got"),
        (lambda d: splits.k_folds(d, 10**6, by="item"), DataError, "items with an interaction, got"),
        (lambda d: splits.k_folds(d, by="genre"), ParameterError, "by must be one of"),
        (lambda d: splits.k_folds(d, history=2), ParameterError, "history must be"),
        (lambda d: splits.k_folds(d.matrix), DataError, "Interactions, got csr_array"),
        (lambda d: splits.cold_items(d, 10**6), ParameterError, "leave some of the .* items"),
        (lambda d: splits.cold_items(d, order="popular"), ParameterError, "order must be"),
        (
            lambda d: splits.cold_items(Interactions.from_matrix(d.matrix), order="time"),
            DataError,
            "needs .* with times",
        ),
        (lambda d: splits.repeated(d), TypeError, "make must be called with random_state"),
        (lambda d: splits.repeated(lambda random_state: d, 0), ParameterError, "n must be"),
        (lambda d: next(splits.repeated(lambda random_state: d)), TypeError, "make must return a Split, got Inter"),
        (
            lambda d: splits.windows(d, 3, test_size=0.1, width=5),
            ParameterError,
            "either .*, got both",
        ),
        (lambda d: splits.windows(d, 11, test_size=0.1), ParameterError, "n_windows x test_size must leave some"),
        (lambda d: splits.windows(d, 2, width="10000 days"), DataError, "no training interaction before 19"),
        (lambda d: splits.windows(d, 2, width="1 ns"), DataError, "no test interaction from 20"),
        (lambda d: splits.windows(numbered(d), 2, width="a week"), TypeError, "width must be a number > 0"),
        (lambda d: splits.windows(numbered(d), 2, width=0), ParameterError, "width must be an integer >= 1"),
        (lambda d: splits.windows(numbered(d), 2, span=-0.5), ParameterError, "span must be a finite number > 0"),
        (lambda d: splits.windows(Interactions.from_matrix(d.matrix)), DataError, "needs .* with times"),
    ],
)
def test_bad_arguments_of_several_splits(likes, make, error, words):
    with pytest.raises(error, match=words):
        make(likes)


def numbered(data):
    """The same with times that are numbers of seconds."""
    return Interactions(data.matrix, data.users, data.items, data.times.astype(np.int64))


@pytest.mark.parametrize("width", ["soon", 5, "0 days", "-1 days", object(), pd.NaT])
def test_lengths_of_time_between_dates(width):
    days = pd.date_range("2024-01-01", periods=4)
    data = Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 2], times=days)
    with pytest.raises(ParameterError, match="width must be a length of time > 0"):
        splits.windows(data, 1, width=width)


def test_negatives_are_what_the_user_has_nothing_of(likes):
    split = splits.with_negatives(splits.leave_last(likes), 20, random_state=0)
    again = splits.with_negatives(splits.leave_last(likes), 20, random_state=0)
    np.testing.assert_array_equal(split.candidates, again.candidates)
    whole = likes.matrix
    drawn = np.zeros(likes.n_items, dtype=int)
    for row, candidates in zip(
        split.test_rows, split.items.indices(split.candidates.ravel()).reshape(-1, 21), strict=True
    ):
        assert (np.diff(candidates) > 0).all()
        test = split.test.matrix[[row]].indices[0]
        assert set(candidates.tolist()) & set(whole[[row]].indices.tolist()) == {test}
        drawn[candidates[candidates != test]] += 1
    popularity = np.bincount(whole.indices, minlength=likes.n_items)
    assert abs(np.corrcoef(drawn, popularity)[0, 1]) < 0.7  # alike, but for what users have
    assert (drawn > 0).mean() > 0.95
    with pytest.raises(ParameterError, match="at most what is neither relevant nor seen"):
        splits.with_negatives(splits.leave_last(likes), 10**4)
    with pytest.raises(DataError, match="the same number of test interactions"):
        splits.with_negatives(splits.random(likes, random_state=0))
