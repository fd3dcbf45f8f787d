"""Low-rank recommenders behind one interface.

>>> import lrrec
>>> train = lrrec.Interactions.from_pairs([7, 7, 9], ["a", "b", "a"])
>>> model = lrrec.IALS(n_factors=2, random_state=0).fit(train)
>>> model.recommend([9], k=1).items.tolist()
[['b']]
"""

import importlib
from typing import Any

__version__ = "0.1.0.dev0"

# Public name -> module that defines it. Nothing is imported until it is used, so `import lrrec` costs
# milliseconds. A name that is its module's last part is the module itself.
_HOME = {
    "ALS": "lrrec.models.als",
    "AdapterBank": "lrrec.adapt.bank",
    "Comparison": "lrrec.evaluation.compare",
    "DomainFitter": "lrrec.adapt.fitter",
    "EASE": "lrrec.models.ease",
    "IALS": "lrrec.models.ials",
    "Evaluation": "lrrec.evaluation.result",
    "FactorModel": "lrrec.factor_model",
    "IdMap": "lrrec.data.ids",
    "Interactions": "lrrec.data.interactions",
    "ItemKNN": "lrrec.models.itemknn",
    "LowRankAdapter": "lrrec.adapt.lowrank",
    "NMF": "lrrec.models.nmf",
    "NeuralMF": "lrrec.models.neural",
    "Popularity": "lrrec.models.popularity",
    "RP3Beta": "lrrec.models.rp3beta",
    "Recommendations": "lrrec.lists",
    "Recommender": "lrrec.base",
    "Report": "lrrec.evaluation.report",
    "Split": "lrrec.splits",
    "TruncatedSVD": "lrrec.models.svd",
    "Tuning": "lrrec.evaluation.tune",
    "compare": "lrrec.evaluation.compare",
    "beyond_accuracy": "lrrec.evaluation.beyond",
    "by_item_group": "lrrec.evaluation.beyond",
    "datasets": "lrrec.datasets",
    "distill": "lrrec.adapt.distillation",
    "errors": "lrrec.errors",
    "evaluate": "lrrec.evaluation.protocol",
    "evaluate_lists": "lrrec.evaluation.lists",
    "interop": "lrrec.interop",
    "linalg": "lrrec.linalg",
    "load": "lrrec.persist",
    "metrics": "lrrec.metrics",
    "popularity_groups": "lrrec.evaluation.beyond",
    "splits": "lrrec.splits",
    "tune": "lrrec.evaluation.tune",
    "tune_all": "lrrec.evaluation.tune",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lrrec' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = module if _HOME[name] == f"lrrec.{name}" else getattr(module, name)
    globals()[name] = value  # the next access is a plain lookup
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
