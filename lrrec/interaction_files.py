"""Files of interactions, which are mapped into memory instead of read where they are large."""

from typing import Any

import numpy as np

from lrrec import files
from lrrec.data.events import Events
from lrrec.data.interactions import Interactions
from lrrec.data.recency import checked_half_life
from lrrec.errors import DataError, FileFormatError
from lrrec.typing import FileLike

KIND = "Interactions"


def write(path: FileLike, data: Interactions) -> None:
    """Write interactions; see `Interactions.save`."""
    arrays = files.pack_ids("users", data.users) | files.pack_ids("items", data.items) | _pack("", data)
    params: dict[str, Any] = {}
    if data.times is not None:
        params["times"] = data.times.dtype.str
    if data.events is not None:
        arrays |= _pack("events.", data.events.unmerged)
        params["events"] = {"duplicates": data.events.duplicates, "min_value": data.events.min_value}
    if data.half_life is not None and data.times is not None:
        length = checked_half_life(data.half_life, data.times)
        dates = isinstance(length, np.timedelta64)
        params["half_life"] = [int(length.astype(np.int64)), np.datetime_data(length)[0]] if dates else length
    files.write(path, KIND, params, arrays)


def read(path: FileLike, *, mmap: bool, verify: bool) -> Interactions:
    """Return the interactions of a file; see `Interactions.open`. Unless they are verified, they are not looked at."""
    kind, params, arrays = files.read(path, mmap=mmap, verify=verify)
    name = files.name_of(path)
    if kind != KIND:
        raise FileFormatError(f"{name} must hold interactions, got {kind!r}: pass a model to lrrec.load")
    users, items = (files.unpack_ids(name, axis, arrays, defer=not verify) for axis in ("users", "items"))

    def part(prefix: str = "", events: Events | None = None) -> Interactions:
        matrix = files.unpack_csr(
            name, f"{prefix}matrix", arrays, values="any", trust=not verify, repeats=bool(prefix)
        )  # fmt: skip
        times = arrays.pop(f"{prefix}times") if "times" in params else None
        if times is not None and np.dtype(params["times"]).kind == "M":
            times = times.view(params["times"])
        parts = {"matrix": matrix, "users": users, "items": items, "times": times, "events": events}
        if "half_life" in params and not prefix and times is not None:
            dates = times.dtype.kind == "M"
            length = np.timedelta64(*params["half_life"]) if dates else params["half_life"]
            parts["half_life"] = checked_half_life(length, times)
        return Interactions(**parts) if verify else _trusted(parts)

    try:
        events = Events(part("events."), **params["events"]) if "events" in params else None
        data = part(events=events)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, DataError) as error:
        raise FileFormatError(f"{name} must hold interactions: {error}") from None
    files.check_names(name, arrays, ())
    return data


def _pack(prefix: str, data: Interactions) -> dict[str, np.ndarray]:
    """Matrix and times; dates as integers."""
    arrays = files.pack_csr(f"{prefix}matrix", data.matrix)
    if data.times is not None:
        arrays[f"{prefix}times"] = data.times.view(np.int64) if data.times.dtype.kind == "M" else data.times
    return arrays


def _trusted(parts: dict[str, Any]) -> Interactions:
    """Interactions whose parts are not checked, which would read them."""
    data: Interactions = object.__new__(Interactions)
    for name, part in parts.items():
        object.__setattr__(data, name, part)
    return data
