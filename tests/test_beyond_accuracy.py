"""Metrics beyond accuracy: counted by hand, and through the evaluation."""

import numpy as np
import oracles
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import lrrec
from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.metrics import Catalogue, beyond_accuracy
from lrrec.metrics.beyond_accuracy import count_exposures

NAMES = ["coverage@20", "novelty@20", "ndcg@10", "gini@5", "popularity@5", "diversity@20"]


@pytest.fixture(scope="module")
def fitted(split):
    return lrrec.IALS(n_factors=8, unobserved_weight=0.1, n_iter=5, random_state=0).fit(split.train)


@given(st.integers(0, 2**32 - 1))
def test_beyond_accuracy_is_counted_right(seed):
    rng = np.random.default_rng(seed)
    n_items, lists = 9, np.argsort(rng.random((6, 9)), axis=1)[:, :4]
    lists[1, 2:], lists[2] = -1, -1
    counts, vectors = rng.integers(0, 6, n_items), rng.normal(size=(n_items, 3)) * (rng.random((n_items, 1)) < 0.8)
    shown = [row[row >= 0].tolist() for row in lists]
    everything = [item for row in shown for item in row]
    exposures = np.array([everything.count(item) for item in range(n_items)])
    np.testing.assert_array_equal(count_exposures(lists, n_items), exposures)
    assert beyond_accuracy.coverage(exposures) == len(set(everything)) / n_items
    apart = np.abs(np.subtract.outer(exposures, exposures)).mean() / (2 * np.mean(exposures))
    assert beyond_accuracy.gini(exposures) == pytest.approx(apart)
    dense, sparse = Catalogue(counts, 6, vectors), Catalogue(counts, 6, sp.csr_array(vectors))
    values = (
        beyond_accuracy.novelty(lists, dense),
        beyond_accuracy.popularity(lists, dense),
        beyond_accuracy.diversity(lists, dense),
        beyond_accuracy.diversity(lists, sparse),
    )
    assert all(np.isnan(of_lists[2]) for of_lists in values)
    for row in (0, 1, 3, 4, 5):
        want = [
            np.mean([-np.log2(max(counts[item], 1) / 6) for item in shown[row]]),
            np.mean([counts[item] for item in shown[row]]),
            oracles.diversity(shown[row], vectors),
            oracles.diversity(shown[row], vectors),
        ]
        assert [of_lists[row] for of_lists in values] == pytest.approx(want)


def test_beyond_accuracy_at_its_ends():
    assert beyond_accuracy.gini(np.array([1, 1, 1, 1])) == 0
    assert beyond_accuracy.gini(np.array([0, 2, 0, 0])) == pytest.approx(3 / 4)
    assert np.isnan(beyond_accuracy.gini(np.zeros(4, int)))
    for vectors, want in ((np.array([[1.0, 0], [2, 0]]), 0), (np.array([[1.0, 0], [-2, 0]]), 2)):
        catalogue = Catalogue(np.array([1, 1]), 1, vectors)
        assert beyond_accuracy.diversity(np.array([[0, 1]]), catalogue)[0] == pytest.approx(want)
        assert np.isnan(beyond_accuracy.diversity(np.array([[0, -1]]), catalogue)[0])


def test_they_are_metrics_of_evaluate_and_of_lists(fitted, split, monkeypatch):
    vectors = fitted.item_factors_
    result = lrrec.evaluate(fitted, split, metrics=NAMES, vectors=vectors)
    assert list(result.mean()) == ["novelty@20", "ndcg@10", "popularity@5", "diversity@20", "coverage@20", "gini@5"]
    assert set(result.overall) == {"coverage@20", "gini@5"}
    lists = fitted.recommend_from(split.history, 20, users=result.users)
    counts = np.bincount(split.train.matrix.indices, minlength=len(split.items))
    assert result.mean()["coverage@20"] == len(np.unique(lists.indices)) / len(split.items)
    assert result.mean()["popularity@5"] == pytest.approx(counts[lists.indices[:, :5]].mean())
    assert result.values["diversity@20"][3] == pytest.approx(oracles.diversity(lists.indices[3], vectors))
    n_users = np.count_nonzero(np.diff(split.train.matrix.indptr))
    novelty = -np.log2(np.maximum(counts, 1)[lists.indices] / n_users).mean(axis=1)
    np.testing.assert_allclose(result.values["novelty@20"], novelty)

    for test, train in ((split, None), (split.test, split.train)):
        same = lrrec.evaluate_lists(lists, test, metrics=NAMES, train=train, vectors=vectors)
        assert same.mean() == pytest.approx(result.mean())
    monkeypatch.setattr("lrrec.evaluation.candidate_pool.BLOCK_PLACES", 100)
    blocks = lrrec.evaluate(fitted, split, metrics=NAMES, vectors=vectors)
    assert blocks.overall == result.overall
    np.testing.assert_allclose(blocks.values["diversity@20"], result.values["diversity@20"])


def test_popular_lists_are_less_novel_and_cover_less(fitted, split):
    comparison = lrrec.compare(
        {"popularity": lrrec.Popularity(), "ials": fitted}, split, metrics=NAMES, vectors=fitted.item_factors_
    )
    for name in NAMES:
        assert comparison.best_first(name)[0] == "ials"
    pairs = comparison.pairs("popularity@5")
    assert (pairs["difference"][0], pairs["wins"][0]) == (pytest.approx(pairs["difference"][0]), 0)
    assert pairs["difference"][0] > 0  # the popular list is more popular, which is worse
    summary = comparison.summary()
    assert np.isnan(summary["coverage@20 low"]).all()
    assert not summary["coverage@20"].isna().any()
    assert comparison.to_frame().columns.tolist() == ["model", "user", *comparison.per_user_metrics]
    assert f"{comparison.evaluations['ials'].mean()['gini@5']:.4f}" in repr(comparison)
    with pytest.raises(ParameterError, match="coverage@20 is one number for the lists of all users, which cannot be"):
        comparison.pairs("coverage@20")


def test_an_evaluation_of_the_catalogue_alone(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["coverage@10"])
    assert result.mean() == result.overall
    assert np.isnan(result.interval()["coverage@10"]).all()
    assert result.summary()["metric"].tolist() == ["coverage@10"]
    assert list(result.to_frame().columns) == ["user"]
    assert f"coverage@10    {result.overall['coverage@10']:.4f}" in repr(result)
    with pytest.raises(DataError, match="diversity needs vectors"):
        lrrec.compare({"never fitted": lrrec.IALS()}, split, metrics=["diversity@10"])


def test_users_without_a_value_are_left_out(fitted, split):
    lists = fitted.recommend_from(split.history, 5)
    with pytest.warns(DataWarning, match="no list"):
        result = lrrec.evaluate_lists(lists.items[1:], split, metrics=["novelty@5", "hit@5"], users=lists.users[1:])
    values = result.values["novelty@5"]
    assert np.isnan(values[result.users == lists.users[0]]).all()
    assert result.mean()["novelty@5"] == values[~np.isnan(values)].mean()
    low, high = result.interval()["novelty@5"]
    assert low < result.mean()["novelty@5"] < high
    whole = lrrec.evaluate_lists(lists, split, metrics=["novelty@5", "hit@5"])
    pair = lrrec.Comparison({"part": result, "whole": whole}).pairs("novelty@5").iloc[0]
    assert (pair["difference"], pair["ties"], pair["p"]) == (0, len(values) - 1, 1)
    groups = np.where(result.users == lists.users[0], "none", "some")
    by_group = result.by_group(groups).set_index(["group", "metric"])["mean"]
    assert np.isnan(by_group["none", "novelty@5"])
    assert by_group["some", "novelty@5"] == pytest.approx(result.mean()["novelty@5"])


def test_what_they_need_is_asked_for(fitted, split):
    lists = fitted.recommend_from(split.history, 5)
    for vectors, got in ((None, "None"), (fitted.item_factors_[:-1], r"\(318, 8\)")):
        with pytest.raises(DataError, match=rf"diversity needs vectors of shape \(319, D\), such as .*, got {got}"):
            lrrec.evaluate(fitted, split, metrics=["diversity@5"], vectors=vectors)
    with pytest.raises(DataError, match="novelty@5 need the training interactions: pass the Split, or train="):
        lrrec.evaluate_lists(lists, split.test, metrics=["novelty@5"])
    with pytest.raises(DataError, match="train must be Interactions, got Split"):
        lrrec.evaluate_lists(lists, split.test, metrics=["novelty@5"], train=split)
    other = lrrec.Interactions.from_pairs([1], [2])
    with pytest.raises(DataError, match="train must have the items of test"):
        lrrec.evaluate_lists(lists, split.test, metrics=["novelty@5"], train=other)


@pytest.mark.slow
def test_the_report_prints_their_formulas(fitted, split):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    names = ["coverage@10", "gini@10", "ndcg@10"]
    comparison = lrrec.compare({"popularity": lrrec.Popularity(), "ials": fitted}, split, metrics=names)
    for metric in ("ndcg@10", "coverage@10"):
        text = lrrec.Report("x", comparison, split=split, metric=metric).html()
        assert f"ials has the best mean {metric}" in text
        assert "items in at least one list / items (greater is better)" in text
        assert ('id="history"' in text) == (metric == "ndcg@10")
    alone = lrrec.compare({"popularity": lrrec.Popularity(), "ials": fitted}, split, metrics=["gini@10"])
    assert "ials has the best mean gini@10" in lrrec.Report("x", alone, split=split).html()
