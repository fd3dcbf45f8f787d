"""Arrays in the one form that a kernel is compiled for: compiling it for another takes seconds."""

from typing import Any

import numpy as np
import scipy.sparse as sp


def as_input(array: np.ndarray, dtype: Any = None) -> np.ndarray:
    """Return the array, C-contiguous and of a type (its own by default), for a kernel that only reads it.

    A read-only one, as those of memory-mapped models are, is not marked so.
    """
    array = np.ascontiguousarray(array, dtype=dtype)
    return array if array.flags.writeable else np.asarray(_Unmarked(array))


def index_arrays(A: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return indptr and indices of a csr matrix for a kernel; int32, unless entries or columns are more than 2^31."""
    dtype = np.int32 if max(A.nnz, A.shape[1]) <= np.iinfo(np.int32).max else np.int64
    return as_input(A.indptr, dtype), as_input(A.indices, dtype)


class _Unmarked:
    """The memory of an array, without the mark."""

    def __init__(self, array: np.ndarray) -> None:
        interface: dict[str, Any] = dict(array.__array_interface__)
        self.array = array  # kept alive by those that use its memory
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}
