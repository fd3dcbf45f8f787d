"""Sources: several fitted models as one base."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import check_fitted
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.ranking import Columns
from lrrec.models.base.recommender import Recommender

BaseLike: TypeAlias = Recommender | Sequence[Recommender] | Mapping[str, Recommender]


class Sources(Recommender):
    """Several fitted models, of one market each, as the base of adapters that need nothing but pairs of items.

    Parameters
    ----------
    models : sequence of Recommender
        Fitted. Items are matched by id.

    Attributes
    ----------
    models_ : list of Recommender
        As they were when they were put together: a later fit of one does not touch them.
    items_ : IdMap
        The items of all models: those of the first, then the others' own.
    item_counts_ : ndarray of int64, shape (n_items,)
        The sum of the models' counts.
    """

    _parts = "models"

    models_: list[Any]

    def __init__(self, models: Any) -> None:
        self.models = models

    @classmethod
    def of(cls, models: Any) -> "Sources":
        """Put fitted models together, checked."""
        sources = cls(list(models))
        if not sources.models:
            raise ParameterError("base must have at least one model, got none")
        for model in sources.models:
            check_fitted(model)
            if isinstance(model, Sources) or model._predicts_ratings or hasattr(model, "base_"):
                raise ParameterError(
                    f"each of several bases must be a model that ranks items, such as EASE or IALS, got "
                    f"{type(model).__name__}"
                )
        types = {model.items_.ids.dtype == object for model in sources.models}
        if len(types) > 1:
            raise ParameterError("the item ids of several bases must be of one type, got strings and integers")
        ids = sources.models[0].items_.ids
        for model in sources.models[1:]:
            ids = np.concatenate((ids, model.items_.ids[IdMap(ids).find(model.items_.ids) < 0]))
        items = IdMap(ids)
        counts, evidence = np.zeros(len(items), dtype=np.int64), np.zeros(len(items), dtype=bool)
        for model in sources.models:
            places = items.find(model.items_.ids)
            counts[places] += model.item_counts_
            evidence[places] |= model.item_evidence_
        sources.models_ = [copy(model) for model in sources.models]
        nobody = Interactions(sp.csr_array((0, len(items)), dtype=np.float32), IdMap([]), items)
        return sources._remember(nobody, counts, evidence)

    def _scores(self, encoded: Any, columns: Columns) -> np.ndarray:
        raise ParameterError("several bases have no scores of their own: ask one of them, or an adapter")


def as_base(base: Any, *, same_users: bool = False) -> Any:
    """Return one base as it is, and several, in a list or a dict, as `Sources`."""
    if same_users and isinstance(base, Mapping | list | tuple | Sources):
        raise ParameterError("same_users needs a single base, whose users the target's are, got several")
    if isinstance(base, Mapping):
        return Sources.of(base.values())
    if isinstance(base, list | tuple):
        return Sources.of(base)
    if isinstance(base, set | frozenset):
        raise ParameterTypeError("several bases must be in order, in a list or a dict, got a set")
    return base


def models_of(base: Any) -> list[Any]:
    """The models of a base: itself, or those of several."""
    return list(base.models_) if isinstance(base, Sources) else [base]
