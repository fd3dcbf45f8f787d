"""The towers of NeuralMF in torch: item vectors, the user tower over histories, and the losses."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import scipy.sparse as sp

from lrrec.errors import ParameterError
from lrrec.models.neural.parameters import NeuralParameters
from lrrec.models.neural.torch_import import torch

Tensor: TypeAlias = torch.Tensor
functional = torch.nn.functional
TINY = 1e-38  # lower bound of softmax probabilities, which float32 may round to 0
DENSE = 64  # a batch with at most so many cells for each observed one is scored as a dense matrix


class Table(torch.nn.Embedding):
    """Vectors of items (I, C): free parameters, plus a linear map of features (I, F) if there are any."""

    features: Tensor | None

    def __init__(self, weight: Tensor, features: Tensor | None = None) -> None:
        super().__init__(weight.shape[0], weight.shape[1], _weight=weight)
        self.register_buffer("features", features, persistent=False)
        if features is not None:
            self.of_features = torch.nn.Parameter(torch.zeros(features.shape[1], weight.shape[1]))  # (F, C)

    def rows(self) -> Tensor:
        """Return all vectors (I, C)."""
        return self.weight if self.features is None else self.weight + torch.mm(self.features, self.of_features)

    def bag(self, history: "History") -> Tensor:
        """Return the weighted sums of the vectors of histories (B, C)."""
        return history.times(self.rows())


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
        """Initialize at random, but the output of the hidden layer with 0 and the item biases with their centers."""

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
        """Return user vectors (B, D); hidden_kept (B, H) multiplies the hidden layer."""
        x = self.embedding.bag(history)
        if self.hidden is None or self.output is None:
            return x
        activations = torch.relu(self.hidden(x))
        return x + self.output(activations if hidden_kept is None else activations * hidden_kept)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of `NeuralMF`; layers as (n_in, n_out)."""
        D = self.items.rows().shape[1]
        tensors = {
            "embedding_": self.embedding.rows(),
            "item_factors_": torch.cat((self.items.rows(), self.bias.rows()), 1),
            "hidden_": torch.zeros(D, 0), "hidden_bias_": torch.zeros(0),
            "output_": torch.zeros(0, D), "output_bias_": torch.zeros(D), "center_": self.center,
        }  # fmt: skip
        if self.hidden is not None and self.output is not None:
            tensors |= {"hidden_": self.hidden.weight.T, "hidden_bias_": self.hidden.bias,
                      "output_": self.output.weight.T, "output_bias_": self.output.bias}  # fmt: skip
        return {name: np.array(value.detach().cpu().numpy(), order="C") for name, value in tensors.items()}


def _linear(weight: Tensor, bias: Tensor) -> torch.nn.Linear | None:
    """Return the layer x W + c for W (n_in, n_out); None without units."""
    if not weight.numel():
        return None
    layer = torch.nn.utils.skip_init(torch.nn.Linear, *weight.shape)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return layer


def features_of(features: sp.csr_array | np.ndarray | None) -> Tensor | None:
    """Return item features as a tensor, sparse if they are sparse."""
    if features is None or isinstance(features, np.ndarray):
        return None if features is None else torch.from_numpy(features)
    table = features.tocoo()
    at = torch.from_numpy(np.stack((table.row, table.col)).astype(np.int64))
    return torch.sparse_coo_tensor(at, torch.from_numpy(table.data), table.shape, check_invariants=False).coalesce()


@dataclass(frozen=True)
class History:
    """Histories of B users, concatenated: items, their weights, and the offset of each user (B,).

    dense (B, I): the same as a matrix, if they are so dense that matrix products are faster.
    """

    columns: Tensor
    weights: Tensor
    offsets: Tensor
    dense: Tensor | None = None

    def times(self, rows: Tensor) -> Tensor:
        """Return the weighted sums (B, C) of the rows of a table (I, C)."""
        if self.dense is not None:
            return self.dense @ rows
        return functional.embedding_bag(self.columns, rows, self.offsets, mode="sum", per_sample_weights=self.weights)


@dataclass(frozen=True)
class Batch:
    """B users, their interactions, and their histories after dropout.

    rows, columns, cells, values (N,): the user within the batch, the item, the index among all B I cells and the value
    of each interaction, user by user. lengths (B,): the number of interactions of each user.
    """

    rows: Tensor
    columns: Tensor
    cells: Tensor
    values: Tensor
    lengths: Tensor
    history: History

    @property
    def n_users(self) -> int:
        """The number of users, B."""
        return len(self.lengths)

    def by_user(self, values: Tensor) -> Tensor:
        """Return the sums (B,) over each user's interactions."""
        return torch.segment_reduce(values, "sum", lengths=self.lengths, unsafe=True)


def make_batch(
    part: sp.csr_array, center: Tensor, *, dropout: float, generator: torch.Generator, device: torch.device,
    precision: torch.dtype = torch.float32,
) -> Batch:  # fmt: skip
    """Return the users of a matrix (B, I) with dropout of their histories; dense histories in some precision."""
    n_users, n_items = part.shape
    counts = np.diff(part.indptr).astype(np.int64)
    rows, columns = np.repeat(np.arange(n_users), counts), part.indices.astype(np.int64)
    arrays = (rows, columns, rows * n_items + columns, counts, part.indptr[:-1].astype(np.int64), part.data)
    tensors = [torch.from_numpy(array) for array in arrays]
    shown = tensors[-1] * kept((len(columns),), dropout, generator) if dropout else tensors[-1]
    users, items, cells, lengths, offsets, values, weights = (tensor.to(device) for tensor in (*tensors, shown))
    norms = torch.segment_reduce(weights * weights, "sum", lengths=lengths, unsafe=True).sqrt().clamp(min=1e-12)
    if center.any():
        weights = weights - center[items] * (weights != 0)
    weights = weights / norms.repeat_interleave(lengths)
    dense = None
    if n_users * n_items <= DENSE * len(columns):
        dense = torch.zeros(n_users, n_items, device=device, dtype=precision)
        dense.view(-1)[cells] = weights.to(precision)
    return Batch(users, items, cells, values, lengths, History(items, weights, offsets, dense))


def kept(shape: tuple[int, ...], dropout: float, generator: torch.Generator) -> Tensor:
    """Return booleans, True with probability 1 - dropout to the nearest 1/65536; four from each random number."""
    n = int(math.prod(shape))
    numbers = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return (numbers.view(torch.int16)[:n] >= round(dropout * 65536) - 32768).view(shape)


class Objective:
    """The loss of a NeuralMF for each user.

    popularity (I,): the distribution of the negatives of "sampled-softmax". generator: of all random numbers, on the
    CPU.
    """

    def __init__(
        self, parameters: NeuralParameters, counts: np.ndarray, generator: torch.Generator, device: torch.device
    ) -> None:
        self.parameters, self.generator, self.device = parameters, generator, device
        self.unobserved_weight = parameters._number("unobserved_weight")
        popularity = np.maximum(counts, 1e-3) ** 0.75
        self.popularity = torch.from_numpy(popularity / popularity.sum()).to(torch.float32)
        losses: dict[str, Callable[[Towers, Batch, Tensor], Tensor]] = {
            "softmax": self._softmax, "squared": self._squared, "ratings": self._ratings, "bpr": self._bpr,
            "sampled-softmax": self._sampled_softmax,
        }  # fmt: skip
        self._loss = losses[parameters.loss]
        self.precision = getattr(torch, parameters.precision)

    def of_users(self, towers: Towers, part: sp.csr_array) -> Tensor:
        """Return the losses (B,) of the users of a matrix (B, I), with dropout of histories and hidden layers."""
        parameters, device = self.parameters, self.device
        batch = make_batch(
            part, towers.center, dropout=parameters.dropout, generator=self.generator, device=device,
            precision=self.precision,
        )  # fmt: skip
        hidden_kept = None
        if parameters.hidden_dropout and towers.hidden is not None:
            drawn = kept((batch.n_users, parameters.n_hidden), parameters.hidden_dropout, self.generator)
            hidden_kept = drawn.to(device, torch.float32) / (1 - parameters.hidden_dropout)
        with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
            U = towers.users(batch.history, hidden_kept)
        return self._loss(towers, batch, U.to(torch.float32))

    def _softmax(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """- sum_i w_ui log softmax(s_u)_i."""
        losses: Tensor = _Multinomial.apply(U, towers.items.rows(), towers.bias.rows(), batch, self.precision)
        return losses

    def _squared(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """sum_i w_ui (s_ui - 1)^2 + a sum over all items s_ui^2."""
        U, V = torch.cat((U, torch.ones_like(U[:, :1])), 1), torch.cat((towers.items.rows(), towers.bias.rows()), 1)
        all_items = ((U @ (V.T @ V)) * U).sum(1)
        observed = batch.by_user(batch.values * (self._scores(U, V, batch) - 1) ** 2)
        return observed + self.unobserved_weight * all_items

    def _ratings(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """sum_i (s_ui - r_ui)^2 over the observed items."""
        scores = self._scores(U, towers.items.rows(), batch) + towers.bias.rows()[batch.columns, 0]
        return batch.by_user((scores - batch.values) ** 2)

    def _bpr(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """- log sigmoid(s_ui - s_uj) with a random item j for each interaction."""
        V, bias = towers.items.rows(), towers.bias.rows()[:, 0]
        negatives = torch.randint(len(V), (len(batch.rows),), generator=self.generator).to(self.device)
        margins = (U[batch.rows] * (V[batch.columns] - V[negatives])).sum(1) + bias[batch.columns] - bias[negatives]
        return batch.by_user(-batch.values * functional.logsigmoid(margins))

    def _sampled_softmax(self, towers: Towers, batch: Batch, U: Tensor) -> Tensor:
        """Softmax of each interaction over the batch's negatives, corrected by the log of their expected counts.

        A user's own items are not among their negatives.
        """
        n_drawn, popularity = self.parameters.n_negatives, self.popularity
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
        negative = torch.logsumexp(scores.masked_fill(accidental, -1e30), 1)[rows]
        positive = (U[rows] * V[columns]).sum(1) + bias[columns] - expected[columns]
        return batch.by_user(batch.values * (torch.logaddexp(positive, negative) - positive))

    def _scores(self, U: Tensor, V: Tensor, batch: Batch) -> Tensor:
        """Return the scores (N,) of the interactions of a batch."""
        if batch.history.dense is None:
            return (U[batch.rows] * V[batch.columns]).sum(1)
        scores: Tensor = _CellScores.apply(U, V, batch.cells, self.precision)
        return scores


class _Multinomial(torch.autograd.Function):
    """- sum_i w_ui log p_ui of users (B,), p = softmax of u . v_i + b_i, with products in some precision.

    One matrix (B, I) is allocated; in place it becomes p - w / W with W = sum_i w_ui, the gradient divided by W.
    """

    @staticmethod
    def forward(ctx: Any, U: Tensor, V: Tensor, bias: Tensor, batch: Batch, precision: torch.dtype) -> Tensor:
        U, V = U.to(precision), V.to(precision)
        p = torch.softmax(torch.addmm(bias.T.to(precision), U, V.T), 1)
        cells, total = p.view(-1), batch.by_user(batch.values)
        observed = cells[batch.cells].float()
        share = batch.values / total.clamp(min=TINY).repeat_interleave(batch.lengths)
        cells[batch.cells] = (observed - share).to(precision)
        ctx.save_for_backward(p, U, V, total)
        return -batch.by_user(observed.clamp(min=TINY).log() * batch.values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        p, U, V, total = ctx.saved_tensors
        scale = gradients[0] * total
        near = scale.to(p.dtype)
        of_items = p.T @ (U * near[:, None])
        return (p @ V).float() * scale[:, None], of_items.float(), (near @ p).float()[:, None], None, None


class _CellScores(torch.autograd.Function):
    """u . v_i of cells (N,), by dense matrix products in some precision."""

    @staticmethod
    def forward(ctx: Any, U: Tensor, V: Tensor, cells: Tensor, precision: torch.dtype) -> Tensor:
        U, V = U.to(precision), V.to(precision)
        ctx.save_for_backward(U, V, cells)
        return (U @ V.T).view(-1)[cells].float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        U, V, cells = ctx.saved_tensors
        dense = torch.zeros(len(U), len(V), device=U.device, dtype=U.dtype)
        dense.view(-1)[cells] = gradients[0].to(U.dtype)
        return (dense @ V).float(), (dense.T @ U).float(), None, None


def device_of(name: Any) -> torch.device:
    """Return the torch device of a name; raise ParameterError if it is not available."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ParameterError(f"device must be one that torch has, got {name!r}: {str(error).splitlines()[0]}") from None
    return device
