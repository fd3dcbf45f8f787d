"""Files of saved models: safetensors with a checked header, written atomically.

A safetensors file contains arrays and strings, and cannot run code. All of its contents are checked before use.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lrrec.data.ids import IdMap
from lrrec.errors import DataError, FileFormatError
from lrrec.typing import PathLike
from lrrec.validate import are_of_kind, import_extra

FORMAT = "lrrec-1"


def write(path: PathLike, kind: str, params: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write arrays and parameters to path, atomically.

    Arrays are made C-contiguous here: safetensors' numpy writer scrambles others.
    """
    header = {"format": FORMAT, "kind": kind, "params": json.dumps(params, default=_plain)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with _replacing(path) as partial:
        save_file(contiguous, partial, metadata=header)


@contextmanager
def parquet(path: PathLike) -> Iterator[Callable[[Any], None]]:
    """Yield a function that appends an Arrow table to a Parquet file, which is written atomically."""
    pyarrow_parquet = import_extra("pyarrow.parquet", None, "writing Parquet")
    with _replacing(path) as partial, ExitStack() as open_files:
        writers: list[Any] = []

        def write(table: Any) -> None:
            if not writers:
                writers.append(open_files.enter_context(pyarrow_parquet.ParquetWriter(partial, table.schema)))
            writers[0].write_table(table)

        yield write


@contextmanager
def _replacing(path: PathLike) -> Iterator[str]:
    """Yield the name of a temporary file, which replaces path at the end, or is deleted after an error."""
    path = Path(path).resolve()  # a link stays, its target is replaced
    if path.is_dir():
        raise FileFormatError(f"path must be a file, got the folder {str(path)!r}")
    if path.exists() and not path.is_file():
        raise FileFormatError(f"path must be an ordinary file, got the device or pipe {str(path)!r}")
    try:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    except (FileNotFoundError, NotADirectoryError):
        raise FileFormatError(f"path must be in a folder that exists, got {str(path)!r}") from None
    os.close(handle)
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)  # mkstemp's files are private
        os.replace(partial, path)
    finally:
        Path(partial).unlink(missing_ok=True)


def read(path: PathLike) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Return the kind, the parameters and the arrays of a file written by `write`."""
    if not Path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileFormatError(f"{str(path)!r} {state}: path must be a saved model")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:
        raise FileFormatError(f"{path} is not a file saved by lrrec, or is damaged: {error}") from None
    if header.get("format") != FORMAT:
        raise FileFormatError(f"{path} has format {header.get('format')!r}: this version of lrrec reads {FORMAT!r}")
    try:
        params = json.loads(header["params"])
        if not isinstance(params, dict):
            raise TypeError("not a mapping")
        return header["kind"], params, arrays
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} has no valid kind and parameters in its header: {error}") from None


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


def unpack_ids(path: PathLike, name: str, arrays: dict[str, np.ndarray]) -> IdMap:
    """Remove an IdMap from the arrays and return it."""
    try:
        if f"{name}.ints" in arrays:
            ids = arrays.pop(f"{name}.ints")
            if ids.dtype != np.int64 or ids.ndim != 1:
                raise FileFormatError(f"{path}: {name} must be int64 ids, got {ids.dtype} {ids.shape}")
            return IdMap(ids)
        blob, ends = arrays.pop(f"{name}.bytes"), arrays.pop(f"{name}.ends")
        if blob.dtype != np.uint8 or ends.dtype != np.int64 or blob.ndim != 1 or ends.ndim != 1:
            raise FileFormatError(f"{path}: {name} must be bytes and int64 ends, got {blob.dtype} and {ends.dtype}")
        starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
        if (ends < starts).any() or (len(ends) and ends[-1] != len(blob)):
            raise FileFormatError(f"{path}: {name} must have increasing ends up to {len(blob)}")
        text = blob.tobytes()
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return IdMap([text[a:b].decode() for a, b in bounds])
    except (KeyError, UnicodeDecodeError, DataError) as error:
        raise FileFormatError(f"{path}: {name} must be distinct ids: {error}") from None


def pack_csr(name: str, matrix: sp.csr_array) -> dict[str, np.ndarray]:
    """A csr matrix as arrays."""
    shape = np.array(matrix.shape, dtype=np.int64)
    return {
        f"{name}.data": matrix.data, f"{name}.indices": matrix.indices, f"{name}.indptr": matrix.indptr,
        f"{name}.shape": shape,
    }  # fmt: skip


def unpack_csr(path: PathLike, name: str, arrays: dict[str, np.ndarray], *, values: str = "positive") -> sp.csr_array:
    """Remove a csr matrix from the arrays and return it; indices out of bounds are refused, and values of other kinds.

    values: those it may hold; see `lrrec.validate.are_of_kind`.
    """
    try:
        parts = [arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape")]
        data, indices, indptr, shape = parts
        if data.dtype != np.float32 or {part.dtype.kind for part in parts[1:]} != {"i"}:
            raise ValueError("wrong types")
        matrix = sp.csr_array((data, indices, indptr), shape=tuple(int(n) for n in shape))
        matrix.check_format(full_check=True)
        if not matrix.has_canonical_format or not are_of_kind(data, values).all() or not np.isfinite(data).all():
            raise ValueError(f"not sorted, or values that are not {values} numbers")
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path}: {name} must be a csr matrix: {error}") from None
    return matrix


def _plain(value: Any) -> Any:
    """A numpy scalar as a value that JSON can store."""
    if isinstance(value, np.generic):
        return value.item()
    raise DataError(f"parameters must be numbers, strings or None to be saved, got {value!r}")
