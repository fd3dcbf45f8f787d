"""The container of saved models: a safetensors file with a checked header, written whole or not at all.

A safetensors file holds arrays and strings and cannot run code. What is in it is still checked before use.
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
from lrrec.validate import import_extra

FORMAT = "lrrec-1"


def write(path: str | os.PathLike, kind: str, params: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write arrays and parameters to path, replacing it whole or not at all.

    The one place where arrays are made C-contiguous: safetensors' numpy writer scrambles others.
    """
    header = {"format": FORMAT, "kind": kind, "params": json.dumps(params, default=_plain)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with _aside(path) as partial:
        save_file(contiguous, partial, metadata=header)


@contextmanager
def parquet(path: str | os.PathLike) -> Iterator[Callable[[Any], None]]:
    """Give a function that appends an Arrow table to a Parquet file, which appears whole or not at all."""
    pyarrow_parquet = import_extra("pyarrow.parquet", None, "writing Parquet")
    with _aside(path) as partial, ExitStack() as open_files:
        writers: list[Any] = []

        def write(table: Any) -> None:
            if not writers:
                writers.append(open_files.enter_context(pyarrow_parquet.ParquetWriter(partial, table.schema)))
            writers[0].write_table(table)

        yield write


@contextmanager
def _aside(path: str | os.PathLike) -> Iterator[str]:
    """Give the name of a file beside path, which takes its place if all goes well and else disappears."""
    path = Path(path).resolve()  # a link stays, what it points to is replaced
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


def read(path: str | os.PathLike) -> tuple[str, dict[str, Any], dict[str, np.ndarray]]:
    """Return the kind, the parameters and the arrays of a file written by `write`."""
    if not Path(path).is_file():
        what = "a folder" if Path(path).is_dir() else "which does not exist"
        raise FileFormatError(f"path must be a file, got {str(path)!r}, {what}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:
        raise FileFormatError(f"{path} must be a file saved by lrrec, but cannot be read: {error}") from None
    if header.get("format") != FORMAT:
        raise FileFormatError(f"{path} must have format {FORMAT!r}, got {header.get('format')!r}")
    try:
        params = json.loads(header["params"])
        if not isinstance(params, dict):
            raise TypeError("not a mapping")
        return header["kind"], params, arrays
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} must have a kind and parameters in its header: {error}") from None


def check_names(path: str | os.PathLike, got: Iterable[str], want: Iterable[str]) -> None:
    """Refuse a file that lacks an array or has one too many."""
    lacking, extra = set(want) - set(got), set(got) - set(want)
    if lacking or extra:
        raise FileFormatError(
            f"{path} must hold exactly its model's arrays: lacking {sorted(lacking)}, unexpected {sorted(extra)}"
        )


def pack_ids(name: str, ids: IdMap) -> dict[str, np.ndarray]:
    """An IdMap as arrays: integers as they are, strings as UTF-8 bytes and where each ends."""
    if ids.ids.dtype != object:
        return {f"{name}.ints": ids.ids}
    encoded = [one.encode() for one in ids.ids]
    ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8), f"{name}.ends": ends}


def unpack_ids(path: str | os.PathLike, name: str, arrays: dict[str, np.ndarray]) -> IdMap:
    """Take an IdMap out of the arrays."""
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
            raise FileFormatError(f"{path}: {name} must have ends in rising order up to {len(blob)}")
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


def unpack_csr(path: str | os.PathLike, name: str, arrays: dict[str, np.ndarray]) -> sp.csr_array:
    """Take a csr matrix out of the arrays; indices that point outside are refused."""
    try:
        parts = [arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "shape")]
        data, indices, indptr, shape = parts
        if data.dtype != np.float32 or {part.dtype.kind for part in parts[1:]} != {"i"}:
            raise ValueError("wrong types")
        matrix = sp.csr_array((data, indices, indptr), shape=tuple(int(n) for n in shape))
        matrix.check_format(full_check=True)
        if not matrix.has_canonical_format or not (data > 0).all() or not np.isfinite(data).all():
            raise ValueError("not sorted, or values that are not positive")
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path}: {name} must be a csr matrix: {error}") from None
    return matrix


def _plain(value: Any) -> Any:
    """A numpy scalar as json knows it."""
    if isinstance(value, np.generic):
        return value.item()
    raise DataError(f"parameters must be numbers, strings or None to be saved, got {value!r}")
