"""Public data sets by name: fetched, checked, and read into tables."""

from lrrec.datasets.dataset import Dataset, load
from lrrec.datasets.recipes import Recipe, names, recipe

__all__ = ["Dataset", "Recipe", "load", "names", "recipe"]
