"""From the options of a command to data, splits and models; checks before any work is done."""

import glob
import inspect
import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lrrec
from lrrec.errors import DataError, ParameterError
from lrrec.models import by_command_name

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions
    from lrrec.datasets import Dataset
    from lrrec.splits import Split

MODELS = by_command_name()
N_NEGATIVES = 99
MIN_LIKE = 4  # the default --min-rating of data sets with ratings


def reader(data: str) -> str:
    """Return which method of Interactions reads a file, by its suffixes; a folder is one of Parquet files."""
    suffixes = Path(data.lower()).suffixes[-2:]
    if suffixes[-1:] == [".parquet"] or Path(data).is_dir():
        return "from_parquet"
    return "from_json_lines" if {".jsonl", ".ndjson"} & set(suffixes) else "from_csv"


@dataclass
class Source:
    """The data of a command: a data set by name, a file with these columns, or saved interactions."""

    data: str
    data_home: Path | None = None
    min_rating: float | None = None
    user: str = "user"
    item: str = "item"
    value: str | None = None
    time: str | None = None
    delimiter: str = ","
    read: list[str] | None = None
    min_interactions: int | None = None
    test_file: Path | None = None
    history_file: Path | None = None
    validation_file: Path | None = None
    half_life: str | None = None

    @cached_property
    def dataset(self) -> "Dataset | None":
        """The data set, or None for a file."""
        datasets = lrrec.datasets
        named = datasets.is_name(self.data) and ("/" not in self.data or not Path(self.data).exists())
        return datasets.load(self.data, self.data_home) if named else None

    def interactions(self) -> "Interactions":
        """Read the data, as far as they have enough interactions; values of at least min_rating count as positive."""
        data, least = self._read(), self.min_interactions
        return data if least is None else data.k_core(least, least)

    def weighted(self, data: Any) -> Any:
        """Interactions to fit to, or a split, weighted by age if there is a half-life."""
        return data if self.half_life is None else data.decayed(_parsed(self.half_life))

    def set_min_rating(self, protocol: str | None = None) -> None:
        """Set what counts as positive where nothing is said: likes, or every rating for ncf."""
        if self.min_rating is None and self.dataset is not None and "rating" in self.dataset.ratings:
            least, usual = self.dataset.ratings["rating"].min(), self.dataset.recipe.min_rating or MIN_LIKE
            self.min_rating = float(least) if protocol == "ncf" else usual

    def _read(self) -> "Interactions":
        """Read the data."""
        saved = self.dataset is None and self.data.lower().endswith(".lrrec")
        if saved or self.dataset is not None:
            kind = "a file of interactions" if saved else "a data set"
            if (self.user, self.item, self.value, self.time) != ("user", "item", None, None):
                raise ParameterError(f"columns are for tables: leave them out, {self.data!r} is {kind}")
        if self.dataset is not None:
            return self.dataset.interactions(self.min_rating)
        if not (Path(self.data).exists() or glob.glob(self.data)):
            names = ", ".join(lrrec.datasets.names())
            raise ParameterError(f"DATA must be an existing file or one of {names}, got {self.data!r}")
        if self.min_rating is not None and self.value is None and not saved:
            raise ParameterError("--min-rating needs the column of the values of a CSV file: add --value-column")
        interactions = lrrec.Interactions.open(self.data) if saved else self._read_file()
        return interactions if self.min_rating is None else interactions.binarize(self.min_rating)

    def _read_file(self) -> "Interactions":
        """Read the file as its options say; ratings, which min_rating tells them to be, are revised, not added."""
        read: Any = getattr(lrrec.Interactions, reader(self.data))
        columns: dict[str, Any] = {"user": self.user, "item": self.item, "value": self.value, "time": self.time}
        names = [name for name in inspect.signature(read).parameters if name not in ("path", *columns)]
        options = {"duplicates": None if self.min_rating is None else "last"}
        options |= {"delimiter": self.delimiter} if "delimiter" in names else {}
        options |= parse_pairs(self.read, names, "--read")
        if options.get("header", 0) is None:  # columns have numbers
            columns = {role: int(name) if str(name).isdecimal() else name for role, name in columns.items()}
        try:
            return read(self.data, **columns, **options)
        except DataError as error:
            raise DataError(_as_options(str(error))) from None

    def splits(self, protocol: str, **options: Any) -> "Iterable[Split]":
        """Split by one of `PROTOCOLS`, as published, or into the given files."""
        if self.test_file is not None:
            return [self._given(options["repeats"])]
        if self.history_file is not None or self.validation_file is not None:
            raise ParameterError("--history-file and --validation-file need the test interactions: add --test-file")
        dataset = self._published(protocol)
        if dataset is None:
            return make_splits(protocol, self.interactions(), **options)
        if self.min_interactions is not None:
            raise ParameterError("--min-interactions cannot change a published split: choose another split")
        return [dataset.split()]

    def _given(self, repeats: str | None) -> "Split":
        """The split of the given files; repeats are kept where it is not said."""
        test, history, validation = (
            None if path is None else replace(self, data=str(path), min_interactions=None).interactions()
            for path in (self.test_file, self.history_file, self.validation_file)
        )
        assert test is not None
        return lrrec.Split.from_frames(self.interactions(), test, history, validation, repeats=repeats or "keep")

    def validation(self, split: "Split", protocol: str, seed: int) -> "Split | None":
        """A split of the training part for tuning, where it differs from the one that `tune` makes of it.

        split: before it is weighted.
        """
        if self.half_life is not None:
            own = split.validation or replace(self, half_life=None).validation(split, protocol, seed)
            return self.weighted(own or lrrec.splits.with_validation(split, random_state=seed).validation)
        dataset = self._published(protocol)
        if split.candidates is not None and split.candidates.ndim == 2 and split.train.times is not None:
            return next(iter(make_splits("ncf", split.train, repeats=split.params.get("repeats"), seed=seed)))
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


PROTOCOLS = {  # name on the command line -> what is tested; they are functions of lrrec.splits, ncf aside
    "by-user": "test users are new to the model",
    "leave-last": "the last interaction of each user",
    "by-time": "all interactions after a point in time",
    "random": "interactions at random",
    "cold-items": "all interactions on items that training lacks",
    "ncf": "the last interaction of each user among 99 negatives, published ones for ml-1m",
    "k-folds": "each fifth of the users once",
    "windows": "three periods, one after another",
    "published": "the split that comes with the data set",
}
SEVERAL = {"k-folds": "fold", "windows": "window"}  # make more than one split -> the parameter that numbers them
PROTOCOL_HELP = "; ".join(f"{name}: {tested}" for name, tested in PROTOCOLS.items()) + "."


def _as_options(text: str) -> str:
    """An error about how a file is read, with options in the place of arguments."""
    text = re.sub(r"\b(user|item|value|time)=", r"--\1-column", text).replace("delimiter=", "--delimiter")
    return re.sub(r"\b(duplicates|encoding|decimal|missing|quoting|time_format)=", r"--read \1=", text)


def make_splits(protocol: str, data: "Interactions", *, seed: int, **options: Any) -> "Iterable[Split]":
    """Split data by one of `PROTOCOLS`, with those of the options that are given and that it has."""
    splits = lrrec.splits
    if protocol == "ncf":
        (last,) = make_splits("leave-last", data, seed=seed, **options)
        return [splits.with_negatives(last, N_NEGATIVES, random_state=seed)]
    make = getattr(splits, protocol.replace("-", "_"))
    options["random_state"] = seed
    names = [name for name in inspect.signature(make).parameters if options.get(name) is not None]
    made = make(data, **{name: options[name] for name in names})
    return made if protocol in SEVERAL else [made]


def check_protocol(name: str, option: str, leave_out: tuple[str, ...] = ()) -> str:
    """The name of a protocol, with hyphens."""
    from lrrec.validate import check_option

    return check_option(name.replace("_", "-"), option, tuple(one for one in PROTOCOLS if one not in leave_out))


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
    return cls(**(values | parse_pairs(params, list(defaults), "--param")))


def parse_pairs(pairs: list[str] | None, names: list[str], option: str) -> dict[str, Any]:
    """The values of NAME=VALUE pairs, with one of these names each: JSON, or text."""
    values: dict[str, Any] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or name not in names:
            raise ParameterError(f"{option} must be NAME=VALUE with NAME one of {', '.join(names)}, got {pair!r}")
        values[name] = _parsed(text)
    return values


def _parsed(text: str) -> Any:
    """A value as JSON, Python's None or another way to write a number; text otherwise."""
    if text == "None":
        return None
    for read in (json.loads, float):
        with suppress(ValueError):
            return read(text)
    return text


def item_vectors(split: "Split", metrics: list[str]) -> Any:
    """What "diversity" compares, if it is among the metrics: who has an item in training, (n_items, n_users)."""
    return split.train.matrix.T if any(name.startswith("diversity") for name in metrics) else None


def as_one(models: list[Any]) -> Any:
    """The model, where there is one; the list of several bases."""
    return models[0] if len(models) == 1 else models
