"""The comparison of the two days again, on later data and on everybody: descriptive, it never re-decides."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.pilot.discrimination import discrimination_evidence
from analysis.survival.pilot.evidence import EVERYONE, FINAL, agreement_evidence, label_set
from analysis.survival.pilot.patients import common_landmark, follow_from, pair_visits, pilot_subjects


def repeats_pilot(evidence: pd.DataFrame) -> bool:
    """Tell whether the set EVERYONE repeats the set FINAL: nobody but pilot patients has both scans.

    Parameters
    ----------
    evidence : DataFrame
        Contract ``pilot_evidence``, with both sets.

    Returns
    -------
    bool
        True where all measures of discrimination are the same.
    """
    measured = evidence[evidence["ITEM"].isin(evidence.loc[evidence["SET"].eq(FINAL), "ITEM"])]
    first, second = (
        measured[measured["SET"].eq(name)].drop(columns="SET").reset_index(drop=True)
        for name in (FINAL, EVERYONE)
    )
    return len(first) > 0 and first.equals(second)


def reanalyse(
    admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Repeat the comparison with all follow-up, in the pilot and in everybody who has both scans.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response (all rules; the primary one is selected by the plan).
    adtte : DataFrame
        Time to event with all follow-up; the plan's primary endpoint is used.
    adsl : DataFrame
        Subjects: USUBJID, PILOTFL, TRTSDT.
    plan : Plan
        Sections design, primary, pilot and survival.
    rng : numpy.random.Generator
        For the paired bootstrap.

    Returns
    -------
    DataFrame
        Contract ``pilot_evidence``: set FINAL (discrimination only: the scans are those of the decision) and
        set EVERYONE (agreement and discrimination), each from the common landmark; the same numbers where
        nobody but pilot patients has both scans. Nothing in it decides.

    Raises
    ------
    ValueError
        If the study has no pilot patients.
    """
    endpoint = adtte[adtte["PARAMCD"].eq(plan.primary.endpoint)]
    zero = common_landmark(endpoint, adsl, plan)
    pilot, everyone = (
        pair_visits(admr, subjects, plan)[0] for subjects in (pilot_subjects(adsl), sorted(adsl["USUBJID"]))
    )
    final = discrimination_evidence(follow_from(pilot, endpoint, zero)[0], plan, rng)
    whole = final
    if len(everyone) > len(pilot):
        whole = discrimination_evidence(follow_from(everyone, endpoint, zero)[0], plan, rng)
    return pd.concat(
        [label_set([final], FINAL), label_set([agreement_evidence(everyone, plan), whole], EVERYONE)],
        ignore_index=True,
    )
