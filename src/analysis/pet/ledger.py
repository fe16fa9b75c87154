"""Rows of the exclusions ledger and queries that only the whole study can tell."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.pet.index import Index
from analysis.pet.quality import QUERY_COLUMNS
from analysis.pet.reference_regions import BASELINE


def index_ledger(index: Index, assigned: pd.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Turn problems of the index into ledger rows; a scan without ROI is still read, so it is a query."""
    subject = dict(zip(assigned["PATIENTID"], assigned["USUBJID"]))
    visit = dict(zip(assigned["SERIESUID"], assigned["AVISIT"]))
    usable = set(assigned.loc[assigned["CODE"].isna(), "SERIESUID"])
    aside, asked = [], []
    for problem in index.problems:
        who, when = subject.get(problem["PATIENTID"]), visit.get(problem["SERIESUID"])
        if problem["CODE"] != "SCAN_WITHOUT_ROI":
            aside.append(
                {"USUBJID": who, "AVISIT": when, **{k: problem[k] for k in ("ITEM", "CODE", "REASON")}}
            )
        elif problem["SERIESUID"] in usable:
            message = f"{problem['PATH']}: {problem['REASON']}; no lesion of it is measured"
            asked.append(
                {
                    "CODE": problem["CODE"],
                    "SEVERITY": "error",
                    "USUBJID": who,
                    "DOMAIN": "PET",
                    "RECORD": when,
                    "MESSAGE": message,
                    "ACTION": "send the ROI file of this scan",
                }
            )
    return aside, asked


def not_evaluable(adpet: pd.DataFrame) -> list[dict[str, Any]]:
    """List the patients with lesions of which none is FDG-evaluable at baseline."""
    lesions = adpet[(adpet["AVISIT"] == BASELINE) & (adpet["ROLE"] == "LESION")]
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
