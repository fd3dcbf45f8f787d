"""Cutting interactions into the parts of a split: by a mask, by users, by the order of time."""

import numbers
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lrrec.data.interactions import Interactions
from lrrec.data.labels import align
from lrrec.data.recency import refuse_decayed
from lrrec.errors import DataError, DataWarning, ParameterError
from lrrec.splits.split import Split, check_data, settle_repeats
from lrrec.typing import RandomState
from lrrec.validate import as_array, check_int, check_real

ORDERS = ("random", "time")


def transductive(
    data: Interactions, held_out: np.ndarray, kind: str, params: dict[str, Any], seed: int | None = None,
    *, of_events: bool = False, repeats: str | None = None,
) -> Split:  # fmt: skip
    """A split whose test users are training users.

    `held_out` says what is in test, bool (n_interactions,), or of each event of the `timeline` if of_events.
    """
    take: Callable[[np.ndarray], Interactions] = data.filter_events if of_events else data.filter
    train = take(~held_out)
    if not len(train):
        raise DataError("no interaction is left for training: choose a smaller test_size")
    test, declared = settle_repeats(train, take(held_out), repeats, kind)
    return Split(train, train, test, kind=kind, params=params | declared, seed=seed)


def inductive(
    data: Interactions, test_users: np.ndarray, first: np.ndarray, kind: str, params: dict[str, Any], seed: int | None,
    *, repeats: str | None = None,
) -> Split:  # fmt: skip
    """A split whose test users are not training users; `first` says what is in their histories, as `histories` does."""
    of_events = params["order"] == "time"
    take: Callable[[np.ndarray], Interactions] = data.filter_events if of_events else data.filter
    is_test_user = np.zeros(data.n_users, dtype=bool)
    is_test_user[test_users] = True
    of_test_user = is_test_user[(timeline(data, kind)[0] if of_events else data).rows()]
    history = take(of_test_user & first)
    test, declared = settle_repeats(history, take(of_test_user & ~first), repeats, kind)
    return Split(take(~of_test_user), history, test, kind=kind, params=params | declared, seed=seed)


def new_items(data: Interactions, items: np.ndarray, kind: str, params: dict[str, Any], seed: int | None) -> Split:
    """Hold out all interactions on some items, given by their indices; these are the candidates."""
    is_new = np.zeros(data.n_items, dtype=bool)
    is_new[items] = True
    held_out = is_new[data.matrix.indices]
    train = data.filter(~held_out)
    return Split(train, train, data.filter(held_out), data.items.ids[is_new], kind=kind, params=params, seed=seed)


def timeline(data: Interactions, purpose: str) -> tuple[Interactions, np.ndarray]:
    """What happened (the events, where pairs repeat) and when; `purpose` is what needs the times."""
    check_data(data)
    if data.times is None:
        raise DataError(f"{purpose} needs interactions with times: read them with their column, e.g. time='timestamp'")
    refuse_decayed(data, purpose, "split first, then split.decayed(half_life)")
    return (data, data.times) if data.events is None else (data.events.unmerged, data.events.times)


def histories(
    data: Interactions, test_users: np.ndarray, share: float, order: str, rng: np.random.Generator, kind: str
) -> np.ndarray:
    """Return a mask of each user's history: interactions at random, or the earliest events of the `timeline`."""
    if order == "random":
        return history_mask(data, share, rng.random(len(data)))
    events, times = timeline(data, "order='time'")
    first, tied = earliest(events, times, _n_first(events, share), rng)
    warn_of_ties(len(np.intersect1d(test_users, tied)), kind)
    return first


def history_mask(data: Interactions, share: float | int, key: np.ndarray) -> np.ndarray:
    """Return a mask of each user's first interactions by key; of equal keys by item index.

    Of users with two or more interactions at least one is in the mask and one is not.

    Parameters
    ----------
    data : Interactions
    share : float in (0, 1), or int
        The share of a user's interactions, or their number where it is an integer.
    key : array-like of numbers or times, shape (n_interactions,)
        The key to sort a user's interactions by, such as `data.times` or random numbers.

    Returns
    -------
    ndarray of bool, shape (n_interactions,)
        In the order of `data.matrix.data`.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.Interactions.from_pairs(["ann", "ann", "ann", "bob", "bob"], ["x", "y", "z", "x", "y"])
    >>> first = lrrec.splits.history_mask(data, 0.5, [3, 1, 2, 1, 2])  # the keys may be times
    >>> data.filter(first).to_frame()[["user", "item"]].values.tolist()
    [['ann', 'y'], ['ann', 'z'], ['bob', 'x']]
    """
    check_data(data)
    whole = isinstance(share, numbers.Integral)
    share = check_int(share, "share", low=0) if whole else check_real(share, "share", low=0, high=1)
    key = as_array(align(key, range(len(data)), "key", "interaction"), "key")
    if key.shape != (len(data),) or key.dtype.kind not in "biufM":
        raise DataError(
            f"key must be numbers or times of shape ({len(data)},), one an interaction, got {key.dtype} of shape "
            f"{key.shape}"
        )
    return _first(data, _n_first(data, share), np.lexsort((key, data.rows())))


def earliest(
    events: Interactions, times: np.ndarray, n_first: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask of each user's first n_first (n_users,) events, and the users for whom a tie in time decides it.

    Ties are drawn: cut by item index, they would favour models that recommend large indices.
    """
    order = np.lexsort((rng.random(len(events)), times, events.rows()))
    indptr, times = events.matrix.indptr, times[order]
    cut = np.flatnonzero((n_first > 0) & (n_first < np.diff(indptr)))
    places = indptr[cut] + n_first[cut]
    return _first(events, n_first, order), cut[times[places - 1] == times[places]]


def _n_first(data: Interactions, share: float | int) -> np.ndarray:
    """How many interactions of each user are about a share of them, or a number, int64 (n_users,)."""
    counts = np.diff(data.matrix.indptr)
    n_first = share if isinstance(share, numbers.Integral) else np.rint(share * counts)
    return np.clip(n_first, 1, np.maximum(counts - 1, 1)).astype(np.int64)


def _first(data: Interactions, n_first: np.ndarray, order: np.ndarray) -> np.ndarray:
    """A mask of each user's first n_first (n_users,) interactions in an order that is by user."""
    counts = np.diff(data.matrix.indptr)
    mask = np.empty(len(data), dtype=bool)
    mask[order] = np.arange(len(data)) - np.repeat(data.matrix.indptr[:-1], counts) < np.repeat(n_first, counts)
    return mask


def warn_of_ties(n_users: int, kind: str) -> None:
    """Warn if ties in time decide what is held out of some users."""
    if n_users:
        warn(f"{kind}(): ties in time decide what is held out of {n_users} users; they are drawn at random")


def warn(message: str) -> None:
    """Warn the caller of the function of `lrrec.splits`."""
    warnings.warn(message, DataWarning, stacklevel=4)


def eligible_users(data: Interactions, n_min: int) -> np.ndarray:
    """The indices of the users with two or more interactions: for the history and for test. At least n_min users."""
    eligible = np.flatnonzero(np.diff(data.matrix.indptr) >= 2)
    if len(eligible) < n_min:
        raise DataError(f"data must have at least {n_min} users with two interactions, got {len(eligible)}")
    return eligible


def seed_of(random_state: RandomState) -> int | None:
    """The random_state if it is a number, which makes the split reproducible."""
    return int(random_state) if isinstance(random_state, numbers.Integral) else None


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
