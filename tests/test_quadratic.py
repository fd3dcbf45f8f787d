"""Quadratic losses: rows equal the dense truth, transposing changes nothing, improving the basis lowers the loss."""

import numpy as np
import pytest
import scipy.sparse as sp

from lrrec.linalg import kernels
from lrrec.linalg.quadratic import QuadraticLoss, improve_basis, solve_ridge


@pytest.fixture
def cells(small):
    rng = np.random.default_rng(0)
    weights = small.copy()
    weights.data = weights.data * rng.integers(0, 2, small.nnz).astype(np.float32)  # zeros stay stored
    return QuadraticLoss(0.3, weights, rng.normal(size=small.nnz).astype(np.float32))


def dense(cells):
    """w and b as matrices."""
    W, P = np.zeros(cells.shape), np.zeros(cells.shape)
    W[cells.rows, cells.weights.indices] = cells.weights.data
    P[cells.rows, cells.weights.indices] = cells.linear
    return W, P


def dense_loss(cells, S):
    W, P = dense(cells)
    return 0.3 * (S**2).sum() + (W * S**2 - 2 * P * S).sum()


def test_the_loss_is_the_written_sum(cells):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    assert cells.loss(X, Y) == pytest.approx(dense_loss(cells, X @ Y.T))
    assert cells.T.loss(Y, X) == pytest.approx(dense_loss(cells, X @ Y.T))


@pytest.mark.parametrize("D", [1, 3, 30])  # rows longer and shorter than D: both systems
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("R", [None, 2])
def test_rows_are_the_dense_truth(cells, D, with_prior, R):
    rng = np.random.default_rng(2)
    Y, lam = rng.normal(size=(20, D)), rng.random(30) + 0.1
    prior = rng.normal(size=(30, D)) if with_prior else None
    basis = None if R is None else np.linalg.qr(rng.normal(size=(D, min(R, D))))[0]
    found = solve_ridge(cells, Y, lam, prior=prior, basis=basis)
    W, P = dense(cells)
    B, p = np.eye(D) if basis is None else basis, np.zeros((30, D)) if prior is None else prior
    for u in range(30):
        A = 0.3 * Y.T @ Y + (Y.T * W[u]) @ Y
        want = np.linalg.solve(B.T @ A @ B + lam[u] * np.eye(B.shape[1]), B.T @ (Y.T @ P[u] - A @ p[u]))
        np.testing.assert_allclose(found[u], want, atol=1e-8)


@pytest.mark.parametrize("D", [3, 30])
@pytest.mark.parametrize("a", [0.0, 0.3])
@pytest.mark.parametrize("weight", [-0.02, 0.0, 1.0])  # negative weights as in iALS with confidences below 1
def test_rows_of_any_weights_are_the_dense_truth(small, D, a, weight):
    rng = np.random.default_rng(6)
    weights, Y, lam = small.copy(), rng.normal(size=(20, D)), rng.random(30) + 2
    weights.data = np.full_like(small.data, weight)
    weights.data[::3] = 0.5
    loss = QuadraticLoss(a, weights, rng.normal(size=small.nnz))
    row_linear = rng.normal(size=(30, D))
    X, (W, P) = solve_ridge(loss, Y, lam, row_linear=row_linear), dense(loss)
    for u in range(30):
        A = a * Y.T @ Y + (Y.T * W[u]) @ Y + lam[u] * np.eye(D)
        np.testing.assert_allclose(X[u], np.linalg.solve(A, Y.T @ P[u] + row_linear[u]), rtol=1e-6, atol=1e-8)


def test_threads_change_no_bit(cells):
    Y = np.random.default_rng(3).normal(size=(20, 5)).astype(np.float32)
    one, three = (solve_ridge(cells, Y, np.ones(30), n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_the_basis_reaches_the_minimum(cells):
    rng = np.random.default_rng(4)
    X, Y, A, B = (rng.normal(size=shape) for shape in ((30, 5), (20, 5), (20, 2), (5, 2)))
    lam = rng.random(20) + 0.1

    def value(B):
        return cells.loss(X, Y + A @ B.T) + float(lam @ ((A @ B.T) ** 2).sum(axis=1))

    values = [value(improve_basis(cells, X, Y, A, B, lam, cg_steps=steps)) for steps in range(12)]
    assert values[0] == pytest.approx(value(B))
    assert (np.diff(values) <= 1e-9).all()
    found, step = improve_basis(cells, X, Y, A, B, lam, cg_steps=100), 1e-5
    for place in np.ndindex(5, 2):
        away = np.zeros((5, 2))
        away[place] = step
        assert abs(value(found + away) - value(found - away)) / (2 * step) < 1e-4


@pytest.mark.parametrize(("n_rows", "rank"), [(1, 1), (2, 3), (3, 4), (5, 9), (4, 8), (0, 2), (3, 0)])
def test_a_low_rank_change_is_added_to_its_columns_alone(n_rows, rank):
    rng = np.random.default_rng(0)
    scores, Z = rng.random((n_rows + 3, 1300), np.float32), rng.random((n_rows, rank), np.float32)
    At, want = rng.random((rank, 1200), np.float32), None
    scores[:, 1250:] = -np.inf
    want = scores.copy()
    want[2 : 2 + n_rows, 7:1111] += Z @ At[:, 7:1111]
    kernels.add_low_rank(scores, Z, At, 2, 7, 1111)
    np.testing.assert_allclose(scores, want, rtol=1e-5)


def test_scores_and_products_of_cells_are_those_of_numpy():
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 30)) < 0.2) * rng.random((40, 30)).astype(np.float32)
    dense[[0, 7]] = 0
    matrix = sp.csr_array(dense.astype(np.float32))
    cells = QuadraticLoss(0.5, matrix, matrix.data)
    X, Y, values = rng.random((40, 5)), rng.random((30, 5)), rng.random(matrix.nnz)
    np.testing.assert_allclose(cells.scores(X, Y), (X @ Y.T)[dense != 0])
    other = np.zeros((40, 30))
    other[dense != 0] = values
    np.testing.assert_allclose(cells.times(values, Y), other @ Y)
