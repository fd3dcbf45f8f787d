"""Composite: an adapter made of several adapters of one base and domain."""

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter, Callback, Settings
from lrrec.adapt.domain import Domain
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.models.base.recommender import Recommender


class Encoded:
    """Users as each member encodes them, and something of their own for each; indexed by rows."""

    def __init__(self, own: Any, parts: Sequence[Any]) -> None:
        self.own, self.parts = own, parts
        self.shape = own.shape

    def __getitem__(self, rows: Any) -> "Encoded":
        return Encoded(self.own[rows], [part[rows] for part in self.parts])

    def __len__(self) -> int:
        return int(self.shape[0])


class Composite(Adapter):
    """An adapter whose parameter `members` is a sequence of adapters; each is fitted to the domain.

    Attributes
    ----------
    members_ : list of Adapter
        Fitted.
    """

    members: Sequence[Adapter]
    members_: list[Any]

    @abstractmethod
    def _own(self, matrix: sp.csr_array) -> Any:
        """What `_scores` needs of users' histories (B, I) beside the members' encodings."""

    def _check_params(self) -> None:
        if not isinstance(self.members, Sequence) or not all(isinstance(one, Adapter) for one in self.members):
            raise ParameterTypeError(f"members must be a sequence of adapters, got {self.members!r}")
        for member in self.members:
            member._check_params()

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        for member in self.members:
            member._check_base(base, same_users=same_users, source=source)

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        self.members_ = [clone(member)._adapt(self.domain_, users) for member in self.members]

    def _serve(self, domain: Domain) -> Self:
        for member in self.members_:
            member.verdict_ = f"a member of {self.label}"
            member._serve(domain)
        return super()._serve(domain)

    def _training_users(self, rows: np.ndarray) -> Encoded:
        return Encoded(self._own(self.seen_[rows]), [member._training_users(rows) for member in self.members_])

    def _encode(self, matrix: sp.csr_array) -> Encoded:
        return self._encode_around(matrix, None)

    def _encode_around(self, matrix: sp.csr_array, priors: np.ndarray | None) -> Encoded:
        return Encoded(self._own(matrix), [member._encode_around(matrix, priors) for member in self.members_])

    def _for_scoring(self) -> Self:
        scorer = copy.copy(self)
        scorer.members_ = [member._for_scoring() for member in self.members_]
        return scorer

    @property
    def n_parameters(self) -> int:
        """The number of parameters of all members."""
        if not hasattr(self, "members_"):
            self._check_fitted()
        return sum(member.n_parameters for member in self.members_)

    def merge(self) -> Recommender:
        """Refused: no model of one class recommends the same. One of `members_` can be merged."""
        self._check_fitted()
        raise ParameterError(
            f"an adapter {self.name} cannot be merged: it is {' and '.join(one.label for one in self.members_)}. Keep "
            "it, or merge one of its members_"
        )

    def _stored_params(self) -> Settings:
        members = [{"kind": type(one).__name__, "params": one._stored_params()} for one in self.members_]
        return super()._stored_params() | {"members": members}

    @classmethod
    def _from_stored(cls, params: Settings) -> Self:
        members = [Adapter._of_kind(str(one["kind"]), one["params"]) for one in params["members"]]
        return super()._from_stored(params | {"members": members})

    def _pack(self, dtype: type) -> dict[str, np.ndarray]:
        return {
            f"{place}.{name}": array
            for place, member in enumerate(self.members_) for name, array in member._pack(dtype).items()
        }  # fmt: skip

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.members_ = [clone(member) for member in self.members]
        for place, member in enumerate(self.members_):
            start = f"{place}."
            member.domain_, member.base_ = self.domain_, self.base_
            member.params_ = member._settings(self.domain_)
            member._unpack({name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)})
        self._serve(self.domain_)
