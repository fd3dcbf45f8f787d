"""Blocks: they cover all rows once, share the work evenly, and stop at an error."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

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


@pytest.mark.parametrize("first_to_leave", ["outer", "inner"])
def test_the_blas_limit_is_restored_whoever_leaves_first(first_to_leave):
    blas = lambda: [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]  # noqa: E731
    before, inside, may_leave = blas(), threading.Event(), threading.Event()

    def other():
        with one_threaded_blas:
            inside.set()
            may_leave.wait()

    thread = threading.Thread(target=other)
    if first_to_leave == "outer":
        thread.start()
        inside.wait()
        with one_threaded_blas:
            assert set(blas()) <= {1}
            may_leave.set()
            thread.join()
    else:
        with one_threaded_blas:
            thread.start()
            inside.wait()
            assert set(blas()) <= {1}
        may_leave.set()
        thread.join()
    assert blas() == before


def test_the_blas_limit_holds_until_the_outer_one_leaves():
    blas = lambda: {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}  # noqa: E731
    before = blas()
    with one_threaded_blas:
        with one_threaded_blas:
            pass
        assert blas() <= {1}
    assert blas() == before


def test_blocks_inside_of_a_block_stay_on_its_thread():
    threads = set()

    def outer(start, stop):
        mine = threading.get_ident()
        run_blocks(lambda *_: threads.add((mine, threading.get_ident())), even_blocks(8, 1), 4)

    run_blocks(outer, even_blocks(4, 1), 2)
    assert all(mine == inner for mine, inner in threads)
    seen, meet = set(), threading.Barrier(2, timeout=10)  # afterwards a call uses its threads again

    def work(start, stop):
        seen.add(threading.get_ident())
        meet.wait()

    run_blocks(work, even_blocks(2, 1), 2)
    assert len(seen) == 2
