"""The fit contract of iterative models: validation, early stopping, callbacks, Ctrl-C."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.finite import check_learned
from lrrec.models.base.one_fit import become
from lrrec.progress import ProgressBar
from lrrec.splits import Split
from lrrec.typing import MatrixLike
from lrrec.validate import check_bool, check_int


@dataclass(frozen=True, eq=False)
class FitState:
    """The state of a fit after an iteration, as callbacks get it.

    Attributes
    ----------
    model : str
        The class name.
    iteration, n_iter : int
        Iterations done, and the maximum.
    seconds : float
        Time of fitting so far, without validation and callbacks.
    score : float or None
        Of the model on the validation split, greater is better; None without one.
    metric : str or None
        What `score` is: "ndcg@10", or the name of the scorer.
    """

    model: str
    iteration: int
    n_iter: int
    seconds: float
    score: float | None
    metric: str | None
    _compute_loss: Callable[[], float] = field(repr=False)

    @cached_property
    def loss(self) -> float:
        """The training objective, computed when first read, which has to be during the callback."""
        return self._compute_loss()


Callback = Callable[[FitState], Any]
Scorer = Callable[[Any], float]


class DivergedError(DataError):
    """The loss became NaN or infinite; the model of the last good iteration is kept."""


class IterativeModel(FactorModel):
    """A factor model that is fitted iteration by iteration: `fit` is written here, the iterations in `_iterate`."""

    iteration_parameter: ClassVar[str] = "n_iter"

    def fit(
        self,
        X: Interactions | MatrixLike,
        y: None = None,
        *,
        validation: Split | None = None,
        scorer: Scorer | None = None,
        patience: int = 2,
        callback: Callback | None = None,
        progress: bool = False,
    ) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Ctrl-C keeps the model of the last complete iteration (with validation, of the best one) and raises
        KeyboardInterrupt.

        Parameters
        ----------
        X : Interactions, pandas frame, or sparse matrix or array of shape (n_users, n_items)
            Values are weights > 0 (for `ALS` any ratings, for `IALS` also dislikes < 0); ids are the labels of a frame
            (NaN: no interaction), the indices of a raw matrix.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        validation : Split, optional
            Of the same items. The model is scored on it after every iteration. The fit ends when the score has not
            risen for `patience` iterations, and the best iteration is kept.
        scorer : callable, optional
            scorer(model) returns the score, greater is better; only with `validation`. By default nDCG@10 of
            recommending the split's test interactions from its histories.
        patience : int, default 2
        callback : callable, optional
            callback(state) is called with a `FitState` after every iteration. If it returns True, the fit ends.
        progress : bool, default False
            Show a progress bar if there is a terminal.

        Returns
        -------
        self
        """
        data = self._read(X)
        monitor = Monitor(self, data, validation, scorer, patience, callback, progress=progress)
        return self._fit_iterations(monitor)

    def _fit_iterations(self, monitor: "Monitor", **options: Any) -> Self:
        """Run iterations and become the model of the best one; options are those of the model's own `fit`."""
        try:
            self._iterate(monitor.data.matrix, monitor, **options)
        except (KeyboardInterrupt, DivergedError):
            if monitor.best is not None:
                become(self, self._finished(monitor, **options))
            raise
        return become(self, check_learned(self._finished(monitor, **options)))

    @abstractmethod
    def _iterate(self, matrix: sp.csr_array, monitor: "Monitor") -> None:
        """Check the parameters and run the iterations.

        `for _ in monitor:` runs them; each ends with `monitor.record(arrays, loss)`, where arrays are those that the
        model consists of, without the user factors.
        """

    def _fitted(self, arrays: Mapping[str, np.ndarray], data: Interactions, *, encode_users: bool = True) -> Self:
        """Return a fitted copy of these arrays; without encode_users, it can only serve histories."""
        model = clone(self)
        for name, array in arrays.items():
            setattr(model, name, array)
        model._remember(data)
        shape = data.n_users, model.item_factors_.shape[1]
        model.user_factors_ = model._encode(data.matrix) if encode_users else np.zeros(shape, dtype=np.float32)
        return model

    def _finished(self, monitor: "Monitor") -> Self:
        """Return a copy that is the model of the best iteration."""
        assert monitor.best is not None  # there is at least one iteration
        fitted, finished = vars(self._fitted(monitor.best, monitor.data)), self._unlearned()
        finished.__dict__.update({name: value for name, value in fitted.items() if name.endswith("_")})
        return finished


class Monitor:
    """Follows a fit: the clock, the progress bar, the scores, the best iteration so far, and when to end.

    Iterating over it yields the iterations' numbers, from 1. Each iteration ends with `record`.
    """

    def __init__(
        self, model: IterativeModel, data: Interactions, validation: Split | None, scorer: Scorer | None, patience: int,
        callback: Callback | None, *, progress: bool,
    ) -> None:  # fmt: skip
        if callback is not None and not callable(callback):
            raise ParameterTypeError(f"callback must be callable, got {callback!r}")
        if validation is not None and not (isinstance(validation, Split) and validation.items == data.items):
            raise DataError(f"validation must be a Split of the same items as X, got {validation!r}")
        if scorer is not None and (validation is None or not callable(scorer)):
            raise ParameterError(f"scorer must be callable, and come with a validation split, got {scorer!r}")
        self.model, self.data, self.validation, self.scorer = model, data, validation, scorer
        self.n_iter = check_int(getattr(model, model.iteration_parameter), model.iteration_parameter, low=1)
        self.patience, self.callback = check_int(patience, "patience", low=1), callback
        self.progress = check_bool(progress, "progress")
        self.iteration, self.best_iteration, self.seconds, self.best_score = 0, 0, 0.0, -np.inf
        self.best: dict[str, np.ndarray] | None = None
        self.history: list[dict[str, Any]] = []  # for models that keep one
        self.state: FitState | None = None
        self._begun = time.perf_counter()

    def __iter__(self) -> Iterator[int]:
        options = {"initial": self.iteration, "total": self.n_iter, "unit": "iteration"}
        with ProgressBar(shown=self.progress, desc=type(self.model).__name__, **options) as bar:
            while self.iteration < self.n_iter and not self._out_of_patience():
                yield self.iteration + 1
                bar.update()
                assert self.state is not None  # the iteration was recorded
                if self.callback is not None and self.callback(self.state) is True:
                    break
                self._begun = time.perf_counter()

    def record(self, arrays: Mapping[str, np.ndarray], loss: Callable[[], float]) -> FitState:
        """Record a complete iteration by what the model learned in it; the arrays of the best one are copied."""
        self.seconds += time.perf_counter() - self._begun
        self.iteration = iteration = self.iteration + 1
        score = None if self.validation is None else self._score(arrays)
        if score is None or score > self.best_score:
            self.best_score, self.best_iteration = -np.inf if score is None else score, self.iteration
            if self.best is None:
                self.best = {name: array.copy() for name, array in arrays.items()}
            else:
                for name, array in arrays.items():
                    np.copyto(self.best[name], array)

        def current_loss() -> float:
            if iteration != self.iteration:
                raise RuntimeError("the fit has gone on since this iteration: read state.loss in the callback")
            return loss()

        metric = None if score is None else getattr(self.scorer, "__name__", "ndcg@10")
        name = type(self.model).__name__
        self.state = FitState(name, iteration, self.n_iter, self.seconds, score, metric, current_loss)
        return self.state

    def _out_of_patience(self) -> bool:
        return self.validation is not None and self.iteration - self.best_iteration >= self.patience

    def _score(self, arrays: Mapping[str, np.ndarray]) -> float:
        """Return the validation score of the model of some arrays."""
        assert self.validation is not None
        arrays = {name: array.copy() for name, array in arrays.items()}  # a model keeps what follows from its arrays
        serves_training_users = self.scorer is not None and not self.validation.folds_in
        model = self.model._fitted(arrays, self.data, encode_users=serves_training_users)
        if self.scorer is None:
            validation = self.validation
            return model._ndcg(validation.history, validation.test, exclude_seen=validation.exclude_seen)
        return float(self.scorer(model))
