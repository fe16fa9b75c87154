"""Give every PET series its subject and visit: exact identifiers, and windows about the first dose."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis import plan as plans

BASELINE = "D0"
_ONCE = ("D0", "D14", "D28")


def compute_study_day(date: pd.Timestamp, first_dose: pd.Timestamp) -> int:
    """Compute the study day (CDISC): first dose is on day 1, the day before is day -1, there is no day 0.

    Examples
    --------
    >>> compute_study_day(pd.Timestamp("2024-03-15"), pd.Timestamp("2024-03-01"))
    15
    >>> compute_study_day(pd.Timestamp("2024-02-29"), pd.Timestamp("2024-03-01"))
    -1
    """
    days = (date - first_dose).days
    return days + 1 if days >= 0 else days


def name_visit(day: int, windows: plans.Section) -> str:
    """Name the visit of a scan on study day `day`: D0, D14, D28, PROG (later) or UNSCHED.

    Parameters
    ----------
    day : int
        Study day; there is no day 0.
    windows : Section
        Plan section ``visits``.

    Returns
    -------
    str
        Baseline is the day of first dose or up to the plan's days before; windows are inclusive.
    """
    if -windows.baseline_max_days_before <= day <= 1:
        return BASELINE
    for visit, (first, last) in (("D14", windows.d14_window), ("D28", windows.d28_window)):
        if first <= day <= last:
            return visit
    return "PROG" if day > windows.d28_window[1] else "UNSCHED"


def assign_subjects_and_visits(
    series: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Assign USUBJID and AVISIT to every PET series of an index.

    Parameters
    ----------
    series : DataFrame
        ``Index.series``: PATIENTID SCANDT PATH.
    adsl : DataFrame
        USUBJID TRTSDT and, if known, SUBJID and SITEID. PatientID must equal USUBJID, SUBJID or the last
        part of USUBJID, exactly, and point to one subject.
    plan : Plan, optional
        Section ``visits``.

    Returns
    -------
    assigned : DataFrame
        `series` with USUBJID SITEID AVISIT CODE; a row with a CODE is not to be measured.
    problems : list of dict
        CODE ITEM USUBJID AVISIT PATH REASON: SUBJECT_NOT_IN_ADSL, SUBJECT_AMBIGUOUS, SCAN_DATE_MISSING,
        MULTIPLE_SERIES_FOR_VISIT, EXTRA_SCAN.
    """
    plan = plans.defaults() if plan is None else plan
    keys = _subject_keys(adsl)
    known = adsl.drop_duplicates("USUBJID").set_index("USUBJID")
    subjects = [keys.get(name, []) for name in series["PATIENTID"]]
    assigned = series.assign(
        USUBJID=[found[0] if len(found) == 1 else None for found in subjects],
        CODE=[_SUBJECT_CODES.get(min(len(found), 2)) for found in subjects],
    )
    assigned["SITEID"] = assigned["USUBJID"].map(known["SITEID"]) if "SITEID" in known else None
    start = (
        assigned["USUBJID"].map(known["TRTSDT"]) if "TRTSDT" in known else pd.Series(pd.NaT, assigned.index)
    )
    visits = [_visit(row, first, plan.visits) for row, first in zip(assigned.itertuples(index=False), start)]
    assigned["AVISIT"] = pd.Series([visit for visit, _ in visits], index=assigned.index, dtype=object)
    assigned["CODE"] = assigned["CODE"].where(assigned["CODE"].notna(), [code for _, code in visits])
    assigned = _mark_repeats(assigned)
    return assigned, [_problem(row) for row in assigned[assigned["CODE"].notna()].itertuples(index=False)]


_SUBJECT_CODES = {0: "SUBJECT_NOT_IN_ADSL", 2: "SUBJECT_AMBIGUOUS"}
_REASONS = {
    "SUBJECT_NOT_IN_ADSL": "its PatientID is that of no subject; correct the header or add the subject",
    "SUBJECT_AMBIGUOUS": "its PatientID is that of several subjects; use the full subject identifier",
    "SCAN_DATE_MISSING": "no acquisition, series or study date, so no visit",
    "MULTIPLE_SERIES_FOR_VISIT": "more than one PET series for this visit; keep the one to analyse",
    "EXTRA_SCAN": "an earlier scan already stands for this kind of visit",
}


def _subject_keys(adsl: pd.DataFrame) -> dict[str, list[str]]:
    """Map every accepted PatientID to the subjects it may mean; a full USUBJID always means that subject."""
    keys: dict[str, set[str]] = {}
    for row in adsl.itertuples(index=False):
        short = {row.USUBJID.rsplit("-", 1)[-1]} | ({str(row.SUBJID)} if "SUBJID" in adsl else set())
        for key in short:
            keys.setdefault(key, set()).add(row.USUBJID)
    keys |= {name: {name} for name in adsl["USUBJID"]}
    return {key: sorted(names) for key, names in keys.items()}


def _visit(row: Any, first_dose: pd.Timestamp, windows: plans.Section) -> tuple[str | None, str | None]:
    if row.USUBJID is None:
        return None, None
    if pd.isna(first_dose):
        return BASELINE, None  # a study without dates has one scan a subject; several are set aside below
    if pd.isna(row.SCANDT):
        return None, "SCAN_DATE_MISSING"
    return name_visit(compute_study_day(row.SCANDT, first_dose), windows), None


def _mark_repeats(assigned: pd.DataFrame) -> pd.DataFrame:
    """Set aside all series of a planned visit that has several, and all but the first of another visit."""
    usable = assigned[assigned["CODE"].isna()].sort_values(["SCANDT", "PATH", "SERIESUID"], kind="stable")
    groups = usable.groupby(["USUBJID", "AVISIT"])
    many, later = groups["PATH"].transform("size") > 1, groups.cumcount() > 0
    planned = usable["AVISIT"].isin(_ONCE)
    code = assigned["CODE"].astype(object)
    code.loc[usable.index[many & planned]] = "MULTIPLE_SERIES_FOR_VISIT"
    code.loc[usable.index[later & ~planned]] = "EXTRA_SCAN"
    return assigned.assign(CODE=code)


def _problem(row: Any) -> dict[str, Any]:
    reason = f"{row.PATH}: {_REASONS[row.CODE]}"
    return {"CODE": row.CODE, "ITEM": "scan", "USUBJID": row.USUBJID, "AVISIT": row.AVISIT, "PATH": row.PATH,
            "REASON": reason}  # fmt: skip
