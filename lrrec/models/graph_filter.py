"""GraphFilter: scores by a low-pass filter of a user's history over the graph of items, without any training."""

import threading
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError
from lrrec.linalg.dense import inner_products
from lrrec.linalg.polynomial_filter import Polynomial, plateau
from lrrec.linalg.ranking import Columns
from lrrec.linalg.sparse import power, scaled, times
from lrrec.linalg.svd import randomized_svd
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.auto_params import NOT_AUTO, shared_users
from lrrec.models.base.finite import LIMIT, check_finite, largest
from lrrec.models.base.item_item import mark_zeros
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.recommender import Recommender
from lrrec.models.base.results import Neighbors, find_neighbors
from lrrec.typing import ArrayLike, Ids, PathLike, RandomState
from lrrec.validate import check_int, check_option, check_real, check_threads

MAKING = threading.Lock()  # blocks of users are scored by several threads, and one of them makes the polynomial
N_FACTORS = 512
HIGHEST_ORDER, LARGEST_POWER = 1000, 4.0
SIGNALS = 32  # that are filtered at once: their arrays fit the cache


class GraphFilter(Recommender):
    """Filter a user's history over the graph of items, so that it spreads to items that the same users choose.

    With R = D_u^-1/2 X D_i^-1/2, where D_u and D_i are the sums of users' rows and of items' columns, P = R^T R has
    eigenvalues from 0 (high frequencies: noise) to 1. Scores are

        "chebyshev"  x_u D_i^-b [ h(P) + a V V^T ] D_i^b
        "linear"     x_u [ P + a D_i^-b V V^T D_i^b ]

    with a = low_pass_weight, b = degree_power (there D_i is the number of interactions), and V the leading right
    singular vectors of R, an ideal low-pass filter. h is a plateau filter, by a Chebyshev polynomial of P: half of the
    middle frequencies pass, most of the low ones, and few of the high ones. "linear" is GF-CF, "chebyshev" ChebyCF.
    Nothing is trained but the singular vectors.

    Parameters
    ----------
    n_factors : int or "auto", default "auto"
        Number of singular vectors; 0 for none. "auto" is 512, at most a third of the users and of the items: more
        describe the noise of small data.
    filter : {"chebyshev", "linear"}, default "chebyshev"
    order : int, default 8
        Degree of the polynomial of "chebyshev", 1 to 1000.
    flatness : float, default 3.0
        Width of the plateau of "chebyshev", >= 1; 1 is a line.
    low_pass_weight : float, default 0.2
        a >= 0.
    degree_power : float or "auto", default "auto"
        b, -4 to 4: more ranks popular items higher. Typical: 0 to 0.5. "auto" is 0.5 - 1.2 sqrt(s), at least 0.1,
        where s is the mean, over interactions, of the share of users with the interaction's item.
    n_iter : int, default 8
        Passes of the singular value decomposition. Of 512 vectors of Gowalla's check-ins, a space of 115 dimensions is
        missed by 4 passes, of 8 by 8, and of none by 12: the spectrum of sparse data is flat.
    random_state : int, Generator or None, default 0
        Of its start; the result hardly depends on it.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    item_directions_ : ndarray of float32, shape (n_items, n_factors)
        V.
    n_factors_, degree_power_ : ndarray of float64, shape (1,)
        The number chosen for "auto"; empty without it.

    Notes
    -----
    The rules of "auto", and the flatness, are near the best on eight data sets, with s of .002 to .13.
    Scores need the training matrix, so that a model cannot be saved without histories.
    O(N D) time a pass of `fit`, for N interactions and D singular vectors; a user's list takes O(order N + I D). Users
    are filtered together, 32 at a time.

    References
    ----------
    Shen et al. (2021), "How powerful is graph convolution for recommendation?", arXiv:2108.07567, eq. 13 (GF-CF); Kim
    et al. (2025), "Graph spectral filtering with Chebyshev interpolation for recommendation", arXiv:2505.00552
    (ChebyCF).

    Examples
    --------
    >>> from lrrec import GraphFilter, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> GraphFilter(n_factors=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "n_factors": [64, 128, 256, 512, 1024], "low_pass_weight": (0.0, 1.0), "degree_power": (0.0, 0.6),
        "flatness": (1.0, 3.0),
    }  # fmt: skip

    _scores_by_training_data = True
    _learned = ("item_directions_", "n_factors_", "degree_power_")
    _auto: ClassVar[dict[str, tuple[float, float]]] = {"n_factors": (0, N_FACTORS), "degree_power": (0.0, 0.5)}

    item_directions_: np.ndarray
    n_factors_: np.ndarray = NOT_AUTO
    degree_power_: np.ndarray = NOT_AUTO

    def __init__(
        self,
        n_factors: int | str = "auto",
        *,
        filter: str = "chebyshev",
        order: int = 8,
        flatness: float = 3.0,
        low_pass_weight: float = 0.2,
        degree_power: float | str = "auto",
        n_iter: int = 8,
        random_state: RandomState = 0,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.filter = filter
        self.order = order
        self.flatness = flatness
        self.low_pass_weight = low_pass_weight
        self.degree_power = degree_power
        self.n_iter = n_iter
        self.random_state = random_state
        self.n_threads = n_threads

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        if name == "n_factors":
            return max(1, min(N_FACTORS, min(matrix.shape) // 3))
        return max(0.1, 0.5 - 1.2 * float(np.sqrt(shared_users(matrix))))

    def _fit(self, matrix: sp.csr_array) -> None:
        self._choose(matrix)
        k = self._rank()
        self._checked()
        rank = min(k, *matrix.shape)
        V = np.zeros((matrix.shape[1], k), dtype=np.float32)  # columns beyond the matrix's rank stay 0
        if rank:
            options: dict[str, Any] = {"random_state": self.random_state, "n_threads": self.n_threads}
            n_iter = check_int(self.n_iter, "n_iter", low=1)
            V[:, :rank] = randomized_svd(_normalized(matrix), rank, n_iter=n_iter, **options).Vt.T
        self.item_directions_ = V

    def _rank(self) -> int:
        """The number of singular vectors."""
        if isinstance(self.n_factors, str):
            return int(self._number("n_factors", low=0))
        return check_int(self.n_factors, "n_factors", low=0)

    def _checked(self) -> tuple[np.ndarray, float, float]:
        """The coefficients of the polynomial, a and b."""
        check_threads(self.n_threads)
        a = check_real(self.low_pass_weight, "low_pass_weight", low=0)
        b = check_real(self._number("degree_power"), "degree_power", low=-LARGEST_POWER, high=LARGEST_POWER)
        order, flatness = (
            check_int(self.order, "order", low=1, high=HIGHEST_ORDER),
            check_real(self.flatness, "flatness", low=1),
        )
        if check_option(self.filter, "filter", ("chebyshev", "linear")) == "linear":
            order, flatness = 1, 1.0
        return plateau(order, flatness), a, b

    def _polynomial(self, coefficients: np.ndarray) -> Polynomial:
        """The filter h, made at its first use."""
        with MAKING:
            seen, made = vars(self).get("_made_filter", (None, None))
            if made is None or seen is not self.seen_ or not np.array_equal(made.coefficients, coefficients):
                made = Polynomial(_normalized(self.seen_), coefficients)
                self._made_filter = self.seen_, made
            return made

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        coefficients, a, b = self._checked()
        polynomial, linear = self._polynomial(coefficients), self.filter == "linear"
        before, after = power(self.item_counts_, -b), power(self.item_counts_, b)[columns]
        weighted = scaled(encoded, np.ones(encoded.shape[0], dtype=np.float32), before)
        signals = encoded if linear else weighted
        scores = np.empty((encoded.shape[0], len(after)), dtype=np.float32)
        for start, stop in even_blocks(encoded.shape[0], SIGNALS):
            filtered = polynomial.times(np.ascontiguousarray(signals[start:stop].toarray().T, dtype=np.float32))
            scores[start:stop] = filtered[columns].T
        if not linear:
            scores *= after
        if a and self.item_directions_.shape[1]:
            V = self.item_directions_
            low = inner_products(times(weighted, V, n_threads=1), V[columns])
            low *= np.float32(a) * after
            scores += low
        return scores

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        if not largest(encoded) <= LIMIT:
            check_finite(scores)
        mark_zeros(scores, encoded)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        n_items = len(self.items_)
        parts = sp.csr_array((matrix.data, (np.arange(matrix.nnz), matrix.indices)), shape=(matrix.nnz, n_items))
        return self._scores(parts, np.array([column]))[:, 0].astype(np.float64), {}

    @of_one_fit
    def similar_items(
        self, items: Ids, k: int = 10, *, candidates: Ids | ArrayLike | None = None, n_threads: int | None = None
    ) -> Neighbors:
        """Return the k items with the largest score for a history of each item alone; see `FactorModel.similar_items`.

        Items with a score of 0 or less are no neighbours.
        """
        self._check_fitted()
        n_items = len(self.items_)

        def score(rows: np.ndarray, columns: Columns) -> np.ndarray:
            ones = np.ones(len(rows), dtype=np.float32)
            histories = sp.csr_array((ones, rows, np.arange(len(rows) + 1)), shape=(len(rows), n_items))
            scores = self._scores(histories, columns)
            return np.where(scores > 0, scores, np.float32(-np.inf))

        return find_neighbors(items, k, self.items_, score, candidates, n_threads)

    def _check_loaded(self, path: PathLike) -> None:
        self._check_array(path, "item_directions_", (len(self.items_), self._rank()))
        if not self.seen_.nnz:
            raise FileFormatError(f"{path} must hold the histories, with which GraphFilter scores")


def _normalized(matrix: sp.csr_array) -> sp.csr_array:
    """R: the matrix divided by the square roots of the sums of its rows and columns."""
    sums = (np.asarray(matrix.sum(axis=axis, dtype=np.float64)) for axis in (1, 0))
    rows, columns = ((1 / np.sqrt(np.where(one > 0, one, 1))).astype(np.float32) for one in sums)
    return scaled(matrix, rows, columns)
