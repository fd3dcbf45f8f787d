"""Events: the rows read, kept where several of them are one interaction, so that time can cut between them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Optional

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions


@dataclass(frozen=True, eq=False)
class Events:
    """The rows read of interactions with times, where pairs of user and item repeat.

    Attributes
    ----------
    unmerged : Interactions
        One entry a row read, by user and item, those of a pair in the order they were read. Its matrix repeats pairs:
        it is for `rows`, `times` and `filter` alone. 16 bytes an event.
    duplicates : str
        How the events of a pair become one interaction; see `Interactions.from_frame`.
    min_value : float or None
        What the value of a merged interaction must be at least, where they were binarized since.
    """

    unmerged: "Interactions"
    duplicates: str
    min_value: float | None = None

    @property
    def times(self) -> np.ndarray:
        """When each event happened, (n_events,)."""
        assert self.unmerged.times is not None
        return self.unmerged.times

    def of_pairs(self, matrix: sp.csr_array) -> Optional["Events"]:
        """Return the events of the pairs that a matrix holds, or None if no pair repeats."""
        kept = self.with_unmerged(lambda rows: rows.filter(holds(matrix, rows.rows(), rows.matrix.indices)))
        return None if len(kept.unmerged) == matrix.nnz else kept

    def with_unmerged(self, change: Callable[["Interactions"], "Interactions"]) -> "Events":
        """Return the events with another `unmerged`, made of the present one."""
        return replace(self, unmerged=change(self.unmerged))


def holds(matrix: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return whether a sorted csr matrix has an entry at each row and column, bool (n,): a binary search each."""
    if not len(rows):
        return np.zeros(0, dtype=bool)
    entries = np.ones(matrix.nnz, dtype=bool), matrix.indices, matrix.indptr
    return np.asarray(sp.csr_matrix(entries, shape=matrix.shape)[rows, columns]).ravel()
