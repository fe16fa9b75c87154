"""Relate markers that are present or absent to non-response, percent change and endpoints. Exploratory, all.

Direction, always: alteration present against absent, detected against not detected. An odds ratio or hazard
ratio above 1, or a positive shift or correlation of the percent change, goes with resistance.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.effects import (
    Effect,
    estimate_firth_odds_ratio,
    estimate_fisher,
    estimate_hazard_ratio,
    estimate_rank_correlation,
    estimate_shift,
)
from analysis.biomarkers.families import Design, Method, estimate_families
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED
from analysis.biomarkers.rows import Analysis
from analysis.survival.outcome import NotEstimable

_PRESENT = {"MUT": {"MUTATED": 1.0, "WT": 0.0}, "CTDNA": {DETECTED: 1.0, NOT_DETECTED: 0.0}}
_CNA_MARKERS = {"AMP": "AMPLIFIED", "DEL": "DELETED"}


def select_markers(
    adbm: pd.DataFrame, *, partype: str = "MUT", samptypes: Iterable[str] | None = None, rules=None
) -> pd.DataFrame:
    """Select one baseline tumour sample a subject and return its markers.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    partype : {"MUT", "CNA"}
        Kind of alteration. Copy number gives two markers a gene: ``GENE_AMP`` and ``GENE_DEL``.
    samptypes : iterable of str, optional
        Sample types, the preferred first; the plan's ``sample_preference`` if None.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    DataFrame
        Subjects x markers, both sorted: 1 present, 0 absent, NaN not assessable.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    kept = preferred_rows(adbm, partype, samptypes=samptypes, rules=rules)
    if partype != "CNA":
        return _wide(kept.assign(VALUE=kept["AVALC"].map(_PRESENT[partype])))
    level = kept["AVALC"].where(kept["AVAL"].notna())
    parts = [
        kept.assign(
            PARAMCD=kept["PARAMCD"] + "_" + short, VALUE=level.eq(word).astype(float).where(level.notna())
        )
        for short, word in _CNA_MARKERS.items()
    ]
    return _wide(pd.concat(parts))


def preferred_rows(
    adbm: pd.DataFrame, partype: str, *, samptypes: Iterable[str] | None = None, rules=None
) -> pd.DataFrame:
    """Select the adbm rows of one baseline tumour sample a subject, by preferred type, then by identifier."""
    rules = plan.defaults().biomarkers if rules is None else rules
    preference = list(rules.sample_preference if samptypes is None else samptypes)
    baseline = (adbm["PARTYPE"] == partype) & (adbm["AVISIT"] == rules.baseline_visit)
    rows = adbm[baseline & adbm["SAMPTYPE"].isin(preference)]
    return rows[rows["SAMPLEID"].isin(_preferred_samples(rows, preference))]


def _preferred_samples(rows: pd.DataFrame, preference: list[str]) -> pd.Series:
    samples = rows[["USUBJID", "SAMPLEID", "SAMPTYPE"]].drop_duplicates()
    rank = samples["SAMPTYPE"].map({name: place for place, name in enumerate(preference)})
    ordered = samples.assign(RANK=rank).sort_values(["USUBJID", "RANK", "SAMPLEID"], kind="stable")
    return ordered.drop_duplicates("USUBJID")["SAMPLEID"]


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    table = rows.set_index(["USUBJID", "PARAMCD"])["VALUE"].unstack("PARAMCD")  # noqa: PD010
    return table.sort_index().sort_index(axis=1).astype(float).rename_axis(columns="MARKER")


def estimate_associations(
    markers: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    partype: str,
    samptype: str | None,
    rng: np.random.Generator,
    analysis: str = "gene",
    avisit: str | None = None,
    tier: str | None = None,
    rules=None,
    note: str | None = None,
) -> Analysis:
    """Relate every marker to every outcome, the candidate tier first, each tier with its own error control.

    Non-response and further binary outcomes: Fisher's conditional odds ratio, beside it the Firth logistic
    one; percent change: Hodges-Lehmann shift with the Wilcoxon test, beside it Spearman's correlation;
    endpoints: Firth's Cox regression. Q_BH and P_MAXT stand on the first method of an outcome, adjusted over
    the tested markers of one tier and outcome; its companions carry none.

    A marker with fewer than ``min_prevalence_n`` subjects in either group, or named as the outcome, is listed
    with TESTED = N.

    Parameters
    ----------
    markers : DataFrame
        Subjects x markers: 1, 0, NaN (as `select_markers`).
    outcomes : DataFrame
        As `assemble_outcomes`.
    partype, samptype : str
        Kind of alteration and of sample, printed in the rows.
    rng : numpy Generator
        Source of bootstrap samples and permutations.
    analysis, avisit : str
        Analysis and visit, printed in the rows.
    tier : {None, "CANDIDATE", "SCREEN", "SINGLE"}
        Tier of all markers; None gives the plan's candidate genes one of their own.
    rules : Section, optional
        The plan's section ``biomarkers``.
    note : str, optional
        Note for every row.

    Returns
    -------
    Analysis
        Rows of table estimates_biomarkers; `reason` where nothing was or could be tested.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    return estimate_families(
        markers,
        outcomes,
        _DESIGN,
        tiers={name: tier or tier_of(name, partype, rules) for name in markers.columns},
        labels={"ANALYSIS": analysis, "PARTYPE": partype, "SAMPTYPE": samptype, "AVISIT": avisit},
        rng=rng,
        rules=rules,
        note=note,
    )


def tier_of(name: str, partype: str, rules) -> str:
    """Return the tier of a gene, or of its amplification or deletion: CANDIDATE where the plan names it."""
    gene = name.rsplit("_", 1)[0] if partype == "CNA" else name
    return "CANDIDATE" if gene in rules.candidate_genes else "SCREEN"


def _lacking(marker: np.ndarray, values: np.ndarray, kind: str, floor: int) -> str | None:
    present = int(marker.sum())
    if min(present, len(marker) - present) < floor:
        return f"listed, not tested: fewer than {floor} subjects in one group"
    return None


def _fisher(marker, values, rng, rules) -> tuple[Effect, None]:
    if len(np.unique(values[:, 0])) < 2:
        raise NotEstimable("all subjects have the same response")
    return estimate_fisher(marker, values[:, 0], alpha=rules.interval_alpha), None


def _firth(marker, values, rng, rules) -> tuple[Effect, None]:
    return estimate_firth_odds_ratio(marker, values[:, 0], alpha=rules.interval_alpha), None


def _shift(marker, values, rng, rules) -> tuple[Effect, None]:
    if len(np.unique(values[:, 0])) < 2:
        raise NotEstimable("all subjects have the same change")
    return estimate_shift(marker, values[:, 0], alpha=rules.interval_alpha), None


def correlate(marker, values, rng, rules) -> tuple[Effect, str | None]:
    """Estimate Spearman's correlation of a marker with a change; the note counts samples without spread."""
    effect, left_out = estimate_rank_correlation(
        marker, values[:, 0], resamples=rules.spearman_bootstrap, rng=rng, alpha=rules.interval_alpha
    )
    lost = f"{left_out} of {rules.spearman_bootstrap} bootstrap samples had no spread" if left_out else None
    return effect, lost


def _hazard(marker, values, rng, rules) -> tuple[Effect, None]:
    return estimate_hazard_ratio(marker, values[:, 0], values[:, 1] > 0, alpha=rules.interval_alpha), None


_DESIGN = Design(
    methods={
        "binary": (Method("fisher", "odds_ratio", _fisher), Method("firth_logistic", "odds_ratio", _firth)),
        "change": (Method("wilcoxon", "shift", _shift), Method("spearman", "rho", correlate)),
        "endpoint": (Method("cox_firth", "hazard_ratio", _hazard),),
    },
    lacking=_lacking,
    transform=lambda markers: markers,
    binary=True,
)
