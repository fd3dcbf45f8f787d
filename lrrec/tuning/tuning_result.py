"""Tuning: the result of tune."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lrrec.data import frames
from lrrec.plots import drawings
from lrrec.plots.axes import COLOR_BLIND_SAFE, axes_for, name_series
from lrrec.tuning.space import Space
from lrrec.tuning.trial import greater_is_better
from lrrec.typing import Axes, Frame

STATES = ("finished", "pruned", "failed")


@dataclass(frozen=True, eq=False, repr=False)
class Tuning:
    """The result of tuning a model.

    Attributes
    ----------
    best_params_ : dict
        Of the best trial: the tuned parameters and, for iterative models, the best number of iterations.
    best_value_ : float
        The metric of the best trial on validation. The best of many trials is optimistic: report that of the test part.
    model_ : Recommender
        A model of these parameters, fitted on the whole of split.train.
    trials_ : DataFrame
        A row for each trial: number, value, seconds, state ("finished", "pruned", "failed"), iterations of each fold
        (0 for models without), folds (those that it was measured on) and a column for each parameter. The value of a
        trial pruned before its last fold is estimated: the best one's then, plus the difference on the users of both.
    metric, validation : str
        The metric that was optimized, and how the validation part, or the folds, were made.
    seed : int
    space : dict
    gain_ : float
        By how much the best trial's metric is better than that of the model's own parameters, on the same validation
        users: positive is better, also for errors. NaN if the space does not contain the model's own parameters, their
        trial failed, or the metric has no value for each user.
    gain_interval_ : tuple of two floats
        The 95 % interval of `gain_`, by a bootstrap over the validation users, simultaneous over all finished trials:
        it covers the gain of the best one, although that was chosen among many. `gain_` itself is optimistic. The
        interval allows for the choice of users, not for random initialization; if it includes 0, there is no evidence
        of a gain.
    n_users : int
        The validation users of all folds on whom the gain was measured; 0 if it was not.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> tuning = lrrec.tune(lrrec.EASE(reg=2.0), split, space={"reg": [2.0, 100.0]}, n_trials=2)
    >>> tuning.best_params_, tuning.model_.reg
    ({'reg': 100.0}, 100.0)
    >>> tuning.to_frame()["reg"].tolist()
    [100.0, 2.0]
    >>> tuning.gain_interval_[0] > 0
    True
    """

    best_params_: dict[str, Any]
    best_value_: float
    model_: Any
    trials_: pd.DataFrame
    metric: str
    validation: str
    seed: int
    space: Space = field(default_factory=dict)
    gain_: float = math.nan
    gain_interval_: tuple[float, float] = (math.nan, math.nan)
    n_users: int = 0

    @property
    def doubt(self) -> str:
        """Why the best trial may be no better than the model's own parameters, as a sentence; "" where it is better."""
        n_trials, (low, high) = len(self.trials_), self.gain_interval_
        if not self.n_users or n_trials < 2 or low > 0:
            return ""
        more = "more validation users (more folds, a larger validation part) or more trials"
        if self.gain_ == 0:
            return (
                f"none of {n_trials} trials is better than the model's own parameters in {self.metric} on "
                f"{self.n_users:,} validation users: try {more}, another space, or keep the model's own parameters"
            )
        return (
            f"the best of {n_trials} trials cannot be distinguished from the model's own parameters: it is better by "
            f"{self.gain_:.4f} in {self.metric} (95 % interval {low:.4f} to {high:.4f}) on {self.n_users:,} validation "
            f"users, which may be chance. Try {more}, or keep the model's own parameters"
        )

    def to_frame(self, backend: str = "pandas") -> Frame:
        """Return the trials as a frame, the best first.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        ascending = not greater_is_better(self.metric)
        table = self.trials_.sort_values("value", ascending=ascending, na_position="last", ignore_index=True)
        return frames.make({str(name): table[name].to_numpy() for name in table}, backend)

    def summary(self, backend: str = "pandas") -> Frame:
        """Return a frame with one row: the model, its best trial, the trials by state and their seconds.

        The columns: model, metric, value, params, gain, gain low, gain high, trials, finished, pruned, failed, seconds.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        counts = Counter(self.trials_["state"])
        params = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items())
        row = {"model": type(self.model_).__name__, "metric": self.metric, "value": self.best_value_, "params": params}
        row |= dict(zip(("gain", "gain low", "gain high"), (self.gain_, *self.gain_interval_), strict=True))
        row |= {"trials": len(self.trials_)} | {state: counts[state] for state in STATES}
        row["seconds"] = self.trials_["seconds"].sum()
        table = pd.DataFrame([row])
        return frames.make({str(name): table[name].to_numpy() for name in table}, backend)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the metric of each trial on validation, and the best so far.

        A dot is a trial; a cross is a pruned one, where it stopped. The line is the best of the finished trials so far.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            What to draw on, beside what is there; a new figure when not given. Draw several models that were tuned for
            the same metric on the same axes to compare them.

        Returns
        -------
        matplotlib Axes

        Notes
        -----
        Needs matplotlib. The best of many trials is optimistic: see `gain_`, and compare models on the test part.

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.by_user(data, random_state=0)
        >>> tuning = lrrec.tune(lrrec.EASE(), split, space={"reg": [10.0, 100.0, 1000.0]}, metric="ndcg@10", n_trials=3)
        >>> axes = tuning.plot()
        >>> axes.get_ylabel(), bool(axes.lines[0].get_ydata()[-1] == tuning.best_value_)
        ('ndcg@10 on validation', True)
        """
        axes = axes_for(ax, "Tuning.plot()", 3.8)
        values, finished = self.trials_["value"].to_numpy(dtype=float), (self.trials_["state"] == "finished").to_numpy()
        drawings.draw_trials(
            axes, {f"{type(self.model_).__name__}, best so far": (values, finished)}, self.metric, COLOR_BLIND_SAFE,
            lower=not greater_is_better(self.metric), named=True,
        )  # fmt: skip
        name_series(axes)
        return axes

    def __repr__(self) -> str:
        counts = Counter(self.trials_["state"])
        states = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
        model = " ".join(repr(self.model_).split())
        low, high = self.gain_interval_
        gain = f"\n  better than the model's own parameters by {self.gain_:.4f} [{low:.4f}, {high:.4f}]"
        return (
            f"Tuning of {len(self.trials_)} trials ({states}) in {self.trials_['seconds'].sum():.1f} s\n"
            f"  best {self.metric} on validation {self.best_value_:.4f}: {model}{gain if self.n_users else ''}"
        )

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False)
