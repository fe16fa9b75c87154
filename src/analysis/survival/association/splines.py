"""Rows of the estimates table on the continuous score: tests of a spline, and its curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import Analysis, estimate_row, estimates_table
from analysis.survival.outcome import NotEstimable
from analysis.survival.spline import SplineFit, fit_spline

# How finely a curve is drawn: no analysis choice.
_POINTS = 61


def estimate_spline(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Relate the continuous score to the outcome by a spline: tests, and the curve against the cut.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`; rows without SCORE are not used.
    analysis : Analysis
        Its cut is the reference of the curve; where it has none, the plan's, or the median of the score.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    DataFrame
        Estimates rows ``cox_spline`` (ESTIMATE is the likelihood-ratio chi-square: of non-linearity, of any
        association) and, where they can be estimated, ``spline_curve`` (hazard ratio at CUT against the
        reference, Wald limits), within the range of the data. EXPLORATORY.
    """
    scores = pd.to_numeric(data["SCORE"], errors="coerce").astype(float)
    scored = data.assign(SCORE=scores)[np.isfinite(scores)]
    place = replace(
        analysis, contrast="along the score", reference="no association", cut=np.nan, post_hoc=False
    )
    try:
        fit = fit_spline(
            scored["time"],
            scored["event"],
            scored["SCORE"],
            quantiles=plan.survival.spline_knots,
            ties=plan.survival.ties_ml,
        )
        tests = fit.tests().to_dict("records")
    except NotEstimable as refusal:
        names = ("non-linearity", "any association")
        tests = [{"test": f"{name}; not estimable: {refusal}"} for name in names]
        fit = None
    left_out = len(data) - len(scored)
    remark = f"; {left_out} patients without a score are left out" if left_out else ""
    rows = [
        _row(scored, place, "cox_spline", _test_numbers(test), _test_label(test) + remark, plan)
        for test in tests
    ]
    if fit is not None:
        rows += _curve_rows(scored, place, fit, _reference_cut(scored["SCORE"], analysis, plan), plan)
    return estimates_table(rows)


def _reference_cut(score: pd.Series, analysis: Analysis, plan: Plan) -> float:
    """Return the cut whose hazard is 1: one that has a finite score."""
    candidates = [analysis.cut]
    candidates += [plan.primary.cut_percent] if analysis.scale == "change" else []
    candidates += [float(analysis.to_cut(score.median()))]
    with np.errstate(divide="ignore", invalid="ignore"):
        return next(cut for cut in candidates if np.isfinite(analysis.to_score(cut)))


def _curve_rows(scored, place: Analysis, fit: SplineFit, reference: float, plan: Plan) -> list[dict]:
    low, high = scored["SCORE"].min(), scored["SCORE"].max()
    at = float(place.to_score(reference))
    if place.scale == "change":
        step = plan.survival.sweep_percent[2]
        least, most = place.to_cut(high), place.to_cut(low)
        # Large rises would make a long table: every second, fourth ... step then.
        step *= 2 ** max(0, int(np.ceil(np.log2((most - least) / step / _POINTS))))
        cuts = step * np.arange(np.ceil(least / step - 1e-9), np.floor(most / step + 1e-9) + 1)
        grid = place.to_score(np.minimum(cuts, most))
    else:
        grid = np.linspace(low, high, _POINTS)
        cuts = place.to_cut(grid)
    unit = " %" if place.scale == "change" else ""
    text = f"hazard ratio against {reference:.4g}{unit}, restricted cubic spline"
    text += "" if low <= at <= high else ", a reference outside the data"
    place = replace(place, reference=f"{reference:.4g}{unit}")
    rows = []
    for cut, point in zip(
        cuts, fit.curve(grid, at, alpha=plan.primary.alpha).to_dict("records"), strict=True
    ):
        numbers = {"ESTIMATE": point["estimate"], "LOWER": point["lower"], "UPPER": point["upper"]}
        rows.append(_row(scored, replace(place, cut=float(cut) + 0.0), "spline_curve", numbers, text, plan))
    return rows


def _test_numbers(test: dict) -> dict:
    return {"ESTIMATE": test["chi2"], "P": test["p"]} if "chi2" in test else {}


def _test_label(test: dict) -> str:
    return f"{test['test']}, likelihood ratio, {test['df']} df" if "chi2" in test else test["test"]


def _row(scored, place: Analysis, method: str, numbers: dict, text: str, plan: Plan) -> dict:
    row = estimate_row(scored, place, method, lambda: numbers, "EXPLORATORY", text, groups=False)
    return {**row, "ESTIMATOR": "ML", "TIES": plan.survival.ties_ml}
