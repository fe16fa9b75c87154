"""Maximise the likelihood of a censored mixed model, in units in which every parameter is of size 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from analysis.biomarkers.censored_mixed_kernel import Data, evaluate, pad
from analysis.survival.outcome import NotEstimable

# Nodes of the quadrature: on either side of the mode with one random effect, along either axis with two.
_NODES = {0: 1, 1: 32, 2: 31}
# Shares of the variance that starts give to subjects; the two likeliest are climbed from.
_START_SHARES = (0.05, 0.3, 0.6, 0.9)
_STARTS = 2
_CLIMB_TOLERANCE = 1e-5
_SCORE_TOLERANCE = 1e-9
# Log-likelihoods this close are one maximum.
SAME_LIKELIHOOD = 1e-6
_POLISH_STEPS = 8
_DIFFERENCE = 1e-4
_OFF_ZERO = 0.1


class Rows(NamedTuple):
    """What was given, checked; censored 1 (at or under), 0, -1 (above); subjects as whole numbers."""

    y: np.ndarray
    censored: np.ndarray
    design: np.ndarray
    subject: np.ndarray
    time: np.ndarray


class Problem(NamedTuple):
    """The data in units in which every parameter is of size 1; what turns them back."""

    data: Data
    orthonormal: np.ndarray
    triangle: np.ndarray
    scale: float
    time_scale: float
    n_fixed: int
    n_random: int


def standardise(rows: Rows, n_random: int) -> Problem:
    """Put the rows in units of the residual, the design in orthonormal columns, subjects side by side.

    Raises
    ------
    NotEstimable
        For columns that are not independent, or values without variation about their mean.
    """
    y, censored, design, subject, time = rows
    orthonormal, triangle = np.linalg.qr(design)
    diagonal = np.abs(np.diag(triangle))
    if diagonal.min() <= 1e-10 * diagonal.max():
        raise NotEstimable("the columns of the design are not independent: a group or a time is empty")
    residual = y - orthonormal @ (orthonormal.T @ y)
    scale = float(np.sqrt((residual**2).mean()))
    if not scale > 1e-10 * max(1.0, float(np.abs(y).max())):
        raise NotEstimable("the values do not vary about their mean")
    time_scale = float(np.sqrt((time**2).mean())) or 1.0
    z = np.column_stack([np.ones(len(y)), time / time_scale])[:, :n_random]
    data = pad(y / scale, orthonormal, z, censored, subject, nodes_per_effect=_NODES[n_random])
    return Problem(data, orthonormal, triangle, scale, time_scale, design.shape[1], n_random)


def split(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Take the parameters apart: fixed effects, log SD within subjects, root of the random covariance."""
    root = np.zeros((problem.n_random, problem.n_random))
    root[np.tril_indices(problem.n_random)] = theta[problem.n_fixed + 1 :]
    return theta[: problem.n_fixed], theta[problem.n_fixed], root


def usual_starts(problem: Problem) -> list[np.ndarray]:
    """Return the likeliest of a few starts: least squares, the residual variance shared out."""
    data = problem.data
    beta = np.einsum("ijk,ij->k", data.x, data.y)
    starts = []
    for share in _START_SHARES if problem.n_random else (0.0,):
        root = np.diag(np.full(problem.n_random, np.sqrt(share / max(problem.n_random, 1))))
        variances = np.concatenate([[0.5 * np.log(1 - share)], root[np.tril_indices(problem.n_random)]])
        starts.append(np.concatenate([beta, variances]))
    return sorted(starts, key=lambda start: -value_at(problem, start)[0])[:_STARTS]


def start_like(
    problem: Problem, means: np.ndarray, sigma_within: float, random_covariance: np.ndarray
) -> np.ndarray:
    """Start from the means and variances of another fit to the same rows; a new slope gets a variance."""
    root = np.zeros((problem.n_random, problem.n_random))
    known = min(problem.n_random, len(random_covariance))
    units = np.array([1.0, problem.time_scale])[:known]
    covariance = random_covariance[:known, :known] * np.outer(units, units)
    # On the ridge of a variance of zero the score is zero too: a start stands off it.
    least = _OFF_ZERO * sigma_within
    root[:known, :known] = np.linalg.cholesky(covariance + least**2 * np.eye(known))
    root[known:, known:] = np.diag(np.full(problem.n_random - known, 3 * least))
    beta = problem.orthonormal.T @ means
    scaled = np.concatenate([beta, [0.0], root[np.tril_indices(problem.n_random)]]) / problem.scale
    scaled[problem.n_fixed] = np.log(sigma_within / problem.scale)
    return scaled


def value_at(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return log-likelihood and score."""
    return evaluate(problem.data, *split(problem, theta))


def climb(problem: Problem, starts: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Climb from every start and return the highest point with its log-likelihood."""

    def descend(theta):
        # A step far out can leave what is representable: it is refused, and the search shortens it.
        with np.errstate(all="ignore"):
            try:
                value, score = value_at(problem, theta)
            except np.linalg.LinAlgError:
                value, score = np.nan, theta
        return (-value, -score) if np.isfinite(value) else (np.inf, np.zeros_like(theta))

    # A coefficient of an orthonormal column carries information of about 1, a variance that of all rows.
    usual = np.concatenate([np.ones(problem.n_fixed), [0.5 / problem.data.seen.sum()]])
    spread = np.full(len(starts[0]) - len(usual), 1 / len(problem.data.y))
    options = {"gtol": _CLIMB_TOLERANCE, "hess_inv0": np.diag(np.concatenate([usual, spread]))}
    found = [minimize(descend, start, jac=True, method="BFGS", options=options) for start in starts]
    best = min(found, key=lambda result: result.fun)
    return _polish(problem, best.x)


def _polish(problem: Problem, theta: np.ndarray) -> tuple[np.ndarray, float]:
    """Take Newton's last steps, each only if it shortens the score without losing likelihood."""
    value, score = value_at(problem, theta)
    information = information_at(problem, theta)
    for _ in range(_POLISH_STEPS):
        if np.abs(score).max() < _SCORE_TOLERANCE:
            break
        step = np.linalg.lstsq(information, score, rcond=1e-10)[0]
        reached, reached_score = value_at(problem, theta + step)
        if not (reached >= value - SAME_LIKELIHOOD and np.abs(reached_score).max() < np.abs(score).max()):
            break
        theta, value, score = theta + step, reached, reached_score
    return theta, value


def information_at(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """Return the observed information: central differences of the analytic score."""
    rows = []
    for shift in _DIFFERENCE * np.eye(len(theta)):
        rows.append(value_at(problem, theta - shift)[1] - value_at(problem, theta + shift)[1])
    information = np.array(rows) / (2 * _DIFFERENCE)
    return (information + information.T) / 2
