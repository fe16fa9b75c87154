"""The exposure beside other causes: adjusted models, a prior, and the caution that few events ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.plan import Plan
from analysis.survival.association.centres import estimate_stratified, estimate_without_centres
from analysis.survival.association.covariates import (
    COVARIATES,
    check_known,
    check_names,
    describe_effect,
    known_rows,
)
from analysis.survival.association.estimates import (
    Analysis,
    estimate_row,
    estimates_table,
    is_firth_endpoint,
    main_estimator,
    stack,
)
from analysis.survival.association.simulated import say_simulated_power
from analysis.survival.cox import cox
from analysis.survival.cox_prior import cox_prior
from analysis.survival.outcome import NotEstimable
from analysis.survival.power import schoenfeld_power


@dataclass(frozen=True)
class AdjustedFit:
    """A model of the exposure and covariates, and how it was fitted.

    Attributes
    ----------
    terms : DataFrame
        Rows of `cox` by term: ``exposed`` and the covariates.
    estimator, ties : str
        ``"ML"`` or ``"FIRTH"``, and its ties.
    note : str
        Why it is Firth; empty under maximum likelihood.
    """

    terms: pd.DataFrame
    estimator: str
    ties: str
    note: str

    def numbers(self, term: str) -> dict:
        """Return ESTIMATE, LOWER, UPPER and P of one term."""
        names = {"ESTIMATE": "estimate", "LOWER": "lower", "UPPER": "upper", "P": "p"}
        return {column: self.terms.loc[term, name] for column, name in names.items()}


def estimate_adjusted(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    """Estimate the effect of the exposure beside covariates and centres; all of it SENSITIVITY.

    Parameters
    ----------
    data : DataFrame
        Analysis set with the columns of `baseline_covariates`.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        Sections primary and survival: adjust, adjust_singly, centre, prior_sd and the switch to Firth.
    rng : numpy.random.Generator
        For the permutations within centres.

    Returns
    -------
    DataFrame
        Estimates rows ``cox_adjusted`` (the exposure, then its covariates), ``cox_adjusted_one`` (the
        exposure beside one covariate at a time), those of `centres`, and ``cox_prior``.

    Raises
    ------
    ValueError
        For a plan that adjusts for more covariates, or for one that is not known, and for data without them.
    """
    adjust, singly = plan.survival.adjust, plan.survival.adjust_singly
    check_names([*adjust, *singly])
    if len(adjust) > plan.survival.adjust_max:
        raise ValueError(
            f"survival.adjust names {len(adjust)} covariates, at most {plan.survival.adjust_max} may stand"
        )
    parts = [estimate_adjusted_model(data, analysis, plan, adjust, covariate_rows=True)] if adjust else []
    for name in singly:
        one = estimate_adjusted_model(data, analysis, plan, [name])
        parts.append(one.assign(METHOD="cox_adjusted_one"))
    parts += [
        estimate_stratified(data, analysis, plan, rng),
        estimate_without_centres(data, analysis, plan),
        estimate_with_prior(data, analysis, plan),
    ]
    return stack(parts)


def fit_adjusted(
    data: pd.DataFrame, analysis: Analysis, covariates: Sequence[str], plan: Plan
) -> AdjustedFit:
    """Fit exposure and covariates by maximum likelihood, or by Firth where the events do not carry them.

    Firth is taken where `main_estimator` says so, with fewer events a coefficient than a group must have
    (``firth_min_group_events``), and where maximum likelihood has no finite estimate.

    Parameters
    ----------
    data : DataFrame
        time, event, exposed and the covariates, none missing.
    analysis : Analysis
        Names the endpoint.
    covariates : sequence of str
        Columns of `data`; may be empty.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    AdjustedFit
        Hazard ratios with profile limits.

    Raises
    ------
    NotEstimable
        As `cox`, for what Firth cannot give either.
    """
    columns, events = ["exposed", *covariates], int(data["event"].sum())
    crowded = events < len(columns) * plan.survival.firth_min_group_events
    if main_estimator(data, analysis, plan) == "ML" and not crowded:
        try:
            return _fit(data, columns, "ML", "", plan)
        except NotEstimable as refusal:
            try:
                return _fit(
                    data, columns, "FIRTH", "Firth, as maximum likelihood has no finite estimate", plan
                )
            except NotEstimable:
                raise refusal from None
    by_plan = is_firth_endpoint(analysis, plan)
    note = f"Firth, as the plan has {analysis.endpoint}" if by_plan else "Firth, as events are few"
    note = f"Firth, as {events} events carry {len(columns)} coefficients" if crowded else note
    return _fit(data, columns, "FIRTH", note, plan)


def estimate_adjusted_model(
    data: pd.DataFrame,
    analysis: Analysis,
    plan: Plan,
    covariates: Sequence[str],
    *,
    covariate_rows: bool = False,
) -> pd.DataFrame:
    """Estimate the exposure beside covariates in the patients who have them all, and unadjusted in the same.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_adjusted`.
    covariates : sequence of str
        Columns of `data`.
    covariate_rows : bool
        Add a row for each covariate.

    Returns
    -------
    DataFrame
        Estimates rows ``cox_adjusted``: the exposure first. LABEL says how many patients lack a covariate and
        what the unadjusted hazard ratio of the others is.
    """
    label, kept = "adjusted for " + ", ".join(COVARIATES[name] for name in covariates), data
    try:
        check_known(data, covariates)
        _refuse_own_baseline(analysis, covariates)
        kept, lost = known_rows(data, covariates)
        label += f"; {lost} without a covariate left out" if lost else ""
        fit = fit_adjusted(kept, analysis, covariates, plan)
    except NotEstimable as refusal:
        return estimates_table([_refused(kept, analysis, "cox_adjusted", label, refusal)])
    label += f"; {fit.note}" if fit.note else ""
    label += f"; unadjusted in the same {len(kept)} patients {_unadjusted(kept, fit.estimator, plan)}"
    rows = [(analysis, "exposed", label, True)]
    if covariate_rows:
        texts = [replace(analysis, contrast=describe_effect(name), reference=None) for name in covariates]
        rows += [
            (text, name, "covariate of the adjusted model", False) for text, name in zip(texts, covariates)
        ]
    found = []
    for text, term, words, groups in rows:
        row = estimate_row(
            kept, text, "cox_adjusted", lambda t=term: fit.numbers(t), "SENSITIVITY", words, groups
        )
        found.append({**row, "ESTIMATOR": fit.estimator, "TIES": fit.ties})
    return estimates_table(found)


def estimate_with_prior(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio under a weakly informative normal prior on its logarithm.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_adjusted`; ``survival.prior_sd``.

    Returns
    -------
    DataFrame
        One estimates row ``cox_prior``: posterior median and equal-tailed interval; LABEL has the posterior
        probability of a hazard ratio above 1. It has no P.
    """
    sd, found = plan.survival.prior_sd, {}
    label = f"normal prior on ln(hazard ratio), mean 0, sd {sd:g}"
    options = {"prior_sd": sd, "alpha": plan.primary.alpha, "ties": plan.survival.ties_ml}

    def fit() -> dict:
        """Fit it."""
        row = cox_prior(data["time"], data["event"], data["exposed"].astype(float), **options).iloc[0]
        found["above"] = row["probability"]
        return {"ESTIMATE": row["estimate"], "LOWER": row["lower"], "UPPER": row["upper"]}

    row = estimate_row(data, analysis, "cox_prior", fit, "SENSITIVITY", label)
    if found:
        chance = f"posterior probability of a hazard ratio above 1: {found['above']:.3f}"
        row["LABEL"] = analysis.label(f"{label}; {chance}")
    return estimates_table([{**row, "ESTIMATOR": "PRIOR", "TIES": plan.survival.ties_ml}])


def caution(data: pd.DataFrame, analysis: Analysis, plan: Plan, main: pd.DataFrame | None = None) -> str:
    """Say what the events of an endpoint can and cannot show, computed from them.

    Parameters
    ----------
    data, analysis, plan
        As in `estimate_adjusted`; ``survival.power_hr`` and ``survival.power_aim``.
    main : DataFrame, optional
        Rows of `estimate_main`: they say whether the reported test is one of a day fixed in advance.

    Returns
    -------
    str
        Events by group, the power at the plan's hazard ratio, the hazard ratio found with the aimed power and
        the reach of an interval around no effect (Schoenfeld's formula for all three).
    """
    event, exposed = data["event"].astype(bool), data["exposed"].astype(bool)
    events, first = int(event.sum()), int((event & exposed).sum())
    alpha, ratio = plan.primary.alpha, plan.survival.power_hr
    text = f"{analysis.endpoint}: {events} events in {len(data)} patients "
    text += f"({first} {analysis.contrast}, {events - first} {analysis.reference})."
    share = float(exposed.mean()) if len(data) else 0.0
    if events == 0 or not 0 < share < 1:
        lacking = "no event" if events == 0 else "one group is empty"
        return f"{text} No hazard ratio can be estimated: {lacking}."
    error, z = 1 / np.sqrt(events * share * (1 - share)), float(norm.isf(alpha / 2))
    found = schoenfeld_power(events, share, ratio, alpha=alpha)
    least, reach = np.exp((z + norm.ppf(plan.survival.power_aim)) * error), np.exp(z * error)
    text += f" At a hazard ratio of {ratio:g} the power is {100 * found:.0f} %;"
    text += f" {100 * plan.survival.power_aim:.0f} % power is reached at a hazard ratio of {least:.1f}."
    reached = f"{1 / reach:.2f} to {reach:.1f}"
    text += f" {simulated}" if (simulated := say_simulated_power(main, analysis.endpoint)) else ""
    text += f" Without any effect the {100 * (1 - alpha):g} % interval would reach from {reached}."
    if main_estimator(data, analysis, plan) == "ML":
        return text
    reason = "By the plan" if is_firth_endpoint(analysis, plan) else "Events are few by the plan:"
    return f"{text} {reason} Firth is the main estimator."


def _fit(data: pd.DataFrame, columns: list[str], estimator: str, note: str, plan: Plan) -> AdjustedFit:
    ties = plan.survival.ties_firth if estimator == "FIRTH" else plan.survival.ties_ml
    penalty = "firth" if estimator == "FIRTH" else None
    options = {"ties": ties, "penalty": penalty, "alpha": plan.primary.alpha}
    table = cox(data["time"], data["event"], data[columns].astype(float), **options)
    return AdjustedFit(table.set_index("term"), estimator, ties, note)


def _unadjusted(data: pd.DataFrame, estimator: str, plan: Plan) -> str:
    try:
        numbers = _fit(data, ["exposed"], estimator, "", plan).numbers("exposed")
    except NotEstimable:
        return "not estimable"
    return f"{numbers['ESTIMATE']:.2f} ({numbers['LOWER']:.2f}-{numbers['UPPER']:.2f})"


def _refuse_own_baseline(analysis: Analysis, covariates: Sequence[str]) -> None:
    """Refuse to adjust the baseline value for itself."""
    if analysis.scale == "value" and "LNBASE" in covariates:
        raise NotEstimable("the exposure is the baseline value: LNBASE would adjust it for itself")


def _refused(data: pd.DataFrame, analysis: Analysis, method: str, label: str, refusal: NotEstimable) -> dict:
    def fit() -> dict:
        raise refusal

    return estimate_row(data, analysis, method, fit, "SENSITIVITY", label)
