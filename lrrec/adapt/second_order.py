"""The second-order statistics of a base over a domain's catalogue: what it knows of pairs of items."""

from typing import Any

import numpy as np

from lrrec.adapt.domain import Domain
from lrrec.errors import ParameterError
from lrrec.linalg.dense import gram
from lrrec.linalg.item_item_weights import FactoredGram, GramMatrix
from lrrec.linalg.sparse import co_occurrences
from lrrec.models.base.factor_model import FactorModel

STATISTICS = ("interactions", "scores")
MAX_ITEMS = 4096  # of a catalogue for which interactions are the default: its item-item weights are found in a second


def choose_kind(domain: Domain, kind: str | None) -> str:
    """Decide where none is given; refuse a kind that the base cannot give."""
    available = check_statistics(domain.base)
    if kind is None:
        prefers_scores = "scores" in available and len(domain.items) > MAX_ITEMS
        return "scores" if prefers_scores or "interactions" not in available else "interactions"
    if kind not in available:
        raise ParameterError(f"statistics must be one that the base has, {' or '.join(available)}, got {kind!r}")
    return kind


def available_kinds(base: Any) -> list[str]:
    """The kinds that a base has."""
    kinds = ["interactions"] if base.seen_.nnz else []
    if isinstance(base, FactorModel) and len(base.user_factors_):
        kinds.append("scores")
    return kinds


def check_statistics(base: Any) -> list[str]:
    """Return the kinds that a base has; refuse one without any."""
    kinds = available_kinds(base)
    if not kinds:
        raise ParameterError(
            f"the base, {type(base).__name__}, holds neither histories nor user factors, of which ItemItem takes "
            "what it knows of pairs of items: save it with its histories"
        )
    return kinds


def second_order(domain: Domain, kind: str) -> GramMatrix:
    """Return the statistics over the catalogue: X^T X of the base's training data X, or of its scores, V U^T U V^T."""
    base, known = domain.base, np.flatnonzero(domain.in_base)
    places = domain.base_indices[known]
    if kind == "scores":
        eigenvalues, E = np.linalg.eigh(gram(base.user_factors_))
        factors = (base.item_factors_ @ E) * np.sqrt(np.maximum(eigenvalues, 0))
        L = np.zeros((len(domain.items), factors.shape[1]))
        L[known] = factors[places]
        return FactoredGram(L)
    items, counts = seen_counts(domain)
    if len(items) == len(domain.items):
        return counts
    S = np.zeros((len(domain.items),) * 2, dtype=np.float32)
    S[np.ix_(items, items)] = counts
    return S


def seen_counts(domain: Domain) -> tuple[np.ndarray, np.ndarray]:
    """Return the m items of the catalogue that the base's interactions X have, and their part of X^T X, (m, m)."""
    seen = np.zeros(len(domain.items), dtype=bool)
    seen[domain.in_base] = domain.base.item_counts_[domain.base_indices[domain.in_base]] > 0
    items = np.flatnonzero(seen)
    return items, co_occurrences(domain.base.seen_[:, domain.base_indices[items]])
