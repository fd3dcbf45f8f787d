"""Learning curves of a transfer, from Python and on the command line."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec import Interactions
from lrrec.adapt import LearningCurve, learning_curve, transfer
from lrrec.errors import DataError, ParameterError, ParameterTypeError


@pytest.fixture(scope="module")
def base(source):
    return lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=4, random_state=0).fit(source)


@pytest.fixture(scope="module")
def curve(base, target):
    few = target.filter(target.rows() < 70)
    return learning_curve(base, few, sizes=[20, 10_000], n_test=15, n_validation=15, metric="ndcg@5")


def test_every_method_is_measured_on_the_same_new_users(curve, base, target):
    values = curve.values
    assert curve.base is base
    assert values["users"].unique().tolist() == [20, 70 - 15 - 15]
    methods = [
        "popularity",
        "fold-in",
        "scratch",
        "item-item scratch",
        "item-item",
        "item-item of scores",
        "anchored",
        "low-rank 8",
        "guarded",
    ]
    assert values["method"].unique().tolist() == methods
    users = {tuple(group["user"]) for _, group in values.groupby(["users", "method"])}
    assert len(users) == 1
    assert len(set(*users)) == 15
    fold_in = values[values["method"] == "fold-in"].pivot_table(index="user", columns="users", values="ndcg@5")
    assert (fold_in.nunique(axis=1) == 1).all(), "the base as it is does not depend on the number of target users"


def test_the_guarded_choice_is_the_one_that_the_verdict_names(curve):
    for choice in curve.choices.itertuples():
        of_size = curve.values[curve.values["users"] == choice.users].set_index("method")["ndcg@5"]
        if choice.kept in of_size.index:
            np.testing.assert_allclose(of_size["guarded"], of_size[choice.kept], atol=1e-6)
        assert f"{choice.users} users: kept {choice.kept} ({choice.verdict})" in repr(curve)


def test_the_last_interaction_is_to_be_found(source, target):
    """Popularity, the one method without settings, measured by hand: all but the test users are counted."""
    times = np.random.default_rng(0).permutation(len(target)).astype(np.int64)
    timed = Interactions(target.matrix, target.users, target.items, times)
    few = timed.filter(timed.rows() < 40)
    curve = learning_curve(lrrec.EASE(10).fit(source), few, sizes=[], n_test=9)
    assert curve.values["users"].unique().tolist() == [40 - 9]
    measured = curve.values[curve.values["method"] == "popularity"].set_index("user")["ndcg@10"]
    last = lrrec.splits.leave_last(few)
    is_test = np.isin(few.users.ids, measured.index)
    train, history, test = (
        part.filter(is_test[part.rows()] == of_test) for part, of_test in ((few, 0), (last.train, 1), (last.test, 1))
    )
    evaluation = lrrec.evaluate(lrrec.Popularity().fit(train), lrrec.Split(train, history, test), metrics=["ndcg@10"])
    assert measured.index.tolist() == evaluation.users.tolist()
    np.testing.assert_array_equal(measured, evaluation.values["ndcg@10"])
    assert measured.mean() > 0


def test_means_and_standard_errors():
    """Over users, each of whom counts once however often they were drawn."""
    values = pd.DataFrame({
        "draw": [0, 0, 1, 1], "users": 10, "method": "a", "user": [1, 2, 1, 3], "ndcg@10": [0.0, 1.0, 1.0, 0.5],
    })  # fmt: skip
    curve = LearningCurve(None, "ndcg@10", values, pd.DataFrame(columns=["draw", "users", "kept", "verdict"]))
    per_user = np.array([0.5, 1.0, 0.5])
    (row,) = curve.summary().to_dict("records")
    assert row == {
        "users": 10, "method": "a", "ndcg@10": pytest.approx(per_user.mean()),
        "standard error": pytest.approx(per_user.std(ddof=1) / np.sqrt(3)),
    }  # fmt: skip


def test_several_sources_have_different_users(monkeypatch, source, target):
    monkeypatch.setattr(transfer, "BASES", [(0.2, 0.02)])
    one = source.filter(source.rows() < 60)
    joined = transfer.join([one, one, target])
    assert joined.n_users == 2 * one.n_users + target.n_users
    assert set(joined.items.ids) == set(one.items.ids) | set(target.items.ids)
    assert len(joined) == 2 * len(one) + len(target)
    made = transfer._base([one, one], "ndcg@10", 0)
    assert len(made.users_) == 2 * one.n_users


def test_what_cannot_be_measured_is_refused(base, target):
    with pytest.raises(ParameterTypeError, match="target must be Interactions, got Popularity"):
        learning_curve(base, lrrec.Popularity())
    with pytest.raises(ParameterTypeError, match="source must be Interactions, several of them, or a fitted model"):
        learning_curve([base], target)
    with pytest.raises(ParameterError, match="sizes must be an integer >= 2, got 1"):
        learning_curve(base, target, sizes=[1])
    with pytest.raises(DataError, match="target must have users to train on beside 42 test and 78 validation users"):
        learning_curve(base, target, n_validation=78)


@pytest.fixture
def run(run, tmp_path, made_up, monkeypatch):
    """Run `lrrec benchmark` in a folder with a file for each population; return (code, output, errors)."""
    likes = made_up.ratings[made_up.ratings["rating"] >= 4].merge(made_up.users, on="user")
    for name, group in likes.groupby("population"):
        group[group["user"] < group["user"].min() + 80].to_csv(tmp_path / f"{name}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "BASES", [(0.2, 0.02)])
    monkeypatch.setattr(transfer, "N_FACTORS", 8)

    return partial(run, "benchmark")


@pytest.mark.slow
def test_a_transfer_on_the_command_line(run, tmp_path):
    pytest.importorskip("jinja2")
    words = ("--sizes", 1000, "--validation-users", 12, "--time-column", "time", "--metric", "ndcg@5", "--out", "out")
    code, shown, err = run("--transfer", "source.csv+source.csv:target.csv", *words)
    assert code == 0, err
    assert shown.count("source.csv: Interactions(80 users") == 2
    assert "40 users: kept " in shown
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {row["users"] for row in results["curve"]} == {40}
    assert [choice["users"] for choice in results["guard"]] == [40]
    users = pd.read_csv(tmp_path / "out" / "users.csv")
    assert list(users.columns) == ["draw", "users", "method", "user", "ndcg@5"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "source.csv + source.csv to target.csv" in page
    assert "ndcg@5 by number of target users, 40 to 40" in page  # the picture
    assert page.count("± ") == users["method"].nunique()
    for choice in results["guard"]:
        assert f"kept {choice['kept']} (" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "DATA must be the name of a data set or a file, or --transfer SOURCE:TARGET, got neither"),
        (("made-up", "--transfer", "a:b"), "DATA cannot be used with --transfer"),
        (("--transfer", "a:b", "--models", "ease"), "--models cannot be used with --transfer"),
        (("made-up", "--draws", 2), "--draws is for transfers: add --transfer"),
        (("--transfer", "source.csv"), "--transfer must be SOURCE:TARGET, got 'source.csv'"),
        (("--transfer", "source.csv:none.csv"), "DATA must be an existing file or one of"),
        (("--transfer", "source.csv:target.csv", "--sizes", "few"), "--sizes must be integers separated by commas"),
        (("--transfer", "source.csv:target.csv", "--metric", "coverage@5"), "metric"),
        (("--transfer", "source.csv:target.csv", "--metric", "ndcg@5", "--metric", "hit@5"), "--metric must be one"),
        (("--transfer", "source.csv:target.csv", "--out", "no/where"), "--out must be a folder"),
    ],
)
def test_errors_of_transfers(run, words, message):
    code, _, err = run(*words)
    assert code == 1
    assert message in err
    assert len(err.splitlines()) == 1
