"""Small tables by hand: rows of adpet, adbm and the outcomes of a subject."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.contracts import contract_of

COLUMNS = {name: list(contract_of(name).columns) for name in ("adpet", "adbm", "adsl")}


def make_adpet(rows):
    """Return adpet of (subject, visit, lesion, metric, value); lesion TOTAL is the whole patient."""
    table = pd.DataFrame(rows, columns=["USUBJID", "AVISIT", "LESIONID", "METRIC", "AVAL"])
    table["ROLE"] = np.where(table["LESIONID"].eq("TOTAL"), "TOTAL", "LESION")
    table["ORGAN"] = np.where(table["LESIONID"].eq("TOTAL"), None, "bone")
    table["EVALFL"], table["UNIT"] = "Y", "1"
    days = table["AVISIT"].map({"D0": -3, "D14": 14, "D28": 28, "PROG": 150}).astype(float)
    table["ADT"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")
    return table.assign(STUDYID="S").reindex(columns=COLUMNS["adpet"])


def make_plasma(rows):
    """Return adbm of (subject, visit, result, VAF, tumour fraction) with a limit of detection of 0.002."""
    lines = []
    for subject, visit, result, vaf, fraction in rows:
        own = {"USUBJID": subject, "SAMPLEID": f"{subject}-{visit}", "AVISIT": visit, "AVALC": result}
        lines.append(own | {"PARAMCD": "CTDNA", "AVAL": vaf})
        if fraction is not None:
            lines.append(own | {"PARAMCD": "TUMFRAC", "AVAL": fraction})
    place = {"STUDYID": "S", "SAMPTYPE": "PLASMA", "PARTYPE": "CTDNA", "LOD": 0.002}
    table = pd.DataFrame(lines).assign(**place).reindex(columns=COLUMNS["adbm"])
    return table.assign(ADT=pd.to_datetime(table["ADT"]))


def make_outcomes(nonresponse, **columns):
    """Return outcomes of the subjects that index the 0/1 values."""
    table = pd.DataFrame({"NONRESPONSE": pd.Series(nonresponse, dtype=float)}).rename_axis("USUBJID")
    table["PCTCHANGE"], table["PETDT"] = -10.0, pd.NaT
    return table.assign(**columns)
