"""Taking a fitted model to a new domain.

A kind of adapter is one file here and one line of `ADAPTERS`: a subclass of `Adapter`, or of `FactorAdapter` where it
changes item factors, or the encoder of a neural base, by a `Change`. `default_candidates` of `lrrec.adapt.selector` has
the kinds that `LowRankAdapter` tries.
"""

import importlib
from typing import Any

# Class name, as a file may hold it -> module.
ADAPTERS = {
    "FoldIn": "lrrec.adapt.fold_in",
    "Popular": "lrrec.adapt.popular",
    "Blended": "lrrec.adapt.blended",
    "ByHistory": "lrrec.adapt.by_history",
    "Scratch": "lrrec.adapt.scratch",
    "Anchored": "lrrec.adapt.anchored",
    "ItemItem": "lrrec.adapt.item_item_adapter",
    "ItemItemScratch": "lrrec.adapt.item_item_adapter",
    "LowRank": "lrrec.adapt.low_rank",
    "LowRankTowers": "lrrec.adapt.two_tower",
    "FullRankTowers": "lrrec.adapt.two_tower",
    "ScratchTowers": "lrrec.adapt.two_tower",
}
_HOME = {
    **ADAPTERS,
    "Adapter": "lrrec.adapt.adapter",
    "AdapterBank": "lrrec.adapt.bank",
    "AdapterSelector": "lrrec.adapt.selector",
    "DomainFitter": "lrrec.adapt.domain_fitter",
    "FactorAdapter": "lrrec.adapt.factor_adapter",
    "LowRankAdapter": "lrrec.adapt.selector",
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
