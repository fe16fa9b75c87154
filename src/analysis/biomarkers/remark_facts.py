"""The facts of a run that the REMARK checklist asks for, computed from plan and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.plasma import DETECTED, NOT_ASSESSABLE, NOT_DETECTED, select_visit
from analysis.contracts.biomarkers import METHODS, PARTYPES

_MOST = 3
_CODING = {
    "MUT": "mutated or not",
    "CNA": "amplified or deleted or not",
    "EXPR": "expression per standard deviation",
    "SIGN": "score per standard deviation",
    "LEVEL": "level per standard deviation",
    "CTDNA": "ctDNA detected or not",
}


def collect_facts(
    plan, outcomes: pd.DataFrame, adbm: pd.DataFrame, results: Mapping[str, pd.DataFrame]
) -> dict[str, Any]:
    """Collect the facts that a run knows of itself; what only the protocol knows is not among them.

    Parameters
    ----------
    plan : Plan
        The plan in force.
    outcomes : DataFrame
        As `assemble_outcomes`.
    adbm : DataFrame
        Table adbm.
    results : mapping
        ``estimates``, ``layers``, ``profile``, ``exclusions``, ``queries``: tables of this run.

    Returns
    -------
    dict
        Names as `analysis.tables.fact_names`; a fact that does not apply is absent.
    """
    rules = plan.biomarkers
    facts = {**_design(plan), **_coding(adbm), **_samples(outcomes, adbm, rules), **_found(adbm, rules)}
    for endpoint in ("PFS", "OS"):
        if f"{endpoint}_EVENT" in outcomes:
            facts[f"n_events_{endpoint}"] = int(outcomes[f"{endpoint}_EVENT"].sum())
    return facts | _results(results, rules)


def _design(plan) -> dict[str, Any]:
    rules, primary = plan.biomarkers, plan.primary
    return {
        "objective": "which markers go with metabolic non-response and with a shorter course",
        "candidates": ", ".join(rules.candidate_genes),
        "design": f"{plan.design.title or plan.study}; {plan.design.kind} data",
        "endpoints": ", ".join(primary.endpoints),
        "response_definition": f"rule {primary.response_rule} on {primary.metric}",
        "response_cut": f"a fall of less than {primary.cut_percent:g} % is non-response, set in the plan",
        "min_prevalence": rules.min_prevalence_n,
        "fdr_level": rules.fdr_level,
        "fwer_level": rules.fwer_level,
        "permutations": rules.permutations,
        "sample_preference": ", then ".join(name.lower() for name in rules.sample_preference),
        "missing_data": "no tissue is not wild type and a failed assay is not negative: a missing layer is "
        "missing, and every analysis takes those who have what it needs",
    }


def _coding(adbm: pd.DataFrame) -> dict[str, Any]:
    """Say which kinds of markers the run has and how each entered: those of the table, no others."""
    kinds = [kind for kind in _CODING if adbm["PARTYPE"].eq(kind).any()]
    if not kinds:
        return {}
    facts = {"markers": ", ".join(PARTYPES[kind] for kind in kinds)}
    facts["marker_coding"] = ", ".join(_CODING[kind] for kind in kinds)
    if "CTDNA" in kinds:
        facts["ctdna_coding"] = (
            "detected or not at a visit; survival from first dose for the baseline draw, later from the draw "
            "or, without dates, from a fixed day"
        )
    return facts


def _samples(outcomes: pd.DataFrame, adbm: pd.DataFrame, rules) -> dict[str, Any]:
    tumour = adbm[adbm["PARTYPE"].isin(["MUT", "CNA", "EXPR"]) & adbm["SAMPTYPE"].ne("PLASMA")]
    draws = adbm[adbm["PARAMCD"].eq("CTDNA")]
    response = outcomes["NONRESPONSE"]
    facts: dict[str, Any] = {"n_patients": len(outcomes), "n_response": int(response.notna().sum())}
    if len(tumour):
        facts |= {"n_tumour_samples": tumour["SAMPLEID"].nunique()}
        facts |= {"n_tumour_patients": tumour["USUBJID"].nunique()}
    if len(draws):
        facts |= {"n_plasma_samples": len(draws), "n_plasma_patients": draws["USUBJID"].nunique()}
        facts["n_plasma_failed"] = int(draws["AVALC"].eq(NOT_ASSESSABLE).sum())
        limits = draws["LOD"].dropna().unique()
        assays = sorted(draws["ASSAY"].dropna().unique())
        facts["lod"] = ", ".join(f"{limit:g}" for limit in np.sort(limits)) if len(limits) else None
        facts["assays"] = ", ".join(assays) if assays else None
    absent = {
        "no metabolic class": int(response.isna().sum()),
        "no tumour sample": len(outcomes) - int(outcomes.index.isin(tumour["USUBJID"]).sum()),
        "no plasma": len(outcomes) - int(outcomes.index.isin(draws["USUBJID"]).sum()),
    }
    return facts | {"missing_counts": ", ".join(f"{what} {count}" for what, count in absent.items())}


def _found(adbm: pd.DataFrame, rules) -> dict[str, Any]:
    mutated = preferred_rows(adbm, "MUT", rules=rules)
    assessed = mutated[mutated["AVALC"].isin(["MUTATED", "WT"])]
    counts = assessed.groupby("PARAMCD")["AVALC"].agg(n="size", k=lambda words: (words == "MUTATED").sum())
    first = counts[counts["k"] > 0].sort_values(["k"], ascending=False, kind="stable").head(_MOST)
    facts = {}
    if len(first):
        facts["most_altered"] = ", ".join(f"{gene} {row.k}/{row.n}" for gene, row in first.iterrows())
    called = select_visit(adbm, rules.baseline_visit)["AVALC"]
    called = called[called.isin([DETECTED, NOT_DETECTED])]
    if len(called):
        facts["ctdna_baseline"] = f"detected in {int(called.eq(DETECTED).sum())} of {len(called)}"
    return facts


def _results(results: Mapping[str, pd.DataFrame], rules) -> dict[str, Any]:
    estimates, layers, profile = results["estimates"], results["layers"], results["profile"]
    told = estimates[estimates["ESTIMATE"].notna()]
    listed = estimates.drop_duplicates(["MARKER", "PARTYPE"])
    tested = estimates[estimates["TESTED"].eq("Y")].drop_duplicates(["MARKER", "PARTYPE"])
    small = told[told["P_MAXT"].le(rules.fwer_level)].drop_duplicates(["MARKER", "PARTYPE", "OUTCOME"])
    names = [f"{row.MARKER} ({row.OUTCOME})" for row in small.itertuples()]
    facts = {
        "n_markers": len(listed),
        "n_tested": len(tested),
        "n_tests": len(told),
        "methods": "; ".join(
            METHODS[code].replace("; ", ", ") for code in METHODS if code in set(estimates["METHOD"])
        ),
        "standing_out": ", ".join(names) if names else "none",
        "n_excluded": len(results["exclusions"]),
        "n_queries": len(results["queries"]),
        "analyses_run": "; ".join(layers.loc[layers["STATUS"].eq("RUN"), "TITLE"]),
        "analyses_not_run": "; ".join(layers.loc[layers["STATUS"].ne("RUN"), "TITLE"]) or "none",
    }
    if len(profile):
        clinical = profile.loc[profile["SECTION"].eq("CLINICAL"), "CHARACTERISTIC"].unique()
        facts["clinical_variables"] = ", ".join(clinical) or None
        facts["n_profile"] = profile["CHARACTERISTIC"].nunique()
        facts["n_profile_small"] = int(profile["Q_BH"].le(rules.fdr_level).sum())
    both = told[told["METHOD"].eq("cox_additive")]
    if len(both):
        facts["combined"] = "; ".join(
            f"{row.OUTCOME}: {row.MARKER} {row.ESTIMATE:.2f} ({row.LOWER:.2f} to {row.UPPER:.2f})"
            for row in both.itertuples()
        )
    return facts
