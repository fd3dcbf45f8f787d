"""Functions that return one split: by interactions, by time, by users, by items."""

from dataclasses import replace

import numpy as np

from lrrec.data.interactions import Interactions
from lrrec.data.recency import refuse_decayed
from lrrec.data.times import point_in_time
from lrrec.errors import DataError, ParameterError
from lrrec.splits.parts import (
    ORDERS,
    draw_negatives,
    earliest,
    eligible_users,
    histories,
    inductive,
    n_held_out,
    new_items,
    seed_of,
    timeline,
    transductive,
    warn,
    warn_of_ties,
)
from lrrec.splits.split import Split, check_data, check_split
from lrrec.typing import RandomState, TimeLike
from lrrec.validate import check_int, check_option, check_real, check_rng


def random(data: Interactions, test_size: float = 0.2, *, random_state: RandomState = None) -> Split:
    """Hold out interactions at random.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of interactions held out.
    random_state : int, Generator or None

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.Interactions.from_pairs(["ann", "ann", "ann", "bob", "bob"], ["x", "y", "z", "x", "y"])
    >>> split = lrrec.splits.random(data, 2, random_state=0)
    >>> len(split.train), len(split.test)
    (3, 2)
    """
    check_data(data)
    n_test = n_held_out(test_size, len(data), "test_size", "interactions")
    held_out = np.zeros(len(data), dtype=bool)
    held_out[check_rng(random_state).choice(len(data), n_test, replace=False)] = True
    seed = seed_of(random_state)
    return transductive(data, held_out, "random", {"test_size": test_size, "random_state": seed}, seed)


def leave_last(data: Interactions, n: int = 1, *, repeats: str | None = None, random_state: RandomState = 0) -> Split:
    """Hold out each user's last n interactions.

    Users with n or fewer interactions stay in training whole.

    Parameters
    ----------
    data : Interactions
        With times. Where pairs of user and item repeat, the last n events are held out.
    n : int, default 1
    repeats : {"keep", "drop"}, optional
        As for `by_time`.
    random_state : int, Generator or None, default 0
        Draws which of several interactions at the same time are held out.

    Warns
    -----
    DataWarning
        If that draw decides what is held out, with the number of users.

    Examples
    --------
    >>> import lrrec
    >>> users, items = ["ann", "ann", "ann", "bob", "bob"], ["x", "y", "z", "x", "y"]
    >>> data = lrrec.Interactions.from_pairs(users, items, times=[1, 2, 3, 5, 4])
    >>> lrrec.splits.leave_last(data).test.to_frame()[["user", "item"]].values.tolist()
    [['ann', 'z'], ['bob', 'x']]
    """
    events, times = timeline(data, "leave_last()")
    n = check_int(n, "n", low=1)
    counts = np.diff(events.matrix.indptr)
    if not (counts > n).any():
        raise DataError(f"no user has more than n = {n} interactions (the most is {counts.max()}): choose a smaller n")
    n_first = np.where(counts > n, counts - n, counts)
    kept, tied = earliest(events, times, n_first, check_rng(random_state))
    warn_of_ties(len(tied), "leave_last")
    seed = seed_of(random_state) if len(tied) else None
    params = {"n": n} | ({"random_state": seed} if len(tied) else {})
    return transductive(data, ~kept, "leave_last", params, seed, of_events=True, repeats=repeats)


def by_time(
    data: Interactions, test_size: float | None = None, *, at: TimeLike | None = None, repeats: str | None = None
) -> Split:
    """Train on the interactions before a point in time and test on the others.

    Test users without a training interaction are cold; `evaluate` recommends popular items to them, and counts them.

    Parameters
    ----------
    data : Interactions
        With times. Where pairs of user and item repeat, their events are cut, and those of each part are merged.
    test_size : float in (0, 1), optional
        About the share of interactions to test on (0.2 unless `at` is given): the cut is the time of the first of
        them. Interactions at the time of the cut are all in test.
    at : time, optional
        The cut, in the units of `data.times`; anything that numpy.datetime64 takes where these are datetimes.
    repeats : {"keep", "drop"}, optional
        Whether what a user has in training is in test as well, if they have it again after the cut. "keep": test holds
        all that happens, and `evaluate` recommends seen items too. "drop": test holds what is new to its user. When
        not given, all is kept, with a warning if there is anything: no interaction vanishes unnoticed.

    Warns
    -----
    DataWarning
        If `repeats` is not given and test repeats training.

    Examples
    --------
    >>> import lrrec
    >>> users, days = ["ann", "ann", "bob", "bob"], ["2024-01-01", "2024-03-01", "2024-01-15", "2024-02-15"]
    >>> data = lrrec.Interactions.from_pairs(users, ["x", "y", "x", "z"], times=days)
    >>> split = lrrec.splits.by_time(data, at="2024-02-01")
    >>> split.test.to_frame()[["user", "item"]].values.tolist()
    [['ann', 'y'], ['bob', 'z']]
    """
    _, times = timeline(data, "by_time()")
    if at is not None and test_size is not None:
        raise ParameterError("by_time() takes either test_size or at, got both")
    if at is None:
        n_test = n_held_out(0.2 if test_size is None else test_size, len(times), "test_size", "interactions")
        at = np.partition(times, len(times) - n_test)[len(times) - n_test]
    else:
        at = point_in_time(at, times, "at")
    held_out = times >= at
    if held_out.all() or not held_out.any():
        raise DataError(
            f"at must be after the first time ({times.min()}) and not after the last ({times.max()}), got {at}"
        )
    return transductive(data, held_out, "by_time", {"at": at}, of_events=True, repeats=repeats)


def by_user(
    data: Interactions, test_size: float = 0.2, *, history: float = 0.8, order: str = "random",
    repeats: str | None = None, random_state: RandomState = None,
) -> Split:  # fmt: skip
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
        Whether the history is drawn at random or is the earliest interactions, where pairs repeat the earliest events.
    repeats : {"keep", "drop"}, optional
        For order="time", as for `by_time`.
    random_state : int, Generator or None
        Also draws which of several interactions at the same time are in the history.

    Warns
    -----
    DataWarning
        As for `by_time` and `leave_last`.

    References
    ----------
    Marlin (2004), "Collaborative filtering: a machine learning perspective", sec. 3.3; Liang et al. (2018),
    arXiv:1802.05814, sec. 4.2.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, test_size=50, random_state=0)
    >>> len(split.test_rows), split.folds_in
    (50, True)
    >>> bool(set(split.train.rows()) & set(split.test.rows()))  # test users are not training users
    False
    """
    check_data(data)
    share = check_real(history, "history", low=0, high=1)
    check_option(order, "order", ORDERS)
    rng = check_rng(random_state)
    eligible = eligible_users(data, 2)
    chosen = rng.choice(eligible, n_held_out(test_size, len(eligible), "test_size", "users"), replace=False)
    first = histories(data, chosen, share, order, rng, "by_user")
    seed = seed_of(random_state)
    params = {"test_size": test_size, "history": history, "order": order, "random_state": seed}
    return inductive(data, chosen, first, "by_user", params, seed, repeats=repeats)


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

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.leave_last(data)
    >>> lrrec.splits.with_negatives(split, 99, random_state=0).candidates.shape
    (420, 100)
    """
    check_split(split)
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


def with_validation(split: Split, size: float = 0.2, *, random_state: RandomState = 0) -> Split:
    """Add a validation split, cut from the training part alone in the way that the split was made.

    Models are tuned on `split.validation` (as `tune` does), and the best is fitted on all of `split.train`. The test
    part decides nothing.

    Parameters
    ----------
    split : Split
        Before `Split.decayed`, which weights by the age at the end of training: the validation split's ends earlier.
    size : float in (0, 1) or int, default 0.2
        Of users, items or interactions, as for the function that made the split; without influence on `leave_last`. Of
        a split made by hand, users if its test users are new, else random interactions.
    random_state : int, Generator or None, default 0

    Returns
    -------
    Split
        With `validation`: its train is the rest of the training part.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.with_validation(lrrec.splits.by_user(data, random_state=0))
    >>> model = lrrec.IALS(8, reg=0.02, random_state=0)
    >>> model = model.fit(split.validation.train, validation=split.validation)  # stops early
    """
    check_split(split)
    refuse_decayed(split.train, "with_validation()", "with_validation(split).decayed(half_life)")
    train, params = split.train, split.params
    repeats, order = params.get("repeats"), params.get("order", "random") if train.times is not None else "random"
    if split.kind == "cold_users":
        validation = cold_users(train, size, random_state=random_state)
    elif split.folds_in:
        more = {"history": params.get("history", 0.8), "order": order, "repeats": repeats}
        validation = by_user(train, size, **more, random_state=random_state)
    elif split.kind == "leave_last":
        validation = leave_last(train, params["n"], repeats=repeats, random_state=random_state)
    elif split.kind in ("by_time", "windows"):
        validation = by_time(train, size, repeats=repeats)
    elif split._of_new_items:
        validation = cold_items(train, size, order=order, random_state=random_state)
    else:
        validation = random(train, size, random_state=random_state)
    return replace(split, validation=validation)


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
        Whether the items are drawn at random, or are those whose first interaction is latest.
    random_state : int, Generator or None
        Also draws which of several items whose first interactions are at the same time are held out.

    Warns
    -----
    DataWarning
        If that draw decides what is held out.

    References
    ----------
    Schein, Popescul, Ungar & Pennock (2002), "Methods and metrics for cold-start recommendations", sec. 4.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.cold_items(data, 30, random_state=0)
    >>> split.candidates.shape
    (30,)
    >>> bool(set(split.train.matrix.indices) & set(split.test.matrix.indices))
    False
    """
    check_data(data)
    check_option(order, "order", ORDERS)
    eligible, rng = np.unique(data.matrix.indices), check_rng(random_state)
    n_test = n_held_out(test_size, len(eligible), "test_size", "items")
    if order == "random":
        chosen = rng.choice(eligible, n_test, replace=False)
    else:
        chosen = eligible[_newest(*timeline(data, "order='time'"), eligible, n_test, rng)]
    params = {"test_size": test_size, "order": order, "random_state": seed_of(random_state)}
    return new_items(data, chosen, "cold_items", params, seed_of(random_state))


def cold_users(data: Interactions, test_size: float = 0.2, *, random_state: RandomState = None) -> Split:
    """Hold out users, of whom nothing is known: all their interactions are in test, and their histories are empty.

    Models serve them by features of users (`evaluate(..., user_features=)`), or give them popular items.

    Parameters
    ----------
    data : Interactions
    test_size : float in (0, 1) or int, default 0.2
        The share or the number of users held out, out of those with an interaction.
    random_state : int, Generator or None

    References
    ----------
    Schein, Popescul, Ungar & Pennock (2002), "Methods and metrics for cold-start recommendations".

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.cold_users(data, 30, random_state=0)
    >>> len(split.test_rows), len(split.history)
    (30, 0)
    """
    check_data(data)
    eligible, rng = eligible_users(data, 1), check_rng(random_state)
    n_test = n_held_out(test_size, len(eligible), "test_size", "users")
    is_cold = np.zeros(data.n_users, dtype=bool)
    is_cold[rng.choice(eligible, n_test, replace=False)] = True
    held_out = is_cold[data.rows()]
    seed = seed_of(random_state)
    params = {"test_size": test_size, "random_state": seed}
    nothing = data.filter(np.zeros(len(data), dtype=bool))
    return Split(data.filter(~held_out), nothing, data.filter(held_out), kind="cold_users", params=params, seed=seed)


def _newest(events: Interactions, times: np.ndarray, items: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The positions of the n items whose first event is latest; equal times are drawn."""
    columns = events.matrix.indices
    by_item = np.lexsort((times, columns))
    first = times[by_item[np.searchsorted(columns[by_item], items)]]
    order = np.lexsort((rng.random(len(items)), first))
    if first[order[-n - 1]] == first[order[-n]]:
        n_tied = np.count_nonzero(first == first[order[-n]])
        warn(f"cold_items(): ties in time decide which of {n_tied} items are held out; they are drawn at random")
    return order[-n:]
