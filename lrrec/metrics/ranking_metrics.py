"""Ranking metrics: the formula first, then the other definition in use.

A function of `Hits` of B lists and a cutoff k, with one value per list, (B,). The hits are those among the first k
places. Most are prefix sums over the hits, `hits.sum(values, k)`, of a function of each hit's rank, 1 to k.

Of metrics with two definitions in use, the plain name divides by |relevant|, as TREC does, and "capped-" by
min(k, |relevant|), so that the best possible list scores 1 however short it is.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lrrec.metrics.hits import Hits


def ndcg(hits: "Hits", k: int) -> np.ndarray:
    """Sum over hits of 1 / log2(rank + 1), divided by that of min(k, |relevant|) hits on top.

    Binary gains. (Jarvelin & Kekalainen 2002. Other definition: the ideal list has |relevant| hits, whatever k.)
    """
    ideal = np.append(0, hits.discount_of_rank[:k].cumsum())
    return hits.sum(hits.discounts, k) / ideal[np.minimum(hits.n_relevant, k)]


def recall(hits: "Hits", k: int) -> np.ndarray:
    """|hits| / |relevant|.

    (Other definition: `capped_recall`.)
    """
    return hits.count(k) / hits.n_relevant


def capped_recall(hits: "Hits", k: int) -> np.ndarray:
    """|hits| / min(k, |relevant|).

    (Liang et al. 2018 call this recall.)
    """
    return hits.count(k) / np.minimum(hits.n_relevant, k)


def precision(hits: "Hits", k: int) -> np.ndarray:
    """|hits| / k, even if the list has fewer than k items."""
    return hits.count(k) / k


def average_precision(hits: "Hits", k: int) -> np.ndarray:
    """Sum over hits of the precision at their rank, divided by |relevant|; its mean over users is MAP.

    As in TREC: a list shorter than |relevant| cannot reach 1. (Other definition: `capped_average_precision`.)
    """
    return hits.sum(hits.precisions, k) / hits.n_relevant


def capped_average_precision(hits: "Hits", k: int) -> np.ndarray:
    """Sum over hits of the precision at their rank, divided by min(k, |relevant|)."""
    return hits.sum(hits.precisions, k) / np.minimum(hits.n_relevant, k)


def reciprocal_rank(hits: "Hits", k: int) -> np.ndarray:
    """1 / rank of the first hit, 0 without a hit; its mean over users is MRR."""
    return np.where(hits.first_ranks <= k, 1 / hits.first_ranks, 0.0)


def hit_rate(hits: "Hits", k: int) -> np.ndarray:
    """1 with a hit, 0 without."""
    return (hits.count(k) > 0).astype(np.float64)


def expected_reciprocal_rank(hits: "Hits", k: int) -> np.ndarray:
    """Sum over hits of 2^-nth / rank, nth counting the hits from 1: the expected 1 / rank at which a user stops.

    The user reads from the top, and stops at each hit with probability 1/2. (Chapelle et al. 2009 with binary grades.
    Other definition: stops with (2^grade - 1) / 2^(largest grade).)
    """
    return hits.sum(0.5**hits.nth / hits.ranks, k)


def r_precision(hits: "Hits", k: int) -> np.ndarray:
    """Hits among the first min(k, |relevant|) places, divided by |relevant|.

    (Other definition: no k, which equals this for lists of at least |relevant| items.)
    """
    return hits.count(np.minimum(hits.n_relevant, k)) / hits.n_relevant


def graded_ndcg(hits: "Hits", k: int) -> np.ndarray:
    """Sum over hits of value / log2(rank + 1), divided by that of the k largest values in falling order.

    The gain of an item is the value of its test interaction. (Jarvelin & Kekalainen 2002; scikit-learn's `ndcg_score`.
    Other definition: gains of 2^value - 1, Burges et al. 2005: make those the values of the test interactions.)
    """
    ideal = hits.ideal
    return hits.sum(hits.gains * hits.discounts, k) / ideal.sum(ideal.gains * ideal.discounts, k)


def auc(hits: "Hits") -> np.ndarray:
    """Share of the pairs of a relevant and another candidate that are in the right order; ties count half.

    Candidates that are not listed rank below the listed ones, tied. A relevant item that is no candidate (an item the
    user has seen) ranks below all. 0.5 where there is no pair. (Other definition: AUC of the listed items only.)
    """
    n_hits = hits.count(None)
    n_missed = hits.n_relevant - n_hits
    unlisted = np.maximum(hits.n_candidates - hits.n_listed - n_missed, 0)  # and not relevant
    last = np.repeat(n_hits, n_hits)
    behind = np.repeat(hits.n_listed, n_hits) - hits.positions - (last - hits.nth)  # listed misses below each hit
    right = hits.sum(behind.astype(np.float64), None) + unlisted * (n_hits + 0.5 * n_missed)
    n_pairs = hits.n_relevant * (hits.n_listed - n_hits + unlisted)
    return np.where(n_pairs > 0, right / np.maximum(n_pairs, 1), 0.5)
