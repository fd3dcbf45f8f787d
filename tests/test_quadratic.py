"""Quadratic losses: rows equal the dense truth, transposing changes nothing, improving the basis lowers the loss."""

import numpy as np
import pytest
import scipy.sparse as sp

from lrrec.linalg import dense as dense_module
from lrrec.linalg import kernels
from lrrec.linalg.quadratic import QuadraticLoss, improve_basis, solve_ridge


@pytest.fixture
def loss(small):
    rng = np.random.default_rng(0)
    weights = small.copy()
    weights.data = weights.data * rng.integers(0, 2, small.nnz).astype(np.float32)  # zeros stay stored
    return QuadraticLoss(0.3, weights, rng.normal(size=small.nnz).astype(np.float32))


def dense(loss):
    """w and b as matrices."""
    W, P = np.zeros(loss.shape), np.zeros(loss.shape)
    W[loss.rows, loss.weights.indices] = loss.weights.data
    P[loss.rows, loss.weights.indices] = loss.linear
    return W, P


def dense_loss(loss, S):
    W, P = dense(loss)
    return 0.3 * (S**2).sum() + (W * S**2 - 2 * P * S).sum()


def test_the_loss_is_the_written_sum(loss):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    assert loss.loss(X, Y) == pytest.approx(dense_loss(loss, X @ Y.T))
    assert loss.T.loss(Y, X) == pytest.approx(dense_loss(loss, X @ Y.T))


@pytest.mark.parametrize("D", [1, 3, 30])  # rows longer and shorter than D: both systems
@pytest.mark.parametrize("with_prior", [False, True])
@pytest.mark.parametrize("R", [None, 2])
def test_rows_are_the_dense_truth(loss, D, with_prior, R):
    rng = np.random.default_rng(2)
    Y, lam = rng.normal(size=(20, D)), rng.random(30) + 0.1
    prior = rng.normal(size=(30, D)) if with_prior else None
    basis = None if R is None else np.linalg.qr(rng.normal(size=(D, min(R, D))))[0]
    result = solve_ridge(loss, Y, lam, prior=prior, basis=basis)
    W, P = dense(loss)
    B, p = np.eye(D) if basis is None else basis, np.zeros((30, D)) if prior is None else prior
    for u in range(30):
        A = 0.3 * Y.T @ Y + (Y.T * W[u]) @ Y
        want = np.linalg.solve(B.T @ A @ B + lam[u] * np.eye(B.shape[1]), B.T @ (Y.T @ P[u] - A @ p[u]))
        np.testing.assert_allclose(result[u], want, atol=1e-8)


@pytest.mark.parametrize("D", [3, 96, 200])  # both systems, in one product and in several
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("n_columns", [150, 5000])  # all and few of which occur
def test_a_few_rows_are_solved_as_many_are(D, mixed, n_columns):
    rng = np.random.default_rng(3)
    lengths = np.array([0, 1, 70, 140] * 40)  # cells: enough for blocks and threads
    indices = np.concatenate([rng.choice(n_columns, n, replace=False) for n in lengths])
    values = rng.integers(1, 4, len(indices)).astype(np.float64)
    values[mixed & (rng.random(len(indices)) < 0.1)] = 0
    weights = sp.csr_array((values, indices, np.append(0, np.cumsum(lengths))), shape=(len(lengths), n_columns))
    many = QuadraticLoss(0.3, weights, rng.normal(size=len(indices)))
    few = QuadraticLoss(0.3, weights[:4], many.linear[: int(lengths[:4].sum())])
    Y, lam = rng.normal(size=(n_columns, D)), np.full(len(lengths), 0.5)
    for keep in (False, True, True):
        rows = solve_ridge(few, Y, lam[:4], keep=keep)
        np.testing.assert_allclose(rows, solve_ridge(many, Y, lam)[:4], atol=1e-10)


def test_what_is_kept_of_an_array_is_of_this_array():
    rng = np.random.default_rng(4)
    first, n_kept = rng.normal(size=(50, 3)), len(dense_module._kept)
    eigenvalues, E = dense_module.kept_spectrum(first)
    np.testing.assert_allclose((E * eigenvalues) @ E.T, first.T @ first)
    assert dense_module.kept_spectrum(first)[1] is E
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    other = first.copy()
    other[0] = 0
    assert not np.allclose(dense_module.kept_spectrum(other)[0], eigenvalues)
    del first, other
    assert len(dense_module._kept) == n_kept


@pytest.mark.parametrize("n_rows", [1, 3, 4, 5])
def test_products_of_a_few_rows(n_rows):
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(n_rows, 7)).astype(np.float32), rng.normal(size=(90, 7)).astype(np.float32)
    Y.flags.writeable = False
    np.testing.assert_allclose(dense_module.inner_products(X, Y), X @ Y.T, rtol=1e-5, atol=1e-6)


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


def test_threads_change_no_bit(loss):
    Y = np.random.default_rng(3).normal(size=(20, 5)).astype(np.float32)
    one, three = (solve_ridge(loss, Y, np.ones(30), n_threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_the_basis_reaches_the_minimum(loss):
    rng = np.random.default_rng(4)
    X, Y, A, B = (rng.normal(size=shape) for shape in ((30, 5), (20, 5), (20, 2), (5, 2)))
    lam = rng.random(20) + 0.1

    def value(B):
        return loss.loss(X, Y + A @ B.T) + float(lam @ ((A @ B.T) ** 2).sum(axis=1))

    values = [value(improve_basis(loss, X, Y, A, B, lam, cg_steps=steps)) for steps in range(12)]
    assert values[0] == pytest.approx(value(B))
    assert (np.diff(values) <= 1e-9).all()
    result, step = improve_basis(loss, X, Y, A, B, lam, cg_steps=100), 1e-5
    for place in np.ndindex(5, 2):
        away = np.zeros((5, 2))
        away[place] = step
        assert abs(value(result + away) - value(result - away)) / (2 * step) < 1e-4


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
    loss = QuadraticLoss(0.5, matrix, matrix.data)
    X, Y, values = rng.random((40, 5)), rng.random((30, 5)), rng.random(matrix.nnz)
    np.testing.assert_allclose(loss.scores(X, Y), (X @ Y.T)[dense != 0])
    other = np.zeros((40, 30))
    other[dense != 0] = values
    np.testing.assert_allclose(loss.times(values, Y), other @ Y)
