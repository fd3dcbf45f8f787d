"""iALS: matrix factorization of implicit feedback by alternating least squares."""

import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from tqdm.auto import tqdm

from lrrec.errors import ParameterTypeError
from lrrec.factor_model import FactorModel
from lrrec.linalg.als import SOLVERS, implicit_loss, solve_rows
from lrrec.validate import check_int, check_option, check_real, check_rng, check_threads

Callback = Callable[[int, float, float], Any]


class IALS(FactorModel):
    """Implicit-feedback ALS: every cell counts, the observed ones more.

    Minimises, with a = unobserved_weight, nu = reg_exponent and n_u, n_i the numbers of observed entries,

        sum_{(u,i) observed} w_ui (x_u . y_i - 1)^2  +  a sum_{u,i} (x_u . y_i)^2
        + reg [ sum_u (n_u + a n_items)^nu |x_u|^2  +  sum_i (n_i + a n_users)^nu |y_i|^2 ]

    where w_ui is the value of an interaction; use `Interactions.implicit()` for weight 1.

    Parameters
    ----------
    n_factors : int, default 64
        Rank of the model. Typical: 32 to 512; more needs more regularization or data.
    unobserved_weight : float, default 0.1
        Weight a > 0 of all cells, the unobserved among them. Typical: 0.01 (large sparse catalogues) to 1. It
        matters most, together with `reg`: tune both.
    reg : float, default 0.005
        Regularization, > 0. Typical: 0.0005 to 0.05.
    reg_exponent : float, default 1.0
        nu: 1 scales a row's regularization by its frequency, 0 treats all rows alike.
    n_iter : int, default 16
        Sweeps over users and items.
    solver : {"cg", "cholesky"}, default "cg"
        How the sweeps solve a row: a few preconditioned conjugate-gradient steps, or exactly. Fold-in, and the
        user factors that are kept, are always exact.
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
    side; "cholesky" costs O(N D^2 + (U + I) D^3). The user factors are solved once more, exactly, after the last
    sweep, so that folding a training user in gives his own row.

    References
    ----------
    Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets"; Rendle, Krichene, Zhang &
    Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", arXiv:2110.14037, eq. 4.

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
        unobserved_weight: float = 0.1,
        reg: float = 0.005,
        reg_exponent: float = 1.0,
        n_iter: int = 16,
        solver: str = "cg",
        init_scale: float = 0.1,
        random_state: Any = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.unobserved_weight = unobserved_weight
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.n_iter = n_iter
        self.solver = solver
        self.init_scale = init_scale
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: None = None, *, callback: Callback | None = None, progress: bool = False) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Values are weights >= 0; ids of a raw matrix are its indices.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        callback : callable, optional
            Called as callback(sweep, loss, seconds) after every sweep, from 1, with the objective's value and the
            seconds spent in sweeps. The loss is only computed for it.
        progress : bool, default False
            Show a progress bar, where there is a terminal to show it on.

        Returns
        -------
        self
        """
        data = self._read(X)
        self._fit(data.matrix, callback=callback, progress=progress)
        return self._remember(data)

    def _fit(self, matrix: sp.csr_array, *, callback: Callback | None = None, progress: bool = False) -> None:
        n_factors = check_int(self.n_factors, "n_factors", low=1)
        check_option(self.solver, "solver", SOLVERS)
        init_scale = check_real(self.init_scale, "init_scale", low=0, open_low=True)
        n_iter = check_int(self.n_iter, "n_iter", low=1)
        objective = self._objective()
        rng = check_rng(self.random_state)
        if callback is not None and not callable(callback):
            raise ParameterTypeError(f"callback must be callable, got {callback!r}")

        transposed = matrix.T.tocsr()
        V = rng.standard_normal((matrix.shape[1], n_factors), dtype=np.float32)
        V *= init_scale / np.sqrt(n_factors)
        V[np.diff(transposed.indptr) == 0] = 0
        U = np.zeros((matrix.shape[0], n_factors), dtype=np.float32)
        spent = 0.0
        for sweep in tqdm(range(1, n_iter + 1), desc="IALS", unit="sweep", disable=None if progress else True):
            begun = time.perf_counter()
            U = solve_rows(matrix, V, solver=self.solver, start=U, **objective)
            V = solve_rows(transposed, U, solver=self.solver, start=V, **objective)
            spent += time.perf_counter() - begun
            if callback is not None:
                measured = {name: value for name, value in objective.items() if name != "n_threads"}
                callback(sweep, implicit_loss(matrix, U, V, **measured), spent)
        self.item_factors_ = V
        self.user_factors_ = self._encode(matrix)

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return solve_rows(matrix, self.item_factors_, solver="cholesky", **self._objective())

    def _objective(self) -> dict[str, Any]:
        """The checked parameters of the objective, and the threads to lower it on."""
        return {
            "unobserved_weight": check_real(self.unobserved_weight, "unobserved_weight", low=0, open_low=True),
            "reg": check_real(self.reg, "reg", low=0, open_low=True),
            "reg_exponent": check_real(self.reg_exponent, "reg_exponent", low=0),
            "n_threads": check_threads(self.n_threads),
        }
