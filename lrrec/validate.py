"""Checks of arguments: each returns the value, converted, or raises an error that names the argument."""

import importlib
import numbers
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp

from lrrec.errors import DataError, DataWarning, MissingDependencyError, ParameterError, ParameterTypeError
from lrrec.typing import MatrixLike, RandomState


def check_int(value: Any, name: str, low: int | None = None, high: int | None = None) -> int:
    """Return value as an int within low..high (both included)."""
    bounds = _bounds(low, high)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ParameterTypeError(f"{name} must be an integer{bounds}, got {value!r}")
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise ParameterError(f"{name} must be an integer{bounds}, got {value!r}")
    return number


def check_real(
    value: Any, name: str, low: float | None = None, high: float | None = None, *, open_low: bool = False,
    open_high: bool = False,
) -> float:  # fmt: skip
    """Return value as a finite float within low..high that a float32 can hold; open bounds are out themselves."""
    bounds = _bounds(low, high, open_low, open_high)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise ParameterTypeError(f"{name} must be a number{bounds}, got {value!r}")
    try:
        number = float(value)
    except OverflowError:  # an integer of more than 308 digits
        number = np.inf
    too_low = low is not None and (number < low or (open_low and number == low))
    too_high = high is not None and (number > high or (open_high and number == high))
    if not abs(number) <= float(np.finfo(np.float32).max) or too_low or too_high:
        raise ParameterError(f"{name} must be a finite number{bounds}, got {value!r}")
    return number


def check_bool(value: Any, name: str) -> bool:
    """Return value if it is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise ParameterTypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_option(value: Any, name: str, options: tuple[str, ...]) -> str:
    """Return value if it is one of the options."""
    if not isinstance(value, str) or value not in options:
        shown = ", ".join(map(repr, options))
        raise ParameterError(f"{name} must be one of {shown}, got {value!r}")
    return value


def as_array(values: Any, name: str) -> np.ndarray:
    """Return values as an array; refuse what is none, such as rows of different lengths."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be a matrix of numbers, or a sequence of values: {error}") from None


def as_float32(values: Any, name: str) -> np.ndarray:
    """Return real numbers as a new float32 array, of infinity where they do not fit."""
    array = as_array(values, name)
    try:
        array = array.astype(np.float64) if array.dtype == object else array
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be a matrix of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} must be a matrix of numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32, order="C")


def as_path(path: Any, name: str = "path") -> Path:
    """Return a path; refuse what cannot be one, such as text with a null character."""
    try:
        os.stat(path := Path(path))
    except OSError:
        return path
    except (TypeError, ValueError) as error:
        raise ParameterTypeError(f"{name} must be the path of a file, got {path!r}: {error}") from None
    return path


def check_memory(n_bytes: int, what: str, hint: str) -> None:
    """Refuse what needs more than half of this machine's memory: to try would end in swapping, or a killed process."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if n_bytes > memory / 2:
            raise DataError(
                f"{what} need {n_bytes / 1e9:,.0f} GB, more than half of this machine's {memory / 1e9:,.0f} GB: {hint}"
            )


def check_rng(random_state: RandomState, name: str = "random_state") -> np.random.Generator:
    """Return a numpy Generator: from None (fresh), a seed, a Generator, or a legacy RandomState."""
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(check_int(random_state, name, low=0))


def check_threads(n_threads: int | None) -> int:
    """Return the number of threads: all cores this process may use when None."""
    if n_threads is None:
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    return check_int(n_threads, "n_threads", low=1)


def import_extra(module: str, extra: str | None, purpose: str, *, package: str | None = None) -> ModuleType:
    """Import an optional dependency.

    Parameters
    ----------
    module : str
        The module to import, e.g. "optuna" or "pyarrow.parquet".
    extra : str or None
        The extra of lrrec that installs it; None for a package that no extra installs.
    purpose : str
        What needs it, as the subject of a sentence, e.g. "tune()".
    package : str, optional
        What pip installs, where its name is not that of the module.

    Raises
    ------
    MissingDependencyError
        If it cannot be imported; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        install = package if extra is None else f"'lrrec[{extra}]'"
        broken = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise MissingDependencyError(f"{purpose} needs {package}: pip install {install}{broken}") from error


def check_columns(matrix: sp.csr_array, n_columns: int, model: str) -> None:
    """Refuse a matrix whose columns are not the model's items."""
    if matrix.shape[1] != n_columns:
        raise DataError(
            f"X has {matrix.shape[1]} features, but {model} is expecting {n_columns} features as input: "
            "the columns of a raw matrix must be the items of the training matrix, in its order"
        )


def check_matrix(X: MatrixLike, name: str = "X", *, keep_zeros: bool = False) -> sp.csr_array:
    """Return X as a canonical csr float32 matrix: sorted, no duplicates, explicit zeros only with keep_zeros.

    X itself is never changed; where nothing had to be, its buffers may be shared.
    Values must be finite numbers.
    """
    if sp.issparse(X):
        matrix = _sparse(X, name)
    else:
        matrix = sp.csr_array(_dense(X, name))
    n_rows, n_columns = matrix.shape
    for count, what, unit in ((n_rows, "user", "sample"), (n_columns, "item", "feature")):
        if count == 0:
            raise DataError(
                f"{name} must have at least one {what}, got 0 {unit}(s) (shape={matrix.shape}) while a minimum of 1 is "
                "required."
            )
    check_finite(matrix.data, f"values of {name}")
    if not matrix.has_canonical_format:  # also sorts
        is_bool = matrix.dtype == np.bool_
        matrix = matrix.astype(np.float64)
        matrix.sum_duplicates()
        matrix.data = (matrix.data != 0).astype(np.float64) if is_bool else matrix.data
    values = to_float32(matrix.data, f"values of {name}")
    if keep_zeros or np.all(values):
        return sp.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    matrix = sp.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape, copy=True)
    matrix.eliminate_zeros()
    return matrix


def check_finite(values: np.ndarray, name: str, *, n_before: int = 0) -> None:
    """Refuse values that are not finite; n_before: how many come before them in what the caller passed."""
    if not len(values) or values.dtype == bool:
        return
    smallest = values.min()  # NaN and infinities show in the extremes: no temporary of the size of the data
    if not (np.isfinite(smallest) and np.isfinite(values.max())):
        bad = np.flatnonzero(~np.isfinite(values))
        shown = f"{values[bad[0]]} at position {n_before + bad[0]}{_others(len(bad))}"
        raise DataError(f"{name} must be finite, got {shown} (NaN or infinity)")


def are_of_kind(values: np.ndarray, kind: str) -> np.ndarray:
    """Return which values a model or file of a kind may hold: "positive", "signed" (not 0) or "any"."""
    return {"positive": values > 0, "signed": values != 0, "any": np.ones(values.shape, dtype=bool)}[kind]


def to_float32(values: np.ndarray, name: str) -> np.ndarray:
    """Return values as float32, refusing what does not fit."""
    if values.dtype != np.float64:
        return values.astype(np.float32, copy=False)
    largest = max(values.max(), -values.min()) if len(values) else 0
    if largest > np.finfo(np.float32).max:
        raise DataError(f"{name} must fit a float32 (at most 3.4e38), got {largest}")
    with np.errstate(under="ignore"):
        small = values.astype(np.float32)
    lost = (small == 0) & (values != 0)
    if lost.any():
        raise DataError(f"{name} must fit a float32 (0 or at least 1.4e-45), got {values[lost][0]}")
    return small


def warn(text: str) -> None:
    """Show a DataWarning, as one of the code that calls lrrec."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lrrec."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, DataWarning, stacklevel=level - 1)


def first_three(values: Any) -> str:
    """The first three values, for an error message, and the number of the others."""
    values = list(values)
    shown = ", ".join(repr(v.item() if isinstance(v, np.generic) else v) for v in values[:3])
    return shown + (f" and {len(values) - 3} more" if len(values) > 3 else "")


def _sparse(X: Any, name: str) -> sp.csr_array:
    """A sparse matrix of numbers as csr; where duplicates are summed, in double precision."""
    if X.ndim != 2:
        raise DataError(f"{name} must be a two-dimensional user-by-item matrix, got {X.ndim} dimension(s)")
    _check_dtype(X.dtype, name)
    if X.format not in ("csr", "csc") and X.dtype != np.bool_:  # of which two are one
        X = X.astype(np.float64)
    elif X.dtype == np.float16:
        X = X.astype(np.float32)
    try:
        X = sp.csc_array(X) if X.format == "csc" else sp.csr_array(X)  # not X itself, which check_format may change
        check_compressed(X)
        return sp.csr_array(X)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{name} must be a consistent sparse matrix: {error}") from None


def check_compressed(X: Any) -> None:
    """Raise ValueError where the parts of a csr or csc matrix contradict each other: compiled code trusts them.

    (scipy's own check passes an indptr that ends below 0.)
    """
    if X.indptr[0] != 0 or (X.indptr[1:] < X.indptr[:-1]).any():
        raise ValueError("indptr must begin with 0 and never fall")
    X.check_format(full_check=True)


def _check_dtype(dtype: np.dtype, name: str) -> None:
    """Refuse what is not real numbers."""
    if np.issubdtype(dtype, np.complexfloating):
        raise DataError(f"{name} must hold real numbers. Complex data not supported")
    if dtype.kind not in "biuf":
        raise DataError(f"{name} must hold numbers, got dtype {dtype}")


def _dense(X: Any, name: str) -> np.ndarray:
    """A two-dimensional array of numbers."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise DataError(f"{name} must not have masked values, got {int(np.ma.getmaskarray(X).sum())} masked")
    try:
        array = np.asarray(X)
        if array.dtype == object:
            array = array.astype(np.float64)
    except TypeError as error:
        raise ParameterTypeError(
            f"{name} must be Interactions (see Interactions.from_frame), a sparse matrix or a numeric array: {error}"
        ) from None
    except ValueError as error:
        raise DataError(
            f"{name} must be Interactions (see Interactions.from_frame), a sparse matrix or a numeric array: {error}"
        ) from None
    if array.ndim != 2:
        raise DataError(
            f"{name} must be Interactions or a two-dimensional user-by-item matrix, got {array.ndim} dimension(s). "
            "Reshape your data: one row a user, one column an item"
        )
    _check_dtype(array.dtype, name)
    return array.astype(np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("="), copy=False)


def _bounds(low: float | None, high: float | None, open_low: bool = False, open_high: bool = False) -> str:
    above = "" if low is None else f" {'>' if open_low else '>='} {low}"
    below = "" if high is None else f" {'<' if open_high else '<='} {high}"
    return f"{above} and{below}" if above and below else above + below


def _others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
