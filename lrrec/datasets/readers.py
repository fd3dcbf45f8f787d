"""Readers of the files of data sets: one function for each format; ids are those of the official files."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrrec.datasets.wheels import GENRES


@dataclass(frozen=True)
class Tables:
    """The contents of a data set.

    ratings has the columns user, item and, where there are any, rating and time; items has item, title, genres (joined
    by "|") or tags (numbers, joined by "|"); users has user and attributes. For a published split, held_out and valid
    are masks of the rows of ratings: the test part, and the part of the training rows meant for validation; negatives
    holds the published negatives of each test row as item ids (n_test, n). If cold_items, both parts are of items that
    no training row has: validation rows are not for training, and a part's items are its candidates. Of markets,
    ratings has a column market, and test, with the columns market, user, item and candidates, is a test part that the
    ratings lack: lists of item ids to rank, all equally long.
    """

    ratings: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    held_out: np.ndarray | None = None
    valid: np.ndarray | None = None
    negatives: np.ndarray | None = None
    cold_items: bool = False
    test: pd.DataFrame | None = None


def _movielens_100k(folder: Path) -> Tables:
    ratings = pd.read_csv(folder / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    table = pd.read_csv(folder / "u.item", sep="|", header=None, encoding="latin-1")
    flags = table.iloc[:, 5:].to_numpy(dtype=bool)
    genres = ["|".join(g for g, has in zip(GENRES, row, strict=True) if has) for row in flags]
    items = pd.DataFrame({"item": table[0], "title": table[1].str.strip(), "genres": genres})
    users = pd.read_csv(
        folder / "u.user", sep="|", names=["user", "age", "gender", "occupation", "zip"], dtype={"zip": str}
    )
    return Tables(ratings, items, users)


def _movielens_1m(folder: Path) -> Tables:
    def read(file: str, columns: list[str], **options: object) -> pd.DataFrame:
        text = (folder / file).read_bytes().decode("latin-1").replace("::", "\t")
        return pd.read_csv(io.StringIO(text), sep="\t", names=columns, quoting=3, **options)  # type: ignore[call-overload]

    return Tables(
        read("ratings.dat", ["user", "item", "rating", "time"]),
        read("movies.dat", ["item", "title", "genres"]),
        read("users.dat", ["user", "gender", "age", "occupation", "zip"], dtype={"zip": str}),
    )


def _movielens_csv(folder: Path) -> Tables:
    columns = {"userId": "user", "movieId": "item", "timestamp": "time"}
    ratings = pd.read_csv(folder / "ratings.csv").rename(columns=columns)
    items = pd.read_csv(folder / "movies.csv").rename(columns=columns)
    users = pd.DataFrame({"user": np.unique(ratings["user"])})
    return Tables(ratings, items, users)


def _made_up(folder: Path) -> Tables:
    ratings, items, users = (pd.read_csv(folder / f"{name}.csv") for name in ("ratings", "items", "users"))
    return Tables(ratings, items, users)


def _adjacency(folder: Path) -> Tables:
    """One user a line, "user item item ...", in train.txt and test.txt; a valid.txt holds a part of train."""

    def read(file: str) -> pd.DataFrame:
        parts = []
        for line in (folder / file).read_text().splitlines():
            numbers = np.array(line.split(), dtype=np.int64)
            if len(numbers) > 1:
                parts.append(np.column_stack((np.full(len(numbers) - 1, numbers[0]), numbers[1:])))
        return pd.DataFrame(np.concatenate(parts), columns=["user", "item"])

    train, test = read("train.txt"), read("test.txt")
    ratings = pd.concat([train, test], ignore_index=True)
    valid = None
    if (folder / "valid.txt").is_file():
        pairs = pd.MultiIndex.from_frame(read("valid.txt"))
        valid = pd.MultiIndex.from_frame(ratings).isin(pairs) & (np.arange(len(ratings)) < len(train))
    items, users = (pd.DataFrame({name: np.unique(ratings[name])}) for name in ("item", "user"))
    return Tables(ratings, items, users, held_out=np.arange(len(ratings)) >= len(train), valid=valid)


def _citeulike(folder: Path) -> Tables:
    """Pairs "uid,iid" in cold-train.csv, cold-vali.csv, cold-test.csv; "count tag tag ..." an item in item-tag.dat."""
    parts = [pd.read_csv(folder / f"cold-{part}.csv", dtype=np.int64) for part in ("train", "vali", "test")]
    part = np.repeat(np.arange(3), [len(rows) for rows in parts])
    ratings = pd.concat(parts, ignore_index=True).rename(columns={"uid": "user", "iid": "item"})[["user", "item"]]
    lines = (folder / "item-tag.dat").read_text().splitlines()
    items = pd.DataFrame({"item": np.arange(len(lines)), "tags": ["|".join(line.split()[1:]) for line in lines]})
    users = pd.DataFrame({"user": np.unique(ratings["user"])})
    return Tables(ratings, items, users, held_out=part == 2, valid=part == 1, cold_items=True)


def _neural_cf(folder: Path, base: Tables) -> Tables:
    """Files that number ml-1m's users from 0 and its movies by their first occurrence in ratings.dat."""
    test = pd.read_csv(folder / "ml-1m.test.rating", sep="\t", names=["user", "number", "rating", "time"])
    movies = np.asarray(pd.unique(base.ratings["item"]))
    pairs = pd.MultiIndex.from_arrays([test["user"] + 1, movies[test["number"]]])
    held_out = pd.MultiIndex.from_frame(base.ratings[["user", "item"]]).isin(pairs)
    lines = (folder / "ml-1m.test.negative").read_text().splitlines()
    numbers = np.array([line.split("\t")[1:] for line in lines], dtype=np.int64)
    return Tables(base.ratings, base.items, base.users, held_out, negatives=movies[numbers])


def _xmarket(folder: Path) -> Tables:
    """A file for each market, "userId itemId rate date" with blanks between: jp.txt, or jp_5core.txt."""
    parts = {}
    for file in sorted(folder.glob("*.txt")):
        name = file.stem.removesuffix("_5core")
        if name in parts:
            raise ValueError(f"it has two files of the market {name}")
        table = _table(file, r"\s+", {"userId": str, "itemId": str, "rate": float, "date": str})
        dates = pd.to_datetime(table["date"], format="%Y-%m-%d")
        table["date"] = dates.astype("datetime64[s]").astype("int64")
        parts[name] = table.rename(columns={"userId": "user", "itemId": "item", "rate": "rating", "date": "time"})
    return _of_markets(parts)


def _xmrec(folder: Path) -> Tables:
    """A folder for each market: train.tsv, whose ratings train_5core.tsv lacks, so that both are pairs alone.

    valid_run.tsv has candidates for test users ("user, tab, items with commas"), valid_qrel.tsv the relevant items.
    """
    columns = {"userId": str, "itemId": str}
    names = {"userId": "user", "itemId": "item"}
    parts, tests = {}, []
    for place in sorted({file.parent for file in folder.glob("*/train*.tsv")}):
        tables = [_table(file, "\t", columns) for file in sorted(place.glob("train*.tsv"))]
        parts[place.name] = pd.concat(tables, ignore_index=True).drop_duplicates().rename(columns=names)
        if (place / "valid_run.tsv").is_file():
            lists = dict(line.split("\t") for line in (place / "valid_run.tsv").read_text().splitlines())
            test = _table(place / "valid_qrel.tsv", "\t", columns).rename(columns=names)
            candidates = [lists[user].split(",") for user in test["user"]]
            if len({len(items) for items in candidates}) > 1 or test["user"].duplicated().any():
                raise ValueError(f"{place.name}/valid_run.tsv has lists of several lengths, or two for a user")
            tests.append(test.assign(market=place.name, candidates=pd.Series(candidates)))
    return _of_markets(parts, pd.concat(tests, ignore_index=True) if tests else None)


def _table(file: Path, separator: str, columns: Mapping[str, type]) -> pd.DataFrame:
    """These columns of a file with a header; every line has all of them. Ids are text, "NA" and "007" too."""
    table = pd.read_csv(file, sep=separator, dtype=dict(columns), keep_default_na=False)[list(columns)]
    if (table.isna() | (table == "")).any(axis=None):
        raise ValueError(f"{file.name} has a line with too few fields")
    return table


def _of_markets(parts: dict[str, pd.DataFrame], test: pd.DataFrame | None = None) -> Tables:
    """The tables of all markets, by their names."""
    tables = [table.assign(market=name) for name, table in parts.items()]
    ratings = pd.concat(tables, ignore_index=True)
    items, users = (pd.DataFrame({name: np.unique(ratings[name].to_numpy(str))}) for name in ("item", "user"))
    return Tables(ratings, items, users, test=test)


# Name of a format, as in the recipes -> function of the folder (and the tables of the data set that `needs` names).
READERS: dict[str, Callable[..., Tables]] = {
    "movielens-100k": _movielens_100k,
    "movielens-1m": _movielens_1m,
    "movielens-csv": _movielens_csv,
    "made-up": _made_up,
    "adjacency": _adjacency,
    "citeulike": _citeulike,
    "neural-cf": _neural_cf,
    "xmarket": _xmarket,
    "xmrec": _xmrec,
}
