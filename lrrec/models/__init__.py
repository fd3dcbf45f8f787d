"""The catalogue of models: a model is one file here and one line of `MODELS`.

The public names of lrrec, what a file may hold, the command line's choices and the documentation derive from it.
Nothing is imported until a model is used.
"""

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple


class Entry(NamedTuple):
    """Where a model's class is defined, and what the command line calls it.

    Attributes
    ----------
    module : str
        The full name of the module.
    command_name : str
        The name for `lrrec fit --model`.

    Examples
    --------
    >>> from lrrec.models import MODELS
    >>> MODELS["TruncatedSVD"]
    Entry(module='lrrec.models.truncated_svd', command_name='svd')
    """

    module: str
    command_name: str


MODELS = {
    "IALS": Entry("lrrec.models.ials", "ials"),
    "Popularity": Entry("lrrec.models.popularity", "popularity"),
    "TruncatedSVD": Entry("lrrec.models.truncated_svd", "svd"),
    "NMF": Entry("lrrec.models.nmf", "nmf"),
    "EASE": Entry("lrrec.models.ease", "ease"),
    "EDLAE": Entry("lrrec.models.edlae", "edlae"),
    "SparseEASE": Entry("lrrec.models.sparse_ease", "sparseease"),
    "ItemKNN": Entry("lrrec.models.item_knn", "itemknn"),
    "SLIM": Entry("lrrec.models.slim", "slim"),
    "RP3Beta": Entry("lrrec.models.rp3beta", "rp3beta"),
    "GraphFilter": Entry("lrrec.models.graph_filter", "graphfilter"),
    "ItemContent": Entry("lrrec.models.item_content", "content"),
    "Blend": Entry("lrrec.models.blend", "blend"),
    "ALS": Entry("lrrec.models.als", "als"),
    "NeuralMF": Entry("lrrec.models.neural.neural_mf", "neural"),
}
__all__ = ["MODELS", "Entry", *MODELS, "by_command_name"]


def by_command_name() -> dict[str, str]:
    """Return a dict of names on the command line to names of classes.

    Examples
    --------
    >>> from lrrec.models import by_command_name
    >>> by_command_name()["svd"]
    'TruncatedSVD'
    """
    return {entry.command_name: name for name, entry in MODELS.items()}


if TYPE_CHECKING:  # the same names for type checkers and editors, which do not run `__getattr__`
    from lrrec.models.als import ALS as ALS
    from lrrec.models.blend import Blend as Blend
    from lrrec.models.ease import EASE as EASE
    from lrrec.models.edlae import EDLAE as EDLAE
    from lrrec.models.graph_filter import GraphFilter as GraphFilter
    from lrrec.models.ials import IALS as IALS
    from lrrec.models.item_content import ItemContent as ItemContent
    from lrrec.models.item_knn import ItemKNN as ItemKNN
    from lrrec.models.neural.neural_mf import NeuralMF as NeuralMF
    from lrrec.models.nmf import NMF as NMF
    from lrrec.models.popularity import Popularity as Popularity
    from lrrec.models.rp3beta import RP3Beta as RP3Beta
    from lrrec.models.slim import SLIM as SLIM
    from lrrec.models.sparse_ease import SparseEASE as SparseEASE
    from lrrec.models.truncated_svd import TruncatedSVD as TruncatedSVD
else:

    def __getattr__(name: str) -> Any:
        if name not in MODELS:
            raise AttributeError(f"module 'lrrec.models' has no attribute {name!r}")
        return getattr(importlib.import_module(MODELS[name].module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *MODELS})
