"""The settings that several domains agree on, for domains in which nothing is tuned."""

import numbers
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from statistics import median_low
from typing import Any

from sklearn.base import clone


def agreed(tuned: Sequence[Sequence[Any]]) -> list[Any]:
    """Return each candidate once, from the candidates as they were tuned in several domains.

    Its numbers are the medians of what was chosen; what is no number is what was chosen most often.
    """
    by_candidate: dict[Hashable, list[Any]] = defaultdict(list)
    for adapters in tuned:
        occurrences: Counter[Hashable] = Counter()
        for adapter in adapters:
            kind = type(adapter), getattr(adapter, "statistics", None)
            by_candidate[kind, occurrences[kind]].append(adapter)
            occurrences[kind] += 1
    return [_agreed(adapters) for adapters in by_candidate.values()]


def _agreed(adapters: Sequence[Any]) -> Any:
    settings = [adapter.get_params(deep=False) for adapter in adapters]
    return clone(adapters[0]).set_params(
        **{name: _value([chosen[name] for chosen in settings]) for name in settings[0]}
    )


def _value(values: list[Any]) -> Any:
    if all(isinstance(value, numbers.Real) and not isinstance(value, bool) for value in values):
        return median_low(values)
    return max(values, key=values.count)
