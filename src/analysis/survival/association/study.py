"""Step 04 from tables to estimates: who is analysed, and each family of estimates over all endpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association.baseline import HIGH, LOW, baseline_set, estimate_baseline_effect
from analysis.survival.association.covariates import baseline_covariates
from analysis.survival.association.estimates import (
    NOT_THE_TEST,
    Analysis,
    compare_curves,
    describe_groups,
    estimate_hazard_ratio,
    stack,
    tabulate_curves,
    tabulate_set,
)
from analysis.survival.association.pilot_choice import estimate_pilot_choice, note_of, why_uncorrected
from analysis.survival.association.population import apply_population
from analysis.survival.association.scan_grid import estimate_follow_up
from analysis.survival.association.sets import analysis_set, gate, main_analysis
from analysis.survival.association.simulated import is_corrected
from analysis.survival.power import schoenfeld_power


@dataclass(frozen=True)
class Cohort:
    """The tables step 04 starts from.

    Attributes
    ----------
    admr, adpet, adtte, adsl, adtte_sensitivity : DataFrame
        Tables of these names.
    scans : DataFrame, optional
        ``scan_qc``, which the population ``on_drug`` needs.
    adrs : DataFrame, optional
        Tumour assessments, which the analyses of the scan grid need.
    """

    admr: pd.DataFrame
    adpet: pd.DataFrame
    adtte: pd.DataFrame
    adsl: pd.DataFrame
    adtte_sensitivity: pd.DataFrame
    scans: pd.DataFrame | None = None
    adrs: pd.DataFrame | None = None


@dataclass(frozen=True)
class AnalysisSets:
    """Who is analysed for each endpoint, and from which day.

    Attributes
    ----------
    timepoint : str
        Day of the scan the exposure comes from.
    analyses : dict of str to Analysis
        The main analysis of each endpoint, in the plan's order.
    data : dict of str to DataFrame
        Its analysis set: columns of `association.analysis_set` and the baseline covariates.
    excluded : DataFrame
        Ledger without STEP; REASON begins with the endpoint.
    cohort : Cohort
        The tables, `admr` as the population leaves it.
    everyone : DataFrame
        `admr` before the population was applied.
    """

    timepoint: str
    analyses: dict[str, Analysis]
    data: dict[str, pd.DataFrame]
    excluded: pd.DataFrame
    cohort: Cohort
    everyone: pd.DataFrame

    def each(self, family: Callable[..., pd.DataFrame], *given) -> pd.DataFrame:
        """Estimate one family on the analysis set of each endpoint.

        Parameters
        ----------
        family : callable
            ``family(data, analysis, *given)`` returns rows of the estimates table.
        *given
            Handed on: the plan, and the generator where the family draws.

        Returns
        -------
        DataFrame
            The rows of all endpoints, in the plan's order.
        """
        return stack([family(self.data[name], analysis, *given) for name, analysis in self.analyses.items()])

    def tabulate(self, table: Callable[..., pd.DataFrame], *given) -> pd.DataFrame:
        """Put the tables that `table` makes of each endpoint's analysis set under one another."""
        return pd.concat(
            [table(self.data[name], analysis, *given) for name, analysis in self.analyses.items()],
            ignore_index=True,
        )


def choose_timepoint(plan: Plan, decision: dict | None) -> str:
    """Return the day of the exposure's scan: baseline, the plan's fixed day, or the day the pilot chose.

    Raises
    ------
    ValueError
        If the plan leaves the day to a pilot that has not decided.
    """
    if plan.primary.exposure == "baseline_metric":
        return "D0"
    if plan.primary.timepoint != "pilot":
        return plan.primary.timepoint
    if decision is None:
        days = " or ".join(plan.design.followup_visits)
        raise ValueError(f"no decision.json: run notebook 03, or fix the day (primary.timepoint: {days})")
    return decision["timepoint"]


def prepare(cohort: Cohort, plan: Plan, *, decision: dict | None = None) -> AnalysisSets:
    """Choose the day, apply the population, move time zero to the landmark, join the covariates.

    Parameters
    ----------
    cohort : Cohort
        The tables.
    plan : Plan
        Sections design, primary, response and survival.
    decision : dict, optional
        ``decision.json`` of notebook 03.

    Returns
    -------
    AnalysisSets
        One set an endpoint.
    """
    day = choose_timepoint(plan, decision)
    if plan.primary.exposure == "baseline_metric":
        pairs = {name: _baseline_pair(cohort, plan, name, day) for name in plan.primary.endpoints}
        kept = cohort
    else:
        kept = replace(cohort, admr=apply_population(cohort.admr, cohort.adpet, plan, scans=cohort.scans))
        pairs = {name: _response_pair(kept, plan, name, day) for name in plan.primary.endpoints}
    covariates = baseline_covariates(cohort.adsl, cohort.adpet, plan)
    data = {
        name: frame.merge(covariates, on="USUBJID", how="left", validate="one_to_one")
        for name, (_, frame, _) in pairs.items()
    }
    ledgers = [
        excluded.assign(REASON=name + ": " + excluded["REASON"].astype(str))
        for name, (_, _, excluded) in pairs.items()
    ]
    analyses = {name: analysis for name, (analysis, _, _) in pairs.items()}
    return AnalysisSets(day, analyses, data, pd.concat(ledgers, ignore_index=True), kept, cohort.admr)


def estimate_main(
    sets: AnalysisSets,
    plan: Plan,
    rng: np.random.Generator,
    decision: dict | None = None,
    operating: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Estimate the main analysis of each endpoint, in the plan's order of testing, and nothing else.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`.
    plan : Plan
        Sections design, primary, pilot and survival. With overrides the main row is SENSITIVITY, not PRIMARY.
    rng : numpy.random.Generator
        For the permutations; the two-stage test draws from a child of it, so that all other numbers are the
        same with and without it.
    decision : dict, optional
        ``decision.json``, as given to `prepare`.
    operating : DataFrame, optional
        Table ``operating_characteristics``, for simulated bias and power.

    Returns
    -------
    DataFrame
        Estimates; the first row is the main hazard ratio of the primary endpoint. Directly under the main
        hazard ratio of an endpoint stands its two-stage test, where it is the reported one
        (`estimate_pilot_choice`: the pilot's outcomes chose the day); then the other estimators and tests,
        medians, S(t), follow-up and the power the events give.
    """
    cohort = sets.cohort
    if plan.primary.exposure == "baseline_metric":
        rows, _ = estimate_baseline_effect(
            cohort.adpet, cohort.adtte, plan, rng, metrics=[plan.primary.metric]
        )
        return gate(stack([rows, sets.each(estimate_follow_up, plan)]), plan)
    reason = why_uncorrected(plan, decision, cohort.adsl)
    beside = reason is None or bool(plan.overrides)
    test = {"role": "SENSITIVITY" if beside else "SECONDARY", "reported": reason is not None}
    chosen = estimate_pilot_choice(sets, plan, decision, rng.spawn(1)[0], operating)
    leads, parts = chosen["METHOD"].eq("two_stage") & (reason is None), []
    for name, analysis in sets.analyses.items():
        data, role = sets.data[name], _main_role(name, plan)
        ratios = estimate_hazard_ratio(data, analysis, plan, role=role, label="main analysis")
        if reason is None:
            ratios.loc[0, "LABEL"] += f"; {NOT_THE_TEST}"
        parts += [
            ratios.iloc[:1],
            chosen[leads & chosen["ENDPOINT"].eq(name)],
            ratios.iloc[1:],
            compare_curves(data, analysis, plan, rng, **test, note=note_of(reason)),
            describe_groups(data, analysis, plan),
            estimate_follow_up(data, analysis, plan),
        ]
    table = gate(stack([*parts, chosen[~leads]]), plan)
    return stack([table, estimate_power(table, plan)])


def _main_role(endpoint: str, plan: Plan) -> str:
    if plan.overrides:
        return "SENSITIVITY"
    return "PRIMARY" if endpoint == plan.primary.endpoint else "SECONDARY"


def estimate_power(main: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return one row: the power to find the plan's hazard ratio with the events seen."""
    row = main.iloc[[0]].copy()
    patients = row["N_EXPOSED"] + row["N_REFERENCE"]
    share = float((row["N_EXPOSED"] / patients).iloc[0]) if patients.iloc[0] else 0.0
    ratio = plan.survival.power_hr
    power = schoenfeld_power(int(row["EVENTS"].iloc[0]), share, ratio, alpha=plan.primary.alpha)
    missing = {name: np.nan for name in ("LOWER", "UPPER", "P")}
    what = (
        "power of a test on a day fixed in advance"
        if is_corrected(main, row["ENDPOINT"].iloc[0])
        else "power"
    )
    label = f"{what} to find a hazard ratio of {ratio:g} with these events (Schoenfeld)"
    return row.assign(
        METHOD="power", ESTIMATOR=None, TIES=None, ESTIMATE=power, ROLE="DESCRIPTIVE", LABEL=label, **missing
    )


def tabulate_landmark_curves(data: pd.DataFrame, analysis: Analysis, plan: Plan) -> pd.DataFrame:
    """Tabulate the curves from the landmark as table ``curves`` wants them."""
    return tabulate_curves(data, analysis, plan).assign(CURVE="landmark")


def tabulate_sets(sets: AnalysisSets) -> pd.DataFrame:
    """Tabulate who is analysed, as table ``analysis_set`` wants it."""
    return sets.tabulate(tabulate_set)


def _response_pair(cohort: Cohort, plan: Plan, endpoint: str, day: str):
    analysis = main_analysis(cohort.admr, plan, timepoint=day, endpoint=endpoint)
    return analysis, *analysis_set(analysis, cohort.admr, cohort.adtte, cohort.adsl, plan)


def _baseline_pair(cohort: Cohort, plan: Plan, endpoint: str, day: str):
    metric = plan.primary.metric
    data, excluded = baseline_set(
        cohort.adpet, cohort.adtte, plan, metric=metric, endpoint=endpoint, timepoint=day
    )
    cut = float(data["value"].median()) if len(data) else np.nan
    place = (endpoint, plan.primary.population, "none", day, metric, "median_split", cut, HIGH, LOW)
    data = data.assign(SCORE=data["log2"], STARTDELAY=0.0)
    return Analysis(*place, scale="value"), data, excluded
