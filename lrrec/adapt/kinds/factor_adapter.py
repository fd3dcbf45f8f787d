"""FactorAdapter: adapters that change the factors of a factor model."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter, is_auto
from lrrec.adapt.domain import BaseUsers, Domain
from lrrec.adapt.kinds.change import Change
from lrrec.adapt.sources import Sources
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.linalg.changed_matrix import ChangedMatrix
from lrrec.linalg.dense import FEW_ROWS
from lrrec.linalg.ranking import ALL_COLUMNS, Columns
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.finite import check_learned
from lrrec.models.base.model_files import same_model
from lrrec.models.base.one_fit import become
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.models.neural.neural_mf import NeuralMF
from lrrec.validate import check_int, check_real


class FactorAdapter(Adapter, FactorModel):
    """An adapter that changes item factors, and the encoder of a neural base.

    Attributes
    ----------
    change_ : Change
    scale : float
        1. Less blends with the base: 0 gives the base's items and fold-in.
    user_factors_, item_factors_ : ndarray of float32
        Of the target's users; of the catalogue, with the change.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import FactorAdapter, LowRank
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve"], ["x", "z", "x", "z"])
    >>> adapter = LowRank(rank=2, reg=0.1, fold_in_reg=0.005).fit(target, base=base)
    >>> isinstance(adapter, FactorAdapter), adapter.truncate(1).change_.A.shape
    (True, (3, 1))
    >>> adapter.scale = 0.0
    >>> np.array_equal(adapter.item_factors_, base.item_factors_)
    True
    """

    change_: Change

    serves_without_history = True  # from the base's factors of the same user
    low_rank: ClassVar[bool] = False  # whether changes of this kind can be truncated and added
    _item_factors: np.ndarray | None = None
    _unmade: tuple[Change, float, ChangedMatrix] | None = None

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        name, encodes = type(base).__name__, isinstance(base, EncoderModel)
        if isinstance(base, Sources):
            raise ParameterTypeError(
                f"base must be a single factor model for {type(self).__name__}, got several models: item-item adapters "
                "take several"
            )
        if not isinstance(base, FactorModel):
            raise ParameterTypeError(f"base must be a fitted factor model, got {name}")
        if isinstance(base, NeuralMF) and base._n_columns != len(base.projection_):
            raise ParameterError("base must not be compressed: adapt it first, then compress the adapter")
        if encodes and same_users:
            raise ParameterError(f"same_users must be False for a base that encodes histories, got True for {name}")
        if source is not None and not isinstance(base, NeuralMF):
            raise ParameterError(f"source must only be given for a neural base, got one for {name}")

    def _remember_domain(self, domain: Domain) -> Self:
        super()._remember_domain(domain)
        self.scale = self._scale
        return check_learned(self)

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return super()._item_evidence(domain, counts) & self.item_factors_.any(axis=1)

    @property
    def scale(self) -> float:
        """The share of the change that is applied; setting it folds the target's users in again."""
        self._check_fitted()
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._check_fitted()
        fresh = copy.copy(self)
        fresh._scale = check_real(value, "scale", low=0)
        matrix = self.domain_.data.matrix
        fresh.user_factors_ = fresh._encode_around(matrix, self.domain_.users)
        counts = np.maximum(self.item_counts_, np.bincount(matrix.indices, minlength=matrix.shape[1]))
        fresh.item_evidence_ = fresh._item_evidence(self.domain_, counts)
        become(self, fresh)

    @property
    def item_factors_(self) -> np.ndarray:  # type: ignore[override]
        """The changed item factors; made at every access, so that a bank holds the changes alone."""
        if self._item_factors is not None:
            return self._item_factors
        return self.change_.apply(self.domain_.item_factors, self._scale)

    @property
    def _n_columns(self) -> int:
        return self.domain_.item_factors.shape[1]

    def _for_scoring(self, n_users: int | None = None) -> Self:
        if n_users is not None and n_users <= FEW_ROWS:
            return self
        scorer = copy.copy(self)
        scorer._item_factors = self.item_factors_
        return scorer

    def _scores(self, encoded: np.ndarray, columns: Columns) -> np.ndarray:
        if self._item_factors is not None:
            return super()._scores(encoded, columns)
        return self._for_few().scores(encoded, columns)

    def _vectors(self, encoded: np.ndarray) -> tuple[list[np.ndarray], Any] | None:
        replaced = len(self.change_.rows) == len(self.change_.A)
        return ([encoded], encoded) if self._has_inner_products and not replaced else None

    def _from_products(self, products: Iterator[np.ndarray], rest: Any) -> np.ndarray:
        return self._marked(self._for_few().change(next(products), rest), rest, ALL_COLUMNS)

    @property
    def _has_inner_products(self) -> bool:
        return type(self)._scores is FactorAdapter._scores

    def _for_few(self) -> ChangedMatrix:
        """The changed item factors, to serve a few users; the same until the change or its scale is another."""
        kept = self._unmade
        if kept is None or kept[0] is not self.change_ or kept[1] != self._scale:
            changed = self.change_.unmade(self.domain_.item_factors, self._scale)
            kept = self._unmade = self.change_, self._scale, changed
        return kept[2]

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return super(Adapter, self._for_scoring())._predict(rows, columns)

    def _encoder_now(self) -> dict[str, np.ndarray]:
        """The arrays with which histories are encoded, changed; empty where the base folds in."""
        return self.change_.apply_to_encoder(self.domain_.encoder, self._scale)

    def _fold_in_reg(self) -> float | None:
        """The regularization of users in the place of the base's own."""
        return self.params_.get("fold_in_reg") if self._scale else None

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return self._encode_around(matrix, None)

    def _encode_around(self, matrix: sp.csr_array, known: BaseUsers | None) -> np.ndarray:
        if self.domain_.encoder:
            encoded: np.ndarray = self.base_._encode_by(self._encoder_now(), matrix)
            return encoded
        few = matrix.shape[0] <= FEW_ROWS and 2 * matrix.nnz < matrix.shape[1]
        if few and known is None and type(self.base_)._fold_in is QuadraticModel._fold_in:
            return self.base_._fold_in(matrix, self._for_few(), self.base_._penalties(matrix, self._fold_in_reg()))
        return self.domain_.fold_in(matrix, self.item_factors_, self._fold_in_reg(), known)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        parts: tuple[np.ndarray, dict[str, float]]
        if self.domain_.encoder:
            parts = self.base_._shares_by(self._encoder_now(), matrix, self.item_factors_[column])
        else:
            parts = self.base_._shares(matrix, self.item_factors_, self._fold_in_reg(), column)
        return parts

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        served = super()._can_serve(rows)
        return served if served.all() or not len(self.users_) else served | (self.user_factors_[rows] != 0).any(axis=1)

    @property
    def n_parameters(self) -> int:
        """The number of parameters of the change."""
        if not hasattr(self, "change_"):
            self._check_fitted()
        return self.change_.n_parameters

    def merge(self) -> FactorModel:
        """Return an ordinary model of the base's class that recommends the same, without the adapter."""
        self._check_fitted()
        model, reg = self.base_._as_objective(), self._fold_in_reg()
        for name, array in self._encoder_now().items():
            setattr(model, name, array)
        if reg is not None and "reg" in model.get_params():
            model.set_params(reg=reg)
        model.item_factors_, model.user_factors_ = self.item_factors_, self.user_factors_.copy()
        return model._remember(self.domain_.data, self.item_counts_, self.item_evidence_)

    def compress(self, n_factors: int) -> FactorModel:  # type: ignore[override]
        """Return the merged model with fewer factors."""
        return self.merge().compress(n_factors)

    def truncate(self, rank: int) -> Self:
        """Return the adapter with the best change of a smaller rank, in the scores of the target's users.

        Only for low-rank adapters.
        """
        self._check_fitted()
        self._check_low_rank("truncated")
        return self._with(self.change_.truncate(check_int(rank, "rank", low=0)), self.scale)

    def __add__(self, other: Any) -> Self:
        """The sum of two low-rank changes of one base and catalogue, serving the users of the first adapter."""
        other = other.best_ if isinstance(other, Adapter) else other
        if not isinstance(other, FactorAdapter):
            return NotImplemented
        self._check_fitted()
        if not same_model(other.base_, self.base_) or other.items_ != self.items_:
            raise DataError("adapters must have the same base and catalogue to be added")
        for adapter in (self, other):
            adapter._check_low_rank("added")
        V0, encoder = self.domain_.item_factors, self.domain_.encoder
        scale = self.scale if self.scale == other.scale else 1.0
        first, second = (
            adapter.change_ if scale == adapter.scale else adapter.change_.scaled(adapter.scale, V0, encoder)
            for adapter in (self, other)
        )
        return self._with(first.plus(second, V0, encoder), scale, kind=self if self.n_parameters else other)

    def _check_low_rank(self, what: str) -> None:
        if not self.low_rank:
            raise ParameterError(f"{self.name} adapters cannot be {what}: only low-rank ones can")

    def _with(self, change: Change, scale: float, kind: "FactorAdapter | None" = None) -> Self:
        """An adapter of the same domain with another change; of the kind of another adapter, if one is given."""
        kind = kind or self
        other: Any = clone(kind)
        other.domain_, other.base_, other.verdict_ = self.domain_, self.base_, self.verdict_
        other.params_ = {**kind.params_, "fold_in_reg": self.params_.get("fold_in_reg")}
        other.change_, other._scale = change, scale
        return other._remember_domain(self.domain_)

    def _pack(self) -> dict[str, np.ndarray]:
        arrays = self.change_.pack()
        return arrays | {"A": arrays["A"][self.domain_.in_base], "scale": np.array([self._scale])}

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        domain = self.domain_
        in_base, A = domain.in_base, arrays["A"]
        padded = np.zeros((len(in_base), A.shape[1]), dtype=np.float32, order="F")
        padded[in_base] = A
        change = Change.unpack({**arrays, "A": padded}, domain.item_factors.shape)
        names = dict.fromkeys(name.split(".")[1] for name in arrays if name.startswith("encoder."))
        parts = {
            name: Change.unpack(arrays, np.atleast_2d(domain.encoder[name]).shape, f"encoder.{name}.") for name in names
        }
        self.change_, self._scale = change.with_encoder(parts), float(arrays["scale"][0])
        self._remember_domain(domain)


def check_auto_real(adapter: Any, *names: str, allow_none: tuple[str, ...] = (), zero: tuple[str, ...] = ()) -> None:
    """Refuse parameters that are neither "auto" nor numbers > 0 (>= 0 for those named in `zero`)."""
    for name in names:
        value = getattr(adapter, name)
        if is_auto(value) or (value is None and name in allow_none):
            continue
        check_real(value, name, low=0, open_low=name not in zero)


def check_quadratic(base: Any, kind: str) -> None:
    """Refuse a base whose users are not folded in by a quadratic loss."""
    if not isinstance(base, QuadraticModel):
        raise ParameterTypeError(
            f"base must be a factor model with a quadratic loss for {kind}, got {type(base).__name__}; of a NeuralMF "
            "adapt the towers (LowRankTowers), of others take item-item adapters"
        )
