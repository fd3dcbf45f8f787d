"""Files of models: what a fitted model consists of, and its fingerprint."""

import hashlib
import importlib
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec import files
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, FileFormatError
from lrrec.features.feature_encoder import FeatureEncoder
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.models import MODELS
from lrrec.typing import FileLike
from lrrec.validate import check_threads

PART = 2**23  # bytes of an array that are hashed at a time
PER_USER = ("user_factors_",)  # learned arrays with a row a user


def fingerprint(model: Any, *, float16: bool = False) -> str:
    """A short hash of what a model scores with: its class, parameters, item ids and learned arrays of items.

    float16: of the model that a file in half precision holds.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    params, left_out = model.get_params(deep=False), ("random_state", "n_threads", model._parts, *model._unused_params)
    digest.update(files.canonical({k: v for k, v in params.items() if k not in left_out}).encode())
    for member in members(model):
        digest.update(fingerprint(member, float16=float16).encode())
    arrays = files.pack_ids("items", model.items_)
    for name in set(_own(model, model._learned)) - set(PER_USER):
        array = getattr(model, name)
        arrays[name] = files.halved(name, array).astype(array.dtype) if float16 else array
    arrays |= _packed_matrices(model)
    if model._scores_by_training_data and not model._parts:
        arrays |= files.pack_csr("seen_", model.seen_)
    for name, array in sorted(arrays.items()):
        array = array.astype(np.int64, copy=False) if array.dtype.kind == "i" else array  # scipy chooses index types
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(_hashed(np.ascontiguousarray(array).reshape(-1).view(np.uint8)))
    return digest.hexdigest()[:16]


def _hashed(flat: np.ndarray) -> Any:
    """The bytes of an array, or where they are many their hashes, part by part, which several threads compute."""
    if len(flat) <= PART:
        return flat.data
    parts, hashes = even_blocks(len(flat), PART), dict[int, bytes]()

    def work(start: int, stop: int) -> None:
        hashes[start] = hashlib.blake2b(flat[start:stop].data, digest_size=32).digest()

    run_blocks(work, parts, check_threads(None))
    return b"".join(hashes[start] for start, _ in parts)


def same_model(one: Any, other: Any) -> bool:
    """Return whether two models have equal scores: they have the same attributes, or equal ones."""
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


def write(path: FileLike, model: Any, *, histories: bool, float16: bool) -> None:
    """Write a fitted model; without histories, nothing that has a row a user."""
    if not histories and model._scores_by_training_data:
        raise DataError(
            f"{type(model).__name__} scores with the histories of all its users: save it with them, or take a model "
            "that learns factors or item-item weights"
        )
    histories = histories and len(model.users_) > 0
    params = _stored_params(model)
    arrays = _learned_arrays(model, histories=histories, float16=float16) | {"item_counts_": model.item_counts_}
    arrays |= files.pack_ids("items_", model.items_)
    if histories:
        arrays |= files.pack_ids("users_", model.users_) | files.pack_csr("seen_", model.seen_)
    files.write(path, type(model).__name__, params, arrays, fingerprint=fingerprint(model, float16=float16))


def _stored_params(model: Any) -> dict[str, Any]:
    """The parameters, with the kinds and parameters of the models that it is made of."""
    cls = type(model)
    entry = MODELS.get(cls.__name__)
    check_loadable(cls, entry and entry.module, "lrrec.models.MODELS")
    params: dict[str, Any] = model.get_params(deep=False)
    if cls._parts:
        params[cls._parts] = [[type(member).__name__, _stored_params(member)] for member in members(model)]
    return params


def members(model: Any) -> list[Any]:
    """The fitted models that a model is made of."""
    return list(getattr(model, f"{model._parts}_")) if model._parts else []


def _learned_arrays(model: Any, *, histories: bool, float16: bool) -> dict[str, np.ndarray]:
    """What a model learned, beside its users, items and training data; of its members by their places."""
    arrays = {name: getattr(model, name) for name in _learned_names(model, histories=histories)}
    if float16:
        arrays = {name: files.halved(name, array) for name, array in arrays.items()}
    has_count = model.item_counts_ > 0
    if not has_count.any() or (has_count != model.item_evidence_).any():
        arrays["item_evidence_"] = model.item_evidence_
    for name in _own(model, model._learned_ids):
        arrays |= files.pack_ids(name, getattr(model, name))
    for name in model._learned_encoders:
        if (encoder := getattr(model, name)) is not None:
            arrays |= {f"{name}.{part}": array for part, array in encoder.to_arrays().items()}
    arrays |= _packed_matrices(model)
    for place, member in enumerate(members(model)):
        of_member = _learned_arrays(member, histories=histories, float16=float16)
        arrays |= {f"{place}.{name}": array for name, array in of_member.items()}
    return arrays


def _packed_matrices(model: Any) -> dict[str, np.ndarray]:
    """The arrays of a model's matrices that may be sparse."""
    arrays: dict[str, np.ndarray] = {}
    for name in _own(model, model._learned_csr):
        matrix = getattr(model, name)
        arrays |= {name: matrix} if isinstance(matrix, np.ndarray) else files.pack_csr(name, matrix)
    return arrays


def _unpacked_matrix(
    model: Any, path: str, name: str, arrays: dict[str, np.ndarray], *, trust: bool
) -> sp.csr_array | np.ndarray:
    """Remove a matrix that may be sparse from the arrays, and return it."""
    if name not in arrays:
        return files.unpack_csr(path, name, arrays, values=model._csr_values, trust=trust)
    matrix = arrays.pop(name)
    if matrix.dtype != np.float32 or matrix.ndim != 2 or not (trust or np.isfinite(matrix).all()):
        raise FileFormatError(f"{path}: {name} must be a matrix of finite float32 numbers")
    return matrix


def read(cls: Any, path: str, params: dict[str, Any], arrays: dict[str, np.ndarray], *, trust: bool) -> Any:
    """Return a fitted model from a file's parameters and arrays; the values of trusted arrays are not looked at."""
    model = _unfitted(path, cls, params)
    try:
        items = files.unpack_ids(path, "items_", arrays, defer=trust)
        users, seen = IdMap([]), sp.csr_array((0, len(items)), dtype=np.float32)
        if "seen_.shape" in arrays:
            users = files.unpack_ids(path, "users_", arrays, defer=trust)
            seen = files.unpack_csr(path, "seen_", arrays, values=model._values, trust=trust)
        if seen.shape != (len(users), len(items)):
            raise FileFormatError(f"{path}: seen_ must be users x items, got {seen.shape}")
        counts = arrays.pop("item_counts_")
        _restore(model, path, arrays, Interactions(seen, users, items), counts, trust=trust)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path} must hold a consistent {cls.__name__}: {error}") from None
    return model


def _unfitted(path: str, cls: Any, params: dict[str, Any]) -> Any:
    """A model of the parameters in a file."""
    try:
        if cls._parts:
            stored = [(MODELS[kind].module, kind, values) for kind, values in params[cls._parts]]
            params[cls._parts] = [
                _unfitted(path, getattr(importlib.import_module(module), kind), values)
                for module, kind, values in stored
            ]
        return cls(**params)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{path} must have the parameters of {cls.__name__}: {error}") from None


def _restore(
    model: Any, path: str, arrays: dict[str, np.ndarray], data: Interactions, counts: np.ndarray, *, trust: bool
) -> Any:
    """Set what a model learned, checked; the arrays are used up."""
    parts = [clone(member) for member in getattr(model, model._parts)] if model._parts else []
    for place, member in enumerate(parts):
        _restore(member, path, _parts_of(str(place), arrays), data, counts, trust=trust)
    if parts:
        setattr(model, f"{model._parts}_", parts)
    for name in _own(model, model._learned_ids, {name.partition(".")[0] for name in arrays}):
        setattr(model, name, files.unpack_ids(path, name, arrays, defer=trust))
    for name in model._learned_encoders:
        if parts_of_encoder := _parts_of(name, arrays):
            setattr(model, name, FeatureEncoder.from_arrays(path, parts_of_encoder))
    for name in _own(model, model._learned_csr, {name.partition(".")[0] for name in arrays}):
        setattr(model, name, _unpacked_matrix(model, path, name, arrays, trust=trust))
    has_count = counts > 0
    evidence = arrays.pop("item_evidence_", has_count | ~has_count.any())  # first files of imported factors: all
    histories = data.n_users > 0
    files.check_names(path, arrays, _learned_names(model, histories=histories, given=arrays))
    for name in PER_USER if not histories else ():
        if name in model._learned:
            arrays[name] = arrays["item_factors_"][:0]
    for name, array in arrays.items():
        setattr(model, name, array.astype(np.float32) if array.dtype == np.float16 else array)
    model._remember(data, counts, evidence)
    model._check_array(path, "item_evidence_", (data.n_items,), bool)
    model._check_array(path, "item_counts_", (data.n_items,), np.int64)
    model._check_chosen(path)
    model._check_loaded(path)
    for name, array in () if trust else arrays.items():
        if not np.isfinite(array).all():
            raise FileFormatError(f"{path}: {name} must be finite, got NaN or infinity")
    return model


def _parts_of(owner: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove the arrays whose names begin with `owner.` and return them without it."""
    start = f"{owner}."
    return {name[len(start) :]: arrays.pop(name) for name in list(arrays) if name.startswith(start)}


def _learned_names(model: Any, *, histories: bool, given: Collection[str] | None = None) -> list[str]:
    """The names of the arrays that a model's file has of it, apart from ids and csr matrices; see `_own`."""
    return [name for name in _own(model, model._learned, given) if histories or name not in PER_USER]


def _own(model: Any, names: Iterable[str], given: Collection[str] | None = None) -> list[str]:
    """The names of what a model has learned: what has a default of its class only if it was learned, or is given."""
    given = vars(model) if given is None else given
    return [name for name in names if name in given or not hasattr(type(model), name)]
