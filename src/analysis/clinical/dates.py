"""ISO 8601 partial dates: what was written, what is missing, and named rules that fill it in.

A rule never touches the year. Every filled date carries a flag: D (day filled), M (month and day filled).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical.terms import by_value

_ISO = r"^(?P<year>\d{4})(?:-(?P<month>\d{2}|-)(?:-(?P<day>\d{2}|-))?)?(?:T[\d:.\-+Z]*)?$"
_YEARS = (1678, 2261)  # what datetime64[ns] can hold

COMPLETE, NO_DAY, NO_MONTH, MISSING, IMPOSSIBLE, NOT_ISO = (
    "complete",
    "no day",
    "no month",
    "missing",
    "impossible",
    "not ISO 8601",
)

# rule -> (what may be missing, which end of the period is taken)
IMPUTATION_RULES = {
    "none": ((), "first"),
    "first_day": ((NO_DAY,), "first"),
    "last_day": ((NO_DAY,), "last"),
    "first_month": ((NO_DAY, NO_MONTH), "first"),
    "last_month": ((NO_DAY, NO_MONTH), "last"),
}
_FLAGS = {NO_DAY: "D", NO_MONTH: "M"}


def parse_dates(text: pd.Series) -> pd.DataFrame:
    """Split ISO 8601 dates, whole or partial, into the first and last day they can mean.

    Parameters
    ----------
    text : Series of str
        ``2014``, ``2014-02``, ``2014-02-11``, ``2014-02-11T09:30`` or missing. A missing middle part
        (``2014---11``) counts as a missing month.

    Returns
    -------
    DataFrame
        FIRST, LAST (datetime64[ns], the same day when the date is complete, NaT when it cannot be used) and
        STATUS (complete, no day, no month, missing, impossible, not ISO 8601), on the index of `text`.

    Examples
    --------
    >>> parse_dates(pd.Series(["2014-02"])).LAST.dt.day.item()
    28
    """
    if not text.notna().any():  # many optional columns are empty
        nothing = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ns]")
        return pd.DataFrame({"FIRST": nothing, "LAST": nothing, "STATUS": MISSING})
    return by_value(text, _parse)


def _parse(text: pd.Series) -> pd.DataFrame:
    values = text.astype("string").str.strip().replace("", pd.NA)
    parts = values.str.extract(_ISO)
    numbers = parts.apply(lambda part: pd.to_numeric(part, errors="coerce"))
    year, month, day = (
        numbers[name].to_numpy(dtype=float, na_value=np.nan) for name in ("year", "month", "day")
    )
    status = _status(values.isna().to_numpy(), year, month, day)
    usable = np.isin(status, [COMPLETE, NO_DAY, NO_MONTH])
    first = np.where(np.isin(status, [COMPLETE]), day, 1.0)
    months = _month_number(
        np.where(usable, year, 1970), np.where(status == NO_MONTH, 1, np.where(usable, month, 1))
    )
    end_months = np.where(status == NO_MONTH, months + 11, months)
    last = np.where(status == COMPLETE, day, _days_in_month(end_months))
    frame = pd.DataFrame(
        {"FIRST": _to_date(months, first), "LAST": _to_date(end_months, last)}, index=text.index
    )
    frame.loc[~usable, ["FIRST", "LAST"]] = pd.NaT
    frame["STATUS"] = status
    return frame


def impute_dates(
    text: pd.Series, rule: str, *, not_before: pd.Series | None = None, not_after: pd.Series | None = None
) -> pd.DataFrame:
    """Turn ISO 8601 text into dates, filling missing parts by a named rule.

    Parameters
    ----------
    text : Series of str
        Dates, whole or partial.
    rule : str
        ``none`` (partial dates become NaT), ``first_day``, ``last_day`` (a missing day only),
        ``first_month``, ``last_month`` (a missing day, or a missing month and day).
    not_before, not_after : Series of datetime, optional
        A filled date is moved to these where they lie within the period the text allows, so that filling
        never crosses the start of treatment or death. Complete dates are never moved.

    Returns
    -------
    DataFrame
        DATE (datetime64[ns]) and FLAG (D, M or None).

    Raises
    ------
    ValueError
        For an unknown rule.
    """
    if rule not in IMPUTATION_RULES:
        raise ValueError(f"no date rule named {rule!r}; known: {sorted(IMPUTATION_RULES)}")
    fills, end = IMPUTATION_RULES[rule]
    parsed = parse_dates(text)
    filled = parsed.STATUS.isin(fills)
    date = parsed["FIRST" if end == "first" else "LAST"].where(filled | parsed.STATUS.eq(COMPLETE))
    for bound, outside in ((not_before, date.lt), (not_after, date.gt)):
        if bound is not None:
            inside = bound.between(parsed.FIRST, parsed.LAST)
            date = date.mask(filled & inside & outside(bound), bound)
    return pd.DataFrame({"DATE": date, "FLAG": parsed.STATUS.map(_FLAGS).where(filled, None)})


def _status(absent: np.ndarray, year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    no_month, no_day = np.isnan(month), np.isnan(day)
    months = _month_number(np.nan_to_num(year, nan=1970), np.clip(np.nan_to_num(month, nan=1), 1, 12))
    bad_year = (year < _YEARS[0]) | (year > _YEARS[1])
    bad_month = ~no_month & ((month < 1) | (month > 12))
    bad_day = ~no_day & ((day < 1) | (day > np.where(no_month, 31, _days_in_month(months))))
    return np.select(
        [absent, np.isnan(year), bad_year | bad_month | bad_day, no_month, no_day],
        [MISSING, NOT_ISO, IMPOSSIBLE, NO_MONTH, NO_DAY],
        COMPLETE,
    ).astype(object)


def _month_number(year: np.ndarray, month: np.ndarray) -> np.ndarray:
    return ((year - 1970) * 12 + month - 1).astype("int64")


def _days_in_month(months: np.ndarray) -> np.ndarray:
    starts, ends = months.astype("datetime64[M]"), (months + 1).astype("datetime64[M]")
    return (ends.astype("datetime64[D]") - starts.astype("datetime64[D]")).astype("int64")


def _to_date(months: np.ndarray, day: np.ndarray) -> np.ndarray:
    start = months.astype("datetime64[M]").astype("datetime64[D]")
    days = start + (np.nan_to_num(day, nan=1) - 1).astype("timedelta64[D]")
    return np.where((months >= -3500) & (months <= 3500), days, np.datetime64("NaT")).astype("datetime64[ns]")
