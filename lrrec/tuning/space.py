"""What is tried out: spaces of parameters in plain Python, and a sensible one for every model."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrrec.errors import ParameterError
from lrrec.validate import first_three

Space = dict[str, Any]

_WIDTHS = (8, 16, 32, 64, 128, 256)
SPACES: dict[str, Space] = {
    "Popularity": {},
    "ItemKNN": {"n_neighbors": (10, 1000, "log"), "shrink": (0.0, 100.0)},
    "RP3Beta": {"alpha": (0.3, 1.2), "beta": (0.0, 0.8), "n_neighbors": (50, 2000, "log")},
    "EASE": {"reg": (10.0, 10_000.0, "log")},
    "TruncatedSVD": {
        "n_factors": (8, 256, "log"), "user_power": (0.0, 0.5), "item_power": (0.0, 0.5), "score_power": (0.0, 0.5),
    },
    "NMF": {"n_factors": (8, 128, "log"), "reg": (0.01, 10.0, "log")},
    "ALS": {"n_factors": [8, 16, 32, 64], "reg": (0.01, 0.3, "log")},
    "IALS": {"n_factors": list(_WIDTHS), "unobserved_weight": (0.005, 1.0, "log"), "reg": (0.001, 0.1, "log")},
    "NeuralMF": {
        "n_factors": [32, 64, 128, 256], "start_unobserved_weight": (0.01, 1.0, "log"),
        "start_reg": (0.001, 0.1, "log"), "unobserved_weight": (0.05, 3.0, "log"),
        "learning_rate": (0.0003, 0.003, "log"),
    },
}  # fmt: skip
_HU = {"n_factors": list(_WIDTHS), "alpha": (0.5, 50.0, "log"), "reg": (0.1, 100.0, "log")}


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included: integers where both are, evenly spread or by their logarithm."""

    low: float
    high: float
    log: bool

    @property
    def size(self) -> float:
        """How many values there are."""
        return self.high - self.low + 1 if isinstance(self.low, int) else math.inf

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for a trial of Optuna."""
        ask = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return ask(name, self.low, self.high, log=self.log)

    def values(self) -> list:
        """Every value; of integers only."""
        return list(range(int(self.low), int(self.high) + 1))

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        kinds = (int,) if isinstance(self.low, int) else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """Any of a list."""

    options: tuple

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.options)

    def suggest(self, trial: Any, name: str) -> Any:
        """A value for a trial of Optuna."""
        return trial.suggest_categorical(name, self.options)

    def values(self) -> list:
        """Every value."""
        return list(self.options)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return any(type(value) is type(option) and value == option for option in self.options)


Dimension = Range | Choice


def default_space(model: Any, shape: tuple[int, int]) -> Space:
    """The space of a model for a matrix of n_users x n_items, numbers of factors being cut to it."""
    names = [cls.__name__ for cls in type(model).__mro__]
    known = next((name for name in names if name in SPACES), None)
    if known is None:
        raise ParameterError(f"space must be given for a {names[0]}, got None: lrrec knows one for {', '.join(SPACES)}")
    space = dict(_HU if known == "IALS" and model.objective == "hu" else SPACES[known])
    most = max(1, min(shape) // 2)
    factors = space.get("n_factors")
    if isinstance(factors, list):
        space["n_factors"] = [n for n in factors if n <= most] or [most]
    elif factors is not None:
        low, high, scale = factors
        space["n_factors"] = (min(low, most), min(high, most), scale)
    return space


def read_space(space: Any, model: Any) -> dict[str, Dimension]:
    """A space that a user wrote, checked, in the order of its names."""
    if not isinstance(space, dict):
        raise ParameterError(
            f"space must be a dict of parameters to (low, high), (low, high, 'log') or lists, got {space!r}"
        )
    known = model.get_params(deep=False)
    strange = [name for name in space if name not in known]
    if strange:
        expected = f"parameters of {type(model).__name__} ({', '.join(known)})" if known else "empty for this model"
        raise ParameterError(f"space must name {expected}, got {first_three(strange)}")
    return {name: _dimension(space[name], f"space[{name!r}]") for name in sorted(space)}


def as_text(dimensions: dict[str, Dimension]) -> str:
    """A space as text, equal for equal spaces."""
    return json.dumps({name: [type(one).__name__, *vars(one).values()] for name, one in dimensions.items()})


def _dimension(given: Any, name: str) -> Dimension:
    """A tuple as a range, a list as a choice."""
    wanted = f"{name} must be (low, high), (low, high, 'log') with low < high, or a list of values"
    if isinstance(given, list | np.ndarray):
        options = tuple(_plain(one) for one in given)
        if not options or not all(one is None or isinstance(one, bool | int | float | str) for one in options):
            raise ParameterError(f"{name} must be a list of at least one number, string, bool or None, got {given!r}")
        if len({(type(one), one) for one in options}) < len(options):
            raise ParameterError(f"{name} must be a list of distinct values, got {given!r}")
        return Choice(options)
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise ParameterError(f"{wanted}, got {given!r}")
    low, high, *scale = (_plain(one) for one in given)
    numeric = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high))
    if not numeric or not (math.isfinite(low) and math.isfinite(high) and low <= high) or scale not in ([], ["log"]):
        raise ParameterError(f"{wanted}, got {given!r}")
    if scale and low <= 0:
        raise ParameterError(f"{name} must have a low > 0 with 'log', got {given!r}")
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Range(low, high, bool(scale))


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value
