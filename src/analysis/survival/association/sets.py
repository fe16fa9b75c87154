"""Metabolic response against PFS and OS: analysis sets, main analysis, sensitivity, proportions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import (
    EXPOSED,
    REFERENCE,
    Analysis,
    estimate_hazard_ratio,
    reported_test,
    stack,
)
from analysis.survival.landmark import LEDGER, landmark, ledger_rows, study_day_date
from analysis.survival.outcome import select_response, to_time_event
from analysis.survival.proportion import proportion_bounds

# Checks of assumptions and of data: no tests of the exposure.
_CHECKS = ("ph_test", "assessment_timing", "missing_pet")
_UNTESTED = "estimated only, not tested"
_PARTS = r"; one-sided p[^;]*"  # of the two stages, in a label


def main_analysis(admr: pd.DataFrame, plan: Plan, *, timepoint: str, endpoint: str | None = None) -> Analysis:
    """Describe the plan's main analysis of one endpoint at the chosen day.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response; gives the cut in force where a rule carries its own.
    plan : Plan
        Section primary.
    timepoint : str
        The day: ``decision["timepoint"]``, or the plan's fixed one.
    endpoint : str, optional
        The plan's primary endpoint by default.

    Returns
    -------
    Analysis
        To be passed to the functions of this module.
    """
    primary = plan.primary
    rows = select_response(
        admr, timepoint=timepoint, metric=primary.metric, rule=primary.response_rule, cut=primary.cut_percent
    )
    cut = float(rows["CUT"].iloc[0])
    return Analysis(
        endpoint or primary.endpoint,
        primary.population,
        primary.landmark,
        timepoint,
        primary.metric,
        primary.response_rule,
        cut,
        post_hoc=is_post_hoc(cut, plan),
    )


def analysis_set(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join class and outcome, move time zero to the landmark, list who is left out.

    Parameters
    ----------
    analysis : Analysis
        From `main_analysis`.
    admr, adtte, adsl : DataFrame
        Response, time to event (any endpoints), subjects (TRTSDT for a fixed landmark).
    plan : Plan
        Sections design and survival.

    Returns
    -------
    data : DataFrame
        One row a patient: STUDYID, USUBJID, LANDMARKDT, time (months from the landmark), event, group
        (class), exposed (True for a non-responder), SCORE, STARTDELAY (months from the endpoint's own time
        zero to the landmark).
    excluded : DataFrame
        Ledger: NOT_EVALUABLE (class NE or no scan), NO_SCAN_PLANNED (a subject with the endpoint for whom
        this day's scan was not planned), NO_ENDPOINT, and the landmark's codes.
    """
    response = select_response(
        admr, timepoint=analysis.timepoint, metric=analysis.metric, rule=analysis.rule, cut=analysis.cut
    )
    outcome = adtte[adtte["PARAMCD"].eq(analysis.endpoint)]
    unplanned = outcome[~outcome["USUBJID"].isin(response["USUBJID"])]
    ledger = [ledger_rows(unplanned, "NO_SCAN_PLANNED", analysis.timepoint, None)]
    classed = response["MRESP"].isin([EXPOSED, REFERENCE])
    ledger.append(ledger_rows(response[~classed], "NOT_EVALUABLE", analysis.timepoint, "NEREAS"))
    response = response[classed]
    without = ~response["USUBJID"].isin(outcome["USUBJID"])
    ledger.append(ledger_rows(response[without], "NO_ENDPOINT", analysis.timepoint, None))
    outcome = outcome[outcome["USUBJID"].isin(response["USUBJID"])]
    kept, too_early = _from_landmark(analysis, outcome, response, adsl, plan)
    ledger.append(too_early.assign(AVISIT=analysis.timepoint))
    data = to_time_event(kept).merge(
        response[["USUBJID", "MRESP", "SCORE"]], on="USUBJID", how="inner", validate="one_to_one"
    )
    whole = data["USUBJID"].map(outcome.set_index("USUBJID")["AVAL"])
    data = data.assign(
        STARTDELAY=(whole - data["time"]) / plan.design.days_per_month,
        time=data["time"] / plan.design.days_per_month,
        group=data["MRESP"],
        exposed=data["MRESP"].eq(EXPOSED),
    )
    columns = ["STUDYID", "USUBJID", "LANDMARKDT", "time", "event", "group", "exposed", "SCORE", "STARTDELAY"]
    return data[columns].sort_values("USUBJID", ignore_index=True), pd.concat(ledger, ignore_index=True)


def estimate_grid(
    analysis: Analysis, admr: pd.DataFrame, adtte: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Estimate the hazard ratio for every other metric, rule, cut and day of the response table.

    Parameters
    ----------
    analysis : Analysis
        The main analysis, which is not repeated.
    admr, adtte, adsl, plan
        As in `analysis_set`.

    Returns
    -------
    DataFrame
        One estimates row ``cox`` a cell, SENSITIVITY; a post hoc cut says so in LABEL.
    """
    keys = ["AVISIT", "METRIC", "RULE", "CUT"]
    cells = admr.loc[admr["MRESP"].isin([EXPOSED, REFERENCE]), keys].drop_duplicates().sort_values(keys)
    cells = cells[cells["AVISIT"].isin(plan.design.followup_visits)]
    parts = []
    for visit, metric, rule, cut in cells.itertuples(index=False):
        cell = replace(analysis, timepoint=visit, metric=metric, rule=rule, cut=float(cut))
        cell = replace(cell, post_hoc=is_post_hoc(cell.cut, plan))
        if replace(cell, post_hoc=analysis.post_hoc) != analysis:
            data, _ = analysis_set(cell, admr, adtte, adsl, plan)
            parts.append(
                estimate_hazard_ratio(
                    data, cell, plan, role="SENSITIVITY", label="other rule, cut or day", main_only=True
                )
            )
    return stack(parts)


def gate(estimates: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Test endpoints in the plan's order: after one that is not significant, the next are estimated only.

    Parameters
    ----------
    estimates : DataFrame
        Rows of all endpoints, each with its main hazard ratio first; the p that counts is `reported_test`'s.
    plan : Plan
        Section primary: endpoints in order, alpha.

    Returns
    -------
    DataFrame
        A copy with P missing and LABEL completed where an endpoint is not tested (of ``cox_prior`` too).
    """
    table, open_, closed_by = estimates.copy(), True, ""
    for endpoint in plan.primary.endpoints:
        own = table["ENDPOINT"].eq(endpoint)
        # PFSALL and the like are the endpoint under one flipped rule: they are not tested either.
        rows = table["ENDPOINT"].str.startswith(endpoint)
        if not own.any():
            continue
        if not open_:
            tests = rows & table["P"].notna() & ~table["METHOD"].isin(_CHECKS)
            # A posterior has no p, but its probability would be read as one.
            said = table["LABEL"].str.contains(f"not estimable|{_UNTESTED}")
            tests |= rows & table["METHOD"].eq("cox_prior") & ~said
            table.loc[tests, "P"] = np.nan
            table.loc[tests, "LABEL"] = table.loc[tests, "LABEL"].str.replace(_PARTS, "", regex=True)
            table.loc[tests, "LABEL"] += f"; {_UNTESTED}: {closed_by} is not significant"
            continue
        p = reported_test(table[own])["P"]
        if not p <= plan.primary.alpha:
            open_, closed_by = False, endpoint
    return table


def estimate_censoring_sensitivity(
    analysis: Analysis, admr: pd.DataFrame, adtte_sensitivity: pd.DataFrame, adsl: pd.DataFrame, plan: Plan
) -> pd.DataFrame:
    """Estimate the hazard ratio under each alternative rule of censoring.

    Parameters
    ----------
    analysis : Analysis
        The main analysis.
    admr : DataFrame
        As in `analysis_set`.
    adtte_sensitivity : DataFrame
        As adtte, one PARAMCD a rule.
    adsl, plan
        As in `analysis_set`.

    Returns
    -------
    DataFrame
        One estimates row ``cox`` a PARAMCD, in ENDPOINT; SENSITIVITY.
    """
    parts = []
    named = adtte_sensitivity.drop_duplicates("PARAMCD").sort_values("PARAMCD")
    for endpoint, words in zip(named["PARAMCD"], named["PARAM"], strict=True):
        other = replace(analysis, endpoint=endpoint)
        data, _ = analysis_set(other, admr, adtte_sensitivity, adsl, plan)
        say = {"role": "SENSITIVITY", "label": f"other censoring rule; {words}", "main_only": True}
        parts.append(estimate_hazard_ratio(data, other, plan, **say))
    return stack(parts)


def estimate_response_proportion(admr: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Estimate the proportion of non-responders per day, metric, rule and cut, and its bounds.

    Parameters
    ----------
    admr : DataFrame
        Metabolic response, NE rows included.
    plan : Plan
        Sections design and primary.

    Returns
    -------
    DataFrame
        TIMEPOINT, METRIC, RULE, CUT, METHOD (clopper_pearson, wilson), CASE (observed; lowest and highest:
        every patient not evaluable is a responder, or a non-responder), ESTIMATE, LOWER, UPPER,
        N_NONRESPONDER, N, N_MISSING, LABEL.
    """
    tables = []
    rows = admr[admr["AVISIT"].isin(plan.design.followup_visits)]
    for (visit, metric, rule, cut), cell in rows.groupby(["AVISIT", "METRIC", "RULE", "CUT"], sort=True):
        known = cell["MRESP"].isin([EXPOSED, REFERENCE])
        found = proportion_bounds(
            int(cell["MRESP"].eq(EXPOSED).sum()),
            int(known.sum()),
            int((~known).sum()),
            alpha=plan.primary.alpha,
        )
        found = found.rename(columns=str.upper).rename(columns={"SUCCESSES": "N_NONRESPONDER"})
        label = "post hoc cut" if is_post_hoc(cut, plan) else None
        place = {"TIMEPOINT": visit, "METRIC": metric, "RULE": rule, "CUT": cut}
        tables.append(found.assign(**place, N_MISSING=int((~known).sum()), LABEL=label))
    columns = ["TIMEPOINT", "METRIC", "RULE", "CUT", "METHOD", "CASE", "ESTIMATE", "LOWER", "UPPER"]
    columns += ["N_NONRESPONDER", "N", "N_MISSING", "LABEL"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _from_landmark(
    analysis: Analysis, outcome, response, adsl, plan: Plan
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if analysis.landmark == "none":
        return outcome.assign(LANDMARKDT=outcome["STARTDT"]), pd.DataFrame(columns=LEDGER)
    if analysis.landmark == "scan":
        return landmark(outcome, response.set_index("USUBJID")["PETDT"])
    day = plan.survival.fixed_landmark_day
    if outcome["ADT"].isna().all():
        return landmark(outcome, day)
    return landmark(outcome, study_day_date(adsl.set_index("USUBJID")["TRTSDT"], day))


def is_post_hoc(cut: float, plan: Plan) -> bool:
    """Tell whether a cut was chosen after seeing outcomes, by the plan."""
    return any(np.isclose(cut, chosen) for chosen in plan.primary.cut_post_hoc)
