"""Firth's penalised partial likelihood, through firthmodels: finite under separation, Breslow ties."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import norm

from analysis.survival.cox_data import CoxData
from analysis.survival.outcome import NotEstimable
from analysis.survival.partial_likelihood import PartialLikelihood

# Numerical guard: a fit that has not converged by then is tried at a looser tolerance, then refused.
_MAX_ITERATIONS = 200


def fit_firth(data: CoxData, alpha: float) -> dict[str, np.ndarray]:
    """Fit by Firth's penalty with profile limits.

    Parameters
    ----------
    data : CoxData
        Without strata, entry or weights.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    dict of ndarray
        estimate, lower, upper (hazard ratios), coef, se, p (penalised likelihood ratio), p_wald, loglik,
        loglik_null (penalised).

    Raises
    ------
    NotEstimable
        If the fit does not converge.

    References
    ----------
    Heinze and Schemper, Biometrics 2001;57:114-9.
    """
    scale, scaled = data.scale, data.scaled
    null = _penalised(data.likelihood(scaled, "breslow"), np.zeros(len(scale)))
    fit, limits = _converged(scaled, (data.event, data.time), alpha)
    # A limit too large for a number is infinite.
    with np.errstate(over="ignore"):
        ratios = np.exp(np.column_stack([fit.coef_, limits]) / scale[:, None])
    return {
        "estimate": ratios[:, 0],
        "lower": ratios[:, 1],
        "upper": ratios[:, 2],
        "coef": fit.coef_ / scale,
        "se": fit.bse_ / scale,
        "p": fit.lrt_pvalues_,
        "p_wald": 2 * norm.sf(np.abs(fit.coef_ / fit.bse_)),
        # The penalty is half a log-determinant: undoing the scaling moves both values alike.
        "loglik": np.full(len(scale), fit.loglik_ + np.log(scale).sum()),
        "loglik_null": np.full(len(scale), null + np.log(scale).sum()),
    }


def firth_coefficients(data: CoxData) -> np.ndarray:
    """Return Firth's coefficients alone, without the profile limits that take most of the time.

    Parameters
    ----------
    data : CoxData
        Without strata, entry or weights.

    Returns
    -------
    ndarray, shape (covariates,)
        Log hazard ratios per unit.

    Raises
    ------
    NotEstimable
        If the fit does not converge.
    """
    return _converged(data.scaled, (data.event, data.time), None)[0].coef_ / data.scale


def _converged(x: np.ndarray, outcome: tuple, alpha: float | None):
    """Fit at the tightest tolerance that is reached: rounding can stop the last step halving."""
    from firthmodels import FirthCoxPH

    for tolerance in (1e-8, 1e-7, 1e-6):
        fit = FirthCoxPH(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=_MAX_ITERATIONS)
        with warnings.catch_warnings():
            # What does not converge is tried again at the next tolerance, and refused after the last.
            warnings.simplefilter("ignore")
            try:
                limits, done = _fit(fit, x, outcome, alpha, tolerance)
            except np.linalg.LinAlgError:
                continue  # on its way a step met coefficients about which the data say nothing
        if fit.converged_ and done:
            return fit, limits
    raise NotEstimable("the Firth fit did not converge: fewer covariates, or a larger group, are needed")


def _fit(fit, x: np.ndarray, outcome: tuple, alpha: float | None, tolerance: float):
    """Fit, with limits and p where a level is given; tell whether every number is finite."""
    fit.fit(x, outcome)
    if alpha is None:
        return None, bool(np.isfinite(fit.coef_).all())
    fit.lrt()
    limits = fit.conf_int(alpha, method="pl", tol=max(tolerance, 1e-8), max_iter=_MAX_ITERATIONS)
    return limits, bool(np.isfinite(limits).all() and np.isfinite(fit.lrt_pvalues_).all())


def _penalised(model: PartialLikelihood, beta: np.ndarray) -> float:
    return model.value(beta) + 0.5 * np.linalg.slogdet(model.derivatives(beta)[1])[1]
