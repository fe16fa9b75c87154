"""Give every PET series its subject and visit: exact identifiers, and windows about the first dose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans

BASELINE = "D0"
VISITS = ("D0", "D14", "D28", "PROG", "UNSCHED")
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
    series: pd.DataFrame,
    adsl: pd.DataFrame,
    plan: plans.Plan | None = None,
    entries: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Assign USUBJID and AVISIT to every PET series of an index.

    Parameters
    ----------
    series : DataFrame
        ``Index.series``: SERIESUID PATIENTID SCANDT PATH, and CORRECTIONS DAMAGED NFILES STATED MISSING where
        known.
    adsl : DataFrame
        USUBJID TRTSDT and, if known, SUBJID and SITEID. PatientID must equal USUBJID, SUBJID or the last
        part of USUBJID, exactly, and point to one subject.
    plan : Plan, optional
        Section ``visits``, and of ``pet`` `scan_date_*` and `corrections_required`.
    entries : mapping, optional
        Series UID -> `analysis.pet.scan_map.Entry`; what it says wins.

    Returns
    -------
    assigned : DataFrame
        `series` with USUBJID SITEID AVISIT CODE; a row with a CODE is not to be measured.
    problems : list of dict
        CODE ITEM USUBJID AVISIT PATH REASON, and MESSAGE, which is REASON without paths; one for each row
        with a CODE, in their order:
        SCAN_MAP_EXCLUDED, TRUNCATED_FILE, SLICES_MISSING (by a DICOMDIR and by Number of Slices),
        SUBJECT_NOT_IN_ADSL, SUBJECT_AMBIGUOUS, SCAN_DATE_MISSING, SCAN_DATE_IMPLAUSIBLE,
        SCAN_DATES_ALL_EQUAL, NOT_ATTENUATION_CORRECTED, SCAN_MAP_OTHER_CHOSEN,
        MULTIPLE_SERIES_FOR_VISIT, EXTRA_SCAN.
    """
    plan = plans.defaults() if plan is None else plan
    rows = [{} if entries is None else _said(entries.get(uid)) for uid in series["SERIESUID"]]
    assigned = _with_subjects(series, adsl, rows)
    starts = _first_doses(assigned["USUBJID"], adsl)
    uninformative = _dates_say_nothing(assigned, starts, plan.pet.scan_dates_equal_subjects)
    visits, codes = [], []
    for row, said, start in zip(assigned.itertuples(index=False), rows, starts):
        visit, code = _visit(row.SCANDT, start, plan, uninformative) if row.USUBJID else (None, None)
        visits.append(said.get("avisit") or visit)
        codes.append(row.CODE or (None if said.get("avisit") else code))
        if said.get("use") is False:
            codes[-1] = "SCAN_MAP_EXCLUDED"
        elif getattr(row, "DAMAGED", None) and not codes[-1]:
            codes[-1] = "TRUNCATED_FILE"
        elif getattr(row, "MISSING", 0) and row.NFILES < row.STATED and not codes[-1]:
            codes[-1] = "SLICES_MISSING"
    assigned["AVISIT"] = pd.Series(visits, index=assigned.index, dtype=object)
    assigned["CODE"] = pd.Series(codes, index=assigned.index, dtype=object)
    chosen = np.array([said.get("use") is True for said in rows], bool)
    assigned = _mark_repeats(assigned, chosen, plan.pet.corrections_required)
    aside = assigned[assigned["CODE"].notna()]
    near = _Lookalikes(adsl)
    return assigned, [_problem(row, near) for row in aside.itertuples(index=False)]


_TO_MAP = "or name it in scan_map.csv"
_REASONS = {
    "SUBJECT_NOT_IN_ADSL": "its PatientID is that of no subject; correct the header or add the subject, "
    + _TO_MAP,
    "SUBJECT_AMBIGUOUS": f"its PatientID is that of several subjects; use the full identifier, {_TO_MAP}",
    "SCAN_DATE_MISSING": f"no acquisition, series or study date, so no visit; send its dates, {_TO_MAP}",
    "SCAN_DATE_IMPLAUSIBLE": f"its date is years off the first dose (anonymised?); send it, {_TO_MAP}",
    "SCAN_DATES_ALL_EQUAL": f"scans of all subjects bear one date (anonymised?); send the dates, {_TO_MAP}",
    "NOT_ATTENUATION_CORRECTED": "not attenuation-corrected, and another series of this visit is",
    "SLICES_MISSING": "its DICOMDIR lists images that are not here, and it has fewer than Number of Slices "
    "(0054,0081) states; send them",
    "SCAN_MAP_EXCLUDED": "set aside by scan_map.csv (USE N)",
    "SCAN_MAP_OTHER_CHOSEN": "scan_map.csv gives this visit to another series",
    "MULTIPLE_SERIES_FOR_VISIT": "more than one PET series for this visit; keep the one to analyse, or set "
    "USE N for the others in scan_map.csv",
    "EXTRA_SCAN": "an earlier scan already stands for this kind of visit",
}


def _said(entry: Any) -> dict[str, Any]:
    return {} if entry is None else entry._asdict()


def _with_subjects(series: pd.DataFrame, adsl: pd.DataFrame, rows: list[dict[str, Any]]) -> pd.DataFrame:
    keys = _subject_keys(adsl)
    found = [
        [said["usubjid"]] if said.get("usubjid") else keys.get(name, [])
        for name, said in zip(series["PATIENTID"], rows)
    ]
    codes = {0: "SUBJECT_NOT_IN_ADSL", 2: "SUBJECT_AMBIGUOUS"}
    assigned = series.assign(
        USUBJID=pd.Series([n[0] if len(n) == 1 else None for n in found], index=series.index, dtype=object),
        CODE=pd.Series([codes.get(min(len(n), 2)) for n in found], index=series.index, dtype=object),
    )
    known = adsl.drop_duplicates("USUBJID").set_index("USUBJID")
    assigned["SITEID"] = assigned["USUBJID"].map(known["SITEID"]) if "SITEID" in known else None
    return assigned


def _subject_keys(adsl: pd.DataFrame) -> dict[str, list[str]]:
    """Map every accepted PatientID to the subjects it may mean; a full USUBJID always means that subject."""
    keys: dict[str, set[str]] = {}
    for row in adsl.itertuples(index=False):
        for key in _short_names(row):
            keys.setdefault(key, set()).add(row.USUBJID)
    keys |= {name: {name} for name in adsl["USUBJID"]}
    return {key: sorted(names) for key, names in keys.items()}


def _short_names(row: Any) -> set[str]:
    subject = getattr(row, "SUBJID", None)
    return {row.USUBJID.rsplit("-", 1)[-1]} | (set() if pd.isna(subject) else {str(subject)})


def _first_doses(subjects: pd.Series, adsl: pd.DataFrame) -> pd.Series:
    if "TRTSDT" not in adsl:
        return pd.Series(pd.NaT, subjects.index)
    return subjects.map(adsl.drop_duplicates("USUBJID").set_index("USUBJID")["TRTSDT"])


def _dates_say_nothing(assigned: pd.DataFrame, starts: pd.Series, least: int) -> bool:
    """Tell whether all scans bear one date although their subjects began on several."""
    dated = assigned["SCANDT"].notna() & starts.notna()
    subjects = assigned.loc[dated, "USUBJID"].nunique()
    days, first = assigned.loc[dated, "SCANDT"], starts[dated]
    return bool(subjects >= least and days.min() == days.max() and first.min() != first.max())


def _visit(
    date: pd.Timestamp, first_dose: pd.Timestamp, plan: plans.Plan, uninformative: bool
) -> tuple[str | None, str | None]:
    if pd.isna(first_dose):
        return BASELINE, None  # a study without dates has one scan a subject; several are set aside below
    if pd.isna(date):
        return None, "SCAN_DATE_MISSING"
    if abs((date - first_dose).days) > plan.pet.scan_date_max_days:
        return None, "SCAN_DATE_IMPLAUSIBLE"
    if uninformative:
        return None, "SCAN_DATES_ALL_EQUAL"
    return name_visit(compute_study_day(date, first_dose), plan.visits), None


def _mark_repeats(assigned: pd.DataFrame, chosen: np.ndarray, required: list[str]) -> pd.DataFrame:
    """Leave one series a subject and visit; where none stands out, set all aside.

    What scan_map.csv names stands out first, then attenuation correction, then, but only between visits that
    are not planned, the earliest date.
    """
    code = assigned["CODE"].astype(object)
    usable = assigned.assign(CHOSEN=chosen, LACKS=_lacking(assigned, required))[code.isna()]
    usable = usable.sort_values(["SCANDT", "PATH", "SERIESUID"], kind="stable")
    for (_, visit), group in usable.groupby(["USUBJID", "AVISIT"], sort=False):
        if len(group) == 1:
            continue
        for out, why in (
            (~group["CHOSEN"], "SCAN_MAP_OTHER_CHOSEN"),
            (group["LACKS"], "NOT_ATTENUATION_CORRECTED"),
            (group["SCANDT"] != group["SCANDT"].min(), "EXTRA_SCAN"),
        ):
            out = out.reindex(group.index) & code[group.index].isna()
            if (why != "EXTRA_SCAN" or visit not in _ONCE) and (~out & code[group.index].isna()).any():
                code[group.index[out]] = why
        left = group.index[code[group.index].isna()]
        if len(left) > 1:
            code[left] = "MULTIPLE_SERIES_FOR_VISIT"
    return assigned.assign(CODE=code)


def _lacking(assigned: pd.DataFrame, required: list[str]) -> list[bool]:
    """Tell which series state their corrections and lack a required one."""
    if "CORRECTIONS" not in assigned:
        return [False] * len(assigned)
    return [bool(done) and not set(required) <= set(done) for done in assigned["CORRECTIONS"]]


class _Lookalikes:
    """Identifiers that differ from a subject's only in case, leading zeros or separators."""

    def __init__(self, adsl: pd.DataFrame):
        names = [{row.USUBJID} | _short_names(row) for row in adsl.itertuples(index=False)]
        self.known = {self._plain(name) for found in names for name in found}

    def has(self, patient_id: str | None) -> bool:
        """Tell whether a PatientID looks like that of a subject; it is never taken for it."""
        return patient_id is not None and self._plain(patient_id) in self.known

    @staticmethod
    def _plain(name: str) -> str:
        return "-".join(part.lstrip("0") for part in re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _problem(row: Any, near: _Lookalikes) -> dict[str, Any]:
    path = getattr(row, "SCANPATH", row.PATH)
    if row.CODE == "TRUNCATED_FILE":
        reason = f"{len(row.DAMAGED)} file(s) beside its slices cannot be read; send it again, "
        reason += "or take it away if it is no image"
    else:
        reason = _REASONS[row.CODE]
    if row.CODE == "SUBJECT_NOT_IN_ADSL" and near.has(row.PATIENTID):
        reason += "; only case, leading zeros or separators differ from a subject's, which is not guessed"
    first = f" (first {row.DAMAGED[0].rpartition('/')[2]!r})" if row.CODE == "TRUNCATED_FILE" else ""
    return {"CODE": row.CODE, "ITEM": "scan", "USUBJID": row.USUBJID, "AVISIT": row.AVISIT, "PATH": path,
            "MESSAGE": reason, "REASON": f"{path}: {reason}{first}"}  # fmt: skip
