"""One patient whose follow-up scans another reader drew, who gave the lesions names of her own."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def drawn_names(lesions: Iterable[str]) -> dict[str, list[str]]:
    """Return the names the lesions of a patient are drawn under where another reader numbered them anew.

    She counts from the other end, and draws the first lesion in two parts.

    >>> drawn_names(["L1", "L2"])
    {'L1': ['FU2a', 'FU2b'], 'L2': ['FU1']}
    """
    names = list(lesions)
    found = {name: [f"FU{len(names) - at}"] for at, name in enumerate(names)}
    for name in names[:1]:
        found[name] = [f"{found[name][0]}{part}" for part in "ab"]
    return found


def renamed_lesions(trial) -> pd.DataFrame:
    """List every region that is drawn under another name.

    Returns
    -------
    DataFrame
        USUBJID AVISIT ROINAME LESIONID RELATION ORGAN SCANDT.
    """
    scans = trial.scans[trial.scans["RENAMED"] == "Y"]
    rows = []
    for scan in scans.itertuples(index=False):
        seen = trial.uptake[
            (trial.uptake["USUBJID"] == scan.USUBJID) & (trial.uptake["AVISIT"] == scan.AVISIT)
        ]
        organs = dict(zip(seen["LESIONID"], seen["ORGAN"]))
        for lesion, names in drawn_names(organs).items():
            relation = "SPLIT" if len(names) > 1 else "SAME"
            rows += [
                (scan.USUBJID, scan.AVISIT, name, lesion, relation, organs[lesion], scan.SCANDT)
                for name in names
            ]
    columns = ["USUBJID", "AVISIT", "ROINAME", "LESIONID", "RELATION", "ORGAN", "SCANDT"]
    return pd.DataFrame(rows, columns=columns)
