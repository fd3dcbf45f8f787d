"""AdapterBank: many domains served from one base."""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.adapt.adapter_files import fingerprint
from lrrec.adapt.low_rank import LowRankAdapter
from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError, UnknownIdError
from lrrec.linalg import kernels
from lrrec.linalg.ranking import Columns, rank
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.recommender import MAX_K
from lrrec.models.base.results import Recommendations
from lrrec.validate import check_bool, check_int, check_threads, first_three

BLOCK_ROWS, TILE = 256, 4096  # columns scored and changed at once, while they are in the cache


class AdapterBank(Mapping):
    """Adapters of one base, by domain; one call serves users of many domains, each through its own adapter.

    The base's scores are computed once for a mixed batch, and each adapter's change is added as U B A^T: no merged
    table is ever made. Adding, replacing and removing are atomic: a call that is under way goes on with the adapters
    it began with.

    Parameters
    ----------
    base : FactorModel
        Fitted.
    adapters : mapping of hashable to LowRankAdapter, optional
        Adapters fitted to that base.

    Attributes
    ----------
    base : FactorModel

    Notes
    -----
    Memory: the base and the changes. A row costs O(I (D + R)) for a change of rank R, I items and D factors.

    Examples
    --------
    >>> from lrrec import AdapterBank, IALS, Interactions, LowRankAdapter
    >>> source = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(source)
    >>> target = Interactions.from_pairs(["dan", "dan", "eve", "eve", "fay", "fay"], ["x", "z", "x", "z", "x", "y"])
    >>> bank = AdapterBank(base)
    >>> bank["de"] = LowRankAdapter(rank=2, reg=0.1, reg_fold=0.005, guard=False).fit(target, base=base)
    >>> bank.recommend(["fay"], "de", k=1).items.tolist()
    [['z']]
    """

    def __init__(self, base: FactorModel, adapters: Mapping[Any, LowRankAdapter] | None = None) -> None:
        if not isinstance(base, FactorModel) or not hasattr(base, "item_factors_"):
            raise ParameterTypeError(f"base must be a fitted factor model, got {type(base).__name__}")
        self.base, self._fingerprint = base, fingerprint(base)
        self._writing = threading.Lock()
        self._adapters: dict[Any, LowRankAdapter] = {}
        self._views: WeakKeyDictionary[LowRankAdapter, _View] = WeakKeyDictionary()
        for domain, adapter in (adapters or {}).items():
            self[domain] = adapter

    def __setitem__(self, domain: Any, adapter: LowRankAdapter) -> None:
        """Add or replace a domain's adapter."""
        if not isinstance(adapter, LowRankAdapter) or not hasattr(adapter, "change_"):
            raise ParameterTypeError(f"adapter must be a fitted LowRankAdapter, got {adapter!r}")
        if adapter.base_ is not self.base and fingerprint(adapter.base_) != self._fingerprint:
            raise DataError(
                f"adapter must have the bank's base, of fingerprint {self._fingerprint}, got one of fingerprint "
                f"{fingerprint(adapter.base_)}"
            )
        with self._writing:
            self._adapters = {**self._adapters, domain: adapter}

    def __delitem__(self, domain: Any) -> None:
        """Remove a domain."""
        with self._writing:
            rest = dict(self._adapters)
            if domain not in rest:
                raise UnknownIdError(f"domain must be one of the bank's, got {domain!r}")
            del rest[domain]
            self._adapters = rest

    def __getitem__(self, domain: Any) -> LowRankAdapter:
        return self._adapters[domain]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._adapters)

    def __len__(self) -> int:
        return len(self._adapters)

    @property
    def n_parameters(self) -> int:
        """How many numbers all changes are made of."""
        return sum(adapter.n_parameters for adapter in self._adapters.values())

    def recommend(
        self, users: Any, domain: Any, k: int = 10, *, exclude_seen: bool = True, n_threads: int | None = None
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
            If a domain is not the bank's, or a user is not known in his.
        """
        asked = as_ids(users, "users")
        return self._serve(asked, domain, _Known(asked), k, exclude_seen, n_threads)

    def recommend_from(
        self, histories: Any, domain: Any, k: int = 10, *, exclude_seen: bool = True, n_threads: int | None = None
    ) -> Recommendations:
        """Return the k best items of users given by what they did, in the domain of each.

        Parameters
        ----------
        histories : Interactions, or sparse matrix or array of shape (n, n_items)
            A row a user, in the order of `domain`; the columns of a raw matrix are the base's items. Users of
            Interactions without any are answered for too, with an empty list.
        domain : hashable, or sequence of them, shape (n,)
        k, exclude_seen, n_threads
            As for `recommend`.
        """
        data = histories if isinstance(histories, Interactions) else None
        if data is None:
            data = Interactions.from_matrix(histories, items=self.base.items_)
        return self._serve(data.users.ids, domain, _Given(data), k, exclude_seen, n_threads)

    def _serve(
        self, asked: np.ndarray, domain: Any, source: "_Known | _Given", k: int, exclude_seen: bool,
        n_threads: int | None,
    ) -> Recommendations:  # fmt: skip
        adapters = self._adapters  # as they are now
        k, n_threads = check_int(k, "k", low=1, high=MAX_K), check_threads(n_threads)
        check_bool(exclude_seen, "exclude_seen")
        groups = _groups(domain, len(asked), adapters)
        order = np.concatenate([rows for _, rows in groups]) if groups else np.zeros(0, dtype=np.int64)
        views = [self._view(adapter) for adapter, _ in groups]
        n_base, V0 = len(self.base.items_), self.base.item_factors_
        width = max((view.width for view in views), default=n_base)
        U, bounds = np.zeros((len(asked), V0.shape[1]), dtype=np.float32), [0]
        histories: list[np.ndarray] = []
        for view, (_, rows) in zip(views, groups, strict=True):
            U[bounds[-1] : bounds[-1] + len(rows)], had = source.of(view, rows)
            histories += had
            bounds.append(bounds[-1] + len(rows))
        seen = _as_rows(histories, width)

        def score(block: slice, columns: Columns) -> np.ndarray:
            scores = np.empty((block.stop - block.start, width), dtype=np.float32)
            scores[:, n_base:] = -np.inf
            plain, others = [], []
            for number in range(int(np.searchsorted(bounds, block.start, side="right")) - 1, len(views)):
                begin, end = max(bounds[number], block.start), min(bounds[number + 1], block.stop)
                if begin < end:
                    view, place = views[number], begin - block.start
                    if view.plain:
                        plain.append((U[begin:end] @ view.B, view.At, place))
                    else:
                        others.append((view, slice(place, place + end - begin), U[begin:end]))
                elif begin >= block.stop:
                    break
            for start, stop in even_blocks(n_base, TILE):
                np.matmul(U[block], V0[start:stop].T, out=scores[:, start:stop])
                for Z, At, place in plain:
                    kernels.add_low_rank(scores, Z, At, place, start, stop)
            for view, rows, mine in others:
                view.add(scores[rows], mine)
            return scores

        left_out = np.arange(len(asked)) if exclude_seen else None
        indices, values = rank(
            score, len(asked), width, k, seen=seen, seen_rows=left_out, n_threads=n_threads, block_rows=BLOCK_ROWS
        )
        ids = self.base.items_.ids[np.minimum(np.maximum(indices, 0), n_base - 1)]
        for number, view in enumerate(views):
            if not view.whole:
                block = slice(bounds[number], bounds[number + 1])
                ids[block] = view.ids(indices[block])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        indices, empty = indices[back], indices[back] < 0
        items, scores = np.ma.MaskedArray(ids[back], mask=empty), np.ma.MaskedArray(values[back], mask=empty)
        return Recommendations(scores=scores, users=asked, items=items, indices=indices)

    def _view(self, adapter: LowRankAdapter) -> "_View":
        """The adapter's view, made anew when the adapter has changed."""
        view = self._views.get(adapter)
        if view is None or not view.holds():
            view = self._views[adapter] = _View(adapter, len(self.base.items_))
        return view

    def fit_many(
        self, interactions: Interactions, by: Any, adapter: LowRankAdapter | None = None, *, n_jobs: int | None = None
    ) -> "AdapterBank":
        """Fit an adapter for every domain, several at a time, and add them all at once.

        Parameters
        ----------
        interactions : Interactions
        by : sequence, shape (n_users,), or mapping of user id to domain
            The domain of each user.
        adapter : LowRankAdapter, optional
            The configuration; the default one when not given.
        n_jobs : int, optional
            How many are fitted at a time: all cores when None. The result is the same.

        Returns
        -------
        self
        """
        if isinstance(by, Mapping):
            lacking = [user for user in interactions.users.ids.tolist() if user not in by]
            if lacking:
                raise DataError(f"by must name a domain for every user, lacks {first_three(lacking)}")
            by = [by[user] for user in interactions.users.ids.tolist()]
        if len(by) != interactions.n_users:
            raise DataError(f"by must name a domain for each of {interactions.n_users} users, got {len(by)}")
        members: dict[Any, list[int]] = {}
        for row, domain in enumerate(by):
            members.setdefault(domain, []).append(row)

        def fit(rows: Sequence[int]) -> LowRankAdapter:
            users = IdMap(interactions.users.ids[rows])
            mine = Interactions(interactions.matrix[rows], users, interactions.items)
            return clone(adapter or LowRankAdapter()).fit(mine, base=self.base)

        with ThreadPoolExecutor(check_threads(n_jobs)) as pool:
            fitted = dict(zip(members, pool.map(fit, members.values()), strict=True))
        with self._writing:
            self._adapters = {**self._adapters, **fitted}
        return self


class _View:
    """An adapter seen from the bank's columns: the base's items, then as many more as any domain has new ones."""

    def __init__(self, adapter: LowRankAdapter, n_base: int) -> None:
        domain, change, scale = adapter.domain_, adapter.change_, np.float32(adapter.scale)
        self.of, self.state = ref(adapter), (domain, change, adapter.scale)
        self.order = np.argsort(adapter.users_.ids, kind="stable")
        self.users = adapter.users_.ids[self.order]
        n_new = int((~domain.known).sum())
        self.columns = domain.of_base.copy()  # of the adapter's items
        self.columns[~domain.known] = n_base + np.arange(n_new)
        self.width, self.whole = n_base + n_new, len(domain.of_base) == n_base and not n_new
        A = change.A if domain.known.all() else change.A[domain.known]
        self.At, self.B = np.ascontiguousarray(A.T), change.B * scale
        self.rows = np.union1d(change.rows, np.flatnonzero(~domain.known))  # whose factors are not V0 + A B^T
        self.values = domain.item_factors[self.rows]
        given = np.searchsorted(self.rows, change.rows)
        self.values[given] += scale * (change.values - self.values[given])

    def holds(self) -> bool:
        """Whether the adapter still is what was seen of it."""
        now = self.adapter
        domain, change, scale = self.state
        return now.domain_ is domain and now.change_ is change and now.scale == scale

    @property
    def adapter(self) -> LowRankAdapter:
        """Whose view this is."""
        adapter = self.of()
        assert adapter is not None  # held by who asks
        return adapter

    def histories(self, matrix: sp.csr_array, rows: np.ndarray) -> list[np.ndarray]:
        """The bank's columns in some rows of a matrix over the adapter's items."""
        begin, end, indices = matrix.indptr[rows].tolist(), matrix.indptr[rows + 1].tolist(), matrix.indices
        found = [indices[start:stop] for start, stop in zip(begin, end, strict=True)]
        return found if self.whole else [self.columns[one] for one in found]

    def find(self, users: np.ndarray) -> np.ndarray:
        """As the adapter's own `users_.find`, in microseconds for a few of them."""
        if users.dtype != self.users.dtype or not len(self.users):
            return self.adapter.users_.find(users)
        at = np.minimum(np.searchsorted(self.users, users), len(self.users) - 1)
        return np.where(self.users[at] == users, self.order[at], -1)

    @property
    def plain(self) -> bool:
        """Whether all there is to it is A B^T, over the base's items."""
        return self.whole and not len(self.rows)

    def add(self, scores: np.ndarray, U: np.ndarray) -> None:
        """Turn the base's scores of some rows, followed by -inf, into the adapter's, in place."""
        if len(self.At):
            scores[:, self.columns[: self.At.shape[1]]] += (U @ self.B) @ self.At
        if not self.whole:
            outside = np.ones(scores.shape[1], dtype=bool)
            outside[self.columns] = False
            scores[:, outside] = -np.inf
        if len(self.rows):
            scores[:, self.columns[self.rows]] = U @ self.values.T

    def ids(self, indices: np.ndarray) -> np.ndarray:
        """Item ids of the bank's columns; what stands at negative ones is of no meaning."""
        place = np.zeros(max(int(self.columns.max()) + 1, 1), dtype=np.int64)
        place[self.columns] = np.arange(len(self.columns))
        return self.adapter.items_.ids[place[np.maximum(indices, 0)]]


class _Known:
    """Users known to their domain's adapter, by id."""

    def __init__(self, asked: np.ndarray) -> None:
        self.asked = asked

    def of(self, view: _View, rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Factors of some of the users, and what they have of the adapter's items."""
        adapter = view.adapter
        places = view.find(self.asked[rows])
        unknown = places < 0
        if len(adapter.users_):
            unknown |= ~adapter._serves(np.maximum(places, 0))
        if unknown.any():
            shown = first_three(self.asked[rows[unknown]])
            raise UnknownIdError(f"unknown users: {shown} are not known in their domain")
        return adapter.user_factors_[places], view.histories(adapter.seen_, places)


class _Given:
    """Users given by what they did."""

    def __init__(self, data: Interactions) -> None:
        self.data = data

    def of(self, view: _View, rows: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """See `_Known.of`."""
        histories = Interactions(self.data.matrix[rows], IdMap(self.data.users.ids[rows]), self.data.items)
        matrix, _ = view.adapter._histories(histories)
        return view.adapter._encode(matrix), view.histories(matrix, np.arange(len(rows)))


def _groups(
    domain: Any, n_users: int, adapters: Mapping[Any, LowRankAdapter]
) -> list[tuple[LowRankAdapter, np.ndarray]]:
    """The rows of each domain asked for, with its adapter."""
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
    return [(adapters[name], np.array(group)) for name, group in rows.items()]


def _as_rows(columns: list[np.ndarray], width: int) -> sp.csr_array:
    """A matrix of rows given by their columns."""
    indptr = np.concatenate(([0], np.cumsum(list(map(len, columns)), dtype=np.int64)))
    indices = np.concatenate(columns).astype(np.int32, copy=False) if columns else np.zeros(0, dtype=np.int32)
    return sp.csr_array((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(columns), width))
