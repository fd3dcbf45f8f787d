"""Groups of items: who finds popular items, who the long tail, and who new items."""

from collections.abc import Sequence

import numpy as np

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError
from lrrec.evaluation.evaluation_result import group_codes, group_frame
from lrrec.evaluation.ready_lists import evaluate_lists
from lrrec.linalg.sparse import positive
from lrrec.models.base.results import Recommendations
from lrrec.splits.split import Split, check_data
from lrrec.typing import ArrayLike, Frame, FrameLike, Ids
from lrrec.validate import check_real


def popularity_groups(train: Interactions, share: float = 0.33) -> np.ndarray:
    """Return "popular" or "tail" for each item, (n_items,).

    Popular are the fewest items that have this share of the interactions of value > 0; among equally popular items
    those with the smaller index come first. (Cremonesi, Koren & Turrin 2010, "Performance of recommender algorithms on
    top-n recommendation tasks", sec. 3.)

    Parameters
    ----------
    train : Interactions
    share : float in (0, 1), default 0.33

    Examples
    --------
    >>> import lrrec
    >>> train = lrrec.Interactions.from_pairs(["ann", "bob", "cat", "cat"], ["x", "x", "x", "y"])
    >>> lrrec.popularity_groups(train).tolist()
    ['popular', 'tail']
    """
    check_data(train)
    share = check_real(share, "share", low=0, high=1, open_low=True)
    counts = np.bincount(positive(train.matrix).indices, minlength=train.n_items)
    order = np.argsort(-counts, kind="stable")
    n_popular = int(np.searchsorted(np.cumsum(counts[order]), share * counts.sum())) + 1
    groups = np.full(train.n_items, "tail", dtype=object)
    groups[order[:n_popular]] = "popular"
    return groups


def seen_groups(train: Interactions) -> np.ndarray:
    """Return "seen" for each item with a training interaction and "new" for the others, (n_items,).

    Parameters
    ----------
    train : Interactions

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_time(data, 0.3)
    >>> lists = lrrec.Popularity().fit(split.train).recommend(split.users.ids[split.test_rows], 20, unknown="popular")
    >>> groups = lrrec.seen_groups(split.train)
    >>> lrrec.by_item_group(lists, split, groups=groups, metrics=["hit@20"])["group"].tolist()
    ['new', 'seen']
    """
    check_data(train)
    counts = np.bincount(train.matrix.indices, minlength=train.n_items)
    return np.where(counts > 0, "seen", "new").astype(object)


def by_item_group(
    lists: Recommendations | FrameLike | ArrayLike, test: Interactions | Split, *, groups: ArrayLike,
    metrics: Sequence[str] = ("recall@20",), users: Ids | None = None,
    user: str = "user", item: str = "item", backend: str = "pandas",
) -> Frame:  # fmt: skip
    """Return a frame with one row per group of items and metric: group, metric, n, mean, low, high.

    A group's values are those of `evaluate_lists` if only the group's items are relevant, over the n users who have
    such a test interaction. With recall, "tail" is the share of their tail items that the lists hold.

    Parameters
    ----------
    lists, users, user, item
        As for `evaluate_lists`; lists are of all items, not of those of a group.
    test : Interactions or Split
    groups : sequence, shape (n_items,), or dict or pandas Series by item id
        The group of each item, in the order of test.items where they are not labelled; e.g. `popularity_groups(train)`,
        or `seen_groups(train)`.
    metrics : sequence of str, default ("recall@20",)
    backend : {"pandas", "polars", "pyarrow"}, default "pandas"

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> lists = lrrec.Popularity().fit(split.train).recommend_from(split.history, 20)
    >>> frame = lrrec.by_item_group(lists, split.test, groups=lrrec.popularity_groups(split.train))
    >>> frame["group"].tolist()
    ['popular', 'tail']
    """
    data = test.test if isinstance(test, Split) else test
    if not isinstance(data, Interactions):
        raise DataError(f"test must be Interactions or a Split, got {type(test).__name__}")
    codes, names = group_codes(groups, data.items, "item")
    rows = []
    for code, name in enumerate(names):
        in_group = codes[data.matrix.indices] == code
        if not in_group.any():
            continue
        result = evaluate_lists(lists, data.filter(in_group), metrics=metrics, users=users, user=user, item=item)
        intervals, n = result.interval(), len(result.users)
        rows += [(name, metric, n, mean, *intervals[metric]) for metric, mean in result.mean().items()]
    return group_frame(rows, backend)
