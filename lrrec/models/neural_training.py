"""Training of NeuralMF in torch."""

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from lrrec.errors import DataError, FileFormatError
from lrrec.factor_model import FactorModel
from lrrec.linalg.products import times
from lrrec.models.neural import NeuralMF, normalized

WARM_UP = 0.05  # of all steps


@dataclass
class Trained:
    """What training ends with: arrays of the towers, the history, and the error that ended it, if any."""

    arrays: dict[str, np.ndarray]
    history: list[dict[str, float]]
    error: Exception | None = None


class Towers(torch.nn.Module):
    """The user's tower over histories, and the items' vectors and biases."""

    def __init__(self, n_items: int, n_factors: int, n_hidden: int, generator: torch.Generator) -> None:
        super().__init__()

        def normal(*shape: int, scale: float) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(*shape, generator=generator) * scale)

        self.embedding = normal(n_items, n_factors, scale=n_factors**-0.5)
        self.items = normal(n_items, n_factors, scale=0.1 * n_factors**-0.5)
        self.bias = torch.nn.Parameter(torch.zeros(n_items))
        self.hidden = normal(n_factors, n_hidden, scale=(2 / n_factors) ** 0.5)
        self.hidden_bias = torch.nn.Parameter(torch.zeros(n_hidden))
        self.output = torch.nn.Parameter(torch.zeros(n_hidden, n_factors))
        self.output_bias = torch.nn.Parameter(torch.zeros(n_factors))

    def users(self, columns: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
        """User vectors (B, D) of histories: items and weights, one after the other, and where each begins."""
        x = functional.embedding_bag(columns, self.embedding, offsets, mode="sum", per_sample_weights=weights)
        return x + torch.relu(x @ self.hidden + self.hidden_bias) @ self.output + self.output_bias

    def arrays(self) -> dict[str, np.ndarray]:
        """What `NeuralMF` consists of."""
        found = {name: value.detach().cpu().numpy().copy() for name, value in self.named_parameters()}
        items = np.concatenate((found.pop("items"), found.pop("bias")[:, None]), axis=1)
        projection = np.eye(items.shape[1], dtype=np.float32)
        return {f"{name}_": value for name, value in found.items()} | {
            "item_factors_": items,
            "projection_": projection,
        }


@dataclass(frozen=True)
class Batch:
    """Users and what they did: rows (N,) within the batch, columns, values; histories with a part hidden."""

    rows: Tensor
    columns: Tensor
    values: Tensor
    U: Tensor


def train(
    model: NeuralMF, matrix: sp.csr_array, seed: int, *, init: FactorModel | None,
    judge: Callable[[dict[str, np.ndarray]], float] | None, patience: int,
    callback: Callable[[dict[str, float]], Any] | None, progress: bool, checkpoint: str | PathLike | None,
) -> Trained:  # fmt: skip
    """Train the towers; see `NeuralMF.fit`."""
    run = _Run(model, matrix, seed, init)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        run.resume(path)
    good, error = run.towers.arrays() if run.best_arrays is None else run.best_arrays, None
    epochs = range(run.epoch + 1, model.n_epochs + 1)
    for epoch in tqdm(epochs, desc="NeuralMF", unit="epoch", disable=None if progress else True):
        if judge is not None and epoch - 1 - run.best_epoch >= patience and run.best_epoch:
            break
        begun = time.perf_counter()
        loss = run.one_epoch()
        entry = {"epoch": float(epoch), "loss": loss, "learning_rate": run.rate()}
        if not math.isfinite(loss):
            error = DataError(f"loss must stay finite, got {loss} in epoch {epoch}: lower learning_rate")
            break
        arrays = run.towers.arrays()
        found = 0.0 if judge is None else judge(arrays)
        if judge is not None:
            entry["ndcg@10"] = found
        if judge is None or found > run.best:
            good, run.best, run.best_epoch, run.best_arrays = arrays, found, epoch, arrays
        entry["seconds"] = time.perf_counter() - begun
        run.history.append(entry)
        run.epoch = epoch
        if path is not None:
            run.keep(path)
        if callback is not None and callback(entry) is True:
            break
    if path is not None and error is None:
        path.unlink(missing_ok=True)
    return Trained(good, run.history, error)


class _Run:
    """The state of a training."""

    def __init__(self, model: NeuralMF, matrix: sp.csr_array, seed: int, init: FactorModel | None) -> None:
        self.model, self.matrix = model, matrix
        self.device = torch.device(model.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.towers = Towers(matrix.shape[1], model.n_factors, model.n_hidden, self.generator)
        if init is not None:
            self._start_from(init)
        self.towers.to(self.device)
        parameters = dict(self.towers.named_parameters())
        flat = [value for name, value in parameters.items() if name.endswith("bias")]
        deep = [value for name, value in parameters.items() if not name.endswith("bias")]
        self.optimizer = torch.optim.AdamW(
            [{"params": deep, "weight_decay": model.weight_decay}, {"params": flat, "weight_decay": 0.0}],
            lr=model.learning_rate,
        )
        self.rows = np.flatnonzero(np.diff(matrix.indptr) > 0)
        self.n_batches = -(-len(self.rows) // model.batch_size)
        self.epoch, self.step, self.best, self.best_epoch = 0, 0, -1.0, 0
        self.best_arrays: dict[str, np.ndarray] | None = None
        self.history: list[dict[str, float]] = []
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1]) ** 0.75
        self.drawn = torch.from_numpy(counts / counts.sum()).to(torch.float32)

    def _start_from(self, init: FactorModel) -> None:
        """Item factors of a fitted model, and the linear map of them whose means over histories give its users."""
        V = init.item_factors_
        X = times(normalized(self.matrix), V).astype(np.float64)
        ridge = 1e-3 * np.trace(X.T @ X) / V.shape[1] * np.eye(V.shape[1])
        M = np.linalg.solve(X.T @ X + ridge, X.T @ init.user_factors_)
        with torch.no_grad():
            self.towers.embedding.copy_(torch.from_numpy((V @ M).astype(np.float32)))
            self.towers.items.copy_(torch.from_numpy(V))

    def rate(self) -> float:
        """The learning rate of the next step."""
        total = self.n_batches * self.model.n_epochs
        warm = max(1, round(WARM_UP * total))
        if self.step < warm:
            return float(self.model.learning_rate * (self.step + 1) / warm)
        return float(
            self.model.learning_rate * 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, total - warm)))
        )

    def one_epoch(self) -> float:
        """Go through all users once, in a new order; the mean loss of a user."""
        order = self.rows[torch.randperm(len(self.rows), generator=self.generator).numpy()]
        total = 0.0
        for start in range(0, len(order), self.model.batch_size):
            users = order[start : start + self.model.batch_size]
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            loss = _LOSSES[self.model.loss](self, self._batch(users))
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.model.max_norm)
            self.optimizer.step()
            self.step += 1
            total += float(loss.detach()) * len(users)
        return total / len(order)

    def _batch(self, users: np.ndarray) -> Batch:
        """The users' interactions, and their vectors from what is not hidden."""
        part = self.matrix[users]
        counts = np.diff(part.indptr)
        rows = torch.from_numpy(np.repeat(np.arange(len(users)), counts))
        columns, values = torch.from_numpy(part.indices.astype(np.int64)), torch.from_numpy(part.data)
        weights = values
        if self.model.dropout:
            weights = values * (torch.rand(len(values), generator=self.generator) >= self.model.dropout)
        squares = torch.zeros(len(users)).index_add_(0, rows, weights**2)
        weights = weights / squares.sqrt().clamp(min=1e-12)[rows]
        offsets = torch.from_numpy(part.indptr[:-1].astype(np.int64))
        rows, columns, values, weights, offsets = (
            one.to(self.device) for one in (rows, columns, values, weights, offsets)
        )
        return Batch(rows, columns, values, self.towers.users(columns, weights, offsets))

    def _softmax(self, batch: Batch) -> Tensor:
        """- sum_i w_ui log softmax(s_u)_i, a user's mean."""
        scores = torch.addmm(self.towers.bias, batch.U, self.towers.items.T)
        targets = torch.zeros_like(scores)
        targets[batch.rows, batch.columns] = batch.values
        return (targets.sum(1) * torch.logsumexp(scores, 1) - (targets * scores).sum(1)).mean()

    def _squared(self, batch: Batch) -> Tensor:
        """sum_i w_ui (s_ui - 1)^2 + a sum over all items s_ui^2, a user's mean."""
        towers = self.towers
        U = torch.cat((batch.U, torch.ones_like(batch.U[:, :1])), 1)
        V = torch.cat((towers.items, towers.bias[:, None]), 1)
        observed = (batch.values * ((U[batch.rows] * V[batch.columns]).sum(1) - 1) ** 2).sum()
        everywhere = ((U.T @ U) * (V.T @ V)).sum()
        return (observed + self.model.unobserved_weight * everywhere) / len(U)

    def _bpr(self, batch: Batch) -> Tensor:
        """- log sigmoid(s_ui - s_uj) for an item j drawn at random for each interaction, a user's mean."""
        towers = self.towers
        others = torch.randint(len(towers.items), (len(batch.rows),), generator=self.generator).to(self.device)
        apart = towers.items[batch.columns] - towers.items[others]
        ahead = (batch.U[batch.rows] * apart).sum(1) + towers.bias[batch.columns] - towers.bias[others]
        return -(batch.values * functional.logsigmoid(ahead)).sum() / len(batch.U)

    def _sampled_softmax(self, batch: Batch) -> Tensor:
        """Softmax of each interaction over the items drawn for the batch, less log of how often they are to be drawn.

        What a user has is not against him.
        """
        towers = self.towers
        drawn = torch.multinomial(self.drawn, self.model.n_negatives, replacement=True, generator=self.generator)
        items, times_drawn = torch.unique(drawn, return_counts=True)
        expected = torch.log(self.drawn.clamp(min=1e-12) * self.model.n_negatives)
        offsets = (torch.log(times_drawn) - expected[items]).to(self.device)
        items, expected, rows, columns = items.to(self.device), expected.to(self.device), batch.rows, batch.columns
        scores = torch.addmm(towers.bias[items] + offsets, batch.U, towers.items[items].T)
        place = torch.searchsorted(items, columns).clamp(max=len(items) - 1)
        hit = items[place] == columns
        accidental = torch.zeros_like(scores, dtype=torch.bool)
        accidental[rows[hit], place[hit]] = True
        others = torch.logsumexp(scores.masked_fill(accidental, -1e30), 1)[rows]
        own = (batch.U[rows] * towers.items[columns]).sum(1) + towers.bias[columns] - expected[columns]
        return (batch.values * (torch.logaddexp(own, others) - own)).sum() / len(batch.U)

    def _fingerprint(self) -> str:
        """What must be the same for a training to go on."""
        params = self.model.get_params()
        kept = {name: value for name, value in params.items() if name not in ("random_state", "device")}
        found = hashlib.sha256(repr(sorted(kept.items())).encode())
        for array in (self.matrix.indptr, self.matrix.indices, self.matrix.data):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def keep(self, path: Path) -> None:
        """Write the state, replacing the file whole or not at all."""
        state = {
            "fingerprint": self._fingerprint(), "towers": self.towers.state_dict(),
            "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(), "epoch": self.epoch,
            "step": self.step, "best": self.best, "best_epoch": self.best_epoch, "history": self.history,
            "best_arrays": {name: torch.from_numpy(array) for name, array in (self.best_arrays or {}).items()},
        }  # fmt: skip
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def resume(self, path: Path) -> None:
        """Take up the state of a training of the same model on the same data."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever torch makes of a broken file
            raise FileFormatError(f"{path} must be a checkpoint of NeuralMF: {str(error).splitlines()[0]}") from None
        if state.get("fingerprint") != self._fingerprint():
            raise FileFormatError(f"{path} must be of the same model and data: remove it to begin anew")
        self.towers.load_state_dict(state["towers"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
        self.best_epoch, self.history = state["best_epoch"], state["history"]
        self.best_arrays = {name: value.cpu().numpy() for name, value in state["best_arrays"].items()} or None


_LOSSES: dict[str, Callable[[_Run, Batch], Tensor]] = {
    "softmax": _Run._softmax,
    "squared": _Run._squared,
    "bpr": _Run._bpr,
    "sampled-softmax": _Run._sampled_softmax,
}
