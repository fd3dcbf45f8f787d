"""evaluate_lists and groups of items: lists of any form, the same as evaluate."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lrrec
from lrrec import Interactions
from lrrec.errors import DataError, DataWarning, ParameterError


@pytest.fixture(scope="module")
def fitted(split):
    return lrrec.IALS(n_factors=8, n_iter=5, random_state=0).fit(split.train)


@pytest.fixture(scope="module")
def lists(fitted, split):
    return fitted.recommend_from(split.history, 20)


def test_ready_made_lists_of_every_form_are_what_evaluate_finds(fitted, split, lists):
    names = ["ndcg@10", "graded-ndcg@5", "recall@20"]
    want = lrrec.evaluate(fitted, split, names)
    frame = lists.to_frame()
    shuffled = frame.sample(frac=1, random_state=0)
    forms = [lists, frame, pl.DataFrame(frame.to_dict("list")), shuffled[["user", "item", "rank"]]]
    results = [lrrec.evaluate_lists(form, split, names) for form in forms]
    results.append(lrrec.evaluate_lists(frame[["user", "item", "score"]], split, names))
    results.append(lrrec.evaluate_lists(lists.items, split, names, users=lists.users))
    results.append(lrrec.evaluate_lists(lists.items.tolist(), split, names, users=lists.users))
    for result in results:
        np.testing.assert_array_equal(result.users, want.users)
        np.testing.assert_array_equal(result.history_sizes, want.history_sizes)
        for name in names:
            np.testing.assert_array_equal(result.values[name], want.values[name])
    unknown = lrrec.evaluate_lists(lists, split.test, names)
    assert set(unknown.history_sizes) == {-1}
    with pytest.raises(DataError, match="the histories of ready-made lists are not known"):
        unknown.by_history()


def test_ids_of_any_kind_are_found():
    """A table for integers that lie close together, a hash for others: the same."""
    close = Interactions.from_pairs([0, 0, 7, 7], [-3, 5, 5, 6])
    for of_users, of_items in ((lambda x: x, lambda x: x), (lambda x: x * 10**12, lambda x: x * 10**15), (str, str)):
        test = Interactions.from_pairs(
            [of_users(user) for user in close.users.ids[close.rows()].tolist()],
            [of_items(item) for item in close.items.ids[close.matrix.indices].tolist()],
        )
        rows = [[of_items(item) for item in row] for row in ([5, 9, -3], [-4, -3, 6])]
        result = lrrec.evaluate_lists(rows, test, ["map@3", "mrr@3"], users=[of_users(0), of_users(7)])
        order = np.argsort(test.users.find([of_users(0), of_users(7)]))
        assert result.values["map@3"][order].tolist() == pytest.approx([(1 + 2 / 3) / 2, 1 / 6])


def test_users_without_a_list_have_found_nothing_and_others_are_left_out(split, lists):
    frame = lists.to_frame()
    cut = frame[frame["user"] != lists.users[0]]
    extra = pd.DataFrame({"user": [10**7], "item": [frame["item"][0]], "rank": [1]})
    with pytest.warns(DataWarning, match=f"1 of {len(lists)} test users have no list .* no hit: {lists.users[0]}"):
        result = lrrec.evaluate_lists(pd.concat([cut, extra]), split.test, ["hit@20"])
    assert len(result.users) == len(lists)
    assert result.values["hit@20"][result.users == lists.users[0]] == 0
    assert "1 of them without a list" in result.protocol.describe()["users"]
    assert "1 users with a list but no test interaction" in result.protocol.describe()["users"]


def test_lists_that_cannot_be_meant_are_refused(split, lists):
    frame, ids = lists.to_frame(), lists.users
    for bad, message in (
        (frame.drop(columns=["rank", "score"]), "a column 'rank' or 'score', got user, item"),
        (frame.assign(rank=frame["rank"] - 1), "integers from 1 on, got 0"),
        (frame.assign(rank=frame["rank"] / 2), "integers from 1 on, got float64"),
        (frame.assign(rank=1), "distinct ranks"),
        (frame.drop(columns="rank").assign(score=np.nan), "must not be"),
        (frame.assign(item=frame["item"][0]), "must not hold an item twice"),
    ):
        with pytest.raises(DataError, match=message):
            lrrec.evaluate_lists(bad, split.test)
    with pytest.raises(DataError, match="a user must have one list, got more for"):
        lrrec.evaluate_lists(lists.items[:2], split.test, users=ids[[0, 0]])
    with pytest.raises(DataError, match="lists must have a row for each of the 2 users"):
        lrrec.evaluate_lists(lists.items, split.test, users=ids[:2])
    with pytest.raises(ParameterError, match="users must be given with an array"):
        lrrec.evaluate_lists(lists.items, split.test)
    with pytest.raises(ParameterError, match="users must not be given with a frame"):
        lrrec.evaluate_lists(frame, split.test, users=ids)
    with pytest.raises(ParameterError, match="a metric must be NAME@K with NAME one of ndcg"):
        lrrec.evaluate_lists(frame, split.test, ["auc"])
    with pytest.raises(DataError, match="test must be Interactions or a Split"):
        lrrec.evaluate_lists(frame, frame)


def test_seen_items_in_ready_made_lists_are_noticed(fitted, split):
    seen = fitted.recommend_from(split.history, 10, exclude_seen=False)
    with pytest.warns(DataWarning, match="seen items are in the lists"):
        lrrec.evaluate_lists(seen, split)


def test_groups_of_items(split, lists):
    groups = lrrec.popularity_groups(split.train)
    counts = np.bincount(split.train.matrix.indices, minlength=split.train.n_items)
    popular = groups == "popular"
    assert counts[popular].min() >= counts[~popular].max()
    assert counts[popular].sum() >= 0.33 * counts.sum() > counts[popular].sum() - counts[popular].min()
    found = lrrec.by_item_group(lists, split, groups, ["recall@20", "hit@20"])
    assert found["group"].tolist() == ["popular", "popular", "tail", "tail"]
    row = found.iloc[2]
    recalls = []
    for user, items in zip(lists.users, lists.items, strict=True):
        relevant = split.test.matrix[split.users.indices([user])].indices
        wanted = split.items.ids[relevant[~popular[relevant]]]
        if len(wanted):
            recalls.append(np.isin(wanted, items.compressed()).mean())
    assert (row["n"], row["mean"]) == (len(recalls), pytest.approx(np.mean(recalls)))
    assert found["mean"][0] > row["mean"]
