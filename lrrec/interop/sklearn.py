"""Decompositions of scikit-learn as lrrec models."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, NotFittedError, ParameterError, ParameterTypeError
from lrrec.interop.factors import as_factors
from lrrec.models.base.finite import check_learned
from lrrec.models.nmf import NMF
from lrrec.models.truncated_svd import TruncatedSVD
from lrrec.typing import Ids, MatrixLike


def from_sklearn(
    estimator: Any, *, items: Ids | None = None, seen: Interactions | MatrixLike | None = None
) -> TruncatedSVD | NMF:
    """Convert a fitted TruncatedSVD or NMF of scikit-learn; `components_` are the item factors.

    Parameters
    ----------
    estimator : sklearn.decomposition.TruncatedSVD or sklearn.decomposition.NMF
        Fitted to users x items. Of an NMF, the Frobenius loss without L1 penalty of the users (`l1_ratio` or `alpha_W`
        0).
    items : sequence of ids, shape (n_items,), optional
        Ids of the columns; the estimator's `feature_names_in_` or their indices when not given.
    seen : Interactions, pandas frame, or sparse matrix or array of shape (n_users, n_items), optional
        The users that `recommend` is to know, and the items that it excludes: the training matrix. Items of
        interactions and frames are matched by id. Without it, users are served by `recommend_from`.

    Returns
    -------
    TruncatedSVD or NMF
        Users are encoded as by `estimator.transform`: scores of a history x are x C^T C for a TruncatedSVD with
        `components_` C; an NMF solves the same problem to convergence, with a penalty of a millionth of the components'
        mean square in the place of none.

    Raises
    ------
    NotFittedError
    ParameterTypeError
        If the estimator is neither of the two.
    ParameterError
        If users of the NMF have another loss or penalty than those above.
    DataError
        If the components are not finite, or items are not as many as its columns.

    Examples
    --------
    >>> import sklearn.decomposition
    >>> from lrrec import Interactions
    >>> from lrrec.interop import from_sklearn
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> svd = sklearn.decomposition.TruncatedSVD(n_components=2, random_state=0).fit(train.matrix)
    >>> model = from_sklearn(svd, items=train.items.ids, seen=train)
    >>> model.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """
    from sklearn import decomposition

    if type(estimator) not in (decomposition.TruncatedSVD, decomposition.NMF):
        raise ParameterTypeError(
            f"estimator must be a TruncatedSVD or an NMF of scikit-learn, got {type(estimator).__name__}"
        )
    if not hasattr(estimator, "components_"):
        raise NotFittedError(f"{type(estimator).__name__} is not fitted: call its fit() before from_sklearn()")
    V, _ = as_factors(estimator.components_.T, "components_", None, "item")  # (n_items, D)
    if items is None:
        items = getattr(estimator, "feature_names_in_", None)
    item_ids = IdMap.range(len(V)) if items is None else IdMap(items)
    if len(item_ids) != len(V):
        raise DataError(f"items must have one id for each of {len(V)} columns, got {len(item_ids)}")
    if isinstance(estimator, decomposition.NMF):
        model: TruncatedSVD | NMF = NMF(V.shape[1], reg=_penalty(estimator, V))
    else:
        model = TruncatedSVD(V.shape[1], reg=0)
    data = Interactions(sp.csr_array((0, len(V)), dtype=np.float32), IdMap([]), item_ids)
    if seen is not None:
        data = model._usable(as_interactions(seen, item_ids, name="seen"), "seen").align_items(item_ids)
    model.item_factors_ = V
    model._remember(data, item_evidence=(V != 0).any(axis=1))
    model.user_factors_ = model._encode(data.matrix)
    return check_learned(model)


def _penalty(estimator: Any, V: np.ndarray) -> float:
    """The factor of |u|^2 in a user's loss |x - V u|^2."""
    if estimator.beta_loss not in ("frobenius", 2):
        raise ParameterError(
            f"estimator must have beta_loss='frobenius', got {estimator.beta_loss!r}: refit it with that"
        )
    if estimator.alpha_W and estimator.l1_ratio:
        raise ParameterError(
            f"estimator must have no L1 penalty of users, got alpha_W={estimator.alpha_W} and "
            f"l1_ratio={estimator.l1_ratio}: refit it with l1_ratio=0"
        )
    smallest = 1e-6 * float(np.square(V, dtype=np.float64).mean()) or 1e-6
    return max(float(estimator.alpha_W) * len(V), smallest)
