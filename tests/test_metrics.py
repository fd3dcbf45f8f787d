"""The metrics: equal to their textbook definitions, to scikit-learn's and ranx's."""

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

import lrrec
from lrrec.errors import DataError, ParameterError
from lrrec.metrics import METRICS, count_hits, find_hits, measure, parse, rating_metrics, registry
from lrrec.metrics.registry import METRIC_KINDS, Metric, check_names

RANKING = [name for name, metric in METRICS.items() if metric.kind == "ranking"]
RANKING_AT_3 = [f"{name}@3" for name in RANKING]
BINARY = [name for name in RANKING if name != "graded-ndcg"]


def of_one_list(ranked, relevant, k, n_items=21):
    """Every binary ranking metric at k of one list."""
    lists = np.full((1, k), -1)
    lists[0, : min(k, len(ranked))] = ranked[:k]
    row = np.zeros((1, n_items))
    row[0, list(relevant)] = 1
    values, _ = measure(lists, sp.csr_array(row), np.array([0]), [f"{name}@{k}" for name in BINARY])
    return dict(zip(BINARY, values[0], strict=True))


def random_lists(seed, n_users=40, n_items=25, k=10):
    """Lists with empty places, and relevance with repeated values and rows without any."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :k].astype(np.int32)
    lists[np.arange(k) >= rng.integers(0, k + 1, n_users)[:, None]] = -1
    dense = np.where(rng.random((n_users + 5, n_items)) < 0.3, rng.integers(1, 4, (n_users + 5, n_items)), 0)
    rows = rng.permutation(n_users + 5)[:n_users]
    dense[rows[1:], 0] = 1
    dense[rows[0]] = 0
    return lists, sp.csr_array(dense.astype(np.float32)), rows


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """No test waits for kernels to be compiled."""
    measure(*random_lists(0), RANKING_AT_3)
    of_one_list([1, 2], {2}, 3)


@given(
    st.lists(st.integers(0, 20), unique=True, max_size=12), st.sets(st.integers(0, 20), min_size=1), st.integers(1, 15)
)
def test_metrics_are_the_textbook_ones(ranked, relevant, k):
    values, want = of_one_list(ranked, relevant, k), oracles.metrics(ranked, relevant, k)
    assert set(want) == set(BINARY)
    for name, value in values.items():
        assert value == pytest.approx(want[name], abs=1e-12)
        assert 0 <= value <= 1 + 1e-12


@given(st.integers(1, 10), st.integers(1, 10))
def test_a_perfect_list_scores_one(k, n_relevant):
    values = of_one_list(range(k), set(range(n_relevant)), k)
    for name in ("ndcg", "capped-recall", "capped-map", "mrr", "hit", *(["r-precision", "map"] * (k >= n_relevant))):
        assert values[name] == pytest.approx(1)
    assert values["recall"] == values["map"] == pytest.approx(min(k, n_relevant) / n_relevant)


@given(st.lists(st.booleans(), min_size=2, max_size=10), st.integers(0, 8))
def test_a_hit_moved_up_never_hurts(places, at):
    at, k = at % (len(places) - 1), len(places)
    moved = [*places[:at], *sorted(places[at : at + 2], reverse=True), *places[at + 2 :]]
    before, after = (
        of_one_list(range(k), {*np.flatnonzero(hits).tolist(), *([] if any(hits) else [20])}, k)
        for hits in (places, moved)
    )
    for name in BINARY:
        assert after[name] >= before[name] - 1e-12


@pytest.mark.parametrize("wide", [2**32 + 1, 2, np.iinfo(np.int64).max])
def test_lists_of_items_that_do_not_exist_are_refused(wide):
    """Their indices could wrap around to those of other items."""
    relevant = sp.csr_array([[0, 1]], dtype=np.float32)
    for refused in (lambda lists: measure(lists, relevant, np.array([0]), ["hit@1"]),
                    lambda lists: count_hits(lists, relevant, np.array([0]))):  # fmt: skip
        with pytest.raises(DataError, match="lists must hold item indices below 2, got"):
            refused(np.array([[wide]]))
    assert count_hits(np.array([[-(2**32) + 1]]), relevant, np.array([0])).tolist() == [0]


def test_ndcg_is_scikit_learns():
    rng = np.random.default_rng(0)
    relevance, scores = (rng.random((50, 30)) < 0.2).astype(float), rng.random((50, 30))
    relevance[:, 0] = 1
    lists = np.argsort(-scores, axis=1)[:, :10]
    values, _ = measure(lists, sp.csr_array(relevance), np.arange(50), ["ndcg@10"])
    want = [ndcg_score(relevance[[row]], scores[[row]], k=10) for row in range(50)]
    np.testing.assert_allclose(values[:, 0], want, atol=1e-12)


def test_unfilled_places_are_no_hits():
    relevant = sp.csr_array(np.array([[1, 0, 1], [0, 0, 0]]))
    assert find_hits(np.array([[2, -1, 0], [-1, -1, 1]]), relevant).tolist() == [[True, False, True], [False] * 3]
    assert not find_hits(np.array([[0, 1]]), sp.csr_array((1, 3))).any()


def test_names():
    assert parse("ndcg@10") == (METRICS["ndcg"], 10)
    assert [parse(name)[1] for name in ("graded-ndcg@7", "coverage@3", "auc", "rmse")] == [7, 3, None, None]
    for bad in ("ndcg", "ndcg@0", "ndcg@x", "auc@10", "ndcg@-1", 5, "recall@5 ", "coverage", "uncapped-map@10"):
        with pytest.raises(ParameterError, match=r"NAME@K .* or one of auc, rmse, mae, got"):
            parse(bad)
    for other_kind in ("auc", "rmse", "coverage@10"):
        with pytest.raises(ParameterError, match=r"NAME one of ndcg, .*, graded-ndcg and K >= 1, got"):
            parse(other_kind, ("ranking",))
    assert check_names(["hit@1", "map@2", "hit@1"]) == ["hit@1", "map@2"]
    assert check_names("auc") == ["auc"]
    for none in ([], None, 3):
        with pytest.raises(ParameterError, match="a list of at least one metric"):
            check_names(none)


def test_the_registry_says_all_there_is_to_say():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.kind in METRIC_KINDS
        assert metric.formula
        assert callable(metric.function)
    assert {name for name, metric in METRICS.items() if not metric.greater_is_better} == {
        "rmse", "mae", "popularity", "gini",
    }  # fmt: skip


def test_a_metric_is_one_function_and_one_line(split, monkeypatch):
    """Rank-biased precision (Moffat & Zobel 2008): a user reads on from rank to rank with probability 0.8."""

    def rank_biased_precision(hits, k):
        return hits.sum(0.2 * 0.8 ** (hits.ranks - 1), k)

    monkeypatch.setattr("lrrec.metrics.ranking_metrics.rank_biased_precision", rank_biased_precision, raising=False)
    entry = Metric("rbp", "rank_biased_precision", "ranking", True, "sum over hits of 0.2 * 0.8^(rank - 1)")
    monkeypatch.setitem(registry.METRICS, "rbp", entry)
    model = lrrec.Popularity().fit(split.train)
    result = lrrec.evaluate(model, split, metrics=["rbp@1", "rbp@10"])
    hits = lrrec.evaluate(model, split, metrics=["hit@1"]).values["hit@1"]
    np.testing.assert_allclose(result.values["rbp@1"], 0.2 * hits)
    lists = model.recommend_from(split.history, 10, users=result.users)
    for user, items, value in zip(result.users, lists.items, result.values["rbp@10"], strict=True):
        relevant = split.items.ids[split.test.matrix[split.users.indices([user])].indices]
        assert value == pytest.approx(sum(0.2 * 0.8**place * (item in relevant) for place, item in enumerate(items)))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_many_lists_at_once_are_each_list_alone(seed, n_threads):
    lists, relevant, rows = random_lists(seed, n_users=12)
    names = [f"{name}@{k}" for name in RANKING for k in (1, 3, 10)]
    values, repeats = measure(lists, relevant, rows, names, n_threads=n_threads)
    assert not repeats.any()
    assert np.isnan(values[0]).all()
    for row, ranked, got in zip(rows[1:], lists[1:], values[1:], strict=True):
        entries = relevant[[row]]
        gains = dict(zip(entries.indices.tolist(), entries.data.tolist(), strict=True))
        for name, value in zip(names, got, strict=True):
            metric, k = name.split("@")[0], int(name.split("@")[1])
            if metric == "graded-ndcg":
                want = oracles.graded_ndcg(ranked.tolist(), gains, k)
            else:
                want = oracles.metrics(ranked.tolist(), set(gains), k)[metric]
            assert value == pytest.approx(want, abs=1e-12)
    assert count_hits(lists, relevant, rows).tolist() == find_hits(lists, relevant[rows]).sum(1).tolist()


def test_blocks_change_nothing(monkeypatch):
    lists, relevant, rows = random_lists(3)
    names = [*(f"{name}@7" for name in RANKING), "auc"]
    whole, _ = measure(lists, relevant, rows, names, n_candidates=np.full(len(rows), 25))
    for name in ("MIN_PLACES", "MAX_PLACES"):
        monkeypatch.setattr(f"lrrec.metrics.hits.{name}", 30)
    parts, _ = measure(lists, relevant, rows, names, n_candidates=np.full(len(rows), 25), n_threads=2)
    np.testing.assert_array_equal(parts, whole)


@given(st.integers(0, 2**32 - 1))
def test_graded_ndcg_and_auc_are_the_textbook_ones(seed):
    lists, relevant, rows = random_lists(seed, n_users=6, n_items=14, k=10)
    seen = np.random.default_rng(seed).random((6, 14)) < 0.1
    seen[np.arange(6)[:, None], np.maximum(lists, 0)] = False
    got, _ = measure(lists, relevant, rows, ["graded-ndcg@4", "auc"], n_candidates=14 - seen.sum(1))
    for one in range(1, 6):
        ranked = [item for item in lists[one].tolist() if item >= 0]
        row = relevant[[rows[one]]]
        values = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        assert got[one, 0] == pytest.approx(oracles.graded_ndcg(ranked, values, 4))
        candidates = set(np.flatnonzero(~seen[one]).tolist())
        if set(values) <= candidates:
            assert got[one, 1] == pytest.approx(oracles.auc(ranked, set(values), candidates))
    assert 0 <= got[1:].min() <= got[1:].max() <= 1 + 1e-12


def test_ndcg_of_grades_and_auc_are_scikit_learns_with_ties():
    lists, relevant, rows = random_lists(1, n_users=60)
    got, _ = measure(lists, relevant, rows, ["graded-ndcg@10", "graded-ndcg@3", "auc"], n_candidates=np.full(60, 25))
    for one in range(1, 60):
        scores = np.full(25, -100.0)  # what is not listed is tied
        filled = lists[one][lists[one] >= 0]
        scores[filled] = -np.arange(len(filled))
        truth = relevant[[rows[one]]].toarray()
        if len(filled) == 10:
            want = [ndcg_score(truth, scores[None], k=k, ignore_ties=True) for k in (10, 3)]
            np.testing.assert_allclose(got[one, :2], want, atol=1e-9)
        assert got[one, 2] == pytest.approx(roc_auc_score(truth[0] > 0, scores), abs=1e-9)


def test_a_list_without_other_candidates_has_an_auc_of_one_half():
    relevant = sp.csr_array(np.ones((1, 2), np.float32))
    assert measure(np.array([[1, 0]]), relevant, np.array([0]), ["auc"], n_candidates=np.array([2]))[0] == 0.5


def test_what_lists_hold_twice_is_found_and_short_lists_are_refused():
    relevant = sp.csr_array(np.ones((2, 3), np.float32))
    lists = np.array([[1, 0, 1], [-1, -1, -1]])
    assert measure(lists, relevant, np.array([0, 1]), ["hit@2"])[1].tolist() == [True, False]
    with pytest.raises(ParameterError, match="as long as the largest cutoff, 5, got 3"):
        measure(lists, relevant, np.array([0, 1]), ["hit@5"])


@given(st.integers(0, 2**32 - 1))
def test_errors_of_a_constant_are_its_distance(seed):
    rng = np.random.default_rng(seed)
    rows = np.sort(np.append(np.arange(4), rng.integers(0, 4, 9)))
    errors = rng.normal(size=13)
    rmse, mae = rating_metrics.rmse(errors, rows, 4), rating_metrics.mae(errors, rows, 4)
    assert (mae <= rmse + 1e-12).all()
    assert rmse == pytest.approx([np.sqrt((errors[rows == row] ** 2).mean()) for row in range(4)])
    np.testing.assert_allclose(rating_metrics.rmse(np.full(13, -2.0), rows, 4), 2)
    np.testing.assert_allclose(rating_metrics.mae(np.full(13, -2.0), rows, 4), 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_metrics_are_those_of_ranx():
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    run = {}
    for user in range(50):
        items, scores = rng.choice(60, 30, replace=False), rng.integers(0, 8, 30)  # many ties
        run[str(user)] = dict(zip(map(str, items), map(float, scores), strict=True))
    relevant = rng.random((50, 60)) < 0.2
    relevant[:, 0] = True
    users, items = np.nonzero(relevant)
    values = rng.integers(1, 4, len(users))
    graded, binary = {}, {}
    for user, item, value in zip(users, items, values, strict=True):
        graded.setdefault(str(user), {})[str(item)] = int(value)
        binary.setdefault(str(user), {})[str(item)] = 1

    lists = ranx.Run(run)
    lists.sort()  # its order of what is tied
    rows = [(int(user), int(item), score) for user, found in lists.run.items() for item, score in found.items()]
    frame = pd.DataFrame(rows, columns=["user", "item", "score"])
    theirs = {
        "ndcg": "ndcg", "recall": "recall", "precision": "precision", "map": "map", "mrr": "mrr",
        "hit": "hit_rate", "graded-ndcg": "ndcg",
    }  # fmt: skip
    pairs = {f"{ours}@{k}": f"{name}@{k}" for ours, name in theirs.items() for k in (1, 5, 20)}
    pairs["r-precision@60"] = "r-precision"
    result = lrrec.evaluate_lists(
        frame, lrrec.Interactions.from_pairs(users, items, values=values), metrics=list(pairs)
    )
    order = [int(user) for user in lists.run]
    for ours, name in pairs.items():
        truth = ranx.Qrels(graded if ours.startswith("graded") else binary)
        want = ranx.evaluate(truth, lists, name, return_mean=False)
        np.testing.assert_allclose(result.values[ours][order], want, atol=1e-9, err_msg=ours)
