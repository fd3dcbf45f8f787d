"""The worked examples of CONTRIBUTING.md do what they say; test_catalogue.py adds the model to the library."""

import inspect
import itertools
import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp
import sketches
from checks import all_checks, assert_same
from test_adapter_kinds import CANNOT_APPLY, bound

import lrrec
from lrrec import ALS, EASE, IALS, AdapterBank, AdapterSelector
from lrrec.adapt import ADAPTERS
from lrrec.errors import FileFormatError, ParameterError
from lrrec.metrics import METRICS, ranking_metrics, registry


def module(path):
    """The module of an example."""
    found = types.ModuleType(path.removesuffix(".py").replace("/", "."))
    exec(sketches.code(path), vars(found))
    return found


def test_link_prop_is_the_written_sum_over_paths():
    dense = np.random.default_rng(0).integers(1, 4, (30, 9)) * (np.random.default_rng(1).random((30, 9)) < 0.4)
    dense[3], dense[:, 5] = 0, 0
    model = module("lrrec/models/link_prop.py").LinkProp(0.4, 0.8, end_power=0.3).fit(dense)
    users, items = np.maximum((dense > 0).sum(axis=1), 1), np.maximum((dense > 0).sum(axis=0), 1)
    want = np.zeros(dense.shape)
    for u, j, v, i in itertools.product(range(30), range(9), range(30), range(9)):
        if j != i:
            path = dense[u, j] * dense[v, j] * dense[v, i]
            want[u, i] += path / (items[j] ** 0.4 * users[v] ** 0.8 * items[i] ** 0.3)
    assert sp.issparse(model.item_weights_)
    np.testing.assert_allclose(model._scores(model.seen_, slice(None)), want, rtol=1e-5)
    assert model.similar_items([0], 2).scores.count()


def test_the_metric_is_the_library_s():
    shown = sketches.added_lines("lrrec/metrics/ranking_metrics.py")
    assert shown == inspect.getsource(ranking_metrics.expected_reciprocal_rank)
    assert sketches.added_lines("lrrec/metrics/registry.py") in inspect.getsource(registry)
    assert METRICS["err"].function is ranking_metrics.expected_reciprocal_rank


@pytest.fixture
def user_scale(monkeypatch):
    """The example's class, added by its file and its line."""
    line = eval("{" + sketches.added_lines("lrrec/adapt/__init__.py") + "}")
    found = module("lrrec/adapt/kinds/user_scale.py")
    monkeypatch.setitem(sys.modules, line["UserScale"], found)
    monkeypatch.setitem(ADAPTERS, *next(iter(line.items())))
    return found.UserScale


@pytest.mark.parametrize("check", [check for check in all_checks(EASE()) if check.__name__ not in CANNOT_APPLY])
def test_user_scale_meets_the_contract(check, user_scale, likes, tmp_path):
    base = IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=3, random_state=0).fit(likes)
    extra = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(bound(user_scale(reg=10.0), base), likes, **extra)


def test_user_scale_minimises_its_loss(user_scale, source, target):
    """The base's loss of the target's cells, as a function of s, densely."""
    base = IALS(3, unobserved_weight=0.2, reg=0.02, n_iter=3, random_state=0).fit(source)
    adapter = user_scale(reg=5.0).fit(target, base=base)
    X, V = adapter.domain_.data.matrix.toarray(), adapter.domain_.item_factors.astype(np.float64)
    U = adapter.domain_.fold_in(adapter.domain_.data.matrix, adapter.domain_.item_factors, None).astype(np.float64)

    def loss(s):
        scores = (U * s) @ V.T
        return (X * (scores - 1) ** 2).sum() + 0.2 * (scores**2).sum() + 5 * ((s - 1) ** 2).sum()

    best = adapter.user_scale_.astype(np.float64)
    assert adapter.n_parameters == 3
    for step in 0.01 * np.vstack((np.eye(3), -np.eye(3))):
        assert loss(best) < loss(best + step)
    assert loss(best) < loss(np.ones(3))


def test_user_scale_is_tuned_compared_stored_and_served(user_scale, source, target, parts, tmp_path):
    base = IALS(8, unobserved_weight=0.2, reg=0.02, n_iter=3, random_state=0).fit(source)
    selector = AdapterSelector([user_scale()], blend=False, random_state=0).fit(parts[0], base=base)
    assert selector.report_["method"].tolist() == ["fold-in", "popularity", "user scale"]
    adapter = user_scale(reg=10.0).fit(target, base=base)
    for float16 in (False, True):
        adapter.save(tmp_path / "a", histories=True, float16=float16)
        loaded = lrrec.load(tmp_path / "a", base=base)
        np.testing.assert_allclose(loaded.user_scale_, adapter.user_scale_, rtol=1e-3)
        if not float16:
            assert_same(loaded.recommend(), adapter.recommend())
    users = adapter.recommend(k=1).users[:5]
    lists = AdapterBank(base, {"de": adapter}).recommend(users, "de", k=5)
    np.testing.assert_array_equal(lists.items, adapter.recommend(users, 5).items)
    alike = user_scale(reg=10.0).fit(source, base=base, same_users=True)
    np.testing.assert_allclose(alike.predict(source.users.ids[:3], source.items.ids[:3]), [
        (alike._training_users(np.array([row])) @ base.item_factors_[row])[0] for row in range(3)
    ], rtol=1e-5)  # fmt: skip


def test_user_scale_refuses_what_it_cannot_do(user_scale, source, target, tmp_path):
    base = IALS(3, reg=0.02, random_state=0).fit(source)
    adapter = user_scale(reg=1.0).fit(target, base=base)
    with pytest.raises(ParameterError, match="cannot be merged"):
        adapter.merge()
    with pytest.raises(ParameterError, match="reg of UserScale cannot be 'auto'"):
        user_scale().fit(target, base=base)
    with pytest.raises(ParameterError, match="base must rank items for UserScale"):
        user_scale(reg=1.0).fit(target, base=ALS(3, random_state=0).fit(source))
    adapter.user_scale_ = np.ones(4, dtype=np.float32)
    adapter.save(tmp_path / "a")
    with pytest.raises(FileFormatError, match="user_scale must be a finite number for each factor"):
        lrrec.load(tmp_path / "a", base=base)
