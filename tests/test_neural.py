"""NeuralMF: the towers in numpy are those of torch; training repeats, resumes, and stops where it should."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from lrrec import IALS, Interactions, NeuralMF
from lrrec.errors import DataError, FileFormatError, MissingDependencyError, ParameterError

SMALL = {
    "n_factors": 8, "n_hidden": 16, "n_epochs": 3, "batch_size": 64, "random_state": 0, "init": "random",
    "learning_rate": 0.003, "unobserved_weight": 0.3,
}  # fmt: skip
LOSSES = ["squared", "softmax", "bpr", "sampled-softmax"]


@pytest.mark.slow
def test_without_torch_the_rest_works_and_the_error_says_what_to_install():
    code = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'")
sys.meta_path.insert(0, NoTorch())
import lrrec, numpy as np
lrrec.IALS(2, n_iter=1).fit(np.eye(3))
try:
    lrrec.NeuralMF(2).fit(np.eye(3))
except lrrec.errors.MissingDependencyError as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'lrrec[torch]'" in found.stdout
    assert issubclass(MissingDependencyError, ImportError)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="module")
def by_user(likes):
    return lrrec.splits.by_user(likes, 60, history=0.6, random_state=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_falls_and_popularity_is_beaten(torch, loss, by_user):
    options = SMALL | {"learning_rate": 0.01, "n_negatives": 100, "unobserved_weight": 0.2, "n_epochs": 25}
    model = NeuralMF(loss=loss, **options).fit(by_user.train)
    values = [entry["loss"] for entry in model.history_]
    assert values[-1] < 0.9 * values[0]
    popular = lrrec.evaluate(lrrec.Popularity().fit(by_user.train), by_user, metrics=["ndcg@10"]).mean()["ndcg@10"]
    assert lrrec.evaluate(model, by_user, metrics=["ndcg@10"]).mean()["ndcg@10"] > popular


def test_numpy_towers_are_torchs(torch, made_up):
    from lrrec.models.neural.towers import Towers, make_batch

    for loss, data in (("softmax", made_up.interactions(min_rating=4)), ("ratings", made_up.interactions())):
        model = NeuralMF(**SMALL, loss=loss).fit(data)
        names = (*(name for name in NeuralMF._encoder_arrays if name != "projection_"), "item_factors_")
        towers = Towers({name: getattr(model, name) for name in names})
        batch = make_batch(
            data.matrix[:20], towers.center, dropout=0, generator=torch.Generator(), device=torch.device("cpu")
        )
        U = towers.users(batch.history).detach().numpy()
        np.testing.assert_allclose(model.user_factors_[:20, :-1], U, rtol=1e-4, atol=1e-5)
        assert (model.user_factors_[:, -1] == 1).all()
        for name, array in towers.arrays().items():
            np.testing.assert_array_equal(array, getattr(model, name))


def test_equal_seeds_train_alike(torch, likes):
    one, other = (NeuralMF(**SMALL).fit(likes) for _ in range(2))
    np.testing.assert_array_equal(one.item_factors_, other.item_factors_)
    assert not np.array_equal(NeuralMF(**SMALL | {"random_state": 1}).fit(likes).item_factors_, one.item_factors_)


@pytest.mark.parametrize("validated", [False, True])
def test_a_killed_training_goes_on_to_the_same_end(torch, by_user, validated, tmp_path):
    options = {"validation": by_user if validated else None}
    whole = NeuralMF(**SMALL).fit(by_user.train, **options)

    def kill(state):
        if state.iteration == 2:
            raise RuntimeError("killed")

    path = tmp_path / ("state.safetensors" if validated else "state")  # the name does not matter
    with pytest.raises(RuntimeError, match="killed"):
        NeuralMF(**SMALL).fit(by_user.train, checkpoint=path, callback=kill, **options)
    with pytest.raises(FileFormatError, match="another model or other data"):
        NeuralMF(**SMALL | {"n_hidden": 4}).fit(by_user.train, checkpoint=path, **options)
    resumed = NeuralMF(**SMALL).fit(by_user.train, checkpoint=path, **options)
    for name in NeuralMF._learned:
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert [entry["loss"] for entry in resumed.history_] == [entry["loss"] for entry in whole.history_]
    assert not path.exists()
    path.write_bytes(b"something else")
    with pytest.raises(FileFormatError, match="is not a checkpoint"):
        NeuralMF(**SMALL).fit(by_user.train, checkpoint=path)


def test_the_best_epoch_is_kept(torch, by_user):
    model = NeuralMF(**SMALL | {"n_epochs": 60, "learning_rate": 0.05}).fit(
        by_user.train, validation=by_user, patience=3
    )
    values = [entry["score"] for entry in model.history_]
    assert len(values) < 60
    best = int(np.argmax(values))
    assert len(values) == best + 1 + 3
    assert model._ndcg(by_user.history, by_user.test) == pytest.approx(values[best])


def test_a_loss_that_is_not_finite_ends_with_an_error_and_the_last_good_state(torch, likes):
    model = NeuralMF(**SMALL | {"n_epochs": 40, "learning_rate": 1e4}, loss="squared")
    with pytest.raises(DataError, match=r"the loss became .* in epoch \d+: lower learning_rate"):
        model.fit(likes)
    assert np.isfinite(model.item_factors_).all()
    assert model.recommend(k=3).items.shape[1] == 3


def test_training_starts_from_a_fitted_model(torch, likes):
    base = IALS(n_factors=8, random_state=0).fit(likes)
    model = NeuralMF(**SMALL | {"n_epochs": 1, "learning_rate": 1e-9}).fit(likes, init=base)
    np.testing.assert_allclose(model.item_factors_[:, :-1], base.item_factors_, atol=1e-6)
    agree = np.corrcoef((model.user_factors_ @ model.item_factors_.T).ravel(),
                        (base.user_factors_ @ base.item_factors_.T).ravel())[0, 1]  # fmt: skip
    assert agree > 0.9
    with pytest.raises(DataError, match="n_factors = 4 columns, got 8"):
        NeuralMF(4).fit(likes, init=base)


def test_the_default_learning_rate_is_stated_once():
    default = NeuralMF().learning_rate
    assert f"learning_rate : float, default {default}" in NeuralMF.__doc__
    assert f"Typical: {default};" in NeuralMF.__doc__


def test_training_goes_on_from_a_neural_model(torch, likes):
    base = NeuralMF(**SMALL).fit(likes)
    again = NeuralMF(**SMALL | {"n_epochs": 1, "learning_rate": 1e-9}).fit(likes, init=base)
    np.testing.assert_allclose(again.user_factors_, base.user_factors_, atol=1e-5)
    with pytest.raises(DataError, match="n_factors, n_hidden"):
        NeuralMF(**SMALL | {"n_hidden": 4}).fit(likes, init=base)


def test_fine_tuning_is_ahead_of_the_initial_model_and_of_random_initialization(torch, by_user):
    def quality(model):
        return lrrec.evaluate(model, by_user, metrics=["ndcg@20"]).mean()["ndcg@20"]

    base = IALS(8, unobserved_weight=0.3, reg=0.02, random_state=0).fit(by_user.train)
    options = {"unobserved_weight": 0.3, "random_state": 0, "n_hidden": 16, "batch_size": 64, "n_epochs": 10}
    model = NeuralMF(8, learning_rate=1e-3, **options).fit(by_user.train, init=base)
    assert quality(model) > 0.97 * quality(base)
    assert quality(model) > quality(NeuralMF(8, init="random", learning_rate=1e-3, **options).fit(by_user.train))


def test_it_is_initialized_from_an_ials_by_default(torch, by_user, tmp_path):
    options = SMALL | {"init": "ials", "init_reg": 0.02, "init_unobserved_weight": 0.2}
    first = NeuralMF(**options | {"n_epochs": 1, "learning_rate": 1e-9}).fit(by_user.train)
    seed = int(np.random.default_rng(0).integers(2**63)) % 2**32
    base = IALS(8, reg=0.02, unobserved_weight=0.2, random_state=seed).fit(by_user.train)
    np.testing.assert_allclose(first.item_factors_[:, :-1], base.item_factors_, atol=1e-6)
    given = NeuralMF(**options).fit(by_user.train, init=base)
    whole = NeuralMF(**options).fit(by_user.train)
    np.testing.assert_array_equal(whole.item_factors_, given.item_factors_)

    def kill(state):
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        NeuralMF(**options).fit(by_user.train, checkpoint=tmp_path / "state", callback=kill)
    resumed = NeuralMF(**options).fit(by_user.train, checkpoint=tmp_path / "state")
    np.testing.assert_array_equal(resumed.item_factors_, whole.item_factors_)
    with pytest.raises(ParameterError, match=r"init must be .*, got 'svd'"):
        NeuralMF(init="svd").fit(by_user.train)


def test_auto_is_what_the_model_to_begin_from_has(torch, by_user, tmp_path):
    chosen = NeuralMF(**SMALL | {"init": "ials", "unobserved_weight": "auto"}).fit(by_user.train)
    initial = IALS(8, n_iter=1).fit(by_user.train)
    numbers = {"init_reg": initial.reg_[0], "init_unobserved_weight": initial.unobserved_weight_[0]}
    by_hand = NeuralMF(**SMALL | {"init": "ials", "unobserved_weight": chosen.unobserved_weight_[0]} | numbers)
    np.testing.assert_array_equal(chosen.item_factors_, by_hand.fit(by_user.train).item_factors_)
    assert not len(by_hand.unobserved_weight_)
    chosen.save(tmp_path / "model")
    assert lrrec.load(tmp_path / "model").unobserved_weight_ == chosen.unobserved_weight_


@pytest.mark.parametrize("unit", [1.0, 60.0])
def test_the_weight_of_unobserved_pairs_is_three_times_that_of_ials_and_at_most_that_of_a_like(torch, unit):
    rng = np.random.default_rng(0)
    for density, limited in ((0.3, True), (0.01, False)):
        matrix = unit * (rng.random((200, 300)) < density).astype(np.float32)
        mine = NeuralMF(2, n_hidden=0, n_epochs=1, random_state=0).fit(matrix).unobserved_weight_[0]
        theirs = IALS(2, n_iter=1, random_state=0).fit(matrix).unobserved_weight_[0]
        assert mine == pytest.approx(unit if limited else 3 * theirs)
        assert mine <= unit


@pytest.mark.parametrize("init", ["random", "ials"])
def test_the_unit_of_the_weights_does_not_matter(torch, by_user, init):
    model = NeuralMF(8, n_hidden=16, init=init, random_state=0)
    first = clone(model).fit(by_user.train)
    other = clone(model).fit(Interactions.from_matrix(by_user.train.matrix * np.float32(64)))
    np.testing.assert_allclose(other.item_factors_, first.item_factors_, rtol=1e-3, atol=1e-4)


def test_as_it_comes_it_is_ahead_of_ials_as_it_comes(torch, by_user):
    mine, theirs = (
        lrrec.evaluate(model.fit(by_user.train), by_user, metrics=["ndcg@20"]).mean()["ndcg@20"]
        for model in (NeuralMF(8, random_state=0), IALS(8, random_state=0))
    )
    assert mine > theirs


@pytest.fixture(scope="module")
def halves():
    """Two groups of users who keep to two groups of items; a feature names an item's group, another is noise."""
    rng = np.random.default_rng(0)
    users, items = np.arange(120) % 2, np.arange(60) % 2
    matrix = (rng.random((120, 60)) < np.where(users[:, None] == items, 0.4, 0.02)).astype(np.float32)
    matrix[:, 50:] = 0  # which nobody knows
    return matrix, np.stack((items, rng.normal(size=60)), axis=1)


@pytest.mark.parametrize("sparse", [pytest.param(False, marks=pytest.mark.slow), True])
def test_items_known_by_their_features_alone(torch, halves, sparse, tmp_path):
    matrix, features = halves
    features = sp.csr_array(features) if sparse else features
    options = {"n_factors": 4, "n_hidden": 8, "n_epochs": 40, "learning_rate": 0.02, "random_state": 0}
    model = NeuralMF(**options).fit(matrix[:, :50], item_features=features[:50])
    wider = model.with_items(np.arange(50, 60), features[50:])
    np.testing.assert_array_equal(wider.user_factors_, model.user_factors_)
    scores = wider.user_factors_ @ wider.item_factors_[50:].T
    own = (np.arange(120) % 2)[:, None] == np.arange(50, 60) % 2
    assert scores[own].mean() > scores[~own].mean() + 0.1
    assert (scores[own] > np.median(scores)).mean() > 0.9
    wider.save(tmp_path / "model")
    loaded = lrrec.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.with_items([60], features[[59]]).item_factors_[60], wider.item_factors_[59])
    for items, mine, words in (
        ([3], features[50:51], "new to the model"),
        ([60], features[50:52], "a row for each of 1 items"),
        ([60], features[50:51, :1], "2 columns"),
    ):
        with pytest.raises(DataError, match=words):
            model.with_items(items, mine)
    with pytest.raises(DataError, match=r"a compressed NeuralMF cannot take new items: add them before compress\(\)"):
        model.compress(2).with_items([60], features[50:51])
    model.compress(2).save(tmp_path / "compressed")
    assert (
        lrrec.load(tmp_path / "compressed").recommend(k=3).items.tolist()
        == model.compress(2).recommend(k=3).items.tolist()
    )
    with pytest.raises(DataError, match="fitted without item_features"):
        NeuralMF(**options | {"n_epochs": 1}).fit(matrix).with_items([60], features[50:51])


def test_the_fingerprint_of_a_checkpoint_is_of_the_stored_features_and_computed_once(torch, halves, monkeypatch):
    from lrrec.models.neural import training

    matrix, features = halves
    sparse = sp.csr_array(features)
    hashes = []
    sha256 = training.hashlib.sha256
    monkeypatch.setattr(training.hashlib, "sha256", lambda *args: hashes.append(1) or sha256(*args))
    parameters = NeuralMF(2, n_hidden=2, unobserved_weight=1.0)
    state = training._Training(parameters, sp.csr_array(matrix), 0, {}, sparse)
    monkeypatch.setattr(sp.csr_array, "toarray", None)
    monkeypatch.setattr(sp.csr_array, "todense", None)
    first = state.fingerprint
    assert state.fingerprint == first
    assert len(hashes) == 2  # of the data, and of the features
    others = []
    for other, seed in ((sparse * 2, 0), (sp.csr_array(features[:, ::-1]), 0), (None, 0)):
        others.append(training._Training(parameters, sp.csr_array(matrix), seed, {}, other).fingerprint)
    wider = NeuralMF(2, n_hidden=3, unobserved_weight=1.0)
    others.append(training._Training(wider, sp.csr_array(matrix), 0, {}, sparse).fingerprint)
    assert len({first, *others}) == 5


def test_bad_item_features_are_refused(torch, halves):
    matrix, features = halves
    for bad, words in ((features[:-1], "a row for each of 60"), (features * np.nan, "finite"), ("table", "numbers")):
        with pytest.raises(DataError, match=words):
            NeuralMF(2, n_epochs=1).fit(matrix, item_features=bad)


@pytest.mark.slow
def test_ratings_are_predicted_better_than_by_item_means(torch, made_up):
    data = made_up.interactions()
    split = lrrec.splits.random(data, 0.1, random_state=0)
    options = {"n_factors": 8, "n_hidden": 16, "batch_size": 32, "learning_rate": 0.02, "n_epochs": 25}
    model = NeuralMF(**options, loss="ratings", dropout=0.3, random_state=0).fit(split.train)
    rows, columns, values = split.test.rows(), split.test.matrix.indices, split.test.matrix.data
    found = model.predict(split.test.users.ids[rows], split.test.items.ids[columns])
    errors = [float(np.sqrt(np.mean((guess - values) ** 2))) for guess in (found, model.center_[columns])]
    assert errors[0] < 0.97 * errors[1]


def test_a_device_that_is_not_there(torch, likes):
    with pytest.raises(ParameterError, match="device must be one that torch has, got 'abacus'"):
        NeuralMF(**SMALL, device="abacus").fit(likes)


@pytest.mark.parametrize("loss", ["softmax", "squared", "ratings"])
@pytest.mark.parametrize(
    ("dense", "precision", "within"), [(True, "float32", 1e-3), (False, "float32", 1e-3), (True, "bfloat16", 3e-2)]
)
def test_losses_and_their_gradients_are_as_written(torch, loss, dense, precision, within, monkeypatch):
    from lrrec.models.neural import towers as module

    monkeypatch.setattr(module, "DENSE", 10**9 if dense else 0)
    rng = np.random.default_rng(0)
    X = np.where(rng.random((9, 14)) < 0.4, rng.integers(1, 5, (9, 14)), 0).astype(np.float32)
    X[:, 0] = 2
    options = {"n_hidden": 4, "dropout": 0, "hidden_dropout": 0, "precision": precision}
    model = NeuralMF(3, loss=loss, unobserved_weight=0.3, **options)
    generator = torch.Generator().manual_seed(0)
    towers = module.Towers.fresh(14, 3, 4, generator, np.zeros(14, dtype=np.float32))
    with torch.no_grad():
        towers.output.weight.normal_(generator=generator)
    objective = module.Objective(model, np.ones(14), generator, torch.device("cpu"))
    found = objective.of_users(towers, sp.csr_array(X)).sum()

    values = torch.from_numpy(X)
    x = (values / values.norm(dim=1, keepdim=True)) @ towers.embedding.weight
    U = x + towers.output(torch.relu(towers.hidden(x)))
    S = U @ towers.items.weight.T + towers.bias.weight.T
    wanted = {
        "softmax": -(values * torch.log_softmax(S, 1)).sum(),
        "squared": (values * (S - 1) ** 2).sum() + 0.3 * (S**2).sum(),
        "ratings": ((values > 0) * (S - values) ** 2).sum(),
    }[loss]
    torch.testing.assert_close(found, wanted, rtol=within / 10, atol=within / 10)
    parameters = list(towers.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(wanted, parameters), strict=True
    ):
        assert mine.dtype == torch.float32
        size = 1.0 if precision == "float32" else float(theirs.abs().max())
        torch.testing.assert_close(mine, theirs, rtol=within, atol=within * size)


@pytest.mark.parametrize(("given", "spins"), [({}, "20000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)])
def test_threads_of_torch_do_not_wait_actively_for_long(given, spins):
    """The variable is set while torch is imported, which reads it then, and not after."""
    code = (
        "import builtins, os, sys\nseen, real = [], builtins.__import__\n"
        "def spy(name, *rest, **options):\n"
        "    if name == 'torch' and 'torch' not in sys.modules: seen.append(os.environ.get('GOMP_SPINCOUNT'))\n"
        "    return real(name, *rest, **options)\n"
        "builtins.__import__ = spy\nimport lrrec.models.neural.training\n"
        "print(seen[0], os.environ.get('GOMP_SPINCOUNT'))"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(spins), "None"]
