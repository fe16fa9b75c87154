"""A metric of the baseline scan against the outcome: per doubling, and split at its median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.estimates import (
    REPORTED,
    Analysis,
    compare_curves,
    cox_of,
    describe_groups,
    estimate_hazard_ratio,
    estimate_row,
    estimates_table,
    main_estimator,
    stack,
)
from analysis.survival.landmark import LEDGER, ledger_rows
from analysis.survival.outcome import to_time_event

HIGH, LOW = "HIGH", "LOW"


def baseline_values(adpet: pd.DataFrame, metric: str, *, timepoint: str = "D0") -> pd.Series:
    """Compute one value a patient from the lesions of the baseline scan: maximum of an SUV, sum of a volume.

    Parameters
    ----------
    adpet : DataFrame
        Measurements: USUBJID, AVISIT, METRIC, ROLE, AVAL.
    metric : str
        A lesion METRIC; those of a volume (MTV, TLG, VOLUME) are summed over lesions.
    timepoint : str
        AVISIT of the baseline scan.

    Returns
    -------
    Series
        Value by USUBJID, sorted.
    """
    rows = adpet[adpet["AVISIT"].eq(timepoint) & adpet["METRIC"].eq(metric) & adpet["ROLE"].eq("LESION")]
    values = rows.groupby("USUBJID", sort=True)["AVAL"]
    if metric.startswith(("MTV", "TLG", "VOLUME")):
        return values.agg(lambda volumes: volumes.sum(skipna=False))  # a lesion without volume: no total
    return values.max()


def baseline_set(
    adpet: pd.DataFrame, adtte: pd.DataFrame, plan: Plan, *, metric: str, endpoint: str, timepoint: str = "D0"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join a baseline metric and an outcome counted from the endpoint's own time zero.

    Parameters
    ----------
    adpet, adtte : DataFrame
        Measurements; time to event.
    plan : Plan
        Section design; ``response.comparison_tolerance``, relative: this near the median is not above it.
    metric, endpoint, timepoint : str
        METRIC, PARAMCD and AVISIT.

    Returns
    -------
    data : DataFrame
        STUDYID, USUBJID, LANDMARKDT, time (months), event, value, log2, group (HIGH above the median, else
        LOW), exposed.
    excluded : DataFrame
        Ledger: NO_BASELINE_METRIC (absent, or not above 0: it has no logarithm), NO_FOLLOW_UP.
    """
    outcome = to_time_event(adtte[adtte["PARAMCD"].eq(endpoint)])
    value = outcome["USUBJID"].map(baseline_values(adpet, metric, timepoint=timepoint))
    measured, followed = value > 0, outcome["time"] > 0
    ledger = [
        ledger_rows(outcome[~measured], "NO_BASELINE_METRIC", timepoint, None),
        ledger_rows(outcome[measured & ~followed], "NO_FOLLOW_UP", timepoint, None),
    ]
    data = outcome.assign(value=value)[measured & followed]
    data = data.assign(time=data["time"] / plan.design.days_per_month, log2=np.log2(data["value"]))
    # A volume is a sum over lesions: equal sums differ in their last bits, and the median between them splits
    # nobody by that.
    level = data["value"].median() * (1 + plan.response.comparison_tolerance)
    data = data.assign(exposed=data["value"] > level)
    data["group"] = np.where(data["exposed"], HIGH, LOW)
    data["LANDMARKDT"] = data["STARTDT"]
    columns = ["STUDYID", "USUBJID", "LANDMARKDT", "time", "event", "value", "log2", "group", "exposed"]
    return data[columns].sort_values("USUBJID", ignore_index=True), pd.concat(ledger, ignore_index=True)


def estimate_baseline_effect(
    adpet: pd.DataFrame,
    adtte: pd.DataFrame,
    plan: Plan,
    rng: np.random.Generator,
    *,
    timepoint: str = "D0",
    metrics: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Relate baseline metrics to each endpoint: hazard ratio per doubling, and a median split, exploratory.

    Parameters
    ----------
    adpet, adtte : DataFrame
        Measurements; time to event whose time zero is first dose or the scan itself.
    plan : Plan
        Sections design, primary and survival. Where the plan's exposure is the baseline metric, the primary
        metric is PRIMARY for the primary endpoint and SECONDARY for the others; all else is EXPLORATORY.
    rng : numpy.random.Generator
        For the permutations.
    timepoint : str
        AVISIT of the baseline scan.
    metrics : sequence of str, optional
        METRICs; the plan's ``primary.baseline_metrics`` by default.

    Returns
    -------
    estimates : DataFrame
        Rows ``cox`` (RULE ``per_doubling``), then medians, S(t), log-rank and hazard ratio of RULE
        ``median_split`` with the median in CUT; LANDMARK is ``none``.
    excluded : DataFrame
        Ledger of all metrics and endpoints.
    """
    tables, ledgers = [], []
    metrics = plan.primary.baseline_metrics if metrics is None else metrics
    for endpoint in plan.primary.endpoints:
        for metric in metrics:
            data, excluded = baseline_set(
                adpet, adtte, plan, metric=metric, endpoint=endpoint, timepoint=timepoint
            )
            analysis = Analysis(
                endpoint,
                plan.primary.population,
                "none",
                timepoint,
                metric,
                "per_doubling",
                np.nan,
                "per doubling",
                None,
            )
            tables += [
                _per_doubling(data, analysis, plan),
                _median_split(data, analysis, plan, rng),
            ]
            ledgers.append(excluded.assign(REASON=f"{endpoint}, {metric}: " + excluded["REASON"].astype(str)))
    ledger = pd.concat(ledgers, ignore_index=True) if ledgers else pd.DataFrame(columns=LEDGER)
    return stack(tables), ledger


def _per_doubling(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    primary = plan.primary
    first = primary.exposure == "baseline_metric" and analysis.metric == primary.metric
    tested = "PRIMARY" if analysis.endpoint == primary.endpoint else "SECONDARY"
    role = ("SENSITIVITY" if plan.overrides else tested) if first else "EXPLORATORY"
    ties = {"ML": plan.survival.ties_ml, "FIRTH": plan.survival.ties_firth}
    few = main_estimator(data, analysis, plan, groups=False) == "FIRTH"
    rows = []
    for number, estimator in enumerate(("FIRTH", "ML") if few else ("ML", "FIRTH")):
        fit = cox_of(data, "log2", estimator, ties[estimator], plan)
        own_role = role if number == 0 else "SENSITIVITY" if first else "EXPLORATORY"
        # No log-rank is made of a number: the p of the main row is the test.
        label = (
            f"hazard ratio per doubling; {REPORTED}" if first and not number else "hazard ratio per doubling"
        )
        row = estimate_row(data, analysis, "cox", fit, own_role, label, groups=False)
        rows.append({**row, "ESTIMATOR": estimator, "TIES": ties[estimator]})
    return estimates_table(rows)


def _median_split(
    data: pd.DataFrame, analysis: Analysis, plan: Plan, rng: np.random.Generator
) -> pd.DataFrame:
    cut = float(data["value"].median()) if len(data) else np.nan
    split = replace(analysis, rule="median_split", cut=cut, contrast=HIGH, reference=LOW)
    parts = [
        estimate_hazard_ratio(data, split, plan, role="EXPLORATORY", label="median split, data-driven").iloc[
            :1
        ],
        compare_curves(data, split, plan, rng, reported=False),
        describe_groups(data, split, plan),
    ]
    return stack(parts).assign(ROLE="EXPLORATORY")
