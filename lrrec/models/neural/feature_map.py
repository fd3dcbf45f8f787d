"""The linear map from features of items to the vectors that a NeuralMF has learned of them."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.linear_prior import FeatureMatrix

RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)


def feature_map(features: FeatureMatrix | None, vectors: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Ridge regression of item vectors (I, C) on features and 1, float32 (F + 1, C); (0, C) without features.

    used (I,): the items to learn from. The regularization is chosen on a fifth of them.
    """
    if features is None:
        return np.zeros((0, vectors.shape[1]), dtype=np.float32)
    X, Y = add_intercept(features)[used], vectors[used].astype(np.float64)
    part = np.arange(len(X)) % 5 == 0
    errors = [float(((X[part] @ _ridge(X[~part], Y[~part], reg) - Y[part]) ** 2).sum()) for reg in RIDGES]
    return _ridge(X, Y, RIDGES[int(np.argmin(errors))]).astype(np.float32)


def add_intercept(features: Any) -> np.ndarray:
    """Return features (n, F) as a dense float64 array with a column of 1."""
    dense = features.toarray() if sp.issparse(features) else features
    return np.concatenate((dense, np.ones((len(dense), 1))), axis=1, dtype=np.float64)


def _ridge(X: np.ndarray, Y: np.ndarray, reg: float) -> np.ndarray:
    """Return ridge coefficients (F + 1, C) of Y (n, C) on X (n, F + 1); reg is relative to a column's mean square."""
    penalties = np.full(X.shape[1], max(reg * float(np.square(X[:, :-1]).sum(axis=0).mean()), 1e-9))
    penalties[-1] = 1e-9
    return np.linalg.solve(X.T @ X + np.diag(penalties), X.T @ Y)
