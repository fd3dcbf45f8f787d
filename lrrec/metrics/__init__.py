"""Metrics as functions of hits: one value a user, the formula first, the rival definition named.

hits (B, k) bool: whether each place of a user's list, best first, holds a relevant item. n_relevant (B,) > 0:
how many items are relevant to the user. k is the list length asked for: places that could not be filled are no hits.

| name | of what |
|---|---|
| ndcg@k, recall@k, capped-recall@k, precision@k, r-precision@k, hit@k | hits among the first k places |
| map@k, uncapped-map@k, mrr@k | hits among the first k places and their ranks |
| graded-ndcg@k | values of the test interactions among the first k places |
| auc | the ranking of all candidates |
| rmse, mae | predicted values of the test interactions |

`measure` computes those of lists for many users and cutoffs in one compiled pass; the functions are what it computes.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.metrics import kernels
from lrrec.metrics import kernels as codes

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
    """Sum of precision at the rank of each hit, divided by min(k, |relevant|); its mean over users is MAP.

    A perfect list scores 1, however short. (Rival: divided by |relevant|, see `uncapped_average_precision`.)
    """
    return _precisions(hits) / np.minimum(n_relevant, hits.shape[1])


def uncapped_average_precision(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Sum of precision at the rank of each hit, divided by |relevant|.

    As in TREC: a relevant item beyond the list counts as never found, so that a perfect list shorter than |relevant|
    does not reach 1. (Rival: `average_precision`.)
    """
    return _precisions(hits) / n_relevant


def _precisions(hits: np.ndarray) -> np.ndarray:
    """Sum over hits of the precision at their rank, (B,)."""
    at_rank = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return (at_rank * hits).sum(axis=1)


def r_precision(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """Share of hits among the first |relevant| places; places beyond k are none.

    (Rival: k = |relevant| for every user, which is this for a list that is long enough.)
    """
    among_first = np.arange(hits.shape[1]) < np.asarray(n_relevant)[:, None]
    return (hits & among_first).sum(axis=1) / n_relevant


def reciprocal_rank(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """1 / rank of the first hit, 0 without one; its mean over users is MRR."""
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def hit_rate(hits: np.ndarray, n_relevant: np.ndarray) -> np.ndarray:
    """1 if there is a hit, else 0."""
    return np.where(hits.any(axis=1), 1.0, 0.0)


def graded_ndcg(gains: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Sum of gain / log2(rank + 1), divided by the same sum of an ideal list.

    The gain of an item is the value of its test interaction, 0 without one. (Jarvelin & Kekalainen 2002; scikit-learn's
    `ndcg_score`. Rival: a gain of 2^value - 1, Burges et al. 2005: make that the values of the test interactions.)

    Parameters
    ----------
    gains : ndarray, shape (B, k)
        The gain at each place of each list.
    best : ndarray, shape (B, k)
        Each user's k largest gains, falling; 0 where there are fewer.
    """
    discount = 1 / np.log2(np.arange(2, gains.shape[1] + 2))
    return gains @ discount / (best @ discount)


def auc(hits: np.ndarray, n_relevant: np.ndarray, n_listed: np.ndarray, n_candidates: np.ndarray) -> np.ndarray:
    """Share of the pairs of a relevant and another candidate that are in the right order; ties count half.

    The first n_listed places are filled; candidates that are not listed stand behind, tied. A relevant item that is no
    candidate (one that was seen) is behind all others. 0.5 where there is no pair. (Rival: AUC of the listed only.)

    Parameters
    ----------
    hits : ndarray of bool, shape (B, k)
    n_relevant, n_listed, n_candidates : ndarray of int, shape (B,)
    """
    listed = np.arange(hits.shape[1]) < np.asarray(n_listed)[:, None]
    found = hits.sum(axis=1)
    unlisted = np.maximum(n_candidates - n_listed - (n_relevant - found), 0)  # and not relevant
    right = (hits.cumsum(axis=1) * (listed & ~hits)).sum(axis=1) + unlisted * (found + 0.5 * (n_relevant - found))
    n_pairs = n_relevant * (n_listed - found + unlisted)
    return np.where(n_pairs > 0, right / np.maximum(n_pairs, 1), 0.5)


def rmse(errors: np.ndarray, rows: np.ndarray, n_users: int) -> np.ndarray:
    """Root of the mean squared error of each user's test interactions.

    errors (N,): predicted minus true values, rows (N,): whose they are. Its mean over users gives every user the same
    weight. (Rival: the root of the mean over all test interactions, which `evaluate` puts into the protocol.)
    """
    return np.sqrt(np.bincount(rows, errors**2, n_users) / np.bincount(rows, minlength=n_users))


def mae(errors: np.ndarray, rows: np.ndarray, n_users: int) -> np.ndarray:
    """Mean absolute error of each user's test interactions; see `rmse` for the arguments and the rival."""
    return np.bincount(rows, np.abs(errors), n_users) / np.bincount(rows, minlength=n_users)


METRICS: dict[str, Metric] = {
    "ndcg": ndcg,
    "recall": recall,
    "capped-recall": capped_recall,
    "precision": precision,
    "map": average_precision,
    "uncapped-map": uncapped_average_precision,
    "mrr": reciprocal_rank,
    "hit": hit_rate,
    "r-precision": r_precision,
}
ERRORS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {"rmse": rmse, "mae": mae}
CODES = {
    "ndcg": codes.NDCG,
    "recall": codes.RECALL,
    "capped-recall": codes.CAPPED_RECALL,
    "precision": codes.PRECISION,
    "map": codes.MAP,
    "uncapped-map": codes.UNCAPPED_MAP,
    "mrr": codes.MRR,
    "hit": codes.HIT,
    "r-precision": codes.R_PRECISION,
    "graded-ndcg": codes.GRADED_NDCG,
    "auc": codes.AUC,
}
BLOCK_PLACES = 2**18  # of lists that a thread measures at once


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
    """Return the function of hits and the cutoff k of a name like "ndcg@10"."""
    base, k = _parts(name)
    if base not in METRICS or k is None:
        raise ParameterError(f"a metric must be NAME@K with NAME one of {', '.join(METRICS)} and K >= 1, got {name!r}")
    return METRICS[base], k


def cutoff(name: str) -> int | None:
    """Return k of a name like "ndcg@10" or "graded-ndcg@10", None for "auc", "rmse" and "mae"; refuse other names."""
    base, k = _parts(name)
    with_k = [known for known in CODES if known != "auc"]
    if base not in (with_k if k is not None else ("auc", *ERRORS)):
        raise ParameterError(
            f"a metric must be NAME@K with NAME one of {', '.join(with_k)} and K >= 1, or one of auc, "
            f"{', '.join(ERRORS)}, got {name!r}"
        )
    return k


def _parts(name: object) -> tuple[str, int | None]:
    """The name before "@" and the number after it; nothing where it is not of that form."""
    found = re.fullmatch(r"([a-z-]+)(?:@([1-9][0-9]*))?", name) if isinstance(name, str) else None
    return ("", None) if found is None else (found[1], None if found[2] is None else int(found[2]))


def measure(
    lists: np.ndarray,
    relevant: sp.csr_array,
    rows: np.ndarray,
    names: Sequence[str],
    *,
    n_candidates: np.ndarray | None = None,
    n_threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the metrics of every list, float64 (n, M), and whether a list names an item twice, bool (n,).

    Parameters
    ----------
    lists : ndarray of int, shape (n, K)
        Item indices, best first; negative for a place that holds none. K at least the largest cutoff.
    relevant : csr_array, shape (n_users, n_items)
        Values > 0 of the relevant items.
    rows : ndarray of int, shape (n,)
        The row of `relevant` of each list. Where it is empty, all values are NaN.
    names : sequence of str
        Metrics of lists, e.g. "ndcg@10"; "auc" takes the whole list.
    n_candidates : ndarray of int, shape (n,), optional
        How many items were ranked for each list; for "auc".
    n_threads : int, default 1

    Notes
    -----
    O(n (K + M) + interactions of the rows); one pass over each list, whatever the number of metrics and cutoffs.
    Memory beside input and result: a few numbers an item for each thread.
    """
    ks = [cutoff(name) for name in names]
    which = np.array([CODES[name.split("@")[0]] for name in names])
    firsts = np.array([lists.shape[1] if k is None else k for k in ks])
    if firsts.max(initial=0) > lists.shape[1]:
        raise ParameterError(
            f"lists must be as long as the largest cutoff, {firsts.max()}, got {lists.shape[1]} places"
        )
    out, twice = np.empty((len(lists), len(ks))), np.zeros(len(lists), dtype=bool)
    n_candidates = np.zeros(len(lists), dtype=np.int64) if n_candidates is None else n_candidates

    def work(start: int, stop: int) -> None:
        kernels.measure_rows(
            start, stop, lists, rows, relevant.indptr, relevant.indices, relevant.data, relevant.shape[1], which,
            firsts, n_candidates, out, twice,
        )  # fmt: skip

    run_blocks(work, _blocks(lists), n_threads)
    return out, twice


def count_hits(lists: np.ndarray, relevant: sp.csr_array, rows: np.ndarray, *, n_threads: int = 1) -> np.ndarray:
    """Return how many places of each list hold an item of its row of `relevant`, int64 (n,). See `measure`."""
    out = np.empty(len(lists), dtype=np.int64)

    def work(start: int, stop: int) -> None:
        kernels.count_hits(start, stop, lists, rows, relevant.indptr, relevant.indices, relevant.shape[1], out)

    run_blocks(work, _blocks(lists), n_threads)
    return out


def _blocks(lists: np.ndarray) -> list[tuple[int, int]]:
    """Lists cut into blocks for the threads."""
    return even_blocks(len(lists), max(1, BLOCK_PLACES // max(lists.shape[1], 1)))
