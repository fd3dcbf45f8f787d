"""Low-rank recommenders behind one interface.

>>> import lrrec
>>> train = lrrec.Interactions.from_pairs([7, 7, 9], ["a", "b", "a"])
>>> model = lrrec.IALS(n_factors=2, random_state=0).fit(train)
>>> model.recommend([9], k=1).items.tolist()
[['b']]
"""

import importlib
from typing import TYPE_CHECKING, Any

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


if TYPE_CHECKING:  # the same names for type checkers and editors, which do not run `__getattr__`
    from lrrec import adapt as adapt
    from lrrec import datasets as datasets
    from lrrec import errors as errors
    from lrrec import features as features
    from lrrec import interop as interop
    from lrrec import linalg as linalg
    from lrrec import metrics as metrics
    from lrrec import models as models
    from lrrec import rerank as rerank
    from lrrec import splits as splits
    from lrrec.adapt.bank import AdapterBank as AdapterBank
    from lrrec.adapt.distillation import distill as distill
    from lrrec.adapt.domain_fitter import DomainFitter as DomainFitter
    from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter as LowRankAdapter
    from lrrec.adapt.selection.selector import AdapterSelector as AdapterSelector
    from lrrec.data.ids import IdMap as IdMap
    from lrrec.data.interactions import Interactions as Interactions
    from lrrec.evaluation.comparison import Comparison as Comparison
    from lrrec.evaluation.comparison import compare as compare
    from lrrec.evaluation.evaluation_result import Evaluation as Evaluation
    from lrrec.evaluation.evaluator import evaluate as evaluate
    from lrrec.evaluation.item_groups import by_item_group as by_item_group
    from lrrec.evaluation.item_groups import popularity_groups as popularity_groups
    from lrrec.evaluation.item_groups import seen_groups as seen_groups
    from lrrec.evaluation.ready_lists import evaluate_lists as evaluate_lists
    from lrrec.loading import load as load
    from lrrec.models import ALS as ALS
    from lrrec.models import EASE as EASE
    from lrrec.models import EDLAE as EDLAE
    from lrrec.models import IALS as IALS
    from lrrec.models import NMF as NMF
    from lrrec.models import SLIM as SLIM
    from lrrec.models import Blend as Blend
    from lrrec.models import GraphFilter as GraphFilter
    from lrrec.models import ItemContent as ItemContent
    from lrrec.models import ItemKNN as ItemKNN
    from lrrec.models import NeuralMF as NeuralMF
    from lrrec.models import Popularity as Popularity
    from lrrec.models import RP3Beta as RP3Beta
    from lrrec.models import SparseEASE as SparseEASE
    from lrrec.models import TruncatedSVD as TruncatedSVD
    from lrrec.models.base.explanation import Explanation as Explanation
    from lrrec.models.base.factor_model import FactorModel as FactorModel
    from lrrec.models.base.quadratic_model import QuadraticModel as QuadraticModel
    from lrrec.models.base.recommender import Recommender as Recommender
    from lrrec.models.base.results import Recommendations as Recommendations
    from lrrec.report.page import Report as Report
    from lrrec.splits import Split as Split
    from lrrec.tuning.search import tune as tune
    from lrrec.tuning.tuning_result import Tuning as Tuning
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'lrrec' has no attribute {name!r}")
        module = importlib.import_module(_HOME[name])
        value = module if _HOME[name] == f"lrrec.{name}" else getattr(module, name)
        globals()[name] = value  # the next access is a plain lookup
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
