"""Specification curve: one hazard ratio for every set of choices a reviewer would accept, tested jointly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis import contracts
from analysis.plan import Plan
from analysis.survival.association.estimates import (
    EXPOSED,
    REFERENCE,
    Analysis,
    estimate_hazard_ratio,
    estimates_table,
    stack,
)
from analysis.survival.association.sets import is_post_hoc
from analysis.survival.association.specification_choices import (
    list_specifications,
    populations_of,
)
from analysis.survival.association.specification_sides import Sides, gather_sides
from analysis.survival.association.study import AnalysisSets
from analysis.survival.multiverse import joint_permutation_test

_NUMBERS = ["ESTIMATOR", "ESTIMATE", "LOWER", "UPPER", "P", "N", "EVENTS", "N_EXPOSED", "EVENTS_EXPOSED"]
_NULL = {"LOWER": "NULL_LOWER", "MEDIAN": "NULL_MEDIAN", "UPPER": "NULL_UPPER"}
_METHODS = {
    "median_abs_log_hr": "curve_median",
    "share_significant": "curve_share",
    "stouffer_z": "curve_stouffer",
    "any_significant": "curve_any",
    "same_side": "curve_side",
}
# No tests of their own: what a curve without effect looks like, to judge the observed one by.
_EXPECTED = ("curve_any", "curve_side")
_ONE_SCAN = "The exposure is read from one scan: there is no rule, cut or day of response to vary."
_REFUSED = "not estimable: "


@dataclass(frozen=True)
class SpecificationCurve:
    """The specifications and what they say together.

    Attributes
    ----------
    table : DataFrame
        Table ``specifications``; without rows where the exposure is the baseline scan.
    tests : DataFrame
        Estimates rows ``curve_median``, ``curve_share`` and ``curve_stouffer``: ESTIMATE is the statistic
        observed, P its joint permutation p, LABEL says how many specifications and permutations and what is
        expected without effect. Rows ``curve_any`` and ``curve_side``: ESTIMATE is the share of permutations
        in which any specification is significant, or all lie on one side of 1; without P. Without rows where
        nothing could be estimated.
    reason : str
        Why there is no specification, as a sentence; empty where there are some.
    """

    table: pd.DataFrame
    tests: pd.DataFrame
    reason: str = ""


def estimate_specifications(sets: AnalysisSets, plan: Plan, rng: np.random.Generator) -> SpecificationCurve:
    """Estimate the hazard ratio under every specification of the plan, and test the whole curve.

    Each is estimated as the main analysis is: the plan's main estimator, Firth in a population that leaves
    out patients. Its p is not corrected for the others; the joint tests are: whole rows of the exposure side
    are permuted against outcomes among patients with scans on the same days (`specification_sides` says what
    belongs to which side). They and the null curve rest on maximum likelihood throughout.

    Parameters
    ----------
    sets : AnalysisSets
        From `prepare`; `needed_classes` says what its response table should hold.
    plan : Plan
        Sections specification, primary, survival, response, clinical and design.
    rng : numpy.random.Generator
        For the permutations.

    Returns
    -------
    SpecificationCurve
        What could not be applied or estimated is a row with its reason.

    Raises
    ------
    ValueError
        For a choice of the plan that no analysis knows.

    References
    ----------
    Simonsohn, Simmons and Nelson, Nat Hum Behav 2020;4:1208-14.
    """
    listed = list_specifications(sets, plan)
    if listed.empty:
        return SpecificationCurve(contracts.empty("specifications"), estimates_table([]), _ONE_SCAN)
    asked = listed[listed["STATUS"].eq("ESTIMATED")]
    analyses = [_analysis_of(row, sets, plan) for row in asked.to_dict("records")]
    sides = _sides_of(analyses, sets, plan)
    rows = [_estimate(one, k, sides, plan) for k, one in enumerate(analyses)]
    found = pd.concat([listed, stack(rows)[[*_NUMBERS, "LABEL"]].set_axis(asked.index)], axis=1)
    refused = found["STATUS"].eq("ESTIMATED") & found["ESTIMATE"].isna()
    found.loc[refused, "REASON"] = found.loc[refused, "LABEL"].str.split(_REFUSED).str[-1]
    found.loc[refused, "STATUS"] = "NOT_ESTIMABLE"
    known = found["STATUS"].eq("ESTIMATED")
    found["RANK"] = found.loc[known, "ESTIMATE"].rank(method="first")
    tests, null = _test(sides, np.flatnonzero(known[asked.index]), plan, rng)
    found = found.merge(null, on="RANK", how="left", validate="many_to_one")
    table = found[contracts.columns("specifications")]
    return SpecificationCurve(contracts.check("specifications", table), tests)


def _analysis_of(row: dict, sets: AnalysisSets, plan: Plan) -> Analysis:
    return replace(
        sets.analyses[plan.primary.endpoint],
        endpoint=row["CENSORING"],
        population=row["POPULATION"],
        landmark=row["LANDMARK"],
        timepoint=row["TIMEPOINT"],
        metric=row["METRIC"],
        rule=row["RULE"],
        cut=row["CUT"],
        post_hoc=is_post_hoc(row["CUT"], plan),
    )


def _sides_of(analyses: list[Analysis], sets: AnalysisSets, plan: Plan) -> Sides | None:
    """Lay out the specifications and, after them, each one again in the plan's own population."""
    if not analyses:
        return None
    tables = {name: admr for name, admr in populations_of(sets, plan).items() if not isinstance(admr, str)}
    usual = [replace(one, population=plan.primary.population) for one in analyses]
    return gather_sides([*analyses, *usual], tables, sets, plan)


def _estimate(one: Analysis, column: int, sides: Sides, plan: Plan) -> pd.DataFrame:
    data, usual = (sides.data(k) for k in (column, column + sides.time.shape[1] // 2))
    subgroup = not set(usual["USUBJID"]) <= set(data["USUBJID"])
    return estimate_hazard_ratio(data, one, plan, role="SENSITIVITY", main_only=True, subgroup=subgroup)


def _test(
    sides: Sides | None, columns: np.ndarray, plan: Plan, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of the joint tests, and the null curve by RANK."""
    if sides is None or not len(columns):
        return estimates_table([]), pd.DataFrame(columns=["RANK", *_NULL.values()], dtype=float)
    found = joint_permutation_test(
        sides.time[:, columns],
        sides.event[:, columns],
        sides.exposed[:, columns],
        sides.strata,
        plan.specification.permutations,
        rng,
        ties=plan.survival.ties_ml,
        alpha=plan.primary.alpha,
    )
    null = found.null.rename(columns=_NULL)[["RANK", *_NULL.values()]].astype(float)
    return _test_rows(found.tests, len(columns), len(sides.subjects), plan), null


def _test_rows(tests: pd.DataFrame, specifications: int, patients: int, plan: Plan) -> pd.DataFrame:
    alpha, permutations = plan.primary.alpha, plan.specification.permutations
    count = f"{specifications} specification{'s' if specifications > 1 else ''}"
    labels = {
        "curve_median": f"median |ln hazard ratio| of {count}; {{:.2f}}",
        "curve_share": f"share of {count} with p < {alpha:g}, in either direction; {{:.1%}}",
        "curve_stouffer": f"Stouffer Z of {count}, above 0 where non-responders do worse; {{:.2f}}",
        "curve_any": f"share of curves of {count} with any p < {alpha:g}",
        "curve_side": f"share of curves of {count} that lie on one side of 1",
    }
    same = {"ENDPOINT": plan.primary.endpoint, "CONTRAST": EXPOSED, "REFERENCE": REFERENCE, "N": patients}
    same |= {"ESTIMATOR": "ML", "TIES": plan.survival.ties_ml, "ROLE": "SENSITIVITY"}
    rows = []
    for row in tests.to_dict("records"):
        method = _METHODS[row["statistic"]]
        said = labels[method].format(row["expected"]).replace("%", " %")
        scans = f"({permutations:,} permutations of the scans)"
        numbers = {"ESTIMATE": row["observed"], "P": row["p"]}
        numbers["LABEL"] = f"joint test: {said} expected without effect {scans}"
        if method in _EXPECTED:
            numbers = {"ESTIMATE": row["expected"], "LABEL": f"without any effect: {said} {scans}"}
        rows.append({**same, "METHOD": method, **numbers})
    return estimates_table(rows)
