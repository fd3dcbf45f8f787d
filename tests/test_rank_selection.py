"""Rank selection: planted ranks are recovered, rules are those of the papers."""

import numpy as np
import pytest
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg.rank_selection import (
    bi_cross_validation,
    energy,
    gavish_donoho,
    one_standard_error,
    parallel_analysis,
)


@pytest.fixture(scope="module")
def planted():
    """Four groups of users who like four groups of items, with noise."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 4, 400), rng.integers(0, 4, 300)
    share = np.where(users[:, None] == items, 0.3, 0.02)
    return sp.csr_array((rng.random((400, 300)) < share).astype(np.float32))


def test_bi_cross_validation_finds_the_planted_rank(planted):
    rank, errors = bi_cross_validation(planted, [1, 2, 3, 4, 5, 6, 8, 12])
    assert rank == 4
    assert errors.argmin() == 3


def test_bi_cross_validation_is_the_written_prediction(planted):
    """Against the formula, densely, for one fold of two."""
    A = planted[:40, :30]
    rng = np.random.default_rng(0)
    row_fold, column_fold = (rng.permutation(n) % 2 for n in A.shape)
    dense, error = A.toarray().astype(np.float64), 0.0
    for fold in range(2):
        r, c = row_fold == fold, column_fold == fold
        U, s, Vt = np.linalg.svd(dense[~r][:, ~c], full_matrices=False)
        guess = dense[r][:, ~c] @ (Vt[:3].T / s[:3]) @ U[:, :3].T @ dense[~r][:, c]
        error += ((dense[r][:, c] - guess) ** 2).sum()
    cells = sum((row_fold == f).sum() * (column_fold == f).sum() for f in range(2))
    assert bi_cross_validation(A, [3], n_folds=2)[1][0] == pytest.approx(error / cells, rel=1e-3)


def test_parallel_analysis_finds_the_planted_rank(planted):
    rank, values, null = parallel_analysis(planted, 10)
    assert rank in (4, 5)  # the first direction is that of the degrees, planted tastes or not
    assert (values[:4] > null[:4]).all()
    rng = np.random.default_rng(1)
    noise = sp.csr_array((rng.random((400, 300)) < 0.05).astype(np.float32))
    assert parallel_analysis(noise, 10)[0] <= 1


def test_one_standard_error():
    rng = np.random.default_rng(0)
    base = rng.normal(size=200)
    noise = rng.normal(size=200)
    scores = np.stack([base - 1, base + noise - noise.mean() - 0.01, base, base + 0.001])
    assert one_standard_error([2, 4, 8, 16], scores) == 4
    assert one_standard_error([2, 4], np.stack([base, base + 1])) == 4
    with pytest.raises(DataError, match="n_ranks = 3"):
        one_standard_error([1, 2, 3], scores)


def test_energy():
    s = np.array([3.0, 2.0, 1.0])
    assert [energy(s, 14, share) for share in (0.5, 0.9, 0.95, 1.0)] == [1, 2, 3, 3]
    with pytest.raises(DataError, match="explain a share of"):
        energy(s, 100, 0.9)


def test_gavish_donoho_finds_a_rank_in_white_noise():
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.normal(size=(n, 5)))[0] for n in (200, 100))
    A = (U * [60, 50, 45, 40, 36]) @ V.T + rng.normal(size=(200, 100))
    assert gavish_donoho(A) == 5
    assert gavish_donoho(rng.normal(size=(200, 100))) == 0
