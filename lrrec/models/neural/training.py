"""Training of NeuralMF in torch."""

import hashlib
import math
from collections.abc import Mapping
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError
from lrrec.files import canonical, replacing
from lrrec.linalg.linear_prior import FeatureMatrix
from lrrec.models.base.feature_model import digest
from lrrec.models.base.iterative import DivergedError, Monitor
from lrrec.models.neural.encoder import centers
from lrrec.models.neural.parameters import NeuralParameters
from lrrec.models.neural.torch_import import torch
from lrrec.models.neural.towers import Objective, Towers, device_of, features_of
from lrrec.validate import as_path

WARM_UP = 0.05  # of all steps
MIN_BATCHES, MIN_BATCH_SIZE = 8, 16  # at least so many batches an epoch, unless they would be of fewer users
MONITORED = (
    "iteration",
    "seconds",
    "best_iteration",
    "best_score",
    "history",
)  # attributes of the monitor in a checkpoint


def train(
    parameters: NeuralParameters, matrix: sp.csr_array, monitor: Monitor, seed: int, *, init: Mapping[str, np.ndarray],
    features: FeatureMatrix | None, checkpoint: str | PathLike[str] | None,
) -> None:  # fmt: skip
    """Train the towers under a monitor; see `NeuralMF.fit`.

    init: arrays of the towers that are not initialized at random. Before the first epoch, the best state is the
    initial one.
    """
    training = _Training(parameters, matrix, seed, init, features)
    path = None if checkpoint is None else as_path(checkpoint, "checkpoint")
    if path is not None and path.exists():
        training.resume(path, monitor)
    if monitor.best is None:
        monitor.best = training.arrays()
    for epoch in monitor:
        loss = training.run_epoch()
        if not math.isfinite(loss):
            raise DivergedError(f"the loss became {loss} in epoch {epoch}: lower learning_rate")
        state = monitor.record(training.arrays(), partial(float, loss))
        entry = {"iteration": epoch, "loss": loss, "seconds": state.seconds, "score": state.score}
        monitor.history.append(entry | {"learning_rate": training.learning_rate()})
        if path is not None:
            training.save(path, monitor)
    if path is not None:
        path.unlink(missing_ok=True)


class _Training:
    """Towers, their optimizer, and how far they are trained."""

    def __init__(
        self, parameters: NeuralParameters, matrix: sp.csr_array, seed: int, init: Mapping[str, np.ndarray],
        features: FeatureMatrix | None,
    ) -> None:  # fmt: skip
        self.parameters, self.matrix, self.features = parameters, matrix, features
        self.device = device_of(parameters.device)
        self.generator = torch.Generator().manual_seed(seed)
        center = centers(matrix) if parameters.loss == "ratings" else np.zeros(matrix.shape[1], dtype=np.float32)
        sizes, features_tensor = (int(parameters.n_factors), int(parameters.n_hidden)), features_of(features)
        self.towers = Towers.fresh(matrix.shape[1], *sizes, self.generator, center, features_tensor)
        if init:
            self.towers = Towers(_merge(self.towers.arrays(), init), features_tensor)
        self.towers.to(self.device)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        self.objective = Objective(parameters, counts, self.generator, self.device)
        named = dict(self.towers.named_parameters())
        biases = [value for name, value in named.items() if "bias" in name]
        weights = [value for name, value in named.items() if "bias" not in name]
        self.optimizer = torch.optim.AdamW(
            [{"params": weights, "weight_decay": parameters.weight_decay}, {"params": biases, "weight_decay": 0.0}],
            lr=parameters.learning_rate, fused=True,
        )  # fmt: skip
        self.rows = np.flatnonzero(np.diff(matrix.indptr) > 0)
        self.batch_size = min(int(parameters.batch_size), max(MIN_BATCH_SIZE, -(-len(self.rows) // MIN_BATCHES)))
        self.n_batches = -(-len(self.rows) // self.batch_size)
        self.step = 0
        self.unit = 1.0  # of the weights, by which the loss is divided: steps are the same in any
        if parameters.loss != "ratings" and matrix.nnz:
            self.unit = float(matrix.data.mean(dtype=np.float64))

    def arrays(self) -> dict[str, Any]:
        """Return the arrays of `NeuralMF` that are learned."""
        return self.towers.arrays() | self.parameters._chosen_arrays()

    def learning_rate(self) -> float:
        """Return the learning rate of the next step: a linear warm-up, then a cosine."""
        peak, total = self.parameters.learning_rate, self.n_batches * self.parameters.n_epochs
        warm = max(1, round(WARM_UP * total))
        if self.step < warm:
            return float(peak * (self.step + 1) / warm)
        return float(peak * 0.5 * (1 + math.cos(math.pi * (self.step - warm) / max(1, total - warm))))

    def run_epoch(self) -> float:
        """Train on every user once, in random order; return the mean loss of a user."""
        matrix = self.matrix[self.rows[torch.randperm(len(self.rows), generator=self.generator).numpy()]]
        total = 0.0
        for start in range(0, matrix.shape[0], self.batch_size):
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            losses = self.objective.of_users(self.towers, matrix[start : start + self.batch_size])
            self.optimizer.zero_grad()
            (losses.mean() / self.unit).backward()
            torch.nn.utils.clip_grad_norm_(self.towers.parameters(), self.parameters.max_grad_norm)
            self.optimizer.step()
            self.step += 1
            total += float(losses.detach().sum())
        return total / len(self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the parameters and the data, which must be equal to resume a training."""
        params = {k: v for k, v in self.parameters.get_params().items() if k not in ("random_state", "device")}
        hashed = hashlib.sha256(canonical(params).encode())
        for array in (self.matrix.indptr, self.matrix.indices, self.matrix.data):
            hashed.update(np.ascontiguousarray(array).data)
        hashed.update(digest(self.features).encode())
        return hashed.hexdigest()

    def save(self, path: Path, monitor: Monitor) -> None:
        """Write the state of the training to path, replacing it atomically."""
        state = {
            "fingerprint": self.fingerprint, "towers": self.towers.state_dict(),
            "optimizer": self.optimizer.state_dict(), "generator": self.generator.get_state(), "step": self.step,
            "monitor": {name: getattr(monitor, name) for name in MONITORED},
            "best": {name: torch.from_numpy(array) for name, array in (monitor.best or {}).items()},
        }  # fmt: skip
        with replacing(path) as file:
            torch.save(state, file)

    def resume(self, path: Path, monitor: Monitor) -> None:
        """Continue from the state that `save` wrote."""
        try:
            with path.open("rb") as file:  # whatever its name: torch reads others at "x.safetensors"
                state = torch.load(file, map_location=self.device, weights_only=True)
        except Exception as error:  # whatever torch makes of a broken file
            reason = str(error).splitlines()[0]
            raise FileFormatError(
                f"{path} is not a checkpoint of NeuralMF ({reason}): remove it to start anew"
            ) from None
        if state.get("fingerprint") != self.fingerprint:
            raise FileFormatError(f"{path} is the checkpoint of another model or other data: remove it to start anew")
        self.towers.load_state_dict(state["towers"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.step = state["step"]
        for name in MONITORED:
            setattr(monitor, name, state["monitor"][name])
        monitor.best = {name: value.cpu().numpy() for name, value in state["best"].items()}


def _merge(arrays: dict[str, Any], init: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the arrays with those of init; item factors without biases leave the biases as they are."""
    merged = arrays | {name: array for name, array in init.items() if name != "item_factors_"}
    merged["item_factors_"][:, : init["item_factors_"].shape[1]] = init["item_factors_"]
    return merged
