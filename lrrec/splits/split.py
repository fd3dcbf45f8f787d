"""Split: training interactions, and the histories and relevant items of the test users."""

import hashlib
import json
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError

_WORDS = {  # of the params that are not arguments of the function that made the split
    "fold": "fold {}",
    "window": "window {}",
    "cut": "cut at {}",
    "negatives": "{0[n]} negatives a user (random_state={0[random_state]})",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Interactions cut into a training part, the histories of the test users, and their test interactions.

    Attributes
    ----------
    train : Interactions
        What models are fitted to.
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
        `part`. Dates are ISO 8601 strings; a random_state that is not a number is None.
    seed : int or None
        The random_state that the split was drawn with, where that was a number.
    """

    train: Interactions
    history: Interactions
    test: Interactions
    candidates: np.ndarray | None = field(default=None, repr=False)
    _: KW_ONLY
    kind: str = ""
    params: dict[str, Any] = field(default_factory=dict, repr=False)
    seed: int | None = None

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

    def summary(self) -> dict[str, Any]:
        """Return what identifies the split, as values that JSON can store beside the results.

        Returns
        -------
        dict
            description, kind, params, seed, users and items (the numbers of all ids), the counts of users, items and
            interactions of train, history and test, candidates (how many for each user, or None for the whole
            catalogue), folds_in, and sha256: a hash of ids, values, times and candidates of each part. Equal splits
            have equal hashes, on every machine and however they were made.

        Notes
        -----
        The hash reads every id and interaction once.
        """
        parts = {"train": self.train, "history": self.history, "test": self.test}
        return {
            "description": self.description,
            "kind": self.kind,
            "params": self.params,
            "seed": self.seed,
            "users": len(self.users),
            "items": len(self.items),
            **{name: _counts(part) for name, part in parts.items()},
            "candidates": None if self.candidates is None else self.candidates.shape[-1],
            "folds_in": self.folds_in,
            "sha256": self._hash(),
        }

    def _hash(self) -> str:
        """The hash of `summary`; each piece is preceded by its name and length."""
        digest = hashlib.sha256()

        def add(name: str, content: bytes) -> None:
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)

        add("users", _ids(self.users.ids))
        add("items", _ids(self.items.ids))
        parts = {"train": self.train, "test": self.test} | ({"history": self.history} if self.folds_in else {})
        for name, part in parts.items():
            add(f"{name} indptr", part.matrix.indptr.astype("<i8").tobytes())
            add(f"{name} indices", part.matrix.indices.astype("<i8").tobytes())
            add(f"{name} values", part.matrix.data.astype("<f4").tobytes())
            for column in _times(part.times):
                add(f"{name} times {column.dtype.kind}", column.tobytes())
        if self.candidates is not None:
            add(f"candidates {self.candidates.shape}", _ids(self.candidates))
        return digest.hexdigest()


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


def _counts(part: Interactions) -> dict[str, int]:
    """The numbers of users and items with an interaction in a part, and of its interactions."""
    return {
        "users": int(np.count_nonzero(np.diff(part.matrix.indptr))),
        "items": len(np.unique(part.matrix.indices)),
        "interactions": len(part),
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
