"""SparseEASE: a linear model of item pairs with a bounded number of weights for each item."""

from typing import Any, ClassVar

import scipy.sparse as sp

from lrrec.linalg.neighbors import column_norms
from lrrec.linalg.sparse import with_weighted_rows
from lrrec.linalg.support_ridge import support_ridge
from lrrec.models.base.finite import check_finite
from lrrec.models.base.item_item import ItemItemModel
from lrrec.validate import check_int, check_real


class SparseEASE(ItemItemModel):
    """Predict each item from its nearest others by ridge regression: EASE for large catalogues.

    Minimises |X - X B|_F^2 + sum_ji (reg + d |x_j|^2) b_ji^2 with d = dropout / (1 - dropout), subject to b_ji = 0
    unless j is one of the n_neighbors other items whose columns x_j have the largest cosines with x_i; scores are
    x_u B. A user of n interactions has weight n^(-2 user_power). The minimum is exact. With n_neighbors >= n_items - 1
    it is that of `EASE` with this user_power.

    Parameters
    ----------
    reg : float, default 100.0
        Regularization, > 0. Typical: 10 to 1000; less for very sparse data.
    n_neighbors : int, default 200
        The number of other items from which an item is predicted, >= 1. Typical: 50 to 400; more is more accurate up to
        what `EASE` reaches, or beyond that on sparse data.
    dropout : float, default 0.0
        In [0, 1): the weights are those that predict best when every item of a history is left out with this
        probability (EDLAE), so that popular items are penalized more. Typical: 0.2 to 0.7, with a smaller `reg`.
    user_power : float, default 0.2
        As of `EDLAE`: above 0 active users have less weight, and the nearest items are those by their weighted rows.
        Typical: 0 to 0.5.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is the same for every value.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        B, with at most n_neighbors values in a column, of either sign.

    Notes
    -----
    O(sum over users of n_u^2 + n_items n_neighbors^3 + n_neighbors n_pairs) time. Memory: 8 bytes for each of the
    n_pairs pairs of items with a user in common, and 24 n_items n_neighbors bytes; the first is at most 4 n_items^2
    bytes, as `EASE` always needs. Of equally near items the more popular are taken, also where fewer than n_neighbors
    have a user in common with an item: weights of these are 0 or less.

    References
    ----------
    Steck (2019), "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375; sparse: Steck (2019), "Markov
    random fields for collaborative filtering", arXiv:1910.09645, sec. 3; dropout: Steck (2020), "Autoencoders that
    don't overfit towards the identity", sec. 3.

    Examples
    --------
    >>> from lrrec import Interactions, SparseEASE
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> SparseEASE(reg=1, n_neighbors=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "reg": (10.0, 1000.0, "log"), "n_neighbors": (50, 400, "log"), "dropout": (0.0, 0.7),
        "user_power": (0.0, 0.5),
    }  # fmt: skip

    _csr_values = "signed"

    def __init__(
        self, reg: float = 100.0, *, n_neighbors: int = 200, dropout: float = 0.0, user_power: float = 0.2,
        n_threads: int | None = None,
    ) -> None:  # fmt: skip
        self.reg = reg
        self.n_neighbors = n_neighbors
        self.dropout = dropout
        self.user_power = user_power
        self.n_threads = n_threads

    def _fit(self, matrix: sp.csr_array) -> None:
        reg = check_real(self.reg, "reg", low=0, open_low=True)
        k = check_int(self.n_neighbors, "n_neighbors", low=1)
        check_finite(column_norms(matrix), "norms of the items")
        dropout = check_real(self.dropout, "dropout", low=0, high=1, open_high=True)
        matrix = with_weighted_rows(matrix, check_real(self.user_power, "user_power", low=0))
        self.item_weights_ = support_ridge(matrix, k, reg, dropout / (1 - dropout), n_threads=self.n_threads)
