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
from tqdm.auto import tqdm

from lrrec.errors import DataError, FileFormatError
from lrrec.linalg.sparse import times
from lrrec.models.base.factor_model import FactorModel
from lrrec.models.neural.encoder import centers, normalized
from lrrec.models.neural.item_features import Features
from lrrec.models.neural.neural_mf import NeuralMF
from lrrec.models.neural.towers import Objective, Towers, device_of, features_of

WARM_UP = 0.05  # of all steps
STEPS, SMALLEST = 8, 16  # at least so many batches an epoch, unless they would be of fewer users


@dataclass
class Trained:
    """What training ends with: arrays of the towers, the history, and the error that ended it, if any."""

    arrays: dict[str, np.ndarray]
    history: list[dict[str, float]]
    error: Exception | None = None


def train(
    model: NeuralMF, matrix: sp.csr_array, seed: int, *, init: FactorModel | None, features: Features,
    judge: Callable[[dict[str, np.ndarray]], float] | None, patience: int,
    callback: Callable[[dict[str, float]], Any] | None, progress: bool, checkpoint: str | PathLike | None,
) -> Trained:  # fmt: skip
    """Train the towers; see `NeuralMF.fit`."""
    run = _Run(model, matrix, seed, init, features)
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
        entry["seconds"] = time.perf_counter() - begun
        if not math.isfinite(loss):
            error = DataError(f"loss must stay finite, got {loss} in epoch {epoch}: lower learning_rate")
            break
        arrays = run.towers.arrays()
        found = 0.0 if judge is None else judge(arrays)
        if judge is not None:
            entry["ndcg@10"] = found
        if judge is None or found > run.best:
            good, run.best, run.best_epoch, run.best_arrays = arrays, found, epoch, arrays
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

    def __init__(
        self, model: NeuralMF, matrix: sp.csr_array, seed: int, init: FactorModel | None, features: Features
    ) -> None:
        self.model, self.matrix, self.features = model, matrix, features
        self.device = device_of(model.device)
        self.generator = torch.Generator().manual_seed(seed)
        center = centers(matrix) if model.loss == "ratings" else np.zeros(matrix.shape[1], dtype=np.float32)
        self.towers = Towers.fresh(
            matrix.shape[1], model.n_factors, model.n_hidden, self.generator, center, features_of(features)
        )
        if init is not None:
            self._start_from(init)
        self.towers.to(self.device)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        self.objective = Objective(model, counts, self.generator, self.device)
        parameters = dict(self.towers.named_parameters())
        flat = [value for name, value in parameters.items() if "bias" in name]
        deep = [value for name, value in parameters.items() if "bias" not in name]
        self.optimizer = torch.optim.AdamW(
            [{"params": deep, "weight_decay": model.weight_decay}, {"params": flat, "weight_decay": 0.0}],
            lr=model.learning_rate, fused=True,
        )  # fmt: skip
        self.rows = np.flatnonzero(np.diff(matrix.indptr) > 0)
        self.size = min(model.batch_size, max(SMALLEST, -(-len(self.rows) // STEPS)))
        self.n_batches = -(-len(self.rows) // self.size)
        self.epoch, self.step, self.best, self.best_epoch = 0, 0, -1.0, 0
        self.best_arrays: dict[str, np.ndarray] | None = None
        self.history: list[dict[str, float]] = []

    def _start_from(self, init: FactorModel) -> None:
        """The towers of a NeuralMF; of others the item factors, and that map of them whose means give the users."""
        if isinstance(init, NeuralMF):
            arrays = {name: getattr(init, name) for name in self.towers.arrays()}
        else:
            V = init.item_factors_
            X = times(normalized(self.matrix), V).astype(np.float64)
            ridge = 1e-3 * np.trace(X.T @ X) / V.shape[1] * np.eye(V.shape[1])
            M = np.linalg.solve(X.T @ X + ridge, X.T @ init.user_factors_)
            arrays = self.towers.arrays()
            arrays["embedding_"] = (V @ M).astype(np.float32)
            arrays["item_factors_"][:, :-1] = V
        self.towers = Towers(arrays, self.towers.items.features)

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
        matrix = self.matrix[self.rows[torch.randperm(len(self.rows), generator=self.generator).numpy()]]
        total = 0.0
        for start in range(0, matrix.shape[0], self.size):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate()
            losses = self.objective.of_users(self.towers, matrix[start : start + self.size])
            self.optimizer.zero_grad()
            losses.mean().backward()
            torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.model.max_grad_norm)
            self.optimizer.step()
            self.step += 1
            total += float(losses.detach().sum())
        return total / len(self.rows)

    def _fingerprint(self) -> str:
        """What must be the same for a training to go on."""
        params = self.model.get_params()
        kept = {name: value for name, value in params.items() if name not in ("random_state", "device")}
        found = hashlib.sha256(repr(sorted(kept.items())).encode())
        features = [] if self.features is None else [np.asarray(sp.csr_array(self.features).todense())]
        for array in (self.matrix.indptr, self.matrix.indices, self.matrix.data, *features):
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
