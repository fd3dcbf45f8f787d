"""Tuning: planted optima are found, the test part decides nothing, a killed study goes on to the same end."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import lrrec
from lrrec.errors import DataError, MissingDependencyError, ParameterError, ParameterTypeError
from lrrec.tuning import space as spaces
from lrrec.tuning import trial as trials
from lrrec.tuning.validation_folds import cut_folds

optuna = pytest.importorskip("optuna")
# Few trials on few users, mostly. Whether the warning comes is tested in test_tuning_folds.py.
pytestmark = pytest.mark.filterwarnings(r"ignore:.*model's own parameters.*:lrrec.errors.DataWarning")

CODE = """
import sys, time
import lrrec

class Slow(lrrec.EASE):
    def fit(self, X, y=None):
        time.sleep(0.1)
        return super().fit(X)

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, random_state=0)
model = lrrec.EASE if sys.argv[2] == "plain" else Slow
Slow.__name__ = "EASE"
tuned = lrrec.tune(model(), split, n_trials=int(sys.argv[3]), storage=sys.argv[1])
"""


class Planted(lrrec.Popularity):
    """Popularity drowned in noise, the more the farther x is from 0.3."""

    weighted = False

    def __init__(self, x=0.9, y=0.0):
        self.x, self.y = x, y

    def _scores(self, encoded, columns):
        noise = np.random.default_rng(0).random(len(self.items_))[columns]
        return super()._scores(encoded, columns) + np.float32(1000 * abs(self.x - 0.3) * noise)


def same(one, other):
    """Whether two tunings are equal in all but their seconds."""
    frames = [tuning.trials_.drop(columns="seconds") for tuning in (one, other)]
    return frames[0].equals(frames[1]) and one.best_params_ == other.best_params_


def test_a_planted_optimum_is_found(split):
    tuned = lrrec.tune(Planted(), split, space={"x": (0.0, 1.0)}, n_trials=40)
    assert abs(tuned.best_params_["x"] - 0.3) < 0.1
    assert tuned.best_value_ == tuned.trials_["value"].max()
    assert tuned.trials_["x"][0] == 0.9  # what the model was given comes first
    assert tuned.model_.x == tuned.best_params_["x"]
    assert tuned.model_.seen_.nnz == len(split.train)


def one_fold(split, seed):
    (inner,) = cut_folds(split, 1, seed)
    return inner


def test_as_good_as_a_grid(split):
    inner = one_fold(split, 0)
    found = {}
    for reg in (10.0, 100.0, 300.0, 1000.0):
        found[reg] = lrrec.evaluate(lrrec.EASE(reg).fit(inner.train), inner, metrics=["ndcg@10"]).mean()["ndcg@10"]
    tuned = lrrec.tune(lrrec.EASE(), split, space={"reg": list(found)}, n_trials=20, folds=1)
    assert len(tuned.trials_) == 4  # no more settings than trials: each once
    np.testing.assert_allclose(tuned.trials_["value"], list(found.values()))
    assert tuned.best_params_ == {"reg": max(found, key=found.get)}


@pytest.mark.parametrize("make", ["by_user", "leave_last", "random", "by_time"])
def test_the_test_part_is_not_looked_at(likes, make):
    cut = getattr(lrrec.splits, make)
    split = cut(likes) if make in ("leave_last", "by_time") else cut(likes, random_state=0)
    poison = split.test.filter(np.random.default_rng(0).random(len(split.test)) < 0.3)
    history = split.history.filter(np.zeros(len(split.history), bool)) if split.folds_in else split.history
    poisoned = replace(split, history=history, test=poison)
    model = lrrec.IALS(8, n_iter=3)
    one, other = (lrrec.tune(model, part, n_trials=4) for part in (split, poisoned))
    assert same(one, other)
    assert one.validation.startswith(make if make in ("leave_last", "by_time") else "k_folds")
    np.testing.assert_array_equal(one.model_.item_factors_, other.model_.item_factors_)
    inner = one_fold(split, 0)
    assert inner.train.matrix.multiply(split.test.matrix).nnz == 0
    assert inner.test.matrix.multiply(split.test.matrix).nnz == 0


def test_validation_is_cut_as_the_split_was(likes):
    halves = lrrec.splits.by_user(likes, history=0.5, order="time", random_state=0)
    cut = one_fold(halves, 3)
    assert cut.description == "by_user(test_size=0.2, history=0.5, order='time', random_state=3)"
    assert one_fold(lrrec.splits.leave_last(likes, 2), 0).description == "leave_last(n=2)"
    fold = next(iter(lrrec.splits.k_folds(likes, 3, random_state=0)))
    assert one_fold(fold, 0).folds_in == fold.folds_in
    by_hand = lrrec.Split(halves.train, halves.history, halves.test)
    assert one_fold(by_hand, 0).description.startswith("by_user(test_size=0.2, history=0.8")


def test_validation_can_be_given(split):
    inner = lrrec.splits.random(split.train, 0.1, random_state=5)
    tuned = lrrec.tune(lrrec.EASE(), split, n_trials=2, validation=inner)
    assert tuned.validation == inner.description
    with pytest.raises(DataError, match="validation must be a Split, got int"):
        lrrec.tune(lrrec.EASE(), split, validation=3)
    other = lrrec.Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 2])
    with pytest.raises(DataError, match="validation must be a Split of the same items"):
        lrrec.tune(lrrec.EASE(), split, validation=lrrec.splits.random(other, 0.5, random_state=0))


@pytest.mark.slow
def test_the_same_for_the_same_random_state(split):
    model = lrrec.IALS(4, n_iter=3)
    one, other = (lrrec.tune(model, split, n_trials=11, random_state=4) for _ in range(2))
    assert same(one, other)
    assert not same(one, lrrec.tune(model, split, n_trials=11, random_state=5))
    assert model.get_params() == lrrec.IALS(4, n_iter=3).get_params()


@pytest.mark.slow
def test_pruning_stops_early(split):
    tuned = lrrec.tune(lrrec.IALS(8, n_iter=10), split, n_trials=20, folds=1)
    pruned = tuned.trials_["state"] == "pruned"
    assert pruned.any()
    assert (tuned.trials_["iterations"][pruned] < 10).all()
    assert tuned.trials_["iterations"][pruned].mean() < tuned.trials_["iterations"][~pruned].mean()
    assert not pruned[tuned.trials_["value"].idxmax()]
    plain = lrrec.tune(lrrec.EASE(), split, n_trials=8, folds=1)
    assert set(plain.trials_["state"]) == {"finished"}


def test_the_best_iteration_is_kept(split):
    """The trial's value is that of a model fitted for so many iterations."""
    tuned = lrrec.tune(lrrec.IALS(8, n_iter=12), split, space={"reg": [0.001, 0.01]}, folds=1)
    inner = one_fold(split, 0)
    again = lrrec.IALS(8, random_state=0).set_params(**tuned.best_params_).fit(inner.train)
    assert lrrec.evaluate(again, inner, metrics=["ndcg@10"]).mean()["ndcg@10"] == pytest.approx(
        tuned.best_value_, rel=1e-6
    )
    assert tuned.model_.n_iter == tuned.best_params_["n_iter"] <= tuned.trials_["iterations"].max()


def test_errors_are_made_small(made_up):
    ratings = made_up.interactions()
    split = lrrec.splits.random(ratings, 0.2, random_state=0)
    space = {"reg": [0.05, 5.0]}
    tuned = lrrec.tune(lrrec.ALS(4, n_iter=5), split, space=space, metric="rmse")
    assert tuned.best_value_ == tuned.trials_["value"].min()
    assert tuned.best_params_["reg"] == tuned.trials_["reg"][tuned.trials_["value"].idxmin()]
    assert 1 <= tuned.best_params_["n_iter"] <= 5


def test_a_study_goes_on_where_it_stopped(split, tmp_path):
    model = lrrec.IALS(4, n_iter=3)
    whole = lrrec.tune(model, split, n_trials=12)
    storage = tmp_path / "study.db"
    assert len(lrrec.tune(model, split, n_trials=5, storage=storage).trials_) == 5
    assert same(lrrec.tune(model, split, n_trials=12, storage=storage), whole)
    began = time.perf_counter()
    again = lrrec.tune(model, split, n_trials=12, storage=storage)
    assert same(again, whole)
    assert again.trials_["seconds"].sum() > 0
    assert time.perf_counter() - began < 5
    assert len(lrrec.tune(model, split, n_trials=5, storage=storage).trials_) == 12  # what is there counts


@pytest.mark.slow
def test_a_killed_study_goes_on(split, tmp_path):
    """Killed in the middle of a trial, it loses that trial alone and ends where one that was let run ends."""
    storage = tmp_path / "study.db"
    command = [sys.executable, "-c", CODE, str(storage), "slow", "1000"]
    running = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and counted(storage) < 4:
            time.sleep(0.05)
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    done = counted(storage)
    assert 4 <= done < 1000
    assert running.returncode == -signal.SIGKILL
    tuned = lrrec.tune(lrrec.EASE(), split, n_trials=done + 5, storage=storage)
    assert len(tuned.trials_) == done + 5
    assert same(tuned, lrrec.tune(lrrec.EASE(), split, n_trials=done + 5))
    assert counted(storage) == done + 5


def counted(storage):
    """How many trials of a study have ended, read without disturbing who writes it."""
    if not storage.exists():
        return 0
    with closing(sqlite3.connect(f"{storage.as_uri()}?mode=ro", uri=True)) as database:
        try:
            return database.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')").fetchone()[0]
        except sqlite3.OperationalError:  # half made, or being written
            return 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model": lrrec.ItemKNN()}, "model and space"),
        ({"model": lrrec.IALS(n_iter=3)}, "model"),
        ({"space": {"reg": (0.1, 2.0)}}, "space"),
        ({"metric": "recall@20"}, "metric"),
        ({"random_state": 1}, "random_state and validation part"),
        ({"split": "random"}, "validation part"),
    ],
)
def test_studies_of_something_else_are_refused(likes, split, tmp_path, change, what):
    asked = {"model": lrrec.IALS(n_iter=2, random_state=0), "split": split, "n_trials": 1, "storage": tmp_path / "s.db"}
    lrrec.tune(**asked)
    if change.get("split"):
        change = {"split": lrrec.splits.random(likes, random_state=0)}
    with pytest.raises(ParameterError, match=f"with another .*{what}; name another file"):
        lrrec.tune(**asked | change)


def test_a_file_that_is_no_study_is_refused(split, tmp_path):
    path = tmp_path / "s.db"
    path.write_text("not a database, but long enough to be read as one " * 100)
    with pytest.raises(ParameterError, match="storage must be a file that SQLite can open"):
        lrrec.tune(lrrec.EASE(), split, storage=path)
    with pytest.raises(ParameterError, match="storage must be a file that SQLite can open"):
        lrrec.tune(lrrec.EASE(), split, storage=tmp_path / "nowhere" / "s.db")


def test_a_timeout_begins_no_other_trial(split, tmp_path):
    tuned = lrrec.tune(lrrec.EASE(), split, n_trials=None, timeout=0.05, storage=tmp_path / "s.db")
    seconds = tuned.trials_["seconds"]
    assert seconds.sum() >= 0.05 > seconds[:-1].sum()
    again = lrrec.tune(lrrec.EASE(), split, n_trials=None, timeout=0.05, storage=tmp_path / "s.db")
    assert same(again, tuned)


def test_trials_that_fail_are_counted(split):
    class Fragile(lrrec.EASE):
        def fit(self, X, y=None):
            if self.reg > 100:
                raise DataError("loss must be finite, got NaN")
            return super().fit(X)

    tuned = lrrec.tune(Fragile(50.0), split, space={"reg": (1.0, 1000.0)}, n_trials=10)
    assert set(tuned.trials_["state"]) == {"finished", "failed"}
    assert tuned.best_params_["reg"] <= 100
    with pytest.raises(DataError, match=r"all 3 trials failed: loss must be finite"):
        lrrec.tune(Fragile(), split, space={"reg": (200.0, 1000.0)}, n_trials=3)


def test_every_model_has_a_space(split):
    models = {name: getattr(lrrec, name)() for name in lrrec.models.MODELS}
    for name in ("n_iter", "n_epochs"):
        for model in models.values():
            if name in model.get_params():
                model.set_params(**{name: 2})
    neural = models.pop("NeuralMF")
    models["Blend"].set_params(models=[lrrec.EASE(), lrrec.Popularity()])
    features = np.random.default_rng(0).normal(size=(split.train.n_items, 3))
    tuned = lrrec.tune(models, split, n_trials=2, item_features=features)
    assert list(tuned) == list(models)
    assert len({one.validation for one in tuned.values()}) == 1
    assert {name: len(one.trials_) for name, one in tuned.items()} == dict.fromkeys(models, 2) | {"Popularity": 1}
    space = spaces.default_space(neural, (400, 300))
    assert set(spaces.read_space(space, neural)) == set(space)
    assert spaces.default_space(lrrec.TruncatedSVD(), (40, 300))["n_factors"] == (16, 20, "log")
    assert "alpha" in spaces.default_space(lrrec.IALS(objective="hu"), (400, 300))

    class WithoutSpace(lrrec.Recommender):
        pass

    with pytest.raises(ParameterError, match="space must be given for a WithoutSpace"):
        spaces.default_space(WithoutSpace(), (9, 9))


@pytest.mark.slow
def test_neural(split):
    pytest.importorskip("torch")
    tuned = lrrec.tune(
        lrrec.NeuralMF(8, n_hidden=0, n_epochs=4), split, space={"learning_rate": (0.001, 0.01)}, n_trials=6
    )
    assert 1 <= tuned.best_params_["n_epochs"] <= 4
    assert tuned.trials_["iterations"].between(1, 4).all()


def test_iterations_are_scored_on_some_of_many_users(split, monkeypatch):
    monkeypatch.setattr(trials, "MAX_MONITORED", 10)
    some = trials.sample_users(split, 0)
    assert len(some.test_rows) == 10
    assert set(some.test_rows) <= set(split.test_rows)
    assert (some.test.matrix[some.test_rows] != split.test.matrix[some.test_rows]).nnz == 0


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"rge": [1.0]},
            r"space must name parameters of EASE .dropout, feature_weight, .*, user_power., got 'rge'",
        ),
        ({"reg": (1.0,)}, r"space\['reg'\] must be \(low, high\), \(low, high, 'log'\) with low < high, or a list"),
        ({"reg": (2.0, 1.0)}, "low < high"),
        ({"reg": (0.0, 1.0, "log")}, "must have a low > 0 with 'log'"),
        ({"reg": (1.0, 2.0, "linear")}, "low < high"),
        ({"reg": []}, "must be a list of at least one"),
        ({"reg": [1.0, 1.0]}, "must be a list of distinct values"),
        ({"reg": [object()]}, "must be a list of at least one number"),
        ([("reg", 1)], "space must be a dict"),
    ],
)
def test_spaces_are_checked(split, space, message):
    with pytest.raises(ParameterError, match=message):
        lrrec.tune(lrrec.EASE(), split, space=space)


def test_spaces_of_numpy_numbers(split):
    tuned = lrrec.tune(lrrec.EASE(), split, space={"reg": [np.float64(3), np.int32(4)]})
    assert tuned.trials_["reg"].tolist() == [3, 4]
    tuned = lrrec.tune(lrrec.ItemKNN(), split, space={"n_neighbors": tuple(np.array([10, 12]))})
    assert tuned.trials_["n_neighbors"].tolist() == [10, 11, 12]


def test_arguments_are_checked(split):
    for wrong, message in (
        ({"folds": 0}, "folds must be an integer >= 1, got 0"),
        ({"n_trials": 0}, "n_trials must be an integer >= 1, got 0"),
        ({"n_trials": None}, "n_trials must be an integer >= 1 without a timeout, got None"),
        ({"timeout": 0}, "timeout must be a finite number > 0"),
        ({"metric": "ndgc@10"}, "NAME@K"),
        ({"random_state": -1}, "random_state must be an integer >= 0"),
    ):
        with pytest.raises(ParameterError, match=message):
            lrrec.tune(lrrec.EASE(), split, **wrong)
    with pytest.raises(ParameterTypeError, match="model must be an estimator, got the class EASE"):
        lrrec.tune(lrrec.EASE, split)
    with pytest.raises(DataError, match="split must be a Split, got Interactions"):
        lrrec.tune(lrrec.EASE(), split.train)
    with pytest.raises(ParameterTypeError, match="model must be an estimator, got list"):
        lrrec.tune([lrrec.EASE()], split)
    with pytest.raises(ParameterTypeError, match="model must be a model, or a dict of at least one name"):
        lrrec.tune({}, split)
    with pytest.raises(ParameterError, match=r"space must be by names of the models \(ease\), got eas"):
        lrrec.tune({"ease": lrrec.EASE()}, split, space={"eas": {}})


def test_optuna_is_asked_for(split, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lrrec\[tune\]'"):
        lrrec.tune(lrrec.EASE(), split)


def test_quiet(split, capsys):
    level = optuna.logging.get_verbosity()
    tuned = lrrec.tune(lrrec.IALS(4, n_iter=2), split, n_trials=2)
    assert capsys.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == level
    assert "best ndcg@10 on validation" in repr(tuned)
    assert tuned._repr_html_().startswith("<table")


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_results_as_frames(split, backend):
    tuned = lrrec.tune(lrrec.EASE(), split, n_trials=3, folds=1)
    trials, summary = tuned.to_frame(backend=backend), tuned.summary(backend=backend)
    assert len(trials) == 3
    assert (
        max(
            trials["value"].to_numpy()
            if backend == "pandas"
            else trials["value"].to_pylist()
            if backend == "pyarrow"
            else trials["value"]
        )
        == tuned.best_value_
    )
    assert len(summary) == 1
    first = {name: summary[name][0] for name in ("model", "metric", "trials", "finished", "pruned", "failed")}
    if backend == "pyarrow":
        first = {name: value.as_py() for name, value in first.items()}
    assert first == {"model": "EASE", "metric": "ndcg@10", "trials": 3, "finished": 3, "pruned": 0, "failed": 0}


def test_the_first_trial_of_auto_is_what_it_becomes(likes):
    split = lrrec.splits.by_user(likes, random_state=0)
    space = {"unobserved_weight": (0.01, 1.0, "log")}
    tuning = lrrec.tune(lrrec.IALS(4, random_state=0), split, space=space, n_trials=3)
    part = cut_folds(split, None, 0)[0].train
    own = lrrec.IALS(4, random_state=0).fit(part).unobserved_weight_[0]
    assert tuning.trials_["unobserved_weight"][0] == own
    assert np.isfinite(tuning.gain_)


@pytest.mark.parametrize("model", [
    lrrec.TruncatedSVD(), lrrec.GraphFilter(), lrrec.NMF(reg=50.0, random_state=0, n_iter=3), lrrec.RP3Beta(beta=1.5),
    lrrec.EASE(reg=1e6), lrrec.TruncatedSVD(400),
], ids=repr)  # fmt: skip
def test_a_default_space_contains_the_models_own_values(split, model):
    """So that the gain over them is known, whatever the size of the data."""
    tuned = lrrec.tune(model, split, n_trials=2, folds=1)
    assert np.isfinite(tuned.gain_)
    own = tuned.trials_.iloc[0].to_dict()
    given = {name: value for name, value in model.get_params().items() if name in own and value != "auto"}
    assert all(own[name] == value for name, value in given.items() if name != "n_factors")
    assert own.get("n_factors", 1) <= min(split.train.matrix.shape)


def test_the_own_values_of_a_neural_model_are_tried(split):
    pytest.importorskip("torch")
    tuned = lrrec.tune(lrrec.NeuralMF(8, n_epochs=1, random_state=0), split, n_trials=2, folds=1)
    assert np.isfinite(tuned.gain_)
