"""The words of a verdict: why adapters were kept, and what was not compared."""

from collections.abc import Mapping, Sequence

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.by_history import ByHistory
from lrrec.adapt.selection.candidate_result import CandidateResult
from lrrec.adapt.selection.folds import WITH, WITHOUT

Compared = tuple[list[CandidateResult], CandidateResult, str]  # results, the one to keep, and why
JOINT_TRAINING = "; where the base's data may be used, compare with training on both domains at once"


def left_out(costly: Sequence[Adapter], n_items: int) -> str:
    """What was not compared, and what to do about it."""
    labels = " and ".join(candidate.label for candidate in costly)
    return f"{labels} would take too long for {n_items:,} items: pass a smaller catalogue=" if costly else ""


def verdict(compared: Mapping[str, Compared], domain: Domain, kept: Adapter) -> str:
    """Why the adapters of all groups of users were kept."""
    parts = [("" if group == WITH else f"users {group}: ") + part[2] for group, part in compared.items()]
    if WITHOUT not in compared and isinstance(kept, ByHistory):
        parts.append(f"users without history get {kept.without_history.label}")
    return "; ".join(parts) + (JOINT_TRAINING if domain.same_users else "")
