"""Reading DICOM dates and times, and the mean instant of a decaying frame."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache

_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")
_DATETIME = re.compile(r"(\d{8})(\d{4}(?:\d{2}(?:\.\d{1,6})?)?)([+-]\d{4})?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")


@lru_cache(maxsize=4096)
def parse_time(text: str) -> time | None:
    """Parse a DICOM TM (HH, HHMM, HHMMSS, HHMMSS.F to .FFFFFF, or with colons); None if it is none.

    Parameters
    ----------
    text : str
        Value of the element.

    Returns
    -------
    datetime.time or None
        Fractions are read as decimals: ``.5`` is half a second.

    Examples
    --------
    >>> parse_time("103005.5")
    datetime.time(10, 30, 5, 500000)
    """
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    hour, minute, second, fraction = found.groups(default="0")
    try:
        return time(int(hour), int(minute), int(second), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def parse_date(text: str) -> date | None:
    """Parse a DICOM DA (YYYYMMDD, also with dots or hyphens); None if it is none.

    Parameters
    ----------
    text : str
        Value of the element.

    Returns
    -------
    datetime.date or None
        The day.
    """
    found = _DATE.fullmatch(text.strip())
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def parse_datetime(text: str) -> tuple[datetime | None, timedelta | None]:
    """Parse a DICOM DT that names at least the minute, and its offset from UTC if it carries one.

    Parameters
    ----------
    text : str
        Value of the element.

    Returns
    -------
    (datetime or None, timedelta or None)
        The instant as written, and the offset.

    Examples
    --------
    >>> parse_datetime("20250101100000.25+0130")
    (datetime.datetime(2025, 1, 1, 10, 0, 0, 250000), datetime.timedelta(seconds=5400))
    """
    found = _DATETIME.fullmatch(text.strip())
    if not found:
        return None, None
    return combine(found[1], found[2]), parse_offset(found[3] or "")


@lru_cache(maxsize=4096)
def parse_offset(text: str) -> timedelta | None:
    """Parse an offset from UTC, ``+0100``; None if there is none.

    Parameters
    ----------
    text : str
        Value of (0008,0201), or the tail of a DT.

    Returns
    -------
    datetime.timedelta or None
        Hours and minutes ahead of UTC.
    """
    found = _OFFSET.fullmatch(text.strip())
    if not found:
        return None
    size = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return size if found[1] == "+" else -size


@lru_cache(maxsize=4096)
def combine(day: str, clock: str) -> datetime | None:
    """Join a DA and a TM; None unless both can be read.

    Parameters
    ----------
    day, clock : str
        Values of the two elements.

    Returns
    -------
    datetime.datetime or None
        The instant.
    """
    on, at = parse_date(day), parse_time(clock)
    return datetime.combine(on, at) if on and at else None


def moved(instant: datetime, seconds: float) -> datetime | None:
    """Return an instant so many seconds later; None outside of the years 1 to 9999.

    Parameters
    ----------
    instant : datetime.datetime
        Any instant.
    seconds : float
        How much later; finite.

    Returns
    -------
    datetime.datetime or None
        The later instant.
    """
    try:
        return instant + timedelta(seconds=seconds)
    except OverflowError:
        return None


@lru_cache(maxsize=4096)
def average_count_time_s(duration_s: float, half_life_s: float) -> float:
    """Compute when, in s after a frame's start, its activity equals the frame's mean.

    ``T_ave = ln(lambda T / (1 - exp(-lambda T))) / lambda``; a little under half of the frame.

    Parameters
    ----------
    duration_s : float
        Frame duration in s, above zero.
    half_life_s : float
        Half-life in s.

    Returns
    -------
    float
        Seconds.

    Examples
    --------
    >>> round(average_count_time_s(300, 6586.2), 5)
    149.60534
    """
    decay_constant = math.log(2) / half_life_s
    x = decay_constant * duration_s
    if x == 0:  # too short for a float
        return 0.0
    return math.log(x / -math.expm1(-x)) / decay_constant
