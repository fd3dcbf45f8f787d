"""Read-only arrays, as those of memory-mapped models are, for kernels."""

from typing import Any

import numpy as np


def as_input(array: np.ndarray) -> np.ndarray:
    """Return the array, C-contiguous, for a kernel that reads it and never writes to it.

    A read-only one is not marked so: numba would compile the kernel once more for it, which takes seconds.
    """
    array = np.ascontiguousarray(array)
    return array if array.flags.writeable else np.asarray(_Unmarked(array))


class _Unmarked:
    """The memory of an array, without the mark."""

    def __init__(self, array: np.ndarray) -> None:
        interface: dict[str, Any] = dict(array.__array_interface__)
        self.array = array  # kept alive by those that use its memory
        self.__array_interface__ = interface | {"data": (interface["data"][0], False)}
