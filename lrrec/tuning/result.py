"""Tuning: the result of tune."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from lrrec.data import frames
from lrrec.tuning.space import Space
from lrrec.tuning.trial import greater_is_better
from lrrec.typing import Frame

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
        A row for each trial: number, value, seconds, state ("finished", "pruned", "failed"), iterations (0 for models
        without) and a column for each parameter.
    metric, validation : str
        What was optimized, and how the validation part was made.
    seed : int
    space : dict
    """

    best_params_: dict[str, Any]
    best_value_: float
    model_: Any
    trials_: pd.DataFrame
    metric: str
    validation: str
    seed: int
    space: Space = field(default_factory=dict)

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
        """Return a frame with one row: model, metric, best value, best params, trials by state and their seconds.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        counts = Counter(self.trials_["state"])
        params = ", ".join(f"{name}={value!r}" for name, value in self.best_params_.items())
        row = {"model": type(self.model_).__name__, "metric": self.metric, "value": self.best_value_, "params": params}
        row |= {"trials": len(self.trials_)} | {state: counts[state] for state in STATES}
        row["seconds"] = self.trials_["seconds"].sum()
        table = pd.DataFrame([row])
        return frames.make({str(name): table[name].to_numpy() for name in table}, backend)

    def __repr__(self) -> str:
        counts = Counter(self.trials_["state"])
        states = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
        model = " ".join(repr(self.model_).split())
        return (
            f"Tuning of {len(self.trials_)} trials ({states}) in {self.trials_['seconds'].sum():.1f} s\n"
            f"  best {self.metric} on validation {self.best_value_:.4f}: {model}"
        )

    def _repr_html_(self) -> str:
        return self.to_frame().to_html(index=False)
