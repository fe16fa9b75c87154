"""Rank statistics of many markers at once: Mann-Whitney area with DeLong limits, Spearman's correlation.

References
----------
DeLong ER, DeLong DM, Clarke-Pearson DL. Biometrics 1988;44:837-45 (variance of an area).
Newcombe RG. Stat Med 2006;25:559-73, method 5 (limit of an area of 0 or 1).
Bonett DG, Wright TA. Psychometrika 2000;65:23-8 (variance of Spearman's correlation).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

# Orders of so many subjects are enumerated (9! = 362,880), as R's cor.test does.
_MOST_ENUMERATED = 9
# Sums of squared rank differences are whole numbers; products of doubles may miss them by this.
_ROUNDING = 1e-6


class Areas(NamedTuple):
    """Areas under the ROC curve, an array of shape (markers,) each.

    Attributes
    ----------
    area, lower, upper, p : ndarray
        Probability that a non-responder has the larger value (ties count half), its limits, two-sided p.
    separated : ndarray of bool
        The area is 0 or 1, so that the limits are Newcombe's.
    """

    area: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p: np.ndarray
    separated: np.ndarray


def rank_rows(values: np.ndarray) -> np.ndarray:
    """Return midranks within each row among its known values; NaN stays NaN."""
    values = np.asarray(values, float)
    missing = np.isnan(values)
    if not missing.any():
        return stats.rankdata(values, axis=1)
    # What is missing stands above all, where it moves no other rank.
    ranks = stats.rankdata(np.where(missing, np.inf, values), axis=1)
    return np.where(missing, np.nan, ranks)


def estimate_areas(values: np.ndarray, nonresponse: np.ndarray, *, alpha: float = 0.05) -> Areas:
    """Estimate the area under the ROC curve of each marker for non-response; larger means non-response.

    The orientation is never turned: an area below 1/2 says that larger values go with response.

    Parameters
    ----------
    values : array, shape (m, n)
        Markers x subjects, finite or NaN where missing.
    nonresponse : array of 0/1, shape (n,)
        Without missing values.
    alpha : float
        The interval covers 1 - alpha.

    Returns
    -------
    Areas
        NaN where a group is empty. Limits are DeLong's on the logit scale; for an area of 0 or 1, whose
        DeLong variance is 0, the limit is Newcombe's. p is the Mann-Whitney test's: exact without ties, else
        by the normal approximation with tie and continuity correction.
    """
    values, case = np.atleast_2d(np.asarray(values, float)), np.asarray(nonresponse) > 0
    known = np.isfinite(values)
    n1, n0 = known[:, case].sum(axis=1), known[:, ~case].sum(axis=1)
    ranks, inner = rank_rows(values), np.empty_like(values)
    inner[:, case], inner[:, ~case] = rank_rows(values[:, case]), rank_rows(values[:, ~case])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Share of the other group below each subject's value: DeLong's structural components.
        share = (ranks - inner) / np.where(case, n0[:, None], n1[:, None])
        above, below = share[:, case], 1 - share[:, ~case]
        area = np.nansum(above, axis=1) / np.where(n0 > 0, n1, 0)
        variance = _mean_variance(above, n1) + _mean_variance(below, n0)
        deviation = stats.norm.isf(alpha / 2) * np.sqrt(variance) / (area * (1 - area))
        middle = np.log(area) - np.log1p(-area)
        lower, upper = (1 / (1 + np.exp(-(middle + sign * deviation))) for sign in (-1, 1))
    separated = (area == 0) | (area == 1)
    for i in np.flatnonzero(separated):
        lower[i], upper[i] = _separated_limits(area[i], int(n1[i]), int(n0[i]), alpha)
    return Areas(area, lower, upper, _mann_whitney_p(area, n1, n0, ranks), separated)


def _mean_variance(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    mean = np.nansum(share, axis=1, keepdims=True) / n[:, None]
    return np.nansum((share - mean) ** 2, axis=1) / (n - 1) / n


@lru_cache(maxsize=256)
def _separated_limits(area: float, n1: int, n0: int, alpha: float) -> tuple[float, float]:
    z, mean_n = stats.norm.isf(alpha / 2), (n1 + n0) / 2

    def gap(a: float) -> float:
        """Return how far an area of 1 lies from `a`, beyond z standard errors at `a`."""
        spread = 1 + (mean_n - 1) * ((1 - a) / (2 - a) + a / (1 + a))
        return (1 - a) - z * np.sqrt(a * (1 - a) * spread / (n1 * n0))

    limit = float(brentq(gap, 1e-12, 1 - 1e-12))
    return (limit, 1.0) if area == 1 else (0.0, 1 - limit)


def _mann_whitney_p(area: np.ndarray, n1: np.ndarray, n0: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    n, pairs = n1 + n0, n1 * n0
    statistic = area * pairs
    ties = _tie_terms(ranks)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = pairs / 12 * (n + 1 - ties / (n * (n - 1)))
        z = (np.abs(statistic - pairs / 2) - 0.5) / np.sqrt(variance)
    p = np.minimum(1.0, 2 * stats.norm.sf(z))
    for m, k in {(int(a), int(b)) for a, b in zip(n1, n0, strict=True) if a and b}:
        chosen = (n1 == m) & (n0 == k) & (ties == 0)
        if chosen.any():
            counts = mann_whitney_counts(m, k)
            extreme = np.rint(np.minimum(statistic[chosen], m * k - statistic[chosen])).astype(int)
            p[chosen] = np.minimum(1.0, 2 * (np.cumsum(counts) / counts.sum())[extreme])
    # All values tied: nothing speaks against the hypothesis.
    return np.where(np.isfinite(area) & (variance <= 0), 1.0, np.where(np.isfinite(area), p, np.nan))


def _tie_terms(ranks: np.ndarray) -> np.ndarray:
    """Return the sum of t^3 - t over the tied groups of each row.

    Midranks keep the sum of ranks and lower its sum of squares by (t^3 - t) / 12 a group.
    """
    n = np.isfinite(ranks).sum(axis=1)
    squares = np.nansum(ranks**2, axis=1)
    return np.rint(12 * (n * (n + 1) * (2 * n + 1) / 6 - squares))


@lru_cache(maxsize=64)
def mann_whitney_counts(m: int, n: int) -> np.ndarray:
    """Count the orders of m and n values that give U = 0, 1, ... mn: the Gaussian binomial coefficients."""
    counts = np.zeros(m * n + 1)
    counts[0] = 1.0
    for i in range(1, m + 1):
        # Times 1 - q^(n+i), divided by 1 - q^i: a running sum in steps of i.
        counts[n + i :] -= counts[: -(n + i)].copy() if n + i <= m * n else 0.0
        padded = np.append(counts, np.zeros(-len(counts) % i)).reshape(-1, i)
        counts = np.cumsum(padded, axis=0).ravel()[: m * n + 1]
    return counts


def correlate_ranks(values: np.ndarray, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute Spearman's correlation of each marker with an outcome, and its two-sided p.

    Parameters
    ----------
    values : array, shape (m, n)
        Markers x subjects, NaN where missing.
    change : array, shape (n,)
        Outcome, without missing values.

    Returns
    -------
    tuple of array, shape (m,)
        rho, NaN with fewer than 3 subjects or without spread; p of the t approximation with n - 2 degrees of
        freedom, or of the enumeration of all orders for up to 9 subjects without ties.
    """
    values = np.atleast_2d(np.asarray(values, float))
    known = np.isfinite(values)
    outcome = rank_rows(np.where(known, np.asarray(change, float), np.nan))
    ranks, n = rank_rows(values), known.sum(axis=1)
    one, other = (_centred(side, known) for side in (ranks, outcome))
    length = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    enough = (length > 0) & (n >= 3)
    rho = np.divide((one * other).sum(axis=1), length, out=np.full(len(values), np.nan), where=enough)
    rho = np.clip(rho, -1.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(rho) * np.sqrt((n - 2) / (1 - rho**2)), np.maximum(n - 2, 1))
    untied = (_tie_terms(ranks) == 0) & (_tie_terms(outcome) == 0)
    for i in np.flatnonzero(enough & untied & (n <= _MOST_ENUMERATED)):
        p[i] = float(np.mean(_all_correlations(int(n[i])) >= abs(rho[i]) - _ROUNDING))
    return rho, p


def _centred(ranks: np.ndarray, known: np.ndarray) -> np.ndarray:
    mean = np.nansum(ranks, axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, ranks - mean, 0.0)


@lru_cache(maxsize=8)
def _all_correlations(n: int) -> np.ndarray:
    every = np.array(list(permutations(range(n))), dtype=float)
    return np.abs(1 - 6 * ((every - np.arange(n)) ** 2).sum(axis=1) / (n * (n**2 - 1)))


def correlation_limits(
    rho: np.ndarray, n: np.ndarray, *, alpha: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Return limits of Spearman's correlation: Fisher's z with the variance (1 + rho^2 / 2) / (n - 3).

    NaN with fewer than 4 subjects; a correlation of 1 or -1 has no interval but itself.
    """
    rho, n = np.asarray(rho, float), np.asarray(n, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = stats.norm.isf(alpha / 2) * np.sqrt((1 + rho**2 / 2) / np.where(n > 3, n - 3, np.nan))
        return np.tanh(np.arctanh(rho) - deviation), np.tanh(np.arctanh(rho) + deviation)
