"""Re-ranking: recommendations in another order, for diversity, quotas of categories, or reasons of business.

A step is made with its settings and called with `Recommendations`; it returns others. Steps follow each other:

    lists = model.recommend(users, k=100)
    lists = rerank.Quota(brands, 3, k=10)(rerank.MMR(genres)(rerank.Boost({"new item": 1.0})(lists)))

A step chooses among the items of the lists alone: let the model make longer ones, and the last step shorten them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.features import Features, FeaturesLike
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError, ParameterTypeError
from lrrec.linalg.ranking import BLOCK_CELLS
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import MAX_K, Recommendations
from lrrec.validate import as_float32, check_int, check_real, first_three

__all__ = ["MMR", "Boost", "Quota"]
EMPTY = -1e300  # the value of a place without an item


class Boost:
    """Add a number to the scores of some items, and rank by the sums.

    Parameters
    ----------
    values : dict or pandas Series of item id to number
        The number added to a score, in units of the standard deviation of the scores in the user's list: with 1 an
        average item passes five of six others. Items that it lacks keep their scores; items < 0 fall.
    k : int, optional
        Length of the new lists; that of the old ones when not given.

    Notes
    -----
    The scores of the new lists are the sums. Items that were filled in without a score stay last.

    Examples
    --------
    >>> from lrrec import Interactions, Popularity, rerank
    >>> train = Interactions.from_pairs(["ann", "ann", "ann", "bob", "bob", "cat"], ["x", "y", "z", "x", "y", "x"])
    >>> lists = Popularity().fit(train).recommend(["cat"], k=2, exclude_seen=False)
    >>> rerank.Boost({"y": 3.0})(lists).items.tolist()
    [['y', 'x']]
    """

    values: pd.Series
    k: int | None

    def __init__(self, values: Mapping[Any, float] | pd.Series, *, k: int | None = None) -> None:
        self.values, self.k = _by_id(values, "values"), _length(k)
        numbers = pd.to_numeric(self.values, errors="coerce")
        if not np.isfinite(numbers.astype(np.float64)).all():
            raise DataError("values must be finite numbers by item id, got something else")

    def __call__(self, lists: Recommendations) -> Recommendations:
        """Return the lists in the new order."""
        scores = _check_lists(lists).scores.filled(np.nan).astype(np.float64)
        added = _of_items(self.values, lists, 0.0).astype(np.float64)
        known, present = ~np.isnan(scores), ~np.ma.getmaskarray(lists.items)
        n = np.maximum(known.sum(axis=1, keepdims=True), 1)
        means = np.where(known, scores, 0).sum(axis=1, keepdims=True) / n
        spread = np.sqrt(np.where(known, (scores - means) ** 2, 0).sum(axis=1, keepdims=True) / n)
        scores = scores + added * np.where(spread > 0, spread, 1)
        by_score = np.argsort(np.where(known, -scores, np.inf), axis=1, kind="stable")
        absent = ~np.take_along_axis(present, by_score, axis=1)
        order = np.take_along_axis(by_score, np.argsort(absent, axis=1, kind="stable"), axis=1)
        return _taken(lists, order, present.sum(axis=1), self.k, scores)


class Quota:
    """Keep at most so many items of a category in each list, those ranked first.

    Parameters
    ----------
    categories : dict or pandas Series of item id to category
        Items that it lacks are in no category, and not limited.
    at_most : int, or dict of category to int
        For every category, or for those of the dict alone.
    k : int, optional
        Length of the new lists, which are masked where too few items are left; that of the old ones when not given.

    Examples
    --------
    >>> from lrrec import Interactions, Popularity, rerank
    >>> train = Interactions.from_pairs(["ann", "ann", "ann", "bob", "bob", "cat"], ["x", "y", "z", "x", "y", "x"])
    >>> lists = Popularity().fit(train).recommend(["cat"], k=3, exclude_seen=False)
    >>> rerank.Quota({"x": "film", "y": "film", "z": "book"}, 1)(lists).items.tolist()
    [['x', 'z', None]]
    """

    categories: pd.Series
    k: int | None

    def __init__(
        self, categories: Mapping[Any, Any] | pd.Series, at_most: int | Mapping[Any, int], *, k: int | None = None
    ) -> None:
        self.categories, self.k = _by_id(categories, "categories"), _length(k)
        if isinstance(at_most, Mapping):
            limits = {name: check_int(limit, f"at_most[{name!r}]", low=0) for name, limit in at_most.items()}
            unknown = sorted(map(repr, limits.keys() - set(self.categories)))
            if unknown:
                raise DataError(f"at_most must be of categories, got {', '.join(unknown[:3])}")
            self.at_most: int | dict[Any, int] = limits
        else:
            self.at_most = check_int(at_most, "at_most", low=0)

    def __call__(self, lists: Recommendations) -> Recommendations:
        """Return the lists without the items that are too many."""
        names = pd.Index(self.categories.dropna().unique())
        codes = _of_items(pd.Series(names.get_indexer(self.categories), self.categories.index), _check_lists(lists), -1)
        of_each = self.at_most
        by_name = [of_each if isinstance(of_each, int) else of_each.get(name, MAX_K) for name in names]
        limits = np.array([*by_name, 0])  # that of no category is never used
        kept = ~np.ma.getmaskarray(lists.items)
        counts = np.zeros((len(lists), len(limits)), dtype=np.int64)
        rows = np.arange(len(lists))
        for place in range(codes.shape[1]):
            code = codes[:, place].astype(np.int64)
            limited = (code >= 0) & kept[:, place]
            full = limited & (counts[rows, code] >= limits[code])
            kept[full, place] = False
            counts[rows[limited & ~full], code[limited & ~full]] += 1
        return _taken(lists, np.argsort(~kept, axis=1, kind="stable"), kept.sum(axis=1), self.k)


class MMR:
    """Maximal marginal relevance: each place has an item of a high score that differs from those before it.

    The next item is the one with the largest (1 - diversity) r - diversity max_j cos(f, f_j), with its score r scaled
    to 0..1 within the list, its vector f, and those f_j of the items before it.

    Parameters
    ----------
    vectors : Features, pandas frame by item id, or fitted model
        Vectors to compare items by: features, or the factors (features, for an `ItemContent`) of a model.
    diversity : float in [0, 1], default 0.3
        0 leaves the order as it is.
    k : int, optional
        Length of the new lists; that of the old ones when not given.

    Notes
    -----
    O(K k D) time a list, for lists of K items of which k are chosen, and vectors of D numbers. Scores stay those of the
    model. Items that were filled in without a score count as the worst of their list.

    References
    ----------
    Carbonell & Goldstein (1998), "The use of MMR, diversity-based reranking for reordering documents and producing
    summaries".

    Examples
    --------
    >>> import pandas as pd
    >>> from lrrec import Interactions, Popularity, rerank
    >>> train = Interactions.from_pairs(["ann", "ann", "ann", "bob", "bob", "cat"], ["x", "y", "z", "x", "y", "x"])
    >>> lists = Popularity().fit(train).recommend(["cat"], k=3, exclude_seen=False)
    >>> genres = pd.DataFrame({"drama": [1, 1, 0], "comedy": [0, 0, 1]}, index=["x", "y", "z"])
    >>> rerank.MMR(genres, diversity=0.5)(lists).items.tolist()
    [['x', 'z', 'y']]
    """

    vectors: Features | pd.DataFrame
    diversity: float
    k: int | None

    def __init__(self, vectors: FeaturesLike | Recommender, *, diversity: float = 0.3, k: int | None = None) -> None:
        if isinstance(vectors, Recommender):
            vectors._check_fitted()
            rows = getattr(vectors, "item_factors_", getattr(vectors, "item_features_", None))
            if rows is None or rows.shape[0] != len(vectors.items_):  # an EASE without features has none
                raise ParameterTypeError(f"vectors must be a model with vectors of items, got {type(vectors).__name__}")
            vectors = Features(rows, vectors.items_)
        if not isinstance(vectors, Features | pd.DataFrame):
            raise ParameterTypeError(
                f"vectors must be Features, a frame by item id, or a model, got {type(vectors).__name__}"
            )
        self.vectors, self.k = vectors, _length(k)
        self.diversity = check_real(diversity, "diversity", low=0, high=1)

    def __call__(self, lists: Recommendations) -> Recommendations:
        """Return the lists in the new order."""
        present = ~np.ma.getmaskarray(_check_lists(lists).items)
        ids, where = np.unique(lists.items.data[present], return_inverse=True)
        numbers, _ = align_matrix(self.vectors, ids, "vectors")
        dense = as_float32(numbers.toarray() if sp.issparse(numbers) else numbers, "vectors")
        if not np.isfinite(dense).all():
            raise DataError("vectors must be finite numbers, got NaN or infinity")
        norms = np.linalg.norm(dense, axis=1, keepdims=True)
        unit = np.vstack((dense / np.where(norms > 0, norms, 1), np.zeros((1, dense.shape[1]), dtype=np.float32)))
        places: np.ndarray = np.full(lists.items.shape, len(ids))
        places[present] = where
        k = min(places.shape[1], self.k or MAX_K)
        order = np.empty((len(lists), k), dtype=np.int64)
        relevance = _scaled(lists.scores.filled(np.nan).astype(np.float64))
        size = max(1, BLOCK_CELLS // max(1, places.shape[1] * dense.shape[1]))
        for start, stop in even_blocks(len(lists), size):
            part = slice(start, stop)
            order[part] = self._order(unit[places[part]], relevance[part], present[part], k)
        return _taken(lists, order, present.sum(axis=1), self.k)

    def _order(self, vectors: np.ndarray, relevance: np.ndarray, present: np.ndarray, k: int) -> np.ndarray:
        """The first k places of lists in the new order, (B, k), for the vectors (B, K, D) of their items."""
        rows, taken = np.arange(len(vectors)), np.zeros(present.shape, dtype=bool)
        order, closest = np.empty((len(vectors), k), dtype=np.int64), np.zeros(present.shape)
        for place in range(k):
            value = np.where(present, (1 - self.diversity) * relevance - self.diversity * closest, EMPTY)
            value[taken] = -np.inf
            chosen = order[:, place] = value.argmax(axis=1)
            taken[rows, chosen] = True
            cosines = np.einsum("bkd,bd->bk", vectors, vectors[rows, chosen])
            closest = np.maximum(closest, cosines) if place else cosines
        return order


def _check_lists(lists: Any) -> Recommendations:
    if not isinstance(lists, Recommendations):
        raise ParameterTypeError(f"lists must be Recommendations, as recommend() returns, got {type(lists).__name__}")
    return lists


def _length(k: int | None) -> int | None:
    return None if k is None else check_int(k, "k", low=1, high=MAX_K)


def _by_id(values: Any, name: str) -> pd.Series:
    """A Series by distinct item ids."""
    if not isinstance(values, Mapping | pd.Series):
        raise ParameterTypeError(f"{name} must be a dict or pandas Series by item id, got {type(values).__name__}")
    series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=None if values else np.float64)
    repeated = series.index[series.index.duplicated()]
    if len(repeated):
        raise DataError(f"{name} must have one value for each item, got several for {first_three(repeated)}")
    return series


def _of_items(values: pd.Series, lists: Recommendations, missing: float) -> np.ndarray:
    """The value of each item of the lists, (n, K); `missing` for those that have none, and for empty places."""
    present = ~np.ma.getmaskarray(lists.items)
    ids, where = np.unique(lists.items.data[present], return_inverse=True)
    if len(ids) and len(values) and pd.api.types.is_integer_dtype(values.index.dtype) != (ids.dtype != object):
        raise DataError(f"item ids must be as those of the lists, got {first_three(values.index)}")
    numbers = np.full(lists.items.shape, missing, dtype=np.float64)
    numbers[present] = values.reindex(pd.Index(ids)).fillna(missing).to_numpy(dtype=np.float64)[where]
    return numbers


def _scaled(scores: np.ndarray) -> np.ndarray:
    """Scores scaled to 0..1 within each list (n, K); 1 where all are equal, 0 where there is none."""
    known = ~np.isnan(scores)
    low = np.where(known, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    spread = np.where(known, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf) - low
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.where(spread > 0, (scores - low) / spread, 1)
    return np.where(known, scaled, 0)


def _taken(
    lists: Recommendations, order: np.ndarray, counts: np.ndarray, k: int | None, scores: np.ndarray | None = None
) -> Recommendations:
    """The lists with their places in another order (n, m), of which the first counts (n,) hold items; k of them."""
    order = order[:, : order.shape[1] if k is None else k]
    empty = np.arange(order.shape[1]) >= counts[:, None]
    items, indices = (np.take_along_axis(part, order, axis=1) for part in (lists.items.data, lists.indices))
    old = lists.scores if scores is None else np.ma.masked_invalid(scores.astype(np.float32))
    data = np.take_along_axis(np.ma.getdata(old), order, axis=1)
    hidden = np.take_along_axis(np.ma.getmaskarray(old), order, axis=1) | empty
    return Recommendations(
        scores=np.ma.MaskedArray(data, mask=hidden), users=lists.users, items=np.ma.MaskedArray(items, mask=empty),
        indices=np.where(empty, np.int32(-1), indices),
    )  # fmt: skip
