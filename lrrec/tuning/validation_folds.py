"""Validation folds: parts cut from the training part of a split in the way that the split was made."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from lrrec.errors import DataError, ParameterError
from lrrec.splits import Split, k_folds, with_validation
from lrrec.splits.parts import earliest, timeline, transductive, warn_of_ties
from lrrec.splits.resampling import MOST_FOLDS, enough_folds
from lrrec.splits.split import check_split
from lrrec.validate import check_int


class ValidationFolds:
    """One or several validation splits of the same ids: each trains on its train and tests on its test users."""

    def __init__(self, parts: list[Split]) -> None:
        self.parts = parts

    @property
    def description(self) -> str:
        """How they were made."""
        first, n = self.parts[0], len(self.parts)
        if n == 1:
            return first.description
        params = {name: value for name, value in first.params.items() if name != "fold"}
        return f"{replace(first, params=params).description}, folds 1 to {n}"

    @cached_property
    def sha256(self) -> str:
        """The hashes of the splits."""
        return " ".join(part.sha256 for part in self.parts)


def read_folds(split: Split, validation: Split | None, n_folds: int | None, seed: int) -> ValidationFolds:
    """Return the validation splits of `tune`, its arguments checked."""
    check_split(split)
    if n_folds is not None:
        n_folds = check_int(n_folds, "folds", low=1)
        if validation is not None or split.validation is not None:
            owner = "validation=" if validation is not None else "a split that has a validation part"
            raise ParameterError(f"folds must be left out with {owner}, which is used as it is, got {n_folds}")
    if validation is not None:
        return ValidationFolds([check_validation(validation, split)])
    if split.validation is not None:
        return ValidationFolds([split.validation])
    return ValidationFolds(cut_folds(split, n_folds, seed))


def cut_folds(split: Split, n_folds: int | None, seed: int) -> list[Split]:
    """Cut n_folds validation splits from split.train, or as many as it takes for about 1,000 validation users.

    One is what `with_validation` cuts. Of several, each holds out another group: of users, their interactions cut as
    the split cut them; for splits of random interactions, of interactions; for new items, of items. A group is a
    fifth, or smaller for more than five folds: the models train on at least as much as with one. After `leave_last`,
    the groups have all users together.
    """
    if n_folds == 1:
        return [_one(split, seed)]
    cut, unit, n_units = _way(split)
    if n_folds is None:
        one = _one(split, seed)
        n_folds = enough_folds(len(one.test_rows), n_units)
        if n_folds == 1 or split.kind == "leave_last":  # which tests on all users
            return [one]
    elif not n_units:
        raise ParameterError(
            f"folds must be 1 or left out for {split.kind}(), whose test part is the last in time, got {n_folds}"
        )
    if n_folds > n_units:
        raise ParameterError(f"folds must be at most the {n_units} {unit}, got {n_folds}")
    n_groups = n_folds if split.kind == "leave_last" else max(n_folds, min(MOST_FOLDS, n_units))
    return list(islice(cut(n_groups, seed), n_folds))


def _one(split: Split, seed: int) -> Split:
    """One validation split."""
    validation = with_validation(split, random_state=seed).validation
    assert validation is not None
    return validation


def _way(split: Split) -> tuple[Callable[[int, int], Iterator[Split]], str, int]:
    """How to cut groups, what is grouped, and how many of these there are; none where only one part can be cut."""
    train, params = split.train, split.params
    order = params.get("order", "random") if train.times is not None else "random"
    sizes = np.diff(train.matrix.indptr)
    by_time = split.kind in ("by_time", "windows") or (split._of_new_items and order == "time")

    def users(n_groups: int, seed: int) -> Iterator[Split]:
        more = {"history": params.get("history", 0.8), "order": order, "repeats": params.get("repeats")}
        return k_folds(train, n_groups, **more, random_state=seed)

    def interactions(n_groups: int, seed: int) -> Iterator[Split]:
        return k_folds(train, n_groups, by="interaction", random_state=seed)

    def items(n_groups: int, seed: int) -> Iterator[Split]:
        return k_folds(train, n_groups, by="item", random_state=seed)

    def of_kind(cut: Callable[..., Iterator[Split]], *eligible: Any) -> Callable[[int, int], Iterator[Split]]:
        return lambda n_groups, seed: cut(split, *eligible, n_groups, np.random.default_rng(seed))

    if by_time:
        return interactions, "", 0
    if split.kind == "cold_users":
        eligible = np.flatnonzero(sizes >= 2)
        return of_kind(_cold_users, eligible), "users with two interactions", len(eligible)
    if split.folds_in:
        return users, "users with two interactions", int((sizes >= 2).sum())
    if split.kind == "leave_last":
        n, counts = params["n"], np.diff(timeline(train, "folds")[0].matrix.indptr)
        return of_kind(_last), f"users with more than {n} interactions", int((counts > n).sum())
    if split._of_new_items:
        return items, "items with an interaction", len(np.unique(train.matrix.indices))
    return interactions, "interactions", len(train)


def _last(split: Split, n_groups: int, rng: np.random.Generator) -> Iterator[Split]:
    """Hold out the last interactions of one group of users after another, as `leave_last` does of all."""
    train, n = split.train, split.params["n"]
    events, times = timeline(train, "folds")
    counts = np.diff(events.matrix.indptr)
    kept, tied = earliest(events, times, np.where(counts > n, counts - n, counts), rng)
    warn_of_ties(len(tied), "leave_last")
    eligible = np.flatnonzero(counts > n)
    for fold, of_group in _groups(eligible, train.n_users, n_groups, rng):
        held_out = ~kept & of_group[events.rows()]
        repeats = split.params.get("repeats")
        yield transductive(train, held_out, "leave_last", {"n": n, "fold": fold}, of_events=True, repeats=repeats)


def _cold_users(split: Split, eligible: np.ndarray, n_groups: int, rng: np.random.Generator) -> Iterator[Split]:
    """Hold out all interactions of one group of users after another, as `cold_users` does."""
    train = split.train
    nothing = train.filter(np.zeros(len(train), dtype=bool))
    for fold, of_group in _groups(eligible, train.n_users, n_groups, rng):
        held_out = of_group[train.rows()]
        params = {"test_size": 1 / n_groups, "fold": fold}
        yield Split(train.filter(~held_out), nothing, train.filter(held_out), kind="cold_users", params=params)


def _groups(eligible: np.ndarray, n: int, n_groups: int, rng: np.random.Generator) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of each of n_groups disjoint random groups, from 1, and its mask, bool (n,)."""
    shuffled = rng.permutation(eligible)
    for group in range(n_groups):
        of_group = np.zeros(n, dtype=bool)
        of_group[shuffled[group::n_groups]] = True
        yield group + 1, of_group


def check_validation(validation: Any, split: Split) -> Split:
    """Return a validation split if it has the items of the split and a test interaction."""
    if not isinstance(validation, Split):
        raise DataError(f"validation must be a Split, got {type(validation).__name__}; cut one from split.train")
    if validation.items != split.items:
        raise DataError("validation must be a Split of the same items as split: cut one from split.train")
    if not len(validation.test_rows):
        raise DataError("validation has no test interaction: cut a larger one from split.train")
    return validation
