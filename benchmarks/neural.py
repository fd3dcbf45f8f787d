"""NeuralMF: seconds an epoch and to quality beside its peers, accuracy beside iALS, adapters, distillation.

Peers are run by Pythons of their own: LRREC_PEERS names a folder with an environment each (recbole, cornac, lenskit),
see benchmarks/neural_peers.py; a peer without one is a row that says so.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import lrrec
from benchmarks import adapt_neural, matrices, neural_accuracy
from benchmarks.report import line, ratio_row
from lrrec import IALS, Interactions, NeuralMF, Split

D, EPOCHS = 64, 40
SOFTMAX = ("softmax", "softmax, bfloat16")
OURS = (*SOFTMAX, "squared", "squared, from IALS")
PEERS = {  # name: epochs, further arguments
    "recbole-bpr": (50, []),
    "recbole-neumf": (12, []),
    "lenskit-bpr": (15, []),
    "lenskit-logistic": (15, []),
    "cornac-neumf": (5, []),
    "cornac-bpr": (60, ["--learning-rate", "0.05"]),
}
COMPILED = "cornac-bpr"  # no neural model: for information


def run() -> Iterator[dict[str, Any]]:
    split = interactions_held_out()
    ours = {name: mine(split, name) for name in OURS}
    for name in SOFTMAX:
        yield epoch_row(name, ours[name])
    found = {name: peer(split, name) for name in PEERS}
    for name, epochs in found.items():
        if isinstance(epochs, str):
            yield line(f"ml-1m, seconds an epoch, D = {D}", name, epochs, "10 x", False)
            continue
        seconds = np.median([entry["seconds"] for entry in epochs])
        for one in SOFTMAX:
            paired = [(seconds, entry["seconds"]) for entry in ours[one][1:6]]
            yield as_line(ratio_row(f"ml-1m, seconds an epoch, {one}, D = {D}", told(name, epochs), paired, 10))
    for name, epochs in found.items():
        if not isinstance(epochs, str):
            yield to_quality(told(name, epochs), epochs, ours)
    yield from neural_accuracy.run()
    yield from adapt_neural.run()


def interactions_held_out() -> Split:
    """A tenth of the interactions of ml-1m held out, of 1000 users to be ranked for."""
    data = lrrec.datasets.load("ml-1m", matrices.data_home()).interactions().binarize()
    split = lrrec.splits.random(data, 0.1, random_state=0)
    some = np.random.default_rng(0).choice(split.test_rows, 1000, replace=False)
    test = split.test.filter(np.isin(split.test.rows(), some))
    return Split(split.train, split.train, test)


def mine(split: Split, name: str) -> list[dict[str, float]]:
    """Seconds and nDCG@10 of every epoch; those of the model to start from are in the first."""
    options: dict[str, Any] = {"validation": split, "patience": EPOCHS}
    precision = "bfloat16" if "bfloat16" in name else "float32"
    model = NeuralMF(
        D, loss=name.split(",")[0], init="random", unobserved_weight=0.3, learning_rate=3e-3, n_epochs=EPOCHS,
        precision=precision, random_state=0,
    )  # fmt: skip
    begun = 0.0
    if name.endswith("IALS"):
        base, begun = timed_ials(split.train)
        options["init"] = base
        model.set_params(learning_rate=1e-3, n_epochs=15)
    model.fit(split.train, **options)
    seconds = np.diff([entry["seconds"] for entry in model.history_], prepend=-begun)
    scores = [entry["score"] for entry in model.history_]
    history = [{"seconds": float(s), "ndcg@10": score} for s, score in zip(seconds, scores, strict=True)]
    print(name, [(round(entry["seconds"], 3), round(entry["ndcg@10"], 4)) for entry in history], flush=True)
    return history


def timed_ials(train: Interactions) -> tuple[IALS, float]:
    IALS(4, n_iter=1).fit(train)  # compiled before
    begun = time.perf_counter()
    base = IALS(D, unobserved_weight=0.3, reg=0.006, random_state=0).fit(train)
    return base, time.perf_counter() - begun


def peer(split: Split, name: str) -> list[dict[str, Any]] | str:
    """What the peer printed after every epoch, by the number of threads that it is faster with; or why it did not."""
    python = Path(os.environ.get("LRREC_PEERS", "")) / name.split("-")[0] / "bin" / "python"
    if not os.environ.get("LRREC_PEERS") or not python.exists():
        return "not installed"
    script = Path(__file__).with_name("neural_peers.py")
    n_epochs, more = PEERS[name]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{part}.npz" for part in ("train", "test")]
        for file, part in zip(files, (split.train, split.test), strict=True):
            sp.save_npz(file, sp.csr_matrix(part.matrix))

        def ask(epochs: int, threads: int) -> list[dict[str, Any]]:
            words = [str(python), str(script), name, *map(str, files), "--epochs", str(epochs), "--factors", str(D)]
            done = subprocess.run(
                [*words, "--threads", str(threads), *more], capture_output=True, text=True, timeout=900,
                env=os.environ | {"OMP_WAIT_POLICY": "active"},
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            return [json.loads(one) for one in done.stdout.splitlines() if one.startswith("{")]

        try:
            first = {threads: ask(1, threads)[-1]["seconds"] for threads in (1, 2)}
            found = ask(n_epochs, min(first, key=lambda threads: first[threads]))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return f"failed: {error}"
    print(name, first, [(one["seconds"], one["ndcg@10"]) for one in found], file=sys.stderr, flush=True)
    return found


def told(name: str, epochs: list[dict[str, Any]]) -> str:
    shown = f"{name} {epochs[0]['version']}"
    return f"{shown} (compiled, no neural model)" if name == COMPILED else shown


def epoch_row(name: str, epochs: list[dict[str, float]]) -> dict[str, Any]:
    seconds = float(np.median([entry["seconds"] for entry in epochs[1:]]))
    what = f"ml-1m, seconds an epoch over all interactions, {name}, D = {D}"
    best = max(entry["ndcg@10"] for entry in epochs)
    return line(what, "", f"{seconds:.3f} s, best nDCG@10 {best:.4f}", "0.5 s at most", seconds <= 0.5)


def as_line(row: dict[str, Any]) -> dict[str, Any]:
    """A ratio row in the columns of this table."""
    shown = f"{row['times faster (spread)']}: {row['peer, s']} s, {row['lrrec, s']} s"
    return {"what": row["what"], "against": row["peer"], "measured": shown, "at least": f"{row['at least']} x",
            "verdict": row["verdict"]}  # fmt: skip


def to_quality(peer: str, theirs: list[dict[str, Any]], ours: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Seconds to 99 % of the peer's best nDCG@10: the peer's, and those of each of ours."""
    goal = 0.99 * max(entry["ndcg@10"] for entry in theirs)
    own = reached(theirs, goal)
    mine = {name: reached(epochs, goal) for name, epochs in ours.items()}
    shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in mine.items())
    fastest = min(mine.values())
    return line(f"ml-1m, seconds to nDCG@10 {goal:.4f} (99 % of the peer's best)", peer,
                f"{own / fastest:.1f} x: {own:.1f} s; {shown}", "1 x", fastest <= own)  # fmt: skip


def reached(epochs: list[dict[str, Any]], goal: float) -> float:
    """Seconds of training until a value is reached."""
    spent = np.cumsum([entry["seconds"] for entry in epochs])
    at = [seconds for seconds, entry in zip(spent, epochs, strict=True) if entry["ndcg@10"] >= goal]
    return float(at[0]) if at else float("inf")
