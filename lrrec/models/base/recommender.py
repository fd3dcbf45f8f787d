"""Recommender: the base of every model."""

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from lrrec import files
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, FileFormatError, NotFittedError, ParameterError
from lrrec.linalg.ranking import BLOCK_CELLS, Columns
from lrrec.linalg.threads import even_blocks
from lrrec.metrics import measure
from lrrec.models.base.finite import check_finite, check_learned
from lrrec.models.base.recommends import Recommends
from lrrec.splits import history_mask
from lrrec.typing import Ids, MatrixLike, PathLike
from lrrec.validate import check_columns, check_matrix, check_option

PREDICT_UNKNOWN = ("raise", "nan", "baseline")


class Recommender(Recommends, BaseEstimator):
    """A model that ranks items for users.

    A model stores its parameters in `__init__`, learns in `_fit(matrix)`, and scores in `_scores(encoded, columns)`.
    A user is encoded as their row of the matrix; a model with another encoding overrides `_encode` (histories) and
    `_training_users`.

    Attributes
    ----------
    users_, items_ : IdMap
        The ids of the training matrix's rows and columns.
    seen_ : csr_array, shape (n_users, n_items)
        The training matrix.
    item_counts_ : ndarray of int64, shape (n_items,)
        How many users interacted with each item.
    item_evidence_ : ndarray of bool, shape (n_items,)
        Which items the model can score: those with an interaction in the training data, and those known otherwise, by
        their features, imported factors or the base of an adapter. The others are never ranked by a score.
    """

    tuning_space: ClassVar[dict[str, Any] | None] = None  # of `lrrec.tune`, by parameter; None for no default

    _learned: tuple[str, ...] = ()  # names of the arrays that a saved model consists of, beside those above
    _learned_csr: tuple[str, ...] = ()  # names of its csr matrices, values > 0

    def _fit(self, matrix: sp.csr_array) -> None:
        """Check the parameters and learn from a canonical matrix; a model whose `fit` has options overrides `fit`."""
        raise NotImplementedError

    @abstractmethod
    def _scores(self, encoded: Any, columns: Columns) -> np.ndarray:
        """Return a new array of the scores of the items at columns for encoded users, float32 (B, len(columns))."""

    def _encode(self, matrix: sp.csr_array) -> Any:
        """Return users encoded for scoring, one row each, from their histories (B, I)."""
        return matrix

    def _training_users(self, rows: np.ndarray) -> Any:
        """Return training users encoded for scoring."""
        return self.seen_[rows]

    def _serves(self, rows: np.ndarray) -> np.ndarray:
        """Return which training users have data to recommend from."""
        return self.seen_.indptr[rows] < self.seen_.indptr[rows + 1]

    def default_tuning_space(self) -> dict[str, Any] | None:
        """Return the space that `lrrec.tune` searches by default: `tuning_space`, unless it depends on parameters."""
        return self.tuning_space

    def fit(self, X: Interactions | MatrixLike, y: None = None) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Values are weights >= 0; ids of a raw matrix are its indices.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        self
        """
        data = self._read(X)
        self._fit(data.matrix)
        return check_learned(self._remember(data))

    def _read(self, X: Interactions | MatrixLike) -> Interactions:
        """Return X as interactions, at least one."""
        data = as_interactions(X)
        if not len(data):
            raise DataError("X has no interaction: a model needs at least one interaction to learn from")
        return data

    def _remember(self, data: Interactions, item_evidence: np.ndarray | None = None) -> Self:
        """Store the training data and what derives from them; item_evidence is that of interactions when not given."""
        self.users_, self.items_, self.seen_ = data.users, data.items, data.matrix
        self.item_counts_ = np.bincount(data.matrix.indices, minlength=data.n_items)
        self.item_evidence_ = self.item_counts_ > 0 if item_evidence is None else item_evidence
        self.n_features_in_ = data.n_items
        return self

    def predict(self, users: Ids, items: Ids, *, unknown: str = "raise") -> np.ndarray:
        """Return the scores of pairs of users and items, float32 (n,).

        Parameters
        ----------
        users, items : sequence of ids, shape (n,)
        unknown : {"raise", "nan", "baseline"}, default "raise"
            For pairs with a user or an item that the model does not have: raise an error, return NaN, or (models of
            ratings) predict from the half that is known: for `ALS` the mean rating plus the bias of the known user or
            item. Scores of other models are ranks within a user's list: there is no value to expect, hence an error.
        """
        self._check_fitted()
        check_option(unknown, "unknown", PREDICT_UNKNOWN)
        find = IdMap.indices if unknown == "raise" else IdMap.find
        rows, columns = find(self.users_, users), find(self.items_, items)
        if len(rows) != len(columns):
            raise DataError(f"users and items must be equally long, got {len(rows)} and {len(columns)}")
        known = (rows >= 0) & (columns >= 0)
        out = np.full(len(rows), np.nan, dtype=np.float32)
        out[known] = self._predict(rows[known], columns[known])
        check_finite(out[known])
        if unknown == "baseline":
            out[~known] = self._predict_baseline(rows[~known], columns[~known])
        return out

    def _predict_baseline(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return what to expect of pairs of indices, of which one or both are -1 for unknown."""
        raise ParameterError(
            f"unknown='baseline' needs a model of ratings such as ALS, got {type(self).__name__}: pass unknown='nan'"
        )

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the scores of pairs of indices, from blocks of all items' scores."""
        out = np.empty(len(rows), dtype=np.float32)
        distinct, which = np.unique(rows, return_inverse=True)
        order = np.argsort(which, kind="stable")
        for start, stop in even_blocks(len(distinct), max(1, BLOCK_CELLS // len(self.items_))):
            scores = self._scores(self._training_users(distinct[start:stop]), slice(None))
            pairs = order[np.searchsorted(which[order], start) : np.searchsorted(which[order], stop)]
            out[pairs] = scores[which[pairs] - start, columns[pairs]]
        return out

    def score(self, X: Interactions | MatrixLike, y: None = None) -> float:
        """Return the mean nDCG@10 of recommending the rest of each row of X from its first part.

        The first part is 80 % of a row's interactions, the earliest where X has times and otherwise always the
        same random ones. Rows with fewer than two interactions are left out. For reports use `evaluate`.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
        y : None
            Ignored.
        """
        self._check_fitted()
        matrix, _ = self._histories(X)
        counts = np.diff(matrix.indptr)
        if not (counts >= 2).any():
            raise DataError("no row of X has two items of the model: score needs one to recommend from and one to find")
        times = X.times if isinstance(X, Interactions) and matrix is X.matrix else None
        rows = Interactions(matrix, IdMap.range(len(counts)), self.items_, times)
        rows = rows.filter(np.repeat(counts >= 2, counts))
        key = np.random.default_rng(0).random(len(rows)) if rows.times is None else rows.times
        first = history_mask(rows, 0.8, key)
        return self._ndcg(rows.filter(first), rows.filter(~first))

    def _ndcg(self, history: Interactions, test: Interactions, k: int = 10) -> float:
        """Return the mean nDCG@k over users with history and test interactions; the two share their id maps."""
        users = (np.diff(history.matrix.indptr) > 0) & (np.diff(test.matrix.indptr) > 0)
        if not users.any():
            raise DataError("no user has interactions in both history and test: choose another split")
        lists = self.recommend_from(history, k, users=history.users.ids[users], unknown="popular")
        values, _ = measure(lists.indices, test.matrix, np.flatnonzero(users), [f"ndcg@{k}"])
        return float(values.mean())

    def save(self, path: PathLike) -> None:
        """Write the fitted model to path, replacing it atomically; `lrrec.load` reads it.

        The file is in the safetensors format and holds no code. It contains the training matrix, which
        `recommend` needs to leave out what a user has seen.
        """
        self._check_fitted()
        arrays = {name: getattr(self, name) for name in (*self._learned, "item_evidence_")}
        arrays |= files.pack_ids("users_", self.users_) | files.pack_ids("items_", self.items_)
        for name in ("seen_", *self._learned_csr):
            arrays |= files.pack_csr(name, getattr(self, name))
        files.write(path, type(self).__name__, self.get_params(), arrays)

    @classmethod
    def _from_file(cls, path: PathLike, params: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Return a fitted model from a file's parameters and arrays, checked."""
        try:
            model = cls(**params)
        except TypeError as error:
            raise FileFormatError(f"{path} must have the parameters of {cls.__name__}: {error}") from None
        model.users_ = files.unpack_ids(path, "users_", arrays)
        model.items_ = files.unpack_ids(path, "items_", arrays)
        for name in ("seen_", *cls._learned_csr):
            setattr(model, name, files.unpack_csr(path, name, arrays))
        if model.seen_.shape != (len(model.users_), len(model.items_)):
            raise FileFormatError(f"{path}: seen_ must be users x items, got {model.seen_.shape}")
        known = arrays.pop("item_evidence_", np.ones(len(model.items_), dtype=bool) if not model.seen_.nnz else None)
        files.check_names(path, arrays, cls._learned)
        for name, array in arrays.items():
            setattr(model, name, array)
        model._remember(Interactions(model.seen_, model.users_, model.items_), known)
        model._check_array(path, "item_evidence_", (len(model.items_),), bool)
        model._check_loaded(path)
        return model

    def _check_loaded(self, path: PathLike) -> None:
        """Raise FileFormatError if the learned arrays are inconsistent."""

    def _check_array(self, path: PathLike, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> None:
        """Raise FileFormatError if a learned array has another shape or type, or is not finite."""
        array = getattr(self, name)
        if array.dtype != dtype or array.shape != shape:
            want = f"{np.dtype(dtype)} {shape}"
            raise FileFormatError(f"{path}: {name} must be {want}, got {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise FileFormatError(f"{path}: {name} must be finite, got NaN or infinity")

    def _histories(self, X: Interactions | MatrixLike) -> tuple[sp.csr_array, IdMap]:
        """Return histories as a matrix over the model's items, and the ids of its rows."""
        if not isinstance(X, Interactions):
            matrix = check_matrix(X)
            check_columns(matrix, len(self.items_), type(self).__name__)
            return matrix, IdMap.range(matrix.shape[0])
        aligned = X.align_items(self.items_)
        return aligned.matrix, aligned.users

    def _check_fitted(self) -> None:
        if not hasattr(self, "seen_"):
            raise NotFittedError(f"{type(self).__name__} must be fitted first: call fit(data)")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "seen_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.target_tags.required = False
        return tags
