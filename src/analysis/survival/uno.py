"""Uno's C: concordance whose limit does not depend on the censoring, and its paired difference."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.survival.censoring import censoring_survival
from analysis.survival.concordance import (
    check_score,
    difference_with_limits,
    pair_matrices,
    share_of_pairs,
    share_with_limits,
)
from analysis.survival.outcome import check_alpha


def uno_concordance(time, event, score, *, tau: float | None = None, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate Uno's C: concordance with each pair weighted by 1 / G(t-)^2, t the earlier event.

    G is the probability of not being censored. Harrell's C counts the pairs that censoring happens to leave
    and so depends on how long patients were followed; this one does not. Late events under heavy censoring
    weigh much: give `tau` there. The score is oriented so that larger is worse; a value below 0.5 is
    returned as it is.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient.
    tau : float, optional
        Only events up to this time (included) count, unit of `time`; None for all.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row: estimate, se (infinitesimal jackknife with the weights taken as known, as R), lower, upper
        (normal, cut at 0 and 1, missing where se is 0), tau, n, events (up to `tau`).

    Raises
    ------
    NotEstimable
        If no pair can be ordered, as when nobody has an event by `tau`.

    References
    ----------
    Uno et al., Stat Med 2011;30:1105-17. R: survival::concordance(timewt = "n/G2", ymax = tau).

    Examples
    --------
    >>> float(uno_concordance([1, 2, 3], [1, 1, 1], [3, 2, 1])["estimate"].iloc[0])
    1.0
    """
    alpha = check_alpha(alpha)
    time, event, score = check_score(time, event, score)
    row = share_with_limits(*share_of_pairs(*_weighted_pairs(time, event, score, tau)), alpha=alpha)
    return pd.DataFrame([{**row, **_counts(time, event, tau)}])


def uno_difference(
    time, event, score, other, *, tau: float | None = None, alpha: float = 0.05
) -> pd.DataFrame:
    """Estimate Uno's C of `other` minus that of `score` in the same patients.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score, other : array-like
        Two scores of the same patients, larger is worse.
    tau, alpha : float
        As in `uno_concordance`.

    Returns
    -------
    DataFrame
        One row: estimate, se (of the difference), lower, upper, p, tau, n, events.
    """
    alpha = check_alpha(alpha)
    time, event, score = check_score(time, event, score)
    other = check_score(time, event, other)[2]
    first, second = (share_of_pairs(*_weighted_pairs(time, event, values, tau)) for values in (score, other))
    row = difference_with_limits(first, second, alpha=alpha)
    return pd.DataFrame([{**row, **_counts(time, event, tau)}])


def resampled_uno(time, event, score, counts: np.ndarray, *, tau: float | None = None) -> np.ndarray:
    """Compute Uno's C in many resamples at once, G estimated in each.

    Parameters
    ----------
    time, event, score : array-like
        As in `uno_concordance`, n patients.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn; copies of one patient are not a pair.
    tau : float, optional
        As in `uno_concordance`.

    Returns
    -------
    ndarray, shape (resamples,)
        One C a resample, missing where no pair can be ordered.
    """
    time, event, score = check_score(time, event, score)
    comparable, favourable = pair_matrices(time, event, score)
    drawn = np.asarray(counts, dtype=float)
    sooner = drawn * _event_weights(time, event, tau, drawn)
    pairs = np.sum((sooner @ comparable) * drawn, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum((sooner @ favourable) * drawn, axis=1) / pairs


def _weighted_pairs(time, event, score, tau: float | None) -> tuple[np.ndarray, np.ndarray]:
    comparable, favourable = pair_matrices(time, event, score)
    weights = _event_weights(time, event, tau, None)[0][:, None]
    return comparable * weights, favourable * weights


def _event_weights(time, event, tau: float | None, counts: np.ndarray | None) -> np.ndarray:
    if tau is not None and not tau > 0:
        raise ValueError(f"tau must be positive, found {tau!r}")
    counted = event if tau is None else event & (time <= tau)
    g = censoring_survival(time, event, time, before=True, counts=counts)
    # G(t-) is 0 only where a resample lacks whoever is still followed at t: such a patient is not in it.
    usable = counted & (g > 0)
    return np.where(usable, 1 / np.where(usable, g, 1.0) ** 2, 0.0)


def _counts(time: np.ndarray, event: np.ndarray, tau: float | None) -> dict:
    counted = event if tau is None else event & (time <= tau)
    return {
        "tau": np.nan if tau is None else float(tau),
        "n": len(time),
        "events": int(counted.sum()),
    }
