"""EASE: a linear model of all item pairs, in closed form."""

from typing import Any, ClassVar

import scipy.sparse as sp

from lrrec.linalg.item_item_weights import zero_diagonal_ridge
from lrrec.linalg.sparse import co_occurrences
from lrrec.models.base.item_item import ItemItemModel
from lrrec.validate import check_real


class EASE(ItemItemModel):
    """Predict each item from all others by ridge regression with a zero diagonal.

    Minimises |X - X B|_F^2 + reg |B|_F^2 subject to diag(B) = 0; scores are x_u B.

    Parameters
    ----------
    reg : float, default 500.0
        Regularization, > 0. Typical: 100 to 1000; less for very sparse data.
    n_threads : int, optional
        Of `fit`; all cores when None. The result is the same for every value.

    Attributes
    ----------
    item_weights_ : ndarray of float32, shape (n_items, n_items)
        B.

    Notes
    -----
    O(n_items^3) time and n_items^2 float32 numbers of memory, for any number of users: 20,000 items need 1.6 GB and a
    few minutes.

    References
    ----------
    Steck (2019), "Embarrassingly shallow autoencoders for sparse data", arXiv:1905.03375, eq. 8.

    Examples
    --------
    >>> from lrrec import EASE, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> EASE(reg=1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {"reg": (10.0, 10_000.0, "log")}

    _learned = ("item_weights_",)
    _learned_csr = ()

    def __init__(self, reg: float = 500.0, *, n_threads: int | None = None) -> None:
        self.reg = reg
        self.n_threads = n_threads

    def _fit(self, matrix: sp.csr_array) -> None:
        reg = check_real(self.reg, "reg", low=0, open_low=True)
        gram = co_occurrences(matrix, n_threads=self.n_threads)
        self.item_weights_ = zero_diagonal_ridge(gram, reg, n_threads=self.n_threads)
