"""Readers of the files of data sets: one function for each format; ids are those of the official files."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lrrec.datasets.wheels import GENRES


@dataclass(frozen=True)
class Tables:
    """The contents of a data set.

    ratings has the columns user, item and, where there are any, rating and time; items has item, title, genres (joined
    by "|"); users has user and attributes. For a published split, held_out and valid are masks of the rows of ratings:
    the test part, and the part of the training rows meant for validation; negatives holds the published negatives of
    each test row as item ids (n_test, n).
    """

    ratings: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    held_out: np.ndarray | None = None
    valid: np.ndarray | None = None
    negatives: np.ndarray | None = None


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


def _neural_cf(folder: Path, base: Tables) -> Tables:
    """Files that number ml-1m's users from 0 and its movies by their first occurrence in ratings.dat."""
    test = pd.read_csv(folder / "ml-1m.test.rating", sep="\t", names=["user", "number", "rating", "time"])
    movies = np.asarray(pd.unique(base.ratings["item"]))
    pairs = pd.MultiIndex.from_arrays([test["user"] + 1, movies[test["number"]]])
    held_out = pd.MultiIndex.from_frame(base.ratings[["user", "item"]]).isin(pairs)
    lines = (folder / "ml-1m.test.negative").read_text().splitlines()
    numbers = np.array([line.split("\t")[1:] for line in lines], dtype=np.int64)
    return Tables(base.ratings, base.items, base.users, held_out, negatives=movies[numbers])


# Name of a format, as in the recipes -> function of the folder (and the tables of the data set that `needs` names).
READERS: dict[str, Callable[..., Tables]] = {
    "movielens-100k": _movielens_100k,
    "movielens-1m": _movielens_1m,
    "movielens-csv": _movielens_csv,
    "made-up": _made_up,
    "adjacency": _adjacency,
    "neural-cf": _neural_cf,
}
