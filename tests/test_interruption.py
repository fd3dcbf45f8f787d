"""Ctrl-C at any moment: BLAS gets its threads back, a later fit is the same to the bit, and no thread stays behind."""

import dis
import itertools
import subprocess
import sys
import threading

import pytest
import threadpoolctl
from test_threads import blas_threads, many_blas_threads  # noqa: F401  a fixture

import lrrec
from lrrec.linalg import threads
from lrrec.linalg.threads import even_blocks, one_threaded_blas, run_blocks

WATCHED = {threads.__file__, threadpoolctl.__file__}


def interruptible(code):
    """The offsets at which CPython can raise KeyboardInterrupt: after a call, a jump back, and at the beginning."""
    instructions = list(dis.get_instructions(code))
    checks = ("CALL", "JUMP_BACKWARD", "RESUME")
    return {b.offset for a, b in itertools.pairwise(instructions) if a.opname.startswith(checks)}


class Interruption:
    """Raises KeyboardInterrupt at the n-th moment at which CPython could, in this thread and the watched files."""

    def __init__(self, at):
        self.at, self.moment, self.offsets = at, 0, {}

    def trace(self, frame, event, arg):
        if frame.f_code.co_filename not in WATCHED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if frame.f_code not in self.offsets:
                self.offsets[frame.f_code] = interruptible(frame.f_code)
            if frame.f_lasti in self.offsets[frame.f_code]:
                self.moment += 1
                if self.moment == self.at:
                    raise KeyboardInterrupt
        return self.trace

    def __call__(self, function, *args):
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            function(*args)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False


@pytest.mark.usefixtures("many_blas_threads")
@pytest.mark.parametrize(
    "function",
    [
        lambda: one_threaded_blas(int)(),
        pytest.param(lambda: run_blocks(lambda *_: None, even_blocks(4, 1), 1), marks=pytest.mark.slow),
    ],
    ids=["limit", "blocks"],
)
def test_limits_are_restored_wherever_ctrl_c_lands(function):
    moments = 0
    while Interruption(moments + 1)(function):
        moments += 1
        assert blas_threads() == {3}, f"not restored after an interruption at moment {moments}"
        assert one_threaded_blas(blas_threads)() == {1}
        assert blas_threads() == {3}
        meet, idents = threading.Barrier(2, timeout=10), set()  # the next call has its threads

        def work(start, stop, meet=meet, idents=idents):
            meet.wait()
            idents.add(threading.get_ident())

        run_blocks(work, even_blocks(2, 1), 2)
        assert len(idents) == 2
    assert moments > 20


SIGNALS = """
import os, random, signal, sys, threading, time
import scipy.linalg
from threadpoolctl import threadpool_info, threadpool_limits
import lrrec

def blas():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

setter = threading.Thread(target=threadpool_limits, args=(3, "blas"))
setter.start(); setter.join()
before, n_signals, data = blas(), int(sys.argv[1]), lrrec.datasets.load("made-up").interactions()
def fit():
    return lrrec.IALS(8, n_iter=4, random_state=0).fit(data)
fit(); begun = time.perf_counter(); expected = fit(); seconds = time.perf_counter() - begun
n_threads, rng, n_landed, finished = threading.active_count(), random.Random(0), 0, False
for _ in range(n_signals):
    wait = rng.uniform(0, seconds)
    sender = threading.Thread(target=lambda: (time.sleep(wait), os.kill(os.getpid(), signal.SIGINT)))
    try:
        sender.start()
        finished = False
        fit()
        finished = True
        sender.join()
        time.sleep(1)
    except KeyboardInterrupt:
        n_landed += not finished
    sender.join()
    assert blas() == before, (blas(), before)
again = fit()
for name in ("item_factors_", "user_factors_"):
    assert getattr(again, name).tobytes() == getattr(expected, name).tobytes(), name
deadline = time.monotonic() + 10
while threading.active_count() > n_threads and time.monotonic() < deadline:
    time.sleep(0.01)
assert threading.active_count() == n_threads, threading.enumerate()
print(n_landed)
"""


def interrupt_fits(n_signals):
    run = subprocess.run([sys.executable, "-c", SIGNALS, str(n_signals)], capture_output=True, text=True, timeout=500)
    assert not run.returncode, run.stderr
    return int(run.stdout)


@pytest.mark.slow
def test_a_fit_after_interrupted_ones_is_the_same_to_the_bit():
    assert interrupt_fits(20) > 5


@pytest.mark.soak
def test_hundreds_of_interrupted_fits(figures):
    landed = interrupt_fits(500)
    figures(f"{landed} of 500 signals landed in a fit")
    assert landed > 100


@pytest.mark.parametrize("progress", [False, True])
def test_a_fit_leaves_no_thread_behind(likes, progress):
    before = set(threading.enumerate())

    def interrupt(state):
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            lrrec.IALS(2, n_iter=2).fit(likes, callback=interrupt, progress=progress)
    assert set(threading.enumerate()) <= before
