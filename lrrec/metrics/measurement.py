"""measure: several metrics of many ranked lists, one block of lists after the other, on several threads."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, ParameterError
from lrrec.linalg.sparse import positive
from lrrec.linalg.threads import run_blocks
from lrrec.metrics.beyond_accuracy import Catalogue
from lrrec.metrics.hits import list_blocks, locate_hits
from lrrec.metrics.registry import PER_LIST, parse
from lrrec.typing import MatrixLike


def measure(
    lists: np.ndarray, relevant: sp.csr_array, rows: np.ndarray, names: Sequence[str], *,
    n_candidates: np.ndarray | None = None, catalogue: Catalogue | None = None, n_threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the metrics of every list, float64 (n, M), and whether a list names an item twice, bool (n,).

    Parameters
    ----------
    lists : ndarray of int, shape (n, K)
        Item indices, best first; negative for an empty place. K is at least the largest cutoff.
    relevant : csr_array, shape (n_users, n_items)
        Values > 0 of the relevant items; an item with another value is not relevant.
    rows : ndarray of int, shape (n,)
        The row of `relevant` of each list. Where it is empty, the ranking metrics are NaN.
    names : sequence of str
        Metrics with one value per list, such as "ndcg@10" or "novelty@10"; "auc" looks at the whole list.
    n_candidates : ndarray of int, shape (n,), optional
        How many items were ranked for each list; for "auc".
    catalogue : Catalogue, optional
        For "novelty", "popularity" and "diversity".
    n_threads : int, default 1

    Notes
    -----
    One compiled pass over the lists finds the hits; the metrics are sums over the hits, which are few. Memory beside
    input and result: a few numbers per item, and those of one block of lists, for each thread.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.metrics import measure
    >>> relevant = csr_array(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    >>> values, repeats = measure(np.array([[2, 1], [0, 1]]), relevant, np.array([0, 1]), ["recall@2", "mrr@2"])
    >>> values.tolist()
    [[0.5, 1.0], [1.0, 0.5]]
    >>> repeats.tolist()
    [False, False]
    """
    metrics = [parse(name, PER_LIST) for name in names]
    longest = max((k or 0 for _, k in metrics), default=0)
    if longest > lists.shape[1]:
        raise ParameterError(f"lists must be as long as the largest cutoff, {longest}, got {lists.shape[1]} places")
    relevant = positive(relevant)
    out, repeats = np.empty((len(lists), len(names))), np.zeros(len(lists), dtype=bool)
    n_candidates = np.zeros(len(lists), dtype=np.int64) if n_candidates is None else n_candidates

    def work(start: int, stop: int) -> None:
        block = slice(start, stop)
        hits, repeats[block] = locate_hits(lists[block], relevant, rows[block], n_candidates[block])
        nothing_relevant = hits.n_relevant == 0
        with np.errstate(invalid="ignore", divide="ignore"):
            for place, (metric, k) in enumerate(metrics):
                if metric.kind == "list":
                    out[block, place] = metric.function(lists[block, :k], catalogue)
                else:
                    values = metric.function(hits, k) if metric.has_cutoff else metric.function(hits)
                    out[block, place] = np.where(nothing_relevant, np.nan, values)

    run_blocks(work, list_blocks(lists, n_threads), n_threads)
    return out, repeats


def catalogue_for(names: Sequence[str], train: sp.csr_array | None, vectors: MatrixLike | None) -> Catalogue | None:
    """Return the catalogue that some metrics need, None if they need none; refuse what one of them cannot work with.

    train (n_users, n_items): the training matrix, None if it is not known.
    """
    metrics = [(metric, k) for metric, k in map(parse, names) if metric.kind == "list"]
    if not metrics:
        return None
    if train is None:
        shown = ", ".join(f"{metric.name}@{k}" for metric, k in metrics)
        raise DataError(f"{shown} need the training interactions: pass the Split, or train=")
    catalogue = Catalogue.of(train, vectors)
    for metric, k in metrics:
        metric.function(np.empty((0, k), dtype=np.int64), catalogue)  # raises before anything takes long
    return catalogue
