"""The command line splits and measures as Python does."""

import json

import numpy as np
import pandas as pd
import pytest

import lrrec
from lrrec.cli import inputs
from lrrec.errors import DataWarning


@pytest.fixture(autouse=True)
def wide(run, monkeypatch):
    """Tables are not wrapped."""
    monkeypatch.setenv("COLUMNS", "240")


def means(path):
    return pd.read_csv(path).drop(columns=["user", "split"], errors="ignore").mean().to_dict()


def test_every_metric(run, likes, tmp_path):
    """One that Python takes and the command line does not would be refused here."""
    metrics = [f"{name}@5" if metric.has_cutoff else name for name, metric in lrrec.metrics.METRICS.items()]
    words = [word for name in metrics for word in ("--metric", name)]
    code, out, err = run("evaluate", "made-up", "--min-rating", 4, "--split", "random", "-p", "n_factors=4", *words,
                         "-o", tmp_path / "values.csv")  # fmt: skip
    assert code == 0, err
    assert all(f" {name} " in out for name in metrics)
    split = lrrec.splits.random(likes, random_state=0)
    model = lrrec.IALS(4, random_state=0).fit(split.train)
    result = lrrec.evaluate(model, split, metrics=metrics, vectors=split.train.matrix.T)
    found = means(tmp_path / "values.csv")
    assert found == pytest.approx({name: result.mean()[name] for name in found}, rel=1e-4)
    assert len(found) == len(metrics) - 2  # coverage and gini are of all users together


@pytest.mark.parametrize("protocol", [name for name in inputs.PROTOCOLS if name not in ("ncf", "published")])
@pytest.mark.filterwarnings("ignore:.*score equals:lrrec.errors.DataWarning")
def test_every_kind_of_split(run, likes, protocol, tmp_path):
    code, out, err = run("evaluate", "made-up", "--min-rating", 4, "-m", "popularity", "--metric", "hit@5", "--split",
                         protocol, "-o", tmp_path / "values.csv")  # fmt: skip
    assert code == 0, err
    found = list(inputs.make_splits(protocol, likes, seed=0))
    expected = [lrrec.evaluate(lrrec.Popularity().fit(one.train), one, metrics=["hit@5"]) for one in found]
    assert f"split: {found[-1].description}" in " ".join(out.split())
    values = np.concatenate([result.values["hit@5"] for result in expected])
    assert means(tmp_path / "values.csv") == {"hit@5": pytest.approx(values.mean())}
    if protocol in inputs.SEVERAL:
        assert f"{np.mean([result.mean()['hit@5'] for result in expected]):.4f}" in out
        assert "mean of Popularity()" in out
        assert pd.read_csv(tmp_path / "values.csv")["split"].nunique() == len(found)


@pytest.fixture
def purchases(tmp_path):
    """200 events of 20 users and 8 items, at distinct times, so that many are repeated."""
    rng, path = np.random.default_rng(0), tmp_path / "purchases.csv"
    columns = {"user": rng.integers(0, 20, 200), "item": rng.integers(0, 8, 200), "time": np.arange(200)}
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("repeats", ["keep", "drop"])
def test_repeats(run, purchases, repeats):
    words = ("evaluate", purchases, "--time-column", "time", "-m", "popularity", "--metric", "hit@2", "--split")
    for protocol in ("by-time", "leave-last", "windows"):
        code, out, err = run(*words, protocol, "--repeats", repeats)
        assert code == 0, err
        assert f"seen items: {'kept' if repeats == 'keep' else 'to be left out'}" in out
        with pytest.warns(DataWarning, match="repeats='drop' tests on what is new"):
            run(*words, protocol)


def test_the_core_of_the_data(run, tmp_path, likes):
    code, _, err = run("fit", "made-up", "--min-rating", 4, "--min-interactions", 8, "-m", "popularity",
                         "-o", tmp_path / "m")  # fmt: skip
    assert code == 0, err
    assert lrrec.load(tmp_path / "m").users_ == likes.k_core(8, 8).users
    words = ("evaluate", "made-up", "--min-rating", 4, "-m", "popularity", "--min-interactions", 8)
    assert f"candidates: all {likes.k_core(8, 8).n_items} items" in run(*words)[1]


@pytest.fixture
def files(likes, tmp_path):
    """The parts of a split by user, and of a random one, as files."""
    made = lrrec.splits.by_user(likes, random_state=0)
    inner = lrrec.splits.random(made.train, random_state=0)
    parts = {"train": made.train, "test": made.test, "history": made.history, "few": inner.train, "valid": inner.test}
    for name, part in parts.items():
        part.to_frame().to_csv(tmp_path / f"{name}.csv", index=False)
    return {name: tmp_path / f"{name}.csv" for name in parts} | {"split": made}


def test_parts_made_elsewhere(run, files, tmp_path):
    words = ("--test-file", files["test"], "--history-file", files["history"])
    code, _, err = run("evaluate", files["train"], *words, "-m", "popularity", "--metric", "ndcg@10", "-o",
                       tmp_path / "values.csv")  # fmt: skip
    assert code == 0, err
    split = files["split"]
    result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["ndcg@10"])
    assert means(tmp_path / "values.csv") == {"ndcg@10": pytest.approx(result.mean()["ndcg@10"])}
    code, _, err = run("evaluate", files["train"], "--history-file", files["history"])
    assert (code, "add --test-file" in err) == (1, True)


def test_tuning_on_a_given_validation_part(run, files, tmp_path):
    pytest.importorskip("optuna")
    code, _, err = run("benchmark", files["few"], "--test-file", files["valid"], "--validation-file", files["valid"],
                       "--models", "ease", "--trials", 2, "--metric", "hit@5", "-o", tmp_path / "out")  # fmt: skip
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["tuning"]["ease"]["validation"] == "given"
    assert found["tuning"]["ease"]["best_value"] == pytest.approx(found["models"]["ease"]["metrics"]["hit@5"]["mean"])
    code, _, err = run("benchmark", "made-up", "--protocol", "windows")
    assert (code, "--protocol must be one of 'by-user'" in err) == (1, True)


def test_half_life(run, tmp_path, likes):
    """The weights of `decayed`, in what is learned from alone; numbers where times are numbers."""
    code, _, err = run("fit", "made-up", "--min-rating", 4, "--half-life", "90d", "-m", "ease", "-o", tmp_path / "m")
    assert code == 0, err
    data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    np.testing.assert_array_equal(lrrec.load(tmp_path / "m").seen_.data, data.decayed("90 days").matrix.data)
    frame = data.to_frame()
    frame.assign(time=frame["time"].astype("int64")).to_csv(tmp_path / "numbers.csv", index=False)
    numbers = lrrec.Interactions.from_csv(tmp_path / "numbers.csv", time="time")
    table = (tmp_path / "numbers.csv", "--time-column", "time")
    code, _, err = run("fit", *table, "--half-life", "7e6", "-m", "ease", "-o", tmp_path / "n")
    assert code == 0, err
    np.testing.assert_array_equal(lrrec.load(tmp_path / "n").seen_.data, numbers.decayed(7e6).matrix.data)
    split = lrrec.splits.by_time(data).decayed("90 days")
    expected = lrrec.evaluate(lrrec.EASE().fit(split.train), split, metrics=["ndcg@10"]).mean()["ndcg@10"]
    code, out, err = run("evaluate", "made-up", "--min-rating", 4, "--half-life", "90 days", "-m", "ease", "--split",
                         "by-time", "--metric", "ndcg@10")  # fmt: skip
    assert code == 0, err
    assert f"{expected:.4f}" in out
    assert "weighted with a half-life of 90 days" in " ".join(out.split())
    pytest.importorskip("optuna")
    code, _, err = run("benchmark", "made-up", "--models", "popularity,ease", "--half-life", "90d", "--protocol",
                       "by-time", "--trials", 2, "--metric", "ndcg@5", "-o", tmp_path / "out")  # fmt: skip
    assert code == 0, err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["split"]["params"]["half_life"] == "90d"
    assert "half-life" in results["tuning"]["ease"]["validation"]
    for words, message in (
        (("made-up", "--half-life", "90"), "half_life must be a length of time > 0"),
        ((*table, "--half-life", "90d"), "half_life must be a number > 0"),
        ((tmp_path / "numbers.csv", "--half-life", "90"), "needs interactions with times"),
        (("made-up", "--half-life", "90d", "-m", "als"), "its values are ratings"),
    ):
        code, _, err = run("fit", *words, "-o", tmp_path / "none")
        assert code != 0
        assert message in err
