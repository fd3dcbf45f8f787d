"""Make the small files of the present format that every later version must load: python tests/data/make_files.py.

Writes the files that are missing, such as that of a new model or adapter; --all writes every file anew, which only a
change of the format before its first release needs. The folders of earlier formats stay as they are.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import lrrec
from lrrec import adapt, file_format
from lrrec.features import FeatureEncoder, Text

FIXED = {"reg": 1.0, "fold_in_reg": 0.02, "new_item_reg": 1.0}
TOWERS = {"learning_rate": 0.01, "n_epochs": 2, "random_state": 0}
MODELS = [
    lrrec.IALS(2, reg=0.02, random_state=0), lrrec.Popularity(), lrrec.TruncatedSVD(2, reg=0.5, score_power=0.3),
    lrrec.NMF(2, reg=0.1, random_state=0), lrrec.EASE(1.0), lrrec.EDLAE(2, reg=1.0), lrrec.ItemKNN(3),
    lrrec.RP3Beta(n_neighbors=4), lrrec.GraphFilter(2), lrrec.SparseEASE(1.0, n_neighbors=3),
    lrrec.SLIM(0.5, 1.0, nonnegative=False),
    lrrec.Blend([lrrec.IALS(2, reg=0.02, random_state=0), lrrec.ItemKNN(3)], weights=[1.0, 2.0]),
    lrrec.ALS(2, random_state=0), lrrec.NeuralMF(2, n_hidden=3, n_epochs=2, random_state=0),
]  # fmt: skip
ADAPTERS = [
    adapt.FoldIn(fold_in_reg=0.02), adapt.Scratch(reg=0.02), adapt.Anchored(**FIXED), adapt.LowRank(1, **FIXED),
    adapt.Popular(), adapt.ByHistory(adapt.LowRank(1, **FIXED), adapt.Popular()), adapt.ItemItemScratch(reg=1.0),
    adapt.Blended([adapt.LowRank(1, **FIXED), adapt.ItemItemScratch(reg=1.0)], [2.0, 1.0]),
    adapt.ItemItem(weight=1.0, reg=1.0, scaling=0.5), adapt.JoinedItemKNN(3, shrink=1.0),
    adapt.ScratchTowers(**TOWERS), adapt.FullRankTowers(reg=1.0, shrinkage=0.1, **TOWERS),
    adapt.LowRankTowers(1, reg=1.0, shrinkage=0.1, **TOWERS),
]  # fmt: skip


def interactions(seed: int, n_users: int, name: str = "{}") -> lrrec.Interactions:
    """Random likes of nine items, with the ids written as in name."""
    dense = np.random.default_rng(seed).random((n_users, 9)) < 0.4
    dense[0, 0], dense[1] = True, True
    table = lrrec.Interactions.from_matrix(dense.astype(np.float32)).to_frame()
    ids = (table["user"] * 7 + 100, table["item"] * 3)
    if name != "{}":
        ids = tuple(column.map(name.format) for column in ids)
    return lrrec.Interactions.from_pairs(*ids)


def table_of_items(train: lrrec.Interactions) -> pd.DataFrame:
    """A column of each kind that an encoder reads."""
    n = train.n_items
    return pd.DataFrame({
        "item": train.items.ids, "kind": [*"abc"] * (n // 3), "size": np.arange(n) / 2.0,
        "about": ["red wood", "blue wood", "red stone"] * (n // 3), "place": np.eye(n, 2).tolist(),
    })  # fmt: skip


def events() -> lrrec.Interactions:
    """Ratings with times, of which one was revised."""
    return lrrec.Interactions.from_pairs(
        ["ü", "a", "a", "a"], [3, 1, 1, -2], values=[1.0, 2.5, -1.0, 0.0], times=[5, 3, 9, 3], duplicates="last"
    )


def main(*, rewrite: bool) -> None:
    """Write the files that are missing, or all of them, and what they recommend."""
    folder = Path(__file__).parent / file_format.FORMAT
    folder.mkdir(exist_ok=True)
    known = folder / "expected.json"
    expected = json.loads(known.read_text()) if known.exists() and not rewrite else {}
    train, target, strings = interactions(0, 12), interactions(1, 8), interactions(0, 12, "ü{}")

    def save(
        name: str, fitted: Callable[[], lrrec.Recommender], data: lrrec.Interactions, base: str | None = None, **options
    ) -> None:
        if name in expected and (folder / name).exists():
            return
        model = fitted()
        model.save(folder / name, **options)
        lists = model.recommend_from(data, 3)
        expected[name] = {"base": base, "items": lists.items.tolist(), "scores": lists.scores.tolist()}
        print(folder / name)

    if rewrite or not (folder / "Interactions.data").exists():
        events().save(folder / "Interactions.data")
    for model in MODELS:
        save(f"{type(model).__name__}.lrrec", lambda model=model: model.fit(train), target)
    save("IALS-without-histories.lrrec", lambda: lrrec.load(folder / "IALS.lrrec"), target, histories=False)
    features = np.random.default_rng(2).random((train.n_items, 3))
    save("IALS-features.lrrec", lambda: lrrec.IALS(2, random_state=0).fit(train, item_features=features), target)
    content = lrrec.ItemContent()
    save("ItemContent.lrrec", lambda: content.fit(train, item_features=features), target)
    sparse = features * (features > 0.6)
    save("ItemContent-sparse.lrrec", lambda: content.fit(train, item_features=sparse), target)
    encoder = FeatureEncoder({"kind": "category", "size": "number", "about": Text(1), "place": "vector"}, id="item")
    described = encoder.fit_transform(table_of_items(train))
    ease = lrrec.EASE(1.0)
    save("EASE-of-a-table.lrrec", lambda: ease.fit(train, item_features=described), target)
    save("ItemKNN-of-strings.lrrec", lambda: lrrec.ItemKNN(3).fit(strings), strings)
    for adapter in ADAPTERS:
        kind = type(adapter).__name__
        base = "NeuralMF.lrrec" if "Towers" in kind else "IALS.lrrec"
        save(
            f"{kind}.adapter",
            lambda adapter=adapter, base=base: adapter.fit(
                target, base=lrrec.load(folder / base), same_users="Joined" in type(adapter).__name__
            ),
            target, base, histories="Rank" in kind,
        )  # fmt: skip
    known.write_text(json.dumps(expected))


if __name__ == "__main__":
    main(rewrite="--all" in sys.argv[1:])
