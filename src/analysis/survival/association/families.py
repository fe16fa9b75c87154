"""Families of estimates that need more than an analysis set: time zeros, populations, rules, scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.baseline import estimate_baseline_effect
from analysis.survival.association.covariates import NOT_KNOWN
from analysis.survival.association.estimates import Analysis, estimate_hazard_ratio, stack
from analysis.survival.association.missing_pet import compare_missing, estimate_weighted, everyone_at_landmark
from analysis.survival.association.population import apply_population
from analysis.survival.association.scan_grid import estimate_assessment_timing, estimate_interval_censored
from analysis.survival.association.sets import (
    analysis_set,
    estimate_censoring_sensitivity,
    estimate_grid,
)
from analysis.survival.association.study import AnalysisSets
from analysis.survival.association.time_zero import (
    estimate_time_dependent,
    estimate_time_zero,
    tabulate_simon_makuch,
)


def estimate_time_zeros(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio from other time zeros, and with response as a time-dependent covariate.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`.
    plan : Plan
        Sections primary and survival.

    Returns
    -------
    DataFrame
        Rows of `estimate_time_zero` and ``cox_time_dependent``; none where the exposure is the baseline scan,
        which lies before time zero.
    """
    families = (estimate_time_zero, estimate_time_dependent)
    return stack([f(one, *_tables(sets), plan) for one in _of_response(sets, plan) for f in families])


def tabulate_time_dependent_curves(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Tabulate the Simon-Makuch curves of each endpoint, as table ``curves`` wants them.

    Parameters
    ----------
    sets, plan
        As in `estimate_time_zeros`.

    Returns
    -------
    DataFrame
        Rows with CURVE ``simon_makuch``; none where the exposure is the baseline scan.
    """
    parts = [tabulate_simon_makuch(one, *_tables(sets), plan) for one in _of_response(sets, plan)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["CURVE", "ENDPOINT"])


def estimate_scan_grid(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Estimate with progressions between two scans, and compare when the groups are scanned.

    Parameters
    ----------
    sets, plan
        As in `estimate_time_zeros`.

    Returns
    -------
    DataFrame
        Rows ``weibull_interval`` and ``assessment_timing`` of the primary endpoint: it is seen on scans.
    """
    name = plan.primary.endpoint
    given = (sets.data[name], sets.analyses[name], sets.cohort.adtte, sets.cohort.adrs, plan)
    return stack([estimate_interval_censored(*given), estimate_assessment_timing(*given)])


def estimate_missing(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Compare patients with and without an evaluable early scan, and weight for those without.

    Parameters
    ----------
    sets, plan
        As in `estimate_time_zeros`.

    Returns
    -------
    DataFrame
        Rows ``missing_pet``, ``km_median`` of those without, and ``cox_ipw``.
    """
    parts = []
    for analysis in _of_response(sets, plan):
        everyone = everyone_at_landmark(analysis, *_tables(sets), sets.cohort.adpet, plan)
        compared = compare_missing(everyone, analysis, plan)
        # A covariate the study does not have says so once, in the adjusted model; whatever else is missing
        # here is a result (a median not reached) or has its reason.
        unknown = compared["LABEL"].str.contains(NOT_KNOWN, regex=False)
        parts += [compared[~unknown], estimate_weighted(everyone, analysis, plan)]
    return stack(parts)


def estimate_grids(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Estimate the hazard ratio for every other metric, rule, cut and day, for each endpoint.

    Parameters
    ----------
    sets, plan
        As in `estimate_time_zeros`.

    Returns
    -------
    DataFrame
        Rows of `estimate_grid`.
    """
    return stack([estimate_grid(one, *_tables(sets), plan) for one in _of_response(sets, plan)])


def estimate_populations(sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    """Estimate the main hazard ratio in the plan's other populations and under its other censoring rules.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`.
    plan : Plan
        Section primary: `populations_shown`.

    Returns
    -------
    DataFrame
        Estimates rows ``cox``, SENSITIVITY; a population of which the study does not know who belongs to it
        has no row, and one that leaves out patients of the main analysis is a subgroup: by Firth.
    """
    if plan.primary.exposure == "baseline_metric":
        return stack([])
    cohort, parts = sets.cohort, []
    for analysis in sets.analyses.values():
        for name in plan.primary.populations_shown:
            if name != analysis.population:
                parts.append(_estimate_in(name, analysis, sets, plan))
    first = sets.analyses[plan.primary.endpoint]
    censoring = estimate_censoring_sensitivity(
        first, cohort.admr, cohort.adtte_sensitivity, cohort.adsl, plan
    )
    return stack([*parts, censoring])


def estimate_baseline(sets: AnalysisSets, plan: Plan, rng: np.random.Generator) -> pd.DataFrame:
    """Relate the baseline scan's metrics to each endpoint; the main one of the plan is not repeated.

    Parameters
    ----------
    sets, plan, rng
        As in `estimate_main`.

    Returns
    -------
    DataFrame
        Estimates rows, EXPLORATORY.
    """
    done = plan.primary.metric if plan.primary.exposure == "baseline_metric" else None
    metrics = [name for name in plan.primary.baseline_metrics if name != done]
    cohort = sets.cohort
    return estimate_baseline_effect(cohort.adpet, cohort.adtte, plan, rng, metrics=metrics)[0]


def _estimate_in(name: str, analysis: Analysis, sets: AnalysisSets, plan: Plan) -> pd.DataFrame:
    cohort = sets.cohort
    try:
        kept = apply_population(sets.everyone, cohort.adpet, plan, scans=cohort.scans, population=name)
    except ValueError:
        return stack([])  # who belongs to it is not known in this study
    other = replace(analysis, population=name)
    data, _ = analysis_set(other, kept, cohort.adtte, cohort.adsl, plan)
    subgroup = not set(sets.data[analysis.endpoint]["USUBJID"]) <= set(data["USUBJID"])
    say = {"role": "SENSITIVITY", "label": "other population", "main_only": True, "subgroup": subgroup}
    return estimate_hazard_ratio(data, other, plan, **say)


def _of_response(sets: AnalysisSets, plan: Plan) -> list[Analysis]:
    """Return the analyses of response; none where the exposure is the baseline scan."""
    return [] if plan.primary.exposure == "baseline_metric" else list(sets.analyses.values())


def _tables(sets: AnalysisSets) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return sets.cohort.admr, sets.cohort.adtte, sets.cohort.adsl
