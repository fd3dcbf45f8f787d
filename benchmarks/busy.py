"""How much slower fits are beside other work: one busy thread, or products of matrices on two threads.

On two cores a fit on both gets three quarters of them beside one thread, and half beside two.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import matrices
from benchmarks.report import quality_row
from lrrec import IALS, NeuralMF
from lrrec.adapt import AdapterSelector

ROUNDS = 5
LOADS = {
    "one busy thread": ("while True: pass", 2.2),
    "products on two threads": (
        "import numpy as np\nA = np.random.rand(1500, 1500)\nwhile True: A @ A", 3.0,
    ),
}  # fmt: skip


def run() -> Iterator[dict[str, Any]]:
    matrix = matrices.get("ml-1m")
    base = IALS(64, n_iter=4, random_state=0).fit(matrix[100:])
    tasks: dict[str, Callable[[], Any]] = {
        "NeuralMF, ml-1m, D = 64": lambda: NeuralMF(64, random_state=0).fit(matrix),
        "IALS, ml-1m, D = 64, 30 iterations": lambda: IALS(64, n_iter=30, random_state=0).fit(matrix),
        "adapting to 25 users, compared and guarded": lambda: AdapterSelector(random_state=0).fit(
            matrix[:25], base=base
        ),
    }
    for name, task in tasks.items():
        task()
        for label, (code, at_most) in LOADS.items():
            ratios, alone = [], []
            for _ in range(ROUNDS):
                alone.append(seconds(task))
                with beside(code):
                    ratios.append(seconds(task) / alone[-1])
            ordered = np.sort(ratios)
            shown = f"{np.median(ratios):.2f} x ({ordered[0]:.2f} to {ordered[-1]:.2f}); alone {np.median(alone):.2f} s"
            met = bool(np.median(ratios) <= at_most)
            yield quality_row(f"{name}, beside {label}", "alone", shown, f"{at_most} x", met)


def seconds(task: Callable[[], Any]) -> float:
    """Return the seconds of a task."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun


@contextmanager
def beside(code: str) -> Iterator[None]:
    """Run code in another process meanwhile."""
    two = {f"{library}_NUM_THREADS": "2" for library in ("OPENBLAS", "OMP", "MKL")}
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | two)
    try:
        time.sleep(0.5)  # it has begun
        yield
    finally:
        process.kill()
        process.wait()
