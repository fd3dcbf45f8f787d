"""Seconds to the loss that a peer reaches in its number of iterations; the same matrix, D and threads.

Each round runs the peer (BLAS limited to one thread, as it recommends) and lrrec, and gives one ratio. Everything from
the call of fit counts for both, except our evaluations of the loss between iterations. The final exact solve of the
user factors, which the peers do not do, comes after the loss is reached and is not included. The rows of peers that are
not installed are left out; cmfrec has to be built from source.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

import lrrec
from benchmarks import matrices
from benchmarks.report import installed, speed_row
from lrrec.linalg import Objective, implicit_loss
from lrrec.models.base.iterative import FitState

ROUNDS = 5
THREADS = 2
AT_LEAST = {
    "large": {64: 6.0, 128: 5.0, 256: 5.0},
    "ml-1m": {64: 4.0, 128: 2.0, 256: 1.3},
    "gowalla": {64: 4.0, 128: 2.0, 256: 1.3},
}
ALPHA, REG = 20.0, 0.01


def run() -> Iterator[dict[str, Any]]:
    yield exact_iteration(128)
    if installed("irspack"):
        yield against_irspack(64)
        yield against_irspack(128)
    if installed("cmfrec"):
        yield against_cmfrec(64)
    for name in ("ml-1m", "gowalla", "large"):
        for n_factors, at_least in AT_LEAST[name].items():
            yield against_implicit(name, n_factors, at_least)
            if n_factors > 64:
                yield against_implicit(name, n_factors, at_least, init="spectral")


def against_implicit(name: str, n_factors: int, at_least: float, *, init: str = "random") -> dict[str, Any]:
    from implicit.als import AlternatingLeastSquares

    matrix = matrices.get(name)
    scaled = sp.csr_matrix(matrix)
    objective = Objective(1.0, REG, 0.0, offset=1.0, reg_unobserved=False)
    weights = matrix.copy()
    weights.data = ALPHA * matrix.data - 1

    def peer(iterations: int = 15, seed: int = 0) -> tuple[float, float]:
        model = AlternatingLeastSquares(
            n_factors, regularization=REG, alpha=ALPHA, iterations=iterations, num_threads=THREADS, random_state=seed
        )
        with threadpool_limits(1, "blas"):
            begun = time.perf_counter()
            model.fit(scaled, show_progress=False)
            seconds = time.perf_counter() - begun
        return seconds, implicit_loss(weights, model.user_factors, model.item_factors, objective)

    ours = lrrec.IALS(
        n_factors,
        objective="hu",
        alpha=ALPHA,
        confidence="alpha r",
        reg=REG,
        reg_exponent=0,
        n_iter=60,
        init=init,
        n_threads=THREADS,
    )
    peer(1), until(ours.set_params(random_state=0), matrix, np.inf)  # warm-up
    pairs, iterations = [], []
    for seed in range(ROUNDS):
        seconds, goal = peer(seed=seed)
        seconds_ours, n_iter = until(ours.set_params(random_state=seed), matrix, goal)
        pairs.append((seconds, seconds_ours))
        iterations.append(n_iter)
    begun = "" if init == "random" else f", init={init!r}"
    measurement = f"seconds to implicit's loss (CG x 15): {name}, D = {n_factors}{begun}"
    return speed_row(measurement, "implicit", pairs, at_least, note=f"{int(np.median(iterations))} iterations")


def against_irspack(n_factors: int, at_least: float = 2.5) -> dict[str, Any]:
    from irspack.recommenders import IALSRecommender

    matrix = matrices.large().copy()
    matrix.data[:] = 1
    a, reg = 0.1, 0.003
    objective = Objective(a, reg, 1.0)
    binary = sp.csr_matrix(matrix)

    def peer(solver: str, epochs: int = 15) -> tuple[float, float]:
        model = IALSRecommender(
            binary,
            n_components=n_factors,
            alpha0=a,
            reg=reg,
            nu=1.0,
            solver_type=solver,
            train_epochs=epochs,
            n_threads=THREADS,
        )
        begun = time.perf_counter()
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):  # its progress bars
            model.learn()
        seconds = time.perf_counter() - begun
        trained = model.trainer.core_trainer
        user, item = (np.ascontiguousarray(f, dtype=np.float32) for f in (trained.user, trained.item))
        return seconds, implicit_loss(matrix, user, item, objective)

    ours = lrrec.IALS(n_factors, unobserved_weight=a, reg=reg, n_iter=60, n_threads=THREADS)
    fastest = min(("CG", "IALSPP"), key=lambda solver: peer(solver, 1)[0])
    until(ours.set_params(random_state=0), matrix, np.inf)
    pairs = []
    for seed in range(ROUNDS):
        seconds, goal = peer(fastest)
        pairs.append((seconds, until(ours.set_params(random_state=seed), matrix, goal)[0]))
    return speed_row(f"seconds to irspack's loss ({fastest} x 15): large, D = {n_factors}", "irspack", pairs, at_least)


def against_cmfrec(n_factors: int, at_least: float = 1.0) -> dict[str, Any]:
    from cmfrec import CMF_implicit

    matrix = matrices.large()
    coo = sp.coo_matrix(matrix)
    objective = Objective(1.0, REG, 0.0, offset=1.0, reg_unobserved=False)
    weights = matrix.copy()
    weights.data = ALPHA * matrix.data

    def peer(seed: int) -> tuple[float, float]:
        model = CMF_implicit(
            n_factors, lambda_=REG, alpha=ALPHA, use_cg=True, niter=15, finalize_chol=False, use_float=True,
            precompute_for_predictions=False, nthreads=THREADS, random_state=seed, verbose=False,
        )  # fmt: skip
        begun = time.perf_counter()
        model.fit(coo)
        seconds = time.perf_counter() - begun
        user, item = (np.ascontiguousarray(f, dtype=np.float32) for f in (model.A_, model.B_))
        return seconds, implicit_loss(weights, user, item, objective)

    ours = lrrec.IALS(n_factors, objective="hu", alpha=ALPHA, reg=REG, reg_exponent=0, n_iter=60, n_threads=THREADS)
    until(ours.set_params(random_state=0), matrix, np.inf)
    pairs = []
    for seed in range(ROUNDS):
        seconds, goal = peer(seed)
        pairs.append((seconds, until(ours.set_params(random_state=seed), matrix, goal)[0]))
    return speed_row(f"seconds to cmfrec's loss (CG x 15): large, D = {n_factors}", "cmfrec", pairs, at_least)


def exact_iteration(n_factors: int, at_least: float = 2.0) -> dict[str, Any]:
    """Return one iteration over users and items with exact solves."""
    from implicit.als import AlternatingLeastSquares

    matrix = matrices.large()
    scaled = sp.csr_matrix(matrix)

    def peer(iterations: int) -> float:
        model = AlternatingLeastSquares(
            n_factors,
            regularization=REG,
            alpha=ALPHA,
            iterations=iterations,
            use_cg=False,
            num_threads=THREADS,
            random_state=0,
        )
        with threadpool_limits(1, "blas"):
            begun = time.perf_counter()
            model.fit(scaled, show_progress=False)
            return time.perf_counter() - begun

    ours = lrrec.IALS(
        n_factors, objective="hu", alpha=ALPHA, confidence="alpha r", reg=REG, reg_exponent=0,
        solver="cholesky", n_iter=1, random_state=0, n_threads=THREADS,
    )  # fmt: skip
    pairs = []
    for _ in range(ROUNDS):
        pairs.append((peer(1), until(ours, matrix, np.inf)[0]))
    return speed_row(f"one exact iteration (Cholesky): large, D = {n_factors}", "implicit, exact", pairs, at_least)


class _ReachedError(Exception):
    """Stops a fit whose loss has reached the goal: the rest is not measured."""


def until(model: Any, matrix: sp.csr_array, goal: float) -> tuple[float, int]:
    """Return seconds and iterations until the loss is at most goal."""
    reached: list[tuple[float, int]] = []

    def callback(state: FitState) -> None:
        if state.loss <= goal:
            reached.append((state.seconds, state.iteration))
            raise _ReachedError

    try:
        model.fit(matrix, callback=callback)
    except _ReachedError:
        return reached[0]
    return np.inf, model.n_iter
