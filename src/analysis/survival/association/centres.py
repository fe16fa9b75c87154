"""Centres: the groups compared within centres, and again without each centre in turn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.covariates import check_known, known_rows
from analysis.survival.association.estimates import (
    Analysis,
    cox_of,
    estimate_row,
    estimates_table,
    main_estimator,
)
from analysis.survival.cox import cox
from analysis.survival.log_rank import log_rank
from analysis.survival.outcome import NotEstimable


def estimate_stratified(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Compare the groups within centres: Cox stratified by centre, and the stratified log-rank.

    Parameters
    ----------
    data : DataFrame
        Analysis set with the plan's column of centres.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary and survival: centre, permutations.
    rng : numpy.random.Generator
        For the permutations within centres.

    Returns
    -------
    DataFrame
        Estimates rows ``cox_stratified`` (maximum likelihood: Firth has no strata), ``logrank_stratified``
        and ``logrank_stratified_permutation`` (ESTIMATE is chi-square; permuted within centres); SENSITIVITY.

    Raises
    ------
    ValueError
        For data without the column.
    """
    rules, centre = plan.survival, plan.survival.centre
    methods = ("cox_stratified", "logrank_stratified", "logrank_stratified_permutation")
    kept, lost = known_rows(data, [centre])

    def ratio() -> dict:
        """Fit it."""
        _check_centres(data, centre)
        x, options = kept["exposed"].astype(float), {"ties": rules.ties_ml, "alpha": plan.primary.alpha}
        found = cox(kept["time"], kept["event"], x, strata=kept[centre], **options).iloc[0]
        names = {"ESTIMATE": "estimate", "LOWER": "lower", "UPPER": "upper", "P": "p"}
        return {column: found[name] for column, name in names.items()}

    def test(method: str, **options) -> dict:
        """Run it."""
        _check_centres(data, centre)
        outcome = (kept["time"], kept["event"], kept["exposed"])
        found = log_rank(*outcome, strata=kept[centre], method=method, **options).iloc[0]
        return {"ESTIMATE": found["chi2"], "P": found["p"]}

    draws = {"permutations": rules.permutations, "rng": rng}
    fits = (ratio, lambda: test("asymptotic"), lambda: test("permutation", **draws))
    label = "stratified by centre" + _describe_centres(kept, centre)
    label += f"; {lost} of unknown centre left out" if lost else ""
    firth = main_estimator(kept, analysis, plan) == "FIRTH"
    lacking = "; maximum likelihood, as Firth has no strata" if firth else ""
    labels = (label + lacking, f"log-rank, {label}", f"log-rank, permutation within centres, {label}")
    rows = [
        estimate_row(kept, analysis, method, fit, "SENSITIVITY", text)
        for method, fit, text in zip(methods, fits, labels, strict=True)
    ]
    return estimates_table([{**rows[0], "ESTIMATOR": "ML", "TIES": rules.ties_ml}, *rows[1:]])


def estimate_without_centres(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio again without each centre in turn.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_stratified`.

    Returns
    -------
    DataFrame
        Estimates rows ``cox_leave_centre_out``, SENSITIVITY, one a centre, named in LABEL; each by Firth, as
        the patients left are a subgroup. One row that says why if the study has a single centre.
    """
    centre, method = plan.survival.centre, "cox_leave_centre_out"
    try:
        _check_centres(data, centre)
    except NotEstimable:
        label = "without each centre in turn"
        row = estimate_row(data, analysis, method, lambda: _check_centres(data, centre), "SENSITIVITY", label)
        return estimates_table([row])
    rows = []
    for name in sorted(data[centre].dropna().unique()):
        kept = data[data[centre].ne(name)]
        estimator = main_estimator(kept, analysis, plan, subgroup=True)
        ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml
        fit = cox_of(kept, "exposed", estimator, ties, plan)
        row = estimate_row(kept, analysis, method, fit, "SENSITIVITY", f"without centre {name}")
        rows.append({**row, "ESTIMATOR": estimator, "TIES": ties})
    return estimates_table(rows)


def _check_centres(data: pd.DataFrame, centre: str) -> None:
    check_known(data, [centre])
    if data[centre].nunique() < 2:
        raise NotEstimable("all patients are of one centre")


def _describe_centres(data: pd.DataFrame, centre: str) -> str:
    """Say how many centres tell anything: within a centre of one group there is nothing to compare."""
    if centre not in data or data.empty:
        return ""
    groups = data.groupby(centre)["exposed"].nunique()
    return f": {int(groups.eq(2).sum())} of {len(groups)} centres have both groups"
