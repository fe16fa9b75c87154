"""The censoring distribution that inverse-probability weights rest on: G(t), its influence, resampled."""

from __future__ import annotations

import numpy as np


def censoring_survival(
    time: np.ndarray, event: np.ndarray, at, *, before: bool, counts: np.ndarray | None = None
) -> np.ndarray:
    """Estimate G, the probability of not being censored, by the reverse product-limit method.

    An event precedes a censoring at the same time: who has an event at t is not at risk of being censored at
    t (R's survival::concordance, prodlim and pec).

    Parameters
    ----------
    time, event : ndarray
        Follow-up and events of n patients, checked.
    at : array-like, shape (m,)
        Times to read G at, same unit.
    before : bool
        Read just before these times, G(t-), as the weight of an event at t; else G(t), as the weight of a
        patient still event-free at t.
    counts : ndarray, shape (resamples, n), optional
        How often each patient counts; once by default.

    Returns
    -------
    ndarray, shape (resamples, m)
        G; one row without `counts`.

    References
    ----------
    Gerds and Schumacher, Biometrical Journal 2006;48:1029-40.

    Examples
    --------
    >>> censoring_survival(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), [2, 3], before=True)
    array([[1. , 0.5]])
    """
    weights = np.ones((1, len(time))) if counts is None else np.asarray(counts, dtype=float)
    steps, censored, at_risk, passed = _steps(time, event, at, before=before)
    left, exposed = weights @ censored, weights @ at_risk
    # Nobody at risk (a resample without these patients): nobody is censored either, no step.
    hazard = np.divide(left, exposed, out=np.zeros_like(left), where=exposed > 0)
    with np.errstate(divide="ignore"):
        logs = np.log1p(-np.minimum(hazard, 1.0))
    # A product over steps; a sum of logs would make 0 x -inf of the steps not passed.
    survival = np.ones((len(weights), passed.shape[1]))
    for k in range(len(steps)):
        survival *= np.where(passed[k], np.exp(logs[:, k, None]), 1.0)
    return survival


def censoring_influence(time: np.ndarray, event: np.ndarray, at, *, before: bool) -> np.ndarray:
    """Compute the influence of each patient on ln G: the martingale of being censored.

    A patient censored at s adds -1 / Y(s); everybody with T >= s adds c(s) / Y(s)^2 (c censored, Y at risk).
    This is riskRegression's form, which also counts an event at s as at risk; the derivative of the
    product-limit estimate itself has Y - c in place of one Y.

    Parameters
    ----------
    time, event, at, before
        As in `censoring_survival`.

    Returns
    -------
    ndarray, shape (n, m)
        Influence on ln G at each time of each patient.

    References
    ----------
    Blanche, Dartigues and Jacqmin-Gadda, Stat Med 2013;32:5381-97, appendix.
    """
    steps, censored, _, passed = _steps(time, event, at, before=before)
    followed = (time[:, None] >= steps).astype(float)
    left, exposed = censored.sum(axis=0), followed.sum(axis=0)
    return (followed * left / exposed**2 - censored / exposed) @ passed


def _steps(time, event, at, *, before: bool):
    """Return distinct censoring times, who is censored at them, who is at risk, and which times pass them."""
    steps = np.unique(time[~event])
    censored = ((time[:, None] == steps) & ~event[:, None]).astype(float)
    at_risk = ((time[:, None] > steps) | (censored > 0)).astype(float)
    at = np.atleast_1d(np.asarray(at, dtype=float))
    passed = (steps[:, None] < at) if before else (steps[:, None] <= at)
    return steps, censored, at_risk, passed.astype(float)
