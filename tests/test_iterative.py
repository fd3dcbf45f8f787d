"""The fit contract of iterative models: states, validation, early stopping, Ctrl-C."""

from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone

import lrrec
from lrrec import ALS, IALS, NMF, NeuralMF
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.models.base.iterative import FitState, IterativeModel

MODELS = [IALS(8, n_iter=6, random_state=0), ALS(4, n_iter=6, random_state=0), NMF(8, n_iter=6, random_state=0)]
if find_spec("torch"):
    MODELS.append(NeuralMF(8, n_hidden=8, n_epochs=6, random_state=0))
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


def iterations(model, n):
    return clone(model).set_params(**{model.iteration_parameter: n})


@every_model
def test_states(model, likes, made_up):
    states, losses = [], []
    data = made_up.interactions() if isinstance(model, ALS) else likes
    fitted = clone(model).fit(data, callback=lambda state: losses.append(state.loss) or states.append(state))
    assert isinstance(fitted, IterativeModel)
    assert all(isinstance(state, FitState) for state in states)
    assert [state.iteration for state in states] == [1, 2, 3, 4, 5, 6]
    assert {(state.model, state.n_iter, state.score, state.metric) for state in states} == {
        (type(model).__name__, 6, None, None)
    }
    assert (np.diff([state.seconds for state in states]) > 0).all()
    assert losses[-1] < losses[0]


@every_model
def test_the_loss_is_read_in_the_callback(model, likes):
    states = []
    clone(model).fit(likes, callback=states.append)
    with pytest.raises(RuntimeError, match=r"read state\.loss in the callback"):
        _ = states[0].loss
    assert np.isfinite(states[-1].loss)


@every_model
def test_a_callback_ends_the_fit(model, likes):
    ended = clone(model).fit(likes, callback=lambda state: state.iteration == 2)
    if not isinstance(model, NeuralMF):  # whose learning rate depends on n_epochs
        two = iterations(model, 2).fit(likes)
        np.testing.assert_array_equal(ended.item_factors_, two.item_factors_)
        np.testing.assert_array_equal(ended.user_factors_, two.user_factors_)
    np.testing.assert_allclose(ended.transform(likes), ended.user_factors_, rtol=1e-4, atol=1e-6)


@every_model
def test_ctrl_c_keeps_the_last_complete_iteration(model, likes):
    def stop(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    stopped = clone(model)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(likes, callback=stop)
    ended = clone(model).fit(likes, callback=lambda state: state.iteration == 3)
    np.testing.assert_array_equal(stopped.item_factors_, ended.item_factors_)
    np.testing.assert_array_equal(stopped.user_factors_, ended.user_factors_)
    assert stopped.recommend(k=3).items.shape == (likes.n_users, 3)


@every_model
def test_the_best_iteration_by_a_scorer_is_kept(model, split):
    """The scorer prefers the second iteration; two more without improvement end the fit."""
    probes, states = [], []

    def nearness(probe):
        probes.append(probe.item_factors_.copy())
        return -abs(len(probes) - 2)

    fitted = clone(model)
    fitted.fit(split.train, validation=split, scorer=nearness, patience=2, callback=states.append)
    assert [state.score for state in states] == [-1, 0, -1, -2]
    assert {state.metric for state in states} == {"nearness"}
    np.testing.assert_array_equal(fitted.item_factors_, probes[1])
    assert fitted.get_params() == model.get_params()


@every_model
def test_the_default_score_is_ndcg_at_10(model, split):
    states = []
    fitted = clone(model).fit(split.train, validation=split, patience=9, callback=states.append)
    assert {state.metric for state in states} == {"ndcg@10"}
    assert max(state.score for state in states) == pytest.approx(fitted._ndcg(split.history, split.test), rel=1e-5)


@every_model
def test_training_users_can_be_scored(model, likes):
    split = lrrec.splits.random(likes, 0.2, random_state=0)
    probes = []

    def score(probe):
        probes.append(probe.user_factors_)
        return lrrec.evaluate(probe, split, metrics=["ndcg@10"]).mean()["ndcg@10"]

    clone(model).fit(split.train, validation=split, scorer=score, callback=lambda state: state.iteration == 2)
    assert all(factors.any() for factors in probes)


@every_model
def test_arguments_are_checked(model, split):
    with pytest.raises(DataError, match="validation must be a Split of the same items as X"):
        clone(model).fit(split.train.matrix, validation=split)
    with pytest.raises(ParameterError, match="scorer must be callable, and come with a validation split"):
        clone(model).fit(split.train, scorer=len)
    with pytest.raises(ParameterTypeError, match="callback must be callable, got 3"):
        clone(model).fit(split.train, callback=3)
    with pytest.raises(ParameterError, match="patience must be an integer >= 1, got 0"):
        clone(model).fit(split.train, patience=0)
    with pytest.raises(ParameterError, match=f"{model.iteration_parameter} must be an integer >= 1, got 0"):
        iterations(model, 0).fit(split.train)


def test_the_loss_of_nmf_is_the_written_one(likes):
    losses = []
    model = NMF(4, reg=0.3, n_iter=3, random_state=0).fit(likes, callback=lambda state: losses.append(state.loss))
    X, V, U = likes.matrix.toarray(), model.item_factors_, model.user_factors_
    written = float(((X - U @ V.T) ** 2).sum() + 0.3 * ((U**2).sum() + (V**2).sum()))
    assert (np.diff(losses) < 0).all()
    assert written <= losses[-1] * (1 + 1e-5)  # the final user factors are solved to convergence
    assert written == pytest.approx(losses[-1], rel=0.05)


def test_the_loss_is_only_computed_when_read(likes, monkeypatch):
    from lrrec.linalg import alternation

    def fail(*args):
        raise AssertionError("the loss was computed")

    monkeypatch.setattr(alternation, "implicit_loss", fail)
    IALS(4, n_iter=2, random_state=0).fit(likes, callback=lambda state: state.seconds > 1e9)
    with pytest.raises(AssertionError, match="computed"):
        IALS(4, n_iter=2, random_state=0).fit(likes, callback=lambda state: state.loss < 0)
