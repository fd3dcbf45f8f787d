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
from lrrec.validate import check_int, check_real, check_rng

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
    protocol : dict of str to str
        What was done: candidates, seen items, ties, users.
    """

    users: np.ndarray
    values: dict[str, np.ndarray]
    protocol: dict[str, str]

    def mean(self) -> dict[str, float]:
        """Return the mean over users of every metric."""
        return {name: float(per_user.mean()) for name, per_user in self.values.items()}

    def interval(
        self, level: float = 0.95, *, n_resamples: int = 1000, random_state: Any = 0
    ) -> dict[str, tuple[float, float]]:
        """Return a bootstrap interval for the mean of every metric.

        Users are drawn with replacement, the same for all metrics; the interval is between percentiles of the
        means of the draws. It speaks of the choice of users, not of the split or the model's random start.

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
    model : Recommender, or any object with its `recommend` (and `recommend_from`, for splits by user)
        Fitted on split.train.
    split : Split
        Users without a test interaction are left out.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        NAME@K; see `lrrec.metrics`. All come from one ranking at the largest K.
    exclude_seen : bool, default True
        Whether items of a user's history are kept out of the list.

    Returns
    -------
    Evaluation

    Notes
    -----
    The candidates are the whole catalogue, unless the split brings a list for each user, as published protocols
    with sampled negatives do: figures of the two kinds cannot be compared (Krichene & Rendle 2020, "On sampled
    metrics for item recommendation"). Test users without any history are served what is popular, and counted.

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
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if not names:
        raise ParameterError("metrics must name at least one metric, got none")
    parsed = {name: parse(name) for name in names}
    rows = split.test_rows
    if not len(rows):
        raise DataError("split must have at least one test interaction, got none")
    users = split.users.ids[rows]
    n_cold = int((np.diff(split.history.matrix.indptr)[rows] == 0).sum())
    k = max(cutoff for _, cutoff in parsed.values())
    options: dict[str, Any] = {"k": k, "exclude_seen": exclude_seen} | ({"unknown": "popular"} if n_cold else {})
    if split.candidates is not None:
        options["items"] = split.candidates
    if split.folds_in:
        lists = model.recommend_from(split.history, users=users, **options)
    else:
        lists = model.recommend(users, **options)

    relevant = split.test.matrix[rows]
    hits, n_relevant = find_hits(_indices(lists, split, len(rows), k), relevant), np.diff(relevant.indptr)
    if split.candidates is not None:
        _warn_of_ties(lists, hits)
    values = {name: metric(hits[:, :cutoff], n_relevant) for name, (metric, cutoff) in parsed.items()}
    return Evaluation(users, values, _protocol(split, len(rows), n_cold, exclude_seen))


def _indices(lists: Any, split: Split, n_users: int, k: int) -> np.ndarray:
    """What was recommended, as indices of the split's items (n, k), -1 where nothing was."""
    items = np.ma.asarray(lists.items if isinstance(lists, Recommendations) else lists)
    if items.ndim != 2 or len(items) != n_users or items.shape[1] > k:
        raise DataError(
            f"recommend must return a list of at most {k} items for each of {n_users} users, got shape {items.shape}"
        )
    out = np.full((n_users, k), -1, dtype=np.int64)
    filled = ~np.ma.getmaskarray(items)
    found = np.full(items.shape, -1, dtype=np.int64)
    found[filled] = split.items.find(items.data[filled])
    out[:, : items.shape[1]] = found
    return out


def _warn_of_ties(lists: Any, hits: np.ndarray) -> None:
    """Candidate lists often name the relevant item first, so it wins its ties: say so where that matters."""
    if not isinstance(lists, Recommendations):
        return
    scores = lists.scores.filled(np.nan)
    equal = scores[:, 1:] == scores[:, :-1]
    tied = np.zeros(hits.shape, dtype=bool)
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    share = float((tied & hits).any(axis=1).mean())
    if share > TIED_SHARE:
        warnings.warn(
            f"{share:.0%} of users have a hit whose score equals another candidate's; ties go to the place in the "
            "given list, where the relevant item often stands first, so these figures flatter the model",
            DataWarning, stacklevel=3,
        )  # fmt: skip


def _protocol(split: Split, n_users: int, n_cold: int, exclude_seen: bool) -> dict[str, str]:
    """What was done, in words."""
    lists = split.candidates
    cold = f", {n_cold} of them without history (served what is popular)" if n_cold else ""
    return {
        "split": split.description,
        "candidates": f"all {len(split.items):,} items" if lists is None else f"{lists.shape[1]} given items a user",
        "seen items": "left out" if exclude_seen else "kept",
        "ties": "by item index" if lists is None else "by place in the given list",
        "users": f"{n_users} with a test interaction{cold}",
        "test users": "folded in from their history" if split.folds_in else "known from training",
    }
