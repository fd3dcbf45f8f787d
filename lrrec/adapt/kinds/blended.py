"""Blended: the standardized scores of several adapters of one base, added up."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter, Settings, from_stored
from lrrec.adapt.domain import Domain, check_ranks
from lrrec.adapt.kinds.composite import Composite
from lrrec.errors import ParameterTypeError
from lrrec.models.base.blending import Blends, Encoded, check_weights
from lrrec.models.blend import Blend


class Blended(Blends, Composite):
    """Add the standardized scores of several adapters of one base, as `lrrec.Blend` does of models.

    Parameters
    ----------
    members : sequence of Adapter
        Cloned, never changed.
    weights : sequence of float
        One for each, >= 0, not all 0. An `AdapterSelector` finds them for the best of its candidates.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import Blended, FoldIn, ItemItemScratch
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve", "eve"], ["x", "y", "z"])
    >>> adapter = Blended([FoldIn(fold_in_reg=None), ItemItemScratch(reg=1.0)], [2, 1]).fit(target, base=base)
    >>> adapter.recommend(["dan"], k=1).items.tolist()
    [['y']]
    """

    name = "blend"

    def __init__(self, members: Sequence[Adapter], weights: Sequence[float]) -> None:
        self.members = members
        self.weights = weights

    def _unfitted(self) -> list[Any]:
        if not isinstance(self.members, list | tuple) or not self.members:
            raise ParameterTypeError(f"members must be a list of adapters, got {self.members!r}")
        return list(self.members)

    def _check_params(self) -> None:
        super()._check_params()
        check_weights(self.weights, len(self._unfitted()))

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "Blended")
        super()._check_base(base, same_users=same_users, source=source)

    @property
    def uses_base(self) -> bool:  # type: ignore[override]
        """Whether a member does."""
        return any(member.uses_base for member in self._unfitted())

    @property
    def label(self) -> str:
        """The kinds."""
        return f"blend of {' and '.join(member.label for member in self._unfitted())}"

    def _can_serve_group(self, domain: Domain, *, history: bool) -> bool:
        return all(member._can_serve_group(domain, history=history) for member in self._unfitted())

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        return np.any([member._can_serve(rows) for member in self.members_], axis=0)

    def _blended(self) -> tuple[list[Any], np.ndarray]:
        weights = np.asarray(self.weights, dtype=np.float64)
        return self.members_, weights / weights.sum()

    def _vectors(self, encoded: Encoded) -> tuple[list[np.ndarray], Any] | None:
        parts = zip(self.members_, encoded.parts, strict=True)
        return self._joined(encoded.own, [member._vectors(part) for member, part in parts])

    def _training_vectors(self, rows: np.ndarray) -> tuple[list[np.ndarray], Any] | None:
        return self._joined(self.seen_[rows], [member._training_vectors(rows) for member in self.members_])

    def _joined(self, own: sp.csr_array, parts: list[Any]) -> tuple[list[np.ndarray], Any] | None:
        """The vectors of all members; None unless all have them, and a weight."""
        if not all(self.weights) or any(part is None for part in parts):
            return None
        return [vectors for part in parts for vectors in part[0]], Encoded(own, [rest for _, rest in parts])

    def _from_products(self, products: Iterator[np.ndarray], rest: Encoded) -> np.ndarray:
        scores, unknown = self._sum(rest, lambda member, part: member._from_products(products, part))
        scores[unknown] = np.nan
        return scores

    def merge(self) -> Blend:
        """Return a `Blend` of the merged members."""
        self._check_fitted()
        models: list[Any] = [member.merge() for member in self.members_]
        model = Blend([clone(part) for part in models], weights=list(self.weights))
        model.models_, model.weights_ = models, self._blended()[1]
        evidence = np.any([part.item_evidence_ for part in models], axis=0)
        return model._remember(self.domain_.data, self.item_counts_, evidence)

    @classmethod
    def _from_stored(cls, params: Settings) -> Self:
        members = [from_stored(str(member["kind"]), member["params"]) for member in params["members"]]
        return cls(members, params["weights"])
