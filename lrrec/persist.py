"""load: a saved model from its file."""

import importlib
from os import PathLike

from lrrec import files
from lrrec.base import Recommender
from lrrec.errors import FileFormatError

# What a file may name, and where it is defined.
_MODELS = {
    "ALS": "lrrec.models.als",
    "EASE": "lrrec.models.ease",
    "IALS": "lrrec.models.ials",
    "ItemKNN": "lrrec.models.itemknn",
    "NMF": "lrrec.models.nmf",
    "Popularity": "lrrec.models.popularity",
    "RP3Beta": "lrrec.models.rp3beta",
    "TruncatedSVD": "lrrec.models.svd",
}


def load(path: str | PathLike) -> Recommender:
    """Return the model saved at path by its `save`.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, of another kind, or inconsistent in itself. Nothing in a file is executed.
    """
    kind, params, arrays = files.read(path)
    if kind not in _MODELS:
        raise FileFormatError(f"{path} must hold one of {', '.join(_MODELS)}, got {kind!r}")
    model: type[Recommender] = getattr(importlib.import_module(_MODELS[kind]), kind)
    return model._from_file(path, params, arrays)
