"""What the features of items say of their vectors."""

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError

Features: TypeAlias = sp.csr_array | np.ndarray | None
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


def feature_map(features: Features, vectors: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Ridge regression of item vectors (I, C) on features and 1, float32 (F + 1, C); (0, C) without features.

    used (I,): the items to learn from. How much the map shrinks is chosen on a fifth of them.
    """
    if features is None:
        return np.zeros((0, vectors.shape[1]), dtype=np.float32)
    X, Y = with_one(features)[used], vectors[used].astype(np.float64)
    part = np.arange(len(X)) % 5 == 0
    errors = [float(((X[part] @ _ridge(X[~part], Y[~part], reg) - Y[part]) ** 2).sum()) for reg in RIDGES]
    return _ridge(X, Y, RIDGES[int(np.argmin(errors))]).astype(np.float32)


def check_features(item_features: Any, n_items: int, n_features: int | None = None) -> Features:
    """Item features as float32: a csr matrix where they are sparse, else an array."""
    if item_features is None:
        return None
    try:
        found = sp.csr_array(item_features) if sp.issparse(item_features) else np.asarray(item_features)
        found = found.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"item_features must be a matrix of numbers: {error}") from None
    if found.ndim != 2 or found.shape[0] != n_items or not found.shape[1]:
        raise DataError(f"item_features must have a row for each of {n_items} items, got shape {found.shape}")
    if n_features is not None and found.shape[1] != n_features:
        raise DataError(f"item_features must have {n_features} columns as in fit, got {found.shape[1]}")
    values = found.data if sp.issparse(found) else found
    if not np.isfinite(values).all():
        raise DataError(
            f"item_features must be finite, got NaN or infinity in {int((~np.isfinite(values)).sum())} places"
        )
    return found


def with_one(features: Any) -> np.ndarray:
    """Features (n, F), dense, and a column of 1, in double precision."""
    dense = features.toarray() if sp.issparse(features) else features
    return np.concatenate((dense, np.ones((len(dense), 1))), axis=1, dtype=np.float64)


def _ridge(X: np.ndarray, Y: np.ndarray, reg: float) -> np.ndarray:
    """Coefficients (F + 1, C) of Y (n, C) on X (n, F + 1), reg in units of a column's square; the last is free."""
    penalties = np.full(X.shape[1], max(reg * float(np.square(X[:, :-1]).sum(axis=0).mean()), 1e-9))
    penalties[-1] = 1e-9
    return np.linalg.solve(X.T @ X + np.diag(penalties), X.T @ Y)
