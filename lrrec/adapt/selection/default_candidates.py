"""Which adapters are worth comparing for a base."""

from typing import Any

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.kinds.anchored import Anchored
from lrrec.adapt.kinds.fold_in import FoldIn
from lrrec.adapt.kinds.item_item_adapter import ItemItem
from lrrec.adapt.kinds.item_item_scratch import ItemItemScratch
from lrrec.adapt.kinds.joined_item_knn import JoinedItemKNN
from lrrec.adapt.kinds.low_rank import LowRank
from lrrec.adapt.kinds.scratch import Scratch
from lrrec.adapt.kinds.second_order import available_kinds
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.models.neural.neural_mf import NeuralMF


def default_candidates(base: Any, rank: int | str = 8, *, same_users: bool = False) -> list[Adapter]:
    """Return the adapters worth comparing for a base, the low-rank change last.

    Fold-in; models of the target alone; adapters of the base's factors, or towers; item-item models, one for each kind
    of statistics that the base has, and for the same users one of the histories in both domains. Item-item models do
    not predict ratings, and are left out for a base that does.
    """
    item_item: list[Adapter] = []
    if not base._predicts_ratings:
        kinds = available_kinds(base)
        item_item = [ItemItemScratch(), *(ItemItem(statistics=kind, source_weights="auto") for kind in kinds)]
    if isinstance(base, NeuralMF):
        from lrrec.adapt.kinds.two_tower import FullRankTowers, LowRankTowers, ScratchTowers

        return [FoldIn(), ScratchTowers(), *item_item, FullRankTowers(), LowRankTowers(rank)]
    if isinstance(base, QuadraticModel):
        # New items alone: their factors start from nothing, and users' from the base's.
        anchored = Anchored(n_iter=12, balance=0.0) if same_users else Anchored()
        item_item += [JoinedItemKNN()] if same_users and base.seen_.nnz and not base._predicts_ratings else []
        return [FoldIn(), Scratch(), *item_item, anchored, LowRank(rank)]
    return [FoldIn(), *item_item] if isinstance(base, EncoderModel) else item_item
