"""ItemContent: recommends items whose features are like those of a user's history."""

import threading
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.data.features import FeaturesLike, appended_rows, described_rows
from lrrec.data.interactions import Interactions
from lrrec.errors import FileFormatError, ParameterError
from lrrec.linalg.dense import inner_products
from lrrec.linalg.feature_regression import FeatureRegression
from lrrec.linalg.ranking import BLOCK_CELLS, Columns
from lrrec.linalg.sparse import times
from lrrec.linalg.threads import even_blocks
from lrrec.models.base.feature_model import FeatureModel, check_features, encoder_of
from lrrec.models.base.finite import LIMIT, check_finite, check_learned, largest
from lrrec.models.base.one_fit import become, of_one_fit
from lrrec.models.base.results import Neighbors, find_neighbors
from lrrec.typing import ArrayLike, Ids, MatrixLike, PathLike
from lrrec.validate import check_real, check_threads

MAKING = threading.Lock()  # blocks of users are scored by several threads, and one of them makes the regression


class ItemContent(FeatureModel):
    """Predict a user's interactions from the features of items alone, by ridge regression: the content baseline.

    For a history x_u, the user's profile w_u in the space of features minimises

        sum_i (x_ui - w_u . f_i)^2 + reg |w_u|^2

    over the items i with a training interaction; the score of an item is w_u . f_i. Features f_i are scaled to length 1
    for every item. The larger `reg`, the nearer are the scores to reg times those of the plain profile, sum_i x_ui f_i;
    a smaller one also takes into account how often features occur, and occur together.

    It ranks new items as well as old ones, and takes no notice of who else interacted with an item: a `Blend` with an
    `IALS` that has the features too is better than each.

    Parameters
    ----------
    reg : float, default 10.0
        Regularization, > 0. Typical: 1 to 100.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is the same for every value.

    Attributes
    ----------
    item_features_ : csr_array or ndarray of float32, shape (n_items, n_features)
        f_i; rows of items without a feature are 0.
    feature_names_ : IdMap
        The names of the features: the columns of a frame, else their numbers.

    Notes
    -----
    Up to 4,096 features, O(n_features^3) time once, and then O(n_features^2) a user; more are solved for by conjugate
    gradients, some dozens of products with the features a user.

    References
    ----------
    Lops, de Gemmis & Semeraro (2011), "Content-based recommender systems: state of the art and trends", in
    Recommender Systems Handbook, sec. 3.3. The regression is that of Pilaszy & Tikk (2009), "Recommending new movies",
    with all other items as zeros.

    Examples
    --------
    >>> from lrrec import Interactions, ItemContent
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "y", "z"])
    >>> genres = [[1, 0], [1, 0], [0, 1]]  # of x, y and z
    >>> ItemContent().fit(train, item_features=genres).recommend(["bob"], k=1).items.tolist()
    [['x']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {"reg": (0.3, 300.0, "log")}

    _learned_csr = ("item_features_",)
    _learned_ids = ("feature_names_",)
    _csr_values = "signed"

    item_features_: sp.csr_array | np.ndarray

    def __init__(self, reg: float = 10.0, *, n_threads: int | None = None) -> None:
        self.reg = reg
        self.n_threads = n_threads

    def fit(self, X: Interactions | MatrixLike, y: None = None, *, item_features: FeaturesLike | None = None) -> Self:
        """Learn from interactions and features of items, forgetting any earlier fit.

        Parameters
        ----------
        X, y
            As for `Recommender.fit`.
        item_features : Features, frame, or sparse matrix or array of shape (n_items, n_features)
            As for `IALS.fit`; they have to be given.

        Returns
        -------
        self
        """
        data = self._read(X)
        check_real(self.reg, "reg", low=0, open_low=True)
        check_threads(self.n_threads)
        features, names = check_features(item_features, data.items)
        if features is None:
            raise ParameterError(
                "item_features must be given: ItemContent recommends by features of items. Pass "
                "fit(X, item_features=...), or take a model of interactions alone, such as IALS"
            )
        fresh = self._unlearned()
        fresh.item_features_, fresh.feature_names_ = _unit_rows(features), names
        fresh.feature_encoder_ = encoder_of(item_features)
        return become(self, check_learned(fresh._remember(data)))

    def _remember(
        self, data: Interactions, item_counts: np.ndarray | None = None, item_evidence: np.ndarray | None = None
    ) -> Self:
        self.__dict__.pop("_made_regression", None)
        return super()._remember(data, item_counts, item_evidence)

    def _described(self) -> np.ndarray:
        return described_rows(self.item_features_)

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        self._check_items(data)
        self._remember(data)

    def _append(self, features: sp.csr_array | np.ndarray) -> None:
        self.item_features_ = appended_rows(self.item_features_, _unit_rows(features))

    def _regression(self) -> FeatureRegression:
        """The regression on the features of items with an interaction, made at the first use."""
        with MAKING:
            made: FeatureRegression | None = vars(self).get("_made_regression")
            if made is None or made.reg != np.float32(self.reg):
                used = self.item_features_[self.item_counts_ > 0]
                made = self._made_regression = FeatureRegression(used, self.reg, check_threads(self.n_threads))
            return made

    def _scores(self, encoded: sp.csr_array, columns: Columns) -> np.ndarray:
        regression, features = self._regression(), self.item_features_
        wanted = features[columns]
        scores = np.empty((encoded.shape[0], wanted.shape[0]), dtype=np.float32)
        for start, stop in even_blocks(encoded.shape[0], max(1, BLOCK_CELLS // features.shape[1])):
            part = encoded[start:stop]
            if isinstance(features, np.ndarray):
                profiles = regression.solve(times(part, features, n_threads=1).T)
                scores[start:stop] = inner_products(np.ascontiguousarray(profiles.T), wanted)
            else:
                profiles = regression.solve((part @ features).toarray().T)
                scores[start:stop] = times(wanted, profiles, n_threads=1).T
        return scores

    def _mark_unsupported(self, scores: np.ndarray, encoded: sp.csr_array) -> None:
        if not largest(encoded) <= LIMIT:
            check_finite(scores)

    def _explain(self, matrix: sp.csr_array, column: int) -> tuple[np.ndarray, dict[str, float]]:
        features = self.item_features_
        target = features[[column]] if isinstance(features, np.ndarray) else features[[column]].toarray()
        weights = self._regression().solve(target.T)
        return matrix.data * (features[matrix.indices] @ weights)[:, 0].astype(np.float64), {}

    @of_one_fit
    def similar_items(
        self, items: Ids, k: int = 10, *, candidates: Ids | ArrayLike | None = None, n_threads: int | None = None
    ) -> Neighbors:
        """Return the k items with the largest cosine of features to each item; see `FactorModel.similar_items`.

        Items with a cosine of 0 or less are no neighbours.
        """
        self._check_fitted()
        features = self.item_features_

        def score(rows: np.ndarray, columns: Columns) -> np.ndarray:
            cosines = features[rows] @ features[columns].T
            scores = cosines if isinstance(cosines, np.ndarray) else cosines.toarray()
            return np.where(scores > 0, scores, np.float32(-np.inf))

        return find_neighbors(items, k, self.items_, score, candidates, n_threads)

    def _check_loaded(self, path: PathLike) -> None:
        shape = len(self.items_), len(self.feature_names_)
        if self.item_features_.shape != shape or not shape[1]:
            raise FileFormatError(f"{path}: item_features_ must be items x features, got {self.item_features_.shape}")


def _unit_rows(features: sp.csr_array | np.ndarray) -> sp.csr_array | np.ndarray:
    """Features with rows of length 1, or 0: a csr matrix without zeros, or an array where most are not 0."""
    values = features if isinstance(features, np.ndarray) else features.data
    if np.count_nonzero(values) * 2 > features.shape[0] * features.shape[1]:
        dense = (features if isinstance(features, np.ndarray) else features.toarray()).astype(np.float64)
        norms = np.linalg.norm(dense, axis=1, keepdims=True)
        return (dense / np.where(norms > 0, norms, 1)).astype(np.float32)
    rows = sp.csr_array(features, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    norms = np.sqrt(rows.astype(np.float64).power(2).sum(axis=1))
    data = (rows.data / np.repeat(norms, np.diff(rows.indptr))).astype(np.float32)
    unit = sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
    unit.eliminate_zeros()
    return unit
