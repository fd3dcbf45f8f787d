"""Checks that neither NaN nor infinity leaves a model."""

from typing import Any, NoReturn, TypeVar

import numpy as np

from lrrec.errors import DataError

LIMIT = 1e18  # of factors and weights: products of two numbers up to it fit a float32, and so do sums of many
Model = TypeVar("Model")


def largest(array: Any) -> float:
    """Return the largest size of the numbers of an array or a sparse matrix; NaN if one of them is."""
    values = getattr(array, "data", array) if not isinstance(array, np.ndarray) else array
    return float(max(values.max(), -values.min())) if values.size else 0.0


def check_learned(model: Model) -> Model:
    """Return a model whose learned arrays are finite, small enough to multiply; another is refused."""
    learned: Any = model
    for name in (*learned._learned, *learned._learned_csr):
        size = largest(getattr(model, name))
        if not (size <= LIMIT or (name in learned._learned_csr and np.isfinite(size))):
            _refuse(f"{name} of {type(model).__name__} overflowed")
    return model


def check_finite(values: np.ndarray, what: str = "scores") -> None:
    """Refuse computed values that are not finite."""
    if not np.isfinite(values).all():
        _refuse(f"{what} overflowed")


def _refuse(what: str) -> NoReturn:
    raise DataError(f"{what}: the values are too large, scale them down (e.g. divide them by their mean)")
