"""NeuralMF: seconds an epoch and to quality beside its peers, accuracy beside iALS, adapters, distillation.

Each peer runs in its own environment: LRREC_PEERS names a folder with one for each (recbole, cornac, lenskit), see
benchmarks/neural_peers.py. The row of a peer that is not installed says so.
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
from benchmarks import matrices, neural_accuracy
from benchmarks.report import quality_row, speed_row
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


PARTS = ("peers", "accuracy")


def run(part: str) -> Iterator[dict[str, Any]]:
    yield from neural_accuracy.run() if part == "accuracy" else beside_peers()


def beside_peers() -> Iterator[dict[str, Any]]:
    split = held_out_interactions()
    ours = {name: train_ours(split, name) for name in OURS}
    for name in SOFTMAX:
        yield epoch_row(name, ours[name])
    peers = {name: train_peer(split, name) for name in PEERS}
    for name, epochs in peers.items():
        if isinstance(epochs, str):
            yield quality_row(f"ml-1m, seconds an epoch, D = {D}", name, epochs, "10 x", False)
            continue
        seconds = np.median([epoch["seconds"] for epoch in epochs])
        for loss in SOFTMAX:
            pairs = [(seconds, epoch["seconds"]) for epoch in ours[loss][1:6]]
            row = speed_row(f"ml-1m, seconds an epoch, {loss}, D = {D}", peer_label(name, epochs), pairs, 10)
            yield as_quality_row(row)
    for name, epochs in peers.items():
        if not isinstance(epochs, str):
            yield quality_speed_row(peer_label(name, epochs), epochs, ours)


def held_out_interactions() -> Split:
    """Hold out a tenth of the interactions of ml-1m; the test part is that of 1000 users."""
    data = lrrec.datasets.load("ml-1m", matrices.data_home()).interactions().binarize()
    split = lrrec.splits.random(data, 0.1, random_state=0)
    test_users = np.random.default_rng(0).choice(split.test_rows, 1000, replace=False)
    test = split.test.filter(np.isin(split.test.rows(), test_users))
    return Split(split.train, split.train, test)


def train_ours(split: Split, name: str) -> list[dict[str, float]]:
    """Return seconds and nDCG@10 of every epoch; the first includes the seconds of the IALS it is initialized from."""
    options: dict[str, Any] = {"validation": split, "patience": EPOCHS}
    precision = "bfloat16" if "bfloat16" in name else "float32"
    model = NeuralMF(
        D, loss=name.split(",")[0], init="random", unobserved_weight=0.3, learning_rate=3e-3, n_epochs=EPOCHS,
        precision=precision, random_state=0,
    )  # fmt: skip
    base_seconds = 0.0
    if name.endswith("IALS"):
        base, base_seconds = timed_ials(split.train)
        options["init"] = base
        model.set_params(learning_rate=1e-3, n_epochs=15)
    model.fit(split.train, **options)
    seconds = np.diff([epoch["seconds"] for epoch in model.history_], prepend=-base_seconds).tolist()
    scores = [epoch["score"] for epoch in model.history_]
    history = [{"seconds": s, "ndcg@10": score} for s, score in zip(seconds, scores, strict=True)]
    print(name, [(round(epoch["seconds"], 3), round(epoch["ndcg@10"], 4)) for epoch in history], flush=True)
    return history


def timed_ials(train: Interactions) -> tuple[IALS, float]:
    IALS(4, n_iter=1).fit(train)  # warm-up: compiles the kernels
    begun = time.perf_counter()
    base = IALS(D, unobserved_weight=0.3, reg=0.006, random_state=0).fit(train)
    return base, time.perf_counter() - begun


def train_peer(split: Split, name: str) -> list[dict[str, Any]] | str:
    """Return what the peer prints after every epoch, with its faster number of threads; or why it cannot run."""
    python = Path(os.environ.get("LRREC_PEERS", "")) / name.split("-")[0] / "bin" / "python"
    if not os.environ.get("LRREC_PEERS") or not python.exists():
        return "not installed"
    script = Path(__file__).with_name("neural_peers.py")
    n_epochs, options = PEERS[name]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{part}.npz" for part in ("train", "test")]
        for file, part in zip(files, (split.train, split.test), strict=True):
            sp.save_npz(file, sp.csr_matrix(part.matrix))

        def train(n_epochs: int, n_threads: int) -> list[dict[str, Any]]:
            command = [str(python), str(script), name, *map(str, files), "--epochs", str(n_epochs),
                       "--factors", str(D), "--threads", str(n_threads), *options]  # fmt: skip
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=900, env=os.environ | {"OMP_WAIT_POLICY": "active"}
            )
            if done.returncode:
                raise RuntimeError(done.stderr.strip().splitlines()[-1])
            return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

        try:
            first_epoch = {n_threads: train(1, n_threads)[-1]["seconds"] for n_threads in (1, 2)}
            epochs = train(n_epochs, min(first_epoch, key=lambda n_threads: first_epoch[n_threads]))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return f"failed: {error}"
    shown = [(epoch["seconds"], epoch["ndcg@10"]) for epoch in epochs]
    print(name, first_epoch, shown, file=sys.stderr, flush=True)
    return epochs


def peer_label(name: str, epochs: list[dict[str, Any]]) -> str:
    label = f"{name} {epochs[0]['version']}"
    return f"{label} (compiled, no neural model)" if name == COMPILED else label


def epoch_row(name: str, epochs: list[dict[str, float]]) -> dict[str, Any]:
    seconds = float(np.median([epoch["seconds"] for epoch in epochs[1:]]))
    measurement = f"ml-1m, seconds an epoch over all interactions, {name}, D = {D}"
    best = max(epoch["ndcg@10"] for epoch in epochs)
    return quality_row(measurement, "", f"{seconds:.3f} s, best nDCG@10 {best:.4f}", "0.5 s at most", seconds <= 0.5)


def as_quality_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of speeds in the columns of this table."""
    measured = f"{row['times faster (range)']}: {row['peer, s']} s, {row['lrrec, s']} s"
    return {"measurement": row["measurement"], "compared with": row["peer"], "measured": measured,
            "target": f"{row['at least']} x", "verdict": row["verdict"]}  # fmt: skip


def quality_speed_row(
    peer: str, peer_epochs: list[dict[str, Any]], ours: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    """Return a row of the seconds to 99 % of the peer's best nDCG@10: the peer's, and those of each of our models."""
    goal = 0.99 * max(epoch["ndcg@10"] for epoch in peer_epochs)
    peer_seconds = seconds_to(peer_epochs, goal)
    assert peer_seconds is not None
    our_seconds = {name: seconds_to(epochs, goal) for name, epochs in ours.items()}
    shown = ", ".join(f"{name} " + ("not reached" if seconds is None else f"{seconds:.1f} s")
                      for name, seconds in our_seconds.items())  # fmt: skip
    fastest = min((seconds for seconds in our_seconds.values() if seconds is not None), default=None)
    ratio = "" if fastest is None else f"{peer_seconds / fastest:.1f} x: "
    return quality_row(
        f"ml-1m, seconds to nDCG@10 {goal:.4f} (99 % of the peer's best)", peer,
        f"{ratio}{peer_seconds:.1f} s; {shown}", "1 x", fastest is not None and fastest <= peer_seconds,
    )  # fmt: skip


def seconds_to(epochs: list[dict[str, Any]], goal: float) -> float | None:
    """Return the seconds of training until nDCG@10 is at least goal, None where it never is."""
    spent = np.cumsum([epoch["seconds"] for epoch in epochs])
    reached = (float(seconds) for seconds, epoch in zip(spent, epochs, strict=True) if epoch["ndcg@10"] >= goal)
    return next(reached, None)
