"""Training of changes of a two-tower base's weights, in torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.adapt.domain import Domain
from lrrec.adapt.kinds.change import Change, order_columns
from lrrec.adapt.kinds.lora import LowRankLayer, LowRankLinear, LowRankTable
from lrrec.errors import DataError
from lrrec.linalg.dense import gram
from lrrec.linalg.sparse import times
from lrrec.models.neural.encoder import encode, normalized
from lrrec.models.neural.torch_import import torch
from lrrec.models.neural.towers import Objective, Towers, device_of

LAYERS = ("items", "bias", "embedding", "hidden", "output")
WARM_START = 20  # epochs at full rank, whose leading directions a low-rank change starts from


def train_changes(
    domain: Domain, users: np.ndarray, method: str, settings: Mapping[str, Any], epochs: Sequence[int]
) -> Iterator[tuple[int, Change]]:
    """Train a change on some of the domain's users, and yield it after each of some numbers of epochs, rising.

    method : "low-rank"; "anchored" for changes of full rank; "scratch" for new towers. A low-rank change starts from
    the leading directions of one that is trained at full rank for a few epochs.
    """
    training = _Training(domain, users, method, settings)
    if method == "low-rank":
        full_rank = _Training(domain, users, "anchored", settings)
        for _ in range(WARM_START):
            full_rank.run_epoch()
        training.start_from(full_rank)
    for epoch in range(1, epochs[-1] + 1):
        training.run_epoch()
        if epoch in epochs:
            yield epoch, training.change()


class _Training:
    """Towers whose change is being trained."""

    def __init__(self, domain: Domain, users: np.ndarray, method: str, settings: Mapping[str, Any]) -> None:
        self.domain, self.method, self.settings = domain, method, settings
        base: Any = domain.base
        self.device, self.generator = device_of(base.device), torch.Generator().manual_seed(settings["seed"])
        self.matrix, self.source = domain.data.matrix[users], domain.source
        self.inputs = _layer_inputs(self.matrix, domain.encoder)
        U = self.inputs["items"]
        self.unit = max(float(np.einsum("ud,ud->u", U, U).mean()), 1e-12)
        if method == "scratch":
            shape = len(domain.items), base.n_factors, base.n_hidden
            self.towers = Towers.fresh(*shape, self.generator, domain.encoder["center_"])
        else:
            self.towers = Towers(domain.encoder | {"item_factors_": domain.item_factors})
            self.towers.requires_grad_(False)
            for name in LAYERS if settings["adapt_encoder"] else LAYERS[:2]:
                if getattr(self.towers, name) is not None:
                    setattr(self.towers, name, self._low_rank_layer(name))
        self.towers.to(self.device)
        counts = np.bincount(self.matrix.indices, minlength=len(domain.items))
        self.objective = Objective(base, counts, self.generator, self.device)
        weights = np.maximum(np.diff(self.matrix.indptr), 1.0) ** -settings["balance"]
        self.weights = torch.from_numpy(weights / weights.mean()).to(torch.float32).to(self.device)
        trained = [parameter for parameter in self.towers.parameters() if parameter.requires_grad]
        self.optimizer = TensorwiseAdam(trained, lr=settings["learning_rate"])

    def _low_rank_layer(self, name: str) -> LowRankLayer:
        """A layer with a change added; its directions start as the leading ones of the layer's inputs in the target."""
        layer, inputs, full_rank = getattr(self.towers, name), self.inputs[name], self.method == "anchored"
        width = min(layer.weight.shape)
        rank = width
        if not full_rank:
            share = self.settings["rank"] / self.domain.base.get_params()["n_factors"]  # of a layer's width
            rank = min(max(1, round(share * width)), width)
        _, vectors = np.linalg.eigh(gram(inputs))
        directions = torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1][:, :rank]).astype(np.float32))
        if name in ("hidden", "output"):
            changed: LowRankLayer = LowRankLinear(layer, directions=directions, rank=rank)
        else:
            new = torch.from_numpy(self.domain.new_items)
            changed = LowRankTable(layer, rank, directions=directions, replaced=new)
        if full_rank or name == "bias":
            changed.fix_shorter_side()
        return changed

    def start_from(self, other: "_Training") -> None:
        """Start from the leading directions of another training's changes."""
        for name in LAYERS:
            layer, other_layer = getattr(self.towers, name), getattr(other.towers, name)
            if not isinstance(layer, LowRankLayer):
                continue
            change = other.layer_change(name).truncate(layer.rank)
            with torch.no_grad():
                layer.A.copy_(torch.from_numpy(change.A.copy()))
                layer.B.copy_(torch.from_numpy(change.B))
                extra = "shift" if isinstance(layer, LowRankLinear) else "values"
                getattr(layer, extra).copy_(getattr(other_layer, extra))

    def run_epoch(self) -> None:
        """Go through the target's users once, in a new order."""
        size = self.domain.base.get_params()["batch_size"]
        order = torch.randperm(self.matrix.shape[0], generator=self.generator).numpy()
        self.towers.train()
        for start in range(0, len(order), size):
            loss = self._batch_loss(order[start : start + size], size)
            if not torch.isfinite(loss):
                raise DataError(f"the loss became {float(loss.detach())}: lower learning_rate")
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.domain.base.get_params()["max_grad_norm"])
            self.optimizer.step()

    def _batch_loss(self, rows: np.ndarray, size: int) -> torch.Tensor:
        """The objective on a batch of users, and of as many of the source's where they are given."""
        losses = self.objective.of_users(self.towers, self.matrix[rows])
        loss: torch.Tensor = (self.weights[torch.from_numpy(rows).to(self.device)] * losses).mean()
        if self.method != "scratch":
            loss = loss + self.settings["reg"] * self.unit / self.matrix.shape[0] * self._penalty()
        if self.source is not None and self.settings.get("source_weight"):
            drawn = torch.randint(self.source.shape[0], (size,), generator=self.generator).numpy()
            source_losses = self.objective.of_users(self.towers, self.source[drawn])
            loss = loss + self.settings["source_weight"] * source_losses.mean()
        return loss

    def _penalty(self) -> torch.Tensor:
        layers = [getattr(self.towers, name) for name in LAYERS]
        penalty = torch.zeros((), device=self.device)
        for layer in layers:
            if isinstance(layer, LowRankLayer):
                penalty = penalty + layer.penalty()
        return penalty

    def layer_change(self, name: str) -> Change:
        """The change of one layer's matrix as (n_in, n_out), columns by falling weight in the target."""
        layer = getattr(self.towers, name)
        A, B = _numpy(layer.A) * layer.scale, _numpy(layer.B)
        if isinstance(layer, LowRankTable):
            A[self.domain.new_items] = 0
            if name == "embedding":
                A, B = order_columns(A, B, gram(self.inputs["histories"] @ A), gram(B))
            elif name == "items":
                A, B = order_columns(A, B, gram(A), gram(self.inputs["items"] @ B))
            return Change(A, B, self.domain.new_items, _numpy(layer.values))
        A, B = order_columns(A, B, gram(self.inputs[name] @ A), gram(B))
        return replace(Change.nothing(len(A), len(B)), A=A, B=B)

    def change(self) -> Change:
        """The change so far, in numpy."""
        if self.method != "low-rank":
            arrays = self.towers.arrays() if self.method == "scratch" else self._merged_arrays()
            parts = {
                name: Change.replace_all(np.atleast_2d(array)) for name, array in arrays.items() if name != "center_"
            }
            return parts.pop("item_factors_").with_encoder(parts)
        items, bias, parts = self.layer_change("items"), self.layer_change("bias"), {}
        A = np.asfortranarray(np.hstack((items.A, bias.A * bias.B[0, 0])))
        B = np.zeros((items.B.shape[0] + 1, A.shape[1]), dtype=np.float32)
        B[:-1, :-1], B[-1, -1] = items.B, 1
        for name in LAYERS[2:] if self.settings["adapt_encoder"] else ():
            layer = getattr(self.towers, name)
            if isinstance(layer, LowRankLayer):
                parts[f"{name}_"] = self.layer_change(name)
            if isinstance(layer, LowRankLinear):
                bias_array = _numpy(layer.shift)[None] + self.domain.encoder[f"{name}_bias_"]
                parts[f"{name}_bias_"] = Change.replace_all(bias_array)
        values = np.hstack((items.values, bias.values))
        return Change(A, B, self.domain.new_items, values).with_encoder(parts)

    def _merged_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of towers whose changes are merged."""
        merged = Towers(self.domain.encoder | {"item_factors_": self.domain.item_factors})
        for name in LAYERS:
            layer = getattr(self.towers, name)
            setattr(merged, name, layer.merged() if isinstance(layer, LowRankLayer) else layer)
        return merged.arrays()


def _layer_inputs(matrix: sp.csr_array, encoder: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The inputs of each layer when the base encodes histories: rows of users."""
    histories = normalized(matrix, encoder["center_"])
    x = times(histories, encoder["embedding_"])
    hidden = np.maximum(x @ encoder["hidden_"] + encoder["hidden_bias_"], 0)
    U = encode(matrix, encoder)[:, :-1]
    return {"histories": histories, "embedding": x, "items": U, "bias": np.ones((1, 1)), "hidden": x, "output": hidden}


class TensorwiseAdam(torch.optim.Optimizer):
    """Adam with one second moment a tensor.

    Adam's own second moment of each entry makes steps of equal size for all entries: for the many items that no user
    of a small target touches these are noise.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step down the gradients."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None or not parameter.numel():
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(step=0, mean=torch.zeros_like(parameter), square=parameter.new_zeros(()))
                state["step"] += 1
                state["mean"].lerp_(parameter.grad, 1 - first)
                largest = parameter.grad.square().max()
                state["square"].mul_(second).add_(largest, alpha=1 - second)
                size = (state["square"] / (1 - second ** state["step"])).sqrt() + 1e-12
                parameter.sub_(state["mean"] / size, alpha=group["lr"] / (1 - first ** state["step"]))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy().astype(np.float32)
    return array
