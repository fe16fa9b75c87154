"""Test of proportional hazards: the exact score test, as cox.zph of R's survival since 3.0."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import chi2, rankdata

from analysis import plan
from analysis.survival.cox_data import CoxData, check_information, read_cox_data
from analysis.survival.outcome import NotEstimable
from analysis.survival.partial_likelihood import PartialLikelihood, fit_maximum

TRANSFORMS = ("km", "rank", "identity", "log")
# Numerical guard: information worse conditioned than this holds no test.
_CONDITION = 1e12


def ph_test(
    time,
    event,
    covariates,
    *,
    transform: str | None = None,
    ties: str | None = None,
    strata=None,
) -> pd.DataFrame:
    """Test that hazard ratios do not change with time: one row a covariate, and all of them together.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    covariates : DataFrame, Series or array
        The covariates of the Cox model, as in `cox`.
    transform : {None, "km", "rank", "identity", "log"}
        Scale g(t) on which a log hazard ratio would change linearly: 1 - S(t-) of everybody, rank among all
        times, time, its logarithm. None takes the plan's.
    ties : {None, "efron", "breslow"}
        None takes the plan's for maximum likelihood.
    strata : array-like, optional
        Baseline hazards differ by stratum; g does not.

    Returns
    -------
    DataFrame
        term (``"GLOBAL"`` last), chi2, df, p, n, events.

    Raises
    ------
    NotEstimable
        Where the Cox model is (see `cox`), where all events have one time, or where there are too few of them
        for the covariates.
    ValueError
        For malformed input or an unknown option.

    Notes
    -----
    The score test of adding x g(t) to the fitted model: its score is the sum of g times the Schoenfeld
    residuals, its variance comes from the full information of both parts. Older versions of R, and lifelines,
    take the variance of the residuals as constant over time, and differ.

    References
    ----------
    Grambsch and Therneau, Biometrika 1994;81:515-26. Therneau, "Approximating a Cox model", and cox.zph,
    R package survival, version 3.0 and later.
    """
    rules = plan.defaults().survival
    transform, ties = transform or rules.ph_transform, ties or rules.ties_ml
    if transform not in TRANSFORMS:
        raise ValueError(f"transform must be one of {TRANSFORMS}, found {transform!r}")
    data = read_cox_data(time, event, covariates, strata=strata)
    check_information(data)
    clock = _clock(data, transform)
    model = data.likelihood(data.scaled, ties)
    beta = fit_maximum(model, data.names)[0]
    score, information = _enlarged(model, beta, clock)
    size = len(data.names)
    asked = [*[np.array([k]) for k in range(size)], np.arange(size)]
    chi2s = np.array([_score_test(score, information, columns, size) for columns in asked])
    degrees = np.array([len(columns) for columns in asked])
    return pd.DataFrame(
        {
            "term": [*data.names, "GLOBAL"],
            "chi2": chi2s,
            "df": degrees,
            "p": chi2.sf(chi2s, degrees),
            "n": len(data.time),
            "events": int(data.event.sum()),
        }
    )


def transformed_time(time: np.ndarray, event: np.ndarray, transform: str) -> np.ndarray:
    """Return g(t) at every time.

    Parameters
    ----------
    time, event : ndarray
        Checked follow-up and events.
    transform : {"km", "rank", "identity", "log"}
        See `ph_test`.

    Returns
    -------
    ndarray
        One number a patient, as R's cox.zph.
    """
    if transform == "identity":
        return time
    if transform == "rank":
        return rankdata(time)
    if transform == "log":
        with np.errstate(divide="ignore"):
            return np.log(time)
    ends, deaths = np.unique(time[event], return_counts=True)
    at_risk = (time[None, :] >= ends[:, None]).sum(axis=1)
    survival = np.concatenate([[1.0], np.cumprod(1 - deaths / at_risk)])
    # Left-continuous: the survival just before the time.
    return 1 - survival[np.searchsorted(ends, time, side="left")]


def _clock(data: CoxData, transform: str) -> np.ndarray:
    """Return g(t) at the events, about its mean, on a range of 1: the test does not depend on either."""
    clock = transformed_time(data.time, data.event, transform)[data.event]
    if not np.isfinite(clock).all():
        raise ValueError("an event at time 0 has no logarithm; take another transform")
    if np.ptp(clock) == 0:
        raise NotEstimable(
            f"all {len(clock)} events have the same time, or rank: no change over time can be seen"
        )
    return (clock - clock.mean()) / np.ptp(clock)


def _enlarged(model: PartialLikelihood, beta, clock) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of x g(t), and the information of x and x g(t) together, at no change over time."""
    share, means = model.shares(beta)
    x = model.x
    score = clock @ (x[model.at] - means)
    blocks = [
        x.T @ ((weight @ share)[:, None] * x) - means.T @ (weight[:, None] * means)
        for weight in (np.ones_like(clock), clock, clock**2)
    ]
    return score, np.block([[blocks[0], blocks[1]], [blocks[1], blocks[2]]])


def _score_test(score, information, columns, size: int) -> float:
    kept = np.concatenate([np.arange(size), size + columns])
    within = information[np.ix_(kept, kept)]
    # On a diagonal of 1, so that only what is truly degenerate looks so.
    root = np.sqrt(np.diag(within))
    if not (root > 0).all() or np.linalg.cond(within / np.outer(root, root)) > _CONDITION:
        raise NotEstimable("too few events, or event times, for these covariates: drop some, or do not test")
    direction = np.concatenate([np.zeros(size), score[columns]])
    return float(direction @ np.linalg.solve(within, direction))
