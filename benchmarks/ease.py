"""Seconds to fit EASE, against irspack's, which inverts in single precision too, and the published recipe in numpy."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks import matrices
from benchmarks.report import installed, speed_row
from lrrec import EASE

ROUNDS, REG = 5, 500.0
N_ITEMS = 10_000  # of the large matrix, the most popular: a round takes half a minute


def run() -> Iterator[dict[str, Any]]:
    large = matrices.large()
    popular = np.sort(np.argsort(-np.bincount(large.indices), kind="stable")[:N_ITEMS])
    for name, matrix in (("ml-1m", matrices.get("ml-1m")), (f"large, {N_ITEMS:,} items", large[:, popular])):
        matrix.data[:] = 1
        peers = {"irspack": irspack} if installed("irspack") else {}
        for peer, fit in (peers | {"numpy, as published": published}).items():
            yield against(name, matrix, peer, fit)


def against(name: str, matrix: sp.csr_array, peer: str, fit: Callable[[sp.csr_array], np.ndarray]) -> dict[str, Any]:
    EASE(REG).fit(matrix[:, :100]), fit(matrix[:, :100])  # warm-up
    pairs, difference = [], 0.0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        peer_weights = fit(matrix)
        between = time.perf_counter()
        weights = EASE(REG).fit(matrix).item_weights_
        pairs.append((between - begun, time.perf_counter() - between))
        difference = max(difference, float(np.abs(peer_weights - weights).max()))
    return speed_row(f"EASE: {name}", peer, pairs, 1.0, f"weights differ by {difference:.1e} at most")


def irspack(matrix: sp.csr_array) -> np.ndarray:
    from irspack.recommenders import DenseSLIMRecommender

    model = DenseSLIMRecommender(sp.csr_matrix(matrix), reg=REG)
    model.learn()
    return np.asarray(model.W)


def published(matrix: sp.csr_array) -> np.ndarray:
    """Steck (2019), section 3.1: invert X^T X + reg I in double precision."""
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices(len(gram))] += REG
    inverse = np.linalg.inv(gram)
    weights = inverse / -np.diag(inverse)
    weights[np.diag_indices(len(weights))] = 0
    return weights
