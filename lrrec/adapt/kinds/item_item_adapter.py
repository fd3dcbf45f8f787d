"""ItemItem: item-item weights of the target, with the base's second-order statistics as their prior."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter, Callback, is_auto
from lrrec.adapt.domain import Domain, check_ranks
from lrrec.adapt.kinds.factor_adapter import check_auto_real
from lrrec.adapt.kinds.item_features import content_directions, content_weight, n_directions
from lrrec.adapt.kinds.second_order import (
    STATISTICS,
    check_statistics,
    choose_kind,
    rank_of_scores,
    second_order,
    seen_counts,
)
from lrrec.adapt.search_rules import SearchRules
from lrrec.adapt.sources import models_of
from lrrec.errors import ParameterError, ParameterTypeError
from lrrec.linalg.item_item_weights import (
    DenseWeights,
    DualWeights,
    GramMatrix,
    ItemItemWeights,
    PriorInverse,
    UpdatedWeights,
    multiplications,
    scaled,
    solve_item_item,
)
from lrrec.linalg.ranking import ALL_COLUMNS, Columns
from lrrec.models.base.blending import Encoded
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.item_item import mark_zeros
from lrrec.models.base.recommender import Recommender
from lrrec.models.ease import EASE
from lrrec.validate import check_compressed, check_option, check_real

REGS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
CONTENTS = (10.0, 0.0, 3.0, 30.0)
WEIGHTS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
SCALINGS = (0.0, 0.5, 0.75, 1.0)
N_SUMS = 16  # numbers that a file has of S, to tell bases apart
KEPT = 2**28  # bytes of inverses that are kept while settings are compared
FEW = 0.25  # of the items: so many users are a correction
AFFORDABLE = 1e11  # multiplications of one solution
EXPENSIVE = 3e10  # of which the search tries fewer settings
SCORES_WEIGHT = 30.0  # the default where S is that of scores


class ItemItem(Adapter):
    """Predict each item from all others by ridge regression on the target and on what the base knows of item pairs.

    Minimises over item-item weights B (I, I), in closed form,

        |X - X B|_F^2 + weight tr[(I - B)^T S (I - B)] + reg |B|_F^2    subject to diag(B) = 0

    with X (n, I) the target and S (I, I) the base's second-order statistics. Scores are x_u B. A weight of 0 is
    `EASE` of the target alone; with more and more it becomes the base's. Features F of items, of rows of length 1,
    (`fit(..., item_features=)`) add content |F^T - F^T B|_F^2: items of similar content predict each other.

    Parameters
    ----------
    weight : float or "auto", default "auto"
        Of S, >= 0; S is scaled to a mean diagonal of 1. "auto", here and below, is for an `AdapterSelector` to choose.
    reg : float or "auto", default "auto"
        Regularization, > 0, in interactions.
    scaling : float or "auto", default "auto"
        From 0, which keeps S, to 1, which scales it to cosines: S_ij / (S_ii S_jj)^(scaling / 2).
    content : float or "auto", default "auto"
        Weight of the features of items, >= 0, in interactions; there has to be none without features. Of more than 64
        features, the 64 leading directions are taken.
    source_weights : sequence of float, "auto" or None, default None
        With several bases, `base=[uk, ca]`, the weight >= 0 of each in S, which is the sum of theirs; 1 each when None.
    statistics : {"interactions", "scores"}, optional
        S: X_s^T X_s of the interactions X_s that the base was trained on, or V (U^T U) V^T, that of a factor model's
        scores, for which no interaction is needed. By default interactions where the base holds them (`seen_`) and the
        catalogue has at most 4,096 items, otherwise scores.

    Attributes
    ----------
    rows_ : csr_array, shape (n, I)
        X: the target's users without their ids. A file of the adapter holds them.

    Notes
    -----
    With n target users and a base of D factors, O((n + D)^2 I + (n + D)^3) time and (n + D)^2 numbers of memory; no
    matrix of items x items is made unless that is cheaper, or the base's statistics are one.

    References
    ----------
    Steck (2019), "Embarrassingly shallow autoencoders for sparse data", eq. 8, for weight = 0.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import ItemItem
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "eve", "eve"], ["x", "y", "z"])
    >>> adapter = ItemItem(weight=1.0, reg=1.0, scaling=0.0).fit(target, base=base)
    >>> adapter.recommend(["dan"], k=1).items.tolist()
    [['y']]
    """

    name = "item-item"
    _search_rules: ClassVar = SearchRules(interacting={"weight": WEIGHTS, "reg": REGS}, keeps_default=True)
    _defaults: ClassVar = {"weight": 3.0, "reg": 10.0, "scaling": 0.75, "content": 10.0, "source_weights": None}

    rows_: sp.csr_array
    weights_: ItemItemWeights

    def __init__(
        self,
        *,
        weight: float | str = "auto",
        reg: float | str = "auto",
        scaling: float | str = "auto",
        content: float | str = "auto",
        source_weights: Sequence[float] | str | None = None,
        statistics: str | None = None,
    ) -> None:
        self.weight = weight
        self.reg = reg
        self.scaling = scaling
        self.content = content
        self.source_weights = source_weights
        self.statistics = statistics

    def _check_params(self) -> None:
        check_auto_real(self, "weight", "reg", "scaling", "content", zero=("weight", "scaling", "content"))
        if not is_auto(self.scaling):
            check_real(self.scaling, "scaling", low=0, high=1)
        if self.statistics is not None:
            check_option(self.statistics, "statistics", STATISTICS)
        if self.source_weights is not None and not is_auto(self.source_weights):
            _check_source_weights(self.source_weights)

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "ItemItem")
        check_statistics(base)
        weights = self.source_weights
        if weights is not None and not is_auto(weights) and len(weights) != len(models_of(base)):
            raise ParameterError(
                f"source_weights must have one weight for each base, {len(models_of(base))}, got {len(weights)}"
            )

    @property
    def label(self) -> str:
        """The kind, and the statistics where they are those of scores."""
        return f"{self.name} of scores" if self.statistics == "scores" else self.name

    def _settings(self, domain: Domain) -> dict[str, Any]:
        kind = choose_kind(domain, self.statistics)
        settings = super()._settings(domain) | {"statistics": kind}
        if settings["source_weights"] is not None:
            settings["source_weights"] = [float(weight) for weight in settings["source_weights"]]
        if kind == "scores" and self.weight == "auto":
            settings["weight"] = SCORES_WEIGHT
        return settings | {"content": content_weight(settings, domain)}

    @property
    def _takes_item_features(self) -> bool:
        return True

    @property
    def _uses_features(self) -> bool:
        return bool(self.params_["content"] > 0)

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return super()._item_evidence(domain, counts) | (domain.described & self._uses_features)

    def is_affordable(self, domain: Domain) -> bool:
        """Whether one solution takes seconds at most."""
        return self._cost(domain) < AFFORDABLE

    def _cost(self, domain: Domain) -> float:
        """The multiplications of one solution."""
        if self._shares_inverse(domain, len(domain.active_users)):
            return float(np.count_nonzero(domain.base.item_counts_[domain.base_indices[domain.in_base]])) ** 3
        scores = choose_kind(domain, self.statistics) == "scores"
        rank = rank_of_scores(domain.base) if scores else len(domain.items)
        return multiplications(len(domain.active_users) + n_directions(domain), len(domain.items), rank)

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        step = 2 if self._cost(domain) > EXPENSIVE else 1  # every other value, the defaults among them
        grids = {"weight": WEIGHTS[::step], "reg": REGS[::step], "scaling": SCALINGS[step - 1 :]}
        n_sources = len(models_of(domain.base))
        grids |= {} if domain.features is None else {"content": CONTENTS}
        return grids | ({"source_weights": _source_weights(n_sources)} if n_sources > 1 else {})

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        self._solve(self.domain_.data.matrix[users])

    def _solve(self, rows: sp.csr_array) -> None:
        self.rows_, shares = rows, self._shares_inverse(self.domain_, rows.shape[0])
        if content := self.params_["content"]:  # the features are further users
            directions = content_directions(self.domain_).T * np.float32(np.sqrt(content))
            rows = sp.csr_array(sp.vstack((rows, sp.csr_array(directions)), format="csr"))
        if shares:
            Q = self._inverse(self.domain_, self.params_)
            self.weights_ = UpdatedWeights(rows, Q, self.params_["weight"])
        else:
            self.weights_ = solve_item_item(rows, self._prior(), self.params_["reg"], n_threads=1)

    def _shares_inverse(self, domain: Domain, n_users: int) -> bool:
        """Whether the inverse for the base's statistics alone is found first, and corrected for the users."""
        settings = self._settings(domain)
        few = n_users <= FEW * len(domain.items)
        return few and settings["statistics"] == "interactions" and settings["weight"] > 0

    def _prepare(self, domain: Domain, n_users: int) -> bool:
        shares = self._shares_inverse(domain, n_users)
        if shares:
            self._inverse(domain, self._settings(domain))
        return shares

    def _inverse(self, domain: Domain, params: Mapping[str, Any]) -> PriorInverse:
        """(S + reg / weight I)^-1, scaled; the latest are kept for the other fits of a comparison."""
        key = params["scaling"], float(f"{params['reg'] / params['weight']:.6g}"), str(params["source_weights"])
        inverses: dict[Any, PriorInverse] = domain.cache.setdefault("inverses", {})
        if key not in inverses:
            items, counts = seen_counts(domain, params["source_weights"])
            S: Any = scaled(counts, key[0], 1.0)
            Q = PriorInverse(S, items, len(domain.items), key[1])
            for oldest in list(inverses)[: max(0, len(inverses) + 1 - KEPT // max(Q.block.nbytes, 1))]:
                inverses.pop(oldest, None)
            inverses[key] = Q
            return Q
        return inverses[key]

    def _prior(self) -> GramMatrix:
        params = self.params_
        S = second_order(self.domain_, params["statistics"], params["source_weights"])
        return scaled(S, params["scaling"], params["weight"])

    def _sketch(self) -> np.ndarray:
        """A few numbers that tell S from that of a base with other users: partial sums of S z for a fixed z."""
        z = np.cos(np.arange(len(self.domain_.items)))
        if self.params_.get("statistics") == "interactions":
            items, counts = seen_counts(self.domain_, self.params_["source_weights"])
            image = np.zeros(len(z))
            image[items] = scaled(counts, self.params_["scaling"], self.params_["weight"]) @ z[items]
        else:
            S: Any = self._prior()
            F = S.root()
            image = F @ (F.T @ z)
        return np.array([part.sum() for part in np.array_split(image, N_SUMS)])

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        return self.weights_.scores(encoded, columns)

    @property
    def _dual(self) -> DualWeights | None:
        """The weights, where scores follow from inner products with the item factors of the base."""
        weights, single = self.weights_, isinstance(self.base_, FactorModel)
        return (
            weights if single and isinstance(weights, DualWeights) and weights.L is self.domain_.item_factors else None
        )

    def _vectors(self, encoded: sp.csr_array) -> tuple[list[np.ndarray], Any] | None:
        if self._dual is None:
            return None
        vectors, of_users = self._dual.encode(encoded)
        return [vectors], Encoded(encoded, [of_users])

    def _training_vectors(self, rows: np.ndarray) -> tuple[list[np.ndarray], Any] | None:
        if self._dual is None or not np.isin(rows, self.domain_.active_users).all():  # others were not fitted to
            return super()._training_vectors(rows)
        vectors, of_users = self._dual.encode_training(np.searchsorted(self.domain_.active_users, rows))
        return [vectors], Encoded(self.seen_[rows], [of_users])

    def _from_products(self, products: Iterator[np.ndarray], rest: Encoded) -> np.ndarray:
        weights: Any = self.weights_
        return self._marked(weights.finish(next(products), rest.parts[0], rest.own), rest.own, ALL_COLUMNS)

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        mark_zeros(scores, encoded)

    @property
    def n_parameters(self) -> int:
        """The number of the target's interactions that the adapter holds."""
        if not hasattr(self, "rows_"):
            self._check_fitted()
        return int(self.rows_.nnz)

    def merge(self) -> Recommender:
        """Return an `EASE` with the same weights, of items x items."""
        self._check_fitted()
        weights = self.weights_
        if not isinstance(weights, DenseWeights):
            weights = DenseWeights(weights.scores(sp.eye_array(len(self.items_), format="csr", dtype=np.float32)))
        model = EASE(reg=self.params_["reg"])
        model.item_weights_ = weights.B
        return model._remember(self.domain_.data, self.item_counts_, self.item_evidence_)

    def _pack(self) -> dict[str, np.ndarray]:
        rows, sketch = self.rows_, self._sketch()
        return {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "sketch": sketch}

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        data, indices, indptr = (arrays[name] for name in ("data", "indices", "indptr"))
        rows = sp.csr_array(
            (data.astype(np.float32), indices, indptr), shape=(len(indptr) - 1, len(self.domain_.items))
        )
        check_compressed(rows)
        if not is_auto(self.content) and self.content > 0 and self.domain_.features is None:  # type: ignore[operator]
            raise ValueError("features must be there, as content is > 0")
        sketch = self._sketch()
        if np.abs(arrays["sketch"] - sketch).max() > 1e-4 * np.abs(sketch).max():
            raise ValueError("the base has other users than the one it was fitted to, and so other statistics of items")
        self._solve(rows)
        self._remember(self.domain_.data)


def _source_weights(n_sources: int) -> list[list[float]]:
    """The weights to try: all equal; one of the sources with less, more or none; one alone."""
    equal = [1.0] * n_sources
    changed = [[*equal[:k], weight, *equal[k + 1 :]] for k in range(n_sources) for weight in (0.0, 0.3, 3.0)]
    alone = [[float(k == other) for other in range(n_sources)] for k in range(n_sources)]
    return [equal, *changed, *(alone if n_sources > 2 else [])]


def _check_source_weights(weights: Any) -> None:
    """Refuse what is no sequence of weights."""
    is_list = isinstance(weights, Sequence) and not isinstance(weights, str)
    if not is_list and not (isinstance(weights, np.ndarray) and weights.ndim == 1):
        raise ParameterTypeError(f"source_weights must be a sequence of numbers, 'auto' or None, got {weights!r}")
    checked = [check_real(weight, "source_weights", low=0) for weight in weights]
    if not any(checked):
        raise ParameterError(f"source_weights must have a weight > 0, got {list(weights)}")
