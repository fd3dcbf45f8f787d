"""scikit-learn's own checks, on every model; each that cannot apply is named with its reason."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from lrrec import ALS, EASE, IALS, NMF, SLIM, ItemKNN, NeuralMF, Popularity, RP3Beta, SparseEASE, TruncatedSVD

PAIRS = "calls predict(X); a recommender's predict takes pairs of ids"
CANNOT_APPLY = dict.fromkeys(
    (
        "check_estimators_unfitted",
        "check_n_features_in_after_fitting",
        "check_estimators_dtypes",
        "check_dtype_object",
        "check_estimators_nan_inf",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit2d_predict1d",
    ),
    PAIRS,
)


class _NoPredict:
    """A model as scikit-learn's checks can judge it: without the method whose meaning differs."""

    @property
    def predict(self):
        raise AttributeError("hidden")


class ALSWithoutPredict(_NoPredict, ALS):
    pass


class EASEWithoutPredict(_NoPredict, EASE):
    pass


class IALSWithoutPredict(_NoPredict, IALS):
    pass


class SLIMWithoutPredict(_NoPredict, SLIM):
    pass


class RP3BetaWithoutPredict(_NoPredict, RP3Beta):
    pass


class ItemKNNWithoutPredict(_NoPredict, ItemKNN):
    pass


class NeuralMFWithoutPredict(_NoPredict, NeuralMF):
    pass


class NMFWithoutPredict(_NoPredict, NMF):
    pass


class PopularityWithoutPredict(_NoPredict, Popularity):
    pass


class TruncatedSVDWithoutPredict(_NoPredict, TruncatedSVD):
    pass


def run(model, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(model, expected_failed_checks=expected, on_fail=None, on_skip=None)
    return {r["check_name"]: (r["status"], r["exception"]) for r in results if r["status"] in ("failed", "xfail")}


MODELS = [
    ALS(n_factors=2, n_iter=2),
    EASE(reg=1),
    IALS(n_factors=2, n_iter=2),
    ItemKNN(),
    RP3Beta(),
    SparseEASE(reg=1),
    SLIM(l1_reg=0.1, l2_reg=1),
    NMF(n_factors=2, n_iter=2),
    Popularity(),
    TruncatedSVD(n_factors=1),
]
NEURAL = {"n_factors": 2, "n_hidden": 2, "n_epochs": 1}
if find_spec("torch"):
    MODELS.append(NeuralMF(**NEURAL))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_whole_model(model):
    outcome = run(model, CANNOT_APPLY)
    assert {name: why for name, (status, why) in outcome.items() if status == "failed"} == {}
    assert set(outcome) == set(CANNOT_APPLY)  # nothing is excused that passes


WITHOUT_PREDICT = [
    ALSWithoutPredict(n_factors=2, n_iter=2, random_state=0),
    EASEWithoutPredict(reg=1),
    IALSWithoutPredict(n_factors=2, n_iter=2, random_state=0),
    ItemKNNWithoutPredict(),
    RP3BetaWithoutPredict(),
    SLIMWithoutPredict(l1_reg=0.1, l2_reg=1),
    NMFWithoutPredict(n_factors=2, n_iter=2, random_state=0),
    PopularityWithoutPredict(),
    TruncatedSVDWithoutPredict(n_factors=1),
]
if find_spec("torch"):
    neural = NeuralMFWithoutPredict(**NEURAL, random_state=0)
    WITHOUT_PREDICT.append(pytest.param(neural, marks=pytest.mark.slow))


@pytest.mark.parametrize("model", WITHOUT_PREDICT, ids=lambda m: type(m).__name__)
def test_all_but_predict(model):
    assert run(model, {}) == {}


def test_grid_search_and_pipeline(likes):
    search = GridSearchCV(IALS(n_factors=4, n_iter=2, random_state=0), {"reg": [0.003, 1e6]}, cv=2)
    assert search.fit(likes.matrix).best_params_ == {"reg": 0.003}
    factors = make_pipeline(Binarizer(), IALS(n_factors=4, n_iter=2, random_state=0)).fit_transform(likes.matrix)
    assert factors.shape == (likes.n_users, 4)


TUNED = [
    (IALS(n_factors=8, n_iter=3, random_state=0), {"reg": [0.003, 1e6]}, 0.003),
    (EASE(), {"reg": [20.0, 1e9]}, 20.0),
    (TruncatedSVD(n_factors=8, random_state=0), {"n_factors": [8, 250]}, 8),
]
USERS = KFold(3, shuffle=True, random_state=0)  # rows of a user-by-item matrix are users
named = pytest.mark.parametrize(("model", "grid", "best"), TUNED, ids=[type(model).__name__ for model, *_ in TUNED])


@named
def test_cross_validation_is_strong_generalization(model, grid, best, likes):
    found = cross_val_score(model, likes.matrix, cv=USERS)
    by_hand = [
        clone(model).fit(likes.matrix[train]).score(likes.matrix[test]) for train, test in USERS.split(likes.matrix)
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    assert (found > cross_val_score(Popularity(), likes.matrix, cv=USERS)).all()


@named
def test_grid_search_over_folds_of_users(model, grid, best, likes):
    search = GridSearchCV(model, grid, cv=USERS).fit(likes.matrix)
    assert search.best_params_ == dict.fromkeys(grid, best)
    again = clone(model).set_params(**search.best_params_).fit(likes.matrix)
    np.testing.assert_array_equal(search.best_estimator_.recommend([0, 5]).items, again.recommend([0, 5]).items)


@named
def test_grid_search_in_a_pipeline(model, grid, best, likes):
    steps = make_pipeline(FunctionTransformer(np.log1p, accept_sparse=True), model)
    (name, values), step = next(iter(grid.items())), type(model).__name__.lower()
    search = GridSearchCV(steps, {f"{step}__{name}": values}, cv=USERS).fit(likes.matrix)
    assert search.best_params_ == {f"{step}__{name}": best}
    assert search.best_score_ == pytest.approx(cross_val_score(search.best_estimator_, likes.matrix, cv=USERS).mean())
    assert search.score(likes.matrix) > search.best_score_


def test_factors_are_a_step_of_a_pipeline(likes):
    """What users are like, from what they did, for whatever model comes after."""
    even = likes.users.ids % 2
    model = make_pipeline(Binarizer(), TruncatedSVD(n_factors=4, random_state=0), LogisticRegression())
    assert np.isfinite(cross_val_score(model, likes.matrix, even, cv=USERS)).all()
