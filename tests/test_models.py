"""Every model against every check of the contract."""

import inspect

import pytest
from checks import all_checks
from sklearn.base import clone

from lrrec import IALS, Popularity

ALL_MODELS = [
    Popularity(),
    IALS(n_factors=8, n_iter=3, random_state=0),
    IALS(n_factors=5, n_iter=2, solver="cholesky", random_state=1),
]


@pytest.mark.parametrize(("model", "check"), [
    pytest.param(model, check, id=f"{type(model).__name__}{i}-{check.__name__}")
    for i, model in enumerate(ALL_MODELS) for check in all_checks(model)
])  # fmt: skip
def test_model(model, check, likes, tmp_path):
    extra = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(clone(model), likes, **extra)
