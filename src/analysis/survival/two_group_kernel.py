"""Cox models of two groups, compiled to machine code.

With theta the hazard ratio, n1 the exposed and n0 the others at risk, an event's likelihood depends on theta
through c = n0 / n1 alone: an exposed has the event with probability p = theta / (c + theta). Efron takes from
n1 and n0, for the i-th (from 0) of d tied events, the share i/d of those who have them. Events with one group
at risk say nothing. So all there is to know is the c of each event with both groups at risk, and how many of
these events are of exposed patients: if none or all are, the likelihood is monotone. Firth adds half the
logarithm of the information, the sum of p (1 - p).

One exponential an evaluation, one division an event; logarithms are taken of products.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.survival.compiled import compiled

_ITERATIONS = 200
# Newton's error is near the square of its last step.
_SMALL_STEP = 1e-7
_LONGEST_STEP = 4.0
# Below it the likelihood ratio is a difference of nearly equal numbers: the information gives it better.
_NEAR_ZERO = 1e-5
# A limit of ln HR so far out is open; exp() of it and its products stay finite.
_FARTHEST = 300.0
# Products become logarithms before they leave this range.
_TINY, _HUGE = 1e-100, 1e100


@compiled
def _derivatives(beta, c, died, firth):
    """Return the score and the observed information, of the penalised likelihood under Firth."""
    theta = math.exp(beta)
    expected, information, third, fourth = 0.0, 0.0, 0.0, 0.0
    for k in range(len(c)):
        inverse = 1.0 / (c[k] + theta)
        p, q = theta * inverse, c[k] * inverse
        expected += p
        information += p * q
        if firth:
            third += p * q * (q - p)
            fourth += p * q * (1.0 - 6.0 * p * q)
    score = died - expected
    if firth:
        slope = third / information
        return score + 0.5 * slope, information + 0.5 * (slope * slope - fourth / information)
    return score, information


@compiled
def _gain(beta, c, died, firth):
    """Return by how much the log-likelihood exceeds that of no effect."""
    theta, logarithms, product, information, at_zero = math.exp(beta), 0.0, 1.0, 0.0, 0.0
    for k in range(len(c)):
        both = c[k] + theta
        product *= both / (c[k] + 1.0)
        if product > _HUGE or product < _TINY:
            logarithms += math.log(product)
            product = 1.0
        if firth:
            information += c[k] * theta / (both * both)
            at_zero += c[k] / ((c[k] + 1.0) * (c[k] + 1.0))
    gain = died * beta - logarithms - math.log(product)
    return gain + 0.5 * math.log(information / at_zero) if firth else gain


@compiled
def _gain_of_monotone(c, upwards):
    """Return what the log-likelihood tends to, less that of no effect, where it has no maximum."""
    gain = 0.0
    for k in range(len(c)):
        gain += math.log1p(c[k] if upwards else 1.0 / c[k])
    return gain


@compiled
def _maximum(c, died, firth):
    """Return where the likelihood has its maximum, uphill of 0, and the information there."""
    beta, low, high, information = 0.0, -np.inf, np.inf, 0.0
    for _ in range(_ITERATIONS):
        score, information = _derivatives(beta, c, died, firth)
        # Firth's likelihood need not be concave on the way.
        step = score / information if information > 0 else math.copysign(_LONGEST_STEP, score)
        step = min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        if abs(step) < _SMALL_STEP:
            return beta + step, information
        low, high = (beta, high) if step > 0 else (low, beta)
        beta = beta + step if low < beta + step < high else 0.5 * (low + high)
    return beta, information


@compiled
def _limit(side, start, inside, target, c, died, firth):
    """Return where the likelihood falls to the target on one side of the maximum; `inside` lies before it."""
    at, low, high = start, inside, np.inf
    for _ in range(_ITERATIONS):
        excess = _gain(side * at, c, died, firth) - target
        slope = side * _derivatives(side * at, c, died, firth)[0]
        low, high = (at, high) if excess > 0 else (low, at)
        step = -excess / slope if slope < 0 else math.copysign(_LONGEST_STEP, excess)
        step = min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        if abs(step) < _SMALL_STEP and slope < 0:
            return side * (at + step)
        at = at + step if low < at + step < high else 0.5 * (low + high)
        if abs(at) > _FARTHEST:
            break
    return side * np.inf


@compiled
def _fit(c, died, firth, quantile, found):
    """Set coef and z of one fit with information, and its profile limits unless the quantile is missing."""
    monotone = died == 0 or died == len(c)
    if monotone and not firth:
        upwards = died > 0
        side = 1.0 if upwards else -1.0
        best = _gain_of_monotone(c, upwards)
        found[0], found[1] = side * np.inf, side * math.sqrt(2.0 * best)
        if not math.isnan(quantile):
            limit = _limit(-side, 0.0, -np.inf, best - 0.5 * quantile, c, died, firth)
            found[3], found[4] = (limit, np.inf) if upwards else (-np.inf, limit)
        return
    beta, information = _maximum(c, died, firth)
    best = max(_gain(beta, c, died, firth), 0.0)
    root = math.sqrt(max(information, 0.0))
    found[0] = beta
    found[1] = beta * root if abs(beta) < _NEAR_ZERO else math.copysign(math.sqrt(2.0 * best), beta)
    if not math.isnan(quantile):
        away = math.sqrt(quantile) / root if root > 0 else 1.0
        for k in range(2):
            side = 2.0 * k - 1.0
            inside = side * beta
            found[3 + k] = _limit(side, inside + away, inside, best - 0.5 * quantile, c, died, firth)


@compiled
def _read(time, event, order, exposed, efron, c, counts):
    """Set the c of each event with both groups at risk, count, and return the log-rank z."""
    at_risk, at_risk_1, deaths, deaths_1, excess, variance = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    counts[:] = 0
    for j in range(len(time)):
        if math.isnan(time[j]):
            break
        x = exposed[order[j]]
        if not math.isnan(x):
            at_risk += 1.0
            at_risk_1 += x
            deaths += event[j]
            deaths_1 += x * event[j]
        if j + 1 < len(time) and time[j + 1] == time[j]:
            continue
        counts[1] += int(deaths)
        counts[3] += int(deaths_1)
        at_risk_0 = at_risk - at_risk_1
        if deaths > 0 and at_risk_0 > 0 and at_risk_1 > 0:
            share = at_risk_1 / at_risk
            excess += deaths_1 - deaths * share
            variance += deaths * share * (1.0 - share) * (at_risk - deaths) / (at_risk - 1.0)
            for i in range(int(deaths)):
                out = i / deaths if efron else 0.0
                others = at_risk_0 - out * (deaths - deaths_1)
                c[counts[4] + i] = others / (at_risk_1 - out * deaths_1)
            counts[4] += int(deaths)
            counts[5] += int(deaths_1)
        deaths, deaths_1 = 0.0, 0.0
    counts[0], counts[2] = int(at_risk), int(at_risk_1)
    return excess / math.sqrt(variance) if variance > 0 else 0.0


@compiled
def fit_groups(time, event, order, exposed, efron, firth, quantile, found, counts):
    """Fit every row of `exposed` into the last two arrays.

    Parameters
    ----------
    time, event : ndarray of float, shape (1 or fits, n)
        Follow-up from the longest to the shortest, the missing last, and 1 for an event.
    order : ndarray of int, shape (1 or fits, n)
        Position in `exposed` of each of them.
    exposed : ndarray of float, shape (fits, n)
        1 or 0; nan for who is not in the fit.
    efron, firth : bool
        Efron's treatment of ties, else Breslow's; Firth's penalty.
    quantile : float
        Of the chi-square distribution, for profile limits; nan for none.
    found : ndarray, shape (fits, 5)
        coef, z, log-rank z, lower and upper limit; on entry what a fit without information has.
    counts : ndarray of int, shape (fits, 6)
        Patients, events, exposed patients, their events; events with both groups at risk, those of exposed.
    """
    c, shared = np.empty(time.shape[1]), len(time) == 1
    for i in range(len(exposed)):
        row = 0 if shared else i
        found[i, 2] = _read(time[row], event[row], order[row], exposed[i], efron, c, counts[i])
        if counts[i, 4] > 0:
            _fit(c[: counts[i, 4]], float(counts[i, 5]), firth, quantile, found[i])
