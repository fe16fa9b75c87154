"""Two sensitivity analyses of the pilot, neither fair: own landmarks, and missing scans as non-response."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.concordance import resampled_concordance
from analysis.survival.pilot.evidence import SENSITIVITY, evidence_table, score_of
from analysis.survival.pilot.paired import (
    draw_counts,
    follow_same,
    follow_some,
    paired_items,
    resampled_gain,
)
from analysis.survival.pilot.patients import CLASSES, follow_from


def own_landmark_evidence(
    paired: pd.DataFrame, known: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Compare the days each from its own scan: a sensitivity analysis, as the later scan has the later start.

    Parameters
    ----------
    paired : DataFrame
        One row a patient with both scans: SCORE_<day>, PETDT_<day>.
    known : DataFrame
        The endpoint as known on the decision date.
    plan : Plan
        Sections design, primary and pilot.
    rng : numpy.random.Generator
        For the paired bootstrap of patients.

    Returns
    -------
    DataFrame
        Evidence rows concordance_own_landmark and gain_score_own_landmark, ROLE SENSITIVITY; missing
        numbers where the scans have no dates.
    """
    followed = {}
    for day in plan.design.followup_visits:
        # Without dates nobody has a landmark of their own, and nothing is estimated.
        dated = paired[paired[f"PETDT_{day}"].notna()].assign(place=lambda rows: rows.index)
        rows, _ = follow_from(dated, known, dated.set_index("USUBJID")[f"PETDT_{day}"])
        followed[day] = follow_some(rows, score_of(rows, day), rows["place"].to_numpy(dtype=int))
    counts = draw_counts(len(paired), plan.pilot.bootstrap, rng)
    kept = {"counts": counts, "plan": plan, "role": SENSITIVITY}
    return evidence_table(
        paired_items("concordance_own_landmark", resampled_concordance, followed, method="harrell", **kept)
        + paired_items(
            "gain_score_own_landmark", resampled_gain, followed, method="partial_likelihood", **kept
        )
    )


def missing_as_nonresponse_evidence(
    rows: dict[str, pd.DataFrame], known: pd.DataFrame, zero, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Count a missing or not evaluable scan as non-response: a sensitivity analysis, biased to the later day.

    A patient who progresses early misses the later scan more often than the earlier one: counted as
    non-response, the missing scan itself foretells the event.

    Parameters
    ----------
    rows : dict
        For each day one row a pilot patient with MRESP.
    known : DataFrame
        The endpoint as known on the decision date.
    zero : Series or number
        The common landmark.
    plan : Plan
        Sections design, primary and pilot.
    rng : numpy.random.Generator
        For the paired bootstrap of patients.

    Returns
    -------
    DataFrame
        Evidence rows concordance_class_missing_as_nonresponse and gain_class_missing_as_nonresponse, ROLE
        SENSITIVITY; to be read beside concordance_class and gain_class.
    """
    subjects = pd.DataFrame({"USUBJID": next(iter(rows.values()))["USUBJID"]})
    for day, table in rows.items():
        subjects[day] = np.where(table["MRESP"].eq(CLASSES[0]), 0.0, 1.0)
    compared, _ = follow_from(subjects, known, zero)
    classes = {day: follow_same(compared, compared[day].to_numpy()) for day in rows}
    counts = draw_counts(len(compared), plan.pilot.bootstrap, rng)
    kept = {"counts": counts, "plan": plan, "role": SENSITIVITY}
    name = "missing_as_nonresponse"
    return evidence_table(
        paired_items(f"concordance_class_{name}", resampled_concordance, classes, method="harrell", **kept)
        + paired_items(f"gain_class_{name}", resampled_gain, classes, method="partial_likelihood", **kept)
    )
