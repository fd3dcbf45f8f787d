"""ByHistory: an adapter for each length of history, users without any included."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.composite import Composite, Encoded
from lrrec.adapt.domain import Domain
from lrrec.adapt.trials import check_bounds
from lrrec.errors import ParameterError
from lrrec.linalg.ranking import Columns


class ByHistory(Composite):
    """Serve users by one adapter or another, by the length of their history in the target.

    `AdapterSelector` makes it where another adapter is better for other users: above all where users are the same
    people in both domains (`same_users`) and some have no interaction in the target yet. Banks, files, `recommend` and
    `update` treat it as one adapter; `merge` refuses, as no model of one class recommends the same.

    Parameters
    ----------
    members : sequence of Adapter
        For users without a history, then for each group of those with one.
    history_groups : sequence of int, default (1,)
        The shortest history of each group of users that have one, rising from 1.

    Attributes
    ----------
    members_ : list of Adapter
        Fitted, each to all of the target's users.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Anchored, ByHistory, Popular
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["bob", "dan", "dan", "eve"], ["x", "z", "x", "z"])
    >>> anchored = Anchored(reg=1.0, fold_in_reg=None, new_item_reg=1.0)
    >>> adapter = ByHistory([Popular(), anchored]).fit(target, base=base, same_users=True)
    >>> [member.name for member in adapter.members_]
    ['popularity', 'anchored']
    """

    name = "by history"

    def __init__(self, members: Sequence[Adapter], history_groups: Sequence[int] = (1,)) -> None:
        self.members = members
        self.history_groups = history_groups

    def _unfitted(self) -> Sequence[Any]:
        return self.members

    def _check_params(self) -> None:
        bounds = check_bounds(self.history_groups)
        super()._check_params()
        if len(self.members) != len(bounds) + 1:
            raise ParameterError(
                f"members must be {len(bounds) + 1} adapters, one for users without a history and one for each of "
                f"history_groups, got {len(self.members)}"
            )

    def suits(self, domain: Domain, *, history: bool) -> bool:
        """Whether the members that serve such users suit."""
        members = self.members[1:] if history else self.members[:1]
        return all(member.suits(domain, history=history) for member in members)

    def _own(self, matrix: sp.csr_array) -> np.ndarray:
        """The member that serves each user."""
        return np.searchsorted(self.history_groups, np.diff(matrix.indptr), side="right")

    def _serves(self, rows: np.ndarray) -> np.ndarray:
        served = np.stack([member._serves(rows) for member in self.members_])
        return served[self._own(self.seen_[rows]), np.arange(len(rows))]

    def _scores(self, encoded: Encoded, columns: Columns) -> np.ndarray:
        out: np.ndarray | None = None
        for place in np.unique(encoded.own):
            rows = np.flatnonzero(encoded.own == place)
            scores = self.members_[place]._scores(encoded.parts[place][rows], columns)
            if len(rows) == len(encoded):
                return scores
            out = np.empty((len(encoded), scores.shape[1]), dtype=np.float32) if out is None else out
            out[rows] = scores
        assert out is not None  # blocks have users
        return out


def by_history(members: Sequence[Adapter], bounds: Sequence[int]) -> Adapter:
    """Return the adapter of these members; just the one where all are the same."""
    first = members[0]
    if all(type(other) is type(first) and other.get_params() == first.get_params() for other in members):
        return first
    return ByHistory(list(members), bounds)
