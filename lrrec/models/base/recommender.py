"""Recommender: the base of every model."""

from abc import abstractmethod
from copy import copy
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.data.growth import check_labelled, grown
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.errors import DataError, FileFormatError, NotFittedError, ParameterError
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import positive
from lrrec.metrics import measure
from lrrec.models.base import model_files
from lrrec.models.base.auto_params import AutoParams
from lrrec.models.base.estimator import BaseEstimator
from lrrec.models.base.explanation import Explains
from lrrec.models.base.finite import check_learned
from lrrec.models.base.one_fit import become, of_one_fit
from lrrec.models.base.predicts import Predicts
from lrrec.models.base.recommends import Recommends
from lrrec.models.base.values import has_likes, stored_zeros, usable
from lrrec.splits.parts import histories, inductive
from lrrec.typing import FileLike, MatrixLike, PathLike
from lrrec.validate import check_bool, warn


class Recommender(AutoParams, Explains, Predicts, Recommends, BaseEstimator):
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
    item_evidence_ : ndarray of bool, shape (n_items,)
        Which items the model can score: those with an interaction in the training data, and those known otherwise, by
        their features, imported factors or the base of an adapter. The others are never ranked by a score.

    Examples
    --------
    A model that ranks items by their place in the catalogue, the last first:

    >>> import numpy as np
    >>> from lrrec import Interactions, Recommender
    >>> class Last(Recommender):
    ...     def _fit(self, matrix):
    ...         self.places_ = np.arange(matrix.shape[1], dtype=np.float32)
    ...
    ...     def _scores(self, encoded, columns):
    ...         return np.tile(self.places_[columns], (encoded.shape[0], 1))
    >>> train = Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "z"])
    >>> Last().fit(train).recommend(["ann", "bob"], k=1).items.tolist()
    [['z'], ['y']]
    """

    users_: IdMap
    items_: IdMap
    seen_: sp.csr_array
    item_evidence_: np.ndarray
    tuning_space: ClassVar[dict[str, Any] | None] = None  # of `lrrec.tune`, by parameter; None for no default

    _values: ClassVar[str] = "positive"  # that it takes; see `lrrec.models.base.values`
    # Names of the arrays that a saved model consists of, beside those above. What has a default of the class, as the
    # maps from features have, is stored only where it was learned.
    _learned: tuple[str, ...] = ()
    _learned_csr: tuple[str, ...] = ()  # names of its matrices that may be csr ones
    _csr_values: ClassVar[str] = "positive"  # what these hold, see `lrrec.validate.are_of_kind`
    _learned_ids: tuple[str, ...] = ()  # names of its id maps
    _learned_encoders: tuple[str, ...] = ()  # names of its encoders of features, which may be None
    _scores_by_training_data = False  # whether scores of anybody need the training matrix itself, in files too
    _parts: ClassVar[str] = ""  # of a model made of models, the parameter that lists them; fitted: its name + "_"

    @classmethod
    @cache
    def _get_param_names(cls) -> list[str]:
        """The names of the parameters, read once for each class: a selector clones hundreds of adapters."""
        names: list[str] = super()._get_param_names()
        return names

    @property
    def _unused_params(self) -> tuple[str, ...]:
        """Parameters that do not tell models of the same arrays apart, as they have no influence on scores."""
        return ()

    @property
    def _scores_columns_apart(self) -> bool:
        """Whether scores of some columns after others take no longer than those of all at once."""
        return False

    @property
    def _predicts_ratings(self) -> bool:
        """Whether scores are ratings to expect, and not only an order of items."""
        return False

    def _unlearned(self) -> Self:
        """Return a copy with the same parameters and nothing that was learned: what `fit` begins from."""
        fresh = copy(self)
        for name in vars(self):
            if name.endswith("_") or name.startswith("_made_"):
                del fresh.__dict__[name]
        return fresh

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

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        """Return which training users have data to recommend from."""
        served = self.seen_.indptr[rows] < self.seen_.indptr[rows + 1]
        if self._values == "signed":  # dislikes alone recommend nothing
            served[served] = has_likes(self.seen_[rows[served]])
        return served

    @property
    def _takes_item_features(self) -> bool:
        """Whether `fit` has the option item_features."""
        return False

    def _described_users(self, user_features: Any, users: IdMap) -> np.ndarray:
        """Return the factors (n, D) that the features of users stand for."""
        raise ParameterError(
            "user_features must be for a model that was fitted with them: leave them out, or fit one, such as IALS, by "
            "fit(X, user_features=...)"
        )

    def _encode_toward(self, matrix: sp.csr_array, means: np.ndarray) -> np.ndarray:
        """Return the factors of users with histories (n, I) whose features stand for means (n, D)."""
        raise NotImplementedError

    @property
    def _takes_user_features(self) -> bool:
        """Whether `fit` has the option user_features."""
        return False

    def _feature_tuning_space(self) -> dict[str, Any]:
        """Return what `lrrec.tune` searches too where there are features of items."""
        return {}

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

        Examples
        --------
        >>> import lrrec
        >>> model = lrrec.ItemKNN().fit([[1, 1, 0], [0, 1, 1]])  # ids are the indices
        >>> model.users_.ids.tolist(), model.items_.ids.tolist()
        ([0, 1], [0, 1, 2])
        """
        data, fresh = self._read(X), self._unlearned()
        fresh._fit(data.matrix)
        return become(self, check_learned(fresh._remember(data)))

    def update(self, new: Interactions | MatrixLike, *, decay: float = 1.0) -> Self:
        """Add interactions to those that the model was fitted to, of old or new users and items.

        The users and items it has keep their indices; new ones come after them. How much of the model is learned anew
        depends on its kind: `IALS`, `ALS` and `NMF` solve for the users that have new interactions, and for new items
        and those of whose interactions at least a tenth are new; `NeuralMF` encodes users again, and places new items;
        a `Blend` updates its models and keeps its weights. All other models are fitted again, to all interactions.

        Parameters
        ----------
        new : Interactions, pandas frame, or sparse matrix or array of shape (n_users, n_items)
            Items are matched by id; the columns of a raw matrix are the model's items. Its rows are the users 0, 1, 2
            and so on, so that a model whose users have other ids refuses it. The value of a repeated interaction is
            added; of ratings it replaces the old one.
        decay : float in (0, 1], default 1.0
            Old values are multiplied by it first, so that recent interactions count more. All users and items are then
            solved for. Not for ratings.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If the model was saved without histories, or is compressed; or if it was fitted with features of items and
            `new` has new items: those come by `with_items` first.

        Notes
        -----
        After it, `recommend` and `recommend_from` agree for users with new interactions. Items and users that are not
        solved for keep their factors: the difference to a new fit grows with the share of new interactions, so
        fit again from time to time, e.g. when a tenth of all is new (`IALS.fit(warm_start=)`).

        Examples
        --------
        >>> from lrrec import Interactions, Popularity
        >>> model = Popularity().fit(Interactions.from_pairs(["ann", "bob"], ["x", "y"]))
        >>> model = model.update(Interactions.from_pairs(["bob", "cat"], ["z", "y"]))
        >>> model.items_.ids.tolist(), model.item_counts_.tolist()
        (['x', 'y', 'z'], [1, 2, 1])
        """
        fresh = copy(self)  # of one fit, whatever another thread does
        fresh._check_fitted()
        fresh._check_histories("update()")
        check_labelled(new, fresh.users_)
        added = fresh._usable(as_interactions(new, fresh.items_, name="new", owner=type(self).__name__), "new")
        old = Interactions(fresh.seen_, fresh.users_, fresh.items_)
        data = grown(old, added, decay=decay, ratings=fresh._values == "any")
        if not len(data):
            raise DataError("no interaction is left: old and new ones cancel each other")
        users, items = np.zeros(data.n_users, dtype=bool), np.zeros(data.n_items, dtype=np.int64)
        users[data.users.indices(added.users.ids[np.unique(added.rows())])] = True
        places, counts = np.unique(added.matrix.indices, return_counts=True)
        items[data.items.indices(added.items.ids[places])] = counts
        fresh._update(data, users | (decay < 1), items + len(data) * (decay < 1))
        return become(self, check_learned(fresh))

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        """Become the model of data that have grown; users (n_users,): who has new interactions; items: how many."""
        self.fit(data)

    def _read(self, X: Interactions | MatrixLike) -> Interactions:
        """Return X as interactions, at least one; of ratings, with a warning where X holds zeros that are none."""
        if self._values == "any" and (zeros := stored_zeros(X)):
            warn(
                f"X has {zeros} zeros, which are no interactions in such a matrix. For ratings of 0 pass "
                "Interactions.from_frame(...), or a pivot table with NaN where there is no rating"
            )
        data = self._usable(as_interactions(X))
        if not len(data):
            raise DataError("X has no interaction: a model needs at least one interaction to learn from")
        return data

    def _usable(self, data: Interactions, name: str = "X") -> Interactions:
        """Return the interactions whose values the model takes; refuse others."""
        return usable(data, self._values, name, type(self).__name__, ratings=self._predicts_ratings)

    def _remember(
        self, data: Interactions, item_counts: np.ndarray | None = None, item_evidence: np.ndarray | None = None
    ) -> Self:
        """Store the training data and what derives from them, unless it is known."""
        self.users_, self.items_, self.seen_ = data.users, data.items, data.matrix
        if item_counts is None:
            item_counts = np.bincount(positive(data.matrix).indices, minlength=data.n_items)
        self.item_counts_ = item_counts
        if item_evidence is None:
            item_evidence = (item_counts > 0) | (np.bincount(data.matrix.indices, minlength=data.n_items) > 0)
        self.item_evidence_ = item_evidence
        self.n_features_in_: int = data.n_items
        return self

    @of_one_fit
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
        requested = history.users.ids[users]
        lists = self.recommend_from(history, k, users=requested, exclude_seen=exclude_seen, unknown="popular")
        values, _ = measure(lists.indices, relevant, np.flatnonzero(users), [f"ndcg@{k}"])
        return float(values.mean())

    @of_one_fit
    def save(self, path: FileLike, *, histories: bool = True, float16: bool = False) -> None:
        """Write the fitted model to path, replacing it atomically; `lrrec.load` reads it.

        The file is in the safetensors format, has a checksum, and holds no code.

        Parameters
        ----------
        path : path or binary file object
        histories : bool, default True
            Store the users, their factors and the training matrix, which `recommend` needs. Without them the file holds
            no user data: users are served by `recommend_from`.
        float16 : bool, default False
            Store learned arrays, sparse ones excepted, in half precision: half the size. They are float32 again when
            they are loaded, and not mapped into memory by `load(mmap=True)`. The loaded model is not this one:
            adapters that were fitted to this one are refused with it.

        Raises
        ------
        DataError
            If `lrrec.load` could not load the file: the class is not in `lrrec.models.MODELS`, or a parameter is
            neither a number, an array, a string nor None. A random_state that is a Generator is stored as None. Or if
            values are too large or too small for half precision.

        Examples
        --------
        >>> import tempfile
        >>> import lrrec
        >>> train = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
        >>> model = lrrec.EASE(reg=1).fit(train)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.lrrec", histories=False)  # without users: for recommend_from
        ...     loaded = lrrec.load(f"{folder}/model.lrrec")
        >>> loaded.recommend_from(train, users=["bob"], k=1).items.tolist()
        [['y']]
        """
        self._check_fitted()
        check_bool(float16, "float16")
        model_files.write(path, self, histories=check_bool(histories, "histories"), float16=float16)

    def _check_loaded(self, path: PathLike) -> None:
        """Raise FileFormatError if the learned arrays are inconsistent."""

    def _check_array(self, path: PathLike, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> None:
        """Raise FileFormatError if a learned array has another shape or type."""
        array = getattr(self, name)
        if array.dtype != dtype or array.shape != shape:
            want = f"{np.dtype(dtype)} {shape}"
            raise FileFormatError(f"{path}: {name} must be {want}, got {array.dtype} {array.shape}")

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
