"""NeuralMF: two towers and an inner product; the user's tower reads the history."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from lrrec.data.ids import IdMap, as_ids
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, MissingDependencyError, ParameterTypeError
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.ials import IALS
from lrrec.models.neural.encoder import encode
from lrrec.models.neural.item_features import check_features, feature_map, with_one
from lrrec.splits import Split
from lrrec.validate import check_int, check_option, check_real, check_rng, first_three

LOSSES = ("squared", "softmax", "bpr", "sampled-softmax", "ratings")
PRECISIONS = ("float32", "bfloat16")
STARTS = ("ials", "random")


class NeuralMF(FactorModel):
    """Neural matrix factorization: u = h(weighted mean of the history's item vectors), score = u . v_i + b_i.

    A user is what he did: x_u = sum_i (w_ui - m_i) e_i / |w_u| over his history, m = 0 but for ratings, then
    u = x_u + W2 relu(W1 x_u + c1) + c2. New users need no row of their own. Trained in torch; what is fitted is arrays,
    so that recommending, evaluating, saving and loading need no torch.

    Parameters
    ----------
    n_factors : int, default 64
        Length of the item vectors, bias apart. Typical: 32 to 256.
    n_hidden : int, default 256
        Width of the hidden layer; 0 for none, so that u = x_u.
    loss : {"squared", "softmax", "bpr", "sampled-softmax", "ratings"}, default "squared"
        A user's loss. "squared": the objective of `IALS`, all unobserved cells included,
        sum_observed w_ui (s_ui - 1)^2 + a sum_all s_ui^2. "softmax": multinomial likelihood over the catalogue,
        - sum_observed w_ui log softmax(s_u)_i. "bpr": each interaction above one drawn at random. "sampled-softmax":
        over negatives drawn by popularity^0.75 for a batch, corrected for how often they are drawn and not against the
        user's own items; for large catalogues. "ratings": sum_observed (s_ui - r_ui)^2, where values are ratings.
    start : {"ials", "random"}, default "ials"
        What training begins with where `fit` is given no `init`: an `IALS` of the same n_factors, which does better
        with every loss, or noise. "ratings" begins with noise.
    start_unobserved_weight : float, default 0.3
        unobserved_weight of that IALS. Typical: 0.05 to 1.
    start_reg : float, default 0.005
        reg of that IALS. Typical: 0.001 to 0.1.
    unobserved_weight : float, default 1.0
        a of "squared". Typical: three times that of an IALS, as half of a history is hidden; of large sparse catalogues
        0.1, else 0.3 to 2.
    n_negatives : int, default 1000
        Of "sampled-softmax", for a batch.
    dropout : float in [0, 0.99], default 0.5
        The share of a history that is hidden while training.
    hidden_dropout : float in [0, 0.99], default 0.5
        The share of the hidden layer that is left out while training.
    n_epochs : int, default 10
        From noise, and for "bpr" and "sampled-softmax", 40.
    batch_size : int, default 256
        Users at a time, at most: small data are cut into eight batches, down to 16 users.
    learning_rate : float, default 0.001
        The highest; it rises during the first twentieth of all steps and falls along a cosine after that. From noise
        0.003 to 0.01 does better.
    weight_decay : float, default 0.01
        Of AdamW, on all but biases.
    max_grad_norm : float, default 5.0
        Gradients are cut to this length.
    precision : {"float32", "bfloat16"}, default "float32"
        Of the products of training; weights, sums and what is fitted are float32. With "bfloat16" an epoch of a dense
        loss takes half the time on processors that have such products (AVX512-BF16, AMX, GPUs), and more on others.
    device : str, default "cpu"
        Where torch trains, e.g. "cuda".
    random_state : int, Generator or None, default None

    Attributes
    ----------
    user_factors_, item_factors_ : ndarray of float32, shapes (n_users, n_factors + 1), (n_items, n_factors + 1)
        The towers' outputs: the last columns are 1 and the item's bias.
    embedding_ : ndarray of float32, shape (n_items, n_factors)
        e, what a history is made of.
    hidden_, hidden_bias_, output_, output_bias_ : ndarray of float32
        W1 (n_factors, n_hidden), c1, W2 (n_hidden, n_factors), c2.
    center_ : ndarray of float32, shape (n_items,)
        m: damped item means for "ratings", 0 otherwise.
    projection_ : ndarray of float32, shape (n_factors + 1, n_columns)
        Applied to (u, 1) last: the identity, but for compressed models.
    feature_map_ : ndarray of float32, shape (n_features + 1, 2 n_factors + 1)
        From an item's features and 1 to its factors and e, by ridge regression; no rows without item features.
    history_ : list of dict
        Of every epoch: epoch, loss (a user's mean), seconds (of training), learning_rate, and ndcg@10 with a
        validation split.

    References
    ----------
    Liang et al. (2018), "Variational autoencoders for collaborative filtering" (multinomial likelihood, input dropout);
    Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations" (two towers, the
    correction); Hu, Koren & Volinsky (2008), eq. 3 (the squared loss).

    Notes
    -----
    An epoch costs O(n_users n_items D) for "softmax" and for dense data, and O(N D) for the others, N interactions.
    The same for equal seeds on one CPU.
    """

    _encoder_arrays = ("embedding_", "hidden_", "hidden_bias_", "output_", "output_bias_", "center_", "projection_")
    _learned = (*FactorModel._learned, *_encoder_arrays, "feature_map_")

    def __init__(
        self,
        n_factors: int = 64,
        *,
        n_hidden: int = 256,
        loss: str = "squared",
        start: str = "ials",
        start_unobserved_weight: float = 0.3,
        start_reg: float = 0.005,
        unobserved_weight: float = 1.0,
        n_negatives: int = 1000,
        dropout: float = 0.5,
        hidden_dropout: float = 0.5,
        n_epochs: int = 10,
        batch_size: int = 256,
        learning_rate: float = 0.001,
        weight_decay: float = 0.01,
        max_grad_norm: float = 5.0,
        precision: str = "float32",
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.n_factors = n_factors
        self.n_hidden = n_hidden
        self.loss = loss
        self.start = start
        self.start_unobserved_weight = start_unobserved_weight
        self.start_reg = start_reg
        self.unobserved_weight = unobserved_weight
        self.n_negatives = n_negatives
        self.dropout = dropout
        self.hidden_dropout = hidden_dropout
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
        X: Any,
        y: None = None,
        *,
        item_features: Any = None,
        init: FactorModel | None = None,
        validation: Split | None = None,
        patience: int = 5,
        callback: Callable[[dict[str, float]], Any] | None = None,
        progress: bool = False,
        checkpoint: str | PathLike | None = None,
    ) -> Self:
        """Learn from interactions, forgetting any earlier fit.

        Parameters
        ----------
        X : Interactions, or sparse matrix or array of shape (n_users, n_items)
            Values are weights >= 0; ids of a raw matrix are its indices.
        y : None
            Ignored; scikit-learn's pipelines pass it.
        item_features : sparse matrix or array of shape (n_items, n_features), optional
            A row for each item of X, in the order of `X.items`. A linear map of them is added to both of an item's
            vectors; see `with_items` for items that are known by their features alone.
        init : FactorModel, optional
            A fitted model of the same users and items, to start from in the place of `start`: a NeuralMF of the same
            sizes; or another of n_factors columns, such as `IALS` or `TruncatedSVD`, by its item factors and the item
            vectors whose means are nearest to its user factors.
        validation : Split, optional
            Of the same items. After every epoch its test interactions are ranked from their histories; the fit ends
            when nDCG@10 has not risen for `patience` epochs, and the best epoch's towers are kept.
        patience : int, default 5
        callback : callable, optional
            Called with the entry of `history_` after every epoch. If it returns True, the fit ends there.
        progress : bool, default False
            Show a progress bar, where there is a terminal to show it on.
        checkpoint : path, optional
            Where the state of training is kept after every epoch. A fit of the same model to the same data that finds
            it goes on from there, to the same end; it is removed when the fit ends.

        Returns
        -------
        self

        Raises
        ------
        MissingDependencyError
            If torch is not installed.
        DataError
            If the loss becomes NaN or infinite; the model is then that of the last good epoch.
        FileFormatError
            If the checkpoint is of another model or other data.
        """
        data = self._read(X)
        for name, low in (("n_factors", 1), ("n_hidden", 0), ("n_negatives", 1), ("n_epochs", 1), ("batch_size", 1)):
            check_int(getattr(self, name), name, low=low)
        check_int(patience, "patience", low=1)
        check_option(self.loss, "loss", LOSSES)
        check_option(self.start, "start", STARTS)
        check_option(self.precision, "precision", PRECISIONS)
        for name in ("dropout", "hidden_dropout"):
            check_real(getattr(self, name), name, low=0, high=0.99)
        for name in ("start_unobserved_weight", "start_reg", "unobserved_weight", "learning_rate", "max_grad_norm"):
            check_real(getattr(self, name), name, low=0, open_low=True)
        check_real(self.weight_decay, "weight_decay", low=0)
        seed = int(check_rng(self.random_state).integers(2**63))
        if callback is not None and not callable(callback):
            raise ParameterTypeError(f"callback must be callable, got {callback!r}")
        if validation is not None and not (isinstance(validation, Split) and validation.items == data.items):
            raise DataError(f"validation must be a Split of the same items as X, got {validation!r}")
        if init is not None:
            self._check_init(init, data)
        features = check_features(item_features, data.n_items)
        try:
            from lrrec.models.neural.training import train
        except ImportError as error:
            raise MissingDependencyError(
                f"NeuralMF must have torch to be fitted: pip install 'lrrec[torch]' ({error})"
            ) from None

        if init is None and self.start == "ials" and self.loss != "ratings":
            init = self._initial(data, seed, checkpoint, progress=progress)

        def judge(arrays: dict[str, np.ndarray]) -> float:
            assert validation is not None
            return clone(self)._take(arrays, data)._ndcg(validation.history, validation.test)

        trained = train(
            self, data.matrix, seed, init=init, features=features, judge=judge if validation is not None else None,
            patience=patience, callback=callback, progress=progress, checkpoint=checkpoint,
        )  # fmt: skip
        self._take(trained.arrays, data)
        both = np.concatenate((self.item_factors_, self.embedding_), axis=1)
        self.feature_map_ = feature_map(features, both, self.item_counts_ > 0)
        self.user_factors_ = self._encode(data.matrix)
        self.history_ = trained.history
        if trained.error is not None:
            raise trained.error
        return self

    def _initial(
        self, data: Interactions, seed: int, checkpoint: str | PathLike | None, *, progress: bool
    ) -> IALS | None:
        """The model to start from; none where a checkpoint is gone on from."""
        if checkpoint is not None and Path(checkpoint).exists():
            return None
        options: Any = {"unobserved_weight": self.start_unobserved_weight, "reg": self.start_reg}
        return IALS(self.n_factors, random_state=seed % 2**32, **options).fit(data, progress=progress)

    def _check_init(self, init: Any, data: Interactions) -> None:
        if not isinstance(init, FactorModel) or not hasattr(init, "item_factors_"):
            raise ParameterTypeError(f"init must be a fitted factor model, got {type(init).__name__}")
        if init.items_ != data.items or init.users_ != data.users:
            raise DataError("init must be fitted to the same users and items as X")
        if isinstance(init, NeuralMF):
            sizes = (init.n_factors, init.n_hidden), (self.n_factors, self.n_hidden)
            if sizes[0] != sizes[1] or init._n_columns != self.n_factors + 1:
                raise DataError(
                    f"init must have n_factors, n_hidden = {sizes[1]} and not be compressed, got {sizes[0]}"
                )
        elif init.item_factors_.shape[1] != self.n_factors:
            raise DataError(f"init must have n_factors = {self.n_factors} columns, got {init.item_factors_.shape[1]}")

    def _take(self, arrays: dict[str, np.ndarray], data: Interactions) -> Self:
        """Become the model of these arrays, for new users."""
        for name, array in arrays.items():
            setattr(self, name, array)
        self.projection_ = np.eye(self.n_factors + 1, dtype=np.float32)
        return self._remember(data)

    def _encode(self, matrix: sp.csr_array) -> np.ndarray:
        return encode(matrix, {name: getattr(self, name) for name in self._encoder_arrays})

    def with_items(self, items: Any, item_features: Any) -> Self:
        """Return a model that knows further items, by their features alone; no torch is needed.

        Their factors are what `feature_map_` makes of the features. Everything else is as it was.

        Parameters
        ----------
        items : sequence of ids, shape (m,)
            None of them the model's.
        item_features : sparse matrix or array of shape (m, n_features)

        Raises
        ------
        DataError
            If the model was fitted without item features, or knows one of the items.
        """
        self._check_fitted()
        if not len(self.feature_map_):
            raise DataError("with_items must have a model fitted with item_features, got one without")
        if self._n_columns != self.n_factors + 1:
            raise DataError("with_items must come before compress, got a compressed model")
        new = IdMap(as_ids(items, "items"))
        known = self.items_.find(new.ids) >= 0
        if known.any():
            raise DataError(f"items must be new to the model, got {first_three(new.ids[known])}")
        features = check_features(item_features, len(new), len(self.feature_map_) - 1)
        both = (with_one(features) @ self.feature_map_).astype(np.float32)
        model = clone(self)
        for name in self._learned:
            setattr(model, name, getattr(self, name))
        cut = self.n_factors + 1
        model.item_factors_ = np.concatenate((self.item_factors_, both[:, :cut]))
        model.embedding_ = np.concatenate((self.embedding_, both[:, cut:]))
        model.center_ = np.concatenate((self.center_, np.full(len(new), self.center_.mean(), dtype=np.float32)))
        every, seen = IdMap(np.concatenate((self.items_.ids, new.ids))), self.seen_
        wider = sp.csr_array((seen.data, seen.indices, seen.indptr), shape=(seen.shape[0], len(every)))
        return model._remember(Interactions(wider, self.users_, every))

    def _new_item_factors(self) -> np.ndarray:
        """No taste in particular, and the bias of the least liked quarter of the items."""
        known = self.item_factors_[self.item_counts_ > 0]
        found = np.zeros(self._n_columns, dtype=np.float32)
        found[-1] = np.quantile(known[:, -1], 0.25)
        return found

    def compress(self, n_factors: int) -> Self:
        """Return a model of fewer columns whose scores are nearest to this one's; see `FactorModel.compress`."""
        model = super().compress(n_factors)
        model.set_params(n_factors=self.n_factors)
        for name in self._encoder_arrays:
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
            "feature_map_": (len(self.feature_map_), 2 * D + 1),
        }  # fmt: skip
        for name, shape in shapes.items():
            self._check_array(path, name, shape)
        super()._check_loaded(path)
