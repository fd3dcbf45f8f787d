"""Taking a fitted model to a new domain.

A kind of adapter is one file in `kinds` and one line of `ADAPTERS`: a subclass of `Adapter`, or of `FactorAdapter`
where it changes item factors, or the encoder of a neural base, by a `Change`. `selection` compares kinds on validation
users; those that it tries by default are listed in `selection.default_candidates`.
"""

import importlib
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lrrec.adapt' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
