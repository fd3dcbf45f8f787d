"""Item-item adapters with features of items: the closed form, items that nobody knows, selection, files."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import IALS, AdapterSelector, Interactions
from lrrec.adapt import Blended, FoldIn, ItemItem, ItemItemScratch, LowRank
from lrrec.adapt.kinds.item_features import content_directions
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError
from lrrec.features import Features

REG, WEIGHT, CONTENT = 5.0, 2.0, 7.0


@pytest.fixture(scope="module")
def planted():
    """Users with one of five tastes; a base that has 70 of 100 items, a target of few users, features of all."""
    rng = np.random.default_rng(0)
    kinds, tastes = rng.integers(0, 5, 100), rng.integers(0, 5, 300)
    matrix = (rng.random((300, 100)) < np.where(tastes[:, None] == kinds, 0.3, 0.02)).astype(np.float32)
    source = Interactions.from_matrix(matrix[:150, :70], items=np.arange(70))
    base = IALS(6, n_iter=4, random_state=0).fit(source)
    target = Interactions.from_matrix(matrix[150:], users=np.arange(150) + 1000)
    features = Features(np.eye(5)[kinds] * rng.uniform(0.5, 2, (100, 1)), np.arange(100), list("abcde"))
    return base, target, features


def few(target, n_users):
    return target.filter(target.rows() < n_users)


def closed_form(X, S, features, content):
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    P = np.linalg.inv(X.T @ X + S + content * unit @ unit.T + REG * np.eye(X.shape[1]))
    B = -P / np.diag(P)
    np.fill_diagonal(B, 0)
    return B


def statistics(base, kind, n_items):
    """The base's statistics over all items, scaled to a mean diagonal of 1 where it is not 0."""
    rows = base.seen_.toarray() if kind == "interactions" else base.user_factors_ @ base.item_factors_.T
    S = np.zeros((n_items, n_items))
    S[:70, :70] = rows.T.astype(np.float64) @ rows
    return WEIGHT * S / np.diag(S)[np.diag(S) > 0].mean()


@pytest.mark.parametrize("form", ["sparse", "dense"])
@pytest.mark.parametrize("n_users", [8, 90])
@pytest.mark.parametrize("kind", ["interactions", "scores", "scratch"])
def test_scores_are_those_of_the_closed_form(planted, kind, n_users, form):
    base, target, features = planted
    some = few(target, n_users)
    if form == "sparse":
        features = Features(sp.csr_array(features.matrix), features.ids, features.names)
    if kind == "scratch":
        adapter, S = ItemItemScratch(reg=REG, content=CONTENT), np.zeros((100, 100))
    else:
        adapter = ItemItem(weight=WEIGHT, reg=REG, scaling=0.0, statistics=kind, content=CONTENT)
        S = statistics(base, kind, 100)
    adapter.fit(some, base=base, item_features=features)
    X = some.align_items(adapter.items_).matrix.toarray()[:n_users].astype(np.float64)
    order = adapter.items_.ids
    dense = features.select(order).matrix
    dense = dense.toarray() if sp.issparse(dense) else dense
    wanted = target.matrix.toarray()[100:110][:, order] @ closed_form(X, S, dense, CONTENT)
    scores = adapter._scores(sp.csr_array(target.matrix.toarray()[100:110][:, order]), slice(None))
    np.testing.assert_allclose(scores, wanted, atol=2e-3 * np.abs(wanted).max())


def test_items_that_nobody_knows_are_recommended_by_their_features(planted):
    base, target, features = planted
    known = target.filter((target.matrix.indices < 90) & (target.rows() < 10))
    options = {"base": base, "catalogue": np.arange(100)}
    adapter = ItemItem(weight=1.0, reg=REG, scaling=0.5, content=20.0).fit(known, item_features=features, **options)
    places = adapter.items_.indices(np.arange(90, 100))
    assert adapter.item_evidence_[places].all()
    plain = ItemItem(weight=1.0, reg=REG, scaling=0.5, content=20.0).fit(known, **options)
    assert not plain.item_evidence_[places].any()
    test = target.filter(target.rows() >= 50)
    history = test.filter(test.matrix.indices < 90)
    relevant = test.matrix.toarray()[50:, 90:] > 0
    lists = adapter.recommend_from(
        history, 10, items=np.arange(90, 100), users=target.users.ids[50:], unknown="popular"
    )
    scores = lists.to_frame().pivot(index="user", columns="item", values="score").reindex(
        index=target.users.ids[50:], columns=np.arange(90, 100)).to_numpy()  # fmt: skip
    rank = np.argsort(np.argsort(np.nan_to_num(scores, nan=-1.0), axis=1), axis=1) / 9
    assert rank[relevant].mean() > 0.75


def test_the_selector_finds_out_whether_content_helps(planted):
    base, target, features = planted
    useless = Features(np.random.default_rng(0).normal(size=(100, 5)), features.ids)
    chosen = {}
    for name, given in (("features", features), ("useless", useless)):
        selector = AdapterSelector([ItemItemScratch()], guard=False, random_state=0)
        selector.fit(few(target, 100), base=base, item_features=given)
        chosen[name] = selector.tuned_[-1].content
    assert chosen["features"] > 0
    assert chosen["useless"] < chosen["features"]
    without = AdapterSelector([ItemItemScratch()], guard=False, random_state=0).fit(few(target, 40), base=base)
    assert without.tuned_[-1].content == 0
    split = lrrec.splits.by_user(target.filter(target.rows() >= 40), random_state=0)
    values = {
        name: lrrec.evaluate(adapter, split, metrics=["ndcg@10"]).mean()["ndcg@10"]
        for name, adapter in (
            ("with", ItemItemScratch(reg=REG, content=30.0).fit(few(target, 6), base=base, item_features=features)),
            ("without", ItemItemScratch(reg=REG).fit(few(target, 6), base=base)),
        )
    }
    assert values["with"] > 1.1 * values["without"]


@pytest.mark.parametrize("kind", ["interactions", "scores", "scratch", "blend"])
def test_files_hold_the_features(planted, kind, tmp_path):
    base, target, features = planted
    item_item = ItemItemScratch(reg=REG, content=CONTENT)
    if kind in ("interactions", "scores"):
        item_item = ItemItem(weight=WEIGHT, reg=REG, scaling=0.5, statistics=kind, content=CONTENT)
    adapter = Blended([FoldIn(), item_item], [0.4, 0.6]) if kind == "blend" else item_item
    adapter.fit(few(target, 20), base=base, item_features=features)
    adapter.save(tmp_path / "adapter", histories=True)
    loaded = lrrec.load(tmp_path / "adapter", base=base)
    for one in (loaded, loaded.update(few(target, 1))):
        assert one._uses_features
    again = lrrec.load(tmp_path / "adapter", base=base)
    kept, stored = adapter.recommend(k=20), again.recommend(k=20)
    assert kept.items.tolist() == stored.items.tolist()
    np.testing.assert_allclose(kept.scores, stored.scores, rtol=1e-4, atol=1e-6)
    plain = LowRank(2, reg=1.0, fold_in_reg=0.1, new_item_reg=1.0).fit(few(target, 20), base=base)
    plain.save(tmp_path / "plain")
    assert b"feature_names" not in (tmp_path / "plain").read_bytes()
    assert b"feature_names" in (tmp_path / "adapter").read_bytes()


def test_frames_are_matched_by_id_and_others_refused(planted):
    base, target, features = planted
    frame = pd.DataFrame(features.matrix, index=features.ids.ids, columns=list("abcde"))
    adapters = [
        ItemItem(weight=WEIGHT, reg=REG, scaling=0.5, content=CONTENT).fit(
            few(target, 9), base=base, item_features=given
        )
        for given in (features, frame.sample(frac=1, random_state=0))
    ]
    np.testing.assert_array_equal(*(adapter.recommend(k=9).items for adapter in adapters))
    adapter = ItemItem(weight=WEIGHT, reg=REG, scaling=0.5, content=CONTENT)
    with pytest.raises(ParameterTypeError, match="item_features must be Features or a frame by item id, got ndarray"):
        adapter.fit(few(target, 9), base=base, item_features=np.eye(100))
    with pytest.raises(DataError, match="must have rows for items of the catalogue, got none"):
        adapter.fit(few(target, 9), base=base, item_features=frame.set_axis(np.arange(100) + 500))
    with pytest.raises(DataError, match="finite"):
        adapter.fit(few(target, 9), base=base, item_features=frame.assign(a=np.nan))
    for other in (LowRank(2, reg=1.0, fold_in_reg=0.1, new_item_reg=1.0), AdapterSelector([FoldIn(), LowRank(2)])):
        with pytest.raises(ParameterError, match="item_features must be for a model that takes them"):
            other.fit(few(target, 9), base=base, item_features=features)
    with pytest.raises(ParameterError, match="content"):
        ItemItem(weight=1.0, reg=1.0, scaling=0.5, content=-1.0).fit(few(target, 9), base=base)


def test_a_file_without_its_features_is_refused(planted, tmp_path, monkeypatch):
    base, target, features = planted
    adapter = ItemItemScratch(reg=REG, content=CONTENT).fit(few(target, 9), base=base, item_features=features)
    monkeypatch.setattr(ItemItem, "_uses_features", False)
    adapter.save(tmp_path / "adapter")
    monkeypatch.undo()
    with pytest.raises(FileFormatError, match="features must be there, as content is > 0"):
        lrrec.load(tmp_path / "adapter", base=base)


def test_a_fitted_adapter_keeps_no_table_of_directions(planted):
    base, target, features = planted
    adapter = ItemItemScratch(reg=REG, content=CONTENT).fit(few(target, 9), base=base, item_features=features)
    assert not adapter.domain_.cache
    assert "content" not in vars(adapter.domain_)


def test_many_features_are_taken_in_their_leading_directions(planted):
    base, target, features = planted
    rng = np.random.default_rng(0)
    wide = Features(features.matrix @ rng.normal(size=(5, 200)) / 5, features.ids)  # of rank 5
    adapter = ItemItemScratch(reg=REG, content=CONTENT).fit(few(target, 9), base=base, item_features=wide)
    directions = content_directions(adapter.domain_)
    unit = wide.select(adapter.items_.ids).matrix
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    assert directions.shape == (100, 64)
    np.testing.assert_allclose(directions @ directions.T, unit @ unit.T, atol=1e-4)
