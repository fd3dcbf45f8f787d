"""Generators of several splits of the same data: folds, windows of time, repeated draws."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lrrec.data.interactions import Interactions
from lrrec.data.times import length_of_time
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.splits.parts import (
    ORDERS,
    eligible_users,
    histories,
    inductive,
    n_held_out,
    new_items,
    seed_of,
    timeline,
    transductive,
)
from lrrec.splits.split import Split, check_data, settle_repeats
from lrrec.typing import DurationLike, RandomState
from lrrec.validate import check_int, check_option, check_real, check_rng

ENOUGH = 1000  # users or items on which a choice is made by default, as far as MOST_FOLDS reach
MOST_FOLDS = 5  # as many groups, of which each is held out once


def enough_folds(n_each: int, n_most: int) -> int:
    """Return how many folds of n_each users, or items, have about 1,000 together: at most n_most, and at most 5."""
    return max(1, min(round(ENOUGH / max(1, n_each)), MOST_FOLDS, n_most))


def k_folds(
    data: Interactions,
    n_folds: int = 5,
    *,
    by: str = "user",
    history: float = 0.8,
    order: str = "random",
    repeats: str | None = None,
    random_state: RandomState = None,
) -> Iterator[Split]:
    """Split users, interactions or items into folds for cross-validation; test on each fold, train on the others.

    Parameters
    ----------
    data : Interactions
    n_folds : int, default 5
    by : {"user", "interaction", "item"}, default "user"
        "user": each user with at least two interactions is a test user of one fold, unseen in training and encoded
        from a part of their interactions, as in `by_user`; those with one are always in training. "interaction":
        each interaction is held out once, as in `random`. "item": each item with an interaction is held out once, as in
        `cold_items`; the items of a fold are its only candidates.
    history : float in (0, 1), default 0.8
        For by="user": the share of a test user's interactions in the history.
    order : {"random", "time"}, default "random"
        For by="user": whether the history is drawn at random or is the earliest interactions.
    repeats : {"keep", "drop"}, optional
        For order="time", as for `by_time`.
    random_state : int, Generator or None
        Also draws which of several interactions at the same time are in the history, with a warning as of `by_user`.

    Yields
    ------
    Split
        Generated lazily: one fold at a time is in memory.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> folds = lrrec.splits.k_folds(data, 5, random_state=0)
    >>> sum(len(split.test_rows) for split in folds)  # the made-up users with two likes
    420
    """
    check_data(data)
    n_folds, rng = check_int(n_folds, "n_folds", low=2), check_rng(random_state)
    check_option(by, "by", ("user", "interaction", "item"))
    check_option(order, "order", ORDERS)
    share, seed = check_real(history, "history", low=0, high=1), seed_of(random_state)
    if by == "interaction":
        if len(data) < n_folds:
            raise DataError(f"data must have at least {n_folds} interactions, got {len(data)}")
        fold = rng.permutation(len(data)) % n_folds
        params = {"n_folds": n_folds, "by": by, "random_state": seed}
        return (transductive(data, fold == f, "k_folds", params | {"fold": f + 1}, seed) for f in range(n_folds))
    if by == "item":
        items = rng.permutation(np.unique(data.matrix.indices))
        if len(items) < n_folds:
            raise DataError(f"data must have at least {n_folds} items with an interaction, got {len(items)}")
        params = {"n_folds": n_folds, "by": by, "random_state": seed}
        return (new_items(data, items[f::n_folds], "k_folds", params | {"fold": f + 1}, seed) for f in range(n_folds))
    shuffled = rng.permutation(eligible_users(data, n_folds))
    first = histories(data, shuffled, share, order, rng, "k_folds")
    params = {"n_folds": n_folds, "by": by, "history": history, "order": order, "random_state": seed}
    return (
        inductive(data, shuffled[f::n_folds], first, "k_folds", params | {"fold": f + 1}, seed, repeats=repeats)
        for f in range(n_folds)
    )


def repeated(make: Callable[..., Split], n: int = 5, *, random_state: RandomState = None) -> Iterator[Split]:
    """Draw a split repeatedly, each time with another seed.

    Parameters
    ----------
    make : callable
        Called as make(random_state=seed) and returns a Split: a function of one argument of that name, or
        functools.partial(lrrec.splits.by_user, data, 0.2).
    n : int, default 5
    random_state : int, Generator or None
        Draws the seeds. Each split has its own in `params` and `seed`.

    Yields
    ------
    Split
        Generated lazily.

    Examples
    --------
    >>> from functools import partial
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> len(list(lrrec.splits.repeated(partial(lrrec.splits.random, data), 3, random_state=0)))
    3
    """
    if not callable(make):
        raise ParameterTypeError(
            f"make must be called with random_state and return a Split, got {type(make).__name__}; "
            "write functools.partial(lrrec.splits.random, data)"
        )
    seeds = check_rng(random_state).choice(2**31, check_int(n, "n", low=1), replace=False)
    return (_draw(make, seed) for seed in seeds.tolist())


def windows(
    data: Interactions,
    n_windows: int = 3,
    *,
    test_size: float | None = None,
    width: DurationLike | None = None,
    span: DurationLike | None = None,
    repeats: str | None = None,
) -> Iterator[Split]:
    """Test on one window of time after another, training on the interactions before each.

    The last window ends with the last interaction, the others where the next begins; interactions after a window are
    in neither part. As in `by_time`, test users without a training interaction are cold.

    Parameters
    ----------
    data : Interactions
        With times.
    n_windows : int, default 3
    test_size : float in (0, 1) or int, optional
        About the share or the number of interactions in each window (0.1 unless `width` is given); interactions at the
        time of a cut are all after it.
    width : length of time, optional
        Of each window, in the units of `data.times`; where these are datetimes, anything that pandas.Timedelta takes
        with a unit, e.g. "7 days".
    span : length of time, optional
        Length of the training period before each window (rolling). All interactions before it when not given
        (expanding).
    repeats : {"keep", "drop"}, optional
        As for `by_time`, of each window and its training period.

    Yields
    ------
    Split
        From the earliest window to the latest, generated lazily.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> splits = list(lrrec.splits.windows(data, 2, test_size=0.1))
    >>> [split.params["window"] for split in splits]
    [1, 2]
    >>> len(splits[0].train) < len(splits[1].train)
    True
    """
    _, times = timeline(data, "windows()")
    n_windows = check_int(n_windows, "n_windows", low=1)
    if width is not None and test_size is not None:
        raise ParameterError("windows() takes either test_size or width, got both")
    if width is None:
        n_each = n_held_out(0.1 if test_size is None else test_size, len(times), "test_size", "interactions")
        if n_windows * n_each >= len(times):
            raise ParameterError(
                f"n_windows x test_size must leave some of the {len(times)} interactions for training, "
                f"got {n_windows} windows of {n_each}"
            )
        cuts = [_plain(cut) for cut in np.sort(times)[-n_each * np.arange(n_windows, 0, -1)]]
    else:
        length = length_of_time(width, times, "width")
        cuts = [_plain(times.max()) - length * j for j in range(n_windows, 0, -1)]
    starts = [None] * n_windows if span is None else [cut - length_of_time(span, times, "span") for cut in cuts]
    bounds = list(zip(starts, cuts, [*cuts[1:], None], strict=True))
    for start, cut, stop in bounds:
        for low, high, part in ((start, cut, "training interaction before"), (cut, stop, "test interaction from")):
            if not _within(times, low, high).any():
                raise DataError(f"a window has no {part} {cut}: choose fewer windows, or longer ones")
    params = {"n_windows": n_windows, "test_size": test_size, "width": width, "span": span}
    return (_window(data, times, *bound, repeats, params | {"window": w}) for w, bound in enumerate(bounds, 1))


def _window(
    data: Interactions, times: np.ndarray, start: Any, cut: Any, stop: Any, repeats: str | None, params: dict[str, Any]
) -> Split:
    """Train on start <= time < cut, test on cut <= time < stop; None is without a bound."""
    train = data.filter_events(_within(times, start, cut))
    test, declared = settle_repeats(train, data.filter_events(_within(times, cut, stop)), repeats, "windows")
    return Split(train, train, test, kind="windows", params=params | declared | {"cut": cut})


def _within(times: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """Whether low <= time < high, bool (n_interactions,)."""
    inside = np.ones(len(times), dtype=bool)
    if low is not None:
        inside &= times >= low
    if high is not None:
        inside &= times < high
    return inside


def _plain(time: Any) -> Any:
    """A time as a Python integer where it is an integer, so that differences neither overflow nor round."""
    return int(time) if isinstance(time, np.integer) else time


def _draw(make: Callable[..., Split], seed: int) -> Split:
    """The split that make returns, checked."""
    split = make(random_state=seed)
    if not isinstance(split, Split):
        raise ParameterTypeError(f"make must return a Split, got {type(split).__name__}")
    return split
