"""User and item factors from elsewhere as an lrrec model."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import labels
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError
from lrrec.models.base.finite import check_learned
from lrrec.models.ials import IALS
from lrrec.typing import ArrayLike, Ids, MatrixLike
from lrrec.validate import as_float32, check_real


def from_factors(
    user_factors: ArrayLike,
    item_factors: ArrayLike,
    *,
    users: Ids | None = None,
    items: Ids | None = None,
    seen: Interactions | MatrixLike | None = None,
    unobserved_weight: float = 0.1,
    reg: float | None = None,
    **params: Any,
) -> IALS:
    """Make a model of user and item factors; scores are inner products.

    Parameters
    ----------
    user_factors, item_factors : array-like or pandas frame, shapes (n_users, D), (n_items, D)
        Biases are further columns, with a column of ones in the other matrix. The index of a frame holds the ids; the
        columns of two frames are matched by name.
    users, items : sequence of ids, optional
        Ids of the rows; the index of a frame, or their indices, when not given. Rows of a frame are put in this order.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        Interactions of the users, whose items `recommend` excludes. Interactions are matched by id. Without it all
        users are unknown to `recommend`, but `recommend_from` works.
    unobserved_weight : float, default 0.1
        Of the objective of `IALS`, by which new users are folded in.
    reg : float, optional
        As for `IALS`. By default it scales with the factors: for a user of ten interactions the penalty of each is a
        tenth of the items' mean |y|^2.
    **params
        Further parameters of `IALS`: objective, alpha, confidence, reg_exponent, n_threads.

    Raises
    ------
    DataError
        If shapes do not fit, or a factor is not finite.

    Examples
    --------
    >>> from lrrec.interop import from_factors
    >>> model = from_factors([[1.0, 0.0]], [[1.0, 0.0], [0.5, 2.0]], users=["ann"], items=["x", "y"])
    >>> model.predict(["ann", "ann"], ["x", "y"]).tolist()
    [1.0, 0.5]
    """
    users = labels.index_of(user_factors, "user_factors") if users is None else users
    items = labels.index_of(item_factors, "item_factors") if items is None else items
    U, names = as_factors(user_factors, "user_factors", users, "user")
    V, _ = as_factors(item_factors, "item_factors", items, "item", names)
    if U.shape[1] != V.shape[1]:
        raise DataError(f"user_factors and item_factors must have as many columns, got {U.shape[1]} and {V.shape[1]}")
    user_ids = IdMap.range(len(U)) if users is None else IdMap(users)
    item_ids = IdMap.range(len(V)) if items is None else IdMap(items)
    for ids, factors, name in ((user_ids, U, "users"), (item_ids, V, "items")):
        if len(ids) != len(factors):
            raise DataError(f"{name} must have one id for each of {len(factors)} factors, got {len(ids)}")
    check_real(unobserved_weight, "unobserved_weight", low=0)
    if reg is None:
        size = float(np.mean(np.einsum("id,id->i", V, V, dtype=np.float64))) or 1.0  # factors may all be 0
        reg = 0.1 * size * 10 / (10 + unobserved_weight * len(V))
        if not reg <= np.finfo(np.float32).max:
            raise DataError("user_factors and item_factors are too large for float32: scale them down")
    check_real(reg, "reg", low=0, open_low=True)
    model = IALS(V.shape[1], unobserved_weight=unobserved_weight, reg=reg, **params)
    model._objective()
    model.user_factors_, model.item_factors_ = U, V
    data = Interactions(_seen(seen, user_ids, item_ids), user_ids, item_ids)
    return check_learned(model._remember(data, item_evidence=(V != 0).any(axis=1)))


def as_factors(
    values: Any, name: str, ids: Ids | None, unit: str, columns: IdMap | None = None
) -> tuple[np.ndarray, IdMap | None]:
    """Return a new finite float32 matrix, and the names of its columns, if any.

    ids: of the rows, by which a labelled matrix is put in order.
    """
    names = None
    if ids is not None:
        values, names = labels.align_matrix(values, ids, name, unit, columns)
    factors = as_float32(values, name)
    if factors.ndim != 2 or not factors.size:
        raise DataError(f"{name} must be a matrix with a row for each id, got shape {factors.shape}")
    if not np.isfinite(factors).all():
        raise DataError(f"{name} must be finite, got NaN or infinity {int((~np.isfinite(factors)).sum())} times")
    return factors, names


def _seen(seen: Interactions | MatrixLike | None, users: IdMap, items: IdMap) -> sp.csr_array:
    """The seen items as a matrix of these users and items."""
    if seen is None:
        return sp.csr_array((len(users), len(items)), dtype=np.float32)
    data = as_interactions(seen, name="seen")
    if not (isinstance(seen, Interactions) or labels.index_of(seen, "seen") is not None):
        if data.matrix.shape != (len(users), len(items)):
            raise DataError(f"seen must be users x items, ({len(users)}, {len(items)}), got {data.matrix.shape}")
        return data.matrix
    rows, columns = users.indices(data.users.ids), items.indices(data.items.ids)
    cells = (rows[data.rows()], columns[data.matrix.indices])
    matrix = sp.csr_array((data.matrix.data, cells), shape=(len(users), len(items)))
    matrix.sort_indices()
    return matrix
