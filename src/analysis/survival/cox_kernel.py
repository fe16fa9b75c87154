"""Newton's method for Cox models of many resamples of one data set, compiled to machine code.

Patients stand in order of falling time, the censored before those who die at the same time. The risk set of
an event time is then the first `end` patients, and without those who die the first `first`: running sums of
risk, risk x covariate and risk x covariate x covariate hold all that is needed. Of d deaths at one time the
i-th (from 0) has the denominator (1 - i/d) sum(end) + (i/d) sum(first): Efron's, with nothing subtracted;
Breslow's has i/d = 0.

Within each resample covariates are brought to -1/2 .. 1/2 over those who are drawn and at risk at an event:
an outlier that is not among them must not set the scale. Then a Newton step whose absolute values add up to s
leaves an error of the order of s^2, and exp() needs no guard but a bound on the coefficients.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from analysis.survival.compiled import compiled

_ITERATIONS = 60
_HALVINGS = 40
# The error that is left is near the square of the last step.
_SMALL_STEP = 1e-6
# Under a monotone likelihood steps stay long while what they gain vanishes.
_LONG_STEP, _NO_GAIN = 0.1, 1e-11
# Information per event; rounding leaves some 1e-15 where there is none.
_NO_INFORMATION = 1e-12
# A likelihood may fall by this share through rounding alone.
_ROUNDING = 1e-10
# Sum of absolute coefficients: exp(200) and its products stay finite.
_FARTHEST = 400.0
# Products of denominators become logarithms before they leave this range.
_TINY, _HUGE = 1e-100, 1e100


class Data(NamedTuple):
    """The patients in falling order of time, the censored of a time first.

    Attributes
    ----------
    order : ndarray of int, shape (patients,)
        Their positions in the counts.
    x : ndarray, shape (covariates, patients)
        Covariates.
    died : ndarray of bool, shape (patients,)
        True for an event.
    first, end : ndarray of int, shape (event times,)
        Where those who die at an event time begin and end.
    efron : bool
        Efron's treatment of ties, else Breslow's.
    """

    order: np.ndarray
    x: np.ndarray
    died: np.ndarray
    first: np.ndarray
    end: np.ndarray
    efron: bool


class _Terms(NamedTuple):
    """One resample: times drawn, sum of covariates over events, and for each event its denominator."""

    weights: np.ndarray
    linear: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    share: np.ndarray


class _Space(NamedTuple):
    """Room for the work on one resample, its scaled covariates first: nothing is allocated on the way."""

    x: np.ndarray
    risk: np.ndarray
    sums: np.ndarray
    total: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    root: np.ndarray
    beta: np.ndarray
    trial: np.ndarray
    step: np.ndarray
    following: np.ndarray
    known: np.ndarray


# A call costs as much as the work: what follows becomes part of `fit_resamples`.
_inlined = njit(inline="always", nogil=True, error_model="numpy")


@_inlined
def _length(vector):
    """Return the sum of absolute values, without making an array on the way."""
    total = 0.0
    for a in range(len(vector)):
        total += abs(vector[a])
    return total


@_inlined
def _risks(beta, x, weights, risk):
    """Set weights exp(beta x): a polynomial of beta x / 2^h, squared h times; a CPU vectorises such loops."""
    covariates, patients = x.shape
    length, squarings = _length(beta), 0
    while length > 0.5:
        length /= 2
        squarings += 1
    risk[:] = 0.0
    for a in range(covariates):
        share = beta[a] * 0.5**squarings
        for j in range(patients):
            risk[j] += share * x[a, j]
    for j in range(patients):
        # Taylor's series to the 11th power; on -1/4..1/4 the rest is below 2e-16.
        y = risk[j]
        tail = 1 / 5040 + y * (1 / 40320 + y * (1 / 362880 + y * (1 / 3628800 + y / 39916800)))
        head = 1 / 6 + y * (1 / 24 + y * (1 / 120 + y * (1 / 720 + y * tail)))
        risk[j] = 1.0 + y * (1.0 + y * (0.5 + y * head))
    for _ in range(squarings):
        for j in range(patients):
            risk[j] *= risk[j]
    for j in range(patients):
        risk[j] *= weights[j]


@_inlined
def _one_covariate(x, count, terms, space):
    """Do what `_several_covariates` does, for one in two plain loops: several times as fast."""
    risk, sums = space.risk, space.sums
    upper, lower, share = terms.upper, terms.lower, terms.share
    s0, s1, s2 = 0.0, 0.0, 0.0
    for j in range(x.shape[1]):
        r, value = risk[j], x[0, j]
        s0 += r
        s1 += r * value
        s2 += r * value * value
        sums[j + 1, 0], sums[j + 1, 1], sums[j + 1, 2] = s0, s1, s2
    logarithms, product, slope, curvature = 0.0, 1.0, 0.0, 0.0
    for e in range(count):
        u, v, out = upper[e], lower[e], share[e]
        within = 1.0 - out
        denominator = within * sums[u, 0] + out * sums[v, 0]
        inverse = 1.0 / denominator
        mean = (within * sums[u, 1] + out * sums[v, 1]) * inverse
        slope -= mean
        curvature += (within * sums[u, 2] + out * sums[v, 2]) * inverse - mean * mean
        product *= denominator
        if product > _HUGE or product < _TINY:
            logarithms += math.log(product)
            product = 1.0
    space.gradient[0], space.information[0, 0] = slope, curvature
    return -logarithms - math.log(product)


@_inlined
def _several_covariates(x, count, terms, space):
    """Return minus the sum of log denominators; set its gradient, and the information (lower triangle)."""
    covariates, patients = x.shape
    risk, sums, total = space.risk, space.sums, space.total
    space.gradient[:], space.information[:], total[:] = 0.0, 0.0, 0.0
    for j in range(patients):
        total[0] += risk[j]
        moment = covariates + 1
        for a in range(covariates):
            total[a + 1] += risk[j] * x[a, j]
            for b in range(a + 1):
                total[moment] += risk[j] * x[a, j] * x[b, j]
                moment += 1
        sums[j + 1] = total
    logarithms, product = 0.0, 1.0
    for e in range(count):
        u, v, out = terms.upper[e], terms.lower[e], terms.share[e]
        for moment in range(len(total)):
            total[moment] = (1.0 - out) * sums[u, moment] + out * sums[v, moment]
        inverse = 1.0 / total[0]
        moment = covariates + 1
        for a in range(covariates):
            mean = total[a + 1] * inverse
            space.gradient[a] -= mean
            for b in range(a + 1):
                space.information[a, b] += (total[moment] - mean * total[b + 1]) * inverse
                moment += 1
        product *= total[0]
        if product > _HUGE or product < _TINY:
            logarithms += math.log(product)
            product = 1.0
    return -logarithms - math.log(product)


@_inlined
def _likelihood(beta, several, count, terms, space):
    """Return the partial log-likelihood; set its gradient and information."""
    _risks(beta, space.x, terms.weights, space.risk)
    if several is None:
        value = _one_covariate(space.x, count, terms, space)
    else:
        value = _several_covariates(space.x, count, terms, space)
    for a in range(len(beta)):
        value += beta[a] * terms.linear[a]
        space.gradient[a] += terms.linear[a]
    return value


@_inlined
def _solve(floor, at_zero, space):
    """Set the Newton step by Cholesky; False without information, which at 0 only means: that one stays."""
    root, known, following = space.root, space.known, space.following
    for a in range(len(known)):
        for b in range(a + 1):
            rest = space.information[a, b] if known[a] and known[b] else 1.0 * (a == b)
            for c in range(b):
                rest -= root[a, c] * root[b, c]
            root[a, b] = rest / root[b, b] if b < a else 0.0
        if rest <= floor:
            if not at_zero:
                return False
            known[a], rest = False, 1.0
            root[a, :a] = 0.0
        root[a, a] = math.sqrt(rest)
        following[a] = space.gradient[a] if known[a] else 0.0
        for c in range(a):
            following[a] -= root[a, c] * following[c]
        following[a] /= root[a, a]
    for a in range(len(known) - 1, -1, -1):
        for c in range(a + 1, len(known)):
            following[a] -= root[c, a] * following[c]
        following[a] /= root[a, a]
    return True


@_inlined
def _draw(row, data, terms):
    """Set the terms of a resample and return how many events it has."""
    upper, lower, share, weights = terms.upper, terms.lower, terms.share, terms.weights
    for j in range(len(weights)):
        weights[j] = row[data.order[j]]
    count = 0
    for t in range(len(data.first)):
        first, end, deaths = data.first[t], data.end[t], 0.0
        for j in range(first, end):
            deaths += weights[j]
        # Written before it is known to count: with one death or none at most times, no branch is faster.
        upper[count], lower[count], share[count] = end, first, 0.0
        earlier = 1
        while earlier < deaths:
            at = count + earlier
            upper[at], lower[at], share[at] = end, first, earlier / deaths if data.efron else 0.0
            earlier += 1
        count += int(deaths)
    return count


@_inlined
def _scale(count, data, terms, x, spread):
    """Set the scaled covariates, their spread, and their sum over events; 0 for whom no event can meet."""
    weights = terms.weights
    at_risk = terms.upper[count - 1] if count > 0 else 0
    for a in range(len(spread)):
        low, high = np.inf, -np.inf
        for j in range(at_risk):
            value = data.x[a, j]
            low = min(low, value if weights[j] > 0 else np.inf)
            high = max(high, value if weights[j] > 0 else -np.inf)
        spread[a] = high - low if high > low else 1.0
        middle, inverse, total = 0.5 * low + 0.5 * high, 1.0 / spread[a], 0.0
        x[a] = 0.0
        for j in range(at_risk):
            value = (data.x[a, j] - middle) * inverse if weights[j] > 0 and high > low else 0.0
            x[a, j] = value
            total += weights[j] * value * data.died[j]
        terms.linear[a] = total


@_inlined
def _maximise(several, count, terms, space):
    """Climb from 0; return the likelihood at 0, at the best, and whether that is a maximum."""
    beta, trial, step, following, known = space.beta, space.trial, space.step, space.following, space.known
    beta[:], step[:], known[:] = 0.0, 0.0, count > 0
    null, best, arrived = 0.0, -np.inf, False
    for turn in range(_ITERATIONS):
        size, value = 1.0, best
        for _ in range(_HALVINGS):
            for a in range(len(beta)):
                trial[a] = beta[a] + size * step[a]
            value = _likelihood(trial, several, count, terms, space)
            if turn == 0 or value >= best - _ROUNDING * (1.0 + abs(best)):
                break
            size /= 2
        best = value
        beta[:] = trial
        if turn == 0:
            null = best
        if not _solve(_NO_INFORMATION * count, turn == 0, space) or not known.any():
            break
        length, gain = _length(following), 0.0
        for a in range(len(beta)):
            step[a] = following[a]
            trial[a] = beta[a] + step[a]
            gain += 0.5 * space.gradient[a] * step[a]
        if length < _SMALL_STEP:
            beta[:] = trial
            best += gain
            arrived = True
            break
        if _length(trial) > _FARTHEST or (length > _LONG_STEP and gain < _NO_GAIN):
            break
    return null, best, arrived


@compiled
def fit_resamples(counts, data, several, coef, step, spread, loglik, null, events, arrived, known):
    """Fit every resample into the arrays that follow the data.

    Parameters
    ----------
    counts : ndarray of int, shape (resamples, patients)
        How often each patient is drawn.
    data : Data
        The patients.
    several : bool or None
        None for one covariate: a type of its own, for which the code of several is not even compiled.
    coef, step : ndarray, shape (resamples, covariates)
        Estimates, 0 without information, and the last Newton step, both by `spread`.
    spread : ndarray, shape (resamples, covariates)
        Range of each covariate over those drawn who are at risk at an event; 1 where there is none.
    loglik, null : ndarray, shape (resamples,)
        Partial log-likelihood at the estimates and at 0.
    events : ndarray of int, shape (resamples,)
        Events drawn; on entry 0.
    arrived : ndarray of bool, shape (resamples,)
        Whether the last step was small.
    known : ndarray of bool, shape (resamples, covariates)
        Whether there is information on a covariate, beside those before it.
    """
    k, patients = data.x.shape
    most = 0
    for b in range(len(counts)):
        for j in range(patients):
            events[b] += counts[b, data.order[j]] * data.died[j]
        most = max(most, events[b])
    index, moments = np.empty((2, most + 1), np.uintp), 1 + k + k * (k + 1) // 2
    terms = _Terms(np.empty(patients), np.empty(k), index[0], index[1], np.empty(most + 1))
    risk, sums, total = np.empty(patients), np.zeros((patients + 1, moments)), np.zeros(moments)
    square, vectors = np.zeros((2, k, k)), np.zeros((5, k))
    space = _Space(
        *(np.empty((k, patients)), risk, sums, total, vectors[0], square[0], square[1]),
        *(vectors[1], vectors[2], vectors[3], vectors[4], np.ones(k, np.bool_)),
    )
    for b in range(len(counts)):
        count = _draw(counts[b], data, terms)
        _scale(count, data, terms, space.x, spread[b])
        null[b], loglik[b], arrived[b] = _maximise(several, count, terms, space)
        coef[b], step[b], known[b] = space.beta, space.step, space.known


@compiled
def far_likelihoods(counts, data, step, slack):
    """Compute the limit of the likelihood far in the direction of a step, or find that it has none.

    Parameters
    ----------
    counts : ndarray of int, shape (resamples, patients)
        How often each patient is drawn.
    data : Data
        The patients.
    step : ndarray, shape (resamples, covariates)
        A direction for each resample, in the unit of the covariates.
    slack : ndarray, shape (resamples,)
        What those who die may lack to the farthest of those at risk.

    Returns
    -------
    ndarray, shape (resamples,)
        The limit if at each event time those who die are the farthest in this direction, else NaN. It is
        exact for one covariate; of several, some may have a finite part on top.
    """
    limits = np.zeros(len(counts))
    for b in range(len(counts)):
        farthest, level, entered = -np.inf, 0, 0
        for t in range(len(data.first)):
            nearest, deaths = np.inf, 0
            for j in range(entered, data.end[t]):
                drawn = counts[b, data.order[j]]
                if drawn > 0:
                    along = 0.0
                    for a in range(step.shape[1]):
                        along += step[b, a] * data.x[a, j]
                    if along > farthest:
                        farthest, level = along, 0
                    if along == farthest:
                        level += drawn
                    if j >= data.first[t]:
                        nearest = min(nearest, along)
                        deaths += drawn
            entered = data.end[t]
            if nearest < farthest - slack[b]:
                limits[b] = np.nan
                break
            for earlier in range(deaths):
                limits[b] -= math.log(level - earlier if data.efron else level)
    return limits
