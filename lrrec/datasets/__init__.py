"""Public data sets by name: fetched, checked, and read into tables."""

from lrrec.datasets.dataset import Dataset, load
from lrrec.datasets.recipes import Recipe, is_name, names, recipe

__all__ = ["Dataset", "Recipe", "is_name", "load", "names", "recipe"]
