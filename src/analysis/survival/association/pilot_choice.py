"""The pilot chose the day and is analysed again: the corrected p, and what else bears on the choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
from analysis.survival.association.simulated import tabulate_bias, tabulate_power
from analysis.survival.log_rank import log_rank_scores
from analysis.survival.outcome import NotEstimable, select_response
from analysis.survival.two_stage import Stage, TwoStage, two_stage_test

if TYPE_CHECKING:
    from analysis.survival.association.study import AnalysisSets

TITLE = "two-stage test, corrected for the pilot's choice of the day"
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
        where non-responders do worse; the reported test), ``cox_pilot`` and ``cox_extension`` of each stage
        alone (DESCRIPTIVE, by Firth, without a p: their tests are parts of the two-stage test),
        ``cox_stages`` (the second over the first), and the rows of `tabulate_bias` and `tabulate_power`.
        Where the p is not corrected, one row ``two_stage`` without numbers that says why.
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
            _estimate_stages(sets.data[name], analysis, sets.cohort.adsl, plan),
            tabulate_bias(operating, analysis, plan),
            tabulate_power(operating, analysis, plan),
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
    shape = (len(subjects), len(followed))
    scores, exposed, at_risk = np.zeros(shape), np.empty(shape), np.zeros(shape, dtype=bool)
    for column, (day, table) in enumerate(followed.items()):
        own = table[table["USUBJID"].isin(subjects)]
        if len(own):
            found = pd.Series(log_rank_scores(own["time"], own["event"]), index=own["USUBJID"].to_numpy())
            scores[:, column] = found.reindex(subjects, fill_value=0.0)
            at_risk[:, column] = pd.Index(subjects).isin(found.index)
        exposed[:, column] = classes[day].reindex(subjects)
    return Stage(scores, exposed, at_risk)


def _two_stage_row(name: str, sets: AnalysisSets, plan: Plan, rng: np.random.Generator) -> dict:
    analysis, data = sets.analyses[name], sets.data[name]
    role = "SENSITIVITY" if plan.overrides else "SECONDARY"
    planned, days = plan.pilot.planned_events, plan.design.followup_visits
    weights = (planned["pilot"], planned["extension"])
    label = f"{TITLE}; {REPORTED}; pilot and extension weighed {weights[0]:g} to {weights[1]:g}"
    stages, chosen = build_stages(analysis, sets, plan), days.index(analysis.timepoint)
    try:
        found = two_stage_test(*stages, chosen, weights, plan.pilot.correction_permutations, rng)
    except NotEstimable as refusal:
        text = f"{label}; not estimable: {refusal}"
        return estimate_row(data, analysis, "two_stage", dict, role, text)
    numbers = {"ESTIMATE": found.z, "P": found.p}
    text = f"{label}; {_say_parts(found, chosen)}"
    return estimate_row(data, analysis, "two_stage", lambda: numbers, role, text)


def _say_parts(found: TwoStage, chosen: int) -> str:
    """Say the p of each part; `gate` takes these words off where the endpoint is not tested."""
    parts = {
        "pilot": found.p_pilot[chosen],
        "any day of the pilot": found.p_pilot_any,
        "extension": found.p_extension,
    }
    said = [f"{name} {'no information' if np.isnan(p) else f'{p:.2g}'}" for name, p in parts.items()]
    return f"one-sided p (non-responders worse): {', '.join(said)}"


def _estimate_stages(data: pd.DataFrame, analysis: Analysis, adsl: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio in pilot and extension apart, and their ratio: a description, no test."""
    inside, parts = data["USUBJID"].isin(_pilot(adsl)), []
    for name, own in (("pilot", data[inside]), ("extension", data[~inside])):
        say = {"role": "DESCRIPTIVE", "label": f"{name} patients only, descriptive", "main_only": True}
        found = estimate_hazard_ratio(own, analysis, plan, **say, subgroup=True)
        parts.append(found.assign(METHOD=f"cox_{name}", P=np.nan))
    pilot, extension = (part.iloc[0] for part in parts)
    label = "hazard ratio of the extension over that of the pilot, descriptive"
    row = estimate_row(
        data, analysis, "cox_stages", lambda: divide_ratios(extension, pilot), "DESCRIPTIVE", label
    )
    return stack([*parts, estimates_table([{**row, "ESTIMATOR": "FIRTH", "TIES": plan.survival.ties_firth}])])


def divide_ratios(one: Mapping[str, float], other: Mapping[str, float]) -> dict:
    """Divide two independent ratios, with limits recovered from those of each.

    Parameters
    ----------
    one, other : mapping
        ESTIMATE, LOWER, UPPER.

    Returns
    -------
    dict
        ESTIMATE, LOWER, UPPER of one / other.

    Raises
    ------
    NotEstimable
        If a number is missing.

    References
    ----------
    Zou and Donner, Stat Med 2008;27:1693-702.

    Examples
    --------
    >>> equal = {"ESTIMATE": 1.0, "LOWER": 0.5, "UPPER": 2.0}  # reach ln 2 sqrt(2)
    >>> [round(value, 4) for value in divide_ratios(equal, equal).values()]
    [1.0, 0.3752, 2.6651]
    """
    first, low, high = (np.log(float(one[name])) for name in ("ESTIMATE", "LOWER", "UPPER"))
    second, least, most = (np.log(float(other[name])) for name in ("ESTIMATE", "LOWER", "UPPER"))
    if not np.isfinite([first, low, high, second, least, most]).all():
        raise NotEstimable("pilot and extension do not both have a hazard ratio with limits")
    ratio = first - second
    lower, upper = np.hypot(first - low, most - second), np.hypot(high - first, second - least)
    return {
        "ESTIMATE": float(np.exp(ratio)),
        "LOWER": float(np.exp(ratio - lower)),
        "UPPER": float(np.exp(ratio + upper)),
    }


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
