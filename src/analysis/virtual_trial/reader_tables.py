"""Write the tables a person adds to raw data: a reader's word on regions and lesions, and whose a scan is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.virtual_trial.anatomy import body_scale, reference_places, table_shift
from analysis.virtual_trial.renaming import renamed_lesions
from analysis.virtual_trial.tables import write_csv

READER = "READER"
REGION_COLUMNS = ["USUBJID", "AVISIT", "REGION", "DECISION", "X", "Y", "Z", "READER", "DECIDEDDT", "COMMENT"]


def scan_folder(subject: str, visit: str) -> str:
    """Return the folder of a scan below the DICOM folder, from SUBJID and AVISIT."""
    return f"{subject}/{visit}"


def write_reference_regions(trial, folder: str | Path, settings) -> None:
    """Write ``reference_regions.csv``: the reader's word on the scans whose ROI files hold lesions alone.

    She accepts what the analysis will propose (no coordinates), and moves one liver to where the body has it.

    Parameters
    ----------
    trial : VirtualTrial
        Scans with LESIONSONLY = Y have a row for LIVER and one for AORTA; no such scan, no file.
    folder : path
        Raw folder of the study.
    settings : plan section
        Section ``virtual`` (`lesions_only`, `body_scale_spread`, `table_shift_mm`).
    """
    scans = trial.scans[trial.scans["LESIONSONLY"] == "Y"]
    if scans.empty:
        return
    both = pd.DataFrame({"REGION": ["LIVER", "AORTA"]})
    table = scans[["USUBJID", "AVISIT", "SCANDT"]].merge(both, how="cross")
    table = table.assign(DECISION="ACCEPT", X=np.nan, Y=np.nan, Z=np.nan, READER=READER, COMMENT=None)
    table["DECIDEDDT"] = table["SCANDT"] + pd.Timedelta(days=1)
    liver = (table["REGION"] == "LIVER") & (table["AVISIT"] == settings.lesions_only["MOVED"])
    for row in table.index[liver][:1]:
        scale = body_scale(table.loc[row, "USUBJID"], settings)
        shift = table_shift(table.loc[row, "USUBJID"], table.loc[row, "AVISIT"], settings)
        table.loc[row, ["X", "Y", "Z"]] = reference_places(scale)["liver"].round(1) + shift
        table.loc[row, ["DECISION", "COMMENT"]] = ["MOVE", "to the side of the right lobe"]
    write_csv(table[REGION_COLUMNS], Path(folder) / "reference_regions.csv")


def write_lesion_map(trial, folder: str | Path) -> None:
    """Write ``lesion_map.csv``: the reader's word on which lesion a region with another name is.

    Parameters
    ----------
    trial : VirtualTrial
        Scans with RENAMED = Y have a row for every region; no such scan, no file.
    folder : path
        Raw folder of the study.
    """
    table = renamed_lesions(trial)
    if table.empty:
        return
    table = table.assign(READER=READER, DECIDEDDT=table["SCANDT"] + pd.Timedelta(days=1))
    write_csv(table.drop(columns=["ORGAN", "SCANDT"]), Path(folder) / "lesion_map.csv")


def write_scan_map(trial, folder: str | Path) -> None:
    """Write ``scan_map.csv``: subject and visit of the scans that came with another identifier.

    Parameters
    ----------
    trial : VirtualTrial
        Scans whose PATIENTID is not their USUBJID have a row; no such scan, no file.
    folder : path
        Raw folder of the study.
    """
    scans = trial.scans[trial.scans["PATIENTID"] != trial.scans["USUBJID"]]
    if scans.empty:
        return
    table = scans[["USUBJID", "AVISIT"]].assign(USE="Y", COMMENT="came with the hospital's own identifier")
    table.insert(0, "PATH", [scan_folder(*scan) for scan in zip(scans["SUBJID"], scans["AVISIT"])])
    write_csv(table, Path(folder) / "scan_map.csv")
