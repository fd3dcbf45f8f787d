"""What a base is worth: to the target beside its own users, and as it is beside an adapted one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrrec.adapt.kinds.fold_in import FoldIn
from lrrec.adapt.selection.candidate_result import CandidateResult, Z
from lrrec.adapt.selection.cross_validation import CrossValidation
from lrrec.adapt.selection.folds import Fold

NO_HELP = "the base does not help"
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)


def source_worth(cv: CrossValidation, results: Sequence[CandidateResult], kept: CandidateResult) -> str:
    """Return how much the base helps, in words; "" where nothing of the target alone was compared.

    The adapter that is kept is fitted to fewer and fewer of the target's users, with the same settings: with how few
    does it rank the validation users as well as the best model of the target alone, fitted to all? The base as it is
    needs none.
    """
    alone = [result for result in results if not result.adapter.uses_base]
    runner_up = max(alone, key=lambda result: result.mean, default=kept)
    if not kept.adapter.uses_base or (alone and kept.mean <= runner_up.mean):
        return NO_HELP
    if not alone or kept.adapter._uses_all_threads:
        return ""
    optimism = float((kept.scores - kept.estimated_scores).mean())
    n_users = round(np.mean([len(fold.fit) for fold in cv.folds[cv.group]]))
    target_alone = f"as well as {runner_up.adapter.label} with {n_users}"
    if kept.adapter.name == FoldIn.name:
        return f"the base is worth {n_users} target users: as it is it ranks {target_alone}"
    for share in SHARES:
        n_fewer = round(share * n_users)
        if n_fewer < 1 or _mean_with(cv, kept.adapter, share) - optimism < runner_up.mean:
            continue
        worth = f"the base is worth {n_users - n_fewer} target users"
        return f"{worth}: the adapter, fitted to {n_fewer} of them, ranks {target_alone}"
    return ""


def gain_of_adapting(results: Sequence[CandidateResult], kept: CandidateResult) -> str:
    """Return how what is kept compares with the base as it is, in words; "" where that was not measured."""
    as_it_is = next((result for result in results if result.adapter.name == FoldIn.name), None)
    if as_it_is is None or not kept.adapter.uses_base:
        return ""
    if kept is as_it_is:
        return "nothing is clearly better than the base as it is"
    gain, error = kept.difference(as_it_is)
    how = "clearly" if gain > Z * error else "not clearly"
    return f"{how} better than the base as it is, {as_it_is.mean:.4f}"


def _mean_with(cv: CrossValidation, adapter: Any, share: float) -> float:
    """The mean on the validation users of an adapter fitted to a share of the users of each fold."""
    folds = [replace(fold, fit=_spread(fold, share)) for fold in cv.folds[cv.group]]
    fewer = replace(cv, folds={cv.group: folds}, measured={})
    return fewer.evaluate([adapter], {})[0].mean


def _spread(fold: Fold, share: float) -> np.ndarray:
    """A share of the users to fit to, always the same."""
    order: np.ndarray = np.random.default_rng(0).permutation(fold.fit)
    return np.sort(order[: max(1, round(share * len(order)))])
