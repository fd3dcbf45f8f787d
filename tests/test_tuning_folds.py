"""Folds of tune: disjoint and of the split's kind, means by hand, races that spare the winner, a warning of chance."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from test_tune import Planted, counted, same

import lrrec
from lrrec.errors import DataWarning, ParameterError, ParameterTypeError
from lrrec.tuning import search
from lrrec.tuning.study import is_below_median
from lrrec.tuning.user_values import intervals, is_worse, pack, pooled, unpack
from lrrec.tuning.validation_folds import cut_folds

optuna = pytest.importorskip("optuna")
by_chance = pytest.mark.filterwarnings(r"ignore:.*model's own parameters.*:lrrec.errors.DataWarning")

CODE = """
import sys, time
import lrrec

class Slow(lrrec.EASE):
    def fit(self, X, y=None):
        time.sleep(0.1)
        return super().fit(X)

likes = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(likes, random_state=0)
Slow.__name__ = "EASE"
lrrec.tune(Slow(), split, n_trials=1000, folds=5, storage=sys.argv[1])
"""


def value_of(model, split):
    return lrrec.evaluate(model, split, metrics=["ndcg@10"]).values["ndcg@10"]


def cells(part):
    """The interactions of a part, as places in the matrix."""
    return set(zip(part.rows().tolist(), part.matrix.indices.tolist(), strict=True))


@pytest.mark.parametrize("order", ["random", "time"])
@pytest.mark.filterwarnings("ignore:.*ties in time:lrrec.errors.DataWarning")
def test_folds_of_users_are_disjoint_and_cover(likes, order):
    split = lrrec.splits.by_user(likes, history=0.5, order=order, random_state=0)
    folds = cut_folds(split, 5, 3)
    rows = np.concatenate([fold.test_rows for fold in folds])
    np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(np.diff(split.train.matrix.indptr) >= 2))
    for fold in folds:
        assert fold.folds_in
        assert cells(fold.train) | cells(fold.history) | cells(fold.test) == cells(split.train)
        assert not set(fold.train.rows()) & set(fold.test_rows)
        n_history, n_test = len(fold.history), len(fold.test)
        assert abs(n_history / (n_history + n_test) - 0.5) < 0.02  # cut as the split was
        assert fold.params["order"] == order


def test_few_folds_train_on_as_much_as_one(split):
    for n_folds in (2, 3, 10):
        folds = cut_folds(split, n_folds, 0)
        assert len(folds) == n_folds
        assert len(np.unique(np.concatenate([fold.test_rows for fold in folds]))) == sum(
            len(fold.test_rows) for fold in folds
        )
        assert all(len(fold.train) > 0.75 * len(split.train) for fold in folds)


def test_folds_of_other_splits(likes):
    """Of interactions where training users are tested, each held out once; of users' last ones; of new items."""
    drawn = lrrec.splits.random(likes, random_state=0)
    folds = cut_folds(drawn, 5, 0)
    assert sum(len(fold.test) for fold in folds) == len(drawn.train)
    assert set().union(*(cells(fold.test) for fold in folds)) == cells(drawn.train)
    last = lrrec.splits.leave_last(likes, 2)
    (whole,), folds = cut_folds(last, 1, 0), cut_folds(last, 3, 0)
    assert sum(len(fold.test_rows) for fold in folds) == len(whole.test_rows)
    assert len(set().union(*(cells(fold.test) for fold in folds))) == len(whole.test)
    assert all((np.diff(fold.test.matrix.indptr)[fold.test_rows] == 2).all() for fold in folds)
    assert all(len(fold.train) + len(fold.test) == len(last.train) for fold in folds)
    items = lrrec.splits.cold_items(likes, random_state=0)
    folds = cut_folds(items, 5, 0)
    trained = items.items.ids[np.unique(items.train.matrix.indices)]
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.candidates for fold in folds])), np.sort(trained))
    assert all(not set(fold.train.matrix.indices) & set(fold.test.matrix.indices) for fold in folds)
    users = lrrec.splits.cold_users(likes, random_state=0)
    folds = cut_folds(users, 5, 0)
    assert all(len(fold.history) == 0 and fold.folds_in for fold in folds)
    rows = np.concatenate([fold.test_rows for fold in folds])
    assert len(np.unique(rows)) == len(rows) == (np.diff(users.train.matrix.indptr) >= 2).sum()


def test_as_many_folds_as_give_enough_users(likes, monkeypatch):
    split = lrrec.splits.by_user(likes, random_state=0)  # 336 training users, 67 in one fold
    assert len(cut_folds(split, None, 0)) == 5
    monkeypatch.setattr("lrrec.splits.resampling.ENOUGH", 130)
    assert len(cut_folds(split, None, 0)) == 2
    monkeypatch.setattr("lrrec.splits.resampling.ENOUGH", 60)
    (one,) = cut_folds(split, None, 0)
    assert one.sha256 == lrrec.splits.with_validation(split).validation.sha256
    monkeypatch.setattr("lrrec.splits.resampling.ENOUGH", 10**6)
    assert len(cut_folds(lrrec.splits.leave_last(likes), None, 0)) == 1  # it has all users
    assert len(cut_folds(lrrec.splits.by_time(likes), None, 0)) == 1
    tiny = lrrec.Interactions.from_pairs([0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 0, 2, 1, 2, 0, 1])
    few = lrrec.splits.by_user(tiny, 1, random_state=0)
    assert len(cut_folds(few, None, 0)) == 3


@by_chance
@pytest.mark.parametrize("make", ["by_user", "random"])
def test_the_value_is_the_mean_over_the_users_of_all_folds(likes, make):
    split = getattr(lrrec.splits, make)(likes, random_state=0)
    kind = "interaction" if make == "random" else "user"
    tuned = lrrec.tune(lrrec.EASE(), split, space={"reg": [500.0]}, folds=3, random_state=7)
    of_user = {}
    for fold, _ in zip(lrrec.splits.k_folds(split.train, 5, by=kind, random_state=7), range(3), strict=False):
        result = lrrec.evaluate(lrrec.EASE(500.0).fit(fold.train), fold, metrics=["ndcg@10"])
        for user, value in zip(result.users.tolist(), result.values["ndcg@10"], strict=True):
            of_user.setdefault(user, []).append(value)
    assert tuned.best_value_ == pytest.approx(np.mean([np.mean(values) for values in of_user.values()]), rel=1e-12)
    assert tuned.n_users == len(of_user)
    assert (make == "random") == any(len(values) > 1 for values in of_user.values())
    assert "k_folds(n_folds=5" in tuned.validation
    assert tuned.validation.endswith("folds 1 to 3")


@by_chance
def test_the_best_iteration_is_that_of_the_mean_curve(split):
    """By hand: each fold is fitted for each number of iterations."""
    model = lrrec.IALS(8, n_iter=6, random_state=0)
    tuned = lrrec.tune(model, split, space={"reg": [0.02]}, folds=3)
    folds, means = cut_folds(split, 3, 0), []
    for n_iter in range(1, int(tuned.trials_["iterations"][0]) + 1):
        fitted = [clone(model).set_params(reg=0.02, n_iter=n_iter).fit(fold.train) for fold in folds]
        means.append(np.concatenate([value_of(one, fold) for one, fold in zip(fitted, folds, strict=True)]).mean())
    assert tuned.best_params_["n_iter"] == 1 + np.argmax(means)
    assert tuned.best_value_ == pytest.approx(max(means), rel=1e-6)


def test_curves_of_the_folds_are_equally_long(split, monkeypatch):
    """The first fold stops early; the others go as far, however their own curves run."""
    from lrrec.tuning import trial

    lengths, fit_curve = [], trial._fit_curve

    def recorded(*args):
        curve, pruned = fit_curve(*args)
        lengths.append(len(curve))
        return curve, pruned

    monkeypatch.setattr(trial, "_fit_curve", recorded)
    monkeypatch.setattr(trial, "PATIENCE", 1)
    tuned = lrrec.tune(lrrec.IALS(8, n_iter=30, random_state=0), split, space={"reg": [0.0005]}, folds=4)
    assert lengths == [tuned.trials_["iterations"][0]] * 4
    assert lengths[0] < 30


@by_chance
def test_models_of_one_call_share_folds_and_results_repeat(split):
    models = {"one": lrrec.IALS(4, n_iter=3, random_state=0), "other": lrrec.IALS(4, n_iter=3, random_state=0)}
    tunings = lrrec.tune(models, split, n_trials=6, folds=3)
    assert same(tunings["one"], tunings["other"])
    assert same(tunings["one"], lrrec.tune(models["one"], split, n_trials=6, folds=3))
    assert tunings["one"].validation == tunings["other"].validation
    assert tunings["one"].gain_interval_ == tunings["other"].gain_interval_


class Counting(Planted):
    """Planted, and counts its fits."""

    fits = 0

    def fit(self, X, y=None):
        type(self).fits += 1
        return super().fit(X)


def test_a_race_stops_hopeless_trials_after_the_first_fold(split, monkeypatch):
    """Each costs one fit; the winner, last in the list, is never stopped; without a race the choice is the same."""
    values = [0.9, 0.95, 0.7, 0.6, 0.8, 0.3]
    monkeypatch.setattr(Counting, "fits", 0)
    raced = lrrec.tune(Counting(0.5), split, space={"x": [0.5, *values]}, folds=5)
    assert raced.best_params_ == {"x": 0.3}
    assert raced.trials_["folds"].tolist() == [5, 1, 1, 1, 1, 1, 5]
    assert Counting.fits == 2 * 5 + 5 + 1  # and the model of the best parameters
    states = raced.trials_["state"]
    assert states.tolist() == ["finished", *["pruned"] * 5, "finished"]
    assert (raced.trials_["value"][states == "pruned"] < raced.best_value_).all()
    monkeypatch.setattr(search, "is_worse", lambda differences: False)
    whole = lrrec.tune(Counting(0.5), split, space={"x": [0.5, *values]}, folds=5)
    assert whole.best_params_ == raced.best_params_
    assert whole.best_value_ == raced.best_value_
    assert set(whole.trials_["folds"]) == {5}


def test_the_own_parameters_are_never_pruned(split):
    tuned = lrrec.tune(Planted(0.9), split, space={"x": [0.3, 0.9, 0.8]}, folds=5)
    assert tuned.trials_["folds"].tolist() == [5, 5, 1]
    assert tuned.gain_ == pytest.approx(tuned.trials_["value"][0] - tuned.trials_["value"][1])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_iterations_are_pruned_as_by_the_median_pruner_of_optuna(sign):
    rng = np.random.default_rng(0)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)
    study = optuna.create_study(direction="maximize" if sign > 0 else "minimize", pruner=pruner)
    n_pruned = 0
    for _ in range(30):
        trial, values = study.ask(), {}
        for iteration in range(1, 1 + rng.integers(3, 7)):
            values[iteration] = rng.normal()
            trial.report(values[iteration], iteration)
            pruned = trial.should_prune()
            assert is_below_median(optuna, study, values, sign=sign) == pruned
            if pruned:
                break
        n_pruned += pruned
        study.tell(trial, None if pruned else 0.0, state=optuna.trial.TrialState(2 if pruned else 1))
    assert 5 < n_pruned < 25


def test_a_race_is_lost_by_two_standard_errors():
    """Equal trials are stopped as rarely as the normal distribution says; a few users stop nothing."""
    rng = np.random.default_rng(0)
    stopped = np.mean([is_worse(rng.normal(size=100)) for _ in range(4000)])
    assert abs(stopped - 0.0228) < 0.008
    assert is_worse(rng.normal(-1, 1, 100))
    assert not is_worse(np.full(20, -1.0))
    assert not is_worse(np.zeros(100))
    assert is_worse(np.r_[np.nan, np.full(50, -1.0)])


def test_values_are_pooled_by_user_and_stored_to_the_last_bit():
    rows, values = [np.array([1, 4]), np.array([0, 4])], [np.array([0.1, 0.3]), np.array([np.nan, 0.5])]
    np.testing.assert_allclose(pooled(rows, values), [np.nan, 0.1, 0.4])
    np.testing.assert_allclose(pooled(rows, values[:1]), [0.1, 0.3])
    for stored, value in zip(unpack(pack(values), rows), values, strict=True):
        np.testing.assert_array_equal(stored, value)
    assert np.isnan(intervals(np.ones((1, 2)))).all()


@by_chance
@pytest.mark.parametrize("model", [lrrec.EASE(), lrrec.IALS(4, n_iter=3, random_state=0)], ids=["EASE", "IALS"])
def test_a_study_of_folds_resumes_identically(split, tmp_path, model):
    whole = lrrec.tune(model, split, n_trials=12, folds=3)
    storage = tmp_path / "study.db"
    for n_trials in (2, 7, 12):
        tuned = lrrec.tune(model, split, n_trials=n_trials, folds=3, storage=storage)
    assert same(tuned, whole)
    assert tuned.gain_interval_ == whole.gain_interval_
    assert (tuned.trials_["folds"] < 3).any()
    with pytest.raises(ParameterError, match="another validation part"):
        lrrec.tune(model, split, n_trials=12, folds=2, storage=storage)


@by_chance
@pytest.mark.slow
def test_a_study_killed_within_a_trial_resumes_identically(split, tmp_path):
    storage = tmp_path / "study.db"
    running = subprocess.Popen([sys.executable, "-c", CODE, str(storage)])
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and counted(storage) < 3:
            time.sleep(0.05)
        time.sleep(0.15)  # a trial takes half a second
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    n_trials = counted(storage) + 8
    tuned = lrrec.tune(lrrec.EASE(), split, n_trials=n_trials, folds=5, storage=storage)
    whole = lrrec.tune(lrrec.EASE(), split, n_trials=len(tuned.trials_), folds=5)
    assert same(tuned, whole)


def test_a_choice_by_chance_is_warned_of(split):
    """y changes nothing, x almost nothing. No warning of a clear winner, one trial, or without own parameters."""
    with pytest.warns(DataWarning, match=r"none of 3 trials is better than .* in ndcg@10 on 336 validation") as caught:
        lrrec.tune(Planted(0.3), split, space={"y": [0.0, 1.0, 2.0]})
    assert len(caught) == 1
    near = {"x": [0.3, 0.30001, 0.30002, 0.30003]}
    models, clear = {"a": Planted(0.30001), "b": Planted(0.9)}, {"x": [0.3, 0.9]}
    with pytest.warns(DataWarning, match=r"^a: the best of 4 trials cannot be distinguished") as caught:
        tunings = lrrec.tune(models, split, space={"a": near, "b": clear})
    assert [warning.message.model for warning in caught] == ["a"]
    assert caught[0].filename == __file__
    low, high = tunings["a"].gain_interval_
    assert low <= 0 < tunings["a"].gain_ < high
    assert tunings["b"].gain_interval_[0] > 0
    lrrec.tune(Planted(0.3), split, space={"y": [0.0]})
    unknown = lrrec.tune(Planted(0.5), split, space={"x": [0.30001, 0.3]})
    assert np.isnan(unknown.gain_)
    assert unknown.n_users == 0


def test_the_gain_is_paired_by_user(split):
    """By hand, from the models of both settings."""
    tuned = lrrec.tune(Planted(0.9), split, space={"x": [0.9, 0.3]}, folds=2)
    folds = cut_folds(split, 2, 0)
    differences = np.concatenate(
        [value_of(Planted(0.3).fit(fold.train), fold) - value_of(Planted(0.9).fit(fold.train), fold) for fold in folds]
    )
    assert tuned.gain_ == pytest.approx(differences.mean(), rel=1e-12)
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    normal = differences.mean() + 1.96 * error * np.array([-1, 1])
    np.testing.assert_allclose(tuned.gain_interval_, normal, atol=error / 4)
    assert tuned.summary()["gain"][0] == tuned.gain_
    assert f"by {tuned.gain_:.4f}" in repr(tuned)


def test_a_smaller_error_is_a_gain(made_up):
    split = lrrec.splits.random(made_up.interactions(), 0.2, random_state=0)
    model = lrrec.ALS(4, reg=500.0, n_iter=4, random_state=0)
    tuned = lrrec.tune(model, split, space={"reg": [5.0, 500.0]}, metric="rmse", folds=2)
    assert tuned.best_params_["reg"] == 5.0
    assert tuned.gain_interval_[0] > 0


def test_metrics_of_all_lists_have_no_gain(split):
    tuned = lrrec.tune(lrrec.EASE(), split, space={"reg": [10.0, 500.0]}, metric="coverage@10", folds=2)
    folds = cut_folds(split, 2, 0)
    model = lrrec.EASE(tuned.best_params_["reg"])
    by_hand = [lrrec.evaluate(clone(model).fit(fold.train), fold, metrics=["coverage@10"]) for fold in folds]
    assert tuned.best_value_ == pytest.approx(np.mean([result.mean()["coverage@10"] for result in by_hand]))
    assert np.isnan(tuned.gain_)


def test_folds_are_checked(likes, split):
    own = lrrec.splits.with_validation(split)
    for changed, options, message in (
        (split, {"folds": 337}, "folds must be at most the 336 users with two interactions, got 337"),
        (split, {"folds": 2, "validation": own.validation}, "folds must be left out with validation=, .* got 2"),
        (own, {"folds": 2}, "folds must be left out with a split that has a validation part"),
        (lrrec.splits.by_time(likes), {"folds": 2}, r"folds must be 1 or left out for by_time\(\), .* got 2"),
        (lrrec.splits.leave_last(likes), {"folds": 10**6}, "folds must be at most the .* with more than 1 inter"),
    ):
        with pytest.raises(ParameterError, match=message):
            lrrec.tune(lrrec.EASE(), changed, **options)
    with pytest.raises(ParameterTypeError, match="folds must be an integer"):
        lrrec.tune(lrrec.EASE(), split, folds=2.5)
    without = replace(own, validation=None)
    assert lrrec.tune(lrrec.EASE(50.0), without, space={"reg": [50.0]}, folds=1).validation.startswith("by_user")
