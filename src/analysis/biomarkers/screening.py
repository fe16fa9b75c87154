"""Screen the expression of every gene against every outcome, vectorised over genes.

The statistics are those of `levels`, chosen so that 20,000 genes take seconds: limits in closed form instead
of profiles and bootstraps. The note of a row says where its method differs from the label's.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from analysis import plan
from analysis.biomarkers.association import tier_of
from analysis.biomarkers.families import outcome_scores
from analysis.biomarkers.levels import NEWCOMBE
from analysis.biomarkers.multiplicity import bh, westfall_young
from analysis.biomarkers.outcomes import Outcome, list_outcomes
from analysis.biomarkers.ranks import correlate_ranks, correlation_limits, estimate_areas, rank_rows
from analysis.biomarkers.rows import COLUMNS, Analysis, nothing
from analysis.survival.outcome import equal_times

PARTYPE = "EXPR"
_METHODS = {
    "binary": ("mann_whitney", "auc"),
    "change": ("spearman", "rho"),
    "endpoint": ("cox_wald", "hazard_ratio"),
}
_CORRELATION_NOTE = "Fisher-z limits with the variance of Bonett and Wright"
_HAZARD_NOTE = "per standard deviation; maxT on log-rank scores"
_TEXT = ("ANALYSIS", "MARKER", "PARTYPE", "SAMPTYPE", "AVISIT", "OUTCOME", "METHOD", "STATISTIC")


def screen_expression(
    matrix: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    rng: np.random.Generator,
    rules=None,
    analysis: str = "expression",
    samptype: str | None = None,
    avisit: str | None = None,
    note: str | None = None,
) -> Analysis:
    """Relate every expressed gene to every outcome; the plan's candidate genes are a family of their own.

    Non-response and further binary outcomes: area under the ROC curve, Mann-Whitney p, maxT on ranks; percent
    change: Spearman's correlation, maxT on ranks; endpoints: hazard ratio per standard deviation by maximum
    likelihood (Efron ties) with Wald limits and p, maxT on log-rank scores (the score test of the same
    model).

    Parameters
    ----------
    matrix : DataFrame
        Genes x subjects (columns USUBJID, one sample each), on a log scale or as z-scores; NaN where missing.
    outcomes : DataFrame
        As `assemble_outcomes`.
    rng : numpy Generator
        Source of the permutations.
    rules : Section, optional
        The plan's section ``biomarkers``.
    analysis, samptype, avisit : str
        Printed in the rows.
    note : str, optional
        Note for every row.

    Returns
    -------
    Analysis
        Rows of table estimates_biomarkers; `reason` counts the genes that were not screened, and names
        outcomes of too few subjects.

    Raises
    ------
    ValueError
        ``SAMPLE_NOT_ONE`` where a subject has several columns: select one sample a subject first.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    if matrix.columns.has_duplicates:
        raise ValueError("SAMPLE_NOT_ONE: a subject has several samples; select one a subject")
    kept, left_out = select_expressed(matrix, rules=rules)
    reasons = [left_out] if left_out else []
    if kept.empty:
        return nothing("; ".join(reasons) or "there is no expression")
    labels = {"ANALYSIS": analysis, "PARTYPE": PARTYPE, "SAMPTYPE": samptype, "AVISIT": avisit}
    tiers = np.array([tier_of(str(gene), PARTYPE, rules) for gene in kept.index])
    tables = []
    for outcome in list_outcomes(outcomes):
        subjects = kept.columns.intersection(outcome.values.index).sort_values()
        values = outcome.values.loc[subjects].to_numpy(float)
        lacking = _lacking(values, outcome, rules.min_prevalence_n)
        if lacking:
            reasons.append(f"{outcome.name}: {lacking}")
            continue
        for tier in ("CANDIDATE", "SCREEN"):
            family = kept.loc[tiers == tier, subjects]
            if len(family):
                table = _screen_family(family, values, outcome, rng, rules)
                tables.append(table.assign(**labels, TIER=tier))
    if not tables:
        return nothing("; ".join(reasons) or "the study has no outcome to relate expression to")
    stacked = _as_estimates(pd.concat(tables, ignore_index=True), note)
    return Analysis(stacked, pd.DataFrame(), "; ".join(reasons) or None)


def select_expressed(matrix: pd.DataFrame, *, rules=None) -> tuple[pd.DataFrame, str | None]:
    """Select the genes of which enough samples differ from the lowest value; say how many were left out.

    The share is of the samples with a value, whatever their outcome; of rows with one name the first is kept.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    single = matrix[~matrix.index.duplicated()].astype(float)
    values = np.where(np.isfinite(single), single, np.nan)
    known = np.isfinite(values)
    lowest = np.where(known, values, np.inf).min(axis=1, initial=np.inf)
    above = (known & (values > lowest[:, None])).sum(axis=1)
    expressed = above > rules.expression_expressed_share * np.maximum(known.sum(axis=1), 1)
    kept = pd.DataFrame(values[expressed], single.index[expressed], single.columns)
    parts = []
    if not expressed.all():
        share = f"{100 * rules.expression_expressed_share:g} %"
        parts.append(
            f"{(~expressed).sum():,} of {len(single):,} genes not screened: at most {share} of the samples "
            "differ from the lowest value"
        )
    if len(single) < len(matrix):
        parts.append(f"{len(matrix) - len(single):,} rows repeat a gene and were left out")
    return kept, "; ".join(parts) or None


def _lacking(values: np.ndarray, outcome: Outcome, floor: int) -> str | None:
    """Return why no gene can be related to this outcome."""
    found = {
        "binary": ("subjects in one group", min((values[:, 0] == group).sum() for group in (0, 1))),
        "change": ("subjects", len(values) if len(np.unique(values[:, 0])) > 1 else 0),
        "endpoint": ("events", values[:, -1].sum()),
    }
    words, count = found[outcome.kind]
    return f"fewer than {floor} {words} with expression" if count < floor else None


def _screen_family(
    family: pd.DataFrame, values: np.ndarray, outcome: Outcome, rng: np.random.Generator, rules
) -> pd.DataFrame:
    genes = family.to_numpy(float)
    known = np.isfinite(genes)
    table = _ESTIMATORS[outcome.kind](genes, values, rules.interval_alpha)
    method, statistic = _METHODS[outcome.kind]
    table = table.assign(
        MARKER=family.index.astype(str), OUTCOME=outcome.name, METHOD=method, STATISTIC=statistic
    )
    table["N"], table["N_POS"] = known.sum(axis=1).astype(float), np.nan
    table["EVENTS"] = np.nan if outcome.kind == "change" else known @ values[:, -1]
    tested = np.isfinite(table[["ESTIMATE", "P"]]).all(axis=1).to_numpy()
    tested &= _enough(known, values, outcome.kind, rules.min_prevalence_n)
    table.loc[~tested, ["ESTIMATE", "LOWER", "UPPER", "P"]] = np.nan
    table.loc[~tested, "NOTE"] = "not estimable: too few subjects, no spread, or no finite maximum"
    table["TESTED"], table["Q_BH"] = np.where(tested, "Y", "N"), bh(table["P"].to_numpy())
    table["P_MAXT"] = np.nan
    if tested.any():
        # An endpoint keeps the values: its statistic is then the score test of the Cox model.
        markers = genes[tested] if outcome.kind == "endpoint" else rank_rows(genes[tested])
        scores = outcome_scores(values, outcome.kind)
        adjusted = westfall_young(markers, scores, n_permutations=rules.permutations, rng=rng)
        table.loc[tested, "P_MAXT"] = adjusted
    return table


def _enough(known: np.ndarray, values: np.ndarray, kind: str, floor: int) -> np.ndarray:
    if kind == "binary":
        return np.minimum(known @ values[:, 0], known @ (1 - values[:, 0])) >= floor
    return known.sum(axis=1) >= floor


def _areas(genes: np.ndarray, values: np.ndarray, alpha: float) -> pd.DataFrame:
    found = estimate_areas(genes, values[:, 0], alpha=alpha)
    varied = np.nanmax(genes, axis=1) > np.nanmin(genes, axis=1)
    estimate = np.where(varied, found.area, np.nan)
    note = np.where(found.separated, NEWCOMBE, None)
    return _effects(estimate, found.lower, found.upper, found.p, note)


def _correlations(genes: np.ndarray, values: np.ndarray, alpha: float) -> pd.DataFrame:
    rho, p = correlate_ranks(genes, values[:, 0])
    lower, upper = correlation_limits(rho, np.isfinite(genes).sum(axis=1), alpha=alpha)
    return _effects(rho, lower, upper, p, _CORRELATION_NOTE)


def _hazards(genes: np.ndarray, values: np.ndarray, alpha: float) -> pd.DataFrame:
    coef, error = fit_cox_rows(genes, values[:, 0], values[:, 1] > 0)
    z = stats.norm.isf(alpha / 2)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio, low, high = np.exp(coef), np.exp(coef - z * error), np.exp(coef + z * error)
        p = 2 * stats.norm.sf(np.abs(coef / error))
    return _effects(ratio, low, high, p, _HAZARD_NOTE)


def _effects(estimate, lower, upper, p, note) -> pd.DataFrame:
    found = {"ESTIMATE": estimate, "LOWER": lower, "UPPER": upper, "P": p}
    return pd.DataFrame(found).assign(NOTE=pd.Series(note, index=range(len(estimate)), dtype=object))


_ESTIMATORS = {"binary": _areas, "change": _correlations, "endpoint": _hazards}


def fit_cox_rows(values: np.ndarray, time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit a Cox model with one covariate for every row, by maximum likelihood with Efron's ties.

    Parameters
    ----------
    values : array, shape (m, n)
        Covariates x subjects; NaN leaves a subject out of that fit.
    time : array, shape (n,)
        Follow-up.
    event : array of bool, shape (n,)
        True for an event.

    Returns
    -------
    tuple of array, shape (m,)
        Log hazard ratio per standard deviation (with n - 1, among the known) and its standard error; NaN
        where there is no finite maximum.
    """
    from analysis.biomarkers.cox_rows_kernel import fit_rows

    values, time = np.atleast_2d(np.asarray(values, float)), equal_times(np.asarray(time, float))[0]
    known = np.isfinite(values)
    n = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centred = values - np.where(known, values, 0.0).sum(axis=1, keepdims=True) / n
    deviation = np.sqrt(np.where(known, centred**2, 0.0).sum(axis=1, keepdims=True) / np.maximum(n - 1, 1))
    unit = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)
    unit[~known] = np.nan
    order = np.lexsort((event, -time))
    died = np.flatnonzero(np.asarray(event)[order])
    _, start, deaths = np.unique(-time[order][died], return_index=True, return_counts=True)
    first = died[start].astype(np.int64)
    coef, error = np.full(len(values), np.nan), np.full(len(values), np.nan)
    fit_rows(np.ascontiguousarray(unit[:, order]), first, first + deaths, coef, error)
    return coef, error


def _as_estimates(table: pd.DataFrame, note: str | None) -> pd.DataFrame:
    table = table.assign(ROLE="EXPLORATORY")
    if note:
        table["NOTE"] = [f"{own}; {note}" if isinstance(own, str) else note for own in table["NOTE"]]
    table = table.reindex(columns=COLUMNS)
    text = [name for name in COLUMNS if name in _TEXT or name in ("TIER", "ROLE", "TESTED", "NOTE")]
    table[text] = table[text].astype(object)
    return (
        table.astype(object)
        .where(table.notna(), None)
        .astype({name: float for name in COLUMNS if name not in text})
    )
