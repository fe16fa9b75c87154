"""The Mantel-Haenszel odds ratio of units within strata, as lesions within patients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import StratifiedTable


class Stratified(NamedTuple):
    """A Mantel-Haenszel odds ratio, its interval, its p-value, and how many strata say anything."""

    estimate: float
    lower: float
    upper: float
    p: float
    informative: int


def estimate_mantel_haenszel(marker, outcome, stratum, *, alpha: float = 0.05) -> Stratified:
    """Estimate the odds ratio common to all strata, with the Robins-Breslow-Greenland interval.

    Parameters
    ----------
    marker, outcome : array of 0/1, shape (n,)
        Without missing values.
    stratum : array, shape (n,)
        Label of the stratum.
    alpha : float
        The interval covers 1 - alpha.

    Returns
    -------
    Stratified
        p is of the Mantel-Haenszel test with continuity correction, as R's mantelhaen.test gives it. All
        missing where no stratum has both values of both.

    References
    ----------
    Robins, Breslow, Greenland, Biometrics 1986;42:311-23.
    """
    frame = pd.DataFrame({"m": np.asarray(marker, bool), "o": np.asarray(outcome, bool), "s": stratum})
    tables = [
        np.array([[(own.m == m) & (own.o == o) for o in (True, False)] for m in (True, False)]).sum(axis=2)
        for _, own in frame.groupby("s", sort=True)
    ]
    # A stratum with an empty margin adds nothing to any of the sums, and one lesion divides by zero.
    tables = [table for table in tables if table.sum(axis=0).all() and table.sum(axis=1).all()]
    if not tables:
        return Stratified(np.nan, np.nan, np.nan, np.nan, 0)
    p = _mantel_haenszel_p(np.array(tables, float))
    across = (
        sum(t[0, 0] * t[1, 1] / t.sum() for t in tables),
        sum(t[0, 1] * t[1, 0] / t.sum() for t in tables),
    )
    if min(across) == 0:
        # The interval of Robins, Breslow and Greenland does not exist at 0 and infinity.
        return Stratified(np.inf if across[0] else 0.0, np.nan, np.nan, p, len(tables))
    stratified = StratifiedTable([table.astype(float) for table in tables])
    lower, upper = stratified.oddsratio_pooled_confint(alpha=alpha)
    return Stratified(float(stratified.oddsratio_pooled), float(lower), float(upper), p, len(tables))


def _mantel_haenszel_p(tables: np.ndarray) -> float:
    total = tables.sum(axis=(1, 2))
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    excess = abs((tables[:, 0, 0] - rows[:, 0] * columns[:, 0] / total).sum())
    variance = (rows.prod(axis=1) * columns.prod(axis=1) / (total**2 * (total - 1))).sum()
    correction = 0.5 if excess >= 0.5 else 0.0
    return float(chi2.sf((excess - correction) ** 2 / variance, 1))
