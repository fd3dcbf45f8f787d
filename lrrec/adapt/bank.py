"""AdapterBank: many domains served from one base."""

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from copy import copy
from io import BytesIO
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np

from lrrec.adapt import bank_files
from lrrec.adapt.adapter import Adapter
from lrrec.adapt.domain_fits import check_unfitted, fit_domains
from lrrec.adapt.mixed_batch import Group, Scorer, Served, View, as_rows, known_users, new_users, of_users
from lrrec.adapt.selection.selector import AdapterSelector
from lrrec.adapt.sources import BaseLike, as_base
from lrrec.data.frames import as_column
from lrrec.data.ids import as_ids
from lrrec.data.interactions import Interactions, as_interactions
from lrrec.data.labels import align
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.linalg.ranking import rank
from lrrec.models.base.model_files import fingerprint, same_model
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import MAX_K, Recommendations
from lrrec.typing import PathLike
from lrrec.validate import check_bool, check_int, check_threads, first_three


class AdapterBank(MutableMapping[Any, Adapter]):
    """Adapters of one base, by domain; one call serves users of many domains, each through their domain's adapter.

    Inner products with the item factors of the base are computed once for a mixed batch, and each adapter makes its
    scores of them: a low-rank change is added as U B A^T, so that no merged table is ever made; item-item adapters by
    statistics of scores, and blends of such adapters, need nothing else. Other kinds score for themselves. Adding,
    replacing and removing are atomic: a call in progress keeps the adapters that it began with.

    Parameters
    ----------
    base : Recommender, or list or dict of them
        Fitted; several where the adapters were fitted to several.
    adapters : mapping of hashable to adapter, optional
        Adapters fitted to that base.

    Attributes
    ----------
    base : Recommender
        As it was when the bank was made: a later fit of it does not touch the bank.

    Notes
    -----
    Memory: the base and the changes. A user costs O(I (D + R)) for a change of rank R, I items and D factors.

    Examples
    --------
    >>> from lrrec import AdapterBank, IALS, Interactions
    >>> from lrrec.adapt import LowRank
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve", "fay", "fay"], ["x", "z", "x", "z", "x", "y"])
    >>> bank = AdapterBank(base)
    >>> bank["de"] = LowRank(rank=2, reg=0.1, fold_in_reg=0.005).fit(target, base=base)
    >>> bank.recommend(["fay"], "de", k=1).items.tolist()
    [['z']]
    """

    def __init__(self, base: BaseLike, adapters: Mapping[Any, Any] | None = None) -> None:
        base = as_base(base)
        if not isinstance(base, Recommender) or not hasattr(base, "items_"):
            raise ParameterTypeError(f"base must be a fitted model, got {type(base).__name__}")
        self.base: Recommender = copy(base)
        self._writing = threading.Lock()
        self._adapters: dict[Any, Adapter] = {}
        self._views: WeakKeyDictionary[Adapter, View] = WeakKeyDictionary()
        if not isinstance(adapters, Mapping | None):
            raise ParameterTypeError(f"adapters must be a dict of domain to adapter, got {type(adapters).__name__}")
        for domain, adapter in (adapters or {}).items():
            self[domain] = adapter

    def __setitem__(self, domain: Any, adapter: Any) -> None:
        """Add or replace a domain's adapter."""
        adapter = getattr(adapter, "best_", None)
        if not isinstance(adapter, Adapter):
            raise ParameterTypeError(f"adapter must be a fitted adapter, got {type(adapter).__name__}")
        _check_names([domain], "domain")
        self._check_base(domain, adapter)
        with self._writing:
            self._adapters = {**self._adapters, domain: adapter}

    def _check_base(self, domain: Any, adapter: Adapter) -> None:
        if not same_model(adapter.base_, self.base):
            raise DataError(
                f"the adapter of {domain!r} was fitted to another base, or before the base was fitted again "
                f"(fingerprint {fingerprint(adapter.base_)}, the bank's base has {fingerprint(self.base)}): fit it to "
                "the bank's base"
            )

    def __delitem__(self, domain: Any) -> None:
        """Remove a domain."""
        with self._writing:
            if domain not in self._adapters:
                raise UnknownIdError(f"domain must be one of the bank's, got {domain!r}")
            self._adapters = {name: adapter for name, adapter in self._adapters.items() if name != domain}

    def __getitem__(self, domain: Any) -> Adapter:
        _check_names([domain], "domain")
        if domain not in self._adapters:
            raise UnknownIdError(f"domain must be one of the bank's, got {domain!r}")
        return self._adapters[domain]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._adapters)

    def __len__(self) -> int:
        return len(self._adapters)

    @property
    def n_parameters(self) -> int:
        """The number of parameters of all changes."""
        return sum(adapter.n_parameters for adapter in self._adapters.values())

    def recommend(
        self, users: Any, domain: Any, *, k: int = 10, exclude_seen: bool = True, n_threads: int | None = None
    ) -> Recommendations:
        """Return the k best items of each user, in the domain of each.

        Parameters
        ----------
        users : sequence of ids, shape (n,)
            Of the domains' target users.
        domain : hashable, or sequence of them, shape (n,), or dict or Series by user id
            One for all users, or one for each.
        k : int, default 10
        exclude_seen : bool, default True
        n_threads : int, optional
            As for `Recommender.recommend`.

        Raises
        ------
        UnknownIdError
            If a domain is not the bank's, or a user is not known in their domain.
        """
        ids = as_ids(users, "users")
        groups = self._groups(domain, ids)
        served = [known_users(group.view, ids[group.rows]) for group in groups]
        return self._recommend(ids, groups, served, k, exclude_seen, n_threads)

    def recommend_from(
        self, histories: Any, domain: Any, *, k: int = 10, exclude_seen: bool = True, n_threads: int | None = None
    ) -> Recommendations:
        """Return the k best items of users given by their histories, in the domain of each.

        Parameters
        ----------
        histories : Interactions, pandas frame, or sparse matrix or array of shape (n, n_items)
            A row a user, in the order of `domain`; the columns of a raw matrix are the base's items. Users of
            Interactions without any get an empty list.
        domain : hashable, or sequence of them, shape (n,), or dict or Series by user id
        k, exclude_seen, n_threads
            As for `recommend`.
        """
        data = as_interactions(histories, self.base.items_, name="histories", owner=type(self.base).__name__)
        data = self.base._usable(data, "histories")
        groups = self._groups(domain, data.users.ids)
        served = [new_users(group.view, data, group.rows) for group in groups]
        return self._recommend(data.users.ids, groups, served, k, exclude_seen, n_threads)

    def _recommend(
        self, ids: np.ndarray, groups: list[Group], served: list[Served], k: int, exclude_seen: bool,
        n_threads: int | None,
    ) -> Recommendations:  # fmt: skip
        """Lists of users in groups by domain: rows are ranked by group, and put back in the order of the ids."""
        k, n_threads = check_int(k, "k", low=1, high=MAX_K), check_threads(n_threads)
        check_bool(exclude_seen, "exclude_seen")
        order = np.concatenate([group.rows for group in groups]) if groups else np.zeros(0, dtype=np.int64)
        scorer = Scorer(self.base, groups, served)
        seen = as_rows([history for part in served for history in part.histories], scorer.width)
        indices, values = rank(
            scorer, len(ids), scorer.width, k, seen=seen, seen_rows=np.arange(len(ids)) if exclude_seen else None,
            n_threads=n_threads,
        )  # fmt: skip
        base_ids = self.base.items_.ids
        items = base_ids[np.minimum(np.maximum(indices, 0), len(base_ids) - 1)]
        for group, start, stop in zip(groups, scorer.bounds[:-1], scorer.bounds[1:], strict=True):
            if not group.view.all_base_items:
                items[start:stop] = group.view.ids(indices[start:stop])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        indices, empty = indices[back], indices[back] < 0
        masked_items, scores = np.ma.MaskedArray(items[back], mask=empty), np.ma.MaskedArray(values[back], mask=empty)
        return Recommendations(scores=scores, users=ids, items=masked_items, indices=indices)

    def _groups(self, domain: Any, users: np.ndarray) -> list[Group]:
        """The users of each domain, with the domain's adapter as it is now."""
        adapters, n_users = self._adapters, len(users)
        labelled = align(domain, users, "domain")
        domain = domain if labelled is domain else labelled.tolist()
        single = isinstance(domain, str | bytes) or getattr(domain, "ndim", 1) == 0
        single = single or not isinstance(domain, Sequence | np.ndarray)
        domains = [domain] * n_users if single else domain.tolist() if isinstance(domain, np.ndarray) else list(domain)
        if len(domains) != n_users:
            raise ParameterError(f"domain must be one, or one for each of {n_users} users, got {len(domains)}")
        _check_names(domains, "domain")
        rows: dict[Any, list[int]] = defaultdict(list)
        for row, name in enumerate(domains):
            rows[name].append(row)
        unknown = [name for name in rows if name not in adapters]
        if unknown:
            raise UnknownIdError(f"domain must be one of the bank's, got {first_three(unknown)}")
        return [Group(self._view(name, adapters[name]), np.array(members)) for name, members in rows.items()]

    def _view(self, domain: Any, adapter: Adapter) -> View:
        """The adapter's view, made anew when the adapter has changed."""
        view = self._views.get(adapter)
        if view is None or not view.is_current():
            view = View(adapter, len(self.base.items_))
            self._check_base(domain, view.adapter)
            self._views[adapter] = view
        return view

    def fit_many(
        self, interactions: Interactions, by: Any, *, adapter: Any = None, tune_on: int | None = None,
        n_jobs: int | None = None,
    ) -> "AdapterBank":  # fmt: skip
        """Fit an adapter for every domain, several at a time, and add them all at once.

        Parameters
        ----------
        interactions : Interactions, or users × items as for `recommend_from`
        by : sequence, shape (n_users,), or dict or Series by user id
            The domain of each user.
        adapter : adapter, optional
            Unfitted; `LowRankAdapter()` when not given.
        tune_on : int, optional
            The number of domains, evenly spaced, on which the settings of a selector's candidates are tuned. In all
            others its candidates have the medians of those settings, and are compared with each other as before.
            By default each domain is tuned for itself.
        n_jobs : int, optional
            How many may be fitted at a time, each on one thread: all cores when None. Where it takes long, processes
            are started, each with a copy of the base (joblib's "loky", unless `joblib.parallel_config` says
            otherwise). The result is the same.

        Returns
        -------
        self
        """
        interactions = as_interactions(
            interactions, self.base.items_, name="interactions", owner=type(self.base).__name__
        )  # fmt: skip
        by = as_column(align(by, interactions.users, "by"), "by")
        if len(by) != interactions.n_users:
            raise DataError(f"by must name a domain for each of {interactions.n_users} users, got {len(by)}")
        _check_names(by, "by")
        members: dict[Any, list[int]] = defaultdict(list)
        for row, domain in enumerate(by):
            members[domain].append(row)
        targets = [of_users(interactions, np.array(rows)) for rows in members.values()]
        adapter = check_unfitted(adapter)
        if tune_on is not None:
            check_int(tune_on, "tune_on", low=1)
            if not isinstance(adapter, AdapterSelector):
                raise ParameterTypeError(
                    f"tune_on is for adapters that are compared, got {type(adapter).__name__}: take AdapterSelector()"
                )
        fitted = fit_domains(self.base, adapter, targets, check_threads(n_jobs), tune_on)
        with self._writing:
            self._adapters = {**self._adapters, **dict(zip(members, fitted, strict=True))}
        return self

    def save(self, path: PathLike, *, float16: bool = False, histories: bool = False) -> None:
        """Write the adapters to a folder; `AdapterBank.load(path, base)` reads it. The base is not in it.

        Parameters
        ----------
        path : path
            A file for each adapter and an index of the domains. A bank in it is replaced atomically.
        float16, histories : bool, default False
            As for `Adapter.save`.

        Raises
        ------
        DataError
            If a domain is neither an integer nor a string.
        """
        contents = {}
        for domain, adapter in self._adapters.items():
            adapter.save(file := BytesIO(), float16=float16, histories=histories)
            contents[domain] = file.getvalue()
        bank_files.write(path, contents)

    @classmethod
    def load(cls, path: PathLike, base: BaseLike) -> Self:
        """Return the bank of a folder that `save`, or `lrrec.spark.adapt`, wrote.

        Parameters
        ----------
        path : path
        base : Recommender, or list or dict of them
            The model that the adapters were fitted to.

        Raises
        ------
        FileFormatError
            If the folder holds no bank, a file in it is damaged, or the base is another.

        Notes
        -----
        All adapters are read. Nothing in a file is executed.
        """
        bank = cls(base)
        return cls(bank.base, bank_files.read(path, bank.base))


def _check_names(names: Iterable[Any], what: str) -> None:
    """Refuse names of domains that cannot be keys of a dict."""
    for kind in set(map(type, names)):
        if not issubclass(kind, Hashable) or issubclass(kind, np.ndarray):
            raise ParameterTypeError(f"{what} must be names that can be keys of a dict, got {kind.__name__}")
