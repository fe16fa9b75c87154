"""Likelihood and score of a linear mixed model with censored responses, all subjects at once.

Given the random effects b = L v, v standard normal, an observed response is normal and a censored one gives
Phi((limit - mean) / s) where it lies at or under its limit, Phi((mean - limit) / s) above. The observed
responses of a subject make v normal again in closed form; what the censored ones add is integrated by
quadrature around the mode of each subject: with one effect Gauss-Legendre on either side of it, down to where
nothing is left, since a step is no smooth factor to a normal weight; with two effects Gauss-Hermite, scaled
by the curvature at the mode. The score is the expectation of the complete-data score over v (Fisher's
identity), so no covariance of random effects is inverted and a standard deviation of zero is an ordinary
point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import erfcx

_LOG_2PI = float(np.log(2 * np.pi))
_ROOT_2, _ROOT_2_OVER_PI = float(np.sqrt(2)), float(np.sqrt(2 / np.pi))
# Beyond so many standard deviations the normal distribution function is 1 in double precision.
_FAR = 30.0
# The integrand is followed to exp(-34) = 2e-15 of its height; its ends need not be sharp.
_DROP = 34.0
_HALVINGS = 9
# A node of the two-dimensional rule that carries less than this is left out.
_NEGLIGIBLE = 1e-15
# The integrand is log-concave: Newton's steps, halved where they do not climb, settle well within these.
_MODE_STEPS = 60
_MODE_TOLERANCE = 1e-10


class Data(NamedTuple):
    """Rows in subjects: padded to the longest subject, so that one call serves all.

    Attributes
    ----------
    y : array, shape (m, r)
        Response, or its limit where censored; 0 where padded.
    x : array, shape (m, r, p)
        Design of the fixed effects.
    z : array, shape (m, r, q)
        Design of the random effects; q may be 0.
    seen, side : array of float, shape (m, r)
        1 where the response is observed; 1 where it is at or under its limit, -1 where above it; both 0 where
        padded.
    nodes, log_weights : array, shapes (k, q) and (k,)
        Quadrature rule: Legendre on (0, 1) with one effect, Hermite for a plain integral with two.
    """

    y: np.ndarray
    x: np.ndarray
    z: np.ndarray
    seen: np.ndarray
    side: np.ndarray
    nodes: np.ndarray
    log_weights: np.ndarray


def pad(y, x, z, censored, subject, *, nodes_per_effect: int) -> Data:
    """Put rows into subjects. `subject` is whole numbers from 0, every one present; `censored` 1, 0 or -1."""
    sizes = np.bincount(subject)
    order = np.argsort(subject, kind="stable")
    row = subject[order]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    shape = (len(sizes), int(sizes.max()))
    filled = [np.zeros((*shape, *values.shape[1:])) for values in (y, x, z, censored, censored)]
    for target, values in zip(filled, (y, x, z, censored == 0, censored), strict=True):
        target[row, place] = values[order]
    return Data(*filled, *_rule(z.shape[1], nodes_per_effect))


def _rule(n_effects: int, nodes_per_effect: int) -> tuple[np.ndarray, np.ndarray]:
    if n_effects == 0:
        return np.zeros((1, 0)), np.zeros(1)
    if n_effects == 1:
        points, weights = np.polynomial.legendre.leggauss(nodes_per_effect)
        return (points[:, None] + 1) / 2, np.log(weights / 2)
    points, weights = np.polynomial.hermite.hermgauss(nodes_per_effect)
    first, second = np.meshgrid(points, points, indexing="ij")
    together = np.outer(weights, weights)
    kept = together > _NEGLIGIBLE * together.max()
    # The rule integrates f(t) exp(-t^2); of a plain integral over t the weight is exp(+t^2) times as large.
    plain = np.log(together[kept]) + first[kept] ** 2 + second[kept] ** 2
    return np.column_stack([first[kept], second[kept]]), plain


def evaluate(data: Data, beta: np.ndarray, log_sd: float, root: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the log-likelihood and its derivatives by (beta, log_sd, lower triangle of `root` by rows).

    Parameters
    ----------
    data : Data
        As `pad` returns.
    beta : array, shape (p,)
        Fixed effects.
    log_sd : float
        Log of the standard deviation within subjects.
    root : array, shape (q, q)
        Lower-triangular root of the covariance of the random effects; its signs do not matter.
    """
    sd = float(np.exp(log_sd))
    error = data.y - data.x @ beta
    loading = data.z @ root
    base, mean, covariance = _condition(data, error, loading, sd)
    first, second = mean.copy(), covariance + mean[:, :, None] * mean[:, None, :]
    hazard = np.zeros_like(error)
    hazard_v, hazard_a = np.zeros((*error.shape, root.shape[0])), np.zeros_like(error)
    touched = (data.side != 0).any(axis=1)
    if touched.any():
        part = _integrate(data, touched, error, loading, sd, mean, covariance)
        base = base + float(part[0].sum())
        first[touched], second[touched] = part[1], part[2]
        # The mean moves the two kinds of censored factor opposite ways.
        side = data.side[touched]
        hazard[touched], hazard_v[touched] = side * part[3], side[:, :, None] * part[4]
        hazard_a[touched] = part[5]
    score = _score(data, error, loading, sd, first, second, hazard, hazard_v, hazard_a)
    return base, score


def _condition(data: Data, error, loading, sd: float):
    """Return the log density of the observed, and mean and covariance of v given them."""
    q = loading.shape[2]
    seen_loading = loading * data.seen[:, :, None]
    precision = np.eye(q) + seen_loading.transpose(0, 2, 1) @ loading / sd**2
    covariance = np.linalg.inv(precision)
    pull = (seen_loading * error[:, :, None]).sum(axis=1) / sd**2
    mean = (covariance @ pull[:, :, None])[:, :, 0]
    squares = (data.seen * error**2).sum() / sd**2 - (pull * mean).sum()
    n_seen = data.seen.sum()
    log_determinant = np.linalg.slogdet(precision)[1].sum()
    log_density = -0.5 * (n_seen * (_LOG_2PI + 2 * np.log(sd)) + log_determinant + squares)
    return float(log_density), mean, covariance


def _integrate(data: Data, touched, error, loading, sd, mean, covariance):
    """Integrate the censored factors over v; return log integrals and the expectations the score needs."""
    side, prior = data.side[touched], (mean[touched], np.linalg.inv(covariance[touched]))
    below = np.abs(side)
    # Above a limit is under it with every sign turned.
    level, slope = side * error[touched] / sd, side[:, :, None] * loading[touched] / sd
    mode = _modes(below, level, slope, *prior)
    nodes, log_weights = _place(data, mode, below, level, slope, *prior)
    log_tail, hazard = _tail(level[:, None, :] - nodes @ slope.transpose(0, 2, 1))
    away = nodes - prior[0][:, None, :]
    log_prior = -0.5 * ((away @ prior[1]) * away).sum(axis=2)
    log_value = (log_tail @ below[:, :, None])[:, :, 0] + log_prior + log_weights
    top = log_value.max(axis=1, keepdims=True)
    weight = np.exp(log_value - top)
    total = weight.sum(axis=1, keepdims=True)
    weight = weight / total
    log_density = 0.5 * np.linalg.slogdet(prior[1])[1] - 0.5 * nodes.shape[2] * _LOG_2PI
    log_integral = top[:, 0] + np.log(total[:, 0]) + log_density
    weighted = below[:, None, :] * hazard * weight[:, :, None]
    weighted_nodes = nodes * weight[:, :, None]
    by_node = weighted.transpose(0, 2, 1) @ nodes
    hazard_sum = weighted.sum(axis=1)
    return (
        log_integral,
        weighted_nodes.sum(axis=1),
        nodes.transpose(0, 2, 1) @ weighted_nodes,
        hazard_sum,
        by_node,
        # reach is linear in v, so its expectation needs no sum over the nodes of its own.
        level * hazard_sum - (by_node * slope).sum(axis=2),
    )


def _tail(reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln Phi and the hazard phi / Phi, without cancellation however far below 0."""
    near = np.minimum(reach, _FAR)
    scaled = erfcx(near * (-1 / _ROOT_2))
    return np.log(0.5 * scaled) - 0.5 * near * near, _ROOT_2_OVER_PI / scaled


def _place(data: Data, mode, below, level, slope, centre, precision) -> tuple[np.ndarray, np.ndarray]:
    """Place the nodes of each subject; return them with log weights of a plain integral over v."""
    q = mode.shape[1]
    if q == 0:
        return np.zeros((len(mode), 1, 0)), np.zeros((len(mode), 1))
    if q == 2:
        _, curvature = _slopes(mode, below, level, slope, centre, precision)
        spread = np.linalg.cholesky(np.linalg.inv(curvature))
        nodes = mode[:, None, :] + _ROOT_2 * data.nodes @ spread.transpose(0, 2, 1)
        return nodes, data.log_weights + np.linalg.slogdet(spread)[1][:, None] + np.log(2.0)
    sides, weights = [], []
    for sign in (-1.0, 1.0):
        width = _width(sign, mode, below, level, slope, centre, precision)
        sides.append(mode[:, None, :] + sign * width[:, None, :] * data.nodes)
        weights.append(np.log(width) + data.log_weights)
    return np.concatenate(sides, axis=1), np.concatenate(weights, axis=1)


def _width(sign: float, mode, below, level, slope, centre, precision) -> np.ndarray:
    """Find how far from the mode the log integrand has fallen by `_DROP`, from outside, by halving."""
    top = _log_integrand(mode, below, level, slope, centre, precision)
    # It is concave with at least the curvature of its normal part.
    outside = np.sqrt(2 * _DROP / precision[:, :, 0])
    inside = np.zeros_like(outside)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        reached = _log_integrand(mode + sign * middle, below, level, slope, centre, precision)
        fallen = (top - reached >= _DROP)[:, None]
        outside, inside = np.where(fallen, middle, outside), np.where(fallen, inside, middle)
    return outside


def _modes(below, level, slope, centre, precision):
    """Find each subject's mode of v by Newton's method."""
    v = centre.copy()
    value = _log_integrand(v, below, level, slope, centre, precision)
    for _ in range(_MODE_STEPS):
        gradient, curvature = _slopes(v, below, level, slope, centre, precision)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        if not step.size or np.abs(step).max() < _MODE_TOLERANCE:
            break
        size = np.ones(len(v))
        for _ in range(_MODE_STEPS):
            trial = v + size[:, None] * step
            reached = _log_integrand(trial, below, level, slope, centre, precision)
            worse = reached < value - _MODE_TOLERANCE * (1 + np.abs(value))
            if not worse.any():
                break
            size[worse] /= 2
        v, value = trial, reached
    return v


def _log_integrand(v, below, level, slope, centre, precision) -> np.ndarray:
    reach = level - (slope @ v[:, :, None])[:, :, 0]
    away = v - centre
    prior = -0.5 * (away * (precision @ away[:, :, None])[:, :, 0]).sum(axis=1)
    return (below * _tail(reach)[0]).sum(axis=1) + prior


def _slopes(v, below, level, slope, centre, precision):
    """Return gradient and negative second derivative of the log integrand at v."""
    reach = level - (slope @ v[:, :, None])[:, :, 0]
    hazard = _tail(reach)[1]
    # Between 0 and 1 by nature; far below 0 the sum cancels.
    bend = below * np.clip(hazard * (hazard + reach), 0.0, 1.0)
    away = (precision @ (v - centre)[:, :, None])[:, :, 0]
    gradient = -((below * hazard)[:, :, None] * slope).sum(axis=1) - away
    curvature = precision + (slope * bend[:, :, None]).transpose(0, 2, 1) @ slope
    return gradient, curvature


def _score(data: Data, error, loading, sd, first, second, hazard, hazard_v, hazard_a) -> np.ndarray:
    """Put the expected complete-data scores together."""
    expected = (loading @ first[:, :, None])[:, :, 0]
    spread = ((loading @ second) * loading).sum(axis=2)
    left = data.seen * (error - expected) / sd**2 - hazard / sd
    by_beta = np.einsum("ij,ijk->k", left, data.x)
    squares = error**2 - 2 * error * expected + spread
    by_log_sd = (data.seen * (squares / sd**2 - 1)).sum() - hazard_a.sum()
    seen_z = data.z * data.seen[:, :, None] / sd**2
    toward = error[:, :, None] * first[:, None, :] - loading @ second
    by_root = np.einsum("ijk,ijl->kl", seen_z, toward) - np.einsum("ijk,ijl->kl", data.z, hazard_v) / sd
    return np.concatenate([by_beta, [by_log_sd], by_root[np.tril_indices(by_root.shape[0])]])
