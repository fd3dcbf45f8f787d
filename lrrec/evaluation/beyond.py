"""Beyond accuracy: how much of the catalogue lists show, how popular, how alike; and what is found of which items.

Functions of lists (n, K): item indices, best first, negative for a place that holds none.

| name@k | what | range |
|---|---|---|
| coverage | share of the catalogue in at least one list | 0 to 1 |
| gini | how unequally the places are shared among the items | 0 (equally) to 1 |
| novelty | mean self-information of a recommended item, in bits | 0 (everybody knows it) and up |
| popularity | mean number of users who know a recommended item | 0 and up |
| diversity | mean cosine distance of two items of a list | 0 (all alike) to 2 |
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError
from lrrec.evaluation.ready_lists import evaluate_lists, read
from lrrec.evaluation.result import group_codes, group_frame
from lrrec.linalg.threads import even_blocks
from lrrec.splits import Split
from lrrec.validate import check_real

METRICS = ("coverage@10", "gini@10", "novelty@10", "popularity@10")
NAMES = ("coverage", "gini", "novelty", "popularity", "diversity")
BLOCK_CELLS = 2**22  # numbers of vectors gathered at once


def coverage(lists: np.ndarray, n_items: int) -> float:
    """Number of distinct recommended items / n_items.

    (Ge, Delgado-Battenfeld & Jannach 2010, "Beyond accuracy", eq. 2. Rival: divided by the items that could be
    recommended.)
    """
    return int((_exposures(lists, n_items) > 0).sum()) / n_items


def gini(lists: np.ndarray, n_items: int) -> float:
    """Gini index of exposure: sum_j (2 j - n - 1) e_j / (n sum_j e_j), e rising: how many lists hold each item.

    0 where all n items are shown equally often, (n - 1) / n where all places hold one item; NaN for empty lists. Items
    that are never shown count. (Rival: over the shown items only.)
    """
    exposures = np.sort(_exposures(lists, n_items))
    total = exposures.sum()
    return float((2 * np.arange(1, n_items + 1) - n_items - 1) @ exposures / (n_items * total)) if total else np.nan


def novelty(lists: np.ndarray, item_counts: np.ndarray, n_users: int) -> np.ndarray:
    """Mean of -log2(item_counts / n_users) over the places of each list, (n,); NaN for an empty list.

    Zhou et al. (2010), doi:10.1073/pnas.1000488107. An item that nobody knows counts as known to one user.

    Parameters
    ----------
    lists : ndarray of int, shape (n, K)
    item_counts : ndarray of int, shape (n_items,)
        How many of the n_users training users interacted with each item.
    n_users : int
    """
    return _mean_of_places(lists, np.log2(n_users) - np.log2(np.maximum(item_counts, 1)))


def popularity(lists: np.ndarray, item_counts: np.ndarray) -> np.ndarray:
    """Mean of item_counts over the places of each list, (n,); NaN for an empty list. Its mean over users is ARP.

    Yin et al. (2012), "Challenging the long tail recommendation", sec. 5. (Rival: divided by the number of users.)
    """
    return _mean_of_places(lists, item_counts.astype(np.float64))


def diversity(lists: np.ndarray, vectors: Any) -> np.ndarray:
    """Mean of 1 - cos(v_i, v_j) over the pairs of items of each list, (n,); NaN for lists of less than two items.

    Intra-list diversity: Smyth & McClave (2001), "Similarity vs. diversity", eq. 5. The sum of all cosines is the
    squared length of the sum of directions, so a list costs O(K D) and not O(K^2 D). An item whose vector is 0 has
    cosine 0 with all others.

    Parameters
    ----------
    lists : ndarray of int, shape (n, K)
    vectors : ndarray or sparse matrix, shape (n_items, D)
        Item factors, or features of items.
    """
    squares = np.asarray(
        sp.csr_array(vectors).power(2).sum(axis=1) if sp.issparse(vectors) else (vectors**2).sum(axis=1)
    )
    lengths = np.sqrt(squares)
    inverse = np.divide(1, lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    out = np.empty(len(lists))
    for start, stop in even_blocks(len(lists), max(1, BLOCK_CELLS // (max(lists.shape[1], 1) * vectors.shape[1]))):
        some = lists[start:stop]
        filled = some >= 0
        rows, columns = np.nonzero(filled)[0], some[filled]
        weights = sp.csr_array((inverse[columns], (rows, columns)), shape=(len(some), vectors.shape[0]))
        total = weights @ vectors  # the sum of directions of each list
        length = np.asarray((total.power(2) if sp.issparse(total) else total**2).sum(axis=1)).reshape(-1)
        own = np.bincount(rows, lengths[columns] > 0, len(some))  # cosines of items with themselves
        n = filled.sum(axis=1)
        n_pairs = n * (n - 1)
        out[start:stop] = 1 - np.divide(length - own, n_pairs, out=np.full(len(some), np.nan), where=n_pairs > 0)
    return out


def _exposures(lists: np.ndarray, n_items: int) -> np.ndarray:
    """How many places hold each item, int64 (n_items,)."""
    return np.bincount(lists[lists >= 0], minlength=n_items)


def _mean_of_places(lists: np.ndarray, of_items: np.ndarray) -> np.ndarray:
    """The mean over the filled places of each list of a number of the item, (n,)."""
    filled = lists >= 0
    n = filled.sum(axis=1)
    total = np.where(filled, of_items[np.maximum(lists, 0)], 0).sum(axis=1)
    return np.divide(total, n, out=np.full(len(lists), np.nan), where=n > 0)


def beyond_accuracy(
    lists: Any, train: Interactions, metrics: Sequence[str] = METRICS, *, vectors: Any = None, users: Any = None,
    user: str = "user", item: str = "item",
) -> dict[str, float]:  # fmt: skip
    """Return what lists are like beside being right; per-user figures as means over the users with a list.

    Parameters
    ----------
    lists : Recommendations, frame, or array of item ids of shape (n, k)
        As for `evaluate_lists`. Items that train does not know are left out.
    train : Interactions
        What is known: its items are the catalogue, its interactions make an item popular.
    metrics : sequence of str, default ("coverage@10", "gini@10", "novelty@10", "popularity@10")
        NAME@K, also "diversity@K"; see `lrrec.evaluation.beyond`.
    vectors : ndarray or sparse matrix, shape (n_items, D), optional
        What "diversity" compares: `item_factors_` of a model, or features, in the order of train.items.
    users, user, item
        As for `evaluate_lists`.

    Notes
    -----
    Read them beside an accuracy metric: random lists are the most diverse. Figures of lists of different lengths
    cannot be compared, nor those by the factors of different models.

    Examples
    --------
    >>> import lrrec
    >>> train = lrrec.Interactions.from_pairs([1, 2, 3, 4], ["x", "x", "x", "y"])
    >>> lrrec.beyond_accuracy([["x"], ["y"]], train, ["coverage@1", "gini@1", "popularity@1"], users=[1, 4])
    {'coverage@1': 1.0, 'gini@1': 0.0, 'popularity@1': 2.0}
    """
    if not isinstance(train, Interactions):
        raise DataError(f"train must be Interactions, got {type(train).__name__}; of a split take split.train")
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    found = {name: re.fullmatch(r"([a-z]+)@([1-9][0-9]*)", name) for name in names if isinstance(name, str)}
    for name in names:
        match = found.get(name)
        if match is None or match[1] not in NAMES:
            raise ParameterError(f"a metric must be NAME@K with NAME one of {', '.join(NAMES)}, got {name!r}")
    if not names:
        raise ParameterError("metrics must be a list of at least one metric, got none")
    if any(name.startswith("diversity") for name in names):
        shape = getattr(vectors, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != train.n_items:
            raise DataError(f"vectors must be of shape ({train.n_items}, D) for diversity, got {shape}")
    cuts = {name: int(match[2]) for name, match in found.items() if match is not None}
    places, _ = read(lists, train.items, max(cuts.values()), users, user, item)
    counts = np.bincount(train.matrix.indices, minlength=train.n_items)
    n_users = int((np.diff(train.matrix.indptr) > 0).sum())
    out = {}
    for name, k in cuts.items():
        kind, first = name.split("@")[0], places[:, :k]
        if kind == "coverage":
            out[name] = coverage(first, train.n_items)
        elif kind == "gini":
            out[name] = gini(first, train.n_items)
        elif kind == "novelty":
            out[name] = _mean(novelty(first, counts, n_users))
        elif kind == "popularity":
            out[name] = _mean(popularity(first, counts))
        else:
            out[name] = _mean(diversity(first, vectors))
    return out


def _mean(values: np.ndarray) -> float:
    """The mean of what is defined, NaN where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def popularity_groups(train: Interactions, share: float = 0.33) -> np.ndarray:
    """Return "popular" or "tail" for each item, (n_items,).

    Popular are the fewest items that have this share of the interactions; of equally popular ones those with the
    smaller index come first. (Cremonesi, Koren & Turrin 2010, "Performance of recommender algorithms on top-n
    recommendation tasks", sec. 3.)

    Parameters
    ----------
    train : Interactions
    share : float in (0, 1), default 0.33
    """
    share = check_real(share, "share", low=0, high=1, open_low=True)
    counts = np.bincount(train.matrix.indices, minlength=train.n_items)
    order = np.argsort(-counts, kind="stable")
    n_popular = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum())) + 1
    groups = np.full(train.n_items, "tail", dtype=object)
    groups[order[:n_popular]] = "popular"
    return groups


def by_item_group(
    lists: Any, test: Any, groups: Any, metrics: Sequence[str] = ("recall@20",), *, users: Any = None,
    user: str = "user", item: str = "item", backend: str = "pandas",
) -> Any:  # fmt: skip
    """Return a frame with a row a group of items and metric: group, metric, n, mean, low, high.

    Of each group: `evaluate_lists` with only the group's items being relevant, for the n users who have such a test
    interaction. With recall, "tail" is the share of tail items that were found.

    Parameters
    ----------
    lists, users, user, item
        As for `evaluate_lists`; lists are of all items, not of a group's.
    test : Interactions or Split
    groups : sequence, shape (n_items,)
        The group of each item, in the order of test.items; e.g. `popularity_groups(train)`.
    metrics : sequence of str, default ("recall@20",)
    backend : {"pandas", "polars", "pyarrow"}, default "pandas"

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> lists = lrrec.Popularity().fit(split.train).recommend_from(split.history, 20)
    >>> found = lrrec.by_item_group(lists, split.test, lrrec.popularity_groups(split.train))
    >>> found["group"].tolist()
    ['popular', 'tail']
    """
    data = test.test if isinstance(test, Split) else test
    if not isinstance(data, Interactions):
        raise DataError(f"test must be Interactions or a Split, got {type(test).__name__}")
    codes, names = group_codes(groups, data.n_items)
    rows = []
    for code, name in enumerate(names):
        among = codes[data.matrix.indices] == code
        if not among.any():
            continue
        found = evaluate_lists(lists, data.filter(among), metrics, users=users, user=user, item=item)
        intervals = found.interval()
        n = len(found.users)
        rows += [(name, metric, n, mean, *intervals[metric]) for metric, mean in found.mean().items()]
    return group_frame(rows, backend)
