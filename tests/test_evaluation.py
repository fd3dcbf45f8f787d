"""evaluate: the protocol, the numbers, the published figures."""

import numpy as np
import oracles
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

import lrrec
from lrrec import Interactions, Split
from lrrec.errors import DataError, DataWarning, ParameterError


@pytest.fixture(scope="module")
def fitted(split):
    return lrrec.IALS(n_factors=8, n_iter=5, random_state=0).fit(split.train)


def test_values_are_the_textbook_ones(fitted, split):
    names = ("ndcg@10", "recall@5", "precision@20", "map@10", "capped-map@10", "mrr@10", "hit@1", "capped-recall@20")
    result = lrrec.evaluate(fitted, split, metrics=names)
    lists = fitted.recommend_from(split.history, 20, users=result.users)
    for row, user in enumerate(result.users):
        relevant = set(split.items.ids[split.test.matrix[split.users.indices([user])].indices])
        ranked = lists.items[row].compressed().tolist()
        for name in names:
            metric, k = name.split("@")
            assert result.values[name][row] == pytest.approx(oracles.metrics(ranked, relevant, int(k))[metric])


def test_only_users_with_a_test_interaction_count(fitted, split):
    result = lrrec.evaluate(fitted, split)
    np.testing.assert_array_equal(result.users, split.users.ids[split.test_rows])
    assert all(len(values) == len(split.test_rows) for values in result.values.values())


def test_an_oracle_scores_one_and_anything_with_recommend_can_take_part(split):
    class Oracle:
        def recommend_from(self, history, users, k, exclude_seen):
            rows = split.users.indices(users)
            lists = np.ma.masked_all((len(rows), k), dtype=np.int64)
            for place, row in enumerate(rows):
                items = split.items.ids[split.test.matrix[[row]].indices][:k]
                lists[place, : len(items)] = items
            return lists

    means = lrrec.evaluate(Oracle(), split, metrics=["ndcg@10", "mrr@10", "hit@10", "capped-recall@10"]).mean()
    assert means == pytest.approx(dict.fromkeys(means, 1))


def test_models_beat_popularity(fitted, split):
    popularity = lrrec.evaluate(lrrec.Popularity().fit(split.train), split).mean()
    assert lrrec.evaluate(fitted, split).mean()["ndcg@10"] > 1.2 * popularity["ndcg@10"]


def test_training_users_are_ranked_without_what_they_have_seen(likes):
    split = lrrec.splits.leave_last(likes)
    model = lrrec.Popularity().fit(split.train)
    excluded, included = (
        lrrec.evaluate(model, split, metrics=["mrr@10"], exclude_seen=seen).mean()["mrr@10"] for seen in (True, False)
    )
    assert excluded > included


def test_interval_covers_the_mean(fitted, split):
    result = lrrec.evaluate(fitted, split)
    for name, (low, high) in result.interval().items():
        assert low < result.mean()[name] < high
        error = result.values[name].std() / np.sqrt(len(result.users))
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.2)
    assert result.interval() == result.interval()
    wide, narrow = result.interval(0.99)["ndcg@10"], result.interval(0.5)["ndcg@10"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_cold_test_users_are_served_and_counted():
    data = Interactions.from_pairs([1, 1, 2, 2, 3], [1, 2, 1, 3, 1], times=[1, 2, 1, 5, 6])
    split = lrrec.splits.by_time(data, at=5)
    result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["mrr@2"])
    assert result.values["mrr@2"].tolist() == [0, 1]  # nobody had item 3 before
    assert "1 of them without history" in result.protocol.describe()["users"]


def test_given_candidates_and_ties(likes):
    split = lrrec.splits.leave_last(likes)
    rng = np.random.default_rng(0)
    relevant = split.items.ids[split.test.matrix.indices]
    others = np.stack([rng.choice(split.items.ids[split.items.ids != one], 20, replace=False) for one in relevant])
    sampled = Split(split.train, split.train, split.test, np.column_stack((relevant, others)), kind="sampled")
    model = lrrec.Popularity().fit(split.train)
    with pytest.warns(DataWarning, match=r"21 given items per user.*other than auc are larger.*Krichene & Rendle 2020"):
        result = lrrec.evaluate(model, sampled, metrics=["hit@5"])
    counts = model.item_counts_[split.items.indices(sampled.candidates.ravel())].reshape(sampled.candidates.shape)
    seen = split.train.matrix[split.test_rows].toarray()
    counts[np.take_along_axis(seen, split.items.indices(sampled.candidates.ravel()).reshape(counts.shape), 1) > 0] = -1
    np.testing.assert_array_equal(result.values["hit@5"], (counts[:, 1:] > counts[:, :1]).sum(1) < 5)
    assert "21 given items" in result.protocol.describe()["candidates"]

    class Constant(lrrec.Popularity):
        def _scores(self, encoded, columns):
            return np.zeros_like(super()._scores(encoded, columns))

    with pytest.warns(DataWarning, match="flatter the model"), pytest.warns(DataWarning, match="if these are a sample"):
        lrrec.evaluate(Constant().fit(split.train), sampled, metrics=["hit@5"])


def test_what_a_model_must_not_do_is_noticed(fitted, likes, split):
    with pytest.warns(DataWarning, match=r"learned from \d+ of \d+ test interactions"):
        lrrec.evaluate(lrrec.Popularity().fit(likes), split)

    class Answer:
        def __init__(self, lists):
            self.lists = lists

        def recommend_from(self, history, users, k, exclude_seen):
            return self.lists

    n = len(split.test_rows)
    first = split.items.ids[split.history.matrix[split.test_rows].indices[0]]
    with pytest.warns(DataWarning, match="seen items are among the recommended"):
        lrrec.evaluate(Answer([[first]] * n), split)
    with pytest.warns(DataWarning, match=f"{n} recommended items are not among the split's: 999999"):
        lrrec.evaluate(Answer([[999_999]] * n), split)
    unseen = [
        next(iter(set(split.items.ids) - set(split.items.ids[row.indices])))
        for row in split.history.matrix[split.test_rows]
    ]
    with pytest.raises(DataError, match="must not hold an item twice"):
        lrrec.evaluate(Answer([[one, one] for one in unseen]), split)
    lists = [[one, None] if place % 2 else [one] for place, one in enumerate(unseen)]
    lrrec.evaluate(Answer(lists), split)
    with pytest.raises(DataError, match="must have a method recommend_from for this split, got object"):
        lrrec.evaluate(object(), split)


def shown_scores(model, split, users):
    """The score of every item for test users, what they have seen at -inf."""
    rows = split.users.indices(users)
    scores = model.transform(split.history)[rows] @ model.item_factors_.T
    scores[split.history.matrix[rows].nonzero()] = -np.inf
    return scores


def test_auc_is_that_of_all_candidates(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["auc", "ndcg@10"])
    scores = shown_scores(fitted, split, result.users)
    for row, user in enumerate(result.users[:20]):
        truth = split.test.matrix[split.users.indices([user])].toarray()[0] > 0
        candidates = np.isfinite(scores[row])
        ranks = np.argsort(np.argsort(-scores[row], kind="stable"))  # ties by item index
        ranks[~fitted.item_evidence_] = len(ranks)  # never listed: tied
        want = roc_auc_score(truth[candidates], -ranks[candidates])
        assert result.values["auc"][row] == pytest.approx(want, abs=1e-4)
    assert result.mean()["ndcg@10"] == pytest.approx(
        lrrec.evaluate(fitted, split, metrics=["ndcg@10"]).mean()["ndcg@10"]
    )


def test_of_sampled_candidates_only_auc_says_what_all_would(fitted, split):
    everything = lrrec.evaluate(fitted, split, metrics=["auc", "ndcg@10"]).mean()
    with pytest.warns(DataWarning, match="30 sampled of 319 items per user"):
        sampled = lrrec.evaluate(fitted, split, metrics=["auc", "ndcg@10"], candidates=30)
    assert sampled.mean()["auc"] == pytest.approx(everything["auc"], abs=0.02)
    assert sampled.mean()["ndcg@10"] > 1.2 * everything["ndcg@10"]
    assert "30 sampled" in sampled.protocol.describe()["candidates"]
    only_auc = lrrec.evaluate(fitted, split, metrics=["auc"], candidates=30)  # no warning
    np.testing.assert_array_equal(only_auc.values["auc"], sampled.values["auc"])
    with pytest.raises(ParameterError, match="candidates must be at most what is neither relevant nor seen"):
        lrrec.evaluate(fitted, split, metrics=["auc"], candidates=319)


def test_drawn_candidates_are_the_relevant_and_others_that_are_unseen(split):
    asked = {}

    class Spy:
        def recommend_from(self, history, users, k, exclude_seen, items):
            asked.update(zip(users.tolist(), items.tolist(), strict=True))
            return [[] for _ in users]

    lrrec.evaluate(Spy(), split, metrics=["auc"], candidates=7)
    for user, items in asked.items():
        row = split.users.indices([user])
        relevant, seen = (
            set(split.items.ids[part.matrix[row].indices].tolist()) for part in (split.test, split.history)
        )
        assert relevant <= set(items)
        assert len(set(items) - relevant) == 7
        assert not set(items) & seen


def test_given_candidates_are_the_same_for_all(fitted, split):
    some = split.items.ids[::3]
    result = lrrec.evaluate(fitted, split, metrics=["auc", "recall@5"], candidates=some)
    scores = shown_scores(fitted, split, result.users)[:, ::3]
    relevant = split.test.matrix[split.users.indices(result.users)].toarray() > 0
    for row, truth in enumerate(relevant[:20, ::3]):
        top = np.argsort(-scores[row], kind="stable")[:5]
        assert result.values["recall@5"][row] == pytest.approx(truth[top].sum() / relevant[row].sum())
    assert result.protocol.candidates.describe() == f"{len(some)} given items of 319, the same for all users"
    with pytest.raises(ParameterError, match="candidates must name at least one item"):
        lrrec.evaluate(fitted, split, candidates=[])


def test_errors_of_ratings(made_up):
    split = lrrec.splits.random(made_up.interactions(), random_state=0)
    model = lrrec.ALS(4, n_iter=3, random_state=0).fit(split.train)
    result = lrrec.evaluate(model, split, metrics=["rmse", "mae", "ndcg@5"])
    rows = split.test.rows()
    errors = model.predict(split.users.ids[rows], split.items.ids[split.test.matrix.indices]) - split.test.matrix.data
    assert f"rmse {np.sqrt((errors.astype(float) ** 2).mean()):.4f}" in result.protocol.describe()["errors"]
    for user, mine in zip(result.users[:9], result.values["mae"], strict=False):
        assert mine == pytest.approx(np.abs(errors[rows == split.users.indices([user])[0]]).mean(), rel=1e-5)
    assert list(result.values) == ["rmse", "mae", "ndcg@5"]
    assert list(lrrec.evaluate(model, split, metrics=["mae"]).values) == ["mae"]
    cut = lrrec.splits.by_user(made_up.interactions(), random_state=0)
    with pytest.raises(DataError, match="training users"):
        lrrec.evaluate(lrrec.Popularity().fit(cut.train), cut, metrics=["rmse"])


def test_a_long_ranking_is_asked_for_in_blocks(fitted, split, monkeypatch):
    whole = lrrec.evaluate(fitted, split, metrics=["ndcg@10", "map@20"])
    monkeypatch.setattr("lrrec.evaluation.candidate_pool.BLOCK_PLACES", 200)
    parts = lrrec.evaluate(fitted, split, metrics=["ndcg@10", "map@20"])
    for name, values in whole.values.items():
        np.testing.assert_allclose(parts.values[name], values)


def test_groups_of_users(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["ndcg@10", "hit@5"])
    groups = np.where(result.users % 3 == 0, "third", "rest")
    found = result.by_group(groups)
    assert list(found.columns) == ["group", "metric", "n", "mean", "low", "high"]
    assert found["group"].tolist() == ["rest", "rest", "third", "third"]
    row = found.iloc[2]
    of_third = result.values["ndcg@10"][groups == "third"]
    assert (row["n"], row["metric"], row["mean"]) == (len(of_third), "ndcg@10", pytest.approx(of_third.mean()))
    assert row["low"] < row["mean"] < row["high"]
    frame = pl.DataFrame({"user": [*result.users[::-1].tolist(), -5], "kind": [*groups[::-1].tolist(), "none"]})
    assert result.by_group(frame, "kind").equals(found)
    assert (
        result.by_group(pd.DataFrame(frame.to_dict(as_series=False)), "kind", backend="polars")["mean"].to_list()
        == found["mean"].tolist()
    )
    with pytest.raises(DataError, match="groups must have a row for each user, got none for"):
        result.by_group(frame[1:3], "kind")
    with pytest.raises(DataError, match="groups must have one entry for each of the"):
        result.by_group(["a"])
    with pytest.raises(DataError, match="groups must not be missing, got 1 missing"):
        result.by_group([None, *groups[1:]])


def test_groups_by_history(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["ndcg@10"])
    found = result.by_history((1, 10, 11, 30))
    names = ["0", "1 to 9", "10", "11 to 29", "30 or more"]
    assert found["group"].tolist() == [name for name in names if name in set(found["group"])]
    sizes = result.history_sizes
    assert found.set_index("group")["n"]["11 to 29"] == ((sizes >= 11) & (sizes < 30)).sum()
    assert found["n"].sum() == len(sizes)
    with pytest.raises(ParameterError, match="edges must be rising"):
        result.by_history((5, 1))


def test_history_sizes(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["ndcg@10"])
    np.testing.assert_array_equal(result.history_sizes, np.diff(split.history.matrix.indptr)[split.test_rows])


def test_one_user_has_no_interval(split):
    one = split.test.filter(split.test.rows() == split.test_rows[0])
    result = lrrec.evaluate(
        lrrec.Popularity().fit(split.train), Split(split.train, split.history, one), metrics=["ndcg@10"]
    )
    assert np.isnan(result.interval()["ndcg@10"]).all()


def test_frames_and_repr(fitted, split):
    result = lrrec.evaluate(fitted, split, metrics=["ndcg@10", "hit@3"])
    assert list(result.to_frame().columns) == ["user", "ndcg@10", "hit@3"]
    assert list(result.summary("polars").columns) == ["metric", "mean", "low", "high"]
    assert f"ndcg@10        {result.mean()['ndcg@10']:.4f}" in repr(result)
    assert "<table" in result._repr_html_()


def test_bad_arguments(fitted, split):
    with pytest.raises(ParameterError, match="NAME@K"):
        lrrec.evaluate(fitted, split, metrics=["ndcg"])
    with pytest.raises(ParameterError, match="at least one metric"):
        lrrec.evaluate(fitted, split, metrics=[])
    with pytest.raises(DataError, match="split must be a Split"):
        lrrec.evaluate(fitted, split.test)
    nothing = split.test.filter(np.zeros(len(split.test), bool))
    with pytest.raises(DataError, match="at least one test interaction"):
        lrrec.evaluate(fitted, Split(split.train, split.train, nothing))
    with pytest.raises(DataError, match="candidates must have a row"):
        Split(split.train, split.history, split.test, np.ones((1, 3)))

    class Wrong:
        def recommend_from(self, history, users, k, exclude_seen):
            return np.zeros((3, k), int)

    with pytest.raises(DataError, match="must return a list of items for each"):
        lrrec.evaluate(Wrong(), split)


@pytest.mark.slow
@pytest.mark.realdata
def test_published_popularity_on_the_neural_cf_protocol(real_data):
    split = lrrec.datasets.load("ncf-ml-1m", real_data).split()
    assert split.candidates.shape == (6040, 100)
    with pytest.warns(DataWarning, match="100 given items per user"):
        means = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@10", "ndcg@10"]).mean()
    assert {name: round(mean, 4) for name, mean in means.items()} == {"hit@10": 0.4538, "ndcg@10": 0.2545}


@pytest.mark.slow
@pytest.mark.realdata
def test_published_popularity_on_gowalla(real_data):
    split = lrrec.datasets.load("gowalla", real_data).split()
    means = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["recall@20", "ndcg@20"]).mean()
    assert {name: round(mean, 4) for name, mean in means.items()} == {"recall@20": 0.0416, "ndcg@20": 0.0317}


@pytest.mark.realdata
def test_ials_beats_popularity_on_new_users_of_movielens(real_data):
    split = lrrec.splits.by_user(lrrec.datasets.load("ml-100k", real_data).interactions(min_rating=4), random_state=0)
    model = lrrec.IALS(n_factors=32, random_state=0).fit(split.train)
    popularity = lrrec.evaluate(lrrec.Popularity().fit(split.train), split).mean()["ndcg@10"]
    assert lrrec.evaluate(model, split).mean()["ndcg@10"] > 1.6 * popularity
    np.testing.assert_allclose(model.transform(split.train), model.user_factors_, rtol=1e-4)


def test_matrix_of_a_peer_is_accepted(split):
    """A fitted model of another library needs nothing but ids in and ids out."""

    class Peer:
        def recommend(self, users, k, exclude_seen):
            return [[10**6 + place for place in range(k)] for _ in users]

    known = Split(split.train, split.train, split.train)
    with pytest.warns(DataWarning, match="not among"):
        assert lrrec.evaluate(Peer(), known, metrics=["hit@3"], exclude_seen=False).mean() == {"hit@3": 0}
    assert isinstance(known.train.matrix, sp.csr_array)
