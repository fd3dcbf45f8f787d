"""The parameters of NeuralMF that its training reads."""

from typing import Any, Protocol

import numpy as np


class NeuralParameters(Protocol):
    """A `NeuralMF`, or anything with its parameters."""

    n_factors: int
    n_hidden: int
    loss: str
    n_negatives: int
    dropout: float
    hidden_dropout: float
    n_epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    max_grad_norm: float
    precision: str
    device: str

    def _number(self, name: str) -> float:
        """Return unobserved_weight: what it is, or what "auto" became."""

    def _chosen_arrays(self) -> dict[str, np.ndarray]:
        """Return what "auto" became, as it is stored."""

    def get_params(self) -> dict[str, Any]:
        """Return all parameters by name."""
