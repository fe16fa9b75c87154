"""Audit of the images as they came: what de-identification damaged, and what it left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from analysis import contracts
from analysis.plan import Plan
from analysis.privacy.audit_codes import Finding
from analysis.privacy.audit_rules import RULES, number, scan_day

_COLUMNS = ["USUBJID", "AVISIT", "PATH", "CODE", "SEVERITY", "MESSAGE", "ACTION"]


def audit_series(
    series: pd.DataFrame,
    plan: Plan,
    subjects: Mapping[str, tuple[str | None, str | None]] | None = None,
    *,
    unreadable: Iterable[str] = (),
) -> pd.DataFrame:
    """Find damage and residue of de-identification.

    Parameters
    ----------
    series : pandas.DataFrame
        `Collected.series`.
    plan : Plan
        With section ``privacy``.
    subjects : mapping, optional
        PATH of a series -> its USUBJID and AVISIT. A series it does not name has those of its study or
        patient, where these belong to one; else it stays without.
    unreadable : iterable of str
        `Collected.unreadable`: files that are findings by themselves.

    Returns
    -------
    pandas.DataFrame
        Table ``deid_audit``: one row a finding, by subject, visit, folder and code. No message tells a value.
    """
    rules, known = plan.privacy, _owners(series, subjects or {})
    rows = []
    for row in series.itertuples(index=False):
        usubjid, avisit = known.get(row.PATH, (None, None))
        rows += [found.row(usubjid, avisit, row.PATH) for rule in RULES for found in rule(row, rules)]
    rows += list(_of_patients(series, rules, known))
    rows += [found.row(None, None, "") for found in _of_study(series, rules, known)]
    rows += [Finding("DEID_UNREADABLE").row(None, None, path) for path in unreadable]
    table = pd.DataFrame(rows, columns=_COLUMNS).drop_duplicates()
    order = ["USUBJID", "AVISIT", "PATH", "CODE", "MESSAGE"]
    table = table.sort_values(order, kind="stable", na_position="last").reset_index(drop=True)
    return contracts.check("deid_audit", table)


def _owners(series: pd.DataFrame, named: Mapping[str, tuple]) -> dict[str, tuple]:
    """Complete the named series by those of the same study, or of the same patient."""
    studies: dict[str, set] = {}
    patients: dict[str, set] = {}
    for row in series.itertuples(index=False):
        if row.PATH in named:
            studies.setdefault(row.STUDYUID, set()).add(tuple(named[row.PATH]))
            patients.setdefault(row.PATIENTID, set()).add((named[row.PATH][0], None))
    known = dict(named)
    for row in series.itertuples(index=False):
        likely = (studies.get(row.STUDYUID) if row.STUDYUID else None, patients.get(row.PATIENTID))
        one = next((owners for owners in likely if owners is not None and len(owners) == 1), None)
        if row.PATH not in known and one and (row.STUDYUID or row.PATIENTID):
            known[row.PATH] = next(iter(one))
    return known


def _patient(row: Any, known: Mapping[str, tuple]) -> str:
    """Return what tells one patient from another; a series without any is a patient of its own."""
    return known.get(row.PATH, (None, None))[0] or row.PATIENTID or f"folder {row.PATH}"


def _of_patients(series: pd.DataFrame, rules: Any, known: Mapping[str, tuple]) -> Iterator[tuple]:
    patients: dict[str, list] = {}
    for row in series.itertuples(index=False):
        patients.setdefault(_patient(row, known), []).append(row)
    for rows in patients.values():
        usubjid = next((known[row.PATH][0] for row in rows if row.PATH in known), None)
        # Without a name for the subject a folder says where to look.
        where = "" if usubjid else rows[0].PATH
        for found in _of_patient(rows, rules):
            yield found.row(usubjid, None, where)


def _of_patient(rows: list, rules: Any) -> Iterator[Finding]:
    """Yield what series of one patient say differently."""
    if len({row.SEX for row in rows if row.SEX in ("F", "M")}) > 1:
        yield Finding("DEID_SEX_CHANGES")
    weights, heights = _by_day(rows, "WEIGHTKG", rules), _by_day(rows, "SIZEM", rules)
    if _widest(weights.values()) > rules.audit_same_day_weight_kg:
        yield Finding("DEID_WEIGHT_SAME_DAY")
    if _widest(heights.values()) > rules.audit_same_day_height_m:
        yield Finding("DEID_HEIGHT_SAME_DAY")
    first = [held[0] for _, held in sorted(weights.items(), key=lambda item: str(item[0]))]
    if (
        first
        and max(abs(100 * weight / first[0] - 100) for weight in first) > rules.audit_weight_change_percent
    ):
        yield Finding("DEID_WEIGHT_CHANGES")
    if len(heights) > 1 and _widest([[held[0] for held in heights.values()]]) > rules.audit_height_change_m:
        yield Finding("DEID_HEIGHT_CHANGES")
    studies: dict[str, set[str]] = {}
    for row in rows:
        if row.STUDYUID:
            studies.setdefault(row.STUDYUID, set()).add(row.STUDYDATE)
    if any(len(days) > 1 for days in studies.values()):
        yield Finding("DEID_STUDY_DATES_DIFFER")


def _by_day(rows: list, column: str, rules: Any) -> dict[Any, list[float]]:
    """Group the numbers of a column by the day of the scan; scans without a date are not compared."""
    days: dict[Any, list[float]] = {}
    for row in rows:
        value, day = number(getattr(row, column)), scan_day(row, rules)
        if value is not None and day is not None:
            days.setdefault(day, []).append(value)
    return days


def _widest(groups: Iterable[list[float]]) -> float:
    # A difference of 0.03 m is 0.030000000000000027 in binary.
    return max((round(max(held) - min(held), 9) for held in groups), default=0.0)


def _of_study(series: pd.DataFrame, rules: Any, known: Mapping[str, tuple]) -> Iterator[Finding]:
    """Yield what all patients have in common and patients do not have in common."""
    rows = list(series.itertuples(index=False))

    def shared(value_of: Callable[[Any], Any]) -> bool:
        told = {(_patient(row, known), value_of(row)) for row in rows if value_of(row) is not None}
        return (
            len({one for one, _ in told}) >= rules.audit_min_patients and len({one for _, one in told}) == 1
        )

    if shared(lambda row: scan_day(row, rules)):
        yield Finding("DEID_DATE_ALL_EQUAL")
    if shared(lambda row: number(row.WEIGHTKG)):
        yield Finding("DEID_WEIGHT_ALL_EQUAL")
