"""Evaluation: the metrics of each user, their means with intervals, and those of groups of users."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data import frames, labels
from lrrec.data.ids import as_ids
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.evaluation.protocol import Protocol
from lrrec.evaluation.statistics import bootstrap, mean
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, axes_for, name_series, named_series
from lrrec.typing import ArrayLike, Axes, Frame, FrameLike, Ids, RandomState
from lrrec.validate import check_int, check_option, check_real, check_rng

GROUP_COLUMNS = ("group", "metric", "n", "mean", "low", "high")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The metrics of each test user, and how they were measured.

    Attributes
    ----------
    users : ndarray of ids, shape (n,)
    values : dict of str to ndarray of float64, shape (n,)
        One value per user for each metric, in the order of `users`; NaN where a metric is not defined, such as the
        novelty of an empty list.
    history_sizes : ndarray of int, shape (n,)
        Length of each user's history: 0 for users who were served popular items, -1 where it is not known
        (ready-made lists without their split).
    protocol : Protocol
        The split, relevance, candidates, seen items, ties, users; `protocol.describe()` gives them as sentences.
    overall : dict of str to float
        The metrics that are one number for the lists of all users, such as coverage.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> result = lrrec.evaluate(lrrec.ItemKNN().fit(split.train), split, metrics=["ndcg@10", "coverage@10"])
    >>> len(result.users), result.metrics
    (84, ['ndcg@10', 'coverage@10'])
    >>> low, high = result.interval()["ndcg@10"]
    >>> bool(low < result.mean()["ndcg@10"] < high)
    True
    >>> result.summary()["metric"].tolist()
    ['ndcg@10', 'coverage@10']
    """

    users: np.ndarray
    values: dict[str, np.ndarray]
    history_sizes: np.ndarray
    protocol: Protocol
    overall: dict[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics: those with a value for each user, then those of `overall`."""
        return [*self.values, *self.overall]

    def mean(self) -> dict[str, float]:
        """Return the mean of every metric over the users for whom it is defined, and the metrics of `overall`."""
        return {name: float(mean(values)) for name, values in self.values.items()} | self.overall

    def interval(
        self, level: float = 0.95, *, n_resamples: int = 1000, random_state: RandomState = 0
    ) -> dict[str, tuple[float, float]]:
        """Return a bootstrap interval for the mean of every metric, (NaN, NaN) for the metrics of `overall`.

        Users are drawn with replacement, the same for all metrics; the interval is between percentiles of the
        means of the draws. It is about the choice of users, not about the split or the random initialization of the
        model. NaN for fewer than two users.

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
        low, high = bootstrap(self._table(), level, n_resamples, rng)
        of_users = {name: (float(a), float(b)) for name, a, b in zip(self.values, low, high, strict=True)}
        return of_users | dict.fromkeys(self.overall, (np.nan, np.nan))

    def by_group(
        self, groups: ArrayLike | FrameLike, column: str | None = None, *, user: str = "user", level: float = 0.95,
        n_resamples: int = 1000, random_state: RandomState = 0, backend: str = "pandas",
    ) -> Frame:  # fmt: skip
        """Return a frame with one row per group of users and metric: group, metric, n, mean, low, high.

        n is the number of users; low and high bound a bootstrap interval for the group's mean, as `interval` does.
        Intervals of many groups are many chances to be wrong: check a group that stands out on new data. Metrics of
        `overall` have no value for a group.

        Parameters
        ----------
        groups : sequence of shape (n,), dict or pandas Series by user id, or frame
            The group of each user, in the order of `users` where they are not labelled by user id; or a frame with one
            row per user.
        column : str, optional
            The frame's column of groups; not given for a sequence.
        user : str, default "user"
            The frame's column of user ids. Users who were not evaluated are left out.
        level, n_resamples, random_state
            As for `interval`.
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"

        Raises
        ------
        DataError
            If a user has no group.

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.by_user(data, random_state=0)
        >>> result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["hit@10"])
        >>> result.by_group(["even" if user % 2 == 0 else "odd" for user in result.users])["group"].tolist()
        ['even', 'odd']
        """
        level = check_real(level, "level", low=0, high=1)
        n_resamples, rng = check_int(n_resamples, "n_resamples", low=1), check_rng(random_state)
        if column is not None:
            groups = self._of_frame(groups, column, user)
        codes, names = group_codes(groups, self.users, "user")
        table = self._table()
        parts = []
        for code, name in enumerate(names):
            rows = table[codes == code]
            bounds = zip(mean(rows), *bootstrap(rows, level, n_resamples, rng), strict=True)
            parts += [(name, metric, len(rows), *three) for metric, three in zip(self.values, bounds, strict=True)]
        return group_frame(parts, backend)

    def by_history(self, edges: Sequence[int] = (1, 5, 20), *, backend: str = "pandas") -> Frame:
        """Return `by_group` of users by the length of their history.

        Parameters
        ----------
        edges : rising sequence of int >= 1, default (1, 5, 20)
            Where groups begin: by default 0 (cold), 1 to 4, 5 to 19, 20 or more. Groups without a user are left out.
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.by_user(data, random_state=0)
        >>> result = lrrec.evaluate(lrrec.ItemKNN().fit(split.train), split, metrics=["ndcg@10"])
        >>> result.by_history(edges=[10, 20])["group"].tolist()
        ['0 to 9', '10 to 19', '20 or more']
        """
        if (self.history_sizes < 0).any():
            raise DataError("the histories of ready-made lists are not known: pass evaluate_lists() the Split as test")
        if not isinstance(edges, Sequence | np.ndarray) or getattr(edges, "ndim", 1) != 1:
            raise ParameterTypeError(f"edges must be rising integers >= 1, got {edges!r}")
        starts = [0, *(check_int(edge, "edges", low=1) for edge in edges)]
        if len(starts) < 2 or starts != sorted(set(starts)):
            raise ParameterError(f"edges must be rising integers >= 1, got {edges!r}")
        ends = [stop - 1 for stop in starts[1:]]
        names = [str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=False)]
        names.append(f"{starts[-1]} or more")
        codes = np.searchsorted(starts, self.history_sizes, side="right") - 1
        return self.by_group(pd.Categorical.from_codes(codes, pd.Index(names), ordered=True), backend=backend)

    def plot_by_history(
        self, metric: str | None = None, *, edges: Sequence[int] = (1, 5, 20), label: str | None = None,
        ax: Axes | None = None,
    ) -> Axes:  # fmt: skip
        """Draw the mean of a metric, with its 95 % interval, by the length of users' histories.

        Parameters
        ----------
        metric : str, optional
            A metric with a value for each user; the first when not given.
        edges : rising sequence of int >= 1, default (1, 5, 20)
            Where groups begin, as for `by_history`.
        label : str, optional
            The name of the model in a legend, which several of them in one picture have. The metric when not given.
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given. Draw several evaluations of the same
            users on the same axes to compare models: each has another color, marker and line. A figure with
            layout="constrained" has room for a long legend beside the axes.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        DataError
            If the histories are not known (of ready-made lists without their split), or `ax` shows other groups of
            users.

        Notes
        -----
        Needs matplotlib.

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.by_user(data, random_state=0)
        >>> result = lrrec.evaluate(lrrec.Popularity().fit(split.train), split, metrics=["ndcg@10"])
        >>> axes = result.plot_by_history(edges=[10, 20], label="popularity")
        >>> [label.get_text() for label in axes.get_xticklabels()]
        ['0 to 9', '10 to 19', '20 or more']
        """
        if label is not None and not isinstance(label, str):
            raise ParameterTypeError(f"label must be a name, got {label!r}")
        if not self.values:
            raise ParameterError("plot_by_history() needs a metric with a value for each user, got none")
        metric = check_option(next(iter(self.values)) if metric is None else metric, "metric", tuple(self.values))
        table = self.by_history(edges)
        table = table[table["metric"] == metric]
        values = table[["mean", "low", "high"]].to_numpy(dtype=float)
        groups, series = table["group"].tolist(), {metric if label is None else label: values}
        axes = axes_for(ax, "Evaluation.plot_by_history()", 3.8)
        shown = [text.get_text() for text in axes.get_xticklabels()]
        if axes.get_xlabel() == drawings.HISTORY and shown != groups:
            raise DataError(f"ax must show the same groups of users, {', '.join(groups)}, got {', '.join(shown)}")
        drawings.draw_by_group(axes, groups, series, metric, COLOR_BLIND_SAFE)
        if len(named_series(axes)) > 1:
            name_series(axes)
        return axes

    def summary(
        self, backend: str = "pandas", *, level: float = 0.95, n_resamples: int = 1000, random_state: RandomState = 0
    ) -> Frame:
        """Return a frame with one row per metric: metric, mean, low, high (bounds NaN for the metrics of `overall`).

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        level, n_resamples, random_state
            Of the bootstrap intervals, as for `interval`.
        """
        means = self.mean()
        intervals = self.interval(level, n_resamples=n_resamples, random_state=random_state)
        columns = {
            "metric": np.array(list(means), dtype=object),
            "mean": np.array(list(means.values())),
            "low": np.array([intervals[name][0] for name in means]),
            "high": np.array([intervals[name][1] for name in means]),
        }
        return frames.make(columns, backend)

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return a frame with one row per user: user and every metric that has a value for each user.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        return frames.make({"user": self.users, **self.values}, backend)

    def __repr__(self) -> str:
        means, intervals = self.mean(), self.interval()
        lines = [f"Evaluation of {len(self.users):,} users, {self.protocol.candidates.describe()}"]
        if self.protocol.n_cold_items:
            lines[0] += f"; {self.protocol.n_cold_items:,} of {self.protocol.n_test_items:,} test items not in training"
        lines += [f"  {name:<14} {means[name]:.4f}  [{low:.4f}, {high:.4f}]" for name, (low, high) in intervals.items()
                  if name in self.values]  # fmt: skip
        lines += [f"  {name:<14} {value:.4f}" for name, value in self.overall.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def _table(self) -> np.ndarray:
        """The values of every user and metric, (n, M)."""
        return np.reshape(list(self.values.values()), (len(self.values), len(self.users))).T

    def _of_frame(self, frame: Any, column: str, user: str) -> Any:
        """A frame's column of groups, in the order of the users."""
        table = frames.eager(frame)
        ids = as_ids(frames.column(table, user, "user").to_numpy(), f"column {user!r}")
        groups = frames.column(table, column, "column").to_native()
        return pd.Series(groups).set_axis(ids)


def group_codes(groups: Any, ids: Ids, unit: str) -> tuple[np.ndarray, list[Any]]:
    """The place of each user's (or item's) group among the groups' sorted names (of a categorical: in its order)."""
    groups, n = labels.align(groups, ids, "groups", unit), len(ids)
    given = isinstance(groups, pd.Series | pd.Categorical)
    try:
        series = groups if given else pd.Series(list(frames.as_column(groups, "groups")))
    except (TypeError, ValueError) as error:
        raise DataError(f"groups must be names or numbers: {error}") from None
    if len(series) != n:
        raise DataError(f"groups must have one entry for each of the {n} {unit}s, got {len(series)}")
    missing = int(pd.isna(series).sum())
    if missing:
        raise DataError(f"groups must not be missing, got {missing} missing")
    if isinstance(series.dtype, pd.CategoricalDtype):
        named = pd.Categorical(series).remove_unused_categories()
        return np.asarray(named.codes), named.categories.tolist()
    try:
        codes, names = pd.factorize(series, sort=True)
    except TypeError:  # labels that cannot be compared: in their order
        try:
            codes, names = pd.factorize(series)
        except TypeError as error:
            raise DataError(f"groups must be names or numbers: {error}") from None
    return codes, np.asarray(names).tolist()


def group_frame(rows: list[tuple[Any, ...]], backend: str) -> Any:
    """A frame of rows of group, metric, n, mean, low, high."""
    parts = zip(*rows, strict=True) if rows else [()] * 6
    columns = {name: np.array(part) for name, part in zip(GROUP_COLUMNS, parts, strict=True)}
    strings = {name: part.astype(object) for name, part in columns.items() if part.dtype.kind == "U"}
    return frames.make(columns | strings, backend)
