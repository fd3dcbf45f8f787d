"""compare: models on one split, with planted truths."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

import lrrec
from lrrec import Comparison, Evaluation
from lrrec.errors import DataError, DataWarning, ModelWarning, ParameterError
from lrrec.evaluation import Candidates, Protocol

NAMES = ["ndcg@10", "hit@3"]


def evaluation(values, metric="ndcg@10", users=None):
    values = np.asarray(values, dtype=float)
    users = np.arange(len(values)) if users is None else users
    protocol = Protocol((metric,), Candidates("all", 9), len(values))
    return Evaluation(users, {metric: values}, np.ones(len(values), dtype=int), protocol)


def comparison(**values):
    return Comparison({name: evaluation(of) for name, of in values.items()})


@pytest.fixture(scope="module")
def found(split):
    fitted = lrrec.IALS(n_factors=8, n_iter=5, random_state=0).fit(split.train)
    return lrrec.compare({"popular": lrrec.Popularity(), "ials": fitted, "again": fitted}, split, NAMES)


@given(st.integers(2, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_swapped_models_swap_the_answer(n, seed):
    rng = np.random.default_rng(seed)
    both = comparison(a=rng.integers(0, 4, n) / 4, b=rng.integers(0, 4, n) / 4)
    ab = both.pairs("ndcg@10", "b", n_resamples=200).iloc[0]
    ba = both.pairs("ndcg@10", "a", n_resamples=200).iloc[0]
    assert (ab["model"], ab["other"]) == (ba["other"], ba["model"])
    for name in ("difference", "effect size"):
        assert ab[name] == pytest.approx(-ba[name])
    assert (ab["low"], ab["high"]) == pytest.approx((-ba["high"], -ba["low"]))
    assert (ab["p"], ab["wins"], ab["ties"]) == (ba["p"], ba["losses"], ba["ties"])
    assert ab["wins"] + ab["ties"] + ab["losses"] == n


def test_a_model_does_not_differ_from_itself(found):
    same = found.pairs("ndcg@10").set_index(["model", "other"]).loc[("ials", "again")]
    assert same[["difference", "low", "high", "effect size"]].tolist() == [0, 0, 0, 0]
    assert same[["p", "p holm"]].tolist() == [1, 1]
    assert same[["wins", "losses"]].tolist() == [0, 0]


def test_a_planted_difference_is_found_among_noise():
    rng = np.random.default_rng(0)
    skill = rng.random(300)
    noise = [np.clip(skill + rng.normal(0, 0.1, 300), 0, 1) for _ in range(4)]
    pairs = comparison(a=noise[0], b=noise[1], c=noise[2], planted=noise[3] + 0.03).pairs("ndcg@10")
    planted = pairs["other"] == "planted"
    assert (pairs.loc[planted, "p holm"] < 0.05).all()
    assert (pairs.loc[planted, "high"] < 0).all()
    assert (pairs.loc[~planted, "p holm"] > 0.05).all()


def test_models_that_know_the_users_beat_popularity(found):
    row = found.pairs("ndcg@10", baseline="popular").iloc[0]
    assert (row["model"], row["other"]) == ("ials", "popular")
    assert row["low"] > 0
    assert row["p holm"] <= 0.05
    assert row["wins"] > row["losses"]


def test_answers_are_the_same_every_time(found):
    assert found.pairs("hit@3").equals(found.pairs("hit@3"))
    assert not found.pairs("ndcg@10").equals(found.pairs("ndcg@10", random_state=1))
    assert found.summary().equals(found.summary())


def test_smaller_errors_win():
    both = Comparison({"a": evaluation([1, 2, 3], "rmse"), "b": evaluation([2, 3, 3], "rmse")})
    row = both.pairs("rmse").iloc[0]
    assert (row["difference"], row["wins"], row["ties"], row["losses"]) == (pytest.approx(-2 / 3), 2, 1, 0)


def test_unfitted_models_are_fitted_on_the_training_part_and_timed(found, split):
    given = lrrec.ItemKNN()
    again = lrrec.compare({"knn": given, "popular": lrrec.Popularity().fit(split.train)}, split, NAMES)
    assert not hasattr(given, "seen_")
    assert again.models["knn"].users_ is split.train.users
    assert list(again.fit_seconds) == ["knn"]
    assert all(seconds > 0 for seconds in again.recommend_seconds.values())
    for name in NAMES:
        np.testing.assert_array_equal(
            again.evaluations["popular"].values[name], found.evaluations["popular"].values[name]
        )


def test_evaluations_are_those_of_evaluate(found, split):
    alone = lrrec.evaluate(found.models["ials"], split, NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.evaluations["ials"].values[name], alone.values[name])


def test_drawn_candidates_are_the_same_for_all(split):
    model = lrrec.Popularity().fit(split.train)
    for random_state in (0, np.random.default_rng(0)):
        with pytest.warns(DataWarning, match="sampled"):
            twice = lrrec.compare({"a": model, "b": model}, split, NAMES, candidates=20, random_state=random_state)
        assert twice.pairs("ndcg@10")["ties"][0] == len(split.test_rows)


def test_metrics_are_checked_before_a_model_is_fitted(split):
    class Never(lrrec.Popularity):
        def fit(self, X, y=None):
            raise AssertionError("fitted")

    with pytest.raises(ParameterError, match="got 'ndgc@10'"):
        lrrec.compare({"a": Never()}, split, ["ndgc@10"])


def test_warnings_name_the_model(split, likes):
    models = {"honest": lrrec.Popularity(), "cheat": lrrec.Popularity().fit(likes)}
    with pytest.warns(DataWarning, match="^cheat: the model has learned from") as told:
        lrrec.compare(models, split, NAMES)
    assert [one.filename for one in told] == [__file__]
    (warning,) = (one.message for one in told)
    assert isinstance(warning, ModelWarning)
    assert warning.model == "cheat"
    assert warning.message.startswith("the model has learned from")
    again = pickle.loads(pickle.dumps(warning))
    assert (again.model, str(again)) == ("cheat", str(warning))

    class Chatty(lrrec.Popularity):
        def recommend_from(self, *args, **options):
            warnings.warn("a matter of its own", UserWarning, stacklevel=1)
            return super().recommend_from(*args, **options)

    with pytest.warns(UserWarning, match="^a matter of its own$"):
        lrrec.compare({"chatty": Chatty()}, split, NAMES)


def test_a_few_lines_around_somebody_elses_model_are_enough(split):
    theirs = NearestNeighbors(n_neighbors=20, metric="cosine").fit(sp.csr_matrix(split.train.matrix))

    class Theirs:
        def recommend_from(self, history, users, k, exclude_seen):
            mine = history.matrix[history.users.indices(users)]
            near = theirs.kneighbors(mine, return_distance=False)
            scores = np.stack([split.train.matrix[rows].sum(axis=0) for rows in near]) - 1e9 * (mine.toarray() > 0)
            return history.items.ids[np.argsort(-scores, kind="stable")[:, :k]]

    found = lrrec.compare({"popular": lrrec.Popularity(), "theirs": Theirs()}, split, NAMES)
    assert found.pairs("ndcg@10", "popular")["low"][0] > 0
    assert list(found.fit_seconds) == ["popular"]


def test_frames_and_reprs(found):
    assert found.summary().columns.tolist() == [
        "model", "ndcg@10", "ndcg@10 low", "ndcg@10 high", "hit@3", "hit@3 low", "hit@3 high", "fit seconds",
        "recommend seconds",
    ]  # fmt: skip
    row = found.summary().iloc[0]
    assert row["ndcg@10 low"] < row["ndcg@10"] < row["ndcg@10 high"]
    assert np.isnan(found.summary()["fit seconds"][1])
    assert found.pairs("hit@3", backend="polars").columns == [
        "model", "other", "difference", "low", "high", "p", "p holm", "effect size", "wins", "ties", "losses",
    ]  # fmt: skip
    assert len(found.pairs("hit@3")) == 3
    lines = repr(found).splitlines()
    assert lines[0] == f"Comparison of 3 models for {len(found.evaluations['ials'].users)} users"
    assert f"{found.evaluations['ials'].mean()['ndcg@10']:.4f}" in lines[3]
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("models", "error", "words"),
    [
        ({}, TypeError, "models must be a dict"),
        ([lrrec.Popularity()], TypeError, "models must be a dict"),
        ({1: lrrec.Popularity()}, TypeError, "models must be a dict"),
        ({"a": object()}, DataError, r"models\['a'\] must be a model with a method recommend_from .*, got object"),
        ({"a": lrrec.Popularity}, DataError, "got the class Popularity"),
    ],
)
def test_bad_models(split, models, error, words):
    with pytest.raises(error, match=words):
        lrrec.compare(models, split)


def test_bad_arguments(found, split):
    with pytest.raises(DataError, match="split must be a Split, got Interactions"):
        lrrec.compare({"a": lrrec.Popularity()}, split.train)
    with pytest.raises(ParameterError, match="metric must be one of ndcg@10, hit@3, got 'recall@20'"):
        found.pairs("recall@20")
    with pytest.raises(ParameterError, match="baseline must be one of popular, ials, again, got 'ease'"):
        found.pairs("hit@3", "ease")
    with pytest.raises(ParameterError, match="at least two models, got a alone"):
        comparison(a=[1, 2]).pairs("ndcg@10")
    with pytest.raises(ParameterError, match="at least one model"):
        Comparison({})
    with pytest.raises(DataError, match="same users in the same order, 'b' has others"):
        Comparison({"a": evaluation([1, 2]), "b": evaluation([1, 2], users=np.array([1, 0]))})
    with pytest.raises(DataError, match="same metrics, got ndcg@10 of 'a' and hit@3 of 'b'"):
        Comparison({"a": evaluation([1, 2]), "b": evaluation([1, 2], "hit@3")})
