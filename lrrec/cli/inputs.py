"""From the options of a command to data, splits and models; checks before any work is done."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lrrec
from lrrec.errors import ParameterError
from lrrec.models import by_command_name

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions
    from lrrec.datasets import Dataset
    from lrrec.splits import Split

MODELS = by_command_name()
N_NEGATIVES = 99


@dataclass
class Source:
    """The data of a command: a data set by name, or a CSV file with these columns."""

    data: str
    data_home: Path | None = None
    min_rating: float | None = None
    user: str = "user"
    item: str = "item"
    value: str | None = None
    time: str | None = None
    sep: str = ","

    @cached_property
    def dataset(self) -> "Dataset | None":
        """The data set, or None for a file."""
        datasets = lrrec.datasets
        return datasets.load(self.data, self.data_home) if self.data in datasets.names() else None

    def interactions(self) -> "Interactions":
        """Read the data; values of at least min_rating count as positive."""
        if self.dataset is not None:
            if (self.user, self.item, self.value, self.time) != ("user", "item", None, None):
                raise ParameterError(f"columns are for CSV files: leave them out, {self.data!r} is a data set")
            return self.dataset.interactions(self.min_rating)
        if not Path(self.data).exists():
            names = ", ".join(lrrec.datasets.names())
            raise ParameterError(f"DATA must be an existing CSV file or one of {names}, got {self.data!r}")
        if self.min_rating is not None and self.value is None:
            raise ParameterError("--min-rating needs the column of the values of a CSV file: add --value-column")
        interactions = lrrec.Interactions.from_csv(
            self.data, user=self.user, item=self.item, value=self.value, time=self.time, sep=self.sep,
            duplicates="sum" if self.min_rating is None else "last",  # ratings are revised, counts add up
        )  # fmt: skip
        return interactions if self.min_rating is None else interactions.binarize(self.min_rating)

    def split(self, protocol: str, test_size: float, seed: int) -> "Split":
        """Split by one of `PROTOCOLS`, or as published."""
        dataset = self._published(protocol)
        return PROTOCOLS[protocol][1](self.interactions(), test_size, seed) if dataset is None else dataset.split()

    def validation(self, split: "Split", protocol: str, seed: int) -> "Split | None":
        """A split of the training part for tuning, where it differs from the one that `tune` makes of it."""
        dataset = self._published(protocol)
        if split.candidates is not None:
            return ncf(split.train, seed)
        return dataset.split("valid") if dataset is not None and "valid" in dataset.parts else None

    def _published(self, protocol: str) -> "Dataset | None":
        """The data set whose published split the protocol names or is, or None."""
        datasets = lrrec.datasets
        if protocol == "published":
            if self.dataset is None:
                raise ParameterError(f"published splits come with data sets, got the file DATA {self.data!r}")
            return self.dataset
        for name in datasets.names():
            recipe = datasets.recipe(name)
            if (recipe.needs, recipe.protocol) == (self.data, protocol):
                return datasets.load(name, self.data_home)
        return None


def ncf(data: "Interactions", seed: int) -> "Split":
    """The last interaction of each user among negatives."""
    splits = lrrec.splits
    return splits.with_negatives(splits.leave_last(data), N_NEGATIVES, random_state=seed)


# Name on the command line -> help, and a function of data, test size and seed that splits.
PROTOCOLS: dict[str, tuple[str, Callable[["Interactions", float, int], "Split"]]] = {
    "by-user": (
        "test users are new to the model",
        lambda data, size, seed: lrrec.splits.by_user(data, size, random_state=seed),
    ),
    "leave-last": ("the last interaction of each user", lambda data, size, seed: lrrec.splits.leave_last(data)),
    "by-time": ("all interactions after a point in time", lambda data, size, seed: lrrec.splits.by_time(data, size)),
    "random": ("interactions at random", lambda data, size, seed: lrrec.splits.random(data, size, random_state=seed)),
    "ncf": (
        "the last interaction of each user among 99 negatives, published ones for ml-1m",
        lambda data, size, seed: ncf(data, seed),
    ),
}
PROTOCOL_HELP = "; ".join(f"{name}: {text}" for name, (text, _) in PROTOCOLS.items())
PROTOCOL_HELP += "; published: the split that comes with the data set."


def check_protocol(name: str, option: str) -> str:
    """The name of a protocol, with hyphens."""
    from lrrec.validate import check_option

    return check_option(name.replace("_", "-"), option, (*PROTOCOLS, "published"))


def check_out(out: Path | None, option: str = "--out") -> None:
    """Refuse a file that cannot be written, before any work is done."""
    if out is not None and (not out.absolute().parent.is_dir() or out.is_dir()):
        raise ParameterError(f"{option} must be a file in a folder that exists, got {str(out)!r}")


def make_model(name: str, params: list[str] | None = None, *, seed: int, option: str = "--model") -> Any:
    """An unfitted model of its name and NAME=VALUE pairs."""
    from lrrec.validate import check_option

    cls = getattr(lrrec, MODELS[check_option(name, option, tuple(MODELS))])
    defaults = cls().get_params()
    values: dict[str, Any] = {"random_state": seed} if "random_state" in defaults else {}
    for pair in params or ():
        parameter, equals, text = pair.partition("=")
        if not equals or parameter not in defaults:
            expected = (
                f"NAME=VALUE with NAME one of {', '.join(defaults)}" if defaults else f"left out: {name} has none"
            )
            raise ParameterError(f"--param must be {expected}, got {pair!r}")
        try:
            values[parameter] = json.loads(text)
        except json.JSONDecodeError:
            values[parameter] = text
    return cls(**values)


def fit_model(model: Any, interactions: "Interactions") -> Any:
    """Fit, with a progress bar where the model has one."""
    shows = "progress" in inspect.signature(model.fit).parameters
    return model.fit(interactions, progress=True) if shows else model.fit(interactions)
