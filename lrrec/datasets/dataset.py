"""Dataset: the tables of a data set, its interactions, and its published split."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lrrec.data.alignment import align
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.datasets.fetch import fetch
from lrrec.datasets.readers import READERS, Tables
from lrrec.datasets.recipes import Recipe, recipe
from lrrec.errors import DataError
from lrrec.splits import Split
from lrrec.typing import PathLike
from lrrec.validate import check_option


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    recipe : Recipe
        Source, licence, citation, columns.
    ratings : DataFrame
        user, item and, where the files have them, rating, time (UTC) and market; in the order of the files.
    items : DataFrame
        item and, where the files have them, title, genres and tags (joined by "|"). Some items may have no rating.
    users : DataFrame
        user and their attributes.

    Examples
    --------
    >>> import lrrec
    >>> dataset = lrrec.datasets.load("made-up")
    >>> dataset.ratings.columns.tolist()
    ['user', 'item', 'rating', 'time']
    >>> dataset.statistics()
    {'users': 420, 'items': 319, 'ratings': 13097}
    >>> dataset.interactions(min_rating=4).n_users  # likes; users without one keep their ids
    420
    """

    recipe: Recipe
    ratings: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    _tables: Tables
    name: str

    def interactions(self, min_rating: float | None = None) -> Interactions:
        """Return the ratings as Interactions, with times where the files have them.

        Parameters
        ----------
        min_rating : float, optional
            Ratings of at least this count as positive, with weight 1. Without it the ratings are the values
            (1 each, where there are none). The id maps hold every user and item with a rating, either way. Of several
            ratings of a user and an item the latest counts.
        """
        columns = {role: name for role, name in (("value", "rating"), ("time", "time")) if name in self.ratings}
        data = Interactions.from_frame(self.ratings, **columns, duplicates="last")
        return data if min_rating is None else data.binarize(min_rating)

    @property
    def markets(self) -> tuple[str, ...]:
        """The markets in memory; `load` takes them as NAME/MARKET. Empty for a data set that is not one of markets."""
        return tuple(sorted(self.ratings["market"].unique())) if "market" in self.ratings else ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the published split that `split` takes; empty where none was published."""
        tables = self._tables
        published = {"test": tables.held_out if tables.test is None else tables.test, "valid": tables.valid}
        return tuple(part for part, rows in published.items() if rows is not None)

    def split(self, part: str = "test") -> Split:
        """Return the published split, every interaction with weight 1.

        Parameters
        ----------
        part : {"test", "valid"}, default "test"
            "valid" leaves the test interactions out and holds out a published part of the training interactions,
            for tuning. Of a split of new items, training has neither, and the candidates are the items of the part.

        Raises
        ------
        DataError
            If the part was not published: see `lrrec.splits` for ways to make a split.
        """
        check_option(part, "part", ("test", "valid"))
        tables = self._tables
        if part not in self.parts:
            missing, source = ("validation part", "split().train") if self.parts else ("split", "interactions()")
            raise DataError(
                f"{self.name} has no published {missing}: make one of {source} with lrrec.splits, e.g. by_user"
            )
        data, params = self.interactions().binarize(), {"dataset": self.name, "part": part}
        if tables.test is not None:
            return _with_test(data, tables.test, params)
        held_out = self._mask(data, tables.held_out)
        valid = np.zeros(len(data), dtype=bool) if tables.valid is None else self._mask(data, tables.valid)
        train = data.filter(~held_out & ~valid if part == "valid" or tables.cold_items else ~held_out)
        test = data.filter(held_out if part == "test" else valid)
        candidates = None
        if tables.cold_items:
            candidates = data.items.ids[np.unique(test.matrix.indices)]
        elif part == "test" and tables.negatives is not None:
            candidates = self._candidates(test, tables.negatives)
        return Split(train, train, test, candidates, kind="published", params=params)

    def _mask(self, data: Interactions, of_ratings: np.ndarray | None) -> np.ndarray:
        """A mask of rows of ratings as a mask of interactions."""
        rows = self.ratings[of_ratings]
        cells = data.users.indices(rows["user"]) * data.n_items + data.items.indices(rows["item"])
        return np.isin(data.rows().astype(np.int64) * data.n_items + data.matrix.indices, cells)

    def _candidates(self, test: Interactions, negatives: np.ndarray) -> np.ndarray:
        """The published candidates, in the order of the users; the relevant item first, as in the files."""
        relevant = test.items.ids[test.matrix.indices]
        return np.column_stack((relevant, negatives))

    def __repr__(self) -> str:
        counts = self.statistics()
        shown = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        return f"Dataset({self.name}: {shown})"

    def statistics(self) -> dict[str, int]:
        """Count the users and items with a rating, and the ratings."""
        users, items = self.ratings["user"].nunique(), self.ratings["item"].nunique()
        return {"users": users, "items": items, "ratings": len(self.ratings)}


def load(name: str, data_home: PathLike | None = None) -> Dataset:
    """Load a data set, downloading it if it is not on this machine.

    Parameters
    ----------
    name : str
        One of `lrrec.datasets.names()`. Of a data set of markets also "NAME/MARKET", or "NAME/MARKET+MARKET".
    data_home : path, optional
        A folder with a folder of official files for each data set, searched first; then the one in the environment
        variable LRREC_DATA, the cache (LRREC_CACHE, or the user's cache folder), the official archive, and for some
        data sets a Python package that contains the data.

    Raises
    ------
    FetchError
        If no source has it; the message says what was tried and what to do.

    Examples
    --------
    >>> import lrrec
    >>> lrrec.datasets.load("made-up")
    Dataset(made-up: 420 users, 319 items, 13,097 ratings)
    """
    data_recipe = recipe(name)
    tables = _read(data_recipe, data_home)
    if "/" in name:
        tables = _select(tables, name)
    if "time" in tables.ratings:
        tables.ratings["time"] = pd.to_datetime(tables.ratings["time"], unit="s").astype("datetime64[s]")
    return Dataset(data_recipe, tables.ratings, tables.items, tables.users, tables, name)


def _select(tables: Tables, name: str) -> Tables:
    """The tables of some markets, as "NAME/MARKET+MARKET" has them; and their test part, if any has one."""
    chosen, available = name.partition("/")[2].split("+"), tables.ratings["market"]
    for market in chosen:
        check_option(market, f"the market in {name!r}", tuple(sorted(available.unique())))
    ratings = tables.ratings[available.isin(chosen)].reset_index(drop=True)
    items, users = (
        table[table[of].isin(ratings[of])] for of, table in (("item", tables.items), ("user", tables.users))
    )
    test = None if tables.test is None else tables.test[tables.test["market"].isin(chosen)]
    return replace(
        tables, ratings=ratings, items=items.reset_index(drop=True), users=users.reset_index(drop=True),
        test=None if test is None or test.empty else test,
    )  # fmt: skip


def _with_test(data: Interactions, test: pd.DataFrame, params: dict[str, str]) -> Split:
    """A split with a test part and candidates that the data lack; the catalogue has the items of all three."""
    test = test.sort_values("user")
    candidates = np.array(test["candidates"].tolist())
    relevant = Interactions.from_frame(test[["user", "item"]])
    users, items = (IdMap(np.union1d(getattr(data, of).ids, ids)) for of, ids in (
        ("users", relevant.users.ids), ("items", np.append(candidates.ravel(), relevant.items.ids)),
    ))  # fmt: skip
    train = align(data, users, items)
    return Split(train, train, align(relevant, users, items), candidates, kind="published", params=params)


def _read(data_recipe: Recipe, data_home: PathLike | None) -> Tables:
    """Fetch and read the files, and first those of the data set that this one extends."""
    folder = fetch(data_recipe, data_home)
    extended = [] if data_recipe.needs is None else [_read(recipe(data_recipe.needs), data_home)]
    try:
        return READERS[data_recipe.reader](folder, *extended)
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"{folder} does not hold the official files of {data_recipe.name} ({error}): replace them, or delete the "
            "folder to fetch them again"
        ) from error
