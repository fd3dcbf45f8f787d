"""The kernels' cache: any folder that can be written, or none, without a word; `lrrec warmup` fills it."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from numba.core import caching
from typer.testing import CliRunner

import lrrec
from lrrec import linalg
from lrrec.cli import app
from lrrec.linalg import jit
from lrrec.linalg.sparse import co_occurrences, times
from lrrec.metrics import count_hits, measure

USE = """
import os, sys
from numba.core.caching import _CacheLocator
ensure = _CacheLocator.ensure_cache_path
def read_only(locator):  # permission bits do not bind root, as whom tests of images often run
    if not locator.get_cache_path().startswith(os.environ["TMPDIR"]):
        raise PermissionError(locator.get_cache_path())
    ensure(locator)
_CacheLocator.ensure_cache_path = read_only

import lrrec
lrrec.load(sys.argv[1])
import numpy as np
from lrrec.metrics import kernels
out = np.empty(2, np.int32)
kernels.look_up(0, 2, np.array([5, 7]), 5, np.zeros(1, np.int32), out)
assert out.tolist() == [0, -1]
print(kernels.look_up.stats.cache_path)
"""


@pytest.mark.slow
def test_a_model_loads_from_a_read_only_image(tmp_path):
    """Neither the package, nor HOME, nor NUMBA_CACHE_DIR can be written: not a word, and a temporary cache."""
    lrrec.Popularity().fit([[1, 1, 0], [0, 1, 1]]).save(tmp_path / "model.lrrec")
    variables = {"HOME": "/nowhere", "NUMBA_CACHE_DIR": "/nowhere/numba", "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE, str(tmp_path / "model.lrrec")],
        env=os.environ | variables, capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    package = os.path.dirname(lrrec.__file__)  # whose own cache is read where it was filled before
    assert run.stdout.startswith((str(tmp_path), package))


@pytest.fixture
def nothing_can_be_written(monkeypatch, tmp_path):
    """What numba's own locators say where no folder of theirs can be written; temporary files are in tmp_path."""
    for locator in caching.CacheImpl._locator_classes[1:]:
        monkeypatch.setattr(locator, "from_function", classmethod(lambda cls, function, path: None))
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def doubler():
    @jit.kernel()
    def double(x):
        return 2 * x

    return double


def test_the_cache_is_among_temporary_files(nothing_can_be_written):
    assert doubler()(3) == 6
    (folder,) = nothing_can_be_written.iterdir()
    assert list(folder.rglob("*.nbi"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert jit.config.CACHE_DIR == ""


def test_a_cache_that_was_filled_before_is_read_where_it_cannot_be_written(monkeypatch, tmp_path):
    """As in an image that `lrrec warmup` was run in."""
    filled = tmp_path / "filled"
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(filled))
    assert doubler()(3) == 6
    before = {path: path.stat().st_mtime_ns for path in filled.rglob("*")}

    def refuse(locator):
        raise PermissionError(locator.get_cache_path())

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    double = doubler()
    assert double(3) == 6
    assert sum(double.stats.cache_hits.values()) == 1
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*")} == before
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path / "empty"))
    double = doubler()
    assert double(3) == 6
    assert not sum(double.stats.cache_hits.values())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs permission bits")
@pytest.mark.parametrize("fault", ["others can write", "a link", "no folder at all"])
def test_a_folder_that_is_not_private_is_not_used(nothing_can_be_written, fault):
    """What is in a cache is run."""
    folder = nothing_can_be_written / f"lrrec-kernels-{os.getuid()}"
    elsewhere = nothing_can_be_written / "elsewhere"
    elsewhere.mkdir()
    if fault == "others can write":
        folder.mkdir()
        folder.chmod(0o777)
    elif fault == "a link":
        folder.symlink_to(elsewhere)
    else:
        folder.touch()
    assert doubler()(3) == 6
    assert not list(elsewhere.iterdir())
    assert folder.is_file() or not list(folder.iterdir())


@pytest.mark.parametrize("method", ["load_overload", "save_overload"])
def test_a_full_or_vanished_disk_is_no_error(method, monkeypatch, tmp_path):
    def fail(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit.FunctionCache, method, fail)
    assert doubler()(3) == 6


def test_no_kernel_is_compiled_again_for_another_form_of_a_matrix(small):
    """SciPy's matrices have indices of 32 or of 64 bits, as they came about; those of mapped files are read-only."""

    def used(indices):
        matrix = small.copy()
        matrix.indptr, matrix.indices = matrix.indptr.astype(indices), matrix.indices.astype(indices)
        for array in (matrix.data, matrix.indices, matrix.indptr):
            array.flags.writeable = indices == np.int32
        X = np.ones((matrix.shape[1], 3), dtype=np.float32)
        linalg.truncated_svd(matrix, 2, random_state=0)
        linalg.solve_rows(matrix, X, linalg.Objective(), solver="cg")
        loss = linalg.Objective().quadratic_loss(matrix)
        lists = np.zeros((matrix.shape[0], 1), dtype=np.int32 if indices == np.int32 else np.int64)[:, ::-1]
        rows = np.arange(matrix.shape[0])
        return [
            linalg.solve_rows(matrix, X, linalg.Objective()), times(matrix, X), co_occurrences(matrix),
            np.array(loss.loss(loss.times(loss.linear, X), X)), measure(lists, matrix, rows, ["ndcg@1"])[0],
            count_hits(lists, matrix, rows), lrrec.EASE().fit(matrix).recommend(k=2).items.filled(-1),
        ]  # fmt: skip

    before = used(np.int32)
    compiled = {kernel.py_func.__name__: kernel.signatures[:] for kernel in jit.KERNELS}
    for one, other in zip(before, used(np.int64), strict=True):
        np.testing.assert_array_equal(one, other)
    assert {kernel.py_func.__name__: kernel.signatures for kernel in jit.KERNELS} == compiled


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_warmup_uses_every_kernel():
    run = CliRunner().invoke(app, ["warmup"])
    assert run.exit_code == 0, run.output
    assert [kernel.py_func.__name__ for kernel in jit.KERNELS if not kernel.overloads] == []


FIT = """
import lrrec
from lrrec.linalg.jit import KERNELS
data = lrrec.datasets.load("made-up").interactions(min_rating=4)
split = lrrec.splits.by_user(data, random_state=0)
for model in (lrrec.IALS(8, random_state=0), lrrec.ALS(8, random_state=0), lrrec.TruncatedSVD(8, random_state=0)):
    model.fit(split.train)
    print(model.item_factors_.tobytes().hex(), model.user_factors_.tobytes().hex())
    lrrec.evaluate(model, split)
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in KERNELS))
"""


@pytest.mark.slow
def test_after_a_warmup_nothing_is_compiled_and_results_are_the_same(tmp_path):
    """A kernel that is compiled and one that is loaded give the same bits."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run(*command):
        return subprocess.run(
            [sys.executable, *command], env=environment, capture_output=True, text=True, check=True
        ).stdout.split("\n")

    *compiled, n_compiled, _ = run("-c", FIT)
    shutil.rmtree(tmp_path)
    run("-m", "lrrec", "warmup")
    *loaded, n_loaded, _ = run("-c", FIT)
    assert int(n_compiled) > 0 == int(n_loaded)
    np.testing.assert_array_equal(compiled, loaded)
