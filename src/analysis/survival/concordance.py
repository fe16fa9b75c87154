"""Harrell's C with its infinitesimal-jackknife error (survival::concordance), and its paired difference."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import NotEstimable, check_alpha, check_index, check_time_event

# Scores of patients with the same covariates can differ in the last bits: they are ties. Relative to the two
# compared, not to the largest of all: C must not change when the scores are transformed monotonically.
_TIE = 1e-12
# A standard error below this is none at all: every pair is ordered alike, and rounding is what is left.
_NO_ERROR = 1e-12


def concordance(time, event, score, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate Harrell's C: how often the patient with the larger score has the event first.

    The score is oriented so that larger is worse. A value below 0.5 is returned as it is, never flipped. Only
    the order of the scores counts; two that differ by at most 1e-12 of the larger (in absolute value) are
    tied, as `uno_concordance` and `time_dependent_auc` have it too. R compares scores exactly.

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
        One row: estimate, se (infinitesimal jackknife, as R), lower, upper (normal, cut at 0 and 1; missing
        where se is 0, as with every pair in order or one score for all), concordant, discordant, tied (pairs
        with the same score), n, events.

    Raises
    ------
    NotEstimable
        If no pair can be ordered: nobody has an event while another is still followed.

    Examples
    --------
    >>> float(concordance([1, 2, 3], [1, 1, 1], [3, 2, 1])["estimate"].iloc[0])
    1.0
    """
    time, event, score = check_score(time, event, score)
    comparable, favourable = pair_matrices(time, event, score)
    row = share_with_limits(*share_of_pairs(comparable, favourable), alpha=check_alpha(alpha))
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
    time, event, score = check_score(time, event, score)
    other = check_score(time, event, other)[2]
    first = share_of_pairs(*pair_matrices(time, event, score))
    second = share_of_pairs(*pair_matrices(time, event, other))
    row = difference_with_limits(first, second, alpha=check_alpha(alpha))
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
    return comparable, np.where(comparable, order_of_scores(score), 0.0)


def order_of_scores(score: np.ndarray) -> np.ndarray:
    """Compare every two scores: 1 where that of row i is larger, 0.5 where they are equal, else 0.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Scores. Two are equal if they differ by at most 1e-12 of the larger of their absolute values; R's
        concordance compares them exactly.

    Returns
    -------
    ndarray, shape (n, n)
        The order.
    """
    ahead = score[:, None] - score[None, :]
    size = np.abs(score)
    order = np.where(np.abs(ahead) <= _TIE * np.maximum(size[:, None], size), 0.0, np.sign(ahead))
    return (order + 1) / 2


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
    time, event, score = check_score(time, event, score)
    comparable, favourable = pair_matrices(time, event, score)
    weights = np.asarray(counts, dtype=float)
    pairs = np.sum((weights @ comparable) * weights, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum((weights @ favourable) * weights, axis=1) / pairs


def share_of_pairs(comparable: np.ndarray, favourable: np.ndarray) -> tuple[float, np.ndarray]:
    """Compute the share of comparable pairs that are in order, and the influence of each patient on it.

    Parameters
    ----------
    comparable, favourable : ndarray, shape (n, n)
        From `pair_matrices`; both may carry the same weights.

    Returns
    -------
    estimate : float
        The share.
    influence : ndarray, shape (n,)
        Infinitesimal jackknife: change of the share by one more of each patient, weights of pairs held fixed.

    Raises
    ------
    NotEstimable
        If no pair can be ordered.
    """
    pairs = comparable.sum()
    if pairs == 0:
        raise NotEstimable("no two patients can be ordered: nobody has an event while another is followed")
    estimate = float(favourable.sum() / pairs)
    excess = favourable - estimate * comparable
    return estimate, (excess.sum(axis=0) + excess.sum(axis=1)) / pairs


def share_with_limits(estimate: float, influence: np.ndarray, *, alpha: float) -> dict[str, float]:
    """Return estimate, se, and normal limits cut at 0 and 1; no limits where the se is 0.

    Parameters
    ----------
    estimate : float
        A share, 0 to 1.
    influence : ndarray
        Influence of each patient; the se is the root of the sum of squares.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    dict
        estimate, se, lower, upper. An interval of no width would claim a certainty that is not there.
    """
    se = float(np.sqrt(np.sum(influence**2)))
    half = norm.ppf(1 - alpha / 2) * se if se > _NO_ERROR else np.nan
    # np.fmax would turn a missing limit into a bound.
    lower, upper = np.maximum(estimate - half, 0.0), np.minimum(estimate + half, 1.0)
    return {"estimate": estimate, "se": se, "lower": float(lower), "upper": float(upper)}


def difference_with_limits(
    first: tuple[float, np.ndarray], second: tuple[float, np.ndarray], *, alpha: float
) -> dict[str, float]:
    """Return the second minus the first estimate in the same patients, with se, normal limits and p.

    Parameters
    ----------
    first, second : tuple
        Estimate and influence, as from `share_of_pairs`.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    dict
        estimate, se, lower, upper, p. With no se: p 1 for two equal estimates, else no limits and no p.
    """
    difference = second[0] - first[0]
    se = float(np.sqrt(np.sum((second[1] - first[1]) ** 2)))
    if se > _NO_ERROR:
        half, p = norm.ppf(1 - alpha / 2) * se, float(2 * norm.sf(abs(difference) / se))
    else:
        half, p = (0.0, 1.0) if difference == 0 else (np.nan, np.nan)
    limits = {"lower": difference - half, "upper": difference + half}
    return {"estimate": difference, "se": se, **limits, "p": p}


def check_score(time, event, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, events and one finite score a patient, or refuse them.

    Parameters
    ----------
    time, event, score : array-like
        As in `concordance`.

    Returns
    -------
    tuple of ndarray
        Times, events, scores.

    Raises
    ------
    ValueError
        If a score is missing or infinite, if there is not one for each patient, or if Series have different
        indexes.
    """
    check_index(time=time, event=event, score=score)
    time, event = check_time_event(time, event)
    score = np.asarray(score, dtype=float)
    if score.shape != time.shape or not np.isfinite(score).all():
        raise ValueError(
            f"one finite score for each of the {len(time)} patients is needed; leave others out by name"
        )
    return time, event, score
