"""Patients whose class changes between the two days, and the lesions that explain it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.pilot.patients import CLASSES

COLUMNS = ["USUBJID", "AVISIT", "MRESP", "LESIONID", "PCHG", "PCHG_OTHER", "CROSSED", "REPEAT"]
_NEW = "NEW"


def class_changes(
    paired: pd.DataFrame, lesions: pd.DataFrame, plan: Plan, *, repeatability_percent: float | None = None
) -> pd.DataFrame:
    """List, for each patient whose class differs between the days, the worst lesion of each day.

    Parameters
    ----------
    paired : DataFrame
        One row a patient with both scans: USUBJID, MRESP_<day>.
    lesions : DataFrame
        Changes from baseline by lesion: USUBJID AVISIT LESIONID METRIC PCHG (percent) LNRATIO; EVALFL and
        STATUS are used where they are there (contract ``adlesion``).
    plan : Plan
        Sections design, primary (metric, cut) and response (comparison_tolerance).
    repeatability_percent : float, optional
        Largest rise, percent, that test-retest error alone gives one lesion between two scans: the upper
        limit of `pet.repeatability.limits`. The difference of two follow-ups has the same limits as a
        change from baseline, as the baseline both share cancels.

    Returns
    -------
    DataFrame
        Two rows a patient: AVISIT and MRESP of the day, LESIONID of its worst lesion (the largest change
        among the FDG-evaluable; a new lesion comes before any other), PCHG of it, PCHG_OTHER (the same
        lesion on the other day), CROSSED (Y if that lesion alone lies on the other side of the cut there),
        REPEAT (WITHIN if its two follow-ups differ by no more than repeatability; FALL or RISE beyond, from
        the earlier day to the later). Missing where a lesion was not measured.
    """
    days = plan.design.followup_visits
    changed = paired[paired[f"MRESP_{days[0]}"].ne(paired[f"MRESP_{days[1]}"])]
    rows = lesions[lesions["METRIC"].eq(plan.primary.metric) & lesions["AVISIT"].isin(days)]
    if "EVALFL" in rows:
        rows = rows[rows["EVALFL"].ne("N")]
    rows = rows[rows["USUBJID"].isin(changed["USUBJID"])]
    found = [
        _explain(patient, rows[rows["USUBJID"].eq(patient["USUBJID"])], plan, repeatability_percent)
        for patient in changed.sort_values("USUBJID").to_dict("records")
    ]
    return pd.DataFrame([row for pair in found for row in pair], columns=COLUMNS)


def _explain(
    patient: dict, rows: pd.DataFrame, plan: Plan, repeatability_percent: float | None
) -> list[dict]:
    days, explained = plan.design.followup_visits, []
    limit = -plan.primary.cut_percent + plan.response.comparison_tolerance
    for day, other in (days, days[::-1]):
        worst = _worst(rows[rows["AVISIT"].eq(day)])
        same = rows[rows["AVISIT"].eq(other) & rows["LESIONID"].eq(worst["LESIONID"])]
        there = float(same["PCHG"].iloc[0]) if len(same) else np.nan
        here, known = worst["PCHG"], np.isfinite(worst["PCHG"]) and np.isfinite(there)
        change = {day: here, other: there}
        explained.append(
            {
                "USUBJID": patient["USUBJID"],
                "AVISIT": day,
                "MRESP": patient[f"MRESP_{day}"],
                "LESIONID": worst["LESIONID"],
                "PCHG": here,
                "PCHG_OTHER": there,
                "CROSSED": ("Y" if (here <= limit) != (there <= limit) else "N") if known else None,
                "REPEAT": _repeat(change[days[0]], change[days[1]], repeatability_percent) if known else None,
            }
        )
    return explained


def _worst(rows: pd.DataFrame) -> dict:
    """Return the lesion that rises most, or falls least; a confirmed new one comes first."""
    new = rows[rows["STATUS"].eq(_NEW)] if "STATUS" in rows else rows.iloc[:0]
    known = rows[rows["PCHG"].notna()].sort_values(["PCHG", "LESIONID"], ascending=[False, True])
    if len(new):
        return {"LESIONID": sorted(new["LESIONID"])[0], "PCHG": np.nan}
    if known.empty:
        return {"LESIONID": None, "PCHG": np.nan}
    return {"LESIONID": known["LESIONID"].iloc[0], "PCHG": float(known["PCHG"].iloc[0])}


def _repeat(earlier: float, later: float, repeatability_percent: float | None) -> str | None:
    """Hold the change from one follow-up to the other, on the log scale, against repeatability."""
    if repeatability_percent is None or min(earlier, later) <= -100:
        return None
    moved, reach = np.log1p(later / 100) - np.log1p(earlier / 100), np.log1p(repeatability_percent / 100)
    if abs(moved) <= reach:
        return "WITHIN"
    return "RISE" if moved > 0 else "FALL"


def count_explained(changes: pd.DataFrame) -> dict[str, int]:
    """Count the patients whose class changed, and how.

    Parameters
    ----------
    changes : DataFrame
        From `class_changes`.

    Returns
    -------
    dict
        patients; to_response (non-responders at the earlier day); same_lesion (one lesion is the worst at
        both days); crossed (the worst lesion of the day of non-response alone crosses the cut); within (and
        its two follow-ups differ by no more than repeatability).
    """
    resistant = changes[changes["MRESP"].eq(CLASSES[1])]
    first = changes.groupby("USUBJID", sort=False).nth(0)
    lesions = changes.groupby("USUBJID")["LESIONID"].nunique(dropna=False)
    crossed = resistant["CROSSED"].eq("Y")
    return {
        "patients": int(changes["USUBJID"].nunique()),
        "to_response": int(first["MRESP"].eq(CLASSES[1]).sum()),
        "same_lesion": int(lesions.eq(1).sum()),
        "crossed": int(crossed.sum()),
        "within": int((crossed & resistant["REPEAT"].eq("WITHIN")).sum()),
    }
