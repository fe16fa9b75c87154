"""The facts of a run that the REMARK checklist asks for, computed from plan and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.biomarkers.association import preferred_rows
from analysis.biomarkers.plasma import DETECTED, NOT_ASSESSABLE, NOT_DETECTED, select_visit
from analysis.contracts.biomarkers import ANALYSES, METHODS, PARTYPES

_MOST = 3
_AS_SENT = "reported"  # the response rule of a study whose classes came as words
_NO_TUMOUR = ("PLASMA", "IMAGING")
_CLOCK = "time zero: "
_KINDS = {"MUT": "mutated", "PATH": "pathway altered", "EXPR": "expression", "SIGN": "score"}
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
    estimates = results["estimates"]
    facts = {**_design(plan), **_coding(adbm, estimates), **_ready(adbm, estimates)}
    facts |= {**_samples(outcomes, adbm, rules), **_found(adbm, rules)}
    for endpoint in ("PFS", "OS"):
        if f"{endpoint}_EVENT" in outcomes:
            facts[f"n_events_{endpoint}"] = int(outcomes[f"{endpoint}_EVENT"].sum())
    return facts | _results(results, rules)


def _design(plan) -> dict[str, Any]:
    rules, primary = plan.biomarkers, plan.primary
    facts = {
        "objective": "which markers go with metabolic non-response and with a shorter course",
        "design": f"{plan.design.title or plan.study}; {plan.design.kind} data{_pilot(plan)}",
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
    if primary.response_rule == _AS_SENT:
        facts["response_definition"] = f"the class of {primary.metric} as it was sent"
        facts["response_cut"] = "none here, the class as it was sent"
    if "04" in plan.design.steps and (plan.survival.adjust or plan.survival.adjust_singly):
        facts["adjusted"] = (
            "no marker beside clinical variables; the response adjusted for covariates: notebook 04"
        )
    return facts


def _pilot(plan) -> str:
    """Name the pilot phase, where the plan takes its time point from one."""
    size = plan.design.pilot_n if plan.primary.timepoint == "pilot" else 0
    return f"; a pilot phase of {size} patients chose the time point of the early scan" if size else ""


def _coding(adbm: pd.DataFrame, estimates: pd.DataFrame) -> dict[str, Any]:
    """Say which kinds of markers the run has and how each entered: those of the table, no others."""
    kinds = [kind for kind in _CODING if adbm["PARTYPE"].eq(kind).any()]
    if not kinds:
        return {}
    facts = {"markers": ", ".join(PARTYPES[kind] for kind in kinds)}
    facts["marker_coding"] = ", ".join(_CODING[kind] for kind in kinds)
    if "CTDNA" in kinds:
        facts["ctdna_coding"] = "; ".join(["detected or not at a visit", *_clocks(estimates)])
    return facts


def _clocks(estimates: pd.DataFrame) -> list[str]:
    """Say from when survival runs by visit, in the words of the rows' own notes: the two cannot differ."""
    own = estimates[estimates["ANALYSIS"].isin(["ctdna", "clearance"])]
    visits: dict[str, list[str]] = {}
    for visit, note in zip(own["AVISIT"], own["NOTE"]):
        for part in str(note).split("; "):
            if part.startswith(_CLOCK) and visit not in visits.setdefault(part.removeprefix(_CLOCK), []):
                visits[part.removeprefix(_CLOCK)].append(visit)
    named = {clock: [str(visit) for visit in at if str(visit) not in clock] for clock, at in visits.items()}
    said = [f"{clock} ({', '.join(at)})" if at else clock for clock, at in named.items()]
    return [f"survival runs from: {'; '.join(said)}"] if said else []


def _ready(adbm: pd.DataFrame, estimates: pd.DataFrame) -> dict[str, Any]:
    """Name the levels and changes of ctDNA that came ready and were related to an outcome."""
    sent = adbm["PARTYPE"].eq("LEVEL") | (
        adbm["PARTYPE"].eq("CTDNA") & ~adbm["PARAMCD"].isin(["CTDNA", "TUMFRAC"])
    )
    related = estimates.loc[
        estimates["ANALYSIS"].isin(["level", "ctdna"]) & estimates["ESTIMATE"].notna(), "MARKER"
    ]
    names = [name for name in adbm.loc[sent, "PARAMCD"].unique() if name in set(related)]
    return {"ready_markers": ", ".join(names)} if names else {}


def _samples(outcomes: pd.DataFrame, adbm: pd.DataFrame, rules) -> dict[str, Any]:
    tumour = adbm[adbm["PARTYPE"].isin(["MUT", "CNA", "EXPR"]) & adbm["SAMPTYPE"].ne("PLASMA")]
    sent = adbm["PARTYPE"].eq("LEVEL") & ~adbm["SAMPTYPE"].isin(_NO_TUMOUR) & adbm["AVAL"].notna()
    ready = adbm[sent]
    draws = adbm[adbm["PARAMCD"].eq("CTDNA")]
    response = outcomes["NONRESPONSE"]
    facts: dict[str, Any] = {"n_patients": len(outcomes), "n_response": int(response.notna().sum())}
    if len(tumour):
        facts |= {"n_tumour_samples": tumour["SAMPLEID"].nunique()}
        facts |= {"n_tumour_patients": tumour["USUBJID"].nunique()}
    if len(ready):
        facts["tumour_ready"] = ", ".join(ready["PARAMCD"].unique())
        facts["n_tumour_ready"] = ready["USUBJID"].nunique()
    if len(draws):
        facts |= {"n_plasma_samples": len(draws), "n_plasma_patients": draws["USUBJID"].nunique()}
        facts["n_plasma_failed"] = int(draws["AVALC"].eq(NOT_ASSESSABLE).sum())
        limits = draws["LOD"].dropna().unique()
        # A cell may name two assays: each is told once.
        assays = sorted({name.strip() for cell in draws["ASSAY"].dropna() for name in cell.split(",")})
        facts["lod"] = ", ".join(f"{limit:g}" for limit in np.sort(limits)) if len(limits) else None
        facts["assays"] = ", ".join(assays) if assays else None
    known = outcomes.index.isin([*tumour["USUBJID"], *ready["USUBJID"]])
    absent = {
        "no class of response": int(response.isna().sum()),
        f"no tumour {'sample or marker' if len(ready) else 'sample'}": len(outcomes) - int(known.sum()),
        "no plasma": len(outcomes) - int(outcomes.index.isin(draws["USUBJID"]).sum()),
    }
    return facts | {"missing_counts": ", ".join(f"{what} {count}" for what, count in absent.items())}


def _found(adbm: pd.DataFrame, rules) -> dict[str, Any]:
    mutated = preferred_rows(adbm, "MUT", rules=rules)
    assessed = mutated[mutated["AVALC"].isin(["MUTATED", "WT"])]
    counts = assessed.groupby("PARAMCD")["AVALC"].agg(n="size", k=lambda words: (words == "MUTATED").sum())
    first = counts[counts["k"] > 0].sort_values(["k"], ascending=False, kind="stable").head(_MOST)
    genes = [gene for gene in rules.candidate_genes if gene in counts.index]
    facts = {"candidates": ", ".join(genes)} if genes else {}
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
    names = [f"{_named(row)} ({_plain(row.OUTCOME)})" for row in small.itertuples()]
    # A test of several classes has a p-value and no estimate.
    used = set(estimates.loc[estimates["ESTIMATE"].notna() | estimates["P"].notna(), "METHOD"])
    facts = {
        "n_markers": len(listed),
        "n_tested": len(tested),
        "n_tests": len(told),
        "n_intervals": int((told["LOWER"].notna() & told["UPPER"].notna()).sum()),
        "tested_by_analysis": _count_tested(estimates),
        "methods": "; ".join(METHODS[code].replace("; ", ", ") for code in METHODS if code in used),
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
    both = estimates[estimates["METHOD"].eq("cox_additive")]
    if len(both):
        known = both[both["ESTIMATE"].notna()]
        said = (
            f"{row.OUTCOME}: {row.MARKER} {row.ESTIMATE:.2f} ({row.LOWER:.2f} to {row.UPPER:.2f})"
            for row in known.itertuples()
        )
        facts["combined"] = "; ".join(said) or "not estimable"
    return facts


def _count_tested(estimates: pd.DataFrame) -> str:
    """Count the markers tested of those listed, analysis by analysis."""
    markers = estimates["MARKER"].astype(str) + "|" + estimates["AVISIT"].astype("string").fillna("")
    counts = []
    for code in [code for code in ANALYSES if estimates["ANALYSIS"].eq(code).any()]:
        own = estimates["ANALYSIS"].eq(code)
        tested = markers[own & estimates["TESTED"].eq("Y")].nunique()
        counts.append(f"{ANALYSES[code]} {tested} of {markers[own].nunique()}")
    return "; ".join(counts)


def _named(row: Any) -> str:
    """Name a marker and what of it: the mutation, the expression, the score."""
    words = _KINDS.get(row.PARTYPE)
    return f"{row.MARKER} {words}" if words else row.MARKER


def _plain(outcome: str) -> str:
    """Write a binary outcome that the study named (NO_OBJECTIVE_RESPONSE) in small letters."""
    return outcome.replace("_", " ").lower() if "_" in outcome else outcome
