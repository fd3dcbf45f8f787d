"""Taking a fitted model to a new domain.

A kind of adapter is one file in `kinds` and one line of `ADAPTERS`: a subclass of `Adapter`, or of `FactorAdapter`
where it changes item factors, or the encoder of a neural base, by a `Change`. `selection` compares kinds on validation
users; those that it tries by default are listed in `selection.default_candidates`.
"""

import importlib
from typing import TYPE_CHECKING, Any

# Class name, as a file may hold it -> module.
ADAPTERS = {
    "FoldIn": "lrrec.adapt.kinds.fold_in",
    "Popular": "lrrec.adapt.kinds.popular",
    "Blended": "lrrec.adapt.kinds.blended",
    "ByHistory": "lrrec.adapt.kinds.by_history",
    "Scratch": "lrrec.adapt.kinds.scratch",
    "Anchored": "lrrec.adapt.kinds.anchored",
    "ItemItem": "lrrec.adapt.kinds.item_item_adapter",
    "ItemItemScratch": "lrrec.adapt.kinds.item_item_scratch",
    "JoinedItemKNN": "lrrec.adapt.kinds.joined_item_knn",
    "LowRank": "lrrec.adapt.kinds.low_rank",
    "LowRankTowers": "lrrec.adapt.kinds.two_tower",
    "FullRankTowers": "lrrec.adapt.kinds.two_tower",
    "ScratchTowers": "lrrec.adapt.kinds.two_tower",
}
_HOME = {
    **ADAPTERS,
    "Adapter": "lrrec.adapt.adapter",
    "AdapterBank": "lrrec.adapt.bank",
    "AdapterSelector": "lrrec.adapt.selection.selector",
    "DomainFitter": "lrrec.adapt.domain_fitter",
    "FactorAdapter": "lrrec.adapt.kinds.factor_adapter",
    "LowRankAdapter": "lrrec.adapt.selection.low_rank_adapter",
    "LearningCurve": "lrrec.adapt.transfer",
    "distill": "lrrec.adapt.distillation",
    "learning_curve": "lrrec.adapt.transfer",
}
__all__ = ["ADAPTERS", *_HOME]


if TYPE_CHECKING:  # the same names for type checkers and editors, which do not run `__getattr__`
    from lrrec.adapt.adapter import Adapter as Adapter
    from lrrec.adapt.bank import AdapterBank as AdapterBank
    from lrrec.adapt.distillation import distill as distill
    from lrrec.adapt.domain_fitter import DomainFitter as DomainFitter
    from lrrec.adapt.kinds.anchored import Anchored as Anchored
    from lrrec.adapt.kinds.blended import Blended as Blended
    from lrrec.adapt.kinds.by_history import ByHistory as ByHistory
    from lrrec.adapt.kinds.factor_adapter import FactorAdapter as FactorAdapter
    from lrrec.adapt.kinds.fold_in import FoldIn as FoldIn
    from lrrec.adapt.kinds.item_item_adapter import ItemItem as ItemItem
    from lrrec.adapt.kinds.item_item_scratch import ItemItemScratch as ItemItemScratch
    from lrrec.adapt.kinds.joined_item_knn import JoinedItemKNN as JoinedItemKNN
    from lrrec.adapt.kinds.low_rank import LowRank as LowRank
    from lrrec.adapt.kinds.popular import Popular as Popular
    from lrrec.adapt.kinds.scratch import Scratch as Scratch
    from lrrec.adapt.kinds.two_tower import FullRankTowers as FullRankTowers
    from lrrec.adapt.kinds.two_tower import LowRankTowers as LowRankTowers
    from lrrec.adapt.kinds.two_tower import ScratchTowers as ScratchTowers
    from lrrec.adapt.selection.low_rank_adapter import LowRankAdapter as LowRankAdapter
    from lrrec.adapt.selection.selector import AdapterSelector as AdapterSelector
    from lrrec.adapt.transfer import LearningCurve as LearningCurve
    from lrrec.adapt.transfer import learning_curve as learning_curve
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'lrrec.adapt' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
