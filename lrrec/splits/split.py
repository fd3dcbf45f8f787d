"""Split: training interactions, and the histories and relevant items of the test users."""

import hashlib
import json
import warnings
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, Optional

import numpy as np
import pandas as pd

from lrrec.data import frames
from lrrec.data.alignment import align
from lrrec.data.events import holds
from lrrec.data.ids import IdMap, union
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError, DataWarning
from lrrec.typing import DurationLike, Frame, FrameLike
from lrrec.validate import check_option

REPEATS = ("keep", "drop")
_WORDS = {  # of the params that are not arguments of the function that made the split
    "fold": "fold {}",
    "window": "window {}",
    "cut": "cut at {}",
    "negatives": "{0[n]} negatives a user (random_state={0[random_state]})",
    "half_life": "weighted with a half-life of {}",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions cut into a training part, the histories of the test users, and their test interactions.

    Attributes
    ----------
    train : Interactions
        The interactions that models are fitted to.
    history : Interactions
        The known interactions of the test users. The same object as `train` where they are training users;
        otherwise their histories are folded in.
    test : Interactions
        The relevant items of each test user.
    candidates : ndarray of ids, shape (n_candidates,) or (n_test_users, n_candidates), or None
        The items to rank, where they are not the whole catalogue: the same for all users, or a list for each user
        with a test interaction, in the order of the users' indices.
    kind : str
        The function of `lrrec.splits` that made the split, or "published"; "" for a split made by hand.
    params : dict of str to int, float, str, dict or None
        The arguments of that function. Of several splits also which one: `fold`, or `window` and `cut`. Of candidates
        drawn by `with_negatives` also `negatives`: {"n": ..., "random_state": ...}. Of a published split `dataset` and
        `part`. `half_life` where it was weighted by `decayed`. `repeats` ("keep" or "drop") only where test
        interactions repeat the history. Dates are ISO 8601 strings; a random_state that is not a number is None.
    seed : int or None
        The random_state that the split was drawn with, where that was a number.
    validation : Split or None
        For tuning, of the same ids: see `lrrec.splits.with_validation`.

    Examples
    --------
    >>> import lrrec
    >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
    >>> split = lrrec.splits.by_user(data, random_state=0)
    >>> split.description
    "by_user(test_size=0.2, history=0.8, order='random', random_state=0)"
    >>> len(split.test_rows), split.folds_in
    (84, True)
    >>> split.summary()["part"].tolist()
    ['train', 'history', 'test']
    """

    train: Interactions
    history: Interactions
    test: Interactions
    candidates: np.ndarray | None = field(default=None, repr=False)
    _: KW_ONLY
    kind: str = ""
    params: dict[str, Any] = field(default_factory=dict, repr=False)
    seed: int | None = None
    validation: Optional["Split"] = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", {name: _plain(value) for name, value in self.params.items()})
        for part in (self.train, self.history, self.test):
            check_data(part)
            if part.users is not self.train.users or part.items is not self.train.items:
                raise DataError("train, history and test must share the same IdMap objects")
        lists = self.candidates
        if lists is not None and not isinstance(lists, np.ndarray):
            raise DataError(
                f"candidates must be an ndarray of ids, got {type(lists).__name__}: pass .to_numpy(), a row for each "
                "user in test, in the order of their indices"
            )
        if lists is not None and lists.ndim == 2 and len(lists) != len(self.test_rows):
            n_users = len(self.test_rows)
            raise DataError(f"candidates must have a row for each of the {n_users} users in test, got {len(lists)}")
        if self.validation is not None and getattr(self.validation, "items", None) is not self.items:
            raise DataError("validation must be a Split of the same IdMap of items: see lrrec.splits.with_validation")

    @classmethod
    def from_frames(
        cls, train: FrameLike | Interactions, test: FrameLike | Interactions,
        history: FrameLike | Interactions | None = None, validation: FrameLike | Interactions | None = None, *,
        user: str = "user", item: str = "item", value: str | None = None, time: str | None = None,
        duplicates: str = "sum", repeats: str = "keep",
    ) -> "Split":  # fmt: skip
        """Make a split of parts that were made elsewhere.

        Parameters
        ----------
        train, test : frame or Interactions
            Their ids are united: the split's maps hold those of all parts.
        history : frame or Interactions, optional
            The interactions that test users, also those of validation, are served from, where they are new users.
        validation : frame or Interactions, optional
            The test part of `validation`, whose training part is train.
        user, item, value, time, duplicates
            Of frames, as for `Interactions.from_frame`.
        repeats : {"keep", "drop"}, default "keep"
            Whether test interactions that the history holds stay, as for `lrrec.splits.by_time`.

        Returns
        -------
        Split
            Of kind "given".

        Examples
        --------
        >>> import pandas as pd
        >>> import lrrec
        >>> train = pd.DataFrame({"user": ["ann", "ann", "bob"], "item": ["x", "y", "x"]})
        >>> test = pd.DataFrame({"user": ["bob", "eve"], "item": ["y", "z"]})
        >>> lrrec.Split.from_frames(train, test).summary()
            part  users  items  interactions  cold users  cold items
        0  train      2      2             3           0           0
        1   test      2      2             2           1           1
        """
        columns: dict[str, Any] = {"user": user, "item": item, "value": value, "time": time, "duplicates": duplicates}
        given: dict[str, Any] = {"train": train, "test": test, "history": history, "validation": validation}
        parts = {
            name: part if isinstance(part, Interactions) else Interactions.from_frame(part, **columns)
            for name, part in given.items() if part is not None or name in ("train", "test")
        }  # fmt: skip
        users, items = (union([getattr(part, ids) for part in parts.values()], ids) for ids in ("users", "items"))
        parts = {name: align(part, users, items) for name, part in parts.items()}
        source = parts.get("history", parts["train"])
        made = {}
        for name in ("test", "validation"):
            if name in parts:
                part, params = settle_repeats(source, parts[name], repeats, "from_frames")
                made[name] = cls(parts["train"], source, part, kind="given", params=params)
        return replace(made["test"], validation=made.get("validation"))

    @property
    def description(self) -> str:
        """How the split was made: the call, and which one of several splits it is."""
        if self.kind == "published":
            part = "validation part of the " if self.params["part"] == "valid" else ""
            parts = [f"{part}published split of {self.params['dataset']}"]
        else:
            call = ", ".join(f"{name}={value!r}" for name, value in self.params.items() if name not in _WORDS)
            parts = [f"{self.kind}({call})" if call else self.kind] if self.kind else []
        parts += [words.format(self.params[name]) for name, words in _WORDS.items() if name in self.params]
        return ", ".join(parts)

    @property
    def users(self) -> IdMap:
        """The ids of all users."""
        return self.train.users

    @property
    def items(self) -> IdMap:
        """The ids of all items."""
        return self.train.items

    @property
    def test_rows(self) -> np.ndarray:
        """The indices of the users with a test interaction, rising."""
        return np.flatnonzero(np.diff(self.test.matrix.indptr))

    @property
    def folds_in(self) -> bool:
        """Whether the test users are new to the model and served from their histories."""
        return self.history is not self.train

    @property
    def _of_new_items(self) -> bool:
        """Whether all interactions of the test items are held out, as `cold_items` does."""
        return self.kind == "cold_items" or self.params.get("by") == "item"

    @cached_property
    def n_repeats(self) -> int:
        """How many test interactions are of items that their users have in the history already."""
        return int(holds(self.history.matrix, self.test.rows(), self.test.matrix.indices).sum())

    @property
    def exclude_seen(self) -> bool:
        """Whether lists are to leave out what their users have in the history: unless repeats are kept."""
        return self.params.get("repeats") != "keep" or not self.n_repeats

    def decayed(self, half_life: DurationLike) -> "Split":
        """Weight what models learn from by its age at the end of training; see `Interactions.decayed`.

        The values of train and history are multiplied by 2^(-age / half_life), where the latest of both has age 0; test
        stays as it is. The parts of `validation` are weighted by the age at the end of its training part, so that a
        half-life can be chosen on it.

        Parameters
        ----------
        half_life : length of time
            As for `Interactions.decayed`.

        Examples
        --------
        Choose a half-life on a validation part, then test it:

        >>> import lrrec
        >>> data = lrrec.datasets.load("made-up").interactions(min_rating=4)
        >>> split = lrrec.splits.with_validation(lrrec.splits.by_time(data))
        >>> scores = {}
        >>> for days in (30, 90, 365):
        ...     part = split.decayed(f"{days} days").validation
        ...     model = lrrec.EASE().fit(part.train)
        ...     scores[days] = lrrec.evaluate(model, part, metrics=["ndcg@10"]).mean()["ndcg@10"]
        >>> best = split.decayed(f"{max(scores, key=scores.get)} days")
        >>> result = lrrec.evaluate(lrrec.EASE().fit(best.train), best, metrics=["ndcg@10"])
        """
        ends = [part.times.max() for part in (self.train, self.history) if part.times is not None and len(part)]
        train = self.train.decayed(half_life, at=max(ends, default=None))
        history = self.history.decayed(half_life, at=max(ends, default=None)) if self.folds_in else train
        validation = self.validation and self.validation.decayed(half_life)
        params = self.params | {"half_life": half_life}
        return replace(self, train=train, history=history, params=params, validation=validation)

    def summary(self, backend: str = "pandas") -> Frame:
        """Return a frame with one row per part: part, users, items, interactions, cold users, cold items.

        The parts are train, history (where it is not train), validation (where there is one) and test. Cold users of a
        part have no history, cold items no training interaction: models of interactions alone cannot tell these apart.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default "pandas"
        """
        parts = {name: _counts(part, self) for name, part in self._parts().items()}
        if self.validation is not None:
            parts["validation"] = _counts(self.validation.test, self.validation)
        parts["test"] = parts.pop("test")
        columns: dict[str, np.ndarray] = {"part": np.array(list(parts), dtype=object)}
        for name in parts["test"]:
            columns[name] = np.array([counts[name] for counts in parts.values()])
        return frames.make(columns, backend)

    def as_dict(self) -> dict[str, Any]:
        """Return what identifies the split, as values that JSON can store beside the results.

        Returns
        -------
        dict
            description, kind, params, seed, users and items (the numbers of all ids), the counts of `summary` for
            train, history and test, candidates (how many for each user, or None for the whole catalogue), folds_in,
            validation (the same, or None), and `sha256`.
        """
        parts = {"train": self.train, "history": self.history, "test": self.test}
        return {
            "description": self.description,
            "kind": self.kind,
            "params": self.params,
            "seed": self.seed,
            "users": len(self.users),
            "items": len(self.items),
            **{name: _counts(part, self) for name, part in parts.items()},
            "candidates": None if self.candidates is None else self.candidates.shape[-1],
            "folds_in": self.folds_in,
            "validation": None if self.validation is None else self.validation.as_dict(),
            "sha256": self.sha256,
        }

    def _parts(self) -> dict[str, Interactions]:
        """The parts that are not one another, by name."""
        return {"train": self.train, "test": self.test} | ({"history": self.history} if self.folds_in else {})

    @cached_property
    def sha256(self) -> str:
        """A hash of ids, values, times and candidates of each part: each is preceded by its name and length.

        Equal splits have equal hashes, on every machine and however they were made.
        """
        digest = hashlib.sha256()

        def add(name: str, content: bytes) -> None:
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)

        add("users", _ids(self.users.ids))
        add("items", _ids(self.items.ids))
        for name, part in self._parts().items():
            add(f"{name} indptr", part.matrix.indptr.astype("<i8").tobytes())
            add(f"{name} indices", part.matrix.indices.astype("<i8").tobytes())
            add(f"{name} values", part.matrix.data.astype("<f4").tobytes())
            for column in _times(part.times):
                add(f"{name} times {column.dtype.kind}", column.tobytes())
        if self.candidates is not None:
            add(f"candidates {self.candidates.shape}", _ids(self.candidates))
        if self.validation is not None:
            add("validation", self.validation.sha256.encode())
        return digest.hexdigest()


def check_split(split: Any) -> None:
    """Refuse what is not a Split."""
    if not isinstance(split, Split):
        raise DataError(
            f"split must be a Split, got {type(split).__name__}; make one with lrrec.splits, e.g. by_user(data)"
        )


def check_data(data: Any) -> None:
    """Refuse anything but Interactions."""
    if not isinstance(data, Interactions):
        raise DataError(
            f"each part and the data must be Interactions, got {type(data).__name__}; see Interactions.from_matrix"
        )


def _plain(value: Any) -> Any:
    """A parameter as a value that JSON can store."""
    if isinstance(value, np.datetime64):
        return pd.Timestamp(value).isoformat()
    if isinstance(value, np.generic) and not isinstance(value, np.timedelta64):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str | dict) else str(value)


def settle_repeats(
    history: Interactions, test: Interactions, repeats: str | None, kind: str
) -> tuple[Interactions, dict[str, str]]:
    """Return test, by "drop" without the pairs of the history; and the parameter `repeats`, if there are any."""
    if repeats is not None:
        check_option(repeats, "repeats", REPEATS)
    again = holds(history.matrix, test.rows(), test.matrix.indices)
    if not again.any():
        return test, {}
    if repeats is None:
        warnings.warn(
            f"{kind}(): {again.sum()} of {len(test)} test interactions repeat what their users have had already; they "
            "are kept, and evaluate() recommends seen items too. repeats='keep' confirms this, repeats='drop' tests on "
            "what is new to a user",
            DataWarning, stacklevel=4,
        )  # fmt: skip
    return test.filter(~again) if repeats == "drop" else test, {"repeats": repeats or "keep"}


def _counts(part: Interactions, split: Split) -> dict[str, int]:
    """The numbers of users and items with an interaction in a part, of its interactions, and of what is cold in it."""
    users = np.flatnonzero(np.diff(part.matrix.indptr))
    items = np.unique(part.matrix.indices)
    served = np.diff(split.train.matrix.indptr) + np.diff(split.history.matrix.indptr)
    return {
        "users": len(users),
        "items": len(items),
        "interactions": len(part),
        "cold users": int(np.count_nonzero(served[users] == 0)),
        "cold items": len(np.setdiff1d(items, split.train.matrix.indices)),
    }


def _ids(ids: np.ndarray) -> bytes:
    """Ids as bytes: other ids are other bytes, integers and strings too."""
    if ids.dtype.kind in "iu":
        return ids.astype("<i8").tobytes()
    return json.dumps(ids.tolist()).encode()


def _times(times: np.ndarray | None) -> list[np.ndarray]:
    """Times as columns of one dtype for each kind; datetimes, of any unit, as whole seconds and nanoseconds."""
    if times is None:
        return []
    if times.dtype.kind == "M":
        seconds = times.astype("datetime64[s]")
        return [seconds.astype("<i8"), (times - seconds).astype("timedelta64[ns]").astype("<i8")]
    return [times.astype("<f8" if times.dtype.kind == "f" else "<i8")]
