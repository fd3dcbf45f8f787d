"""evaluate: one model on one split, a value for every user, metric and cutoff."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrrec.data import frames
from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.lists import Recommendations
from lrrec.metrics import find_hits, parse
from lrrec.splits import Split
from lrrec.validate import check_int, check_real, check_rng, first_three

METRICS = ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
TIED_SHARE = 0.05  # of users whose hit is tied with another candidate, before candidate lists draw a warning


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What an evaluation found, user by user.

    Attributes
    ----------
    users : ndarray of ids, shape (n,)
    values : dict of str to ndarray of float64, shape (n,)
        One value a user for each metric, in the order of `users`.
    history_sizes : ndarray of int, shape (n,)
        How many interactions were known of each user: 0 for those who were served what is popular.
    protocol : dict of str to str
        What was done: relevance, candidates, seen items, ties, users.
    """

    users: np.ndarray
    values: dict[str, np.ndarray]
    history_sizes: np.ndarray
    protocol: dict[str, str]

    def mean(self) -> dict[str, float]:
        """Return the mean over users of every metric."""
        return {name: float(per_user.mean()) for name, per_user in self.values.items()}

    def interval(
        self, level: float = 0.95, *, n_resamples: int = 1000, random_state: Any = 0
    ) -> dict[str, tuple[float, float]]:
        """Return a bootstrap interval for the mean of every metric.

        Users are drawn with replacement, the same for all metrics; the interval is between percentiles of the
        means of the draws. It speaks of the choice of users, not of the split or the model's random start. NaN for
        fewer than two users.

        Parameters
        ----------
        level : float in (0, 1), default 0.95
        n_resamples : int, default 1000
        random_state : int, Generator or None, default 0

        References
        ----------
        Efron & Tibshirani (1993), "An introduction to the bootstrap", ch. 13.
        """
        level = check_real(level, "level", low=0, high=1)
        n_resamples, rng = check_int(n_resamples, "n_resamples", low=1), check_rng(random_state)
        table = np.stack(list(self.values.values()), axis=1)  # (n, M)
        n = len(table)
        if n < 2:
            return dict.fromkeys(self.values, (np.nan, np.nan))
        means = np.empty((n_resamples, table.shape[1]))
        for draw in range(n_resamples):
            times = np.bincount(rng.integers(0, n, n), minlength=n)
            means[draw] = times @ table / n
        low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return {name: (float(a), float(b)) for name, a, b in zip(self.values, low, high, strict=True)}

    def summary(self, backend: str = "pandas") -> Any:
        """Return a frame with a row a metric: metric, mean, low, high (a 95 % bootstrap interval).

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        means, intervals = self.mean(), self.interval()
        columns = {
            "metric": np.array(list(means), dtype=object),
            "mean": np.array(list(means.values())),
            "low": np.array([intervals[name][0] for name in means]),
            "high": np.array([intervals[name][1] for name in means]),
        }
        return frames.make(columns, backend)

    def to_frame(self, backend: str = "pandas") -> Any:
        """Return a frame with a row a user: user and every metric.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        return frames.make({"user": self.users, **self.values}, backend)

    def __repr__(self) -> str:
        means, intervals = self.mean(), self.interval()
        lines = [f"Evaluation of {len(self.users):,} users, {self.protocol['candidates']}"]
        lines += [f"  {name:<14} {means[name]:.4f}  [{low:.4f}, {high:.4f}]" for name, (low, high) in intervals.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def evaluate(model: Any, split: Split, metrics: Sequence[str] = METRICS, *, exclude_seen: bool = True) -> Evaluation:
    """Rank for every test user and compare with what is relevant to them.

    Parameters
    ----------
    model : Recommender, or any object with its `recommend` (for splits by user: `recommend_from`)
        Fitted on split.train. See Notes for what is asked of an object of yours.
    split : Split
        Users without a test interaction are left out.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        NAME@K; see `lrrec.metrics`. All come from one ranking at the largest K.
    exclude_seen : bool, default True
        Whether items of a user's history are kept out of the list.

    Returns
    -------
    Evaluation

    Warns
    -----
    DataWarning
        If the model has learned from test interactions, recommends seen or unknown items, or owes hits to ties.

    Notes
    -----
    The candidates are the whole catalogue, unless the split brings a list for each user, as published protocols
    with sampled negatives do: figures of the two kinds cannot be compared (Krichene & Rendle 2020, "On sampled
    metrics for item recommendation"). Every test interaction is relevant, whatever its value. Test users without
    any history are served what is popular, and counted.

    An object of yours needs one method, which returns a list of at most k item ids for each user, best first; lists
    may be of different lengths, None and masked places are skipped:

        recommend(users, k=..., exclude_seen=...)                                 where test users are training users
        recommend_from(history, users=..., k=..., exclude_seen=...)               for splits by user

    with `unknown="popular"` where some test users have no history, and `items=` (n_users, n_candidates) where the
    split brings candidates.

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
    names = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(names, list | tuple | set) or not names:
        raise ParameterError(f"metrics must be a list of at least one metric, got {metrics!r}")
    parsed = {name: parse(name) for name in names}
    rows = split.test_rows
    if not len(rows):
        raise DataError("split must have at least one test interaction, got none")
    method = "recommend_from" if split.folds_in else "recommend"
    if not callable(getattr(model, method, None)):
        raise DataError(f"model must have a method {method} for this split, got {type(model).__name__}")
    users = split.users.ids[rows]
    history_sizes = np.diff(split.history.matrix.indptr)[rows]
    k = max(cutoff for _, cutoff in parsed.values())
    options: dict[str, Any] = {"k": k, "exclude_seen": exclude_seen}
    if not history_sizes.all():
        options["unknown"] = "popular"
    if split.candidates is not None:
        options["items"] = split.candidates
    if split.folds_in:
        lists = model.recommend_from(split.history, users=users, **options)
    else:
        lists = model.recommend(users, **options)

    found = _indices(lists, split, users, k)
    relevant = split.test.matrix[rows]
    hits, n_relevant = find_hits(found, relevant), np.diff(relevant.indptr)
    _warn_of_leaks(model, split)
    if exclude_seen and (n_seen := int(find_hits(found, split.history.matrix[rows]).sum())):
        _warn(f"{n_seen} seen items are among the recommended although they were to be left out")
    if split.candidates is not None and isinstance(lists, Recommendations):
        _warn_of_ties(lists, hits)
    values = {name: metric(hits[:, :cutoff], n_relevant) for name, (metric, cutoff) in parsed.items()}
    return Evaluation(users, values, history_sizes, _protocol(split, history_sizes, exclude_seen))


def _indices(lists: Any, split: Split, users: np.ndarray, k: int) -> np.ndarray:
    """What was recommended, as indices of the split's items (n, k), -1 where nothing was."""
    rows = lists.items if isinstance(lists, Recommendations) else lists
    if not hasattr(rows, "__len__") or len(rows) != len(users) or isinstance(rows, dict | str):
        shape = getattr(rows, "shape", type(rows).__name__)
        raise DataError(f"the model must return a list of items for each of {len(users)} users, got {shape}")
    if not isinstance(rows, np.ndarray):
        rows = _ragged(rows)
    if rows.ndim != 2 or rows.shape[1] > k:
        raise DataError(f"the model must return lists of at most {k} items, got shape {rows.shape}")
    places = np.full(rows.shape, -1, dtype=np.int64)
    filled = ~np.ma.getmaskarray(rows)
    places[filled] = split.items.find(np.ma.getdata(rows)[filled])
    strange = filled & (places < 0) & (np.ma.getdata(rows) != -1)
    if strange.any():
        example = np.ma.getdata(rows)[strange][0]
        _warn(f"{int(strange.sum())} recommended items are not among the split's, e.g. {example!r}")
    ordered = np.sort(places, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise DataError(f"a list must not hold an item twice, got that for {first_three(users[twice])}")
    return np.pad(places, ((0, 0), (0, k - rows.shape[1])), constant_values=-1)


def _ragged(rows: Any) -> np.ma.MaskedArray:
    """Lists of different lengths as a masked array of ids; None is masked."""
    listed = [[item for item in row if item is not None and item is not np.ma.masked] for row in rows]
    table = np.ma.masked_all((len(listed), max(map(len, listed), default=0)), dtype=object)
    for place, row in enumerate(listed):
        table[place, : len(row)] = row
    return table


def _warn(what: str) -> None:
    warnings.warn(what, DataWarning, stacklevel=4)


def _warn_of_leaks(model: Any, split: Split) -> None:
    """Say so when the model's training matrix holds test interactions."""
    if getattr(model, "users_", None) != split.users or getattr(model, "items_", None) != split.items:
        return
    n_known = model.seen_.multiply(split.test.matrix).nnz
    if n_known:
        _warn(f"the model has learned from {n_known} of {len(split.test)} test interactions; fit it on split.train")


def _warn_of_ties(lists: Recommendations, hits: np.ndarray) -> None:
    """Candidate lists often name the relevant item first, so it wins its ties: say so where that matters."""
    scores = lists.scores.filled(np.nan)
    equal = scores[:, 1:] == scores[:, :-1]
    tied = np.zeros(hits.shape, dtype=bool)
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    share = float((tied & hits).any(axis=1).mean())
    if share > TIED_SHARE:
        _warn(
            f"{share:.0%} of users have a hit whose score equals another candidate's; ties go to the place in the "
            "given list, where the relevant item often stands first, so these figures flatter the model"
        )


def _protocol(split: Split, history_sizes: np.ndarray, exclude_seen: bool) -> dict[str, str]:
    """What was done, in words."""
    lists, data = split.candidates, split.test.matrix.data
    n_cold = int((history_sizes == 0).sum())
    cold = f", {n_cold} of them without history (served what is popular)" if n_cold else ""
    values = f", whatever its value ({data.min():g} to {data.max():g})" if data.min() != data.max() else ""
    return {
        "split": split.description,
        "relevance": f"every test interaction{values}",
        "candidates": f"all {len(split.items):,} items" if lists is None else f"{lists.shape[1]} given items a user",
        "seen items": "to be left out" if exclude_seen else "kept",
        "ties": "by item index" if lists is None else "by place in the given list",
        "users": f"{len(history_sizes)} with a test interaction{cold}",
        "served from": "their history, folded in" if split.folds_in else "what the model learned of them",
    }
