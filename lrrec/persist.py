"""Loading of saved models and adapters."""

import importlib
from typing import Any

from lrrec import files
from lrrec.adapt import KINDS
from lrrec.errors import FileFormatError, ParameterError
from lrrec.models import CATALOGUE
from lrrec.models.base.recommender import Recommender
from lrrec.typing import PathLike


def load(path: PathLike, *, base: Any = None) -> Recommender:
    """Load a model or an adapter that was saved by its `save`.

    Parameters
    ----------
    path : path
    base : Recommender, optional
        The model that an adapter was fitted to; only for the file of an adapter.

    Raises
    ------
    FileFormatError
        If the file is missing, truncated, of another kind, or inconsistent in itself. Nothing in a file is executed.
    """
    kind, params, arrays = files.read(path)
    if kind in KINDS:
        return importlib.import_module("lrrec.adapt.adapter_files").read(path, base)
    if base is not None:
        raise ParameterError(f"base must only be given for an adapter's file, got one for {path}, which holds {kind!r}")
    if kind not in CATALOGUE:
        raise FileFormatError(f"{path} must hold one of {', '.join((*CATALOGUE, *KINDS))}, got {kind!r}")
    model: type[Recommender] = getattr(importlib.import_module(CATALOGUE[kind].module), kind)
    return model._from_file(path, params, arrays)
