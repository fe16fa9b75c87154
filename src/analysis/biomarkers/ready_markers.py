"""Markers that came as columns of one table: levels before treatment, and changes known on a fixed day."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.association import estimate_associations
from analysis.biomarkers.files.subject_table import marker_matrix
from analysis.biomarkers.levels import estimate_levels
from analysis.biomarkers.outcomes import landmark_outcomes
from analysis.biomarkers.rows import Analysis, join_notes, nothing, stack_rows
from analysis.contracts import columns

_CALLED = ("CTDNA", "TUMFRAC")


def estimate_ready_levels(
    adbm: pd.DataFrame, outcomes: pd.DataFrame, *, rng: np.random.Generator, rules=None
) -> Analysis:
    """Relate the levels of a subject table (PARTYPE LEVEL) before treatment to every outcome.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    outcomes : DataFrame
        As `assemble_outcomes`; the clock of an endpoint starts at its own time zero.
    rng : numpy Generator
        Source of bootstrap samples and permutations.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    levels = marker_matrix(adbm, "LEVEL", rules.baseline_visit)
    if levels.empty:
        return nothing("the study has no table of levels, one row a subject")
    labels = dict(analysis="level", partype="LEVEL", samptype=None, avisit=rules.baseline_visit)
    return estimate_levels(levels, outcomes, rng=rng, rules=rules, **labels)


def estimate_ready_changes(
    adbm: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    landmark_days: float,
    rng: np.random.Generator,
    rules=None,
) -> Analysis:
    """Relate plasma markers other than presence, known after treatment began, to every outcome.

    Survival runs from a fixed day: these tables have no dates of the draws.

    Parameters
    ----------
    adbm, outcomes, rng, rules
        As in `estimate_ready_levels`.
    landmark_days : float
        Days from an endpoint's own time zero on which its clock starts.

    Returns
    -------
    Analysis
        Rows of analysis ``ctdna``; `table` holds rows of the exclusions ledger.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    mine = adbm[adbm["PARTYPE"].eq("CTDNA") & ~adbm["PARAMCD"].isin(_CALLED)]
    visits = [visit for visit in sorted(mine["AVISIT"].dropna().unique()) if visit != rules.baseline_visit]
    if not visits:
        return nothing("the study has no table of changes, one row a subject")
    later, left_out = landmark_outcomes(outcomes, days=landmark_days)
    clock = f"time zero: day {landmark_days:g} of the endpoint, the draws have no dates"
    note = join_notes(clock, "a family of one marker: q is p")
    tables, aside, reasons = [], [], []
    for visit in visits:
        markers = marker_matrix(mine, "CTDNA", visit)
        labels = dict(analysis="ctdna", partype="CTDNA", samptype="PLASMA", avisit=visit, tier="SINGLE")
        for name in markers:
            related = later.drop(columns="NONRESPONSE") if _is_response(markers[name], later) else later
            related.attrs = later.attrs
            found = estimate_associations(markers[[name]], related, rng=rng, rules=rules, note=note, **labels)
            tables.append(found.estimates)
            reasons.append(found.reason)
        known = markers.index[markers.notna().any(axis=1)]
        aside += [
            (
                "05",
                subject,
                visit,
                "subject",
                "BEFORE_LANDMARK",
                f"{endpoint}: ended on or before {clock[11:]}",
            )
            for endpoint, subjects in left_out.items()
            for subject in subjects
            if subject in known
        ]
    ledger = pd.DataFrame(aside, columns=columns("exclusions_05"), dtype=object)
    return Analysis(stack_rows(tables), ledger, join_notes(*reasons))


def is_plasma_response(adbm: pd.DataFrame, outcomes: pd.DataFrame) -> bool:
    """Tell whether the response in `outcomes` is a plasma marker of adbm under another name."""
    mine = adbm[adbm["PARTYPE"].eq("CTDNA") & ~adbm["PARAMCD"].isin(_CALLED)]
    return any(
        _is_response(markers[name], outcomes)
        for visit in mine["AVISIT"].dropna().unique()
        for markers in [marker_matrix(mine, "CTDNA", visit)]
        for name in markers
    )


def _is_response(marker: pd.Series, outcomes: pd.DataFrame) -> bool:
    """Tell whether a marker is the response itself: a study that sent the change of ctDNA as its response."""
    response = outcomes["NONRESPONSE"].reindex(marker.index)
    both = marker.notna() & response.notna()
    return bool(both.any() and (marker[both] == response[both]).all())
