"""Every model against every check of the contract."""

import inspect
from importlib.util import find_spec

import numpy as np
import pytest
from checks import all_checks, assert_same
from sklearn.base import clone

import lrrec
from lrrec import (
    ALS,
    EASE,
    EDLAE,
    IALS,
    NMF,
    SLIM,
    Blend,
    GraphFilter,
    Interactions,
    ItemKNN,
    NeuralMF,
    Popularity,
    RP3Beta,
    SparseEASE,
    TruncatedSVD,
)

ALL_MODELS = [
    Popularity(),
    IALS(n_factors=8, n_iter=3, random_state=0),
    IALS(n_factors=5, n_iter=2, solver="cholesky", objective="hu", alpha=10, random_state=1),
    TruncatedSVD(n_factors=6),
    TruncatedSVD(n_factors=4, solver="exact", user_power=0.5, item_power=0.4, score_power=0.3),
    NMF(n_factors=5, n_iter=5, random_state=0),
    EASE(reg=50),
    EDLAE(n_factors=8, n_iter=3),
    ItemKNN(n_neighbors=40),
    RP3Beta(n_neighbors=60),
    SparseEASE(reg=50, n_neighbors=40, dropout=0.2),
    SLIM(l1_reg=0.5, l2_reg=20),
    SLIM(l1_reg=2, l2_reg=10, nonnegative=False),
    GraphFilter(n_factors=8),
    GraphFilter(n_factors=5, filter="linear", degree_power=0.5),
    Blend(
        [IALS(n_factors=4, n_iter=2, random_state=0), EASE(reg=50), ItemKNN(n_neighbors=9)], n_steps=5, random_state=0
    ),
    ALS(n_factors=3, n_iter=3, random_state=0),
]
VARIANTS = [ALL_MODELS[place] for place in (2, 4, 12, 14)]  # of models that are checked with other settings
if find_spec("torch"):
    ALL_MODELS.append(NeuralMF(n_factors=6, n_hidden=8, n_epochs=2, random_state=0))


@pytest.mark.parametrize(("model", "check"), [
    pytest.param(
        model, check, id=f"{type(model).__name__}{i}-{check.__name__}",
        marks=pytest.mark.slow if model in VARIANTS else (),
    )
    for i, model in enumerate(ALL_MODELS) for check in all_checks(model)
])  # fmt: skip
def test_model(model, check, likes, made_up, tmp_path):
    extra = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    data = made_up.interactions() if isinstance(model, ALS) else likes
    check(clone(model), data, **extra)


class FromFactors(IALS):
    """Factors of another model, imported by `interop.from_factors`; `fit` computes and imports them."""

    def fit(self, X, y=None):
        other = TruncatedSVD(self.n_factors).fit(X)
        imported = lrrec.interop.from_factors(
            other.user_factors_, other.item_factors_, users=other.users_.ids, items=other.items_.ids, seen=other.seen_
        )
        self.set_params(reg=imported.reg)
        self.__dict__.update({name: value for name, value in vars(imported).items() if name.endswith("_")})
        return self


class Content(lrrec.ItemContent):
    """An ItemContent with features that follow from the places of items."""

    def fit(self, X, y=None):
        n_items = Interactions.from_matrix(X).n_items if not isinstance(X, Interactions) else X.n_items
        features = np.random.default_rng(0).random((n_items, 60)) < 0.1
        features[:, 0] = True  # no item is without one
        return super().fit(X, item_features=features.astype(np.float32))


@pytest.mark.parametrize("check", [
    check for check in all_checks(Content()) if "save" not in check.__name__  # files: tests/test_item_content.py
], ids=lambda check: check.__name__)  # fmt: skip
def test_content(check, likes):
    check(Content(), likes)


NOT_FOR_IMPORTED = {
    "check_training_users_fold_in_to_their_rows": "their factors were computed elsewhere",
    "check_new_users_are_like_known_ones": "the same",
    "check_fit_does_not_change_its_parameters": "from_factors sets reg by the size of the factors",
    "check_save_and_load": "the model that from_factors returns is an IALS: below",
    "check_save_and_load_string_ids": "the same",
}


@pytest.mark.parametrize("check", [
    check for check in all_checks(FromFactors(unobserved_weight=0.1)) if check.__name__ not in NOT_FOR_IMPORTED
], ids=lambda check: check.__name__)  # fmt: skip
def test_imported_factors(check, likes):
    check(FromFactors(n_factors=6, unobserved_weight=0.1), likes)


def test_imported_factors_are_saved(likes, tmp_path):
    other = TruncatedSVD(6).fit(likes)
    model = lrrec.interop.from_factors(
        other.user_factors_, other.item_factors_, users=likes.users.ids, items=likes.items.ids, seen=likes
    )
    model.save(tmp_path / "model")
    assert_same(lrrec.load(tmp_path / "model").recommend(), model.recommend())
    assert_same(model.recommend(), other.recommend())


def test_transform_is_not_the_stored_factors_of_compressed_and_imported_models(likes):
    """The law of factor models is one of fitted models; see `FactorModel`."""
    model = IALS(8, n_iter=3, random_state=0).fit(likes)
    for other in (model.compress(4), FromFactors(n_factors=6, unobserved_weight=0.1).fit(likes)):
        assert not np.allclose(other.transform(likes), other.user_factors_, rtol=1e-2)
