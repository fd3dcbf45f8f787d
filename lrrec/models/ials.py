"""iALS: matrix factorization of implicit feedback by alternating least squares."""

import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from tqdm.auto import tqdm

from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.linalg.implicit_als import SOLVERS, Objective, half_sweep, implicit_loss, solve_rows
from lrrec.linalg.quadratic import QuadraticLoss
from lrrec.models.base.quadratic_model import QuadraticModel
from lrrec.splits import Split
from lrrec.validate import check_int, check_option, check_real, check_rng, check_threads

Callback = Callable[[int, float, float], Any]


class IALS(QuadraticModel):
    """Implicit-feedback ALS: every cell counts, the observed ones more.

    Minimises, with n_u and n_i the numbers of observed entries, a = unobserved_weight, nu = reg_exponent,

        "rendle"  sum_{(u,i) observed} w_ui (x_u . y_i - 1)^2  +  a sum_{u,i} (x_u . y_i)^2
                  + reg [ sum_u (n_u + a n_items)^nu |x_u|^2  +  sum_i (n_i + a n_users)^nu |y_i|^2 ]

        "hu"      sum_{u,i} c_ui (x_u . y_i - p_ui)^2  +  reg [ sum_u n_u^nu |x_u|^2  +  sum_i n_i^nu |y_i|^2 ]

    where w = alpha * value; p is 1 where observed and 0 elsewhere; c is 1 + alpha * value (or alpha * value) where
    observed and 1 elsewhere. Use `Interactions.binarize()` for values of 1.

    Parameters
    ----------
    n_factors : int, default 64
        Rank of the model. Typical: 32 to 512; more needs more regularization or data.
    objective : {"rendle", "hu"}, default "rendle"
        Which of the two.
    unobserved_weight : float, default 0.1
        Weight a > 0 of all cells, the unobserved among them; "hu" has 1. Typical: 0.01 (large sparse catalogues) to
        1. It matters most, together with `reg`: tune both.
    alpha : float, default 1.0
        Weight of a value. With "hu" typically 1 to 40.
    confidence : {"1 + alpha r", "alpha r"}, default "1 + alpha r"
        Confidence c of an observed value r with "hu": as in the paper, or as in the library implicit.
    reg : float, default 0.005
        Regularization, > 0. Typical: 0.0005 to 0.05.
    reg_exponent : float, default 1.0
        nu: 1 scales a row's regularization by its frequency (with "hu": as Spark does), 0 treats all rows alike (as
        implicit does).
    n_iter : int, default 16
        Sweeps over users and items, at most.
    solver : {"cg", "cholesky"}, default "cg"
        How the sweeps solve a row: a few preconditioned conjugate-gradient steps, or exactly. Fold-in, and the
        user factors that are kept, are always exact.
    cg_steps : int, default 2
        Steps of "cg" a row and sweep.
    init_scale : float, default 0.1
        Initial factors are N(0, (init_scale / sqrt(n_factors))^2).
    random_state : int, Generator or None, default None
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
        Rows of users without an interaction are 0.
    item_factors_ : ndarray of float32, shape (n_items, n_factors)
    users_, items_ : IdMap
    seen_ : csr_array
        The training matrix.

    Notes
    -----
    A sweep costs O(N D) for N interactions and D factors with "cg", plus O((U + I) D^2) for one change of basis a
    side; "cholesky" costs O(N D^2 + (U + I) D^3) at most. The user factors are solved once more, exactly, after the
    last sweep, so that folding a training user in gives his own row. Memory: the matrix in both orientations, the
    factors twice, and buffers of a few MB a thread. Ctrl-C stops between blocks of rows, and leaves the model of the
    last complete sweep where there was one.

    References
    ----------
    Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", eq. 3; Rendle, Krichene,
    Zhang & Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", arXiv:2110.14037,
    eq. 4.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> model.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    def __init__(
        self,
        n_factors: int = 64,
        *,
        objective: str = "rendle",
        unobserved_weight: float = 0.1,
        alpha: float = 1.0,
        confidence: str = "1 + alpha r",
        reg: float = 0.005,
        reg_exponent: float = 1.0,
        n_iter: int = 16,
        solver: str = "cg",
        cg_steps: int = 2,
        init_scale: float = 0.1,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.objective = objective
        self.unobserved_weight = unobserved_weight
        self.alpha = alpha
        self.confidence = confidence
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.n_iter = n_iter
        self.solver = solver
        self.cg_steps = cg_steps
        self.init_scale = init_scale
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        callback: Callback | None = None,
        progress: bool = False,
        validation: Split | None = None,
        patience: int = 2,
    ) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Values are weights >= 0; ids of a raw matrix are its indices.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        callback : callable, optional
            Called as callback(sweep, loss, seconds) after every sweep, from 1, with the objective's value and the
            seconds of fitting so far, callbacks not counted. The loss is only computed for it. If it returns True,
            the fit ends there.
        progress : bool, default False
            Show a progress bar, where there is a terminal to show it on.
        validation : Split, optional
            Of the same items. After every sweep its test interactions are ranked from their histories; the fit ends
            when nDCG@10 has not risen for `patience` sweeps, and the best sweep's factors are kept.
        patience : int, default 2

        Returns
        -------
        self
        """
        data = self._read(X)
        n_factors = check_int(self.n_factors, "n_factors", low=1)
        check_option(self.solver, "solver", SOLVERS)
        options: Any = {"solver": self.solver, "cg_steps": check_int(self.cg_steps, "cg_steps", low=1)}
        options["n_threads"] = check_threads(self.n_threads)
        init_scale = check_real(self.init_scale, "init_scale", low=0, open_low=True)
        n_iter, patience = check_int(self.n_iter, "n_iter", low=1), check_int(patience, "patience", low=1)
        objective, rng = self._objective(), check_rng(self.random_state)
        if callback is not None and not callable(callback):
            raise ParameterTypeError(f"callback must be callable, got {callback!r}")
        if validation is not None and not (isinstance(validation, Split) and validation.items == data.items):
            raise DataError(f"validation must be a Split of the same items as X, got {validation!r}")

        begun = time.perf_counter()
        weights = self._weights(data.matrix)
        transposed = weights.T.tocsr()
        V = rng.standard_normal((data.n_items, n_factors), dtype=np.float32)
        V *= init_scale / np.sqrt(n_factors)
        V[np.diff(transposed.indptr) == 0] = 0
        U = np.zeros((data.n_users, n_factors), dtype=np.float32)
        kept, complete = np.empty_like(V), None
        best, best_sweep, spent = -1.0, 0, 0.0
        try:
            for sweep in tqdm(range(1, n_iter + 1), desc="IALS", unit="sweep", disable=None if progress else True):
                half_sweep(weights, U, V, objective, **options)
                half_sweep(transposed, V, U, objective, **options)
                found = 0.0 if validation is None else self._validate(V, data, validation)
                if validation is None or found > best:
                    np.copyto(kept, V)
                    complete, best, best_sweep = kept, found, sweep
                spent += time.perf_counter() - begun
                if callback is not None and callback(sweep, implicit_loss(weights, U, V, objective), spent) is True:
                    break
                if validation is not None and sweep - best_sweep >= patience:
                    break
                begun = time.perf_counter()
        except KeyboardInterrupt:
            if complete is not None:
                self._keep(complete, weights, data)
            raise
        assert complete is not None  # n_iter >= 1
        return self._keep(complete, weights, data)

    def _keep(self, V: np.ndarray, weights: sp.csr_array, data: Interactions) -> Self:
        """Become the model with item factors V."""
        user_factors = solve_rows(weights, V, self._objective(), n_threads=self.n_threads)
        self.item_factors_, self.user_factors_ = V, user_factors
        return self._remember(data)

    def _validate(self, V: np.ndarray, data: Interactions, validation: Split) -> float:
        """nDCG@10 of the model with item factors V."""
        model = clone(self)
        model.item_factors_, model.user_factors_ = V, np.zeros((data.n_users, V.shape[1]), dtype=np.float32)
        return model._remember(data)._ndcg(validation.history, validation.test)

    def _fold_in(self, matrix: sp.csr_array, V: np.ndarray, reg: float | None) -> np.ndarray:
        return solve_rows(self._weights(matrix), V, self._objective(reg), n_threads=self.n_threads)

    def _quadratic_loss(self, matrix: sp.csr_array) -> QuadraticLoss:
        return self._objective().quadratic_loss(self._weights(matrix))

    def _penalties(self, matrix: sp.csr_array, reg: float | None) -> np.ndarray:
        return self._objective(reg).penalties(matrix)

    def _weights(self, matrix: sp.csr_array) -> sp.csr_array:
        """The weights w of the objective: alpha * value, less 1 with "hu" where c = alpha * value."""
        alpha = check_real(self.alpha, "alpha", low=0, open_low=True)
        less = 1 if self.objective == "hu" and self.confidence == "alpha r" else 0
        if alpha == 1 and not less:
            return matrix
        data = (matrix.data * np.float32(alpha)) - np.float32(less)
        return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def _objective(self, reg: float | None = None) -> Objective:
        """The constants of the objective, checked; with `reg` instead of the model's own where it is passed."""
        hu = check_option(self.objective, "objective", ("rendle", "hu")) == "hu"
        check_option(self.confidence, "confidence", ("1 + alpha r", "alpha r"))
        unobserved_weight = check_real(self.unobserved_weight, "unobserved_weight", low=0, open_low=True)
        return Objective(
            unobserved_weight=1.0 if hu else unobserved_weight,
            reg=check_real(self.reg if reg is None else reg, "reg", low=0, open_low=True),
            reg_exponent=check_real(self.reg_exponent, "reg_exponent", low=0),
            offset=1.0 if hu else 0.0,
            reg_unobserved=not hu,
        )
