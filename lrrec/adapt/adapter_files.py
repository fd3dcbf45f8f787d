"""Files of adapters: the change, and by what its base is recognized."""

import hashlib
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec import files
from lrrec.adapt.change import Change
from lrrec.adapt.domain import Domain, factors_of, with_priors
from lrrec.adapt.settings import Settings
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, FileFormatError, ParameterTypeError
from lrrec.models.base.factor_model import FactorModel

KIND = "LowRankAdapter"


@dataclass(frozen=True, eq=False)
class Stored:
    """What an adapter is made of. users: the target's ids and histories, where they are to be kept."""

    params: dict[str, Any]
    settings: Settings
    verdict: str
    scale: float
    change: Change
    domain: Domain
    item_counts: np.ndarray
    users: tuple[IdMap, sp.csr_array] | None


def fingerprint(base: FactorModel) -> str:
    """A short hash of what a model scores with: its class, parameters, item ids and item factors."""
    found = hashlib.sha256(type(base).__name__.encode())
    params = {name: value for name, value in base.get_params().items() if name not in ("random_state", "n_threads")}
    found.update(repr(sorted(params.items())).encode())
    for name, array in sorted(files.pack_ids("items", base.items_).items()):
        found.update(name.encode() + array.tobytes())
    for name in ("item_factors_", *getattr(base, "_encoder_arrays", ())):
        found.update(np.ascontiguousarray(getattr(base, name)).tobytes())
    return found.hexdigest()[:16]


def write(path: str | PathLike, stored: Stored, *, float16: bool) -> None:
    """Write an adapter to path, replacing it whole or not at all."""
    change, domain, dtype = stored.change, stored.domain, np.float16 if float16 else np.float32
    arrays = _packed("", change, dtype) | {"A": change.A[domain.known].astype(dtype)}
    for name, part in change.tower.items():
        arrays |= _packed(f"tower.{name}.", part, dtype)
    if any(not np.isfinite(array).all() for array in arrays.values()):
        raise DataError("float16 must be able to hold the change, got values beyond 65504")
    arrays |= {"of_base": domain.of_base[domain.known].astype(np.int32), "item_counts": stored.item_counts}
    if not domain.known.all():
        arrays |= files.pack_ids("new_items", IdMap(domain.items.ids[~domain.known]))
    if stored.users is not None:
        arrays |= files.pack_ids("users_", stored.users[0]) | files.pack_csr("seen_", stored.users[1])
    params = {
        "adapter": stored.params,
        "settings": vars(stored.settings),
        "verdict": stored.verdict,
        "scale": stored.scale,
        "fingerprint": fingerprint(domain.base),
        "same_users": domain.priors is not None,
    }
    files.write(path, KIND, params, arrays)


def read(path: str | PathLike, base: Any) -> Stored:
    """Read an adapter, checked, for the base that it was fitted to."""
    kind, params, arrays = files.read(path)
    if kind != KIND:
        raise FileFormatError(f"{path} must hold an adapter, got {kind!r}")
    if not isinstance(base, FactorModel):
        raise ParameterTypeError(
            f"base must be the model that the adapter in {path} was fitted to, got {type(base).__name__}"
        )
    found = fingerprint(base)
    if params.get("fingerprint") != found:
        raise FileFormatError(
            f"base must be the model that {path} was fitted to, of fingerprint {params.get('fingerprint')}, got one of "
            f"fingerprint {found}"
        )
    try:
        users = None
        if "seen_.data" in arrays:
            users = files.unpack_ids(path, "users_", arrays), files.unpack_csr(path, "seen_", arrays)
        new = base.items_.ids[:0]
        if any(name.startswith("new_items.") for name in arrays):
            new = files.unpack_ids(path, "new_items", arrays).ids
        of_known = arrays["of_base"].astype(np.int64)
        items = IdMap(np.concatenate((base.items_.ids[of_known], new)))
        of_base = np.concatenate((of_known, np.full(len(new), -1)))
        V0 = factors_of(base, of_base)
        A = np.zeros((len(items), arrays["A"].shape[1]), dtype=np.float32, order="F")
        A[: len(of_known)] = arrays["A"]
        change = _unpacked("", arrays | {"A": A}, V0.shape)
        counts = arrays["item_counts"]
        if counts.shape != (len(items),) or counts.dtype.kind != "i":
            raise ValueError("item_counts must be a number for each item")
        if users is None:
            users = IdMap(base.users_.ids[:0]), sp.csr_array((0, len(items)), dtype=np.float32)
        data, priors = Interactions(users[1], users[0], items), None
        if params["same_users"]:
            data, priors = with_priors(base, data)
        domain = Domain(base, items, of_base, V0, data, priors)
        names = dict.fromkeys(name.split(".")[1] for name in arrays if name.startswith("tower."))
        tower = {name: _unpacked(f"tower.{name}.", arrays, np.atleast_2d(domain.tower[name]).shape) for name in names}
        return Stored(
            params=params["adapter"], settings=Settings(**params["settings"]), verdict=str(params["verdict"]),
            scale=float(params["scale"]), change=change.on_towers(tower), domain=domain,
            item_counts=counts, users=users,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path} must hold a consistent adapter: {error}") from None


def _packed(prefix: str, change: Change, dtype: type) -> dict[str, np.ndarray]:
    """A change as arrays, its tower apart."""
    matrices = {name: getattr(change, name).astype(dtype) for name in ("A", "B", "values")}
    return {prefix + name: array for name, array in {**matrices, "rows": change.rows}.items()}


def _unpacked(prefix: str, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> Change:
    """Take a change of a matrix of this shape out of the arrays, checked."""
    A, B, values, rows = (arrays[prefix + name] for name in ("A", "B", "values", "rows"))
    if A.shape != (shape[0], A.shape[1]) or B.shape != (shape[1], A.shape[1]) or values.shape != (len(rows), shape[1]):
        raise ValueError("arrays do not fit each other")
    if len(rows) and (rows.dtype.kind != "i" or rows.min() < 0 or rows.max() >= shape[0]):
        raise ValueError("rows outside of the matrix")
    if not all(np.isfinite(array).all() for array in (A, B, values)):
        raise ValueError("values that are not finite")
    A = np.asfortranarray(A, dtype=np.float32)
    return Change(A, B.astype(np.float32), rows, values.astype(np.float32))
