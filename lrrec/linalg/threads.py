"""Run a function over blocks of rows on several threads, with BLAS limited to one thread meanwhile."""

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import scipy.linalg  # noqa: F401  loads the BLAS that the kernels call, so that threadpoolctl sees it
from threadpoolctl import OpenBLASController, ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")
SMALL = 2**13  # work (nonzeros plus row costs) that is done before a second thread would have started


# From threadpoolctl 3.8 on, only the thread that set OpenBLAS's limit may change it. The last holder can be another.
_release_control = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
_current = threading.local()  # .in_block: whether this thread is running a block


class _Limit:
    """One BLAS thread while there is a holder, on any thread; afterwards as many as there were before the first.

    Ctrl-C can raise an error between any two lines. Every line therefore leaves a state from which `update`, called
    again, does the rest.
    """

    def __init__(self) -> None:
        self.lock, self.holders = threading.Lock(), set[object]()
        self.before: list[tuple[Any, int]] = []  # the loaded BLAS libraries and their numbers of threads
        self.in_force = False

    def update(self) -> None:
        """Set the limit, or restore what was there before, as there are holders or not."""
        with self.lock:
            if self.holders and not self.in_force:
                self.before = self.before or [(library, library.num_threads) for library in _blas_libraries()]
                for library, _ in self.before:
                    library.set_num_threads(1)
                self.in_force = True
            elif not self.holders and self.before:
                self.in_force = False
                _release_control(force=True)
                for library, n_threads in self.before:
                    library.set_num_threads(n_threads)
                _release_control(force=True)
                self.before = []

    def after_fork(self) -> None:
        """In a forked process: the other threads, which may hold the limit or the lock, are gone."""
        self.lock, self.holders = threading.Lock(), set()
        self.update()


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limit.after_fork)


@cache
def _blas_libraries() -> list[Any]:
    """Cached, as finding them takes a millisecond."""
    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def one_threaded_blas(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function that has BLAS on one thread while it runs, and restores it whatever interrupts it.

    The limit belongs to the process: the first of the running functions sets it, the last one restores it.
    """

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        holder = object()
        try:
            try:
                _limit.holders.add(holder)
                _limit.update()
                return function(*args, **kwargs)
            finally:
                _limit.holders.discard(holder)
                _limit.update()
        finally:  # again, because Ctrl-C may have ended the first
            _limit.holders.discard(holder)
            _limit.update()

    return limited


def even_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Cut the rows 0..n_rows into (start, stop) blocks of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, max(size, 1))]


def balanced_blocks(indptr: np.ndarray, n_blocks: int, row_cost: float = 8) -> list[tuple[int, int]]:
    """Cut the rows of a csr matrix into about n_blocks (start, stop) blocks of equal work.

    The work of a row is its number of nonzeros plus `row_cost`. A matrix too small for several threads is one block.
    The blocks depend on the matrix alone.
    """
    n_rows = len(indptr) - 1
    if int(indptr[-1]) + row_cost * n_rows < SMALL:
        return [(0, n_rows)] if n_rows else []
    work = indptr + row_cost * np.arange(n_rows + 1)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], n_blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def on_one_thread(function: Callable[[], T]) -> T:
    """Return function(), which starts no thread: parallel work inside of it stays on this one."""
    results: list[T] = []
    run_blocks(lambda *_: results.append(function()), [(0, 1)], 1)
    return results[0]


def run_blocks(work: Callable[[int, int], object], blocks: Iterable[tuple[int, int]], n_threads: int) -> None:
    """Call work(start, stop) for every block, on n_threads threads including the calling one.

    Each thread takes the next block when it has finished one. An error in a block, or Ctrl-C, keeps further blocks
    from starting and is raised here. A call from inside a block stays on that block's thread. (An executor's futures
    would cost more than a small block.)
    """
    if getattr(_current, "in_block", False):
        for block in blocks:
            work(*block)
        return
    if isinstance(blocks, list):
        n_threads = min(n_threads, len(blocks))
    remaining, lock, errors = iter(blocks), threading.Lock(), list[BaseException]()

    def drain() -> None:
        _current.in_block = True
        try:
            while not errors:
                with lock:
                    block = next(remaining, None)
                if block is None:
                    return
                work(*block)
        except BaseException as error:  # Ctrl-C too: raised below, once the other threads have finished
            errors.append(error)
        finally:
            _current.in_block = False

    @one_threaded_blas
    def drain_together() -> None:
        threads = [threading.Thread(target=drain, daemon=True) for _ in range(n_threads - 1)]
        try:
            for thread in threads:
                thread.start()
            drain()
            for thread in threads:
                thread.join()
        except BaseException as error:  # Ctrl-C: no further block starts
            errors.append(error)
            for thread in threads:
                if thread.is_alive():
                    thread.join()

    drain_together()
    if errors:
        raise errors[0]
