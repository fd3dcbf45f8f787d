"""evaluate_lists: ready-made lists against test interactions, whoever made them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data import frames
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.evaluation.result import Evaluation
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import count_hits, cutoff, kernels, measure
from lrrec.models.base.results import Recommendations
from lrrec.splits import Split
from lrrec.validate import check_threads, first_three

METRICS = ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
BLOCK = 2**19  # ids that a thread looks up at once


def evaluate_lists(
    lists: Any, test: Any, metrics: Sequence[str] = METRICS, *, users: Any = None, user: str = "user",
    item: str = "item",
) -> Evaluation:  # fmt: skip
    """Compare ready-made lists with what is relevant to each user; no model is asked.

    Parameters
    ----------
    lists : Recommendations, frame, or array of item ids of shape (n, k)
        A frame has a row an entry and a column "rank" (from 1) or "score" (greatest first, equal ones in the order
        of the rows). An array has a row a user, best first; lists of different lengths and masked places are taken
        too; an empty place may also be None or, where that is no item's id, -1.
    test : Interactions or Split
        The relevant items; of a Split its test part, and histories and seen items are looked at too.
    metrics : sequence of str, default ("ndcg@10", "recall@20", "precision@10", "map@10", "mrr@10", "hit@10")
        NAME@K; see `lrrec.metrics`.
    users : sequence of ids, shape (n,), optional
        Whose lists the rows of an array are; only for arrays.
    user, item : str, default "user", "item"
        The frame's columns of ids.

    Returns
    -------
    Evaluation
        Of every user with a test interaction, in the order of their indices. A user without a list has found nothing;
        lists of users without a test interaction are left out. Both are counted in the protocol.

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
    Items that are not in `test` are misses. Memory: 4 bytes a test user and place up to the largest K, beside what is
    handed in.

    Examples
    --------
    >>> import lrrec
    >>> test = lrrec.Interactions.from_pairs(["ann", "ann", "bob"], ["x", "y", "x"])
    >>> result = lrrec.evaluate_lists([["y", "z"], ["z", "x"]], test, ["hit@1", "recall@2"], users=["ann", "bob"])
    >>> result.mean()
    {'hit@1': 0.5, 'recall@2': 0.75}
    """
    data = test.test if isinstance(test, Split) else test
    if not isinstance(data, Interactions):
        raise DataError(f"test must be Interactions or a Split, got {type(test).__name__}; see Interactions.from_frame")
    names = check_names(metrics)
    if any(cutoff(name) is None for name in names):
        raise ParameterError(f"metrics of ready-made lists must be NAME@K, got {', '.join(names)}; see `evaluate`")
    rows = np.flatnonzero(np.diff(data.matrix.indptr))
    if not len(rows):
        raise DataError("test must have at least one interaction, got none")
    k = max(cutoff(name) or 0 for name in names)
    place_of_row = np.full(len(data.users), -1, dtype=np.int32)
    place_of_row[rows] = np.arange(len(rows), dtype=np.int32)
    places, n_others = read(lists, data.items, k, users, user, item, (data.users, place_of_row))
    n_threads, ids = check_threads(None), data.users.ids[rows]
    values, twice = measure(places, data.matrix, rows, names, n_threads=n_threads)
    refuse_repeats(ids[twice])
    unlisted = (places == -1).all(axis=1)
    n_unlisted = int(unlisted.sum())
    if n_unlisted:
        shown = first_three(ids[unlisted])
        _warn(f"{n_unlisted} of {len(rows)} test users have no list and count as having found nothing: {shown}")
    history_sizes, seen = np.full(len(rows), -1, dtype=np.int64), "not looked at"
    if isinstance(test, Split):
        history_sizes = np.diff(test.history.matrix.indptr)[rows]
        n_seen = int(count_hits(places, test.history.matrix, rows, n_threads=n_threads).sum())
        seen = f"{n_seen} in the lists"
        if n_seen:
            _warn(f"{n_seen} seen items are in the lists; interactions that were learned from are no test")
    protocol = {
        "split": test.description if isinstance(test, Split) else "test interactions as given",
        "relevance": relevance(data, rows),
        "candidates": "ready-made lists",
        "cutoffs": f"{', '.join(names)}, from the first {k} places",
        "seen items": seen,
        "ties": "as listed",
        "users": f"{len(rows)} with a test interaction, {n_unlisted} of them without a list (counted as misses); "
        f"{n_others} users with a list but no test interaction left out",
        "served from": "ready-made lists",
    }
    return Evaluation(ids, dict(zip(names, values.T.copy(), strict=True)), history_sizes, protocol)


def check_names(metrics: Any) -> list[str]:
    """Return the distinct names of metrics, in their order; refuse other names and none."""
    names = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(names, list | tuple | set) or not names:
        raise ParameterError(f"metrics must be a list of at least one metric, got {metrics!r}")
    for name in names:
        cutoff(name)
    return list(dict.fromkeys(names))


def relevance(test: Interactions, rows: np.ndarray) -> str:
    """What counts as relevant, in words."""
    data = test.matrix.data
    values = f", whatever its value ({data.min():g} to {data.max():g}; gains of graded-ndcg)"
    return f"every test interaction{values if data.min() != data.max() else ''}"


def refuse_repeats(users: np.ndarray) -> None:
    """Refuse lists that name an item twice."""
    if len(users):
        raise DataError(f"a list must not hold an item twice, got that for {first_three(users)}")


def item_indices(rows: Any, items: IdMap) -> tuple[np.ndarray, np.ndarray]:
    """Lists of ids as indices, int32 (n, K): -1 for a place not filled, -2 for an unknown item; and the unknown ids."""
    if not isinstance(rows, np.ndarray):
        rows = _ragged(rows)
    if rows.ndim != 2:
        raise DataError(f"lists must be of shape (n, k), a row a user, got {rows.ndim} dimension(s)")
    ids, masked = np.ma.getdata(rows), np.ma.getmask(rows)
    if masked is np.ma.nomask or not masked.any():
        found = look_up(items, ids.reshape(-1)).reshape(ids.shape)
        filled = np.ones((1, 1), dtype=bool)
    else:
        filled = ~masked
        found = np.full(ids.shape, -1, dtype=np.int32)
        found[filled] = look_up(items, ids[filled])
    strange = found < 0
    if not strange.any():
        return found, ids.reshape(-1)[:0]
    strange &= filled & (ids != -1)
    found[strange] = -2
    return found, ids[strange]


def look_up(ids: IdMap, values: Any) -> np.ndarray:
    """The index of each id, int32 (n,), -1 where the map does not hold it.

    Integers that lie close together go through a table, on all threads, instead of a hash.
    """
    asked = as_ids(values, "ids")
    if len(ids) and len(asked) and ids.ids.dtype == asked.dtype == np.int64:
        low, high = int(ids.ids.min()), int(ids.ids.max())
        if high - low < 4 * max(len(ids), len(asked)):
            table = np.full(high - low + 1, -1, dtype=np.int32)
            table[ids.ids - low] = np.arange(len(ids), dtype=np.int32)
            out = np.empty(len(asked), dtype=np.int32)

            def work(start: int, stop: int) -> None:
                kernels.look_up(start, stop, asked, low, table, out)

            run_blocks(work, even_blocks(len(asked), BLOCK), check_threads(None))
            return out
    return ids.find(asked).astype(np.int32)


def _ragged(rows: Any) -> np.ma.MaskedArray:
    """Lists of different lengths as a masked array of ids; None is masked."""
    listed = [[item for item in row if item is not None and item is not np.ma.masked] for row in rows]
    table = np.ma.masked_all((len(listed), max(map(len, listed), default=0)), dtype=object)
    for place, row in enumerate(listed):
        table[place, : len(row)] = row
    return table


def read(
    lists: Any, items: IdMap, k: int, users: Any, user: str, item: str, among: tuple[IdMap, np.ndarray] | None = None
) -> tuple[np.ndarray, int]:
    """The first k places of lists as indices of items, int32 (n, k), and how many users are not among those asked for.

    -1 for a place not filled, -2 for an unknown item. lists, users, user, item: as for `evaluate_lists`. among: users
    and the row of the result of each, -1 for none; everybody who has a list, in any order, when not given.
    """
    if isinstance(lists, Recommendations):
        lists, users = lists.items, lists.users
    if hasattr(lists, "columns") or hasattr(lists, "collect_schema"):
        if users is not None:
            raise ParameterError("users must not be given with a frame, which has a column of them")
        return _from_frame(frames.eager(lists), items, k, user, item, among)
    if users is None:
        raise ParameterError("users must be given with an array of lists: the id of each row")
    return _from_rows(lists, items, k, as_ids(users, "users"), among)


def _from_rows(
    lists: Any, items: IdMap, k: int, asked: np.ndarray, among: tuple[IdMap, np.ndarray] | None
) -> tuple[np.ndarray, int]:
    """`read` of rows of item ids."""
    if not hasattr(lists, "__len__") or isinstance(lists, dict | str) or len(lists) != len(asked):
        shape = getattr(lists, "shape", type(lists).__name__)
        raise DataError(f"lists must have a row for each of the {len(asked)} users, got {shape}")
    distinct = pd.Index(asked)
    if not distinct.is_unique:
        raise DataError(f"a user must have one list, got more for {first_three(distinct[distinct.duplicated()])}")
    place, n = _rows(asked, among or (IdMap(asked), np.arange(len(asked))))
    if isinstance(lists, np.ndarray) and lists.ndim == 2:
        lists = lists[:, :k]
    found = item_indices(lists, items)[0][:, :k]
    places = np.full((n, k), -1, dtype=np.int32)
    places[place[place >= 0], : found.shape[1]] = found[place >= 0]
    return places, int((place < 0).sum())


def _from_frame(
    frame: Any, items: IdMap, k: int, user: str, item: str, among: tuple[IdMap, np.ndarray] | None
) -> tuple[np.ndarray, int]:
    """`read` of a frame with a row an entry."""
    asked = as_ids(frames.column(frame, user, "user").to_numpy(), f"column {user!r}")
    columns = look_up(items, frames.column(frame, item, "item").to_numpy())
    if among is None:
        everybody = IdMap(pd.unique(asked))
        among = everybody, np.arange(len(everybody))
    place, n = _rows(asked, among)
    if "rank" in frame.columns:
        ranks = frames.numbers(frames.column(frame, "rank", "rank"), "rank")
        if ranks.dtype.kind not in "iu":
            raise DataError(f"column 'rank' must hold integers from 1 on, got {ranks.dtype}")
        ranks = ranks.astype(np.int64, copy=False)
    elif "score" in frame.columns:
        ranks = _ranks(place, frames.numbers(frames.column(frame, "score", "score"), "score"))
    else:
        raise DataError(f"lists must have a column 'rank' or 'score', got {', '.join(map(str, frame.columns))}")
    places = np.full((n, k), -1, dtype=np.int32)
    written: list[int] = []

    def work(start: int, stop: int) -> None:
        n, smallest = kernels.put_in_places(start, stop, place, ranks, columns, places)
        if smallest < 1:
            raise DataError(f"column 'rank' must hold integers from 1 on, got {smallest}")
        written.append(n)

    run_blocks(work, even_blocks(len(place), BLOCK), check_threads(None))
    if sum(written) != np.count_nonzero(places != -1):
        raise DataError("a user's entries must have distinct ranks, got some twice")
    return places, len(pd.unique(asked[place < 0]))


def _rows(asked: np.ndarray, among: tuple[IdMap, np.ndarray]) -> tuple[np.ndarray, int]:
    """The row of the result of each id, int32 (m,), -1 for none; and how many rows there are."""
    users, row_of_user = among
    found, n = look_up(users, asked), int(row_of_user.max(initial=-1)) + 1
    return np.where(found >= 0, row_of_user[found] if n else -1, -1).astype(np.int32), n


def _ranks(place: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rank of each entry, from 1, among those of its user by falling score; equal scores in the order they come."""
    if np.isnan(scores).any():
        raise DataError(f"column 'score' must not be NaN, got {int(np.isnan(scores).sum())}")
    n, order = len(place), None
    falls = (place[1:] > place[:-1]) | ((place[1:] == place[:-1]) & (scores[1:] <= scores[:-1]))
    if not falls.all():
        order = np.lexsort((-scores.astype(np.float64), place))
        place = place[order]
    starts = np.flatnonzero(np.diff(place, prepend=np.int32(-2)))
    ranks = np.arange(1, n + 1) - np.repeat(starts, np.diff(starts, append=n))
    if order is not None:
        ranks[order] = ranks.copy()
    return ranks


def _warn(what: str) -> None:
    warnings.warn(what, DataWarning, stacklevel=3)
