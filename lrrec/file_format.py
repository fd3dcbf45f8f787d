"""The bytes of a file: named arrays and a header of strings, in the safetensors format, with checksums.

The length of the header (8 bytes), the header (JSON), and the arrays one after another, of which the last is
"checksum": the CRC-32 of length and header, and the CRC-32 of all bytes before it. Other programs can read the arrays
as safetensors. A checksum finds every damage in practice; it is no signature, and does not keep out a forger.
"""

import json
import math
import mmap
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from lrrec.errors import DataError, FileFormatError

FORMAT = "lrrec-2"
CHECKSUM = "checksum"
ALIGNMENT = 64  # bytes: where the arrays begin
CHUNK = 2**22  # bytes read and checked at a time
PART = 2**18  # bytes written at a time: they are still in the processor's cache
MAX_HEADER = 10**8  # bytes, as in the safetensors format
RESIDUE = 0x2144DF1C  # the CRC-32 of any bytes that are followed by their own CRC-32
DTYPES = {
    name: np.dtype(code) for name, code in (
        ("F64", "<f8"), ("I64", "<i8"), ("U64", "<u8"), ("F32", "<f4"), ("I32", "<i4"), ("U32", "<u4"),
        ("F16", "<f2"), ("I16", "<i2"), ("U16", "<u2"), ("I8", "i1"), ("U8", "u1"), ("BOOL", "?"),
    )
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Place(NamedTuple):
    """Where an array is, in bytes from the first array's beginning."""

    dtype: np.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says of itself: its strings, its arrays in order, and its sizes in bytes."""

    strings: dict[str, str]
    places: dict[str, Place]
    n_header: int
    n_bytes: int
    crc: int


def write(file: Any, strings: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write strings and arrays to a binary file object."""
    flat, places, end = [], dict[str, Any](), 0
    for name in sorted(arrays, key=lambda name: -arrays[name].itemsize):  # each begins at a multiple of its item size
        array = np.ascontiguousarray(arrays[name], dtype=arrays[name].dtype.newbyteorder("<"))
        if array.dtype not in _NAMES:
            raise DataError(f"arrays must be of numbers to be saved, got {array.dtype} for {name}")
        places[name] = _entry(array.dtype, array.shape, end, end := end + array.nbytes)
        flat.append(array.reshape(-1).view(np.uint8))
    places[CHECKSUM] = _entry(DTYPES["U32"], (2,), end, end + 8)
    text = json.dumps({"__metadata__": dict(strings), **places}).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    header = len(text).to_bytes(8, "little") + text
    crc = zlib.crc32(header)
    _write_all(file, header)
    with ThreadPoolExecutor(1) as executor:  # reading the memory for the checksum takes as long as writing it
        total = executor.submit(_checksum, flat, crc)
        for part in _parts(flat):
            _write_all(file, part)
    checksum = crc.to_bytes(4, "little")
    _write_all(file, checksum + zlib.crc32(checksum, total.result()).to_bytes(4, "little"))


def _parts(flat: Sequence[np.ndarray]) -> Iterator[memoryview]:
    """The bytes of arrays, some at a time."""
    for array in flat:
        for start in range(0, len(array), PART):
            yield array[start : start + PART].data


def _checksum(flat: Sequence[np.ndarray], crc: int) -> int:
    """The CRC-32 of what has this one, followed by the arrays."""
    for part in _parts(flat):
        crc = zlib.crc32(part, crc)
    return crc


def _entry(dtype: np.dtype, shape: tuple[int, ...], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}


def _write_all(file: Any, part: Any) -> None:
    """Write every byte; an unbuffered file object may take fewer at a time."""
    rest = memoryview(part)
    while len(rest):
        written = file.write(rest)
        rest = rest[len(rest) if written is None else written :]


def read_header(file: Any, name: str) -> Header:
    """Read the header of a binary file object, which is then at its first array; name: the file's, for errors."""
    head = _read_bytes(file, 8)
    size = int.from_bytes(head, "little")
    text = _read_bytes(file, size) if len(head) == 8 and 2 <= size <= MAX_HEADER else b""
    if not text or len(text) < size:
        raise FileFormatError(f"{name} is not a file saved by lrrec, or is damaged: it has no header")
    try:
        entries = json.loads(text)
        strings = entries.pop("__metadata__")
        if not all(isinstance(value, str) for value in strings.values()):
            raise TypeError("metadata must be strings")
        if strings["format"] != FORMAT:
            raise FileFormatError(
                f"{name} has format {strings['format']!r}: this version of lrrec reads {FORMAT!r}: fit the model "
                "and save it again with this version"
            )
        places = _places(entries)
        end = places[CHECKSUM].end
        if list(places)[-1] != CHECKSUM or places[CHECKSUM][:2] != (DTYPES["U32"], (2,)):
            raise ValueError("the checksum must come last")
    except FileFormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{name} is not a file saved by lrrec, or is damaged: {error!r}") from None
    return Header(strings, places, 8 + size, 8 + size + end, zlib.crc32(head + text))


def _places(entries: Mapping[str, Any]) -> dict[str, Place]:
    """Return where the arrays are: one after another, without gaps."""
    places, end = {}, 0
    for name, entry in entries.items():
        dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
        numbers = [*shape, *entry["data_offsets"]]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"{name} must have a shape and offsets of integers >= 0")
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        if entry["data_offsets"] != [begin, end]:
            raise ValueError(f"{name} must be at {[begin, end]}")
        places[name] = Place(dtype, shape, begin, end)
    return places


def read_arrays(file: Any, header: Header, name: str) -> dict[str, np.ndarray]:
    """Read the arrays that follow the header, to the end of the file object, and check all of it.

    The checksum is computed on another thread while the next bytes are read.
    """
    total, arrays = header.crc, {}

    def add(part: memoryview) -> None:
        nonlocal total
        total = zlib.crc32(part, total)

    with ThreadPoolExecutor(1) as pool:
        check = add if header.n_bytes < CHUNK else lambda part: pool.submit(add, part)
        for key, place in header.places.items():
            arrays[key] = _read_array(file, place, f"{name}: {key}", check)
    if file.read(1):
        raise FileFormatError(f"{name} is damaged: it goes on after its last array")
    _check(name, header, arrays.pop(CHECKSUM), total)
    return arrays


def _read_array(file: Any, place: Place, name: str, check: Callable[[memoryview], Any]) -> np.ndarray:
    try:
        array = np.empty(place.shape, place.dtype)
    except (ValueError, MemoryError) as error:
        raise FileFormatError(f"{name} has an impossible shape, {place.shape}: {error}") from None
    rest = array.reshape(-1).view(np.uint8).data
    while len(rest):
        n_read = file.readinto(rest[:CHUNK])
        if not n_read:
            raise FileFormatError(f"{name} ends before it is complete: the file is truncated")
        check(rest[:n_read])
        rest = rest[n_read:]
    return array


def map_arrays(file: Any, header: Header, name: str, *, verify: bool) -> dict[str, np.ndarray]:
    """Return the arrays of an open file as read-only views of it, which are read when they are used.

    The header is always checked, the arrays on request.
    """
    contents = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    arrays = {}
    for key, place in header.places.items():
        count = math.prod(place.shape)
        try:
            flat = np.frombuffer(contents, place.dtype, count, header.n_header + place.begin)
            arrays[key] = flat.reshape(place.shape)
        except ValueError as error:
            raise FileFormatError(f"{name}: {key} has an impossible shape, {place.shape}: {error}") from None
    _check(name, header, arrays.pop(CHECKSUM), zlib.crc32(contents) if verify else RESIDUE)
    return arrays


def _check(name: str, header: Header, checksum: np.ndarray, total: int) -> None:
    if checksum[0] != header.crc or total != RESIDUE:
        raise FileFormatError(f"{name} is damaged: its checksum is not that of its contents. Take another copy")


def _read_bytes(file: Any, size: int) -> bytes:
    """Read that many bytes, or as many as there are."""
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
