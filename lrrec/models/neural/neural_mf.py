"""NeuralMF: neural matrix factorization with an item tower and a user tower over histories."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.data.features import FeaturesLike
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, ParameterTypeError
from lrrec.models.base.auto_params import NOT_AUTO
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.base.feature_model import FeatureModel, check_features, encoder_of
from lrrec.models.base.iterative import Callback, IterativeModel, Monitor, Scorer
from lrrec.models.ials import IALS
from lrrec.models.neural.encoder import encode, shares
from lrrec.models.neural.feature_map import add_intercept, feature_map
from lrrec.models.neural.initialization import check_init, initial_arrays
from lrrec.models.neural.new_items import place_new_items
from lrrec.splits import Split
from lrrec.typing import MatrixLike, PathLike, RandomState
from lrrec.validate import as_path, check_int, check_option, check_real, check_rng, import_extra

OF_IALS = 3.0  # unobserved_weight, of that of an IALS
LOSSES = ("squared", "softmax", "bpr", "sampled-softmax", "ratings")
PRECISIONS = ("float32", "bfloat16")
INITS = ("ials", "random")


class NeuralMF(FeatureModel, EncoderModel, IterativeModel):
    """Neural matrix factorization: u = h(weighted mean of the history's item vectors), score = u . v_i + b_i.

    Users are encoded from their history: x_u = sum_i (w_ui - m_i) e_i / |w_u| over its items, with m = 0 except for
    ratings, then u = x_u + W2 relu(W1 x_u + c1) + c2. New users need no parameters. Training needs torch; the fitted
    model consists of numpy arrays and needs none.

    Parameters
    ----------
    n_factors : int, default 256
        Length of the item vectors, without the bias. Typical: 64 to 512; the time of a fit grows with it.
    n_hidden : int, default 256
        Width of the hidden layer; 0 for none, so that u = x_u.
    loss : {"squared", "softmax", "bpr", "sampled-softmax", "ratings"}, default "squared"
        A user's loss. "squared": the objective of `IALS`, all unobserved cells included,
        sum_observed w_ui (s_ui - 1)^2 + a sum_all s_ui^2. "softmax": multinomial likelihood over the catalogue,
        - sum_observed w_ui log softmax(s_u)_i. "bpr": each interaction ranked above a random item. "sampled-softmax":
        softmax over negatives drawn by popularity^0.75 for each batch, with the sampling-bias correction and without
        the user's own items among the negatives; for large catalogues. "ratings": sum_observed (s_ui - r_ui)^2, where
        values are ratings.
    unobserved_weight : float or "auto", default "auto"
        a of "squared". Typical: 0.03 (large sparse catalogues) to 2, times the mean weight of a like. "auto" is three
        times that of `IALS`, as half of a history is dropped out, but at most the mean weight of a like.
    n_negatives : int, default 1000
        Negatives of "sampled-softmax" for each batch.
    dropout : float in [0, 0.99], default 0.5
        The share of a history that is dropped out in training.
    hidden_dropout : float in [0, 0.99], default 0.5
        The share of the hidden layer that is dropped out in training.
    init : {"ials", "random"}, default "ials"
        How the towers are initialized: from an internal `IALS` of the same n_factors, which is then fine-tuned, or at
        random. "ials" is better with every loss but "ratings", which is always initialized at random. A fitted model
        is an argument of `fit`, because `sklearn.base.clone` would return it unfitted.
    init_reg : float or "auto", default "auto"
        reg of the internal IALS. Typical: 0.001 to 0.1.
    init_unobserved_weight : float or "auto", default "auto"
        unobserved_weight of the internal IALS. Typical: 0.01 to 1.
    n_epochs : int, default 10
        Passes over the users, at most. Typical: 10; 40 with init="random", "bpr" or "sampled-softmax".
    batch_size : int, default 256
        Users in a batch, at most: small data are cut into eight batches, of at least 16 users.
    learning_rate : float, default 0.001
        The peak: it rises during the first twentieth of all steps, then falls along a cosine. Typical: 0.001; 0.003 to
        0.01 with init="random".
    weight_decay : float, default 0.01
        Of AdamW, on all parameters but biases.
    max_grad_norm : float, default 5.0
        Gradients are clipped to this norm.
    precision : {"float32", "bfloat16"}, default "float32"
        Of matrix products in training; weights, sums and the fitted arrays are float32. With "bfloat16" an epoch of a
        dense loss takes half the time on processors with such products (AVX512-BF16, AMX, GPUs), and longer on others.
    device : str, default "cpu"
        Where torch trains, e.g. "cuda".
    random_state : int, Generator or None, default None

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of float32, shapes (n_users, n_factors + 1), (n_items, n_factors + 1)
        The towers' outputs; the last columns are 1 and the item's bias.
    embedding_ : ndarray of float32, shape (n_items, n_factors)
        e, the item vectors that histories are averaged from.
    hidden_, hidden_bias_, output_, output_bias_ : ndarray of float32
        W1 (n_factors, n_hidden), c1, W2 (n_hidden, n_factors), c2.
    center_ : ndarray of float32, shape (n_items,)
        m: damped item means for "ratings", 0 otherwise.
    projection_ : ndarray of float32, shape (n_factors + 1, n_columns)
        Applied to (u, 1) last: the identity, except in compressed models.
    feature_map_ : ndarray of float32, shape (n_features + 1, 2 n_factors + 1)
        From an item's features and 1 to its factors and e, by ridge regression; no rows without item features.
    feature_names_ : IdMap
        The names of the item features: the columns of a frame, else their numbers.
    unobserved_weight_ : ndarray of float64, shape (1,)
        The number chosen for "auto"; empty without it.
    history_ : list of dict
        For each epoch: iteration, loss (the mean over users), seconds (since the start), score (None without
        validation) and learning_rate.

    References
    ----------
    Liang et al. (2018), "Variational autoencoders for collaborative filtering" (multinomial likelihood, input dropout);
    Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations" (two towers, the
    correction); Hu, Koren & Volinsky (2008), eq. 3 (the squared loss).

    Notes
    -----
    An epoch costs O(n_users n_items D) for "softmax" and for dense data, and O(N D) for the others, N interactions.
    Equal seeds give equal results on one CPU.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> model = lrrec.NeuralMF(n_factors=8, n_hidden=16, n_epochs=1, random_state=0).fit(data)
    >>> model.item_factors_.shape
    (319, 9)
    >>> new = lrrec.Interactions.from_pairs(["new user"], data.items.ids[:1])
    >>> model.recommend_from(new, k=3).items.shape
    (1, 3)
    """

    embedding_: np.ndarray
    center_: np.ndarray
    projection_: np.ndarray
    feature_map_: np.ndarray
    history_: list[dict[str, Any]]
    unobserved_weight_: np.ndarray = NOT_AUTO

    _auto: ClassVar[dict[str, tuple[float, float]]] = {"unobserved_weight": (0.0, float(np.finfo(np.float64).max))}
    iteration_parameter = "n_epochs"
    tuning_space: ClassVar[dict[str, Any] | None] = {
        "n_factors": [32, 64, 128, 256], "init_unobserved_weight": (0.01, 1.0, "log"), "init_reg": (0.001, 0.1, "log"),
        "unobserved_weight": (0.05, 3.0, "log"), "learning_rate": (0.0003, 0.003, "log"),
    }  # fmt: skip

    _encoder_arrays = ("embedding_", "hidden_", "hidden_bias_", "output_", "output_bias_", "center_", "projection_")
    _arrays_of_items = ("embedding_", "center_")
    _learned = (*FactorModel._learned, *_encoder_arrays, "feature_map_", "unobserved_weight_")
    _learned_ids = ("feature_names_",)

    def __init__(
        self,
        n_factors: int = 256,
        *,
        n_hidden: int = 256,
        loss: str = "squared",
        unobserved_weight: float | str = "auto",
        n_negatives: int = 1000,
        dropout: float = 0.5,
        hidden_dropout: float = 0.5,
        init: str = "ials",
        init_reg: float | str = "auto",
        init_unobserved_weight: float | str = "auto",
        n_epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 0.001,
        weight_decay: float = 0.01,
        max_grad_norm: float = 5.0,
        precision: str = "float32",
        device: str = "cpu",
        random_state: RandomState = None,
    ) -> None:
        self.n_factors = n_factors
        self.n_hidden = n_hidden
        self.loss = loss
        self.unobserved_weight = unobserved_weight
        self.n_negatives = n_negatives
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
        self.init = init
        self.init_reg = init_reg
        self.init_unobserved_weight = init_unobserved_weight
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.precision = precision
        self.device = device
        self.random_state = random_state

    def fit(
        self,
        X: Interactions | MatrixLike,
        y: None = None,
        *,
        validation: Split | None = None,
        scorer: Scorer | None = None,
        patience: int = 5,
        callback: Callback | None = None,
        progress: bool = False,
        item_features: FeaturesLike | None = None,
        init: FactorModel | None = None,
        checkpoint: PathLike | None = None,
    ) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X, y, validation, scorer, patience, callback, progress
            As for `IALS.fit`; an iteration is an epoch.
        item_features : pandas frame, or sparse matrix or array of shape (n_items, n_features), optional
            A row for each item of X: of a frame with its id in the index, else in the order of `X.items`. A linear map
            of them is added to both vectors of an item; see `with_items` for items with features alone.
        init : FactorModel, optional
            A fitted model of the same users and items to initialize from, instead of the parameter `init`: a NeuralMF
            of the same sizes, or another model of n_factors columns such as `IALS` or `TruncatedSVD`. Of the latter, e
            is the map of its item factors whose means over histories are nearest to its user factors.
        checkpoint : path, optional
            File of the training state, written after every epoch. If it exists, a fit of the same model to the same
            data resumes from it, with identical results. It is removed when the fit ends.

        Returns
        -------
        self

        Raises
        ------
        MissingDependencyError
            If torch is not installed.
        DataError
            If the loss becomes NaN or infinite; the model of the last good epoch is kept.
        FileFormatError
            If the checkpoint is of another model or other data.
        """
        data = self._read(X)
        self._check_parameters()
        seed = int(check_rng(self.random_state).integers(2**63))
        monitor = Monitor(self, data, validation, scorer, patience, callback, progress=progress)
        if init is not None:
            check_init(init, self, data)
        features, names = check_features(item_features, data.items)
        import_extra("lrrec.models.neural.torch_import", "torch", "NeuralMF.fit()", package="torch")
        resumes = checkpoint is not None and as_path(checkpoint, "checkpoint").exists()
        if init is None and self.init == "ials" and self.loss != "ratings" and not resumes:
            init = self._initial_model(seed % 2**32).fit(data, progress=progress)
        arrays = {} if init is None else initial_arrays(init, self, data.matrix)
        return self._fit_iterations(
            monitor, seed=seed, init=arrays, features=features, names=names, checkpoint=checkpoint,
            encoder=encoder_of(item_features),
        )  # fmt: skip

    def _initial_model(self, seed: int) -> IALS:
        weight, reg = self.init_unobserved_weight, self.init_reg
        return IALS(self.n_factors, unobserved_weight=weight, reg=reg, random_state=seed)

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        initial = IALS()
        return min(OF_IALS * initial._rule(name, matrix), initial._mean_weight(matrix))

    def _chosen_params(self, matrix: sp.csr_array) -> dict[str, Any]:
        initial = self._initial_model(0)
        autos = [name for name in ("reg", "unobserved_weight") if self._is_auto(f"init_{name}")]
        return super()._chosen_params(matrix) | {f"init_{name}": initial._rule(name, matrix) for name in autos}

    def _check_parameters(self) -> None:
        for name, low in (("n_factors", 1), ("n_hidden", 0), ("n_negatives", 1), ("n_epochs", 1), ("batch_size", 1)):
            check_int(getattr(self, name), name, low=low)
        for name, options in (("loss", LOSSES), ("init", INITS), ("precision", PRECISIONS)):
            check_option(getattr(self, name), name, options)
        for name in ("dropout", "hidden_dropout"):
            check_real(getattr(self, name), name, low=0, high=0.99)
        for name in ("learning_rate", "max_grad_norm"):
            check_real(getattr(self, name), name, low=0, open_low=True)
        for name in ("unobserved_weight", "init_unobserved_weight", "init_reg"):
            if not self._is_auto(name):
                self._number(name, low=0, open_low=True)
        check_real(self.weight_decay, "weight_decay", low=0)
        if not isinstance(self.device, str):
            raise ParameterTypeError(f"device must be a name such as 'cpu', got {self.device!r}")

    def _iterate(self, matrix: sp.csr_array, monitor: Monitor, **options: Any) -> None:
        from lrrec.models.neural.training import train

        del options["names"], options["encoder"]  # training knows features by number
        chosen = copy(self)
        chosen._choose(matrix)
        train(chosen, matrix, monitor, **options)

    def _fitted(self, arrays: Mapping[str, np.ndarray], data: Interactions, *, encode_users: bool = True) -> Self:
        whole = {**arrays, "projection_": np.eye(self.n_factors + 1, dtype=np.float32)}
        return super()._fitted(whole, data, encode_users=encode_users)

    def _finished(self, monitor: Monitor, **options: Any) -> Self:
        finished = super()._finished(monitor)
        vectors = np.concatenate((finished.item_factors_, finished.embedding_), axis=1)
        finished.feature_map_ = feature_map(options["features"], vectors, finished.item_counts_ > 0)
        if len(finished.feature_map_):
            finished.item_evidence_ = np.ones(len(finished.items_), dtype=bool)
        finished.feature_names_, finished.feature_encoder_ = options["names"], options["encoder"]
        finished.history_ = monitor.history
        return finished

    def _encode_by(self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array) -> np.ndarray:
        return encode(matrix, arrays)

    def _shares_by(
        self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array, item_factors: np.ndarray
    ) -> tuple[np.ndarray, dict[str, float]]:
        return shares(matrix, arrays, item_factors)

    @property
    def _predicts_ratings(self) -> bool:
        return check_option(self.loss, "loss", LOSSES) == "ratings"

    def _predict_baseline(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The score of an empty history, and of the average of the rated items."""
        if not self._predicts_ratings:
            return super()._predict_baseline(rows, columns)
        nobody = self._encode(sp.csr_array((1, len(self.items_)), dtype=np.float32))
        average = np.average(self.item_factors_, axis=0, weights=self.item_counts_)
        U, V = np.repeat(nobody, len(rows), axis=0), np.tile(average, (len(rows), 1))
        U[rows >= 0] = self.user_factors_[rows[rows >= 0]]
        V[columns >= 0] = self.item_factors_[columns[columns >= 0]]
        return np.einsum("nd,nd->n", U, V).astype(np.float32)

    def _check_grows(self) -> None:
        if self._n_columns != self.n_factors + 1:
            raise DataError("a compressed NeuralMF cannot take new items: add them before compress()")

    def _update(self, data: Interactions, users: np.ndarray, items: np.ndarray) -> None:
        """Place new items by the users who chose them, and encode these users."""
        self._check_items(data)
        matrix, (n_users, n_items) = data.matrix, self.seen_.shape
        U = np.pad(self.user_factors_, ((0, data.n_users - n_users), (0, 0)))
        if data.n_items > n_items:
            self._check_grows()
            U[users] = self._encode(matrix[users][:, :n_items])
            vectors = np.concatenate((self.item_factors_, self.embedding_), axis=1)
            weight = self._number("unobserved_weight") if self.loss == "squared" else None
            self._append_vectors(place_new_items(matrix, U, vectors, self.item_counts_ > 0, weight))
        evidence = np.pad(self.item_evidence_, (0, data.n_items - n_items), constant_values=True)
        self._remember(data, item_evidence=evidence)
        U[users] = self._encode(matrix[users])
        self.user_factors_ = U

    def _described(self) -> np.ndarray:
        return np.ones(len(self.item_factors_), dtype=bool)

    def _append(self, features: sp.csr_array | np.ndarray) -> None:
        self._append_vectors(add_intercept(features) @ self.feature_map_)

    def _append_vectors(self, vectors: np.ndarray) -> None:
        """Append new items with these factors and vectors of the encoder side by side."""
        vectors, cut = vectors.astype(np.float32), self.n_factors + 1
        center = np.full(len(vectors), self.center_.mean(), dtype=np.float32)
        for name, rows in (("item_factors_", vectors[:, :cut]), ("embedding_", vectors[:, cut:]), ("center_", center)):
            setattr(self, name, np.concatenate((getattr(self, name), rows)))

    def _new_item_factors(self) -> np.ndarray:
        """Zeros, and the lower quartile of the items' biases."""
        factors = np.zeros(self._n_columns, dtype=np.float32)
        factors[-1] = np.quantile(self.item_factors_[self.item_counts_ > 0, -1], 0.25)
        return factors

    def compress(self, n_factors: int) -> Self:
        """Return a model of fewer columns whose scores are nearest to this one's; see `FactorModel.compress`."""
        model = super().compress(n_factors)
        model.set_params(n_factors=self.n_factors)
        for name in (*self._encoder_arrays, "feature_map_", "feature_names_", "feature_encoder_"):
            setattr(model, name, getattr(self, name))
        U, small = self.user_factors_.astype(np.float64), model.user_factors_.astype(np.float64)
        model.projection_ = (self.projection_ @ np.linalg.lstsq(U, small, rcond=None)[0]).astype(np.float32)
        return model

    @property
    def _n_columns(self) -> int:
        return self.projection_.shape[1] if hasattr(self, "projection_") else self.n_factors + 1

    def _check_loaded(self, path: str | PathLike) -> None:
        D, H, n_items = self.n_factors, self.n_hidden, len(self.items_)
        shapes = {
            "embedding_": (n_items, D), "hidden_": (D, H), "hidden_bias_": (H,), "output_": (H, D),
            "output_bias_": (D,), "center_": (n_items,), "projection_": (D + 1, self._n_columns),
            "feature_map_": (len(self.feature_names_) + 1 if len(self.feature_names_) else 0, 2 * D + 1),
        }  # fmt: skip
        for name, shape in shapes.items():
            self._check_array(path, name, shape)
        super()._check_loaded(path)
