"""Models trained elsewhere become lrrec models, to be served, evaluated and adapted like any other."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, ParameterTypeError, UnknownIdError
from lrrec.metrics import find_hits
from lrrec.models.base.candidates import from_ids
from lrrec.models.base.results import Recommendations, masked_ids
from lrrec.models.ials import IALS
from lrrec.models.popularity import Popularity
from lrrec.validate import check_bool, check_columns, check_int, check_matrix, check_option, check_real, first_three

UNFILLED = np.finfo(np.float32).min  # what implicit scores a place at or below that it fills with what it left out


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


class ImplicitModel:
    """A fitted model of the library implicit as it is, with the questions and answers of an lrrec model.

    It ranks by its own code, so that `evaluate` and `compare` can take its measure. (`from_implicit` instead makes an
    lrrec model of its factors, to be saved, adapted and served by this library.)

    Parameters
    ----------
    model : recommender of implicit
        Any of its matrix factorizations or nearest-neighbour models, fitted.
    data : Interactions, or sparse matrix of shape (n_users, n_items)
        What it was fitted to: model.fit(scipy.sparse.csr_matrix(data.matrix)). Seen items are left out by it.

    Attributes
    ----------
    users_, items_ : IdMap
        The ids of the data.
    seen_ : csr_array, shape (n_users, n_items)

    Raises
    ------
    DataError
        If the model is not fitted, or to another number of users or items.
    """

    def __init__(self, model: Any, data: Any) -> None:
        if not (callable(getattr(model, "recommend", None)) and (hasattr(model, "item_factors") or _is_knn(model))):
            raise ParameterTypeError(f"model must be a recommender of implicit, got {type(model).__name__}")
        learned = model.similarity if _is_knn(model) else model.item_factors
        if learned is None:
            raise DataError(f"model must be fitted, got an unfitted {type(model).__name__}")
        data = as_interactions(data)
        n_users = data.n_users if _is_knn(model) else model.user_factors.shape[0]
        if (n_users, learned.shape[0]) != data.matrix.shape:
            raise DataError(
                f"data must be what the model was fitted to, ({n_users}, {learned.shape[0]}), got {data.matrix.shape}"
            )
        self.model = model
        self.users_, self.items_, self.seen_ = data.users, data.items, data.matrix
        self._popular = Popularity().fit(data)

    def recommend(
        self, users: Any = None, k: int = 10, *, exclude_seen: bool = True, items: Any = None, unknown: str = "raise"
    ) -> Recommendations:
        """Return the k best items of each known user, best first. As for `lrrec.Recommender.recommend`."""
        if users is None:
            users = self.users_.ids[np.diff(self.seen_.indptr) > 0]
        asked = as_ids(users, "users")
        rows = self.users_.find(asked)
        matrix = self.seen_[np.where(rows < 0, 0, rows)]
        cold = (rows < 0) | (np.diff(matrix.indptr) == 0)
        return self._lists(asked, rows, matrix, cold, k, exclude_seen, items, unknown, new=False)

    def recommend_from(
        self, histories: Any, k: int = 10, *, users: Any = None, exclude_seen: bool = True, items: Any = None,
        unknown: str = "raise",
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of users given by what they did. As for `lrrec.Recommender.recommend_from`.

        Raises
        ------
        ParameterTypeError
            If the model cannot serve new users: of the matrix factorizations only ALS can (`recalculate_user`).
        """
        if isinstance(histories, Interactions):
            known = histories.align_items(self.items_)
            matrix, ids, rows = known.matrix, known.users, np.flatnonzero(np.diff(histories.matrix.indptr))
        else:
            matrix = check_matrix(histories)
            check_columns(matrix, len(self.items_), type(self).__name__)
            ids, rows = IdMap.range(matrix.shape[0]), np.arange(matrix.shape[0])
        rows = rows if users is None else ids.indices(users)
        matrix = matrix[rows]
        cold = np.diff(matrix.indptr) == 0
        return self._lists(ids.ids[rows], np.arange(len(rows)), matrix, cold, k, exclude_seen, items, unknown, new=True)

    def _lists(
        self, asked: np.ndarray, rows: np.ndarray, matrix: sp.csr_array, cold: np.ndarray, k: int, exclude_seen: bool,
        items: Any, unknown: str, new: bool,
    ) -> Recommendations:  # fmt: skip
        """The lists of users with these rows of the model and histories (n, I); `cold` ones get what is popular."""
        k, exclude_seen = check_int(k, "k", low=1), check_bool(exclude_seen, "exclude_seen")
        check_option(unknown, "unknown", ("raise", "popular"))
        if unknown == "raise" and cold.any():
            raise UnknownIdError(
                f"unknown users: {first_three(asked[cold])} have nothing that the model knows; "
                "pass unknown='popular' to recommend what is popular"
            )
        indices, scores = np.full((len(asked), k), -1, dtype=np.int32), np.zeros((len(asked), k), dtype=np.float32)
        candidates = from_ids(items, self.items_, len(asked))
        warm = np.flatnonzero(~cold)
        if candidates.own is None:
            blocks = [(warm, candidates.shared)]
        else:
            blocks = [(warm[[place]], np.unique(own[own >= 0])) for place, own in enumerate(candidates.own[warm])]
        for block, some in blocks:
            if len(block):
                found, values = self._ask(rows[block], matrix[block], k, exclude_seen, some, new)
                indices[block, : found.shape[1]], scores[block, : found.shape[1]] = found, values
        if cold.any():
            nothing = sp.csr_array((int(cold.sum()), len(self.items_)), dtype=np.float32)
            some = items if candidates.own is None else np.asarray(items)[cold]
            lists = self._popular.recommend_from(nothing, k, items=some, unknown="popular")
            indices[cold], scores[cold] = lists.indices, lists.scores.filled(0)
        masked: np.ma.MaskedArray = np.ma.MaskedArray(scores, mask=indices < 0)
        return Recommendations(scores=masked, users=asked, items=masked_ids(self.items_, indices), indices=indices)

    def _ask(
        self, rows: np.ndarray, matrix: sp.csr_array, k: int, exclude_seen: bool, items: np.ndarray | None, new: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the model answers (n, at most k), -1 where it had nothing left."""
        try:
            found, scores = self.model.recommend(
                rows, sp.csr_matrix(matrix), N=min(k, len(self.items_)), filter_already_liked_items=exclude_seen,
                recalculate_user=new, items=items,
            )  # fmt: skip
        except NotImplementedError:
            raise ParameterTypeError(
                f"model must be able to serve new users, got {type(self.model).__name__}, which is not; evaluate it on "
                "a split whose test users are in training, or see from_implicit"
            ) from None
        found = np.where(scores > UNFILLED, found, -1)[:, :k]
        if exclude_seen:  # which the nearest-neighbour models list, with score 0, when they have nothing else left
            found[find_hits(found, matrix)] = -1
        return found, scores[:, :k]


def _is_knn(model: Any) -> bool:
    return hasattr(model, "similarity")


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
