"""Item features: checks, and the linear map from features to item vectors."""

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from lrrec.data.ids import IdMap
from lrrec.data.labels import align_matrix
from lrrec.errors import DataError
from lrrec.validate import as_float32

Features: TypeAlias = sp.csr_array | np.ndarray | None
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


def feature_map(features: Features, vectors: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Ridge regression of item vectors (I, C) on features and 1, float32 (F + 1, C); (0, C) without features.

    used (I,): the items to learn from. The regularization is chosen on a fifth of them.
    """
    if features is None:
        return np.zeros((0, vectors.shape[1]), dtype=np.float32)
    X, Y = add_intercept(features)[used], vectors[used].astype(np.float64)
    part = np.arange(len(X)) % 5 == 0
    errors = [float(((X[part] @ _ridge(X[~part], Y[~part], reg) - Y[part]) ** 2).sum()) for reg in RIDGES]
    return _ridge(X, Y, RIDGES[int(np.argmin(errors))]).astype(np.float32)


def check_features(item_features: Any, items: IdMap, names: IdMap | None = None) -> tuple[Features, IdMap]:
    """Return the features of items as float32, a csr matrix if they are sparse, else an array, and their names.

    A frame's rows are matched by item id, its columns with names, those of fit. Features without names have numbers.
    """
    if item_features is None:
        return None, IdMap([])
    item_features, named = align_matrix(item_features, items, "item_features", columns=names)
    n_items, n_features = len(items), None if names is None else len(names)
    if sp.issparse(item_features):
        features = sp.csr_array(item_features)
        values = as_float32(features.data, "item_features")
        features = sp.csr_array((values, features.indices, features.indptr), shape=features.shape)
    else:
        features = as_float32(item_features, "item_features")
    if features.ndim != 2 or features.shape[0] != n_items or not features.shape[1]:
        raise DataError(f"item_features must have a row for each of {n_items} items, got shape {features.shape}")
    if n_features is not None and features.shape[1] != n_features:
        raise DataError(f"item_features must have {n_features} columns as in fit, got {features.shape[1]}")
    values = features.data if sp.issparse(features) else features
    if not np.isfinite(values).all():
        raise DataError(
            f"item_features must be finite, got NaN or infinity in {int((~np.isfinite(values)).sum())} places"
        )
    return features, named or IdMap.range(features.shape[1])


def add_intercept(features: Any) -> np.ndarray:
    """Return features (n, F) as a dense float64 array with a column of 1."""
    dense = features.toarray() if sp.issparse(features) else features
    return np.concatenate((dense, np.ones((len(dense), 1))), axis=1, dtype=np.float64)


def _ridge(X: np.ndarray, Y: np.ndarray, reg: float) -> np.ndarray:
    """Return ridge coefficients (F + 1, C) of Y (n, C) on X (n, F + 1); reg is relative to a column's mean square."""
    penalties = np.full(X.shape[1], max(reg * float(np.square(X[:, :-1]).sum(axis=0).mean()), 1e-9))
    penalties[-1] = 1e-9
    return np.linalg.solve(X.T @ X + np.diag(penalties), X.T @ Y)
