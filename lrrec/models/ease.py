"""EASE: a linear model of all item pairs, in closed form."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.data.features import FeaturesLike, appended_rows, described_rows
from lrrec.data.interactions import Interactions
from lrrec.errors import FileFormatError, ParameterError
from lrrec.linalg.item_item_weights import add_products, bounded_diagonal_ridge, weights_of_new_items
from lrrec.linalg.sparse import co_occurrences, with_weighted_rows
from lrrec.models.base.feature_model import FeatureModel, check_features, encoder_of
from lrrec.models.base.finite import check_finite, check_learned
from lrrec.models.base.item_item import ItemItemModel
from lrrec.models.base.one_fit import become
from lrrec.typing import MatrixLike, PathLike
from lrrec.validate import check_real

NO_FEATURES = sp.csr_array((0, 0), dtype=np.float32)
NOTHING = np.zeros(0, dtype=np.float32)
NOTHING.flags.writeable = False


class EASE(FeatureModel, ItemItemModel):
    """Predict each item from all others by ridge regression with a zero diagonal.

    Minimises |X - X B|_F^2 + sum_ij (reg + dropout / (1 - dropout) |x_j|^2) b_ji^2 subject to diag(B) = 0; scores are
    x_u B. A user of n interactions has weight n^(-2 user_power).

    With features F of items (`fit(X, item_features=)`), each feature counts as a user who has interacted with the items
    that have it: feature_weight |F^T - F^T B|_F^2 is added. Then items with few interactions, or none, are predicted
    from those that they resemble.

    Parameters
    ----------
    reg : float, default 500.0
        Regularization, > 0. Typical: 100 to 1000; less for very sparse data.
    dropout : float, default 0.0
        In [0, 1): the weights are those that predict best when every item of a history is left out with this
        probability (EDLAE), so that popular items are penalized more. Typical: 0.3 to 0.7, with a smaller `reg`.
    user_power : float, default 0.0
        As of `EDLAE`: above 0 active users have less weight. Typical: 0 to 0.5.
    relaxed : float, default 0.0
        In [0, 1): the diagonal of B may reach this instead of 0 (RLAE; RDLAE with dropout). Not with features.
    feature_weight : float, default 30.0
        Weight of the features, > 0, which are scaled to a mean square of 1 for an item: they count as so many
        interactions. Typical: 1 to 300.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is the same for every value.

    Attributes
    ----------
    item_weights_ : ndarray of float32, shape (n_items, n_items)
        B.
    item_features_ : csr_array or ndarray of float32, shape (n_items, n_features)
        F as it was weighted; empty without features.
    feature_scale_ : ndarray of float32, shape (1,)
        The factor of the features.
    inverse_diagonal_ : ndarray of float32, shape (n_items,)
        With features, the diagonal of (X^T X + feature_weight F F^T + reg I)^-1, which new items need; 0 for those.
    feature_names_ : IdMap
        The names of the features: the columns of a frame, else their numbers.

    Notes
    -----
    O(n_items^3) time and n_items^2 float32 numbers of memory, for any number of users: 20,000 items need 1.6 GB and a
    few minutes. A new item (`with_items`) has the weights that it would have had at the fit as the only new one.

    References
    ----------
    Steck (2019), "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375, eq. 8. Dropout: Steck (2020),
    "Autoencoders that don't overfit towards the identity", NeurIPS. The relaxed diagonal: Moon, Kim & Lee (2023), "It's
    enough: relaxing diagonal constraints in linear autoencoders for recommendation", SIGIR. Features: Jeunen, Van Balen
    & Goethals (2020), "Closed-form models for collaborative filtering with side-information", eq. 4.

    Examples
    --------
    >>> from lrrec import EASE, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> EASE(reg=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "reg": (10.0, 10_000.0, "log"),
        "dropout": (0.0, 0.8),
        "user_power": (0.0, 0.5),
    }
    feature_tuning_space: ClassVar[dict[str, Any]] = {"feature_weight": (0.3, 1000.0, "log")}

    item_features_: sp.csr_array | np.ndarray = NO_FEATURES
    feature_scale_: np.ndarray = NOTHING
    inverse_diagonal_: np.ndarray = NOTHING

    _learned = ("item_weights_", "feature_scale_", "inverse_diagonal_")
    _learned_csr = ("item_features_",)
    _learned_ids = ("feature_names_",)
    _csr_values = "signed"

    def __init__(
        self,
        reg: float = 500.0,
        *,
        dropout: float = 0.0,
        user_power: float = 0.0,
        relaxed: float = 0.0,
        feature_weight: float = 30.0,
        n_threads: int | None = None,
    ) -> None:
        self.reg = reg
        self.dropout = dropout
        self.user_power = user_power
        self.relaxed = relaxed
        self.feature_weight = feature_weight
        self.n_threads = n_threads

    def fit(self, X: Interactions | MatrixLike, y: None = None, *, item_features: FeaturesLike | None = None) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X, y
            As for `Recommender.fit`.
        item_features : Features, frame, or sparse matrix or array of shape (n_items, n_features), optional
            As for `IALS.fit`.

        Returns
        -------
        self
        """
        data = self._read(X)
        weight = check_real(self.feature_weight, "feature_weight", low=0, open_low=True)
        features, names = check_features(item_features, data.items)
        fresh = self._unlearned()
        if features is not None:
            squares = np.asarray((features**2).sum(axis=1), dtype=np.float64)
            mean = squares[squares > 0].mean() if squares.any() else 1.0
            fresh.feature_scale_ = np.array([np.sqrt(weight / mean)], dtype=np.float32)
            fresh.item_features_, fresh.feature_names_ = features * fresh.feature_scale_[0], names
            fresh.feature_encoder_ = encoder_of(item_features)
        fresh._fit(data.matrix)
        return become(self, check_learned(fresh._remember(data)))

    def _fit(self, matrix: sp.csr_array) -> None:
        reg = check_real(self.reg, "reg", low=0, open_low=True)
        dropout = check_real(self.dropout, "dropout", low=0, high=1, open_high=True)
        bound = check_real(self.relaxed, "relaxed", low=0, high=1, open_high=True)
        if bound and self._has_features:
            raise ParameterError(f"relaxed must be 0 with item_features, got {bound}")
        matrix = with_weighted_rows(matrix, check_real(self.user_power, "user_power", low=0))
        gram = co_occurrences(matrix, n_threads=self.n_threads)
        if self._has_features:
            add_products(gram, self.item_features_, n_threads=self.n_threads)
        check_finite(np.diag(gram), "squares of the items")
        penalties = reg + dropout / (1 - dropout) * np.diag(gram)
        self.item_weights_, diagonal = bounded_diagonal_ridge(gram, penalties, bound, n_threads=self.n_threads)
        if self._has_features:
            self.inverse_diagonal_ = diagonal

    def _described(self) -> np.ndarray:
        return np.asarray(described_rows(self.item_features_) | np.any(self.item_weights_, axis=0))

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        self._check_items(data)
        self._fit(data.matrix)
        self._remember(data)

    def _append(self, features: sp.csr_array | np.ndarray) -> None:
        new, old = features * self.feature_scale_[0], self.item_features_
        columns, rows = weights_of_new_items(
            self.item_weights_, self.inverse_diagonal_, old, new, self.reg, self.dropout
        )
        corner = np.zeros((len(rows), len(rows)), dtype=np.float32)
        self.item_weights_ = np.block([[self.item_weights_, columns], [rows, corner]])
        self.inverse_diagonal_ = np.pad(self.inverse_diagonal_, (0, len(rows)))
        self.item_features_ = appended_rows(old, new)

    @property
    def _unused_params(self) -> tuple[str, ...]:
        return () if self._has_features else ("feature_weight",)

    def _check_loaded(self, path: PathLike) -> None:
        super()._check_loaded(path)
        n_features = len(self.feature_names_)
        self._check_array(path, "inverse_diagonal_", (len(self.items_) if n_features else 0,))
        self._check_array(path, "feature_scale_", (1 if n_features else 0,))
        if self.item_features_.shape != ((len(self.items_), n_features) if n_features else (0, 0)):
            raise FileFormatError(f"{path}: item_features_ must be items x features, got {self.item_features_.shape}")
