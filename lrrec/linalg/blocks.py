"""Run a function over blocks of rows on a pool of threads, BLAS held to one thread inside."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits


class _OneThreadedBLAS:
    """Hold BLAS to one thread while inside.

    The setting belongs to the process. Of callers on several threads the first one in sets it, and restores it when
    it leaves; the others touch nothing, so that nobody restores what another has set.
    """

    def __init__(self) -> None:
        self._held, self._mine = threading.Lock(), threading.local()

    def __enter__(self) -> None:
        if self._held.acquire(blocking=False):
            self._mine.limit = threadpool_limits(1, user_api="blas").__enter__()

    def __exit__(self, *error: object) -> None:
        limit = self._mine.__dict__.pop("limit", None)
        if limit is not None:
            limit.__exit__(None, None, None)
            self._held.release()


one_threaded_blas = _OneThreadedBLAS()


def even_blocks(n_rows: int, size: int) -> list[tuple[int, int]]:
    """Cut 0..n_rows into (start, stop) blocks of at most `size` rows."""
    return [(start, min(start + size, n_rows)) for start in range(0, n_rows, max(size, 1))]


def balanced_blocks(indptr: np.ndarray, n_blocks: int, row_cost: float = 8) -> list[tuple[int, int]]:
    """Cut the rows of a csr matrix into about n_blocks (start, stop) blocks of equal work.

    The work of a row is its number of nonzeros plus `row_cost`. The cut depends on the matrix alone.
    """
    n_rows = len(indptr) - 1
    work = indptr + row_cost * np.arange(n_rows + 1)
    cuts = np.searchsorted(work, np.linspace(0, work[-1], n_blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [n_rows])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def run_blocks(
    work: Callable[[int, int], Any],
    blocks: Iterable[tuple[int, int]],
    n_threads: int,
    done: Callable[[int], None] | None = None,
) -> None:
    """Call work(start, stop) for every block, on n_threads threads.

    An error in a block, or Ctrl-C, stops before the next blocks begin and is raised here. `done(n_rows)` is
    called in the calling thread as blocks end. No more than a few blocks are under way or queued at a time.
    """
    waiting = iter(blocks)
    with one_threaded_blas, ThreadPoolExecutor(n_threads) as pool:
        running: dict[Any, int] = {}
        try:
            for start, stop in waiting:
                running[pool.submit(work, start, stop)] = stop - start
                if len(running) >= 2 * n_threads:
                    _collect(running, done)
            while running:
                _collect(running, done)
        finally:
            for future in running:
                future.cancel()


def _collect(running: dict[Any, int], done: Callable[[int], None] | None) -> None:
    """Wait until at least one block has ended; raise its error."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        n_rows = running.pop(future)
        future.result()
        if done is not None:
            done(n_rows)
