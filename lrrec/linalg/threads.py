"""Run a function over blocks of rows on several threads, BLAS held to one thread inside."""

import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import scipy.linalg  # noqa: F401  loads the BLAS that the kernels call, before it is looked for
from threadpoolctl import ThreadpoolController

SMALL = 2**13  # nonzeros and row costs that one thread is done with before another has begun


class _OneThreadedBLAS:
    """Hold BLAS to one thread while inside.

    The setting belongs to the process. Of callers on several threads the first one in sets it, and restores it when
    it leaves; the others touch nothing, so that nobody restores what another has set.
    """

    def __init__(self) -> None:
        self._held, self._mine = threading.Lock(), threading.local()

    def __enter__(self) -> None:
        limits = self._mine.__dict__.setdefault("limits", [])  # what this thread set, one entry a nested `with`
        first = self._held.acquire(blocking=False)
        limits.append(_controller().limit(limits=1, user_api="blas").__enter__() if first else None)

    def __exit__(self, *error: object) -> None:
        limit = self._mine.limits.pop()
        if limit is not None:
            limit.__exit__(None, None, None)
            self._held.release()


one_threaded_blas = _OneThreadedBLAS()
_working = threading.local()  # .now: whether this thread is at a block


@cache
def _controller() -> ThreadpoolController:
    """Looking for BLAS libraries takes a millisecond: once."""
    return ThreadpoolController()


def even_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Cut 0..n_rows into (start, stop) blocks of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, max(size, 1))]


def balanced_blocks(indptr: np.ndarray, n_blocks: int, row_cost: float = 8) -> list[tuple[int, int]]:
    """Cut the rows of a csr matrix into about n_blocks (start, stop) blocks of equal work.

    The work of a row is its number of nonzeros plus `row_cost`; what is less than a thread is worth stays whole. The
    cut depends on the matrix alone.
    """
    n_rows = len(indptr) - 1
    if indptr[-1] + row_cost * n_rows < SMALL:
        return [(0, n_rows)] if n_rows else []
    work = indptr + row_cost * np.arange(n_rows + 1)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], n_blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def run_blocks(work: Callable[[int, int], Any], blocks: Iterable[tuple[int, int]], n_threads: int) -> None:
    """Call work(start, stop) for every block, on n_threads threads, the calling one among them.

    Threads take the next block when they are done with one. An error in a block, or Ctrl-C, stops before the next
    blocks begin and is raised here. Called inside of a block, it stays on that block's thread. (No executor: handing
    over futures costs more than a small block.)
    """
    inside = getattr(_working, "now", False)
    if inside:
        n_threads = 1
    elif isinstance(blocks, list):
        n_threads = min(n_threads, len(blocks))
    waiting, lock, errors = iter(blocks), threading.Lock(), list[BaseException]()

    def drain() -> None:
        _working.now = True
        try:
            while not errors:
                with lock:
                    block = next(waiting, None)
                if block is None:
                    return
                work(*block)
        except BaseException as error:  # Ctrl-C too: raised below, when the other threads are done
            errors.append(error)
        finally:
            _working.now = inside

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
