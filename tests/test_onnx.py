"""ONNX files: onnxruntime computes what the model does."""

import importlib
import json
from importlib.util import find_spec

import numpy as np
import pytest

import lrrec
from lrrec import ALS, EASE, EDLAE, IALS, NeuralMF, TruncatedSVD
from lrrec.errors import DataError, MissingDependencyError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.interop import onnx as export
from lrrec.interop import to_onnx


def run(path, **inputs):
    """The outputs of a file by name."""
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {value.name for value in session.get_inputs()} == inputs.keys()
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, {n: v.astype(np.float32) for n, v in inputs.items()}), strict=True))


def written(model, path, *args, **options):
    onnx = pytest.importorskip("onnx")
    to_onnx(model, path, *args, **options)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return path


def neural(data, **params):
    pytest.importorskip("torch")
    return NeuralMF(**({"n_factors": 6, "n_hidden": 8, "n_epochs": 2, "random_state": 0} | params)).fit(data)


ENCODERS = {
    "svd": lambda likes, ratings: TruncatedSVD(6).fit(ratings),
    "svd powers": lambda likes, ratings: TruncatedSVD(6, user_power=0.5, item_power=0.3, score_power=0.4).fit(ratings),
    "svd compressed": lambda likes, ratings: TruncatedSVD(6).fit(ratings).compress(3),
    "edlae": lambda likes, ratings: EDLAE(6).fit(ratings),
    "edlae compressed": lambda likes, ratings: EDLAE(6).fit(ratings).compress(3),
    "neural": lambda likes, ratings: neural(likes),
    "neural ratings": lambda likes, ratings: neural(ratings, loss="ratings", init="random"),
    "neural without hidden layer": lambda likes, ratings: neural(likes, n_hidden=0),
    "neural compressed": lambda likes, ratings: neural(likes).compress(4),
}


@pytest.fixture(scope="module")
def ratings(made_up):
    return made_up.interactions()


@pytest.fixture(params=ENCODERS)
def encoder(request, likes, ratings):
    return ENCODERS[request.param](likes, ratings)


def test_scores_of_histories(encoder, ratings, tmp_path):
    """Of other values than those of the training data too."""
    X = ratings.align_items(encoder.items_).matrix[:40]
    scores = run(written(encoder, tmp_path / "m.onnx"), history=X.toarray())["scores"]
    expected = encoder.transform(X) @ encoder.item_factors_.T
    known = encoder.item_evidence_
    np.testing.assert_allclose(scores[:, known], expected[:, known], rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert (scores[:, ~known] == -np.inf).all()


def test_a_user_without_history_is_no_nan(encoder, tmp_path):
    nobody = np.zeros((1, len(encoder.items_)), dtype=np.float32)
    scores = run(written(encoder, tmp_path / "m.onnx"), history=nobody)["scores"]
    expected = encoder.transform(nobody) @ encoder.item_factors_.T
    np.testing.assert_allclose(scores[:, encoder.item_evidence_], expected[:, encoder.item_evidence_], atol=1e-5)


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_lists_of_histories(encoder, ratings, exclude_seen, tmp_path):
    X = ratings.align_items(encoder.items_).matrix[:40]
    outputs = run(written(encoder, tmp_path / "m.onnx", 7, exclude_seen=exclude_seen), history=X.toarray())
    lists = encoder.recommend_from(X, 7, exclude_seen=exclude_seen)
    assert outputs["indices"].dtype == np.int64
    np.testing.assert_allclose(outputs["scores"], lists.scores, rtol=1e-4, atol=1e-5)
    assert (outputs["indices"] == lists.indices).mean() > 0.98  # but for scores that differ in their last digit


@pytest.mark.parametrize(
    "model", [IALS(6, n_iter=2, random_state=0), ALS(4, n_iter=2, random_state=0)], ids=["IALS", "ALS"]
)
def test_lists_of_user_factors(model, ratings, tmp_path):
    model.fit(ratings)
    users, X = model.user_factors_[:40], model.seen_[:40].toarray()
    scores = run(written(model, tmp_path / "all.onnx"), user_factors=users)["scores"]
    np.testing.assert_allclose(scores, users @ model.item_factors_.T, rtol=1e-5, atol=1e-5)
    outputs = run(written(model, tmp_path / "k.onnx", 7), user_factors=users, history=X)
    lists = model.recommend(model.users_.ids[:40], 7)
    np.testing.assert_allclose(outputs["scores"], lists.scores, rtol=1e-5)
    assert (outputs["indices"] == lists.indices).mean() > 0.98
    outputs = run(written(model, tmp_path / "seen.onnx", 7, exclude_seen=False), user_factors=users)
    assert (outputs["indices"] == model.recommend(model.users_.ids[:40], 7, exclude_seen=False).indices).mean() > 0.98


def test_places_that_cannot_be_filled(tmp_path):
    """Seen items, and one without evidence, are in no list."""
    X = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0.0]])
    model = TruncatedSVD(2).fit(X)
    outputs = run(written(model, tmp_path / "m.onnx", 5), history=X)
    np.testing.assert_array_equal(outputs["indices"], [[3, -1, -1, -1, -1], [2, -1, -1, -1, -1]])
    assert (outputs["scores"][:, 1:] == -np.inf).all()


def test_metadata_name_the_items(tmp_path):
    onnx = pytest.importorskip("onnx")
    data = lrrec.Interactions.from_pairs(["u", "u", "v"], ["b", "a", "b"])
    path = written(TruncatedSVD(1).fit(data), tmp_path / "m.onnx")
    stored = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(stored["lrrec.items"]) == data.items.ids.tolist()
    assert len(stored["lrrec.fingerprint"]) == 16


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    path, model = tmp_path / "m.onnx", TruncatedSVD(1).fit(np.eye(3))
    with pytest.raises(ParameterTypeError, match="model must be a factor model, got EASE"):
        to_onnx(EASE().fit(np.eye(3)), path)
    with pytest.raises(NotFittedError):
        to_onnx(IALS(), path)
    with pytest.raises(ParameterError, match="k must be an integer >= 1 and <= 3, got 4"):
        to_onnx(model, path, 4)
    if find_spec("onnx"):
        monkeypatch.setattr(export, "MAX_BYTES", 10)
        with pytest.raises(DataError, match=r"at most 2 GB: compress\(\) the model"):
            to_onnx(model, path)

    def fail(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(MissingDependencyError, match=r"to_onnx\(\) needs onnx: pip install 'lrrec\[onnx\]'"):
        to_onnx(model, path)
    assert not list(tmp_path.iterdir())
