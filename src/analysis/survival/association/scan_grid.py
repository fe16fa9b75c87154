"""PFS is seen only on the scan grid: progression between assessments, their timing, length of follow-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from analysis.plan import Plan
from analysis.survival.association.estimates import Analysis, estimate_row, estimates_table
from analysis.survival.interval_censored import weibull_interval
from analysis.survival.kaplan_meier import median_follow_up
from analysis.survival.outcome import NotEstimable

_PROGRESSION, _NOT_EVALUABLE = "PD", "NE"
_INTERVALS = ["USUBJID", "exposed", "lower", "upper"]
_DATES = ["ADT", "LANDMARKDT", "STARTDT", "END"]


def progression_intervals(
    data: pd.DataFrame, analysis: Analysis, adtte: pd.DataFrame, adrs: pd.DataFrame | None, plan: Plan
) -> pd.DataFrame:
    """Find the interval in which each patient's event lies, in months from the landmark.

    A progression lies between the last evaluable assessment without progression and the one that shows it
    (from the landmark, where there is none after it: the patient was event-free then). An event on a day
    without an assessment of progression (death, a progression seen without a scan) is dated exactly. Who has
    no event is censored.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`: USUBJID, LANDMARKDT, time (months), event, exposed.
    analysis : Analysis
        Names the endpoint.
    adtte : DataFrame
        USUBJID, PARAMCD, STARTDT, ADT.
    adrs : DataFrame or None
        Tumour assessments: USUBJID, PARAMCD, ADT, AVALC, of which the responses that feed the endpoint by the
        plan are read (``OVRLRESP`` derived, ``RSREP`` reported).
    plan : Plan
        Sections clinical (source of the responses) and design (days_per_month).

    Returns
    -------
    DataFrame
        USUBJID, exposed, lower, upper: equal for an exact time; `upper` infinite for a censored one.

    Raises
    ------
    NotEstimable
        If the study has no assessments or no dates of landmarks.
    """
    visits = _assessments(data, analysis, adtte, adrs, plan)
    seen = visits[~visits["AVALC"].eq(_NOT_EVALUABLE)]
    shown = seen[seen["AVALC"].eq(_PROGRESSION) & seen["ADT"].le(seen["END"])]["USUBJID"]
    before = seen[~seen["AVALC"].eq(_PROGRESSION) & seen["ADT"].lt(seen["END"])]
    days = (before["ADT"] - before["LANDMARKDT"]).dt.days.groupby(before["USUBJID"]).max()
    last_without = data["USUBJID"].map(days).fillna(0).clip(lower=0) / plan.design.days_per_month
    event = data["event"].astype(bool)
    on_grid = event & data["USUBJID"].isin(shown)
    return data.assign(
        lower=np.where(on_grid, last_without, data["time"]), upper=data["time"].where(event, np.inf)
    )[_INTERVALS]


def estimate_interval_censored(
    data: pd.DataFrame, analysis: Analysis, adtte: pd.DataFrame, adrs: pd.DataFrame | None, plan: Plan
) -> pd.DataFrame:
    """Estimate the hazard ratio from the intervals in which progressions lie, by a Weibull model.

    Parameters
    ----------
    data, analysis, adtte, adrs, plan
        As in `progression_intervals`; also the plan's alpha. `adrs` may be None.

    Returns
    -------
    DataFrame
        One estimates row ``weibull_interval``, ESTIMATOR ``WEIBULL``, SENSITIVITY: hazard ratio with its Wald
        interval and p. Without assessments the numbers are missing and LABEL says why.
    """
    label = "interval-censored Weibull: a progression lies between two assessments"

    def fit() -> dict:
        """Fit it."""
        intervals = progression_intervals(data, analysis, adtte, adrs, plan)
        found = weibull_interval(
            intervals["lower"], intervals["upper"], intervals["exposed"], alpha=plan.primary.alpha
        ).iloc[0]
        names = {"ESTIMATE": "estimate", "LOWER": "lower", "UPPER": "upper", "P": "p"}
        return {column: found[name] for column, name in names.items()}

    row = estimate_row(data, analysis, "weibull_interval", fit, "SENSITIVITY", label)
    return estimates_table([{**row, "ESTIMATOR": "WEIBULL"}])


def assessment_gaps(
    data: pd.DataFrame, analysis: Analysis, adtte: pd.DataFrame, adrs: pd.DataFrame | None, plan: Plan
) -> pd.DataFrame:
    """Compute each patient's mean time between tumour assessments, from time zero to the end of the endpoint.

    Parameters
    ----------
    data, analysis, adtte, adrs, plan
        As in `progression_intervals`. Assessments that could not be evaluated count: the patient was scanned.
        Those on or before the landmark count too, as the schedule does not start with it.

    Returns
    -------
    DataFrame
        One row a patient with an assessment: USUBJID, group, exposed, event, gaps (number of intervals),
        mean_days.

    Raises
    ------
    NotEstimable
        As in `progression_intervals`.
    """
    visits = _assessments(data, analysis, adtte, adrs, plan)
    visits = visits[visits["ADT"].gt(visits["STARTDT"]) & visits["ADT"].le(visits["END"])]
    visits = visits.drop_duplicates(["USUBJID", "ADT"])
    # The gaps of a patient add up to the time from the start to the last assessment.
    found = visits.groupby("USUBJID").agg(
        last=("ADT", "max"), gaps=("ADT", "size"), start=("STARTDT", "first")
    )
    found["mean_days"] = (found["last"] - found["start"]).dt.days / found["gaps"]
    columns = ["USUBJID", "group", "exposed", "event", "gaps", "mean_days"]
    return data.merge(found, left_on="USUBJID", right_index=True, validate="one_to_one")[columns]


def estimate_assessment_timing(
    data: pd.DataFrame, analysis: Analysis, adtte: pd.DataFrame, adrs: pd.DataFrame | None, plan: Plan
) -> pd.DataFrame:
    """Compare the timing of tumour assessments between the groups: a difference would shift dates of PFS.

    Parameters
    ----------
    data, analysis, adtte, adrs, plan
        As in `assessment_gaps`. `adrs` may be None.

    Returns
    -------
    DataFrame
        Estimates rows ``assessment_timing``, DESCRIPTIVE. One a group, the exposed first: ESTIMATE is the
        median over patients of their mean interval, days. Last the difference of these medians with the
        two-sided Wilcoxon p (exact without ties in small groups, else with the correction for ties and
        continuity). Without assessments one row with the reason.
    """
    text = "days between tumour assessments, median of patients' means"
    try:
        table, refusal = assessment_gaps(data, analysis, adtte, adrs, plan), None
    except NotEstimable as missing:
        table, refusal = data, missing

    def compare() -> dict:
        """Compare the groups, or say why not."""
        if refusal is not None:
            raise refusal
        return _difference(table)

    label = f"difference of {text}; Wilcoxon"
    last = estimate_row(table, analysis, "assessment_timing", compare, "DESCRIPTIVE", label)
    last = {**last, "ESTIMATOR": "WILCOXON"}
    return estimates_table([last] if refusal else [*_timing_rows(table, analysis, text), last])


def estimate_follow_up(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Estimate the median follow-up from the landmark by reverse Kaplan-Meier, by group and for all.

    Parameters
    ----------
    data : DataFrame
        From `analysis_set`: time (months), event, group, exposed.
    analysis : Analysis
        Identifies the rows.
    plan : Plan
        ci_type and alpha.

    Returns
    -------
    DataFrame
        Estimates rows ``km_follow_up`` (months), ESTIMATOR ``KM``, DESCRIPTIVE; CONTRAST is the group or
        ``"all"``. Missing where fewer than half are left to be censored.
    """
    rows = []
    for name in (*sorted(data["group"].unique()), "all"):
        own = data if name == "all" else data[data["group"].eq(name)]

        def median(own: pd.DataFrame = own) -> dict:
            """Estimate it."""
            found = median_follow_up(
                own["time"], own["event"], ci=plan.survival.ci_type, alpha=plan.primary.alpha
            ).iloc[0]
            return {"ESTIMATE": found["median"], "LOWER": found["lower"], "UPPER": found["upper"]}

        place = replace(analysis, contrast=name, reference=None)
        label = "median follow-up, months (reverse Kaplan-Meier)"
        row = estimate_row(own, place, "km_follow_up", median, "DESCRIPTIVE", label, groups=False)
        rows.append({**row, "ESTIMATOR": "KM"})
    return estimates_table(rows)


def _assessments(data, analysis: Analysis, adtte, adrs, plan: Plan) -> pd.DataFrame:
    """Return the assessments of the patients: USUBJID ADT AVALC LANDMARKDT STARTDT, END of the endpoint."""
    rules = plan.clinical
    if adrs is not None:
        source = rules.tte_rules[rules.endpoint_rules]["responses"][rules.response_source]
        adrs = adrs[adrs["PARAMCD"].eq(source) & adrs["USUBJID"].isin(data["USUBJID"])]
    if adrs is None or adrs.empty:
        raise NotEstimable("the study has no table of tumour assessments: their dates are not known")
    outcome = adtte[adtte["PARAMCD"].eq(analysis.endpoint)][["USUBJID", "STARTDT", "ADT"]]
    outcome = outcome.rename(columns={"ADT": "END"})
    if data["LANDMARKDT"].isna().all() or outcome["END"].isna().all():
        raise NotEstimable("the study gives days, no dates: assessments cannot be placed in time")
    return (
        adrs[["USUBJID", "ADT", "AVALC"]]
        .merge(data[["USUBJID", "LANDMARKDT"]], on="USUBJID", validate="many_to_one")
        .merge(outcome, on="USUBJID", validate="many_to_one")
        .assign(**{name: lambda rows, name=name: pd.to_datetime(rows[name]) for name in _DATES})
    )


def _timing_rows(table: pd.DataFrame, analysis: Analysis, text: str) -> list[dict]:
    rows = []
    for name, inside in ((analysis.contrast, table["exposed"]), (analysis.reference, ~table["exposed"])):
        own = table[inside.astype(bool)]
        place = replace(analysis, contrast=name, reference=None)

        def median(own: pd.DataFrame = own) -> dict:
            """Take the median."""
            if own.empty:
                raise NotEstimable("no patient of this group has an assessment")
            return {"ESTIMATE": own["mean_days"].median()}

        label = f"{text} ({int(own['gaps'].sum())} intervals)"
        rows.append(estimate_row(own, place, "assessment_timing", median, "DESCRIPTIVE", label, groups=False))
    return rows


def _difference(table: pd.DataFrame) -> dict[str, float]:
    exposed = table["exposed"].astype(bool)
    first, second = table.loc[exposed, "mean_days"], table.loc[~exposed, "mean_days"]
    if first.empty or second.empty:
        raise NotEstimable("one group has no assessments: nothing to compare")
    # All equal: the ranks carry no information, as a log-rank without variance.
    p = mannwhitneyu(first, second).pvalue if np.ptp(table["mean_days"]) > 0 else 1.0
    return {"ESTIMATE": first.median() - second.median(), "P": float(p)}
