"""Folders of banks: a file for each adapter, and an index of the domains that is replaced last."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrrec import files
from lrrec.adapt import adapter_files
from lrrec.adapt.adapter import Adapter
from lrrec.errors import DataError, FileFormatError
from lrrec.typing import PathLike
from lrrec.validate import as_path

INDEX, FORMAT = "bank.json", "lrrec-bank-1"


def write(path: PathLike, contents: Mapping[Any, bytes]) -> None:
    """Write the files of adapters, by domain, to a folder; a bank in it is replaced as a whole or not at all.

    A file's name is the hash of its contents: those that an older index names stay as they are until it is replaced.
    """
    contents = {_plain(domain): content for domain, content in contents.items()}
    folder = make_folder(path)
    before = {name for _, name in _read_index(folder)} if (folder / INDEX).is_file() else set()
    index = [[domain, f"{hashlib.sha256(content).hexdigest()[:32]}.lrrec"] for domain, content in contents.items()]
    for (_, name), content in zip(index, contents.values(), strict=True):
        if not (folder / name).exists():
            with files.replacing(folder / name) as file:
                file.write(content)
    with files.replacing(folder / INDEX) as file:
        file.write(json.dumps({"format": FORMAT, "adapters": index}, indent=1).encode())
    for name in before - {name for _, name in index}:
        (folder / name).unlink(missing_ok=True)


def make_folder(path: PathLike) -> Path:
    """Return the folder at a path, which is made where there is none."""
    folder = as_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise FileFormatError(f"path must be a folder, got the file {str(folder)!r}") from None
    return folder


def read(path: PathLike, base: Any) -> dict[Any, Adapter]:
    """Return the adapters of a folder that `write` wrote, by domain, for the base that they were fitted to."""
    folder = as_path(path)
    if not (folder / INDEX).is_file():
        raise FileFormatError(f"path must be the folder of a bank, with a file {INDEX}, got {str(folder)!r}")
    return {
        domain: adapter_files.read(str(folder / name), base, *files.read(folder / name))
        for domain, name in _read_index(folder)
    }


def _plain(domain: Any) -> int | str:
    """A domain as JSON can hold it."""
    if isinstance(domain, str):
        return str(domain)
    if isinstance(domain, int | np.integer) and not isinstance(domain, bool):
        return int(domain)
    raise DataError(f"domains must be integers or strings to be saved, got {domain!r}")


def _read_index(folder: Path) -> list[tuple[Any, str]]:
    """The domains of a bank, and the name of the file of each."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        pairs = [(domain, name) for domain, name in index["adapters"]]
        if index["format"] != FORMAT:
            raise ValueError(f"the format is {index['format']!r}, not {FORMAT!r}")
        if not all(type(domain) in (int, str) and Path(name).name == name for domain, name in pairs):
            raise ValueError("each adapter must have a domain, and a file in the folder")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(f"{folder / INDEX} must be the index of a bank: {error}") from None
    return pairs
