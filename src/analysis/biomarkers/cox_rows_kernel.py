"""Cox regression of one covariate after another on the same outcomes, by maximum likelihood; compiled.

`analysis.survival.cox_batch` resamples patients and keeps the covariate; here the patients stay and the
covariate changes. Ties are Efron's. Patients stand in order of falling time, the censored before those who
die at the same time: the risk set of an event time is the first `end`, those who die stand from `first` to
`end`.
"""

from __future__ import annotations

import math

from analysis.survival.compiled import compiled

_ITERATIONS = 100
# Newton's error is near the square of the last step.
_SMALL_STEP = 1e-9
# Log hazard ratio per standard deviation beyond which the likelihood is taken to have no maximum.
_FARTHEST = 50.0
_LONGEST_STEP = 2.0


@compiled
def fit_rows(x, first, end, coef, error):
    """Fit every covariate by Newton's method, kept within the bracket that the slope's sign gives.

    Parameters
    ----------
    x : array, shape (covariates, patients)
        Standardised; NaN leaves the patient out of this fit.
    first, end : array of int, shape (event times,)
        Where those who die at an event time begin and end.
    coef, error : array, shape (covariates,)
        Filled in place: log hazard ratio and its standard error; NaN where there is no finite maximum.
    """
    for row in range(x.shape[0]):
        beta, low, high, done = 0.0, -math.inf, math.inf, False
        information = 0.0
        for _ in range(_ITERATIONS):
            slope, information = _derivatives(x[row], first, end, beta)
            if not information > 0.0 or abs(beta) > _FARTHEST:
                break
            if slope > 0.0:
                low = beta
            else:
                high = beta
            step = min(max(slope / information, -_LONGEST_STEP), _LONGEST_STEP)
            following = beta + step
            if following <= low or following >= high:
                following = 0.5 * (low + high) if low > -math.inf and high < math.inf else following
            step = following - beta
            beta = following
            if abs(step) < _SMALL_STEP:
                done = True
                break
        if done and abs(beta) < _FARTHEST:
            information = _derivatives(x[row], first, end, beta)[1]
            coef[row] = beta
            error[row] = 1.0 / math.sqrt(information) if information > 0.0 else math.nan
        else:
            coef[row], error[row] = math.nan, math.nan


@compiled
def _derivatives(x, first, end, beta):
    """Return slope and information of the log partial likelihood at `beta`."""
    slope, information = 0.0, 0.0
    s0, s1, s2 = 0.0, 0.0, 0.0
    place = 0
    for e in range(len(end)):
        d0, d1, d2, total, deaths = 0.0, 0.0, 0.0, 0.0, 0
        while place < end[e]:
            value = x[place]
            if not math.isnan(value):
                r = math.exp(beta * value)
                s0 += r
                s1 += r * value
                s2 += r * value * value
                if place >= first[e]:
                    d0 += r
                    d1 += r * value
                    d2 += r * value * value
                    total += value
                    deaths += 1
            place += 1
        slope += total
        for k in range(deaths):
            share = k / deaths
            denominator = s0 - share * d0
            mean = (s1 - share * d1) / denominator
            slope -= mean
            information += (s2 - share * d2) / denominator - mean * mean
    return slope, information
