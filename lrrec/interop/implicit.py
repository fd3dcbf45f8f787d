"""Models of the library implicit: conversion to lrrec's, and a wrapper with lrrec's interface."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, NotFittedError, ParameterTypeError, UnknownIdError
from lrrec.interop.factors import from_factors
from lrrec.metrics import find_hits
from lrrec.models.base.candidates import from_ids
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.results import Recommendations, masked_ids
from lrrec.models.ials import IALS
from lrrec.models.popularity import Popularity
from lrrec.typing import ArrayLike, Ids, MatrixLike
from lrrec.validate import check_bool, check_int, check_option, first_three, import_extra

UNFILLED = np.finfo(np.float32).min  # implicit fills lists that are too short with excluded items of this score


def from_implicit(
    model: Any, *, users: Ids | None = None, items: Ids | None = None, seen: Interactions | MatrixLike | None = None
) -> IALS:
    """Convert a fitted model of the library implicit: ALS, BPR or logistic matrix factorization.

    Parameters
    ----------
    model : implicit.als.AlternatingLeastSquares
        Or `implicit.bpr.BayesianPersonalizedRanking`, or `implicit.lmf.LogisticMatrixFactorization`; fitted, on the CPU
        or a GPU.
    users, items : sequence of ids, optional
        Ids of the rows and columns of the training matrix; their indices when not given.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        The training matrix, so that `recommend` can exclude seen items.

    Notes
    -----
    For ALS, new users are folded in as by implicit's `recalculate_user`, with the same objective, alpha and
    regularization. The other models have no fold-in; they get that of `from_factors`. Scores of training users are
    those of implicit.

    Examples
    --------
    >>> from implicit.cpu.als import AlternatingLeastSquares
    >>> from scipy.sparse import csr_matrix
    >>> from lrrec import Interactions
    >>> from lrrec.interop import from_implicit
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> peer = AlternatingLeastSquares(factors=2, random_state=0)
    >>> peer.fit(csr_matrix(train.matrix), show_progress=False)
    >>> model = from_implicit(peer, users=train.users.ids, items=train.items.ids, seen=train)
    >>> model.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """
    if not (hasattr(model, "user_factors") and hasattr(model, "item_factors")):
        raise ParameterTypeError(f"model must be a matrix factorization of implicit, got {type(model).__name__}")
    if model.user_factors is None:
        raise NotFittedError(f"{type(model).__name__} is not fitted: call fit() before from_implicit()")
    U, V = (factors.to_numpy() if hasattr(factors, "to_numpy") else factors
            for factors in (model.user_factors, model.item_factors))  # fmt: skip
    options: dict[str, Any] = {}
    if hasattr(model, "alpha") and hasattr(model, "regularization"):
        options = {"objective": "hu", "alpha": model.alpha, "confidence": "alpha r"}
        options |= {"reg": model.regularization, "reg_exponent": 0.0}
    return from_factors(U, V, users=users, items=items, seen=seen, **options)


def to_implicit(model: FactorModel) -> Any:
    """Convert a fitted factor model to one of the library implicit, with the same factors.

    Parameters
    ----------
    model : FactorModel
        Biases are factors, as in lrrec.

    Returns
    -------
    implicit.cpu.als.AlternatingLeastSquares
        Its `recommend(rows, scipy.sparse.csr_matrix(model.seen_[rows]), N=k)` returns the indices and scores of
        `model.recommend`. Users and items are rows of `model.users_` and `model.items_`.

    Raises
    ------
    MissingDependencyError
        If implicit is not installed.
    DataError
        If the model was saved without histories.
    ParameterTypeError
        If the model is no factor model.

    Notes
    -----
    implicit knows no items without evidence and scores them as all others, mostly by 0: leave them out by
    `filter_items=np.flatnonzero(~model.item_evidence_)`. Its `recalculate_user` folds users in as lrrec does where the
    objective is that of implicit, `IALS(objective="hu", confidence="alpha r", reg_exponent=0)`; of other models it
    minimises that of `implicit.als` with default parameters.

    Examples
    --------
    >>> from scipy.sparse import csr_matrix
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.interop import to_implicit
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> peer = to_implicit(model)
    >>> rows = model.users_.indices(["bob"])
    >>> indices, scores = peer.recommend(rows, csr_matrix(model.seen_[rows]), N=1)
    >>> model.items_.ids[indices].tolist()
    [['y']]
    """
    if not isinstance(model, FactorModel):
        raise ParameterTypeError(f"model must be a factor model, got {type(model).__name__}")
    model._check_inner_products("to_implicit()")
    model._check_histories("to_implicit()")
    options: dict[str, Any] = {}
    if isinstance(model, IALS) and (model.objective, model.confidence, model.reg_exponent) == ("hu", "alpha r", 0):
        options = {"alpha": float(model.alpha), "regularization": float(model.reg)}
    als = import_extra("implicit.cpu.als", None, "to_implicit()")
    peer = als.AlternatingLeastSquares(model.item_factors_.shape[1], **options)
    peer.user_factors, peer.item_factors = model.user_factors_.copy(), model.item_factors_.copy()
    return peer


class ImplicitModel:
    """A wrapper of a fitted model of the library implicit, with the interface of an lrrec model.

    Recommendations are computed by implicit, so that `evaluate` and `compare` measure that library. (`from_implicit`
    makes an lrrec model of the factors instead, which can be saved and adapted.)

    Parameters
    ----------
    model : recommender of implicit
        Any of its matrix factorizations or nearest-neighbour models, fitted.
    data : Interactions, or sparse matrix of shape (n_users, n_items)
        The training data: model.fit(scipy.sparse.csr_matrix(data.matrix)). Their items are excluded as seen.

    Attributes
    ----------
    users_, items_ : IdMap
        The ids of the data.
    seen_ : csr_array, shape (n_users, n_items)

    Raises
    ------
    NotFittedError
    DataError
        If the model was fitted to another number of users or items.

    Examples
    --------
    >>> from implicit.cpu.als import AlternatingLeastSquares
    >>> from scipy.sparse import csr_matrix
    >>> from lrrec import Interactions
    >>> from lrrec.interop import ImplicitModel
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> peer = AlternatingLeastSquares(factors=2, random_state=0)
    >>> peer.fit(csr_matrix(train.matrix), show_progress=False)
    >>> ImplicitModel(peer, train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    def __init__(self, model: Any, data: Interactions | MatrixLike) -> None:
        if not (callable(getattr(model, "recommend", None)) and (hasattr(model, "item_factors") or _is_knn(model))):
            raise ParameterTypeError(f"model must be a recommender of implicit, got {type(model).__name__}")
        learned = model.similarity if _is_knn(model) else model.item_factors
        if learned is None:
            raise NotFittedError(f"{type(model).__name__} is not fitted: call its fit() before ImplicitModel()")
        data = as_interactions(data)
        n_users = data.n_users if _is_knn(model) else model.user_factors.shape[0]
        if (n_users, learned.shape[0]) != data.matrix.shape:
            raise DataError(
                f"data must be the training data of the model, ({n_users}, {learned.shape[0]}), got {data.matrix.shape}"
            )
        self.model = model
        self.users_, self.items_, self.seen_ = data.users, data.items, data.matrix
        self._popular = Popularity().fit(data.binarize())

    def recommend(
        self, users: Ids | None = None, k: int = 10, *, exclude_seen: bool = True, items: ArrayLike | None = None,
        unknown: str = "raise",
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of each known user, best first. As for `lrrec.Recommender.recommend`."""
        if users is None:
            users = self.users_.ids[np.diff(self.seen_.indptr) > 0]
        user_ids = as_ids(users, "users")
        rows = self.users_.find(user_ids)
        matrix = self.seen_[np.where(rows < 0, 0, rows)]
        cold = (rows < 0) | (np.diff(matrix.indptr) == 0)
        return self._recommend(user_ids, rows, matrix, cold, k, exclude_seen, items, unknown, new=False)

    def recommend_from(
        self, histories: Interactions | MatrixLike, k: int = 10, *, users: Ids | None = None,
        exclude_seen: bool = True, items: ArrayLike | None = None, unknown: str = "raise",
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of users from their histories. As for `lrrec.Recommender.recommend_from`.

        Raises
        ------
        ParameterTypeError
            If the model cannot serve new users: of the matrix factorizations only ALS can (`recalculate_user`).
        """
        data = as_interactions(histories, self.items_, name="histories", owner=type(self).__name__)
        matrix, ids, rows = data.align_items(self.items_).matrix, data.users, np.arange(data.n_users)
        if data is histories:
            rows = np.flatnonzero(np.diff(data.matrix.indptr))
        rows = rows if users is None else ids.indices(users)
        matrix = matrix[rows]
        cold = np.diff(matrix.indptr) == 0
        user_ids, rows = ids.ids[rows], np.arange(len(rows))
        return self._recommend(user_ids, rows, matrix, cold, k, exclude_seen, items, unknown, new=True)

    def _recommend(
        self, user_ids: np.ndarray, rows: np.ndarray, matrix: sp.csr_array, cold: np.ndarray, k: int,
        exclude_seen: bool, items: ArrayLike | None, unknown: str, new: bool,
    ) -> Recommendations:  # fmt: skip
        """Recommend to users with these rows of the model and histories (n, I); popular items to `cold` ones."""
        k, exclude_seen = check_int(k, "k", low=1), check_bool(exclude_seen, "exclude_seen")
        check_option(unknown, "unknown", ("raise", "popular"))
        if unknown == "raise" and cold.any():
            raise UnknownIdError(
                f"unknown users: {first_three(user_ids[cold])} have no interaction with items of the model",
                hint="pass unknown='popular' to recommend popular items to them",
            )
        shape = (len(user_ids), k)
        indices, scores = np.full(shape, -1, dtype=np.int32), np.zeros(shape, dtype=np.float32)
        candidates = from_ids(items, self.items_, user_ids)
        warm = np.flatnonzero(~cold)
        if candidates.own is None:
            blocks = [(warm, candidates.shared)]
        else:
            own = np.split(candidates.own.indices, candidates.own.indptr[1:-1])
            blocks = [(warm[[j]], np.sort(own[row])) for j, row in enumerate(warm)]
        for block, allowed in blocks:
            if len(block):
                ranked, values = self._rank(rows[block], matrix[block], k, exclude_seen, allowed, new)
                indices[block, : ranked.shape[1]], scores[block, : ranked.shape[1]] = ranked, values
        if cold.any():
            empty = sp.csr_array((int(cold.sum()), len(self.items_)), dtype=np.float32)
            shared_or_own = items if candidates.own is None else np.asarray(items)[cold]
            lists = self._popular.recommend_from(empty, k, items=shared_or_own, unknown="popular")
            indices[cold], scores[cold] = lists.indices, np.nan
        masked: np.ma.MaskedArray = np.ma.MaskedArray(scores, mask=(indices < 0) | np.isnan(scores))
        return Recommendations(scores=masked, users=user_ids, items=masked_ids(self.items_, indices), indices=indices)

    def _rank(
        self, rows: np.ndarray, matrix: sp.csr_array, k: int, exclude_seen: bool, items: np.ndarray | None, new: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Item indices and scores (n, at most k) as ranked by the model, -1 where no item is left."""
        try:
            ranked, scores = self.model.recommend(
                rows, sp.csr_matrix(matrix), N=min(k, len(self.items_)), filter_already_liked_items=exclude_seen,
                recalculate_user=new, items=items,
            )  # fmt: skip
        except NotImplementedError:
            raise ParameterTypeError(
                f"{type(self.model).__name__} of implicit cannot recommend to new users: evaluate it on a split whose "
                "test users are training users, or convert it with from_implicit()"
            ) from None
        ranked = np.where(scores > UNFILLED, ranked, -1)[:, :k]
        if exclude_seen:  # nearest-neighbour models fill up with seen items of score 0
            ranked[find_hits(ranked, matrix)] = -1
        return ranked, scores[:, :k]


def _is_knn(model: Any) -> bool:
    return hasattr(model, "similarity")
