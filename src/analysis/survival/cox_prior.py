"""Cox regression with a weakly informative prior: one covariate, the posterior by a fine grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

from analysis import plan
from analysis.survival.cox_data import check_information, read_cox_data
from analysis.survival.outcome import check_alpha

# Numerical guards: the grid ends where the posterior density is exp(-40) of its mode, and has so many points
# that a quantile of it moves by less than 1e-7 of the posterior's spread when there are more.
_DROP = 40.0
_POINTS = 801


def cox_prior(
    time,
    event,
    covariate,
    *,
    prior_sd: float | None = None,
    alpha: float = 0.05,
    ties: str | None = None,
    strata=None,
    entry=None,
) -> pd.DataFrame:
    """Estimate a hazard ratio under a normal prior on its logarithm: the partial likelihood, tempered.

    Finite under separation, as the prior rules extreme ratios out; with many events it is the
    maximum-likelihood estimate.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    covariate : Series, one-column DataFrame or array
        Numbers or booleans, one a patient. The prior is on the log hazard ratio per unit of it.
    prior_sd : float, optional
        Standard deviation of the prior, log hazard ratio; the default plan's by default.
    alpha : float
        One minus the probability of the interval.
    ties : {None, "efron", "breslow"}
        None takes the default plan's for maximum likelihood.
    strata, entry : array-like, optional
        As in `cox`.

    Returns
    -------
    DataFrame
        One row: term, estimate (posterior median of the hazard ratio), lower, upper (equal tails), coef
        (posterior median of its logarithm), mean, sd (posterior, of the logarithm), probability (posterior,
        that the hazard ratio is above 1), prior_sd, n, events, ties, estimator (``"PRIOR"``). No p: it is not
        a test.

    Raises
    ------
    NotEstimable
        Without an event, or with a covariate that does not vary: the posterior would be the prior.
    ValueError
        For malformed input, more than one covariate, or a prior_sd or alpha out of range.

    References
    ----------
    Greenland, Int J Epidemiol 2006;35:765-75 (normal priors on log ratios). Kalbfleisch, J R Stat Soc B
    1978;40:214-21 (partial likelihood as a marginal likelihood).
    """
    rules = plan.defaults().survival
    prior_sd, ties = rules.prior_sd if prior_sd is None else prior_sd, ties or rules.ties_ml
    if not (prior_sd > 0 and np.isfinite(prior_sd)):
        raise ValueError(f"prior_sd must be a number above 0, found {prior_sd}")
    alpha = check_alpha(alpha)
    data = read_cox_data(time, event, covariate, strata=strata, entry=entry)
    if len(data.names) != 1:
        raise ValueError(f"the grid takes one covariate, found {data.names}")
    check_information(data)
    model, scale = data.likelihood(data.scaled, ties), data.scale[0]
    precision = 1 / (prior_sd * scale) ** 2

    def log_posterior(value: float) -> float:
        return model.value(np.array([value])) - 0.5 * precision * value**2

    def slope(value: float) -> float:
        return float(model.derivatives(np.array([value]))[0][0] - precision * value)

    found = _summary(_posterior(log_posterior, slope, prior_sd * scale), alpha)
    coef = {name: value / scale for name, value in found.items() if name != "probability"}
    row = {
        "term": data.names[0],
        "estimate": np.exp(coef["median"]),
        "lower": np.exp(coef["lower"]),
        "upper": np.exp(coef["upper"]),
        "coef": coef["median"],
        "mean": coef["mean"],
        "sd": coef["sd"],
        "probability": found["probability"],
        "prior_sd": float(prior_sd),
        "n": data.patients,
        "events": int(data.event.sum()),
        "ties": ties,
        "estimator": "PRIOR",
    }
    return pd.DataFrame([row])


def _posterior(
    log_posterior: Callable[[float], float], slope: Callable[[float], float], sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid over all of the posterior, and its density there (to a constant)."""
    # Log-concave: the slope falls from above to below 0, and each side crosses any level once.
    far = sd
    while slope(far) > 0 or slope(-far) < 0:
        far *= 2
    mode = brentq(slope, -far, far, xtol=1e-10)
    top = log_posterior(mode)

    def excess(value: float) -> float:
        return log_posterior(value) - top + _DROP

    ends = []
    for side in (-1.0, 1.0):
        # The prior alone falls by so much at sqrt(2 drop) standard deviations beyond 0.
        outer = mode + side * (abs(mode) + np.sqrt(2 * _DROP) * sd)
        while excess(outer) > 0:
            outer += side * sd
        ends.append(brentq(excess, *sorted((mode, outer)), rtol=1e-6))
    grid = np.linspace(*ends, _POINTS)
    return grid, np.exp(np.array([log_posterior(value) for value in grid]) - top)


def _summary(posterior: tuple[np.ndarray, np.ndarray], alpha: float) -> dict[str, float]:
    grid, density = posterior
    area = CubicSpline(grid, density).antiderivative()
    total = float(area(grid[-1]))
    mean = float(np.trapezoid(grid * density, grid)) / total
    variance = float(np.trapezoid((grid - mean) ** 2 * density, grid)) / total

    def quantile(share: float) -> float:
        return brentq(lambda value: area(value) / total - share, grid[0], grid[-1], xtol=1e-12)

    return {
        "median": quantile(0.5),
        "lower": quantile(alpha / 2),
        "upper": quantile(1 - alpha / 2),
        "mean": mean,
        "sd": float(np.sqrt(variance)),
        "probability": float(1 - area(np.clip(0.0, grid[0], grid[-1])) / total),
    }
