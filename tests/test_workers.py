"""Fits and recommendations are equal, and do not hang, in forked and spawned processes, under joblib and in threads."""

import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import pytest

import lrrec
from lrrec.adapt import domain_fits
from lrrec.linalg import threads

TIMEOUT = 120


def answer(seed, model=None):
    """What a worker does: the factors of a new fit, and the lists of it or of a model that came with the call.

    Not the scores: BLAS has one thread or more, as others fit or not, and they differ in their last digits.
    """
    data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    fitted = lrrec.IALS(8, n_iter=2, random_state=seed).fit(data)
    lists = (model or fitted).recommend(k=5)
    return fitted.item_factors_.tobytes(), fitted.user_factors_.tobytes(), lists.items.tolist()


@pytest.fixture(scope="module")
def model(likes):
    return lrrec.IALS(8, n_iter=2, random_state=5).fit(likes)


@pytest.fixture(scope="module")
def expected(model):
    return [answer(seed, model) for seed in range(2)]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("fork", marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")),
        pytest.param("spawn", marks=pytest.mark.slow),
    ],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes(method, model, expected):
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        futures = [pool.submit(answer, seed, model) for seed in range(2)]
        assert [future.result(TIMEOUT) for future in futures] == expected


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading"])
def test_joblib(backend, model, expected):
    parallel = joblib.Parallel(n_jobs=2, backend=backend, timeout=TIMEOUT)
    assert parallel(joblib.delayed(answer)(seed, model) for seed in range(2)) == expected


@pytest.mark.slow
def test_processes_fit_the_adapters_that_one_process_fits(likes, model, monkeypatch):
    by = likes.users.ids % 4
    adapter = lrrec.adapt.LowRank(rank=2, reg=1.0, fold_in_reg=0.01)
    alone = lrrec.AdapterBank(model).fit_many(likes, by, adapter=adapter, n_jobs=1)
    monkeypatch.setattr(domain_fits, "WORTH_PROCESSES", 0)
    shared = lrrec.AdapterBank(model).fit_many(likes, by, adapter=adapter, n_jobs=2)
    assert list(shared) == list(alone) == sorted(set(by.tolist()), key=by.tolist().index)
    for name in alone:
        assert shared[name].recommend(k=5).items.tolist() == alone[name].recommend(k=5).items.tolist()
        for array in ("item_factors_", "user_factors_", "seen_", "items_"):  # a copy for each would fill the memory
            assert getattr(shared[name].base_, array) is getattr(model, array)
        assert shared[name].domain_.items is model.items_


def test_threads(model, expected):
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(answer, [0, 1] * 4, [model] * 8, timeout=TIMEOUT)
        assert list(answers) == expected * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_during_a_fit_of_another_thread_works(model, expected):
    """The child has neither the thread that limits BLAS nor the thread that holds the lock of the limit."""
    inside, leave = threading.Event(), threading.Event()

    @threads.one_threaded_blas
    def hold():
        with threads._limit.lock:
            inside.set()
            leave.wait(TIMEOUT)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait(TIMEOUT)
    child = os.fork()
    if not child:
        signal.alarm(TIMEOUT)
        right = not threads._limit.in_force and answer(0, model) == expected[0]
        sys.stdout.flush()
        os._exit(0 if right else 1)
    leave.set()
    other.join(TIMEOUT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
