"""Ratings of any sign, and dislikes: which models take them, and what they mean everywhere else."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from oracles import penalties

import lrrec
from lrrec import ALS, EASE, IALS, Interactions, Popularity, adapt
from lrrec.errors import DataError, DataWarning, UnknownIdError
from lrrec.linalg import Objective, implicit_loss, solve_rows

RNG = np.random.default_rng(0)
N_USERS, N_ITEMS = 40, 15
SIGNED = RNG.integers(-2, 4, (N_USERS, N_ITEMS)) * (RNG.random((N_USERS, N_ITEMS)) < 0.6)  # 0: nothing
SIGNED[0] = 0
SIGNED[0, :3] = -1  # a user who only dislikes
SIGNED[:, 0] = np.where(SIGNED[:, 0] > 0, -1, SIGNED[:, 0])  # an item that nobody likes
DATA = Interactions.from_matrix(SIGNED)


# The models that take them.


def written(C, likes, X, Y, objective):
    """The objective, cell by cell, as the docstring of IALS has it; C are weights w, for "hu" c - 1."""
    W, observed, P = np.zeros(C.shape), np.zeros(C.shape), np.zeros(C.shape)
    at = (np.repeat(np.arange(C.shape[0]), np.diff(C.indptr)), C.indices)
    W[at], observed[at], P[at] = C.data, 1, likes
    S = X @ Y.T
    if objective.offset:
        value = ((W + 1) * (S - P) ** 2).sum()
    else:
        value = (W * (S - P) ** 2).sum() + objective.unobserved_weight * (S**2).sum()
    counted = W if objective.reg_unobserved else observed
    return value + sum(
        (penalties(cells, objective) * (factors**2).sum(1)).sum() for cells, factors in ((counted, X), (counted.T, Y))
    )


OBJECTIVES = [Objective(0.2, 0.05, 0.7), Objective(1.0, 2.0, 0.0, offset=1.0, reg_unobserved=False)]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=["rendle", "hu"])
@pytest.mark.parametrize(
    "solver", [{"solver": "cholesky"}, {"solver": "cg", "cg_steps": 60}], ids=lambda s: s["solver"]
)
def test_rows_minimise_the_written_objective(objective, solver):
    C = sp.csr_array(np.abs(SIGNED).astype(np.float64))
    rng = np.random.default_rng(1)
    likes, Y = DATA.matrix.data > 0, rng.normal(size=(N_ITEMS, 4))
    X = solve_rows(C, Y, objective, likes=likes, **solver)
    best = written(C, likes, X, Y, objective)
    for _ in range(5):
        step = rng.normal(size=X.shape) * 1e-3
        ahead, behind = (written(C, likes, X + sign * step, Y, objective) for sign in (1, -1))
        assert ahead > best
        assert ahead - behind == pytest.approx(0, abs=1e-7 * best)  # the gradient is 0
    assert implicit_loss(C, X, Y, objective, likes) == pytest.approx(best, rel=1e-9)
    assert not X[0].any()


@pytest.mark.parametrize("params", [
    {"alpha": 2.0, "unobserved_weight": 0.3, "reg": 0.02}, {"objective": "hu", "alpha": 3.0, "reg": 0.5},
    {"objective": "hu", "alpha": 0.4, "confidence": "alpha r", "reg": 0.5, "reg_exponent": 0.0},
])  # fmt: skip
@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_fits_lower_the_written_objective_to_a_stationary_point(params, solver):
    losses = []
    model = IALS(3, n_iter=150, solver=solver, init_scale=0.3, random_state=0, **params)
    model.fit(DATA, callback=lambda state: losses.append(state.loss))
    assert losses[-1] <= min(losses) * (1 + 1e-5)
    less = params.get("confidence") == "alpha r"
    C = sp.csr_array((np.abs(DATA.matrix.data) * params["alpha"] - less, DATA.matrix.indices, DATA.matrix.indptr))
    likes, objective = DATA.matrix.data > 0, model._objective()
    U, V = (f.astype(np.float64) for f in (model.user_factors_, model.item_factors_))
    best, rng = written(C, likes, U, V, objective), np.random.default_rng(1)
    assert best == pytest.approx(losses[-1], rel=1e-4)
    for _ in range(5):
        left, right = rng.normal(size=U.shape) * 1e-3, rng.normal(size=V.shape) * 1e-3
        slope = (
            written(C, likes, U + left, V + right, objective) - written(C, likes, U - left, V - right, objective)
        ) / 2e-3
        assert abs(slope) < 2e-2 * best


def test_dislikes_are_those_of_implicit():
    implicit = pytest.importorskip("implicit")
    matrix = sp.csr_matrix(SIGNED.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads
        theirs = implicit.als.AlternatingLeastSquares(4, regularization=0.3, alpha=2.0, iterations=1, random_state=0)
        theirs.fit(matrix, show_progress=False)
    ours = IALS(4, objective="hu", confidence="alpha r", alpha=2.0, reg=0.3, reg_exponent=0.0).fit(DATA)
    ours.item_factors_ = np.asarray(theirs.item_factors)
    want = np.stack([theirs.recalculate_user(u, matrix[u]) for u in range(N_USERS)])
    np.testing.assert_allclose(ours.transform(DATA), want.reshape(N_USERS, -1), atol=2e-4)


def test_a_dislike_pulls_the_score_to_zero():
    likes = Interactions.from_matrix(np.maximum(SIGNED, 0))
    model = IALS(6, random_state=0).fit(DATA)
    user, item = 5, int(np.flatnonzero(SIGNED[5] > 0)[0])
    history = np.maximum(SIGNED[[user]], 0)
    disliked = history.copy()
    disliked[0, item] = -3
    scores = [
        model.transform(h)[0] @ model.item_factors_[item] for h in (disliked, np.where(disliked < 0, 0, disliked))
    ]
    assert abs(scores[0]) < abs(scores[1])
    assert not np.allclose(IALS(6, random_state=0).fit(likes).item_factors_, model.item_factors_)


def test_ratings_of_any_scale():
    ratings = Interactions.from_pairs(
        DATA.rows(), DATA.matrix.indices, values=np.random.default_rng(2).integers(1, 6, len(DATA))
    )
    shifted = Interactions.from_pairs(DATA.rows(), DATA.matrix.indices, values=ratings.matrix.data - 3)
    assert (shifted.matrix.data == 0).any()
    assert len(shifted) == len(ratings)
    users, items = ratings.users.ids[ratings.rows()], ratings.items.ids[ratings.matrix.indices]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, moved = (ALS(3, random_state=0).fit(data) for data in (ratings, shifted))
    np.testing.assert_allclose(moved.predict(users, items), plain.predict(users, items) - 3, atol=2e-4)
    pivot = shifted.to_frame().pivot_table(index="user", columns="item", values="value")
    np.testing.assert_array_equal(ALS(3, random_state=0).fit(pivot).predict(users, items), moved.predict(users, items))
    split = lrrec.splits.random(shifted, random_state=0)
    error = lrrec.evaluate(ALS(3, random_state=0).fit(split.train), split, metrics=["rmse"])
    assert error.protocol.n_errors == len(split.test)


# Those that do not.


@pytest.mark.parametrize("entry", lrrec.models.MODELS)
def test_who_takes_what(entry):
    cls = getattr(lrrec, entry)
    zeros = Interactions.from_pairs([1, 1, 2, 2], [1, 2, 1, 3], values=[0, 2, 3, 1])
    values = cls()._values
    if values == "any":
        return
    message = r"X: 1 of 4 interactions have value 0 and are left out of \w+; use ALS, or shift the scale"
    with pytest.warns(DataWarning, match=message):
        assert cls()._read(zeros).matrix.toarray().tolist() == [[0, 2, 0], [3, 0, 1]]
    if values == "positive":
        with pytest.raises(DataError, match=r"got -2 for user and item \(2, 1\)\. Negative values") as refusal:
            cls().fit(Interactions.from_pairs([1, 1, 2], [1, 2, 1], values=[1, 1, -2]))
        takers = {name for name in lrrec.models.MODELS if getattr(lrrec, name)()._values != "positive"}
        assert {name for name in lrrec.models.MODELS if f"by {name}," in str(refusal.value)} == takers


def test_histories_are_checked_too():
    model = EASE().fit(DATA.binarize())
    with pytest.raises(DataError, match="values >= 0 for EASE"):
        model.recommend_from(DATA)
    with pytest.raises(DataError, match="values >= 0 for EASE"):
        model.score(DATA)


# What they mean.


@pytest.fixture(scope="module")
def model():
    return IALS(4, random_state=0).fit(DATA)


def test_dislikes_are_seen_but_not_popular(model):
    for lists in (
        model.recommend(range(1, N_USERS), N_ITEMS),
        model.recommend_from(DATA, N_ITEMS, users=range(1, N_USERS)),
    ):
        for user, items in zip(range(1, N_USERS), lists.items.filled(-1).tolist(), strict=True):
            assert not set(items) & set(np.flatnonzero(SIGNED[user]))
    np.testing.assert_array_equal(model.item_counts_, (SIGNED > 0).sum(0))
    popular = model.recommend([10**6], N_ITEMS, unknown="popular").items[0].compressed()
    assert set(popular) == set(model.items_.ids[model.item_counts_ > 0])
    groups = lrrec.popularity_groups(DATA, 0.99)
    assert groups[0] == "tail"


def test_who_only_dislikes_is_recommended_popular_items(model):
    for serve in (
        lambda **more: model.recommend([0], 3, **more),
        lambda **more: model.recommend_from(DATA, 3, users=[0], **more),
    ):
        with pytest.raises(UnknownIdError):
            serve()
        best = np.argsort(-model.item_counts_[3:], kind="stable")[:3] + 3
        assert serve(unknown="popular").items.tolist() == [best.tolist()]


@pytest.mark.filterwarnings("ignore:.*(sampled of|has learned from)")
@pytest.mark.parametrize("candidates", [None, 5])
def test_dislikes_are_not_relevant(model, candidates):
    held_out = np.random.default_rng(3).random(len(DATA)) < 0.2
    test, train = DATA.filter(held_out), DATA.filter(~held_out)
    names = ["ndcg@5", "recall@5", "graded-ndcg@5", "map@5", "auc", "r-precision@5", "novelty@3"]
    results = [
        lrrec.evaluate(fitted, lrrec.Split(train, train, part), metrics=names, candidates=candidates, random_state=0)
        for part in (test, test.filter(test.matrix.data > 0)) for fitted in [IALS(4, random_state=0).fit(train)]
    ]  # fmt: skip
    liking = np.isin(results[0].users, results[1].users)
    assert not liking.all()
    for name in names[:-1]:
        values = results[0].values[name]
        if candidates is None:
            np.testing.assert_array_equal(values[liking], results[1].values[name])
        assert np.isnan(values[~liking]).all()
        assert np.isfinite(results[0].mean()[name])
    assert "with a value > 0" in results[0].protocol.describe()["relevance"]
    listed = [
        lrrec.evaluate_lists([[1, 2, 3]] * N_USERS, part, metrics=["recall@3"], users=DATA.users.ids).mean()
        for part in (test, test.filter(test.matrix.data > 0))
    ]
    assert listed[0] == listed[1]
    other = IALS(2, random_state=1).fit(train)
    pairs = lrrec.compare({"a": model, "b": other}, lrrec.Split(train, train, test), metrics=["recall@5"]).pairs(
        "recall@5"
    )
    assert np.isfinite(pairs["p"]).all()


def test_binarize_keeps_likes():
    assert DATA.binarize().matrix.toarray().tolist() == (SIGNED > 0).astype(int).tolist()
    assert (DATA.binarize(-1).matrix.toarray() > 0).sum() == ((SIGNED >= -1) & (SIGNED != 0)).sum()


@pytest.mark.parametrize("make", [IALS(3, random_state=0), ALS(3, random_state=0)], ids=repr)
def test_saving_and_folding_in_keep_them(make, tmp_path):
    data = DATA if isinstance(make, IALS) else Interactions(
        sp.csr_array((DATA.matrix.data.clip(-1, 2) - 1, DATA.matrix.indices, DATA.matrix.indptr), shape=SIGNED.shape),
        DATA.users, DATA.items,
    )  # fmt: skip
    model = make.fit(data)
    model.save(tmp_path / "model")
    again = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(again.seen_.toarray(), data.matrix.toarray())
    assert again.seen_.nnz == data.matrix.nnz
    np.testing.assert_array_equal(again.item_counts_, model.item_counts_)
    for fitted in (model, again):
        np.testing.assert_allclose(fitted.transform(data), model.user_factors_, atol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (adapt.FoldIn(fold_in_reg=0.1), adapt.Scratch(reg=0.1), adapt.Anchored(reg=1.0, fold_in_reg=0.1),
                     adapt.LowRank(2, reg=1.0, fold_in_reg=0.1)):  # fmt: skip
            adapter = kind.fit(data, base=model)
            adapter.save(tmp_path / "adapter", histories=True)
            loaded = lrrec.load(tmp_path / "adapter", base=model)
            assert loaded.seen_.nnz == data.matrix.nnz
            np.testing.assert_array_equal(loaded.recommend([3]).indices, adapter.recommend([3]).indices)
            np.testing.assert_array_equal(adapter.item_counts_, model.item_counts_)


def test_ratings_are_replaced_by_updates_and_counts_added():
    rated = Interactions.from_pairs([1, 1, 2], [1, 2, 1], values=[4, 2, 3])
    new = Interactions.from_pairs([1, 2], [1, 2], values=[-1, 0])
    base = ALS(2, random_state=0).fit(rated)
    adapter = adapt.FoldIn(fold_in_reg=0.1).fit(rated, base=base).update(new)
    assert adapter.seen_.toarray().tolist() == [[-1, 2], [3, 0]]
    assert adapter.seen_.nnz == 4
    base = IALS(2, random_state=0).fit(rated)
    adapter = adapt.FoldIn(fold_in_reg=0.1).fit(rated, base=base).update(rated)
    assert adapter.seen_.toarray().tolist() == [[8, 4], [6, 0]]


def test_popularity_of_a_target_with_dislikes():
    adapter = adapt.Popular().fit(DATA, base=IALS(2, random_state=0).fit(DATA))
    np.testing.assert_array_equal(adapter.counts_, (SIGNED > 0).sum(0))
    np.testing.assert_array_equal(adapter.merge().item_counts_, (SIGNED > 0).sum(0))
    assert isinstance(adapter.merge(), Popularity)
    assert pd.notna(adapter.counts_).all()
