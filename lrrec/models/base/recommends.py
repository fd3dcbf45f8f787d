"""Recommends: the lists of users from a model's scores, and what goes where a model has no evidence."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec import files
from lrrec.data.features import Features, FeaturesLike
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterError, ParameterTypeError, UnknownIdError
from lrrec.features.feature_encoder import encoded
from lrrec.linalg.ranking import Candidates, Columns, rank
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.candidates import from_ids
from lrrec.models.base.finite import check_finite
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.results import MAX_K, Recommendations, masked_ids
from lrrec.typing import ArrayLike, Ids, MatrixLike, PathLike
from lrrec.validate import check_bool, check_int, check_option, check_real, check_threads, first_three

UNKNOWN = ("raise", "mask", "popular")
ItemLists: TypeAlias = Ids | ArrayLike | Mapping[Any, Ids]  # items for all users, or a list for each


@dataclass(frozen=True)
class Options:
    """The checked options of a request; see `Recommender.recommend`."""

    k: int
    exclude_seen: bool
    candidates: Candidates
    threshold: float | None
    unknown: str
    n_threads: int

    @classmethod
    def of(
        cls, model: Any, users: np.ndarray, k: int, exclude_seen: bool, items: Any, exclude: Any, unknown_items: str,
        threshold: float | None, unknown: str, n_threads: int | None,
    ) -> Self:  # fmt: skip
        """Return the options of a request for some users."""
        return cls(
            check_int(k, "k", low=1, high=MAX_K),
            check_bool(exclude_seen, "exclude_seen"),
            from_ids(items, model.items_, users, exclude=exclude, unknown_items=unknown_items),
            None if threshold is None else check_real(threshold, "threshold"),
            check_option(unknown, "unknown", UNKNOWN),
            check_threads(n_threads),
        )

    def of_rows(self, rows: slice | np.ndarray) -> Self:
        """Return the options of some of the users."""
        return replace(self, candidates=self.candidates.of_rows(rows))

    def check_known(
        self, users: np.ndarray, cold: np.ndarray, why: str,
        hint: str = "pass unknown='popular' to recommend popular items to them",
    ) -> None:  # fmt: skip
        """Refuse users about whom nothing is known, unless the request says what to do."""
        if self.unknown == "raise" and cold.any():
            raise UnknownIdError(why.format(first_three(users[cold])), hint=hint)


class Recommends:
    """A recommender's lists: what a model scores, ranked; `Recommender` says what a model has to define."""

    def _mark_unsupported(self, scores: np.ndarray, encoded: Any) -> None:
        """Set scores (B, m) of encoded users to NaN where nothing connects user and item; refuse what overflowed."""

    def _supported_scores(self: Any, encoded: Any, columns: Columns) -> np.ndarray:
        """Return the scores as `_scores`, finite, or NaN where the model has no evidence for a user and an item."""
        return self._marked(self._scores(encoded, columns), encoded, columns)

    def _marked(self: Any, scores: np.ndarray, encoded: Any, columns: Columns) -> np.ndarray:
        """Return scores of the items at columns as `_supported_scores` does, marked in place."""
        self._mark_unsupported(scores, encoded)
        unknown = ~self.item_evidence_[columns]
        if unknown.any():
            scores[:, unknown] = np.nan
        return scores

    @of_one_fit
    def recommend(
        self: Any, users: Ids | None = None, k: int = 10, *, exclude_seen: bool = True, items: ItemLists | None = None,
        exclude: ItemLists | None = None, unknown_items: str = "raise", threshold: float | None = None,
        unknown: str = "raise", n_threads: int | None = None,
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of each training user, best first.

        Parameters
        ----------
        users : sequence of ids, shape (n,), optional
            Output order is input order; a repeated id gets repeated rows. By default every user with an interaction
            in the training data; with `unknown` "mask" or "popular" every user of the model.
        k : int, default 10
            Length of the lists. Places that cannot be filled are masked.
        exclude_seen : bool, default True
            Leave out the items that the user has in the training data.
        items : ids (m,), lists of ids for each user, or mapping of user id to list, optional
            Candidates: the only items that may be recommended. Lists for each user are an array (n, m) or a sequence
            of n sequences, of any lengths; a mapping has a list for every user. Of equal scores the smaller item index
            comes first; with a list for each user, the earlier in the list.
        exclude : ids (m,), lists of ids for each user, or mapping of user id to list, optional
            Items that may not be recommended, in the same forms; users that a mapping lacks have none. The `items` of
            other recommendations will do.
        unknown_items : {"raise", "ignore"}, default "raise"
            For ids in `items` and `exclude` that the model does not have.
        threshold : float, optional
            Leave out items with a smaller score.
        unknown : {"raise", "mask", "popular"}, default "raise"
            How lists without evidence are filled. "popular": the lists of users without an interaction in the training
            data, and the places of any list for which there is no item with evidence, are filled with the most popular
            items that may be recommended; these have no score (masked, NaN in frames), see `Recommendations.filled`.
            "mask": such lists and places are masked. "raise": as "mask", but such users raise an error.
        n_threads : int, optional
            All cores when None; the result is the same. (In another batch of users, scores may differ in their last
            digits.)

        Returns
        -------
        Recommendations

        Raises
        ------
        UnknownIdError
            If a user (with unknown="raise") or an item (with unknown_items="raise") is unknown.
        DataError
            If a score overflows.

        Notes
        -----
        O(n_items n_factors) a user for factor models. Memory is bounded by a block of scores a thread (32 MB),
        whatever the number of users. There is no evidence for an item that nobody interacted with (unless its factors
        are known otherwise, see `item_evidence_`), nor, in item-item models, for one that no weight connects with the
        user's history.

        Examples
        --------
        >>> from lrrec import EASE, Interactions
        >>> users, items = ["ann", "ann", "bob", "bob", "cat", "dan", "dan"], ["x", "y", "x", "z", "x", "x", "y"]
        >>> train = Interactions.from_pairs(users, items)
        >>> model = EASE(reg=1).fit(train)
        >>> model.recommend(["cat", "ann"], k=2).items.tolist()
        [['y', 'z'], ['z', None]]
        >>> model.recommend(["ann"], k=2, items=["x", "z"], exclude_seen=False).items.tolist()
        [['x', 'z']]
        >>> model.recommend(["new"], k=1, unknown="popular").items.tolist()
        [['x']]
        """
        self._check_fitted()
        check_bool(exclude_seen, "exclude_seen")
        check_option(unknown, "unknown", UNKNOWN)
        if users is None or (exclude_seen and unknown != "raise"):
            self._check_histories("recommend()", "" if unknown == "raise" else ", pass exclude_seen=False")
        ids = self._default_users(unknown) if users is None else as_ids(users, "users")
        ids = ids if len(ids) else self.users_.ids[:0]
        options = Options.of(self, ids, k, exclude_seen, items, exclude, unknown_items, threshold, unknown, n_threads)
        return self._recommend_known(ids, options)

    @of_one_fit
    def recommend_from(
        self: Any, histories: Interactions | MatrixLike | None, k: int = 10, *, users: Ids | None = None,
        exclude_seen: bool = True, items: ItemLists | None = None, exclude: ItemLists | None = None,
        unknown_items: str = "raise", threshold: float | None = None, unknown: str = "raise",
        user_features: FeaturesLike | None = None, n_threads: int | None = None,
    ) -> Recommendations:  # fmt: skip
        """Return the k best items of users described by their histories; the model does not change.

        Parameters
        ----------
        histories : Interactions, pandas frame, or sparse matrix or array of shape (n, n_items)
            Items are matched by id (columns of a frame), and items that the model does not have are ignored; the
            columns of a raw matrix are the model's items by position. None, with user_features: nobody has any.
        k, exclude_seen, items, exclude, unknown_items, threshold, n_threads
            As for `recommend`; seen items are those in the history.
        users : sequence of ids, optional
            Users of the histories, in output order. By default every row of a frame or raw matrix, and of Interactions
            every user with an interaction.
        unknown : {"raise", "mask", "popular"}, default "raise"
            As for `recommend`; users are unknown without an item of the model in their history, and without a feature.
        user_features : Features, frame, or sparse matrix or array of shape (n, n_features), optional
            For a model that was fitted with features of users: a row for each user of the histories, of a frame with
            its id in the index, or a table that the encoder of the fit reads. Users with a short history, or none, are
            served by them too.

        Examples
        --------
        >>> from lrrec import EASE, Interactions
        >>> users, items = ["ann", "ann", "bob", "bob", "cat", "dan", "dan"], ["x", "y", "x", "z", "x", "x", "y"]
        >>> train = Interactions.from_pairs(users, items)
        >>> model = EASE(reg=1).fit(train)
        >>> model.recommend_from(Interactions.from_pairs(["new", "new"], ["x", "y"]), k=1).items.tolist()
        [['z']]
        """
        self._check_fitted()
        user_features = encoded(user_features, getattr(self, "user_feature_encoder_", None))
        if histories is None:
            histories = _without_histories(user_features)
        matrix, ids = self._histories(histories)
        described = None if user_features is None else self._described_users(user_features, ids)
        if users is not None:
            rows = ids.indices(users)
        elif isinstance(histories, Interactions) and described is None:
            rows = np.flatnonzero(np.diff(histories.matrix.indptr))
        else:
            rows = np.arange(len(ids))
        requested = ids.ids[rows]
        options = Options.of(
            self, requested, k, exclude_seen, items, exclude, unknown_items, threshold, unknown, n_threads
        )
        matrix = matrix[rows]
        empty, cold = self._cold_histories(matrix)
        if described is not None:
            described = described[rows]
            known = described.any(axis=1)
            empty, cold = empty & ~known, cold & ~known
        options.check_known(requested, empty, "users {} have no item of the model in their history")
        of_users = self._encode(matrix) if described is None else self._encode_toward(matrix, described)
        return self._recommend(requested, lambda part: of_users[part], cold, matrix, np.arange(len(rows)), options)

    def _cold_histories(self: Any, matrix: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
        """Return which histories have no item, apart from dislikes, and which have none that the model knows about."""
        positives = positive(matrix) if self._values == "signed" else matrix
        with_evidence = np.concatenate(([0], np.cumsum(self.item_evidence_[positives.indices])))[positives.indptr]
        return np.diff(positives.indptr) == 0, np.diff(with_evidence) == 0

    @of_one_fit
    def recommend_all(
        self: Any, output: PathLike | Callable[[Recommendations], object], k: int = 10, *, exclude_seen: bool = True,
        items: ItemLists | None = None, exclude: ItemLists | None = None, unknown_items: str = "raise",
        threshold: float | None = None, unknown: str = "raise", n_threads: int | None = None,
    ) -> int:  # fmt: skip
        """Write the k best items of all users to a Parquet file; return the number of users.

        These are the users with an interaction; with `unknown` "mask" or "popular" every user of the model.

        Parameters
        ----------
        output : path, or function of Recommendations
            A file, replaced atomically, with the columns user, item, rank (from 1) and score; places that cannot be
            filled are left out. Needs pyarrow. Or what is called with the lists of some users after others.
        k : int, default 10
        exclude_seen, items, exclude, unknown_items, threshold, unknown, n_threads
            As for `recommend`.

        Notes
        -----
        Users are served and written by the ten thousand: memory does not grow with their number.

        Examples
        --------
        >>> from lrrec import EASE, Interactions
        >>> users, items = ["ann", "ann", "bob", "bob", "cat", "dan", "dan"], ["x", "y", "x", "z", "x", "x", "y"]
        >>> train = Interactions.from_pairs(users, items)
        >>> model = EASE(reg=1).fit(train)
        >>> model.recommend_all(print, k=1)
        Recommendations(4 users x 1 items)
        4
        """
        self._check_fitted()
        self._check_histories("recommend_all()")
        users = self._default_users(check_option(unknown, "unknown", UNKNOWN))
        options = Options.of(self, users, k, exclude_seen, items, exclude, unknown_items, threshold, unknown, n_threads)
        if isinstance(output, type):
            raise ParameterTypeError(f"output must be a path or a function of Recommendations, got {output!r}")
        with nullcontext(output) if callable(output) else files.parquet(output) as take:
            for start, stop in even_blocks(len(users), 10_000):
                lists = self._recommend_known(users[start:stop], options.of_rows(slice(start, stop)))
                take(lists if callable(output) else lists.to_frame("pyarrow"))
        return len(users)

    def _default_users(self: Any, unknown: str) -> np.ndarray:
        """Return the ids of the training users, those without an interaction only if the request says what they get."""
        ids: np.ndarray = self.users_.ids
        return ids[np.diff(self.seen_.indptr) > 0] if unknown == "raise" else ids

    def _recommend_known(self: Any, ids: np.ndarray, options: Options) -> Recommendations:
        """Recommend to training users."""
        rows = self.users_.find(ids)
        cold = (rows < 0) | ~self._can_serve(rows)
        why = "unknown users: {} have no interaction in the training data"
        without_histories = "the model was saved without histories: use recommend_from(histories)"
        options.check_known(ids, cold, why, *([] if len(self.users_) else [without_histories]))
        return self._recommend(ids, lambda part: self._training_users(rows[part]), cold, self.seen_, rows, options)

    def _recommend(
        self: Any, users: np.ndarray, encoded: Callable[[slice | np.ndarray], Any], cold: np.ndarray,
        seen: sp.csr_array, seen_rows: np.ndarray, options: Options,
    ) -> Recommendations:  # fmt: skip
        """Rank items for users in blocks; cold users (n,) have no evidence for any item.

        encoded(part) returns the encoded users of a part of `users`. seen_rows (n,): each user's row of `seen`, whose
        items are left out; -1 for none.
        """

        def score(block: slice, columns: Columns) -> np.ndarray:
            warm = np.flatnonzero(~cold[block])
            if len(warm) == block.stop - block.start:
                scores: np.ndarray = self._supported_scores(encoded(block), columns)
                return scores
            scores = np.full((block.stop - block.start, len(self.item_counts_[columns])), np.nan, dtype=np.float32)
            if len(warm):
                scores[warm] = self._supported_scores(encoded(block.start + warm), columns)
            return scores

        popularity = None
        if options.unknown == "popular":
            popularity = np.where(self.item_counts_ > 0, self.item_counts_, -np.inf).astype(np.float32)
        indices, values = rank(
            score, len(users), len(self.items_), options.k, candidates=options.candidates, seen=seen,
            seen_rows=seen_rows if options.exclude_seen else None, threshold=options.threshold, popularity=popularity,
            n_threads=options.n_threads, columns_apart=self._scores_columns_apart,
        )  # fmt: skip
        unscored = np.isnan(values)
        check_finite(values[~unscored])
        scores = np.ma.MaskedArray(values, mask=unscored)
        return Recommendations(scores=scores, users=users, items=masked_ids(self.items_, indices), indices=indices)


def _without_histories(user_features: Any) -> Interactions:
    """Empty histories of the users who have these features, with the ids that label them."""
    if user_features is None:
        raise ParameterError("histories must be given, or user_features, got neither")
    if isinstance(user_features, Features):
        ids = user_features.ids
    elif isinstance(user_features, pd.DataFrame | pd.Series):
        ids = IdMap(as_ids(user_features.index, "the index of user_features"))
    elif isinstance(user_features, np.ndarray | list | tuple) or sp.issparse(user_features):
        ids = IdMap.range(np.shape(user_features)[0] if np.ndim(user_features) or sp.issparse(user_features) else 0)
    else:
        raise ParameterTypeError(
            f"user_features must be Features, a pandas frame, an array or a sparse matrix where histories is None, got "
            f"{type(user_features).__name__}"
        )
    return Interactions(sp.csr_array((len(ids), 0), dtype=np.float32), ids, IdMap([]))
