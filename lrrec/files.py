"""Files of saved models: arrays and parameters, checked and written atomically.

A file contains arrays and strings, and cannot run code; see `lrrec.file_format`. All of its contents are checked
before use.
"""

import io
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import scipy.sparse as sp

from lrrec import file_format
from lrrec.data.ids import IdMap
from lrrec.errors import DataError, FileFormatError, ParameterError, ParameterTypeError
from lrrec.file_format import FORMAT, Header
from lrrec.typing import FileLike, PathLike
from lrrec.validate import are_of_kind, as_path, check_bool, check_compressed, import_extra

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HALF_ERROR = 1e-3  # the relative error that rounding to half precision makes at most, twice
SYNC_SECONDS = 0.05  # between two times that a file in the making is brought to the disk


def write(
    path: Any, kind: str, params: dict[str, Any], arrays: dict[str, np.ndarray], *, fingerprint: str = ""
) -> None:
    """Write arrays and parameters to a path, atomically, or to a binary file object."""
    strings = {"format": FORMAT, "kind": kind, "params": json.dumps(params, default=_storable)}
    if fingerprint:
        strings["fingerprint"] = fingerprint
    if not is_stream(path, "write"):
        with replacing(path) as file:
            file_format.write(file, strings, arrays)
    else:
        file_format.write(path, strings, arrays)


@contextmanager
def parquet(path: PathLike) -> Iterator[Callable[[Any], None]]:
    """Yield a function that appends an Arrow table to a Parquet file, which is written atomically."""
    pyarrow_parquet = import_extra("pyarrow.parquet", None, "writing Parquet")
    with replacing(path) as file, ExitStack() as open_files:
        writers: list[Any] = []

        def write(table: Any) -> None:
            if not writers:
                writers.append(open_files.enter_context(pyarrow_parquet.ParquetWriter(file, table.schema)))
            writers[0].write_table(table)

        yield write


@contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces path at the end, or is deleted after an error.

    A killed process leaves its unfinished file beside path; the next one that writes path deletes it.
    """
    path = as_path(path).resolve()  # a link stays, its target is replaced
    if path.is_dir():
        raise FileFormatError(f"path must be a file, got the folder {str(path)!r}")
    if path.exists() and not path.is_file():
        raise FileFormatError(f"path must be an ordinary file, got the device or pipe {str(path)!r}")
    try:
        _delete_abandoned(path)
        file, unfinished = _unfinished(path)
    except (FileNotFoundError, NotADirectoryError):
        raise FileFormatError(f"path must be in a folder that exists, got {str(path)!r}") from None
    try:
        with file:
            with _kept_on_disk(file):
                yield file
            file.flush()
            os.fsync(file.fileno())  # the contents before the name, in case that the machine stops
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(unfinished, 0o666 & ~umask)  # mkstemp's files are private
            if fcntl is None:
                file.close()  # Windows renames no open file
            os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def halved(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array of float32 in half precision, others as they are; refuse one that loses more than by rounding."""
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        half = array.astype(np.float16)
        lost = np.linalg.norm((half.astype(np.float32) - array).ravel())
    if not lost <= HALF_ERROR * np.linalg.norm(array.ravel()):
        raise DataError(
            f"{name} has values that float16 cannot hold, whose range is 6e-5 to 65504: save it with float16=False"
        )
    return half


@contextmanager
def _kept_on_disk(file: BinaryIO) -> Iterator[None]:
    """Bring to the disk what is written meanwhile, so that little is left to wait for at the end."""
    done, errors = threading.Event(), list[OSError]()

    def sync() -> None:
        try:
            while not done.wait(SYNC_SECONDS):
                os.fsync(file.fileno())
        except OSError as error:  # the system reports it once: a later call would not know
            errors.append(error)

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if errors:
        raise errors[0]


def _unfinished(path: Path) -> tuple[BinaryIO, str]:
    """A new file beside path, locked while this process writes it."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        file = os.fdopen(handle, "wb")
        if fcntl is None:
            return file, name
        with suppress(OSError):  # file systems without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # nobody deleted it before it was locked
            return file, name
        file.close()


def _delete_abandoned(path: Path) -> None:
    """Delete the unfinished files of path whose process is gone, and with it the lock."""
    for entry in os.scandir(path.parent) if fcntl is not None else ():
        if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".partial"):
            with suppress(OSError), open(entry.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


def read(
    path: FileLike, *, mmap: bool = False, verify: bool = True
) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Return the kind, the parameters and the arrays of a file written by `write`, from a path or a file object.

    mmap: arrays are read-only views of the file; without `verify` they are not looked at.
    """
    if check_bool(mmap, "mmap") and is_stream(path, "read"):
        raise ParameterError("path must be the path of a file with mmap=True, got a file object")
    if not check_bool(verify, "verify") and not mmap:
        raise ParameterError("verify must be True without mmap=True: what is read is always checked")
    with opened(path) as (file, header):
        name = name_of(path)
        if mmap:
            arrays = file_format.map_arrays(file, header, name, verify=verify)
        else:
            arrays = file_format.read_arrays(file, header, name)
    return *kind_and_params(header, name), arrays


def kind_and_params(header: Header, name: str) -> tuple[str, dict[str, Any]]:
    """Return what kind of object a header says that its file holds, and the object's parameters."""
    try:
        params = json.loads(header.strings["params"], object_hook=_restored)
        if not isinstance(params, dict):
            raise TypeError("not a mapping")
        return header.strings["kind"], params
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise FileFormatError(f"{name} has no valid kind and parameters in its header: {error}") from None


@contextmanager
def opened(path: Any) -> Iterator[tuple[Any, Header]]:
    """Yield the open file and its header; a file of another size than the header says is refused."""
    name = name_of(path)
    if is_stream(path, "read"):
        file = path if hasattr(path, "readinto") else io.BytesIO(path.read())
        yield file, file_format.read_header(file, name)
        return
    if not as_path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "is no file" if Path(path).exists() else "does not exist"
        raise FileFormatError(f"{name!r} {state}: path must be a saved model")
    with open(path, "rb") as file:
        header, size = file_format.read_header(file, name), os.fstat(file.fileno()).st_size
        if size != header.n_bytes:
            raise FileFormatError(
                f"{name} is damaged: it has {size:,} bytes, and {header.n_bytes:,} according to its header"
            )
        yield file, header


def is_stream(path: Any, method: str) -> bool:
    """Return whether path is a binary file object with a method, "read" or "write"; a text file is refused."""
    if isinstance(path, io.TextIOBase):
        raise ParameterTypeError("path must be a path or a binary file object, got a text file: open it with 'b'")
    if not isinstance(path, str | os.PathLike) and not hasattr(path, method):
        raise ParameterTypeError(f"path must be a path or a binary file object, got {type(path).__name__}")
    return not isinstance(path, str | os.PathLike)


def name_of(path: FileLike) -> str:
    """Return what errors call a file."""
    if isinstance(path, str | os.PathLike):
        return str(os.fspath(path))
    name = getattr(path, "name", None)
    return name if isinstance(name, str) else "the file object"


def canonical(value: Any) -> str:
    """Return a value as text: equal for equal numbers of any type, and for arrays, lists and mappings of them."""
    return json.dumps(_plain(value), sort_keys=True, default=repr)


def _plain(value: Any) -> Any:
    """A value in JSON's own types; a whole number is an integer."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _storable(value: Any) -> Any:
    """What JSON cannot store: numpy's numbers and arrays; a random generator is stored as None."""
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"ndarray": value.tolist(), "dtype": str(value.dtype)}
    raise DataError(f"parameters must be numbers, arrays, strings or None to be saved, got {value!r}")


def _restored(value: dict[str, Any]) -> Any:
    """What `_storable` made of an array."""
    if value.keys() != {"ndarray", "dtype"}:
        return value
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "biuf":
        raise TypeError(f"an array of {dtype}")
    return np.array(value["ndarray"], dtype=dtype)


def check_names(path: PathLike, names: Iterable[str], expected: Iterable[str]) -> None:
    """Refuse a file with missing or unexpected arrays."""
    missing, unexpected = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    if missing or unexpected:
        raise FileFormatError(f"{path} has other arrays than its model: missing {missing}, unexpected {unexpected}")


def pack_ids(name: str, ids: IdMap) -> dict[str, np.ndarray]:
    """An IdMap as arrays: integers as they are, strings as UTF-8 bytes and the end of each."""
    if ids.ids.dtype != object:
        return {f"{name}.ints": ids.ids}
    encoded = [text.encode() for text in ids.ids]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}.ends": ends}


def unpack_ids(path: PathLike, name: str, arrays: dict[str, np.ndarray], *, defer: bool = False) -> IdMap:
    """Remove an IdMap from the arrays and return it; a deferred one is read and checked at its first use."""
    kinds = ("ints", "bytes", "ends")
    parts = {kind: arrays.pop(f"{name}.{kind}") for kind in kinds if f"{name}.{kind}" in arrays}
    if set(parts) not in ({"ints"}, {"bytes", "ends"}):
        raise FileFormatError(f"{path}: {name} must be distinct ids: the arrays are {sorted(parts)}")
    decode = partial(_decode_ids, path, name, parts)
    return _DeferredIds(len(parts.get("ints", parts.get("ends"))), decode) if defer else decode()  # type: ignore


class _DeferredIds(IdMap):
    """An IdMap that is decoded at its first use."""

    __slots__ = ("_decode", "_length")

    def __init__(self, length: int, decode: Callable[[], IdMap]) -> None:
        self._length, self._decode = length, decode

    def __getattr__(self, name: str) -> Any:
        """The slots of an IdMap, which are empty until now."""
        if name not in IdMap.__slots__:
            raise AttributeError(name)
        decoded = self._decode()
        self.ids, self._index = decoded.ids, decoded._index
        return getattr(self, name)

    def __len__(self) -> int:
        return self._length


def _decode_ids(path: PathLike, name: str, parts: dict[str, np.ndarray]) -> IdMap:
    try:
        if "ints" in parts:
            ids = parts["ints"]
            if ids.dtype != np.int64 or ids.ndim != 1:
                raise FileFormatError(f"{path}: {name} must be int64 ids, got {ids.dtype} {ids.shape}")
            return IdMap(ids)
        blob, ends = parts["bytes"], parts["ends"]
        if blob.dtype != np.uint8 or ends.dtype != np.int64 or blob.ndim != 1 or ends.ndim != 1:
            raise FileFormatError(f"{path}: {name} must be bytes and int64 ends, got {blob.dtype} and {ends.dtype}")
        starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
        if (ends < starts).any() or (len(ends) and ends[-1] != len(blob)):
            raise FileFormatError(f"{path}: {name} must have increasing ends up to {len(blob)}")
        text = blob.tobytes()
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return IdMap([text[a:b].decode() for a, b in bounds])
    except (UnicodeDecodeError, DataError) as error:
        raise FileFormatError(f"{path}: {name} must be distinct ids: {error}") from None


def pack_csr(name: str, matrix: sp.csr_array) -> dict[str, np.ndarray]:
    """A csr matrix as arrays."""
    shape = np.array(matrix.shape, dtype=np.int64)
    return {
        f"{name}.data": matrix.data, f"{name}.indices": matrix.indices, f"{name}.indptr": matrix.indptr,
        f"{name}.shape": shape,
    }  # fmt: skip


def unpack_csr(
    path: PathLike, name: str, arrays: dict[str, np.ndarray], *, values: str = "positive", trust: bool = False,
    repeats: bool = False,
) -> sp.csr_array:  # fmt: skip
    """Remove a csr matrix from the arrays and return it; unless it is trusted, it is checked.

    Refused are indices out of bounds, repeated cells unless `repeats`, and values of other kinds than `values`; see
    `lrrec.validate.are_of_kind`.
    """
    try:
        parts = [arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape")]
        data, indices, indptr, shape = parts
        if data.dtype != np.float32 or {part.dtype.kind for part in parts[1:]} != {"i"}:
            raise ValueError("wrong types")
        matrix = sp.csr_array((data, indices, indptr), shape=tuple(int(n) for n in shape))
        if trust:
            matrix.has_canonical_format, matrix.has_sorted_indices = not repeats, True
            return matrix
        check_compressed(matrix)
        in_order = matrix.has_sorted_indices if repeats else matrix.has_canonical_format
        if not in_order or not are_of_kind(data, values).all() or not np.isfinite(data).all():
            raise ValueError(f"not sorted, or values that are not {values} numbers")
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path}: {name} must be a csr matrix: {error}") from None
    return matrix
