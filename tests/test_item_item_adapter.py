"""Item-item adapters: the closed form against its objective, and against the models that it lies between."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from checks import assert_same
from sklearn.base import clone

import lrrec
from lrrec import EASE, IALS, AdapterSelector, Interactions, ItemKNN
from lrrec.adapt import ItemItem, ItemItemScratch
from lrrec.adapt.domain import make_domain
from lrrec.adapt.search_rules import SearchRules
from lrrec.adapt.selection.candidate_result import CandidateResult
from lrrec.adapt.selection.cross_validation import CrossValidation
from lrrec.adapt.selection.folds import WITH, make_folds
from lrrec.adapt.selection.parameter_search import tune
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.item_item_weights import (
    DenseWeights,
    DualWeights,
    FactoredGram,
    PriorInverse,
    UpdatedWeights,
    scaled,
    solve_item_item,
)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = sp.csr_array((rng.random((9, 30)) < 0.2).astype(np.float32))
    return X, rng.normal(size=(30, 5)), sp.csr_array((rng.random((4, 30)) < 0.2).astype(np.float32))


def dense(weights, n_items):
    return weights.scores(sp.csr_array(sp.eye_array(n_items, format="csr", dtype=np.float32)))


def test_the_closed_form_is_stationary(problem):
    X, L, _ = problem
    B, A = dense(solve_item_item(X, FactoredGram(L), 2.0), 30).astype(np.float64), (X.T @ X).toarray() + L @ L.T
    gradient = 2 * (A @ B - A + 2.0 * B)
    np.testing.assert_allclose(np.diag(B), 0, atol=1e-6)
    np.testing.assert_allclose(gradient[~np.eye(30, dtype=bool)], 0, atol=1e-4)


def test_the_dual_equals_the_dense_solution(problem):
    X, L, H = problem
    dual, whole = solve_item_item(X, FactoredGram(L), 0.5), solve_item_item(X, (L @ L.T).astype(np.float32), 0.5)
    assert isinstance(dual, DualWeights)
    assert isinstance(whole, DenseWeights)
    np.testing.assert_allclose(dual.scores(H), whole.scores(H), rtol=1e-4, atol=1e-5)
    columns = np.array([7, 2])
    np.testing.assert_allclose(dual.scores(H, columns), whole.scores(H)[:, columns], rtol=1e-4, atol=1e-5)


def test_users_that_were_fitted_are_encoded_without_their_histories(problem):
    X, L, _ = problem
    rng = np.random.default_rng(1)
    S = FactoredGram(L.astype(np.float32), rng.normal(size=(5, 5)), rng.random(30))
    dual, rows = DualWeights(X, S, 0.5), np.array([4, 0, 7])
    for mine, other in zip(dual.encode_training(rows), dual.encode(X[rows]), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_users_without_a_history_are_nobody_else(base, target):
    """As a member of a blend that serves them from the base."""
    some = target.filter(target.rows() % 3 == 0)
    rows = np.arange(some.n_users)
    assert (np.diff(some.matrix.indptr) == 0).any()
    adapter = ItemItem(weight=2.0, reg=5.0, scaling=0.5, statistics="scores").fit(some, base=base)
    for part in (rows, rows[-2:]):
        (vectors,), rest = adapter._training_vectors(part)
        (want,), other = adapter._vectors(adapter._training_users(part))
        np.testing.assert_allclose(vectors, want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(rest.parts[0], other.parts[0], atol=1e-8)
    assert not vectors[np.diff(some.matrix.indptr)[rows[-2:]] == 0].any()


def test_adapters_of_one_base_share_its_item_factors(base, target):
    known = target.filter(base.items_.find(target.items.ids)[target.matrix.indices] >= 0)
    adapter = ItemItem(weight=2.0, reg=5.0, scaling=0.5, statistics="scores").fit(
        known, base=base, catalogue=base.items_.ids
    )
    assert adapter.weights_.L is base.item_factors_


def test_an_inverse_that_is_corrected_for_the_users_equals_the_dense_solution(problem):
    X, L, H = problem
    L[[2, 11]] = 0  # items that the base does not know
    S = (L @ L.T).astype(np.float32)
    items = np.flatnonzero(np.diag(S))
    Q = PriorInverse(S[np.ix_(items, items)], items, 30, 0.5)
    updated, whole = UpdatedWeights(X, Q), solve_item_item(X, S, 0.5)
    np.testing.assert_allclose(updated.scores(H), whole.scores(H), rtol=1e-4, atol=1e-5)
    columns = np.array([7, 2])
    np.testing.assert_allclose(updated.scores(H, columns), whole.scores(H)[:, columns], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exponent", [0, 0.5, 1])
def test_scaling_means_the_same_for_factors_and_matrices(problem, exponent):
    _, L, _ = problem
    L[3] = 0
    S = L @ L.T
    factors, matrix = scaled(FactoredGram(L), exponent, 3.0).root(), scaled(S.astype(np.float32), exponent, 3.0)
    np.testing.assert_allclose(factors @ factors.T, matrix, atol=1e-5)
    known = np.diag(S) > 0
    np.testing.assert_allclose(np.diag(matrix)[known].mean(), 3.0, rtol=1e-5)
    assert not matrix[3].any()
    if exponent == 1:
        np.testing.assert_allclose(np.diag(matrix)[known], 3.0, rtol=1e-5)


@pytest.fixture(scope="module")
def base(source):
    return IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=5, random_state=0).fit(source)


def test_without_weight_it_is_ease_of_the_target(base, target):
    adapter = ItemItem(weight=0.0, reg=7.0, scaling=0.0).fit(target, base=base)
    ease = EASE(7.0).fit(target.align_items(adapter.items_))
    np.testing.assert_allclose(adapter.predict(target.users.ids[:50], adapter.items_.ids[:50]),
                               ease.predict(target.users.ids[:50], adapter.items_.ids[:50]), atol=1e-5)  # fmt: skip
    alone = ItemItemScratch(reg=7.0).fit(target, base=base)
    np.testing.assert_allclose(alone.recommend().scores, adapter.recommend().scores, atol=1e-5)


def test_with_all_the_weight_it_is_ease_of_the_source(source, target):
    base = EASE(50.0).fit(source)
    counts = np.bincount(source.matrix.indices, source.matrix.data**2, minlength=source.n_items)
    scale = 1e6 / counts[counts > 0].mean()  # of S, scaled to a mean diagonal of 1
    adapter = ItemItem(weight=1e6, reg=50.0 * scale, scaling=0.0).fit(target, base=base)
    scores = base._scores(source.matrix, slice(None))
    histories = source.align_items(adapter.items_).matrix
    np.testing.assert_allclose(adapter.weights_.scores(histories)[:, : source.n_items], scores, atol=1e-3)


def test_statistics_of_scores_are_the_co_occurrences_that_they_stand_for(source, target):
    full = lrrec.TruncatedSVD(min(source.matrix.shape), reg=0).fit(source)
    settings = {"weight": 2.0, "reg": 3.0, "scaling": 0.5}
    scores, interactions = (
        ItemItem(**settings, statistics=statistics).fit(target, base=full) for statistics in ("scores", "interactions")
    )
    users, items = target.users.ids[:60], scores.items_.ids[:60]
    np.testing.assert_allclose(scores.predict(users, items), interactions.predict(users, items), atol=1e-4)


def test_items_that_the_base_does_not_know(base, source, target):
    """They are scored from the target alone, wherever they stand in the catalogue."""
    new = Interactions.concat([target, Interactions.from_pairs([10**6, 10**6], [target.items.ids[0], 10**7])])
    adapter = ItemItem(weight=1.0, reg=1.0, scaling=0.5).fit(new, base=base)
    history = Interactions.from_pairs(["q"], [target.items.ids[0]])
    assert 10**7 in adapter.recommend_from(history, 400).items[0].compressed()


@pytest.mark.parametrize("model", [IALS(8, random_state=0), EASE(50), ItemKNN()], ids=repr)
def test_any_base_can_be_adapted_stored_and_merged(model, source, parts, tmp_path):
    base = model.fit(source)
    adapter = ItemItem(weight=3.0, reg=10.0, scaling=0.75).fit(parts[0], base=base)
    selector = AdapterSelector([ItemItemScratch(reg=10.0), adapter], random_state=0).fit(parts[0], base=base)
    assert {"popularity", "item-item", "item-item scratch"} <= set(selector.report_["method"])
    for float16 in (False, True):
        adapter.save(tmp_path / "a", histories=True, float16=float16)
        assert_same(lrrec.load(tmp_path / "a", base=base).recommend(), adapter.recommend())
    merged = adapter.merge()
    np.testing.assert_allclose(merged.recommend(k=5).scores, adapter.recommend(k=5).scores, atol=1e-4)
    assert not any(each.domain_.cache for each in (adapter, selector, lrrec.load(tmp_path / "a", base=base)))
    lists = lrrec.AdapterBank(base, {"de": adapter}).recommend(adapter.users_.ids[:5], "de", k=5)
    assert_same(lists, adapter.recommend(adapter.users_.ids[:5], 5))


def test_what_cannot_be_solved_is_refused(base, source, target, monkeypatch):
    with pytest.raises(ParameterError, match="weight must be"):
        ItemItem(weight=-1.0, reg=1.0, scaling=0.0).fit(target, base=base)
    with pytest.raises(ParameterError, match="statistics must be one that the base has, interactions, got 'scores'"):
        ItemItem(weight=1.0, reg=1.0, scaling=0.0, statistics="scores").fit(target, base=EASE().fit(source))
    monkeypatch.setattr("lrrec.linalg.item_item_weights.MAX_DENSE", 10)
    with pytest.raises(DataError, match="do not fit memory: at most 10"):
        ItemItem(weight=1.0, reg=1.0, scaling=0.0, statistics="interactions").fit(target, base=base)


def test_a_large_catalogue_of_items_that_the_base_has_not_seen_takes_no_memory(base, parts, tmp_path):
    """Neither to fit nor to save and load: 20,000 items squared would be 1.6 GB."""
    catalogue = np.concatenate(
        (base.items_.ids, np.setdiff1d(parts[0].items.ids, base.items_.ids), 10**6 + np.arange(20_000))
    )
    adapter = ItemItem(weight=3.0, reg=10.0, scaling=0.75, statistics="interactions")
    tracemalloc.start()
    adapter.fit(parts[0], base=base, catalogue=catalogue).save(tmp_path / "a")
    lrrec.load(tmp_path / "a", base=base)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e8
    small = clone(adapter).fit(parts[0], base=base)
    users, items = adapter.users_.ids[:9], base.items_.ids[:20]
    np.testing.assert_allclose(adapter.predict(users, items[:9]), small.predict(users, items[:9]), atol=1e-5)


def test_a_base_without_histories_has_the_statistics_of_nothing(base, parts, tmp_path):
    base.save(tmp_path / "base", histories=False)
    stripped = lrrec.load(tmp_path / "base")
    selector = lrrec.LowRankAdapter(2, budget="fast", random_state=0).fit(parts[0], base=stripped)
    methods = selector.report_["method"].tolist()
    assert "item-item scratch" in methods
    assert not {"item-item", "item-item of scores"} & set(methods)


def test_many_validation_users_move_settings_that_depend_on_each_other(monkeypatch):
    """The best weight and reg are (30, 100); one after another, from (3, 10), the search ends elsewhere."""
    rng = np.random.default_rng(0)
    source, target = ((rng.random((n, 12)) < 0.4).astype(np.float32) for n in (50, 460))
    domain = make_domain(EASE(10).fit(source), target)
    folds = make_folds(domain, "as served", None, np.random.default_rng(0))
    assert len(folds[WITH]) == 1

    def quality(self, adapters, path):
        def mean(adapter):
            along, across = np.log10(adapter.weight / 30), np.log10(adapter.reg / 100)
            return 1 - 5 * (along - across) ** 2 - 0.1 * (along + across) ** 2

        return [CandidateResult(one, np.full(200, mean(one)), np.arange(200) % 5, 1) for one in adapters]

    monkeypatch.setattr(CrossValidation, "evaluate", quality)
    candidate, comparison = ItemItem(scaling=0.5, statistics="interactions"), CrossValidation(domain, folds, "ndcg@20")
    start = ItemItem(weight=3.0, reg=10.0, scaling=0.5, statistics="interactions")
    kept = tune(comparison, candidate, start).adapter
    assert (kept.weight, kept.reg) == (30.0, 100.0)
    monkeypatch.setattr(ItemItem, "_search_rules", SearchRules(keeps_default=True))
    kept = tune(comparison, candidate, start).adapter
    assert (kept.weight, kept.reg) != (30.0, 100.0)
