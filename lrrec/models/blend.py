"""Blend: a weighted sum of the standardized scores of several models."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.ranking import Columns, rank
from lrrec.metrics import measure, parse
from lrrec.models.base.recommender import Recommender
from lrrec.splits import by_user
from lrrec.validate import check_int, check_real, check_rng

MAX_USERS = 1000  # validation users: more change the weights little


class Blend(Recommender):
    """Add the scores of several models, each divided by its standard deviation over the items that a user may get.

    score(u, i) = sum_k w_k s_k(u, i) / sd_k(u), with the weights w >= 0, which sum to 1, found on validation users: the
    model that raises the metric most gets a step of weight, again and again (greedy ensemble selection).

    Parameters
    ----------
    models : sequence of Recommender
        Two or more, of any kind. They are cloned, never changed.
    weights : sequence of float, optional
        One for each model, >= 0, not all 0. By default they are found.
    metric : str, default "ndcg@20"
        A ranking metric, for finding the weights.
    n_steps : int, default 20
        Steps of the search: weights are multiples of 1 / n_steps.
    history : float, default 0.8
        The share of a validation user's interactions that they are encoded from; the rest is to be found.
    random_state : int, Generator or None, default None
        Of the choice of validation users, a fifth of all and at most 1,000.

    Attributes
    ----------
    models_ : list of Recommender
        Fitted to all of the data.
    weights_ : ndarray of float64, shape (n_models,)

    Notes
    -----
    With `weights`, one fit of each model; without, two. The weights take n_steps x n_models rankings of the validation
    users, and n_models x 1,000 x n_items float32 numbers of memory.

    References
    ----------
    Caruana et al. (2004), "Ensemble selection from libraries of models".

    Examples
    --------
    >>> from lrrec import EASE, IALS, Blend, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> blend = Blend([IALS(2, random_state=0), EASE(reg=1)], weights=[1, 2]).fit(train)
    >>> blend.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    weights_: np.ndarray
    models_: list[Any]

    def __init__(
        self,
        models: Sequence[Recommender],
        *,
        weights: Sequence[float] | None = None,
        metric: str = "ndcg@20",
        n_steps: int = 20,
        history: float = 0.8,
        random_state: Any = None,
    ) -> None:
        self.models = models
        self.weights = weights
        self.metric = metric
        self.n_steps = n_steps
        self.history = history
        self.random_state = random_state

    def fit(self, X: Any, y: None = None) -> "Blend":
        """Find the weights, unless they are given, and fit every model. See `Recommender.fit`."""
        data = self._read(X)
        models = self._checked_models()
        self.weights_ = self._given_weights() if self.weights is not None else self._find_weights(models, data)
        self.models_ = [model.fit(data) for model in models]
        return self._remember(data)

    def _checked_models(self) -> list[Any]:
        if not isinstance(self.models, list | tuple) or len(self.models) < 2:
            raise ParameterTypeError(f"models must be a list of two or more models, got {self.models!r}")
        for model in self.models:
            if not isinstance(model, Recommender):
                raise ParameterTypeError(f"models must be recommenders, got {type(model).__name__}")
        return [clone(model) for model in self.models]

    def _given_weights(self) -> np.ndarray:
        weights = np.array([check_real(weight, "weights", low=0) for weight in self.weights or ()])
        if len(weights) != len(self.models) or not weights.sum() > 0:
            raise ParameterError(f"weights must be a number for each of {len(self.models)} models, one of them > 0")
        total: np.ndarray = weights / weights.sum()
        return total

    def _find_weights(self, models: list[Any], data: Interactions) -> np.ndarray:
        """Fit the models to most of the users, and compare blends on the others."""
        n_steps, rng = check_int(self.n_steps, "n_steps", low=1), check_rng(self.random_state)
        active = int((np.diff(data.matrix.indptr) >= 2).sum())
        split = by_user(data, min(max(active // 5, 1), MAX_USERS), history=self.history, random_state=rng)
        histories, test = split.history.matrix, split.test.matrix
        rows = np.flatnonzero(np.diff(test.indptr))
        histories, test = histories[rows], test[rows]
        fitted = [model.fit(split.train) for model in models]
        scores = [standardized(model._scores(model._encode(histories), slice(None)), histories) for model in fitted]
        return greedy_weights(scores, histories, test, self.metric, n_steps)

    def _encode(self, matrix: sp.csr_array) -> "Encoded":
        return Encoded(matrix, [model._encode(matrix) for model in self.models_])

    def _training_users(self, rows: np.ndarray) -> "Encoded":
        return Encoded(self.seen_[rows], [model._training_users(rows) for model in self.models_])

    def _scores(self, encoded: "Encoded", columns: Columns) -> np.ndarray:
        parts = zip(self.models_, encoded.parts, self.weights_, strict=True)
        total = np.zeros((encoded.histories.shape[0], len(self.items_)), dtype=np.float32)
        for model, part, weight in parts:
            if weight:
                total += np.float32(weight) * standardized(model._scores(part, slice(None)), encoded.histories)
        return total[:, columns]


class Encoded(NamedTuple):
    """Users' histories (B, I), and how each model encodes them."""

    histories: sp.csr_array
    parts: list[Any]

    def __getitem__(self, rows: Any) -> "Encoded":
        return Encoded(self.histories[rows], [part[rows] for part in self.parts])


def standardized(scores: np.ndarray, histories: sp.csr_array) -> np.ndarray:
    """Scores (B, I) divided by their standard deviation over the items outside each user's history, in place."""
    rows = np.repeat(np.arange(len(scores)), np.diff(histories.indptr))
    own = scores[rows, histories.indices].astype(np.float64)
    n = np.maximum(scores.shape[1] - np.diff(histories.indptr), 1)
    mean = (scores.sum(axis=1, dtype=np.float64) - np.bincount(rows, own, len(scores))) / n
    squares = np.einsum("bi,bi->b", scores, scores, dtype=np.float64) - np.bincount(rows, own**2, len(scores))
    deviation = np.sqrt(np.maximum(squares / n - mean**2, 0))
    scores /= np.where(deviation > 0, deviation, 1).astype(np.float32)[:, None]
    return scores


def greedy_weights(
    scores: Sequence[np.ndarray], histories: sp.csr_array, test: sp.csr_array, metric: str, n_steps: int
) -> np.ndarray:
    """Weights >= 0 of sum 1, (K,), of K models' scores (n, I), which raise a metric of n users step by step."""
    _, k = parse(metric, ("ranking",))
    rows = np.arange(test.shape[0])

    def value(total: np.ndarray) -> float:
        lists, _ = rank(
            lambda block, _: total[block].copy(),
            len(rows),
            test.shape[1],
            k or test.shape[1],
            seen=histories,
            seen_rows=rows,
        )
        return float(np.nanmean(measure(lists, test, rows, [metric])[0]))

    steps, total, best = np.zeros(len(scores)), np.zeros_like(scores[0]), (-np.inf, np.zeros(len(scores)))
    for _ in range(n_steps):
        values = [value(total + part) for part in scores]
        chosen = int(np.argmax(values))
        steps[chosen] += 1
        total += scores[chosen]
        if values[chosen] > best[0]:
            best = values[chosen], steps / steps.sum()
    return best[1]
