"""Change: what adaptation makes of a base's item factors."""

from dataclasses import dataclass, replace

import numpy as np

ANCHORS = ("constant", "precision")
METHODS = ("low-rank", "anchored", "scratch", "fold-in")


@dataclass(frozen=True)
class Settings:
    """One way to adapt.

    Attributes
    ----------
    method : str
        One of METHODS.
    rank : int
        Of "low-rank".
    reg : float
        What holds an item to the base, in interactions: 1 weighs as much as one user's. Of "scratch": the base
        class's own reg.
    reg_fold : float or None
        Takes the place of the base's own regularization of users.
    reg_free : float
        As reg, for items that the base does not know.
    n_iter : int
        Rounds over items and users; as many again to start "low-rank" from.
    balance : float
        A user of n interactions weighs n^-balance in what items are fitted to.
    anchor : str
        One of ANCHORS: all items are held alike, or each by the base's `item_precision_`.
    """

    method: str = "low-rank"
    rank: int = 8
    reg: float = 1.0
    reg_fold: float | None = None
    reg_free: float = 1.0
    n_iter: int = 3
    balance: float = 0.5
    anchor: str = "constant"


@dataclass(frozen=True, eq=False)
class Change:
    """New item factors as V0 + A B^T, but for the rows that are given outright.

    Attributes
    ----------
    A, B : ndarray of float32, shapes (I, R), (D, R); A by columns, as a bank reads it
        Columns by falling weight in the scores of the target's users: the first r are the best change of rank r.
    rows : ndarray of int64, shape (m,)
        Items with factors of their own, rising.
    values : ndarray of float32, shape (m, D)
        Their factors.
    """

    A: np.ndarray
    B: np.ndarray
    rows: np.ndarray
    values: np.ndarray

    @classmethod
    def nothing(cls, n_items: int, n_columns: int) -> "Change":
        """The change that leaves everything as it is."""
        empty = np.zeros(0, dtype=np.int64)
        A, B = np.zeros((n_items, 0), dtype=np.float32), np.zeros((n_columns, 0), dtype=np.float32)
        return cls(A, B, empty, np.zeros((0, n_columns), dtype=np.float32))

    def apply(self, V0: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """The new item factors (I, D); scale 0 gives V0, 1 the change in full."""
        V = V0 + np.float32(scale) * (self.A @ self.B.T)
        V[self.rows] = V0[self.rows] + np.float32(scale) * (self.values - V0[self.rows])
        return V

    def truncate(self, rank: int) -> "Change":
        """The first columns of A and B alone."""
        return replace(self, A=np.asfortranarray(self.A[:, :rank]), B=np.ascontiguousarray(self.B[:, :rank]))

    @property
    def n_parameters(self) -> int:
        """How many numbers it is made of; rows of A that the change does not use are not counted."""
        n_changed = len(self.A) - len(self.rows)
        return self.B.size + n_changed * self.A.shape[1] + self.values.size
