"""Low-rank recommenders behind one interface.

>>> import lrrec
>>> train = lrrec.Interactions.from_pairs([7, 7, 9], ["a", "b", "a"])
>>> model = lrrec.IALS(n_factors=2, random_state=0).fit(train)
>>> model.recommend([9], k=1).items.tolist()
[['b']]
"""

import importlib
from typing import Any

from lrrec.models import MODELS

__version__ = "0.2.0"

# Public name -> module that defines it. Nothing is imported until it is used, so `import lrrec` costs
# milliseconds. A name that is its module's last part is the module itself.
_HOME = {
    **{name: entry.module for name, entry in MODELS.items()},
    "AdapterBank": "lrrec.adapt.bank",
    "Comparison": "lrrec.evaluation.comparison",
    "DomainFitter": "lrrec.adapt.domain_fitter",
    "Evaluation": "lrrec.evaluation.evaluation_result",
    "Explanation": "lrrec.models.base.explanation",
    "FactorModel": "lrrec.models.base.factor_model",
    "IdMap": "lrrec.data.ids",
    "Interactions": "lrrec.data.interactions",
    "AdapterSelector": "lrrec.adapt.selection.selector",
    "LowRankAdapter": "lrrec.adapt.selection.low_rank_adapter",
    "QuadraticModel": "lrrec.models.base.quadratic_model",
    "Recommendations": "lrrec.models.base.results",
    "Recommender": "lrrec.models.base.recommender",
    "Report": "lrrec.report.page",
    "Split": "lrrec.splits",
    "Tuning": "lrrec.tuning.tuning_result",
    "adapt": "lrrec.adapt",
    "by_item_group": "lrrec.evaluation.item_groups",
    "compare": "lrrec.evaluation.comparison",
    "datasets": "lrrec.datasets",
    "distill": "lrrec.adapt.distillation",
    "errors": "lrrec.errors",
    "evaluate": "lrrec.evaluation.evaluator",
    "evaluate_lists": "lrrec.evaluation.ready_lists",
    "features": "lrrec.features",
    "interop": "lrrec.interop",
    "linalg": "lrrec.linalg",
    "load": "lrrec.loading",
    "metrics": "lrrec.metrics",
    "models": "lrrec.models",
    "popularity_groups": "lrrec.evaluation.item_groups",
    "rerank": "lrrec.rerank",
    "seen_groups": "lrrec.evaluation.item_groups",
    "splits": "lrrec.splits",
    "tune": "lrrec.tuning.search",
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
