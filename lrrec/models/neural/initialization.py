"""What a fitted model gives a NeuralMF to start from."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.linalg.sparse import times
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.neural.encoder import normalized


def check_init(init: Any, model: Any, data: Interactions) -> None:
    """Refuse what the NeuralMF `model` cannot start from in a fit to data."""
    if not isinstance(init, FactorModel) or not hasattr(init, "item_factors_"):
        raise ParameterTypeError(f"init must be a fitted factor model, got {type(init).__name__}")
    if init.items_ != data.items or init.users_ != data.users:
        raise DataError("init was fitted to other users or items than X: fit it to X")
    n_columns = init.item_factors_.shape[1]
    if isinstance(init, EncoderModel):
        sizes = [(one.get_params()["n_factors"], one.get_params()["n_hidden"]) for one in (init, model)]
        if sizes[0] != sizes[1] or n_columns != model.n_factors + 1:
            raise DataError(f"init must have n_factors, n_hidden = {sizes[1]} and not be compressed, got {sizes[0]}")
    elif n_columns != model.n_factors:
        raise DataError(f"init must have n_factors = {model.n_factors} columns, got {n_columns}")


def initial_arrays(init: FactorModel, model: Any, matrix: sp.csr_array) -> dict[str, np.ndarray]:
    """Return the arrays of `model` that a fitted model initializes.

    Another NeuralMF gives all of these. Of other models, the vectors of histories are the map of the item factors
    whose means over histories are nearest to the user factors, by ridge regression.
    """
    if isinstance(init, EncoderModel):
        return {name: getattr(init, name) for name in ("item_factors_", *model._encoder_arrays[:-1])}
    V = init.item_factors_
    X = times(normalized(matrix), V).astype(np.float64)
    ridge = 1e-3 * np.trace(X.T @ X) / V.shape[1] * np.eye(V.shape[1])
    M = np.linalg.solve(X.T @ X + ridge, X.T @ init.user_factors_)
    return {"embedding_": (V @ M).astype(np.float32), "item_factors_": V}
