"""What is recommended without evidence, what may be recommended at all, and that no score is NaN or infinite."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from lrrec import ALS, EASE, IALS, NMF, SLIM, AdapterBank, Interactions, ItemKNN, Popularity, RP3Beta, TruncatedSVD
from lrrec.adapt import Anchored, FoldIn, LowRank, Scratch
from lrrec.errors import DataError, FileFormatError, ParameterError, UnknownIdError
from lrrec.interop import from_factors
from lrrec.linalg.ranking import Candidates, rank

MODELS = [
    Popularity(), IALS(3, n_iter=4, random_state=0), TruncatedSVD(3), NMF(3, n_iter=5, random_state=0), EASE(reg=1),
    ItemKNN(), RP3Beta(), SLIM(0.1, 1), ALS(2, n_iter=3, random_state=0),
]  # fmt: skip
if find_spec("torch"):
    MODELS.append(lrrec.NeuralMF(3, n_hidden=4, n_epochs=2, random_state=0))
FACTOR_MODELS = [model for model in MODELS if isinstance(model, lrrec.FactorModel)]
ITEM_ITEM = [EASE(reg=1), ItemKNN(), RP3Beta(), lrrec.SparseEASE(reg=1), SLIM(0.1, 1)]
GIVEN = {"fold_in_reg": 0.02, "reg": 1.0, "new_item_reg": 1.0, "n_iter": 2, "anchor": "constant", "balance": 0.5}


def named(model):
    return type(model).__name__


@pytest.fixture(scope="module")
def two_worlds():
    """Users and items of two groups that share nothing, item 0 of nobody; the second group's items are more popular."""
    rng = np.random.default_rng(0)
    X = np.zeros((24, 15), dtype=np.float32)
    X[:10, 1:8] = rng.random((10, 7)) < 0.5
    X[10:, 8:] = rng.random((14, 7)) < 0.7
    X[:10, 1], X[10:, 8] = 1, 1
    X[np.arange(10), 2 + np.arange(10) % 6] = 1
    return sp.csr_array(X)


def popular_order(X):
    counts = (X.toarray() > 0).sum(axis=0)
    order = np.argsort(-counts, kind="stable")
    return order[counts[order] > 0]


def slow_lists(scores, allowed, k, threshold, popularity):
    """The policy, user by user: scores by rank; then, of the items without one, the popular."""
    lists = np.full((len(scores), k), -1)
    for row, columns in enumerate(allowed):
        scored = [c for c in columns if scores[row, c] > -np.inf and not scores[row, c] < threshold]
        fillers = [c for c in columns if np.isnan(scores[row, c]) and popularity[c] > -np.inf]
        both = sorted(scored, key=lambda c: -scores[row, c]) + sorted(fillers, key=lambda c: -popularity[c])
        lists[row, : len(both[:k])] = both[:k]
    return lists


@pytest.mark.parametrize("form", ["all", "shared", "own"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_policy_is_that_of_a_slow_version(form, n_threads):
    rng = np.random.default_rng(1)
    n, m, k = 90, 30, 12
    scores = rng.choice(np.arange(12, dtype=np.float32), (n, m))
    scores[rng.random((n, m)) < 0.4] = np.nan
    scores[:5] = np.nan
    popularity = np.where(np.arange(m) % 5 == 0, -np.inf, rng.integers(1, 6, m)).astype(np.float32)
    seen, blocked = (rng.random((n, m)) < 0.2 for _ in range(2))
    columns = {"all": [np.arange(m)] * n, "shared": [np.array([1, 4, 5, 9, 10, 20])] * n}.get(form) or [
        rng.permutation(m)[: rng.integers(0, 25)] for _ in range(n)
    ]
    never = np.array([3, 9, 11])
    allowed = [[c for c in row if not (seen[u, c] or blocked[u, c] or c in never)] for u, row in enumerate(columns)]
    shared = own = None
    if form == "shared":
        shared = np.setdiff1d(columns[0], never)
    elif form == "own":
        indptr = np.cumsum([0, *map(len, columns)])
        own = sp.csr_array((np.ones(indptr[-1]), np.concatenate(columns), indptr), shape=(n, m))
    excluded = None if form == "shared" else never
    candidates = Candidates(shared, own, excluded, sp.csr_array(blocked.astype(np.float32)))
    for threshold in (None, 4.0):
        found, values = rank(
            lambda block, columns: scores[block][:, columns].copy(), n, m, k, candidates=candidates,
            seen=sp.csr_array(seen.astype(np.float32)), seen_rows=np.arange(n), threshold=threshold,
            popularity=popularity, n_threads=n_threads, block_rows=16,
        )  # fmt: skip
        wanted = slow_lists(scores, allowed, k, -np.inf if threshold is None else threshold, popularity)
        np.testing.assert_array_equal(found, wanted)
        at = np.take_along_axis(scores, np.maximum(found, 0), axis=1)
        np.testing.assert_array_equal(values, np.where(found < 0, np.nan, at))


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_an_item_of_nobody_is_not_ranked(model, two_worlds):
    model = clone(model).fit(two_worlds)
    for lists in (
        model.recommend(k=15),
        model.recommend(k=15, unknown="popular"),
        model.recommend_from(two_worlds, 15),
        model.recommend(k=15, items=[0, 1, 9]),
    ):
        assert 0 not in lists.items.compressed()
        assert lists.items.count()
    assert not model.item_evidence_[0]
    assert model.item_evidence_[1:].all()


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_history_of_items_of_nobody_is_no_evidence(model, two_worlds):
    model = clone(model).fit(two_worlds)
    history = np.zeros((2, 15))
    history[0, 0] = history[1, 1] = 1
    lists = model.recommend_from(history, 4)
    assert lists.items[0].count() == 0
    assert lists.items[1].count()
    lists = model.recommend_from(history, 4, unknown="popular")
    assert lists.indices[0].tolist() == popular_order(two_worlds)[:4].tolist()
    assert lists.filled[0].all()
    assert not lists.filled[1, 0]


@pytest.mark.parametrize("model", ITEM_ITEM, ids=named)
def test_what_no_path_reaches_is_masked_or_filled_by_popularity(model, two_worlds):
    model = clone(model).fit(two_worlds)
    masked, filled = model.recommend(k=15), model.recommend(k=15, unknown="popular")
    popular = popular_order(two_worlds)
    for user in range(24):
        own, others = (range(1, 8), range(8, 15)) if user < 10 else (range(8, 15), range(1, 8))
        seen = set(two_worlds[[user]].indices.tolist())
        scored = [item for item, _ in masked[user]]
        assert set(scored) <= set(own) - seen
        wanted = scored + [item for item in popular.tolist() if item not in seen and item not in scored]
        assert [item for item, _ in filled[user]] == wanted
        assert set(others) <= set(wanted)
        scores = [score for _, score in filled[user]]
        assert np.isfinite(scores[: len(scored)]).all()
        assert np.isnan(scores[len(scored) :]).all()
    np.testing.assert_array_equal(filled.filled, ~np.ma.getmaskarray(filled.items) & np.ma.getmaskarray(filled.scores))
    frame = filled.to_frame()
    assert len(frame) == filled.items.count()
    assert frame.score.isna().sum() == filled.filled.sum() > 0


def test_factors_of_zero_are_no_evidence(two_worlds):
    """All scores are 0, and none of them means anything."""
    model = from_factors(np.zeros((24, 2)), np.ones((15, 2)), seen=two_worlds)
    assert model.recommend(k=3).items.count() == 0
    assert model.recommend(k=3, unknown="popular").filled.all()


@pytest.mark.parametrize("model", FACTOR_MODELS, ids=named)
def test_an_item_of_nobody_has_no_neighbours_and_is_none(model, two_worlds):
    neighbors = clone(model).fit(two_worlds).similar_items(range(15), 14)
    assert neighbors.neighbors[0].count() == 0
    assert 0 not in neighbors.neighbors.compressed()
    assert neighbors.neighbors.count() == 14 * 13


def test_ratings_and_counts_are_never_in_one_column(made_up):
    data = made_up.interactions()
    model = ALS(3, n_iter=3, random_state=0).fit(data)
    lists = model.recommend([data.users.ids[0], -1], 8, unknown="popular")
    assert ((lists.scores[0] > 0) & (lists.scores[0] < 6)).all()
    assert lists.items[1].tolist() == data.items.ids[popular_order(data.matrix)[:8]].tolist()
    assert lists.scores[1].count() == 0
    assert np.isnan(lists.to_frame().score[8:]).all()


def test_unknown_users_can_have_empty_lists(likes):
    model = Popularity().fit(likes)
    lists = model.recommend([likes.users.ids[0], -1], 3, unknown="mask")
    assert lists.items.count(axis=1).tolist() == [3, 0]
    assert model.recommend_from(np.zeros((1, likes.n_items)), unknown="mask").items.count() == 0


def test_lists_of_different_lengths(likes):
    model = IALS(4, n_iter=2, random_state=0).fit(likes)
    users, items = likes.users.ids[:4], likes.items.ids[likes.matrix.sum(axis=0) > 0]
    whole = model.recommend(users, len(items), exclude_seen=False)
    lists = [items[:3].tolist(), [], items[5:30].tolist(), [int(items[7])]]
    by_user = dict(zip(users.tolist()[::-1], lists[::-1], strict=True))
    for form in (lists, by_user, pd.Series(by_user), [np.array(part, dtype=int) for part in lists]):
        allowed = model.recommend(users, 30, items=form, exclude_seen=False)
        rest = model.recommend(users, len(items), exclude=form, exclude_seen=False)
        for row, part in enumerate(lists):
            ranked = whole.items[row].compressed().tolist()
            assert allowed.items[row].compressed().tolist() == [item for item in ranked if item in part]
            assert rest.items[row].compressed().tolist() == [item for item in ranked if item not in part]
    both = model.recommend(users, 30, items=lists, exclude=items[:2], exclude_seen=False)
    assert both.items[0].compressed().tolist() == [items[2]]
    shared = model.recommend(users, 30, items=items[:9], exclude=lists, exclude_seen=False)
    assert shared.items.count(axis=1).tolist() == [6, 9, 5, 8 if items[7] in items[:9] else 9]
    nothing = model.recommend(users, 3, items=items[:2], exclude=items[:2], unknown="popular")
    assert nothing.items.count() == 0


def test_what_was_recommended_can_be_excluded(likes):
    model = ItemKNN(5).fit(likes)
    first = model.recommend(k=4)
    second = model.recommend(k=4, exclude=first.items)
    whole = model.recommend(k=8)
    wanted = np.where(np.ma.getmaskarray(whole.items), -1, whole.indices)[:, 4:]
    np.testing.assert_array_equal(second.indices, wanted)
    only_one = model.recommend(k=4, exclude={likes.users.ids[0]: first.items[0].compressed()})
    np.testing.assert_array_equal(only_one.indices[0], second.indices[0])
    np.testing.assert_array_equal(only_one.indices[1:], first.indices[1:])


def test_unknown_items_are_refused_or_ignored(likes):
    model = Popularity().fit(likes)
    users, some = likes.users.ids[:2], likes.items.ids[:6].tolist()
    for options in ({"items": [-1, *some]}, {"exclude": [[-1], []]}, {"exclude": {users[0]: [-1]}}):
        with pytest.raises(UnknownIdError, match=r"unknown ids in (items|exclude): -1 .*unknown_items='ignore'"):
            model.recommend(users, **options)
        model.recommend(users, unknown_items="ignore", **options)
    mixed = model.recommend(users, items=[-1, *some], exclude=[-2, some[0]], unknown_items="ignore")
    np.testing.assert_array_equal(mixed.indices, model.recommend(users, items=some[1:]).indices)
    assert model.recommend(users, items=[-1], unknown_items="ignore", unknown="popular").items.count() == 0
    with pytest.raises(UnknownIdError, match="strings"):
        model.recommend(users, items=["a"], unknown_items="ignore")
    with pytest.raises(ParameterError, match="unknown_items must be one of 'raise', 'ignore', got 'drop'"):
        model.recommend(users, unknown_items="drop")


def test_lists_that_do_not_fit_the_users_are_refused(likes):
    model = Popularity().fit(likes)
    users, some = likes.users.ids[:3], likes.items.ids[:4].tolist()
    with pytest.raises(DataError, match="exclude must have one list for each of the 3 users, got 2"):
        model.recommend(users, exclude=[some, some])
    with pytest.raises(DataError, match="items must have a list for every user, lacks"):
        model.recommend(users, items={users[0]: some})
    with pytest.raises(DataError, match="exclude must map user ids to lists of item ids, got single"):
        model.recommend(users, exclude={users[0]: some[0]})
    with pytest.raises(DataError, match="exclude must map user ids to lists of item ids, got keys like '1'"):
        model.recommend(users, exclude={"1": some})
    with pytest.raises(DataError):
        model.recommend(users, exclude=pd.DataFrame([some] * 3))
    with pytest.raises(ParameterError, match="at least one candidate for each user"):
        model.recommend(users, items=[[], [], []])
    model.recommend(users, exclude=[])


def test_a_threshold_leaves_out_lower_scores(likes):
    model = ItemKNN(5).fit(likes)
    users = likes.users.ids[:30]
    whole = model.recommend(users, 20, unknown="popular")
    threshold = float(np.median(whole.scores.compressed()))
    lists = model.recommend(users, 20, threshold=threshold)
    wanted = [[item for item, score in row if score >= threshold] for _, row in whole]
    assert [[item for item, _ in row] for _, row in lists] == wanted
    filled = model.recommend(users, 20, threshold=threshold, unknown="popular")
    scores = model.recommend(users, likes.n_items).indices
    for row in range(len(users)):  # what the model scores below the threshold does not come back
        assert not set(filled.indices[row][filled.filled[row]]) & set(scores[row])
    with pytest.raises(ParameterError, match="threshold must be a finite number"):
        model.recommend(users, threshold=np.nan)


def test_recommend_all_takes_the_options_of_recommend(likes, tmp_path):
    pytest.importorskip("pyarrow")
    model = ItemKNN(5).fit(likes)
    some, blocked = likes.items.ids[::2], {likes.users.ids[3]: likes.items.ids[:50]}
    options = {"items": some, "exclude": blocked, "threshold": 0.01, "unknown": "popular", "exclude_seen": False}
    model.recommend_all(tmp_path / "lists.parquet", 6, **options)
    wanted = model.recommend(None, 6, **options).to_frame()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "lists.parquet"), wanted, check_dtype=False)


def test_baselines_of_ratings(made_up):
    data = made_up.interactions()
    model = ALS(3, n_iter=4, random_state=0).fit(data)
    user, item = data.users.ids[2], data.items.ids[5]
    mean = data.matrix.data.mean(dtype=np.float64)
    predicted = model.predict([user, -1, user, -1], [item, item, -1, -1], unknown="baseline")
    wanted = [model.predict([user], [item])[0], model.item_factors_[5, -1], mean + model.user_factors_[2, -2], mean]
    np.testing.assert_allclose(predicted, wanted, rtol=1e-5)
    clipped = model.set_params(clip=True).predict([-1], [item], unknown="baseline")[0]
    assert data.matrix.data.min() <= clipped <= data.matrix.data.max()
    known = model.predict([user, -1, user], [item, item, -1], unknown="nan")
    assert np.isnan(known).tolist() == [False, True, True]
    with pytest.raises(UnknownIdError):
        model.predict([-1], [item])
    ranking = IALS(3, n_iter=1, random_state=0).fit(data)
    assert np.isnan(ranking.predict([-1], [item], unknown="nan")).all()
    with pytest.raises(ParameterError, match="needs a model of ratings such as ALS, got IALS: pass unknown='nan'"):
        ranking.predict([-1], [item], unknown="baseline")
    with pytest.raises(ParameterError, match="unknown must be one of"):
        ranking.predict([-1], [item], unknown="zero")


@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_baselines_of_neural_ratings_are_near_the_means(made_up):
    data = made_up.interactions()
    model = lrrec.NeuralMF(4, n_hidden=4, loss="ratings", n_epochs=3, random_state=0).fit(data)
    users, items = data.users.ids[:50], data.items.ids[:50]
    nobody = model.predict([-1] * 50, items, unknown="baseline")
    means = [data.matrix[:, [column]].data.mean() for column in range(50)]
    assert np.corrcoef(nobody, means)[0, 1] > 0.8
    assert (np.abs(model.predict(users, [-1] * 50, unknown="baseline") - data.matrix.data.mean()) < 1).all()


def test_one_list_by_id():
    data = Interactions.from_pairs(["ann", "ann", "bob", "bob", "cat"], ["x", "y", "x", "z", "x"])
    lists = Popularity().fit(data).recommend(["bob", "ann", "bob"], 2)
    assert lists["ann"] == dict(lists)["ann"] == [("z", 1.0)]
    assert lists["bob"] == [("y", 1.0)]
    assert "ann" in lists
    assert "dan" not in lists
    assert 0 not in lists
    for absent in ("dan", 0, None, ["ann"]):
        with pytest.raises(UnknownIdError, match="no list of"):
            lists[absent]
    by_number = Popularity().fit(data.matrix).recommend([2, 0], 1)
    assert by_number[2] == by_number[np.int64(2)] == [(1, 1.0)]
    assert by_number[0] == [(2, 1.0)]
    with pytest.raises(UnknownIdError):
        by_number[1]
    similar = TruncatedSVD(1).fit(data).similar_items(["x"], 1)
    assert similar["x"][0][0] in ("y", "z")


def learned(model):
    arrays = [getattr(model, name) for name in (*model._learned, *model._learned_csr) if hasattr(model, name)]
    return [array.data if sp.issparse(array) else array for array in arrays]


def check_finite(make, matrix):
    """Data or parameters are refused as too large, or arrays, scores and lists are finite."""
    try:
        model = make()
        lists = model.recommend(k=5), model.recommend_from(matrix, 5, unknown="mask")
        users = np.repeat(model.users_.ids[:2], 3)
        predicted = model.predict(users, np.tile(model.items_.ids[:3], 2))
    except (DataError, ParameterError) as refused:
        message = str(refused)
    else:
        message = ""
    if message:
        assert any(words in message for words in ("scale", "must fit a float32", "not positive definite"))
        return
    assert all(np.isfinite(array).all() for array in learned(model))
    assert all(np.isfinite(one.scores.compressed()).all() for one in lists)
    assert all(one.items.count() for one in lists)
    assert np.isfinite(predicted).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scale", [1e9, 1e15, 1e19, 1e30, 1e37])
@pytest.mark.parametrize("model", MODELS, ids=named)
def test_nothing_that_is_not_finite_leaves_a_model(model, scale, small):
    X = small.astype(np.float64) * scale
    check_finite(lambda: clone(model).fit(X), X)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("model", MODELS, ids=named)
def test_large_histories_give_finite_scores(model, small):
    model = clone(model).fit(small)
    for scale in (1e20, 1e37):
        check_finite(lambda: model, small.astype(np.float64) * scale)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scale", [1e-20, 1e10, 1e17, 1e25, 1e38])
def test_imported_factors_give_finite_scores(scale):
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(6, 3)) * scale, rng.normal(size=(9, 3)) * scale
    seen = sp.csr_array((rng.random((6, 9)) < 0.4).astype(np.float32) + np.eye(6, 9, dtype=np.float32))
    check_finite(lambda: from_factors(U, V, seen=seen), seen)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("scale", [1e9, 1e19, 1e30])
@pytest.mark.parametrize("kind", [
    FoldIn(fold_in_reg=0.02), LowRank(rank=2, **GIVEN), Anchored(**GIVEN), Scratch(reg=0.02)
], ids=named)  # fmt: skip
def test_adapters_give_finite_scores(kind, scale, small):
    for base in (IALS(3, n_iter=2, random_state=0).fit(small), NMF(3, n_iter=2, random_state=0).fit(small)):
        X = small[:12].astype(np.float64) * scale
        check_finite(lambda: clone(kind).fit(X, base=base), X)  # noqa: B023  called at once


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_refused_fit_leaves_the_earlier_model_or_none(small):
    fitted, unfitted = EASE(reg=1).fit(small), EASE(reg=1)
    before = fitted.recommend().indices
    for model in (fitted, unfitted):
        with pytest.raises(DataError, match=r"squares of the items overflowed: .* scale them down"):
            model.fit(small.astype(np.float64) * 1e30)
    np.testing.assert_array_equal(fitted.recommend().indices, before)
    with pytest.raises(lrrec.errors.NotFittedError):
        unfitted.recommend()


def test_evidence_is_kept_by_files_and_copies(two_worlds, tmp_path):
    rng = np.random.default_rng(0)
    V = rng.normal(size=(15, 3)).astype(np.float32)
    V[4] = 0
    imported = from_factors(rng.normal(size=(24, 3)), V, seen=two_worlds)
    assert np.flatnonzero(~imported.item_evidence_).tolist() == [4]  # item 0 has factors, whoever interacted with it
    imported.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    for other in (loaded, imported.compress(2), lrrec.load(tmp_path / "model").compress(3)):
        np.testing.assert_array_equal(other.item_evidence_, imported.item_evidence_)
    np.testing.assert_array_equal(loaded.recommend(k=15).indices, imported.recommend(k=15).indices)
    imported.item_evidence_ = imported.item_evidence_.astype(np.int8)
    imported.save(tmp_path / "model")
    with pytest.raises(FileFormatError, match="item_evidence_ must be bool"):
        lrrec.load(tmp_path / "model")


@pytest.mark.parametrize("kind", [LowRank(rank=2, **GIVEN), Anchored(**GIVEN), Scratch(reg=0.02)], ids=named)
def test_adapters_rank_what_base_or_target_know(kind, likes, tmp_path):
    """Items 0 and 1 are known to the base alone, 2 and 3 to the target alone, the last two to neither."""
    items = likes.items.ids[np.argsort(-likes.matrix.sum(axis=0))[:20]]
    few = likes.align_items(lrrec.IdMap(items))
    of_base, of_target = (few.filter(~np.isin(few.matrix.indices, left_out)) for left_out in ([2, 3, 18, 19], [0, 1]))
    of_target = of_target.filter((of_target.rows() < 60) & ~np.isin(of_target.matrix.indices, [18, 19]))
    base = IALS(4, n_iter=4, reg=0.02, random_state=0).fit(
        of_base.align_items(lrrec.IdMap(items[[0, 1, *range(4, 20)]]))
    )
    adapter = clone(kind).fit(of_target, base=base, catalogue=items)
    unknown = items[[0, 1, 18, 19]] if isinstance(kind, Scratch) else items[18:]
    adapter.save(tmp_path / "adapter", histories=True)
    adapter.save(tmp_path / "change")
    merged, loaded, change = (
        adapter.merge(),
        *(lrrec.load(tmp_path / name, base=base) for name in ("adapter", "change")),
    )
    lists = adapter.recommend(k=20, exclude_seen=False)
    assert set(lists.items.compressed()) == set(items) - set(unknown)
    for model in (merged, loaded):
        np.testing.assert_array_equal(model.recommend(lists.users, 20, exclude_seen=False).items, lists.items)
    np.testing.assert_array_equal(change.item_evidence_[change.items_.indices(items)], ~np.isin(items, unknown))
    bank = AdapterBank(base, {"de": adapter}).recommend(lists.users, "de", k=20, exclude_seen=False)
    assert set(bank.items.compressed()) == set(items) - set(unknown)


def test_a_bank_has_no_list_without_evidence(likes):
    base = IALS(4, n_iter=4, random_state=0).fit(likes)
    bank = AdapterBank(base, {"de": FoldIn(fold_in_reg=0.02).fit(likes, base=base)})
    asked = Interactions(likes.matrix[:2].multiply([[0], [1]]).tocsr(), lrrec.IdMap.range(2), likes.items)
    asked.matrix.eliminate_zeros()
    assert bank.recommend_from(asked, "de", k=3).items.count(axis=1).tolist() == [0, 3]


@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_features_are_evidence(two_worlds):
    features = np.random.default_rng(0).normal(size=(15, 2))
    model = lrrec.NeuralMF(3, n_hidden=4, n_epochs=1, random_state=0).fit(two_worlds, item_features=features)
    assert model.item_evidence_.all()
    wider = model.with_items([99], [[0.0, 1.0]])
    assert {0, 99} <= set(wider.recommend(k=16).items.compressed())


def test_evaluation_serves_full_lists(likes):
    """A model that says less is not compared by shorter lists, nor by the order of the item ids."""
    split = lrrec.splits.by_user(likes, random_state=0)
    model = ItemKNN(2).fit(split.train)
    result = lrrec.evaluate(model, split, metrics=["recall@100"])
    users = split.users.ids[split.test_rows]
    lists = model.recommend_from(split.history, 100, users=users, unknown="popular")
    assert lists.filled.any()
    np.testing.assert_allclose(
        result.values["recall@100"],
        lrrec.evaluate_lists(lists, split.test, metrics=["recall@100"]).values["recall@100"],
    )
    masked = model.recommend_from(split.history, 100, users=users)
    alone = lrrec.evaluate_lists(masked, split.test, metrics=["recall@100"]).mean()["recall@100"]
    assert result.mean()["recall@100"] > alone


@pytest.mark.parametrize("model", [Popularity(), IALS(3, n_iter=2, random_state=0), EASE(reg=1)], ids=named)
def test_every_user_has_a_list_where_it_is_said_what_those_without_an_interaction_get(model, two_worlds, tmp_path):
    X = sp.csr_array(sp.vstack([two_worlds, sp.csr_array((2, two_worlds.shape[1]), dtype=np.float32)]))
    model = clone(model).fit(X)
    assert model.recommend(k=3).users.tolist() == list(range(24))
    for unknown in ("popular", "mask"):
        lists = model.recommend(k=3, unknown=unknown)
        assert lists.users.tolist() == list(range(26))
        assert (lists.items.mask[24:].all(), lists.filled[24:].all()) == (unknown == "mask", unknown == "popular")
        assert model.recommend_all(lambda part: None, k=3, unknown=unknown) == 26
    assert model.recommend_all(lambda part: None, k=3) == 24
