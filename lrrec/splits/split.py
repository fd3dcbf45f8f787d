"""Split: what to fit on, what is known when users are served, what they should be served."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrrec.data.ids import IdMap
from lrrec.data.interactions import Interactions
from lrrec.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """What to fit on, what is known of the test users when they are served, and what they should be served.

    Attributes
    ----------
    train : Interactions
        What a model may learn from.
    history : Interactions
        What is known of the test users. The same object as `train` where they are training users; otherwise
        their histories are folded in.
    test : Interactions
        The relevant items of each test user.
    candidates : ndarray of ids, shape (n_candidates,) or (n_test_users, n_candidates), or None
        Where a protocol ranks given items instead of the catalogue: the same for all users, or a list for each user
        with a test interaction, in the order of the users' indices.
    description : str
        How the split was made.
    seed : int or None
        The random_state it was drawn with, where that was a number.
    """

    train: Interactions
    history: Interactions
    test: Interactions
    candidates: np.ndarray | None = field(default=None, repr=False)
    description: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        for part in (self.train, self.history, self.test):
            check_data(part)
            if part.users is not self.train.users or part.items is not self.train.items:
                raise DataError("train, history and test must share the same IdMap objects")
        given = self.candidates
        if given is not None and given.ndim == 2 and len(given) != len(self.test_rows):
            wanted = f"a row for each of the {len(self.test_rows)} users in test"
            raise DataError(f"candidates must have {wanted}, got {len(given)}")

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
        """Return what there is to say of the split, fit for a JSON file beside the results.

        Returns
        -------
        dict
            description, seed, users and items (all ids), the counts of users, items and interactions of train,
            history and test, candidates (how many each user is given, or None for the whole catalogue), folds_in,
            and sha256: a hash of ids, values, times and candidates of each part. Splits that hold the same have
            the same hash, whatever the machine and whichever way they were made; others have another.

        Notes
        -----
        The hash reads every id and interaction once.
        """
        parts = {"train": self.train, "history": self.history, "test": self.test}
        return {
            "description": self.description,
            "seed": self.seed,
            "users": len(self.users),
            "items": len(self.items),
            **{name: _counts(part) for name, part in parts.items()},
            "candidates": None if self.candidates is None else self.candidates.shape[-1],
            "folds_in": self.folds_in,
            "sha256": self._hash(),
        }

    def _hash(self) -> str:
        """The hash of `summary`; each piece is preceded by what it is and how long."""
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
    """Refuse what is not Interactions."""
    if not isinstance(data, Interactions):
        raise DataError(
            f"each part and the data must be Interactions, got {type(data).__name__}; see Interactions.from_matrix"
        )


def _counts(part: Interactions) -> dict[str, int]:
    """How many users and items a part has something of, and how many interactions."""
    return {
        "users": int(np.count_nonzero(np.diff(part.matrix.indptr))),
        "items": len(np.unique(part.matrix.indices)),
        "interactions": len(part),
    }


def _ids(ids: np.ndarray) -> bytes:
    """Ids as bytes: integers and strings differ, and no two sequences are alike."""
    if ids.dtype.kind in "iu":
        return ids.astype("<i8").tobytes()
    return json.dumps(ids.tolist()).encode()


def _times(times: np.ndarray | None) -> list[np.ndarray]:
    """Times as columns of one dtype a kind. Datetimes as whole seconds and nanoseconds, whatever their unit."""
    if times is None:
        return []
    if times.dtype.kind == "M":
        seconds = times.astype("datetime64[s]")
        return [seconds.astype("<i8"), (times - seconds).astype("timedelta64[ns]").astype("<i8")]
    return [times.astype("<f8" if times.dtype.kind == "f" else "<i8")]
