"""Metrics of 100,000 ready-made lists of 100, beside RecTools and ranx; evaluating a model, beside its top-k."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import lrrec
from benchmarks import matrices
from benchmarks.report import speed_row

ROUNDS, USERS, LENGTH, ITEMS, RELEVANT = 5, 100_000, 100, 20_000, 10
CUTOFFS = (10, 100)
OURS = [f"{name}@{k}" for name in ("recall", "precision", "map", "mrr", "ndcg") for k in CUTOFFS]
LISTS = "5 metrics x 2 cutoffs, 100,000 lists of 100"
D, K = 128, 20


def run() -> list[dict[str, Any]]:
    rows = []
    lists, relevant = random_lists()
    for measure in (beside_rectools, beside_ranx):
        try:
            rows += measure(lists, relevant)
        except ImportError as error:
            rows.append(absent(measure.__name__.removeprefix("beside_"), str(error)))
    return [*rows, of_a_model()]


def random_lists() -> tuple[np.ndarray, np.ndarray]:
    """Return lists (USERS, LENGTH) of distinct items, and RELEVANT distinct items of each user, some of them listed."""
    rng = np.random.default_rng(0)
    first, step = rng.integers(0, ITEMS, (USERS, 1)), 2 * rng.integers(0, 999, (USERS, 1)) + 7
    while (shared := np.gcd(step, ITEMS) > 1).any():
        step[shared] += 2
    walk = (first + step * np.arange(LENGTH + ITEMS // 4)) % ITEMS  # distinct, as step and ITEMS share no divisor
    places = np.argsort(rng.random((USERS, 300)), axis=1)[:, :RELEVANT]
    return walk[:, :LENGTH], np.take_along_axis(walk, places, axis=1)


def beside_rectools(lists: np.ndarray, relevant: np.ndarray) -> list[dict[str, Any]]:
    """Compare on frames of integers and ranks, RecTools' input."""
    from rectools.metrics import MAP, MRR, NDCG, Precision, Recall, calc_metrics

    kinds = {"recall": Recall, "precision": Precision, "map": MAP, "mrr": MRR, "ndcg": NDCG}
    theirs = {f"{name}@{k}": kind(k=k) for name, kind in kinds.items() for k in CUTOFFS}
    entries, wanted = entries_of(lists, ("user_id", "item_id")), entries_of(relevant, ("user_id", "item_id"))
    test = interactions(relevant)

    def ours() -> dict[str, float]:
        return lrrec.evaluate_lists(entries, test, OURS, user="user_id", item="item_id").mean()

    def rectools() -> dict[str, float]:
        return calc_metrics(theirs, entries, wanted[["user_id", "item_id"]])

    agree(ours(), rectools(), [name for name in OURS if not name.startswith("ndcg")])  # its ideal list has k hits
    return [speed_row(f"{LISTS}: from a frame of ids and ranks", "RecTools", rounds(rectools, ours), 10)]


def beside_ranx(lists: np.ndarray, relevant: np.ndarray) -> list[dict[str, Any]]:
    """Compare on frames of strings and scores, which ranx converts, and on ranx's arrays, without conversion."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ranx import Qrels, Run, evaluate
    names = np.array([str(index) for index in range(max(USERS, ITEMS))], dtype=object)
    entries, wanted = (
        frame.assign(q_id=names[frame["user"]], doc_id=names[frame["item"]], score=float(LENGTH) + 1 - frame["rank"])
        for frame in (entries_of(lists), entries_of(relevant))
    )
    wanted["score"] = 1
    test = interactions(relevant)
    run = np.stack((lists, np.broadcast_to(LENGTH - np.arange(LENGTH), lists.shape)), axis=2).astype(np.float64)
    truth = np.stack((relevant, np.ones_like(relevant)), axis=2).astype(np.float64)
    users = np.arange(USERS)

    def from_frames() -> dict[str, float]:
        return evaluate(Qrels.from_df(wanted), Run.from_df(entries), OURS)

    def from_arrays() -> dict[str, float]:
        return evaluate(truth, run, OURS)

    def ours_from_frames() -> dict[str, float]:
        return lrrec.evaluate_lists(entries[["user", "item", "score"]], test, OURS).mean()

    def ours_from_arrays() -> dict[str, float]:
        return lrrec.evaluate_lists(lists, test, OURS, users=users).mean()

    agree(ours_from_frames(), dict(zip(OURS, from_frames().values(), strict=True)), OURS)
    agree(ours_from_arrays(), dict(zip(OURS, from_arrays().values(), strict=True)), OURS)
    note = "warm, its conversion included"
    return [
        speed_row(f"{LISTS}: from a frame of ids and scores", "ranx", rounds(from_frames, ours_from_frames), 2, note),
        speed_row(f"{LISTS}: from arrays", "ranx", rounds(from_arrays, ours_from_arrays), 2, "warm, no conversion"),
    ]


def of_a_model() -> dict[str, Any]:
    """Return evaluating a model for all users of the large matrix, beside `recommend` inside of the same call."""
    split = lrrec.splits.random(lrrec.Interactions.from_matrix(matrices.large()), random_state=0)
    model = lrrec.IALS(D, n_iter=3, random_state=0).fit(split.train)
    names = [f"{name}@{k}" for name in ("ndcg", "recall", "precision", "map", "mrr") for k in (10, K)]
    timed, pairs = Timed(model), []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        lrrec.evaluate(timed, split, names).mean()
        pairs.append((timed.seconds, time.perf_counter() - begun))
    del pairs[0]
    share = np.median([whole / top_k for top_k, whole in pairs])
    note = (
        f"{share:.2f} x the time of the top-k, at most 1.2; {len(split.test_rows):,} users x {len(split.items):,} items"
    )
    return speed_row(f"evaluate a model, k = {K}: large, D = {D}", "its recommend", pairs, 1 / 1.2, note)


class Timed:
    """A model whose `recommend` is timed."""

    def __init__(self, model: lrrec.Recommender) -> None:
        self.model, self.seconds = model, np.nan
        self.users_, self.items_, self.seen_ = model.users_, model.items_, model.seen_

    def recommend(self, users: np.ndarray, **options: Any) -> lrrec.Recommendations:
        """Return the lists of the model."""
        begun = time.perf_counter()
        lists = self.model.recommend(users, **options)
        self.seconds = time.perf_counter() - begun
        return lists


def entries_of(table: np.ndarray, columns: tuple[str, str] = ("user", "item")) -> pd.DataFrame:
    """Return a row for each entry: user, item, rank."""
    n, width = table.shape
    users, ranks = np.repeat(np.arange(n), width), np.tile(np.arange(1, width + 1), n)
    return pd.DataFrame({columns[0]: users, columns[1]: table.reshape(-1), "rank": ranks})


def interactions(relevant: np.ndarray) -> lrrec.Interactions:
    """Return the relevant items as interactions."""
    return lrrec.Interactions.from_pairs(np.repeat(np.arange(len(relevant)), relevant.shape[1]), relevant.reshape(-1))


def rounds(peer: Callable[[], Any], ours: Callable[[], Any]) -> list[tuple[float, float]]:
    """Return (peer's, our) seconds of every round, after one of each to warm up."""
    pairs = []
    for _ in range(ROUNDS + 1):
        seconds = []
        for task in (peer, ours):
            begun = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - begun)
        pairs.append((seconds[0], seconds[1]))
    return pairs[1:]


def agree(ours: dict[str, float], theirs: dict[str, float], names: list[str]) -> None:
    """Check that the figures are the same, before their speed is compared."""
    np.testing.assert_allclose([ours[name] for name in names], [theirs[name] for name in names], atol=1e-9)


def absent(peer: str, error: str) -> dict[str, Any]:
    """Return the row of a peer that is not installed."""
    row = speed_row(LISTS, peer, [(np.nan, np.nan)], np.nan, f"not installed: {error}")
    return {name: "" if "nan" in value else value for name, value in row.items()} | {"verdict": "not measured"}
