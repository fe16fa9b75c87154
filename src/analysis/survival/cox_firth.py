"""Firth's penalised partial likelihood: fitted by firthmodels, every number checked; Breslow ties.

The library climbs from no effect and takes the first maximum, and searches profile limits by Newton's method.
With a skewed covariate the penalised likelihood can have a higher maximum elsewhere, and both searches can
end at the same limit, on one side of the estimate. So the maximum is held against others, each limit against
the likelihood, and what fails is found again (`firth_likelihood`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import chi2, norm

from analysis.survival.cox_data import CoxData
from analysis.survival.firth_likelihood import GRID, FirthLikelihood
from analysis.survival.outcome import NotEstimable

# Numerical guards, none of them an analysis choice; covariates are on a range of 1.
# A fit that has not converged by then is tried at a looser tolerance, then refused.
_MAX_ITERATIONS = 200
# Log-likelihoods that differ by less are equal: the library stops at gradients of 1e-8 to 1e-6.
_SAME = 1e-6
# A maximum so near another's coefficients is the same; scores at which a climb stops that is only compared,
# and one whose value is wanted to ten digits.
_NEAR, _LOOSE, _PROFILE = 0.02, 1e-3, 1e-6
# A limit so far out is open, as in `cox`.
_FARTHEST = 1e4
# Where a second start begins, at most: under separation maximum likelihood has none.
_WIDEST_START = 8.0


@dataclass(frozen=True)
class _Fit:
    """Coefficients, penalised log-likelihood, limits (covariates, 2) and p, on the scale of the fit."""

    coef: np.ndarray
    best: float
    limits: np.ndarray
    p: np.ndarray


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
        loglik_null (penalised). Of several maxima the estimate is the highest that is found: all of one
        covariate's are, of several covariates those uphill of no effect and of maximum likelihood. With one
        covariate the limits enclose every value that is not rejected; with several they are the first on
        either side of the estimate. A limit is infinite where the likelihood does not fall so far.

    Raises
    ------
    NotEstimable
        If the fit does not converge.

    References
    ----------
    Heinze and Schemper, Biometrics 2001;57:114-9.
    """
    scale = data.scale
    model = FirthLikelihood.build(data.time, data.event, data.scaled)
    null = model.value(np.zeros(len(scale)))
    fit = _highest(_converged(data, model, alpha), model)
    fit = (_check_one if len(scale) == 1 else _check_several)(fit, model, alpha)
    se = np.sqrt(np.diag(np.linalg.inv(model.derivatives(fit.coef)[2])))
    # A limit too large for a number is infinite.
    with np.errstate(over="ignore"):
        ratios = np.exp(np.column_stack([fit.coef, fit.limits]) / scale[:, None])
    return {
        "estimate": ratios[:, 0],
        "lower": ratios[:, 1],
        "upper": ratios[:, 2],
        "coef": fit.coef / scale,
        "se": se / scale,
        "p": fit.p,
        "p_wald": 2 * norm.sf(np.abs(fit.coef / se)),
        # The penalty is half a log-determinant: undoing the scaling moves both values alike.
        "loglik": np.full(len(scale), fit.best + np.log(scale).sum()),
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
        Log hazard ratios per unit, as `fit_firth` gives them.

    Raises
    ------
    NotEstimable
        If the fit does not converge.
    """
    model = FirthLikelihood.build(data.time, data.event, data.scaled)
    return _highest(_converged(data, model, None), model).coef / data.scale


def _converged(data: CoxData, model: FirthLikelihood, alpha: float | None) -> _Fit:
    """Fit at the tightest tolerance that is reached: rounding can stop the last step halving."""
    from firthmodels import FirthCoxPH

    x, outcome = data.scaled, (data.event, data.time)
    for tolerance in (1e-8, 1e-7, 1e-6):
        fit = FirthCoxPH(backend="numpy", gtol=tolerance, xtol=tolerance, max_iter=_MAX_ITERATIONS)
        with warnings.catch_warnings():
            # What does not converge is tried again at the next tolerance, and after the last without it.
            warnings.simplefilter("ignore")
            try:
                fit.fit(x, outcome)
            except np.linalg.LinAlgError:
                continue  # on its way a step met coefficients about which the data say nothing
            if fit.converged_ and np.isfinite(fit.coef_).all():
                limits, p = _search_limits(fit, alpha, tolerance)
                return _Fit(fit.coef_, float(fit.loglik_), limits, p)
    start = np.zeros(x.shape[1])
    coef, best, _, done = model.climb(start, start == 0)
    return _Fit(coef, best if done else -np.inf, np.full((len(start), 2), np.nan), start + np.nan)


def _search_limits(fit, alpha: float | None, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the library's limits and p; missing where it finds none, and if none are asked for."""
    covariates = len(fit.coef_)
    limits, p = np.full((covariates, 2), np.nan), np.full(covariates, np.nan)
    if alpha is None:
        return limits, p
    try:
        p = fit.lrt().lrt_pvalues_
        options = {"method": "pl", "tol": max(tolerance, 1e-8), "max_iter": _MAX_ITERATIONS}
        limits = np.array(fit.conf_int(alpha, **options))
    except np.linalg.LinAlgError:
        pass  # the search left the coefficients about which the data say anything
    return limits, p


def _highest(fit: _Fit, model: FirthLikelihood) -> _Fit:
    """Return the fit, or one without limits and p at a higher maximum."""
    if len(fit.coef) == 1:
        other, best = _highest_of_one(model, fit)
    else:
        other, best = _climb_from_likelihood(model, fit)
    if not np.isfinite(max(best, fit.best)):
        raise NotEstimable("the Firth fit did not converge: fewer covariates, or a larger group, are needed")
    if best <= fit.best + _SAME:
        return fit
    return _Fit(other, best, np.full_like(fit.limits, np.nan), np.full_like(fit.p, np.nan))


def _highest_of_one(model: FirthLikelihood, fit: _Fit) -> tuple[np.ndarray, float]:
    """Return the highest other maximum of one covariate; minus infinity if there is no other."""
    grid, values = _look(model, fit)
    peaks = 1 + np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] > values[2:]))
    best, coef = -np.inf, fit.coef
    for peak in peaks[grid[peaks] != fit.coef[0]]:
        bounds = (grid[peak - 1], grid[peak + 1])
        near = minimize_scalar(lambda at: -model.value(np.array([at])), bounds=bounds, method="bounded").x
        found = model.climb(np.array([near]), np.array([True]))
        if found[3] and found[1] > best:
            coef, best = found[:2]
    return coef, best


def _look(model: FirthLikelihood, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients of one covariate, that of the fit among them, and the likelihood at each."""
    place = np.searchsorted(GRID, fit.coef[0])
    return np.insert(GRID, place, fit.coef[0]), np.insert(model.scan, place, fit.best)


def _climb_from_likelihood(model: FirthLikelihood, fit: _Fit) -> tuple[np.ndarray, float]:
    """Return the maximum uphill of maximum likelihood; minus infinity if it is the same."""
    free = np.ones(len(fit.coef), dtype=bool)
    start = model.climb(fit.coef, free, tolerance=_LOOSE, penalty=0.0)[0]
    coef = model.climb(np.clip(start, -_WIDEST_START, _WIDEST_START), free, tolerance=_LOOSE)[0]
    if np.abs(coef - fit.coef).max() < _NEAR:
        return fit.coef, -np.inf
    coef, best, _, done = model.climb(coef, free)
    return coef, best if done else -np.inf


def _check_one(fit: _Fit, model: FirthLikelihood, alpha: float) -> _Fit:
    """Return the fit of one covariate with limits that enclose all that is not rejected, and its p."""
    level = fit.best - chi2.isf(alpha, 1) / 2
    grid, values = _look(model, fit)
    inside = np.flatnonzero(values >= level)

    def excess(at: float) -> float:
        """Return how far the likelihood lies above the level; a finite number for the root search."""
        return max(model.value(np.array([at])) - level, -1e6)

    limits = []
    for side, place, found in ((-1, inside[0], fit.limits[0, 0]), (1, inside[-1], fit.limits[0, 1])):
        if not 0 < place < len(grid) - 1:
            limits.append(_walk(excess, grid[place], side * abs(grid[place])))
            continue
        near, far = grid[place], grid[place + side]
        right = side * near <= side * found <= side * far and abs(excess(found)) < _SAME
        limits.append(found if right else _walk(excess, near, far - near))
    p = chi2.sf(max(2 * (fit.best - model.value(np.zeros(1))), 0.0), 1)
    return replace(fit, limits=np.array([limits]), p=np.where(np.isfinite(fit.p), fit.p, p))


def _check_several(fit: _Fit, model: FirthLikelihood, alpha: float) -> _Fit:
    """Return the fit with limits and p that the profiles confirm, found again where they do not."""
    level = fit.best - chi2.isf(alpha, 1) / 2
    covariance = np.linalg.inv(model.derivatives(fit.coef)[2])
    limits, p = fit.limits.copy(), fit.p.copy()
    for j in range(len(fit.coef)):
        profile = _Profile(model, fit.coef, j, covariance[:, j] / covariance[j, j])
        step = np.sqrt(covariance[j, j] * chi2.isf(alpha, 1))
        for place, side in enumerate((-1, 1)):
            if not profile.confirms(limits[j, place], side, level):
                limits[j, place] = _walk(
                    lambda at, of=profile: max(of(at)[0] - level, -1e6), fit.coef[j], side * step
                )
        outside = not limits[j, 0] <= 0 <= limits[j, 1]
        if not np.isfinite(p[j]) or outside != (p[j] < alpha):
            p[j] = chi2.sf(max(2 * (fit.best - profile(0.0)[0]), 0.0), 1)
    return replace(fit, limits=limits, p=p)


@dataclass(frozen=True)
class _Profile:
    """Profile likelihood of one coefficient; `along` is how the others move with it near the estimate."""

    model: FirthLikelihood
    coef: np.ndarray
    index: int
    along: np.ndarray

    def __call__(self, at: float) -> tuple[float, float]:
        """Return the likelihood with the coefficient fixed and the others at their best, and its slope."""
        free = np.arange(len(self.coef)) != self.index
        moved = self.coef + (at - self.coef[self.index]) * self.along
        starts = [moved, np.where(free, self.coef, at)]
        for start in starts:
            _, value, score, done = self.model.climb(start, free, tolerance=_PROFILE)
            if done:
                return value, float(score[self.index])
        return -np.inf, np.nan

    def confirms(self, limit: float, side: int, level: float) -> bool:
        """Tell whether the profile falls through the level there, on that side of the estimate."""
        if not np.isfinite(limit) or side * (limit - self.coef[self.index]) <= 0:
            return False
        value, slope = self(limit)
        return abs(value - level) < _SAME and side * slope < 0


def _walk(excess: Callable[[float], float], near: float, step: float) -> float:
    """Walk outwards in steps that double, to where the likelihood has fallen to the level; else infinite."""
    far = near + step
    while excess(far) > 0:
        near, step = far, 2 * step
        far = near + step
        if abs(far) > _FARTHEST:
            return float(np.copysign(np.inf, step))
    return float(brentq(excess, near, far, xtol=1e-11, rtol=1e-14))
