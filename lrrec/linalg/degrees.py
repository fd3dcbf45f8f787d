"""Scaling the rows and columns of a matrix by powers of how often they occur."""

import numpy as np
import scipy.sparse as sp


def power(counts: np.ndarray, exponent: float) -> np.ndarray:
    """Return counts^exponent as float32, a count of 0 taken for 1."""
    return (np.maximum(counts, 1).astype(np.float64) ** exponent).astype(np.float32)


def scaled(matrix: sp.csr_array, rows: np.ndarray, columns: np.ndarray) -> sp.csr_array:
    """Return diag(rows) matrix diag(columns); the structure is shared with the matrix."""
    data = matrix.data * np.repeat(rows, np.diff(matrix.indptr)) * columns[matrix.indices]
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
