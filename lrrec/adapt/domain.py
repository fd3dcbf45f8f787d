"""Domain: a target's interactions in terms of a base model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.linalg.quadratic import solve_ridge
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.models.neural.encoder import encode
from lrrec.validate import check_columns, check_matrix, first_three


@dataclass(frozen=True, eq=False)
class Domain:
    """What an adapter is fitted to. I items in the catalogue, D columns of the base's factors.

    Attributes
    ----------
    base : FactorModel
    items : IdMap
        The catalogue: the base's items that belong to it, then those that only the target has.
    of_base : ndarray of int64, shape (I,)
        Each item's index in the base, -1 where the base does not know it.
    item_factors : ndarray of float32, shape (I, D)
        Before adaptation; what the base takes an unknown item for where it does not know it.
    data : Interactions
        The target's, over the catalogue.
    priors : ndarray of float32, shape (n_users, D), or None
        Where users of equal ids are the same people, what the base has of them; 0 for those it does not know. The
        data's users are then the target's, followed by the base's others.
    source : csr_array, shape (n, I), or None
        What a neural base was trained on, to be trained on along with the target.
    """

    base: FactorModel
    items: IdMap
    of_base: np.ndarray
    item_factors: np.ndarray
    data: Interactions
    priors: np.ndarray | None = None
    source: sp.csr_array | None = None

    @cached_property
    def known(self) -> np.ndarray:
        """Which items the base knows, bool (I,)."""
        return self.of_base >= 0

    @cached_property
    def tower(self) -> dict[str, np.ndarray]:
        """The arrays by which a neural base encodes histories over the catalogue; none where the base folds in."""
        of_items = {"embedding_": 0.0, "center_": float(np.mean(getattr(self.base, "center_", 0.0)))}
        arrays = {name: getattr(self.base, name) for name in getattr(self.base, "_encoder_arrays", ())}
        for name in of_items.keys() & arrays.keys():
            found = arrays[name][np.maximum(self.of_base, 0)]
            found[~self.known] = of_items[name]
            arrays[name] = found
        return arrays

    def fold(
        self, matrix: sp.csr_array, V: np.ndarray, reg: float | None, priors: np.ndarray | None = None,
        tower: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:  # fmt: skip
        """User factors for histories (B, I), as the base folds in; around the priors (B, D) where there are any.

        A user without a history stays at the prior. A neural base encodes, by a changed tower where one is given.
        """
        if self.tower:
            return encode(matrix, tower or self.tower)
        if priors is None:
            return self.base._fold_in(matrix, V, reg)
        cells, lam = self.base._quadratic_loss(matrix), self.base._penalties(matrix, reg)
        lam = np.maximum(lam, np.finfo(np.float32).tiny)
        apart = solve_ridge(cells, V, lam, prior=priors, n_threads=getattr(self.base, "n_threads", None))
        apart[np.diff(matrix.indptr) == 0] = 0
        return priors + apart

    def priors_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The priors of some users."""
        return None if self.priors is None else self.priors[rows]


def make_domain(
    base: Any, target: Any, catalogue: Any = None, *, same_users: bool = False, source: Any = None
) -> Domain:
    """Match a target with a base by id; see `LowRankAdapter.fit` for the arguments."""
    if not isinstance(base, FactorModel):
        raise ParameterTypeError(f"base must be a fitted factor model, got {type(base).__name__}")
    if not hasattr(base, "item_factors_"):
        raise NotFittedError(f"base must be fitted first, got an unfitted {type(base).__name__}: call fit(data)")
    encodes = bool(getattr(base, "_encoder_arrays", ()))
    if not encodes and not isinstance(base, QuadraticModel):
        raise ParameterTypeError(f"{type(base).__name__} cannot be adapted: merge an adapter before adapting it again")
    if encodes and same_users:
        raise ParameterError(f"same_users must be False for a base that encodes histories, got True for {base!r}")
    if encodes and base._n_columns != len(base.projection_):
        raise ParameterError("base must not be compressed: adapt it first, then compress the adapter")
    if source is not None and not encodes:
        raise ParameterError(f"source must only be given for a neural base, got one for {type(base).__name__}")
    data = as_target(base, target)
    if not len(data):
        raise DataError("target must have at least one interaction, got none")
    ids = _catalogue(base, data, catalogue)
    of_base = base.items_.find(ids.ids)
    factors = factors_of(base, of_base)
    data = data.align_items(ids)
    met = of_base[np.unique(data.matrix.indices)] >= 0
    priors = None
    if same_users:
        if not (base.users_.find(data.users.ids) >= 0).any():
            raise DataError(
                "target must have users whom the base knows, as same_users is True, got none of the same id"
            )
        data, priors = with_priors(base, data)
    elif not met.any():
        raise DataError(
            f"target must share items with the base, got none: the base's are like {first_three(base.items_.ids)}, the "
            f"target's like {first_three(data.items.ids[::-1])}. If it shares users, pass same_users=True"
        )
    kept = None
    if source is not None:
        matrix = as_target(base, source).align_items(ids).matrix
        kept = matrix[np.flatnonzero(np.diff(matrix.indptr))]
        if not kept.shape[0]:
            raise DataError("source must have an interaction with an item of the catalogue, got none")
    return Domain(base, ids, of_base, factors, data, priors, kept)


def factors_of(base: FactorModel, of_base: np.ndarray) -> np.ndarray:
    """The base's item factors at some indices; where these are all in order, the base's own array: to be read only."""
    if np.array_equal(of_base, np.arange(len(base.items_))):
        return base.item_factors_
    factors = np.tile(base._new_item_factors(), (len(of_base), 1))
    factors[of_base >= 0] = base.item_factors_[of_base[of_base >= 0]]
    return factors


def with_priors(base: FactorModel, data: Interactions) -> tuple[Interactions, np.ndarray]:
    """The data with the base's other users after its own, and what the base has of each, (n_users, D)."""
    rows = base.users_.find(data.users.ids)
    others = np.setdiff1d(np.arange(len(base.users_)), rows)
    priors = np.where(rows[:, None] >= 0, base.user_factors_[np.maximum(rows, 0)], np.float32(0))
    users = IdMap(np.concatenate((data.users.ids, base.users_.ids[others])))
    indptr = np.pad(data.matrix.indptr, (0, len(others)), mode="edge")
    matrix = sp.csr_array((data.matrix.data, data.matrix.indices, indptr), shape=(len(users), data.n_items))
    more = Interactions(matrix, users, data.items, data.times)
    return more, np.concatenate((priors, base.user_factors_[others]))


def joined(data: Interactions, more: Interactions) -> Interactions:
    """The interactions of both, values of the same cell added."""
    tables = [part.to_frame() for part in (data, more)]
    time = "time" if all("time" in table for table in tables) else None
    return Interactions.from_frame(pd.concat(tables), value="value", time=time)


def as_target(base: FactorModel, target: Any) -> Interactions:
    """The target as Interactions; the columns of a raw matrix are the base's items."""
    if isinstance(target, Interactions):
        return target
    matrix = check_matrix(target, "target")
    check_columns(matrix, len(base.items_), type(base).__name__)
    return Interactions(matrix, IdMap.range(matrix.shape[0]), base.items_)


def _catalogue(base: FactorModel, data: Interactions, catalogue: Any) -> IdMap:
    """The base's items first, then new ones."""
    if catalogue is None:
        if data.items is base.items_ or data.items == base.items_:
            return base.items_
        wanted, every = data.items.ids, True
    else:
        wanted, every = as_ids(catalogue, "catalogue"), False
        outside = IdMap(wanted).find(data.items.ids[np.unique(data.matrix.indices)]) < 0
        if outside.any():
            shown = first_three(data.items.ids[np.unique(data.matrix.indices)][outside])
            raise DataError(f"catalogue must hold every item of the target's interactions, lacks {shown}")
    if wanted.dtype != base.items_.ids.dtype:
        kinds = ["strings" if ids.dtype == object else "integers" for ids in (base.items_.ids, wanted)]
        raise DataError(f"item ids of the target must be {kinds[0]} as the base's are, got {kinds[1]}")
    places = base.items_.find(wanted)
    known = base.items_.ids if every else base.items_.ids[np.sort(places[places >= 0])]
    return IdMap(np.concatenate((known, wanted[places < 0])))
