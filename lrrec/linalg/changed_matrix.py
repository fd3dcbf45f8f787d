"""A tall matrix with a change of low rank, of which only the rows that are used are made."""

from functools import cached_property
from typing import Any

import numpy as np

from lrrec.linalg import kernels
from lrrec.linalg.dense import Spectrum, inner_products, spectrum
from lrrec.linalg.ranking import ALL_COLUMNS, Columns, are_all


class ChangedMatrix:
    """V = V0 + A B^T with some rows replaced: scores and fold-in of a few users without V.

    Parameters
    ----------
    V0, A, B : ndarray of float32, shapes (I, D), (I, R), (D, R)
    rows, values : ndarray, shapes (m,), rising, and (m, D)
        The rows that are replaced, and by what.
    """

    def __init__(self, V0: np.ndarray, A: np.ndarray, B: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
        self.V0, self.A, self.B, self.rows, self.values = V0, A, B, rows, values
        self.shape, self.dtype = V0.shape, V0.dtype
        if len(rows) == len(V0):
            self.V0, self.A, self.rows, self.values = values, A[:, :0], rows[:0], values[:0]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows of V: an array of indices, or a slice."""
        part = self.V0[index]
        if self.A.shape[1]:
            part = part + self.A[index] @ self.B.T
        if len(self.rows):
            wanted = np.arange(len(self))[index] if isinstance(index, slice) else index
            place = np.minimum(np.searchsorted(self.rows, wanted), len(self.rows) - 1)
            replaced = self.rows[place] == wanted
            part = np.where(replaced[:, None], self.values[place], part)
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """V itself."""
        return np.array(self[:], dtype=dtype)

    def scores(self, U: np.ndarray, columns: Columns = ALL_COLUMNS) -> np.ndarray:
        """U V^T (n, m) for a few users U (n, D)."""
        if not are_all(columns):
            return inner_products(U, self[columns])
        return self.change(inner_products(U, self.V0), U)

    def change(self, scores: np.ndarray, U: np.ndarray) -> np.ndarray:
        """Turn U V0^T (n, I) into U V^T, in place."""
        if self.A.shape[1]:
            kernels.add_low_rank(scores, U @ self.B, np.ascontiguousarray(self.A.T), 0, 0, len(self))
        if len(self.rows):
            scores[:, self.rows] = inner_products(U, self.values)
        return scores

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigenvalues and eigenvectors of V^T V."""
        eigenvalues, E = spectrum(np.asarray(self))
        return eigenvalues, E.astype(self.dtype)
