"""compare: what is chance and what is not, against exact answers and planted truths."""

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

import lrrec
from lrrec import Comparison, Evaluation
from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.evaluation.statistics import bootstrap, effect_size, holm, sign_flip

NAMES = ["ndcg@10", "hit@3"]


def evaluation(values, metric="ndcg@10", users=None):
    values = np.asarray(values, dtype=float)
    users = np.arange(len(values)) if users is None else users
    return Evaluation(users, {metric: values}, np.ones(len(values), dtype=int), {"candidates": "all items"})


def comparison(**values):
    return Comparison({name: evaluation(of) for name, of in values.items()})


@pytest.fixture(scope="module")
def found(split):
    fitted = lrrec.IALS(n_factors=8, n_iter=5, random_state=0).fit(split.train)
    return lrrec.compare({"popular": lrrec.Popularity(), "ials": fitted, "again": fitted}, split, NAMES)


def exact_p(d):
    """All sign patterns, one by one."""
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((1, -1), repeat=len(d))]
    return np.mean(np.array(sums) >= abs(np.sum(d)) - 1e-9)


@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_few_users_are_tested_exactly(n):
    rng = np.random.default_rng(n)
    D = np.column_stack((rng.normal(0.3, 1, n), rng.integers(-1, 2, n), np.ones(n), np.zeros(n)))
    found = sign_flip(D, 2000, rng)
    np.testing.assert_allclose(found, [exact_p(d) for d in D.T])
    assert found[2] == 2 ** (1 - n)
    assert found[3] == 1


def test_users_who_do_not_differ_do_not_count():
    d = np.array([0.5, 0.25, 0.5, -0.25])
    padded = np.concatenate((d, np.zeros(100)))[:, None]
    assert sign_flip(padded, 100, np.random.default_rng(0)) == exact_p(d)


def test_many_users_are_tested_by_draws():
    D = np.random.default_rng(0).normal(0.4, 1, (14, 3))
    exact = np.array([exact_p(d) for d in D.T])
    error = np.sqrt(exact * (1 - exact) / 8000)
    assert (np.abs(sign_flip(D, 8000, np.random.default_rng(1)) - exact) < 4 * error + 1 / 8000).all()


@pytest.mark.parametrize("draw", ["normal", "exponential", "hits"])
def test_of_noise_one_in_twenty_is_significant(draw):
    rng = np.random.default_rng(0)
    one, other = (
        {"normal": rng.normal, "exponential": rng.exponential, "hits": lambda size: rng.integers(0, 2, size)}[draw](
            size=(60, 1000)
        )
        for _ in range(2)
    )
    share = (sign_flip((one - other).astype(float), 999, rng) <= 0.05).mean()
    low = 0.01 if draw == "hits" else 0.03  # p-values of counts come in steps, and are kept on the safe side
    assert low < share < 0.07


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    D = rng.exponential(size=(100, 600)) - rng.exponential(size=(100, 600))
    low, high = bootstrap(D, 0.9, 400, rng)
    assert 0.86 < ((low <= 0) & (high >= 0)).mean() < 0.93


def test_interval_is_that_of_the_bootstrap_written_out():
    d = np.random.default_rng(0).normal(0.2, 1, 50)
    low, high = bootstrap(d[:, None], 0.95, 20_000, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    means = [rng.choice(d, len(d)).mean() for _ in range(20_000)]
    np.testing.assert_allclose([low[0], high[0]], np.quantile(means, [0.025, 0.975]), atol=0.01)
    assert np.isnan(bootstrap(d[:1, None], 0.95, 10, rng)).all()


def test_memory_does_not_grow_with_the_draws():
    D = np.random.default_rng(0).normal(size=(20_000, 2))
    tracemalloc.start()
    try:
        bootstrap(D, 0.95, 500, np.random.default_rng(0))
        sign_flip(D, 2000, np.random.default_rng(0))
        assert tracemalloc.get_traced_memory()[1] < 60e6  # all draws at once: 80 MB and 320 MB
    finally:
        tracemalloc.stop()


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.5, 0.9])), [1, 1])
    np.testing.assert_allclose(holm(np.array([0.2])), [0.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p_values):
    p = np.array(p_values)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(len(p) * p, 1)).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()
    assert corrected[np.argmin(p)] == min(1, len(p) * p.min())


def test_effect_size():
    d = np.array([0.1, 0.3, 0.2, 0.0])
    D = np.column_stack((d, np.zeros(4), np.full(4, 0.1), np.full(4, -0.1), [1, -1, 1, -1]))
    np.testing.assert_allclose(effect_size(D), [d.mean() / d.std(ddof=1), 0, np.inf, -np.inf, 0])
    assert np.isnan(effect_size(D[:1])).all()


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
    assert found.table().equals(found.table())


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
    assert found.table().columns.tolist() == [
        "model", "ndcg@10", "ndcg@10 low", "ndcg@10 high", "hit@3", "hit@3 low", "hit@3 high", "fit seconds",
        "recommend seconds",
    ]  # fmt: skip
    row = found.table().iloc[0]
    assert row["ndcg@10 low"] < row["ndcg@10"] < row["ndcg@10 high"]
    assert np.isnan(found.table()["fit seconds"][1])
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
