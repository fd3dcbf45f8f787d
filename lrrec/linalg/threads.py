"""Run a function over blocks of rows on several threads, with BLAS limited to one thread meanwhile."""

import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401  loads the BLAS that the kernels call, so that threadpoolctl sees it
from threadpoolctl import OpenBLASController, ThreadpoolController

SMALL = 2**13  # work (nonzeros plus row costs) that is done before a second thread would have started


class _OneThreadedBLAS:
    """Limit BLAS to one thread while at least one `with` block is open, on any thread.

    The limit belongs to the process: the first holder sets it, and the last one restores what was there before.
    """

    def __init__(self) -> None:
        self._lock, self._n_holders = threading.Lock(), 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_holders:
                self._limit = _controller().limit(limits=1, user_api="blas")
            self._n_holders += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_holders -= 1
            if not self._n_holders:
                _release_control(force=True)
                self._limit.restore_original_limits()
                _release_control(force=True)


# From threadpoolctl 3.8 on, only the thread that set OpenBLAS's limit may change it. The last holder can be another.
_release_control = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
one_threaded_blas = _OneThreadedBLAS()
_current = threading.local()  # .in_block: whether this thread is running a block


@cache
def _controller() -> ThreadpoolController:
    """The loaded BLAS libraries; cached, as finding them takes a millisecond."""
    return ThreadpoolController()


def even_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Cut the rows 0..n_rows into (start, stop) blocks of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, max(size, 1))]


def balanced_blocks(indptr: np.ndarray, n_blocks: int, row_cost: float = 8) -> list[tuple[int, int]]:
    """Cut the rows of a csr matrix into about n_blocks (start, stop) blocks of equal work.

    The work of a row is its number of nonzeros plus `row_cost`. A matrix too small for several threads is one block.
    The blocks depend on the matrix alone.
    """
    n_rows = len(indptr) - 1
    if indptr[-1] + row_cost * n_rows < SMALL:
        return [(0, n_rows)] if n_rows else []
    work = indptr + row_cost * np.arange(n_rows + 1)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], n_blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def run_blocks(work: Callable[[int, int], object], blocks: Iterable[tuple[int, int]], n_threads: int) -> None:
    """Call work(start, stop) for every block, on n_threads threads including the calling one.

    Each thread takes the next block when it has finished one. An error in a block, or Ctrl-C, keeps further blocks
    from starting and is raised here. A call from inside a block stays on that block's thread. (An executor's futures
    would cost more than a small block.)
    """
    nested = getattr(_current, "in_block", False)
    if nested:
        n_threads = 1
    elif isinstance(blocks, list):
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
            _current.in_block = nested

    with one_threaded_blas:
        threads = [threading.Thread(target=drain, daemon=True) for _ in range(n_threads - 1)]
        for thread in threads:
            thread.start()
        drain()
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join()
                except KeyboardInterrupt as error:
                    errors.append(error)
    if errors:
        raise errors[0]
