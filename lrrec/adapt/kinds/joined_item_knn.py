"""JoinedItemKNN: item-based nearest neighbours over the histories in both domains, of users who are in both."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.adapter import Adapter, Callback
from lrrec.adapt.domain import BaseUsers, Domain, check_ranks
from lrrec.adapt.kinds.factor_adapter import check_auto_real
from lrrec.adapt.search_rules import SearchRules
from lrrec.errors import ParameterError
from lrrec.linalg.neighbors import column_norms, nearest_columns
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import positive
from lrrec.models.base.finite import check_finite
from lrrec.models.base.item_item import mark_zeros, weighted_sums
from lrrec.models.base.recommender import Recommender
from lrrec.validate import check_compressed, check_int

SHRINKS = (0.0, 3.0, 10.0, 30.0, 100.0)


class JoinedItemKNN(Adapter):
    """Score the target's items by their similarity to the items in a user's history in the base's domain and here.

    For users who are the same people in both domains (`same_users`), where the base holds their interactions. As
    `ItemKNN` of both tables side by side, of which the target's columns are recommended:

        score(u, i) = sum of s_ji x_uj over the neighbours j of i,    s_ji = c_j . c_i / (|c_j| |c_i| + shrink)

    with c the columns of the base's interactions and of the target's.

    Parameters
    ----------
    n_neighbors : int, default 200
        Of each item, in both domains together.
    shrink : float or "auto", default "auto"
        Shrinks similarities that rest on few users toward 0. "auto" is for an `AdapterSelector` to choose.

    Attributes
    ----------
    weights_ : csr_array of float32, shape (base's items + I, I)
        s_ji of the neighbours.

    References
    ----------
    Sarwar et al. (2001), "Item-based collaborative filtering recommendation algorithms".

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> from lrrec.adapt import JoinedItemKNN
    >>> books = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> base = IALS(n_factors=2, random_state=0).fit(books)
    >>> films = Interactions.from_pairs(["ann", "bob", "cat"], ["f", "f", "g"])
    >>> adapter = JoinedItemKNN(shrink=0.0).fit(films, base=base, catalogue=["f", "g"], same_users=True)
    >>> adapter.recommend(["cat"], k=1, exclude_seen=False).items.tolist()
    [['g']]
    """

    name = "joined item-item"
    serves_without_history = True
    _search_rules: ClassVar = SearchRules()
    _defaults: ClassVar = {"shrink": 10.0}

    weights_: sp.csr_array

    def __init__(self, n_neighbors: int = 200, *, shrink: float | str = "auto") -> None:
        self.n_neighbors = n_neighbors
        self.shrink = shrink

    def _check_params(self) -> None:
        check_int(self.n_neighbors, "n_neighbors", low=1)
        check_auto_real(self, "shrink", zero=("shrink",))

    def _check_base(self, base: Any, *, same_users: bool = False, source: Any = None) -> None:
        check_ranks(base, "JoinedItemKNN")
        if not same_users:
            raise ParameterError("JoinedItemKNN needs same_users=True: it joins the histories of the same users")
        if not base.seen_.nnz:
            raise ParameterError("JoinedItemKNN needs a base with the interactions of its users, got one without")

    def _grids(self, domain: Domain) -> dict[str, Sequence[Any]]:
        return {"shrink": SHRINKS}

    def _find_change(self, users: np.ndarray, callback: Callback | None) -> None:
        domain = self.domain_
        known: Any = domain.users
        of_target = positive(domain.data.matrix[users])
        before = positive(domain.base.seen_)
        both = sp.csr_array(sp.hstack((before[known.rows[users]] * known.exists[users, None], of_target), format="csr"))
        n_before, n_items = before.shape[1], of_target.shape[1]
        norms = [column_norms(matrix) for matrix in (before, of_target)]
        for part in norms:
            check_finite(part, "norms of the items")
        itself = [np.where(domain.in_base, domain.base_indices, -1), n_before + np.arange(n_items)]
        both_norms = norms[1], np.concatenate(norms)
        similar = nearest_columns(of_target, both, both_norms, self.n_neighbors, self.params_["shrink"], itself)
        self.weights_ = similar.T.tocsr()

    def _encode(self, matrix: sp.csr_array) -> sp.csr_array:
        return self._encode_around(matrix, None)

    def _encode_around(self, matrix: sp.csr_array, known: BaseUsers | None) -> sp.csr_array:
        """Histories in both domains, (B, base's items + I)."""
        before = self.domain_.base.seen_
        if known is None:
            before = sp.csr_array((matrix.shape[0], before.shape[1]), dtype=np.float32)
        else:
            before = before[known.rows] * known.exists[:, None]
        return sp.csr_array(sp.hstack((positive(sp.csr_array(before)), positive(matrix)), format="csr"))

    def _training_users(self, rows: np.ndarray) -> sp.csr_array:
        known: Any = self.domain_.users
        return self._encode_around(self.seen_[rows], known[rows])

    def _can_serve(self, rows: np.ndarray) -> np.ndarray:
        served: np.ndarray = np.diff(self._training_users(rows).indptr) > 0
        return served

    def _item_evidence(self, domain: Domain, counts: np.ndarray) -> np.ndarray:
        return counts > 0

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        return weighted_sums(encoded, self.weights_, columns)

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        mark_zeros(scores, encoded)

    @property
    def n_parameters(self) -> int:
        """The number of weights."""
        if not hasattr(self, "weights_"):
            self._check_fitted()
        return int(self.weights_.nnz)

    def merge(self) -> Recommender:
        """Not possible: the histories are of two domains."""
        raise ParameterError("a joined item-item adapter cannot be merged: it needs the base's interactions")

    def _pack(self) -> dict[str, np.ndarray]:
        weights = self.weights_
        return {"data": weights.data, "indices": weights.indices, "indptr": weights.indptr}

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> None:
        domain = self.domain_
        shape = domain.base.seen_.shape[1] + len(domain.items), len(domain.items)
        data, indices, indptr = (arrays[name] for name in ("data", "indices", "indptr"))
        self.weights_ = sp.csr_array((data.astype(np.float32), indices, indptr), shape=shape)
        check_compressed(self.weights_)
        if not (self.weights_.data > 0).all():
            raise ValueError("similarities must be > 0")
        self._remember(domain.data)
