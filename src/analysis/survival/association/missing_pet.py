"""Patients without an evaluable early scan: who they are, how they fare, and weights that stand for them.

Who is "without" needs a time zero: a patient who progressed before the scan could take place is not missing a
scan. Everything here is counted from the fixed landmark day of the plan, on all who are then event-free and
under follow-up, with a scan or without.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.covariates import (
    COVARIATES,
    FLAGS,
    baseline_covariates,
    check_known,
    check_names,
    known_rows,
)
from analysis.survival.association.estimates import (
    EXPOSED,
    REFERENCE,
    Analysis,
    estimate_row,
    estimates_table,
    main_estimator,
)
from analysis.survival.cox import cox
from analysis.survival.inverse_probability import evaluable_probability
from analysis.survival.kaplan_meier import median_survival
from analysis.survival.landmark import landmark, study_day_date
from analysis.survival.outcome import NotEstimable, select_response, to_time_event

EVALUABLE, NOT_EVALUABLE = "EVALUABLE", "NOT EVALUABLE"


def everyone_at_landmark(
    analysis: Analysis,
    admr: pd.DataFrame,
    adtte: pd.DataFrame,
    adsl: pd.DataFrame,
    adpet: pd.DataFrame | None,
    plan: Plan,
) -> pd.DataFrame:
    """List who is event-free and followed at the fixed landmark, with an evaluable early scan or without.

    Parameters
    ----------
    analysis : Analysis
        Names endpoint, day, metric, rule and cut; its landmark is not used.
    admr, adtte, adsl : DataFrame
        Response, time to event, subjects (TRTSDT); a patient without a row of `admr` at this day had no scan
        planned and is not listed.
    adpet : DataFrame, optional
        Measurements, for the covariates.
    plan : Plan
        ``survival.fixed_landmark_day``, the covariates' names and ``design.days_per_month``.

    Returns
    -------
    DataFrame
        One row a patient: STUDYID, USUBJID, LANDMARKDT, time (months from the landmark), event, evaluable,
        group and SCORE (missing where not evaluable), exposed (False where not evaluable), NEREAS (why not),
        and the columns of `baseline_covariates`. A scan after the landmark is no scan at the landmark:
        NEREAS ``SCAN_AFTER_LANDMARK``.
    """
    place = {"timepoint": analysis.timepoint, "metric": analysis.metric, "rule": analysis.rule}
    planned = select_response(admr, **place, cut=analysis.cut)
    outcome = adtte[adtte["PARAMCD"].eq(analysis.endpoint) & adtte["USUBJID"].isin(planned["USUBJID"])]
    day = plan.survival.fixed_landmark_day
    dates = study_day_date(adsl.set_index("USUBJID")["TRTSDT"], day) if outcome["ADT"].notna().any() else day
    data = to_time_event(landmark(outcome, dates)[0])
    columns = ["USUBJID", "MRESP", "SCORE", "PETDT", *(["NEREAS"] if "NEREAS" in planned else [])]
    data = data.merge(planned[columns], on="USUBJID", how="inner", validate="one_to_one")
    late = pd.to_datetime(data["PETDT"]) > pd.to_datetime(data["LANDMARKDT"])
    classed = data["MRESP"].isin([EXPOSED, REFERENCE])
    reasons = data["NEREAS"].astype(object) if "NEREAS" in data else pd.Series(None, index=data.index)
    data = data.assign(
        time=data["time"] / plan.design.days_per_month,
        evaluable=classed & ~late,
        exposed=data["MRESP"].eq(EXPOSED) & ~late,
        group=data["MRESP"].where(classed & ~late, None),
        SCORE=data["SCORE"].where(classed & ~late),
        NEREAS=reasons.mask(classed & late, "SCAN_AFTER_LANDMARK"),
    )
    names = ["STUDYID", "USUBJID", "LANDMARKDT", "time", "event", "evaluable", "group", "exposed", "SCORE"]
    covariates = baseline_covariates(adsl, adpet, plan)
    data = data[[*names, "NEREAS"]].merge(covariates, on="USUBJID", how="left", validate="one_to_one")
    return data.sort_values("USUBJID", ignore_index=True)


def compare_missing(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Compare patients with and without an evaluable early scan: baseline covariates, and outcome.

    Parameters
    ----------
    data : DataFrame
        From `everyone_at_landmark`.
    analysis : Analysis
        Identifies the rows; LANDMARK is ``fixed``.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    DataFrame
        Estimates rows ``missing_pet``, DESCRIPTIVE. ESTIMATOR ``SMD``: ESTIMATE is the standardised mean
        difference, evaluable minus not, of the covariate in CONTRAST; ``KM``: median time from the landmark
        (months) of the patients in CONTRAST. N_EXPOSED counts evaluable patients, N_REFERENCE the others.

    References
    ----------
    Austin, Stat Med 2009;28:3083-107 (standardised differences of numbers and of proportions).
    """
    analysis = replace(analysis, landmark="fixed", reference=None)
    data = data.assign(exposed=data["evaluable"].astype(bool))
    if data["exposed"].all():
        label = "patients with and without an evaluable early scan"
        row = estimate_row(
            data, analysis, "missing_pet", lambda: _refuse_none(data, plan), "DESCRIPTIVE", label
        )
        return estimates_table([row])
    rows = [_difference_row(data, analysis, name) for name in COVARIATES if name in data]
    for name, inside in ((EVALUABLE, data["exposed"]), (NOT_EVALUABLE, ~data["exposed"])):
        rows.append(_median_row(data[inside], replace(analysis, contrast=name), plan))
    return estimates_table(rows)


def estimate_weighted(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio with patients weighted for those like them who have no evaluable early scan.

    Every patient under follow-up at the landmark has a probability of having an evaluable early scan, from a
    logistic model on the plan's baseline covariates; those who have it are weighted by the overall share over
    this probability (stabilised), at most the plan's largest weight. It corrects for what the covariates
    explain, and for nothing else. The robust error takes the weights as known.

    Parameters
    ----------
    data : DataFrame
        From `everyone_at_landmark`.
    analysis : Analysis
        Identifies the row; LANDMARK is ``fixed``.
    plan : Plan
        Sections primary and survival: ipw_covariates, ipw_max_weight, ipw_min_missing (with fewer there is no
        model), ipw_no_response (NEREAS of patients who have no response that could be missing: left out);
        firth_max_events says from how many missing on the logistic model is fitted by maximum likelihood.

    Returns
    -------
    DataFrame
        One estimates row ``cox_ipw``, SENSITIVITY: Wald limits and P from the robust error. LABEL has the
        number without a PET, the largest weight, and the unweighted estimate in the same patients.

    References
    ----------
    Robins and Finkelstein, Biometrics 2000;56:779-88. Cole and Hernan, Am J Epidemiol 2008;168:656-64
    (stabilised and truncated weights).
    """
    analysis, names = replace(analysis, landmark="fixed"), plan.survival.ipw_covariates
    check_names(names)
    asked = data[~data["NEREAS"].isin(plan.survival.ipw_no_response)] if "NEREAS" in data else data
    kept, lost = known_rows(asked, names)
    seen, label = kept[kept["evaluable"].astype(bool)], []
    try:
        check_known(asked, names)
        missing = len(kept) - len(seen)
        label += [f"{missing} of {len(kept)} without one"]
        label += [f"{len(data) - len(asked)} without a lesion to respond left out"] * (len(data) > len(asked))
        label += [f"{lost} without a covariate left out"] * (lost > 0)
        probability, note = _probability(kept, names, plan)
        weights = np.minimum(len(seen) / len(kept) / probability, plan.survival.ipw_max_weight)
        label += [note, f"largest weight {weights.max():.2f}", f"unweighted {_ratio(seen, None, plan)[1]}"]
        numbers = _ratio(seen, weights, plan)[0]
        if main_estimator(seen, analysis, plan) == "FIRTH":
            label.append("maximum likelihood, as Firth has no weights")
    except NotEstimable as refusal:
        label.append(f"not estimable: {refusal}")
        numbers = {}
    text = "; ".join(["weighted by the inverse probability of an evaluable early scan", *label])
    row = estimate_row(seen, analysis, "cox_ipw", lambda: numbers, "SENSITIVITY", text)
    return estimates_table([{**row, "ESTIMATOR": "ML", "TIES": plan.survival.ties_ml}])


def _probability(kept: pd.DataFrame, names, plan: Plan) -> tuple[np.ndarray, str]:
    evaluable = kept["evaluable"].astype(bool)
    missing = int((~evaluable).sum())
    if missing == 0:
        _refuse_none(kept, plan)
    if missing < (least := plan.survival.ipw_min_missing):
        text = f"{missing} patients are too few to model why a scan is missing (at least {least})"
        raise NotEstimable(text)
    few = min(missing, len(kept) - missing) < plan.survival.firth_max_events
    found, penalised = evaluable_probability(evaluable, kept[list(names)], penalised=few)
    return found[evaluable], "logistic model by " + ("Firth" if penalised else "maximum likelihood")


def _ratio(data: pd.DataFrame, weights: np.ndarray | None, plan: Plan) -> tuple[dict, str]:
    options = {"ties": plan.survival.ties_ml, "alpha": plan.primary.alpha, "weights": weights}
    found = cox(data["time"], data["event"], data["exposed"].astype(float), **options).iloc[0]
    names = {"ESTIMATE": "estimate", "LOWER": "lower", "UPPER": "upper", "P": "p"}
    text = f"{found['estimate']:.2f} ({found['lower']:.2f}-{found['upper']:.2f})"
    return {column: found[name] for column, name in names.items()}, text


def _refuse_none(data: pd.DataFrame, plan: Plan) -> dict:
    day = plan.survival.fixed_landmark_day
    raise NotEstimable(f"each of the {len(data)} patients followed at day {day} has an evaluable early scan")


def _difference_row(data: pd.DataFrame, analysis: Analysis, name: str) -> dict:
    kept, label = known_rows(data, [name])[0], "standardised mean difference, evaluable minus not"
    first, second = (kept.loc[kept["exposed"].eq(side), name].astype(float) for side in (True, False))
    if len(first) and len(second):
        label += f": {_level(first, name)} against {_level(second, name)}"

    def fit() -> dict:
        """Compute it."""
        check_known(data, [name])
        if not len(first) or not len(second):
            raise NotEstimable(f"{name} is known of {len(first)} patients with and {len(second)} without")
        return {"ESTIMATE": standardised_difference(first, second, proportion=name in FLAGS)}

    own = replace(analysis, contrast=COVARIATES[name])
    return {**estimate_row(kept, own, "missing_pet", fit, "DESCRIPTIVE", label), "ESTIMATOR": "SMD"}


def standardised_difference(first, second, *, proportion: bool = False) -> float:
    """Compute the difference of means in units of the root of the mean variance.

    Parameters
    ----------
    first, second : array-like
        Values of the two groups, none missing; 1 and 0 for a proportion.
    proportion : bool
        Take the variance p (1 - p) of a proportion; else the sample variance.

    Returns
    -------
    float
        First minus second.

    Raises
    ------
    NotEstimable
        If a group has too few patients for a variance, or neither varies although the means differ.

    Examples
    --------
    >>> round(standardised_difference([1, 3], [0, 2]), 4)
    0.7071
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if min(len(first), len(second)) < (1 if proportion else 2):
        raise NotEstimable(f"a variance needs two patients a group, found {len(first)} and {len(second)}")
    spread = [p.mean() * (1 - p.mean()) if proportion else p.var(ddof=1) for p in (first, second)]
    difference, scale = first.mean() - second.mean(), float(np.sqrt(np.mean(spread)))
    if scale == 0 and difference != 0:
        raise NotEstimable("nothing varies within the groups: the difference has no unit")
    return float(difference / scale) if scale else 0.0


def _level(values: pd.Series, name: str) -> str:
    return f"{int(values.sum())} of {len(values)}" if name in FLAGS else f"mean {values.mean():.2f}"


def _median_row(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> dict:
    def fit() -> dict:
        """Estimate it."""
        options = {"ci": plan.survival.ci_type, "alpha": plan.primary.alpha}
        found = median_survival(data["time"], data["event"], **options).iloc[0]
        return {"ESTIMATE": found["median"], "LOWER": found["lower"], "UPPER": found["upper"]}

    label = f"median from day {plan.survival.fixed_landmark_day}, months"
    row = estimate_row(data, analysis, "missing_pet", fit, "DESCRIPTIVE", label, groups=False)
    return {**row, "ESTIMATOR": "KM"}
