"""A few users are served from the rows of a changed matrix that they need, with the answers of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrrec
from lrrec.adapt import Anchored, Blended, FoldIn, LowRank
from lrrec.linalg.changed_matrix import ChangedMatrix

FIXED = {"reg": 1.0, "fold_in_reg": 0.05, "new_item_reg": 1.0}


@given(st.integers(0, 2**31), st.sampled_from([0, 1, 5]), st.sampled_from([0, 2, 9]))
def test_parts_are_those_of_the_whole(seed, rank, n_replaced):
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    V0, A, B, rows = draw(9, 4), np.asfortranarray(draw(9, rank)), draw(4, rank), np.arange(n_replaced)
    values = draw(n_replaced, 4)
    whole = V0 + A @ B.T
    whole[rows] = values
    changed, U = ChangedMatrix(V0, A, B, rows, values), draw(3, 4)
    for index in (slice(None), slice(2, 5), np.array([8, 0, 0]), np.array([], dtype=np.int64)):
        np.testing.assert_allclose(changed[index], whole[index], atol=1e-5)
        np.testing.assert_allclose(changed.scores(U, index), U @ whole[index].T, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(changed), changed[:])
    eigenvalues, E = changed.spectrum
    np.testing.assert_allclose((E * eigenvalues) @ E.T, whole.T @ whole, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("kind", [FoldIn(fold_in_reg=0.05), Anchored(**FIXED), LowRank(3, **FIXED), None])
@pytest.mark.parametrize("base", [
    lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0), lrrec.TruncatedSVD(8), lrrec.NMF(8, random_state=0)
])  # fmt: skip
def test_one_user_gets_what_many_get(base, kind, scale, source, parts):
    """Alone or among a hundred; by id, by history, and in a bank."""
    base = base.fit(source)
    kind = kind or Blended([LowRank(3, **FIXED), FoldIn(fold_in_reg=0.05)], [1.0, 1.0])
    adapter = kind.fit(parts[0], base=base)
    if scale != 1:
        if isinstance(kind, Blended):
            return
        adapter.scale = scale
    rows = np.flatnonzero(np.diff(adapter.seen_.indptr))
    users, history = adapter.users_.ids[rows], adapter.seen_[rows]
    many = {"id": adapter.recommend(users, k=5), "history": adapter.recommend_from(history, k=5)}
    for row in (0, 7, len(users) - 1):
        part = lrrec.Interactions.from_matrix(history[[row]], users=users[[row]], items=adapter.items_)
        alone = {"id": adapter.recommend(users[[row]], k=5), "history": adapter.recommend_from(part, k=5)}
        for how, lists in many.items():
            np.testing.assert_allclose(alone[how].scores[0], lists.scores[row], rtol=1e-3, atol=1e-5)
        bank = lrrec.AdapterBank(base, {"x": adapter})
        np.testing.assert_allclose(bank.recommend_from(part, "x", k=5).scores[0], many["history"].scores[row],
                                   rtol=1e-3, atol=1e-5)  # fmt: skip


def test_what_is_kept_goes_with_the_change(source, parts, tmp_path):
    """A new scale is not served by the factors of the old one."""
    base = lrrec.IALS(8, unobserved_weight=0.2, reg=0.02, random_state=0).fit(source)
    adapter = LowRank(3, **FIXED).fit(parts[0], base=base)
    user = adapter.users_.ids[[3]]
    whole = adapter.recommend(user, k=5)
    adapter.scale = 0.0
    unchanged = FoldIn(fold_in_reg=None).fit(parts[0], base=base).recommend(user, k=5)
    np.testing.assert_allclose(adapter.recommend(user, k=5).scores, unchanged.scores, rtol=1e-4)
    adapter.scale = 1.0
    np.testing.assert_allclose(adapter.recommend(user, k=5).scores, whole.scores, rtol=1e-4)
    assert adapter._for_few() is adapter._for_few()
