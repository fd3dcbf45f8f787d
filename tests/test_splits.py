"""Splits: nothing in both parts, nothing lost, nothing of the future in the past."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import interactions

from lrrec import Interactions, Split, splits
from lrrec.errors import DataError, LrrecError, ParameterError

QUICK = settings(max_examples=60, deadline=None)


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
        (lambda d: splits.by_time(d, 0.2, at=5), ParameterError, "got both"),
        (lambda d: splits.by_time(d, at="1990-01-01"), DataError, "after the first time"),
        (lambda d: splits.by_time(d, at="x"), ParameterError, "at must be a date"),
        (lambda d: splits.by_user(d, history=1.5), ParameterError, "history must be"),
        (lambda d: splits.by_user(d, order="date"), ParameterError, "order must be"),
        (lambda d: splits.by_time(Interactions.from_matrix(d.matrix)), DataError, "times, got none"),
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
