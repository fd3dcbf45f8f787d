"""FactorModel: a recommender whose scores are inner products of factors."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.interactions import Interactions
from lrrec.errors import ParameterTypeError
from lrrec.linalg.dense import inner_products
from lrrec.linalg.low_rank_approximation import compress
from lrrec.linalg.ranking import Columns
from lrrec.linalg.threads import even_blocks
from lrrec.models.base import item_index
from lrrec.models.base.estimator import TransformerMixin
from lrrec.models.base.finite import LIMIT, check_finite
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import Neighbors, find_neighbors
from lrrec.typing import ArrayLike, FileLike, Ids, MatrixLike, PathLike


class FactorModel(TransformerMixin, Recommender):
    """A model that scores by the inner product of a user's and an item's factors.

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of float32, shape (n_users, n_factors) and (n_items, n_factors)
        Read-only, as what follows from it is kept: change a copy, and make a model of it by `interop.from_factors`.

    Notes
    -----
    After `fit`, `transform(train)` equals `user_factors_`, and `recommend` and `recommend_from` agree. This does not
    hold for a model made by `compress`, whose user factors are those of the approximation, nor for one made by
    `lrrec.interop.from_factors`, whose user factors were computed elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from lrrec import FactorModel, Interactions, TruncatedSVD
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = TruncatedSVD(n_factors=2, reg=0.0).fit(train)
    >>> isinstance(model, FactorModel), model.user_factors_.shape, model.item_factors_.shape
    (True, (3, 2), (3, 2))
    >>> np.allclose(model.predict(["ann"], ["y"]), model.user_factors_[0] @ model.item_factors_[1])
    True
    """

    n_factors: int  # a parameter of the models that are saved
    user_factors_: np.ndarray
    item_factors_: np.ndarray
    item_evidence_: np.ndarray
    _learned: tuple[str, ...] = ("user_factors_", "item_factors_")

    def _scores(self, encoded: np.ndarray, columns: Columns) -> np.ndarray:
        return inner_products(encoded, self.item_factors_[columns])

    def _training_users(self, rows: np.ndarray) -> np.ndarray:
        return self.user_factors_[rows]

    def _remember(
        self, data: Interactions, item_counts: np.ndarray | None = None, item_evidence: np.ndarray | None = None
    ) -> Self:
        super()._remember(data, item_counts, item_evidence)
        if item_evidence is None:
            self.item_evidence_ &= self.item_factors_.any(axis=1)
        return self

    def _mark_unsupported(self, scores: np.ndarray, encoded: np.ndarray) -> None:
        squares = np.einsum("bd,bd->b", encoded, encoded)
        if not squares.max(initial=0) <= LIMIT**2:
            check_finite(scores)
        if not squares.all():
            scores[~encoded.any(axis=1)] = np.nan

    @abstractmethod
    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        """Return the user factors (B, D) of histories (B, I)."""

    def _as_objective(self) -> Self:
        """Return an unfitted model of the same parameters, numbers in the place of those that were "auto"."""
        model: Self = clone(self).set_params(**self._numbers())
        return model

    def _new_item_factors(self) -> np.ndarray:
        """Return the factors (D,) of an item without training data."""
        return np.zeros(self.item_factors_.shape[1], dtype=np.float32)

    @of_one_fit
    def transform(self, X: Interactions | MatrixLike) -> np.ndarray:
        """Return the factors of users described by their histories, float32 (n, n_factors).

        Parameters
        ----------
        X : Interactions, pandas frame, or sparse matrix or array of shape (n, n_items)
            As for `recommend_from`; one row for every user of X. Rows without an item of the model are 0.

        Examples
        --------
        >>> from lrrec import Interactions, TruncatedSVD
        >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
        >>> model = TruncatedSVD(n_factors=2, reg=0.0).fit(train)
        >>> model.transform(Interactions.from_pairs(["dan", "eve"], ["x", "z"])).shape
        (2, 2)
        """
        self._check_fitted()
        factors = self._encode(self._histories(X)[0])
        check_finite(factors, "user factors")
        return factors

    def _predict(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        out = np.empty(len(rows), dtype=np.float32)
        for start, stop in even_blocks(len(rows), 2**16):
            part = slice(start, stop)
            out[part] = np.einsum("nd,nd->n", self.user_factors_[rows[part]], self.item_factors_[columns[part]])
        return out

    @of_one_fit
    def similar_items(
        self, items: Ids, k: int = 10, *, candidates: Ids | ArrayLike | None = None, n_threads: int | None = None
    ) -> Neighbors:
        """Return the k items with the largest cosine similarity to each item, by their factors.

        Parameters
        ----------
        items : sequence of ids, shape (n,)
        k : int, default 10
            The item itself is left out, and so are items without evidence (`item_evidence_`); such an item has no
            neighbours.
        candidates : sequence of ids, shape (m,), or array of ids, shape (n, m), optional
            The only items that may be neighbours, as `items` of `recommend`.
        n_threads : int, optional
            All cores when None; the result is the same.

        Examples
        --------
        >>> from lrrec import Interactions, TruncatedSVD
        >>> users, items = ["ann", "ann", "bob", "bob", "cat", "cat"], ["x", "y", "x", "y", "w", "z"]
        >>> model = TruncatedSVD(n_factors=2, reg=0.0).fit(Interactions.from_pairs(users, items))
        >>> model.similar_items(["x", "z"], k=1).neighbors.tolist()
        [['y'], ['w']]
        """
        self._check_fitted()
        factors = np.where(self.item_evidence_[:, None], self.item_factors_, np.float32(0))
        return find_neighbors(items, k, self.items_, _cosines(factors), candidates, n_threads)

    @of_one_fit
    def similar_users(self, users: Ids, k: int = 10, *, n_threads: int | None = None) -> Neighbors:
        """Return the k users with the largest cosine similarity to each user. See `similar_items`."""
        self._check_fitted()
        return find_neighbors(users, k, self.users_, _cosines(self.user_factors_), None, n_threads)

    @of_one_fit
    def to_index(self, path: FileLike, kind: str = "usearch") -> None:
        """Write an approximate-search index of the item factors to path, replacing it atomically.

        `lrrec.interop.open_index(path, model)` recommends by it.

        Parameters
        ----------
        path : path or binary file object
        kind : {"usearch", "hnswlib", "faiss"}, default "usearch"
            The library that searches; for the first install `lrrec[index]`, for the others hnswlib or faiss-cpu.

        Raises
        ------
        MissingDependencyError
            If the library is not installed.
        ParameterTypeError
            If scores of the model are not inner products of its factors.

        Notes
        -----
        O(n_items log n_items) distances, on all cores, which may make the graph another one each time. The file holds
        the item ids, the fingerprint of the model and the index in the library's own format.

        References
        ----------
        Malkov & Yashunin (2018), "Efficient and robust approximate nearest neighbor search using hierarchical navigable
        small world graphs"; Morozov & Babenko (2018), "Non-metric similarity graphs for maximum inner product search".

        Examples
        --------
        Written and opened again, where usearch is installed:

        >>> from lrrec import IALS, Interactions, interop
        >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
        >>> model = IALS(n_factors=2, random_state=0).fit(train)
        >>> model.to_index("items.index")  # doctest: +SKIP
        >>> interop.open_index("items.index", model).recommend(["bob"], k=1).items.tolist()  # doctest: +SKIP
        [['y']]
        """
        self._check_inner_products("to_index()")
        item_index.write(path, self, kind)

    @property
    def _has_inner_products(self) -> bool:
        """Whether scores are inner products of the factors, and nothing else."""
        return type(self)._scores is FactorModel._scores

    @property
    def _scores_columns_apart(self) -> bool:
        return type(self)._scores is FactorModel._scores

    def _check_inner_products(self, what: str) -> None:
        """Refuse to export the factors of a model that scores in another way."""
        self._check_fitted()
        if not self._has_inner_products:
            raise ParameterTypeError(
                f"{what} needs scores that are inner products of factors, and {type(self).__name__} scores in another "
                "way: use recommend()"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @of_one_fit
    def compress(self, n_factors: int) -> Self:
        """Return a model of fewer factors whose scores are nearest to this one's.

        The scores U V^T of the new model are the best approximation of rank n_factors in the sum of squares over all
        users and items (Eckart-Young). New users are encoded against the new item factors; a training user's factors
        are those of the approximation.

        Parameters
        ----------
        n_factors : int
            At most the number of columns of this model's factors.

        Notes
        -----
        O((n_users + n_items) D^2) time; the scores are never formed.

        Examples
        --------
        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> model = lrrec.IALS(n_factors=16, n_iter=2, random_state=0).fit(data)
        >>> model.compress(4).item_factors_.shape
        (319, 4)
        """
        self._check_fitted()
        self._check_histories("compress()")
        svd = compress(self.user_factors_, self.item_factors_, n_factors)
        model = self._as_objective().set_params(n_factors=n_factors)
        root = np.sqrt(svd.s)
        model.user_factors_ = (svd.U * root).astype(np.float32)
        model.item_factors_ = (svd.Vt.T * root).astype(np.float32)
        data = Interactions(self.seen_, self.users_, self.items_)
        return model._remember(data, self.item_counts_, self.item_evidence_)

    @property
    def _n_columns(self) -> int:
        """The number of columns of the factors, biases included."""
        return self.n_factors

    def _check_loaded(self, path: PathLike) -> None:
        self._check_array(path, "user_factors_", (len(self.users_), self._n_columns))
        self._check_array(path, "item_factors_", (len(self.items_), self._n_columns))


def _cosines(factors: np.ndarray) -> Callable[[np.ndarray, Columns], np.ndarray]:
    """Return a function of rows and columns that returns the cosines (B, m) of their factors, NaN of zero ones."""
    norms = np.linalg.norm(factors, axis=1, keepdims=True)
    directions = factors / np.where(norms > 0, norms, np.float32(np.nan))
    return lambda rows, columns: directions[rows] @ directions[columns].T
