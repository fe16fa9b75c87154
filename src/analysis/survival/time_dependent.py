"""Discrimination and error at a time: cumulative/dynamic AUC and Brier score, censoring weighted away."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.survival.censoring import censoring_influence, censoring_survival
from analysis.survival.concordance import (
    check_score,
    difference_with_limits,
    order_of_scores,
    share_with_limits,
)
from analysis.survival.kaplan_meier import survival_at
from analysis.survival.outcome import NotEstimable, check_alpha, check_time_event


def time_dependent_auc(time, event, score, times, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate AUC(t): how often a patient with the event by t has a larger score than one without.

    Cases have the event at or before t and weigh 1 / G(T-), G the probability of not being censored; controls
    are followed beyond t. A score tied between the two counts one half. Larger is worse; a value below 0.5
    is returned as it is.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient.
    times : float or sequence of float
        Times t, unit of `time`.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row a time: time, estimate, se (influence function, the estimation of G included), lower, upper
        (normal, cut at 0 and 1, missing where se is 0), n_case, n_control, n, events.

    Raises
    ------
    NotEstimable
        If at one of the times nobody has had the event, or nobody is followed beyond it.

    References
    ----------
    Uno et al., JASA 2007;102:527-37. Blanche, Dartigues and Jacqmin-Gadda, Stat Med 2013;32:5381-97.
    R: riskRegression::Score(metrics = "auc", cens.model = "km").

    Examples
    --------
    >>> found = time_dependent_auc([1, 2, 3, 4], [1, 1, 1, 0], [3, 1, 2, 0], [2.5])
    >>> float(found["estimate"].iloc[0])
    0.75
    """
    alpha = check_alpha(alpha)
    time, event, score = check_score(time, event, score)
    rows = []
    for t in _check_times(time, event, times):
        row = share_with_limits(*_auc(time, event, score, t), alpha=alpha)
        rows.append({"time": t, **row, **_counts(time, event, t)})
    return pd.DataFrame(rows)


def time_dependent_auc_difference(time, event, score, other, times, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate AUC(t) of `other` minus that of `score` in the same patients.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score, other : array-like
        Two scores of the same patients, larger is worse.
    times, alpha
        As in `time_dependent_auc`.

    Returns
    -------
    DataFrame
        One row a time: time, estimate, se (of the difference), lower, upper, p, n_case, n_control, n, events.
    """
    alpha = check_alpha(alpha)
    time, event, score = check_score(time, event, score)
    other = check_score(time, event, other)[2]
    rows = []
    for t in _check_times(time, event, times):
        first, second = _auc(time, event, score, t), _auc(time, event, other, t)
        row = difference_with_limits(first, second, alpha=alpha)
        rows.append({"time": t, **row, **_counts(time, event, t)})
    return pd.DataFrame(rows)


def brier(time, event, risk, times, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the Brier score of predicted risks: mean squared distance to what happened by t.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    risk : array-like, shape (n,) or (n, number of times)
        Predicted probability of the event by each time; one column serves every time.
    times : float or sequence of float
        Times t, unit of `time`.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row a time: time, estimate (0 is perfect), se (influence function, the estimation of G included),
        lower, upper (normal, cut at 0 and 1), null (Brier score of the Kaplan-Meier risk, the same for all),
        scaled (1 - estimate / null; below 0 is worse than no predictor), n_case, n_control, n, events.

    Raises
    ------
    NotEstimable
        As `time_dependent_auc`.
    ValueError
        If a risk is missing or not between 0 and 1, or if the shapes do not fit.

    References
    ----------
    Graf et al., Stat Med 1999;18:2529-45. Gerds and Schumacher, Biometrical Journal 2006;48:1029-40.
    R: riskRegression::Score(metrics = "brier", cens.model = "km", summary = "ipa").

    Examples
    --------
    >>> found = brier([1, 2, 3, 4], [1, 1, 1, 0], [0.9, 0.6, 0.4, 0.1], 2.5)
    >>> float(found["estimate"].iloc[0].round(3)), float(found["null"].iloc[0])
    (0.085, 0.25)
    """
    alpha = check_alpha(alpha)
    time, event = check_time_event(time, event)
    times = _check_times(time, event, times)
    risk = _check_risk(risk, len(time), len(times))
    rows = []
    for k, t in enumerate(times):
        estimate, influence = _brier(time, event, risk[:, k], t)
        overall = 1 - float(survival_at(time, event, [t])["survival"].iloc[0])
        null, _ = _brier(time, event, np.full(len(time), overall), t)
        row = share_with_limits(estimate, influence, alpha=alpha)
        scaled = 1 - estimate / null if null > 0 else np.nan
        rows.append({"time": t, **row, "null": null, "scaled": scaled, **_counts(time, event, t)})
    return pd.DataFrame(rows)


def resampled_auc(time, event, score, t: float, counts: np.ndarray) -> np.ndarray:
    """Compute AUC(t) in many resamples at once, G estimated in each.

    Parameters
    ----------
    time, event, score : array-like
        As in `time_dependent_auc`, n patients.
    t : float
        One time.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn.

    Returns
    -------
    ndarray, shape (resamples,)
        AUC(t), missing in a resample without a case or without a control.
    """
    time, event, score = check_score(time, event, score)
    drawn = np.asarray(counts, dtype=float)
    cases = drawn * _case_weights(time, event, t, drawn)
    controls = drawn * (time > t)
    with np.errstate(invalid="ignore", divide="ignore"):
        ahead = np.sum((cases @ order_of_scores(score)) * controls, axis=1)
        return ahead / (cases.sum(axis=1) * controls.sum(axis=1))


def resampled_brier(time, event, risk: np.ndarray, t: float, counts: np.ndarray) -> np.ndarray:
    """Compute the Brier score at t of one set of risks a resample, G estimated in each.

    Parameters
    ----------
    time, event : array-like
        Follow-up and events of n patients.
    risk : ndarray, shape (resamples, n)
        Predicted risk by `t`.
    t : float
        One time.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn.

    Returns
    -------
    ndarray, shape (resamples,)
        Brier score, missing in a resample without a patient followed beyond `t`.
    """
    time, event = check_time_event(time, event)
    drawn = np.asarray(counts, dtype=float)
    cases = drawn * _case_weights(time, event, t, drawn)
    controls = drawn * (time > t)
    g = censoring_survival(time, event, [t], before=False, counts=drawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.sum(cases * (1 - risk) ** 2 + controls * risk**2 / g, axis=1) / drawn.sum(axis=1)
    return np.where(controls.sum(axis=1) > 0, total, np.nan)


def _auc(time, event, score, t: float) -> tuple[float, np.ndarray]:
    """Return AUC(t) and the influence of each patient; riskRegression's se has n - 1 in it."""
    weights = _case_weights(time, event, t, None)[0]
    pairs = weights[:, None] * (time > t)
    estimate = float(np.sum(pairs * order_of_scores(score)) / pairs.sum())
    excess = pairs * (order_of_scores(score) - estimate)
    by_case = excess.sum(axis=1)
    through_g = censoring_influence(time, event, time, before=True) @ by_case
    influence = (excess.sum(axis=0) + by_case - through_g) / pairs.sum()
    return estimate, influence * np.sqrt(len(time) / (len(time) - 1))


def _brier(time, event, risk, t: float) -> tuple[float, np.ndarray]:
    """Return the Brier score at t and the influence of each patient."""
    n = len(time)
    cases = _case_weights(time, event, t, None)[0] * (1 - risk) ** 2
    controls = (time > t) * risk**2 / censoring_survival(time, event, [t], before=False)[0, 0]
    estimate = float((cases + controls).mean())
    through_g = censoring_influence(time, event, time, before=True) @ cases
    through_g += censoring_influence(time, event, [t], before=False)[:, 0] * controls.sum()
    return estimate, (cases + controls - estimate - through_g) / n * np.sqrt(n / (n - 1))


def _case_weights(time, event, t: float, counts: np.ndarray | None) -> np.ndarray:
    g = censoring_survival(time, event, time, before=True, counts=counts)
    # G(T-) is 0 only in a resample that lacks the patient.
    usable = event & (time <= t) & (g > 0)
    return np.where(usable, 1 / np.where(usable, g, 1.0), 0.0)


def _check_times(time, event, times) -> list[float]:
    asked = [float(t) for t in np.atleast_1d(np.asarray(times, dtype=float))]
    if not asked or not all(np.isfinite(t) and t > 0 for t in asked):
        raise ValueError(f"times must be positive numbers, found {times!r}")
    for t in asked:
        if not np.any(event & (time <= t)):
            raise NotEstimable(f"nobody has the event by {t:g}: choose a later time")
        if not np.any(time > t):
            raise NotEstimable(
                f"nobody is followed beyond {t:g} (last follow-up {time.max():g}): choose an earlier time"
            )
    return asked


def _check_risk(risk, n: int, n_times: int) -> np.ndarray:
    risk = np.asarray(risk, dtype=float)
    risk = risk[:, None] if risk.ndim == 1 else risk
    if risk.shape == (n, 1):
        risk = np.repeat(risk, n_times, axis=1)
    if risk.shape != (n, n_times):
        raise ValueError(f"risk must have shape {(n,)} or {(n, n_times)}, found {risk.shape}")
    if not np.all((risk >= 0) & (risk <= 1)):
        raise ValueError("risk must be a probability between 0 and 1 for every patient, with none missing")
    return risk


def _counts(time: np.ndarray, event: np.ndarray, t: float) -> dict[str, int]:
    cases = {"n_case": int(np.sum(event & (time <= t))), "n_control": int(np.sum(time > t))}
    return {**cases, "n": len(time), "events": int(event.sum())}
