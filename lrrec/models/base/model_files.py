"""Files of models: what a fitted model consists of, and its fingerprint."""

import hashlib
import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec import files
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, FileFormatError
from lrrec.models import CATALOGUE
from lrrec.typing import FileLike

PER_USER = ("user_factors_",)  # learned arrays with a row a user


def fingerprint(model: Any) -> str:
    """A short hash of what a model scores with: its class, parameters, item ids and learned arrays of items."""
    digest = hashlib.sha256(type(model).__name__.encode())
    params = model.get_params(deep=False)
    digest.update(files.canonical({k: v for k, v in params.items() if k not in ("random_state", "n_threads")}).encode())
    arrays = files.pack_ids("items", model.items_)
    arrays |= {name: getattr(model, name) for name in set(model._learned) - set(PER_USER)}
    for name in model._learned_csr:
        arrays |= files.pack_csr(name, getattr(model, name))
    for name, array in sorted(arrays.items()):
        array = array.astype(np.int64, copy=False) if array.dtype.kind == "i" else array  # scipy chooses index types
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def same_model(one: Any, other: Any) -> bool:
    """Return whether two models score alike: they have the same attributes, or equal ones."""
    mine, theirs = vars(one), vars(other)
    if mine.keys() == theirs.keys() and all(theirs[name] is value for name, value in mine.items()):
        return type(one) is type(other)
    return fingerprint(one) == fingerprint(other)


def check_loadable(cls: type, module: str | None, catalogue: str) -> None:
    """Refuse to save what `lrrec.load` would not find: a class that the catalogue does not have."""
    if module is None or getattr(importlib.import_module(module), cls.__name__, None) is not cls:
        raise DataError(
            f"{cls.__name__} of {cls.__module__} cannot be saved: lrrec.load would not find the class. Add it to "
            f"{catalogue}, where it is saved and where it is loaded"
        )


def write(path: FileLike, model: Any, *, histories: bool) -> None:
    """Write a fitted model; without histories, nothing that has a row a user."""
    cls, histories = type(model), histories and len(model.users_) > 0
    entry = CATALOGUE.get(cls.__name__)
    check_loadable(cls, entry and entry.module, "lrrec.models.CATALOGUE")
    arrays = {name: getattr(model, name) for name in _stored(cls, histories=histories)}
    has_count = model.item_counts_ > 0
    if not has_count.any() or (has_count != model.item_evidence_).any():
        arrays["item_evidence_"] = model.item_evidence_
    for name in (*(("users_",) if histories else ()), "items_", *model._learned_ids):
        arrays |= files.pack_ids(name, getattr(model, name))
    for name in (*(("seen_",) if histories else ()), *model._learned_csr):
        arrays |= files.pack_csr(name, getattr(model, name))
    files.write(path, cls.__name__, model.get_params(deep=False), arrays, fingerprint=fingerprint(model))


def read(cls: Any, path: str, params: dict[str, Any], arrays: dict[str, np.ndarray], *, trust: bool) -> Any:
    """Return a fitted model from a file's parameters and arrays; the values of trusted arrays are not looked at."""
    try:
        model = cls(**params)
    except TypeError as error:
        raise FileFormatError(f"{path} must have the parameters of {cls.__name__}: {error}") from None
    try:
        items = files.unpack_ids(path, "items_", arrays, defer=trust)
        users, seen = IdMap([]), sp.csr_array((0, len(items)), dtype=np.float32)
        if histories := "seen_.shape" in arrays:
            users = files.unpack_ids(path, "users_", arrays, defer=trust)
            seen = files.unpack_csr(path, "seen_", arrays, values=cls._values, trust=trust)
        if seen.shape != (len(users), len(items)):
            raise FileFormatError(f"{path}: seen_ must be users x items, got {seen.shape}")
        for name in cls._learned_ids:
            setattr(model, name, files.unpack_ids(path, name, arrays, defer=trust))
        for name in cls._learned_csr:
            setattr(model, name, files.unpack_csr(path, name, arrays, trust=trust))
        has_count = arrays["item_counts_"] > 0
        evidence = arrays.pop("item_evidence_", has_count | ~has_count.any())  # first files of imported factors: all
        files.check_names(path, arrays, _stored(cls, histories=histories))
        for name in PER_USER if not histories else ():
            if name in cls._learned:
                arrays[name] = arrays["item_factors_"][:0]
        for name, array in arrays.items():
            setattr(model, name, array)
        model._remember(Interactions(seen, users, items), arrays["item_counts_"], evidence)
        model._check_array(path, "item_evidence_", (len(items),), bool)
        model._check_array(path, "item_counts_", (len(items),), np.int64)
        model._check_loaded(path)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path} must hold a consistent {cls.__name__}: {error}") from None
    for name, array in () if trust else arrays.items():
        if not np.isfinite(array).all():
            raise FileFormatError(f"{path}: {name} must be finite, got NaN or infinity")
    return model


def _stored(cls: Any, *, histories: bool) -> list[str]:
    """The names of the arrays in a file, apart from ids and csr matrices."""
    return ["item_counts_", *(name for name in cls._learned if histories or name not in PER_USER)]
