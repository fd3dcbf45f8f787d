"""The row solvers: equal to the dense truth, stationary points of the written objective."""

import numpy as np
import oracles
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import IALS
from lrrec.adapt import FoldIn, Scratch
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.linalg import Objective, implicit_loss, solve_rows
from lrrec.linalg.spectral_start import spectral_start

OBJECTIVES = [
    Objective(unobserved_weight=0.3, reg=0.05, reg_exponent=0.5),
    Objective(unobserved_weight=1.0, reg=0.01, reg_exponent=1.0),
    Objective(unobserved_weight=0.01, reg=0.5, reg_exponent=0.0),
    Objective(unobserved_weight=1.0, reg=0.1, reg_exponent=0.0, offset=1.0, reg_unobserved=False),
    Objective(unobserved_weight=1.0, reg=0.1, reg_exponent=1.0, offset=1.0, reg_unobserved=False),
]


@pytest.fixture(params=[1, 3, 17, 40])
def factors(request, small):
    return np.random.default_rng(request.param).normal(size=(small.shape[1], request.param)).astype(np.float32)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_cholesky_is_the_dense_truth(small, factors, objective):
    want = oracles.solve_rows(small, factors, objective)
    np.testing.assert_allclose(solve_rows(small, factors, objective), want, rtol=1e-3, atol=1e-4)
    precise = solve_rows(small, factors.astype(np.float64), objective)
    np.testing.assert_allclose(precise, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_cg_converges_to_the_dense_truth(small, factors, objective):
    want = oracles.solve_rows(small, factors, objective)
    got = solve_rows(small, factors.astype(np.float64), objective, solver="cg", cg_steps=80)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_rows_are_stationary(small, factors, objective):
    Y, a = factors.astype(np.float64), objective.unobserved_weight
    X, C = solve_rows(small, Y, objective), small.toarray().astype(np.float64)
    S, n = X @ Y.T, C.sum(1) if objective.reg_unobserved else (C > 0).sum(1)
    lam = objective.reg * (n + a * C.shape[1] * objective.reg_unobserved) ** objective.reg_exponent
    gradient = (C * (S - 1) - objective.offset * (C > 0)) @ Y + a * S @ Y + lam[:, None] * X
    np.testing.assert_allclose(gradient[n > 0], 0, atol=1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_is_the_written_one(small, factors, objective):
    X = np.random.default_rng(0).normal(size=(small.shape[0], factors.shape[1])).astype(np.float32)
    want = oracles.implicit_loss(small, X, factors, objective)
    assert implicit_loss(small, X, factors, objective) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_rows_without_data_are_zero(small, factors, solver):
    init = np.ones((small.shape[0], factors.shape[1]), np.float32)
    X = solve_rows(small, factors, OBJECTIVES[0], solver=solver, init=init)
    assert not X[4].any()


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_threads_change_no_bit(solver, likes):
    V = np.random.default_rng(0).normal(size=(likes.n_items, 24)).astype(np.float32)
    one, three = (solve_rows(likes.matrix, V, OBJECTIVES[0], solver=solver, n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_a_row_depends_on_itself_alone(likes):
    V = np.random.default_rng(0).normal(size=(likes.n_items, 24)).astype(np.float32)
    together = solve_rows(likes.matrix, V, OBJECTIVES[0])
    alone = solve_rows(likes.matrix[[17]], V, OBJECTIVES[0])
    np.testing.assert_allclose(together[[17]], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_hopeless_factors_give_finite_rows(small, solver):
    Y = np.zeros((small.shape[1], 6), np.float32)
    Y[:, 0] = 1e-20  # below what a float32 square can hold
    for reg in (0.0, 1e-30):
        X = solve_rows(small, Y, Objective(0.1, reg), solver=solver)
        assert np.isfinite(X).all()


def test_shapes_are_checked(small):
    with pytest.raises(DataError, match="Y must have a row for each of the 20 columns of C, got 3"):
        solve_rows(small, np.ones((3, 2), np.float32), Objective())
    with pytest.raises(ParameterError, match="solver must be one of 'cg', 'cholesky', got 'lu'"):
        solve_rows(small, np.ones((20, 2), np.float32), Objective(), solver="lu")


def test_exact_sweeps_never_raise_the_loss(likes):
    losses = []
    model = lrrec.IALS(n_factors=12, n_iter=8, solver="cholesky", random_state=0)
    model.fit(likes, callback=lambda state: losses.append((state.iteration, state.loss, state.seconds)))
    assert [iteration for iteration, _, _ in losses] == list(range(1, 9))
    assert (np.diff([loss for _, loss, _ in losses]) < 1e-3).all()
    assert (np.diff([seconds for _, _, seconds in losses]) > 0).all()


def test_cg_reaches_the_exact_solvers_loss(likes):
    last = {}
    for solver in ("cg", "cholesky"):
        model = lrrec.IALS(n_factors=12, solver=solver, n_iter=20, random_state=0)
        model.fit(likes, callback=lambda state, name=solver: last.__setitem__(name, state.loss))
    assert last["cg"] == pytest.approx(last["cholesky"], rel=0.01)


def test_planted_tastes_are_found():
    rng = np.random.default_rng(1)
    group_of_user, group_of_item = rng.integers(0, 3, 120), rng.integers(0, 3, 90)
    likes = (group_of_user[:, None] == group_of_item) & (rng.random((120, 90)) < 0.5)
    model = lrrec.IALS(n_factors=3, reg=0.01, random_state=0).fit(sp.csr_array(likes.astype(np.float32)))
    lists = model.recommend(np.arange(120), 5)
    assert (group_of_item[lists.indices] == group_of_user[:, None]).mean() > 0.99


def test_a_spectral_start_spans_what_users_of_planted_tastes_share():
    rng = np.random.default_rng(1)
    group_of_user, group_of_item = rng.integers(0, 3, 120), rng.integers(0, 3, 90)
    likes = sp.csr_array((group_of_user[:, None] == group_of_item).astype(np.float32))
    tastes = (group_of_item[:, None] == np.arange(3)) / np.sqrt(np.bincount(group_of_item))
    random = rng.standard_normal((90, 3), dtype=np.float32)
    basis = spectral_start(likes, likes.T.tocsr(), random, rng, 2)
    np.testing.assert_allclose(basis @ basis.T, tastes @ tastes.T, atol=1e-5)


@pytest.mark.parametrize("n_factors", [3, 64, 200])  # 200: more than there are items
def test_spectral_factors_begin_nearer_the_end(likes, n_factors):
    losses = {}
    for init in ("random", "spectral"):
        model = lrrec.IALS(n_factors, init=init, random_state=0, n_iter=2)
        model.fit(likes, callback=lambda state, name=init: losses.setdefault(name, state.loss))
    assert losses["spectral"] < losses["random"]


def test_bad_parameters(likes):
    for name, bad in (
        ("n_factors", 0), ("n_factors", 2.5), ("reg", 0), ("reg", np.nan), ("reg", "small"), ("unobserved_weight", -1),
        ("unobserved_weight", 0), ("reg_exponent", -0.5), ("n_iter", 0), ("solver", "lu"), ("init_scale", 0),
        ("init", "zeros"), ("random_state", "x"), ("n_threads", 0),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=f"{name} must be"):
            lrrec.IALS(**{name: bad}).fit(likes)


def test_overflow_is_an_error(likes):
    for bad in ({"reg": 1e300}, {"reg": 0.005, "reg_exponent": 100}, {"reg_exponent": 1000}, {"init_scale": 1e30}):
        with pytest.raises(ValueError, match="finite"):
            lrrec.IALS(n_factors=4, n_iter=2, **bad).fit(likes)


def test_a_failed_fit_keeps_the_earlier_one(likes):
    model = lrrec.IALS(n_factors=4, n_iter=2, random_state=0).fit(likes)
    before = model.recommend(likes.users.ids[:5]).indices

    def fail(state):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        model.fit(likes.matrix[:, :50], callback=fail)
    assert (model.recommend(likes.users.ids[:5]).indices == before).all()


def test_ctrl_c_leaves_the_last_complete_iteration(likes):
    def stop(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    model = lrrec.IALS(n_factors=4, random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(likes, callback=stop)
    three = lrrec.IALS(n_factors=4, n_iter=3, random_state=0).fit(likes)
    np.testing.assert_array_equal(model.item_factors_, three.item_factors_)
    np.testing.assert_array_equal(model.user_factors_, three.user_factors_)


def test_a_callback_can_end_the_fit(likes):
    iterations = []
    model = lrrec.IALS(n_factors=4, random_state=0)
    model.fit(likes, callback=lambda state: iterations.append(state.iteration) or state.iteration == 5)
    assert iterations == [1, 2, 3, 4, 5]


def test_early_stopping_keeps_the_best_iteration(likes):
    split = lrrec.splits.by_user(likes, random_state=0)
    states = []
    model = lrrec.IALS(n_factors=32, n_iter=40, unobserved_weight=0.1, reg=0.0005, random_state=0)
    model.fit(split.train, validation=split, patience=2, callback=states.append)
    assert len(states) < 40
    best = len(states) - 2
    assert states[best - 1].score == max(state.score for state in states) > 0
    again = lrrec.IALS(n_factors=32, n_iter=best, unobserved_weight=0.1, reg=0.0005, random_state=0).fit(split.train)
    np.testing.assert_array_equal(model.item_factors_, again.item_factors_)
    with pytest.raises(ValueError, match="same items"):
        model.fit(split.train.matrix, validation=split)


@pytest.mark.parametrize("confidence", ["1 + alpha r", "alpha r"])
def test_hu_is_stationary_where_the_paper_says(likes, confidence):
    """User factors solve (Y^T C Y + reg I) x = Y^T C p with the paper's confidences."""
    model = lrrec.IALS(n_factors=6, objective="hu", alpha=5.0, confidence=confidence, reg=0.1, reg_exponent=0, n_iter=3)
    model.fit(likes)
    R = likes.matrix.toarray().astype(np.float64)
    C = np.where(R > 0, 5 * R + (confidence[0] == "1"), 1)
    Y = model.item_factors_.astype(np.float64)
    for user in (0, 7, 100):
        A = (Y.T * C[user]) @ Y + 0.1 * np.eye(6)
        want = np.linalg.solve(A, Y.T @ (C[user] * (R[user] > 0)))
        np.testing.assert_allclose(model.user_factors_[user], want, rtol=2e-3, atol=1e-4)


def shared_by_hand(X):
    """Mean over likes of the share of users with a history who like the item."""
    likes = X > 0
    shares = likes.sum(axis=0) / (X != 0).any(axis=1).sum()
    return np.mean([shares[item] for _, item in zip(*np.nonzero(likes), strict=True)])


def test_auto_is_four_times_the_share_of_users_who_have_the_item_of_a_like(likes):
    X = likes.matrix.toarray()
    chosen = IALS(4, random_state=0, n_iter=2).fit(likes)
    assert chosen.unobserved_weight_ == pytest.approx(min(1, 4 * shared_by_hand(X)))
    by_hand = IALS(4, unobserved_weight=float(chosen.unobserved_weight_[0]), random_state=0, n_iter=2).fit(likes)
    np.testing.assert_array_equal(chosen.item_factors_, by_hand.item_factors_)
    np.testing.assert_array_equal(chosen.transform(likes), by_hand.transform(likes))
    everyone = np.ones((5, 4))
    assert IALS(1, n_iter=1, random_state=0).fit(everyone).unobserved_weight_.tolist() == [1.0]
    hu = IALS(1, objective="hu", n_iter=1, random_state=0).fit(everyone)
    assert (hu.unobserved_weight_, hu.reg_) == (1.0, 0.005)


def test_auto_counts_likes_alone_and_no_empty_users():
    X = np.array([[1, 1, 0], [2, 0, -1], [1, 0, 0], [0, 0, 0]])
    assert shared_by_hand(X) == pytest.approx((1 + 1 / 3 + 1 + 1) / 4)
    mean_weight = (1 + 1 + 2 + 1) / 4
    model = IALS(1, n_iter=1, random_state=0).fit(X * 1.0)
    assert model.unobserved_weight_.tolist() == [mean_weight]
    sparse = np.kron(np.eye(20), X)
    model = IALS(1, n_iter=1, random_state=0).fit(sparse)
    assert model.unobserved_weight_ == pytest.approx(4 * shared_by_hand(sparse) * mean_weight)


def test_with_auto_the_unit_of_the_values_does_not_matter(likes):
    X = likes.matrix.copy()
    X.data = np.random.default_rng(0).uniform(1, 9, X.nnz).astype(np.float32)
    for options in ({}, {"reg_exponent": 0}, {"reg_exponent": 0.5}):
        minutes, seconds, hours = (
            IALS(8, random_state=0, **options).fit(np.float32(unit) * X) for unit in (1, 60, 1 / 64)
        )
        np.testing.assert_allclose(minutes.item_factors_, seconds.item_factors_, atol=2e-3)
        np.testing.assert_allclose(minutes.item_factors_, hours.item_factors_, atol=2e-3)
        mine, theirs = minutes.recommend(k=5), hours.recommend_from(X / np.float32(64), k=5)
        np.testing.assert_allclose(mine.scores, theirs.scores, atol=2e-2)


def test_what_auto_became_goes_with_the_model(likes, tmp_path):
    model = IALS(4, random_state=0, n_iter=2).fit(likes)
    model.save(tmp_path / "m.lrrec", histories=False)
    adapter = FoldIn(fold_in_reg=None).fit(likes, base=model)
    loaded, merged, chosen = lrrec.load(tmp_path / "m.lrrec"), adapter.merge(), (model.unobserved_weight_, model.reg_)
    assert (loaded.unobserved_weight_, loaded.reg_) == chosen
    for other in (merged, model.compress(2)):
        assert (other.unobserved_weight, other.reg) == chosen
    for other in (loaded, merged):
        mine, theirs = (one.recommend_from(likes, 5) for one in (other, model))
        np.testing.assert_allclose(mine.scores, theirs.scores, rtol=1e-4)
    again = model.fit(likes.filter(likes.rows() < 100))
    assert again.unobserved_weight_ != loaded.unobserved_weight_


def test_auto_reg_is_what_noise_would_have_as_the_penalty_of_a_mean_user(likes):
    X = likes.matrix.toarray() > 0
    model = IALS(4, random_state=0, n_iter=1).fit(likes)
    a, n_likes = model.unobserved_weight_[0], X.sum()
    noise = 0.75 * (np.sqrt(n_likes / X.any(axis=1).sum()) + np.sqrt(n_likes / X.any(axis=0).sum()))
    noise = np.sqrt(a) * min(noise, 0.5 * np.sqrt(max(X.sum(axis=0).max(), X.sum(axis=1).max())))
    frequency = n_likes / X.any(axis=1).sum() + a * X.shape[1]
    assert model.reg_ == pytest.approx(noise / frequency)
    rootwise = IALS(4, reg_exponent=0.5, random_state=0, n_iter=1).fit(likes)
    assert rootwise.reg_ * np.sqrt(frequency) == pytest.approx(noise)
    empty_users = np.concatenate((likes.matrix.toarray(), np.zeros((50, X.shape[1]))))
    assert IALS(4, random_state=0, n_iter=1).fit(empty_users).reg_ == pytest.approx(model.reg_)
    heavy = IALS(4, alpha=9.0, random_state=0, n_iter=1).fit(likes)
    assert heavy.unobserved_weight_ == pytest.approx(9 * a)
    assert heavy.reg_ == pytest.approx(model.reg_)
    many_groups = np.kron(np.eye(200), np.ones((20, 15)))
    assert IALS(4, random_state=0, n_iter=1).fit(many_groups).reg_ == 0.005


def test_auto_reg_keeps_noise_out():
    """Of independent cells, how popular items are remains: one direction."""
    popularity = 0.8 / (1 + np.arange(200) / 10)
    X = (np.random.default_rng(0).random((300, 200)) < popularity).astype(np.float32)
    auto, little = (IALS(32, reg=reg, random_state=0).fit(X) for reg in ("auto", 0.005))
    auto, little = (np.linalg.svd(model.user_factors_ @ model.item_factors_.T)[1] for model in (auto, little))
    assert auto[1] < 0.01 * auto[0]
    assert little[1] > 0.1 * little[0]


def test_the_default_number_of_factors_is_not_too_many_for_little_data(likes):
    split = lrrec.splits.by_user(likes, random_state=0)
    by_default, popularity = (
        lrrec.evaluate(model.fit(split.train), split, metrics=["ndcg@10"]).mean()["ndcg@10"]
        for model in (IALS(random_state=0), lrrec.Popularity())
    )
    assert by_default > 1.5 * popularity


@pytest.mark.parametrize("value", ["other", None, -1, 0, float("nan")])
def test_a_bad_unobserved_weight_is_refused(value):
    for objective in ("rendle", "hu"):
        with pytest.raises((ParameterError, ParameterTypeError), match="unobserved_weight must be"):
            IALS(1, unobserved_weight=value, objective=objective).fit(np.eye(3))


def test_a_model_of_the_target_alone_is_folded_in_by_the_weight_that_it_was_fitted_with(likes):
    """Not by what "auto" is for the base: the base's number holds for both."""
    source, target = likes.filter(likes.rows() % 3 > 0), likes.filter(likes.rows() % 9 == 0)
    chosen = IALS(4, random_state=0, n_iter=3).fit(source)
    by_hand = IALS(4, unobserved_weight=float(chosen.unobserved_weight_[0]), random_state=0, n_iter=3).fit(source)
    mine, theirs = (Scratch(reg=None).fit(target, base=base) for base in (chosen, by_hand))
    np.testing.assert_array_equal(mine.item_factors_, theirs.item_factors_)
    np.testing.assert_array_equal(mine.user_factors_, theirs.user_factors_)
