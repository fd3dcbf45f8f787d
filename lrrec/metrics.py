"""Ranking metrics as functions of hits: one value a user.

hits (B, k) bool: whether each place of a user's list, best first, holds a relevant item. n_relevant (B,) > 0:
how many items are relevant to the user. k is the list length asked for: places that could not be filled are no hits.
"""

import re
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError

Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ndcg(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Sum over hits of 1 / log2(rank + 1), divided by the same sum of an ideal list.

    Binary gains; the ideal list has min(k, |relevant|) hits. (Jarvelin & Kekalainen 2002. Rival: the ideal of all
    |relevant| hits, however short the list.)
    """
    discount = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.append(0, discount.cumsum())[np.minimum(n_relevant, hits.shape[1])]
    return hits @ discount / ideal


def recall(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Share of the relevant that was found: |hits| / |relevant|.

    (Rival: divided by min(k, |relevant|), see `capped_recall`.)
    """
    return hits.sum(axis=1) / n_relevant


def capped_recall(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Share found of what a list of k can hold: |hits| / min(k, |relevant|).

    (Liang et al. 2018 call this recall.)
    """
    return hits.sum(axis=1) / np.minimum(n_relevant, hits.shape[1])


def precision(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """|hits| / k, whether or not k places were filled."""
    return hits.sum(axis=1) / hits.shape[1]


def average_precision(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Mean of precision at the rank of each hit, divided by min(k, |relevant|); its mean over users is MAP.

    (Rival: divided by |relevant|, so that a perfect short list does not reach 1.)
    """
    at_rank = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return (at_rank * hits).sum(axis=1) / np.minimum(n_relevant, hits.shape[1])


def reciprocal_rank(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """1 / rank of the first hit, 0 without one; its mean over users is MRR."""
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def hit_rate(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """1 if there is a hit, else 0."""
    return np.where(hits.any(axis=1), 1.0, 0.0)


METRICS: dict[str, Metric] = {
    "ndcg": ndcg,
    "recall": recall,
    "capped-recall": capped_recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit": hit_rate,
}


def find_hits(lists: np.ndarray, relevant: sp.csr_array) -> np.ndarray:
    """Return whether each place of each list holds a relevant item, bool (B, k).

    Parameters
    ----------
    lists : ndarray of int, shape (B, k)
        Item indices, best first; negative for a place that was not filled.
    relevant : csr_array, shape (B, n_items)
        The relevant items of each list's user; in canonical form.
    """
    n_items = relevant.shape[1]
    rows = np.repeat(np.arange(len(lists), dtype=np.int64), np.diff(relevant.indptr))
    wanted = rows * n_items + relevant.indices  # rising
    cells = np.arange(len(lists), dtype=np.int64)[:, None] * n_items + lists
    places = np.minimum(np.searchsorted(wanted, cells), max(len(wanted) - 1, 0))
    if not len(wanted):
        return np.zeros(lists.shape, dtype=bool)
    return (lists >= 0) & (lists < n_items) & (wanted[places] == cells)


def parse(name: str) -> tuple[Metric, int]:
    """Return the function and the cutoff k of a name like "ndcg@10"."""
    found = re.fullmatch(r"([a-z-]+)@([1-9][0-9]*)", name) if isinstance(name, str) else None
    if found is None or found[1] not in METRICS:
        raise ParameterError(f"a metric must be NAME@K with NAME one of {', '.join(METRICS)} and K >= 1, got {name!r}")
    return METRICS[found[1]], int(found[2])
