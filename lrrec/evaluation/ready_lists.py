"""evaluate_lists: ready-made lists against test interactions, whoever made them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from lrrec.data.interactions import Interactions
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError, DataWarning
from lrrec.evaluation.evaluation_result import Evaluation
from lrrec.evaluation.list_reader import read_lists, refuse_repeats
from lrrec.evaluation.protocol import Candidates, Protocol, split_fields, value_range
from lrrec.metrics.beyond_accuracy import count_exposures
from lrrec.metrics.hits import count_hits
from lrrec.metrics.measurement import catalogue_for, measure
from lrrec.metrics.registry import DEFAULT_METRICS, check_names, parse
from lrrec.models.base.results import Recommendations
from lrrec.splits import Split
from lrrec.typing import ArrayLike, FrameLike, Ids, MatrixLike
from lrrec.validate import check_threads, first_three

LIST_KINDS = ("ranking", "list", "catalogue")  # of metrics that need nothing but lists


def evaluate_lists(
    lists: Recommendations | FrameLike | ArrayLike, test: Interactions | Split, *,
    metrics: Sequence[str] = DEFAULT_METRICS, train: Interactions | None = None, vectors: MatrixLike | None = None,
    users: Ids | None = None, user: str = "user", item: str = "item",
) -> Evaluation:  # fmt: skip
    """Compare ready-made lists with what is relevant to each user.

    Parameters
    ----------
    lists : Recommendations, frame, array of item ids of shape (n, k), or dict or pandas Series of lists by user id
        A frame has a row an entry and a column "rank" (from 1) or "score" (greatest first, equal ones in the order
        of the rows). An array has one row per user, best first; rows may have different lengths and masked places; an
        empty place may also be None or, if that is no item's id, -1.
    test : Interactions or Split
        The relevant items; of a Split its test part, and histories and seen items are looked at too.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        NAME@K; see `lrrec.metrics.METRICS`.
    train : Interactions, optional
        The interactions that popularity is counted on, for "novelty", "popularity" and "diversity"; of a Split its
        training part.
    vectors : ndarray, sparse matrix or pandas frame, shape (n_items, D), optional
        The vectors that "diversity" compares: `item_factors_` of a model, or features; in the order of test.items, or
        with item ids as the frame's index.
    users : sequence of ids, shape (n,), optional
        The user of each row of an array; only for arrays.
    user, item : str, default "user", "item"
        The frame's columns of ids.

    Returns
    -------
    Evaluation
        Of every user with a test interaction, in the order of their indices. A user without a list has no hit; lists
        of users without a test interaction are left out. Both are counted in the protocol.

    Warns
    -----
    DataWarning
        If users have no list, or a Split is given and lists hold what their users have seen.

    Raises
    ------
    DataError
        If a user has two lists, a list names an item twice, or two entries of a user have the same rank.

    Notes
    -----
    Items that are not in `test` are misses. Memory: 4 bytes per test user and place up to the largest K, beside the
    arguments.

    Examples
    --------
    >>> import lrrec
    >>> test = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
    >>> lists, metrics = [["y", "z"], ["z", "x"]], ["hit@1", "recall@2", "coverage@2"]
    >>> lrrec.evaluate_lists(lists, test, metrics=metrics, users=["ann", "bob"]).mean()
    {'hit@1': 0.5, 'recall@2': 0.75, 'coverage@2': 1.0}
    """
    split = test if isinstance(test, Split) else None
    data = test.test if isinstance(test, Split) else test
    if not isinstance(data, Interactions):
        raise DataError(f"test must be Interactions or a Split, got {type(test).__name__}; see Interactions.from_frame")
    metric_of = {name: parse(name, LIST_KINDS) for name in check_names(metrics, LIST_KINDS)}
    rows = np.flatnonzero(np.diff(data.matrix.indptr))
    if not len(rows):
        raise DataError("test must have at least one interaction, got none")
    vectors, _ = align_matrix(vectors, data.items, "vectors")
    catalogue = catalogue_for(list(metric_of), _training_matrix(split, train, data), vectors)
    k = max(k or 0 for _, k in metric_of.values())
    row_of_user = np.full(len(data.users), -1, dtype=np.int32)
    row_of_user[rows] = np.arange(len(rows), dtype=np.int32)
    places, n_without_test = read_lists(
        lists, data.items, k, data.users, row_of_user, users=users, user=user, item=item
    )  # fmt: skip
    n_threads, ids = check_threads(None), data.users.ids[rows]
    per_list = [name for name, (metric, _) in metric_of.items() if metric.kind != "catalogue"]
    values, repeats = measure(places, data.matrix, rows, per_list, catalogue=catalogue, n_threads=n_threads)
    refuse_repeats(ids[repeats])
    overall = {
        name: float(metric.function(count_exposures(places[:, :cutoff], data.n_items)))
        for name, (metric, cutoff) in metric_of.items() if metric.kind == "catalogue"
    }  # fmt: skip
    unlisted = (places == -1).all(axis=1)
    n_seen = None if split is None else int(count_hits(places, split.history.matrix, rows, n_threads=n_threads).sum())
    protocol = Protocol(
        tuple(metric_of), Candidates("ready-made lists", data.n_items), len(rows),
        **({} if split is None else split_fields(split)), value_range=value_range(data.matrix.data),
        served_from="lists", exclude_seen=None, n_places=k, n_unlisted=int(unlisted.sum()),
        n_without_test=n_without_test, n_seen=n_seen,
    )  # fmt: skip
    _warn(protocol, ids[unlisted], split is not None and split.exclude_seen)
    sizes = np.full(len(rows), -1) if split is None else np.diff(split.history.matrix.indptr)[rows]
    return Evaluation(ids, dict(zip(per_list, values.T.copy(), strict=True)), sizes, protocol, overall)


def _training_matrix(split: Split | None, train: Interactions | None, data: Interactions) -> Any:
    """The training matrix, if it is known; refuse one with other items."""
    if train is None:
        return None if split is None else split.train.matrix
    if not isinstance(train, Interactions):
        raise DataError(f"train must be Interactions, got {type(train).__name__}; for a Split, pass it as test")
    if train.items != data.items:
        raise DataError("train must have the items of test: make both of one data set, or use align_items")
    return train.matrix


def _warn(protocol: Protocol, unlisted: np.ndarray, exclude_seen: bool) -> None:
    """Warn of what about the lists changes the values."""
    if len(unlisted):
        n, shown = len(unlisted), first_three(unlisted)
        message = f"{n} of {protocol.n_users} test users have no list and count as having no hit: {shown}"
        warnings.warn(message, DataWarning, stacklevel=3)
    if protocol.n_seen and exclude_seen:
        message = f"{protocol.n_seen} seen items are in the lists; items of the history are no test"
        warnings.warn(message, DataWarning, stacklevel=3)
