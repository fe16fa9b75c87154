"""Landmark: time zero at the early PET, only patients still event-free and followed, the others listed."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real

import numpy as np
import pandas as pd

LEDGER = ["USUBJID", "AVISIT", "ITEM", "CODE", "REASON"]
_REASONS = {
    "NO_SCAN_PLANNED": "no scan was planned on this day: extension patients have one of the two days",
    "NO_LANDMARK": "no date of the early scan: no time zero",
    "NO_ENDPOINT_DATE": "no date of event or censoring",
    "EVENT_BEFORE_LANDMARK": "event on or before the landmark",
    "CENSORED_BEFORE_LANDMARK": "follow-up ends on or before the landmark",
    "NOT_EVALUABLE": "no metabolic response class at this day",
    "NO_ENDPOINT": "no row of this endpoint",
    "NO_BASELINE_METRIC": "no baseline value above 0",
    "NO_FOLLOW_UP": "no follow-up after time zero",
}


def landmark(adtte: pd.DataFrame, landmark_dates) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Move time zero to a landmark and drop who is not event-free and under follow-up after it.

    A patient stays whose event or censoring date lies strictly after the landmark; an event on the landmark
    day is not "after the scan". The new time is ADT - landmark in days.

    Parameters
    ----------
    adtte : DataFrame
        One endpoint: USUBJID, AVAL (days), CNSR, and ADT for landmarks that are dates.
    landmark_dates : Series or mapping of USUBJID to date, or a number
        A date a patient, or one number of days after the table's own time zero for tables that give no dates.

    Returns
    -------
    kept : DataFrame
        Rows of `adtte` with AVAL from the landmark and LANDMARKDT (missing for a landmark in days).
    excluded : DataFrame
        Ledger rows USUBJID, AVISIT, ITEM, CODE, REASON. Codes: NO_LANDMARK (no date of the scan),
        NO_ENDPOINT_DATE, EVENT_BEFORE_LANDMARK, CENSORED_BEFORE_LANDMARK.

    Raises
    ------
    ValueError
        If a patient has two rows: pass one endpoint at a time; or if dates are needed and ADT is absent;
        for a landmark that is neither dates by patient nor one finite number of days.
    """
    lacking = [name for name in ("USUBJID", "AVAL", "CNSR") if name not in adtte]
    if lacking:
        raise ValueError(f"a landmark needs the columns USUBJID, AVAL and CNSR; missing: {lacking}")
    if adtte["USUBJID"].duplicated().any():
        raise ValueError("a landmark takes one endpoint at a time: USUBJID occurs twice")
    # A span of time counts as a number to numpy.
    is_number = isinstance(landmark_dates, Real) and not isinstance(landmark_dates, np.timedelta64)
    by_patient = isinstance(landmark_dates, (pd.Series, Mapping))
    if not by_patient and not (is_number and np.isfinite(landmark_dates)):
        raise ValueError(
            "a landmark is a date a patient (Series or mapping by USUBJID) or one number of days, found "
            f"{landmark_dates!r}; one date for all: {{subject: date for subject in adtte['USUBJID']}}"
        )
    if is_number:
        zero = pd.Series(float(landmark_dates), index=adtte.index)
        remaining = adtte["AVAL"] - zero
    else:
        if "ADT" not in adtte:
            raise ValueError(
                "a landmark by date needs ADT; for a table of days give the landmark as a number of days"
            )
        zero = pd.to_datetime(adtte["USUBJID"].map(dict(landmark_dates)))
        remaining = (pd.to_datetime(adtte["ADT"]) - zero).dt.days
    code = _codes(adtte, zero, remaining)
    # A landmark in days has no date; the ledger and the table say so by leaving it out.
    date = zero if pd.api.types.is_datetime64_any_dtype(zero) else pd.NaT
    kept = adtte.assign(AVAL=remaining.astype(float), LANDMARKDT=date)[code.isna()].reset_index(drop=True)
    if "AVALM" in kept:
        # Months of the old time zero would be wrong now; whoever needs months converts AVAL.
        kept = kept.drop(columns="AVALM")
    return kept, ledger_rows(adtte[code.notna()], code.dropna())


def study_day_date(start: pd.Series, day: int) -> pd.Series:
    """Compute the date of a study day; the first dose is day 1 (CDISC, no day 0).

    Parameters
    ----------
    start : Series of datetime
        Date of first dose.
    day : int
        Study day, at least 1.

    Returns
    -------
    Series of datetime
        The date, missing where `start` is.

    Examples
    --------
    >>> str(study_day_date(pd.Series([pd.Timestamp("2020-01-01")]), 35)[0].date())
    '2020-02-04'
    """
    return pd.to_datetime(start) + pd.Timedelta(days=int(day) - 1)


def _codes(adtte: pd.DataFrame, zero: pd.Series, remaining: pd.Series) -> pd.Series:
    code = pd.Series(None, index=adtte.index, dtype=object)
    event = adtte["CNSR"].eq(0)
    code[(remaining <= 0) & event] = "EVENT_BEFORE_LANDMARK"
    code[(remaining <= 0) & ~event] = "CENSORED_BEFORE_LANDMARK"
    code[remaining.isna()] = "NO_ENDPOINT_DATE"
    code[zero.isna()] = "NO_LANDMARK"
    return code


def ledger_rows(
    rows: pd.DataFrame, code, visit: str | None = None, reason_column: str | None = None
) -> pd.DataFrame:
    """Make ledger rows of subjects that are left out.

    Parameters
    ----------
    rows : DataFrame
        With USUBJID.
    code : str or Series
        A key of the reasons known here.
    visit : str, optional
        AVISIT of the ledger.
    reason_column : str, optional
        Column of `rows` whose text, where present, is the reason.

    Returns
    -------
    DataFrame
        USUBJID, AVISIT, ITEM, CODE, REASON.
    """
    ledger = pd.DataFrame({"USUBJID": rows["USUBJID"], "AVISIT": visit, "ITEM": "subject", "CODE": code})
    ledger["REASON"] = ledger["CODE"].map(_REASONS)
    if reason_column in rows:
        given = rows[reason_column].notna()
        ledger.loc[given, "REASON"] = rows.loc[given, reason_column]
    return ledger[LEDGER].reset_index(drop=True)
