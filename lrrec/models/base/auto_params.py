"""AutoParams: parameters that may be "auto", numbers that a rule makes of the training matrix."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from lrrec.errors import FileFormatError, ParameterError
from lrrec.typing import PathLike
from lrrec.validate import check_real

NOT_AUTO = np.zeros(0)
NOT_AUTO.flags.writeable = False


class AutoParams:
    """A model of which some parameters may be "auto".

    What "auto" became at a fit is learned as NAME_, an array (1,), which is empty for a parameter that is a number. A
    subclass declares `_auto`, has `_rule`, and an attribute NAME_ = NOT_AUTO that is among its `_learned` arrays.
    """

    _auto: ClassVar[dict[str, tuple[float, float]]] = {}  # the names, and the range of what "auto" becomes

    def _rule(self, name: str, matrix: sp.csr_array) -> float:
        """Return what "auto" means for a training matrix."""
        raise NotImplementedError

    def _is_auto(self, name: str) -> bool:
        value = getattr(self, name)
        return isinstance(value, str) and value == "auto"

    def _chosen_params(self, matrix: sp.csr_array) -> dict[str, Any]:
        """Return what parameters that are "auto" become for a training matrix."""
        return {name: self._rule(name, matrix) for name in self._auto if self._is_auto(name)}

    def _choose(self, matrix: sp.csr_array) -> None:
        """Learn what "auto" means for a training matrix."""
        for name in self._auto:
            if self._is_auto(name):
                setattr(self, f"{name}_", np.array([self._rule(name, matrix)], dtype=np.float64))

    def _chosen_arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays of parameters that are "auto"."""
        return {f"{name}_": getattr(self, f"{name}_") for name in self._auto if self._is_auto(name)}

    def _numbers(self) -> dict[str, float]:
        """What parameters that are "auto" became."""
        return {name: self._number(name) for name in self._auto if self._is_auto(name)}

    def _number(self, name: str, *, low: float | None = None, open_low: bool = False) -> float:
        """Return a parameter as a number, checked."""
        if self._is_auto(name):
            chosen = getattr(self, f"{name}_")
            if not len(chosen):
                raise ParameterError(f"{name}='auto' is chosen by fit(), which had a number: call fit() again")
            return float(chosen[0])
        value = getattr(self, name)
        if isinstance(value, str):
            bound = "" if low is None else f" {'>' if open_low else '>='} {low:g}"
            raise ParameterError(f"{name} must be a number{bound} or 'auto', got {value!r}")
        return check_real(value, name, low=low, open_low=open_low)

    def _check_chosen(self, path: PathLike) -> None:
        """Refuse a file whose learned values of "auto" are missing, superfluous or out of range."""
        for name, (low, high) in self._auto.items():
            value, n_values = getattr(self, f"{name}_"), int(self._is_auto(name))
            if value.shape != (n_values,) or value.dtype != np.float64:
                raise FileFormatError(
                    f"{path}: {name}_ must be float64 of shape ({n_values},), got {value.dtype} {value.shape}"
                )
            if n_values and not low < value[0] <= high:
                raise FileFormatError(f"{path}: {name}_ must be > {low:g} and <= {high:g}, got {value[0]}")


def shared_users(matrix: sp.csr_array) -> float:
    """The share of users who like the item of a like, in the mean over likes: the density that a like sees."""
    likes = matrix.data > 0
    counts = np.bincount(matrix.indices[likes], minlength=matrix.shape[1]).astype(np.float64)
    active = np.count_nonzero(np.diff(matrix.indptr))
    return float((counts @ counts) / max(counts.sum() * active, 1.0))
