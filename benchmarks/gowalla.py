"""What models and a blend of them reach on the published split of Gowalla, settings chosen on either validation part.

The test part continues the lists of train.txt: along these, items get more popular, and in test.txt more so (mean
number of training interactions, by fifths of the lists: 68, 71, 75, 77, 81; in the test part 91). valid.txt is a random
part of them instead (66), and orders models otherwise. So there are two parts of this benchmark: in `ends`, settings
and the weights of the blend are chosen on the last fifth of each user's training list, for models fitted to the rest;
in `valid`, on valid.txt. A third, `rank`, is about more factors of IALS, and their time; settings from valid.txt.
"""

import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

import lrrec
from benchmarks import matrices
from benchmarks.graph_filter import METRICS, some_users, values
from benchmarks.report import quality_row
from lrrec import EDLAE, IALS, Blend, GraphFilter, Interactions, Recommender, RP3Beta, SparseEASE, Split

HELD_OUT = 0.2  # of each list
PUBLISHED, GOAL = (0.1900, 0.1560), (0.1941, 0.1616)  # the bar, and ChebyCF's figures
BAR = f"{PUBLISHED[0]}, {PUBLISHED[1]}; goal {GOAL[0]}, {GOAL[1]}"
LOW_RANK, LOW_RANK_GOAL = 0.1855, 0.1900
GRIDS: list[list[Recommender]] = [
    [RP3Beta(alpha, beta, n_neighbors=None) for alpha in (0.5, 0.6, 0.7, 0.8) for beta in (0.1, 0.2, 0.3)],
    [IALS(1024, reg=reg, n_iter=10, random_state=0) for reg in (0.004, 0.008)],
    [
        EDLAE(1024, dropout=dropout, reg=reg, user_power=power, n_iter=4)
        for dropout, reg, power in ((0.9, 10, 0.5), (0.7, 10, 0.5), (0.9, 10, 0.65))
    ],
    [SparseEASE(reg, dropout=0.7, user_power=power) for reg in (60, 120) for power in (0.0, 0.2, 0.4)],
    [
        GraphFilter(flatness=flatness, low_pass_weight=weight, degree_power=power)
        for flatness in (1.5, 2.0) for weight in (0.2, 0.4) for power in (0.3, 0.4, 0.45)
    ],
]  # fmt: skip
LOW, RANKS, ROUNDS, SECONDS = 1024, (1024, 2048), 5, 180
PARTS = ["ends", "valid", "rank"]


def run(part: str) -> Iterator[dict[str, Any]]:
    data = lrrec.datasets.load("gowalla", matrices.data_home())
    split = data.split()
    if part == "rank":
        yield from ranks(split, some_users(data.split("valid")))
        return
    validation = split_of_ends(split) if part == "ends" else data.split("valid")
    few = some_users(validation)
    chosen = [max(grid, key=lambda model: values(clone(model), few)[0]) for grid in GRIDS]
    for model in chosen:
        yield row(str(model), values(clone(model), split), *target_of(model))
    yield from blends(chosen, split, validation)


def ranks(split: Split, few: Split) -> Iterator[dict[str, Any]]:
    """IALS by the number of factors, and the seconds of a fit."""
    for rank in RANKS:
        grid = [IALS(rank, reg=reg, n_iter=8, random_state=0) for reg in (0.004, 0.006)]
        model = max(grid, key=lambda model: values(clone(model), few)[0])
        target = target_of(model) if rank <= LOW else ("", (0.0, 0.0))
        yield row(str(model), values(clone(model), split), *target)
        seconds = np.array([fit_seconds(model, split) for _ in range(ROUNDS)])
        shown, median = f"{np.median(seconds):.0f} s ({seconds.min():.0f} to {seconds.max():.0f})", np.median(seconds)
        yield quality_row(f"gowalla, IALS, D = {rank}: fit", "", shown, f"{SECONDS} s", bool(median <= SECONDS))


def fit_seconds(model: Recommender, split: Split) -> float:
    begun = time.perf_counter()
    clone(model).fit(split.train)
    return time.perf_counter() - begun


def target_of(model: Recommender) -> tuple[str, tuple[float, float]]:
    """What the model is to reach, in words and as figures."""
    if isinstance(model, IALS | EDLAE):
        return f"{LOW_RANK}; goal {LOW_RANK_GOAL}", (LOW_RANK, 0)
    return (BAR, PUBLISHED) if isinstance(model, GraphFilter) else ("", (0, 0))


def split_of_ends(split: Split) -> Split:
    """A split of the training part whose test part is the last fifth of each user's list in train.txt."""
    home = matrices.data_home()
    assert home is not None
    users, items, last = [], [], []
    for line in (Path(home) / "gowalla" / "train.txt").read_text().splitlines():
        user, *visited = map(int, line.split())
        users += [user] * len(visited)
        items += visited
        n_held_out = max(1, round(HELD_OUT * len(visited)))
        last += [place >= len(visited) - n_held_out for place in range(len(visited))]
    rows, columns, is_last = split.users.indices(users), split.items.indices(items), np.array(last)
    shape = (len(split.users), len(split.items))

    def part(kept: np.ndarray) -> Interactions:
        ones = np.ones(int(kept.sum()), dtype=np.float32)
        return Interactions(sp.csr_array((ones, (rows[kept], columns[kept])), shape=shape), split.users, split.items)

    train = part(~is_last)
    return Split(train, train, part(is_last))


def blends(models: list[Recommender], split: Split, validation: Split) -> Iterator[dict[str, Any]]:
    """The blend of models, and without each of them: what it adds."""
    blend = Blend(models, metric="recall@20", random_state=0).fit(split.train, validation=validation)
    names, weights = [type(model).__name__ for model in models], blend.weights_
    shown = ", ".join(f"{weight:.2f} {name}" for weight, name in zip(weights, names, strict=True) if weight)
    whole = of_fitted(blend, split)
    yield row(f"blend of {shown}", whole, BAR, PUBLISHED)
    for place in np.flatnonzero(weights):
        without = copy(blend)
        without.weights_ = np.where(np.arange(len(weights)) == place, 0, weights)
        pair = of_fitted(without, split)
        verdict = bool(pair[0] <= whole[0])
        yield quality_row(
            named(f"that blend without {names[place]}"), "", shown_pair(pair), f"below {whole[0]:.4f}", verdict
        )


def of_fitted(model: Recommender, split: Split) -> np.ndarray:
    means = lrrec.evaluate(model, split, metrics=METRICS).mean()
    return np.array([means[metric] for metric in METRICS])


def row(model: str, pair: np.ndarray, target: str, at_least: tuple[float, float]) -> dict[str, Any]:
    return quality_row(named(" ".join(model.split())), "", shown_pair(pair), target, bool((pair >= at_least).all()))


def named(model: str) -> str:
    return f"gowalla, {model}: recall@20, nDCG@20"


def shown_pair(pair: np.ndarray) -> str:
    return f"{pair[0]:.4f}, {pair[1]:.4f}"
