"""Distillation: the written loss is stationary, a planted teacher is learned, adapters take after pooled teachers."""

import numpy as np
import pytest
from checks import population, quality

import lrrec
from lrrec import EASE, IALS, Interactions, LowRankAdapter, NeuralMF, Popularity, distill
from lrrec.adapt import Anchored, FoldIn, LowRank
from lrrec.errors import DataError, ParameterError, ParameterTypeError


@pytest.fixture(scope="module")
def by_user(likes):
    return lrrec.splits.by_user(likes, 100, history=0.6, random_state=0)


@pytest.fixture(scope="module")
def teacher(by_user):
    return IALS(48, unobserved_weight=0.2, reg=0.01, random_state=0).fit(by_user.train)


@pytest.mark.parametrize("factors", [True, False])
def test_the_loss_is_stationary_in_the_items(teacher, by_user, factors):
    """The items of the last round, given the users that they were solved for, zero the gradient as it is written."""
    from lrrec.adapt import distillation

    teacher = teacher if factors else EASE(20).fit(by_user.train)
    matrix = by_user.train.matrix[np.flatnonzero(np.diff(by_user.train.matrix.indptr))]
    a, weight, lam = 0.3, 2.0, np.linspace(0.5, 2, by_user.train.n_items, dtype=np.float32)
    targets = distillation.TeacherScores(teacher, matrix, by_user.train, a, 20, weight)
    U = np.random.default_rng(0).normal(size=(matrix.shape[0], 5)).astype(np.float32)
    V = distillation.solve_ridge(targets.loss.T, U, lam, row_linear=targets.row_linear(U))
    scores = teacher._scores(teacher._encode(matrix), slice(None)).astype(np.float64)
    listed = matrix.toarray() > 0
    np.put_along_axis(listed, np.argsort(-scores, axis=1)[:, :20], True, axis=1)
    S = U.astype(np.float64) @ V.T
    everywhere = scores if factors else np.zeros_like(scores)
    gradient = (a * (S - everywhere) + weight * listed * (S - np.clip(scores, 0, 1))).T @ U + lam[:, None] * V
    np.testing.assert_allclose(gradient, 0, atol=2e-3 * np.abs(S.T @ U).max())


def test_a_student_takes_after_its_teacher(made_up, likes, by_user):
    """Its teacher learned other people's tastes: the student, on these histories alone, has them from the teacher."""
    source = population(made_up, likes, "source").align_items(likes.items)
    teacher = IALS(48, unobserved_weight=0.2, reg=0.01, random_state=0).fit(source)
    abroad = (made_up.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    alone = IALS(12, unobserved_weight=0.2, reg=0.01, random_state=0)
    student = distill(teacher, alone, likes.filter(abroad))
    assert not hasattr(alone, "item_factors_")
    np.testing.assert_allclose(student.transform(likes.filter(abroad)), student.user_factors_, rtol=1e-4, atol=1e-6)

    def agreement(model):
        lists, theirs = (one.recommend_from(by_user.history, 20).indices for one in (model, teacher))
        return np.mean([len(np.intersect1d(a, b)) for a, b in zip(lists, theirs, strict=True)]) / 20

    assert agreement(student) > agreement(alone.fit(likes.filter(abroad))) + 0.1


def test_teachers_of_every_kind(by_user):
    student = distill(EASE(20).fit(by_user.train), IALS(6, random_state=0), by_user.train.matrix, k=30, n_iter=3)
    popular = lrrec.evaluate(Popularity().fit(by_user.train), by_user, metrics=["ndcg@20"]).mean()["ndcg@20"]
    model = IALS(6, random_state=0)
    model = distill(EASE(20).fit(by_user.train), model, by_user.train, k=30, n_iter=3)
    assert lrrec.evaluate(model, by_user, metrics=["ndcg@20"]).mean()["ndcg@20"] > popular
    assert student.item_factors_.shape == (by_user.train.n_items, 6)


def test_a_neural_teacher(by_user):
    pytest.importorskip("torch")
    teacher = NeuralMF(16, n_hidden=16, n_epochs=20, learning_rate=0.01, random_state=0).fit(by_user.train)
    student = distill(teacher, IALS(8, reg=0.01, random_state=0), by_user.train)
    popular = lrrec.evaluate(Popularity().fit(by_user.train), by_user, metrics=["ndcg@20"]).mean()["ndcg@20"]
    assert lrrec.evaluate(student, by_user, metrics=["ndcg@20"]).mean()["ndcg@20"] > popular


@pytest.mark.parametrize("kind", [LowRank(4, reg=1.0), Anchored(reg=1.0)], ids=repr)
def test_an_adapter_takes_after_a_pooled_teacher(made_up, likes, kind, tmp_path):
    source = population(made_up, likes, "source")
    abroad = (made_up.users.set_index("user").population[likes.users.ids] == "target").to_numpy()[likes.rows()]
    target = likes.filter(abroad)
    few = np.isin(target.rows(), np.unique(target.rows())[:60])
    rest = target.filter(~few)
    first = lrrec.splits.history_mask(rest, 0.5, np.random.default_rng(0).random(len(rest)))
    parts = target.filter(few), rest.filter(first), rest.filter(~first)
    pooled = IALS(16, unobserved_weight=0.2, reg=0.02, random_state=0).fit(likes.filter(~abroad | _of(parts[0], likes)))
    base = IALS(16, unobserved_weight=0.2, reg=0.02, random_state=0).fit(source)
    adapter = distill(pooled, kind, parts[0], base=base)
    zero_shot = FoldIn(fold_in_reg=base.reg).fit(parts[0], base=base, catalogue=likes.items.ids)
    assert quality(adapter, parts) > 1.05 * quality(zero_shot, parts)
    adapter.save(tmp_path / "a")
    loaded = lrrec.load(tmp_path / "a", base=base)
    np.testing.assert_array_equal(loaded.recommend_from(parts[1]).indices, adapter.recommend_from(parts[1]).indices)


def _of(part: Interactions, whole: Interactions) -> np.ndarray:
    """Which interactions of the whole are in a part of it."""
    cells = [one.rows().astype(np.int64) * one.n_items + one.matrix.indices for one in (part, whole)]
    return np.isin(cells[1], cells[0])


def test_what_cannot_be_done_is_refused(teacher, by_user):
    with pytest.raises(ParameterTypeError, match="student must be an IALS or an adapter, got EASE"):
        distill(teacher, EASE(), by_user.train)
    with pytest.raises(ParameterTypeError, match="an adapter needs base"):
        distill(teacher, LowRankAdapter(), by_user.train)
    with pytest.raises(ParameterError, match="base must only be given for an adapter"):
        distill(teacher, IALS(), by_user.train, base=teacher)
    with pytest.raises(ParameterTypeError, match="teacher must be a fitted Recommender"):
        distill("teacher", IALS(), by_user.train)
    with pytest.raises(DataError, match="items that the teacher knows"):
        distill(teacher, IALS(), Interactions.from_pairs([1, 1], [10**6, 2]))
    with pytest.raises(DataError, match="the teacher's"):
        distill(teacher, IALS(), np.eye(3))
