"""Ranked lists of any form as item indices: arrays, rows of different lengths, frames with ranks or scores."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data import frames, labels
from lrrec.data.ids import IdMap, as_ids
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.kernels import as_input
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import kernels
from lrrec.models.base.results import Recommendations
from lrrec.validate import check_threads, first_three

BLOCK = 2**19  # ids that a thread looks up at once


def read_lists(
    lists: Any, items: IdMap, k: int, user_index: IdMap, row_of_user: np.ndarray, *, users: Any, user: str, item: str
) -> tuple[np.ndarray, int]:
    """Return the first k places of lists as indices of items, int32 (n, k), and how many users have no row in it.

    -1 for an empty place, -2 for an unknown item. lists, users, user, item: as for `evaluate_lists`. row_of_user: the
    row of the result of each user of `user_index`, -1 for none.
    """
    n_rows = int(row_of_user.max(initial=-1)) + 1
    if isinstance(lists, Recommendations):
        lists, users = lists.items, lists.users
    if frames.is_frame(lists):
        if users is not None:
            raise ParameterError("users must not be given with a frame, which has a column of them")
        frame = frames.eager(lists)
        list_users = as_ids(frames.column(frame, user, "user").to_numpy(), f"column {user!r}")
        rows = _rows_of(list_users, user_index, row_of_user)
        return _read_frame(frame, items, k, rows, n_rows, item), len(pd.unique(list_users[rows < 0]))
    users = labels.index_of(lists, "lists") if users is None else users
    if users is None:
        raise ParameterError("users must be given with an array of lists: the id of each row")
    list_users = as_ids(users, "users")
    lists = labels.align(lists, list_users, "lists")
    countable = hasattr(lists, "__len__") and not sp.issparse(lists) and getattr(lists, "ndim", 1) > 0
    if not countable or isinstance(lists, dict | str) or len(lists) != len(list_users):
        shape = getattr(lists, "shape", type(lists).__name__)
        raise DataError(f"lists must have a row for each of the {len(list_users)} users, got {shape}")
    index = pd.Index(list_users)
    if not index.is_unique:
        raise DataError(f"a user must have one list, got more for {first_three(index[index.duplicated()])}")
    rows = _rows_of(list_users, user_index, row_of_user)
    return _read_rows(lists, items, k, rows, n_rows), int((rows < 0).sum())


def _read_rows(lists: Any, items: IdMap, k: int, rows: np.ndarray, n_rows: int) -> np.ndarray:
    """`read_lists` of rows of item ids; rows: where each list goes, -1 for nowhere."""
    if isinstance(lists, np.ndarray) and lists.ndim == 2:
        lists = lists[:, :k]
    indices = item_indices(lists, items)[0][:, :k]
    places = np.full((n_rows, k), -1, dtype=np.int32)
    places[rows[rows >= 0], : indices.shape[1]] = indices[rows >= 0]
    return places


def _read_frame(frame: Any, items: IdMap, k: int, rows: np.ndarray, n_rows: int, item: str) -> np.ndarray:
    """`read_lists` of a frame with a row an entry; rows: where each entry goes, -1 for nowhere."""
    columns = look_up(items, frames.column(frame, item, "item").to_numpy())
    if "rank" in frame.columns:
        ranks = frames.numbers(frames.column(frame, "rank", "rank"), "rank")
        if ranks.dtype.kind not in "iu":
            raise DataError(f"column 'rank' must hold integers from 1 on, got {ranks.dtype}")
        ranks = as_input(ranks, np.int64)
    elif "score" in frame.columns:
        ranks = _ranks(rows, frames.numbers(frames.column(frame, "score", "score"), "score"))
    else:
        raise DataError(f"lists must have a column 'rank' or 'score', got {', '.join(map(str, frame.columns))}")
    places = np.full((n_rows, k), -1, dtype=np.int32)
    written: list[int] = []

    def work(start: int, stop: int) -> None:
        n, smallest = kernels.put_in_places(start, stop, rows, ranks, columns, places)
        if smallest < 1:
            raise DataError(f"column 'rank' must hold integers from 1 on, got {smallest}")
        written.append(n)

    run_blocks(work, even_blocks(len(rows), BLOCK), check_threads(None))
    if sum(written) != np.count_nonzero(places != -1):
        raise DataError("a user's entries must have distinct ranks, got some twice")
    return places


def _rows_of(list_users: np.ndarray, user_index: IdMap, row_of_user: np.ndarray) -> np.ndarray:
    """The row of the result of each id, int32 (m,), -1 for none."""
    indices = look_up(user_index, list_users)
    return np.where(indices >= 0, row_of_user[indices] if len(row_of_user) else -1, -1).astype(np.int32)


def refuse_repeats(users: np.ndarray) -> None:
    """Refuse lists that name an item twice; users: whose lists do."""
    if len(users):
        raise DataError(f"a list must not hold an item twice, got that for {first_three(users)}")


def item_indices(rows: Any, items: IdMap) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of ids as indices, int32 (n, K), and the unknown ids; -1: an empty place, -2: an unknown id."""
    if not isinstance(rows, np.ndarray):
        rows = _ragged(rows)
    if rows.ndim != 2:
        raise DataError(f"lists must be of shape (n, k), one row per user, got {rows.ndim} dimension(s)")
    ids, masked = np.ma.getdata(rows), np.ma.getmask(rows)
    if masked is np.ma.nomask or not masked.any():
        indices = look_up(items, ids.reshape(-1)).reshape(ids.shape)
        filled = np.ones((1, 1), dtype=bool)
    else:
        filled = ~masked
        indices = np.full(ids.shape, -1, dtype=np.int32)
        indices[filled] = look_up(items, ids[filled])
    unknown = indices < 0
    if not unknown.any():
        return indices, ids.reshape(-1)[:0]
    unknown &= filled & (ids != -1)
    indices[unknown] = -2
    return indices, ids[unknown]


def look_up(ids: IdMap, values: Any) -> np.ndarray:
    """Return the index of each id, int32 (n,), -1 where the map lacks it.

    A dense range of integers goes through a table, on all threads, instead of a hash.
    """
    queries = as_ids(values, "ids")
    if len(ids) and len(queries) and ids.ids.dtype == queries.dtype == np.int64:
        low, high = int(ids.ids.min()), int(ids.ids.max())
        if high - low < 4 * max(len(ids), len(queries)):
            table = np.full(high - low + 1, -1, dtype=np.int32)
            table[ids.ids - low] = np.arange(len(ids), dtype=np.int32)
            out, queries = np.empty(len(queries), dtype=np.int32), as_input(queries)

            def work(start: int, stop: int) -> None:
                kernels.look_up(start, stop, queries, low, table, out)

            run_blocks(work, even_blocks(len(queries), BLOCK), check_threads(None))
            return out
    return ids.find(queries).astype(np.int32)


def _ragged(rows: Any) -> np.ma.MaskedArray:
    """Lists of different lengths as a masked array of ids; None is masked."""
    listed = [[item for item in row if item is not None and item is not np.ma.masked] for row in rows]
    table = np.ma.masked_all((len(listed), max(map(len, listed), default=0)), dtype=object)
    for index, row in enumerate(listed):
        table[index, : len(row)] = row
    return table


def _ranks(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rank of each entry, from 1, among those of its user by falling score; equal scores in their order."""
    if np.isnan(scores).any():
        raise DataError(f"column 'score' must not be NaN, got {int(np.isnan(scores).sum())}")
    n, order = len(rows), None
    falls = (rows[1:] > rows[:-1]) | ((rows[1:] == rows[:-1]) & (scores[1:] <= scores[:-1]))
    if not falls.all():
        order = np.lexsort((-scores.astype(np.float64), rows))
        rows = rows[order]
    starts = np.flatnonzero(np.diff(rows, prepend=np.int32(-2)))
    ranks = np.arange(1, n + 1) - np.repeat(starts, np.diff(starts, append=n))
    if order is not None:
        ranks[order] = ranks.copy()
    return ranks
