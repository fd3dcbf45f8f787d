"""Protocol: how an evaluation was done, as fields; `describe` makes the sentences."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrrec.splits import Split


@dataclass(frozen=True)
class Candidates:
    """What was ranked for each user.

    Attributes
    ----------
    kind : {"all", "given", "given per user", "sampled", "ready-made lists"}
        "given": the same items for all users; "sampled": the relevant items and n others, drawn for each user.
    n_items : int
        Size of the catalogue.
    n : int or None
        How many items were given, or sampled for each user; None for all items and for ready-made lists.
    random_state : int or None
        Seed of the sample, if it is a number.
    """

    kind: str
    n_items: int
    n: int | None = None
    random_state: int | None = None

    @property
    def per_user(self) -> bool:
        """Whether users have different candidates."""
        return self.kind in ("given per user", "sampled")

    def describe(self) -> str:
        """Return what was ranked as a sentence."""
        seed = "" if self.random_state is None else f" (random_state={self.random_state})"
        return {
            "all": f"all {self.n_items:,} items",
            "given": f"{self.n or 0:,} given items of {self.n_items:,}, the same for all users",
            "given per user": f"{self.n} given items per user",
            "sampled": f"the relevant and {self.n} sampled of {self.n_items:,} items per user, neither relevant nor "
            f"seen{seed}",
            "ready-made lists": "ready-made lists",
        }[self.kind]


@dataclass(frozen=True)
class Protocol:
    """How an evaluation was done.

    Attributes
    ----------
    metrics : tuple of str
    candidates : Candidates
    n_users : int
        Users with a test interaction.
    split : str
        Description of the split; empty if it has none.
    split_kind, split_params, split_seed
        How the split was made; see `Split`.
    value_range : (float, float)
        The smallest and the largest value of the test interactions; those > 0 are relevant.
    served_from : {"history", "training", "lists"}
        Whether users were folded in from their histories, known to the model from training, or had ready-made lists.
    exclude_seen : bool or None
        Whether items of a user's history were to be left out; None for ready-made lists.
    n_cold : int
        Users without any history, who were served popular items.
    n_repeats : int
        Test interactions of items that their users have in the history already.
    n_test_items, n_cold_items, n_on_cold_items : int
        Items with a test interaction; those of them that training never saw, which models of interactions alone cannot
        tell apart; and the test interactions on these.
    n_places : int or None
        How many places of ready-made lists were used.
    n_unlisted, n_without_test : int
        Of ready-made lists: test users without a list, and users with a list but no test interaction.
    n_seen : int or None
        Of ready-made lists: how many places hold seen items; None if the histories are not known.
    n_errors : int
        How many values were predicted.
    pooled_errors : dict of str to float
        "rmse" and "mae" over all predicted values at once.
    """

    metrics: tuple[str, ...]
    candidates: Candidates
    n_users: int
    split: str = ""
    split_kind: str = ""
    split_params: dict[str, Any] = field(default_factory=dict)
    split_seed: int | None = None
    value_range: tuple[float, float] = (1.0, 1.0)
    served_from: str = "training"
    exclude_seen: bool | None = True
    n_cold: int = 0
    n_repeats: int = 0
    n_test_items: int = 0
    n_cold_items: int = 0
    n_on_cold_items: int = 0
    n_places: int | None = None
    n_unlisted: int = 0
    n_without_test: int = 0
    n_seen: int | None = None
    n_errors: int = 0
    pooled_errors: dict[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, str]:
        """Return the protocol as sentences, by what each is about."""
        ready_made, names = self.served_from == "lists", ", ".join(self.metrics)
        low, high = self.value_range
        values = "" if low == high else f", whatever its value ({low:g} to {high:g}; gains of graded-ndcg)"
        if low <= 0:
            values = f" with a value > 0 (of {low:g} to {high:g}); users without one are left out of ranking metrics"
        rows = {
            "split": self.split or "test interactions as given",
            "relevance": f"every test interaction{values}",
            "candidates": self.candidates.describe(),
            "cutoffs": f"{names}, from the first {self.n_places} places"
            if ready_made
            else f"{names}, from one ranking",
            "seen items": self._seen(),
            "cold items": self._cold_items(),
            "ties": self._ties(),
            "users": self._users(),
            "served from": {
                "history": "their history, folded in",
                "training": "the model's training data",
                "lists": "ready-made lists",
            }[self.served_from],
        }
        if self.pooled_errors:
            pooled = ", ".join(f"{name} {value:.4f}" for name, value in self.pooled_errors.items())
            rows["errors"] = (
                f"a mean over each user's test interactions; over all {self.n_errors} at once: {pooled}"
            )  # fmt: skip
        return rows

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dict fit for JSON."""
        return {**vars(self), "candidates": vars(self.candidates)}

    def _seen(self) -> str:
        """What became of items that users have seen."""
        if self.exclude_seen is not None:
            repeats = f"; {self.n_repeats:,} test interactions are of such items" if self.n_repeats else ""
            return ("to be left out" if self.exclude_seen else "kept") + repeats
        return "not looked at" if self.n_seen is None else f"{self.n_seen} in the lists"

    def _cold_items(self) -> str:
        """How many test items nobody could learn to recommend."""
        if not self.n_test_items:
            return "not looked at"
        shown = f"{self.n_cold_items:,} of {self.n_test_items:,} test items have no training interaction"
        return f"{shown} ({self.n_on_cold_items:,} test interactions)" if self.n_cold_items else shown

    def _ties(self) -> str:
        """How equal scores were ordered."""
        kinds = {"ready-made lists": "as listed", "given per user": "by place in the given list"}
        return kinds.get(self.candidates.kind, "by item index")

    def _users(self) -> str:
        """Who was counted."""
        counted = f"{self.n_users} with a test interaction"
        if self.served_from == "lists":
            return (
                f"{counted}, {self.n_unlisted} of them without a list (counted as misses); {self.n_without_test} users "
                "with a list but no test interaction left out"
            )
        cold = f", {self.n_cold} of them without history (served popular items)" if self.n_cold else ""
        return f"{counted}{cold}; users without one are left out"


def split_fields(split: Split) -> dict[str, Any]:
    """Return the fields of a protocol that say how a split was made, and what of its test part cannot well be hit."""
    n_items = len(split.items)
    in_training, in_test = (np.bincount(part.matrix.indices, minlength=n_items) for part in (split.train, split.test))
    cold = (in_training == 0) & (in_test > 0)
    return {
        "split": split.description, "split_kind": split.kind, "split_params": split.params, "split_seed": split.seed,
        "n_repeats": split.n_repeats, "n_test_items": int(np.count_nonzero(in_test)),
        "n_cold_items": int(np.count_nonzero(cold)), "n_on_cold_items": int(in_test[cold].sum()),
    }  # fmt: skip


def value_range(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest of the values of test interactions."""
    return float(values.min()), float(values.max())
