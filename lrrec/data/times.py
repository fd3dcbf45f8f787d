"""Points and lengths of time, in the units of the times of interactions."""

import numbers
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from lrrec.errors import ParameterError
from lrrec.typing import DurationLike, TimeLike
from lrrec.validate import check_int, check_real

NO_UNIT = re.compile(r"\s*[+-]?[\d.]+\s*")
DAYS = re.compile(r"(\s*[\d.]+\s*)d\s*")  # pandas will take the capital D alone


def point_in_time(value: TimeLike, times: np.ndarray, name: str) -> Any:
    """Return a point in time as a number or a datetime64, as the times are."""
    if times.dtype.kind == "M":
        return _date(value, name)
    number = check_real(value, name)
    return int(value) if isinstance(value, numbers.Integral) else number  # exactly: nanoseconds do not fit a float


def length_of_time(value: DurationLike, times: np.ndarray, name: str) -> Any:
    """Return a length of time > 0: a number in the units of times, or a timedelta64 where these are datetimes."""
    if times.dtype.kind != "M":
        if times.dtype.kind in "iu" and isinstance(value, numbers.Integral):
            return check_int(value, name, low=1)
        return check_real(value, name, low=0, open_low=True)
    length = _timedelta(value)
    if length is None or pd.isna(length) or length <= pd.Timedelta(0):
        raise ParameterError(f"{name} must be a length of time > 0, e.g. '7 days', got {value!r}")
    return length.to_timedelta64()


def _timedelta(value: Any) -> Any:
    """A length of time; None for what is none, or has no unit."""
    if isinstance(value, str):
        if NO_UNIT.fullmatch(value):
            return None
        value = DAYS.sub(r"\1D", value) if DAYS.fullmatch(value) else value
    elif isinstance(value, np.timedelta64):  # which counts as a number
        value = None if np.datetime_data(value.dtype)[0] == "generic" else value
    elif isinstance(value, numbers.Number):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of spellings that pandas will drop
            return pd.Timedelta(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _date(value: Any, name: str) -> np.datetime64:
    """A date or time in UTC."""
    try:
        stamp = pd.Timestamp(value)
        if not isinstance(value, bool | int | float) and not pd.isna(stamp):
            return np.datetime64(stamp if stamp.tz is None else stamp.tz_convert("UTC").tz_localize(None))
    except (ValueError, TypeError):
        pass
    raise ParameterError(f"{name} must be a date or time, e.g. '2024-01-31', got {value!r}")
