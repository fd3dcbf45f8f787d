"""Recipes: where a data set comes from and what is in it. One TOML file each, in the folder `datasets`."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.validate import check_option


@dataclass(frozen=True)
class Recipe:
    """Where a data set comes from, what it may be used for, and what is in it.

    Attributes
    ----------
    name, title, about, homepage, licence, citation : str
    reader : str
        The format of its files: a name in `readers.READERS`.
    statistics : dict of str to int
        Numbers of users and items with a rating, and of ratings.
    columns : dict of str to list of str
        The columns of the tables ratings, items and users.
    files : dict of str to str
        Official names of the files that are read, and their sha256 ("" where good copies differ in their bytes).
    archive : dict
        url, checksum and folder of the official zip, where there is one.
    urls : dict of str to str
        Official address of each file, where there is no archive.
    wheel : dict
        requirement and checksum (sha256) of a Python wheel that contains the data.
    needs : str or None
        Another data set that this one extends: its tables are passed to the reader.
    protocol : str or None
        The evaluation protocol that the published split follows, for `needs`.
    pattern : str or None
        Of a data set of markets, whose files depend on the markets that somebody has: what their names look like.
    markets : dict of str to dict of str to int
        The statistics of known markets. Others that have files are markets too: NAME/MARKET is a separate data set.
    min_rating : float or None
        The least rating that counts as positive where nothing else is said; 4 stars if None.

    Examples
    --------
    >>> from lrrec import datasets
    >>> recipe = datasets.recipe("ml-100k")
    >>> recipe.statistics["ratings"], recipe.bundled
    (100000, None)
    """

    name: str
    title: str
    about: str
    homepage: str
    licence: str
    citation: str
    reader: str
    statistics: dict[str, int]
    columns: dict[str, list[str]]
    files: dict[str, str] = field(default_factory=dict, repr=False)
    archive: dict[str, Any] = field(default_factory=dict, repr=False)
    urls: dict[str, str] = field(default_factory=dict, repr=False)
    wheel: dict[str, Any] = field(default_factory=dict, repr=False)
    needs: str | None = None
    protocol: str | None = None
    pattern: str | None = None
    markets: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)
    min_rating: float | None = None

    @property
    def bundled(self) -> Path | None:
        """The folder of the files, where they are part of lrrec."""
        files = folder() / self.name
        return files if files.is_dir() else None


def folder() -> Path:
    """The folder of the recipes: inside an installed package, beside it in a checkout."""
    installed = Path(__file__).parent / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "datasets"


def names() -> tuple[str, ...]:
    """Return the names of all data sets; those of markets have more, see `load`.

    Examples
    --------
    >>> from lrrec import datasets
    >>> "made-up" in datasets.names(), "ml-1m" in datasets.names()
    (True, True)
    """
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def is_name(text: str) -> bool:
    """Return whether a text names a data set, or markets of one: "ml-1m", "xmarket", "xmarket/uk+ca".

    Parameters
    ----------
    text : str

    Examples
    --------
    >>> from lrrec import datasets
    >>> [datasets.is_name(name) for name in ("ml-1m", "xmarket/uk+ca", "ml-2m")]
    [True, True, False]
    """
    name, slash, markets = text.partition("/") if isinstance(text, str) else ("", "", "")
    return name in names() and (not slash or (recipe(name).pattern is not None and "/" not in markets))


def recipe(name: str) -> Recipe:
    """Return the recipe of a data set; of markets, that of the data set they belong to.

    Parameters
    ----------
    name : str
        One of `names`, or "NAME/MARKET".

    Raises
    ------
    ParameterError
        If there is no data set of this name.

    Examples
    --------
    >>> from lrrec import datasets
    >>> datasets.recipe("made-up").title
    'Made-up movies'
    """
    if not isinstance(name, str):
        raise ParameterTypeError(f"name must be the name of a data set, got {name!r}")
    return _recipe(name)


@cache
def _recipe(name: str) -> Recipe:
    name, slash, markets = name.partition("/")
    check_option(name, "name", names())
    with open(folder() / f"{name}.toml", "rb") as file:
        recipe = Recipe(name=name, **tomllib.load(file))
    if slash and recipe.pattern is None:
        raise ParameterError(f"name must be {name!r}, which has no markets, got {f'{name}/{markets}'!r}")
    return recipe
