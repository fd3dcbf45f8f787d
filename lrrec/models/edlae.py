"""EDLAE: a linear autoencoder of low rank that is trained to predict what is left out of a history."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from lrrec.linalg.denoising import DenoisingAutoencoder
from lrrec.linalg.sparse import scaled, times, with_weighted_rows
from lrrec.linalg.svd import randomized_svd
from lrrec.linalg.threads import one_threaded_blas
from lrrec.models.base.encoder_model import EncoderModel
from lrrec.models.base.finite import check_finite
from lrrec.models.base.iterative import IterativeModel, Monitor
from lrrec.models.base.one_fit import of_one_fit
from lrrec.typing import PathLike, RandomState
from lrrec.validate import check_int, check_real, check_threads


class EDLAE(EncoderModel, IterativeModel):
    """Encode a history by one linear map and decode it by another, so that items left out of it are predicted.

    Minimises |X - X B|_F^2 + sum_ij (reg + dropout / (1 - dropout) |x_j|^2) b_ji^2 for B = E V^T with its diagonal set
    to 0, where a user of n interactions has weight n^(-2 user_power); scores are x_u E V^T. It is `EASE(dropout=)` of
    rank n_factors: as an item never predicts itself, its factors are better than those of `TruncatedSVD`, which learn
    to reproduce the history.

    Parameters
    ----------
    n_factors : int, default 128
        Rank. Typical: 32 to 1000.
    dropout : float, default 0.5
        The probability with which training leaves an item out of a history, in [0, 1): more for sparse data.
    reg : float, default 100.0
        Regularization, > 0. Typical: 1 to 1000; less for very sparse data.
    user_power : float, default 0.25
        The rows of users with n interactions are multiplied by n^-user_power for the fit, and all by one factor that
        keeps their sum of squares: above 0 active users have less weight. Typical: 0 to 0.5, more for sparse data.
    n_iter : int, default 10
        Iterations: one solves for encoders, and for decoders.
    cg_steps : int, default 2
        Steps of conjugate gradients for the encoders in an iteration.
    random_state : int, Generator or None, default 0
        Of the singular vectors that it starts from; the result hardly depends on it.
    n_threads : int, optional
        All cores when None. The result is bit-identical for every value.

    Attributes
    ----------
    user_factors_ : ndarray of float32, shape (n_users, n_factors)
        X E.
    item_factors_ : ndarray of float32, shape (n_items, n_factors)
        V, the decoders: orthonormal columns, unless the model is compressed.
    item_encoders_ : ndarray of float32, shape (n_items, n_factors)
        E.

    Notes
    -----
    O(N D) time a step for N interactions, and O((U + I) D^2) an iteration. Memory: some twelve times that of the item
    factors while fitting; nothing of n_items^2. The score of an item that is in the history includes what it says of
    itself, which the objective leaves out.

    As the base of adapters it encodes the target's users as its own (`FoldIn`), beside item-item adapters; those that
    change factors need a quadratic loss, as `IALS` has.

    References
    ----------
    Steck (2020), "Autoencoders that don't overfit towards the identity", NeurIPS. Decoders are solved for exactly here,
    and encoders by conjugate gradients, which needs no matrix of n_items^2.

    Examples
    --------
    >>> from lrrec import EDLAE, Interactions
    >>> train = Interactions.from_pairs(["ann", "ann", "bob", "cat"], ["x", "y", "x", "z"])
    >>> EDLAE(n_factors=1, reg=0.1).fit(train).recommend(["bob"], k=1).items.tolist()
    [['y']]
    """

    tuning_space: ClassVar[dict[str, Any] | None] = {
        "n_factors": (16, 512, "log"), "dropout": (0.0, 0.9), "reg": (1.0, 3000.0, "log"),
        "user_power": (0.0, 0.5),
    }  # fmt: skip
    _encoder_arrays = _arrays_of_items = ("item_encoders_",)
    _learned = (*EncoderModel._learned, *_encoder_arrays)

    item_factors_: np.ndarray
    item_encoders_: np.ndarray

    def __init__(
        self,
        n_factors: int = 128,
        *,
        dropout: float = 0.5,
        reg: float = 100.0,
        user_power: float = 0.25,
        n_iter: int = 10,
        cg_steps: int = 2,
        random_state: RandomState = 0,
        n_threads: int | None = None,
    ) -> None:
        self.n_factors = n_factors
        self.dropout = dropout
        self.reg = reg
        self.user_power = user_power
        self.n_iter = n_iter
        self.cg_steps = cg_steps
        self.random_state = random_state
        self.n_threads = n_threads

    def _iterate(self, matrix: sp.csr_array, monitor: Monitor) -> None:
        D, n_steps = check_int(self.n_factors, "n_factors", low=1), check_int(self.cg_steps, "cg_steps", low=1)
        dropout = check_real(self.dropout, "dropout", low=0, high=1, open_high=True)
        reg = check_real(self.reg, "reg", low=0, open_low=True)
        n_threads = check_threads(self.n_threads)
        matrix = with_weighted_rows(matrix, check_real(self.user_power, "user_power", low=0))
        autoencoder = DenoisingAutoencoder(matrix, reg, dropout, n_threads)
        check_finite(autoencoder.penalties, "squares of the items")
        rank, V = min(D, *matrix.shape), np.zeros((matrix.shape[1], D), dtype=np.float32)
        weights = (1 / np.sqrt(np.where(autoencoder.squares > 0, autoencoder.squares, 1))).astype(np.float32)
        start = scaled(matrix, np.ones(matrix.shape[0], dtype=np.float32), weights)
        V[:, :rank] = randomized_svd(start, rank, random_state=self.random_state, n_threads=n_threads).Vt.T
        E, iterate = np.zeros_like(V), one_threaded_blas(_iteration)
        for _ in monitor:
            E, V, loss = iterate(autoencoder, E, V, n_steps)
            monitor.record({"item_factors_": V, "item_encoders_": E}, partial(float, loss))

    def _encode_by(self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array) -> np.ndarray:
        return times(matrix, arrays["item_encoders_"], n_threads=self.n_threads)

    def _shares_by(
        self, arrays: Mapping[str, np.ndarray], matrix: sp.csr_array, item_factors: np.ndarray
    ) -> tuple[np.ndarray, dict[str, float]]:
        return matrix.data * (arrays["item_encoders_"][matrix.indices] @ item_factors.astype(np.float64)), {}

    @of_one_fit
    def compress(self, n_factors: int) -> Self:
        """Return a model of fewer factors whose scores are nearest to this one's; see `FactorModel.compress`.

        Its encoders are this model's, projected: users with a new history are encoded as by the approximation.
        """
        model = super().compress(n_factors)
        V = model.item_factors_.astype(np.float64)
        model.item_encoders_ = (self.item_encoders_ @ (self.item_factors_.T @ V) @ np.linalg.pinv(V.T @ V)).astype(
            np.float32
        )
        return model

    def _check_loaded(self, path: PathLike) -> None:
        super()._check_loaded(path)
        self._check_array(path, "item_encoders_", (len(self.items_), self._n_columns))


def _iteration(
    autoencoder: DenoisingAutoencoder, E: np.ndarray, V: np.ndarray, n_steps: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Better encoders and decoders than E and V, and the objective."""
    return autoencoder.decoders(autoencoder.encoders(E, V, n_steps))
