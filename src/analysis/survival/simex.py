"""Simulation-extrapolation: an estimate at several sizes of measurement error, carried back to none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import NotEstimable

_DEGREES = {"linear": 1, "quadratic": 2}
# The error that is there already is one; without it stands at minus one.
NO_ERROR = -1.0


@dataclass(frozen=True)
class Simex:
    """An estimate without measurement error.

    Attributes
    ----------
    estimate, se, lower, upper : float
        On the scale of the estimates (ln hazard ratio). `se` and the limits are missing where the
        extrapolated variance is not positive.
    coefficients : ndarray
        Of the extrapolation, from the constant upwards.
    levels : DataFrame
        One row a level that was extrapolated: level, estimate (mean), variance (mean of the models'), between
        (variance of the estimates between draws), fits (that entered), left_out (without a finite estimate).
    """

    estimate: float
    se: float
    lower: float
    upper: float
    coefficients: np.ndarray
    levels: pd.DataFrame

    def at(self, level) -> np.ndarray:
        """Return the extrapolation at a level of error, or several."""
        return np.polynomial.polynomial.polyval(np.asarray(level, dtype=float), self.coefficients)


def simex(
    level, estimate, variance, *, extrapolation: str = "quadratic", anchored: bool = True, alpha: float = 0.05
) -> Simex:
    """Extrapolate the mean estimate over levels of added measurement error to no error at all.

    Parameters
    ----------
    level : array-like, shape (fits,)
        Variance of the error added before each fit, times that of the error the data have already. Level 0,
        the data as they are, occurs at most once.
    estimate, variance : array-like, shape (fits,)
        What each fit gave, best on a scale without bounds (ln hazard ratio), and its model's variance. A fit
        without a finite estimate (monotone likelihood) is left out and counted: what is left leans towards
        the null.
    extrapolation : {"linear", "quadratic"}
        Shape of the mean estimate, and of its variance, over the levels: unweighted least squares.
    anchored : bool
        Level 0 takes part, as Cook and Stefanski have it. Not of a class cut from a score: the least error
        moves those next to the cut, so that near level 0 the mean goes with the root of the level, which no
        polynomial follows.
    alpha : float
        One minus the confidence level; the limits are normal.

    Returns
    -------
    Simex
        The estimate at level -1.

    Raises
    ------
    NotEstimable
        If the data as they are have no finite estimate (`anchored`), another level has fewer than two, or
        there are fewer levels than the extrapolation has coefficients.
    ValueError
        If the arrays differ in length, a level is negative or not finite, level 0 occurs twice (`anchored`:
        or not at all), or `extrapolation` is unknown.

    Notes
    -----
    The variance of each level is the models' mean less that between draws; it is extrapolated as the estimate
    is. For a class cut from a score that is too little: of 45 patients with a CV of 12 %, intervals meant to
    cover 95 % cover 83 to 91 % (simulated), those of a bootstrap over patients (`extrapolation_weights`) 94
    to 96 %. The extrapolation is an approximation: it undoes a part of the attenuation, the linear one less
    than the quadratic.

    References
    ----------
    Cook and Stefanski, J Am Stat Assoc 1994;89:1314-28; Stefanski and Cook, ibid. 1995;90:1247-56.

    Examples
    --------
    >>> found = simex([0, 1, 1, 2, 2], [0.8, 0.5, 0.7, 0.3, 0.5], [0.1] * 5, extrapolation="linear")
    >>> round(found.estimate, 6)
    1.0
    """
    fits = _checked(level, estimate, variance, anchored=anchored)
    levels = _by_level(fits if anchored else fits[fits["level"] > 0])
    weights = extrapolation_weights(levels["level"], extrapolation)
    known = levels["variance"] - levels["between"]
    value, spread = float(weights @ levels["estimate"]), float(weights @ known)
    se = math.sqrt(spread) if spread > 0 else math.nan
    reach = float(norm.ppf(1 - alpha / 2)) * se
    curve = np.polynomial.polynomial.polyfit(levels["level"], levels["estimate"], _DEGREES[extrapolation])
    return Simex(value, se, value - reach, value + reach, curve, levels)


def extrapolation_weights(levels, extrapolation: str = "quadratic") -> np.ndarray:
    """Return the weights with which the means of the levels add up to the extrapolation to no error.

    Parameters
    ----------
    levels : array-like, shape (levels,)
        Distinct levels of added error.
    extrapolation : {"linear", "quadratic"}
        As in `simex`.

    Returns
    -------
    ndarray, shape (levels,)
        They add up to 1.

    Raises
    ------
    NotEstimable
        If there are fewer levels than the extrapolation has coefficients.
    ValueError
        If `extrapolation` is unknown.

    Examples
    --------
    >>> extrapolation_weights([0, 1], "linear").round(6).tolist()
    [2.0, -1.0]
    """
    if extrapolation not in _DEGREES:
        raise ValueError(f"extrapolation must be one of {', '.join(_DEGREES)}, found {extrapolation!r}")
    size, levels = _DEGREES[extrapolation] + 1, np.asarray(levels, dtype=float)
    if len(levels) < size:
        raise NotEstimable(
            f"{len(levels)} levels of error cannot carry a {extrapolation} extrapolation: {size} are needed"
        )
    return NO_ERROR ** np.arange(size) @ np.linalg.pinv(np.vander(levels, size, increasing=True))


def _checked(level, estimate, variance, *, anchored: bool) -> pd.DataFrame:
    arrays = [np.asarray(values, dtype=float) for values in (level, estimate, variance)]
    shapes = [values.shape for values in arrays]
    if len(set(shapes)) > 1 or arrays[0].ndim != 1:
        raise ValueError(f"level, estimate and variance must have one entry a fit: found shapes {shapes}")
    fits = pd.DataFrame(dict(zip(("level", "estimate", "variance"), arrays, strict=True)))
    if not (np.isfinite(fits["level"]) & (fits["level"] >= 0)).all():
        raise ValueError("a level is the variance added, times that of the error there is: at least 0")
    first = int(fits["level"].eq(0).sum())
    if first > 1 or (anchored and not first):
        raise ValueError(f"the data as they are must be fitted once (level 0): found {first} fits")
    return fits


def _by_level(fits: pd.DataFrame) -> pd.DataFrame:
    finite = np.isfinite(fits["estimate"]) & np.isfinite(fits["variance"])
    groups, given = fits[finite].groupby("level"), fits.groupby("level").size()
    used = groups.size().reindex(given.index, fill_value=0)
    if not used.get(0.0, default=1):
        raise NotEstimable("the data as they are have no finite estimate: there is nothing to extrapolate")
    few = int(((used.index > 0) & (used < 2)).sum())
    if few:
        raise NotEstimable(f"{few} levels of error have fewer than two finite estimates: draw more often")
    found = groups[["estimate", "variance"]].mean()
    # One fit of the data as they are: between draws nothing varies.
    between = groups["estimate"].var().mask(found.index == 0, 0.0)
    return found.assign(between=between, fits=used, left_out=given - used).reset_index()
