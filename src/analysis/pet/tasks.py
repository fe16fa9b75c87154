"""Make of every usable scan one task: plain inputs of `analysis.pet.measurement.measure_scan`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.pet.assign import BASELINE
from analysis.pet.index import Index
from analysis.pet.ledger import below
from analysis.pet.reader_tables import Rows
from analysis.pet.suv import vendor_of

ROI_MAP_COLUMNS = ["USUBJID", "ROINAME", "ROLE"]


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
    seeds, reference_regions : dict, optional
        As `analysis.pet.reader_tables.rows_by_scan` returns them.
    with_mips : bool
        Also project the scans.

    Returns
    -------
    list of dict
        raw_dir path files rois series_uid group scan roi_map height_m mip seeds reference_regions.

    Raises
    ------
    ValueError
        ROI_MAP_COLUMNS.
    """
    folder = plan.pet.dicom_folder
    rois = index.rois.groupby("SERIESUID")["PATH"].apply(list).to_dict()
    maps = _maps(roi_map)
    heights = _heights(assigned, plan.pet.height_cm_above)
    usable = assigned[assigned["CODE"].isna()].sort_values(["USUBJID", "SCANDT", "PATH"], kind="stable")
    tasks = []
    for row in usable.itertuples(index=False):
        entry, key = (entries or {}).get(row.SERIESUID), (row.USUBJID, row.AVISIT)
        tasks.append(
            {
                "raw_dir": raw_dir,
                "path": below(folder, row.PATH),
                "files": [below(folder, name) for name in row.FILES],
                "series_uid": row.SERIESUID,
                "group": None if entry is None else entry.group,
                "rois": [below(folder, name) for name in sorted(rois.get(row.SERIESUID, []))],
                "roi_map": maps.get(row.USUBJID, {}),
                "height_m": heights.get(row.USUBJID),
                "mip": with_mips,
                "seeds": (seeds or {}).get(key, []),
                "reference_regions": (reference_regions or {}).get(key, []),
                "scan": scan_row(row, study),
            }
        )
    return tasks


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


def _maps(roi_map: pd.DataFrame | None) -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = {}
    lacks = [] if roi_map is None else [name for name in ROI_MAP_COLUMNS if name not in roi_map]
    if lacks:
        raise ValueError(
            f"ROI_MAP_COLUMNS: roi_map.csv has no column {', '.join(lacks)}; "
            f"it needs {', '.join(ROI_MAP_COLUMNS)}"
        )
    for row in [] if roi_map is None else roi_map.to_dict("records"):
        found.setdefault(row["USUBJID"], {})[row["ROINAME"]] = row
    return found


def _heights(assigned: pd.DataFrame, above: float) -> dict[str, float]:
    """Return each subject's height in m from the first scan that states one, baseline first."""
    known = assigned[(assigned["HEIGHTM"] > 0) & assigned["USUBJID"].notna()]
    metres = known["HEIGHTM"].where(known["HEIGHTM"] <= above, known["HEIGHTM"] / 100)
    first = known.assign(HEIGHTM=metres, LATER=known["AVISIT"] != BASELINE)
    first = first.sort_values(["LATER", "SCANDT", "PATH"], kind="stable").drop_duplicates("USUBJID")
    return dict(zip(first["USUBJID"], first["HEIGHTM"]))
