"""Composite: an adapter made of several adapters of one base and domain."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter, Callback, Settings, from_stored
from lrrec.adapt.domain import BaseUsers, Domain
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.models.base.blending import Encoded
from lrrec.models.base.recommender import Recommender


class Composite(Adapter):
    """An adapter whose parameters are adapters, its members; each is fitted to the domain.

    Attributes
    ----------
    members_ : list of Adapter
        Fitted.
    """

    members_: list[Any]
    _members: ClassVar[tuple[str, ...]] = ()  # names of the parameters that are adapters

    def _unfitted(self) -> list[Any]:
        """The members, from the parameters."""
        return [getattr(self, name) for name in self._members]

    def _check_params(self) -> None:
        for member in self._unfitted():
            if not isinstance(member, Adapter):
                raise ParameterTypeError(f"members must be adapters, got {type(member).__name__}")
            member._check_params()

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        for member in self._unfitted():
            member._check_base(base, same_users=same_users, source=source)

    @property
    def _takes_item_features(self) -> bool:
        return any(member._takes_item_features for member in self._unfitted())

    @property
    def _uses_features(self) -> bool:
        return any(member._uses_features for member in self.members_)

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        self.members_ = [clone(member)._adapt(self.domain_, users) for member in self._unfitted()]

    def _remember_domain(self, domain: Domain) -> Self:
        for member in self.members_:
            member._remember_domain(domain)
        return super()._remember_domain(domain)

    def _find_evidence(self, counts: np.ndarray) -> None:
        for member in self.members_:
            member._find_evidence(counts)
        super()._find_evidence(counts)

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        """Those of any member."""
        evidence: np.ndarray = np.any([member._item_evidence(domain, counts) for member in self.members_], axis=0)
        return evidence

    def _training_users(self, rows: np.ndarray) -> Encoded:
        return Encoded(self._own(self.seen_[rows]), [member._training_users(rows) for member in self.members_])

    def _encode(self, matrix: sp.csr_array) -> Encoded:
        return self._encode_around(matrix, None)

    def _encode_around(self, matrix: sp.csr_array, known: BaseUsers | None) -> Encoded:
        return Encoded(self._own(matrix), [member._encode_around(matrix, known) for member in self.members_])

    def _own(self, matrix: sp.csr_array) -> Any:
        """What `_scores` needs of users' histories beside the members' encodings."""
        return matrix

    def _for_scoring(self, n_users: int | None = None) -> Self:
        return self._with_members([member._for_scoring(n_users) for member in self.members_])

    def _with_members(self, members: list[Any]) -> Self:
        other = copy.copy(self)
        other.members_ = members
        return other

    @property
    def n_parameters(self) -> int:
        """The number of parameters of all members."""
        if not hasattr(self, "members_"):
            self._check_fitted()
        return sum(member.n_parameters for member in self.members_)

    def merge(self) -> Recommender:
        """Not possible: no model of one class recommends the same."""
        raise ParameterError(f"a {self.name} adapter cannot be merged: it is several. Merge one of its members_")

    def _stored_params(self) -> Settings:
        members = [{"kind": type(member).__name__, "params": member._stored_params()} for member in self.members_]
        return super()._stored_params() | dict.fromkeys(self._members) | {"members": members}

    @classmethod
    def _from_stored(cls, params: Settings) -> Self:
        members = [from_stored(str(member["kind"]), member["params"]) for member in params.pop("members")]
        params |= dict(zip(cls._members, members, strict=True))
        return super()._from_stored(params)

    def _pack(self) -> dict[str, np.ndarray]:
        return {
            f"{place}.{name}": array
            for place, member in enumerate(self.members_) for name, array in member._pack().items()
        }  # fmt: skip

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.members_ = []
        for place, member in enumerate(self._unfitted()):
            start = f"{place}."
            member.domain_, member.base_, member.verdict_ = self.domain_, self.base_, self.verdict_
            member.params_ = member._settings(self.domain_)
            member._unpack({name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)})
            self.members_.append(member)
        self._remember(self.domain_.data)
