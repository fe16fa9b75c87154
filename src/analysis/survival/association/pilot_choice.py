"""The pilot chose the day and is analysed again: the corrected p, and what else bears on the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.plan import Plan
from analysis.survival.association.estimates import (
    EXPOSED,
    NOT_CORRECTED,
    REFERENCE,
    REPORTED,
    Analysis,
    estimate_hazard_ratio,
    estimate_row,
    estimates_table,
    stack,
)
from analysis.survival.association.sets import analysis_set
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.outcome import NotEstimable, select_response
from analysis.survival.two_stage import Stage, TwoStage, two_stage_test

if TYPE_CHECKING:
    from analysis.survival.association.study import AnalysisSets

TITLE = "two-stage test of pilot and extension, corrected for the pilot's choice of the day"
_NOT_NEEDED, _NOT_MADE = "not needed", "not made"


def why_uncorrected(plan: Plan, decision: Mapping[str, Any] | None, adsl: pd.DataFrame) -> str | None:
    """Say why the p is not corrected for the pilot's choice of the day; None where it is.

    Parameters
    ----------
    plan : Plan
        Sections primary and pilot.
    decision : mapping or None
        ``decision.json``.
    adsl : DataFrame
        Subjects with PILOTFL.

    Returns
    -------
    str or None
        Begins with "not needed" (nobody's outcome chose the day) or "not made" (the p should be corrected).
    """
    if plan.primary.exposure != "response":
        return f"{_NOT_NEEDED}: the exposure is the baseline scan"
    if plan.primary.timepoint != "pilot":
        return f"{_NOT_NEEDED}: the plan fixes the day, no outcome chose it"
    if decision is not None and decision["fallback"]:
        return f"{_NOT_NEEDED}: the day was chosen by the fallback, which does not read who had which outcome"
    if plan.pilot.correction == "none":
        return f"{_NOT_MADE}: the plan asks for none"
    if decision is None:
        return f"{_NOT_MADE}: the pilot's decision is not at hand (notebook 03 writes it)"
    if not _pilot(adsl):
        return f"{_NOT_MADE}: no subject is known to be of the pilot (PILOTFL)"
    return None


def note_of(reason: str | None) -> str:
    """Return what the labels of uncorrected log-ranks add: nothing where no correction is needed."""
    return "" if reason is not None and reason.startswith(_NOT_NEEDED) else NOT_CORRECTED


def estimate_pilot_choice(
    sets: AnalysisSets,
    plan: Plan,
    decision: Mapping[str, Any] | None,
    rng: np.random.Generator,
    operating: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Test each endpoint corrected for the pilot's choice of the day, and show what the choice may have done.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`, at the chosen day.
    plan : Plan
        Sections design, primary, pilot and survival.
    decision : mapping or None
        ``decision.json``.
    rng : numpy.random.Generator
        For the permutations.
    operating : DataFrame, optional
        Table ``operating_characteristics``; its first SIZE is the design as planned.

    Returns
    -------
    DataFrame
        For each endpoint the row ``two_stage`` (P is the corrected p, ESTIMATE its normal deviate, positive
        where non-responders do worse; the reported test), ``cox_extension`` of the extension patients alone
        (DESCRIPTIVE, by Firth, without a p: their test is a part of the two-stage test), and
        ``selection_bias`` (DESCRIPTIVE; the factor by which the pooled hazard ratio is off in virtual trials,
        with Monte Carlo limits), a row a truth. Where the p is not corrected, one row ``two_stage`` without
        numbers that says why.
    """
    reason = why_uncorrected(plan, decision, sets.cohort.adsl)
    if reason is not None:
        name = plan.primary.endpoint
        label = f"{TITLE}; {reason}"
        row = estimate_row(sets.data[name], sets.analyses[name], "two_stage", dict, "DESCRIPTIVE", label)
        return estimates_table([row])
    parts = []
    for name, analysis in sets.analyses.items():
        parts += [
            estimates_table([_two_stage_row(name, sets, plan, rng)]),
            _estimate_extension(sets.data[name], analysis, sets.cohort.adsl, plan),
            _tabulate_bias(operating, analysis, plan),
        ]
    return stack(parts)


def build_stages(analysis: Analysis, sets: AnalysisSets, plan: Plan) -> tuple[Stage, Stage]:
    """Build pilot and extension for the two-stage test of one endpoint.

    Parameters
    ----------
    analysis : Analysis
        The main analysis at the chosen day; its other choices hold for both days.
    sets, plan
        As in `estimate_pilot_choice`.

    Returns
    -------
    pilot : Stage
        Pilot patients at risk from the landmark of one day at least.
    extension : Stage
        The other patients of the main analysis: at risk from the chosen day's landmark.
    """
    cohort, pilot = sets.cohort, _pilot(sets.cohort.adsl)
    followed, classes = {}, {}
    for day in plan.design.followup_visits:
        other = replace(analysis, timepoint=day)
        seen = _has_rows(cohort.admr, other)
        table = analysis_set(other, cohort.admr, cohort.adtte, cohort.adsl, plan)[0] if seen else None
        followed[day] = pd.DataFrame({"USUBJID": []}) if table is None else table
        classes[day] = _exposure(cohort.admr, other) if seen else pd.Series(dtype=float)
    everybody = sorted(set().union(*(table["USUBJID"] for table in followed.values())))
    later = [subject for subject in followed[analysis.timepoint]["USUBJID"] if subject not in pilot]
    first = [subject for subject in everybody if subject in pilot]
    return _stage(first, followed, classes), _stage(sorted(later), followed, classes)


def _stage(subjects: list[str], followed: dict[str, pd.DataFrame], classes: dict[str, pd.Series]) -> Stage:
    scores, exposed = np.zeros((len(subjects), len(followed))), np.empty((len(subjects), len(followed)))
    for column, (day, table) in enumerate(followed.items()):
        own = table[table["USUBJID"].isin(subjects)]
        if len(own):
            found = pd.Series(log_rank_scores(own["time"], own["event"]), index=own["USUBJID"].to_numpy())
            scores[:, column] = found.reindex(subjects, fill_value=0.0)
        exposed[:, column] = classes[day].reindex(subjects)
    return Stage(scores, exposed)


def _two_stage_row(name: str, sets: AnalysisSets, plan: Plan, rng: np.random.Generator) -> dict:
    analysis, data = sets.analyses[name], sets.data[name]
    role = "SENSITIVITY" if plan.overrides else "SECONDARY"
    planned, days = plan.pilot.planned_events, plan.design.followup_visits
    weights = (planned["pilot"], planned["extension"])
    inside = data["USUBJID"].isin(_pilot(sets.cohort.adsl))
    label = (
        f"{TITLE}; {REPORTED}; events / patients {_size(data[inside])} in the pilot, "
        f"{_size(data[~inside])} in the extension, weighed {weights[0]:g} to {weights[1]:g} by planned events"
    )
    stages, chosen = build_stages(analysis, sets, plan), days.index(analysis.timepoint)
    try:
        found = two_stage_test(*stages, chosen, weights, plan.survival.permutations, rng)
    except NotEstimable as refusal:
        text = f"{label}; not estimable: {refusal}"
        return estimate_row(data, analysis, "two_stage", dict, role, text)
    numbers = {"ESTIMATE": found.z, "P": found.p}
    text = f"{label}; {_say_parts(found, chosen, analysis.timepoint)}"
    return estimate_row(data, analysis, "two_stage", lambda: numbers, role, text)


def _say_parts(found: TwoStage, chosen: int, day: str) -> str:
    """Say the p of each part; `gate` takes these words off where the endpoint is not tested."""
    parts = {
        f"pilot at {day}": found.p_pilot[chosen],
        "pilot at any day": found.p_pilot_any,
        f"extension at {day}": found.p_extension,
    }
    said = [f"{name} {'no information' if np.isnan(p) else f'{p:.2g}'}" for name, p in parts.items()]
    return f"one-sided p (non-responders worse): {', '.join(said)}"


def _estimate_extension(data: pd.DataFrame, analysis: Analysis, adsl: pd.DataFrame, plan: Plan):
    own = data[~data["USUBJID"].isin(_pilot(adsl))]
    say = {"role": "DESCRIPTIVE", "label": "extension patients only, descriptive", "main_only": True}
    return estimate_hazard_ratio(own, analysis, plan, **say, subgroup=True).assign(
        METHOD="cox_extension", P=np.nan
    )


def _tabulate_bias(operating: pd.DataFrame | None, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    if operating is None or operating.empty:
        return stack([])
    asked = operating["QUANTITY"].eq("bias") & operating["METHOD"].eq("chosen")
    asked &= operating["ENDPOINT"].eq(analysis.endpoint)
    rows = operating[asked & operating["SIZE"].eq(operating["SIZE"].iloc[0])]
    reach, found = norm.isf(plan.primary.alpha / 2), []
    for row in rows.itertuples():
        limits = [row.ESTIMATE, row.ESTIMATE - reach * row.SE, row.ESTIMATE + reach * row.SE]
        label = (
            "simulated bias of the hazard ratio of all patients at the day the pilot chose, as a factor; "
            f"truth: {row.TRUTH}; size: {row.SIZE}, {row.TRIALS:.0f} virtual trials"
        )
        numbers = dict(zip(("ESTIMATE", "LOWER", "UPPER"), np.exp(limits), strict=True))
        place = {**analysis.columns(), "METHOD": "selection_bias", "ROLE": "DESCRIPTIVE"}
        found.append({**place, **numbers, "LABEL": analysis.label(label)})
    return estimates_table(found)


def _pilot(adsl: pd.DataFrame) -> set[str]:
    return set(adsl.loc[adsl["PILOTFL"].eq("Y"), "USUBJID"]) if "PILOTFL" in adsl else set()


def _has_rows(admr: pd.DataFrame, analysis: Analysis) -> bool:
    rows = admr["METRIC"].eq(analysis.metric) & admr["RULE"].eq(analysis.rule)
    return bool((rows & admr["AVISIT"].eq(analysis.timepoint)).any())


def _exposure(admr: pd.DataFrame, analysis: Analysis) -> pd.Series:
    """Return 1 for a non-responder, 0 for a responder, by subject; who has no class is not there."""
    rows = select_response(
        admr, timepoint=analysis.timepoint, metric=analysis.metric, rule=analysis.rule, cut=analysis.cut
    )
    classed = rows[rows["MRESP"].isin([EXPOSED, REFERENCE])]
    return classed.set_index("USUBJID")["MRESP"].eq(EXPOSED).astype(float)


def _size(data: pd.DataFrame) -> str:
    return f"{int(data['event'].sum())} / {len(data)}"
