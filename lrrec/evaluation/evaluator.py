"""evaluate: one model on one split, with a value for every user, metric and cutoff."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrrec.data.events import holds
from lrrec.data.features import FeaturesLike
from lrrec.data.labels import align, align_matrix
from lrrec.errors import DataError, DataWarning, UnknownIdError
from lrrec.evaluation.candidate_pool import CandidatePool
from lrrec.evaluation.evaluation_result import Evaluation
from lrrec.evaluation.list_reader import item_indices, refuse_repeats
from lrrec.evaluation.protocol import Protocol, split_fields, value_range
from lrrec.linalg.sparse import positive
from lrrec.metrics.beyond_accuracy import count_exposures
from lrrec.metrics.hits import count_hits, find_hits
from lrrec.metrics.measurement import catalogue_for, measure
from lrrec.metrics.registry import DEFAULT_METRICS, PER_LIST, check_names, parse
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import Recommendations
from lrrec.splits import Split
from lrrec.splits.split import check_split
from lrrec.typing import Ids, MatrixLike, RandomState
from lrrec.validate import check_bool, check_threads, first_three

SAME_PEOPLE = 0.5  # share of what users have that a model must hold, before equal ids are taken for the same people
TIED_SHARE = 0.05  # of users whose hit has the score of another candidate, before candidate lists draw a warning


def evaluate(
    model: Any, split: Split, *, metrics: Sequence[str] = DEFAULT_METRICS, exclude_seen: bool | None = None,
    candidates: Ids | int | None = None, vectors: MatrixLike | None = None, random_state: RandomState = 0,
    user_features: FeaturesLike | None = None,
) -> Evaluation:  # fmt: skip
    """Rank for every test user and compare with what is relevant to them.

    Parameters
    ----------
    model : Recommender, or any object with its `recommend` (for splits by user: `recommend_from`)
        Fitted on split.train. The Notes say what other objects need.
    split : Split
        Users without a test interaction are left out.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        Names of `lrrec.metrics.METRICS`, as NAME@K where they have a cutoff. Ranking metrics come from one ranking at
        the largest K; "auc" ranks all candidates; "rmse" and "mae" predict the test interactions; "novelty",
        "popularity", "diversity", "coverage" and "gini" describe the lists, whatever is relevant.
    exclude_seen : bool, optional
        Whether items of a user's history are kept out of the list: by default they are, unless the split keeps test
        interactions that repeat the history (`split.exclude_seen`).
    candidates : sequence of item ids or int, optional
        The items to rank: the whole catalogue, or the lists of the split, when not given; the given items,
        the same for all users; or each user's relevant items and this many others, drawn anew for each user.
    vectors : ndarray, sparse matrix or pandas frame, shape (n_items, D), optional
        The vectors that "diversity" compares: `item_factors_` of one model, or features; in the order of split.items,
        or with item ids as the frame's index.
    random_state : int, Generator or None, default 0
        Of the draw of candidates.
    user_features : pandas frame, or sparse matrix or array of shape (n_users, n_features), optional
        For a model that was fitted with them, and a split whose test users are new to it: a row for each of
        split.users, of a frame by user id. Other splits do not use them.

    Returns
    -------
    Evaluation

    Warns
    -----
    DataWarning
        If the model has learned from test interactions, recommends seen or unknown items, or owes hits to ties; if
        test interactions repeat the history and exclude_seen makes them misses; and if users have different
        candidates, as of a sample only "auc" estimates the value on the whole catalogue.

    Notes
    -----
    Published protocols with sampled negatives have a list of candidates for each user: their values cannot be
    compared with those on the whole catalogue, and two models may be in another order (Krichene & Rendle 2020, "On
    sampled metrics for item recommendation"). Every test interaction with a value > 0 is relevant, whether or not it
    is a candidate; ranking metrics of users without one are NaN, and not in the means. Test users without any history
    are served popular items, and counted. So are the places of a list for which an lrrec model has no evidence
    (unknown="popular"): lists of all models are equally long.

    Objects other than lrrec's models need one method, which returns a list of at most k item ids for each user, best
    first; lists may be of different lengths, None and masked places are skipped:

        recommend(users, k=..., exclude_seen=...)                                 if test users are training users
        recommend_from(history, users=..., k=..., exclude_seen=...)               for splits by user

    with `unknown="popular"` if some test users have no history, and `items=` if there are candidates: (m,), or
    (n_users, m), where an item that a row repeats counts once. It is called once, or, for more than four million
    places, for blocks of users: memory is bounded by 150 MB. "rmse" and "mae" need `predict(users, items)`.

    Metrics cost next to nothing beside the ranking. "auc" sorts all candidates of every user, which takes as long as
    hundreds of short lists; candidates=1000 gives the same mean, up to chance, much sooner.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["ndcg@10", "coverage@10"])
    >>> 0 < result.mean()["ndcg@10"] < 1
    True
    """
    names = check_names(metrics)
    check_split(split)
    exclude_seen = split.exclude_seen if exclude_seen is None else check_bool(exclude_seen, "exclude_seen")
    vectors, _ = align_matrix(vectors, split.items, "vectors")
    rows = split.test_rows
    if not len(rows):
        raise DataError("split must have at least one test interaction, got none")
    pool = CandidatePool.of(split, candidates, random_state)
    rating_names = [name for name in names if parse(name)[0].kind == "rating"]
    ranked_by = [name for name in names if name not in rating_names]
    ranking = _Ranking(model, split, ranked_by, exclude_seen, pool, vectors, user_features)
    values, overall = ranking.run()
    errors = _Errors.of(model, split) if rating_names else None
    if errors:
        values |= {name: parse(name)[0].function(errors.errors, errors.rows, len(rows)) for name in rating_names}
    ranking.notes += _notes_on_parts(model, split, exclude_seen)
    for note in ranking.notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    history_sizes = ranking.history_sizes
    protocol = Protocol(
        tuple(names), pool.candidates, len(rows), **split_fields(split),
        value_range=value_range(split.test.matrix.data), served_from="history" if split.folds_in else "training",
        exclude_seen=exclude_seen, n_cold=int((history_sizes == 0).sum()),
        n_errors=len(errors.errors) if errors else 0, pooled_errors=errors.pooled() if errors else {},
    )  # fmt: skip
    values = {name: values[name] for name in names if name in values}
    return Evaluation(split.users.ids[rows], values, history_sizes, protocol, overall)


class _Ranking:
    """The lists of a model for all test users, measured block by block; `notes` are warnings about them."""

    def __init__(
        self, model: Any, split: Split, names: list[str], exclude_seen: bool, pool: CandidatePool, vectors: Any,
        user_features: Any,
    ) -> None:  # fmt: skip
        self.user_features, _ = align_matrix(user_features, split.users, "user_features", "user")
        self.model, self.split, self.exclude_seen, self.pool = model, split, exclude_seen, pool
        self.rows = split.test_rows
        self.history_sizes = np.diff(split.history.matrix.indptr)[self.rows]
        self.metrics = {name: parse(name) for name in names}
        self.per_list = [name for name, (metric, _) in self.metrics.items() if metric.kind in PER_LIST]
        self.k = max((pool.length(self.rows) if k is None else k for _, k in self.metrics.values()), default=0)
        self.catalogue = catalogue_for(names, split.train.matrix, vectors)
        cutoffs = {k for metric, k in self.metrics.values() if metric.kind == "catalogue"}
        self.exposures = {k: np.zeros(len(split.items), dtype=np.int64) for k in cutoffs}
        self.notes: list[str] = []
        self.unknown: list[np.ndarray] = []
        self.n_seen = self.n_tied = 0

    def run(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Return the metrics with a value per list, and those of all lists together."""
        if not self.metrics:
            return {}, {}
        method = "recommend_from" if self.split.folds_in else "recommend"
        if not callable(getattr(self.model, method, None)):
            raise DataError(f"model must have a method {method} for this split, got {type(self.model).__name__}")
        values = np.empty((len(self.rows), len(self.per_list)))
        for block, items in self.pool.blocks(self.rows, self.k):
            values[block] = self._measure(self._recommend(block, items), block, items)
        self._note()
        overall = {
            name: float(metric.function(self.exposures[k]))
            for name, (metric, k) in self.metrics.items() if metric.kind == "catalogue"
        }  # fmt: skip
        return dict(zip(self.per_list, values.T.copy(), strict=True)), overall

    def _recommend(self, block: slice, items: np.ndarray | None) -> Any:
        """The model's lists for a block of users, who have the candidates `items`."""
        users = self.split.users.ids[self.rows[block]]
        options: dict[str, Any] = {"k": self.k, "exclude_seen": self.exclude_seen}
        has_likes = np.diff(positive(self.split.history.matrix).indptr)[self.rows]
        if isinstance(self.model, Recommender) or not has_likes.all():
            options["unknown"] = "popular"
        if items is not None:
            options["items"] = items
        if self.split.folds_in:
            if self.user_features is not None:
                options["user_features"] = self.user_features
            return self.model.recommend_from(self.split.history, users=users, **options)
        return self.model.recommend(users, **options)

    def _measure(self, lists: Any, block: slice, items: np.ndarray | None) -> np.ndarray:
        """The metrics of each list of a block, (n, M)."""
        rows, split, n_threads = self.rows[block], self.split, check_threads(None)
        users = split.users.ids[rows]
        places, unknown = _places(lists, split, users, self.k)
        self.unknown.append(unknown)
        sizes = self.pool.sizes(items, rows, self.exclude_seen) if "auc" in self.per_list else None
        values, repeats = measure(
            places, self.pool.relevant, rows, self.per_list, n_candidates=sizes, catalogue=self.catalogue,
            n_threads=n_threads,
        )  # fmt: skip
        refuse_repeats(users[repeats])
        for k, exposures in self.exposures.items():
            exposures += count_exposures(places[:, :k], len(split.items))
        if self.exclude_seen:
            self.n_seen += int(count_hits(places, split.history.matrix, rows, n_threads=n_threads).sum())
        if self.pool.candidates.kind in ("given", "given per user") and isinstance(lists, Recommendations):
            self.n_tied += _n_tied(lists, find_hits(places, self.pool.relevant[rows]))
        return values

    def _note(self) -> None:
        """Note what about the lists changes the values."""
        unknown, candidates, tied_share = (
            np.concatenate(self.unknown),
            self.pool.candidates,
            self.n_tied / len(self.rows),
        )
        if len(unknown):
            self.notes.append(f"{len(unknown)} recommended items are not among the split's: {first_three(unknown)}")
        if self.n_seen:
            self.notes.append(f"{self.n_seen} seen items are among the recommended although they were to be left out")
        if candidates.per_user and set(self.metrics) != {"auc"}:
            self.notes.append(
                f"the candidates are {candidates.describe()}: if these are a sample, values of metrics other than auc "
                f"are larger than on all {candidates.n_items:,} items, and may put models in another order (Krichene & "
                "Rendle 2020)"
            )
        if tied_share > TIED_SHARE:
            self.notes.append(
                f"{tied_share:.0%} of users have a hit whose score equals another candidate's; ties go to "
                + ("the place in the given list, where the relevant item often stands first, so these values flatter "
                   "the model" if candidates.kind == "given per user" else
                   "the item index, so that these values say little of the model")
            )  # fmt: skip


def _places(lists: Any, split: Split, users: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists as indices of the split's items, int32 (n, k), negative for an empty place; and the unknown ids."""
    rows = lists.items if isinstance(lists, Recommendations) else align(lists, users, "the lists of the model")
    if not hasattr(rows, "__len__") or len(rows) != len(users) or isinstance(rows, dict | str):
        shape = getattr(rows, "shape", type(rows).__name__)
        raise DataError(f"the model must return a list of items for each of {len(users)} users, got {shape}")
    places, unknown = item_indices(rows, split.items)
    if places.shape[1] > k:
        raise DataError(f"the model must return lists of at most {k} items, got shape {places.shape}")
    if places.shape[1] < k:
        places = np.pad(places, ((0, 0), (0, k - places.shape[1])), constant_values=-1)
    return places, unknown


class _Errors:
    """Predicted minus true value of each test interaction, (N,), and the place of its user among the test users."""

    def __init__(self, errors: np.ndarray, rows: np.ndarray) -> None:
        self.errors, self.rows = errors, rows

    @classmethod
    def of(cls, model: Any, split: Split) -> "_Errors":
        """The errors of a model."""
        if split.folds_in:
            raise DataError("rmse and mae need a split whose test users are training users, such as splits.random")
        if not callable(getattr(model, "predict", None)):
            raise DataError(f"model must have a method predict for rmse and mae, got {type(model).__name__}")
        rows, matrix = split.test.rows(), split.test.matrix
        predicted = model.predict(split.users.ids[rows], split.items.ids[matrix.indices])
        predicted = np.asarray(predicted, dtype=np.float64)
        if predicted.shape != rows.shape:
            raise DataError(
                f"the model must predict a value for each of {len(rows)} pairs, got shape {predicted.shape}"
            )
        return cls(predicted - matrix.data, np.searchsorted(split.test_rows, rows))

    def pooled(self) -> dict[str, float]:
        """The rating metrics over all test interactions at once."""
        return {"rmse": float(np.sqrt((self.errors**2).mean())), "mae": float(np.abs(self.errors).mean())}


def _notes_on_parts(model: Any, split: Split, exclude_seen: bool) -> list[str]:
    """Warnings of what the training data of the model, or the history, share with the test part."""
    notes, n_learned = [], _n_learned(model, split)
    if n_learned:
        notes.append(
            f"the model has learned from {n_learned} of {len(split.test)} test interactions (by equal ids of users and "
            "items); fit it on split.train"
        )
    if exclude_seen and split.n_repeats:
        notes.append(
            f"{split.n_repeats} of {len(split.test)} test interactions are of items that their users have in the "
            "history, which exclude_seen=True keeps out of the lists: pass exclude_seen=False, or make the split with "
            "repeats='drop'"
        )
    return notes


def _n_learned(model: Any, split: Split) -> int:
    """How many test interactions the model's training matrix holds by their ids, kept repeats of the history apart."""
    if not all(hasattr(model, name) for name in ("users_", "items_", "seen_")):
        return 0
    rows, columns = split.test.rows(), split.test.matrix.indices
    if not split.exclude_seen:
        new = ~holds(split.history.matrix, rows, columns)
        rows, columns = rows[new], columns[new]
    learned = _held(model, split, rows, columns)
    if not learned.any() or model.users_ == split.users or learned.mean() > SAME_PEOPLE:
        return int(learned.sum())
    some = split.test_rows[:1000]
    history = split.history.matrix[some]
    known = _held(model, split, np.repeat(some, np.diff(history.indptr)), history.indices)
    return int(learned.sum()) if known.sum() > SAME_PEOPLE * len(known) else 0


def _held(model: Any, split: Split, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Whether the model has learned each interaction of a split, of the users whom it knows by id, bool (n,)."""
    try:
        rows = model.users_.find(split.users.ids)[rows]
        columns = model.items_.find(split.items.ids)[columns]
    except UnknownIdError:  # strings and integers: nobody in common
        return np.zeros(0, dtype=bool)
    held = columns[rows >= 0] >= 0
    held[held] = holds(model.seen_, *(indices[(rows >= 0) & (columns >= 0)] for indices in (rows, columns)))
    return held


def _n_tied(lists: Recommendations, hits: np.ndarray) -> int:
    """How many users have a hit whose score equals its neighbour's."""
    scores = lists.scores.filled(np.nan)
    equal = scores[:, 1:] == scores[:, :-1]
    tied = np.zeros(hits.shape, dtype=bool)
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    return int((tied & hits).any(axis=1).sum())
