"""Saved files: what changed since it was saved never loads, and saving leaves the old file or the new one."""

import gzip
import io
import json
import mmap
import os
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from checks import assert_same
from safetensors.numpy import load_file

import lrrec
from lrrec import file_format, files
from lrrec.adapt import ADAPTERS
from lrrec.errors import DataError, FileFormatError, LrrecError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.linalg import kernels

DATA = Path(__file__).parent / "data"
NOW = DATA / files.FORMAT
CASES = [
    pytest.param(folder, name, facts, id=f"{folder.name}-{name}")
    for folder in sorted(DATA.iterdir()) if folder.is_dir()
    for name, facts in json.loads((folder / "expected.json").read_text()).items()
]  # fmt: skip


def load(folder, name, **options):
    base = json.loads((folder / "expected.json").read_text())[name]["base"]
    return lrrec.load(folder / name, base=base and lrrec.load(folder / base), **options)


@pytest.fixture(scope="module")
def histories():
    """What the files of every format are asked about."""
    dense = np.random.default_rng(1).random((8, 9)) < 0.4
    dense[0, 0], dense[1] = True, True
    return dense.astype(np.float32)


@pytest.mark.parametrize(("folder", "name", "facts"), CASES)
def test_files_of_every_format_load(folder, name, facts, histories):
    model = load(folder, name)
    if name == "ItemKNN-of-strings.lrrec":
        lists = model.recommend_from(lrrec.Interactions(model.seen_, model.users_, model.items_), 3)
        assert all(isinstance(item, str) for item in lists.items.compressed())
    else:
        names = np.arange(9) * 3
        lists = model.recommend_from(lrrec.Interactions.from_matrix(histories, items=names), 3)
    assert lists.items.tolist() == facts["items"]
    want = np.array(facts["scores"], dtype=np.float64)
    np.testing.assert_allclose(lists.scores.filled(np.nan), want, rtol=1e-4, atol=1e-6)


def test_there_is_a_file_of_everything_that_can_be_saved():
    """If this fails: python tests/data/make_files.py, which writes the files that are missing."""
    assert {path.name.split(".")[0].split("-")[0] for path in NOW.glob("*.*r*")} >= {*lrrec.models.MODELS, *ADAPTERS}


@pytest.mark.parametrize("name", [path.name for path in NOW.glob("*.*r*") if "strings" not in path.name])
def test_mapped_files_answer_as_others_do(name, histories):
    """Their arrays are read-only, and the same code serves them: kernels are not compiled again for them."""
    loaded = load(NOW, name)
    lists = loaded.recommend_from(histories, 4)
    stored = loaded.recommend(k=4) if len(loaded.users_) else None
    signatures = compiled()
    for verify in (None, True):
        model = load(NOW, name, mmap=True, verify=verify)
        assert_same(model.recommend_from(histories, 4), lists)
        if stored is not None:
            assert_same(model.recommend(k=4), stored)
        if name.endswith(".lrrec"):
            assert not any(getattr(model, one).flags.writeable for one in ("item_counts_", *model._learned))
            assert not model.seen_.data.flags.writeable or not len(model.users_)
    assert compiled() <= signatures


def compiled():
    """What the kernels have been compiled for, or loaded from the cache for, in this process."""
    return {(name, types) for name in kernels.__all__ for types in getattr(getattr(kernels, name), "signatures", ())}


def test_a_mapped_file_is_not_read_before_it_is_used(tmp_path):
    """Damage is found by verify=True, or at the first use of what it makes inconsistent."""
    path = tmp_path / "model"
    whole = bytearray((NOW / "IALS.lrrec").read_bytes())
    with files.opened(NOW / "IALS.lrrec") as (_, header):
        place = header.places["users_.ints"]
    begin = header.n_header + place.begin
    whole[begin : begin + 8] = whole[begin + 8 : begin + 16]  # an id twice
    path.write_bytes(whole)
    model = lrrec.load(path, mmap=True)
    assert len(model.users_) == len(lrrec.load(NOW / "IALS.lrrec").users_)
    with pytest.raises(FileFormatError, match="users_ must be distinct"):
        model.recommend([100])
    for options in ({"mmap": True, "verify": True}, {}):
        with pytest.raises(FileFormatError, match=r"model is damaged: its checksum is not that of its contents"):
            lrrec.load(path, **options)


def test_a_mapped_file_may_be_replaced(tmp_path, histories):
    path = tmp_path / "model"
    path.write_bytes((NOW / "IALS.lrrec").read_bytes())
    mapped, ease = lrrec.load(path, mmap=True), lrrec.load(NOW / "EASE.lrrec")
    before = load(NOW, "IALS.lrrec").recommend_from(histories)
    ease.save(path)
    assert_same(mapped.recommend_from(histories), before)
    assert isinstance(lrrec.load(path), lrrec.EASE)


def test_options_of_load_are_checked(tmp_path):
    path = NOW / "IALS.lrrec"
    for options, error, words in (
        ({"verify": False}, ParameterError, "verify must be True without mmap=True"),
        ({"mmap": 1}, ParameterTypeError, "mmap must be True or False"),
        ({"mmap": True, "verify": 1}, ParameterTypeError, "verify must be True or False"),
    ):
        with pytest.raises(error, match=words):
            lrrec.load(path, **options)
    with path.open("rb") as file, pytest.raises(ParameterError, match="path of a file with mmap=True, got a file obj"):
        lrrec.load(file, mmap=True)
    for wrong in (3, None, io.StringIO("x")):
        for call in (lrrec.load, lrrec.load(path).save):
            with pytest.raises(ParameterTypeError, match="path must be a path or a binary file object, got"):
                call(wrong)


class Slow(io.RawIOBase):
    """A file object that reads and writes a few bytes at a time, as a socket does."""

    def __init__(self, contents=b""):
        self.buffer = io.BytesIO(contents)

    def readinto(self, view):
        return self.buffer.readinto(memoryview(view)[:7])

    def write(self, view):
        return self.buffer.write(view[:7])

    def readable(self):
        return True


class OnlyReads:
    def __init__(self, contents):
        self.read = io.BytesIO(contents).read


def test_file_objects(tmp_path):
    model = lrrec.load(NOW / "IALS.lrrec")
    with gzip.open(tmp_path / "zipped", "wb") as file:
        model.save(file)
    buffer, slow = io.BytesIO(), Slow()
    model.save(buffer)
    model.save(slow)
    model.save(tmp_path / "path")
    whole = buffer.getvalue()
    assert slow.buffer.getvalue() == (tmp_path / "path").read_bytes() == whole
    with gzip.open(tmp_path / "zipped", "rb") as zipped, open(tmp_path / "path", "rb", buffering=0) as raw:
        for file in (zipped, raw, Slow(whole), OnlyReads(whole), io.BytesIO(whole)):
            assert_same(lrrec.load(file).recommend(), model.recommend())
    with pytest.raises(FileFormatError, match="the file object is damaged: it goes on after its last array"):
        lrrec.load(io.BytesIO(whole + b"x"))
    with pytest.raises(FileFormatError, match="ends before it is complete"):
        lrrec.load(io.BytesIO(whole[:-1]))


def test_other_programs_read_the_arrays():
    arrays, model = load_file(NOW / "IALS.lrrec"), lrrec.load(NOW / "IALS.lrrec")
    np.testing.assert_array_equal(arrays["item_factors_"], model.item_factors_)
    assert arrays["checksum"][1] == zlib.crc32((NOW / "IALS.lrrec").read_bytes()[:-4])


def test_what_cannot_be_stored_is_refused(tmp_path):
    for bad in (np.array(["a"]), np.array([None]), np.ones(2, dtype=complex)):
        with pytest.raises(DataError, match="arrays must be of numbers to be saved"):
            files.write(tmp_path / "a", "IALS", {}, {"x": bad})
    assert not list(tmp_path.iterdir())


def test_arrays_of_any_kind_come_back(tmp_path):
    arrays = {
        "big endian": np.arange(3, dtype=">i4"), "empty": np.zeros((3, 0, 2)), "scalar": np.array(2.5),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "bool": np.array([True, False]),
        "half": np.ones(3, dtype=np.float16), "strided": np.arange(10, dtype=np.uint8)[::3],
    }  # fmt: skip
    files.write(tmp_path / "a", "x", {}, arrays)
    for options in ({}, {"mmap": True}):
        found = files.read(tmp_path / "a", **options)[2]
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name].reshape(array.shape), array)


# Damage.


def mutated(whole, rng):
    """A file changed in one of many ways."""
    out, at, n = bytearray(whole), int(rng.integers(len(whole))), int(rng.integers(1, 40))
    n_header = 8 + int.from_bytes(whole[:8], "little")
    match rng.integers(10):
        case 0:
            out[at] ^= 1 << int(rng.integers(8))
        case 1:
            out[at : at + n] = rng.bytes(n)
        case 2:
            del out[at : at + n]
        case 3:
            out[at:at] = rng.bytes(n)
        case 4:
            del out[at:]
        case 5:
            out += rng.bytes(n) if rng.random() < 0.5 else bytes(n)
        case 6:
            out[at : at + n] = bytes(len(out[at : at + n]))
        case 7:
            other = int(rng.integers(len(whole)))
            out[at : at + 8], out[other : other + 8] = out[other : other + 8], out[at : at + 8]
        case 8:  # an edited header
            at = int(rng.integers(8, n_header))
            out[at : at + 1] = bytes([int(rng.choice(list(b'0123456789abcIALS",:{}[] ')))])
        case 9:  # arrays moved within the file
            parts = out[n_header:]
            out[n_header:] = parts[n:] + parts[:n]
    return bytes(out)


def forged(whole, rng):
    """A file changed by somebody who computes the checksums anew."""
    n = int.from_bytes(whole[:8], "little")
    header, arrays = bytearray(whole[: 8 + n]), bytearray(whole[8 + n : -8])
    changed = header if rng.random() < 0.6 or not arrays else arrays
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(8 if changed is header else 0, len(changed)))
        text = b'0123456789.-eNaIALS",:{}[]_ ' if changed is header else bytes(range(256))
        changed[at] = text[int(rng.integers(len(text)))]
    crc = zlib.crc32(header).to_bytes(4, "little")
    body = bytes(header) + bytes(arrays) + crc
    return body + zlib.crc32(body).to_bytes(4, "little")


def attack(n_mutated, n_forged, tmp_path, seed=0):
    """Load changed files of every kind: what is changed is refused, what is forged raises nothing but our errors."""
    rng, path = np.random.default_rng(seed), tmp_path / "changed"
    cases = [(facts["base"] and lrrec.load(NOW / facts["base"]), (NOW / name).read_bytes())
             for name, facts in json.loads((NOW / "expected.json").read_text()).items()]  # fmt: skip
    counts = {"mutated": 0, "refused": 0, "forged": 0, "forged and refused": 0}
    for _ in range(n_mutated):
        base, whole = cases[rng.integers(len(cases))]
        changed = mutated(whole, rng)
        counts["mutated"] += changed != whole
        source = io.BytesIO(changed)
        if rng.random() < 0.2:
            path.write_bytes(changed)
            source = path
        try:
            lrrec.load(source, base=base)
            assert changed == whole, changed
        except FileFormatError:
            counts["refused"] += 1
    assert counts["refused"] == counts["mutated"]
    dense = np.eye(9, dtype=np.float32)
    for _ in range(n_forged):
        base, whole = cases[rng.integers(len(cases))]
        counts["forged"] += 1
        try:
            lrrec.load(io.BytesIO(forged(whole, rng)), base=base).recommend_from(dense, 2)
        except FileFormatError:
            counts["forged and refused"] += 1
        except LrrecError:  # parameters that only a use can check
            pass
    return counts


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_changed_file_loads(tmp_path):
    attack(1500, 300, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_changed_file_loads_soak(tmp_path, seed, figures):
    figures(f"files: {attack(50_000, 10_000, tmp_path, seed)}")


def test_every_bit_counts():
    """Each bit of a file, one after another."""
    whole = bytearray((NOW / "IALS-without-histories.lrrec").read_bytes())
    for bit in range(0, 8 * len(whole), 5):
        whole[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FileFormatError):
            lrrec.load(io.BytesIO(whole))
        whole[bit // 8] ^= 1 << bit % 8
    lrrec.load(io.BytesIO(whole))


def test_hostile_headers_are_refused_before_memory_is_asked_for(tmp_path):
    entry = {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}
    checksum = {"dtype": "U32", "shape": [2], "data_offsets": [2**62, 2**62 + 8]}
    for arrays in (
        {"x": entry, "checksum": checksum}, {"x": entry | {"shape": [-1, -1]}}, {"x": entry | {"shape": [True]}},
        {"x": entry | {"dtype": "F99"}}, {"x": 3}, {"checksum": entry}, {},
    ):  # fmt: skip
        text = json.dumps({"__metadata__": {"format": files.FORMAT, "kind": "IALS", "params": "{}"}, **arrays}).encode()
        whole = len(text).to_bytes(8, "little") + text + bytes(64)
        (tmp_path / "a").write_bytes(whole)
        for source, options in ((tmp_path / "a", {}), (io.BytesIO(whole), {}), (tmp_path / "a", {"mmap": True})):
            with pytest.raises(FileFormatError):
                lrrec.load(source, **options)
    for text in (
        b"[" * 10**5,
        b"\xff" * 64,
        b'{"__metadata__": {"format": "lrrec-2"}}',
        b"null",
        b'{"__metadata__": 1}',
    ):
        with pytest.raises(FileFormatError, match="not a file saved by lrrec"):
            lrrec.load(io.BytesIO(len(text).to_bytes(8, "little") + text + bytes(64)))


# Interrupted saves.

KILLS = """
import os, random, signal, sys, time
from lrrec import files
folder, n_kills, path = sys.argv[1], int(sys.argv[2]), os.path.join(sys.argv[1], "model")
models, wholes = [files.read(old) for old in sys.argv[3:]], []
for model in models:
    files.write(path, *model)
    wholes.append(open(path, "rb").read())
rng, most = random.Random(0), 0
for _ in range(n_kills):
    child = os.fork()
    if not child:
        while True:
            for model in models:
                files.write(path, *model)
    time.sleep(rng.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert open(path, "rb").read() in wholes
    most = max(most, len(os.listdir(folder)) - 1)
assert most <= 1, most  # the next save deletes what a killed one left
files.write(path, *models[0])
assert os.listdir(folder) == ["model"], os.listdir(folder)
print(n_kills, "kills survived; left behind at most", most, "files")
"""


def kill(n_kills, folder):
    names = [str(NOW / name) for name in ("IALS.lrrec", "EASE.lrrec")]
    done = subprocess.run([sys.executable, "-c", KILLS, folder, str(n_kills), *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_save_leaves_the_old_file(tmp_path):
    kill(20, tmp_path)


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_save_leaves_the_old_file_soak(tmp_path, figures):
    figures(kill(1000, tmp_path))


def test_unfinished_files_of_the_living_are_left_alone(tmp_path):
    path = tmp_path / "model"
    with files.replacing(path) as file:
        file.write(b"slow")
        lrrec.load(NOW / "IALS.lrrec").save(path)
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_bytes() == b"slow"
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


class FullDisk:
    """A file whose n-th write, or what comes after the writes, fails."""

    def __init__(self, file, n):
        self.file, self.n = file, n

    def write(self, part):
        self.n -= 1
        if self.n < 0:
            self.file.write(bytes(part)[: len(part) // 2])
            raise OSError(28, "No space left on device")
        return self.file.write(part)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def unchanged(folder, before):
    return [path.name for path in folder.iterdir()] == ["model"] and (folder / "model").read_bytes() == before


def test_a_full_disk_leaves_the_old_file_whenever_it_is_full(tmp_path, monkeypatch):
    model, path = lrrec.load(NOW / "IALS.lrrec"), tmp_path / "model"
    lrrec.load(NOW / "EASE.lrrec").save(path)
    before, unfinished, n = path.read_bytes(), files._unfinished, 0

    def limited(target):
        file, name = unfinished(target)
        return FullDisk(file, n), name

    with monkeypatch.context() as patch:
        patch.setattr(files, "_unfinished", limited)
        while True:
            try:
                model.save(path)
                break
            except OSError:
                assert unchanged(tmp_path, before)
                n += 1
    assert n > 5
    assert_same(lrrec.load(path).recommend(), model.recommend())
    before = path.read_bytes()
    for name in ("fsync", "replace", "chmod"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, lambda *args: FullDisk(io.BytesIO(), 0).write(b"x"))
            with pytest.raises(OSError, match="No space left"):
                lrrec.load(NOW / "EASE.lrrec").save(path)
        assert unchanged(tmp_path, before)


def test_an_error_of_the_disk_while_writing_is_not_lost(tmp_path, monkeypatch):
    """The system reports it to the first who brings the file to the disk, and to nobody after."""
    path, calls = tmp_path / "model", []
    path.write_bytes(b"before")

    def fails_once(handle):
        calls.append(handle)
        if len(calls) == 1:
            raise OSError("Input/output error")

    monkeypatch.setattr(files.os, "fsync", fails_once)
    monkeypatch.setattr(files, "SYNC_SECONDS", 0.0)
    with pytest.raises(OSError, match="Input/output error"), files.replacing(path) as file:  # noqa: PT012
        file.write(b"after")
        while not calls:
            time.sleep(0.001)
    assert unchanged(tmp_path, b"before")


def test_a_file_system_that_takes_no_more_leaves_the_old_file(tmp_path):
    model, path = lrrec.load(NOW / "IALS.lrrec"), tmp_path / "model"
    model.save(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in range(0, len(before), 97):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                model.save(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert unchanged(tmp_path, before)


# lrrec info.


@pytest.mark.parametrize("name", ["IALS.lrrec", "IALS-without-histories.lrrec", "LowRank.adapter"])
def test_info(name, monkeypatch, capsys):
    from lrrec import cli

    monkeypatch.setattr(file_format, "read_arrays", None)  # nothing is loaded
    monkeypatch.setattr(sys, "argv", ["lrrec", "info", str(NOW / name)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr().out
    assert not stop.value.code
    monkeypatch.undo()
    base = lrrec.load(NOW / "IALS.lrrec")
    fingerprint = lrrec.models.base.model_files.fingerprint(base)
    kind = name.replace("-", ".").split(".")[0]
    for words in (
        f"kind: {kind}", f"format: {files.FORMAT}", f"bytes: {(NOW / name).stat().st_size:,}", fingerprint, "reg=",
        f"users' histories: {'no' if 'without' in name else 'yes'}", "of the header right", "float32",
    ):  # fmt: skip
        assert words in shown
    if "adapter" not in name:
        assert "9 x 2" in shown


def test_info_of_damaged_files(tmp_path, monkeypatch, capsys):
    from lrrec import cli

    whole = bytearray((NOW / "IALS.lrrec").read_bytes())
    whole[-30] ^= 1
    (tmp_path / "m").write_bytes(whole)
    for words, code in ((["info", str(tmp_path / "m")], 0), (["info", str(tmp_path / "m"), "--verify"], 1)):
        monkeypatch.setattr(sys, "argv", ["lrrec", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert (stop.value.code or 0) == code
    assert "is damaged" in capsys.readouterr().err


def test_mapping_is_of_the_whole_file():
    """Not of a copy."""
    model = lrrec.load(NOW / "IALS.lrrec", mmap=True)
    base = model.item_factors_
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def test_unknown_users_of_a_file_without_histories(histories):
    model = lrrec.load(NOW / "IALS-without-histories.lrrec")
    with pytest.raises(UnknownIdError, match=r"saved without histories: use recommend_from\(histories\)"):
        model.recommend([100])
    for call in (model.recommend, lambda: model.recommend([100], unknown="popular"), lambda: model.compress(1),
                 lambda: model.item_precision_, lambda: model.recommend_all("nowhere")):  # fmt: skip
        with pytest.raises(DataError, match="and the model was saved without them: use recommend_from"):
            call()
    with pytest.raises(UnknownIdError):
        model.predict([100], [3])
    whole = lrrec.load(NOW / "IALS.lrrec")
    options = {"unknown": "popular", "exclude_seen": False}
    assert_same(model.recommend([5], 3, **options), whole.recommend([5], 3, **options))


def test_a_compressed_model_of_ratings_loads(tmp_path, ratings):
    compressed = lrrec.ALS(8, random_state=0).fit(ratings).compress(4)
    compressed.save(tmp_path / "model.lrrec")
    loaded = lrrec.load(tmp_path / "model.lrrec")
    users, items = ratings.users.ids[:5], ratings.items.ids[:5]
    np.testing.assert_array_equal(loaded.predict(users, items), compressed.predict(users, items))
    for model in (compressed, loaded):
        with pytest.raises(DataError, match="a compressed ALS cannot predict a baseline"):
            model.predict([-1], items[:1], unknown="baseline")
        with pytest.raises(DataError, match="a compressed ALS cannot tell item_precision_"):
            model.item_precision_


@pytest.mark.parametrize("clip", [False, True])
def test_a_baseline_needs_the_ratings(tmp_path, ratings, clip):
    lrrec.ALS(2, clip=clip, random_state=0).fit(ratings).save(tmp_path / "model.lrrec", histories=False)
    model = lrrec.load(tmp_path / "model.lrrec")
    assert np.isnan(model.predict([-1], ratings.items.ids[:1], unknown="nan")).all()
    with pytest.raises(DataError, match="saved without them"):
        model.predict([-1], ratings.items.ids[:1], unknown="baseline")


def test_a_neural_baseline_is_known_without_users(tmp_path, ratings):
    pytest.importorskip("torch")
    model = lrrec.NeuralMF(2, n_hidden=3, loss="ratings", n_epochs=2, random_state=0).fit(ratings)
    model.save(tmp_path / "model.lrrec", histories=False)
    users, items = [-1, -1], [ratings.items.ids[0], -5]
    expected = model.predict(users, items, unknown="baseline")
    np.testing.assert_array_equal(
        lrrec.load(tmp_path / "model.lrrec").predict(users, items, unknown="baseline"), expected
    )


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    users, items = np.nonzero(rng.random((40, 20)) < 0.4)
    return lrrec.Interactions.from_pairs(users, items, values=rng.integers(1, 6, len(users)))


@pytest.mark.parametrize("statistics", ["scores", "interactions"])
def test_an_item_item_adapter_refuses_a_base_with_other_users(tmp_path, statistics):
    rng = np.random.default_rng(0)
    V, U = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(60, 4)).astype(np.float32)
    target = lrrec.Interactions.from_matrix((rng.random((20, 30)) < 0.2).astype(np.float32))

    def base(rows):
        seen = lrrec.Interactions.from_matrix((U[rows] @ V.T > 1).astype(np.float32))
        options = {} if statistics == "scores" else {"seen": seen}
        return lrrec.interop.from_factors(
            U[rows], V, users=np.arange(len(rows)), items=np.arange(30), unobserved_weight=0.1, reg=0.1, **options
        )

    fitted, same, other = base(np.arange(60)), base(np.arange(60)), base(np.repeat(np.arange(30), 2))
    adapter = lrrec.adapt.ItemItem(weight=3.0, reg=1.0, scaling=0.5, statistics=statistics).fit(target, base=fitted)
    adapter.save(tmp_path / "a.adapter")
    loaded = lrrec.load(tmp_path / "a.adapter", base=same)
    assert (loaded.recommend_from(target).items == adapter.recommend_from(target).items).all()
    with pytest.raises(FileFormatError, match="other users"):
        lrrec.load(tmp_path / "a.adapter", base=other)
