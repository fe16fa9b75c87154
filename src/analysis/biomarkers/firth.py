"""Logistic regression on one covariate with Firth's penalty; profile limits where the library's go astray.

firthmodels finds profile limits by Newton's method from the estimate; with a skewed covariate both searches
may end at the same limit, on one side of the estimate. Such limits are found again here, by bracketing.
`survival.cox` guards its own.

References
----------
Firth D, Biometrika 1993;80:27-38. Heinze G, Schemper M, Stat Med 2002;21:2409-19.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2

from analysis.survival.outcome import NotEstimable

# Tolerances of the library's fit, the tightest first: rounding can keep a fit from the tightest.
_TOLERANCES = (1e-8, 1e-7, 1e-6)
_ITERATIONS = 200
# The search for a limit starts with a step of one standard deviation and doubles it so often.
_DOUBLINGS = 40
_LIMIT_TOLERANCE = 1e-10


def fit_logistic(x: np.ndarray, y: np.ndarray, alpha: float) -> tuple[float, float, float, float]:
    """Fit a logistic regression on one covariate with Firth's penalty.

    Parameters
    ----------
    x : array, shape (n,)
        Covariate of mean 0 and standard deviation 1.
    y : array of 0/1, shape (n,)
        Outcome, both values present.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    tuple of float
        Log odds ratio, limits of the penalised profile likelihood, p of its ratio.

    Raises
    ------
    NotEstimable
        If the fit does not converge.
    """
    from firthmodels import FirthLogisticRegression

    for tolerance in _TOLERANCES:
        fit = FirthLogisticRegression(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=_ITERATIONS)
        options = {"method": "pl", "features": [0], "tol": tolerance, "max_iter": _ITERATIONS}
        with warnings.catch_warnings():
            # What does not converge is tried again at the next tolerance, and refused after the last.
            warnings.simplefilter("ignore")
            fit.fit(x[:, None], y).lrt(features=[0])
            lower, upper = fit.conf_int(alpha, **options)[0]
        coef, p = float(fit.coef_[0]), float(fit.lrt_pvalues_[0])
        if fit.converged_ and np.isfinite([coef, p]).all():
            if not lower <= coef <= upper:
                lower, upper = _bracket(lambda b: _profile(b, x, y), coef, alpha)
            return coef, float(lower), float(upper), p
    raise NotEstimable("the Firth fit did not converge")


def _bracket(penalised: Callable[[float], float], coef: float, alpha: float) -> tuple[float, float]:
    """Return where the penalised likelihood has fallen by half a chi-square quantile, below and above."""
    level = penalised(coef) - chi2.isf(alpha, 1) / 2

    def above(beta: float) -> float:
        """Return how far the likelihood lies above the level; a finite number for the root search."""
        return max(penalised(beta) - level, -1e6)

    limits = []
    for side in (-1.0, 1.0):
        near, step = coef, side
        for _ in range(_DOUBLINGS):
            far = near + step
            if above(far) < 0:
                break
            near, step = far, 2 * step
        else:
            raise NotEstimable("the penalised likelihood has no limit on one side")
        limits.append(float(brentq(above, near, far, xtol=_LIMIT_TOLERANCE)))
    return limits[0], limits[1]


def _profile(slope: float, x: np.ndarray, y: np.ndarray) -> float:
    """Return the penalised log-likelihood at a slope, the intercept at its best."""

    def loss(intercept: float) -> float:
        """Return minus the penalised log-likelihood."""
        line = intercept + slope * x
        log_p, log_q = -np.logaddexp(0, -line), -np.logaddexp(0, line)
        weight = np.exp(log_p + log_q)
        total = weight.sum()
        with np.errstate(all="ignore"):
            information = np.log(total) + np.log((weight * (x - (weight @ x) / total) ** 2).sum())
        found = y @ log_p + (1 - y) @ log_q + 0.5 * information
        return -found if np.isfinite(found) else np.inf

    reach = abs(slope) * np.abs(x).max() + 2 * np.log(len(x) + 1)
    best = minimize_scalar(loss, bounds=(-reach, reach), method="bounded", options={"xatol": 1e-9})
    return -float(best.fun)
