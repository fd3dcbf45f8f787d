"""Parts of a split: what they share by ids, what is cold in them, parts made elsewhere, validation, the k-core."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import interactions

import lrrec
from lrrec import Interactions, Split, splits
from lrrec.errors import DataError, ParameterError

QUICK = settings(max_examples=15, deadline=None)


# What the model has learned


def learned(model, split):
    """How many test interactions `evaluate` says that the model has learned."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        lrrec.evaluate(model, split, metrics=["hit@5"])
    counts = [str(one.message).split()[5] for one in told if "has learned from" in str(one.message)]
    return int(counts[0]) if counts else 0


@pytest.mark.parametrize("make", [splits.random, splits.by_user, lambda data, **_: splits.leave_last(data)])
@pytest.mark.parametrize("extra", ["nothing", "one more user", "one more item", "fewer users", "fewer items"])
def test_what_a_model_has_learned_is_found_by_ids(likes, make, extra):
    split = make(likes, random_state=0)
    table = likes.to_frame()
    more = pd.DataFrame({"user": [10**6 if extra == "one more user" else table["user"][0]],
                         "item": [-5 if extra == "one more item" else table["item"][0]]})  # fmt: skip
    if extra == "fewer users":
        table = table[table["user"] != split.users.ids[split.test_rows[0]]]
    if extra == "fewer items":
        table = table[table["item"] % 3 > 0]
    model = lrrec.Popularity().fit(Interactions.from_frame(pd.concat([table, more]).drop_duplicates(["user", "item"])))
    test = split.test.to_frame()
    common = test.merge(table, on=["user", "item"])
    rest = Split(split.train, split.history, split.test.filter(np.isin(split.test.rows(), split.test_rows[1:])))
    split = rest if extra == "fewer users" and not split.folds_in else split  # others are unknown to it
    assert learned(model, split) == len(common)
    assert learned(lrrec.Popularity().fit(split.train), split) == 0


def test_kept_repeats_are_not_learned_from_the_test_part():
    data = Interactions.from_pairs([1, 1, 1, 2, 2, 2], [1, 2, 1, 1, 2, 3], times=[1, 2, 5, 1, 2, 5])
    split = splits.by_time(data, at=5, repeats="keep")
    assert learned(lrrec.Popularity().fit(split.train), split) == 0
    assert learned(lrrec.Popularity().fit(data), split) == 1  # user 2's item 3


def test_equal_ids_of_other_people_are_no_overlap():
    """Two domains whose users are numbered from 0, with some items in common by chance."""
    rng = np.random.default_rng(0)
    one, other = (Interactions.from_matrix((rng.random((n, 50)) < 0.2).astype(np.float32)) for n in (80, 60))
    assert learned(lrrec.Popularity().fit(one), splits.by_user(other, random_state=0)) == 0


def test_ids_of_another_kind_have_nothing_in_common(likes):
    split = splits.by_user(likes, random_state=0)
    strings = likes.to_frame().astype({"user": str})
    model = lrrec.Popularity().fit(Interactions.from_frame(strings))
    assert learned(model, split) == 0


# What is cold


@given(interactions(), st.floats(0.2, 0.8))
@QUICK
def test_summary_counts_what_is_cold(data, test_size):
    try:
        split = splits.by_time(data, test_size)
    except (DataError, ParameterError):
        assume(False)
    train, test = split.train.to_frame(), split.test.to_frame()
    rows = split.summary().set_index("part")
    assert rows.columns.tolist() == ["users", "items", "interactions", "cold users", "cold items"]
    assert rows.loc["train"].tolist() == [train["user"].nunique(), train["item"].nunique(), len(train), 0, 0]
    cold = [len(set(test[column]) - set(train[column])) for column in ("user", "item")]
    assert rows.loc["test"].tolist() == [test["user"].nunique(), test["item"].nunique(), len(test), *cold]
    protocol = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@1"]).protocol
    assert [protocol.n_cold, protocol.n_cold_items] == cold
    assert protocol.n_on_cold_items == (~test["item"].isin(train["item"])).sum()
    assert f"{cold[1]} of {test['item'].nunique()} test items" in protocol.describe()["cold items"]


def test_test_users_with_a_history_are_not_cold(likes):
    split = splits.by_user(likes, random_state=0)
    rows = split.summary().set_index("part")
    assert rows.index.tolist() == ["train", "history", "test"]
    assert (rows["cold users"] == 0).all()
    assert split.summary("polars").columns == split.summary().columns.tolist()
    assert split.as_dict()["test"] == rows.loc["test"].to_dict()


def test_an_evaluation_shows_how_many_test_items_nobody_could_learn(likes):
    split = splits.cold_items(likes, 30, random_state=0)
    result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@5"])
    assert repr(result).splitlines()[0].endswith("; 30 of 30 test items not in training")
    shown = f"30 of 30 test items have no training interaction ({len(split.test)} test interactions)"
    assert result.protocol.describe()["cold items"] == shown


# Parts made elsewhere


@given(interactions(min_users=4), st.integers(0, 9), st.booleans())
@QUICK
def test_a_split_of_frames_is_the_split_they_came_from(data, seed, new_users):
    part = np.random.default_rng(seed).integers(0, 3, data.n_users if new_users else len(data))
    part = part[data.rows()] if new_users else part
    assume(set(part) == {0, 1, 2})
    frames = [data.filter(part == p).to_frame().sample(frac=1, random_state=0) for p in range(3)]
    how = {"value": "value", "time": "time"}
    split = Split.from_frames(frames[0], frames[1], validation=frames[2], **how)
    for one, frame in ((split.train, frames[0]), (split.test, frames[1]), (split.validation.test, frames[2])):
        assert one.users is split.users
        assert one.items is split.items
        pd.testing.assert_frame_equal(
            one.to_frame(), frame.sort_values(["user", "item"], ignore_index=True), check_dtype=False
        )
    assert split.validation.train is split.train
    assert set(split.users) == set(data.users.ids[np.unique(data.rows())])
    parts = [Interactions.from_frame(frame, **how) for frame in frames]
    assert Split.from_frames(parts[0], parts[1], validation=parts[2]).sha256 == split.sha256


def test_frames_with_histories(likes):
    made = splits.by_user(likes, random_state=0)
    frames = [part.to_frame() for part in (made.train, made.test, made.history)]
    split = Split.from_frames(*frames, user="user", item="item")
    assert (split.kind, split.folds_in) == ("given", True)
    model = lrrec.ItemKNN()
    one, other = (lrrec.evaluate(model.fit(s.train), s, metrics=["ndcg@10"]) for s in (split, made))
    assert one.mean() == other.mean()


@pytest.mark.parametrize("repeats", ["keep", "drop"])
def test_frames_that_repeat_themselves(repeats):
    train = pd.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 1]})
    test = pd.DataFrame({"user": ["a", "b"], "item": [1, 3]})
    split = Split.from_frames(train, test, repeats=repeats)
    assert len(split.test) == (2 if repeats == "keep" else 1)
    assert split.exclude_seen == (repeats == "drop")
    assert split.params == {"repeats": repeats}
    with pytest.raises(ParameterError, match="repeats must be one of"):
        Split.from_frames(train, test, repeats="some")


def test_frames_of_different_ids():
    with pytest.raises(DataError, match="all integers or all strings"):
        Split.from_frames(pd.DataFrame({"user": [1], "item": [1]}), pd.DataFrame({"user": ["1"], "item": [1]}))


# Three parts


@pytest.mark.parametrize("make", [
    splits.random, splits.by_user, splits.cold_items, lambda data, **_: splits.by_time(data),
    lambda data, **_: splits.leave_last(data), lambda data, **_: next(splits.windows(data, 2)),
    lambda data, **more: splits.by_user(data, history=0.5, order="time", **more),
    lambda data, **more: next(splits.k_folds(data, 3, **more)),
])  # fmt: skip
def test_validation_is_of_the_training_part_and_made_alike(likes, make):
    split = splits.with_validation(make(likes, random_state=0), random_state=3)
    inner = split.validation
    assert sum(map(len, (inner.train, inner.test))) + len(inner.history) * inner.folds_in == len(split.train)
    for part in (inner.train, inner.test, inner.history):
        assert part.matrix.multiply(split.train.matrix).nnz == len(part)
    assert inner.folds_in == split.folds_in
    assert inner.kind in (split.kind, "by_user", "by_time")
    assert (split.params.get("history"), split.params.get("order")) == (
        inner.params.get("history"), inner.params.get("order"))  # fmt: skip
    assert split.sha256 != make(likes, random_state=0).sha256
    assert split.summary()["part"].tolist()[-2:] == ["validation", "test"]
    assert split.as_dict()["validation"]["sha256"] == inner.sha256


def test_tune_uses_the_validation_of_a_split(likes):
    pytest.importorskip("optuna")
    split = splits.with_validation(splits.by_user(likes, random_state=0), 0.3, random_state=7)
    tuned = lrrec.tune(lrrec.EASE(), split, space={"reg": [10.0, 100.0]})
    assert tuned.validation == split.validation.description
    assert tuned.model_.seen_.nnz == len(split.train)


def test_validation_has_the_items_of_its_split(likes):
    split = splits.by_user(likes, random_state=0)
    with pytest.raises(DataError, match="validation must be a Split of the same IdMap"):
        Split(split.train, split.history, split.test, validation=splits.random(likes.k_core(), random_state=0))


# The k-core


@given(interactions(), st.integers(1, 4), st.integers(1, 4))
@QUICK
def test_k_core(data, users, items):
    table, before = data.to_frame(), -1
    while before != len(table):
        before = len(table)
        table = table[table.groupby("user")["item"].transform("size") >= users]
        table = table[table.groupby("item")["user"].transform("size") >= items]
    if not len(table):
        with pytest.raises(DataError, match="no interaction is left with"):
            data.k_core(users, items)
        return
    core = data.k_core(users, items)
    pd.testing.assert_frame_equal(core.to_frame(), table.reset_index(drop=True), check_dtype=False)
    assert np.diff(core.matrix.indptr).min() >= users
    assert np.bincount(core.matrix.indices, minlength=core.n_items).min() >= items


def test_a_chain_falls_apart_link_by_link():
    users = np.repeat(np.arange(50), 2)
    chain = Interactions.from_pairs(users[:-1], (np.arange(100) + 1)[:-1] // 2)
    with pytest.raises(DataError, match="no interaction is left"):
        chain.k_core(2, 2)
    for bad in ({"users": 0}, {"items": "5"}):
        with pytest.raises((ParameterError, TypeError), match=f"{next(iter(bad))} must be an integer"):
            chain.k_core(**bad)
    assert isinstance(chain.k_core(1, 1).matrix, sp.csr_array)
