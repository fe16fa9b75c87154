"""Rows of the exclusions ledger and queries that only the whole study can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.assign import compute_study_day
from analysis.pet.index import Index
from analysis.pet.quality import QUERY_COLUMNS
from analysis.pet.reference_regions import BASELINE

# What a person should know or do, while nothing that could be measured is set aside: severity and action.
_ASKED = {
    "SCAN_WITHOUT_ROI": ("error", "send the ROI file of this scan"),
    "ARCHIVE_NOT_OPENED": ("warning", "unpack it where it lies, or take it away"),
    "IDENTICAL_COPIES": ("note", "none is needed"),
    "DICOMDIR_UNREADABLE": ("note", "none is needed"),
    "SCAN_OUT_OF_WINDOW": ("warning", "correct its date, or name its visit in scan_map.csv"),
    "DICOMDIR_FILES_MISSING": ("error", "send the files, or a DICOMDIR without them"),
}
# The images that are here are measured, so this is asked about beside its row of the ledger.
_FILE_MISSING, FILES_MISSING = "DICOMDIR_FILE_MISSING", "DICOMDIR_FILES_MISSING"


def index_ledger(
    index: Index, assigned: pd.DataFrame, folder: str, seeded: Collection[tuple[str, str]] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Turn problems of the index into rows of the ledger and queries.

    Parameters
    ----------
    index : Index
        Its problems.
    assigned : DataFrame
        Series with USUBJID AVISIT CODE.
    folder : str
        Name of the DICOM folder: paths are written relative to the raw folder.
    seeded : collection of (USUBJID, AVISIT)
        Scans that need no ROI object: their lesions come from seed points, or a reader said what became of
        them.

    Returns
    -------
    aside, asked : list of dict
        Exclusions (a problem is booked on the scan it concerns, else on its patient), and queries. A scan
        without ROI object is still read, so it is a query; slices that a DICOMDIR lists and that are not here
        are both.
    """
    by_series = dict(zip(assigned["SERIESUID"], zip(assigned["USUBJID"], assigned["AVISIT"])))
    by_patient = assigned.dropna(subset=["PATIENTID", "USUBJID"]).groupby("PATIENTID")["USUBJID"].unique()
    by_patient = {patient: names[0] for patient, names in by_patient.items() if len(names) == 1}
    usable = set(assigned.loc[assigned["CODE"].isna(), "SERIESUID"])
    aside, asked = [], []
    for problem in index.problems:
        uid, code = problem["SERIESUID"], problem["CODE"]
        who, when = by_series.get(uid) or (by_patient.get(problem["PATIENTID"]), None)
        text = f"{below(folder, problem['PATH'])}: {problem['REASON']}"
        if code not in _ASKED:
            known = {"USUBJID": who, "AVISIT": when, "ITEM": problem["ITEM"]}
            aside.append({**known, "CODE": code, "REASON": text})
            if code == _FILE_MISSING and uid in usable:
                asked.append(_query(FILES_MISSING, who, when, f"{text}; the slices here are measured"))
        elif code != "SCAN_WITHOUT_ROI" or (uid in usable and (who, when) not in seeded):
            text += "; no lesion of it is measured" if code == "SCAN_WITHOUT_ROI" else ""
            asked.append(_query(code, who, when, text))
    return aside, asked


def _query(code: str, who: str | None, when: str | None, text: str) -> dict[str, Any]:
    severity, action = _ASKED[code]
    return {"CODE": code, "SEVERITY": severity, "USUBJID": who, "DOMAIN": "PET", "RECORD": when,
            "MESSAGE": text, "ACTION": action}  # fmt: skip


def flag_scans(scan_qc: pd.DataFrame, flagged: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Add flags that only the index or a person knows to the rows of scan_qc.

    Parameters
    ----------
    scan_qc : DataFrame
        FLAGS PATH.
    flagged : mapping
        Flag -> PATH of the scans that bear it.

    Returns
    -------
    DataFrame
        A copy with FLAGS renewed.
    """
    flags = [
        ";".join([text] * isinstance(text, str) + [flag for flag, paths in flagged.items() if path in paths])
        for text, path in zip(scan_qc["FLAGS"], scan_qc["PATH"])
    ]
    return scan_qc.assign(FLAGS=pd.Series([text or None for text in flags], scan_qc.index, dtype=object))


def below(folder: str, path: str) -> str:
    """Write a path of the DICOM folder relative to the raw folder.

    Parameters
    ----------
    folder : str
        Name of the DICOM folder, ``.`` where the raw folder itself holds the images.
    path : str
        Path below it.

    Returns
    -------
    str
        One way of writing for all tables.
    """
    parts = [part for part in (folder, path) if part != "."]
    return "/".join(parts) or "."


def not_evaluable(adpet: pd.DataFrame) -> list[dict[str, Any]]:
    """List the patients with lesions of which none is FDG-evaluable at baseline."""
    lesions = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
    lesions = lesions[lesions["EVALFL"].notna()]  # of one that could not be measured nothing is known
    none = ~lesions["EVALFL"].eq("Y").groupby(lesions["USUBJID"]).any()
    reason = "no baseline lesion reaches the threshold of the reference region"
    return [
        {
            "USUBJID": name,
            "AVISIT": BASELINE,
            "ITEM": "subject",
            "CODE": "NOT_FDG_EVALUABLE",
            "REASON": reason,
        }
        for name in none[none].index
    ]


def without_scan(adsl: pd.DataFrame, assigned: pd.DataFrame) -> list[dict[str, Any]]:
    """List the subjects of whom no PET series was found."""
    missing = sorted(set(adsl["USUBJID"]) - set(assigned["USUBJID"].dropna()))
    reason = "no PET series of this subject was found; send it, or correct its PatientID (0010,0020)"
    return [
        {"USUBJID": name, "AVISIT": None, "ITEM": "subject", "CODE": "NO_PET_SCAN", "REASON": reason}
        for name in missing
    ]


def out_of_window(
    assigned: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan, mapped: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Ask about scans that no planned visit uses because of their day.

    Parameters
    ----------
    assigned : DataFrame
        Series with SERIESUID USUBJID AVISIT SCANDT CODE.
    adsl : DataFrame
        USUBJID TRTSDT.
    plan : Plan
        Section ``design`` (`followup_visits`).
    mapped : collection of str
        Series of which scan_map.csv speaks: what a person said is no question.

    Returns
    -------
    list of dict
        Queries SCAN_OUT_OF_WINDOW: scans between the windows or before them, and later ones of a subject
        without a scan at any planned follow-up.
    """
    usable = assigned[assigned["CODE"].isna() & assigned["USUBJID"].notna()]
    planned = set(usable.loc[usable["AVISIT"].isin(plan.design.followup_visits), "USUBJID"])
    starts = adsl.drop_duplicates("USUBJID").set_index("USUBJID")["TRTSDT"] if "TRTSDT" in adsl else {}
    asked = []
    for row in usable.itertuples(index=False):
        late = row.AVISIT == "PROG" and row.USUBJID not in planned
        if (row.AVISIT == "UNSCHED" or late) and row.SERIESUID not in mapped:
            day = compute_study_day(row.SCANDT, starts[row.USUBJID])
            text = f"scanned on study day {day}, in no window of a planned visit, so no response uses it"
            asked.append(_query("SCAN_OUT_OF_WINDOW", row.USUBJID, row.AVISIT, text))
    return asked


def merge_queries(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Merge queries that ask the same of one subject into one; RECORD lists the visits."""
    table = pd.DataFrame(rows, columns=QUERY_COLUMNS)
    same = [name for name in QUERY_COLUMNS if name != "RECORD"]
    merged = (
        table.groupby(same, dropna=False, sort=False)["RECORD"]
        .agg(lambda r: ";".join(r.dropna()))
        .reset_index()
    )
    return merged[QUERY_COLUMNS]
