"""Relate continuous markers (scores, fractions, burden, PET) to non-response, percent change and endpoints.

Larger values of a marker are taken to mean resistance: an area above 1/2, an odds or hazard ratio above 1, a
correlation above 0 go with resistance, and no orientation is turned after the fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.association import correlate, preferred_rows
from analysis.biomarkers.effects import Effect, estimate_firth_odds_ratio, estimate_hazard_ratio
from analysis.biomarkers.families import Design, Method, estimate_families
from analysis.biomarkers.ranks import estimate_areas, rank_rows
from analysis.biomarkers.rows import Analysis
from analysis.survival.outcome import NotEstimable

NEWCOMBE = "the groups are separated: Newcombe's limit"


def estimate_levels(
    levels: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    analysis: str,
    partype: str,
    samptype: str | None,
    rng: np.random.Generator,
    avisit: str | None = None,
    tier: str | Mapping[str, str] = "CANDIDATE",
    rules=None,
    note: str | None = None,
) -> Analysis:
    """Relate every level to every outcome.

    Non-response and further binary outcomes: area under the ROC curve with the Mann-Whitney test (DeLong
    limits on the logit scale), beside it the Firth logistic odds ratio; percent change: Spearman's
    correlation; endpoints: Firth's Cox regression. Ratios are per standard deviation among those who enter
    the row. Q_BH and P_MAXT (of the marker's ranks) stand on the first method, adjusted over the tested
    markers of one tier and outcome.

    Tested where at least ``min_prevalence_n`` subjects have the level, for a binary outcome in each of its
    groups.

    Parameters
    ----------
    levels : DataFrame
        Subjects x markers, any unit, NaN where missing.
    outcomes : DataFrame
        As `assemble_outcomes`.
    analysis, partype, samptype : str
        Printed in the rows.
    rng : numpy Generator
        Source of bootstrap samples and permutations.
    avisit : str, optional
        Printed in the rows.
    tier : str or mapping
        Tier of all markers, or of each: those that the plan names are candidates.
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
    finite = levels.astype(float).replace([np.inf, -np.inf], np.nan)
    return estimate_families(
        finite,
        outcomes,
        _DESIGN,
        tiers={name: tier if isinstance(tier, str) else tier[name] for name in levels.columns},
        labels={"ANALYSIS": analysis, "PARTYPE": partype, "SAMPTYPE": samptype, "AVISIT": avisit},
        rng=rng,
        rules=rules,
        note=note,
    )


def select_levels(
    adbm: pd.DataFrame, partype: str, *, samptypes: Iterable[str] | None = None, rules=None
) -> pd.DataFrame:
    """Select the levels of one baseline sample a subject: subjects x markers, NaN where missing.

    Parameters
    ----------
    adbm : DataFrame
        Table adbm.
    partype : str
        Kind of marker: SIGN, EXPR, LEVEL.
    samptypes : iterable of str, optional
        Sample types, the preferred first; the plan's ``sample_preference`` if None.
    rules : Section, optional
        The plan's section ``biomarkers``.
    """
    rows = preferred_rows(adbm, partype, samptypes=samptypes, rules=rules)
    wide = rows.set_index(["USUBJID", "PARAMCD"])["AVAL"].unstack("PARAMCD").astype(float)  # noqa: PD010
    return wide.sort_index().sort_index(axis=1).rename_axis(columns="MARKER")


def _lacking(level: np.ndarray, values: np.ndarray, kind: str, floor: int) -> str | None:
    if kind == "binary":
        cases = int(values[:, 0].sum())
        if min(cases, len(level) - cases) < floor:
            return f"listed, not tested: fewer than {floor} subjects in one group of the outcome"
    if len(level) < floor:
        return f"listed, not tested: fewer than {floor} subjects have it"
    return "not estimable: the marker does not vary" if len(np.unique(level)) < 2 else None


def _area(level, values, rng, rules) -> tuple[Effect, str | None]:
    found = estimate_areas(level[None, :], values[:, 0], alpha=rules.interval_alpha)
    effect = Effect(*(float(side[0]) for side in (found.area, found.lower, found.upper, found.p)))
    return effect, NEWCOMBE if found.separated[0] else None


def _per_deviation(level: np.ndarray) -> tuple[np.ndarray, str]:
    deviation = float(np.std(level, ddof=1))
    if not deviation > 0:
        raise NotEstimable("the marker does not vary")
    return (level - level.mean()) / deviation, f"per standard deviation ({deviation:.3g})"


def _firth(level, values, rng, rules) -> tuple[Effect, str]:
    unit, note = _per_deviation(level)
    return estimate_firth_odds_ratio(unit, values[:, 0], alpha=rules.interval_alpha), note


def _hazard(level, values, rng, rules) -> tuple[Effect, str]:
    unit, note = _per_deviation(level)
    alpha = rules.interval_alpha
    return estimate_hazard_ratio(unit, values[:, 0], values[:, 1] > 0, alpha=alpha), note


_DESIGN = Design(
    methods={
        "binary": (Method("mann_whitney", "auc", _area), Method("firth_logistic", "odds_ratio", _firth)),
        "change": (Method("spearman", "rho", correlate),),
        "endpoint": (Method("cox_firth", "hazard_ratio", _hazard),),
    },
    lacking=_lacking,
    transform=rank_rows,
    binary=False,
)
