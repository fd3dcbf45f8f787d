"""Features of items: new and warm items, beside content alone, mapped factors and peers; and new interactions.

All settings are chosen on a validation part of the training data, with the same number of trials. The peers are run by
the Python of environments of their own, in folders of LRREC_PEERS: see benchmarks/hybrid_peers.py.
"""

import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

import lrrec
from benchmarks import adapt, matrices, transfers
from benchmarks.report import quality_row
from lrrec import IALS, AdapterSelector, Blend, Interactions, ItemContent, LowRankAdapter, Split
from lrrec.adapt import ItemItem, ItemItemScratch, LowRank
from lrrec.features import Category, FeatureEncoder, Features, Tags
from lrrec.linalg.feature_regression import FeatureRegression
from lrrec.linalg.sparse import times

PARTS = ("new-items", "warm-items", "new-users", "adapters", "peers", "growth")
METRICS = ["recall@20", "ndcg@20"]
D, ROUNDS, SEEDS, ADAPTER_SEEDS = 128, 5, 3, 5
SETTINGS = [
    {"unobserved_weight": weight, "reg": reg} for weight in (0.003, 0.01, 0.03) for reg in (0.001, 0.002, 0.004)
]  # fmt: skip
FEATURE_REGS = (0.3, 1.0, 3.0)
PUBLISHED = {"content alone": (0.409, 0.321), "factors mapped from tags": (0.405, 0.304)}  # recall@20, nDCG@20
AT_LEAST = 1.08


def run(part: str) -> Iterator[dict[str, Any]]:
    rows = {
        "new-items": new_items, "warm-items": warm_items, "new-users": new_users, "adapters": adapters,
        "peers": beside_peers, "growth": growth,
    }  # fmt: skip
    yield from rows[part]()


@cache
def articles() -> tuple[Split, Split, sp.csr_array]:
    """citeulike-a: the published split, a split for validation of its training part, and tags of all articles."""
    dataset = lrrec.datasets.load("citeulike-a", matrices.data_home())
    split, inner = dataset.split(), dataset.split("valid")
    return split, inner, tags(dataset, split)


def tags(dataset: Any, split: Split) -> sp.csr_array:
    """TF-IDF of the tags that two items have or more."""
    texts = dataset.items.set_index("item")["tags"].reindex(split.items.ids).fillna("")
    weights = TfidfVectorizer(analyzer=lambda text: [tag for tag in text.split("|") if tag], min_df=2)
    return sp.csr_array(weights.fit_transform(texts)).astype(np.float32)


def values(model: Any, split: Split, metrics: list[str] = METRICS) -> np.ndarray:
    means = lrrec.evaluate(model, split, metrics=metrics).mean()
    return np.array([means[metric] for metric in metrics])


def ndcg(model: Any, split: Split) -> float:
    return float(values(model, split, ["ndcg@20"])[0])


def ials(n_factors: int = D, seed: int = 0, **params: Any) -> IALS:
    return IALS(n_factors, n_iter=8, random_state=seed, **params)


def mapped(params: dict[str, Any], reg: float, train: Interactions, features: sp.csr_array) -> IALS:
    """Factors of an IALS without features, and a ridge regression that maps features of new items to them."""
    model = ials(**params).fit(train)
    known = model.item_counts_ > 0
    regression = FeatureRegression(features[known], reg, 2)
    W = regression.solve(times(sp.csr_array(features[known].T), model.item_factors_[known]))
    V = np.where(known[:, None], model.item_factors_, times(features, W))
    return lrrec.interop.from_factors(model.user_factors_, V, users=train.users.ids, items=train.items.ids, seen=train)


def new_items() -> Iterator[dict[str, Any]]:
    """Rank the new items of the published split of citeulike-a."""
    split, inner, features = articles()
    content = max((3.0, 10.0, 30.0, 100.0, 1e6), key=lambda reg: ndcg(fit(ItemContent(reg), inner, features), inner))
    trials = [params | {"feature_reg": reg} for params in SETTINGS for reg in FEATURE_REGS]
    chosen = max(trials, key=lambda params: ndcg(fit(ials(**params), inner, features), inner))
    maps = [(params, reg) for params in SETTINGS for reg in (0.3, 1.0, 3.0)]
    plain, map_reg = max(maps, key=lambda one: ndcg(mapped(*one, inner.train, features), inner))
    measured = {
        "profile alone": values(fit(ItemContent(1e6), split, features), split),
        f"ItemContent({content:g})": values(fit(ItemContent(content), split, features), split),
        f"factors mapped from tags, D = {D}, {plain}": values(mapped(plain, map_reg, split.train, features), split),
        f"IALS with features, D = {D}, {chosen}": values(fit(ials(**chosen), split, features), split),
        f"Blend of both, D = {D}": np.mean(
            [values(hybrid(chosen, content, seed), split) for seed in range(SEEDS)], axis=0
        ),
    }
    best = np.max([*PUBLISHED.values()], axis=0)
    for name, pair in measured.items():
        ratios = pair / best
        is_hybrid = name.startswith("Blend")
        yield quality_row(
            f"citeulike-a, new items, {name}: recall@20, nDCG@20", "content alone: .409, .321",
            f"{pair[0]:.4f}, {pair[1]:.4f}: {ratios[0]:.3f}, {ratios[1]:.3f}",
            f"{AT_LEAST} times" if is_hybrid else "", bool((ratios >= AT_LEAST).all()) or not is_hybrid,
        )  # fmt: skip


def fit(model: Any, split: Split, features: Any) -> Any:
    return model.fit(split.train, item_features=features)


def hybrid(chosen: dict[str, Any], content: float, seed: int) -> Any:
    split, _, features = articles()
    return fit(Blend([ials(seed=seed, **chosen), ItemContent(content)], random_state=seed), split, features)


def warm_items() -> Iterator[dict[str, Any]]:
    """Rank items that have interactions, with features and without, each tuned; a fifth of the data is hidden."""
    split, _, features = articles()
    yield warm("citeulike-a, tags", split.train, features)
    for name in ("ml-latest-small", "ml-1m"):
        dataset = lrrec.datasets.load(name, matrices.data_home())
        data = dataset.interactions(min_rating=4)
        table = dataset.items.set_index("item").reindex(data.items.ids)
        genres = table["genres"].fillna("").str.get_dummies("|")
        yield warm(f"{name}, genres", data, genres.to_numpy(dtype=np.float32))


def warm(name: str, data: Interactions, features: Any) -> dict[str, Any]:
    inner = lrrec.splits.random(lrrec.splits.random(data, 0.2, random_state=0).train, 0.2, random_state=1)
    weights, regs = ((0.003, 0.01, 0.03), (0.001, 0.002, 0.004)) if sp.issparse(features) else (
        (0.03, 0.1, 0.3), (0.005, 0.01, 0.03)
    )  # fmt: skip
    n_factors = D if sp.issparse(features) else 64
    settings = [{"unobserved_weight": a, "reg": reg} for a, reg in itertools.product(weights, regs)]
    plain = max(settings, key=lambda params: ndcg(ials(n_factors, **params).fit(inner.train), inner))
    trials = [params | {"feature_reg": reg} for params in settings for reg in FEATURE_REGS]
    tried = {
        number: ndcg(fit(ials(n_factors, **params), inner, features), inner) for number, params in enumerate(trials)
    }
    chosen = trials[max(tried, key=lambda number: tried[number])]
    switched_on = max(tried.values()) >= ndcg(ials(n_factors, **plain).fit(inner.train), inner)
    pairs = []
    for seed in range(SEEDS):
        split = lrrec.splits.random(data, 0.2, random_state=seed)
        without = ndcg(ials(n_factors, seed, **plain).fit(split.train), split)
        with_features = ndcg(fit(ials(n_factors, seed, **chosen), split, features), split) if switched_on else without
        pairs.append((with_features, without))
    featured, without = np.array(pairs).T
    ratio = featured.mean() / without.mean()
    shown = f"{ratio:.3f}: {featured.mean():.4f}, {without.mean():.4f}; {chosen if switched_on else 'switched off'}"
    return quality_row(f"{name}, warm items, nDCG@20", "IALS without features", shown, "1", ratio >= 1)


def new_users() -> Iterator[dict[str, Any]]:
    """Recommend to new users of ml-1m by gender, age and occupation, beside popularity: of all, and of a group."""
    dataset = lrrec.datasets.load("ml-1m", matrices.data_home())
    data = dataset.interactions(min_rating=4)
    table = dataset.users.set_index("user").reindex(data.users.ids).astype(str)
    columns = [name for name in ("gender", "age", "occupation") if name in table]
    features = pd.get_dummies(table[columns]).to_numpy(dtype=np.float32)
    inner = lrrec.splits.cold_users(lrrec.splits.cold_users(data, random_state=0).train, random_state=1)
    trials = [
        {"unobserved_weight": weight, "reg": reg, "feature_reg": feature_reg}
        for weight in (0.03, 0.1, 0.3) for reg in (0.003, 0.01, 0.03) for feature_reg in FEATURE_REGS
    ]  # fmt: skip

    def by_features(params: dict[str, Any], split: Split, seed: int = 0) -> float:
        model = ials(64, seed, **params).fit(split.train, user_features=features)
        return lrrec.evaluate(model, split, metrics=["ndcg@20"], user_features=features).mean()["ndcg@20"]

    chosen = max(trials, key=lambda params: by_features(params, inner))
    by_seed = []
    for seed in range(SEEDS):
        split = lrrec.splits.cold_users(data, random_state=seed)
        groups = table[["gender", "age"]].agg(" ".join, axis=1).to_numpy()
        by_seed.append([
            by_features(chosen, split, seed), ndcg(lrrec.Popularity().fit(split.train), split),
            popular_in_group(split, groups),
        ])  # fmt: skip
    mine, popular, of_group = np.mean(by_seed, axis=0)
    rival = f"popularity {popular:.4f}; of gender and age {of_group:.4f}"
    yield quality_row(
        f"ml-1m, new users by {', '.join(columns)}: nDCG@20", rival, f"{mine:.4f}; {chosen}", "above both",
        mine > max(popular, of_group),
    )  # fmt: skip


def popular_in_group(split: Split, groups: np.ndarray) -> float:
    """nDCG@20 of the most popular items in the training data of a test user's group."""
    rows, total = split.test_rows, 0.0
    for group in np.unique(groups[rows]):
        members = rows[groups[rows] == group]
        counts = np.asarray(split.train.matrix[groups == group].sum(axis=0)).ravel()
        best = split.items.ids[np.argsort(-counts, kind="stable")[:20]]
        ids = split.users.ids[members]
        lists = np.tile(best, (len(members), 1))
        total += lrrec.evaluate_lists(lists, split, metrics=["ndcg@20"], users=ids).values["ndcg@20"].sum()
    return total / len(rows)


def adapters() -> Iterator[dict[str, Any]]:
    """Adapt from ml-1m to the union of its catalogue and that of ml-latest-small, with genres and years of films."""
    transfer = transfers.get("union")
    base, source = adapt.source_model(transfer)
    features = films()
    seeded_base = IALS(**base.get_params()).fit(source.train, item_features=features)
    new = np.setdiff1d(transfer.target.items.ids, seeded_base.items_.ids)
    seeded_base = seeded_base.with_items(new, features.select(new))
    cases = {
        "item-item": (lambda seed: AdapterSelector([ItemItem()], guard=False, random_state=seed), base),
        "item-item of the target alone": (
            lambda seed: AdapterSelector([ItemItemScratch()], guard=False, random_state=seed), base
        ),
        "guarded": (lambda seed: LowRankAdapter("auto", history=0.5, random_state=seed), base),
        "low rank 8, new items start where a base with features puts them": (
            lambda seed: AdapterSelector([LowRank(8)], guard=False, random_state=seed), seeded_base
        ),
    }  # fmt: skip
    runs = [adapt.Run(transfer, base, source, seed) for seed in range(ADAPTER_SEEDS)]
    for size, (name, (make, its_base)) in itertools.product((10, 25, 100), cases.items()):
        pairs = []
        for seed, one in enumerate(runs):
            validation, test = one.split(one.validation_rows), one.split(one.test_rows)
            if its_base is base:
                arguments: list[dict[str, Any]] = [{"base": base, "item_features": features}, {"base": base}]
            else:
                arguments = [{"base": its_base}, {"base": base}]
            pairs.append([
                ndcg(make(seed).fit(one.train(size), validation=validation, **options), test) for options in arguments
            ])  # fmt: skip
        (featured, without), ratios = np.mean(pairs, axis=0), np.divide(*np.transpose(pairs))
        shown = f"{featured / without:.3f} ({ratios.min():.3f} to {ratios.max():.3f}): {featured:.4f}, {without:.4f}"
        yield quality_row(
            f"{transfer.name}: {size} users, {name}, nDCG@20", "without features", shown, "1", featured >= without
        )  # fmt: skip


def films() -> Features:
    """Genres and half-decades of the films of ml-1m and ml-latest-small."""
    tables = [lrrec.datasets.load(name, matrices.data_home()).items for name in ("ml-latest-small", "ml-1m")]
    table = pd.concat(tables).drop_duplicates("item")
    years = pd.to_numeric(table["title"].str.extract(r"\((\d{4})\)\s*$")[0])
    table["period"] = (years // 5 * 5).map(str, na_action="ignore")
    return FeatureEncoder({"genres": Tags(), "period": Category()}, id="item").fit_transform(table)


def beside_peers() -> Iterator[dict[str, Any]]:
    """Peers that take features of items: all tags, and the 2,000 most frequent ones; D = 64."""
    split, inner, features = articles()
    counts = np.bincount(features.indices, minlength=features.shape[1])
    frequent = np.sort(np.argsort(-counts, kind="stable")[:2000])
    grids: dict[str, list[dict[str, Any]]] = {
        "irspack": [
            {"n_components": 64, "alpha0": alpha, "reg": reg, "lambda_item_feature": ridge, "train_epochs": 8}
            for alpha in (0.01, 0.03) for reg in (0.001, 0.004) for ridge in (0.03, 0.3, 3.0)
        ],
        "lightfm": [
            {"no_components": 64, "epochs": epochs, "learning_rate": 0.05, "item_alpha": alpha, "user_alpha": alpha}
            for epochs in (10, 30) for alpha in (0.0, 1e-6, 1e-5)
        ],
    }  # fmt: skip
    ours = [
        {"unobserved_weight": alpha, "reg": reg, "feature_reg": ridge}
        for alpha in (0.01, 0.03) for reg in (0.001, 0.004) for ridge in (0.3, 1.0, 3.0)
    ]  # fmt: skip
    for name, F in (("all tags", features), ("the 2,000 most frequent tags", features[:, frequent])):
        chosen = max(ours, key=lambda params: ndcg(fit(ials(64, **params), inner, F), inner))
        model = ials(64, **chosen)
        mine = values(fit(model, split, F), split)
        for peer, grid in grids.items():
            tried = run_peer(peer, inner, F, grid[:3] if F is features and peer == "irspack" else grid)
            if tried is None:
                continue
            best = grid[int(np.argmax([pair[1] for pair, _, _ in tried]))]
            (theirs, _, version), *_ = run_peer(peer, split, F, [best]) or []
            seconds = []
            for _ in range(ROUNDS):
                begun = time.perf_counter()
                fit(model, split, F)
                between = time.perf_counter() - begun
                *_, (_, peer_seconds, _) = run_peer(peer, split, F, [best, best]) or []  # the first warms up
                seconds.append((peer_seconds, between))
            label = f"citeulike-a, new items by {name} ({F.shape[1]:,}), D = 64"
            yield quality_row(
                f"{label}: recall@20, nDCG@20", f"{version}: {theirs[0]:.4f}, {theirs[1]:.4f}",
                f"{mine[0]:.4f}, {mine[1]:.4f}", "not below", bool((mine >= theirs).all()),
            )  # fmt: skip
            ratios, at_least = np.sort([one / other for one, other in seconds]), 3 if peer == "irspack" else 10
            ratio, (peer_time, time_here) = float(np.median(ratios)), np.median(seconds, axis=0)
            yield quality_row(
                f"{label}: seconds of a fit", f"{version}: {peer_time:.3g} s",
                f"{time_here:.3g} s, {ratio:.1f} times faster ({ratios[0]:.1f} to {ratios[-1]:.1f})",
                f"{at_least} times", ratio >= at_least,
            )  # fmt: skip


def run_peer(
    peer: str, split: Split, features: sp.csr_array, settings: list[dict[str, Any]]
) -> list[tuple[np.ndarray, float, str]] | None:
    """Return a peer's values, seconds and version for each setting; None where it is not installed."""
    python = Path(os.environ.get("LRREC_PEERS", "peers")) / peer / "bin" / "python"
    if not python.exists():
        print(f"{peer} is not installed in {python.parents[1]}: its rows are left out", flush=True)
        return None
    users = split.test_rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sp.save_npz(folder / "train.npz", sp.csr_matrix(split.train.matrix))
        sp.save_npz(folder / "features.npz", sp.csr_matrix(features))
        np.save(folder / "candidates.npy", np.sort(split.items.indices(split.candidates)))
        np.save(folder / "users.npy", users)
        (folder / "settings.json").write_text(json.dumps(settings))
        script = Path(__file__).with_name("hybrid_peers.py")
        output = subprocess.run([python, script, peer, folder], capture_output=True, text=True, check=True).stdout
        results = []
        for line in output.splitlines():
            if "{" in line:  # progress bars go before
                record = json.loads(line[line.index("{") :])
                lists = split.items.ids[np.load(folder / f"lists-{record['setting']}.npy")]
                means = lrrec.evaluate_lists(lists, split, metrics=METRICS, users=split.test.users.ids[users]).mean()
                pair = np.array([means[metric] for metric in METRICS])
                results.append((pair, record["seconds"], record["version"]))
    return results


def growth() -> Iterator[dict[str, Any]]:
    """One in a hundred interactions is new: the quality after `update` beside a new fit, and its share of the time."""
    plays = lrrec.splits.random(
        lrrec.datasets.load("ml-1m", matrices.data_home()).interactions(), 0.1, random_state=0
    )  # fmt: skip
    visits = lrrec.datasets.load("gowalla", matrices.data_home()).split()
    rng = np.random.default_rng(0)
    train = plays.train
    assert train.times is not None
    latest = np.zeros(len(train), dtype=bool)
    latest[np.argsort(train.times, kind="stable")[-len(train) // 100 :]] = True
    cases: list[tuple[str, Split, np.ndarray, dict[str, Any]]] = [
        ("ml-1m, the latest", plays, latest, {"unobserved_weight": 0.3, "reg": 0.007}),
        ("ml-1m, random ones", plays, rng.random(len(train)) < 0.01, {"unobserved_weight": 0.3, "reg": 0.007}),
    ]
    sparse = {"unobserved_weight": 0.03, "reg": 0.005}
    cases.append(("gowalla, random ones", visits, rng.random(len(visits.train)) < 0.01, sparse))
    for (name, split, is_new, params), n_factors in itertools.product(cases, (64, 256)):
        yield grown(f"{name}, D = {n_factors}", split, is_new, IALS(n_factors, random_state=0, **params))


def grown(name: str, split: Split, is_new: np.ndarray, model: IALS) -> dict[str, Any]:
    old, new = (Interactions(part.matrix, part.users, part.items) for part in (
        split.train.filter(~is_new), split.train.filter(is_new)
    ))  # fmt: skip
    seconds, refitted = [], IALS(**model.get_params())
    for _ in range(ROUNDS + 1):
        model.fit(old)
        before = copy(model)
        fit_seconds = timed(lambda: refitted.fit(split.train))
        seconds.append(timed(lambda: model.update(new)) / fit_seconds)
    updated, new_fit, old_fit = (ndcg(one, split) for one in (model, refitted, before))
    share, ratio = float(np.median(seconds[1:])), updated / new_fit
    shown = (
        f"{ratio:.4f} of its nDCG@20 in {share:.1%} of its time ({min(seconds[1:]):.1%} to {max(seconds[1:]):.1%}); "
        f"{updated:.4f}, {new_fit:.4f}, before {old_fit:.4f}"
    )
    return quality_row(f"update by 1 %: {name}", "a new fit", shown, "0.99 in 5 %", ratio >= 0.99 and share <= 0.05)


def timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
