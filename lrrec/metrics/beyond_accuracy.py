"""Beyond accuracy: how popular and how similar the items of a list are, and how much of the catalogue lists show.

Read them beside an accuracy metric: random lists are the most diverse. Values of lists of different lengths cannot be
compared, nor diversity by the factors of different models.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError
from lrrec.linalg.sparse import positive
from lrrec.typing import MatrixLike

BLOCK_CELLS = 2**22  # numbers of vectors gathered at once


@dataclass(frozen=True)
class Catalogue:
    """The popularity of the items in training, and their vectors: what metrics beyond accuracy need.

    Attributes
    ----------
    item_counts : ndarray of int, shape (n_items,)
        How many training users have a value > 0 of each item.
    n_users : int
        The number of training users with such a value.
    vectors : ndarray or sparse matrix, shape (n_items, D), optional
        Item factors or features, which "diversity" compares.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from lrrec.metrics import Catalogue, measure
    >>> train = csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    >>> catalogue = Catalogue.of(train)
    >>> catalogue.item_counts.tolist(), catalogue.n_users
    ([2, 1, 0], 2)
    >>> relevant = csr_array(np.array([[0.0, 0.0, 1.0]]))
    >>> measure(np.array([[0, 1]]), relevant, np.array([0]), ["novelty@2"], catalogue=catalogue)[0].tolist()
    [[0.5]]
    """

    item_counts: np.ndarray
    n_users: int
    vectors: MatrixLike | None = None

    @classmethod
    def of(cls, matrix: sp.csr_array, vectors: MatrixLike | None = None) -> "Catalogue":
        """Return the catalogue of a training matrix (n_users, n_items)."""
        matrix = positive(matrix)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        return cls(counts, int(np.count_nonzero(np.diff(matrix.indptr))), vectors)

    @cached_property
    def directions(self) -> tuple[Any, np.ndarray]:
        """The vectors, and 1 / their lengths (n_items,), 0 for a vector of zeros."""
        vectors, n_items = self.vectors, len(self.item_counts)
        shape = getattr(vectors, "shape", None)
        if vectors is None or shape is None or len(shape) != 2 or shape[0] != n_items:
            raise DataError(
                f"diversity needs vectors of shape ({n_items}, D), such as the item_factors_ of a model, got {shape}"
            )
        table: Any = sp.csr_array(vectors) if sp.issparse(vectors) else np.asarray(vectors)
        lengths = np.sqrt(np.asarray(_squares(table).sum(axis=1)))
        return table, np.divide(1, lengths, out=np.zeros(n_items), where=lengths > 0)


def novelty(lists: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Mean of -log2(users with the item / users) over each list, in bits; NaN for an empty list.

    Zhou et al. (2010), doi:10.1073/pnas.1000488107. An item without training users counts as having one.

    lists (B, k): item indices, best first; negative for an empty place.
    """
    return _mean_over_lists(lists, np.log2(catalogue.n_users) - np.log2(np.maximum(catalogue.item_counts, 1)))


def popularity(lists: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Mean number of training users of the items of each list; NaN for an empty list. Its mean over users is ARP.

    Yin et al. (2012), "Challenging the long tail recommendation", sec. 5. (Other definition: divided by the number of
    users.)
    """
    return _mean_over_lists(lists, catalogue.item_counts.astype(np.float64))


def diversity(lists: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Mean of 1 - cos(v_i, v_j) over the pairs of items of each list; NaN for lists with fewer than two items.

    Intra-list diversity: Smyth & McClave (2001), "Similarity vs. diversity", eq. 5. The sum of all cosines is the
    squared length of the sum of directions, so a list costs O(k D) and not O(k^2 D). An item whose vector is 0 has
    cosine 0 with all others.
    """
    vectors, inverse = catalogue.directions
    out = np.empty(len(lists))
    size = max(1, BLOCK_CELLS // max(lists.shape[1] * vectors.shape[1], 1))
    for start in range(0, len(lists), size):
        block = lists[start : start + size]
        filled = block >= 0
        rows, columns = np.nonzero(filled)[0], block[filled]
        weights = sp.csr_array((inverse[columns], (rows, columns)), shape=(len(block), len(inverse)))
        total = weights @ vectors  # the sum of directions of each list
        squares = np.asarray(_squares(total).sum(axis=1)).reshape(-1)
        own = np.bincount(rows, inverse[columns] > 0, len(block))  # cosines of items with themselves
        n = filled.sum(axis=1)
        n_pairs = n * (n - 1)
        out[start : start + size] = 1 - np.divide(
            squares - own, n_pairs, out=np.full(len(block), np.nan), where=n_pairs > 0
        )
    return out


def coverage(exposures: np.ndarray) -> float:
    """Number of items in at least one list, divided by the number of items.

    exposures (n_items,): how many lists hold each item. (Ge, Delgado-Battenfeld & Jannach 2010, "Beyond accuracy",
    eq. 2. Other definition: divided by the items that could be recommended.)
    """
    return np.count_nonzero(exposures) / len(exposures)


def gini(exposures: np.ndarray) -> float:
    """Gini index of exposure: sum_j (2 j - n - 1) e_j / (n sum_j e_j), e the exposures in rising order.

    0 where all n items are shown equally often, (n - 1) / n where only one is; NaN without any list. Items that are
    never shown count. (Other definition: over the shown items only.)
    """
    e, n = np.sort(exposures), len(exposures)
    total = e.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ e / (n * total)) if total else np.nan


def count_exposures(lists: np.ndarray, n_items: int) -> np.ndarray:
    """Return how many places of the lists hold each item, int64 (n_items,)."""
    return np.bincount(lists[lists >= 0], minlength=n_items)


def _squares(table: Any) -> Any:
    """The square of each number of a dense or sparse table."""
    return table.power(2) if sp.issparse(table) else table**2


def _mean_over_lists(lists: np.ndarray, item_values: np.ndarray) -> np.ndarray:
    """The mean of a number of each item over the filled places of each list, (B,)."""
    filled = lists >= 0
    n = filled.sum(axis=1)
    total = np.where(filled, item_values[np.maximum(lists, 0)], 0).sum(axis=1)
    return np.divide(total, n, out=np.full(len(lists), np.nan), where=n > 0)
