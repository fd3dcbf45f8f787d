"""Files of adapters: the change, and the fingerprint of its base."""

import importlib
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec import files
from lrrec.adapt import ADAPTERS
from lrrec.adapt.domain import Domain, with_base_users
from lrrec.adapt.sources import as_base
from lrrec.data.features import Features
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import FileFormatError, ParameterTypeError
from lrrec.models.base.model_files import fingerprint
from lrrec.models.base.recommender import Recommender
from lrrec.typing import FileLike
from lrrec.validate import check_bool

# Names of what is stored of every adapter.
COMMON = ("base_indices", "item_counts", "users_.", "seen_.", "new_items.", "features.", "feature_names.")


def write(path: FileLike, adapter: Any, *, float16: bool, histories: bool) -> None:
    """Write an adapter to path, replacing it whole or not at all."""
    stored, domain = adapter._stored_params(), adapter.domain_
    arrays = adapter._pack()
    if float16:
        arrays = {name: files.halved(name, array) for name, array in arrays.items()}
    arrays |= {"base_indices": domain.base_indices[domain.in_base].astype(np.int32)}
    arrays |= {"item_counts": adapter.item_counts_}
    if not domain.in_base.all():
        arrays |= files.pack_ids("new_items", IdMap(domain.items.ids[~domain.in_base]))
    if adapter._uses_features:
        matrix = sp.csr_array(domain.features.matrix)
        arrays |= files.pack_csr("features", matrix) | files.pack_ids("feature_names", domain.features.names)
    if histories:
        rows = domain.active_users
        arrays |= files.pack_ids("users_", IdMap(adapter.users_.ids[rows]))
        arrays |= files.pack_csr("seen_", adapter.seen_[rows])
    params = {
        "adapter": stored,
        "verdict": adapter.verdict_,
        "fingerprint": fingerprint(domain.base),
        "same_users": domain.same_users,
    }
    files.write(path, type(adapter).__name__, params, arrays)


def read(path: str, base: Any, kind: str, params: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """Return an adapter from the contents of its file, checked, for the base that it was fitted to."""
    if kind not in ADAPTERS:
        raise FileFormatError(f"{path} must hold an adapter, got {kind!r}")
    base = as_base(base)
    if not isinstance(base, Recommender):
        got = "none: pass base=model (--base on the command line)" if base is None else type(base).__name__
        raise ParameterTypeError(f"base must be the model that the adapter in {path} was fitted to, got {got}")
    actual = fingerprint(base)
    if params.get("fingerprint") != actual:
        raise FileFormatError(
            f"the adapter in {path} was fitted to another base (fingerprint {params.get('fingerprint')}, this one is "
            f"{actual}): load it with the base it was fitted to"
        )
    cls = getattr(importlib.import_module(ADAPTERS[kind]), kind)
    try:
        adapter = cls._from_stored(params["adapter"])
        check_bool(params["same_users"], "same_users")
        adapter.domain_ = domain = _domain(path, base, arrays, same_users=params["same_users"])
        adapter.base_, adapter.verdict_ = domain.base, str(params["verdict"])
        adapter._check_params()
        adapter._check_base(base, same_users=params["same_users"])
        adapter.params_ = adapter._settings(domain)
        counts = arrays["item_counts"]
        if counts.shape != (len(domain.items),) or counts.dtype.kind != "i":
            raise ValueError("item_counts must be a number for each item")
        adapter._unpack({name: array for name, array in arrays.items() if not name.startswith(COMMON)})
        adapter.domain_.cache.clear()
        for part in (*getattr(adapter, "members_", ()), adapter):
            part.item_counts_ = counts
            part.item_evidence_ = part.item_evidence_ | part._item_evidence(domain, counts)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path} must hold a consistent adapter: {error}") from None
    return adapter


def _domain(path: str, base: Any, arrays: dict[str, np.ndarray], *, same_users: bool) -> Domain:
    """The domain of a stored adapter, with its users where they are stored."""
    new = base.items_.ids[:0]
    if any(name.startswith("new_items.") for name in arrays):
        new = files.unpack_ids(path, "new_items", arrays).ids
    of_base = arrays["base_indices"].astype(np.int64)
    items = IdMap(np.concatenate((base.items_.ids[of_base], new)))
    if "seen_.data" in arrays:
        users = files.unpack_ids(path, "users_", arrays)
        matrix = files.unpack_csr(path, "seen_", arrays, values=base._values)
    else:
        users, matrix = IdMap(base.users_.ids[:0]), sp.csr_array((0, len(items)), dtype=np.float32)
    data = Interactions(matrix, users, items)
    base_indices = np.concatenate((of_base, np.full(len(new), -1)))
    data, features = with_base_users(base, data) if same_users else data, None
    if "features.data" in arrays:
        matrix = files.unpack_csr(path, "features", arrays, values="signed")
        features = Features(matrix, items, files.unpack_ids(path, "feature_names", arrays))
    return Domain(base, items, base_indices, data, bool(same_users), features=features)
