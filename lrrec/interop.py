"""Models of other libraries as lrrec models: to recommend, evaluate, save and adapt."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data import frames, labels
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, FileFormatError, NotFittedError, ParameterTypeError, UnknownIdError
from lrrec.metrics import find_hits
from lrrec.models.base.candidates import from_ids
from lrrec.models.base.finite import check_learned
from lrrec.models.base.results import Recommendations, masked_ids
from lrrec.models.ials import IALS
from lrrec.models.popularity import Popularity
from lrrec.typing import ArrayLike, Ids, MatrixLike, PathLike
from lrrec.validate import (
    as_float32,
    as_path,
    check_bool,
    check_int,
    check_option,
    check_real,
    first_three,
    import_extra,
)

UNFILLED = np.finfo(np.float32).min  # implicit fills lists that are too short with excluded items of this score


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
    """
    users = labels.index_of(user_factors, "user_factors") if users is None else users
    items = labels.index_of(item_factors, "item_factors") if items is None else items
    U, names = _factors(user_factors, "user_factors", users, "user")
    V, _ = _factors(item_factors, "item_factors", items, "item", names)
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


def from_implicit(
    model: Any, *, users: Ids | None = None, items: Ids | None = None, seen: Interactions | MatrixLike | None = None
) -> IALS:
    """Convert a fitted model of the library implicit: ALS, BPR or logistic matrix factorization.

    Parameters
    ----------
    model : implicit.als.AlternatingLeastSquares, implicit.bpr.BayesianPersonalizedRanking or
            implicit.lmf.LogisticMatrixFactorization
        Fitted, on the CPU or a GPU.
    users, items : sequence of ids, optional
        Ids of the rows and columns of the training matrix; their indices when not given.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        The training matrix, so that `recommend` can exclude seen items.

    Notes
    -----
    For ALS, new users are folded in as by implicit's `recalculate_user`, with the same objective, alpha and
    regularization. The other models have no fold-in; they get that of `from_factors`. Scores of training users are
    those of implicit.
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


def from_spark(
    path: PathLike, *, alpha: float = 1.0, reg: float = 0.1, users: Ids | None = None, items: Ids | None = None,
    seen: Interactions | MatrixLike | None = None,
) -> IALS:  # fmt: skip
    """Read a saved model of Spark's ALS of implicit feedback (implicitPrefs=True), without Spark.

    Needs pyarrow. (Of a model of ratings the scores of training users are Spark's too, but new users are not folded in
    as by Spark.)

    Parameters
    ----------
    path : path
        The folder that `ALSModel.save` wrote, on this machine.
    alpha, reg : float, defaults 1.0 and 0.1
        `alpha` and `regParam` of the ALS: a saved model does not hold them.
    users, items : sequence of ids, optional
        What Spark's integers 0, 1, ... stand for, such as the `labels` of a StringIndexerModel; the integers themselves
        when not given.
    seen : Interactions or sparse matrix, shape (n_users, n_items), optional
        The training interactions, so that `recommend` can exclude seen items. Interactions are matched by id; the rows
        and columns of a matrix are the model's users and items, by rising integer.

    Returns
    -------
    IALS
        With objective="hu" and reg_exponent=1, by which new users are folded in as by Spark: training users whose
        values are all > 0 get their own factors.

    Raises
    ------
    FileFormatError
        If the folder holds no such model.
    """
    folder = as_path(path)
    try:
        files = sorted((folder / "metadata").glob("part-*"))
        kind = json.loads(files[0].read_text().splitlines()[0])["class"]
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        raise FileFormatError(f"path must be the folder of a saved Spark model, got {str(folder)!r}") from None
    if kind != "org.apache.spark.ml.recommendation.ALSModel":
        raise FileFormatError(f"path must be the folder of a saved ALSModel, got {kind!r}: pass the stage that is one")
    U, user_ids = _spark_factors(folder / "userFactors", users, "users")
    V, item_ids = _spark_factors(folder / "itemFactors", items, "items")
    return from_factors(
        U, V, users=user_ids, items=item_ids, seen=seen, objective="hu", alpha=alpha, reg=reg, reg_exponent=1.0
    )


def _spark_factors(folder: Path, labels: Ids | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The factors (n, D) in a folder of Parquet files, by rising integer, and the ids of their rows."""
    pyarrow_parquet = import_extra("pyarrow.parquet", None, "from_spark()")
    try:
        table = pyarrow_parquet.read_table(folder, columns=["id", "features"]).sort_by("id")
        rows, factors = table["id"].to_numpy(), frames.matrix_of_lists(table["features"])
    except (OSError, LookupError, TypeError, ValueError) as error:  # pyarrow's errors derive from these
        raise FileFormatError(f"{folder} must hold the Parquet files of factors: {error}") from None
    if labels is None:
        return factors, rows
    ids = as_ids(labels, name)
    if rows[0] < 0 or rows[-1] >= len(ids):
        raise DataError(f"{name} must have an id for each of Spark's integers up to {rows[-1]}, got {len(ids)}")
    return factors, ids[rows]


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


def _factors(
    values: Any, name: str, ids: Ids | None, unit: str, columns: IdMap | None = None
) -> tuple[np.ndarray, IdMap | None]:
    """A new finite float32 matrix, its rows those of ids where it is labelled, and the names of its columns, if any."""
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
