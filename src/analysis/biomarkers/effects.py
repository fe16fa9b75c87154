"""Two groups, one effect: odds ratio, shift and hazard ratio, each with interval and p-value."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats.contingency import odds_ratio

from analysis.survival.cox import cox


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
        cumulative = np.cumsum(_mann_whitney_counts(n_present, n_absent))
        return max(1, int(np.searchsorted(cumulative / cumulative[-1], alpha / 2)))
    n, pairs = n_present + n_absent, n_present * n_absent
    _, sizes = np.unique(change, return_counts=True)
    variance = pairs / 12 * (n + 1 - (sizes**3 - sizes).sum() / (n * (n - 1)))
    place = np.floor(pairs / 2 - stats.norm.isf(alpha / 2) * np.sqrt(variance))
    return int(np.clip(place, 1, (pairs + 1) // 2))


def _mann_whitney_counts(m: int, n: int) -> np.ndarray:
    """Count the orders of m and n values that give U = 0, 1, ... mn: the Gaussian binomial coefficients."""
    counts = np.zeros(m * n + 1)
    counts[0] = 1.0
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, m * n + 1):
            counts[u] += counts[u - i]
    return counts


def estimate_hazard_ratio(
    marker: np.ndarray, time: np.ndarray, event: np.ndarray, *, alpha: float = 0.05
) -> Effect:
    """Estimate the hazard ratio, present against absent, by Firth's Cox regression with profile limits."""
    row = cox(time, event, pd.DataFrame({"marker": marker}), penalty="firth", alpha=alpha).iloc[0]
    return Effect(*(float(row[name]) for name in ("estimate", "lower", "upper", "p")))
