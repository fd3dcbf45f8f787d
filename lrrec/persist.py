"""load: a saved model from its file."""

import importlib
from os import PathLike
from typing import TYPE_CHECKING

from lrrec import files
from lrrec.base import Recommender
from lrrec.errors import FileFormatError, ParameterError
from lrrec.factor_model import FactorModel

if TYPE_CHECKING:
    from lrrec.adapt.lowrank import LowRankAdapter

# What a file may name, and where it is defined.
_MODELS = {
    "ALS": "lrrec.models.als",
    "EASE": "lrrec.models.ease",
    "IALS": "lrrec.models.ials",
    "ItemKNN": "lrrec.models.itemknn",
    "NMF": "lrrec.models.nmf",
    "NeuralMF": "lrrec.models.neural",
    "Popularity": "lrrec.models.popularity",
    "RP3Beta": "lrrec.models.rp3beta",
    "TruncatedSVD": "lrrec.models.svd",
}


def load(path: str | PathLike, *, base: FactorModel | None = None) -> Recommender:
    """Return the model saved at path by its `save`.

    Parameters
    ----------
    path : path
    base : FactorModel, optional
        The model that an adapter was fitted to; only for the file of a `LowRankAdapter`.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, of another kind, or inconsistent in itself. Nothing in a file is executed.
    """
    kind, params, arrays = files.read(path)
    if kind == "LowRankAdapter":
        adapter: type[LowRankAdapter] = importlib.import_module("lrrec.adapt.lowrank").LowRankAdapter
        return adapter.from_file(path, base)
    if base is not None:
        raise ParameterError(f"base must only be given for an adapter's file, got one for {path}, which holds {kind!r}")
    if kind not in _MODELS:
        raise FileFormatError(f"{path} must hold one of {', '.join(_MODELS)}, got {kind!r}")
    model: type[Recommender] = getattr(importlib.import_module(_MODELS[kind]), kind)
    return model._from_file(path, params, arrays)
