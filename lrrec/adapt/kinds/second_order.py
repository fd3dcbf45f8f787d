"""The second-order statistics of a base over a domain's catalogue: what it knows of pairs of items.

Those of several bases are the sum of theirs, each times its weight.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from lrrec.adapt.domain import Domain
from lrrec.adapt.sources import models_of
from lrrec.errors import ParameterError
from lrrec.linalg.dense import kept_spectrum
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
    """The kinds that a base has; of several bases, those that all of them have."""
    models = models_of(base)
    kinds = ["interactions"] if all(model.seen_.nnz for model in models) else []
    if all(isinstance(model, FactorModel) and len(model.user_factors_) for model in models):
        kinds.append("scores")
    return kinds


def check_statistics(base: Any) -> list[str]:
    """Return the kinds that a base has; refuse one without any."""
    kinds = available_kinds(base)
    if not kinds:
        names = " and ".join(type(model).__name__ for model in models_of(base))
        raise ParameterError(
            f"the base, {names}, holds neither histories nor user factors, of which item-item adapters take what it "
            "knows of pairs of items: save the base with its histories, or serve adapter.merge(), which needs no base"
        )
    return kinds


def second_order(domain: Domain, kind: str, source_weights: Sequence[float] | None = None) -> GramMatrix:
    """Return the statistics over the catalogue: X^T X of the base's training data X, or of its scores, V U^T U V^T."""
    find = _of_scores if kind == "scores" else _of_interactions
    if source_weights is None:
        same_weights: GramMatrix = _cached(domain, kind, find)
        return same_weights
    return find(domain, source_weights)


def _of_scores(domain: Domain, source_weights: Sequence[float] | None = None) -> FactoredGram:
    parts = _cached(domain, "factors", _score_factors)
    roots = np.ones(len(parts)) if source_weights is None else np.sqrt(source_weights)
    if len(parts) == 1:
        V, M = parts[0]
        return FactoredGram(V, M * roots[0], domain.in_base.astype(np.float64))
    V, M = (block for block in zip(*parts, strict=True))
    return FactoredGram(np.hstack(V), block_diag(*(part * root for part, root in zip(M, roots, strict=True))))


def _of_interactions(domain: Domain, source_weights: Sequence[float] | None = None) -> np.ndarray:
    items, counts = seen_counts(domain, source_weights)
    if len(items) == len(domain.items):
        return counts
    S = np.zeros((len(domain.items),) * 2, dtype=np.float32)
    S[np.ix_(items, items)] = counts
    return S


def seen_counts(domain: Domain, source_weights: Sequence[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the m items of the catalogue that the base's interactions X have, and the upper half of their X^T X."""
    parts = _cached(domain, "counts", _counts_of_models)
    if len(parts) == 1:
        return parts[0]
    items = np.unique(np.concatenate([places for places, _ in parts]))
    total = np.zeros((len(items),) * 2, dtype=np.float32)
    weights = np.ones(len(parts)) if source_weights is None else source_weights
    for (places, counts), weight in zip(parts, weights, strict=True):
        if weight:
            own = np.searchsorted(items, places)
            total[np.ix_(own, own)] += np.float32(weight) * counts
    return items, total


def rank_of_scores(base: Any) -> int:
    """The rank of the statistics of scores."""
    return sum(model.item_factors_.shape[1] for model in models_of(base))


def _cached(domain: Domain, name: str, find: Callable[[Domain], Any]) -> Any:
    """Return find(domain), computed once for each domain."""
    if name not in domain.cache:
        domain.cache[name] = find(domain)
    return domain.cache[name]


def _counts_of_models(domain: Domain) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each model of the base, the items of the catalogue that its interactions have, and their co-occurrences."""
    parts = []
    for model in models_of(domain.base):
        places = model.items_.find(domain.items.ids)
        items = np.flatnonzero((places >= 0) & (model.item_counts_[places] > 0))
        parts.append((items, co_occurrences(model.seen_[:, places[items]])))
    return parts


def _score_factors(domain: Domain) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each model of the base, V (I, D) over the catalogue and M (D, D) with M M^T = U^T U."""
    models, parts = models_of(domain.base), []
    for model in models:
        eigenvalues, E = kept_spectrum(model.user_factors_)
        if len(models) == 1:
            V = domain.item_factors
        else:
            places = model.items_.find(domain.items.ids)
            V = np.where(places[:, None] >= 0, model.item_factors_[places], np.float32(0))
        parts.append((V, E * np.sqrt(eigenvalues)))
    return parts
