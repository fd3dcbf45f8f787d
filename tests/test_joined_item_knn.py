"""JoinedItemKNN is ItemKNN of both domains' tables side by side; users without a history in the target are served."""

import numpy as np
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import EASE, IALS, AdapterBank, AdapterSelector, IdMap, Interactions, ItemKNN, Split
from lrrec.adapt import Anchored, JoinedItemKNN
from lrrec.errors import ParameterError

N_USERS, N_BEFORE, N_ITEMS = 60, 25, 15


@pytest.fixture(scope="module")
def tables():
    """What the same users did in two domains: groups of users like groups of items; a third did nothing here."""
    rng = np.random.default_rng(0)
    group = np.arange(N_USERS) % 3
    before = rng.random((N_USERS, N_BEFORE)) < np.where(np.arange(N_BEFORE) % 3 == group[:, None], 0.5, 0.05)
    here = rng.random((N_USERS, N_ITEMS)) < np.where(np.arange(N_ITEMS) % 3 == group[:, None], 0.5, 0.05)
    before[:, 0] |= ~before.any(axis=1)
    active = np.arange(N_USERS) % 5 > 1
    users = np.array([f"u{n:02d}" for n in range(N_USERS)], dtype=object)

    def table(matrix, items, rows):
        matrix = sp.csr_array(matrix[rows].astype(np.float32))
        return Interactions.from_matrix(
            matrix, users=users[rows], items=[f"{items}{n}" for n in range(matrix.shape[1])]
        )

    target = table(here, "new ", np.flatnonzero(active & here.any(axis=1)))
    return table(before, "old ", np.arange(N_USERS)), target, table(here, "new ", np.arange(N_USERS))


@pytest.fixture(scope="module")
def base(tables):
    return IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(tables[0])


@pytest.fixture(scope="module")
def adapter(tables, base):
    knn = JoinedItemKNN(5, shrink=2.0)
    return knn.fit(tables[1], base=base, catalogue=tables[1].items.ids, same_users=True)


def test_it_is_item_knn_of_both_tables(tables, adapter):
    source, target, _ = tables
    users, items = source.users, IdMap(np.concatenate((source.items.ids, target.items.ids)))
    matrix = np.zeros((N_USERS, len(items)), dtype=np.float32)
    matrix[:, :N_BEFORE] = source.matrix.toarray()
    matrix[users.indices(target.users.ids), N_BEFORE:] = target.matrix.toarray()
    both = ItemKNN(5, shrink=2.0).fit(Interactions.from_matrix(matrix, users=users, items=items))
    expected = both.recommend(users.ids, k=6, items=target.items.ids, exclude_seen=False, unknown="mask")
    actual = adapter.recommend(users.ids, k=6, exclude_seen=False, unknown="mask")
    np.testing.assert_array_equal(actual.items.filled(""), expected.items.filled(""))
    np.testing.assert_allclose(actual.scores.filled(0), expected.scores.filled(0), rtol=1e-6)
    history = Interactions.from_matrix(matrix[:4, N_BEFORE:], users=["a", "b", "c", "d"], items=target.items)
    known = np.flatnonzero(matrix[:4, N_BEFORE:].any(axis=1))
    alone = adapter.recommend_from(history, k=6, unknown="mask", users=history.users.ids[known])
    expected = both.recommend_from(history, k=6, items=target.items.ids, unknown="mask", users=history.users.ids[known])
    np.testing.assert_array_equal(alone.items.filled(""), expected.items.filled(""))


def test_an_item_of_both_domains_does_not_recommend_itself(tables, base):
    source = tables[0]
    target = Interactions.from_matrix(source.matrix[:40], users=source.users.ids[:40], items=source.items)
    adapter = JoinedItemKNN(shrink=0.0).fit(target, base=base, same_users=True)
    assert not adapter.weights_[:N_BEFORE].diagonal().any()
    assert not adapter.weights_[N_BEFORE:].diagonal().any()
    assert adapter.weights_[:N_BEFORE].nnz
    assert adapter.weights_[N_BEFORE:].nnz


def test_users_without_a_history_here_get_what_they_like(tables, adapter):
    """Of the planted groups, each user's own."""
    _, target, _ = tables
    cold = np.setdiff1d(adapter.users_.ids, target.users.ids)
    lists = adapter.recommend(cold, k=3)
    group = np.array([int(user[1:]) % 3 for user in cold])
    of_item = np.array([[int(item.split()[1]) % 3 for item in row] for row in lists.items.filled("new 99")])
    right = of_item == group[:, None]
    assert right.mean() > 0.75


def test_files_and_banks(tables, base, adapter, tmp_path):
    _, target, _ = tables
    expected = adapter.recommend(target.users.ids, k=4)
    for histories in (True, False):
        adapter.save(tmp_path / "a", histories=histories)
        loaded = lrrec.load(tmp_path / "a", base=base)
        if histories:
            np.testing.assert_array_equal(loaded.recommend(target.users.ids, k=4).indices, expected.indices)
        lists = loaded.recommend_from(target, k=4)
        np.testing.assert_array_equal(lists.indices, adapter.recommend_from(target, k=4).indices)
    bank = AdapterBank(base, {"films": adapter})
    np.testing.assert_array_equal(bank.recommend(target.users.ids, "films", k=4).items, expected.items)


def test_the_guard_keeps_it_where_it_is_best(tables, base):
    _, target, everything = tables
    hidden = everything.filter(~np.isin(everything.users.ids[everything.rows()], target.users.ids))
    train = Interactions(sp.csr_array(everything.matrix - hidden.matrix), everything.users, everything.items)
    train = Interactions.from_frame(train.to_frame()).align_items(everything.items)
    nothing = hidden.filter(np.zeros(len(hidden), dtype=bool))
    validation = Split(hidden.filter(np.zeros(len(hidden), dtype=bool)), nothing, hidden)
    selector = AdapterSelector([Anchored(n_iter=2, balance=0.0), JoinedItemKNN()], metric="ndcg@5", random_state=0)
    selector.fit(train, base=base, catalogue=target.items.ids, same_users=True, validation=validation)
    labels = selector.report_["method"].str.split(",").str[0].tolist()
    assert labels.count("joined item-item") >= 1
    default = AdapterSelector(metric="ndcg@5", budget="fast", random_state=0)
    default.fit(train, base=base, catalogue=target.items.ids, same_users=True)
    assert "joined item-item" in " ".join(default.report_["method"])


def test_it_needs_the_same_users_and_their_interactions(tables, base, tmp_path):
    source, target, _ = tables
    with pytest.raises(ParameterError, match="needs same_users=True"):
        JoinedItemKNN(shrink=1.0).fit(source, base=base)
    base.save(tmp_path / "m", histories=False)
    alone = lrrec.load(tmp_path / "m")
    with pytest.raises((ParameterError, lrrec.errors.DataError)):
        JoinedItemKNN(shrink=1.0).fit(target, base=alone, catalogue=target.items.ids, same_users=True)
    adapter = JoinedItemKNN(shrink=1.0).fit(
        target, base=EASE().fit(source), catalogue=target.items.ids, same_users=True
    )
    assert adapter.recommend(target.users.ids[:3], k=2).items.shape == (3, 2)
    with pytest.raises(ParameterError, match="cannot be merged"):
        adapter.merge()
