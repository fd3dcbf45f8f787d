"""update: what a model makes of new interactions is what it would make of all of them, as far as it says so."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from test_models import ALL_MODELS

import lrrec
from lrrec import ALS, IALS, Blend, Interactions, ItemContent
from lrrec.errors import DataError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.linalg.implicit_als import implicit_loss, solve_rows
from lrrec.models.base import AlternatingModel


@pytest.fixture(scope="module")
def parts(likes):
    """The likes in two parts: the second has new users, new items, and more of the old ones."""
    rng = np.random.default_rng(0)
    table = likes.to_frame()[["user", "item"]]
    later = (table["user"] % 17 == 3) | (table["item"] % 19 == 2) | (rng.random(len(table)) < 0.02)
    return [Interactions.from_frame(table[part]) for part in (~later, later)]


@pytest.fixture(scope="module")
def ratings(made_up):
    table = made_up.interactions().to_frame()[["user", "item", "value"]]
    later = (table["user"] % 17 == 3) | (table["item"] % 19 == 2)
    again = table[~later][::50].assign(value=1.0)  # revised
    first, then = table[~later], [table[later], again]
    return [Interactions.from_frame(part, value="value") for part in (first, *then)]


def both(old, new):
    return Interactions.concat([old, new], duplicates="last")


def models():
    return [model for model in ALL_MODELS if not isinstance(model, ALS)]


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_old_ids_keep_their_indices_and_new_ones_are_served(model, parts):
    old, new = parts
    fitted = clone(model).fit(old)
    before = fitted.items_.ids, fitted.users_.ids
    assert fitted.update(new) is fitted
    np.testing.assert_array_equal(fitted.items_.ids[: len(before[0])], before[0])
    np.testing.assert_array_equal(fitted.users_.ids[: len(before[1])], before[1])
    whole = both(old, new)
    assert {*fitted.items_} == {*whole.items}
    assert {*fitted.users_} == {*whole.users}
    assert len(fitted.seen_.data) == len(whole)
    rows, columns = whole.users.find(fitted.users_.ids), whole.items.find(fitted.items_.ids)
    np.testing.assert_array_equal(fitted.seen_.toarray(), whole.matrix[rows][:, columns].toarray())
    users = new.users.ids
    lists, folded = fitted.recommend(users, 8), fitted.recommend_from(whole, 8, users=users)
    np.testing.assert_allclose(lists.scores.filled(0), folded.scores.filled(0), rtol=2e-3, atol=2e-3)
    assert (lists.indices == folded.indices).mean() > 0.99
    strangers = [item for item in new.items if item not in {*old.items}]
    assert np.isin(lists.items.filled(-1), strangers).any()


@pytest.mark.parametrize("model", models(), ids=lambda model: type(model).__name__)
def test_an_updated_model_is_nearly_as_good_as_a_new_one(model, likes):
    split = lrrec.splits.random(likes, 0.2, random_state=0)
    late = np.random.default_rng(0).random(len(split.train)) < 0.02
    first, then = split.train.filter(~late), split.train.filter(late)
    values = [
        lrrec.evaluate(fitted, split, metrics=["ndcg@20"]).mean()["ndcg@20"]
        for fitted in (clone(model).fit(first).update(then), clone(model).fit(split.train))
    ]
    assert values[0] > 0.95 * values[1]


@pytest.mark.parametrize("options", [
    {}, {"objective": "hu", "alpha": 20.0, "reg": 1.0}, {"objective": "hu", "confidence": "alpha r", "alpha": 20.0},
], ids=str)  # fmt: skip
def test_users_are_solved_for_as_fold_in_does(parts, options):
    model = IALS(8, n_iter=3, random_state=0, **options).fit(parts[0]).update(parts[1])
    grown = Interactions(model.seen_, model.users_, model.items_)
    rows = model.users_.indices(parts[1].users.ids)
    exact = model.transform(grown)[rows]
    sizes = np.linalg.norm(exact, axis=1)
    assert (np.linalg.norm(model.user_factors_[rows] - exact, axis=1) < 1e-3 * sizes).all()


def test_items_with_many_new_interactions_are_solved_for_and_the_others_stay(parts):
    """Against the users as they were, and new users as their old items place them."""
    old, new = parts
    before = IALS(6, unobserved_weight=0.2, reg=0.02, random_state=0).fit(old)
    model = clone(before).fit(old).update(new)
    X = model.seen_.toarray() > 0
    U = before.transform(Interactions(model.seen_, model.users_, model.items_)).astype(np.float64)
    U[: len(before.user_factors_)] = before.user_factors_
    grew = np.bincount(new.align_items(model.items_).matrix.indices, minlength=X.shape[1])
    solved = grew >= 0.1 * X.sum(axis=0)
    assert len(before.items_) < len(solved)
    assert 0 < solved[: len(before.items_)].sum() < len(before.items_)
    lam = 0.02 * (X.sum(axis=0) + 0.2 * len(X))
    for item in np.flatnonzero(solved):
        A = 0.2 * U.T @ U + U[X[:, item]].T @ U[X[:, item]] + lam[item] * np.eye(6)
        np.testing.assert_allclose(model.item_factors_[item], np.linalg.solve(A, U[X[:, item]].sum(axis=0)), atol=1e-3)
    stays = np.flatnonzero(~solved)
    np.testing.assert_array_equal(model.item_factors_[stays], before.item_factors_[stays])


def test_ratings_replace_ratings(ratings):
    old, new, revised = ratings
    model = ALS(4, n_iter=4, random_state=0).fit(old).update(new).update(revised)
    whole = Interactions.concat([old, new, revised], duplicates="last")
    rows, columns = whole.users.find(model.users_.ids), whole.items.find(model.items_.ids)
    np.testing.assert_array_equal(model.seen_.toarray(), whole.matrix[rows][:, columns].toarray())
    users = revised.users.ids
    at = model.users_.indices(users)
    grown = Interactions(model.seen_, model.users_, model.items_)
    np.testing.assert_allclose(model.user_factors_[at], model.transform(grown)[at], rtol=1e-3, atol=1e-4)
    refit = ALS(4, n_iter=4, random_state=0).fit(whole)
    pairs = whole.users.ids[whole.rows()], whole.items.ids[whole.matrix.indices]
    errors = [np.sqrt(np.mean((fitted.predict(*pairs) - whole.matrix.data) ** 2)) for fitted in (model, refit)]
    assert errors[0] < 1.1 * errors[1]
    with pytest.raises(ParameterError, match="decay must be 1 for a model of ratings"):
        model.update(new, decay=0.5)


def test_a_rating_of_zero_stays_an_interaction():
    model = ALS(2, random_state=0).fit(Interactions.from_pairs([1, 1, 2], [1, 2, 1], values=[3, 4, 5]))
    model.update(Interactions.from_pairs([1, 3], [2, 1], values=[0.0, 0.0]))
    assert model.seen_.nnz == 4
    assert model.seen_.toarray().tolist() == [[3, 0], [5, 0], [0, 0]]


def test_decay_weakens_what_was_before(parts):
    old, new = parts
    model = IALS(6, n_iter=4, random_state=0).fit(old).update(new, decay=0.5)
    assert {*np.unique(model.seen_.data).tolist()} <= {0.5, 1.0, 1.5}
    grown = Interactions(model.seen_, model.users_, model.items_)
    np.testing.assert_allclose(model.transform(grown), model.user_factors_, atol=2e-3)  # everybody is solved for
    for decay in (0, 1.5, -1):
        with pytest.raises(ParameterError, match="decay must be"):
            model.update(new, decay=decay)


def test_likes_and_dislikes_that_cancel_are_no_interactions():
    model = IALS(2, random_state=0).fit(Interactions.from_pairs([1, 1, 2], [1, 2, 1]))
    model.update(Interactions.from_pairs([1], [2], values=[-1.0]))
    assert model.seen_.toarray().tolist() == [[1, 0], [1, 0]]
    with pytest.raises(DataError, match="no interaction is left"):
        model.update(Interactions.from_pairs([1, 2], [1, 1], values=[-1.0, -1.0]))
    assert model.seen_.nnz == 2  # as before


def test_items_without_features_are_refused(parts):
    old, new = parts
    features = sp.eye_array(old.n_items, 30, format="csr")
    more = lrrec.splits.random(old, 0.02, random_state=0)
    for model in (IALS(4, n_iter=2, random_state=0), ItemContent(), Blend([ItemContent()])):
        fitted = clone(model).fit(old, item_features=features)
        with pytest.raises(DataError, match="are new and have no features: add them by with_items"):
            fitted.update(new)
        fitted.update(more.test)
        assert fitted.seen_.nnz == len(old)
    fitted = IALS(4, n_iter=2, random_state=0).fit(old, item_features=features)
    strange = np.setdiff1d(new.items.ids, old.items.ids)
    wider = fitted.with_items(strange, np.ones((len(strange), 30))).update(new)
    assert {*strange} < {*wider.items_}


def test_models_without_histories_and_compressed_ones(parts, tmp_path):
    old, new = parts
    model = ALS(4, n_iter=2, random_state=0).fit(old)
    model.save(tmp_path / "model", histories=False)
    with pytest.raises(DataError, match=r"update\(\) needs the users' histories"):
        lrrec.load(tmp_path / "model").update(new)
    with pytest.raises(DataError, match="a compressed ALS cannot take new items"):
        model.compress(2).update(new)


def test_updates_survive_files(parts, tmp_path):
    old, new = parts
    model = IALS(4, n_iter=2, random_state=0).fit(old)
    model.save(tmp_path / "model")
    for mmap in (False, True):
        loaded = lrrec.load(tmp_path / "model", mmap=mmap).update(new)
        again = model.__class__(**model.get_params()).fit(old).update(new)
        np.testing.assert_array_equal(loaded.item_factors_, again.item_factors_)
        np.testing.assert_array_equal(loaded.user_factors_, again.user_factors_)


def test_models_that_are_solved_by_rows_are_not_fitted_again(parts, monkeypatch):
    for model in ALL_MODELS:
        if isinstance(model, AlternatingModel):
            fitted = clone(model).fit(parts[0])
            with monkeypatch.context() as context:
                context.setattr(type(fitted), "_iterate", None)
                fitted.update(parts[1])


def losses(model, data, **options):
    seen = []
    model.fit(data, callback=lambda state: seen.append(state.loss) or False, **options)
    return seen


def test_a_warm_start_saves_iterations(parts):
    """After two iterations from the old model the loss is what a new fit needs many for; ids are matched."""
    old, new = parts
    whole = both(old, new)
    start = IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(old)
    cold = losses(IALS(8, unobserved_weight=0.2, reg=0.02, random_state=1), whole)
    warm = losses(IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=3, random_state=1), whole, warm_start=start)
    assert warm[0] < cold[3]
    assert warm[2] < cold[5]
    far = losses(IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=1), start.update(new).seen_, warm_start=start)
    renamed = Interactions(start.seen_, start.users_, start.items_)
    near = losses(IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=1), renamed, warm_start=start)
    assert near[0] < far[0]  # rows without ids are users 0, 1, ...: others
    without = start.item_factors_.copy(), start.user_factors_.copy()
    start.fit(whole, warm_start=start)
    assert not np.array_equal(start.item_factors_, without[0])
    assert start.score(whole) > 0


def test_a_warm_start_with_features(parts):
    old, new = parts
    whole = both(old, new)
    described = np.random.default_rng(0).normal(size=(whole.n_items, 5))
    features = described[whole.items.indices(old.items.ids)]
    start = IALS(4, random_state=0).fit(old, item_features=features)
    cold = losses(IALS(4, n_iter=2, random_state=0), whole, item_features=described)
    warm = losses(IALS(4, n_iter=2, random_state=0), whole, item_features=described, warm_start=start)
    assert warm[0] < cold[0]
    with pytest.raises(DataError, match="fitted with the same features, in their order"):
        IALS(4).fit(whole, item_features=described[:, :3], warm_start=start)


def test_a_warm_start_has_to_fit(parts):
    old, _ = parts
    with pytest.raises(ParameterError, match="warm_start must have 4 factors, as n_factors says, got 3"):
        IALS(4).fit(old, warm_start=IALS(3, n_iter=1).fit(old))
    with pytest.raises(ParameterTypeError, match="warm_start must be a fitted IALS, got ALS"):
        IALS(4).fit(old, warm_start=ALS(4))
    with pytest.raises(NotFittedError):
        IALS(4).fit(old, warm_start=IALS(4))


@pytest.mark.parametrize("options", [{}, {"objective": "hu", "alpha": 10.0, "reg": 1.0}], ids=str)
def test_the_optimality_gap_bounds_what_solving_one_side_gains(parts, options):
    old, new = parts
    model = IALS(6, **{"unobserved_weight": 0.2, "reg": 0.02, "random_state": 0} | options)
    gaps = []
    for n_iter in (1, 4, 40):
        gaps.append(model.set_params(n_iter=n_iter).fit(old).optimality_gap())
    assert gaps[0] > gaps[1] > gaps[2] >= 0
    assert gaps[2] < 2e-3
    model.update(new)
    assert model.optimality_gap() > gaps[2]
    objective, weights = model._objective(), model._weights(model.seen_)
    U, V = model.user_factors_, model.item_factors_
    before = implicit_loss(weights, U, V, objective)
    for after in (
        implicit_loss(weights, solve_rows(weights, V, objective), V, objective),
        implicit_loss(weights, U, solve_rows(weights.T.tocsr(), U, objective), objective),
    ):
        assert 0 <= before - after <= model.optimality_gap() * before * (1 + 1e-3)


def test_rows_without_ids_are_not_taken_for_users_who_have_some(likes, target, source):
    """A matrix in the order of the model's users would be added to the users 0, 1, ..."""
    model = IALS(4, n_iter=2, random_state=0).fit(likes)
    adapter = lrrec.adapt.FoldIn(fold_in_reg=0.02).fit(target, base=IALS(4, n_iter=2, random_state=0).fit(source))
    for fitted, matrix in ((model, likes.matrix), (adapter, target.align_items(source.items).matrix)):
        before = fitted.seen_
        with pytest.raises(DataError, match="new must name its users"):
            fitted.update(matrix)
        assert fitted.seen_ is before
    assert IALS(4, n_iter=2, random_state=0).fit(likes.matrix).update(likes.matrix[:9]).seen_.data.max() == 2


def test_the_optimality_gap_holds_for_negative_weights():
    """Confidence alpha r < 1 weighs an observed cell less than an unobserved one."""
    X = np.where(np.random.default_rng(0).random((60, 40)) < 0.2, 0.4, 0).astype(np.float32)
    model = IALS(5, objective="hu", confidence="alpha r", alpha=1.0, reg=0.05, n_iter=1, random_state=0).fit(X)
    objective, weights = model._objective(), model._weights(model.seen_)
    assert weights.data.max() < 0
    U, V = model.user_factors_, model.item_factors_
    before = implicit_loss(weights, U, V, objective)
    after = implicit_loss(weights, U, solve_rows(weights.T.tocsr(), U, objective), objective)
    assert 0 < before - after <= model.optimality_gap() * before * (1 + 1e-3)


def test_a_new_item_of_a_neural_model_is_scored_as_an_old_one_of_the_same_users(likes):
    pytest.importorskip("torch")
    model = lrrec.NeuralMF(16, n_hidden=16, n_epochs=5, random_state=0).fit(likes)
    twins = likes.items.ids[np.argsort(-np.bincount(likes.matrix.indices))[[0, 20, 60]]]
    rows = likes.to_frame()[["user", "item"]]
    copies = [rows[rows["item"] == twin].assign(item=-1 - place) for place, twin in enumerate(twins)]
    model.update(Interactions.from_frame(pd.concat(copies)))
    for place, twin in enumerate(twins):
        users = likes.users.ids
        mine, theirs = (model.predict(users, np.full(len(users), item)) for item in (-1 - place, twin))
        assert np.corrcoef(mine, theirs)[0, 1] > 0.8
        assert 0.5 < mine.mean() / theirs.mean() < 2
