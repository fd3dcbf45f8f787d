"""Validation users of a domain, served as the target's users will be."""

import numbers
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import BaseUsers, Domain
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError
from lrrec.linalg.ranking import ALL_CANDIDATES, Candidates
from lrrec.models.base.candidates import from_ids
from lrrec.splits import Split, history_mask
from lrrec.validate import check_int, check_real

N_FOLDS = 5
LARGE = 200  # from so many users on, one validation part is enough
LARGEST = 1000  # more validation users than this tell nothing new
AS_SERVED = "as served"
WITH, WITHOUT = "with history", "without history"


@dataclass(frozen=True, eq=False)
class Fold:
    """Fit to some users, recommend to validation users from their histories, and compare with their test items.

    fit : ndarray of int, the indices of the users to fit to. history, test : csr_array, shapes (n, I), over the
    catalogue. known : the validation users as the base knows them, or None. candidates : the items that are ranked.
    """

    fit: np.ndarray
    history: sp.csr_array
    test: sp.csr_array
    known: BaseUsers | None = None
    candidates: Candidates = ALL_CANDIDATES


def check_history(history: Any) -> None:
    """Refuse what is no length of histories."""
    if isinstance(history, str):
        if history != AS_SERVED:
            raise ParameterError(f"history must be {AS_SERVED!r}, a share or a number of interactions, got {history!r}")
    elif isinstance(history, numbers.Integral) and not isinstance(history, bool):
        check_int(history, "history", low=1)
    else:
        check_real(history, "history", low=0, high=1, open_low=True)


def make_folds(
    domain: Domain, history: float | int | str, validation: Split | None, rng: np.random.Generator
) -> dict[str, list[Fold]]:
    """Return the folds of each group of users that will be served: those with a history in the target, those without.

    Users without one are served where they are the base's too (`same_users`): validation users whom the base knows are
    then served once without any history. A group that cannot be validated is left out; folds that are
    fitted to the same users share their array `fit`.
    """
    if validation is None:
        return _cut_folds(domain, history, rng)
    folds = dict(_given_folds(domain, validation))
    if not folds:
        raise DataError("validation must have a user with a history and a test interaction, got none")
    if WITH not in folds:
        with suppress(DataError):  # too few users
            folds[WITH] = _cut_folds(domain, history, rng)[WITH]
    return folds


def _cut_folds(domain: Domain, history: float | int | str, rng: np.random.Generator) -> dict[str, list[Fold]]:
    """Cut the target's users into folds of validation users."""
    counts = np.diff(domain.data.matrix.indptr)
    least = int(history) + 1 if isinstance(history, numbers.Integral) else 2
    eligible = np.flatnonzero(counts >= least)
    if len(eligible) < 2:
        raise DataError(
            f"target must have at least two users with {least} interactions to compare adapters on, got "
            f"{len(eligible)}; pass a shorter history=, or fit one adapter with given settings, e.g. "
            "LowRank(8, reg=1.0, fold_in_reg=None, new_item_reg=1.0)"
        )
    rng.shuffle(eligible)
    if len(eligible) >= LARGE:
        groups = [eligible[: min(max(len(eligible) // 5, LARGE // 2), LARGEST)]]
    else:
        groups = np.array_split(eligible, min(N_FOLDS, len(eligible)))
    share = 0.8 if isinstance(history, str) else history
    mask = history_mask(domain.data, share, _order(domain.data, rng))
    histories, tests, users = domain.data.filter(mask).matrix, domain.data.filter(~mask).matrix, domain.users
    fits = [np.setdiff1d(domain.active_users, group) for group in groups]
    folds = {WITH: [
        Fold(fit, histories[group], tests[group], None if users is None else users[group])
        for fit, group in zip(fits, groups, strict=True)
    ]}  # fmt: skip
    if serves_users_without_history(domain):
        assert users is not None
        known = [group[users.exists[group]] for group in groups]
        cold = [
            Fold(fit, sp.csr_array((len(group), len(domain.items)), dtype=np.float32),
                  domain.data.matrix[group], users[group])
            for fit, group in zip(fits, known, strict=True) if len(group)
        ]  # fmt: skip
        folds |= {WITHOUT: cold} if cold else {}
    return folds


def _order(data: Interactions, rng: np.random.Generator) -> np.ndarray:
    """A key by which interactions come into histories: the earliest first where there are times, else at random."""
    key = rng.random(len(data))
    if data.times is not None:
        key[np.lexsort((key, data.times))] = np.arange(len(data))
    return key


def _given_folds(domain: Domain, validation: Split) -> Iterator[tuple[str, list[Fold]]]:
    """Fit to all of the target's users, and validate on others, with the candidates of the split."""
    history, test = validation.history, validation.test
    users = domain.base_users(history.users)
    histories, tests = (part.align_items(domain.items).matrix for part in (history, test))
    has_history, has_test = np.diff(histories.indptr) > 0, np.diff(test.matrix.indptr) > 0
    rows = np.flatnonzero(has_history & has_test)
    if len(rows):
        part = None if users is None else users[rows]
        candidates = _candidates(domain, validation, rows)
        yield WITH, [Fold(domain.active_users, histories[rows], tests[rows], part, candidates)]
    if users is not None and serves_users_without_history(domain):
        rows = np.flatnonzero(users.exists & has_test)
        if len(rows):
            nothing = sp.csr_array((len(rows), len(domain.items)), dtype=np.float32)
            candidates = _candidates(domain, validation, rows)
            yield WITHOUT, [Fold(domain.active_users, nothing, tests[rows], users[rows], candidates)]


def _candidates(domain: Domain, validation: Split, rows: np.ndarray) -> Candidates:
    """The candidates of some test users of a split, in the domain's catalogue."""
    lists = validation.candidates
    if lists is None:
        return ALL_CANDIDATES
    if lists.ndim == 2:
        lists = lists[np.searchsorted(validation.test_rows, rows)]
    return from_ids(lists, domain.items, validation.users.ids[rows], unknown_items="ignore")


def serves_users_without_history(domain: Domain) -> bool:
    """Whether the domain has users of the base who have no interaction in the target."""
    return domain.same_users and len(domain.active_users) < domain.data.n_users
