"""Validation users of a domain, served as the target's users will be."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import Domain
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.splits import Split, history_mask
from lrrec.validate import check_int, check_real

N_FOLDS = 5
LARGE = 200  # from so many users on, one validation part is enough
LARGEST = 1000  # more validation users than this tell nothing new
AS_SERVED, SHARE_AS_SERVED = "as served", 0.8


@dataclass(frozen=True, eq=False)
class Trial:
    """Fit to some users, recommend to validation users from their histories, and compare with their test items.

    fit : ndarray of int, the indices of the users to fit to. history, test : csr_array, shapes (n, I), over the
    catalogue. groups : ndarray of int, shape (n,), by length of history; 0 for none. priors : ndarray, shape (n, D),
    or None.
    """

    fit: np.ndarray
    history: sp.csr_array
    test: sp.csr_array
    groups: np.ndarray
    priors: np.ndarray | None = None


def check_history(history: Any) -> None:
    """Refuse what is no length of histories."""
    if isinstance(history, str):
        if history != AS_SERVED:
            raise ParameterError(f"history must be {AS_SERVED!r}, a share or a number of interactions, got {history!r}")
    elif isinstance(history, numbers.Integral) and not isinstance(history, bool):
        check_int(history, "history", low=1)
    else:
        check_real(history, "history", low=0, high=1, open_low=True)


def check_bounds(bounds: Any) -> tuple[int, ...]:
    """Return the shortest history of each group of users that have one, rising from 1."""
    if isinstance(bounds, str) or not isinstance(bounds, Sequence):
        raise ParameterTypeError(f"history_groups must be a sequence of lengths, got {bounds!r}")
    lengths = tuple(check_int(length, "history_groups", low=1) for length in bounds)
    if lengths[:1] != (1,) or any(lower >= upper for lower, upper in pairwise(lengths)):
        raise ParameterError(f"history_groups must rise from 1, e.g. (1, 5), got {bounds!r}")
    return lengths


def group_names(bounds: Sequence[int]) -> list[str]:
    """What the groups of users are called: 0 for those without a history, j from bounds[j - 1] on."""
    if len(bounds) == 1:
        return ["without history", "with history"]
    upper = [f"{lower} to {bound - 1}" for lower, bound in pairwise(bounds)]
    return ["without history", *(f"history of {lengths}" for lengths in (*upper, f"{bounds[-1]} or more"))]


def make_trials(
    domain: Domain, history: float | int | str, bounds: Sequence[int], validation: Split | None,
    rng: np.random.Generator,
) -> list[Trial]:  # fmt: skip
    """Return the trials of a domain: folds of the target's users, or a fit to all of them and validation users given.

    Users are grouped by the length of their history. Where users without a history in the target will be served
    (`same_users`), validation users whom the base knows are served once more, without their history.
    """
    if validation is not None:
        return [_given_trial(domain, bounds, validation.history, validation.test)]
    return _fold_trials(domain, history, bounds, rng)


def _fold_trials(
    domain: Domain, history: float | int | str, bounds: Sequence[int], rng: np.random.Generator
) -> list[Trial]:
    """Cut the target's users into folds of validation users."""
    counts, share = np.diff(domain.data.matrix.indptr), SHARE_AS_SERVED if history == AS_SERVED else history
    least = 2
    if isinstance(history, numbers.Integral):
        least, share = int(history) + 1, int(history) / np.maximum(counts, 1)
    eligible = np.flatnonzero(counts >= least)
    if len(eligible) < 2:
        raise DataError(
            f"target must have at least two users with {'two' if least == 2 else least} interactions to compare "
            f"adapters on, got {len(eligible)}; fit one with given settings instead, e.g. "
            "LowRank(8, reg=1.0, fold_in_reg=None, new_item_reg=1.0)"
        )
    rng.shuffle(eligible)
    if len(eligible) >= LARGE:
        groups = [eligible[: int(np.clip(len(eligible) // 5, LARGE // 2, LARGEST))]]
    else:
        groups = np.array_split(eligible, min(N_FOLDS, len(eligible)))
    first: Any = share
    mask = history_mask(domain.data, first, rng.random(len(domain.data)))
    histories, tests, whole = domain.data.filter(mask).matrix, domain.data.filter(~mask).matrix, domain.data.matrix
    priors = domain.user_priors
    return [
        _trial(
            np.setdiff1d(domain.active_users, group), histories[group], tests[group], whole[group], bounds,
            None if priors is None else priors[group],
        )
        for group in groups
    ]  # fmt: skip


def _given_trial(domain: Domain, bounds: Sequence[int], history: Interactions, test: Interactions) -> Trial:
    """Fit to all of the target's users, and validate on others."""
    histories, tests = (part.align_items(domain.items).matrix for part in (history, test))
    served, priors = np.diff(histories.indptr) > 0, domain.priors(history.users)
    if priors is not None:
        served |= (priors != 0).any(axis=1)
    rows = np.flatnonzero(served & (np.diff(test.matrix.indptr) > 0))
    if not len(rows):
        raise DataError("validation must have a user with a history and a test interaction, got none")
    priors = None if priors is None else priors[rows]
    return _trial(domain.active_users, histories[rows], tests[rows], tests[rows], bounds, priors)


def _trial(
    fit: np.ndarray, history: sp.csr_array, test: sp.csr_array, whole: sp.csr_array, bounds: Sequence[int],
    priors: np.ndarray | None,
) -> Trial:  # fmt: skip
    """A trial of users with a history and, of those whom the base knows, without: `whole` is then their test."""
    lengths = np.diff(history.indptr)
    if priors is None:
        return Trial(fit, history, test, np.searchsorted(bounds, lengths, side="right"))
    some, known = np.flatnonzero(lengths), np.flatnonzero((priors != 0).any(axis=1))
    nothing = sp.csr_array((len(known), history.shape[1]), dtype=history.dtype)
    history, test = (
        sp.csr_array(sp.vstack(parts, format="csr")) for parts in ((history[some], nothing), (test[some], whole[known]))
    )
    groups = np.searchsorted(bounds, np.diff(history.indptr), side="right")
    return Trial(fit, history, test, groups, priors[np.concatenate((some, known))])
