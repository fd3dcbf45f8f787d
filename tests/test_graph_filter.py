"""GraphFilter is the filter of the dense eigenvalues."""

import numpy as np
import pytest
import scipy.sparse as sp

import lrrec
from lrrec import GraphFilter, Interactions
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.polynomial_filter import Polynomial, plateau
from lrrec.models.base.model_files import fingerprint


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    dense = rng.random((60, 40)) < 0.5 * rng.random(40) ** 2 + 0.02
    dense[:, 7] = False  # nobody has it
    return Interactions.from_matrix(dense.astype(np.float32))


def normalized(matrix):
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    return matrix / np.sqrt(np.maximum(rows, 1))[:, None] / np.sqrt(np.maximum(columns, 1))


def response(order, flatness, x):
    """The interpolation in the nodes of the plateau, as Lagrange writes it, at x."""
    nodes = np.cos((np.arange(order + 1) + 0.5) * np.pi / (order + 1))
    values = 0.5 - 0.5 * np.sign(nodes) * np.abs(nodes) ** flatness
    out = np.zeros_like(x)
    for k, node in enumerate(nodes):
        others = np.delete(nodes, k)
        out += values[k] * np.prod((x[:, None] - others) / (node - others), axis=1)
    return out


@pytest.mark.parametrize(("order", "flatness"), [(8, 1.5), (3, 2.0), (1, 1.0), (12, 1.2)])
def test_scores_are_those_of_the_filtered_eigenvalues(data, order, flatness):
    model = GraphFilter(6, order=order, flatness=flatness, low_pass_weight=0.3, degree_power=0.4, n_iter=30).fit(data)
    X = data.matrix.toarray().astype(np.float64)
    R = normalized(X)
    eigenvalues, E = np.linalg.eigh(R.T @ R)
    h = (E * response(order, flatness, 1 - 2 * eigenvalues)) @ E.T
    leading = E[:, np.argsort(-eigenvalues)[:6]]
    degrees = np.maximum(X.sum(axis=0), 1) ** 0.4
    wanted = (X / degrees) @ (h + 0.3 * leading @ leading.T) * degrees
    np.testing.assert_allclose(model._scores(data.matrix, slice(None)), wanted, atol=2e-4 * np.abs(wanted).max())
    some = np.array([3, 0, 20])
    np.testing.assert_allclose(model._scores(data.matrix, some), wanted[:, some], atol=2e-4 * np.abs(wanted).max())


def test_the_linear_filter_is_gf_cf(data):
    X = data.matrix.toarray().astype(np.float64)
    P = normalized(X).T @ normalized(X)
    leading = np.linalg.eigh(P)[1][:, -4:]
    degrees = np.maximum(X.sum(axis=0), 1) ** 0.5
    wanted = X @ P + 0.2 * (X / degrees) @ leading @ leading.T * degrees
    model = GraphFilter(4, filter="linear", low_pass_weight=0.2, degree_power=0.5, n_iter=30).fit(data)
    np.testing.assert_allclose(model._scores(data.matrix, slice(None)), wanted, atol=2e-4 * np.abs(wanted).max())


def test_an_order_of_one_is_linear_but_for_what_a_user_has(data):
    """a I + b P: the part of the unit matrix is on seen items, which are left out."""
    options = {"n_factors": 0, "degree_power": 0.0}
    linear, first = GraphFilter(filter="linear", **options).fit(data), GraphFilter(order=1, flatness=2.0, **options)
    lists, others = linear.recommend(k=10), first.fit(data).recommend(k=10)
    np.testing.assert_array_equal(lists.items.filled(-1), others.items.filled(-1))


@pytest.mark.parametrize("order", [1, 2, 5, 8])
def test_the_polynomial_is_the_series(order):
    rng = np.random.default_rng(order)
    R = sp.csr_array(normalized((rng.random((30, 20)) < 0.3).astype(np.float64)).astype(np.float32))
    S, coefficients = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=order + 1)
    x = np.eye(20) - 2 * (R.T @ R).toarray().astype(np.float64)
    wanted = np.polynomial.chebyshev.Chebyshev(coefficients)
    eigenvalues, E = np.linalg.eigh(x)
    np.testing.assert_allclose(Polynomial(R, coefficients).times(S), (E * wanted(eigenvalues)) @ E.T @ S, atol=1e-4)


def test_a_flatness_of_one_passes_what_the_graph_passes():
    x = np.linspace(-1, 1, 9)
    for order in (1, 4, 7):
        series = np.polynomial.chebyshev.Chebyshev(plateau(order, 1.0))
        np.testing.assert_allclose(series(x), (1 - x) / 2, atol=1e-12)


def test_files_hold_the_histories_that_it_scores_with(data, tmp_path):
    model = GraphFilter(5).fit(data)
    model.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.recommend_from(data, 5).scores, model.recommend_from(data, 5).scores)
    for one in (model, lrrec.Blend([model, lrrec.Popularity()], weights=[1, 1]).fit(data)):
        with pytest.raises(DataError, match="scores with the histories of all its users: save it with them"):
            one.save(tmp_path / "without", histories=False)
    assert not (tmp_path / "without").exists()


def test_models_of_other_data_are_told_apart(data):
    """Scores follow from the interactions, even where singular vectors do not tell them apart."""
    other = Interactions.from_matrix(data.matrix[::-1].toarray() * (np.arange(60)[:, None] > 3))
    same = Interactions.from_matrix(data.matrix.toarray())
    one, two, three = (fingerprint(GraphFilter(0).fit(each)) for each in (data, same, other))
    assert one == two != three


def test_a_new_fit_has_a_new_graph(data):
    model = GraphFilter(5).fit(data)
    np.testing.assert_array_equal(GraphFilter(5, n_threads=3).fit(data).item_directions_, model.item_directions_)
    before = model.recommend_from(data, 5).scores
    other = Interactions.from_matrix(data.matrix.toarray()[::-1, ::-1].copy())
    again = GraphFilter(5).fit(data)
    again.fit(other)
    np.testing.assert_array_equal(
        again.recommend_from(other, 5).scores, GraphFilter(5).fit(other).recommend_from(other, 5).scores
    )
    np.testing.assert_array_equal(model.recommend_from(data, 5).scores, before)


def test_weights_count_as_so_many_interactions(data):
    values = np.random.default_rng(0).integers(1, 5, len(data)).astype(np.float32)
    weighted = Interactions.from_matrix(
        sp.csr_array((values, data.matrix.indices, data.matrix.indptr), shape=data.matrix.shape)
    )
    X = weighted.matrix.toarray().astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(normalized(X).T @ normalized(X))
    assert eigenvalues.max() == pytest.approx(1)
    scores = GraphFilter(0).fit(weighted)._scores(weighted.matrix, slice(None))
    assert np.abs(scores).max() < 10 * X.max()


@pytest.mark.parametrize("bad", [
    {"n_factors": -1}, {"order": 0}, {"flatness": 0.5}, {"low_pass_weight": -1}, {"filter": "high"}, {"n_iter": 0},
    {"degree_power": np.nan},
])  # fmt: skip
def test_bad_parameters(data, bad):
    with pytest.raises(ParameterError, match=next(iter(bad))):
        GraphFilter(**{"n_factors": 2, **bad}).fit(data)


@pytest.mark.parametrize(
    "bad", [{"order": 10**9}, {"order": 2**63}, {"degree_power": 2.0**63}, {"degree_power": -1e9}], ids=repr
)
def test_orders_and_powers_that_no_memory_or_float_can_hold_are_refused(bad, likes):
    (name,) = bad
    with pytest.raises(ParameterError, match=f"{name} must be"):
        GraphFilter(8, **bad).fit(likes)
