"""SLIM: sparse linear models of item pairs."""

from typing import Any, ClassVar

import scipy.sparse as sp

from lrrec.linalg.elastic_net import elastic_net_weights
from lrrec.linalg.neighbors import column_norms
from lrrec.models.base.finite import check_finite
from lrrec.models.base.item_item import ItemItemModel
from lrrec.validate import check_bool, check_int, check_real


class SLIM(ItemItemModel):
    """Predict each item from few others: regression with an elastic net, by default with weights >= 0.

    For each item i, with x_i its column of X, minimises over weights w (n_items,)

        1/2 |x_i - X w|^2 + l1_reg |w|_1 + l2_reg / 2 |w|^2    subject to w_i = 0 and, if nonnegative, w >= 0;

    scores are x_u W, with the weights of item i in column i of W.

    Parameters
    ----------
    l1_reg : float, default 1.0
        Penalty on the sum of the weights, >= 0; more makes them sparser. In users: with weights >= 0 and values of 1,
        items with at most l1_reg users in common have no weight. Typical: 0.1 to 30.
    l2_reg : float, default 100.0
        Penalty on their squares, >= 0, as `reg` of `EASE`. Typical: 1 to 1000.
    nonnegative : bool, default True
        Whether weights must be >= 0. Signed ones are more accurate on some data (MovieLens-1M), more in number, and
        take many times longer to fit.
    n_iter : int, default 1000
        Passes of coordinate descent for an item, at most.
    tol : float, default 0.0001
        An item's descent ends when no weight of any other item would move by more than this at a step to the minimum
        along its coordinate, >= 0. Weights are of the order of 1 or less, whatever the scale of the values.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is the same for every value.

    Attributes
    ----------
    item_weights_ : csr_array of float32, shape (n_items, n_items)
        W.

    Notes
    -----
    The descent is on X^T X: dense up to 8,192 items, beyond that 8 bytes for each pair of items with a user in common.
    Besides forming it, in O(sum over users of n_u^2) time, an item takes a few passes over the others and a row of
    X^T X for each of its weights. Without an l1_reg nearly all weights are other than 0: `EASE` has the same minimum
    as l1_reg = 0 with signed weights, and is faster.

    References
    ----------
    Ning & Karypis (2011), "SLIM: Sparse linear methods for top-N recommender systems", eq. 4. Coordinate descent:
    Friedman, Hastie & Tibshirani (2010), "Regularization paths for generalized linear models via coordinate descent",
    sections 2.1 and 2.2.

    Examples
    --------
    >>> from lrrec import SLIM, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> SLIM(l1_reg=0.1, l2_reg=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {"l1_reg": (0.1, 30.0, "log"), "l2_reg": (1.0, 1000.0, "log")}

    _csr_values = "signed"

    def __init__(
        self, l1_reg: float = 1.0, l2_reg: float = 100.0, *, nonnegative: bool = True, n_iter: int = 1000,
        tol: float = 1e-4, n_threads: int | None = None,
    ) -> None:  # fmt: skip
        self.l1_reg = l1_reg
        self.l2_reg = l2_reg
        self.nonnegative = nonnegative
        self.n_iter = n_iter
        self.tol = tol
        self.n_threads = n_threads

    def _fit(self, matrix: sp.csr_array) -> None:
        l1_reg, l2_reg = check_real(self.l1_reg, "l1_reg", low=0), check_real(self.l2_reg, "l2_reg", low=0)
        nonnegative, n_iter = check_bool(self.nonnegative, "nonnegative"), check_int(self.n_iter, "n_iter", low=1)
        tol = check_real(self.tol, "tol", low=0)
        check_finite(column_norms(matrix), "norms of the items")
        self.item_weights_ = elastic_net_weights(
            matrix, l1_reg, l2_reg, nonnegative=nonnegative, n_iter=n_iter, tol=tol, n_threads=self.n_threads
        )
