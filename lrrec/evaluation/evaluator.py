"""evaluate: one model on one split, a value for every user, metric and cutoff."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.evaluation.ready_lists import METRICS, check_names, item_indices, refuse_repeats, relevance
from lrrec.evaluation.result import Evaluation
from lrrec.linalg.threads import even_blocks
from lrrec.metrics import ERRORS, count_hits, cutoff, find_hits, measure
from lrrec.models.base.results import Recommendations
from lrrec.splits import Split
from lrrec.splits.holdout import draw_negatives
from lrrec.validate import check_bool, check_int, check_rng, check_threads, first_three

TIED_SHARE = 0.05  # of users whose hit is tied with another candidate, before candidate lists draw a warning
BLOCK_PLACES = 2**22  # of the lists that a model is asked for at once


def evaluate(
    model: Any, split: Split, metrics: Sequence[str] = METRICS, *, exclude_seen: bool = True, candidates: Any = None,
    random_state: Any = 0,
) -> Evaluation:  # fmt: skip
    """Rank for every test user and compare with what is relevant to them.

    Parameters
    ----------
    model : Recommender, or any object with its `recommend` (for splits by user: `recommend_from`)
        Fitted on split.train. See Notes for what is asked of an object of yours.
    split : Split
        Users without a test interaction are left out.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        NAME@K, all from one ranking at the largest K; "auc", for which all candidates are ranked; "rmse" and "mae",
        for which the test interactions are predicted. See `lrrec.metrics`.
    exclude_seen : bool, default True
        Whether items of a user's history are kept out of the list.
    candidates : sequence of item ids or int, optional
        What is ranked: the whole catalogue, or the lists that the split brings, when not given; the given items, the
        same for all users; or each user's relevant items and this many others, drawn anew for each user.
    random_state : int, Generator or None, default 0
        Of the draw of candidates.

    Returns
    -------
    Evaluation

    Warns
    -----
    DataWarning
        If the model has learned from test interactions, recommends seen or unknown items, or owes hits to ties; and
        if users have candidates of their own, as of a sample only "auc" says what the whole catalogue would.

    Notes
    -----
    Published protocols with sampled negatives bring a list of candidates for each user: figures of those and of the
    whole catalogue cannot be compared, and two models may be in another order (Krichene & Rendle 2020, "On sampled
    metrics for item recommendation"). Every test interaction is relevant, whatever its value, and a candidate or
    not. Test users without any history are served what is popular, and counted.

    An object of yours needs one method, which returns a list of at most k item ids for each user, best first; lists
    may be of different lengths, None and masked places are skipped:

        recommend(users, k=..., exclude_seen=...)                                 where test users are training users
        recommend_from(history, users=..., k=..., exclude_seen=...)               for splits by user

    with `unknown="popular"` where some test users have no history, and `items=` where there are candidates: (m,), or
    (n_users, m), where an item that a row repeats counts once. It is asked once, or, for more than four million
    places, for some of the users at a time: memory is bounded by 150 MB. "rmse" and "mae" need `predict(users, items)`.

    Metrics cost next to nothing beside the ranking. "auc" sorts all candidates of every user, which takes as long as
    hundreds of short lists; candidates=1000 gives the same mean, up to chance, much sooner.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["ndcg@10"])
    >>> 0 < result.mean()["ndcg@10"] < 1
    True
    """
    if not isinstance(split, Split):
        raise DataError(
            f"split must be a Split, got {type(split).__name__}; make one with lrrec.splits, e.g. by_user(data)"
        )
    names = check_names(metrics)
    check_bool(exclude_seen, "exclude_seen")
    rows = split.test_rows
    if not len(rows):
        raise DataError("split must have at least one test interaction, got none")
    history_sizes = np.diff(split.history.matrix.indptr)[rows]
    pool = _pool(split, candidates, random_state)
    of_lists = [name for name in names if name not in ERRORS]
    values: dict[str, np.ndarray] = {}
    notes: list[str] = []
    if of_lists:
        task = _Task(split, of_lists, exclude_seen, pool, notes)
        values |= task.run(model, rows, history_sizes)
    protocol = _protocol(split, history_sizes, exclude_seen, pool, names)
    if len(of_lists) < len(names):
        errors, whose = _errors(model, split)
        values |= {name: ERRORS[name](errors, whose, len(rows)) for name in names if name in ERRORS}
        pooled = f"rmse {np.sqrt((errors**2).mean()):.4f}, mae {np.abs(errors).mean():.4f}"
        protocol["errors"] = f"a mean over each user's test interactions; over all {len(errors)} at once: {pooled}"
    if known := _n_learned(model, split):
        notes.append(
            f"the model has learned from {known} of {len(split.test)} test interactions; fit it on split.train"
        )
    for note in notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    return Evaluation(split.users.ids[rows], {name: values[name] for name in names}, history_sizes, protocol)


@dataclass(frozen=True)
class _Pool:
    """What is ranked: all (everything None), the same for every user, lists that the split brings, or a draw.

    shared (m,): ids. own (n_test_users, m): ids. n_drawn: how many others beside each user's relevant items.
    """

    words: str
    shared: np.ndarray | None = None
    own: np.ndarray | None = None
    n_drawn: int | None = None
    rng: np.random.Generator | None = None

    @property
    def of_each_user(self) -> bool:
        return self.own is not None or self.n_drawn is not None


def _pool(split: Split, candidates: Any, random_state: Any) -> _Pool:
    """The candidates asked for, or those of the split, or all items."""
    n_items = len(split.items)
    if split.candidates is not None:
        if candidates is not None:
            raise ParameterError("candidates must not be given for a split that brings its own")
        if split.candidates.ndim == 1:
            return _shared(split, split.candidates)
        return _Pool(f"{split.candidates.shape[1]} given items a user", own=split.candidates)
    if candidates is None:
        return _Pool(f"all {n_items:,} items")
    if isinstance(candidates, int | np.integer):
        n_drawn = check_int(candidates, "candidates", low=1)
        words = f"the relevant and {n_drawn} sampled of {n_items:,} items a user, neither relevant nor seen"
        if isinstance(random_state, int | np.integer):
            words += f" (random_state={random_state})"
        return _Pool(words, n_drawn=n_drawn, rng=check_rng(random_state))
    return _shared(split, candidates)


def _shared(split: Split, candidates: Any) -> _Pool:
    """The same candidates for all users."""
    shared = split.items.ids[np.unique(split.items.indices(candidates))]
    if not len(shared):
        raise ParameterError("candidates must name at least one item, got none")
    return _Pool(f"{len(shared):,} given items of {len(split.items):,}, the same for all users", shared=shared)


@dataclass(frozen=True)
class _Task:
    """Lists to be asked for and measured; what is to be warned of goes to notes."""

    split: Split
    names: list[str]
    exclude_seen: bool
    pool: _Pool
    notes: list[str]

    def run(self, model: Any, rows: np.ndarray, history_sizes: np.ndarray) -> dict[str, np.ndarray]:
        """The values of every metric of lists, one for each of the rows."""
        split, pool = self.split, self.pool
        method = "recommend_from" if split.folds_in else "recommend"
        if not callable(getattr(model, method, None)):
            raise DataError(f"model must have a method {method} for this split, got {type(model).__name__}")
        k = max(self._length(rows) if name == "auc" else cutoff(name) or 0 for name in self.names)
        options: dict[str, Any] = {"k": k, "exclude_seen": self.exclude_seen}
        if not history_sizes.all():
            options["unknown"] = "popular"
        out, n_threads = np.empty((len(rows), len(self.names))), check_threads(None)
        n_seen, n_tied, strange = 0, 0, []
        for start, stop, items in self._blocks(rows, k):
            some, block = rows[start:stop], slice(start, stop)
            users = split.users.ids[some]
            if items is not None:
                options["items"] = items
            if split.folds_in:
                lists = model.recommend_from(split.history, users=users, **options)
            else:
                lists = model.recommend(users, **options)
            places, unknown = _places(lists, split, users, k)
            strange.append(unknown)
            n_candidates = self._n_candidates(items, some, history_sizes[block]) if "auc" in self.names else None
            out[block], twice = measure(
                places, split.test.matrix, some, self.names, n_candidates=n_candidates, n_threads=n_threads
            )
            refuse_repeats(users[twice])
            if self.exclude_seen:
                n_seen += int(count_hits(places, split.history.matrix, some, n_threads=n_threads).sum())
            if (pool.own is not None or pool.shared is not None) and isinstance(lists, Recommendations):
                n_tied += _n_tied(lists, find_hits(places, split.test.matrix[some]))
        self._note(np.concatenate(strange), n_seen, n_tied / len(rows))
        return dict(zip(self.names, out.T.copy(), strict=True))

    def _note(self, strange: np.ndarray, n_seen: int, tied_share: float) -> None:
        """Say what about the lists changes the figures."""
        if len(strange):
            self.notes.append(f"{len(strange)} recommended items are not among the split's: {first_three(strange)}")
        if n_seen:
            self.notes.append(f"{n_seen} seen items are among the recommended although they were to be left out")
        if self.pool.of_each_user and set(self.names) != {"auc"}:
            self.notes.append(
                f"the candidates are {self.pool.words}: if these are a sample, figures other than auc are larger than "
                f"on all {len(self.split.items):,} items, and may put models in another order (Krichene & Rendle 2020)"
            )
        if tied_share > TIED_SHARE:
            self.notes.append(
                f"{tied_share:.0%} of users have a hit whose score equals another candidate's; ties go to "
                + ("the item index, so that these figures say little of the model" if self.pool.own is None else
                   "the place in the given list, where the relevant item often stands first, so these figures flatter "
                   "the model")
            )  # fmt: skip

    def _length(self, rows: np.ndarray) -> int:
        """How long a list of all candidates is."""
        pool = self.pool
        if pool.own is not None:
            return int(pool.own.shape[1])
        if pool.shared is not None:
            return len(pool.shared)
        n_items = len(self.split.items)
        if pool.n_drawn is None:
            return n_items
        return min(n_items, pool.n_drawn + int(np.diff(self.split.test.matrix.indptr)[rows].max()))

    def _blocks(self, rows: np.ndarray, k: int) -> Iterator[tuple[int, int, np.ndarray | None]]:
        """Users by blocks, with their candidates."""
        pool = self.pool
        width = k if pool.n_drawn is None else max(k, self._length(rows))
        for start, stop in even_blocks(len(rows), max(1, BLOCK_PLACES // width)):
            if pool.own is not None:
                yield start, stop, pool.own[start:stop]
            elif pool.n_drawn is not None:
                yield start, stop, self._draw(rows[start:stop], pool.n_drawn)
            else:
                yield start, stop, pool.shared

    def _draw(self, rows: np.ndarray, n_drawn: int) -> np.ndarray:
        """Ids of each user's relevant items and of n_drawn others, by rising index; filled up with repetitions."""
        test, history, n_items = self.split.test.matrix, self.split.history.matrix, len(self.split.items)
        lists = np.empty((len(rows), n_drawn + int(np.diff(test.indptr)[rows].max())), dtype=np.int64)
        for place, row in enumerate(rows):
            relevant = test.indices[test.indptr[row] : test.indptr[row + 1]]
            taken = np.union1d(relevant, history.indices[history.indptr[row] : history.indptr[row + 1]])
            assert self.pool.rng is not None
            drawn = draw_negatives(taken, n_items, n_drawn, self.split.users.ids[row], self.pool.rng)
            found = np.sort(np.concatenate((relevant, drawn)))
            lists[place, : len(found)], lists[place, len(found) :] = found, found[-1]
        return self.split.items.ids[lists]

    def _n_candidates(self, items: np.ndarray | None, rows: np.ndarray, history_sizes: np.ndarray) -> np.ndarray:
        """How many items may be in each list, (n,)."""
        n_items, history = len(self.split.items), self.split.history.matrix
        if items is None:
            return n_items - history_sizes * self.exclude_seen
        if items.ndim == 1:
            among = np.zeros(n_items, dtype=history.data.dtype)
            among[self.split.items.indices(items)] = 1
            seen = sp.csr_array((np.ones_like(history.data), history.indices, history.indptr), shape=history.shape)
            return len(items) - (seen @ among)[rows].astype(np.int64) * self.exclude_seen
        columns = np.sort(item_indices(items, self.split.items)[0], axis=1)
        columns[:, 1:][columns[:, 1:] == columns[:, :-1]] = -1
        return (columns >= 0).sum(axis=1) - count_hits(columns, history, rows) * self.exclude_seen


def _places(lists: Any, split: Split, users: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What was recommended, as indices of the split's items, int32 (n, k), negative where nothing was; unknown ids."""
    rows = lists.items if isinstance(lists, Recommendations) else lists
    if not hasattr(rows, "__len__") or len(rows) != len(users) or isinstance(rows, dict | str):
        shape = getattr(rows, "shape", type(rows).__name__)
        raise DataError(f"the model must return a list of items for each of {len(users)} users, got {shape}")
    places, unknown = item_indices(rows, split.items)
    if places.shape[1] > k:
        raise DataError(f"the model must return lists of at most {k} items, got shape {places.shape}")
    if places.shape[1] < k:
        places = np.pad(places, ((0, 0), (0, k - places.shape[1])), constant_values=-1)
    return places, unknown


def _errors(model: Any, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Predicted minus true value of each test interaction, and the place of its user among the test users, (N,)."""
    if split.folds_in:
        raise DataError("rmse and mae must be asked of a split whose test users are training users, e.g. splits.random")
    if not callable(getattr(model, "predict", None)):
        raise DataError(f"model must have a method predict for rmse and mae, got {type(model).__name__}")
    rows, matrix = split.test.rows(), split.test.matrix
    predicted = np.asarray(model.predict(split.users.ids[rows], split.items.ids[matrix.indices]), dtype=np.float64)
    if predicted.shape != rows.shape:
        raise DataError(f"the model must predict a value for each of {len(rows)} pairs, got shape {predicted.shape}")
    return predicted - matrix.data, np.searchsorted(split.test_rows, rows)


def _n_learned(model: Any, split: Split) -> int:
    """How many test interactions the model's training matrix holds."""
    if getattr(model, "users_", None) != split.users or getattr(model, "items_", None) != split.items:
        return 0
    return int(model.seen_.multiply(split.test.matrix).nnz)


def _n_tied(lists: Recommendations, hits: np.ndarray) -> int:
    """How many users have a hit whose score equals its neighbour's."""
    scores = lists.scores.filled(np.nan)
    equal = scores[:, 1:] == scores[:, :-1]
    tied = np.zeros(hits.shape, dtype=bool)
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    return int((tied & hits).any(axis=1).sum())


def _protocol(
    split: Split, history_sizes: np.ndarray, exclude_seen: bool, pool: _Pool, names: list[str]
) -> dict[str, str]:
    """What was done, in words."""
    n_cold = int((history_sizes == 0).sum())
    cold = f", {n_cold} of them without history (served what is popular)" if n_cold else ""
    return {
        "split": split.description,
        "relevance": relevance(split.test, split.test_rows),
        "candidates": pool.words,
        "cutoffs": ", ".join(names) + ", from one ranking",
        "seen items": "to be left out" if exclude_seen else "kept",
        "ties": "by item index" if pool.own is None else "by place in the given list",
        "users": f"{len(history_sizes)} with a test interaction{cold}; who has none is left out",
        "served from": "their history, folded in" if split.folds_in else "what the model learned of them",
    }
