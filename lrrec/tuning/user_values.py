"""The metric of each validation user: pooled over folds, compared between trials, stored with a study."""

import base64
import math
import zlib
from collections.abc import Sequence

import numpy as np

from lrrec.evaluation.statistics import mean, simultaneous

MIN_COMPARED = 30  # users before a trial is stopped: the mean of fewer is far from normal
Z = 2.0  # standard errors by which a trial is worse than the best one when it is stopped
LEVEL = 0.95  # of the interval of a gain
N_RESAMPLES = 2000


def pooled(rows: Sequence[np.ndarray], values: Sequence[np.ndarray]) -> np.ndarray:
    """Return a value for each user of the first len(values) folds, in the order of the users' indices.

    rows and values have an array for each fold: its test users' indices and values. A user of several folds has the
    mean of the values that are defined; NaN where none is.
    """
    users, places = np.unique(np.concatenate(rows[: len(values)]), return_inverse=True)
    flat = np.concatenate(values)
    defined = ~np.isnan(flat)
    counts = np.bincount(places[defined], minlength=len(users))
    sums = np.bincount(places[defined], weights=flat[defined], minlength=len(users))
    with np.errstate(invalid="ignore"):
        return sums / counts


def mean_of(values: np.ndarray) -> float:
    """Return the mean of the values that are defined; NaN where none is."""
    return float(mean(values[:, None])[0])


def is_worse(differences: np.ndarray) -> bool:
    """Return whether the mean of users' differences (n,), greater is better, is below 0 by Z standard errors.

    Under equal trials this happens to one in 44. Nothing is said of fewer than MIN_COMPARED users.
    """
    d = differences[~np.isnan(differences)]
    return len(d) >= MIN_COMPARED and bool(d.mean() + Z * d.std(ddof=1) / math.sqrt(len(d)) < 0)


def intervals(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the simultaneous intervals (P,), (P,) of the means of users' differences (n, P); NaN for one user."""
    return simultaneous(differences, LEVEL, N_RESAMPLES, np.random.default_rng(0))


def pack(values: Sequence[np.ndarray]) -> str:
    """Return values as text, to the last bit."""
    content = np.concatenate(values).astype("<f8").tobytes()
    return base64.b64encode(zlib.compress(content)).decode("ascii")


def unpack(text: str, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the values of each fold from the text of `pack`."""
    flat = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<f8").astype(np.float64)
    return np.split(flat, np.cumsum([len(some) for some in rows])[:-1])
