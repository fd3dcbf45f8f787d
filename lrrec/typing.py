"""Names for the types of public parameters."""

import datetime
import os
from collections.abc import Collection
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

__all__ = [
    "ArrayLike", "Axes", "DurationLike", "FileLike", "Frame", "FrameLike", "Ids", "MatrixLike", "PathLike",
    "RandomState", "TimeLike",
]  # fmt: skip


class FrameLike(Protocol):
    """A pandas or polars frame, an Arrow table, or another frame that narwhals reads."""

    @property
    def columns(self) -> Any:
        """The columns, or their names."""


Axes: TypeAlias = Any  # matplotlib.axes.Axes, of an optional package
Frame: TypeAlias = Any  # a frame of the library that a parameter `backend` names
MatrixLike: TypeAlias = ArrayLike | sp.sparray | sp.spmatrix  # two-dimensional, users by items
Ids: TypeAlias = Collection[int] | Collection[str] | np.ndarray  # also an IdMap, or a column of a frame
RandomState: TypeAlias = int | np.integer | np.random.Generator | np.random.RandomState | None
PathLike: TypeAlias = str | os.PathLike[str]
FileLike: TypeAlias = PathLike | BinaryIO  # a path, or a binary file object
TimeLike: TypeAlias = float | str | datetime.date | np.datetime64
DurationLike: TypeAlias = float | str | datetime.timedelta | np.timedelta64
