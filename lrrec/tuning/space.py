"""Search spaces of tune: plain Python, read into ranges and choices."""

import json
import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrrec.errors import ParameterError
from lrrec.models.base.recommender import Recommender
from lrrec.validate import first_three

Space = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included: integers where both are, uniform or log-uniform."""

    low: float
    high: float
    log: bool

    @property
    def size(self) -> float:
        """The number of values."""
        return self.high - self.low + 1 if isinstance(self.low, int) else math.inf

    def suggest(self, trial: Any, name: str) -> Any:
        """Return a value for a trial of Optuna."""
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(name, self.low, self.high, log=self.log)

    def values(self) -> list[Any]:
        """Return all values; for integers only."""
        return list(range(int(self.low), int(self.high) + 1))

    def holds(self, value: Any) -> bool:
        """Return whether a value is in the dimension."""
        kinds = (int,) if isinstance(self.low, int) else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of a list."""

    options: tuple[Any, ...]

    @property
    def size(self) -> float:
        """The number of values."""
        return len(self.options)

    def suggest(self, trial: Any, name: str) -> Any:
        """Return a value for a trial of Optuna."""
        return trial.suggest_categorical(name, self.options)

    def values(self) -> list[Any]:
        """Return all values."""
        return list(self.options)

    def holds(self, value: Any) -> bool:
        """Return whether a value is in the dimension."""
        return any(type(value) is type(option) and value == option for option in self.options)


Dimension = Range | Choice


def default_space(model: Any, shape: tuple[int, int]) -> Space:
    """Return the model's search space, with n_factors cut to a matrix of n_users x n_items."""
    space = model.default_tuning_space() if isinstance(model, Recommender) else None
    if space is None:
        raise ParameterError(f"space must be given for a {type(model).__name__}, which has no tuning_space, got None")
    space = dict(space)
    most = max(1, min(shape) // 2)
    factors = space.get("n_factors")
    if isinstance(factors, list):
        space["n_factors"] = [n for n in factors if n <= most] or [most]
    elif factors is not None:
        low, high, scale = factors
        space["n_factors"] = (min(low, most), min(high, most), scale)
    return space


def include_own(space: Space, own: dict[str, Any]) -> tuple[Space, dict[str, Any]]:
    """Return the space with bounds and lists that include the model's own numbers, and these.

    n_factors stays in its bounds, so that the model's own rank is cut to what the matrix allows.
    """
    space, own = dict(space), dict(own)
    for name, bounds in space.items():
        value: Any = own.get(name)
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_number:
            continue
        if isinstance(bounds, list):
            space[name] = bounds if value in bounds else sorted([*bounds, value])
        elif name == "n_factors":
            own[name] = min(max(value, bounds[0]), bounds[1])
        elif float(value) > 0 or "log" not in bounds:
            space[name] = (min(bounds[0], value), max(bounds[1], value), *bounds[2:])
    return space, own


def read_space(space: Any, model: Any) -> dict[str, Dimension]:
    """Return the checked dimensions of a space, sorted by name."""
    if not isinstance(space, dict):
        raise ParameterError(
            f"space must be a dict of parameters to (low, high), (low, high, 'log') or lists, got {space!r}"
        )
    params, deep = model.get_params(deep=False), model.get_params()
    unknown = [name for name in space if name not in deep]
    if unknown:
        expected = f"name parameters of {type(model).__name__} ({', '.join(params)})" if params else "be empty"
        raise ParameterError(f"space must {expected}, got {first_three(unknown)}")
    return {name: _dimension(space[name], f"space[{name!r}]") for name in sorted(space)}


def as_text(dimensions: dict[str, Dimension]) -> str:
    """Return a space as text, equal for equal spaces."""
    return json.dumps(
        {name: [type(dimension).__name__, *vars(dimension).values()] for name, dimension in dimensions.items()}
    )


def _dimension(spec: Any, name: str) -> Dimension:
    """Read a tuple as a range, a list as a choice."""
    expected = f"{name} must be (low, high), (low, high, 'log') with low < high, or a list of values"
    if isinstance(spec, list | np.ndarray):
        options = tuple(_plain(value) for value in spec)
        if not options or not all(value is None or isinstance(value, bool | int | float | str) for value in options):
            raise ParameterError(f"{name} must be a list of at least one number, string, bool or None, got {spec!r}")
        if len({(type(value), value) for value in options}) < len(options):
            raise ParameterError(f"{name} must be a list of distinct values, got {spec!r}")
        return Choice(options)
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ParameterError(f"{expected}, got {spec!r}")
    low, high, *scale = (_plain(value) for value in spec)
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (low, high))
    if not numeric or not (math.isfinite(low) and math.isfinite(high) and low <= high) or scale not in ([], ["log"]):
        raise ParameterError(f"{expected}, got {spec!r}")
    if scale and low <= 0:
        raise ParameterError(f"{name} must have a low > 0 with 'log', got {spec!r}")
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Range(low, high, bool(scale))


def _plain(value: Any) -> Any:
    """Return a numpy number as a Python number."""
    return value.item() if isinstance(value, np.generic) else value
