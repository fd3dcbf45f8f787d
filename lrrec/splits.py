"""Cut interactions into what a model may learn from and what it is asked for.

| split        | test users in training | asks                                                           |
|--------------|------------------------|----------------------------------------------------------------|
| `random`     | yes                    | which held-out interactions are found                          |
| `leave_last` | yes                    | what comes next for each user                                  |
| `by_time`    | as it happened         | what comes after a date, nothing after it being known          |
| `by_user`    | no                     | how new users, known by a history, are served (strong generalization) |
"""

import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError
from lrrec.validate import check_int, check_option, check_real, check_rng


@dataclass(frozen=True, eq=False)
class Split:
    """What to fit on, what is known of the test users when they are served, and what they should be served.

    Attributes
    ----------
    train : Interactions
        What a model may learn from.
    history : Interactions
        What is known of the test users. The same object as `train` where they are training users; otherwise
        their histories are folded in.
    test : Interactions
        The relevant items of each test user.
    candidates : ndarray of ids, shape (n_test_users, n_candidates), or None
        Where a protocol ranks given lists instead of the catalogue: a list for each user with a test
        interaction, in the order of the users' indices.
    description : str
        How the split was made.
    """

    train: Interactions
    history: Interactions
    test: Interactions
    candidates: np.ndarray | None = field(default=None, repr=False)
    description: str = ""

    def __post_init__(self) -> None:
        for part in (self.train, self.history, self.test):
            _check_data(part)
            if part.users is not self.train.users or part.items is not self.train.items:
                raise DataError("train, history and test must share the same IdMap objects")
        if self.candidates is not None and len(self.candidates) != len(self.test_rows):
            wanted = f"a row for each of the {len(self.test_rows)} users in test"
            raise DataError(f"candidates must have {wanted}, got {len(self.candidates)}")

    @property
    def users(self) -> IdMap:
        """The ids of all users."""
        return self.train.users

    @property
    def items(self) -> IdMap:
        """The ids of all items."""
        return self.train.items

    @property
    def test_rows(self) -> np.ndarray:
        """The indices of the users with a test interaction, rising."""
        return np.flatnonzero(np.diff(self.test.matrix.indptr))

    @property
    def folds_in(self) -> bool:
        """Whether the test users are new to the model and served from their histories."""
        return self.history is not self.train


def random(data: Interactions, test_size: float | int = 0.2, *, random_state: Any = None) -> Split:
    """Hold out interactions at random, whoever's they are.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of interactions held out.
    random_state : int, Generator or None
    """
    _check_data(data)
    n_test = _count(test_size, len(data), "test_size", "interactions")
    held_out = np.zeros(len(data), dtype=bool)
    held_out[check_rng(random_state).choice(len(data), n_test, replace=False)] = True
    return _transductive(data, held_out, f"random(test_size={test_size}, random_state={random_state})")


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
    times = _times(data, "leave_last")
    n = check_int(n, "n", low=1)
    counts = np.diff(data.matrix.indptr)
    n_left = np.where(counts > n, counts - n, counts)
    held_out = _ranks(data, times) >= np.repeat(n_left, counts)
    if not held_out.any():
        raise DataError(f"data must have a user with more than n = {n} interactions, got at most {counts.max()}")
    return _transductive(data, held_out, f"leave_last(n={n})")


def by_time(data: Interactions, test_size: float | None = None, *, at: Any = None) -> Split:
    """Learn from what happened before a point in time and test on what happened at it or later.

    Test users who have nothing in training are cold; `evaluate` serves them what is popular, and counts them.

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
    times = _times(data, "by_time")
    if at is not None and test_size is not None:
        raise ParameterError("by_time must be given test_size or at, got both")
    if at is None:
        n_test = _count(0.2 if test_size is None else test_size, len(data), "test_size", "interactions")
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
    return _transductive(data, held_out, f"by_time(at={at})")


def by_user(
    data: Interactions,
    test_size: float | int = 0.2,
    *,
    history: float = 0.8,
    order: str = "random",
    random_state: Any = None,
) -> Split:
    """Strong generalization: test users are unseen in training, and served from a part of their interactions.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of users to test on, out of those with at least two interactions.
    history : float in (0, 1), default 0.8
        The share of a test user's interactions that is given; at least one is given and one is asked for.
    order : {"random", "time"}, default "random"
        Whether the given part is drawn at random or is the earliest.
    random_state : int, Generator or None

    References
    ----------
    Marlin (2004), "Collaborative filtering: a machine learning perspective", sec. 3.3; Liang et al. (2018),
    arXiv:1802.05814, sec. 4.2.
    """
    _check_data(data)
    share = check_real(history, "history", low=0, high=1)
    check_option(order, "order", ("random", "time"))
    rng = check_rng(random_state)
    counts = np.diff(data.matrix.indptr)
    eligible = np.flatnonzero(counts >= 2)
    if len(eligible) < 2:
        raise DataError(f"data must have at least two users with two interactions, got {len(eligible)}")
    chosen = rng.choice(eligible, _count(test_size, len(eligible), "test_size", "users"), replace=False)
    is_test_user = np.zeros(data.n_users, dtype=bool)
    is_test_user[chosen] = True

    first = given(data, share, rng.random(len(data)) if order == "random" else _times(data, "order='time'"))
    of_test_user = is_test_user[data.rows()]
    return Split(
        train=data.take(~of_test_user),
        history=data.take(of_test_user & first),
        test=data.take(of_test_user & ~first),
        description=f"by_user(test_size={test_size}, history={history}, order={order!r}, random_state={random_state})",
    )


def given(data: Interactions, share: float, key: np.ndarray) -> np.ndarray:
    """Return a mask of each user's first interactions by key, bool (n_interactions,).

    About `share` of them; for users with two or more, at least one is given and one is not.
    """
    counts = np.diff(data.matrix.indptr)
    n_given = np.clip(np.rint(share * counts), 1, np.maximum(counts - 1, 1))
    return _ranks(data, key) < np.repeat(n_given, counts)


def _ranks(data: Interactions, key: np.ndarray) -> np.ndarray:
    """The place of each interaction among its user's by rising key, from 0; equal keys by item index."""
    rows, counts = data.rows(), np.diff(data.matrix.indptr)
    ranks = np.empty(len(data), dtype=np.int64)
    ranks[np.lexsort((key, rows))] = np.arange(len(data)) - np.repeat(data.matrix.indptr[:-1], counts)
    return ranks


def _transductive(data: Interactions, held_out: np.ndarray, description: str) -> Split:
    """The split whose test users are training users."""
    train = data.take(~held_out)
    if not len(train):
        raise DataError("train must have at least one interaction, got none; make test_size smaller")
    return Split(train, train, data.take(held_out), description=description)


def _check_data(data: Interactions) -> None:
    if not isinstance(data, Interactions):
        raise DataError(
            f"each part and the data must be Interactions, got {type(data).__name__}; see Interactions.from_matrix"
        )


def _times(data: Interactions, what: str) -> np.ndarray:
    _check_data(data)
    if data.times is None:
        raise DataError(f"{what} must be given data with times, got none; name the column, e.g. time='timestamp'")
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


def _count(size: float | int, n: int, name: str, what: str) -> int:
    """A share in (0, 1) or a number of n things, as a number that leaves some on both sides."""
    if isinstance(size, float | np.floating):
        check_real(size, name, low=0, high=1, open_low=True)
        count = max(1, round(size * n))
    else:
        count = check_int(size, name, low=1)
    if count >= n:
        raise ParameterError(f"{name} must leave some of the {n} {what} for training, got {size}")
    return int(count)
