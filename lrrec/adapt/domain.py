"""Domain: a target's interactions in terms of a base model."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.features import Features, described_rows
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.linalg.quadratic import solve_ridge
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.recommender import Recommender
from lrrec.validate import first_three


@dataclass(frozen=True, eq=False)
class BaseUsers:
    """Users of a domain as the base knows them. rows : ndarray of int64, shape (n,), in the base; -1 for others."""

    base: Any
    rows: np.ndarray

    def __getitem__(self, selected: Any) -> "BaseUsers":
        return BaseUsers(self.base, self.rows[selected])

    @cached_property
    def factors(self) -> np.ndarray:
        """Of a factor model: the base's factors of the users (n, D), 0 where it does not know them."""
        factors = self.base.user_factors_[np.maximum(self.rows, 0)]
        return np.where(self.rows[:, None] >= 0, factors, np.float32(0))

    @cached_property
    def exists(self) -> np.ndarray:
        """Which of them the base knows something about, bool (n,)."""
        if hasattr(self.base, "user_factors_"):
            known: Any = self.factors.any(axis=1)
        else:
            known = (self.rows >= 0) & (np.diff(self.base.seen_.indptr)[np.maximum(self.rows, 0)] > 0)
        return np.asarray(known)


@dataclass(frozen=True, eq=False)
class Domain:
    """What an adapter is fitted to: I items in the catalogue.

    Attributes
    ----------
    base : Recommender
    items : IdMap
        The catalogue: the base's items that belong to it, then those that only the target has.
    base_indices : ndarray of int64, shape (I,)
        Each item's index in the base, -1 for a new item.
    data : Interactions
        The target's, over the catalogue. With `same_users`, the base's other users follow the target's.
    same_users : bool
        Whether users of equal ids are the same people.
    source : csr_array, shape (n, I), or None
        What the base was trained on, over the catalogue, for adapters that train on it too.
    features : Features or None
        Of the catalogue; zeros for items that have none.
    """

    base: Any
    items: IdMap
    base_indices: np.ndarray
    data: Interactions
    same_users: bool = False
    source: sp.csr_array | None = None
    features: Features | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", copy(self.base))  # with the same arrays: it stays when the base is refitted

    @cached_property
    def cache(self) -> dict[str, Any]:
        """What adapters find once for the domain and use again; emptied when they are fitted."""
        return {}

    @property
    def base_reg(self) -> float | None:
        """The base's own regularization, if it has one."""
        reg: float | None = self.base._numbers().get("reg", getattr(self.base, "reg", None))
        return reg

    @cached_property
    def in_base(self) -> np.ndarray:
        """Which items the base knows, bool (I,)."""
        return self.base_indices >= 0

    @cached_property
    def new_items(self) -> np.ndarray:
        """The indices of the items that the base does not know."""
        return np.flatnonzero(~self.in_base)

    @cached_property
    def active_users(self) -> np.ndarray:
        """The indices of the users with an interaction in the target."""
        return np.flatnonzero(np.diff(self.data.matrix.indptr))

    @cached_property
    def item_factors(self) -> np.ndarray:
        """Of a factor model: the item factors before adaptation (I, D); the base's own array where the items are."""
        factors = self.base.item_factors_
        if np.array_equal(self.base_indices, np.arange(len(factors))):
            return factors
        extended = np.tile(self.base._new_item_factors(), (len(self.items), 1))
        extended[self.in_base] = factors[self.base_indices[self.in_base]]
        return extended

    @cached_property
    def described(self) -> np.ndarray:
        """Which items have a feature, bool (I,)."""
        if self.features is None:
            return np.zeros(len(self.items), dtype=bool)
        return described_rows(self.features.matrix)

    @cached_property
    def encoder(self) -> dict[str, np.ndarray]:
        """The arrays with which an `EncoderModel` encodes histories, over the catalogue; empty for other bases."""
        if not isinstance(self.base, EncoderModel):
            return {}
        arrays = self.base._encoder()
        for name in self.base._arrays_of_items:
            extended = arrays[name][np.maximum(self.base_indices, 0)]
            extended[~self.in_base] = arrays[name].mean() if name == "center_" else 0
            arrays[name] = extended
        return arrays

    def base_users(self, users: IdMap) -> BaseUsers | None:
        """Users of the same ids as the base knows them; None unless same_users."""
        return BaseUsers(self.base, self.base.users_.find(users.ids)) if self.same_users else None

    @cached_property
    def users(self) -> BaseUsers | None:
        """The domain's users as the base knows them; None unless same_users."""
        return self.base_users(self.data.users)

    def fold_in(
        self, matrix: sp.csr_array, V: np.ndarray, reg: float | None, known: BaseUsers | None = None
    ) -> np.ndarray:
        """User factors for histories (B, I) by the base's fold-in against V.

        With `known`, they are shrunk toward the base's factors of the users: one without a history stays at them.
        """
        priors = None if known is None else known.factors
        return self.fold_in_penalized(matrix, V, self.base._penalties(matrix, reg), priors)

    def fold_in_penalized(
        self, matrix: sp.csr_array, V: np.ndarray, lam: np.ndarray, priors: np.ndarray | None = None
    ) -> np.ndarray:
        """`fold_in` with the penalty of each row, lam (B,), shrunk toward priors (B, D)."""
        if priors is None:
            return self.base._fold_in(matrix, V, lam)
        loss, lam = self.base._quadratic_loss(matrix), np.maximum(lam, np.finfo(np.float32).tiny)
        change = solve_ridge(loss, V, lam, prior=priors, n_threads=getattr(self.base, "n_threads", None))
        change[np.diff(matrix.indptr) == 0] = 0
        return priors + change


def make_domain(
    base: Any,
    target: Any,
    catalogue: Any = None,
    *,
    same_users: bool = False,
    source: Any = None,
    item_features: Any = None,
) -> Domain:
    """Match a target with a base by id; see `Adapter.fit` for the arguments."""
    data = as_target(base, target)
    if not len(data):
        raise DataError("target must have at least one interaction, got none")
    items, own = _catalogue(base, data, catalogue), data.items.ids[np.unique(data.matrix.indices)]
    base_indices = base.items_.find(items.ids)
    data = data.align_items(items)
    if same_users:
        if not (base.users_.find(data.users.ids) >= 0).any():
            raise DataError("same_users is True, but no user of the target has an id that the base knows")
        data = with_base_users(base, data)
    elif not (base_indices[np.unique(data.matrix.indices)] >= 0).any():
        raise DataError(
            f"target must share items with the base, got none: the base's are like {first_three(base.items_.ids)}, the "
            f"target's like {first_three(own)}. If it shares users, pass same_users=True"
        )
    kept = None
    if source is not None:
        matrix = as_target(base, source).align_items(items).matrix
        kept = matrix[np.flatnonzero(np.diff(matrix.indptr))]
        if not kept.shape[0]:
            raise DataError("source must have an interaction with an item of the catalogue, got none")
    return Domain(base, items, base_indices, data, same_users, kept, _features(item_features, items))


def _features(item_features: Any, items: IdMap) -> Features | None:
    """The features of a catalogue, matched by id."""
    if item_features is None:
        return None
    if isinstance(item_features, pd.DataFrame):
        labels = IdMap(as_ids(item_features.index, "the index of item_features"))
        matrix, names = align_matrix(item_features, labels, "item_features")
        item_features = Features(matrix, labels, names)
    if not isinstance(item_features, Features):
        raise ParameterTypeError(
            f"item_features must be Features or a frame by item id, got {type(item_features).__name__}: the items of "
            "the catalogue have no order that an array could be in"
        )
    if item_features.ids.ids.dtype != items.ids.dtype or not (item_features.ids.find(items.ids) >= 0).any():
        raise DataError(
            f"item_features must have rows for items of the catalogue, got none: its ids are like "
            f"{first_three(item_features.ids)}, the catalogue's like {first_three(items)}"
        )
    return item_features.reindex(items)


def with_base_users(base: Any, data: Interactions) -> Interactions:
    """The data with the base's other users after its own."""
    others = np.setdiff1d(np.arange(len(base.users_)), base.users_.find(data.users.ids))
    users = IdMap(np.concatenate((data.users.ids, base.users_.ids[others])))
    indptr = np.pad(data.matrix.indptr, (0, len(others)), mode="edge")
    matrix = sp.csr_array((data.matrix.data, data.matrix.indices, indptr), shape=(len(users), data.n_items))
    return Interactions(matrix, users, data.items, data.times)


def as_target(base: Any, target: Any) -> Interactions:
    """The target as Interactions; the columns of a raw matrix are the base's items."""
    return base._usable(as_interactions(target, base.items_, name="target", owner=type(base).__name__), "target")


def check_fitted(base: Any) -> None:
    """Refuse what is not a fitted model."""
    if not isinstance(base, Recommender):
        raise ParameterTypeError(f"base must be a fitted Recommender, got {type(base).__name__}")
    if not hasattr(base, "items_"):
        raise NotFittedError(f"base must be fitted first, got an unfitted {type(base).__name__}: call fit(data)")


def check_ranks(base: Any, kind: str) -> None:
    """Refuse a base that predicts ratings for a kind of adapter whose scores only order items."""
    if base._predicts_ratings:
        raise ParameterError(
            f"base must rank items for {kind}, whose scores are no ratings, got {type(base).__name__}, which predicts "
            "ratings: use FoldIn, Scratch, Anchored or LowRank, or fit a base that ranks, such as IALS"
        )


def _catalogue(base: Any, data: Interactions, catalogue: Any) -> IdMap:
    """The base's items first, then new ones."""
    if catalogue is None:
        if data.items is base.items_ or data.items == base.items_:
            return base.items_
        requested = data.items.ids
    else:
        requested = as_ids(catalogue, "catalogue")
        interacted = data.items.ids[np.unique(data.matrix.indices)]
        outside = IdMap(requested).find(interacted) < 0
        if outside.any():
            shown = first_three(interacted[outside])
            raise DataError(f"catalogue must hold every item of the target's interactions, lacks {shown}")
    if requested.dtype != base.items_.ids.dtype:
        kinds = ["strings" if ids.dtype == object else "integers" for ids in (base.items_.ids, requested)]
        raise DataError(f"item ids of the target must be {kinds[0]} as the base's are, got {kinds[1]}")
    places = base.items_.find(requested)
    of_base = base.items_.ids if catalogue is None else base.items_.ids[np.sort(places[places >= 0])]
    return IdMap(np.concatenate((of_base, requested[places < 0])))
