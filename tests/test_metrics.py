"""The metrics: equal to their textbook definitions and to scikit-learn's."""

import numpy as np
import oracles
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from lrrec.errors import ParameterError
from lrrec.metrics import METRICS, find_hits, parse


@given(
    st.lists(st.integers(0, 20), unique=True, max_size=12), st.sets(st.integers(0, 20), min_size=1), st.integers(1, 15)
)
def test_metrics_are_the_textbook_ones(ranked, relevant, k):
    lists = np.full((1, k), -1)
    lists[0, : min(k, len(ranked))] = ranked[:k]
    row = np.zeros((1, 21))
    row[0, list(relevant)] = 1
    hits = find_hits(lists, sp.csr_array(row))
    want = oracles.metrics(ranked, relevant, k)
    assert set(want) == set(METRICS)
    for name, metric in METRICS.items():
        (value,) = metric(hits, np.array([len(relevant)]))
        assert value == pytest.approx(want[name], abs=1e-12)
        assert 0 <= value <= 1 + 1e-12


@given(st.integers(1, 10), st.integers(1, 10))
def test_a_perfect_list_scores_one(k, n_relevant):
    hits = np.arange(k)[None, :] < n_relevant
    for name in ("ndcg", "capped-recall", "map", "mrr", "hit"):
        assert METRICS[name](hits, np.array([n_relevant]))[0] == pytest.approx(1)
    assert METRICS["recall"](hits, np.array([n_relevant]))[0] == pytest.approx(min(k, n_relevant) / n_relevant)


@given(st.lists(st.booleans(), min_size=2, max_size=10), st.integers(0, 8))
def test_a_hit_moved_up_never_hurts(places, at):
    hits = np.array([places])
    at = at % (len(places) - 1)
    better = hits.copy()
    better[0, at : at + 2] = np.sort(better[0, at : at + 2])[::-1]
    for metric in METRICS.values():
        n = np.array([max(1, hits.sum())])
        assert metric(better, n)[0] >= metric(hits, n)[0] - 1e-12


def test_ndcg_is_scikit_learns():
    rng = np.random.default_rng(0)
    relevance, scores = (rng.random((50, 30)) < 0.2).astype(float), rng.random((50, 30))
    relevance[:, 0] = 1
    lists = np.argsort(-scores, axis=1)[:, :10]
    got = METRICS["ndcg"](find_hits(lists, sp.csr_array(relevance)), relevance.sum(1).astype(int))
    want = [ndcg_score(relevance[[row]], scores[[row]], k=10) for row in range(50)]
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_unfilled_places_are_no_hits():
    relevant = sp.csr_array(np.array([[1, 0, 1], [0, 0, 0]]))
    assert find_hits(np.array([[2, -1, 0], [-1, -1, 1]]), relevant).tolist() == [[True, False, True], [False] * 3]
    assert not find_hits(np.array([[0, 1]]), sp.csr_array((1, 3))).any()


def test_names():
    assert parse("ndcg@10") == (METRICS["ndcg"], 10)
    for bad in ("ndcg", "ndcg@0", "ndcg@x", "auc@10", "ndcg@-1", 5, "recall@5 "):
        with pytest.raises(ParameterError, match="a metric must be NAME@K"):
            parse(bad)
