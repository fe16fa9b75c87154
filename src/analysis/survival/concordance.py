"""Harrell's C with its infinitesimal-jackknife error (survival::concordance), and its paired difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import NotEstimable, check_time_event

# Linear predictors of patients with the same covariates can differ in the last bit: they are ties.
_TIE = 1e-10


def concordance(time, event, score, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate Harrell's C: how often the patient with the larger score has the event first.

    The score is oriented so that larger is worse. A value below 0.5 is returned as it is, never flipped.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient, for example the ln SUV ratio.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row: estimate, se (infinitesimal jackknife, as R), lower, upper (normal, cut at 0 and 1),
        concordant, discordant, tied (pairs with the same score), n, events.

    Raises
    ------
    NotEstimable
        If no pair can be ordered: nobody has an event while another is still followed.

    Examples
    --------
    >>> float(concordance([1, 2, 3], [1, 1, 1], [3, 2, 1])["estimate"].iloc[0])
    1.0
    """
    time, event, score = _check(time, event, score)
    comparable, favourable = pair_matrices(time, event, score)
    estimate, influence = _estimate(comparable, favourable)
    se = float(np.sqrt(np.sum(influence**2)))
    half = norm.ppf(1 - alpha / 2) * se
    row = {
        "estimate": estimate,
        "se": se,
        "lower": max(estimate - half, 0.0),
        "upper": min(estimate + half, 1.0),
    }
    pairs = {
        "concordant": int(np.sum(favourable == 1)),
        "discordant": int(np.sum(comparable & (favourable == 0))),
        "tied": int(np.sum(favourable == 0.5)),
    }
    return pd.DataFrame([{**row, **pairs, "n": len(time), "events": int(event.sum())}])


def concordance_difference(time, event, score, other, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate C of `other` minus C of `score` in the same patients.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score, other : array-like
        Two scores of the same patients, larger is worse.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row: estimate, se (infinitesimal jackknife of the difference), lower, upper, p, n, events.
    """
    time, event, score = _check(time, event, score)
    other = _check(time, event, other)[2]
    first, of_first = _estimate(*pair_matrices(time, event, score))
    second, of_second = _estimate(*pair_matrices(time, event, other))
    difference = second - first
    se = float(np.sqrt(np.sum((of_second - of_first) ** 2)))
    half = norm.ppf(1 - alpha / 2) * se
    p = float(2 * norm.sf(abs(difference) / se)) if se > 0 else 1.0
    row = {"estimate": difference, "se": se, "lower": difference - half, "upper": difference + half, "p": p}
    return pd.DataFrame([{**row, "n": len(time), "events": int(event.sum())}])


def pair_matrices(time: np.ndarray, event: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mark the pairs whose order is known, and how the score orders them.

    Parameters
    ----------
    time, event, score : ndarray
        Follow-up, events and scores of n patients.

    Returns
    -------
    comparable : ndarray of bool, shape (n, n)
        True where row i has its event before column j's time, or at the time j is censored.
    favourable : ndarray, shape (n, n)
        1 where, of a comparable pair, i has the larger score; 0.5 where the scores are equal; else 0.
    """
    sooner = time[:, None] < time[None, :]
    same_time = (time[:, None] == time[None, :]) & ~event[None, :]
    comparable = event[:, None] & (sooner | same_time)
    ahead = score[:, None] - score[None, :]
    order = np.where(np.abs(ahead) <= _TIE * np.abs(score).max(initial=0), 0.0, np.sign(ahead))
    return comparable, np.where(comparable, (order + 1) / 2, 0.0)


def resampled_concordance(time, event, score, counts: np.ndarray) -> np.ndarray:
    """Compute C in many resamples at once.

    Parameters
    ----------
    time, event, score : array-like
        As in `concordance`, n patients.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn; copies of one patient are not a pair.

    Returns
    -------
    ndarray
        One C a resample, missing where no pair can be ordered.
    """
    time, event, score = _check(time, event, score)
    comparable, favourable = pair_matrices(time, event, score)
    weights = np.asarray(counts, dtype=float)
    pairs = np.sum((weights @ comparable) * weights, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum((weights @ favourable) * weights, axis=1) / pairs


def _estimate(comparable: np.ndarray, favourable: np.ndarray) -> tuple[float, np.ndarray]:
    pairs = comparable.sum()
    if pairs == 0:
        raise NotEstimable("no two patients can be ordered: nobody has an event while another is followed")
    estimate = float(favourable.sum() / pairs)
    excess = favourable - estimate * comparable
    return estimate, (excess.sum(axis=0) + excess.sum(axis=1)) / pairs


def _check(time, event, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time, event = check_time_event(time, event)
    score = np.asarray(score, dtype=float)
    if score.shape != time.shape or not np.isfinite(score).all():
        raise ValueError(
            f"one finite score for each of the {len(time)} patients is needed; leave others out by name"
        )
    return time, event, score
