"""lrrec on Spark beside lrrec on the same machine, and beside MLlib's own lists of the same model; two local cores.

The session is started, and its workers are warm, before anything is measured; its start is a row of its own. Data come
from Parquet files and go to Parquet files on both sides. Needs Java 17.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lrrec.interop
import lrrec.spark
from benchmarks.report import quality_row
from lrrec import IALS, AdapterBank, Interactions
from lrrec.adapt import LowRank

PARTS = ("lists", "all-users", "metrics", "domains")
ROUNDS = 5
N_USERS, N_ITEMS, N_EACH, D, K = 100_000, 10_000, 20, 64, 10  # K lists of each: a million recommendations
N_DOMAINS, N_DOMAIN_USERS = 1000, 25
METRICS = ["ndcg@10", "recall@20"]
AT_MOST = 1.5  # times the local seconds


def run(part: str) -> Iterator[dict[str, Any]]:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begun = time.perf_counter()
        session = start(folder)
        session.range(10).count()
        started = time.perf_counter() - begun
        try:
            work = Work(session, folder)
            if part == "lists":
                yield quality_row("starting a session, first job", "", f"{started:.1f} s", "", True)
                yield work.recommending()
            elif part == "all-users":
                yield work.all_users()
            elif part == "metrics":
                yield work.evaluating()
            else:
                yield work.adapting()
        finally:
            session.stop()


def start(folder: Path) -> Any:
    """Start a session of two local workers."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    options = {"spark.driver.memory": "3g", "spark.sql.shuffle.partitions": "4", "spark.local.dir": str(folder)}
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


class Work:
    """A model, tables as Parquet files, and what is done with them here and there."""

    def __init__(self, session: Any, folder: Path) -> None:
        self.session, self.folder = session, folder
        rng = np.random.default_rng(0)
        users = np.repeat(np.arange(N_USERS), N_EACH)
        items = (N_ITEMS * rng.random(len(users)) ** 3).astype(np.int64)
        frame = pd.DataFrame({"user": users, "item": items}).drop_duplicates(ignore_index=True)
        hidden = rng.random(len(frame)) < 0.2
        self.frames = {
            "plays": frame, "history": frame[~hidden], "test": frame[hidden],
            "markets": frame[: N_DOMAINS * N_DOMAIN_USERS * N_EACH].assign(
                domain=lambda f: f["user"] // N_DOMAIN_USERS
            ).query(f"domain < {N_DOMAINS}"),
        }  # fmt: skip
        for name, part in self.frames.items():
            part.to_parquet(self.path(name), row_group_size=2**17)
        trained_on = Interactions.from_frame(frame.assign(user=frame["user"] + 10**9))  # lists are for new users
        self.model = IALS(D, n_iter=3, random_state=0).fit(trained_on)
        self.few = trained_on.to_frame().head(1000)
        self.model_path = folder / "model.lrrec"
        self.model.save(self.model_path)

    def path(self, name: str) -> Path:
        """Return where a table is."""
        return self.folder / f"{name}.parquet"

    def table(self, name: str) -> Any:
        """Return a table as a frame of Spark's."""
        return self.session.read.parquet(str(self.path(name)))

    def recommending(self) -> dict[str, Any]:
        """Lists for all users, from their histories."""

        def here() -> pd.DataFrame:
            data = Interactions.from_parquet(self.path("plays"))
            lists = lrrec.load(self.model_path, mmap=True).recommend_from(data, K).to_frame()
            lists.to_parquet(self.path("here"))
            return lists

        def there() -> pd.DataFrame:
            shutil.rmtree(self.path("there"), ignore_errors=True)
            lists = lrrec.spark.recommend(self.table("plays"), self.model_path, K)
            lists.write.parquet(str(self.path("there")))
            return pd.read_parquet(self.path("there"))

        mine, other = (lists.sort_values(["user", "rank"], ignore_index=True) for lists in (here(), there()))
        same = float((mine["item"] == other["item"]).mean())
        note = f"; {same:.4%} of the items are the same" if same < 1 else "; the same items"
        return compared(f"{len(mine):,} recommendations", "recommend_from here", here, there, note, met=same > 0.9999)

    def all_users(self) -> dict[str, Any]:
        """MLlib's lists of the model that it trained, and ours of the same."""
        from pyspark.ml.recommendation import ALS

        table = self.table("plays")
        options: dict[str, Any] = {"rank": D, "maxIter": 2, "implicitPrefs": True, "seed": 0, "ratingCol": "value"}
        fitted = ALS(userCol="user", itemCol="item", **options).fit(table.selectExpr("*", "1.0 value"))
        fitted.write().overwrite().save(str(self.folder / "mllib"))
        model = lrrec.interop.from_spark(self.folder / "mllib", alpha=1.0, reg=0.1)
        model.save(self.folder / "mllib.lrrec")

        def theirs() -> None:
            shutil.rmtree(self.path("theirs"), ignore_errors=True)
            fitted.recommendForAllUsers(K).write.parquet(str(self.path("theirs")))

        def ours() -> None:
            shutil.rmtree(self.path("ours"), ignore_errors=True)
            lists = lrrec.spark.recommend(table, self.folder / "mllib.lrrec", K)
            lists.write.parquet(str(self.path("ours")))

        seconds = rounds(theirs, ours)
        ratios = np.sort([one / other for one, other in seconds])
        shown = f"{np.median(ratios):.1f} times faster ({ratios[0]:.1f} to {ratios[-1]:.1f}): {medians(seconds)}"
        return quality_row(
            f"{N_USERS * K:,} recommendations, seen items left out", "MLlib's recommendForAllUsers, seen items in",
            shown, "5 x", bool(np.median(ratios) >= 5),
        )  # fmt: skip

    def evaluating(self) -> dict[str, Any]:
        """Metrics of all users."""
        means: dict[str, Any] = {}

        def here() -> None:
            parts = (pd.read_parquet(self.path(name)) for name in ("history", "test"))
            history, test = parts
            split = lrrec.Split.from_frames(self.few, test, history)
            means["here"] = lrrec.evaluate(lrrec.load(self.model_path, mmap=True), split, metrics=METRICS).mean()

        def there() -> None:
            history, test = self.table("history"), self.table("test")
            means["there"] = lrrec.spark.evaluate(history, test, self.model_path, METRICS).mean()

        here(), there()
        error = max(abs(means["here"][name] - means["there"][name]) for name in METRICS)
        note = f"; metrics within {error:.0e}"
        return compared(f"metrics of {N_USERS:,} users", "evaluate here", here, there, note, met=error < 1e-9)

    def adapting(self) -> dict[str, Any]:
        """An adapter for each of many domains."""
        adapter = LowRank(rank=8, reg=1.0, fold_in_reg=0.01)

        def here() -> None:
            frame = pd.read_parquet(self.path("markets"))
            base = lrrec.load(self.model_path)
            data = Interactions.from_frame(frame)
            domains = frame.drop_duplicates("user").set_index("user")["domain"]
            AdapterBank(base).fit_many(data, domains, adapter=adapter).save(self.folder / "bank")

        def there() -> None:
            lrrec.spark.adapt(self.table("markets"), self.model_path, self.folder / "bank-of-spark", adapter=adapter)

        here(), there()
        banks = [AdapterBank.load(self.folder / name, self.model) for name in ("bank", "bank-of-spark")]
        error = max(
            float(np.abs(banks[0][domain].item_factors_ - banks[1][domain].item_factors_).max()) for domain in range(20)
        )
        note = f"; item factors within {error:.0e}"
        return compared(f"{N_DOMAINS:,} domains adapted", "fit_many here", here, there, note, met=error < 1e-4)


def rounds(first: Callable[[], Any], second: Callable[[], Any]) -> list[tuple[float, float]]:
    """Return the seconds of two steps, in turns, after one round that does not count."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        first()
        between = time.perf_counter()
        second()
        seconds.append((between - begun, time.perf_counter() - between))
    return seconds[1:]


def medians(seconds: list[tuple[float, float]]) -> str:
    """Return both medians, to be read."""
    return ", ".join(f"{np.median(side):.2f} s" for side in zip(*seconds, strict=True))


def compared(
    measurement: str, rival: str, here: Callable[[], Any], there: Callable[[], Any], note: str, *, met: bool
) -> dict[str, Any]:
    """Return a row of Spark's seconds beside those of this machine alone."""
    seconds = rounds(here, there)
    ratios = np.sort([other / one for one, other in seconds])
    shown = f"{np.median(ratios):.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f}): {medians(seconds)}{note}"
    return quality_row(
        f"{measurement}, Spark", rival, shown, f"{AT_MOST} x", bool(met and np.median(ratios) <= AT_MOST)
    )
