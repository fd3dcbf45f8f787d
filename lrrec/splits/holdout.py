"""Functions that return one split: by interactions, by time, by users, by items."""

import numbers
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data.interactions import Interactions
from lrrec.data.labels import align
from lrrec.errors import DataError, ParameterError
from lrrec.splits.split import Split, check_data
from lrrec.typing import RandomState, TimeLike
from lrrec.validate import check_int, check_option, check_real, check_rng

ORDERS = ("random", "time")


def random(data: Interactions, test_size: float = 0.2, *, random_state: RandomState = None) -> Split:
    """Hold out interactions at random.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of interactions held out.
    random_state : int, Generator or None
    """
    check_data(data)
    n_test = n_held_out(test_size, len(data), "test_size", "interactions")
    held_out = np.zeros(len(data), dtype=bool)
    held_out[check_rng(random_state).choice(len(data), n_test, replace=False)] = True
    seed = seed_of(random_state)
    return transductive(data, held_out, "random", {"test_size": test_size, "random_state": seed}, seed)


def leave_last(data: Interactions, n: int = 1) -> Split:
    """Hold out each user's last n interactions.

    Users with n or fewer interactions stay in training whole. Of interactions at the same time those with the
    larger item index count as later.

    Parameters
    ----------
    data : Interactions
        With times.
    n : int, default 1
    """
    times = times_of(data, "leave_last()")
    n = check_int(n, "n", low=1)
    counts = np.diff(data.matrix.indptr)
    n_left = np.where(counts > n, counts - n, counts)
    held_out = _ranks(data, times) >= np.repeat(n_left, counts)
    if not held_out.any():
        raise DataError(f"no user has more than n = {n} interactions (the most is {counts.max()}): choose a smaller n")
    return transductive(data, held_out, "leave_last", {"n": n})


def by_time(data: Interactions, test_size: float | None = None, *, at: TimeLike | None = None) -> Split:
    """Train on the interactions before a point in time and test on the others.

    Test users without a training interaction are cold; `evaluate` recommends popular items to them, and counts them.

    Parameters
    ----------
    data : Interactions
        With times.
    test_size : float in (0, 1), optional
        About the share of interactions to test on (0.2 unless `at` is given): the cut is the time of the first of
        them. Interactions at the time of the cut are all in test.
    at : time, optional
        The cut, in the units of `data.times`; anything that numpy.datetime64 takes where these are datetimes.
    """
    times = times_of(data, "by_time()")
    if at is not None and test_size is not None:
        raise ParameterError("by_time() takes either test_size or at, got both")
    if at is None:
        n_test = n_held_out(0.2 if test_size is None else test_size, len(data), "test_size", "interactions")
        at = np.partition(times, len(times) - n_test)[len(times) - n_test]
    elif times.dtype.kind == "M":
        at = _date(at)
    elif times.dtype.kind in "iu" and isinstance(at, numbers.Integral):
        at = int(at)  # exactly: nanoseconds do not fit a float
    else:
        at = check_real(at, "at")
    held_out = times >= at
    if held_out.all() or not held_out.any():
        raise DataError(
            f"at must be after the first time ({times.min()}) and not after the last ({times.max()}), got {at}"
        )
    return transductive(data, held_out, "by_time", {"at": at})


def by_user(
    data: Interactions,
    test_size: float = 0.2,
    *,
    history: float = 0.8,
    order: str = "random",
    random_state: RandomState = None,
) -> Split:
    """Hold out users: they are unseen in training and encoded from a part of their interactions.

    This is called strong generalization.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of users to test on, out of those with at least two interactions.
    history : float in (0, 1), default 0.8
        The share of a test user's interactions in the history; at least one is in the history and one in test.
    order : {"random", "time"}, default "random"
        Whether the history is drawn at random or is the earliest interactions.
    random_state : int, Generator or None

    References
    ----------
    Marlin (2004), "Collaborative filtering: a machine learning perspective", sec. 3.3; Liang et al. (2018),
    arXiv:1802.05814, sec. 4.2.
    """
    check_data(data)
    share = check_real(history, "history", low=0, high=1)
    check_option(order, "order", ORDERS)
    rng = check_rng(random_state)
    eligible = eligible_users(data, 2)
    chosen = rng.choice(eligible, n_held_out(test_size, len(eligible), "test_size", "users"), replace=False)
    first = history_mask(data, share, rng.random(len(data)) if order == "random" else times_of(data, "order='time'"))
    seed = seed_of(random_state)
    params = {"test_size": test_size, "history": history, "order": order, "random_state": seed}
    return inductive(data, chosen, first, "by_user", params, seed)


def with_negatives(split: Split, n: int = 99, *, random_state: RandomState = None) -> Split:
    """Add sampled negatives: candidates of each test user are the test items and n items without an interaction.

    The negatives are drawn uniformly. Many published protocols rank one item among 99 such others. Metrics are then
    higher than over the whole catalogue, and may order models differently (Krichene & Rendle 2020, "On sampled metrics
    for item recommendation"); models to be compared by them should be tuned by them.

    Parameters
    ----------
    split : Split
        Its test users must all have the same number of test interactions, as those of `leave_last` have.
    n : int, default 99
    random_state : int, Generator or None

    Returns
    -------
    Split
        With candidates (n_test_users, n_test + n), sorted by index: if the test items came first, models with many
        equal scores would profit from ties.

    References
    ----------
    He et al. (2017), "Neural collaborative filtering", sec. 4.1.
    """
    n, rng, rows = check_int(n, "n", low=1), check_rng(random_state), split.test_rows
    counts = np.diff(split.test.matrix.indptr)[rows]
    if not len(rows) or (counts != counts[0]).any():
        raise DataError("split must have the same number of test interactions for each user, as leave_last() makes it")
    n_items, n_test = len(split.items), int(counts[0])
    lists = np.empty((len(rows), n_test + n), dtype=np.int64)
    for j, row in enumerate(rows):
        relevant = split.test.matrix[[row]].indices
        positives = np.union1d(relevant, split.history.matrix[[row]].indices)
        negatives = draw_negatives(positives, n_items, n, split.users.ids[row], rng, "n")
        lists[j] = np.sort(np.concatenate((relevant, negatives)))
    seed = seed_of(random_state)
    params = split.params | {"negatives": {"n": n, "random_state": seed}}
    return replace(split, candidates=split.items.ids[lists], params=params, seed=seed)


def draw_negatives(
    positives: np.ndarray, n_items: int, n: int, user: int | str, rng: np.random.Generator, name: str = "candidates"
) -> np.ndarray:
    """Draw n distinct item indices that are not among a user's positives (sorted indices)."""
    n_left = n_items - len(positives)
    if n_left < n:
        raise ParameterError(
            f"{name} must be at most what is neither relevant nor seen: {n_left} items for user {user!r}, got {n}"
        )
    drawn = rng.choice(n_left, n, replace=False)
    return drawn + np.searchsorted(positives - np.arange(len(positives)), drawn, side="right")


def cold_items(
    data: Interactions, test_size: float = 0.2, *, order: str = "random", random_state: RandomState = None
) -> Split:
    """Hold out items: all their interactions are in test, and they are the only candidates.

    Models without item features cannot rank them: all their scores are equal. Users with interactions on held-out items
    alone are cold; `evaluate` counts them.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of items held out, out of those with an interaction.
    order : {"random", "time"}, default "random"
        Whether the items are drawn at random, or are those whose first interaction is latest; of equal times those
        with the larger index.
    random_state : int, Generator or None

    References
    ----------
    Schein, Popescul, Ungar & Pennock (2002), "Methods and metrics for cold-start recommendations", sec. 4.
    """
    check_data(data)
    check_option(order, "order", ORDERS)
    columns = data.matrix.indices
    eligible = np.unique(columns)
    n_test = n_held_out(test_size, len(eligible), "test_size", "items")
    if order == "random":
        chosen = np.sort(check_rng(random_state).choice(eligible, n_test, replace=False))
    else:
        times = times_of(data, "order='time'")
        ordered = np.lexsort((times, columns))
        first = times[ordered[np.searchsorted(columns[ordered], eligible)]]
        chosen = np.sort(eligible[np.argsort(first, kind="stable")[-n_test:]])
    is_cold = np.zeros(data.n_items, dtype=bool)
    is_cold[chosen] = True
    held_out = is_cold[columns]
    train, test = data.filter(~held_out), data.filter(held_out)
    seed = seed_of(random_state)
    params = {"test_size": test_size, "order": order, "random_state": seed}
    return Split(train, train, test, data.items.ids[chosen], kind="cold_items", params=params, seed=seed)


def eligible_users(data: Interactions, n_min: int) -> np.ndarray:
    """The indices of the users with two or more interactions: for the history and for test. At least n_min users."""
    eligible = np.flatnonzero(np.diff(data.matrix.indptr) >= 2)
    if len(eligible) < n_min:
        raise DataError(f"data must have at least {n_min} users with two interactions, got {len(eligible)}")
    return eligible


def inductive(
    data: Interactions, test_users: np.ndarray, first: np.ndarray, kind: str, params: dict[str, Any], seed: int | None
) -> Split:
    """A split whose test users are not training users; `first`, bool (n_interactions,), are their histories."""
    is_test_user = np.zeros(data.n_users, dtype=bool)
    is_test_user[test_users] = True
    of_test_user = is_test_user[data.rows()]
    return Split(
        train=data.filter(~of_test_user),
        history=data.filter(of_test_user & first),
        test=data.filter(of_test_user & ~first),
        kind=kind,
        params=params,
        seed=seed,
    )


def history_mask(data: Interactions, share: float | int, key: np.ndarray) -> np.ndarray:
    """Return a mask of each user's first interactions by key, bool (n_interactions,).

    A share of them, or a number where it is an integer; of users with two or more interactions at least one is in the
    mask and one is not.
    """
    check_data(data)
    key = np.asarray(align(key, range(len(data)), "key", "interaction"))
    counts = np.diff(data.matrix.indptr)
    n_first = share if isinstance(share, numbers.Integral) else np.rint(share * counts)
    n_first = np.clip(n_first, 1, np.maximum(counts - 1, 1))
    return _ranks(data, key) < np.repeat(n_first, counts)


def _ranks(data: Interactions, key: np.ndarray) -> np.ndarray:
    """The rank of each interaction among those of its user by key, from 0; equal keys by item index."""
    rows, counts = data.rows(), np.diff(data.matrix.indptr)
    ranks = np.empty(len(data), dtype=np.int64)
    ranks[np.lexsort((key, rows))] = np.arange(len(data)) - np.repeat(data.matrix.indptr[:-1], counts)
    return ranks


def transductive(
    data: Interactions, held_out: np.ndarray, kind: str, params: dict[str, Any], seed: int | None = None
) -> Split:
    """A split whose test users are training users; `held_out`, bool (n_interactions,), are the test interactions."""
    train = data.filter(~held_out)
    if not len(train):
        raise DataError("no interaction is left for training: choose a smaller test_size")
    return Split(train, train, data.filter(held_out), kind=kind, params=params, seed=seed)


def seed_of(random_state: RandomState) -> int | None:
    """The random_state if it is a number, which makes the split reproducible."""
    return int(random_state) if isinstance(random_state, numbers.Integral) else None


def times_of(data: Interactions, purpose: str) -> np.ndarray:
    """The times of the interactions; `purpose`, what needs them, is the subject of the error."""
    check_data(data)
    if data.times is None:
        raise DataError(f"{purpose} needs interactions with times: read them with their column, e.g. time='timestamp'")
    return data.times


def _date(at: Any) -> np.datetime64:
    """A date or time in UTC."""
    try:
        stamp = pd.Timestamp(at)
        if not isinstance(at, bool | int | float) and not pd.isna(stamp):
            return np.datetime64(stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None))
    except (ValueError, TypeError):
        pass
    raise ParameterError(f"at must be a date or time, e.g. '2024-01-31', got {at!r}")


def n_held_out(size: float, n: int, name: str, unit: str) -> int:
    """A test size, a share in (0, 1) or a number out of n, as a number that leaves some in both parts."""
    if isinstance(size, float | np.floating):
        check_real(size, name, low=0, high=1, open_low=True)
        count = max(1, round(size * n))
    else:
        count = check_int(size, name, low=1)
    if count >= n:
        raise ParameterError(f"{name} must leave some of the {n} {unit} for training, got {size}")
    return int(count)
