"""Every model against every check of the contract."""

import inspect
from importlib.util import find_spec

import pytest
from checks import all_checks
from sklearn.base import clone

from lrrec import ALS, EASE, IALS, NMF, ItemKNN, NeuralMF, Popularity, RP3Beta, TruncatedSVD

ALL_MODELS = [
    Popularity(),
    IALS(n_factors=8, n_iter=3, random_state=0),
    IALS(n_factors=5, n_iter=2, solver="cholesky", objective="hu", alpha=10, random_state=1),
    TruncatedSVD(n_factors=6),
    TruncatedSVD(n_factors=4, solver="exact", user_power=0.5, item_power=0.4, score_power=0.3),
    NMF(n_factors=5, n_iter=5, random_state=0),
    EASE(reg=50),
    ItemKNN(n_neighbors=40),
    RP3Beta(n_neighbors=60),
    ALS(n_factors=3, n_iter=3, random_state=0),
]
if find_spec("torch"):
    ALL_MODELS.append(NeuralMF(n_factors=6, n_hidden=8, n_epochs=2, random_state=0))


@pytest.mark.parametrize(("model", "check"), [
    pytest.param(model, check, id=f"{type(model).__name__}{i}-{check.__name__}")
    for i, model in enumerate(ALL_MODELS) for check in all_checks(model)
])  # fmt: skip
def test_model(model, check, likes, made_up, tmp_path):
    extra = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    data = made_up.interactions() if isinstance(model, ALS) else likes
    check(clone(model), data, **extra)
