"""Products of tall dense matrices on our own threads.

BLAS's own threads go on spinning for some milliseconds after a call and would take the cores from ours, so that
within an algorithm everything runs on blocks of rows, and nothing outside.
"""

import numpy as np

from lrrec.errors import DataError
from lrrec.linalg.blocks import even_blocks, run_blocks

SLICE = 4096  # rows multiplied at once


def gram(Y: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return Y^T Y in double precision, (D, D), by sums in a fixed order: the same for any number of threads."""
    n_rows, D = Y.shape
    size = -(-n_rows // (8 if D <= 512 else 2))
    chunks = even_blocks(n_rows, -(-size // SLICE) * SLICE)
    parts = np.zeros((max(len(chunks), 1), D, D))
    numbers = {chunk: number for number, chunk in enumerate(chunks)}

    def work(start: int, stop: int) -> None:
        part = parts[numbers[start, stop]]
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(start, stop, SLICE):
                rows = Y[first : min(first + SLICE, stop)]
                part += rows.T @ rows

    run_blocks(work, chunks, n_threads)
    total = parts.sum(axis=0)
    if not np.isfinite(total).all():
        raise DataError("values and parameters must keep the factors finite, got overflow: scale them down")
    return total


def rotate(X: np.ndarray, E: np.ndarray, n_threads: int = 1) -> None:
    """Replace X by X E, for tall C-contiguous X (n, D) and E (D, D)."""

    def work(start: int, stop: int) -> None:
        X[start:stop] = X[start:stop] @ E

    run_blocks(work, even_blocks(len(X), SLICE // 4), n_threads)
