"""Loading of saved models and adapters."""

import importlib
from typing import Any

from lrrec import files
from lrrec.adapt import ADAPTERS
from lrrec.errors import FileFormatError, ParameterError
from lrrec.models import MODELS
from lrrec.models.base import model_files
from lrrec.models.base.recommender import Recommender
from lrrec.typing import FileLike
from lrrec.validate import check_bool


def load(path: FileLike, *, base: Any = None, mmap: bool = False, verify: bool | None = None) -> Recommender:
    """Load a model or an adapter that was saved by its `save`.

    Parameters
    ----------
    path : path or binary file object
        A file object is read to its end.
    base : Recommender, or list or dict of them, optional
        The model, or the several in their order, that an adapter was fitted to; only for the file of an adapter.
    mmap : bool, default False
        Leave the arrays in the file, and read of them what is used: models of any size open at once, and the processes
        of a machine share one copy. The arrays are read-only; ids are read at their first use. `save` may replace the
        file meanwhile, but nothing may write into it. Adapters, which are small, are always read.
    verify : bool, optional
        Whether the checksum and the values of all arrays are checked, which reads all of the file. By default they are,
        except with `mmap`, where the header and the sizes alone are checked: map only files that you trust.

    Raises
    ------
    FileFormatError
        If the file is missing, of another kind or version, or inconsistent in itself, or any of it has changed since it
        was saved. Nothing in a file is executed.

    Examples
    --------
    >>> import tempfile
    >>> import lrrec
    >>> train = lrrec.Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = lrrec.IALS(n_factors=2, random_state=0).fit(train)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.lrrec")
    ...     loaded = lrrec.load(f"{folder}/model.lrrec")
    >>> loaded.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """
    verify = not check_bool(mmap, "mmap") if verify is None else check_bool(verify, "verify")
    kind, params, arrays = files.read(path, mmap=mmap, verify=verify)
    name = files.name_of(path)
    if kind in ADAPTERS:
        if mmap:
            kind, params, arrays = files.read(path)
        return importlib.import_module("lrrec.adapt.adapter_files").read(name, base, kind, params, arrays)
    if base is not None:
        raise ParameterError(f"base must only be given for an adapter's file, got one for {name}, which holds {kind!r}")
    if kind not in MODELS:
        raise FileFormatError(f"{name} must hold one of {', '.join((*MODELS, *ADAPTERS))}, got {kind!r}")
    cls = getattr(importlib.import_module(MODELS[kind].module), kind)
    model: Recommender = model_files.read(cls, name, params, arrays, trust=not verify)
    return model
