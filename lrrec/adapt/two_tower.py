"""Find the change that a target asks of a neural base: low-rank changes of its towers, trained in torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from lrrec.adapt.change import Change, ordered
from lrrec.adapt.domain import Domain
from lrrec.adapt.lora import LowRank, LowRankLinear, LowRankTable
from lrrec.adapt.settings import Settings
from lrrec.errors import DataError
from lrrec.linalg.dense import gram
from lrrec.linalg.sparse import times
from lrrec.models.neural.encoder import encode, normalized
from lrrec.models.neural.towers import Objective, Towers, device_of

LAYERS = ("items", "bias", "embedding", "hidden", "output")
START = 20  # epochs at full rank, whose leading directions a change of low rank starts from


def find_changes(
    domain: Domain, users: np.ndarray, settings: Settings, epochs: Sequence[int]
) -> Iterator[tuple[int, Change]]:
    """Train a change on some of the domain's users, and give it as it is after each of some epochs, rising.

    Minimises over the changes D of the towers' weights

        sum_u c_u loss_u  +  reg * (mean |u|^2 before adaptation) * sum_layers |D|_F^2
        + source_weight * (the same mean loss of the source's users, where they are given)

    with the base's own loss. D = A B^T for "low-rank", whatever it is for "anchored", and towers of their own for
    "scratch". The items' biases change freely; items that the base does not know get vectors of their own. A change of
    low rank starts from the leading directions of one that was trained at full rank for a few epochs.
    """
    training = _Training(domain, users, settings)
    if settings.method == "low-rank":
        whole = _Training(domain, users, replace(settings, method="anchored"))
        for _ in range(START):
            whole.one_epoch()
        training.start_from(whole)
    for epoch in range(1, epochs[-1] + 1):
        training.one_epoch()
        if epoch in epochs:
            yield epoch, training.change()


class _Training:
    """Towers whose change is being trained."""

    def __init__(self, domain: Domain, users: np.ndarray, settings: Settings) -> None:
        self.domain, self.settings = domain, settings
        base: Any = domain.base
        self.device, self.generator = device_of(base.device), torch.Generator().manual_seed(settings.seed)
        self.matrix, self.source = domain.data.matrix[users], domain.source
        self.new = np.flatnonzero(~domain.known)
        self.met = _met(self.matrix, domain.tower)
        U = self.met["items"]
        self.unit = max(float(np.einsum("ud,ud->u", U, U).mean()), 1e-12)
        if settings.method == "scratch":
            shape = len(domain.items), base.n_factors, base.n_hidden
            self.towers = Towers.fresh(*shape, self.generator, domain.tower["center_"])
        else:
            self.towers = Towers(domain.tower | {"item_factors_": domain.item_factors})
            self.towers.requires_grad_(False)
            for name in LAYERS if settings.towers else ("items", "bias"):
                if getattr(self.towers, name) is not None:
                    setattr(self.towers, name, self._lowered(name))
        self.towers.to(self.device)
        counts = np.bincount(self.matrix.indices, minlength=len(domain.items))
        self.objective = Objective(base, counts, self.generator, self.device)
        weights = np.maximum(np.diff(self.matrix.indptr), 1.0) ** -settings.balance
        self.weights = torch.from_numpy(weights / weights.mean()).to(torch.float32).to(self.device)
        trained = [one for one in self.towers.parameters() if one.requires_grad]
        self.optimizer = Scaled(trained, lr=settings.learning_rate)

    def _lowered(self, name: str) -> LowRank:
        """A layer with a change on it; its directions are the leading ones of what the layer meets in the target."""
        layer, met, whole = getattr(self.towers, name), self.met[name], self.settings.method == "anchored"
        width = min(layer.weight.shape)
        share = self.settings.rank / self.domain.base.get_params()["n_factors"]  # of a layer's width
        rank = width if whole else min(max(1, round(share * width)), width)
        _, vectors = np.linalg.eigh(gram(met))
        directions = torch.from_numpy(np.ascontiguousarray(vectors[:, ::-1][:, :rank]).astype(np.float32))
        if name in ("hidden", "output"):
            lowered: LowRank = LowRankLinear(layer, directions=directions, rank=rank)
        else:
            lowered = LowRankTable(layer, rank, directions=directions, free=torch.from_numpy(self.new))
        if whole or name == "bias":
            lowered.free_one_side()
        return lowered

    def start_from(self, other: "_Training") -> None:
        """Take the leading directions of another training's changes."""
        for name in LAYERS:
            mine, theirs = getattr(self.towers, name), getattr(other.towers, name)
            if not isinstance(mine, LowRank):
                continue
            change = other.of_layer(name).truncate(mine.rank)
            with torch.no_grad():
                mine.A.copy_(torch.from_numpy(change.A.copy()))
                mine.B.copy_(torch.from_numpy(change.B))
                extra = "shift" if isinstance(mine, LowRankLinear) else "values"
                getattr(mine, extra).copy_(getattr(theirs, extra))

    def one_epoch(self) -> None:
        """Go through the target's users once, in a new order."""
        size = self.domain.base.get_params()["batch_size"]
        order = torch.randperm(self.matrix.shape[0], generator=self.generator).numpy()
        self.towers.train()
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            losses = self.objective.of_users(self.towers, self.matrix[rows])
            loss = (self.weights[torch.from_numpy(rows).to(self.device)] * losses).mean()
            loss = loss + self.settings.reg * self.unit / self.matrix.shape[0] * self._penalty()
            if self.source is not None and self.settings.source_weight:
                drawn = torch.randint(self.source.shape[0], (size,), generator=self.generator).numpy()
                source = self.objective.of_users(self.towers, self.source[drawn])
                loss = loss + self.settings.source_weight * source.mean()
            if not torch.isfinite(loss):
                raise DataError(f"loss must stay finite, got {float(loss.detach())}: lower learning_rate")
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.domain.base.get_params()["max_grad_norm"])
            self.optimizer.step()

    def _penalty(self) -> torch.Tensor:
        layers = [getattr(self.towers, name) for name in LAYERS]
        found = torch.zeros((), device=self.device)
        for layer in layers:
            if isinstance(layer, LowRank):
                found = found + layer.penalty()
        return found

    def of_layer(self, name: str) -> Change:
        """The change of one layer's matrix as (n_in, n_out), columns by falling weight in the target."""
        layer = getattr(self.towers, name)
        A, B = _numpy(layer.A) * layer.scale, _numpy(layer.B)
        if isinstance(layer, LowRankTable):
            A[self.new] = 0
            if name == "embedding":
                A, B = ordered(A, B, gram(self.met["histories"] @ A), gram(B))
            elif name == "items":
                A, B = ordered(A, B, gram(A), gram(self.met["items"] @ B))
            return Change(A, B, self.new, _numpy(layer.values))
        A, B = ordered(A, B, gram(self.met[name] @ A), gram(B))
        return replace(Change.nothing(len(A), len(B)), A=A, B=B)

    def change(self) -> Change:
        """The change so far, in numpy."""
        if self.settings.method != "low-rank":
            arrays = self.towers.arrays() if self.settings.method == "scratch" else self._merged()
            made = {name: Change.whole(np.atleast_2d(array)) for name, array in arrays.items() if name != "center_"}
            return made.pop("item_factors_").on_towers(made)
        items, bias, made = self.of_layer("items"), self.of_layer("bias"), {}
        A = np.asfortranarray(np.hstack((items.A, bias.A * bias.B[0, 0])))
        B = np.zeros((items.B.shape[0] + 1, A.shape[1]), dtype=np.float32)
        B[:-1, :-1], B[-1, -1] = items.B, 1
        for name in LAYERS[2:] if self.settings.towers else ():
            layer = getattr(self.towers, name)
            if isinstance(layer, LowRank):
                made[f"{name}_"] = self.of_layer(name)
            if isinstance(layer, LowRankLinear):
                made[f"{name}_bias_"] = Change.whole(_numpy(layer.shift)[None] + self.domain.tower[f"{name}_bias_"])
        return Change(A, B, self.new, np.hstack((items.values, bias.values))).on_towers(made)

    def _merged(self) -> dict[str, np.ndarray]:
        """The arrays of towers whose changes are merged."""
        plain = Towers(self.domain.tower | {"item_factors_": self.domain.item_factors})
        for name in LAYERS:
            layer = getattr(self.towers, name)
            setattr(plain, name, layer.merged() if isinstance(layer, LowRank) else layer)
        return plain.arrays()


def _met(matrix: sp.csr_array, tower: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What each layer meets when the base encodes histories: rows of users."""
    histories = normalized(matrix, tower["center_"])
    x = times(histories, tower["embedding_"])
    hidden = np.maximum(x @ tower["hidden_"] + tower["hidden_bias_"], 0)
    U = encode(matrix, tower)[:, :-1]
    return {"histories": histories, "embedding": x, "items": U, "bias": np.ones((1, 1)), "hidden": x, "output": hidden}


class Scaled(torch.optim.Optimizer):
    """Adam whose second moment is one number a tensor: what few users touch moves as little as they say.

    Adam's own makes steps of one size for all entries, and noise of the items that nobody of few users touched.
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
    found: np.ndarray = tensor.detach().cpu().numpy().astype(np.float32)
    return found
