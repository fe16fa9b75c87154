"""Estimates rows of discrimination (C, AUC, Brier, optimism-corrected) and of predictive values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import Analysis, estimate_row, estimates_table
from analysis.survival.optimism import Optimism, Resampled
from analysis.survival.outcome import NotEstimable
from analysis.survival.predictive_values import predictive_values

APPARENT, CORRECTED, NULL = "APPARENT", "CORRECTED", "NULL"
_SCORE, _ABOVE = "score, larger is worse", "above the selected cut"
_DAYS_PER_WEEK = 7
_INTERVALS = {
    "kaplan_meier_log_log": ("KM", "Kaplan-Meier, log-log interval"),
    "kaplan_meier_delta": ("KM", "Kaplan-Meier and Bayes' rule, delta-method interval on the logit"),
    "clopper_pearson": ("PROPORTION", "nobody censored before the horizon, Clopper-Pearson interval"),
    "wilson": ("PROPORTION", "nobody censored before the horizon, Wilson interval"),
}
_READS = {
    "ppv": "share of the positive with the event",
    "npv": "share of the negative without the event",
    "sensitivity": "share positive of those with the event",
    "specificity": "share negative of those without the event",
}


def estimate_discrimination(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Estimate how well the score, the class and a searched cut order the patients, each freed of optimism.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`: time (months), event, exposed, SCORE (larger is worse); rows without a score are
        not used.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary and survival: auc_months, optimism_bootstrap (0 for apparent values only),
        maxstat_range, ties_ml.
    rng : numpy.random.Generator
        For the resamples; one set serves every measure.

    Returns
    -------
    DataFrame
        Estimates rows ``concordance`` (Harrell; of the score, of the class, of the selected cut), ``uno_c``,
        ``auc_<t>m`` and ``brier_<t>m``, DESCRIPTIVE. ESTIMATOR is APPARENT, CORRECTED (its limits are the
        apparent ones moved by the optimism) or, of the Brier score, NULL (Kaplan-Meier without the score).
        The Brier score is that of a Cox model of the score. A searched cut has no limits: those of a C take
        the groups as given.

    Notes
    -----
    A Cox model of one covariate ranks patients by that covariate or against it, so its C is the C of the
    score up to direction, and the direction is all the optimism there can be; the plan fixes it, and C below
    0.5 is shown as it is. The cut search has far more to be optimistic about.

    References
    ----------
    Harrell, Lee and Mark, Stat Med 1996;15:361-87. Noma et al., Stat Med 2021;40:5691-701 (moved limits).
    """
    rules = plan.survival
    scored = data.assign(SCORE=data["SCORE"].astype(float), exposed=data["exposed"].astype(float))
    scored = scored[np.isfinite(scored["SCORE"])]
    of_score = replace(analysis, contrast=_SCORE, reference=None)
    of_cut = replace(analysis, contrast=_ABOVE, reference="at or below it")
    counts = _draw(len(scored), rules.optimism_bootstrap, rng)

    @cache
    def of(name: str) -> Resampled:
        """Return the resamples of a column; its Cox model is fitted once."""
        arrays = (scored["time"], scored["event"], scored[name], counts)
        return Resampled.of(*arrays, ties=rules.ties_ml, alpha=plan.primary.alpha)

    def rows(where: Analysis, method: str, text: str, fit: Callable[[], tuple]) -> list[dict]:
        """Make the rows of one measure."""
        return _rows(scored, where, method, text, fit, corrected=rules.optimism_bootstrap > 0)

    found = rows(of_score, "concordance", "Harrell C of the score", lambda: (of("SCORE").harrell(), None))
    text = f"Harrell C of the class, {analysis.contrast} is worse"
    found += rows(analysis, "concordance", text, lambda: (of("exposed").harrell(), None))
    text = "Harrell C of the groups at the cut of the maximally selected log-rank"
    found += rows(of_cut, "concordance", text, lambda: of("SCORE").selected_cut(*rules.maxstat_range))
    found += rows(of_score, "uno_c", "Uno C of the score", lambda: (of("SCORE").uno(), None))
    for t in rules.auc_months:
        text = f"AUC of the score at {t:g} months"
        found += rows(of_score, f"auc_{t:g}m", text, lambda t=t: (of("SCORE").auc(t), None))
    for t in rules.auc_months:
        text = f"Brier score at {t:g} months of a Cox model of the score"
        found += rows(of_score, f"brier_{t:g}m", text, lambda t=t: of("SCORE").brier(t))
    return estimates_table(found)


def estimate_predictive_values(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate what the class at the landmark says about the event by each of the plan's horizons.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`, with STARTDELAY (months from the endpoint's own time zero to the landmark).
    analysis : Analysis
        Identifies the rows; its contrast is the positive class.
    plan : Plan
        Sections design, primary and survival: horizons_weeks, from the endpoint's time zero.

    Returns
    -------
    DataFrame
        Estimates rows ``ppv_<w>w``, ``npv_<w>w``, ``sensitivity_<w>w``, ``specificity_<w>w``, DESCRIPTIVE;
        LABEL names the positive class and the interval. A plain proportion has two rows, one an interval.

    Raises
    ------
    ValueError
        If STARTDELAY is not there.
    """
    if "STARTDELAY" not in data:
        raise ValueError("predictive values need STARTDELAY, months from the endpoint's zero to the landmark")
    rows = []
    for weeks in plan.survival.horizons_weeks:
        horizon = weeks * _DAYS_PER_WEEK / plan.design.days_per_month
        try:
            found = predictive_values(
                data["time"],
                data["event"],
                data["exposed"],
                horizon,
                entry=data["STARTDELAY"],
                alpha=plan.primary.alpha,
            ).to_dict("records")
        except NotEstimable as refusal:
            found = [{"quantity": name, "method": None, "note": str(refusal)} for name in _READS]
        rows += [_predictive_row(data, analysis, plan, row, weeks) for row in found]
    return estimates_table(rows)


def _draw(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw patients with replacement: how often each of n is in each resample."""
    if n == 0:
        return np.zeros((resamples, 0), dtype=int)
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples)


def _rows(
    data: pd.DataFrame,
    analysis: Analysis,
    method: str,
    text: str,
    fit: Callable[[], tuple[Optimism, float | None]],
    *,
    corrected: bool,
) -> list[dict]:
    """Make the apparent row of a measure, the corrected one and, of the Brier score, the null one."""
    kinds = [APPARENT, CORRECTED] if corrected else [APPARENT]
    # Two groups are behind the class only.
    groups = analysis.contrast not in (_SCORE, _ABOVE)

    def row(kind: str, numbers: dict, label: str) -> dict:
        """Make one row."""
        made = estimate_row(data, analysis, method, lambda: numbers, "DESCRIPTIVE", label, groups)
        return {**made, "ESTIMATOR": kind}

    try:
        found, extra = fit()
    except NotEstimable as refusal:
        return [row(kind, {}, f"{text}; not estimable: {refusal}") for kind in kinds]
    words, again = text, "direction fitted anew in each"
    if method.startswith("brier"):
        again = "model fitted anew in each"
        words += f"; scaled {1 - found.apparent / extra:.3f} (1 - Brier / Brier without the score)"
    elif extra is not None:
        again = "cut and direction searched anew in each"
        text = words = f"{text} (score above {extra:.3g}); no interval, the cut was searched"
    elif np.isnan(found.lower):
        words += "; no interval: no error is left to estimate"
    rows = [row(APPARENT, _moved(found, 0.0), words)]
    if corrected and found.resamples:
        # A gain that rounds to zero is zero, not -0.000.
        gain = round(found.gain, 3) + 0.0
        label = f"{text}; optimism {gain:.3f} over {found.resamples} resamples, {again}"
        rows.append(row(CORRECTED, _moved(found, found.corrected - found.apparent), label))
    elif corrected:
        rows.append(row(CORRECTED, {}, f"{text}; not estimable: no resample has this measure"))
    if method.startswith("brier"):
        without = "Brier score of Kaplan-Meier, without the score"
        rows.append(row(NULL, {"ESTIMATE": extra}, without))
    return rows


def _moved(found: Optimism, by: float) -> dict:
    """Return estimate and limits moved by as much; limits stay within 0 and 1."""
    lower, upper = (float(np.clip(limit + by, 0, 1)) for limit in (found.lower, found.upper))
    return {"ESTIMATE": found.apparent + by, "LOWER": lower, "UPPER": upper}


def _describe_schedule(plan: Plan) -> str:
    """Say when assessments are planned: a horizon between two of them sees progressions of the one before."""
    every, window = plan.clinical.interval_weeks, plan.clinical.window_days
    return f"; assessments planned every {every:g} weeks, {window:g} days sooner or later"


def _predictive_row(data: pd.DataFrame, analysis: Analysis, plan: Plan, found: dict, weeks: float) -> dict:
    """Make the row of one quantity and interval; what is missing says why."""
    quantity = found["quantity"]
    text = f"{_READS[quantity]} of {analysis.endpoint} by {weeks:g} weeks from its time zero"
    text += f"; positive: {analysis.contrast}{_describe_schedule(plan)}"
    estimator, interval = _INTERVALS.get(found["method"], (None, None))
    text += f"; {interval}" if interval else ""

    def read() -> dict:
        """Return the numbers, or refuse."""
        if np.isnan(found.get("estimate", np.nan)):
            raise NotEstimable(found["note"])
        return {"ESTIMATE": found["estimate"], "LOWER": found["lower"], "UPPER": found["upper"]}

    label = f"{text}; {found['note']}" if found["note"].startswith("no interval") else text
    row = estimate_row(data, analysis, f"{quantity}_{weeks:g}w", read, "DESCRIPTIVE", label)
    return {**row, "ESTIMATOR": estimator}
