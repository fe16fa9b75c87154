"""Linear mixed model with censored values: maximum likelihood, observed information, LR tests.

y_ij = x_ij b + u_i (+ v_i t_ij) + e_ij, where a value at or under its limit is known to be no more than that,
and one that was found but not measured to be more.
A value replaced by the limit, or by half of it, biases level, slope and variances; here it enters the
likelihood as what it is (a Tobit model with random effects).

References
----------
Hughes JP. Biometrics 1999;55:625-9. Pinheiro JC, Bates DM. J Comput Graph Stat 1995;4:12-35 (adaptive
Gauss-Hermite quadrature).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from analysis.biomarkers.censored_mixed_climb import (
    SAME_LIKELIHOOD,
    Problem,
    Rows,
    climb,
    information_at,
    split,
    standardise,
    start_like,
    usual_starts,
    value_at,
)
from analysis.survival.outcome import NotEstimable

RANDOM = {"none": 0, "intercept": 1, "intercept_slope": 2}
# A score under this (coefficients of size 1) is at rest.
_SETTLED = 1e-3
# A between-subject SD under this share of the SD within is asked whether it is zero.
_SMALL_SHARE = 0.05
# In orthonormal columns and units of the residual SD a coefficient carries information of about 1; one that
# the data push to infinity carries next to none.
_LEAST_INFORMATION = 1e-4


class CensoredMixedFit(NamedTuple):
    """A linear mixed model with censored responses, fitted by maximum likelihood.

    Attributes
    ----------
    coef, se : array, shape (p,)
        Fixed effects and their standard errors (observed information of all parameters).
    covariance : array, shape (p, p)
        Covariance of the fixed effects.
    sigma_between : array, shape (q,)
        Standard deviations of the random effects: intercept, and slope on `time`.
    random_covariance : array, shape (q, q)
        Their covariance.
    sigma_within : float
        Standard deviation within subjects.
    log_likelihood : float
        Log-likelihood at the maximum, densities and probabilities mixed.
    n, n_subjects, n_censored : int
        Rows, subjects, censored rows.
    converged : bool
        The score is zero and every coefficient carries information. False where a coefficient has no finite
        estimate, as where all later values of a group are under the limit, or where the quadrature of two
        random effects is not accurate enough for a score of zero.
    """

    coef: np.ndarray
    se: np.ndarray
    covariance: np.ndarray
    sigma_between: np.ndarray
    random_covariance: np.ndarray
    sigma_within: float
    log_likelihood: float
    n: int
    n_subjects: int
    n_censored: int
    converged: bool


def fit_censored_mixed(y, censored, design, subject, *, random: str = "intercept", time=None):
    """Fit a linear mixed model to values of which some are only known to be under, or above, a limit.

    Parameters
    ----------
    y : array, shape (n,)
        Response; where censored, its limit of detection on the same scale.
    censored : array of bool or of {-1, 0, 1}, shape (n,)
        True or 1 where the response is at or under `y`, -1 where it is above `y`.
    design : array, shape (n, p)
        Columns of the fixed effects, the intercept among them.
    subject : array, shape (n,)
        Labels of the subjects.
    random : {"intercept", "intercept_slope", "none"}
        Random effects of a subject, correlated where there are two.
    time : array, shape (n,), optional
        Time of the random slope.

    Returns
    -------
    CensoredMixedFit

    Raises
    ------
    NotEstimable
        With no observed value, no more rows than coefficients, a design of lower rank, or no variation.
    ValueError
        For arrays of different length, a value that is not finite, an unknown `random`, a slope without time.

    Notes
    -----
    With no value censored this is the ordinary mixed model by maximum likelihood (nlme::lme, method "ML");
    with no random effect survival::survreg with normal responses censored on the left and on the right.
    """
    rows = _check(y, censored, design, subject, random, time)
    return _fit(rows, RANDOM[random], like=None)


def likelihood_ratio_tests(
    y, censored, design, subject, fit: CensoredMixedFit, *, random: str = "intercept", time=None
) -> np.ndarray:
    """Test each fixed effect by the likelihood ratio: the model without its column, everything else as it is.

    Parameters
    ----------
    y, censored, design, subject, random, time
        As in `fit_censored_mixed`.
    fit : CensoredMixedFit
        The fit with all columns.

    Returns
    -------
    array, shape (p,)
        Two-sided p-values, chi-square with one degree of freedom; NaN where a model without the column
        cannot be fitted.
    """
    rows = _check(y, censored, design, subject, random, time)
    p_values = np.full(rows.design.shape[1], np.nan)
    if len(p_values) < 2:
        return p_values
    for column in range(len(p_values)):
        without = rows._replace(design=np.delete(rows.design, column, axis=1))
        try:
            smaller = _fit(without, RANDOM[random], like=(rows.design @ fit.coef, fit))
        except NotEstimable:
            continue
        p_values[column] = chi2.sf(max(0.0, 2 * (fit.log_likelihood - smaller.log_likelihood)), 1)
    return p_values


def _fit(rows: Rows, n_random: int, like: tuple[np.ndarray, CensoredMixedFit] | None) -> CensoredMixedFit:
    """Fit by maximum likelihood; `like` are the means and the fit of a model near this one, to start from."""
    problem = standardise(rows, n_random)
    if like is not None:
        starts = [start_like(problem, like[0], like[1].sigma_within, like[1].random_covariance)]
    elif n_random < 2:
        starts = usual_starts(problem)
    else:
        simpler = _fit(rows, 1, like=None)
        means = rows.design @ simpler.coef
        starts = [start_like(problem, means, simpler.sigma_within, simpler.random_covariance)]
    theta, value = climb(problem, starts)
    between = problem.n_fixed + 1
    if n_random == 1 and abs(theta[between]) < _SMALL_SHARE * np.exp(theta[problem.n_fixed]):
        pooled, pooled_value = climb(standardise(rows, 0), [theta[:between]])
        if pooled_value >= value - SAME_LIKELIHOOD:
            theta, value = np.append(pooled, 0.0), pooled_value
    return _finish(problem, theta, value, rows)


def _check(y, censored, design, subject, random: str, time) -> Rows:
    if random not in RANDOM:
        raise ValueError(f"random must be one of {', '.join(RANDOM)}; found {random!r}")
    if random == "intercept_slope" and time is None:
        raise ValueError("a random slope needs the time of each row")
    y, design = np.asarray(y, float), np.asarray(design, float)
    censored = np.sign(np.asarray(censored, float))
    time = np.zeros(len(y)) if time is None else np.asarray(time, float)
    lengths = {len(values) for values in (y, censored, design, subject, time)}
    if len(lengths) > 1 or design.ndim != 2:
        raise ValueError(f"y, censored, design, subject and time must have one row each; found {lengths}")
    if not all(np.isfinite(values).all() for values in (y, design, time)):
        raise ValueError("y, design and time must be finite; leave rows with missing values out before")
    if len(y) <= design.shape[1] or (censored != 0).all():
        raise NotEstimable(
            f"{int((censored == 0).sum())} values over the limit of {len(y)} do not carry {design.shape[1]} "
            "coefficients"
        )
    codes = np.unique(np.asarray(subject), return_inverse=True)[1]
    return Rows(y, censored, design, codes, time)


def _finish(problem: Problem, theta: np.ndarray, value: float, rows: Rows) -> CensoredMixedFit:
    n, n_censored = len(rows.y), int((rows.censored != 0).sum())
    beta, log_sd, root = split(problem, theta)
    # At a standard deviation of zero the score by it is zero whatever the rest: it tells nothing of the rest.
    kept = np.append(np.ones(problem.n_fixed + 1, bool), np.abs(theta[problem.n_fixed + 1 :]) > 1e-4)
    information = information_at(problem, theta)[np.ix_(kept, kept)]
    eigenvalues = np.linalg.eigvalsh(information)
    score = np.abs(value_at(problem, theta)[1][kept]).max()
    converged = bool(eigenvalues.min() > _LEAST_INFORMATION and score < _SETTLED)
    inverse = np.linalg.pinv(information)[: problem.n_fixed, : problem.n_fixed]
    turn = problem.scale * np.linalg.inv(problem.triangle)
    covariance = turn @ inverse @ turn.T
    units = problem.scale / np.array([1.0, problem.time_scale])[: problem.n_random]
    random_covariance = np.outer(units, units) * (root @ root.T)
    with np.errstate(invalid="ignore"):
        se = np.sqrt(np.diag(covariance))
    return CensoredMixedFit(
        coef=turn @ beta,
        se=se,
        covariance=covariance,
        sigma_between=np.sqrt(np.diag(random_covariance)),
        random_covariance=random_covariance,
        sigma_within=float(problem.scale * np.exp(log_sd)),
        # Densities of y are those of y / scale, divided by it; probabilities have no unit.
        log_likelihood=float(value - (n - n_censored) * np.log(problem.scale)),
        n=n,
        n_subjects=len(problem.data.y),
        n_censored=n_censored,
        converged=converged,
    )
