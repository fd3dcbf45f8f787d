"""AdapterBank: many domains served from one base."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter import Adapter
from lrrec.adapt.adapter_files import fingerprint
from lrrec.adapt.factor_adapter import FactorAdapter
from lrrec.adapt.selector import LowRankAdapter
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.linalg import kernels
from lrrec.linalg.ranking import Columns, rank
from lrrec.linalg.threads import even_blocks, run_blocks
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.recommender import MAX_K, Recommender
from lrrec.models.base.results import Recommendations
from lrrec.validate import check_bool, check_int, check_threads, first_three

BLOCK_ROWS, TILE = 256, 4096  # columns scored and changed at once, while they are in the cache


class AdapterBank(MutableMapping):
    """Adapters of one base, by domain; one call serves users of many domains, each through their domain's adapter.

    Of a factor model the base's scores are computed once for a mixed batch, and each low-rank change is added as
    U B A^T: no merged table is ever made. Adapters of other kinds score for themselves. Adding, replacing and removing
    are atomic: a call in progress keeps the adapters that it began with.

    Parameters
    ----------
    base : Recommender
        Fitted.
    adapters : mapping of hashable to adapter, optional
        Adapters fitted to that base.

    Attributes
    ----------
    base : Recommender

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

    def __init__(self, base: Recommender, adapters: Mapping[Any, Any] | None = None) -> None:
        if not isinstance(base, Recommender) or not hasattr(base, "items_"):
            raise ParameterTypeError(f"base must be a fitted model, got {type(base).__name__}")
        self.base, self._fingerprint = base, fingerprint(base)
        self._writing = threading.Lock()
        self._adapters: dict[Any, Adapter] = {}
        self._views: WeakKeyDictionary[Adapter, _View] = WeakKeyDictionary()
        for domain, adapter in (adapters or {}).items():
            self[domain] = adapter

    def __setitem__(self, domain: Any, adapter: Any) -> None:
        """Add or replace a domain's adapter."""
        adapter = getattr(adapter, "best_", None)
        if not isinstance(adapter, Adapter):
            raise ParameterTypeError(f"adapter must be a fitted adapter, got {type(adapter).__name__}")
        if adapter.base_ is not self.base and fingerprint(adapter.base_) != self._fingerprint:
            raise DataError(
                f"the adapter was fitted to another base (fingerprint {fingerprint(adapter.base_)}, the bank's is "
                f"{self._fingerprint}): make a bank of that base"
            )
        with self._writing:
            self._adapters = {**self._adapters, domain: adapter}

    def __delitem__(self, domain: Any) -> None:
        """Remove a domain."""
        with self._writing:
            if domain not in self._adapters:
                raise UnknownIdError(f"domain must be one of the bank's, got {domain!r}")
            self._adapters = {name: adapter for name, adapter in self._adapters.items() if name != domain}

    def __getitem__(self, domain: Any) -> Adapter:
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
        domain : hashable, or sequence of them, shape (n,)
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
        groups = self._groups(domain, len(ids))
        served = [_known_users(group.view, ids[group.rows]) for group in groups]
        return self._recommend(ids, groups, served, k, exclude_seen, n_threads)

    def recommend_from(
        self, histories: Any, domain: Any, *, k: int = 10, exclude_seen: bool = True, n_threads: int | None = None
    ) -> Recommendations:
        """Return the k best items of users given by their histories, in the domain of each.

        Parameters
        ----------
        histories : Interactions, or sparse matrix or array of shape (n, n_items)
            A row a user, in the order of `domain`; the columns of a raw matrix are the base's items. Users of
            Interactions without any are answered for too, with an empty list.
        domain : hashable, or sequence of them, shape (n,)
        k, exclude_seen, n_threads
            As for `recommend`.
        """
        data = histories
        if not isinstance(histories, Interactions):
            data = Interactions.from_matrix(histories, items=self.base.items_)
        groups = self._groups(domain, data.n_users)
        served = [_new_users(group.view, data, group.rows) for group in groups]
        return self._recommend(data.users.ids, groups, served, k, exclude_seen, n_threads)

    def _recommend(
        self, ids: np.ndarray, groups: "list[_Group]", served: "list[_Served]", k: int, exclude_seen: bool,
        n_threads: int | None,
    ) -> Recommendations:  # fmt: skip
        """Lists of users in groups by domain: rows are ranked by group, and put back in the order of the ids."""
        k, n_threads = check_int(k, "k", low=1, high=MAX_K), check_threads(n_threads)
        check_bool(exclude_seen, "exclude_seen")
        order = np.concatenate([group.rows for group in groups]) if groups else np.zeros(0, dtype=np.int64)
        scorer = _Scorer(self.base, groups, served)
        seen = _as_rows([history for part in served for history in part.histories], scorer.width)
        indices, values = rank(
            scorer, len(ids), scorer.width, k, seen=seen, seen_rows=np.arange(len(ids)) if exclude_seen else None,
            n_threads=n_threads, block_rows=BLOCK_ROWS,
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

    def _groups(self, domain: Any, n_users: int) -> "list[_Group]":
        """The users of each domain, with the domain's adapter as it is now."""
        adapters = self._adapters
        single = isinstance(domain, str) or not isinstance(domain, Sequence | np.ndarray)
        domains = [domain] * n_users if single else domain.tolist() if isinstance(domain, np.ndarray) else list(domain)
        if len(domains) != n_users:
            raise ParameterError(f"domain must be one, or one for each of {n_users} users, got {len(domains)}")
        rows: dict[Any, list[int]] = defaultdict(list)
        for row, name in enumerate(domains):
            rows[name].append(row)
        unknown = [name for name in rows if name not in adapters]
        if unknown:
            raise UnknownIdError(f"domain must be one of the bank's, got {first_three(unknown)}")
        return [_Group(self._view(adapters[name]), np.array(members)) for name, members in rows.items()]

    def _view(self, adapter: Adapter) -> "_View":
        """The adapter's view, made anew when the adapter has changed."""
        view = self._views.get(adapter)
        if view is None or not view.is_current():
            view = self._views[adapter] = _View(adapter, len(self.base.items_))
        return view

    def fit_many(
        self, interactions: Interactions, by: Any, *, adapter: Any = None, n_jobs: int | None = None
    ) -> "AdapterBank":
        """Fit an adapter for every domain, several at a time, and add them all at once.

        Parameters
        ----------
        interactions : Interactions
        by : sequence, shape (n_users,), or mapping of user id to domain
            The domain of each user.
        adapter : adapter, optional
            Unfitted; `LowRankAdapter()` when not given.
        n_jobs : int, optional
            How many are fitted at a time, each on one thread: all cores when None. The result is the same.

        Returns
        -------
        self
        """
        users = interactions.users.ids
        if isinstance(by, Mapping):
            lacking = [user for user in users.tolist() if user not in by]
            if lacking:
                raise DataError(f"by must name a domain for every user, lacks {first_three(lacking)}")
            by = [by[user] for user in users.tolist()]
        if len(by) != interactions.n_users:
            raise DataError(f"by must name a domain for each of {interactions.n_users} users, got {len(by)}")
        members: dict[Any, list[int]] = defaultdict(list)
        for row, domain in enumerate(by):
            members[domain].append(row)
        domains, fitted = list(members), dict[Any, Any]()

        def fit(start: int, stop: int) -> None:
            for name in domains[start:stop]:
                target = _of_users(interactions, np.array(members[name]))
                fitted[name] = clone(adapter or LowRankAdapter()).fit(target, base=self.base).best_

        run_blocks(fit, even_blocks(len(domains), 1), check_threads(n_jobs))
        with self._writing:
            self._adapters = {**self._adapters, **{name: fitted[name] for name in domains}}
        return self


class _Group(NamedTuple):
    """Users of one domain: their places in the request."""

    view: "_View"
    rows: np.ndarray


class _Served(NamedTuple):
    """Users as their adapter encodes them, and the bank's columns of their histories."""

    encoded: Any
    histories: list[np.ndarray]


class _Scorer:
    """Scores of users in groups: the base's scores once for all factor adapters, and what each changes of them."""

    def __init__(self, base: Recommender, groups: list[_Group], served: list[_Served]) -> None:
        self.base, self.views, self.served = base, [group.view for group in groups], served
        self.bounds = np.concatenate(([0], np.cumsum([len(group.rows) for group in groups]))).astype(np.int64)
        self.n_base = len(base.items_)
        self.width = max((view.width for view in self.views), default=self.n_base)
        self.U: np.ndarray | None = None
        if isinstance(base, FactorModel):
            n_factors = base.item_factors_.shape[1]
            self.U = np.zeros((int(self.bounds[-1]), n_factors), dtype=np.float32)
            for view, part, start in zip(self.views, served, self.bounds, strict=False):
                if view.changes_factors:
                    self.U[start : start + len(part.encoded)] = part.encoded

    def __call__(self, block: slice, columns: Columns) -> np.ndarray:
        """Scores of a block of users over all of the bank's columns."""
        scores = np.empty((block.stop - block.start, self.width), dtype=np.float32)
        scores[:, self.n_base :] = -np.inf
        low_rank, others = [], []
        first = int(np.searchsorted(self.bounds, block.start, side="right")) - 1
        for number in range(first, len(self.views)):
            begin, end = max(self.bounds[number], block.start), min(self.bounds[number + 1], block.stop)
            if begin >= block.stop:
                break
            view = self.views[number]
            if begin < end and view.is_low_rank and self.U is not None:
                low_rank.append((self.U[begin:end] @ view.B, view.At, begin - block.start))
            elif begin < end:
                others.append((number, begin, end))
        if self.U is not None:
            V0 = self.base.item_factors_  # type: ignore[attr-defined]
            for start, stop in even_blocks(self.n_base, TILE):
                np.matmul(self.U[block], V0[start:stop].T, out=scores[:, start:stop])
                for Z, At, top in low_rank:
                    kernels.add_low_rank(scores, Z, At, top, start, stop)
        for number, begin, end in others:
            view, rows = self.views[number], scores[begin - block.start : end - block.start]
            if view.changes_factors and self.U is not None:
                view.add(rows, self.U[begin:end])
            else:
                start = self.bounds[number]
                view.score(rows, self.served[number].encoded[begin - start : end - start])
        return scores


class _View:
    """An adapter over the bank's columns: the base's items, then as many more as any domain has new ones."""

    def __init__(self, adapter: Adapter, n_base: int) -> None:
        domain = adapter.domain_
        self.reference, self.state = ref(adapter), _state(adapter)
        self.order = np.argsort(adapter.users_.ids, kind="stable")
        self.users = adapter.users_.ids[self.order]
        n_new = len(domain.new_items)
        self.columns = domain.base_indices.copy()  # the bank's column of each of the adapter's items
        self.columns[domain.new_items] = n_base + np.arange(n_new)
        self.width, self.all_base_items = n_base + n_new, len(domain.base_indices) == n_base and not n_new
        self.changes_factors = isinstance(adapter, FactorAdapter)
        if isinstance(adapter, FactorAdapter):
            self._take_change(adapter)

    def _take_change(self, adapter: FactorAdapter) -> None:
        """The change as a product of low rank, and the rows that are replaced."""
        domain, change, scale = adapter.domain_, adapter.change_, np.float32(adapter.scale)
        A = change.A if domain.in_base.all() else change.A[domain.in_base]
        self.At, self.B = np.ascontiguousarray(A.T), change.B * scale
        self.rows = np.union1d(change.rows, domain.new_items)
        self.values = domain.item_factors[self.rows]
        replaced = np.searchsorted(self.rows, change.rows)
        self.values[replaced] += scale * (change.values - self.values[replaced])

    def is_current(self) -> bool:
        """Whether the adapter is still as it was when the view was made."""
        return all(old is new for old, new in zip(self.state, _state(self.adapter), strict=True))

    @property
    def adapter(self) -> Adapter:
        """The adapter viewed."""
        adapter = self.reference()
        assert adapter is not None  # the caller holds it
        return adapter

    @property
    def is_low_rank(self) -> bool:
        """Whether A B^T over the base's items is all there is."""
        return self.changes_factors and self.all_base_items and not len(self.rows)

    def histories(self, matrix: sp.csr_array, rows: np.ndarray) -> list[np.ndarray]:
        """The bank's columns in some rows of a matrix over the adapter's items."""
        begin, end, indices = matrix.indptr[rows].tolist(), matrix.indptr[rows + 1].tolist(), matrix.indices
        parts = [indices[start:stop] for start, stop in zip(begin, end, strict=True)]
        return parts if self.all_base_items else [self.columns[part] for part in parts]

    def find(self, users: np.ndarray) -> np.ndarray:
        """As the adapter's own `users_.find`, in microseconds for a few users."""
        if users.dtype != self.users.dtype or not len(self.users):
            return self.adapter.users_.find(users)
        at = np.minimum(np.searchsorted(self.users, users), len(self.users) - 1)
        return np.where(self.users[at] == users, self.order[at], -1)

    def add(self, scores: np.ndarray, U: np.ndarray) -> None:
        """Turn the base's scores of some rows, followed by -inf, into the adapter's, in place."""
        if len(self.At):
            scores[:, self.columns[: self.At.shape[1]]] += (U @ self.B) @ self.At
        self._exclude_other_items(scores)
        if len(self.rows):
            scores[:, self.columns[self.rows]] = U @ self.values.T

    def score(self, scores: np.ndarray, encoded: Any) -> None:
        """Write the adapter's own scores of some rows."""
        scores[:] = -np.inf
        scores[:, self.columns] = self.adapter._scores(encoded, slice(None))

    def _exclude_other_items(self, scores: np.ndarray) -> None:
        if not self.all_base_items:
            outside = np.ones(scores.shape[1], dtype=bool)
            outside[self.columns] = False
            scores[:, outside] = -np.inf

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Item ids of the bank's columns; those at negative columns have no meaning."""
        place = np.zeros(max(int(self.columns.max()) + 1, 1), dtype=np.int64)
        place[self.columns] = np.arange(len(self.columns))
        return self.adapter.items_.ids[place[np.maximum(indices, 0)]]


def _state(adapter: Any) -> tuple:
    """What a view is made from; replaced, and never modified, when the adapter changes."""
    return adapter.domain_, getattr(adapter, "change_", None), getattr(adapter, "user_factors_", None)


def _known_users(view: _View, users: np.ndarray) -> _Served:
    """Target users of a domain, by id."""
    adapter = view.adapter
    places = view.find(users)
    unknown = places < 0
    if len(adapter.users_):
        unknown |= ~adapter._serves(np.maximum(places, 0))
    if unknown.any():
        raise UnknownIdError(f"unknown users: {first_three(users[unknown])} are not known in their domain")
    return _Served(adapter._training_users(places), view.histories(adapter.seen_, places))


def _new_users(view: _View, data: Interactions, rows: np.ndarray) -> _Served:
    """Users given by their histories."""
    matrix, _ = view.adapter._histories(_of_users(data, rows))
    return _Served(view.adapter._encode(matrix), view.histories(matrix, np.arange(len(rows))))


def _of_users(data: Interactions, rows: np.ndarray) -> Interactions:
    """The interactions of some users, in this order, with their times."""
    starts, counts = data.matrix.indptr[rows], np.diff(data.matrix.indptr)[rows]
    entries = np.repeat(starts - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(counts.sum())
    times = None if data.times is None else data.times[entries]
    return Interactions(data.matrix[rows], IdMap(data.users.ids[rows]), data.items, times)


def _as_rows(columns: list[np.ndarray], width: int) -> sp.csr_array:
    """A matrix of ones in the given columns of each row."""
    indptr = np.concatenate(([0], np.cumsum(list(map(len, columns)), dtype=np.int64)))
    indices = np.concatenate(columns).astype(np.int32, copy=False) if columns else np.zeros(0, dtype=np.int32)
    return sp.csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(columns), width))
