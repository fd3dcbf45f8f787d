"""iALS: matrix factorization of implicit feedback by alternating least squares."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.data.features import FeaturesLike
from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterError, ParameterTypeError
from lrrec.linalg.alternation import Alternation, Side
from lrrec.linalg.implicit_als import SOLVERS, excess_loss, implicit_loss, solve_rows
from lrrec.linalg.spectral_start import spectral_start
from lrrec.models.base.alternating_model import AlternatingModel
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.feature_model import FeatureModel, check_features, encoder_of
from lrrec.models.base.implicit_objective import ImplicitObjective, likes_of
from lrrec.models.base.iterative import Callback, Monitor, Scorer
from lrrec.models.base.one_fit import of_one_fit
from lrrec.models.base.user_features import NO_MAP, UserFeatures
from lrrec.splits import Split
from lrrec.typing import MatrixLike, PathLike, RandomState
from lrrec.validate import check_int, check_option, check_real, check_rng, check_threads

CONVERGED = 200  # steps at most for a row that is improved until it has converged
EXACT_STEPS = 20  # of conjugate gradients for items with features where solver="cholesky"


class IALS(FeatureModel, ImplicitObjective, UserFeatures, AlternatingModel):
    """Implicit-feedback ALS: all pairs enter the loss, the observed ones with more weight; dislikes are possible.

    Minimises, with a = unobserved_weight, nu = reg_exponent, and n_u and n_i the sums of the w of a user and an item in
    "rendle", the numbers of their observed entries in "hu",

        "rendle"  sum_{(u,i) observed} w_ui (x_u . y_i - p_ui)^2  +  a sum_{u,i} (x_u . y_i)^2
                  + reg [ sum_u (n_u + a n_items)^nu |x_u|^2  +  sum_i (n_i + a n_users)^nu |y_i|^2 ]

        "hu"      sum_{u,i} c_ui (x_u . y_i - p_ui)^2  +  reg [ sum_u n_u^nu |x_u|^2  +  sum_i n_i^nu |y_i|^2 ]

    where w = alpha * |value|; the preference p is 1 where a value > 0 is observed and 0 elsewhere; c is
    1 + alpha * |value| (or alpha * |value|) where observed and 1 elsewhere. A negative value is a dislike, a confident
    zero (as in the library implicit). Use `Interactions.binarize()` for values of 1 and without dislikes.

    With features f_i of items (`fit(X, item_features=)`), an item's factors are y_i = W^T f_i + c_i, and the penalty
    falls on its own part c_i instead of y_i, and on the map W: an item with few interactions is what its features say,
    and one with many has what they cannot say. Items without an interaction are placed by their features alone.
    Features of users, x_u = A^T g_u + r_u, do the same for users.

    Parameters
    ----------
    n_factors : int, default 128
        Rank of the model. Typical: 32 to 512; more needs more regularization or data.
    objective : {"rendle", "hu"}, default "rendle"
        Which of the two objectives.
    unobserved_weight : float or "auto", default "auto"
        Weight a > 0 of every pair, observed or not; "hu" does not use it (there it is 1). Typical: 0.01 (large sparse
        catalogues) to 1, times the mean weight of a like. It matters most, together with `reg`: tune both. "auto" is
        four times the mean, over observed pairs, of the share of users who have the pair's item, at most 1, times the
        mean weight of a like.
    alpha : float, default 1.0
        Weight of a value. With "hu" typically 1 to 40.
    confidence : {"1 + alpha r", "alpha r"}, default "1 + alpha r"
        Confidence c of an observed value r with "hu": as in the paper, or as in the library implicit.
    reg : float or "auto", default "auto"
        Regularization, > 0. Typical: 0.0005 to 0.05. "auto" keeps out what may be noise. With N likes of U users and I
        items, a user with N / U likes has the penalty sqrt(a) times three quarters of sqrt(N / U) + sqrt(N / I), about
        the largest singular value of noise; at most half of the largest norm of a row or column, as for `TruncatedSVD`.
        Values count in units of their mean. It is at least 0.005, which large sparse data have, and "hu".
    reg_exponent : float, default 1.0
        nu: 1 scales a row's regularization by its frequency (with "hu": as Spark does), 0 makes it the same for all
        rows (as implicit does).
    feature_reg : float, default 1.0
        Penalty of the maps W and A from features, > 0, in units of the mean of an item's penalty times |f_i|^2: 1 where
        the features are expected to explain as much of an item as they leave. Typical: 0.3 to 10.
    n_iter : int, default 16
        Iterations, at most; one solves all users, then all items.
    solver : {"cg", "cholesky"}, default "cg"
        How an iteration solves a row: a few preconditioned conjugate-gradient steps, or exactly. Fold-in and the final
        user factors are always exact.
    cg_steps : int, default 2
        Steps of "cg" for a row in each iteration. Items with features are solved together with W, by twice as many
        steps ("cholesky": 20).
    init : {"random", "spectral"}, default "random"
        Initial item factors: independent normal numbers, or directions that the interactions span, for about the time
        of half an iteration. With many factors (128 or more) "spectral" reaches the same loss in about two thirds of
        the iterations. After 2 to 4 iterations its lists are better on sparse data and worse on dense data (MovieLens);
        after 16 they are no different.
    init_scale : float, default 0.1
        Initial factors have the mean square (init_scale / sqrt(n_factors))^2.
    random_state : int, Generator or None, default None
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
        Rows of users without an interaction are 0.
    item_factors_ : ndarray of float32, shape (n_items, n_factors)
    feature_map_ : ndarray of float32, shape (n_features, n_factors)
        W; no rows without item features.
    feature_names_ : IdMap
        The names of the item features: the columns of a frame, else their numbers.
    feature_encoder_ : FeatureEncoder or None
        The encoder that made the item features, where it is known.
    unobserved_weight_, reg_ : ndarray of float64, shape (1,)
        The numbers chosen for "auto"; empty without it.
    user_feature_map_, user_feature_names_, user_feature_encoder_
        The same for users.
    users_, items_ : IdMap
    seen_ : csr_array
        The training matrix.

    Notes
    -----
    An iteration costs O(N D) for N interactions and D factors with "cg", plus O((U + I) D^2) for one change of basis a
    side; "cholesky" costs O(N D^2 + (U + I) D^3) at most. Item features with F nonzeros add O((N + F) D) for each of
    their steps. The user factors are solved once more, exactly, after the last iteration, so that folding in a training
    user gives their own row. Memory: the matrix in both orientations, the factors twice, and buffers of a few MB a
    thread.

    References
    ----------
    Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", eq. 3; Rendle, Krichene,
    Zhang & Koren (2021), "Revisiting the performance of iALS on item recommendation benchmarks", arXiv:2110.14037,
    eq. 4. Features: Agarwal & Chen (2009), "Regression-based latent factor models", the linear case.

    Examples
    --------
    >>> from lrrec import IALS, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> model = IALS(n_factors=2, random_state=0).fit(train)
    >>> model.recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    _values = "signed"
    tuning_space: ClassVar[dict[str, Any] | None] = {
        "n_factors": [8, 16, 32, 64, 128, 256], "unobserved_weight": (0.002, 1.0, "log"), "reg": (0.001, 0.1, "log"),
    }  # fmt: skip

    feature_tuning_space: ClassVar[dict[str, Any]] = {"feature_reg": (0.1, 10.0, "log")}

    feature_map_: np.ndarray = NO_MAP
    _learned = (*FactorModel._learned, "feature_map_", "user_feature_map_", "unobserved_weight_", "reg_")
    _learned_ids = ("feature_names_", "user_feature_names_")
    _learned_encoders = ("feature_encoder_", "user_feature_encoder_")

    def __init__(
        self,
        n_factors: int = 128,
        *,
        objective: str = "rendle",
        unobserved_weight: float | str = "auto",
        alpha: float = 1.0,
        confidence: str = "1 + alpha r",
        reg: float | str = "auto",
        reg_exponent: float = 1.0,
        feature_reg: float = 1.0,
        n_iter: int = 16,
        solver: str = "cg",
        cg_steps: int = 2,
        init: str = "random",
        init_scale: float = 0.1,
        random_state: RandomState = None,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.objective = objective
        self.unobserved_weight = unobserved_weight
        self.alpha = alpha
        self.confidence = confidence
        self.reg = reg
        self.reg_exponent = reg_exponent
        self.feature_reg = feature_reg
        self.n_iter = n_iter
        self.solver = solver
        self.cg_steps = cg_steps
        self.init = init
        self.init_scale = init_scale
        self.random_state = random_state
        self.n_threads = n_threads

    def default_tuning_space(self) -> dict[str, Any] | None:
        """Return the space that `lrrec.tune` searches by default; with "hu", over alpha and a higher range of reg."""
        if not self._is_hu:
            return self.tuning_space
        n_factors = (self.tuning_space or {})["n_factors"]
        return {"n_factors": n_factors, "alpha": (0.5, 50.0, "log"), "reg": (0.1, 100.0, "log")}

    def fit(
        self,
        X: Interactions | MatrixLike,
        y: None = None,
        *,
        validation: Split | None = None,
        scorer: Scorer | None = None,
        patience: int = 2,
        callback: Callback | None = None,
        progress: bool = False,
        item_features: FeaturesLike | None = None,
        user_features: FeaturesLike | None = None,
        warm_start: "IALS | None" = None,
    ) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X, y, validation, scorer, patience, callback, progress
            As for `ALS.fit`.
        item_features : Features, frame, or sparse matrix or array of shape (n_items, n_features), optional
            A row for each item of X: by id in `lrrec.features.Features` and in a pandas frame, whose index they are;
            else in the order of `X.items`. Numbers of about the same size in all columns, as
            `lrrec.features.FeatureEncoder` makes them of a table; no column of ones is needed. See `with_items` for
            items that come later.
        user_features : Features, frame, or sparse matrix or array of shape (n_users, n_features), optional
            The same for users: `recommend_from(histories, user_features=)` serves new users by them. They are not used
            when the model is scored on `validation`.
        warm_start : IALS, optional
            A fitted model of as many factors, to begin from instead of random factors: users and items are matched by
            id, others begin at random. After the data have grown, a few iterations are enough.

        Returns
        -------
        self
        """
        data = self._read(X)
        of_users, user_names = check_features(user_features, data.users, name="user_features", unit="user")
        of_items, item_names = check_features(item_features, data.items)
        self._check_start(warm_start, item_names, user_names)
        monitor = Monitor(self, data, validation, scorer, patience, callback, progress=progress)
        return self._fit_iterations(
            monitor, features=(of_users, of_items), names=(user_names, item_names), warm_start=warm_start,
            encoders=(encoder_of(user_features), encoder_of(item_features)),
        )  # fmt: skip

    def _check_start(self, start: Any, item_names: IdMap, user_names: IdMap) -> None:
        """Refuse to begin from what is no fitted model of the same shape."""
        if start is None:
            return
        if not isinstance(start, IALS):
            raise ParameterTypeError(f"warm_start must be a fitted IALS, got {type(start).__name__}")
        start._check_fitted()
        n_factors = check_int(self.n_factors, "n_factors", low=1)
        if start.item_factors_.shape[1] != n_factors:
            raise ParameterError(
                f"warm_start must have {n_factors} factors, as n_factors says, got {start.item_factors_.shape[1]}"
            )
        pairs = ((start.feature_names_, item_names), (start.user_feature_names_, user_names))
        if any(len(theirs) and len(ours) and list(theirs) != list(ours) for theirs, ours in pairs):
            raise DataError("warm_start must have been fitted with the same features, in their order")

    def _iterate(self, matrix: sp.csr_array, monitor: Monitor, **options: Any) -> None:
        n_factors = check_int(self.n_factors, "n_factors", low=1)
        check_option(self.solver, "solver", SOLVERS)
        solver: Any = {"solver": self.solver, "cg_steps": check_int(self.cg_steps, "cg_steps", low=1)}
        n_threads = solver["n_threads"] = check_threads(self.n_threads)
        feature_reg = check_real(self.feature_reg, "feature_reg", low=0, open_low=True)
        chosen = self._unlearned()
        chosen._choose(matrix)
        objective, start, transposed = chosen._objective(), options["warm_start"], matrix.T.tocsr()
        V = self._initial(matrix, transposed, n_factors, n_threads)
        U = np.zeros((matrix.shape[0], n_factors), dtype=np.float32)
        if start is not None:
            _take_over(U, monitor.data.users, start.user_factors_, start.users_)
            _take_over(V, monitor.data.items, start.item_factors_, start.items_)
        losses = chosen._quadratic_loss(matrix), chosen._quadratic_loss(transposed)
        users, items = (
            Side(loss, factors, features, objective, feature_reg, n_threads)
            for loss, factors, features in zip(losses, (U, V), options["features"], strict=True)
        )
        if start is not None:
            for side, known in ((users, start.user_feature_map_), (items, start.feature_map_)):
                if len(side.map) and len(known):
                    side.map[:] = known
        n_steps = 2 * solver["cg_steps"] if self.solver == "cg" else EXACT_STEPS
        both = Alternation(users, items, objective, n_steps, solver)
        for _ in monitor:
            both.sweep()
            arrays = {"item_factors_": items.placed()} | chosen._chosen_arrays()
            if items.prior is not None:
                arrays["feature_map_"] = items.map
            if users.prior is not None:
                arrays["user_feature_map_"] = users.map
            monitor.record(arrays, lambda: both.loss(likes_of(matrix)))

    def _initial(self, matrix: sp.csr_array, transposed: sp.csr_array, n_factors: int, n_threads: int) -> np.ndarray:
        """Item factors to begin from, (n_items, n_factors)."""
        init_scale = check_real(self.init_scale, "init_scale", low=0, open_low=True)
        spectral = check_option(self.init, "init", ("random", "spectral")) == "spectral"
        rng = check_rng(self.random_state)
        V = rng.standard_normal((matrix.shape[1], n_factors), dtype=np.float32)
        if spectral:
            basis = spectral_start(matrix, transposed, V[:, : len(V)], rng, n_threads)
            V[:, : len(V)] = basis * np.float32(np.sqrt(len(V)))
        V *= init_scale / np.sqrt(n_factors)
        return V

    @of_one_fit
    def optimality_gap(self) -> float:
        """Return how much the training objective could fall at most, relative to it, with one side fixed.

        Solving for all users with these item factors, or for all items with these user factors, lowers the objective by
        no more than this share. It is near 0 after many iterations; after `update` it tells what further iterations
        could change (`fit(warm_start=)`). It does not bound what a fit from other initial factors finds.

        Returns
        -------
        float

        Raises
        ------
        DataError
            If the model was fitted with features, which are not stored.

        Notes
        -----
        As much time as an iteration. The bound leaves out what observed entries add to the curvature.
        """
        self._check_fitted()
        self._check_histories("optimality_gap()")
        if self._has_features or self._has_user_features:
            raise DataError("optimality_gap() needs the features that the model was fitted with, which are not stored")
        U, V, objective = self.user_factors_, self.item_factors_, self._objective()
        users = self._quadratic_loss(self.seen_)
        total = implicit_loss(users.weights, U, V, objective, likes_of(self.seen_))
        sides = [(users, U, V), (self._quadratic_loss(self.seen_.T.tocsr()), V, U)]
        excess = max(excess_loss(loss, X, Y, objective, self.n_threads) for loss, X, Y in sides)
        return excess / max(total, float(np.finfo(np.float64).tiny))

    def _finished(self, monitor: Monitor, **options: Any) -> Self:
        finished = super()._finished(monitor)
        (of_users, of_items), (user_names, item_names) = options["features"], options["names"]
        finished.user_feature_encoder_, finished.feature_encoder_ = options["encoders"]
        if of_items is not None:
            finished.feature_names_ = item_names
        if of_users is not None:
            finished.user_feature_names_ = user_names
            means = np.asarray(of_users @ finished.user_feature_map_)
            finished.user_factors_ = finished._encode_toward(monitor.data.matrix, means)
        return finished

    @property
    def _unused_params(self) -> tuple[str, ...]:
        return ("init",) if self._has_features or self._has_user_features else ("init", "feature_reg")

    @property
    def _has_features(self) -> bool:
        return len(self.feature_map_) > 0

    def _described(self) -> np.ndarray:
        return np.any(self.item_factors_, axis=1)

    def _append(self, features: sp.csr_array | np.ndarray) -> None:
        self.item_factors_ = np.concatenate((self.item_factors_, np.asarray(features @ self.feature_map_)))

    def _grown(self) -> Self:
        if len(self.users_) and not self._has_user_features:  # features of users are not stored
            self.user_factors_ = self._encode(self.seen_)
        return self

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        if self._has_user_features:
            raise DataError("update() cannot be used on a model with user features: fit it again, by warm_start=")
        super()._update(data, users, items)

    def _solve_items(self, columns: sp.csr_array, items: np.ndarray, U: np.ndarray) -> None:
        """Items with features keep what their features and interactions said at the fit."""
        if not self._has_features:
            self.item_factors_[items] = self._converged(columns, U, self.item_factors_[items])

    def _improve(self, matrix: sp.csr_array, U: np.ndarray) -> np.ndarray:
        return self._converged(matrix, self.item_factors_, U)

    def _converged(self, matrix: sp.csr_array, Y: np.ndarray, init: np.ndarray) -> np.ndarray:
        """The rows that minimise the objective against Y, by conjugate gradients from rows that are near."""
        return solve_rows(
            self._weights(matrix), Y, self._objective(), solver="cg", init=init, cg_steps=CONVERGED, tolerance=1e-4,
            likes=likes_of(matrix), n_threads=self.n_threads,
        )  # fmt: skip

    def _check_loaded(self, path: PathLike) -> None:
        shape = (len(self.feature_names_), self.n_factors if len(self.feature_names_) else self.feature_map_.shape[1])
        self._check_array(path, "feature_map_", shape)
        super()._check_loaded(path)


def _take_over(rows: np.ndarray, ids: IdMap, known: np.ndarray, known_ids: IdMap) -> None:
    """Set the rows of the ids that are known."""
    places = known_ids.find(ids.ids) if len(known) else np.full(len(rows), -1)
    rows[places >= 0] = known[places[places >= 0]]
