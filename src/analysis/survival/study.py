"""The whole of step 04 in one call: exposure and outcome in; estimates, curves, sets and ledger out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.plan import Plan
from analysis.survival.association import (
    analysis_set,
    estimate_censoring_sensitivity,
    estimate_response_effect,
    gate,
    main_analysis,
)
from analysis.survival.baseline import HIGH, LOW, baseline_set, estimate_baseline_effect
from analysis.survival.estimates import Analysis, estimate_hazard_ratio, stack, tabulate_curves, tabulate_set
from analysis.survival.power import schoenfeld_power


@dataclass(frozen=True)
class Association:
    """What notebook 04 shows and saves.

    Attributes
    ----------
    timepoint : str
        Day of the scan the exposure comes from.
    estimates, curves, sets, exclusions : DataFrame
        Tables ``estimates``, ``curves``, ``analysis_set`` and ``exclusions_04`` (without STEP); REASON of an
        exclusion begins with the endpoint.
    """

    timepoint: str
    estimates: pd.DataFrame
    curves: pd.DataFrame
    sets: pd.DataFrame
    exclusions: pd.DataFrame


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
        raise ValueError("no decision.json: run notebook 03, or fix the day (primary.timepoint: D14)")
    return decision["timepoint"]


def analyse(
    admr: pd.DataFrame,
    adpet: pd.DataFrame,
    adtte: pd.DataFrame,
    adsl: pd.DataFrame,
    adtte_sensitivity: pd.DataFrame,
    plan: Plan,
    rng: np.random.Generator,
    *,
    decision: dict | None = None,
    scans: pd.DataFrame | None = None,
) -> Association:
    """Relate the plan's exposure to each endpoint: main analysis first, then sensitivity, then exploration.

    Parameters
    ----------
    admr, adpet, adtte, adsl, adtte_sensitivity : DataFrame
        Tables of these names.
    plan : Plan
        Sections design, primary, response and survival.
    rng : numpy.random.Generator
        For the permutations.
    decision : dict, optional
        ``decision.json`` of notebook 03.
    scans : DataFrame, optional
        ``scan_qc``, which the population ``on_drug`` needs.

    Returns
    -------
    Association
        See there; the first row of ``estimates`` is the main hazard ratio of the primary endpoint.
    """
    day = choose_timepoint(plan, decision)
    everyone, admr = admr, apply_population(admr, adpet, plan, scans=scans)
    baseline, baseline_out = estimate_baseline_effect(adpet, adtte, plan, rng)
    if plan.primary.exposure == "baseline_metric":
        pairs = [_baseline_pair(adpet, adtte, plan, endpoint, day) for endpoint in plan.primary.endpoints]
        return Association(day, gate(baseline, plan), *_tabulate(pairs, plan), _of_metric(baseline_out, plan))
    main, excluded = estimate_response_effect(admr, adtte, adsl, plan, rng, timepoint=day)
    analyses = [main_analysis(admr, plan, timepoint=day, endpoint=name) for name in plan.primary.endpoints]
    censoring = estimate_censoring_sensitivity(analyses[0], admr, adtte_sensitivity, adsl, plan)
    pairs = [(analysis, analysis_set(analysis, admr, adtte, adsl, plan)[0]) for analysis in analyses]
    others = [
        row
        for analysis in analyses
        for row in _estimate_populations(analysis, everyone, adpet, adtte, adsl, plan, scans)
    ]
    table = stack([main, estimate_power(main, plan), *others, censoring, baseline])
    return Association(day, gate(table, plan), *_tabulate(pairs, plan), excluded)


def _estimate_populations(analysis, admr, adpet, adtte, adsl, plan, scans) -> list[pd.DataFrame]:
    """Estimate the main hazard ratio in the plan's other populations, as far as they are known."""
    parts = []
    for name in plan.primary.populations_shown:
        if name == analysis.population:
            continue
        try:
            kept = apply_population(admr, adpet, plan, scans=scans, population=name)
        except ValueError:
            continue  # who belongs to it is not known in this study
        other = replace(analysis, population=name)
        data, _ = analysis_set(other, kept, adtte, adsl, plan)
        role = {"role": "SENSITIVITY", "label": "other population", "main_only": True}
        parts.append(estimate_hazard_ratio(data, other, plan, **role))
    return parts


def apply_population(
    admr: pd.DataFrame,
    adpet: pd.DataFrame,
    plan: Plan,
    *,
    scans: pd.DataFrame | None = None,
    population: str | None = None,
) -> pd.DataFrame:
    """Return `admr` with whoever is outside the plan's population not evaluable: the ledger lists her.

    Parameters
    ----------
    admr, adpet : DataFrame
        Tables of these names.
    plan : Plan
        Sections primary (`population`) and response (`off_drug_max_days`).
    scans : DataFrame, optional
        ``scan_qc``; its OFFDRUG7 (days without drug in the seven before the scan) says who is ``on_drug``.
    population : str, optional
        Instead of the plan's.

    Returns
    -------
    DataFrame
        `admr`. ``all_scans`` keeps every class. ``fdg_evaluable`` asks for a baseline lesion with EVALFL
        equal to Y (else NEREAS NOT_FDG_EVALUABLE), ``comparable`` for PPFL equal to Y (else
        SCANS_NOT_COMPARABLE), ``on_drug`` for at most the plan's days off drug before that visit's scan
        (else OFF_DRUG); whose days are unknown stays, with OFF_DRUG_UNKNOWN among her FLAGS.

    Raises
    ------
    ValueError
        POPULATION_UNKNOWN if the table that says who belongs to the population does not say it of anyone.
    """
    population = plan.primary.population if population is None else population
    if population == "all_scans":
        return admr
    if population == "on_drug":
        return _keep_on_drug(admr, scans, plan.response.off_drug_max_days)
    if population == "comparable":
        if "PPFL" not in admr:
            raise ValueError("POPULATION_UNKNOWN: admr has no PPFL; run notebook 02 again")
        return _set_aside(admr, admr["PPFL"].ne("Y"), "SCANS_NOT_COMPARABLE")
    baseline = adpet[adpet["AVISIT"].eq("D0") & adpet["ROLE"].eq("LESION")]
    evaluable = baseline.loc[baseline["EVALFL"].eq("Y"), "USUBJID"].unique()
    return _set_aside(admr, ~admr["USUBJID"].isin(evaluable), "NOT_FDG_EVALUABLE")


def _set_aside(admr: pd.DataFrame, outside: pd.Series, reason: str) -> pd.DataFrame:
    """Make the rows `outside` not evaluable, for `reason` where they had none of their own."""
    kept = admr.copy()
    kept.loc[outside & admr["MRESP"].ne("NE"), ["AVALC", "MRESP", "NEREAS"]] = ["NE", "NE", reason]
    return kept


def _keep_on_drug(admr: pd.DataFrame, scans: pd.DataFrame | None, most: float) -> pd.DataFrame:
    if scans is None or "OFFDRUG7" not in scans or scans["OFFDRUG7"].isna().all():
        raise ValueError(
            "POPULATION_UNKNOWN: no scan has its days off drug (scan_qc OFFDRUG7); send EX, or choose "
            "another primary.population"
        )
    key = ["USUBJID", "AVISIT"]
    days = scans.dropna(subset=key).groupby(key)["OFFDRUG7"].max()
    days = days.reindex(pd.MultiIndex.from_frame(admr[key])).set_axis(admr.index)
    kept = _set_aside(admr, days > most, "OFF_DRUG")
    unknown = days.isna() & admr["MRESP"].ne("NE")
    flags = kept["FLAGS"] if "FLAGS" in kept else pd.Series(None, index=kept.index, dtype=object)
    marked = [
        f"{old};OFF_DRUG_UNKNOWN" if isinstance(old, str) and old else "OFF_DRUG_UNKNOWN" for old in flags
    ]
    return kept.assign(FLAGS=flags.mask(unknown, pd.Series(marked, index=kept.index)))


def estimate_power(main: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return one row: the power to find the plan's hazard ratio with the events seen."""
    row = main.iloc[[0]].copy()
    patients = row["N_EXPOSED"] + row["N_REFERENCE"]
    share = float((row["N_EXPOSED"] / patients).iloc[0]) if patients.iloc[0] else 0.0
    ratio = plan.survival.power_hr
    power = schoenfeld_power(int(row["EVENTS"].iloc[0]), share, ratio, alpha=plan.primary.alpha)
    missing = {name: np.nan for name in ("LOWER", "UPPER", "P")}
    label = f"power to find a hazard ratio of {ratio:g} with these events (Schoenfeld)"
    return row.assign(
        METHOD="power", ESTIMATOR=None, TIES=None, ESTIMATE=power, ROLE="DESCRIPTIVE", LABEL=label, **missing
    )


def _tabulate(pairs: list[tuple[Analysis, pd.DataFrame]], plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    curves = [tabulate_curves(data, analysis, plan) for analysis, data in pairs]
    sets = [tabulate_set(data, analysis) for analysis, data in pairs]
    return pd.concat(curves, ignore_index=True), pd.concat(sets, ignore_index=True)


def _baseline_pair(adpet, adtte, plan: Plan, endpoint: str, day: str) -> tuple[Analysis, pd.DataFrame]:
    metric = plan.primary.metric
    data, _ = baseline_set(adpet, adtte, plan, metric=metric, endpoint=endpoint, timepoint=day)
    cut = float(data["value"].median()) if len(data) else np.nan
    place = (endpoint, plan.primary.population, "none", day, metric, "median_split", cut, HIGH, LOW)
    return Analysis(*place), data


def _of_metric(excluded: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Keep the primary metric's rows as subjects left out; those of another metric are records left out."""
    mark = f", {plan.primary.metric}: "
    main = excluded["REASON"].str.contains(mark, regex=False)
    item = np.where(main, excluded["ITEM"], "record")
    return excluded.assign(ITEM=item, REASON=excluded["REASON"].str.replace(mark, ": ", regex=False))
