"""Load the service on this machine while its model and adapters are replaced, and check every answer.

    python load_test.py --requests 20000 --clients 4 --workers 2 --changes 1000

Two releases of a made-up catalogue take turns, and so do the adapters of one market in each. An answer has to be that
of the release that it names. Clients and service share the machine's cores.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from release import MODEL, Release

import lrrec
from lrrec.adapt import LowRank

MARKET, K, N_ASKED = "de", 10, 40
Key = tuple[str, str | None, int, bool]  # version, market, user, by history
Expected = dict[Key, list[int]]


def make(folder: Path, n_users: int, n_items: int) -> tuple[list[Path], list[lrrec.AdapterBank], Expected, Any]:
    """Save two releases; return their folders, the two banks of each, what is to be answered, and the histories."""
    rng, folders, banks = np.random.default_rng(0), [], []
    expected: Expected = {}
    histories = drawn(rng, N_ASKED, n_items)
    for number in range(2):
        data = lrrec.Interactions.from_matrix(drawn(rng, n_users, n_items))
        model = lrrec.IALS(64, n_iter=2, random_state=number).fit(data)
        release = folder / f"release-{number}"
        release.mkdir()
        model.save(release / MODEL)
        for _ in range(2):
            target = lrrec.Interactions.from_matrix(drawn(rng, 50, n_items))
            adapter = LowRank(8, reg=1.0, fold_in_reg=0.01).fit(target, base=model)
            banks.append(lrrec.AdapterBank(model, {MARKET: adapter}))
            banks[-1].save(release / "bank", histories=True)
            expected |= answers(Release.load(release), histories)
        folders.append(release)
    return folders, banks, expected, histories


def drawn(rng: np.random.Generator, n_users: int, n_items: int) -> sp.csr_array:
    """Draw long-tailed interactions, 20 a user."""
    rows, columns = np.repeat(np.arange(n_users), 20), (n_items * rng.random(20 * n_users) ** 3).astype(int)
    matrix = sp.csr_array((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n_users, n_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def answers(release: Release, histories: sp.csr_array) -> Expected:
    """Return the items of the first users, and those of the histories."""
    expected: Expected = {}
    for market, model in ((None, release.model), (MARKET, release.bank[MARKET])):
        for user in range(N_ASKED):  # one by one, as they are asked: in a batch scores differ in their last digits
            expected[release.version, market, user, False] = model.recommend([user], k=K).items[0].tolist()
            by_history = model.recommend_from(histories[[user]], k=K)
            expected[release.version, market, user, True] = by_history.items[0].tolist()
    return expected


@contextmanager
def service(link: Path, n_workers: int) -> Iterator[int]:
    """Run the service, and give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    counts = link.parent / "counts"
    counts.mkdir()
    environment = os.environ | {
        "LRREC_RELEASE": str(link), "LRREC_RELOAD_SECONDS": "0.01", "PROMETHEUS_MULTIPROC_DIR": str(counts),
    }  # fmt: skip
    command = ["uvicorn", "service:app", "--port", str(port), "--workers", str(n_workers), "--log-level", "warning"]
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=Path(__file__).parent, env=environment)
    try:
        for _ in range(600):
            try:
                with connected(port) as connection:
                    ask(connection, "GET", "/health")
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def connected(port: int) -> closing[http.client.HTTPConnection]:
    """Open a connection to the service, for a with statement."""
    return closing(http.client.HTTPConnection("127.0.0.1", port))


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and content of an answer."""
    connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if path != "/metrics" else content.decode()


def client(port: int, seed: int, n_requests: int, rows: list[list[int]], expected: Expected) -> tuple[Counter, Any]:
    """Ask again and again; return how many answers were right, by version, and the seconds of each."""
    rng, seconds, counts = np.random.default_rng(seed), np.zeros(n_requests), Counter[str]()
    with connected(port) as connection:
        for number in range(n_requests):
            user, market = int(rng.integers(N_ASKED)), [None, MARKET][rng.integers(2)]
            by_history = bool(rng.integers(2))
            body: dict[str, Any] = {"k": K, "market": market}
            body |= {"history": rows[user]} if by_history else {"user": user}
            begun = time.perf_counter()
            status, answer = ask(connection, "POST", "/recommend", body)
            seconds[number] = time.perf_counter() - begun
            right = status == 200 and answer["items"] == expected.get((answer["version"], market, user, by_history))
            counts[answer["version"] if right else "wrong"] += 1
            if not right:
                print(status, body, answer, file=sys.stderr)
    return counts, seconds


def change(folders: list[Path], banks: list[lrrec.AdapterBank], link: Path, n_changes: int, seconds: float) -> None:
    """Replace the release and the adapters in turns."""
    for number in range(n_changes):
        which = number // 2 % 2
        if number % 2:
            banks[2 * which + number // 4 % 2].save(folders[which] / "bank", histories=True)
        else:
            point(link, folders[which])
        time.sleep(seconds)


def point(link: Path, folder: Path) -> None:
    """Let a link point to a folder, at once."""
    new = link.with_name("next")
    new.symlink_to(folder)
    new.replace(link)


def run(
    *, n_requests: int, n_clients: int, n_workers: int, n_changes: int, n_users: int = 5000, n_items: int = 20_000,
    pause: float = 0.03,
) -> dict[str, Any]:  # fmt: skip
    """Load the service; return what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders, banks, expected, histories = make(folder, n_users, n_items)
        link = folder / "current"
        point(link, folders[0])
        rows = [items.tolist() for items in np.split(histories.indices, histories.indptr[1:-1])]
        changes = threading.Thread(target=change, args=(folders, banks, link, n_changes, pause))
        with service(link, n_workers) as port, ThreadPoolExecutor(n_clients) as pool:
            begun = time.perf_counter()
            changes.start()
            results = list(pool.map(
                lambda seed: client(port, seed, n_requests // n_clients, rows, expected), range(n_clients)
            ))  # fmt: skip
            elapsed = time.perf_counter() - begun
            changes.join()
            with connected(port) as connection:
                _, text = ask(connection, "GET", "/metrics")
    counts = sum((one for one, _ in results), Counter[str]())
    seconds = np.concatenate([one for _, one in results])
    return {
        "answers": sum(counts.values()), "wrong": counts["wrong"], "versions": len(counts) - ("wrong" in counts),
        "changes": n_changes, "reloads": reloads(text, "taken"), "failed reloads": reloads(text, "failed"),
        "requests a second": round(len(seconds) / elapsed),
        "p50, ms": round(1e3 * float(np.median(seconds)), 2),
        "p99, ms": round(1e3 * float(np.quantile(seconds, 0.99)), 2),
    }  # fmt: skip


def reloads(text: str, result: str) -> int:
    """Return a count of the metrics."""
    lines = [line for line in text.splitlines() if line.startswith(f'lrrec_reloads_total{{result="{result}"}}')]
    return round(sum(float(line.split()[-1]) for line in lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in {"requests": 20_000, "clients": 4, "workers": 2, "changes": 1000}.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    options = {f"n_{name}": value for name, value in vars(parser.parse_args()).items()}
    print(json.dumps(run(**options), indent=1))
