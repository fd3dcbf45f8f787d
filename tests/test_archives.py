"""Archives of data sets from nobody knows where: refused with our error, nothing written, nothing left behind."""

import hashlib
import io
import os
import shutil
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from test_datasets import MOVIES, RATINGS, fake_wheel

from lrrec.datasets import fetch
from lrrec.datasets.recipes import recipe
from lrrec.errors import FetchError

FILES = {"ratings.csv": RATINGS, "movies.csv": MOVIES}
OUTSIDE = [
    "../x", "../../x", "ml-latest-small/../../x", "a/../../x", "/abs/x", "//host/x", "C:/x", "C:x", "..\\x", "\\x",
    "ml-latest-small/..", "C:\\x", "\\\\host\\share\\x",
]  # fmt: skip
SYMLINK, FIFO = 0o120777, 0o010644


def archive(*entries):
    """The official files in a zip file, and other entries, (ZipInfo, text)."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as contents, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for file, text in FILES.items():
            contents.writestr(f"ml-latest-small/{file}", text)
        for entry, text in entries:
            contents.writestr(entry, text)
    return whole.getvalue()


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """fetched(bytes) fetches the data set whose official archive these are: its folder."""
    monkeypatch.setenv("LRREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LRREC_DATA", raising=False)
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()}
    known = replace(recipe("ml-latest-small"), files=hashes)

    def fetch_it(whole, known=known):
        def download(url, checksum, folder, name):
            (folder / name).write_bytes(whole)
            return folder / name

        monkeypatch.setattr(fetch, "_download", download)
        try:
            place = fetch.fetch(known)
            assert {path.name: path.read_text() for path in place.iterdir()} == FILES
            place.rename(tmp_path / "fetched")
        finally:
            assert os.listdir(tmp_path / "cache") == []
            left = {path.name for path in tmp_path.iterdir()} - {"cache"}
        return left

    fetch_it.known = known
    return fetch_it


def test_the_archive_itself_is_right(fetched):
    assert fetched(archive()) == {"fetched"}
    assert fetch.cache_home().exists()


@pytest.mark.parametrize("name", OUTSIDE)
def test_entries_outside_their_folder_are_refused(fetched, tmp_path, name):
    entry = zipfile.ZipInfo("x")
    entry.filename = name
    with pytest.raises(FetchError, match=r"outside its folder.*\n.*What to do: get it from"):
        fetched(archive((entry, "written")))
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("mode", [SYMLINK, FIFO])
@pytest.mark.parametrize("name", ["ml-latest-small/ratings.csv", "ml-latest-small/other"])
def test_links_and_devices_are_refused(fetched, tmp_path, name, mode):
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = 3, mode << 16
    unchecked = replace(fetched.known, files=dict.fromkeys(FILES, ""))
    with pytest.raises(FetchError, match="neither a file nor a folder"):
        fetched(archive((entry, "/etc/passwd")), unchecked)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_wheel_is_read_with_the_same_care(tmp_path):
    fake_wheel(tmp_path / "a.whl")
    with fetch._opened(tmp_path / "a.whl") as contents:
        assert len(contents.namelist()) == 3
    with zipfile.ZipFile(tmp_path / "a.whl", "a") as contents:
        contents.writestr("../x", "written")
    with pytest.raises(OSError, match="outside its folder"), fetch._opened(tmp_path / "a.whl"):
        pass


@pytest.mark.parametrize(("place", "value"), [(6, 1), (8, 99)], ids=["encrypted", "unknown compression"])
def test_entries_that_cannot_be_read_are_refused(fetched, place, value):
    whole = bytearray(archive())
    for signature, offset in ((b"PK\x03\x04", place), (b"PK\x01\x02", place + 2)):
        whole[whole.index(signature) + offset] = value
    with pytest.raises(FetchError, match=r"ml-latest-small.zip cannot be read: .*\nWhat to do"):
        fetched(bytes(whole))


@pytest.mark.parametrize("n_archives", [500, pytest.param(20_000, marks=pytest.mark.soak)])
def test_changed_archives_are_refused(fetched, tmp_path, figures, n_archives):
    """Or hold the official files: a byte that means nothing was changed."""
    rng, whole, n_refused = np.random.default_rng(0), archive(), 0
    for _ in range(n_archives):
        bad = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            bad[rng.integers(len(bad))] = rng.integers(256)
        try:
            fetched(bytes(bad[: len(bad) if rng.random() < 0.8 else rng.integers(len(bad))]))
            shutil.rmtree(tmp_path / "fetched")
        except FetchError:
            n_refused += 1
    figures(f"{n_archives} changed archives: {n_refused} refused, the others held the official files")
    assert n_archives / 2 < n_refused < n_archives
