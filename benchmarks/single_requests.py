"""How long one list takes: of a stored user, for a new history, by an index; alone, and beside other requests.

Models have factors that are drawn, with a long tail of popular items; lists hold ten items, seen ones left out.
"""

import json
import multiprocessing
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import lrrec
from benchmarks.report import installed, quality_row
from lrrec.interop import from_factors, open_index

N_USERS, D, K, N_SEEN = 2000, 64, 10, 20
AT_MOST = {20_000: (0.4, 1.0), 200_000: (None, None), 1_000_000: (14.0, 20.0)}  # ms: a stored user, a new history
N_THREADS, SECONDS = 4, 4.0
LARGE = 6_000_000, 2_000_000  # users, items: 2 GB of factors


def run() -> Iterator[dict[str, Any]]:
    for n_items, (stored, new) in AT_MOST.items():
        yield from one_by_one(n_items, stored, new)
    if installed("usearch"):
        yield by_index()
    yield from together(drawn(20_000))
    yield from mapped()


def one_by_one(n_items: int, stored: float | None, new: float | None) -> Iterator[dict[str, Any]]:
    """Lists of stored users, and for new histories, one at a time."""
    model = drawn(n_items)
    users, histories = model.users_.ids, [model.seen_[[row]] for row in range(200)]
    U, V, rng = model.user_factors_, model.item_factors_, np.random.default_rng(0)
    product = milliseconds(lambda user: V @ U[user], rng)
    taken = milliseconds(lambda user: model.recommend(users[[user]], K), rng)
    yield row(f"one list of a stored user, {n_items:,} items", product, stored, taken)
    taken = milliseconds(lambda user: model.recommend_from(histories[user % 200], K), rng)
    yield row(f"one list for a new history, {n_items:,} items", product, new, taken)


def drawn(n_items: int, n_users: int = N_USERS) -> Any:
    """Return a model of factors with falling weights, as those of data have."""
    rng = np.random.default_rng(0)
    weights = (np.arange(1, D + 1) ** -0.5).astype(np.float32)
    U, V = (rng.standard_normal((n, D), dtype=np.float32) * weights for n in (n_users, n_items))
    V[:, 0] = np.abs(V[:, 0]) + 1
    columns = (n_items * rng.random((n_users, N_SEEN)) ** 3).astype(np.int32)
    cells = np.repeat(np.arange(n_users, dtype=np.int32), N_SEEN), columns.ravel()
    seen = sp.csr_array((np.ones(n_users * N_SEEN, dtype=np.float32), cells), shape=(n_users, n_items))
    return from_factors(U, V, seen=seen, unobserved_weight=0.1, reg=0.01)


def milliseconds(work: Callable[[int], Any], rng: np.random.Generator) -> np.ndarray:
    """Return the milliseconds of single calls for drawn users."""
    for _ in range(5):
        work(0)
    taken, begun = [], time.perf_counter()
    while len(taken) < 50 or (time.perf_counter() - begun < SECONDS and len(taken) < 3000):
        user = int(rng.integers(N_USERS))
        start = time.perf_counter()
        work(user)
        taken.append(1e3 * (time.perf_counter() - start))
    return np.array(taken)


def row(measurement: str, product: np.ndarray, at_most: float | None, taken: np.ndarray) -> dict[str, Any]:
    """Return a row of the median and the 99th percentile, beside the product of the factors alone."""
    median = float(np.median(taken))
    shown = f"p50 {median:.2f} ms, p99 {np.quantile(taken, 0.99):.2f} ms; the product {np.median(product):.2f} ms"
    target = "" if at_most is None else f"p50 {at_most:g} ms at most"
    return quality_row(measurement, "", shown, target, at_most is None or median <= at_most)


def by_index(n_items: int = 200_000) -> dict[str, Any]:
    """Lists by an approximate index, beside exact ones: milliseconds and recall."""
    model = drawn(n_items)
    users = model.users_.ids
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        model.to_index(Path(folder) / "index")
        built = time.perf_counter() - begun
        index = open_index(Path(folder) / "index", model)
        rng = np.random.default_rng(0)
        taken = milliseconds(lambda user: index.recommend(users[[user]], K), rng)
        exact = milliseconds(lambda user: model.recommend(users[[user]], K), rng)
        some = users[:300]
        approximate, true = (one.recommend(some, K).items.data for one in (index, model))
    recall = float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(approximate, true, strict=True)]))
    shown = (
        f"p50 {np.median(taken):.2f} ms, recall {recall:.3f}; exact {np.median(exact):.2f} ms; built in {built:.0f} s"
    )
    met = bool(np.median(taken) <= 2 and recall >= 0.95)
    return quality_row(f"one list by an index (usearch), {n_items:,} items", "", shown, "2 ms, recall .95", met)


def together(model: Any) -> Iterator[dict[str, Any]]:
    """Lists a second of several threads, and of two processes of several threads, beside one thread alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model.save(path)
        pairs = [(served(path, 1, 1), served(path, 1, N_THREADS), served(path, 2, N_THREADS)) for _ in range(5)]
    for place, (label, at_most) in enumerate(
        ((f"{N_THREADS} threads of one process", 10), (f"two processes of {N_THREADS} threads", 25)), start=1
    ):
        ratios = np.sort([one[place][0] / one[0][0] for one in pairs])
        rate, p99 = (float(np.median([one[place][which] for one in pairs])) for which in (0, 1))
        times = f"{np.median(ratios):.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        shown = f"{times}, {rate:,.0f} lists a second, p99 {p99:.1f} ms"
        met = bool(np.median(ratios) >= 1 and p99 <= at_most)
        yield quality_row(f"single requests, 20,000 items, {label}", "one thread", shown, f"1 x, p99 {at_most} ms", met)


def served(path: Path, n_processes: int, n_threads: int) -> tuple[float, float]:
    """Return lists a second and the 99th percentile of their milliseconds."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(n_processes), context.Queue()
    processes = [context.Process(target=ask, args=(str(path), n_threads, barrier, queue)) for _ in range(n_processes)]
    for process in processes:
        process.start()
    results = [json.loads(queue.get()) for _ in processes]
    for process in processes:
        process.join()
    taken = np.concatenate([one["taken"] for one in results])
    return sum(len(one["taken"]) / one["seconds"] for one in results), float(np.quantile(taken, 0.99))


def ask(path: str, n_threads: int, barrier: Any, queue: Any) -> None:
    """Ask for lists from several threads of this process for a while."""
    model = lrrec.load(path, mmap=True)
    users, options = model.users_.ids, {"n_threads": 1} if n_threads == 1 else {}
    model.recommend(users[:1], K)
    taken: list[float] = []

    def work(seed: int) -> None:
        rng, mine = np.random.default_rng(seed), []
        while time.perf_counter() < end:
            start = time.perf_counter()
            model.recommend(users[[rng.integers(N_USERS)]], K, **options)
            mine.append(1e3 * (time.perf_counter() - start))
        taken.extend(mine)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(n_threads)]
    barrier.wait()
    begun = time.perf_counter()
    end = begun + SECONDS / 2
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put(json.dumps({"taken": taken, "seconds": time.perf_counter() - begun}))


def mapped() -> Iterator[dict[str, Any]]:
    """A model of 2 GB: saved, mapped, and its first list."""
    rng = np.random.default_rng(0)
    U, V = (rng.standard_normal((n, D), dtype=np.float32) for n in LARGE)
    cells = np.arange(1000, dtype=np.int32), np.arange(1000, dtype=np.int32)  # the first users have one item each
    seen = sp.csr_array((np.ones(1000, dtype=np.float32), cells), shape=LARGE)
    model = from_factors(U, V, seen=seen, unobserved_weight=0.1, reg=0.1)
    model.recommend([0], K)  # warm-up
    with tempfile.TemporaryDirectory() as folder:
        path, taken = Path(folder) / "model", []
        for _ in range(3):
            begun = time.perf_counter()
            model.save(path)
            between = time.perf_counter()
            shutil.copy(path, Path(folder) / "copy")
            taken.append((between - begun) / (time.perf_counter() - between))
        del model, U, V
        shown = f"{1 / np.median(taken):.2f} x the speed of a copy, {path.stat().st_size / 1e9:.1f} GB"
        yield quality_row("saving a model of 2 GB", "a copy of the file", shown, "0.5 x", float(np.median(taken)) <= 2)
        begun = time.perf_counter()
        loaded = lrrec.load(path, mmap=True)
        opened = time.perf_counter() - begun
        begun = time.perf_counter()
        filled = not loaded.recommend([5], K).items.mask.any()
        first = time.perf_counter() - begun
    shown = f"{opened:.3f} s; {first:.2f} s"
    yield quality_row(
        "mapping it; the first list", "", shown, "0.1 s; 0.2 s", bool(filled and opened <= 0.1 and first <= 0.2)
    )
