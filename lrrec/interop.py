"""Models trained elsewhere become lrrec models, to be served, evaluated and adapted like any other."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.models.ials import IALS
from lrrec.validate import check_real


def from_factors(
    user_factors: Any,
    item_factors: Any,
    *,
    users: Any = None,
    items: Any = None,
    seen: Any = None,
    unobserved_weight: float = 0.1,
    reg: float | None = None,
    **params: Any,
) -> IALS:
    """Make a model of user and item factors, which scores by their inner products.

    Parameters
    ----------
    user_factors, item_factors : array-like, shapes (n_users, D), (n_items, D)
        Biases are further columns, with ones on the other side.
    users, items : sequence of ids, optional
        Ids of the rows; their indices when not given.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        What the users have, which `recommend` leaves out. Interactions are matched by id. Nothing when not given; then
        `recommend` has no user to serve, but `recommend_from` has.
    unobserved_weight : float, default 0.1
        How new users are folded in: by the objective of `IALS`, against these item factors.
    reg : float, optional
        As for `IALS`. When not given, such that a user of ten interactions is held by a tenth of an item's mean
        |y|^2 for each of them, whatever the scale of the factors.
    **params
        Further parameters of `IALS`: objective, alpha, confidence, reg_exponent, n_threads.

    Raises
    ------
    DataError
        If shapes do not fit, or a factor is not finite.
    """
    U, V = _factors(user_factors, "user_factors"), _factors(item_factors, "item_factors")
    if U.shape[1] != V.shape[1]:
        raise DataError(f"user_factors and item_factors must have as many columns, got {U.shape[1]} and {V.shape[1]}")
    user_ids = IdMap.range(len(U)) if users is None else IdMap(users)
    item_ids = IdMap.range(len(V)) if items is None else IdMap(items)
    for ids, factors, name in ((user_ids, U, "users"), (item_ids, V, "items")):
        if len(ids) != len(factors):
            raise DataError(f"{name} must have one id for each of {len(factors)} factors, got {len(ids)}")
    if reg is None:
        size = float(np.mean(np.einsum("id,id->i", V, V, dtype=np.float64))) or 1.0  # factors may all be 0
        reg = 0.1 * size * 10 / (10 + unobserved_weight * len(V))
    check_real(reg, "reg", low=0, open_low=True)
    model = IALS(V.shape[1], unobserved_weight=unobserved_weight, reg=reg, **params)
    model._objective()
    model.user_factors_, model.item_factors_ = U, V
    return model._remember(Interactions(_seen(seen, user_ids, item_ids), user_ids, item_ids))


def from_implicit(model: Any, *, users: Any = None, items: Any = None, seen: Any = None) -> IALS:
    """Make an lrrec model of a fitted model of the library implicit: its ALS, BPR or logistic matrix factorization.

    Parameters
    ----------
    model : implicit.als.AlternatingLeastSquares, implicit.bpr.BayesianPersonalizedRanking or
            implicit.lmf.LogisticMatrixFactorization
        Fitted, on the CPU or a GPU.
    users, items : sequence of ids, optional
        Ids of the rows and columns of the matrix it was fitted to; their indices when not given.
    seen : sparse matrix, shape (n_users, n_items), optional
        That matrix, so that `recommend` can leave out what users have.

    Notes
    -----
    An ALS model folds new users in as implicit's `recalculate_user` does: same objective, alpha and regularization
    (without `calculate_training_loss` and `dtype`, which do not matter). The others have no fold-in of their own, and
    get that of `from_factors`; scores of training users are the same in each case.
    """
    if not (hasattr(model, "user_factors") and hasattr(model, "item_factors")):
        raise ParameterTypeError(f"model must be a matrix factorization of implicit, got {type(model).__name__}")
    if model.user_factors is None:
        raise DataError(f"model must be fitted, got an unfitted {type(model).__name__}")
    U, V = (factors.to_numpy() if hasattr(factors, "to_numpy") else factors
            for factors in (model.user_factors, model.item_factors))  # fmt: skip
    ids = {"users": users, "items": items, "seen": seen}
    if hasattr(model, "alpha") and hasattr(model, "regularization"):
        return from_factors(
            U, V, **ids, objective="hu", alpha=model.alpha, confidence="alpha r", reg=model.regularization,
            reg_exponent=0.0,
        )  # fmt: skip
    return from_factors(U, V, **ids)


def _factors(values: Any, name: str) -> np.ndarray:
    """A finite float32 matrix."""
    try:
        factors = np.array(values, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be a matrix of numbers: {error}") from None
    if factors.ndim != 2 or not factors.size:
        raise DataError(f"{name} must be a matrix with a row an id, got shape {factors.shape}")
    if not np.isfinite(factors).all():
        raise DataError(f"{name} must be finite, got NaN or infinity in {int((~np.isfinite(factors)).sum())} places")
    return factors


def _seen(seen: Any, users: IdMap, items: IdMap) -> sp.csr_array:
    """What the users have, over the given ids."""
    if seen is None:
        return sp.csr_array((len(users), len(items)), dtype=np.float32)
    data = as_interactions(seen)
    if not isinstance(seen, Interactions):
        if data.matrix.shape != (len(users), len(items)):
            raise DataError(f"seen must be users x items, ({len(users)}, {len(items)}), got {data.matrix.shape}")
        return data.matrix
    rows, columns = users.indices(data.users.ids), items.indices(data.items.ids)
    cells = (rows[data.rows()], columns[data.matrix.indices])
    matrix = sp.csr_array((data.matrix.data, cells), shape=(len(users), len(items)))
    matrix.sort_indices()
    return matrix
