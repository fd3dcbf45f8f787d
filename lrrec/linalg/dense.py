"""Products of tall dense matrices, by blocks of rows on threads of this package.

BLAS's own threads keep spinning for some milliseconds after a call and would take the cores from ours. So within an
algorithm every product runs here, and BLAS on one thread.
"""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np

from lrrec.errors import DataError
from lrrec.linalg import kernels
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks

SLICE = 4096  # rows of one BLAS call
FEW_ROWS = 4
ONE_THREAD = 2**18  # multiplications of one BLAS call, up to which it starts no thread
eigh = one_threaded_blas(np.linalg.eigh)
qr = one_threaded_blas(np.linalg.qr)
Spectrum = tuple[np.ndarray, np.ndarray]
T = TypeVar("T")
_kept: dict[int, tuple["weakref.ref[np.ndarray]", dict[Hashable, Any]]] = {}  # id of an array -> the array, made of it


def gram(Y: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return Y^T Y in double precision, (D, D), summed in a fixed order: bit-identical for any number of threads."""
    return checked(cross(Y, Y, n_threads))


def checked(squares: np.ndarray) -> np.ndarray:
    """Return sums of squares of factors, which must be finite."""
    if not np.isfinite(squares).all():
        raise DataError("the factors are no longer finite: scale the values down, or raise the regularization")
    return squares


def spectrum(Y: np.ndarray, n_threads: int = 1) -> Spectrum:
    """Return Y^T Y = E diag(e) E^T as (e, E), in double precision, e >= 0 rising."""
    eigenvalues, E = eigh(gram(Y, n_threads))
    return np.maximum(eigenvalues, 0), E


def thin_spectrum(Y: np.ndarray) -> Spectrum:
    """Return e (n,) and E (D, n) with Y^T Y = E diag(e) E^T as `spectrum` does, for Y (n, D) with n < D."""
    Q, R = qr(Y.T.astype(np.float64))
    eigenvalues, W = eigh(checked(R @ R.T))
    return np.maximum(eigenvalues, 0), Q @ W


def kept_spectrum(Y: np.ndarray, n_threads: int = 1) -> Spectrum:
    """Return `spectrum`, computed once and cached while Y lives. Y becomes read-only: it must not change."""
    return kept(Y, "spectrum", lambda: spectrum(Y, n_threads))


def kept(Y: np.ndarray, name: Hashable, make: Callable[[], T]) -> T:
    """Return what make() makes of Y, once for each name, and cached while Y lives. Y becomes read-only."""
    key = id(Y)
    entry = _kept.get(key)
    if entry is None or entry[0]() is not Y:
        Y.flags.writeable = False
        entry = _kept[key] = (weakref.ref(Y, lambda _: _kept.pop(key, None)), {})
    if name not in entry[1]:
        entry[1][name] = make()
    made: T = entry[1][name]
    return made


def cross(X: np.ndarray, Y: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return X^T Y in double precision, (C, D), for tall X (n, C) and Y (n, D), as `gram` does."""
    n_rows = len(X)
    size = -(-n_rows // (8 if X.shape[1] <= 512 else 2))
    chunks = even_blocks(n_rows, -(-size // SLICE) * SLICE)
    parts = np.zeros((max(len(chunks), 1), X.shape[1], Y.shape[1]))
    numbers = {chunk: number for number, chunk in enumerate(chunks)}

    def work(start: int, stop: int) -> None:
        part = parts[numbers[start, stop]]
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(start, stop, SLICE):
                rows = slice(first, min(first + SLICE, stop))
                part += X[rows].T @ Y[rows]

    run_blocks(work, chunks, n_threads)
    return parts.sum(axis=0)


def product(X: np.ndarray, E: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return X E in X's type, for tall X (n, C) and E (C, D)."""
    out = np.empty((len(X), E.shape[1]), dtype=X.dtype)
    E = E.astype(X.dtype, copy=False)

    def work(start: int, stop: int) -> None:
        np.matmul(X[start:stop], E, out=out[start:stop])

    run_blocks(work, even_blocks(len(X), SLICE // 4), n_threads)
    return out


def few_product(X: np.ndarray, E: np.ndarray) -> np.ndarray:
    """Return X E in X's type as `product` does, by calls of BLAS that start no thread: for a few hundred rows."""
    out, E = np.empty((len(X), E.shape[1]), dtype=X.dtype), E.astype(X.dtype, copy=False)
    for start, stop in even_blocks(len(X), ONE_THREAD // max(E.size, 1)):
        np.matmul(X[start:stop], E, out=out[start:stop])
    return out


def inner_products(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return X Y^T (B, I) for X (B, D) and tall Y (I, D).

    A few rows are a loop of our own: BLAS's threads would gain nothing, and those of several requests at once would
    wait for each other.
    """
    if len(X) > FEW_ROWS or X.dtype != Y.dtype:
        many: np.ndarray = X @ Y.T
        return many
    out = np.empty((len(X), len(Y)), dtype=X.dtype)
    kernels.few_products(kernels.as_input(X), kernels.as_input(Y), out)
    return out


def subtract(W: np.ndarray, X: np.ndarray, E: np.ndarray, n_threads: int = 1) -> None:
    """Subtract X E from W, in place, for tall X (n, C) and W (n, D)."""
    E = E.astype(W.dtype, copy=False)

    def work(start: int, stop: int) -> None:
        W[start:stop] -= X[start:stop] @ E

    run_blocks(work, even_blocks(len(X), SLICE // 4), n_threads)


def rotate(X: np.ndarray, E: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Return X E for tall C-contiguous X (n, C) and E (C, D), written over X where E is square."""
    if len(E) != E.shape[1]:
        return product(X, E, n_threads)

    def work(start: int, stop: int) -> None:
        X[start:stop] = X[start:stop] @ E

    run_blocks(work, even_blocks(len(X), SLICE // 4), n_threads)
    return X
