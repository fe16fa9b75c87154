"""The scans of a study that only sent numbers: whose, which visit, what is known, and which are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import quality
from analysis.pet.assign import assign_subjects_and_visits
from analysis.pet.measurement_records import FACT, GONE, MEASUREMENT, empty_table, set_aside
from analysis.pet.reference_regions import check_region

_SCAN = ["USUBJID", "DATE"]
_REASONS = {
    "SUBJECT_NOT_IN_ADSL": "no subject of ADSL has this USUBJID; correct it, or add the subject",
    "SCAN_DATE_MISSING": "no TRDTC, so no visit; send it",
    "SCAN_DATE_IMPLAUSIBLE": "its date is years off the first dose; correct TRDTC",
    "SCAN_DATES_ALL_EQUAL": "the records of all subjects bear one date; send the dates of the scans",
    "MULTIPLE_SERIES_FOR_VISIT": "records of one visit bear several dates; keep one scan, or correct TRDTC",
    "EXTRA_SCAN": "an earlier scan already stands for this kind of visit",
    "NO_MEASUREMENT": "not one record of this scan can be used; each has its reason in the ledger",
}


def refuse_subjects_and_dates(rows: pd.DataFrame, adsl: pd.DataFrame) -> None:
    """Set aside, in place, records of no subject of ADSL and those without a whole date.

    Codes SUBJECT_NOT_IN_ADSL and SCAN_DATE_PARTIAL; a date that is missing altogether is left to
    `assign_scans`, since a study without dates has one scan a subject.
    """
    unknown = ~rows["USUBJID"].isin(adsl["USUBJID"])
    set_aside(rows, unknown, "SUBJECT_NOT_IN_ADSL", _REASONS["SUBJECT_NOT_IN_ADSL"])
    partial = rows["DATEC"].notna() & rows["DATE"].isna()
    reason = "TRDTC is no complete date, and which day it was is not guessed; send it"
    set_aside(rows, partial, "SCAN_DATE_PARTIAL", reason)


def assign_scans(
    rows: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Name the visit of each scan by the windows that hold for images (`analysis.pet.assign`).

    Parameters
    ----------
    rows : DataFrame
        `measurement_records.select_records`; a scan is a subject and a date of a record that was done.
    adsl : DataFrame
        USUBJID, and TRTSDT SITEID where known.
    plan : Plan
        Section ``visits``, and of ``pet`` `scan_date_*`.

    Returns
    -------
    rows : DataFrame
        With PATH and AVISIT; the records of a refused scan have its code.
    scans : DataFrame
        USUBJID DATE PATH SITEID AVISIT CODE, one row a scan.
    problems : list of dict
        Rows of the ledger, one a refused scan.
    """
    usable = rows["CODE"].isna() & ~rows["NOTDONE"]
    scans = rows.loc[usable, _SCAN].drop_duplicates().sort_values(_SCAN, ignore_index=True)
    scans["PATH"] = [f"sdtm/tr#{number}" for number in range(1, len(scans) + 1)]
    series = scans.assign(SERIESUID=scans["PATH"], PATIENTID=scans["USUBJID"], SCANDT=scans["DATE"])
    assigned, found = assign_subjects_and_visits(series.drop(columns="USUBJID"), adsl, plan)
    assigned = assigned[["USUBJID", "DATE", "PATH", "SITEID", "AVISIT", "CODE"]]
    problems = [
        {**{k: problem[k] for k in ("USUBJID", "AVISIT", "CODE")}, "ITEM": "scan",
         "REASON": f"{problem['PATH']}: {_REASONS.get(problem['CODE'], problem['MESSAGE'])}"}
        for problem in found
    ]  # fmt: skip
    known = assigned.rename(columns={"CODE": "SCANCODE"})[[*_SCAN, "PATH", "AVISIT", "SCANCODE"]]
    rows = rows.merge(known, on=_SCAN, how="left", validate="many_to_one")
    reasons = rows["SCANCODE"].map(_REASONS).fillna("")
    for code in rows["SCANCODE"].dropna().unique():
        set_aside(rows, rows["SCANCODE"].eq(code), code, reasons)
    return rows, assigned, problems


def describe_scans(scans: pd.DataFrame, rows: pd.DataFrame, study: str, plan: plans.Plan) -> pd.DataFrame:
    """Build scan_qc: a row a scan, with the facts that were sent and what a reader should look at.

    Parameters
    ----------
    scans, rows : DataFrame
        `assign_scans`, the records interpreted.
    study : str
        STUDYID.
    plan : Plan
        Section ``pet`` (`protocol_uptake_*`, `region_*`).

    Returns
    -------
    DataFrame
        Table scan_qc; a scan of which no record can be used is refused (NO_MEASUREMENT).
    """
    used = rows[rows["CODE"].isna()]
    facts = used[used["KIND"].eq(FACT)].pivot_table(index="PATH", columns="COLUMN", values="AVAL")
    read = scans["PATH"].isin(used.loc[used["KIND"].isin([MEASUREMENT, GONE]), "PATH"])
    code = scans["CODE"].where(scans["CODE"].notna() | read, "NO_MEASUREMENT")
    table = empty_table("scan_qc").reindex(range(len(scans)))
    shared = scans.set_index(table.index)
    table = table.assign(
        STUDYID=study,
        **{name: shared[name] for name in ("USUBJID", "AVISIT", "SITEID", "PATH")},
        ADT=shared["DATE"],
        STATUS=np.where(code.isna(), "OK", "REFUSED"),
        CODE=code.to_numpy(object),
        MESSAGE=code.map(_REASONS).to_numpy(object),
    )
    for name in facts:
        table[name] = table["PATH"].map(facts[name]).astype(float)
    regions = used[used["KIND"].eq(MEASUREMENT) & used["ROLE"].isin(["LIVER", "AORTA"])]
    values = {key: dict(zip(part["METRIC"], part["AVAL"])) for key, part in regions.groupby(["PATH", "ROLE"])}
    liver = [values.get((path, "LIVER"), {}) for path in table["PATH"]]
    table["LIVERMEAN"] = [float(found.get("SUVMEAN", np.nan)) for found in liver]
    table["LIVERSD"] = [float(found.get("SUVSD", np.nan)) for found in liver]
    table["FLAGS"] = [_flags(row.PATH, row.UPTAKEMIN, values, plan.pet) for row in table.itertuples()]
    return table.sort_values(["USUBJID", "ADT", "PATH"], kind="stable", ignore_index=True)


def _flags(path: str, uptake: float, values: dict[tuple[str, str], dict], rules: plans.Section) -> str | None:
    flags = quality.check_protocol({"uptake_time_min": None if np.isnan(uptake) else uptake}, rules)
    unknown = dict.fromkeys(("SUVMEAN", "SUVSD", "SUVMAX"), np.nan)
    for role in ("LIVER", "AORTA"):
        if (path, role) in values:
            flags += check_region(role, unknown | values[(path, role)], rules)
    return ";".join(flags) or None


def list_refused(scans: pd.DataFrame) -> list[dict[str, Any]]:
    """List the scans of which no record can be used; `_assign` lists the others that are refused."""
    empty = scans[scans["CODE"].eq("NO_MEASUREMENT")]
    return [
        {"USUBJID": row.USUBJID, "AVISIT": row.AVISIT, "ITEM": "scan", "CODE": row.CODE,
         "REASON": f"{row.PATH}: {row.MESSAGE}"} for row in empty.itertuples(index=False)
    ]  # fmt: skip
