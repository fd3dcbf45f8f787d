"""IALS with features of items: the objective is minimised, features place new items, and useless ones do no harm."""

import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from lrrec import IALS, Interactions
from lrrec.errors import DataError, DataWarning, LrrecError, ParameterError
from lrrec.features import Features
from lrrec.linalg.implicit_als import Objective, implicit_loss
from lrrec.linalg.linear_prior import FEW_FEATURES, LinearPrior

A, REG, FEATURE_REG = 0.2, 0.02, 0.5


@pytest.fixture(scope="module")
def planted():
    """Users with tastes for six features, of which an item has two: what they choose follows from the features."""
    rng = np.random.default_rng(0)
    features = np.zeros((150, 6), dtype=np.float32)
    features[np.repeat(np.arange(150), 2), rng.permuted(np.tile(np.arange(6), (150, 1)), axis=1)[:, :2].ravel()] = 1
    tastes = rng.normal(size=(200, 6))
    matrix = (rng.random((200, 150)) < 1 / (1 + np.exp(4 - 2 * tastes @ features.T))).astype(np.float32)
    return matrix, features


def objective(params, X, F, lam, mu):
    """The objective as the docstring of IALS writes it, and its gradients, in double precision."""
    U, W, C = params
    V = F @ W + C
    n_items = X.shape[1]
    S, seen = U @ V.T, X > 0
    reg_u = REG * (seen.sum(axis=1) + A * n_items)
    value = ((S - 1) ** 2)[seen].sum() + A * (S**2).sum()
    value += (reg_u * (U**2).sum(axis=1)).sum() + (lam * (C**2).sum(axis=1)).sum() + mu * (W**2).sum()
    G = 2 * (seen * (S - 1) + A * S)
    on_items = G.T @ U
    return value, (G @ V + 2 * reg_u[:, None] * U, F.T @ on_items + 2 * mu * W, on_items + 2 * lam[:, None] * C)


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
@pytest.mark.parametrize("form", ["sparse", "dense", "wide"])
def test_the_fit_is_stationary_in_users_map_and_deviations(planted, form, solver):
    matrix, features = planted
    F = features
    if form == "wide":  # more features than F^T F is formed for
        rng = np.random.default_rng(1)
        F = np.concatenate((features, rng.normal(size=(150, FEW_FEATURES)) / 30), axis=1).astype(np.float32)
    model = IALS(
        4, unobserved_weight=A, reg=REG, feature_reg=FEATURE_REG, n_iter=400, cg_steps=4, solver=solver, random_state=0
    ).fit(matrix, item_features=sp.csr_array(F) if form == "sparse" else F)
    lam = REG * ((matrix > 0).sum(axis=0) + A * len(matrix))
    mu = FEATURE_REG * (lam * (F**2).sum(axis=1)).mean()
    V, W = model.item_factors_.astype(np.float64), model.feature_map_.astype(np.float64)
    start = IALS(4, unobserved_weight=A, reg=REG, feature_reg=FEATURE_REG, n_iter=1, solver=solver, random_state=0).fit(
        matrix, item_features=F
    )
    sizes = []
    for fit in (start, model):
        V, W, U = (getattr(fit, name).astype(np.float64) for name in ("item_factors_", "feature_map_", "user_factors_"))
        sizes.append([np.linalg.norm(g) for g in objective((U, W, V - F @ W), matrix, F, lam, mu)[1][1:]])
    assert (np.array(sizes[1]) < 2e-3 * np.array(sizes[0])).all()
    assert np.linalg.norm(V - F @ W) > 0.05 * np.linalg.norm(V)


def test_the_loss_is_that_of_the_objective_and_falls(planted):
    matrix, features = planted
    states = []

    def callback(state):
        states.append(state.loss)

    model = IALS(4, unobserved_weight=A, reg=REG, feature_reg=FEATURE_REG, n_iter=6, random_state=0)
    model.fit(matrix, item_features=features, callback=callback)
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(states))
    lam = REG * ((matrix > 0).sum(axis=0) + A * len(matrix))
    mu = FEATURE_REG * (lam * (features**2).sum(axis=1)).mean()
    parts = (getattr(model, name).astype(np.float64) for name in ("user_factors_", "feature_map_", "item_factors_"))
    U, W, V = parts
    final = objective((U, W, V - features @ W), matrix, features, lam, mu)[0]
    assert final <= states[-1]  # the users are solved once more
    loss = Objective(A, REG).quadratic_loss(sp.csr_array(matrix.T))
    prior = LinearPrior(features, loss, lam.astype(np.float32), FEATURE_REG, 1)
    again = implicit_loss(
        sp.csr_array(matrix), U, V, Objective(A, REG), penalties=(None, prior.value(V.astype(np.float32), W))
    )
    assert again == pytest.approx(final, rel=1e-5)


def test_new_items_are_ranked_by_their_features(planted, tmp_path):
    matrix, features = planted
    model = IALS(6, unobserved_weight=A, reg=0.005, random_state=0).fit(matrix[:, :120], item_features=features[:120])
    wider = model.with_items(np.arange(120, 150), features[120:])
    scores = wider.user_factors_ @ wider.item_factors_[120:].T
    chance = (np.argsort(np.argsort(scores, axis=1), axis=1) / 29)[matrix[:, 120:] > 0].mean()
    assert chance > 0.75  # the mean place of what users chose among new items, from last (0) to first (1)
    np.testing.assert_array_equal(wider.item_factors_[:120], model.item_factors_)
    np.testing.assert_array_equal(wider.item_factors_[120:], features[120:] @ model.feature_map_)
    np.testing.assert_array_equal(
        wider.transform(Interactions(wider.seen_, wider.users_, wider.items_)), wider.user_factors_
    )
    assert wider.item_evidence_.all()
    wider.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.recommend(k=5).items, wider.recommend(k=5).items)
    np.testing.assert_array_equal(
        loaded.with_items([150], features[:1]).item_factors_[150], features[0] @ model.feature_map_
    )
    in_the_catalogue = IALS(6, unobserved_weight=A, reg=0.005, random_state=0).fit(
        np.where(np.arange(150) < 120, matrix, 0), item_features=features
    )
    np.testing.assert_allclose(
        in_the_catalogue.user_factors_ @ in_the_catalogue.item_factors_.T, wider.user_factors_ @ wider.item_factors_.T,
        atol=0.06,
    )  # fmt: skip


def test_an_item_without_features_or_interactions_has_no_evidence(planted):
    matrix, features = planted
    matrix, features = matrix.copy(), features.copy()
    matrix[:, 100:] = 0
    features[140:] = 0
    model = IALS(4, random_state=0).fit(matrix, item_features=features)
    assert model.item_evidence_.tolist() == [True] * 140 + [False] * 10
    assert not model.with_items([150], np.zeros((1, 6))).item_evidence_[150]


@pytest.mark.parametrize("form", ["sparse", "dense"])
def test_all_features_times_a_number_change_nothing(planted, form):
    matrix, features = planted
    make = sp.csr_array if form == "sparse" else np.asarray
    one, other = (IALS(4, n_iter=5, random_state=0).fit(matrix, item_features=make(c * features)) for c in (1, 50))
    np.testing.assert_allclose(
        one.user_factors_ @ one.item_factors_.T, other.user_factors_ @ other.item_factors_.T, atol=1e-3
    )


def test_threads_change_no_bit(planted):
    matrix, features = planted
    for make in (sp.csr_array, np.asarray):
        one, two = (
            IALS(4, n_iter=3, random_state=0, n_threads=n).fit(matrix, item_features=make(features)) for n in (1, 2)
        )
        np.testing.assert_array_equal(one.item_factors_, two.item_factors_)
        np.testing.assert_array_equal(one.feature_map_, two.feature_map_)


def test_random_features_do_no_harm_and_planted_ones_help(planted):
    matrix, features = planted
    data = Interactions.from_matrix(matrix)
    split = lrrec.splits.random(data, 0.3, random_state=0)
    noise = np.random.default_rng(1).normal(size=features.shape)
    values = [
        lrrec.evaluate(
            IALS(6, unobserved_weight=A, reg=0.005, random_state=0).fit(split.train, **options), split,
            metrics=["ndcg@20"],
        ).values["ndcg@20"].mean()
        for options in ({}, {"item_features": noise}, {"item_features": features})
    ]  # fmt: skip
    without, useless, useful = values
    assert useless > 0.97 * without
    assert useful > 1.01 * without


def test_without_features_nothing_of_them_is_stored(planted, tmp_path):
    matrix, _ = planted
    model = IALS(4, n_iter=2, random_state=0).fit(matrix)
    assert not {"feature_map_", "feature_names_"} & vars(model).keys()
    model.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    assert b"feature_map_" not in (tmp_path / "model").read_bytes()
    for fitted in (model, loaded, IALS(4, random_state=0).fit(matrix, item_features=np.eye(150)).compress(2)):
        with pytest.raises(DataError, match="fitted without item_features, or compressed"):
            fitted.with_items([150], np.ones((1, 6)))


def test_adapters_know_items_by_the_features_of_the_base(planted):
    matrix, features = planted
    base = IALS(6, unobserved_weight=A, reg=0.005, random_state=0).fit(matrix[:100, :120], item_features=features[:120])
    wider = base.with_items(np.arange(120, 150), features[120:])
    target = Interactions.from_matrix(np.where(np.arange(150) < 120, matrix[100:], 0))
    adapter = lrrec.adapt.LowRank(rank=2, reg=0.1, fold_in_reg=0.01).fit(target, base=wider)
    scores = adapter.recommend(k=30, items=np.arange(120, 150))
    places = np.argsort(scores.indices, axis=1) / 29
    assert places[matrix[100:][scores.users][:, 120:] > 0].mean() < 0.3  # from first (0) to last (1)


@pytest.mark.filterwarnings("ignore::lrrec.errors.DataWarning")  # equal features, equal scores
def test_tune_and_compare_pass_features_on(planted, tmp_path):
    pytest.importorskip("optuna")
    matrix, features = planted
    split = lrrec.splits.cold_items(Interactions.from_matrix(matrix), random_state=0)
    model = IALS(4, n_iter=4, random_state=0)
    options = {"n_trials": 2, "storage": tmp_path / "trials"}
    tuned = lrrec.tune(model, split, item_features=features, **options)
    assert 0.1 <= tuned.best_params_["feature_reg"] <= 10
    assert len(tuned.model_.feature_map_) == 6
    with pytest.raises(ParameterError, match="another item features"):
        lrrec.tune(model, split, item_features=2 * features, **options)
    by_features = lrrec.compare(
        {"featured": model, "popular": lrrec.Popularity()}, split, metrics=["ndcg@10"], item_features=features
    )
    means = {name: one.mean()["ndcg@10"] for name, one in by_features.evaluations.items()}
    assert means["featured"] > 1.5 * means["popular"]
    for call in (lrrec.compare, lrrec.tune):
        with pytest.raises(ParameterError, match="item_features must be for a model that takes them"):
            call({"popular": lrrec.Popularity()}, split, item_features=features)


@pytest.mark.parametrize(
    "model", [IALS(2, random_state=0), lrrec.Blend([IALS(2), lrrec.EASE()], random_state=0)], ids=["IALS", "Blend"]
)
def test_a_fit_without_features_forgets_those_of_an_earlier_one(planted, model, tmp_path):
    matrix, features = planted
    with_features, new = matrix.copy(), np.arange(150) >= 130
    with_features[:, new] = 0
    options = {"user_features": np.eye(200)} if isinstance(model, IALS) else {}
    model.fit(with_features, item_features=features, **options).fit(matrix).save(tmp_path / "again")
    clone(model).fit(matrix).save(tmp_path / "once")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "once").read_bytes()


def test_tuning_serves_new_users_by_their_features(tmp_path):
    rng = np.random.default_rng(0)
    taste, kind = rng.integers(0, 2, 80), rng.integers(0, 2, 40)
    data = Interactions.from_matrix((rng.random((80, 40)) < np.where(taste[:, None] == kind, 0.4, 0.02)).astype(float))
    split = lrrec.splits.cold_users(data, random_state=0)
    people = Features(np.eye(2)[taste], data.users)
    options = {"space": {"reg": [0.01, 0.1]}, "metric": "ndcg@10", "storage": tmp_path / "trials"}
    validation = lrrec.splits.cold_users(Interactions(split.train.matrix, data.users, data.items), random_state=1)
    model = IALS(2, n_iter=3, random_state=0)
    tuned = lrrec.tune(model, split, validation=validation, user_features=people, **options)
    fitted = IALS(2, n_iter=tuned.best_params_["n_iter"], reg=tuned.best_params_["reg"], random_state=0)
    fitted.fit(validation.train, user_features=people)
    served = lrrec.evaluate(fitted, validation, metrics=["ndcg@10"], user_features=people)
    assert tuned.best_value_ == pytest.approx(served.mean()["ndcg@10"], abs=1e-3)
    assert tuned.best_value_ > 1.5 * lrrec.tune(model, split, validation=validation, space=options["space"]).best_value_
    for others in (None, Features(np.eye(2)[1 - taste], data.users)):
        with pytest.raises(ParameterError, match="another user features"):
            lrrec.tune(model, split, validation=validation, user_features=others, **options)


def test_features_on_the_command_line(planted, tmp_path, run):
    matrix, features = planted
    data, items, model = (str(tmp_path / name) for name in ("data.csv", "items.csv", "model.lrrec"))
    table = Interactions.from_matrix(matrix[:, :120]).to_frame()
    table[["user", "item"]].to_csv(data, index=False)
    kinds = np.array([*"abcdef"])
    texts = ["|".join(kinds[row > 0]) for row in features]
    frame = pd.DataFrame({"item": range(150), "kinds": texts, "size": np.arange(150) / 150})
    standardized = (np.arange(150) - 74.5) / np.arange(150).std()
    frame.to_csv(items, index=False)
    assert run("fit", data, "--item-features", items, "-p", "n_factors=4", "-o", model)[0] == 0
    loaded = lrrec.load(model)
    assert [*loaded.feature_names_] == [*(f"kinds={kind}" for kind in "abcdef"), "size"]
    by_hand = IALS(4, random_state=0).fit(
        Interactions.from_frame(table), item_features=np.column_stack((features, standardized))[:120]
    )
    np.testing.assert_allclose(loaded.feature_map_, by_hand.feature_map_, atol=1e-4)
    code, out, _ = run("evaluate", data, "--item-features", items, "--split", "cold-items", "-p", "n_factors=4")
    assert code == 0
    assert "ndcg@10" in out
    for words, change in (
        ("--item-features must have the column 'item'", frame.rename(columns={"item": "thing"})),
        ("a column beside 'item'", frame[["item"]]),
        ("column 'kinds' must have at most 2000 different values to become a feature each, got 2001", pd.DataFrame(
            {"item": range(2001), "kinds": [f"k{n}" for n in range(2001)]})),
    ):  # fmt: skip
        change.to_csv(items, index=False)
        code, _, shown = run("fit", data, "--item-features", items, "-o", model)
        assert code == 1
        assert words in " ".join(shown.split())
    titles = pd.DataFrame({"item": range(10**5), "title": [f"t{n}" for n in range(10**5)]})
    titles.to_csv(items, index=False)  # 40 GB, if a column were made of each title
    assert "a feature each, got 100000" in " ".join(run("fit", data, "--item-features", items, "-o", model)[2].split())
    for words, text in (
        ("as many fields in every line: 3, got 2 in ['1', '2']", "item,a,b\n1,2\n2,3,4\n"),
        ("as many fields in every line: 2, got 3", "item,a\n1,2,3\n2,3,4\n"),  # not read as an index
        (
            "must have rows for the items of the data, got none",
            "item,a\n" + "".join(f"0{n},1\n" for n in range(1, 150)),
        ),  # 01 is not 1
        ("must be a CSV file in UTF-8 with a header", ""),
        ("must be an existing file", None),
    ):
        path = tmp_path / "other.csv"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        code, _, shown = run("fit", data, "--item-features", path, "-o", model)
        assert code == 1
        assert words in " ".join(shown.split())
    frame[:100].to_csv(items, index=False)
    with pytest.warns(DataWarning, match="20 of 120 items have no row in --item-features"):
        assert run("fit", data, "--item-features", items, "-p", "n_factors=4", "-o", model)[0] == 0
    frame.to_csv(items, index=False)
    code, _, shown = run("fit", data, "-m", "nmf", "--item-features", items, "-o", model)
    assert code == 1
    assert "for a model that takes them" in " ".join(shown.split())


# Features of users.


@pytest.fixture(scope="module")
def described(planted):
    """The matrix, and what is known of its users: their tastes for the six features, with noise."""
    matrix, _ = planted
    rng = np.random.default_rng(0)
    rng.permuted(np.tile(np.arange(6), (150, 1)), axis=1)
    tastes = rng.normal(size=(200, 6))
    return matrix, (tastes + 0.3 * rng.normal(size=tastes.shape)).astype(np.float32)


def test_new_items_and_users_on_the_command_line(tmp_path, run):
    rng = np.random.default_rng(0)
    taste, kind = rng.integers(0, 2, 60), rng.integers(0, 2, 40)
    rows, columns = np.nonzero(rng.random((60, 40)) < np.where(taste[:, None] == kind, 0.4, 0.02))
    data, items, users, model = (tmp_path / name for name in ("data.csv", "items.csv", "users.csv", "model.lrrec"))
    pd.DataFrame({"user": rows, "item": columns}).to_csv(data, index=False)
    words = np.array(["loud guitars", "quiet piano"])
    pd.DataFrame({"item": range(40), "about": words[kind], "code": range(40)}).to_csv(items, index=False)
    pd.DataFrame({"user": range(60), "club": np.array(["rock", "jazz"])[taste]}).to_csv(users, index=False)
    options = ("-p", "n_factors=4", "-o", model, "--feature", "about=text", "--feature", "code=none")
    assert run("fit", data, "--item-features", items, "--user-features", users, *options)[0] == 0
    assert [*lrrec.load(model).feature_names_] == [f"about={word}" for word in ("guitars", "loud", "piano", "quiet")]
    new = tmp_path / "new.csv"
    pd.DataFrame({"item": [100, 101, 0], "about": [*words, words[kind[0]]], "code": 0}).to_csv(new, index=False)
    code, out, _ = run("recommend", model, "--new-items", new, "-k", 60)
    assert code == 0
    lists = pd.read_csv(io.StringIO(out))
    score = lists.set_index(["user", "item"])["score"].unstack()
    assert ((score[100] > score[101]) == (taste == 0)).mean() > 0.95
    pd.DataFrame({"user": ["p", "q"], "club": ["jazz", "rock"]}).to_csv(new, index=False)
    code, out, _ = run("recommend", model, "--user-features", new, "-k", 5)
    assert code == 0
    lists = pd.read_csv(io.StringIO(out))
    assert (kind[lists["item"]] == np.repeat([1, 0], 5)).all()
    for words_shown, arguments in (
        ("--feature must be COLUMN=KIND", ("fit", data, "--item-features", items, "--feature", "about", "-o", model)),
        ("must name a column", ("fit", data, "--item-features", items, "--feature", "abuot=text", "-o", model)),
        ("must name a column", ("fit", data, "--item-features", items, "--feature", "abuot=none", "-o", model)),
        ("user_features must be for", ("fit", data, "-m", "nmf", "--user-features", users, "-o", model)),
        ("must be without --user", ("recommend", model, "--user-features", new, "--user", "3")),
        ("--new-items must have the column 'item'", ("recommend", model, "--new-items", new)),
    ):
        code, _, shown = run(*arguments)
        assert code == 1
        assert words_shown in " ".join(shown.split()), shown
    assert run("fit", data, "-p", "n_factors=4", "-o", model)[0] == 0
    code, _, shown = run("recommend", model, "--new-items", items)
    assert code == 1
    assert "fitted by lrrec fit --item-features" in " ".join(shown.split())


def both_objective(params, X, G, F, lam_u, lam_i, mu_u, mu_i):
    """The objective with maps on both sides, and its gradients in maps and deviations, in double precision."""
    A, R, W, C = params
    U, V = G @ A + R, F @ W + C
    S, seen = U @ V.T, X > 0
    value = ((S - 1) ** 2)[seen].sum() + A_WEIGHT * (S**2).sum()
    value += (lam_u * (R**2).sum(axis=1)).sum() + (lam_i * (C**2).sum(axis=1)).sum()
    value += mu_u * (A**2).sum() + mu_i * (W**2).sum()
    slope = 2 * (seen * (S - 1) + A_WEIGHT * S)
    on_users, on_items = slope @ V, slope.T @ U
    return value, (
        G.T @ on_users + 2 * mu_u * A, on_users + 2 * lam_u[:, None] * R,
        F.T @ on_items + 2 * mu_i * W, on_items + 2 * lam_i[:, None] * C,
    )  # fmt: skip


A_WEIGHT = A


@pytest.mark.parametrize("solver", ["cg", "cholesky"])
def test_the_fit_is_stationary_with_features_on_both_sides(planted, described, solver):
    (matrix, F), (_, G) = planted, described
    sizes, losses, has = [], [], matrix.any(axis=1)  # users without data have no part in it
    options = {"feature_reg": FEATURE_REG, "cg_steps": 4, "solver": solver, "random_state": 0}
    for n_iter in (1, 300):
        losses.clear()
        model = IALS(4, unobserved_weight=A, reg=REG, n_iter=n_iter, **options).fit(
            matrix, item_features=F, user_features=G, callback=lambda state: losses.append(state.loss)
        )
        lam_i = REG * ((matrix > 0).sum(axis=0) + A * matrix.shape[0])
        lam_u = REG * ((matrix > 0).sum(axis=1) + A * matrix.shape[1])
        mu_i, mu_u = (
            FEATURE_REG * (lam * (X**2).sum(axis=1))[some].mean()
            for lam, X, some in ((lam_i, F, matrix.any(axis=0)), (lam_u, G, has))
        )
        names = ("user_feature_map_", "user_factors_", "feature_map_", "item_factors_")
        maps_u, U, W, V = (getattr(model, name).astype(np.float64) for name in names)
        params = maps_u, (U - G @ maps_u)[has], W, V - F @ W
        value, gradients = both_objective(params, matrix[has], G[has], F, lam_u[has], lam_i, mu_u, mu_i)
        sizes.append([np.linalg.norm(g) for g in gradients])
        assert value <= losses[-1] * (1 + 1e-5)
        assert all(later <= earlier * (1 + 1e-5) for earlier, later in pairwise(losses))
    first, last = np.array(sizes)
    assert (last[[0, 2, 3]] < 1e-3 * first[[0, 2, 3]]).all()
    assert last[1] < 1e-3  # of the users' own parts, which are solved for at the end of every fit


def test_new_users_are_served_by_their_features_their_history_or_both(described, tmp_path):
    matrix, G = described
    model = IALS(6, unobserved_weight=A, reg=0.02, random_state=0).fit(matrix[:150], user_features=G[:150])
    popular = lrrec.Popularity().fit(matrix[:150])
    model.save(tmp_path / "model")
    frame = pd.DataFrame(G[150:], index=[f"user {n}" for n in range(50)])
    for fitted in (model, lrrec.load(tmp_path / "model")):
        lists = fitted.recommend_from(None, 20, user_features=frame)
        assert lists.users.tolist() == frame.index.tolist()
        hits = [np.take_along_axis(matrix[150:], one.indices, axis=1).sum() for one in (
            lists, popular.recommend_from(np.zeros((50, 150)), 20, unknown="popular")
        )]  # fmt: skip
        assert hits[0] > 1.15 * hits[1]
    histories = Interactions.from_matrix(matrix[150:], users=frame.index)
    both = model.recommend_from(histories, 20, user_features=frame, exclude_seen=False)
    options = {"k": 20, "users": frame.index, "exclude_seen": False, "unknown": "mask"}
    folded = model.recommend_from(histories, **options)
    assert (both.indices != folded.indices).any()
    unknown = model.recommend_from(histories, **options, user_features=0 * frame)
    np.testing.assert_allclose(unknown.scores.filled(0), folded.scores.filled(0), atol=1e-5)
    again = model.recommend_from(Interactions.from_matrix(matrix[:150]), 5, user_features=G[:150], unknown="mask")
    known = np.flatnonzero(matrix[:150].any(axis=1))
    np.testing.assert_allclose(again.scores[known], model.recommend(known, 5).scores, atol=1e-4)


def test_features_of_users_where_they_do_not_belong(described):
    matrix, G = described
    model = IALS(3, n_iter=2, random_state=0).fit(matrix, user_features=G)
    plain = IALS(3, n_iter=2, random_state=0).fit(matrix)
    for fitted in (plain, lrrec.EASE().fit(matrix)):
        with pytest.raises(ParameterError, match="user_features must be for a model that was fitted with them"):
            fitted.recommend_from(matrix, user_features=G)
    with pytest.raises(ParameterError, match="histories must be given, or user_features"):
        model.recommend_from(None)
    for bad in (5, "age", {0: [1.0]}):
        with pytest.raises(LrrecError, match="user_features must be"):
            model.recommend_from(None, user_features=bad)
    with pytest.raises(DataError, match="user_features must have a row for each of 200 users"):
        model.recommend_from(matrix, user_features=G[:9])
    with pytest.raises(DataError, match="update\\(\\) cannot be used on a model with user features"):
        model.update(matrix)
    with pytest.raises(DataError, match="optimality_gap\\(\\) needs the features"):
        model.optimality_gap()
    split = lrrec.splits.cold_users(Interactions.from_matrix(matrix), random_state=0)
    with pytest.raises(ParameterError, match="user_features must be for a model that takes them: IALS"):
        lrrec.compare({"popular": lrrec.Popularity()}, split, user_features=G)
    assert not {"user_feature_map_", "user_feature_names_"} & vars(plain).keys()


def test_cold_users_are_told_apart_by_their_features(described):
    matrix, G = described
    split = lrrec.splits.cold_users(Interactions.from_matrix(matrix), random_state=0)
    assert not len(split.history)
    assert not np.intersect1d(split.train.rows(), split.test.rows()).size
    compared = lrrec.compare(
        {"features": IALS(6, reg=0.02, random_state=0), "popular": lrrec.Popularity()}, split, metrics=["ndcg@20"],
        user_features=G,
    )  # fmt: skip
    means = {name: one.mean()["ndcg@20"] for name, one in compared.evaluations.items()}
    assert means["features"] > 1.1 * means["popular"]
    assert lrrec.splits.with_validation(split, random_state=0).validation.kind == "cold_users"


def test_threads_change_no_bit_with_features_of_users(described):
    matrix, G = described
    one, two = (IALS(4, n_iter=3, random_state=0, n_threads=n).fit(matrix, user_features=G) for n in (1, 2))
    np.testing.assert_array_equal(one.user_factors_, two.user_factors_)
    np.testing.assert_array_equal(one.user_feature_map_, two.user_feature_map_)
