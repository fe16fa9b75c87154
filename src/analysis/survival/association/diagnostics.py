"""Does the main model hold: proportional hazards, residuals, and whom the estimate hangs on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.covariates import check_known, check_names, describe_effect, known_rows
from analysis.survival.association.estimates import (
    Analysis,
    cox_of,
    estimate_row,
    estimates_table,
    main_estimator,
)
from analysis.survival.cox_residuals import leave_one_out, martingale_residuals, schoenfeld_residuals
from analysis.survival.outcome import NotEstimable
from analysis.survival.ph_test import ph_test

GLOBAL = "GLOBAL"
DIAGNOSTICS = [
    *("STUDYID", "USUBJID", "ENDPOINT", "GROUP", "TIME", "EVENT"),
    *("SCHOENFELD", "MARTINGALE", "DEVIANCE", "HR_WITHOUT"),
]


def estimate_diagnostics(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Test proportional hazards, of the exposure alone and in the adjusted model, and leave each patient out.

    Parameters
    ----------
    data : DataFrame
        Analysis set with the columns of `baseline_covariates`.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary and survival: adjust, ph_transform, ties_ml and the switch to Firth.

    Returns
    -------
    DataFrame
        Estimates rows, DESCRIPTIVE: ``ph_test`` (ESTIMATE is chi-square; CONTRAST the term, or ``GLOBAL`` for
        all terms of the adjusted model together) and ``cox_influence`` (ESTIMATE the hazard ratio of the main
        estimator; LOWER and UPPER the smallest and the largest without one patient).

    Raises
    ------
    ValueError
        For a covariate in the plan that is not known, or data without it.
    """
    adjust = list(plan.survival.adjust)
    check_names(adjust)
    rows = _test_rows(data, analysis, plan, [])
    rows += _test_rows(data, analysis, plan, adjust) if adjust else []
    return estimates_table([*rows, _influence_row(data, analysis, plan)])


def tabulate_diagnostics(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Tabulate each patient's residuals, and the hazard ratio without her, as table ``diagnostics`` wants it.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_diagnostics`; no covariates are needed.

    Returns
    -------
    DataFrame
        STUDYID USUBJID ENDPOINT GROUP TIME (months) EVENT SCHOENFELD (scaled, plus the log hazard ratio;
        events only) MARTINGALE DEVIANCE (of the maximum-likelihood fit of the exposure alone) HR_WITHOUT
        (main estimator). What has no estimate, as under separation, is missing.
    """
    names = {"group": "GROUP", "time": "TIME", "event": "EVENT"}
    table = data.rename(columns=names).assign(ENDPOINT=analysis.endpoint).reset_index(drop=True)
    table = table.assign(SCHOENFELD=np.nan, MARTINGALE=np.nan, DEVIANCE=np.nan, HR_WITHOUT=np.nan)
    if table.empty:
        return table[DIAGNOSTICS]
    arrays = (data["time"], data["event"], data["exposed"].astype(float))
    ties = plan.survival.ties_ml
    # What cannot be estimated stays missing; the estimates table says why.
    with suppress(NotEstimable):
        residuals = martingale_residuals(*arrays, ties=ties)
        table["MARTINGALE"], table["DEVIANCE"] = residuals["martingale"], residuals["deviance"]
        events = schoenfeld_residuals(*arrays, ties=ties)
        table.loc[events["row"], "SCHOENFELD"] = events["scaled"].to_numpy()
    with suppress(NotEstimable):
        table["HR_WITHOUT"] = _without(data, analysis, plan)["estimate"].to_numpy()
    return table[DIAGNOSTICS]


def _test_rows(data: pd.DataFrame, analysis: Analysis, plan: Plan, covariates: list[str]) -> list[dict]:
    """Return a row a term, the exposure first; GLOBAL last where there is more than one."""
    rules, kept = plan.survival, data
    label = f"score test of proportional hazards, time scale {rules.ph_transform}"
    label += ", adjusted model" if covariates else ", exposure alone"
    terms = ["exposed", *covariates]
    try:
        check_known(data, covariates)
        kept, lost = known_rows(data, covariates)
        label += f"; {lost} without a covariate left out" if lost else ""
        options = {"transform": rules.ph_transform, "ties": rules.ties_ml}
        found = ph_test(kept["time"], kept["event"], kept[terms].astype(float), **options).set_index("term")
    except NotEstimable as refusal:
        terms, found, label = [GLOBAL], pd.DataFrame(), f"{label}; not estimable: {refusal}"
    rows = []
    for term in [*terms, GLOBAL] if covariates and len(found) else terms:
        own = analysis
        if term != "exposed":
            words = GLOBAL if term == GLOBAL else describe_effect(term)
            own = replace(analysis, contrast=words, reference=None)
        numbers = {"ESTIMATE": found.loc[term, "chi2"], "P": found.loc[term, "p"]} if len(found) else {}
        df = f"; {int(found.loc[term, 'df'])} df" if len(found) else ""
        row = estimate_row(kept, own, "ph_test", lambda n=numbers: n, "DESCRIPTIVE", label + df)
        rows.append({**row, "ESTIMATOR": "ML", "TIES": rules.ties_ml})
    return rows


def _influence_row(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> dict:
    estimator, without = main_estimator(data, analysis, plan), {}
    ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml

    def fit() -> dict:
        """Fit everybody, then everybody but one."""
        whole = cox_of(data, "exposed", estimator, ties, plan)()["ESTIMATE"]
        ratios = _without(data, analysis, plan)["estimate"]
        without["lost"] = int(ratios.isna().sum())
        # Where events are few, leaving anybody out may move the estimate the same way.
        return {"ESTIMATE": whole, "LOWER": min(whole, ratios.min()), "UPPER": max(whole, ratios.max())}

    label = "leave one patient out: limits are the smallest and the largest hazard ratio"
    row = estimate_row(data, analysis, "cox_influence", fit, "DESCRIPTIVE", label)
    if without.get("lost"):
        more = f"{label}; without any one of {without['lost']} patients it is not estimable"
        row["LABEL"] = analysis.label(more)
    return {**row, "ESTIMATOR": estimator, "TIES": ties}


def _without(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    firth = main_estimator(data, analysis, plan) == "FIRTH"
    options = {
        "penalty": "firth" if firth else None,
        "ties": plan.survival.ties_firth if firth else plan.survival.ties_ml,
    }
    table = leave_one_out(data["time"], data["event"], data["exposed"].astype(float), **options)
    return table.sort_values("left_out", ignore_index=True)
