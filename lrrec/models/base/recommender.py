"""Recommender: the base of every model."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from lrrec import files
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.data.labels import same_order
from lrrec.errors import DataError, FileFormatError, NotFittedError, UnknownIdError
from lrrec.linalg.ranking import BLOCK_CELLS, Columns, rank
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks
from lrrec.metrics import measure
from lrrec.models.base import model_files
from lrrec.models.base.candidates import from_ids
from lrrec.models.base.explanation import Explains
from lrrec.models.base.results import MAX_K, Recommendations, masked_ids
from lrrec.models.base.values import has_likes, usable
from lrrec.splits.parts import histories, inductive
from lrrec.typing import ArrayLike, FileLike, Ids, MatrixLike, PathLike
from lrrec.validate import check_bool, check_int, check_option, check_threads, first_three

UNKNOWN = ("raise", "popular")


class Recommender(Explains, BaseEstimator):
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
        How many users have a value > 0 of each item.
    """

    tuning_space: ClassVar[dict[str, Any] | None] = None  # of `lrrec.tune`, by parameter; None for no default

    _values: ClassVar[str] = "positive"  # that it takes; see `lrrec.models.base.values`
    _learned: tuple[str, ...] = ()  # names of the arrays that a saved model consists of, beside those above
    _learned_csr: tuple[str, ...] = ()  # names of its csr matrices, values > 0
    _learned_ids: tuple[str, ...] = ()  # names of its id maps

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
        served = self.seen_.indptr[rows] < self.seen_.indptr[rows + 1]
        if self._values == "signed":  # dislikes alone recommend nothing
            served[served] = has_likes(self.seen_[rows[served]])
        return served

    def default_tuning_space(self) -> dict[str, Any] | None:
        """Return the space that `lrrec.tune` searches by default: `tuning_space`, unless it depends on parameters."""
        return self.tuning_space

    def fit(self, X: Interactions | MatrixLike, y: None = None) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X : Interactions, pandas frame, or sparse matrix or array of shape (n_users, n_items)
            Values are weights > 0; ids are the labels of a frame (NaN: no interaction), the indices of a raw matrix.
        y : None
            Ignored; scikit-learn's pipelines pass it.

        Returns
        -------
        self
        """
        data = self._read(X)
        self._fit(data.matrix)
        return self._remember(data)

    def _read(self, X: Interactions | MatrixLike) -> Interactions:
        """Return X as interactions, at least one."""
        data = self._usable(as_interactions(X))
        if not len(data):
            raise DataError("X has no interaction: a model needs at least one interaction to learn from")
        return data

    def _usable(self, data: Interactions, name: str = "X") -> Interactions:
        """Return the interactions whose values the model takes; refuse others."""
        return usable(data, self._values, name, type(self).__name__)

    def _remember(self, data: Interactions, item_counts: np.ndarray | None = None) -> Self:
        """Store the training data and what derives from them, unless it is known."""
        self.users_, self.items_, self.seen_ = data.users, data.items, data.matrix
        if item_counts is None:
            item_counts = np.bincount(positive(data.matrix).indices, minlength=data.n_items)
        self.item_counts_ = item_counts
        self.n_features_in_ = data.n_items
        return self

    def recommend(
        self, users: Ids | None = None, k: int = 10, *, exclude_seen: bool = True, items: Ids | ArrayLike | None = None,
        unknown: str = "raise", n_threads: int | None = None,
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of each training user, best first.

        Parameters
        ----------
        users : sequence of ids, shape (n,), optional
            Output order is input order; a repeated id gets repeated rows. By default every user with an interaction
            in the training data.
        k : int, default 10
            Length of the lists. Places that cannot be filled are masked.
        exclude_seen : bool, default True
            Leave out the items that the user has in the training data.
        items : sequence of ids, shape (m,), or array of ids, shape (n, m), optional
            Candidates: the only items that may be recommended, the same for all users or a list for each. Of
            equal scores the smaller item index comes first; with a list for each user, the earlier in the list.
        unknown : {"raise", "popular"}, default "raise"
            For users without an interaction in the training data: raise an error, or recommend the most popular
            items.
        n_threads : int, optional
            All cores when None; the result is the same. (In another batch of users, scores may differ in their last
            digits.)

        Returns
        -------
        Recommendations

        Raises
        ------
        UnknownIdError
            If a user (unless unknown="popular") or a candidate item is unknown.

        Notes
        -----
        O(n_items n_factors) a user for factor models. Memory is bounded by a block of scores a thread (32 MB),
        whatever the number of users.
        """
        self._check_fitted()
        check_option(unknown, "unknown", UNKNOWN)
        check_bool(exclude_seen, "exclude_seen")
        if users is None or (exclude_seen and unknown == "popular"):
            self._check_histories("recommend()", ", pass exclude_seen=False" if unknown == "popular" else "")
        if users is None:
            users = self.users_.ids[np.diff(self.seen_.indptr) > 0]
        ids = as_ids(users, "users") if len(users) else self.users_.ids[:0]
        rows = self.users_.find(ids)
        cold = (rows < 0) | ~self._serves(rows)
        if unknown == "raise" and cold.any():
            raise UnknownIdError(
                f"unknown users: {first_three(ids[cold])} have no interaction in the training data",
                hint="pass unknown='popular' to recommend popular items to them"
                if len(self.users_)
                else "the model was saved without histories: use recommend_from(histories)",
            )

        seen_rows = rows if exclude_seen and (rows >= 0).any() else None
        return self._recommend(
            ids, k, lambda part: self._training_users(rows[part]), self.seen_, seen_rows, items, cold, n_threads
        )

    def recommend_from(
        self, histories: Interactions | MatrixLike, k: int = 10, *, users: Ids | None = None, exclude_seen: bool = True,
        items: Ids | ArrayLike | None = None, unknown: str = "raise", n_threads: int | None = None,
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of users described by their histories; the model does not change.

        Parameters
        ----------
        histories : Interactions, pandas frame, or sparse matrix or array of shape (n, n_items)
            Items are matched by id (columns of a frame), and items that the model does not have are ignored; the
            columns of a raw matrix are the model's items by position.
        k, exclude_seen, items, n_threads
            As for `recommend`; seen items are those in the history.
        users : sequence of ids, optional
            Users of the histories, in output order. By default every row of a frame or raw matrix, and of Interactions
            every user with an interaction.
        unknown : {"raise", "popular"}, default "raise"
            For users without an item of the model in their history: raise an error, or recommend the most popular
            items.
        """
        self._check_fitted()
        check_option(unknown, "unknown", UNKNOWN)
        check_bool(exclude_seen, "exclude_seen")
        matrix, ids = self._histories(histories)
        if users is not None:
            rows = ids.indices(users)
        elif isinstance(histories, Interactions):
            rows = np.flatnonzero(np.diff(histories.matrix.indptr))
        else:
            rows = np.arange(len(ids))
        requested = ids.ids[rows]
        said = positive(matrix) if self._values == "signed" else matrix
        cold = said.indptr[rows] == said.indptr[rows + 1]
        if unknown == "raise" and cold.any():
            raise UnknownIdError(
                f"users {first_three(requested[cold])} have no item of the model in their history",
                hint="pass unknown='popular' to recommend popular items to them",
            )

        encoded = self._encode(matrix[rows])
        seen_rows = rows if exclude_seen else None
        return self._recommend(requested, k, lambda part: encoded[part], matrix, seen_rows, items, cold, n_threads)

    def recommend_all(
        self, path: PathLike, k: int = 10, *, exclude_seen: bool = True, n_threads: int | None = None
    ) -> int:
        """Write the k best items of every user with an interaction to a Parquet file; return the number of users.

        The columns are user, item, rank (from 1) and score; places that cannot be filled are left out. Needs pyarrow.

        Parameters
        ----------
        path : path
            Replaced atomically.
        k : int, default 10
        exclude_seen : bool, default True
        n_threads : int, optional
            As for `recommend`.

        Notes
        -----
        Users are served and written by the ten thousand: memory does not grow with their number.
        """
        self._check_fitted()
        self._check_histories("recommend_all()")
        users = self.users_.ids[np.diff(self.seen_.indptr) > 0]
        with files.parquet(path) as write:
            for start in range(0, len(users), 10_000):
                some = users[start : start + 10_000]
                write(self.recommend(some, k, exclude_seen=exclude_seen, n_threads=n_threads).to_frame("pyarrow"))
        return len(users)

    def predict(self, users: Ids, items: Ids) -> np.ndarray:
        """Return the scores of pairs of training users and items, float32 (n,).

        Parameters
        ----------
        users, items : sequence of ids, shape (n,)
        """
        self._check_fitted()
        same_order(users=users, items=items)
        rows, columns = self.users_.indices(users), self.items_.indices(items)
        if len(rows) != len(columns):
            raise DataError(f"users and items must be equally long, got {len(rows)} and {len(columns)}")
        return self._predict(rows, columns)

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

        The first part is 80 % of a row's interactions, the earliest where X has times (equal times are drawn, with a
        warning) and otherwise always the same random ones. The rest is what is new to the user. Rows with fewer than
        two interactions are left out. For reports use `evaluate`.

        Parameters
        ----------
        X : Interactions, pandas frame, or sparse matrix or array of shape (n_users, n_items)
        y : None
            Ignored.
        """
        self._check_fitted()
        data = self._usable(as_interactions(X, self.items_, owner=type(self).__name__)).align_items(self.items_)
        counts = np.diff(data.matrix.indptr)
        if not (counts >= 2).any():
            raise DataError("no row of X has two items of the model: score needs one to recommend from and one to find")
        data, users = data.filter(np.repeat(counts >= 2, counts)), np.arange(data.n_users)
        params = {"order": "random" if data.times is None else "time"}
        first = histories(data, users, 0.8, params["order"], np.random.default_rng(0), "score")
        split = inductive(data, users, first, "score", params, 0, repeats="drop")
        return self._ndcg(split.history, split.test)

    def _ndcg(self, history: Interactions, test: Interactions, k: int = 10, *, exclude_seen: bool = True) -> float:
        """Return the mean nDCG@k over users with history and test interactions; the two share their id maps."""
        relevant = positive(test.matrix)
        served = has_likes(history.matrix) if self._values == "signed" else np.diff(history.matrix.indptr) > 0
        users = served & (np.diff(relevant.indptr) > 0)
        if not users.any():
            raise DataError("no user has interactions in both history and test: choose another split")
        lists = self.recommend_from(history, k, users=history.users.ids[users], exclude_seen=exclude_seen)
        values, _ = measure(lists.indices, relevant, np.flatnonzero(users), [f"ndcg@{k}"])
        return float(values.mean())

    def save(self, path: FileLike, *, histories: bool = True) -> None:
        """Write the fitted model to path, replacing it atomically; `lrrec.load` reads it.

        The file is in the safetensors format, has a checksum, and holds no code.

        Parameters
        ----------
        path : path or binary file object
        histories : bool, default True
            Store the users, their factors and the training matrix, which `recommend` needs. Without them the file holds
            no user data: users are served by `recommend_from`.

        Raises
        ------
        DataError
            If `lrrec.load` could not load the file: the class is not in `lrrec.models.CATALOGUE`, or a parameter is
            neither a number, an array, a string nor None. A random_state that is a Generator is stored as None.
        """
        self._check_fitted()
        model_files.write(path, self, histories=check_bool(histories, "histories"))

    def _check_loaded(self, path: PathLike) -> None:
        """Raise FileFormatError if the learned arrays are inconsistent."""

    def _check_array(self, path: PathLike, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> None:
        """Raise FileFormatError if a learned array has another shape or type."""
        array = getattr(self, name)
        if array.dtype != dtype or array.shape != shape:
            want = f"{np.dtype(dtype)} {shape}"
            raise FileFormatError(f"{path}: {name} must be {want}, got {array.dtype} {array.shape}")

    def _recommend(
        self, users: np.ndarray, k: int, encoded: Callable[[slice | np.ndarray], Any], seen: sp.csr_array,
        seen_rows: np.ndarray | None, items: Ids | ArrayLike | None, cold: np.ndarray, n_threads: int | None,
    ) -> Recommendations:  # fmt: skip
        """Rank items for users in blocks; cold users (n,) get the popular ones.

        encoded(part) returns the encoded users of a part of `users`. seen_rows (n,): each user's row of `seen`, whose
        items are left out; -1 for none.
        """

        def score(block: slice, columns: Columns) -> np.ndarray:
            warm = np.flatnonzero(~cold[block])
            if len(warm) == block.stop - block.start:
                return self._scores(encoded(block), columns)
            popularity = self.item_counts_[columns].astype(np.float32)
            scores = np.tile(popularity, (block.stop - block.start, 1))
            if len(warm):
                scores[warm] = self._scores(encoded(block.start + warm), columns)
            return scores

        k, n_threads = check_int(k, "k", low=1, high=MAX_K), check_threads(n_threads)
        candidates = from_ids(items, self.items_, len(users))
        indices, values = rank(
            score, len(users), len(self.items_), k,
            candidates=candidates, seen=seen, seen_rows=seen_rows, n_threads=n_threads,
        )  # fmt: skip
        scores = np.ma.MaskedArray(values, mask=indices < 0)
        return Recommendations(scores=scores, users=users, items=masked_ids(self.items_, indices), indices=indices)

    def _histories(self, X: Interactions | MatrixLike) -> tuple[sp.csr_array, IdMap]:
        """Return histories as a matrix over the model's items, and the ids of its rows."""
        aligned = self._usable(as_interactions(X, self.items_, owner=type(self).__name__)).align_items(self.items_)
        return aligned.matrix, aligned.users

    def _check_fitted(self) -> None:
        if not hasattr(self, "seen_"):
            raise NotFittedError(f"{type(self).__name__} must be fitted first: call fit(data)")

    def _check_histories(self, method: str, way_out: str = "") -> None:
        """Refuse what a model that was saved without histories cannot do."""
        if not len(self.users_):
            raise DataError(
                f"{method} needs the users' histories, and the model was saved without them: use "
                f"recommend_from(histories){way_out}, or save it with histories=True"
            )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "seen_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self._values == "positive"
        tags.target_tags.required = False
        return tags
