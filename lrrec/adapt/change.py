"""Change: what adaptation makes of a base's item factors."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True, eq=False)
class Change:
    """A new matrix, of item factors above all, as V0 + A B^T, but for the rows that are given outright.

    Attributes
    ----------
    A, B : ndarray of float32, shapes (I, R), (D, R); A by columns, as a bank reads it
        Columns by falling weight in the scores of the target's users: the first r are the best change of rank r.
    rows : ndarray of int64, shape (m,)
        Items with factors of their own, rising.
    values : ndarray of float32, shape (m, D)
        Their factors.
    tower : mapping of str to Change
        What becomes of the arrays by which a neural base encodes histories; vectors are matrices of one row.
    """

    A: np.ndarray
    B: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    tower: Mapping[str, "Change"] = field(default_factory=dict)

    @classmethod
    def nothing(cls, n_items: int, n_columns: int) -> "Change":
        """The change that leaves everything as it is."""
        empty = np.zeros(0, dtype=np.int64)
        A, B = np.zeros((n_items, 0), dtype=np.float32), np.zeros((n_columns, 0), dtype=np.float32)
        return cls(A, B, empty, np.zeros((0, n_columns), dtype=np.float32))

    @classmethod
    def whole(cls, values: np.ndarray) -> "Change":
        """The change to these values in every row."""
        return replace(cls.nothing(*values.shape), rows=np.arange(len(values)), values=values.astype(np.float32))

    def on_towers(self, tower: Mapping[str, "Change"]) -> "Change":
        """The same change of item factors, with one of the user's tower."""
        return replace(self, tower=dict(tower))

    def apply_to_tower(self, arrays: Mapping[str, np.ndarray], scale: float = 1.0) -> dict[str, np.ndarray]:
        """The arrays that histories are encoded by, changed."""
        changed = {name: part.apply(np.atleast_2d(arrays[name]), scale) for name, part in self.tower.items()}
        return dict(arrays) | {name: array.reshape(arrays[name].shape) for name, array in changed.items()}

    def apply(self, V0: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """The new item factors (I, D); scale 0 gives V0, 1 the change in full."""
        V = V0 + np.float32(scale) * (self.A @ self.B.T)
        V[self.rows] = self._outright(V0, scale)
        return V

    def _outright(self, V0: np.ndarray, scale: float) -> np.ndarray:
        """The rows given outright, so much of the way from V0."""
        found: np.ndarray = V0[self.rows] + np.float32(scale) * (self.values - V0[self.rows])
        return found

    def scaled(self, by: float, V0: np.ndarray, tower: Mapping[str, np.ndarray]) -> "Change":
        """That part of the change, of a matrix V0 and of a tower: what `apply` gives for the scale."""
        parts = {name: part.scaled(by, np.atleast_2d(tower[name]), {}) for name, part in self.tower.items()}
        return Change(self.A * np.float32(by), self.B, self.rows, self._outright(V0, by), parts)

    def plus(self, other: "Change", V0: np.ndarray, tower: Mapping[str, np.ndarray]) -> "Change":
        """Both changes at once, of a matrix V0 and of a tower."""
        rows = np.union1d(self.rows, other.rows)
        values = self.apply(V0)[rows] + other.apply(V0)[rows] - V0[rows]
        A, B = np.asfortranarray(np.hstack((self.A, other.A))), np.hstack((self.B, other.B))
        parts = {}
        for name in dict.fromkeys((*self.tower, *other.tower)):
            matrix = np.atleast_2d(tower[name])
            one, two = (change.tower.get(name, Change.nothing(*matrix.shape)) for change in (self, other))
            parts[name] = one.plus(two, matrix, {})
        return Change(A, B, rows, values, parts)

    def truncate(self, rank: int) -> "Change":
        """The first columns of A and B alone; of a tower's changes too."""
        tower = {name: part.truncate(rank) for name, part in self.tower.items()}
        A, B = np.asfortranarray(self.A[:, :rank]), np.ascontiguousarray(self.B[:, :rank])
        return replace(self, A=A, B=B, tower=tower)

    @property
    def n_parameters(self) -> int:
        """How many numbers it is made of; rows of A that the change does not use are not counted."""
        n_changed = len(self.A) - len(self.rows)
        own = self.B.size + n_changed * self.A.shape[1] + self.values.size
        return own + sum(part.n_parameters for part in self.tower.values())


def ordered(A: np.ndarray, B: np.ndarray, seen_A: np.ndarray, seen_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same A B^T with columns by falling weight and B's of length 1, as `Change` keeps them.

    Weights are the singular values of L A (R B)^T, for what stands left and right of A B^T in scores: seen_A (R, R) is
    A^T L^T L A, and seen_B (R, R) is B^T R^T R B.
    """
    values, Q = np.linalg.eigh(seen_B)
    root = np.sqrt(np.maximum(values, 1e-12 * max(float(values[-1]), 1e-30)))
    M = Q * root  # seen_B = M M^T
    _, W = np.linalg.eigh(M.T @ seen_A @ M)
    W = W[:, ::-1]
    A, B = A @ (M @ W), B @ ((Q / root) @ W)
    size = np.maximum(np.linalg.norm(B, axis=0), np.finfo(np.float64).tiny)
    return np.asfortranarray(A * size, dtype=np.float32), np.ascontiguousarray(B / size, dtype=np.float32)
