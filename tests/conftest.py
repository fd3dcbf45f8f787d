"""Fixtures: the made-up data for everybody, the real data where they are."""

import os
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from checks import population
from hypothesis import settings
from threadpoolctl import threadpool_limits

import lrrec

settings.register_profile("lrrec", deadline=None, max_examples=30)  # times say nothing on a busy machine
settings.load_profile("lrrec")
os.environ.setdefault("MPLBACKEND", "agg")  # no windows
REAL = Path(os.environ.get("LRREC_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session", autouse=True)
def libraries_on_one_thread():
    """Models this small only wait for each other's threads."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    setter = threading.Thread(target=threadpool_limits, args=(1,))  # one that ends: others may change it again
    setter.start()
    setter.join()


def pytest_collection_modifyitems(items):
    for item in items:
        if "realdata" in item.keywords and not REAL.is_dir():
            item.add_marker(pytest.mark.skip(reason="needs LRREC_DATA or ../shared/data"))


@pytest.fixture
def figures(request, record_property):
    """Report a line in the summary of the run, if the test is a long one."""
    is_long = request.node.get_closest_marker("soak") is not None
    return partial(record_property, "figures") if is_long else lambda line: None


def pytest_terminal_summary(terminalreporter):
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, line in getattr(report, "user_properties", ()):
                if name == "figures" and report.when == "call":
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {line}")


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data sets."""
    return REAL


@pytest.fixture(scope="session")
def made_up():
    return lrrec.datasets.load("made-up")


@pytest.fixture(scope="session")
def likes(made_up):
    """The made-up likes: about 400 users by 300 items, with times."""
    return made_up.interactions(min_rating=4)


@pytest.fixture(scope="session")
def split(likes):
    return lrrec.splits.by_user(likes, random_state=0)


@pytest.fixture(scope="session")
def small():
    """A small random weight matrix with an empty row, an empty column and a full row."""
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((30, 20)) < 0.3, rng.integers(1, 5, (30, 20)), 0).astype(np.float32)
    dense[4], dense[:, 7], dense[9] = 0, 0, 2
    dense[9, 7] = 0
    return sp.csr_array(dense)


@pytest.fixture(scope="session")
def source(made_up, likes):
    return population(made_up, likes, "source")


@pytest.fixture(scope="session")
def target(made_up, likes):
    """Over all items, some of which the base has never seen."""
    abroad = made_up.users.set_index("user").population[likes.users.ids].to_numpy() == "target"
    few = likes.filter(abroad[likes.rows()])
    return lrrec.Interactions(few.matrix[abroad], lrrec.IdMap(few.users.ids[abroad]), few.items)


@pytest.fixture(scope="session")
def parts(target):
    """60 users to adapt to; the histories and test interactions of the others."""
    few = target.rows() < 60
    rest = target.filter(~few)
    first = lrrec.splits.history_mask(rest, 0.5, np.random.default_rng(0).random(len(rest)))
    return target.filter(few), rest.filter(first), rest.filter(~first)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line and return (exit code, standard output, standard error)."""
    from lrrec import cli

    monkeypatch.setenv("COLUMNS", "140")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lrrec", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """An empty cache, no data of the user's, and nothing that can be downloaded."""
    monkeypatch.setenv("LRREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LRREC_DATA", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr("pooch.HTTPDownloader.__call__", _refuse)
    return tmp_path


def _refuse(*args, **kwargs):
    import requests

    raise requests.ConnectionError("no network in tests")
