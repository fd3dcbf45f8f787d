"""Approximate-search indexes of item factors: `FactorModel.to_index` writes them."""

from lrrec.models.base import item_index
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.item_index import ItemIndex
from lrrec.typing import FileLike


def open_index(path: FileLike, model: FactorModel) -> ItemIndex:
    """Open an index that `model.to_index(path)` wrote, to recommend by approximate search.

    Parameters
    ----------
    path : path or binary file object
        A file object is read to its end. The library that reads the index inside does not check it: open files that
        you trust.
    model : FactorModel
        The model that wrote the index, or the same one loaded from its file; it encodes users and scores the items that
        the index finds. Its later fits do not touch the index.

    Returns
    -------
    ItemIndex
        With `recommend`, `recommend_from` and `recommend_all`.

    Raises
    ------
    DataError
        If the index is of another model.
    FileFormatError
        If the file is missing, damaged or no index.
    MissingDependencyError
        If the library of the index is not installed.

    Notes
    -----
    A list takes about O(D log n_items) time instead of O(D n_items).

    Examples
    --------
    With usearch, which `pip install 'lrrec[index]'` installs:

    >>> from lrrec import IALS, Interactions, interop
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> model.to_index("items.index")  # doctest: +SKIP
    >>> index = interop.open_index("items.index", model)  # doctest: +SKIP
    >>> index.recommend(["bob"], k=1).items.tolist()  # doctest: +SKIP
    [['y']]
    """
    return item_index.read(path, model)
