"""Recency: values of interactions multiplied by weights that halve with age."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from lrrec.data.times import length_of_time, point_in_time
from lrrec.errors import DataError, ParameterError
from lrrec.typing import DurationLike, TimeLike
from lrrec.validate import check_real

if TYPE_CHECKING:
    from lrrec.data.interactions import Interactions

COARSE = "YMWDhm"  # units of datetimes, of which some have no fixed length in seconds
MOST = 60  # half-lives: products of such weights, as in norms of items, still fit a float32
SECOND = np.timedelta64(1, "s")
SMALLEST = float(np.finfo(np.float32).tiny)


def decayed(data: "Interactions", half_life: DurationLike, at: TimeLike | None) -> "Interactions":
    """See `Interactions.decayed`."""
    if data.times is None:
        raise DataError("decayed() needs interactions with times: read them with their column, e.g. time='timestamp'")
    refuse_decayed(data, "decayed()", "call it once")
    if data.times.dtype.kind == "f" and not np.isfinite(data.times).all():
        raise DataError("times must be finite for decayed(), got infinity")
    length = checked_half_life(half_life, data.times)
    events = data.events
    if events is None or events.min_value is not None:  # a binarized pair counts 1, from the time that it has
        weighted = _weighted(data, length, at)
    else:
        unmerged = _weighted(events.unmerged, length, at)
        weighted = replace(data, events=replace(events, unmerged=unmerged)).filter_events(np.ones(len(unmerged), bool))
    return replace(weighted, events=None, half_life=length)


def checked_half_life(value: Any, times: np.ndarray) -> Any:
    """Return a half-life as a number in the units of times, or a timedelta64 where these are datetimes."""
    if times.dtype.kind == "M":
        return length_of_time(value, times, "half_life")
    return check_real(value, "half_life", low=0, open_low=True)


def refuse_decayed(data: "Interactions", purpose: str, way_out: str) -> None:
    """Refuse interactions whose values `decayed` has weighted."""
    if data.half_life is not None:
        raise DataError(
            f"{purpose} must have interactions that decayed() has not weighted, got some with half_life "
            f"{data.half_life}: {way_out}"
        )


def _weighted(data: "Interactions", half_life: Any, at: TimeLike | None) -> "Interactions":
    """The interactions with values times 2^-(age / half_life), and none of them that becomes 0."""
    assert data.times is not None
    before, matrix = data.matrix.data.astype(np.float64), data.matrix
    unit = half_life / SECOND if _is_dates(data.times) else half_life
    with np.errstate(over="ignore"):  # ages of more half-lives than there are numbers
        values = before * np.exp2(-np.minimum(_ages(data.times, at) / unit, MOST))
    least = np.minimum(np.abs(before), SMALLEST)
    values = np.where(np.abs(values) < least, np.copysign(least, before), values).astype(np.float32)
    return replace(data, matrix=sp.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape))


def _ages(times: np.ndarray, at: TimeLike | None) -> np.ndarray:
    """How long before `at` each time is, float64 (n,): in the units of times, of datetimes in seconds.

    `at` is the latest of the times when None. Differences of integers are exact, whatever their size.
    """
    if not len(times):
        return np.zeros(0)
    if _is_dates(times) and np.datetime_data(times.dtype)[0] in COARSE:
        times = times.astype("datetime64[s]")
    latest = times.max()
    later = 0.0
    if at is not None:
        point = point_in_time(at, times, "at")
        later = _seconds_between(latest, point) if _is_dates(times) else float(point - latest.item())
        if later < 0:
            raise ParameterError(
                f"at must not be before the latest time ({latest}), got {point}: leave later interactions out first, "
                "e.g. by filter(data.times <= at)"
            )
    if times.dtype.kind == "f":
        return float(latest) - times.astype(np.float64) + later
    unit = np.ones(1, dtype=times.dtype.str.replace("M8", "m8"))[0] / SECOND if _is_dates(times) else 1.0
    whole = (times.view(np.int64) if _is_dates(times) else times).astype(np.uint64)
    return (whole[times.argmax()] - whole) * unit + later  # modulo 2^64, and so exact


def _is_dates(times: np.ndarray) -> bool:
    return times.dtype.kind == "M"


def _seconds_between(first: np.datetime64, second: np.datetime64) -> float:
    """Seconds from one point in time to another; whole ones apart from the rest, so that no unit overflows."""
    whole = [point.astype("datetime64[s]") for point in (first, second)]
    rests = [(point - start) / SECOND for point, start in zip((first, second), whole, strict=True)]
    return float((whole[1] - whole[0]) / SECOND + rests[1] - rests[0])
