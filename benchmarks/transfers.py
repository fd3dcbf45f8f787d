"""The transfers that adaptation is measured on: a source, a target, and the catalogue that is ranked."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import lrrec
from benchmarks import matrices
from lrrec import Interactions


@dataclass(frozen=True, eq=False)
class Transfer:
    """A transfer. sizes: users of the target, validation, test; catalogue: item ids that are ranked, None for all."""

    name: str
    source: Interactions
    target: Interactions
    catalogue: np.ndarray | None
    n_validation: int
    n_test: int
    sizes: tuple[int, ...]


def transfers() -> list[str]:
    """Return the names of the transfers with new users."""
    return list(_MAKERS)


@cache
def get(name: str) -> Transfer:
    """Make a transfer by name."""
    return _MAKERS[name]()


def _ratings(name: str) -> Interactions:
    """Return every rating as a positive, whatever its value."""
    return lrrec.datasets.load(name, matrices.data_home()).interactions().binarize()


def _subset(data: Interactions, users: np.ndarray | None = None, items: np.ndarray | None = None) -> Interactions:
    """Return the interactions of some users and items."""
    table = data.to_frame()
    if users is not None:
        table = table[table["user"].isin(users)]
    if items is not None:
        table = table[table["item"].isin(items)]
    return Interactions.from_frame(table)


def _latest_small(*, shared: bool) -> Transfer:
    source, target = _ratings("ml-1m"), _ratings("ml-latest-small")
    common = np.intersect1d(source.items.ids, target.items.ids)
    if shared:
        return Transfer("ml-1m to latest-small, shared items", source, _subset(target, items=common), common, 100, 160,
                        (10, 25, 50, 100, 350))  # fmt: skip
    return Transfer("ml-1m to latest-small, union of catalogues", source, target, None, 100, 160,
                    (10, 25, 50, 100, 350))  # fmt: skip


def _ml_100k() -> Transfer:
    """Match movies by title and year."""
    source, small = _ratings("ml-1m"), lrrec.datasets.load("ml-100k", matrices.data_home())
    large = lrrec.datasets.load("ml-1m", matrices.data_home())
    item_by_title = {_plain(title): item for item, title in zip(large.items["item"], large.items["title"], strict=True)}
    matches = {
        item: item_by_title[_plain(title)]
        for item, title in zip(small.items["item"], small.items["title"], strict=True) if _plain(title) in item_by_title
    }  # fmt: skip
    table = small.ratings[small.ratings["item"].isin(matches)]
    target = Interactions.from_pairs(table["user"], table["item"].map(matches), duplicates="last").binarize()
    return Transfer("ml-1m to ml-100k, by title and year", source, target, target.items.ids, 150, 200,
                    (10, 25, 50, 100, 500))  # fmt: skip


def _plain(title: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(title).lower())


def _gender() -> Transfer:
    """Adapt from men to women, who differ little: a null case."""
    data, users = _ratings("ml-1m"), lrrec.datasets.load("ml-1m", matrices.data_home()).users
    groups = {gender: users.loc[users["gender"] == gender, "user"].to_numpy() for gender in "MF"}
    return Transfer("ml-1m, male to female (a null case)", _subset(data, groups["M"]), _subset(data, groups["F"]),
                    data.items.ids, 150, 200, (10, 25, 50, 100, 1000))  # fmt: skip


def _taste() -> Transfer:
    """Adapt to the fifth of the users that is furthest out along the second singular direction."""
    data = _ratings("ml-1m")
    U = lrrec.linalg.truncated_svd(data.matrix, 2).U
    side = U[:, 1] / np.maximum(np.abs(U[:, 0]), 1e-9)
    edge = np.quantile(side, 0.8)
    ids = data.users.ids
    return Transfer("ml-1m, split by taste", _subset(data, ids[side < edge]), _subset(data, ids[side >= edge]),
                    data.items.ids, 150, 200, (10, 25, 50, 100, 800))  # fmt: skip


_MAKERS = {
    "latest-small": lambda: _latest_small(shared=True),
    "union": lambda: _latest_small(shared=False),
    "ml-100k": _ml_100k,
    "gender": _gender,
    "taste": _taste,
}


@cache
def amazon(name: str) -> Interactions:
    """Return the purchases in sport or cloth, which have the same users; item ids begin with the domain's initial."""
    folder = Path(matrices.data_home() or "") / "amazon-sport-cloth" / name
    parts = [pd.read_csv(folder / part, sep="\t", header=None) for part in ("train.txt", "test.txt")]
    table = pd.concat(parts)
    return Interactions.from_pairs(table[0], name[0] + table[1].astype(str), duplicates="last").binarize()
