"""How many of the target's users a base is worth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lrrec.adapt.selection import Comparison, Outcome
from lrrec.adapt.trials import Trial

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)


def source_worth(comparison: Comparison, outcomes: Sequence[Outcome], kept: Outcome) -> str:
    """Return how much the base helps, in words; "" where nothing of the target alone was compared.

    The adapter that is kept is fitted to fewer and fewer of the target's users, with the same settings: with how few
    does it rank the validation users as well as the best model of the target alone, fitted to all?
    """
    alone = [outcome for outcome in outcomes if not outcome.adapter.uses_base]
    rival = max(alone, key=lambda outcome: outcome.mean, default=kept)
    if not kept.adapter.uses_base or (alone and kept.mean <= rival.mean):
        return "the base does not help"
    if not alone or kept.adapter._uses_all_threads:
        return ""
    optimism = float((kept.values - kept.estimates).mean())
    n_users = round(np.mean([len(trial.fit) for trial in comparison.trials[comparison.group]]))
    for share in SHARES:
        n_fewer = round(share * n_users)
        if n_fewer < 1 or _mean_with(comparison, kept.adapter, share) - optimism < rival.mean:
            continue
        reached = f"fitted to {n_fewer} users it ranks as well as {rival.adapter.label} fitted to {n_users}"
        return f"the base is worth {n_users - n_fewer} target users: {reached}"
    return ""


def _mean_with(comparison: Comparison, adapter: Any, share: float) -> float:
    """The mean on the validation users of an adapter fitted to a share of the users of each trial."""
    trials = [replace(trial, fit=_spread(trial, share)) for trial in comparison.trials[comparison.group]]
    fewer = replace(comparison, trials={comparison.group: trials}, measured={})
    return fewer.evaluate([adapter], {})[0].mean


def _spread(trial: Trial, share: float) -> np.ndarray:
    """A share of the users to fit to, always the same."""
    order: np.ndarray = np.random.default_rng(0).permutation(trial.fit)
    return np.sort(order[: max(1, round(share * len(order)))])
