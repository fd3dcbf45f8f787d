"""Features: numbers that describe items or users, with the ids of the rows and the names of the columns."""

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.errors import DataError
from lrrec.typing import Ids, MatrixLike
from lrrec.validate import as_float32, first_three


class Features:
    """Numbers that describe items or users: a matrix, sparse or dense, with ids of its rows and names of its columns.

    Models take it as `item_features` and `user_features`, and match its rows by id. `lrrec.features.FeatureEncoder`
    makes it from a table; make it from a matrix to pass embeddings, or thousands of sparse columns.

    Parameters
    ----------
    matrix : sparse matrix or array, shape (n_rows, n_features)
        Finite numbers of about the same size in all columns. A sparse matrix stays sparse.
    ids : sequence of ids, shape (n_rows,)
        The item or user of each row, distinct.
    names : sequence of ids, shape (n_features,), optional
        Of the columns, distinct; 0, 1, ... when not given.

    Attributes
    ----------
    matrix : csr_array or ndarray of float32
    ids, names : IdMap
    encoder : FeatureEncoder or None
        The encoder that made it from a table. A model that is fitted with it keeps the encoder, and takes tables like
        that one.

    Raises
    ------
    DataError
        If the shapes do not fit, ids or names repeat, or a number is missing.

    Examples
    --------
    >>> from lrrec.features import Features
    >>> features = Features([[1.0, 0.0], [0.5, 2.0]], ids=["x", "y"], names=["size", "price"])
    >>> features.reindex(["y", "z"]).matrix.tolist()
    [[0.5, 2.0], [0.0, 0.0]]
    """

    matrix: np.ndarray | sp.csr_array
    ids: IdMap
    names: IdMap

    def __init__(self, matrix: MatrixLike, ids: Ids, names: Ids | None = None) -> None:
        self.ids = ids if isinstance(ids, IdMap) else IdMap(ids)
        self.matrix = feature_matrix(matrix, "matrix")
        n_rows, n_features = self.matrix.shape
        if n_rows != len(self.ids):
            raise DataError(f"matrix must have a row for each of {len(self.ids)} ids, got {n_rows}")
        chosen = range(n_features) if names is None else names
        self.names = chosen if isinstance(chosen, IdMap) else IdMap(chosen)
        if n_features != len(self.names):
            raise DataError(f"matrix must have a column for each of {len(self.names)} names, got {n_features}")
        self.encoder: Any = None

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        kind = "dense" if isinstance(self.matrix, np.ndarray) else "sparse"
        return f"Features({len(self.ids)} rows, {len(self.names)} {kind} columns)"

    def select(self, ids: Ids, *, name: str = "features", unit: str = "row") -> "Features":
        """Return the rows of these ids, in their order.

        Parameters
        ----------
        ids : sequence of ids
        name, unit : str
            For the error: what the features are called, and what a row of them is of.

        Raises
        ------
        DataError
            If an id has no row.
        """
        wanted = ids if isinstance(ids, IdMap) else IdMap(ids)
        places = self.ids.find(wanted.ids)
        if (places < 0).any():
            raise DataError(
                f"{name} must have a row for each {unit}, got none for {first_three(wanted.ids[places < 0])}: add "
                f"them, or pass features.reindex(ids) for rows of zeros"
            )
        return self._with(self.matrix[places], wanted)

    def reindex(self, ids: Ids) -> "Features":
        """Return rows for these ids, in their order, with zeros for those that have none: nothing is known of them.

        Parameters
        ----------
        ids : sequence of ids
        """
        wanted = ids if isinstance(ids, IdMap) else IdMap(ids)
        places = self.ids.find(wanted.ids)
        known = np.flatnonzero(places >= 0)
        if isinstance(self.matrix, np.ndarray):
            matrix = np.zeros((len(wanted), self.matrix.shape[1]), dtype=np.float32)
            matrix[known] = self.matrix[places[known]]
            return self._with(matrix, wanted)
        ones = np.ones(len(known), dtype=np.float32)
        select = sp.csr_array((ones, (known, places[known])), shape=(len(wanted), len(self.ids)))
        return self._with(sp.csr_array(select @ self.matrix), wanted)

    def _with(self, matrix: sp.csr_array | np.ndarray, ids: IdMap) -> "Features":
        """Other rows with the same columns."""
        changed = Features(matrix, ids, self.names)
        changed.encoder = self.encoder
        return changed


def feature_matrix(values: MatrixLike, name: str) -> sp.csr_array | np.ndarray:
    """Return finite float32 numbers, in new memory: a csr matrix without zeros if they are sparse, else an array."""
    matrix: Any = as_float32(values, name) if not sp.issparse(values) else sp.csr_array(values, copy=True)
    if sp.issparse(matrix):
        matrix.data = as_float32(matrix.data, name)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    if matrix.ndim != 2 or not matrix.shape[1]:
        raise DataError(f"{name} must have rows and at least one column, got shape {matrix.shape}")
    wrong = ~np.isfinite(matrix.data if sp.issparse(matrix) else matrix)
    if wrong.any():
        raise DataError(f"{name} must be finite, got NaN or infinity in {int(wrong.sum())} places")
    checked: sp.csr_array | np.ndarray = matrix
    return checked


def described_rows(matrix: sp.csr_array | np.ndarray) -> np.ndarray:
    """Return which rows of a feature matrix have a feature, bool (n_rows,)."""
    return np.any(matrix, axis=1) if isinstance(matrix, np.ndarray) else np.diff(matrix.indptr) > 0


def appended_rows(matrix: sp.csr_array | np.ndarray, new: sp.csr_array | np.ndarray) -> sp.csr_array | np.ndarray:
    """Return a feature matrix with new rows, sparse if it was."""
    if isinstance(matrix, np.ndarray):
        return np.concatenate((matrix, new if isinstance(new, np.ndarray) else new.toarray()))
    return sp.vstack((matrix, sp.csr_array(new)), format="csr")


FeaturesLike: TypeAlias = Features | pd.DataFrame | MatrixLike  # models take them as item_features and user_features
