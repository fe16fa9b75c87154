"""A 0/1 marker, one effect: odds ratio, shift, rank correlation, hazard ratio; interval and p-value."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats.contingency import odds_ratio

from analysis.biomarkers.firth import fit_logistic
from analysis.biomarkers.ranks import correlate_ranks, mann_whitney_counts, rank_rows
from analysis.survival.cox import cox
from analysis.survival.outcome import NotEstimable


class Effect(NamedTuple):
    """An estimate with its interval and two-sided p-value."""

    estimate: float
    lower: float
    upper: float
    p: float


def estimate_fisher(marker: np.ndarray, nonresponse: np.ndarray, *, alpha: float = 0.05) -> Effect:
    """Estimate the conditional odds ratio of non-response, present against absent, with Fisher's exact test.

    Parameters
    ----------
    marker, nonresponse : array of 0/1, shape (n,)
        Without missing values.
    alpha : float
        The exact (conditional, tail-area) interval covers 1 - alpha.

    Examples
    --------
    The lady tasting tea, as R's fisher.test prints it:

    >>> tea = estimate_fisher(np.repeat([1, 0], 4), np.array([1, 1, 1, 0, 1, 0, 0, 0]))
    >>> round(tea.estimate, 4), round(tea.p, 4)
    (6.4083, 0.4857)
    """
    marker, nonresponse = np.asarray(marker, bool), np.asarray(nonresponse, bool)
    cells = (
        int((marker & nonresponse).sum()),
        int((marker & ~nonresponse).sum()),
        int((~marker & nonresponse).sum()),
        int((~marker & ~nonresponse).sum()),
    )
    return _fisher_cells(cells, alpha)


@lru_cache(maxsize=4096)
def _fisher_cells(cells: tuple[int, int, int, int], alpha: float) -> Effect:
    table = np.reshape(cells, (2, 2))
    p = float(stats.fisher_exact(table).pvalue)
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        return Effect(np.nan, np.nan, np.nan, p)
    ratio = odds_ratio(table, kind="conditional")
    interval = ratio.confidence_interval(1 - alpha)
    return Effect(float(ratio.statistic), float(interval.low), float(interval.high), p)


def estimate_shift(marker: np.ndarray, change: np.ndarray, *, alpha: float = 0.05) -> Effect:
    """Estimate the Hodges-Lehmann shift of a change, present minus absent, with the Wilcoxon rank-sum test.

    Without ties the p-value and the limits are exact (limits are order statistics of the pairwise
    differences); with ties both rest on the normal approximation with tie and continuity correction.

    Parameters
    ----------
    marker : array of 0/1, shape (n,)
        Without missing values.
    change : array of float, shape (n,)
        Any unit; the shift has it too.
    alpha : float
        The interval covers at least 1 - alpha.

    References
    ----------
    Hollander M, Wolfe DA. Nonparametric statistical methods, 2nd ed., section 4.2-4.3.
    """
    marker, change = np.asarray(marker, bool), np.asarray(change, float)
    present, absent = change[marker], change[~marker]
    if min(len(present), len(absent)) == 0:
        return Effect(np.nan, np.nan, np.nan, np.nan)
    differences = np.sort(np.subtract.outer(present, absent).ravel())
    tied = len(np.unique(change)) < len(change)
    p = stats.mannwhitneyu(present, absent, method="asymptotic" if tied else "exact").pvalue
    place = _interval_place(len(present), len(absent), change, tied, alpha)
    return Effect(
        float(np.median(differences)), float(differences[place - 1]), float(differences[-place]), float(p)
    )


def _interval_place(n_present: int, n_absent: int, change: np.ndarray, tied: bool, alpha: float) -> int:
    """Return k: the limits are the k-th smallest and k-th largest pairwise difference."""
    if not tied:
        cumulative = np.cumsum(mann_whitney_counts(n_present, n_absent))
        return max(1, int(np.searchsorted(cumulative / cumulative[-1], alpha / 2)))
    n, pairs = n_present + n_absent, n_present * n_absent
    _, sizes = np.unique(change, return_counts=True)
    variance = pairs / 12 * (n + 1 - (sizes**3 - sizes).sum() / (n * (n - 1)))
    place = np.floor(pairs / 2 - stats.norm.isf(alpha / 2) * np.sqrt(variance))
    return int(np.clip(place, 1, (pairs + 1) // 2))


def estimate_firth_odds_ratio(value: np.ndarray, nonresponse: np.ndarray, *, alpha: float = 0.05) -> Effect:
    """Estimate the odds ratio of non-response per unit by logistic regression with Firth's penalty.

    Finite under complete separation. Limits are those of the penalised profile likelihood, p is of its ratio.
    With a 0/1 marker the estimate is the odds ratio of the table with 1/2 added to each cell.

    Parameters
    ----------
    value : array of float, shape (n,)
        A 0/1 marker or a level, without missing values.
    nonresponse : array of 0/1, shape (n,)
        Without missing values.
    alpha : float
        The interval covers 1 - alpha.

    Raises
    ------
    NotEstimable
        If all have one value or one outcome, or the fit does not converge.

    References
    ----------
    Firth D, Biometrika 1993;80:27-38. Heinze G, Schemper M, Stat Med 2002;21:2409-19.

    Examples
    --------
    >>> found = estimate_firth_odds_ratio(np.repeat([1, 0], 4), np.array([1, 1, 1, 0, 1, 0, 0, 0]))
    >>> round(found.estimate, 6) == round(3.5 / 1.5 * 3.5 / 1.5, 6)
    True
    """
    value, nonresponse = np.asarray(value, float), np.asarray(nonresponse, int)
    if len(np.unique(nonresponse)) < 2:
        raise NotEstimable("all subjects have the same response")
    if len(np.unique(value)) < 2:
        raise NotEstimable("the marker does not vary")
    scale = float(value.std())
    coef, lower, upper, p = fit_logistic((value - value.mean()) / scale, nonresponse, alpha)
    with np.errstate(over="ignore"):
        ratio, low, high = np.exp(np.array([coef, lower, upper]) / scale)
    return Effect(float(ratio), float(low), float(high), p)


def estimate_rank_correlation(
    value: np.ndarray, change: np.ndarray, *, resamples: int, rng: np.random.Generator, alpha: float = 0.05
) -> tuple[Effect, int]:
    """Estimate Spearman's correlation with the percentile interval of a bootstrap of subjects.

    Parameters
    ----------
    value, change : array of float, shape (n,)
        Marker (0/1 or a level) and outcome, without missing values.
    resamples : int
        Bootstrap samples.
    rng : numpy Generator
        Source of the samples.
    alpha : float
        The interval covers 1 - alpha.

    Returns
    -------
    tuple
        The effect (p of the t approximation, as R's ``cor.test(exact = FALSE)``; by enumeration for up to 9
        subjects without ties), and how many samples were left out because one side had no spread in them.

    Raises
    ------
    NotEstimable
        If the marker or the outcome does not vary, or fewer than 3 subjects are there.
    """
    value, change = np.asarray(value, float), np.asarray(change, float)
    rho, p = (float(found[0]) for found in correlate_ranks(value[None, :], change))
    if not np.isfinite(rho):
        raise NotEstimable("the marker or the outcome does not vary, or fewer than 3 subjects have both")
    drawn = rng.integers(0, len(value), (resamples, len(value)))
    sampled = _row_correlations(rank_rows(value[drawn]), rank_rows(change[drawn]))
    known = sampled[np.isfinite(sampled)]
    lower, upper = np.quantile(known, [alpha / 2, 1 - alpha / 2]) if len(known) else (np.nan, np.nan)
    return Effect(rho, float(lower), float(upper), p), int(resamples - len(known))


def _row_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = (side - side.mean(axis=1, keepdims=True) for side in (one, other))
    length = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    covariance = (one * other).sum(axis=1)
    return np.divide(covariance, length, out=np.full(len(one), np.nan), where=length > 0)


def estimate_hazard_ratio(
    marker: np.ndarray, time: np.ndarray, event: np.ndarray, *, alpha: float = 0.05
) -> Effect:
    """Estimate the hazard ratio per unit (present against absent) by Firth's Cox regression, profile limits.

    Raises
    ------
    NotEstimable
        Without an event, or where the marker does not vary among those at risk.
    """
    marker = np.asarray(marker, float)
    row = cox(time, event, pd.DataFrame({"marker": marker}), penalty="firth", alpha=alpha).iloc[0]
    ratio, lower, upper, p = (float(row[name]) for name in ("estimate", "lower", "upper", "p"))
    return Effect(ratio, lower, upper, p)
