"""Explanations add up to scores; similar items of every model that has them."""

import copy
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import lrrec
from lrrec import (
    ALS,
    EASE,
    EDLAE,
    IALS,
    NMF,
    SLIM,
    ItemKNN,
    NeuralMF,
    Popularity,
    RP3Beta,
    SparseEASE,
    TruncatedSVD,
    cli,
)
from lrrec.adapt import Anchored, FoldIn, LowRank
from lrrec.errors import DataError, ParameterTypeError, UnknownIdError

LINEAR = [
    EASE(50), ItemKNN(40), RP3Beta(n_neighbors=60), SparseEASE(50, n_neighbors=40),
    SLIM(1, 20), SLIM(1, 20, nonnegative=False),
    IALS(8, n_iter=3, random_state=0),
    IALS(5, n_iter=2, objective="hu", alpha=10, confidence="alpha r", reg=5, random_state=1),
    ALS(3, n_iter=3, random_state=0), ALS(3, n_iter=3, clip=True, random_state=0),
    NMF(6, n_iter=5, random_state=0), EDLAE(6),
    TruncatedSVD(6), TruncatedSVD(4, solver="exact", user_power=0.5, item_power=0.4, score_power=0.3),
]  # fmt: skip
if find_spec("torch"):
    LINEAR += [
        NeuralMF(6, n_hidden=0, n_epochs=1, random_state=0),
        NeuralMF(4, n_hidden=0, n_epochs=1, loss="ratings", random_state=0),
    ]


@pytest.fixture(scope="module")
def fitted(made_up, likes):
    """A function that fits a model once."""
    models = {}

    def fit(model):
        if repr(model) not in models:
            rates = isinstance(model, ALS) or getattr(model, "loss", "") == "ratings"
            models[repr(model)] = model.fit(made_up.interactions() if rates else likes)
        return models[repr(model)]

    return fit


def total(frame):
    return float(np.sum(np.asarray(frame["contribution"])))


@pytest.mark.parametrize("model", LINEAR, ids=repr)
def test_contributions_add_up_to_predict(model, fitted):
    model = fitted(model)
    for row, column in ((0, 3), (7, 100), (50, 11), (200, 250)):
        user, item = model.users_.ids[row], model.items_.ids[column]
        history = model.seen_[[row]]
        unclipped = model._scores(model._training_users(np.array([row])), slice(None))[0, column]
        for explanation in (model.explain(user, item), model.explain_from(history, item)):
            assert explanation.score == pytest.approx(unclipped, rel=1e-5, abs=1e-5)
            assert total(explanation.to_frame()) == pytest.approx(explanation.score, abs=1e-9)
            assert total(explanation.summary(k=2)) == pytest.approx(explanation.score, abs=1e-9)
            assert set(explanation.items) == set(model.items_.ids[history.indices])
            assert "stored user factors" not in explanation.constants
            assert (np.diff(explanation.contributions) <= 0).all()
        if not getattr(model, "clip", False):
            assert explanation.score == pytest.approx(model.predict([user], [item])[0], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("model", [EASE(50), NMF(6, n_iter=5, random_state=0), TruncatedSVD(6)], ids=repr)
def test_contributions_are_derivatives(model, fitted):
    """Where scores are linear in the values, an interaction adds its value times the score's change per unit of it."""
    model = fitted(model)
    history, item = model.seen_[[7]], model.items_.ids[100]
    explanation = model.explain_from(history, item)
    for place in range(3):
        scores, moved = [], history.copy()
        for sign in (1, -1):
            moved.data[place] = history.data[place] + sign * 0.01
            scores.append(model.explain_from(moved, item).score)
        part = explanation.contributions[explanation.items == model.items_.ids[history.indices[place]]]
        assert part[0] == pytest.approx((scores[0] - scores[1]) / 0.02 * history.data[place], rel=1e-3, abs=1e-5)


def test_als_tells_mean_and_biases(fitted, made_up):
    model = fitted(ALS(3, n_iter=3, random_state=0))
    user, item = model.users_.ids[7], model.items_.ids[100]
    explanation = model.explain(user, item)
    mean = made_up.ratings.rating.mean()
    assert list(explanation.constants) == ["mean rating", "item bias", "user bias"]
    want = {
        "mean rating": mean,
        "item bias": model.item_factors_[100, -1] - mean,
        "user bias": model.user_factors_[7, -2],
    }
    assert explanation.constants == pytest.approx(want, abs=1e-5)
    frame = explanation.to_frame()
    assert frame.source.tolist() == ["history"] * len(explanation.items) + list(want)
    assert frame["item"].isna().tolist() == frame.value.isna().tolist() == (frame.source != "history").tolist()


@pytest.mark.parametrize("model", LINEAR[:8], ids=repr)
def test_users_without_a_history_have_constants_alone(model, likes):
    model = clone(model).fit(likes.filter(likes.rows() != 3))
    explanation = model.explain(likes.users.ids[3], likes.items.ids[5])
    predicted = model.predict(likes.users.ids[[3]], likes.items.ids[[5]])[0]
    assert len(explanation.items) == 0
    assert explanation.score == pytest.approx(predicted, abs=1e-6)
    assert len(explanation.to_frame()) == len(explanation.constants)


def test_an_als_without_its_training_data_has_the_mean_of_the_item(fitted, made_up):
    model = copy.copy(fitted(ALS(3, n_iter=3, random_state=0)))
    whole, item = model.explain_from(model.seen_[[7]], model.items_.ids[100]), model.items_.ids[100]
    history = model.seen_[[7]]
    model.seen_ = sp.csr_array(model.seen_.shape, dtype=np.float32)
    bare = model.explain_from(history, item)
    assert list(bare.constants) == ["item mean", "user bias"]
    assert bare.score == pytest.approx(whole.score)


def test_item_item_contributions_are_values_times_weights(fitted):
    model = fitted(EASE(50))
    explanation = model.explain(model.users_.ids[7], model.items_.ids[100])
    weights = model.item_weights_[model.items_.indices(explanation.items), 100]
    np.testing.assert_allclose(explanation.contributions, explanation.values * weights)


def test_nothing_is_explained_by_other_users(likes):
    """An item that shares no user with the history gets nothing from it."""
    table = lrrec.Interactions.from_pairs(["ann", "ann", "bob", "bob"], ["x", "y", "z", "w"])
    for model in (ItemKNN(shrink=0), RP3Beta()):
        assert not model.fit(table).explain("ann", "z").contributions.any()


def test_stored_factors_that_are_no_fold_in_have_a_row(fitted, likes):
    model = fitted(IALS(8, n_iter=3, random_state=0))
    imported = lrrec.interop.from_factors(
        model.user_factors_, model.item_factors_, users=likes.users.ids, items=likes.items.ids, seen=likes, reg=1.0
    )
    for other in (model.compress(3), imported):
        explanation = other.explain(likes.users.ids[7], likes.items.ids[100])
        predicted = other.predict(likes.users.ids[[7]], likes.items.ids[[100]])[0]
        assert explanation.score == pytest.approx(predicted, abs=1e-6)
        folded = other.transform(likes.matrix[[7]])[0] @ other.item_factors_[100]
        assert explanation.constants["stored user factors"] == pytest.approx(predicted - folded, abs=1e-5)


REGS = {"reg": 1.0, "fold_in_reg": 0.5, "new_item_reg": 1.0}


BASES = [
    IALS(6, n_iter=3, reg=0.02, random_state=0), NMF(4, n_iter=3, random_state=0), TruncatedSVD(5),
    ALS(3, n_iter=3, random_state=0),
]  # fmt: skip
KINDS = [FoldIn(fold_in_reg=0.5), LowRank(rank=2, **REGS), Anchored(**REGS)]


@pytest.mark.parametrize("base", BASES, ids=repr)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_adapters_are_explained(base, kind, source, target):
    adapter = kind.fit(target, base=base.fit(source))
    user, item = adapter.users_.ids[3], adapter.items_.ids[50]
    explanation = adapter.explain(user, item)
    assert "stored user factors" not in explanation.constants
    assert explanation.score == pytest.approx(adapter.predict([user], [item])[0], rel=1e-5, abs=1e-5)


def test_what_users_bring_from_the_base_has_a_row(likes):
    early = np.random.default_rng(0).random(len(likes)) < 0.5
    base = IALS(6, n_iter=3, reg=0.02, random_state=0).fit(likes.filter(early))
    adapter = FoldIn(fold_in_reg=None).fit(likes.filter(~early), base=base, same_users=True)
    user, item = adapter.users_.ids[3], adapter.items_.ids[50]
    explanation = adapter.explain(user, item)
    assert "stored user factors" in explanation.constants
    assert explanation.score == pytest.approx(adapter.predict([user], [item])[0], abs=1e-6)


def test_a_selector_explains_as_its_winner(source, target):
    base = IALS(6, n_iter=3, reg=0.02, random_state=0).fit(source)
    selector = lrrec.AdapterSelector([FoldIn(fold_in_reg=0.05)], guard=False, random_state=0).fit(target, base=base)
    user, item = selector.users_.ids[3], selector.items_.ids[50]
    assert selector.explain(user, item).score == selector.best_.explain(user, item).score


def test_histories_of_new_users_by_id(fitted):
    model = fitted(IALS(8, n_iter=3, random_state=0))
    items = model.items_.ids[[5, 9, 70]]
    history = lrrec.Interactions.from_pairs(["new"] * 4, [*items, -5])
    explanation = model.explain_from(history, model.items_.ids[100])
    score = model.recommend_from(history, 1, items=model.items_.ids[[100]]).scores[0, 0]
    assert sorted(explanation.items) == sorted(items)
    assert explanation.score == pytest.approx(score, abs=1e-6)
    assert explanation.user is None
    with pytest.raises(DataError, match=r"history must be of one user .* got 0"):
        model.explain_from(sp.csr_array((1, len(model.items_))), items[0])
    with pytest.raises(DataError, match=r"history must be of one user .* got 2"):
        model.explain_from(model.seen_[:2], items[0])


def test_what_cannot_be_explained_is_refused(fitted, likes):
    user, item = likes.users.ids[0], likes.items.ids[0]
    with pytest.raises(ParameterTypeError, match="Popularity cannot explain"):
        fitted(Popularity()).explain(user, item)
    model = fitted(EASE(50))
    for wrong in ((-1, item), (user, -1), ("ann", item)):
        with pytest.raises(UnknownIdError):
            model.explain(*wrong)
    for bad in ([item], None, 1.5, pd.Series([item]), pd.DataFrame({"item": [item]}), {item: 1}, np.array([item])):
        for call in (lambda bad=bad: model.explain(user, bad), lambda bad=bad: model.explain(bad, item)):
            with pytest.raises((DataError, UnknownIdError)):
                call()
    with pytest.raises(NotFittedError):
        EASE().explain(user, item)
    with pytest.raises(NotFittedError):
        EASE().similar_items([item])


@pytest.mark.skipif(not find_spec("torch"), reason="needs torch")
def test_hidden_layers_are_refused(fitted, likes):
    model = NeuralMF(4, n_hidden=3, init="random", n_epochs=1, random_state=0).fit(likes.matrix[:20])
    with pytest.raises(ParameterTypeError, match="n_hidden=0"):
        model.explain(0, 0)
    linear = fitted(NeuralMF(6, n_hidden=0, n_epochs=1, random_state=0)).compress(3)
    explanation = linear.explain_from(likes.matrix[[7]], likes.items.ids[100])
    assert explanation.score == pytest.approx(
        linear.transform(likes.matrix[[7]])[0] @ linear.item_factors_[100], abs=1e-6
    )


def test_a_compressed_als_refuses_to_fold_in(fitted):
    """Its factors mix biases and ratings: what it returned was of no model."""
    small = fitted(ALS(3, n_iter=3, random_state=0)).compress(3)
    assert small.recommend([small.users_.ids[0]], 3).items.count() == 3
    for call in (small.transform, small.recommend_from):
        with pytest.raises(DataError, match="compressed ALS"):
            call(small.seen_)


def rows(frame):
    return [[-1 if value != value or value is None else value for value in row] for row in frame.to_numpy().tolist()]


def test_frames_and_texts(fitted):
    pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    for model in (fitted(EASE(50)), fitted(ALS(3, n_iter=3, random_state=0))):
        explanation = model.explain(model.users_.ids[7], model.items_.ids[100])
        want = explanation.to_frame()
        for backend in ("polars", "pyarrow"):
            other = explanation.to_frame(backend).to_pandas()
            assert other.columns.tolist() == want.columns.tolist()
            assert rows(other) == rows(want)
        assert len(explanation.summary(k=2)) == 3 + len(explanation.constants)
        assert f"item {model.items_.ids[100]} for user {model.users_.ids[7]}" in repr(explanation)
        assert f"{explanation.score:.4f}" in repr(explanation)
        assert "<table" in explanation._repr_html_()


def test_the_command_line_explains(fitted, tmp_path, monkeypatch, capsys):
    model = fitted(EASE(50))
    model.save(tmp_path / "model")
    user = model.users_.ids[7]
    words = ["lrrec", "recommend", str(tmp_path / "model"), f"--user={user}", "--user=-7", "--popular", "-k2"]
    monkeypatch.setattr("sys.argv", [*words, "--explain"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["user", "item", "rank", "score", "because"]
    assert [line[4].split() for line in lines[3:]] == [[], []]
    for _, item, *_, because in lines[1:3]:
        assert because.split() == model.explain(user, int(item)).items[:3].astype(str).tolist()


# Similar items.

ITEM_ITEM = [EASE(50), RP3Beta(n_neighbors=60), SparseEASE(50, n_neighbors=40), SLIM(0.5, 20), ItemKNN(7, shrink=5)]


@pytest.mark.parametrize("model", ITEM_ITEM[:4], ids=repr)
def test_similar_items_are_those_that_the_item_recommends(model, fitted):
    model = fitted(model)
    items = model.items_.ids[[3, 250, 3]]
    similar = model.similar_items(items, 5)
    alone = sp.csr_array(np.eye(len(model.items_), dtype=np.float32)[[3, 250, 3]])
    lists = model.recommend_from(alone, 5)
    np.testing.assert_array_equal(similar.neighbors.filled(-1), lists.items.filled(-1))
    np.testing.assert_allclose(similar.scores, lists.scores, rtol=1e-5)
    np.testing.assert_array_equal(similar.ids, items)


def test_similar_items_of_itemknn_are_its_neighbours(fitted, likes):
    model = fitted(ItemKNN(7, shrink=5))
    X = likes.matrix.toarray().astype(np.float64)
    norms = np.linalg.norm(X, axis=0)
    S = (X.T @ X) / (np.outer(norms, norms) + 5)
    np.fill_diagonal(S, 0)
    similar = model.similar_items(likes.items.ids, 9)
    np.testing.assert_allclose(similar.scores.filled(0)[:, :7], -np.sort(-S, axis=1)[:, :7], rtol=1e-5)
    assert np.ma.getmaskarray(similar.neighbors)[:, 7:].all()


@pytest.mark.parametrize("model", ITEM_ITEM, ids=repr)
def test_items_without_evidence_have_no_neighbours(model):
    data = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "z"])
    data = data.align_items(lrrec.IdMap(["w", "x", "y", "z"]))
    similar = clone(model).fit(data).similar_items(["w", "z", "x"], 3)
    assert similar.neighbors.filled("").tolist() == [["", "", ""], ["", "", ""], ["y", "", ""]]


@pytest.mark.parametrize("model", [*ITEM_ITEM, IALS(8, n_iter=3, random_state=0)], ids=repr)
def test_candidates_of_similar_items(model, fitted):
    model = fitted(model)
    items, ids = model.items_.ids[[3, 250]], model.items_.ids
    everything = model.similar_items(items, len(ids))
    chosen = ids[[250, 3, 7, 11, 40, 41, 42, 43]]
    own = np.stack((ids[10:40], ids[100:130]))
    for candidates in (chosen, own):
        similar = model.similar_items(items, 9, candidates=candidates)
        for row, item in enumerate(items):
            allowed = set(candidates if candidates.ndim == 1 else candidates[row]) - {item}
            want = [id for id in everything.neighbors[row].compressed() if id in allowed][:9]
            assert similar.neighbors[row].compressed().tolist() == want
    with pytest.raises(UnknownIdError):
        model.similar_items(items, candidates=[-1])
