"""Cox regression on one covariate in many resamples of one data set at once, with Efron ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.survival.outcome import check_time_event

_MAX_ITERATIONS = 60
_GRADIENT = 1e-9
# On a covariate of range 1; longer steps, taken under separation only, would end in exp() of nothing.
_MAX_STEP = 5.0


def cox_batch(time, event, score, counts: np.ndarray) -> pd.DataFrame:
    """Fit the same one-covariate model in every resample; copies of a patient with an event are ties (Efron).

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event, n patients.
    score : array-like
        One number a patient.
    counts : ndarray, shape (resamples, n)
        How often each patient is drawn.

    Returns
    -------
    DataFrame
        One row a resample: coef, loglik, loglik_null, events, converged. Under separation loglik is the
        limit the iteration approaches and converged tells nothing about coef, which only grows; a resample
        without an event or without spread of the score has coef 0.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    time, event = check_time_event(time, event)
    score, weights = np.asarray(score, dtype=float), np.asarray(counts, dtype=float)
    if score.shape != time.shape or weights.ndim != 2 or weights.shape[1] != len(time):
        raise ValueError(
            f"score and counts must cover the {len(time)} patients: {score.shape} and {weights.shape}"
        )
    spread = np.ptp(score) or 1.0
    model = _Batch.build(time, event, (score - score.mean()) / spread, weights)
    beta = np.zeros(len(weights))
    null, gradient, information = model.evaluate(beta)
    best = null.copy()
    for _ in range(_MAX_ITERATIONS):
        moving = (np.abs(gradient) > _GRADIENT) & (information > 0)
        if not moving.any():
            break
        step = np.where(moving, gradient / np.where(information > 0, information, 1.0), 0.0)
        beta, best, gradient, information = _climb(model, beta, np.clip(step, -_MAX_STEP, _MAX_STEP), best)
    converged = np.abs(gradient) <= _GRADIENT
    events = (weights @ event).astype(int)
    found = {
        "coef": beta / spread,
        "loglik": best,
        "loglik_null": null,
        "events": events,
        "converged": converged,
    }
    return pd.DataFrame(found)


@dataclass(frozen=True)
class _Batch:
    """One row a resample; columns are patients (x) or distinct event times (at_risk, tied)."""

    x: np.ndarray
    weights: np.ndarray
    at_risk: np.ndarray
    tied: np.ndarray

    @classmethod
    def build(cls, time, event, x, weights) -> _Batch:
        times = np.unique(time[event])
        at_risk = (time[:, None] >= times[None, :]).astype(float)
        tied = (event[:, None] & (time[:, None] == times[None, :])).astype(float)
        return cls(x, weights, at_risk, tied)

    def evaluate(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log-likelihood, score and information of every resample."""
        linear = beta[:, None] * self.x
        shift = np.where(self.weights > 0, linear, -np.inf).max(axis=1, keepdims=True)
        shift = np.where(np.isfinite(shift), shift, 0.0)
        risk = self.weights * np.exp(np.minimum(linear - shift, 0.0))
        moments = [risk * self.x**k for k in range(3)]
        whole, part = [m @ self.at_risk for m in moments], [m @ self.tied for m in moments]
        deaths = self.weights @ self.tied
        events_x = (self.weights * self.x) @ self.tied.sum(axis=1)
        value = beta * events_x
        gradient, information = events_x.copy(), np.zeros_like(beta)
        for earlier in range(int(deaths.max(initial=0))):
            # The (earlier + 1)-th of the tied events: the tie counts at 1 - earlier / deaths.
            active = deaths > earlier
            share = earlier / np.where(active, deaths, 1.0)
            s0, s1, s2 = (np.where(active, w - share * p, 1.0) for w, p in zip(whole, part, strict=True))
            mean = np.where(active, s1 / s0, 0.0)
            value -= np.sum(np.where(active, np.log(s0) + shift, 0.0), axis=1)
            gradient -= mean.sum(axis=1)
            information += np.sum(np.where(active, s2 / s0 - mean**2, 0.0), axis=1)
        return value, gradient, information


def _climb(model: _Batch, beta: np.ndarray, step: np.ndarray, best: np.ndarray):
    """Take the Newton step, halved in the resamples where it would go down."""
    for _ in range(30):
        value, gradient, information = model.evaluate(beta + step)
        worse = value < best - 1e-12
        if not worse.any():
            break
        step = np.where(worse, step / 2, step)
    return beta + step, value, gradient, information
