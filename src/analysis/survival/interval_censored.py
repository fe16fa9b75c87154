"""Weibull regression of interval-censored times: proportional hazards where visits, not events, are seen."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.checks import ten_digits
from analysis.survival.outcome import NotEstimable

# A Weibull shape beyond these is no estimate: the likelihood rises to the end of the scale, as where every
# interval holds one common time. A numerical guard.
_SHAPES = (0.02, 50.0)


def weibull_interval(lower, upper, exposed, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the hazard ratio of two groups from intervals that hold the event, by a Weibull model.

    Parameters
    ----------
    lower, upper : array-like
        The event lies in (lower, upper], any unit; equal for a time that is known, `upper` infinite where the
        patient was censored at `lower`; `lower` 0 where nothing was seen before `upper`.
    exposed : array-like of bool
        The group in the numerator of the hazard ratio.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row: estimate (hazard ratio), lower, upper and p (Wald on the log hazard ratio, delta method),
        coef and se of the log hazard ratio, shape (above 1 a hazard that rises), loglik, n, events (`upper`
        finite), n_interval (events not known exactly).

    Raises
    ------
    NotEstimable
        If there is no patient, a group is empty or has no event, a group has nobody known to be event-free at
        some time, or the likelihood has no maximum.
    ValueError
        For malformed input.

    Notes
    -----
    lifelines fits ln T = a + b x + e / shape; the hazard ratio is exp(-b shape), constant in time.

    References
    ----------
    Lindsey and Ryan, Stat Med 1998;17:219-38.

    Examples
    --------
    >>> intervals = [0, 2, 6, 4, 6, 12], [2, 4, 8, 6, 8, 14]
    >>> bool(weibull_interval(*intervals, [1, 1, 1, 0, 0, 0])["estimate"].iloc[0] > 1)
    True
    """
    lower, upper, exposed = _check_intervals(lower, upper, exposed)
    for name, inside in (("exposed", exposed), ("reference", ~exposed)):
        if not np.isfinite(upper[inside]).any():
            raise NotEstimable(f"no event in the {name} group ({int(inside.sum())} patients)")
        if not (lower[inside] > 0).any():
            raise NotEstimable(f"nobody in the {name} group is known to be event-free at any time")
    # A unit of the typical time keeps the fit's numbers near 1; the hazard ratio and the shape do not see it.
    known = np.concatenate([lower[lower > 0], upper[np.isfinite(upper)]])
    fit = _fit(lower / np.median(known), upper / np.median(known), exposed)
    beta, log_shape = fit.params_["lambda_", "x"], fit.params_["rho_", "Intercept"]
    covariance = fit.variance_matrix_.loc[[("lambda_", "x"), ("rho_", "Intercept")]]
    covariance = covariance[[("lambda_", "x"), ("rho_", "Intercept")]].to_numpy()
    shape = float(np.exp(log_shape))
    coef, slope = -beta * shape, np.array([-shape, -beta * shape])
    variance = float(slope @ covariance @ slope)
    if not (_SHAPES[0] < shape < _SHAPES[1] and np.isfinite(variance) and variance > 0):
        raise NotEstimable("the Weibull likelihood of these intervals has no maximum")
    se, half = np.sqrt(variance), norm.ppf(1 - alpha / 2)
    event = np.isfinite(upper)
    found = {
        "estimate": np.exp(coef),
        "lower": np.exp(coef - half * se),
        "upper": np.exp(coef + half * se),
        "p": 2 * norm.sf(abs(coef) / se),
        "coef": coef,
        "se": se,
        "shape": shape,
        # The density of the exact times is per unit of time: back to the unit given.
        "loglik": fit.log_likelihood_ - int((lower == upper).sum()) * np.log(np.median(known)),
        "n": len(lower),
        "events": int(event.sum()),
        "n_interval": int((event & (upper > lower)).sum()),
    }
    return pd.DataFrame(
        [{name: ten_digits(value) if isinstance(value, float) else value for name, value in found.items()}]
    )


def _check_intervals(lower, upper, exposed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    exposed = np.asarray(exposed)
    if lower.ndim != 1 or lower.shape != upper.shape or lower.shape != exposed.shape:
        raise ValueError(
            f"lower, upper and exposed must be as long: {lower.shape}, {upper.shape}, {exposed.shape}"
        )
    if lower.size == 0:
        raise NotEstimable("no patients are left")
    bad = ~(np.isfinite(lower) & (lower >= 0) & (upper >= lower) & (upper > 0))
    if bad.any():
        raise ValueError(f"{int(bad.sum())} intervals are no 0 <= lower <= upper with lower finite")
    if pd.isna(exposed).any() or not np.isin(exposed, [0, 1]).all():
        raise ValueError("exposed must be True/1 or False/0 with none missing")
    exposed = exposed.astype(bool)
    if exposed.all() or not exposed.any():
        raise NotEstimable("one group is empty: nothing to compare")
    return lower, upper, exposed


def _fit(lower: np.ndarray, upper: np.ndarray, exposed: np.ndarray):
    from lifelines import WeibullAFTFitter
    from lifelines.exceptions import ConvergenceError

    frame = pd.DataFrame({"lower": lower, "upper": upper, "x": exposed.astype(float)})
    with warnings.catch_warnings():
        # What lifelines warns of (a singular Hessian) is refused by the guards on shape and variance.
        warnings.simplefilter("ignore")
        try:
            return WeibullAFTFitter().fit_interval_censoring(
                frame, "lower", "upper", fit_options={"ftol": 1e-14, "maxiter": 500}
            )
        except (ConvergenceError, np.linalg.LinAlgError) as failure:
            raise NotEstimable("the Weibull fit of these intervals does not converge") from failure
