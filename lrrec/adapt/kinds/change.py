"""Change: how adaptation changes a matrix of factors, and the arrays that encode histories."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lrrec.linalg.changed_matrix import ChangedMatrix


@dataclass(frozen=True, eq=False)
class Change:
    """A changed matrix V0 + A B^T, of item factors above all, in which some rows are replaced.

    Attributes
    ----------
    A, B : ndarray of float32, shapes (I, R), (D, R); A in Fortran order, as a bank reads it
        Columns by falling weight in the scores of the target's users: the first r are the best change of rank r.
    rows : ndarray of int64, shape (m,)
        Rows that are replaced, rising.
    values : ndarray of float32, shape (m, D)
        The new rows.
    encoder : mapping of str to Change
        Changes of the arrays with which a neural base encodes histories; vectors are matrices of one row.
    """

    A: np.ndarray
    B: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    encoder: Mapping[str, "Change"] = field(default_factory=dict)

    @classmethod
    def nothing(cls, n_rows: int, n_columns: int) -> "Change":
        """Return the change that leaves a matrix as it is."""
        A, B = np.zeros((n_rows, 0), dtype=np.float32), np.zeros((n_columns, 0), dtype=np.float32)
        return cls(A, B, np.zeros(0, dtype=np.int64), np.zeros((0, n_columns), dtype=np.float32))

    @classmethod
    def replace_all(cls, values: np.ndarray) -> "Change":
        """Return the change that replaces every row."""
        unchanged = cls.nothing(*values.shape)
        return replace(unchanged, rows=np.arange(len(values)), values=values.astype(np.float32))

    def with_encoder(self, encoder: Mapping[str, "Change"]) -> "Change":
        """Return the same change of item factors, with these changes of the encoder."""
        return replace(self, encoder=dict(encoder))

    def apply(self, V0: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Return the changed matrix; scale 0 gives V0, 1 the whole change."""
        V = V0 + np.float32(scale) * (self.A @ self.B.T) if self.A.shape[1] else V0.copy()
        V[self.rows] = self._replaced(V0, scale)
        return V

    def unmade(self, V0: np.ndarray, scale: float = 1.0) -> ChangedMatrix:
        """Return the changed matrix, of which only the rows that are used are made."""
        return ChangedMatrix(V0, self.A, np.float32(scale) * self.B, self.rows, self._replaced(V0, scale))

    def apply_to_encoder(self, arrays: Mapping[str, np.ndarray], scale: float = 1.0) -> dict[str, np.ndarray]:
        """Return the encoder's arrays, changed."""
        changed = {name: part.apply(np.atleast_2d(arrays[name]), scale) for name, part in self.encoder.items()}
        return dict(arrays) | {name: array.reshape(arrays[name].shape) for name, array in changed.items()}

    def _replaced(self, V0: np.ndarray, scale: float) -> np.ndarray:
        """The replaced rows, interpolated from those of V0."""
        if scale == 1:
            return self.values
        start = V0[self.rows]
        values: np.ndarray = start + np.float32(scale) * (self.values - start)
        return values

    def scaled(self, scale: float, V0: np.ndarray, encoder: Mapping[str, np.ndarray]) -> "Change":
        """Return the change whose full application is this one's with a scale."""
        parts = {name: part.scaled(scale, np.atleast_2d(encoder[name]), {}) for name, part in self.encoder.items()}
        return Change(self.A * np.float32(scale), self.B, self.rows, self._replaced(V0, scale), parts)

    def plus(self, other: "Change", V0: np.ndarray, encoder: Mapping[str, np.ndarray]) -> "Change":
        """Return the sum of two changes of V0 and of an encoder."""
        rows = np.union1d(self.rows, other.rows)
        values = self.apply(V0)[rows] + other.apply(V0)[rows] - V0[rows]
        A, B = np.asfortranarray(np.hstack((self.A, other.A))), np.hstack((self.B, other.B))
        parts = {}
        for name in dict.fromkeys((*self.encoder, *other.encoder)):
            matrix = np.atleast_2d(encoder[name])
            first, second = (change.encoder.get(name, Change.nothing(*matrix.shape)) for change in (self, other))
            parts[name] = first.plus(second, matrix, {})
        return Change(A, B, rows, values, parts)

    def truncate(self, rank: int) -> "Change":
        """Return the change of the first columns of A and B, in the encoder too."""
        encoder = {name: part.truncate(rank) for name, part in self.encoder.items()}
        A, B = np.asfortranarray(self.A[:, :rank]), np.ascontiguousarray(self.B[:, :rank])
        return replace(self, A=A, B=B, encoder=encoder)

    @property
    def n_parameters(self) -> int:
        """The number of parameters; rows of A that are replaced do not count."""
        n_changed = len(self.A) - len(self.rows)
        of_items = self.B.size + n_changed * self.A.shape[1] + self.values.size
        return of_items + sum(part.n_parameters for part in self.encoder.values())

    def pack(self, prefix: str = "") -> dict[str, np.ndarray]:
        """Return the change as named arrays, to be stored."""
        arrays = {prefix + name: getattr(self, name) for name in ("A", "B", "values")}
        arrays[prefix + "rows"] = self.rows
        for name, part in self.encoder.items():
            arrays |= part.pack(f"{prefix}encoder.{name}.")
        return arrays

    @classmethod
    def unpack(cls, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], prefix: str = "") -> "Change":
        """Return the change of a matrix of this shape from its arrays, the encoder's apart; refuse bad ones."""
        A, B, values, rows = (arrays[prefix + name] for name in ("A", "B", "values", "rows"))
        rank = A.shape[1]
        if A.shape != (shape[0], rank) or B.shape != (shape[1], rank) or values.shape != (len(rows), shape[1]):
            raise ValueError("the arrays of a change do not fit each other")
        if len(rows) and (rows.dtype.kind != "i" or rows.min() < 0 or rows.max() >= shape[0]):
            raise ValueError("a change replaces rows outside of the matrix")
        if not all(np.isfinite(array).all() for array in (A, B, values)):
            raise ValueError("a change has values that are not finite")
        A = np.asfortranarray(A, dtype=np.float32)
        return cls(A, B.astype(np.float32), rows, values.astype(np.float32))


def order_columns(
    A: np.ndarray, B: np.ndarray, gram_A: np.ndarray, gram_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same A B^T with columns by falling weight and B's of length 1, as `Change` keeps them.

    Weights are the singular values of L A (M B)^T for the matrices L and M that stand left and right of A B^T in
    scores: gram_A (R, R) is A^T L^T L A, gram_B (R, R) is B^T M^T M B.
    """
    values, Q = np.linalg.eigh(gram_B)
    root = np.sqrt(np.maximum(values, 1e-12 * max(float(values[-1]), 1e-30)))
    factor = Q * root  # gram_B = factor factor^T
    _, W = np.linalg.eigh(factor.T @ gram_A @ factor)
    W = W[:, ::-1]
    A, B = A @ (factor @ W), B @ ((Q / root) @ W)
    length = np.maximum(np.linalg.norm(B, axis=0), np.finfo(np.float64).tiny)
    return np.asfortranarray(A * length, dtype=np.float32), np.ascontiguousarray(B / length, dtype=np.float32)
