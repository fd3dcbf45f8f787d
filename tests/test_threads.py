"""Blocks cover all rows once, share the work evenly and stop at an error; BLAS has one thread meanwhile."""

import contextlib
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

import lrrec
from lrrec.linalg import threads
from lrrec.linalg.threads import balanced_blocks, even_blocks, one_threaded_blas, run_blocks


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 20))
def test_blocks_cover_every_row_once(counts, n_blocks):
    blocks = balanced_blocks(np.concatenate(([0], np.cumsum(counts))), n_blocks)
    assert [row for start, stop in blocks for row in range(start, stop)] == list(range(len(counts)))
    assert all(start < stop for start, stop in blocks)


def test_blocks_have_equal_work():
    counts = np.random.default_rng(0).integers(0, 100, 10_000)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    work = [indptr[stop] - indptr[start] for start, stop in balanced_blocks(indptr, 8)]
    assert max(work) < 1.1 * min(work)


def test_even_blocks():
    assert even_blocks(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert even_blocks(0, 3) == []


@pytest.mark.parametrize("n_threads", [1, 4])
def test_all_work_is_done(n_threads):
    rows = np.zeros(100)

    def work(start, stop):
        rows[start:stop] += 1

    run_blocks(work, even_blocks(100, 7), n_threads)
    assert (rows == 1).all()


def test_an_error_stops_the_rest():
    begun, lock = [], threading.Lock()

    def work(start, stop):
        with lock:
            begun.append(start)
        if start == 3:
            raise ArithmeticError("here")

    with pytest.raises(ArithmeticError, match="here"):
        run_blocks(work, even_blocks(10_000, 1), 2)
    assert len(begun) < 100


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def set_blas_threads(n_threads):
    """From a thread that ends: threadpoolctl lets nobody else change what a living thread has set."""
    thread = threading.Thread(target=threadpool_limits, args=(n_threads, "blas"))
    thread.start()
    thread.join()


@pytest.fixture
def many_blas_threads():
    """BLAS on three threads, whatever the machine has, so that a limit of one shows."""
    before = max(blas_threads())
    set_blas_threads(3)
    if blas_threads() != {3}:
        pytest.skip("this BLAS has one thread")
    yield
    set_blas_threads(before)


def fail():
    raise ArithmeticError


class Holder(threading.Thread):
    """Enters `one_threaded_blas` on a thread of its own, and leaves when told to, by an error if it is given one."""

    def __init__(self, error=None):
        super().__init__(daemon=True)
        self.error, self.inside, self.may_leave = error, threading.Event(), threading.Event()
        self.start()
        self.inside.wait(10)

    def run(self):
        with contextlib.suppress(ArithmeticError):
            self.hold()

    @one_threaded_blas
    def hold(self):
        self.inside.set()
        self.may_leave.wait(10)
        if self.error:
            raise self.error

    def leave(self):
        self.may_leave.set()
        self.join(10)


@pytest.mark.usefixtures("many_blas_threads")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("error", [None, ArithmeticError()], ids=["", "error"])
def test_blas_has_one_thread_until_the_last_holder_leaves(order, error):
    holders = [Holder(error) for _ in range(3)]
    for place in order:
        assert blas_threads() == {1}
        holders[place].leave()
    assert blas_threads() == {3}


@pytest.mark.usefixtures("many_blas_threads")
def test_blas_has_one_thread_until_the_outermost_block_of_a_thread_ends():
    @one_threaded_blas
    def outer():
        with contextlib.suppress(ArithmeticError):
            one_threaded_blas(fail)()
        assert blas_threads() == {1}
        return Holder()

    other = outer()
    assert blas_threads() == {1}
    other.leave()
    assert blas_threads() == {3}


@pytest.mark.usefixtures("many_blas_threads")
def test_a_failed_limit_leaves_no_holder_behind(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(threads, "_blas_libraries", fail)
        with pytest.raises(ArithmeticError):
            one_threaded_blas(blas_threads)()
    assert one_threaded_blas(blas_threads)() == {1}
    assert blas_threads() == {3}


def test_blocks_inside_of_a_block_stay_on_its_thread():
    idents = set()

    def outer(start, stop):
        ident = threading.get_ident()
        run_blocks(lambda *_: idents.add((ident, threading.get_ident())), even_blocks(8, 1), 4)

    run_blocks(outer, even_blocks(4, 1), 2)
    assert all(outer == inner for outer, inner in idents)
    seen, meet = set(), threading.Barrier(2, timeout=10)  # afterwards a call uses its threads again

    def work(start, stop):
        seen.add(threading.get_ident())
        meet.wait()

    run_blocks(work, even_blocks(2, 1), 2)
    assert len(seen) == 2


@pytest.mark.parametrize("model", [lrrec.IALS(8, n_iter=2), lrrec.TruncatedSVD(8)], ids=repr)
def test_single_requests_start_no_thread_and_set_no_limit(likes, model, monkeypatch):
    """Those of many threads at once would wait for each other."""
    model.set_params(random_state=0).fit(likes)
    user = likes.users.ids[[0]]
    one, own = likes.filter(likes.rows() == 0), model.recommend(user).items
    model.recommend_from(one)  # what depends on the model alone is found here

    def refuse(*_):
        raise AssertionError("a thread or a limit")

    monkeypatch.setattr(threads._Limit, "update", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    np.testing.assert_array_equal(model.recommend(user).items, own)
    np.testing.assert_array_equal(model.recommend_from(one).items, own)
