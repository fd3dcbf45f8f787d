"""What features tell of the items of a domain, for item-item adapters."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import Domain
from lrrec.linalg.svd import truncated_svd

MAX_DIRECTIONS = 64


def content_directions(domain: Domain) -> np.ndarray:
    """Return the features of the items, (I, r): rows of length 1 in their r leading directions, 64 at most."""
    if "content" not in domain.cache:
        domain.cache["content"] = _leading(domain.features)
    directions: np.ndarray = domain.cache["content"]
    return directions


def n_directions(domain: Domain) -> int:
    """Return at most how many directions the features of a domain have; 0 without features."""
    return 0 if domain.features is None else min(MAX_DIRECTIONS, len(domain.features.names))


def content_weight(settings: dict[str, Any], domain: Domain) -> float:
    """Return the weight of the features; 0 in a domain without any."""
    return 0.0 if domain.features is None else float(settings["content"])


def _leading(features: Any) -> np.ndarray:
    rows = sp.csr_array(features.matrix)
    lengths = np.sqrt(np.asarray(rows.power(2).sum(axis=1), dtype=np.float64))
    unit = sp.csr_array(sp.diags_array(1 / np.where(lengths > 0, lengths, 1)).astype(np.float32) @ rows)
    if min(unit.shape) <= MAX_DIRECTIONS:
        whole: np.ndarray = unit.toarray()
        return whole
    svd = truncated_svd(unit, MAX_DIRECTIONS, random_state=0)
    return np.ascontiguousarray(svd.U * svd.s, dtype=np.float32)
