"""top_k and rank: equal to a stable sort, whatever the shape."""

import numpy as np
import oracles
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from lrrec.errors import DataError, ParameterError
from lrrec.linalg import ranking, top_k
from lrrec.linalg.ranking import BLOCK_CELLS, Candidates, rank

ROUGH = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, np.inf])


@given(st.integers(1, 5), st.integers(1, 200), st.integers(1, 30), st.data())
@settings(max_examples=30, deadline=None)
def test_top_k_is_a_stable_sort(n_rows, n_columns, k, data):
    """Few distinct values: ties everywhere."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    choices = np.array(data.draw(st.lists(ROUGH, min_size=1, max_size=6)), dtype=np.float32)
    scores = rng.choice(choices, (n_rows, n_columns))
    want = oracles.top_k(np.where(scores == -np.inf, np.nan, scores), k)
    indices, values = top_k(scores, k)
    np.testing.assert_array_equal(indices, want)
    filled = want >= 0
    np.testing.assert_array_equal(values[filled], np.take_along_axis(scores, np.maximum(want, 0), 1)[filled])
    assert np.isnan(values[~filled]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 10, 1000, 3000])
def test_many_columns(dtype, k):
    scores = np.random.default_rng(0).normal(size=(4, 2500)).astype(dtype)
    np.testing.assert_array_equal(top_k(scores, k)[0], oracles.top_k(scores, k))
    for ordered in (np.sort(scores, axis=1), -np.sort(-scores, axis=1)):
        np.testing.assert_array_equal(top_k(ordered, k)[0], oracles.top_k(ordered, k))


def test_nan_is_never_taken():
    scores = np.array([[np.nan, 1, np.nan, 2]], np.float32)
    assert top_k(scores, 3)[0].tolist() == [[3, 1, -1]]


def test_strided_input():
    scores = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))[:, ::-1]
    assert top_k(scores, 2)[0].tolist() == [[0, 1]] * 3


def test_bad_input():
    with pytest.raises(ParameterError, match="k must be"):
        top_k(np.ones((2, 2), np.float32), 0)
    with pytest.raises(DataError, match="float array"):
        top_k(np.ones((2, 2), int), 1)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_rank_masks_and_restricts(n_threads):
    rng = np.random.default_rng(0)
    scores = rng.choice(np.arange(9, dtype=np.float32), (700, 40))
    seen = sp.csr_array((rng.random((50, 40)) < 0.3).astype(np.float32))
    seen_rows = rng.integers(-1, 50, 700)
    masked = np.where((seen.toarray()[seen_rows] > 0) & (seen_rows >= 0)[:, None], np.nan, scores)

    def score(block, columns):
        return scores[block][:, columns].copy()

    more = {"seen": seen, "seen_rows": seen_rows, "n_threads": n_threads}
    np.testing.assert_array_equal(rank(score, 700, 40, 6, **more)[0], oracles.top_k(masked, 6))
    shared = np.array([1, 5, 6, 20])
    only = np.full_like(masked, np.nan)
    only[:, shared] = masked[:, shared]
    got, _ = rank(score, 700, 40, 6, candidates=Candidates(shared=shared), **more)
    np.testing.assert_array_equal(got, oracles.top_k(only, 6))
    own = np.stack([rng.permutation(40)[:7] for _ in range(700)])
    lists = sp.csr_array((np.ones(own.size), own.ravel(), np.arange(701) * 7), shape=(700, 40))
    got, _ = rank(score, 700, 40, 6, candidates=Candidates(own=lists), **more)
    in_list = np.take_along_axis(masked, own, axis=1)
    places = oracles.top_k(in_list, 6)
    np.testing.assert_array_equal(got, np.where(places < 0, -1, np.take_along_axis(own, np.maximum(places, 0), axis=1)))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_that_share_the_columns_of_a_few_rows_change_nothing(n_threads, monkeypatch):
    monkeypatch.setattr(ranking, "MANY_SCORES", 1)
    rng = np.random.default_rng(0)
    scores = rng.choice(np.array([np.nan, 0, 1, 2], dtype=np.float32), (2, 101))
    seen, rows, parts = sp.csr_array((rng.random((2, 101)) < 0.3).astype(np.float32)), np.array([1, 0]), []

    def score(block, columns):
        parts.append(columns)
        return scores[block, columns].copy()

    options = {"seen": seen, "seen_rows": rows, "threshold": 0.5, "popularity": rng.random(101).astype(np.float32)}
    want = rank(score, 2, 101, 9, **options)
    assert parts == [slice(None)]
    lists = rank(score, 2, 101, 9, **options, n_threads=n_threads, columns_apart=True)
    assert len(parts) == 1 + n_threads
    for mine, other in zip(lists, want, strict=True):
        np.testing.assert_array_equal(mine, other)
    some = Candidates(shared=np.array([3, 50]))
    rank(score, 2, 101, 9, candidates=some, n_threads=n_threads, columns_apart=True)
    assert parts[-1] is some.shared


def test_memory_is_bounded_by_the_block():
    largest = []

    def score(block, columns):
        largest.append(block.stop - block.start)
        return np.zeros((block.stop - block.start, 100_000), np.float32)

    rank(score, 100, 100_000, 3, n_threads=2)
    assert sum(largest) == 100
    assert max(largest) * 100_000 <= BLOCK_CELLS
