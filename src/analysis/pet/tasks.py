"""Make of every usable scan one task: plain inputs of `analysis.pet.measurement.measure_scan`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.assign import BASELINE
from analysis.pet.index import Index
from analysis.pet.ledger import below
from analysis.pet.reader_tables import Rows
from analysis.pet.reference_regions import assign_role
from analysis.pet.suv import vendor_of

ROI_MAP_COLUMNS = ["USUBJID", "ROINAME", "ROLE"]
ROLES = ("lesion", "liver", "aorta", "ignore")
# Problems of the index that leave a scan with less than was drawn on it, or with fewer slices.
_TAKEN_AWAY = {"ROI_DUPLICATE", "ROI_AMBIGUOUS", "ROI_OF_ANOTHER_PATIENT"}
_SLICES_AWAY = {"DICOMDIR_FILE_MISSING"}
_SHOWN = 5


def make_tasks(
    index: Index,
    assigned: pd.DataFrame,
    plan: plans.Plan,
    *,
    raw_dir: str,
    study: str,
    roi_map: pd.DataFrame | None = None,
    entries: Mapping[str, Any] | None = None,
    seeds: Rows | None = None,
    reference_regions: Rows | None = None,
    lesion_map: Rows | None = None,
    lost_seeds: Collection[tuple[str, str]] = (),
    with_mips: bool = True,
) -> list[dict[str, Any]]:
    """Make the tasks of a study, one a scan without CODE, in the order of subject and date.

    Parameters
    ----------
    index : Index
        Index of the DICOM folder.
    assigned : DataFrame
        Its series with USUBJID AVISIT SITEID CODE SCANPATH.
    plan : Plan
        Section ``pet``.
    raw_dir : str
        Raw folder; all paths of a task are relative to it.
    study : str
        STUDYID.
    roi_map : DataFrame, optional
        ``roi_map.csv``.
    entries : mapping, optional
        Series UID -> `analysis.pet.scan_map.Entry`.
    seeds, reference_regions, lesion_map : dict, optional
        As `analysis.pet.reader_tables.rows_by_scan` returns them.
    lost_seeds : collection of (USUBJID, AVISIT)
        Scans of which a row of ``seeds.csv`` cannot be used.
    with_mips : bool
        Also project the scans.

    Returns
    -------
    list of dict
        raw_dir path files rois series_uid group scan roi_map height_m mip crop seeds reference_regions
        lesions (name drawn -> lesion a reader said) aliases (lesion a name stands for -> lesion it is)
        set_aside (True where a region object, a seed or slices of this scan are lost, so totals are
        incomplete).

    Raises
    ------
    ValueError
        ROI_MAP_COLUMNS, ROI_MAP_EMPTY, ROI_MAP_ROLE, ROI_MAP_DUPLICATE; rows are named by number only.
    """
    folder = plan.pet.dicom_folder
    rois = index.rois.groupby("SERIESUID")["PATH"].apply(list).to_dict()
    maps = _maps(roi_map)
    heights = _heights(assigned, plan.pet)
    usable = assigned[assigned["CODE"].isna()].sort_values(["USUBJID", "SCANDT", "PATH"], kind="stable")
    tasks = []
    for row in usable.itertuples(index=False):
        entry, key = (entries or {}).get(row.SERIESUID), (row.USUBJID, row.AVISIT)
        mapped = maps.get(row.USUBJID, {})
        tasks.append(
            {
                "raw_dir": raw_dir,
                "path": below(folder, row.PATH),
                "files": [below(folder, name) for name in row.FILES],
                "series_uid": row.SERIESUID,
                "group": None if entry is None else entry.group,
                "rois": [below(folder, name) for name in sorted(rois.get(row.SERIESUID, []))],
                "roi_map": mapped,
                "height_m": _other_height(heights.get(row.USUBJID, []), row.SERIESUID),
                "mip": with_mips,
                "crop": _crops(plan),
                "seeds": (seeds or {}).get(key, []),
                "reference_regions": (reference_regions or {}).get(key, []),
                "lesions": _lesions(lesion_map, key),
                "aliases": _aliases(lesion_map, row.USUBJID, mapped, plan.pet),
                "set_aside": key in lost_seeds or _lost_regions(index, row, entry),
                "scan": scan_row(row, study),
            }
        )
    return tasks


def _lesions(lesion_map: Rows | None, scan: tuple[str, str]) -> dict[str, str]:
    return {row["ROINAME"]: row["LESIONID"] for row in (lesion_map or {}).get(scan, [])}


def _aliases(
    lesion_map: Rows | None, subject: str, mapped: Mapping[str, Any], rules: plans.Section
) -> dict[str, str]:
    """Return what the reader's word on baseline regions makes of their names at every other visit.

    Where names are identities, a region of the same name is the same lesion; `match` takes none of it.
    """
    if rules.lesion_identity != "names":
        return {}
    said = _lesions(lesion_map, (subject, BASELINE))
    own = {assign_role(name, mapped, rules.roi_roles)[1]: lesion for name, lesion in said.items()}
    return {name: lesion for name, lesion in own.items() if name != lesion}


def scan_row(row: Any, study: str) -> dict[str, Any]:
    """Tell what is known of a scan before it is read, under the names of the table scan_qc.

    Parameters
    ----------
    row : named tuple
        Row of the assigned series.
    study : str
        STUDYID.

    Returns
    -------
    dict
        STUDYID USUBJID AVISIT ADT SITEID VENDOR MODEL UNITS DECAYCORR PATH.
    """
    return {
        "STUDYID": study,
        "USUBJID": row.USUBJID,
        "AVISIT": row.AVISIT,
        "ADT": row.SCANDT,
        "SITEID": row.SITEID,
        "VENDOR": vendor_of(row.VENDOR or ""),
        "MODEL": row.MODEL,
        "UNITS": row.UNITS,
        "DECAYCORR": row.DECAYCORR,
        "PATH": row.SCANPATH,
    }


def _crops(plan: plans.Plan) -> bool:
    """Tell whether pictures must show no face: those of real patients, unless the plan knows of no head."""
    known = "design" in plan.sections() and plan.design.kind == "simulated"
    return plan.pet.crop_head != "never" and not known


def _lost_regions(index: Index, row: Any, entry: Any) -> bool:
    """Tell whether regions or slices of a series were set aside; what a person chose among is no loss."""
    codes = _SLICES_AWAY if entry is not None and entry.rois else _SLICES_AWAY | _TAKEN_AWAY
    for problem in index.problems:
        whose = problem["SERIESUID"] == row.SERIESUID
        # An object that fits several series of the patient may be of any of them.
        if problem["CODE"] == "ROI_AMBIGUOUS" and problem["SERIESUID"] is None:
            whose = problem["PATIENTID"] is not None and problem["PATIENTID"] == row.PATIENTID
        if whose and problem["CODE"] in codes:
            return True
    return False


def _maps(roi_map: pd.DataFrame | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return subject -> ROI name -> its row of ``roi_map.csv``, all text stripped."""
    if roi_map is None:
        return {}
    lacks = [name for name in ROI_MAP_COLUMNS if name not in roi_map]
    if lacks:
        raise ValueError(
            f"ROI_MAP_COLUMNS: roi_map.csv has no column {', '.join(lacks)}; "
            f"it needs {', '.join(ROI_MAP_COLUMNS)}"
        )
    rows = [_stripped(row) for row in roi_map.to_dict("records")]
    numbers: dict[tuple[str, str], list[int]] = {}
    empty, unknown = [], []
    for number, row in enumerate(rows, start=1):
        if not any(row.values()):
            continue  # spreadsheets end with empty rows
        row["ROLE"] = (row["ROLE"] or "").lower()
        empty += [] if row["USUBJID"] and row["ROINAME"] else [number]
        unknown += [] if row["ROLE"] in ROLES else [number]
        numbers.setdefault((row["USUBJID"], row["ROINAME"]), []).append(number)
    several = [same for same in numbers.values() if any(rows[n - 1] != rows[same[0] - 1] for n in same)]
    _refuse_rows("ROI_MAP_EMPTY", empty, "USUBJID or ROINAME is empty")
    _refuse_rows("ROI_MAP_ROLE", unknown, f"ROLE must be one of {', '.join(ROLES)}")
    double = [number for same in several for number in same]
    _refuse_rows("ROI_MAP_DUPLICATE", double, "several rows for one ROINAME of a subject differ; keep one")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (subject, name), same in numbers.items():
        found.setdefault(subject, {})[name] = rows[same[0] - 1]
    return found


def _stripped(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if pd.isna(value) else str(value).strip() or None for name, value in row.items()}


def _refuse_rows(code: str, numbers: list[int], reason: str) -> None:
    if numbers:
        shown = ", ".join(map(str, sorted(numbers)[:_SHOWN]))
        more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
        raise ValueError(f"{code}: roi_map.csv row {shown}{more}: {reason}")


def _heights(assigned: pd.DataFrame, rules: plans.Section) -> dict[str, list[tuple[str, float]]]:
    """Return each subject's scans that state a body height, baseline first, with that in m."""
    known = assigned[(assigned["HEIGHTM"] > 0) & assigned["USUBJID"].notna()]
    metres = known["HEIGHTM"].where(known["HEIGHTM"] <= rules.height_cm_above, known["HEIGHTM"] / 100)
    known = known.assign(HEIGHTM=metres, LATER=known["AVISIT"] != BASELINE)
    known = known[known["HEIGHTM"].between(*rules.height_refuse_m)]
    found: dict[str, list[tuple[str, float]]] = {}
    for row in known.sort_values(["LATER", "SCANDT", "PATH"], kind="stable").itertuples(index=False):
        found.setdefault(row.USUBJID, []).append((row.SERIESUID, row.HEIGHTM))
    return found


def _other_height(heights: list[tuple[str, float]], own: str) -> float | None:
    """Return the first height of another scan: what the scan's own reading refused must not come back."""
    return next((height for uid, height in heights if uid != own), None)
