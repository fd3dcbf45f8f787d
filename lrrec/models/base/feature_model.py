"""FeatureModel: a recommender that may know items by their features."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.features import Features, FeaturesLike, feature_matrix
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError, ParameterError
from lrrec.features.feature_encoder import FeatureEncoder, encoded
from lrrec.linalg.linear_prior import FeatureMatrix
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.recommender import Recommender
from lrrec.typing import Ids
from lrrec.validate import first_three


class FeatureModel(Recommender):
    """A recommender whose `fit` takes features of items: it also knows items that nobody has interacted with.

    Attributes
    ----------
    feature_names_ : IdMap
        The names of the item features: the columns of a frame, else their numbers; empty without features.
    feature_encoder_ : FeatureEncoder or None
        The encoder that made the item features from a table, where they were passed as `Features`.
    """

    item_evidence_: np.ndarray

    feature_tuning_space: ClassVar[dict[str, Any]] = {}  # what `tune` searches beside `tuning_space`, with features
    feature_names_: IdMap = IdMap([])
    feature_encoder_: FeatureEncoder | None = None
    _learned_encoders: tuple[str, ...] = ("feature_encoder_",)

    @property
    def _takes_item_features(self) -> bool:
        return True

    def _feature_tuning_space(self) -> dict[str, Any]:
        return self.feature_tuning_space

    def _remember(
        self, data: Interactions, item_counts: np.ndarray | None = None, item_evidence: np.ndarray | None = None
    ) -> Self:
        super()._remember(data, item_counts, item_evidence)
        if item_evidence is None and self._has_features:
            self.item_evidence_ = self._described()
        return self

    @property
    def _has_features(self) -> bool:
        """Whether it was fitted with features of items."""
        return len(self.feature_names_) > 0

    @abstractmethod
    def _described(self) -> np.ndarray:
        """Return which items, (n_items,), are known by interactions or features."""

    @abstractmethod
    def _append(self, features: sp.csr_array | np.ndarray) -> None:
        """Append what the model has of new items, from their features (m, n_features), to its learned arrays."""

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        self._check_items(data)
        super()._update(data, users, items)

    def _check_items(self, data: Interactions) -> None:
        """Refuse new items without features."""
        strange = data.items.ids[len(self.items_) :]
        if self._has_features and len(strange):
            raise DataError(
                f"items {first_three(strange)} are new and have no features: add them by with_items() before update()"
            )

    def _check_grows(self) -> None:
        """Refuse to add items to a model that cannot take them."""

    def _grown(self) -> Self:
        """Return the model after items were appended, with all that depends on them brought up to date."""
        return self

    @of_one_fit
    def with_items(self, items: Ids, item_features: FeaturesLike) -> Self:
        """Return a model that has further items, described by their features alone.

        What the model has learned of the other items stays.

        Parameters
        ----------
        items : sequence of ids, shape (m,)
            New to the model.
        item_features : Features, frame, or sparse matrix or array of shape (m, n_features)
            As for `fit`; the columns of a frame are matched with those of `fit` by name. A model that was fitted with
            the features of a `FeatureEncoder` also takes a table with the columns that this encodes.

        Raises
        ------
        DataError
            If the model was fitted without item features, is compressed, or has one of the items.

        Notes
        -----
        A quadratic model folds its training users in again: items without an interaction count as unobserved.
        """
        self._check_fitted()
        if not self._has_features:
            raise DataError(
                "with_items() cannot be used on a model that was fitted without item_features, or compressed: fit it "
                "with them, and call with_items() before compress()"
            )
        self._check_grows()
        new = IdMap(as_ids(items, "items"))
        present = self.items_.find(new.ids) >= 0
        if present.any():
            raise DataError(f"items must be new to the model, got {first_three(new.ids[present])}")
        features, _ = check_features(encoded(item_features, self.feature_encoder_), new, self.feature_names_)
        assert features is not None
        model = clone(self)
        for name in (*self._learned, *self._learned_csr, *self._learned_ids, *self._learned_encoders):
            setattr(model, name, getattr(self, name))
        model._append(features)
        all_items, seen = IdMap(np.concatenate((self.items_.ids, new.ids))), self.seen_
        wider = sp.csr_array((seen.data, seen.indices, seen.indptr), shape=(seen.shape[0], len(all_items)))
        known = np.append(self.item_evidence_, model._described()[len(self.items_) :])
        counts = np.pad(self.item_counts_, (0, len(new)))
        return model._remember(Interactions(wider, self.users_, all_items), counts, known)._grown()


def fit_options(model: Any, item_features: Any, user_features: Any = None) -> dict[str, Any]:
    """Return the options of a model's `fit` that pass features, where they are given and the model takes them."""
    given = {
        "item_features": item_features if _takes_features(model) else None,
        "user_features": user_features if getattr(model, "_takes_user_features", False) else None,
    }
    return {name: features for name, features in given.items() if features is not None}


def serving_options(model: Any, user_features: Any) -> dict[str, Any]:
    """Return the options of `evaluate` that pass features of users, if the model was fitted with some."""
    has_map = user_features is not None and len(getattr(model, "user_feature_map_", ()))
    return {"user_features": user_features} if has_map else {}


def check_taken(models: Iterable[Any], item_features: Any, user_features: Any = None) -> None:
    """Refuse features that none of the models takes."""
    models = list(models)
    if user_features is not None and not any(getattr(model, "_takes_user_features", False) for model in models):
        raise ParameterError("user_features must be for a model that takes them: IALS; got none, leave them out")
    if item_features is not None and not any(map(_takes_features, models)):
        raise ParameterError(
            "item_features must be for a model that takes them, such as IALS, or the adapter ItemItem; got none: leave "
            "them out"
        )


def encoder_of(features: Any) -> FeatureEncoder | None:
    """Return what made features of a table; None where it is not known."""
    return features.encoder if isinstance(features, Features) else None


def _takes_features(model: Any) -> bool:
    return bool(getattr(model, "_takes_item_features", False))


def digest(features: FeatureMatrix | None) -> str:
    """A hash of features; of None too."""
    if features is None:
        return ""
    arrays: list[Any] = [features]
    if not isinstance(features, np.ndarray):
        arrays = [features.indptr, features.indices, features.data]
    hashed = hashlib.sha256(f"{type(features).__name__} {features.shape}".encode())
    for array in arrays:
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()


def check_features(
    item_features: Any, items: IdMap, names: IdMap | None = None, *, name: str = "item_features", unit: str = "item"
) -> tuple[FeatureMatrix | None, IdMap]:
    """Return the features of items, or users, as float32: a csr matrix if they are sparse, else an array; their names.

    Rows of a frame or of `Features` are matched by id, columns with names, those of fit. Features without names have
    numbers.
    """
    if item_features is None:
        return None, IdMap([])
    item_features, named = align_matrix(item_features, items, name, unit, columns=names)
    features = feature_matrix(item_features, name)
    if features.shape[0] != len(items):
        raise DataError(f"{name} must have a row for each of {len(items)} {unit}s, got shape {features.shape}")
    if names is not None and features.shape[1] != len(names):
        raise DataError(f"{name} must have {len(names)} columns as in fit, got {features.shape[1]}")
    return features, named or IdMap.range(features.shape[1])
