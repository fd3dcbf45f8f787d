"""Adapter: what every kind of adapter is, and the recommender that it makes of a base and a target."""

import importlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt import ADAPTERS, adapter_files
from lrrec.adapt.domain import BaseUsers, Domain, as_target, check_fitted, make_domain
from lrrec.adapt.search_rules import SearchRules
from lrrec.adapt.sources import BaseLike, as_base
from lrrec.data.features import FeaturesLike
from lrrec.data.growth import check_labelled, grown
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.models.base.feature_model import check_taken
from lrrec.models.base.model_files import check_loadable
from lrrec.models.base.one_fit import become, of_one_fit
from lrrec.models.base.recommender import Recommender
from lrrec.typing import FileLike, MatrixLike
from lrrec.validate import check_bool

Settings = dict[str, Any]
Callback = Callable[[float], Any]
AUTO = "auto"


class Adapter(Recommender):
    """A fitted base model and what changes it for a target domain: a recommender of the target.

    A kind of adapter has a `name` and writes `_find_change` (fit the change to some users), `_scores` (apply it),
    `n_parameters` (what it costs), `merge` (an ordinary model, or an error), `_pack` and `_unpack` (store it). It may
    override

    - `_check_params` and `_check_base`, to refuse what it cannot work with;
    - `_encode`, `_encode_around` and `_training_users`, where users are not scored from their rows of the matrix:
      histories, histories with the base's factors of the same users, and the target's users;
    - `_defaults` and `_grids`: of parameters that may be "auto", the values without and with an `AdapterSelector`,
      which searches by `_search_rules`;
      `is_affordable`, and `_fit_path` where one training gives the adapters of several values;
    - `_can_serve_group`, `_can_serve`, `_item_evidence` and `serves_without_history`: the users that it can serve, and
      the items that it can score;
    - `uses_base`, False for a model of the target alone;
    - `_explain`, without which `explain` is refused, and `_fit_scores`, without which `distill` is;
    - `_for_scoring`, where blocks of users share some work.

    Attributes
    ----------
    base_ : Recommender
        As it was at the fit: a later fit of the base does not touch the adapter. Never changed.
    params_ : dict
        The parameters that were used.
    verdict_ : str
        Why an `AdapterSelector` chose this adapter.
    users_, items_ : IdMap
        Of the target; its catalogue.

    Examples
    --------
    >>> import tempfile
    >>> import lrrec
    >>> from lrrec.adapt import Adapter, Anchored
    >>> source = lrrec.Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = lrrec.IALS(n_factors=2, random_state=0).fit(source)
    >>> target = lrrec.Interactions.from_pairs(["dan", "dan", "eve"], ["x", "z", "x"])
    >>> adapter = Anchored(reg=0.1, fold_in_reg=None).fit(target, base=base)
    >>> isinstance(adapter, Adapter), type(adapter.merge()).__name__
    (True, 'IALS')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     adapter.save(f"{folder}/adapter.lrrec")
    ...     loaded = lrrec.load(f"{folder}/adapter.lrrec", base=base)
    >>> loaded.recommend_from(lrrec.Interactions.from_pairs(["gus", "gus"], ["x", "y"]), k=1).items.tolist()
    [['z']]
    """

    domain_: Domain
    base_: Any
    params_: Settings
    verdict_: str
    item_evidence_: np.ndarray

    name: ClassVar[str] = ""
    _defaults: ClassVar[Mapping[str, Any]] = {}  # of parameters that may be "auto"
    _search_rules: ClassVar[SearchRules] = SearchRules()
    serves_without_history: ClassVar[bool] = False  # whether it can serve users who have done nothing in the target
    _uses_all_threads = False  # whether a fit uses all cores by itself
    uses_base: ClassVar[bool] = True  # whether it makes use of the base, or is a model of the target alone
    _scale = 1.0  # the share of the change that is applied, where a kind lets it be set

    def fit(  # type: ignore[override]
        self, X: Any, y: None = None, *, base: BaseLike, catalogue: Any = None, same_users: bool = False,
        source: Any = None, item_features: FeaturesLike | None = None,
    ) -> Self:  # fmt: skip
        """Adapt a base to the target's interactions.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            The target. Items are matched with the base's by id; the columns of a raw matrix are the base's items by
            position.
        y : None
            Ignored.
        base : Recommender, or list or dict of them
            Fitted. It is not changed. Item-item adapters take several: their statistics of item pairs are added.
        catalogue : sequence of ids, optional
            The items of the new domain. All of the base's and all of the target's when not given.
        same_users : bool, default False
            Whether users of equal ids are the same people: their factors then start from the base's, and those
            without a target interaction can be served.
        source : Interactions, optional
            Of a neural base: what it was trained on, where that may be kept. Its loss is added to the target's.
        item_features : Features or pandas frame by item id, optional
            For item-item adapters: items of similar features are taken for related, those that nobody has interacted
            with, too. Items without a row have no features. (An adapter of item factors has features by its base: fit
            an `IALS` with them, and add the new items by `with_items`.)

        Returns
        -------
        self

        Raises
        ------
        DataError
            If target and base share nothing.
        ParameterError
            If a parameter is "auto" that an `AdapterSelector` has to choose.
        """
        check_bool(same_users, "same_users")
        self._check_params()
        base = as_base(base, same_users=same_users)
        check_fitted(base)
        self._check_base(base, same_users=same_users, source=source)
        check_taken([self], item_features)
        domain = make_domain(
            base, X, catalogue, same_users=same_users, source=source, item_features=item_features
        )  # fmt: skip
        undecided = list(self.search_space(domain))
        if undecided:
            raise ParameterError(
                f"{', '.join(undecided)} of {type(self).__name__} cannot be 'auto' here: give values, or let "
                f"AdapterSelector([{type(self).__name__}()]) choose them"
            )
        fresh = copy(self)
        fresh._scale = 1.0
        return become(self, fresh._fit_domain(domain))

    def _fit_domain(self, domain: Domain) -> Self:
        """Fit to all users of a domain and serve them."""
        self._adapt(domain, domain.active_users)
        self.verdict_ = "fitted with the given settings: nothing was compared"
        return self._remember_domain(domain)

    def _adapt(self, domain: Domain, users: np.ndarray, callback: Callback | None = None) -> Self:
        """Fit the change to some users, given by their indices; "auto" is the default."""
        self.domain_, self.base_ = domain, domain.base
        self.params_ = self._settings(domain)
        self._find_change(users, callback)
        return self

    def _settings(self, domain: Domain) -> Settings:
        """The parameters with the defaults for "auto"."""
        params = self.get_params(deep=False)
        return {name: self._defaults[name] if is_auto(value) else value for name, value in params.items()}

    def _remember_domain(self, domain: Domain) -> Self:
        """Serve the users of the domain; what fits to it share is needed no longer."""
        domain.cache.clear()
        counts = np.bincount(domain.data.matrix.indices, minlength=len(domain.items))
        return self._remember(domain.data, item_evidence=self._item_evidence(domain, counts))

    def _find_evidence(self, counts: np.ndarray) -> None:
        """Find which items it can score, fitted to users who have these numbers of interactions with the items."""
        self.item_evidence_ = self._item_evidence(self.domain_, counts)

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        """Which items the target's interactions, in these numbers, or the base say something about."""
        of_target: np.ndarray = counts > 0
        return of_target | (domain.in_base & domain.base.item_evidence_[domain.base_indices])

    # What a kind of adapter defines.

    @abstractmethod
    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        """Fit the change to some users of `domain_` with the settings `params_`; callback(loss) after each step."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """The number of parameters of the change."""

    @abstractmethod
    def merge(self) -> Recommender:
        """Return an ordinary model that recommends the same, without the adapter."""

    @abstractmethod
    def _pack(self) -> dict[str, np.ndarray]:
        """The change as named arrays; those of float32 may be stored in half precision."""

    @abstractmethod
    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the change from its arrays, checked."""

    def _check_params(self) -> None:
        """Refuse parameters that cannot work."""

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        """Refuse a base, or options of `fit`, that this kind has no use for."""

    def _can_serve_group(self, domain: Domain, *, history: bool) -> bool:
        """Whether it has something to say to users with, or without, a history; no other is kept for them."""
        return history or self.serves_without_history

    @property
    def _uses_features(self) -> bool:
        """Whether the fitted adapter depends on the features of items, so that a file has to hold them."""
        return False

    def is_affordable(self, domain: Domain) -> bool:
        """Whether a selector should spend time on this kind in a domain."""
        return True

    def search_space(self, domain: Domain) -> dict[str, Sequence[Any]]:
        """Return the values to try of each "auto" parameter that matters in a domain, in the order of the search."""
        grids = self._grids(domain)
        return {name: values for name, values in grids.items() if is_auto(getattr(self, name))}

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        """The values to try of each parameter that matters in a domain."""
        return {}

    def _prepare(self, domain: Domain, n_users: int) -> bool:
        """Find what fits to about so many users share, and return whether there is such a thing."""
        return False

    def _fit_path(
        self, domain: Domain, users: np.ndarray, path: Mapping[str, Sequence[Any]]
    ) -> "Iterator[tuple[Settings, Self]]":
        """Fitted adapters for all values on a path, and those values; more than one where training has stages."""
        yield {}, clone(self)._adapt(domain, users)

    def _fit_scores(self, domain: Domain, targets: Any, n_iter: int) -> Self:
        """Fit the change to a teacher's scores; see `lrrec.adapt.distillation`."""
        raise ParameterTypeError(f"{type(self).__name__} cannot be distilled into: use LowRank or Anchored")

    def _encode_around(self, matrix: sp.csr_array, known: BaseUsers | None) -> Any:
        """`_encode` of users as the base knows them."""
        return self._encode(matrix)

    def _stored_params(self) -> Settings:
        """What a file holds of the parameters: those that were used."""
        check_loadable(type(self), ADAPTERS.get(type(self).__name__), "lrrec.adapt.ADAPTERS")
        return {**self.get_params(deep=False), **self.params_}

    @classmethod
    def _from_stored(cls, params: Settings) -> Self:
        """An unfitted adapter of parameters from a file."""
        return cls(**params)

    def _vectors(self, encoded: Any) -> tuple[list[np.ndarray], Any] | None:
        """Return vectors (n, D) of users, and what else `_from_products` needs of them.

        For adapters whose scores follow from the vectors' inner products with the domain's item factors before
        adaptation: a bank computes those of many domains at once. None for others.
        """
        return None

    def _training_vectors(self, rows: np.ndarray) -> tuple[list[np.ndarray], Any] | None:
        """Return `_vectors` of users of the target, given by their indices."""
        return self._vectors(self._training_users(rows))

    def _from_products(self, products: Iterator[np.ndarray], rest: Any) -> np.ndarray:
        """Return `_supported_scores` of all items from the inner products (n, I) of `_vectors`, written over them."""
        raise NotImplementedError

    def _for_scoring(self, n_users: int | None = None) -> Self:
        """The adapter in a form that scores so many users quickly; many when None."""
        return self

    # What all kinds share.

    @property
    def _values(self) -> str:  # type: ignore[override]
        """The values that the base takes."""
        return self.base_._values if hasattr(self, "base_") else "positive"

    @property
    def label(self) -> str:
        """The kind, and its rank where it has one."""
        rank = getattr(self, "rank", None)
        return self.name if rank is None else f"{self.name} {rank}"

    @property
    def best_(self) -> "Adapter":
        """The adapter itself; of a selector, the chosen one."""
        self._check_fitted()
        return self

    def update(self, new: Interactions | MatrixLike, *, decay: float = 1.0) -> Self:
        """Add interactions of the target, and fit again with the same settings; nothing is compared again.

        Parameters
        ----------
        new : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Of old or new users and items. The value of a repeated interaction is added; of ratings, which a base that
            is an `ALS` has, it replaces the old one.
        decay : float in (0, 1], default 1.0
            Old values are multiplied by it first. Not for ratings.
        """
        self._check_fitted()
        if not len(self.domain_.data):
            raise DataError("the adapter was stored without its target: save it with histories=True, or fit again")
        check_labelled(new, self.domain_.data.users)
        new, items = as_target(self.base_, new), self.domain_.items
        data = grown(self.domain_.data, new, decay=decay, ratings=self._values == "any")
        some = np.diff(data.matrix.indptr) > 0  # others are not stored either
        data = Interactions(data.matrix[some], IdMap(data.users.ids[some]), data.items)
        catalogue = np.concatenate((items.ids, data.items.ids[items.find(data.items.ids) < 0]))
        fresh = copy(self)
        domain = make_domain(
            self.base_, data, catalogue, same_users=self.domain_.same_users, item_features=self.domain_.features
        )
        fresh._fit_domain(domain)
        fresh.verdict_ = self.verdict_
        return become(self, fresh)

    @of_one_fit
    def save(self, path: FileLike, *, float16: bool = False, histories: bool = False) -> None:
        """Write the change to path, replacing it atomically; `lrrec.load(path, base=model)` reads it.

        Parameters
        ----------
        path : path or binary file object
        float16 : bool, default False
            Store in half precision.
        histories : bool, default False
            Store the target's users and interactions too, so that `recommend` knows them after loading. Without them
            the file names no user (item-item adapters hold the target's rows without ids): users are served by
            `recommend_from`.
        """
        self._check_fitted()
        check_bool(float16, "float16")
        adapter_files.write(path, self, float16=float16, histories=check_bool(histories, "histories"))
        self.domain_.cache.clear()

    def _recommend(self, users: np.ndarray, *args: Any, **options: Any) -> Any:
        return super(Adapter, self._for_scoring(len(users)))._recommend(users, *args, **options)


def is_auto(value: Any) -> bool:
    """Whether a parameter is for an `AdapterSelector` to choose."""
    return isinstance(value, str) and value == AUTO


def from_stored(kind: str, params: Settings) -> Adapter:
    """Return an unfitted adapter of a kind, by name, and its parameters, as files hold them."""
    adapter: Adapter = getattr(importlib.import_module(ADAPTERS[kind]), kind)._from_stored(params)
    return adapter
