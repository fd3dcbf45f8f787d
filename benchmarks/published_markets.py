"""Adapting by two published protocols of cross-market recommendation, beside the figures published for them.

WSDM Cup 2022, t1: 100 candidates a user, as published; the sources are s1, s2 and s3. XMarket electronics: a user's
last item among 99 that are drawn; the source is uk + ca (the published figures may use the largest market, the US,
which is not among these files). Settings are chosen on interactions held out of the training data, in the same way;
what was chosen is fitted to all of the training data.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import clone

import lrrec
from benchmarks import matrices
from benchmarks.report import quality_row
from lrrec import IALS, AdapterSelector, Interactions, Popularity, Split

METRIC = "ndcg@10"
N_VALIDATION = 3000
SEEDS = 5
T1_GOAL, T1_SECONDS = 0.689, 10.0
POOLED = {"de": 0.333, "jp": 0.192}  # NMF++, trained on source and target at once


def run(source_model: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows; source_model(markets) returns a base tuned on some markets of XMarket, and their data."""
    yield from wsdm_cup()
    base, _ = source_model(("uk", "ca"))
    for target, published in POOLED.items():
        yield xmarket(target, base, published)


def wsdm_cup() -> Iterator[dict[str, Any]]:
    split = lrrec.datasets.load("wsdm-xmrec/t1", matrices.data_home()).split()
    sources = {
        name: lrrec.datasets.load(f"wsdm-xmrec/{name}", matrices.data_home()).interactions()
        for name in ("s1", "s2", "s3")
    }
    bases = {name: Popularity().fit(data) for name, data in sources.items()}  # which holds the interactions
    chosen, seconds = adapted(split.train, one_of_each_user(split.train, seed=0), bases)
    value = score(chosen, split)
    name = f"WSDM Cup 2022, t1 from s1, s2 and s3: {METRIC} of {len(split.test_rows):,} users"
    rival = "published: EASE .677, item-item with sources .686, matrix factorization .690, LightGCN .698"
    yield quality_row(name, rival, f"{value:.4f}, {chosen.label}", f"{T1_GOAL}", value >= T1_GOAL)
    shown = f"{seconds:.1f} s"
    yield quality_row(
        "the same: everything compared and guarded", "", shown, f"{T1_SECONDS:g} s", seconds <= T1_SECONDS
    )


def xmarket(target: str, base: IALS, published: float) -> dict[str, Any]:
    data = lrrec.datasets.load(f"xmarket/{target}", matrices.data_home()).interactions()
    outer = lrrec.splits.leave_last(data.binarize(), random_state=0)
    inner = lrrec.splits.leave_last(outer.train, random_state=0)
    chosen, _ = adapted(outer.train, lrrec.splits.with_negatives(inner, 99, random_state=SEEDS), base)
    draws = [lrrec.splits.with_negatives(outer, 99, random_state=seed) for seed in range(SEEDS)]
    value = float(np.mean([score(chosen, draw) for draw in draws]))
    name = f"XMarket, {target} from uk + ca, the last item among 99 drawn: {METRIC}"
    return quality_row(
        name, "published: NMF++, pooled", f"{value:.4f}, {chosen.label}", f"{published}", value > published
    )


def one_of_each_user(train: Interactions, seed: int) -> Split:
    """Return a split with an interaction of some users, who have three or more, to be found among 99 that are drawn."""
    rng, rows = np.random.default_rng(seed), train.rows()
    order = rng.permutation(len(train))
    _, first = np.unique(rows[order], return_index=True)
    drawn = order[first]
    drawn = rng.permutation(drawn[np.bincount(rows)[rows[drawn]] >= 3])[:N_VALIDATION]
    held_out = np.zeros(len(train), dtype=bool)
    held_out[drawn] = True
    rest = train.filter(~held_out)
    return lrrec.splits.with_negatives(Split(rest, rest, train.filter(held_out)), 99, random_state=seed)


def adapted(train: Interactions, validation: Split, base: Any) -> tuple[Any, float]:
    """Return the adapter that is best on the validation users, fitted to all of the training data, and the seconds."""
    items, begun = train.items.ids, time.perf_counter()
    selector = AdapterSelector(metric=METRIC, random_state=0)
    selector.fit(validation.train, base=base, catalogue=items, validation=validation)
    seconds = time.perf_counter() - begun
    print(selector.report_.to_string(), selector.verdict_, sep="\n", flush=True)
    return clone(selector.best_).fit(train, base=base, catalogue=items), seconds


def score(model: Any, split: Split) -> float:
    return float(lrrec.evaluate(model, split, metrics=[METRIC]).mean()[METRIC])
