"""One adapter for all groups of users, of the winners of each."""

from collections.abc import Mapping
from typing import Any

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.by_history import ByHistory
from lrrec.adapt.kinds.fold_in import FoldIn
from lrrec.adapt.kinds.popular import Popular
from lrrec.adapt.selection.folds import WITH, WITHOUT, serves_users_without_history


def fallback(base: Any) -> Adapter:
    """Return what can serve any user: popular items, or the base as it is where it predicts ratings."""
    return FoldIn() if base._predicts_ratings else Popular()


def combined(winners: Mapping[str, Adapter], domain: Domain) -> Any:
    """Return the adapter for all groups of users: the one of them, or `ByHistory` of two that differ.

    In a group without validation users, users without a history get the fallback, those with one the other winner.
    """
    first = winners[WITH] if WITH in winners else winners[WITHOUT]
    if not serves_users_without_history(domain):
        return first
    without = winners[WITHOUT] if WITHOUT in winners else fallback(domain.base)
    same = type(first) is type(without) and first.get_params() == without.get_params()
    return first if same else ByHistory(first, without)
