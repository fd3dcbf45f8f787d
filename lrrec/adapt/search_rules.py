"""SearchRules: how the "auto" parameters of a kind of adapter are chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SearchRules:
    """What a search over the "auto" parameters of a kind has to know beside their values.

    starts_from : parameter -> the kind whose choice the search starts from. one_standard_error : parameter -> "lowest"
    or "highest", the end from which the first value within a standard error of the best is taken. path : parameters of
    which one training gives several values. interacting : parameter -> a fine grid, of parameters that depend on each
    other. keeps_default : whether other settings must be clearly better than the defaults.
    """

    starts_from: Mapping[str, str] = field(default_factory=dict)
    one_standard_error: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    interacting: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    keeps_default: bool = False
