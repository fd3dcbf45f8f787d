"""What is served: a model and its adapters in a folder, loaded again when they change."""

import hashlib
import logging
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import Counter

import lrrec

MODEL, BANK = "model.lrrec", "bank"
TRIES = 10
RELOADS = Counter("lrrec_reloads", "Releases that were read after the first", ["result"])


class Release(NamedTuple):
    """A model, and the adapters of its markets; never changed.

    version names the contents of the files that they were read from, and stamp when these were written.
    """

    model: Any
    bank: lrrec.AdapterBank
    version: str
    stamp: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path) -> "Release":
        """Map a folder's model into memory, which all processes share, and read the bank, if there is one."""
        stamp, version = stamp_of(folder), version_of(folder)
        model = lrrec.load(folder / MODEL, mmap=True)
        bank = lrrec.AdapterBank.load(folder / BANK, model) if (folder / BANK).exists() else lrrec.AdapterBank(model)
        if stamp_of(folder) != stamp:  # even if the contents are again what they were
            raise RuntimeError(f"{folder} has changed while it was read")
        return cls(model, bank, version, stamp)


def stamp_of(folder: Path) -> tuple[int, ...]:
    """Return which files a folder has, and since when."""
    files = [path.stat() for path in (folder / MODEL, folder / BANK / "bank.json") if path.exists()]
    return tuple(number for file in files for number in (file.st_ino, file.st_size, file.st_mtime_ns))


def version_of(folder: Path) -> str:
    """Return a name that changes with the model's file or the bank's index."""
    stat, index = (folder / MODEL).stat(), folder / BANK / "bank.json"
    adapters = index.read_bytes() if index.exists() else b""
    return hashlib.sha256(f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}".encode() + adapters).hexdigest()[:12]


class Releases:
    """The present release of a folder, or of what a link points to; looked at again every `seconds`.

    A release that cannot be read is not taken: the one before goes on being served.
    """

    def __init__(self, link: Path, seconds: float) -> None:
        self.link, self.seconds = link, seconds
        self.present = self._first()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _first(self) -> Release:
        """Load the first release; it may be replaced meanwhile, which is no reason not to start."""
        for _ in range(TRIES - 1):
            try:
                return Release.load(self.link.resolve())
            except Exception:
                time.sleep(0.1)
        return Release.load(self.link.resolve())

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self.seconds):
            try:
                folder = self.link.resolve()  # once: a link may move on meanwhile
                if stamp_of(folder) != self.present.stamp:
                    self.present = Release.load(folder)
                    RELOADS.labels("taken").inc()
            except Exception:
                RELOADS.labels("failed").inc()
                logging.getLogger(__name__).warning("the release cannot be read", exc_info=True)
