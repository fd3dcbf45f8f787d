"""The towers of NeuralMF in torch: items' vectors, the user's tower over histories, losses of their scores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional

from lrrec.errors import ParameterError
from lrrec.models.neural import NeuralMF

DENSE = 64  # a batch of fewer unobserved cells for each observed one is scored as a whole


class Table(torch.nn.Embedding):
    """Vectors of items (I, C): their own, plus a linear map of features (I, F) where there are any."""

    features: Tensor | None

    def __init__(self, weight: Tensor, features: Tensor | None = None) -> None:
        super().__init__(weight.shape[0], weight.shape[1], _weight=weight)
        self.register_buffer("features", features, persistent=False)
        if features is not None:
            self.of_features = torch.nn.Parameter(torch.zeros(features.shape[1], weight.shape[1]))  # (F, C)

    def rows(self) -> Tensor:
        """All vectors (I, C)."""
        return self.weight if self.features is None else self.weight + torch.mm(self.features, self.of_features)

    def bag(self, history: "History") -> Tensor:
        """Weighted sums of the vectors of histories (B, C)."""
        return history.times(self.rows())

    def scores(self, U: Tensor) -> Tensor:
        """U V^T (B, I)."""
        return U @ self.rows().T


class Towers(torch.nn.Module):
    """u = x + W2 relu(W1 x + c1) + c2 for the mean x of a history's vectors, and score u . v_i + b_i."""

    center: Tensor

    def __init__(self, arrays: Mapping[str, np.ndarray], features: Tensor | None = None) -> None:
        super().__init__()
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        items = tensors["item_factors_"]
        self.embedding = Table(tensors["embedding_"], features)
        self.items = Table(items[:, :-1].contiguous(), features)
        self.bias = Table(items[:, -1:].contiguous(), features)
        self.hidden = _linear(tensors["hidden_"], tensors["hidden_bias_"])
        self.output = _linear(tensors["output_"], tensors["output_bias_"])
        self.register_buffer("center", tensors["center_"])

    @classmethod
    def fresh(
        cls, n_items: int, n_factors: int, n_hidden: int, generator: torch.Generator, center: np.ndarray,
        features: Tensor | None = None,
    ) -> Self:  # fmt: skip
        """Towers at random; the hidden layer adds nothing yet, and the items' biases are their centers."""

        def normal(*shape: int, scale: float) -> np.ndarray:
            return (torch.randn(*shape, generator=generator) * scale).numpy()

        D, H = n_factors, n_hidden
        embedding = normal(n_items, D, scale=D**-0.5)
        items = np.concatenate((normal(n_items, D, scale=0.1 * D**-0.5), center[:, None]), axis=1)
        zeros = {"hidden_bias_": (H,), "output_": (H, D), "output_bias_": (D,)}
        arrays = {name: np.zeros(shape, dtype=np.float32) for name, shape in zeros.items()}
        arrays |= {"embedding_": embedding, "item_factors_": items, "center_": center}
        return cls(arrays | {"hidden_": normal(D, H, scale=(2 / D) ** 0.5)}, features)

    def users(self, history: "History", hidden_kept: Tensor | None = None) -> Tensor:
        """User vectors (B, D); hidden_kept (B, H) multiplies the hidden layer."""
        x = self.embedding.bag(history)
        if self.hidden is None or self.output is None:
            return x
        inside = torch.relu(self.hidden(x))
        return x + self.output(inside if hidden_kept is None else inside * hidden_kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `NeuralMF` consists of: layers as (n_in, n_out)."""
        D = self.items.rows().shape[1]
        found = {
            "embedding_": self.embedding.rows(),
            "item_factors_": torch.cat((self.items.rows(), self.bias.rows()), 1),
            "hidden_": torch.zeros(D, 0), "hidden_bias_": torch.zeros(0),
            "output_": torch.zeros(0, D), "output_bias_": torch.zeros(D), "center_": self.center,
        }  # fmt: skip
        if self.hidden is not None and self.output is not None:
            found |= {"hidden_": self.hidden.weight.T, "hidden_bias_": self.hidden.bias,
                      "output_": self.output.weight.T, "output_bias_": self.output.bias}  # fmt: skip
        return {name: np.array(value.detach().cpu().numpy(), order="C") for name, value in found.items()}


def _linear(weight: Tensor, bias: Tensor) -> torch.nn.Linear | None:
    """The layer x W + c for W (n_in, n_out); None for one without units."""
    if not weight.numel():
        return None
    layer = torch.nn.utils.skip_init(torch.nn.Linear, *weight.shape)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return layer


def features_of(features: sp.csr_array | np.ndarray | None) -> Tensor | None:
    """Item features as a tensor, sparse where they are sparse."""
    if features is None or isinstance(features, np.ndarray):
        return None if features is None else torch.from_numpy(features)
    table = features.tocoo()
    at = torch.from_numpy(np.stack((table.row, table.col)).astype(np.int64))
    return torch.sparse_coo_tensor(at, torch.from_numpy(table.data), table.shape, check_invariants=False).coalesce()


@dataclass(frozen=True)
class History:
    """Histories of B users, one after the other: items, their weights, and where each user's begin (B,).

    dense (B, I): the same as a matrix, where they are dense enough for products of matrices to be faster.
    """

    columns: Tensor
    weights: Tensor
    offsets: Tensor
    dense: Tensor | None = None

    def times(self, rows: Tensor) -> Tensor:
        """Weighted sums (B, C) of the rows of a table (I, C)."""
        if self.dense is not None:
            return self.dense @ rows
        return functional.embedding_bag(self.columns, rows, self.offsets, mode="sum", per_sample_weights=self.weights)


@dataclass(frozen=True)
class Batch:
    """B users, what they did, and what is shown of it.

    rows, columns, values (N,): the user within the batch, the item and the value of each interaction.
    """

    rows: Tensor
    columns: Tensor
    values: Tensor
    history: History

    @property
    def n_users(self) -> int:
        """B."""
        return len(self.history.offsets)


def make_batch(
    part: sp.csr_array, center: Tensor, *, dropout: float, generator: torch.Generator, device: torch.device
) -> Batch:
    """The users of a matrix (B, I), a share of their histories hidden."""
    n_users = part.shape[0]
    rows = torch.from_numpy(np.repeat(np.arange(n_users), np.diff(part.indptr)))
    columns, values = torch.from_numpy(part.indices.astype(np.int64)), torch.from_numpy(part.data)
    shown = values
    if dropout:
        shown = values * (torch.rand(len(values), generator=generator) >= dropout)
    lengths = torch.zeros(n_users).index_add_(0, rows, shown**2).sqrt().clamp(min=1e-12)
    offsets = torch.from_numpy(part.indptr[:-1].astype(np.int64))
    rows, columns, values, shown, lengths, offsets = (
        one.to(device) for one in (rows, columns, values, shown, lengths, offsets)
    )
    weights = (shown - center[columns] * (shown != 0)) / lengths[rows]
    dense = None
    if n_users * len(center) <= DENSE * len(columns):
        dense = torch.zeros(n_users, len(center), device=device)
        dense[rows, columns] = weights
    return Batch(rows, columns, values, History(columns, weights, offsets, dense))


class Objective:
    """The loss of a NeuralMF, user by user.

    popularity (I,): by what "sampled-softmax" draws its negatives. generator: for all that is drawn, on the CPU.
    """

    def __init__(self, model: NeuralMF, counts: np.ndarray, generator: torch.Generator, device: torch.device) -> None:
        self.model, self.generator, self.device = model, generator, device
        popularity = np.maximum(counts, 1e-3) ** 0.75
        self.popularity = torch.from_numpy(popularity / popularity.sum()).to(torch.float32)
        losses: dict[str, Callable[[Towers, Batch, Tensor], Tensor]] = {
            "softmax": self._softmax, "squared": self._squared, "ratings": self._ratings, "bpr": self._bpr,
            "sampled-softmax": self._sampled_softmax,
        }  # fmt: skip
        self._loss = losses[model.loss]

    def of_users(self, towers: Towers, part: sp.csr_array) -> Tensor:
        """The losses (B,) of the users of a matrix (B, I), with parts of histories and hidden layers left out."""
        model = self.model
        batch = make_batch(part, towers.center, dropout=model.dropout, generator=self.generator, device=self.device)
        kept = None
        if model.hidden_dropout and towers.hidden is not None:
            drawn = torch.rand(batch.n_users, model.n_hidden, generator=self.generator) >= model.hidden_dropout
            kept = (drawn / (1 - model.hidden_dropout)).to(self.device)
        return self._loss(towers, batch, towers.users(batch.history, kept))

    def _softmax(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """- sum_i w_ui log softmax(s_u)_i."""
        scores = towers.items.scores(U) + towers.bias.rows().T
        found: Tensor = _Multinomial.apply(scores, batch.rows, batch.columns, batch.values)
        return found

    def _squared(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """sum_i w_ui (s_ui - 1)^2 + a sum over all items s_ui^2."""
        U, V = torch.cat((U, torch.ones_like(U[:, :1])), 1), torch.cat((towers.items.rows(), towers.bias.rows()), 1)
        everywhere = ((U @ (V.T @ V)) * U).sum(1)
        observed = _by_user(batch.values * (_scores_of(U, V, batch) - 1) ** 2, batch)
        return observed + self.model.unobserved_weight * everywhere

    def _ratings(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """sum_i (s_ui - r_ui)^2 over the observed."""
        scores = _scores_of(U, towers.items.rows(), batch) + towers.bias.rows()[batch.columns, 0]
        return _by_user((scores - batch.values) ** 2, batch)

    def _bpr(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """- log sigmoid(s_ui - s_uj) for an item j drawn at random for each interaction."""
        V, bias = towers.items.rows(), towers.bias.rows()[:, 0]
        others = torch.randint(len(V), (len(batch.rows),), generator=self.generator).to(self.device)
        ahead = (U[batch.rows] * (V[batch.columns] - V[others])).sum(1) + bias[batch.columns] - bias[others]
        return _by_user(-batch.values * functional.logsigmoid(ahead), batch)

    def _sampled_softmax(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """Softmax of each interaction over the items drawn for the batch, less log of how often they are to be drawn.

        What a user has is not against him.
        """
        n_drawn, popularity = self.model.n_negatives, self.popularity
        drawn = torch.multinomial(popularity, n_drawn, replacement=True, generator=self.generator)
        items, times_drawn = torch.unique(drawn, return_counts=True)
        expected = torch.log(popularity * n_drawn)
        offsets = (torch.log(times_drawn) - expected[items]).to(self.device)
        items, expected, rows, columns = items.to(self.device), expected.to(self.device), batch.rows, batch.columns
        V, bias = towers.items.rows(), towers.bias.rows()[:, 0]
        scores = torch.addmm(bias[items] + offsets, U, V[items].T)
        place = torch.searchsorted(items, columns).clamp(max=len(items) - 1)
        hit = items[place] == columns
        accidental = torch.zeros_like(scores, dtype=torch.bool)
        accidental[rows[hit], place[hit]] = True
        others = torch.logsumexp(scores.masked_fill(accidental, -1e30), 1)[rows]
        own = (U[rows] * V[columns]).sum(1) + bias[columns] - expected[columns]
        return _by_user(batch.values * (torch.logaddexp(own, others) - own), batch)


class _Multinomial(torch.autograd.Function):
    """sum_i w_ui (logsumexp(s_u) - s_ui) of scores (B, I), with one pass for the gradient."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, rows: Tensor, columns: Tensor, values: Tensor) -> Tensor:
        top = scores.amax(1, keepdim=True)
        shares = (scores - top).exp_()
        sums, weights = shares.sum(1), torch.zeros_like(top[:, 0]).index_add_(0, rows, values)
        own = torch.zeros_like(weights).index_add_(0, rows, values * scores[rows, columns])
        shares.mul_((weights / sums)[:, None])
        shares[rows, columns] -= values
        ctx.save_for_backward(shares)
        return weights * (sums.log() + top[:, 0]) - own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (shares,) = ctx.saved_tensors
        return shares * gradients[0][:, None], None, None, None


class _CellScores(torch.autograd.Function):
    """u . v_i of cells (N,), through products of whole matrices."""

    @staticmethod
    def forward(ctx: Any, U: Tensor, V: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(U, V, rows, columns)
        return (U @ V.T)[rows, columns]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        U, V, rows, columns = ctx.saved_tensors
        dense = torch.zeros(len(U), len(V), device=U.device, dtype=U.dtype)
        dense[rows, columns] = gradients[0]
        return dense @ V, dense.T @ U, None, None


def _scores_of(U: Tensor, V: Tensor, batch: Batch) -> Tensor:
    """U . v_i of every interaction of a batch (N,)."""
    if batch.history.dense is None:
        return (U[batch.rows] * V[batch.columns]).sum(1)
    found: Tensor = _CellScores.apply(U, V, batch.rows, batch.columns)
    return found


def _by_user(values: Tensor, batch: Batch) -> Tensor:
    """Sums (B,) of what each interaction has."""
    return torch.zeros(batch.n_users, device=values.device, dtype=values.dtype).index_add(0, batch.rows, values)


def device_of(name: Any) -> torch.device:
    """The device of a name, if it is there."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ParameterError(f"device must be one that torch has, got {name!r}: {str(error).splitlines()[0]}") from None
    return device
