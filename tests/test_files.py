"""Saved models: whole or not at all, and hostile files are refused."""

import copy
import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file

import lrrec
from lrrec import adapt, file_format, files
from lrrec.errors import DataError, FileFormatError
from lrrec.models.base import model_files


@pytest.fixture
def saved(likes, tmp_path):
    path = tmp_path / "model.lrrec"
    lrrec.IALS(n_factors=4, n_iter=2, random_state=0).fit(likes).save(path)
    return path


def rewrite(path, change=None, header=None):
    kind, params, arrays = files.read(path)
    if change:
        change(arrays)
    strings = {"format": files.FORMAT, "kind": kind, "params": json.dumps(params)} | (header or {})
    with open(path, "wb") as file:
        file_format.write(file, strings, arrays)


def test_every_truncation_is_refused(saved):
    whole = saved.read_bytes()
    for size in [0, 1, 7, 8, 9, 100, 500, len(whole) // 2, len(whole) - 1]:
        saved.write_bytes(whole[:size])
        with pytest.raises(FileFormatError, match=r"model\.lrrec"):
            lrrec.load(saved)


def test_random_bytes_are_refused(saved):
    rng = np.random.default_rng(0)
    for _ in range(20):
        saved.write_bytes(rng.bytes(300))
        with pytest.raises(FileFormatError):
            lrrec.load(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("item_factors_"), r"missing \['item_factors_'\]"),
        (lambda a: a.update(surprise=np.ones(2)), r"unexpected \['surprise'\]"),
        (
            lambda a: a.update(user_factors_=a["user_factors_"][:-1].copy()),
            r"user_factors_ must be float32 \(420, 4\), got",
        ),
        (
            lambda a: a.update(item_factors_=a["item_factors_"].astype(np.float64)),
            r"item_factors_ must be float32 \(319, 4\), got float64",
        ),
        (
            lambda a: a.update(item_factors_=a["item_factors_"][:, :3].copy()),
            r"item_factors_ must be float32 \(319, 4\), got float32 \(319, 3\)",
        ),
        (lambda a: a.update({"users_.ints": a["users_.ints"][:-1].copy()}), "seen_ must be users x items"),
        (lambda a: a.update({"users_.ints": np.zeros_like(a["users_.ints"])}), "users_ must be distinct"),
        (lambda a: a.pop("users_.ints"), "users_ must be distinct ids"),
        (lambda a: a.update({"seen_.indices": a["seen_.indices"] + 10**6}), "seen_ must be a csr matrix"),
        (lambda a: a.update({"seen_.indptr": a["seen_.indptr"][::-1].copy()}), "seen_ must be a csr matrix"),
        (lambda a: a.pop("seen_.data"), "seen_ must be a csr matrix"),
        (lambda a: a.update({"seen_.data": 0 * a["seen_.data"]}), "seen_ must be a csr matrix"),
        (lambda a: a.update({"seen_.indices": a["seen_.indices"] + 0.4}), "seen_ must be a csr matrix"),
        (lambda a: a["item_factors_"].fill(np.nan), "item_factors_ must be finite"),
    ],
)
def test_inconsistent_files_are_refused(saved, change, words):
    rewrite(saved, change)
    with pytest.raises(FileFormatError, match=words):
        lrrec.load(saved)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"format": "lrrec-99"}, "has format 'lrrec-99': this version of lrrec reads 'lrrec-2'"),
        ({"kind": "os.system"}, f"must hold one of {', '.join(lrrec.models.MODELS)}, .*got 'os"),
        ({"params": "{"}, "parameters in its header"),
        ({"params": "[]"}, "parameters in its header"),
        ({"params": '{"nonsense": 1}'}, "parameters of IALS"),
    ],
)
def test_strange_headers_are_refused(saved, header, words):
    rewrite(saved, header=header)
    with pytest.raises(FileFormatError, match=words):
        lrrec.load(saved)


def test_missing_files_and_folders(saved, tmp_path, likes):
    with pytest.raises(FileFormatError, match="does not exist"):
        lrrec.load(tmp_path / "none")
    model = lrrec.Popularity().fit(likes)
    with pytest.raises(FileFormatError, match="folder that exists"):
        model.save(tmp_path / "none" / "model")
    with pytest.raises(FileFormatError, match="must be a file, got the folder"):
        model.save(tmp_path)


def test_a_failed_save_leaves_the_old_file(saved, likes, monkeypatch):
    before = saved.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(file_format, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        lrrec.Popularity().fit(likes).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_parameters_that_cannot_be_saved(likes, tmp_path):
    model = lrrec.IALS(n_factors=2, n_iter=1).fit(likes).set_params(random_state=object())
    with pytest.raises(DataError, match="numbers, arrays, strings or None"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_links_stay_and_devices_are_refused(saved, likes, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    lrrec.Popularity().fit(likes).save(link)
    assert link.is_symlink()
    assert type(lrrec.load(saved)) is lrrec.Popularity
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="device or pipe"):
        lrrec.Popularity().fit(likes).save(tmp_path / "pipe")


def test_fortran_order_survives(tmp_path):
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    files.write(tmp_path / "a", "IALS", {"x": np.float32(1)}, {"array": array})
    np.testing.assert_array_equal(load_file(tmp_path / "a")["array"], array)
    assert files.read(tmp_path / "a")[1] == {"x": 1.0}


def test_large_arrays_are_told_apart_by_every_part(likes, monkeypatch):
    monkeypatch.setattr(model_files, "PART", 1000)
    model = lrrec.IALS(6, n_iter=1, random_state=0).fit(likes)
    V = model.item_factors_
    assert V.nbytes > 5000
    fingerprints = {model_files.fingerprint(model)}
    for place in (0, 300, V.size - 1):
        other = copy.copy(model)
        other.item_factors_ = V.copy()
        other.item_factors_.flat[place] += 1
        fingerprints.add(model_files.fingerprint(other))
    assert len(fingerprints) == 4
    assert model_files.fingerprint(model) in fingerprints


@pytest.mark.parametrize("name", ["IALS", "EASE", "RP3Beta", "Popularity", "TruncatedSVD", "Blend"])
def test_half_precision(name, likes, tmp_path):
    model = getattr(lrrec, name)()
    model.set_params(**{key: 0 for key in ("random_state",) if key in model.get_params()}).fit(likes)
    model.save(tmp_path / "whole")
    model.save(tmp_path / "half", float16=True)
    loaded = lrrec.load(tmp_path / "half", mmap=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("half", "whole")]
    dense = name not in ("RP3Beta", "Popularity")  # those learn no dense array
    assert sizes[0] < sizes[1] if dense else sizes[0] == sizes[1]
    with open(tmp_path / "half", "rb") as file:
        stored = file_format.read_header(file, "half").strings["fingerprint"]
    assert stored == model_files.fingerprint(loaded)
    assert (stored == model_files.fingerprint(model)) == (not dense)
    mine, other = (one.recommend(k=10).items for one in (model, loaded))
    assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(mine, other, strict=True)]) > 0.97


@pytest.mark.parametrize("scale", [1e-7, 1e6])
def test_values_that_half_precision_does_not_hold_are_refused(scale, likes, tmp_path):
    model = lrrec.IALS(4, n_iter=1, random_state=0).fit(likes)
    model.item_factors_ = model.item_factors_ * np.float32(scale)
    with pytest.raises(DataError, match="item_factors_ has values that float16 cannot hold"):
        model.save(tmp_path / "half", float16=True)
    assert not any(tmp_path.iterdir())
    model.save(tmp_path / "whole")
    adapter = adapt.Anchored(reg=1.0, fold_in_reg=0.1, new_item_reg=1.0).fit(likes, base=model)
    with pytest.raises(DataError, match="has values that float16 cannot hold"):
        adapter.save(tmp_path / "adapter", float16=True)
