"""Blend: a weighted sum of the standardized scores of several models."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from itertools import islice
from typing import Any, Self, TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.features import FeaturesLike
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError
from lrrec.linalg.ranking import ALL_CANDIDATES, Candidates
from lrrec.metrics import parse
from lrrec.models.base.blending import Blends, Encoded, check_weights, find_weights, ranked_values
from lrrec.models.base.feature_model import check_taken, fit_options
from lrrec.models.base.one_fit import become
from lrrec.models.base.recommender import Recommender
from lrrec.models.ease import EASE
from lrrec.models.ials import IALS
from lrrec.splits import Split, by_user, cold_items, k_folds
from lrrec.splits.resampling import MOST_FOLDS, enough_folds
from lrrec.typing import MatrixLike, PathLike, RandomState
from lrrec.validate import check_int, check_rng

Ranking: TypeAlias = Callable[[np.ndarray], np.ndarray]  # each user's value by the weights of the models
NO_WEIGHTS = np.zeros(0)
NO_WEIGHTS.flags.writeable = False
MAX_USERS = 1000  # validation users at a time, whose scores are in memory together
MAX_GROUPS = 5  # of so many users, over which the weights are averaged


class Blend(Blends, Recommender):
    """Add the standardized scores of several models, with weights chosen on validation users.

    score(u, i) = sum_k w_k z_k(u, i), w >= 0 of sum 1, where z_k(u, .) are model k's scores with mean 0 and variance 1
    over the items that are new to user u. The weights are those of greedy ensemble selection: the model that raises
    the metric most gets a step of weight, again and again.

    Parameters
    ----------
    models : sequence of Recommender, optional
        Of any kind; they are cloned, never changed. By default an `IALS` and an `EASE` with their defaults.
    weights : sequence of float, optional
        One for each model, >= 0, not all 0. By default they are chosen on validation users.
    metric : str, default "ndcg@20"
        NAME@K, by which the weights are chosen.
    n_steps : int, default 20
        Steps of the search: weights are multiples of 1 / steps.
    random_state : int, Generator or None, default None
        Of the choice of validation users, and of models whose random_state is None.

    Attributes
    ----------
    models_ : list of Recommender
        Fitted to all of the data.
    weights_ : ndarray of float64, shape (n_models,)
    new_item_weights_ : ndarray of float64, shape (n_models,)
        The weights for items without a training interaction; empty where they are those of all items.

    Notes
    -----
    With given weights one fit of each model. To choose them, another fit of each, without a fifth of the users (at most
    1,000), who are the validation users: they are encoded from 80 % of their history, drawn at random. Of small data
    there are up to five such fits, each without another fifth, so that there are about 1,000 validation users, or all
    users: the weights are those with the best mean over them. Where there are features, and items of the catalogue
    without an interaction, weights for such items are chosen too, by fits of each model without a fifth of the other
    items, which are then ranked: as many as have about 1,000 items together, at most five. A search ranks for at most
    about 1,000 users of each fold n_steps n_models times and holds n_models x n_items scores for each of them. The
    weights are equal where fewer than two users have two interactions. Scores are made for all items whatever the
    candidates. A parameter of a model is tuned, or set, by the name `place__parameter`, e.g. `0__reg`.

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
    new_item_weights_: np.ndarray = NO_WEIGHTS
    models_: list[Any]
    _learned = ("weights_", "new_item_weights_")
    _parts = "models"

    def __init__(
        self,
        models: Sequence[Recommender] | None = None,
        *,
        weights: Sequence[float] | None = None,
        metric: str = "ndcg@20",
        n_steps: int = 20,
        random_state: RandomState = None,
    ) -> None:
        self.models = models
        self.weights = weights
        self.metric = metric
        self.n_steps = n_steps
        self.random_state = random_state

    def fit(
        self, X: Interactions | MatrixLike, y: None = None, *, item_features: FeaturesLike | None = None,
        validation: Split | None = None,
    ) -> Self:  # fmt: skip
        """Choose the weights, unless they are given, and fit every model.

        Parameters
        ----------
        X, y
            As for `Recommender.fit`.
        item_features : pandas frame, or sparse matrix or array of shape (n_items, n_features), optional
            For the models that take them, as for `IALS.fit`.
        validation : Split, optional
            Of the same items, cut from X: the weights are chosen on its test users, for models fitted to its training
            part, as means over at most five groups of 1,000 of them. By default on users apart, whose hidden items are
            drawn at random: give a split that was cut as the future will come, such as one in the order of time.

        Returns
        -------
        self
        """
        data, rng = self._read(X), check_rng(self.random_state)
        check_taken([self], item_features)
        parse(self.metric, ("ranking",))
        n_steps = check_int(self.n_steps, "n_steps", low=1)
        models = self._unfitted(int(rng.integers(2**31)))
        fresh = self._unlearned()
        if self.weights is not None and validation is not None:
            raise ParameterError("validation must be left out with weights, which are used as they are")
        if self.weights is None:
            if validation is None:
                fresh.weights_ = self._find_weights(models, _users_apart(data, rng), item_features, n_steps)
            else:
                fresh.weights_ = self._weights_for(_checked(validation, data), models, item_features, n_steps)
            if item_features is not None and (splits := _items_apart(data, rng)):
                fresh.new_item_weights_ = self._find_weights(models, splits, item_features, n_steps)
        else:
            fresh.weights_ = check_weights(self.weights, len(models))
        fresh.models_ = [model.fit(data, **fit_options(model, item_features)) for model in models]
        return become(self, fresh._remember_all(data))

    def _remember_all(self, data: Interactions) -> Self:
        """Store the training data; the items that a model with a weight for them knows have evidence."""
        self._remember(data)
        by_column = self._column_weights()
        weights = self.weights_[:, None] if by_column is None else by_column
        evidence = [model.item_evidence_ & (weight > 0) for model, weight in zip(self.models_, weights, strict=True)]
        self.item_evidence_ = np.any(evidence, axis=0)
        return self

    def _chosen(self) -> list[Any]:
        """The models, as they were given."""
        models = [IALS(), EASE()] if self.models is None else self.models
        if not isinstance(models, list | tuple) or not models:
            raise ParameterTypeError(f"models must be a list of models, got {models!r}")
        for model in models:
            if not isinstance(model, Recommender):
                raise ParameterTypeError(f"models must be recommenders, got {type(model).__name__}")
        return list(models)

    def _unfitted(self, seed: int) -> list[Any]:
        """Clones of the models, with a random_state."""
        models: list[Any] = [clone(model) for model in self._chosen()]
        for model in models:
            if model.get_params(deep=False).get("random_state", 0) is None:
                model.set_params(random_state=seed)
        return models

    def _find_weights(self, models: list[Any], splits: list[Split], item_features: Any, n_steps: int) -> np.ndarray:
        """Return the weights, (n_models,), that are best for the test users of all splits together."""
        if not splits or len(models) == 1:
            return np.full(len(models), 1 / len(models))
        rankings = (self._rankings(models, split, item_features) for split in splits)
        return _search([values for of_split in rankings for values in of_split], len(models), n_steps)

    def _weights_for(self, split: Split, models: list[Any], item_features: Any, n_steps: int) -> np.ndarray:
        """Return the mean, (n_models,), of the weights that are best for each group of a split's test users."""
        if len(models) == 1:
            return np.ones(1)
        groups = self._rankings(models, split, item_features, MAX_GROUPS)
        weights: np.ndarray = np.mean([_search([values], len(models), n_steps) for values in groups], axis=0)
        return weights

    def _rankings(self, models: list[Any], split: Split, item_features: Any, n_groups: int = 1) -> Iterator[Ranking]:
        """Fit clones of the models to the training part of a split; yield what ranks for each group of its test users.

        There are at most n_groups groups, each of at most 1,000 users.
        """
        candidates = ALL_CANDIDATES
        if split.candidates is not None:
            candidates = Candidates(shared=np.sort(split.items.indices(split.candidates)))
        fitted = [clone(model).fit(split.train, **fit_options(model, item_features)) for model in models]
        rows = _served(split, n_groups)
        n_groups = min(-(-len(rows) // MAX_USERS), n_groups)
        for group in range(n_groups):
            histories, test = (part.matrix[rows[group::n_groups][:MAX_USERS]] for part in (split.history, split.test))
            scored = [(model, model._encode(histories)) for model in fitted]
            yield ranked_values(scored, histories, test, self.metric, candidates)

    @property
    def _values(self) -> str:  # type: ignore[override]
        """What all models take."""
        kinds = {model._values for model in self._chosen()}
        return next(kind for kind in ("positive", "signed", "any") if kind in kinds)

    def _encode(self, matrix: sp.csr_array) -> Encoded:
        return Encoded(matrix, [model._encode(matrix) for model in self.models_])

    def _training_users(self, rows: np.ndarray) -> Encoded:
        return Encoded(self.seen_[rows], [model._training_users(rows) for model in self.models_])

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        self.models_ = [copy(model) for model in self.models_]
        for model in self.models_:
            model._update(data, users, items)
        self._remember_all(data)

    def _blended(self) -> tuple[list[Any], np.ndarray]:
        return self.models_, self.weights_

    def _column_weights(self) -> np.ndarray | None:
        if not len(self.new_item_weights_):
            return None
        is_new = self.item_counts_ == 0
        weights: np.ndarray = np.where(is_new, self.new_item_weights_[:, None], self.weights_[:, None])
        return weights.astype(np.float32)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; deep ones are the models' too, by place: "0", "0__reg", ..."""
        params: dict[str, Any] = super().get_params(deep=False)
        if deep and isinstance(self.models, list | tuple):
            for place, model in enumerate(self.models):
                if isinstance(model, Recommender):
                    params[str(place)] = model
                    params |= {f"{place}__{name}": value for name, value in model.get_params().items()}
        return params

    def default_tuning_space(self) -> dict[str, Any] | None:
        """Return the spaces of all models together."""
        if self.models is None:
            return None
        spaces = [model.default_tuning_space() or {} for model in self._chosen()]
        return _by_place(spaces)

    @property
    def _scores_by_training_data(self) -> bool:  # type: ignore[override]
        return any(model._scores_by_training_data for model in self._chosen())

    @property
    def _takes_item_features(self) -> bool:
        return any(model._takes_item_features for model in self._chosen())

    def _feature_tuning_space(self) -> dict[str, Any]:
        return _by_place([model._feature_tuning_space() for model in self._chosen()]) if self.models else {}

    def _check_loaded(self, path: PathLike) -> None:
        for name in ("weights_", "new_item_weights_"):
            weights = getattr(self, name)
            if weights is NO_WEIGHTS:
                continue
            self._check_array(path, name, (len(self.models_),), np.float64)
            if not (weights >= 0).all() or not weights.any():
                raise FileFormatError(f"{path}: {name} must be >= 0 and not all 0, got {weights}")


def _by_place(spaces: list[dict[str, Any]]) -> dict[str, Any]:
    """The spaces of several models as that of one, with the names `place__parameter`."""
    return {f"{place}__{name}": values for place, space in enumerate(spaces) for name, values in space.items()}


def _search(rankings: list[Ranking], n_models: int, n_steps: int) -> np.ndarray:
    """Return the weights, (n_models,), with the best mean over the users of all rankings."""
    tried, values = find_weights(lambda w: np.concatenate([ranked(w) for ranked in rankings]), n_models, n_steps)
    weights: np.ndarray = tried[values.mean(axis=1).argmax()]
    return weights


def _users_apart(data: Interactions, rng: np.random.Generator) -> list[Split]:
    """Splits whose test users, each a fifth of those with two interactions, are new; none without two such users."""
    n_long = int((np.diff(data.matrix.indptr) >= 2).sum())
    if n_long < 2:
        return []
    n_users = min(max(n_long // 5, 1), MAX_USERS)
    n_folds = enough_folds(n_users, n_long)
    if n_folds == 1:
        return [by_user(data, n_users, history=0.8, random_state=rng)]
    return list(islice(k_folds(data, min(MOST_FOLDS, n_long), history=0.8, random_state=rng), n_folds))


def _checked(validation: Any, data: Interactions) -> Split:
    """The split, of the same items and with test users who have a history."""
    if not isinstance(validation, Split) or validation.items != data.items or not len(_served(validation)):
        raise DataError(f"validation must be a Split of the same items as X, with test users, got {validation!r}")
    if validation.candidates is not None and validation.candidates.ndim == 2:
        raise DataError(
            "validation must be a Split in which all items, or some, are ranked for every user, got one "
            "with candidates for each user: cut it without negatives"
        )
    return validation


def _items_apart(data: Interactions, rng: np.random.Generator) -> list[Split]:
    """Splits whose test items, a fifth, are new; none where all items of the data have an interaction, or too few."""
    n_known = len(np.unique(data.matrix.indices))
    if n_known == data.n_items or n_known < 2:
        return []
    n_items = max(n_known // 5, 1)
    n_folds = enough_folds(n_items, n_known)
    if n_folds == 1:
        splits = [cold_items(data, n_items, random_state=rng)]
    else:
        splits = list(islice(k_folds(data, min(MOST_FOLDS, n_known), by="item", random_state=rng), n_folds))
    return [split for split in splits if len(_served(split)) >= 2]


def _served(split: Split, most: int = 1) -> np.ndarray:
    """Test users who have a history, at most as many as are needed, from all over the data."""
    rows = split.test_rows
    rows = rows[np.diff(split.history.matrix.indptr)[rows] > 0]
    return rows[:: max(1, -(-len(rows) // (MAX_USERS * most)))]
