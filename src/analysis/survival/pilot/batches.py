"""Concordance, partial likelihood and kappa of many simulated pilots at once.

One row a pilot, one column a patient. Ties of times and of scores count as in `survival.concordance` and, in
the partial likelihood, by Efron's rule as in `survival.cox`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.survival.concordance import order_of_scores

# Numerical guards of the Newton iteration, on a score with standard deviation 1.
_MAX_ITERATIONS = 40
_MAX_STEP = 2.0
_GRADIENT = 1e-10


@dataclass(frozen=True)
class Pilots:
    """Simulated pilots as they are compared.

    Attributes
    ----------
    time : ndarray, shape (pilots, patients)
        Follow-up, any unit.
    event, kept : ndarray of bool, same shape
        Event seen; in the comparison (event-free and followed after the landmark).
    """

    time: np.ndarray
    event: np.ndarray
    kept: np.ndarray

    def ordered_pairs(self) -> np.ndarray:
        """Mark, for each pilot, the pairs (i, j) in which i is seen to have its event first."""
        both = (self.event & self.kept)[:, :, None] & self.kept[:, None, :]
        sooner = self.time[:, :, None] < self.time[:, None, :]
        # Who is censored when another has the event outlives her.
        same = (self.time[:, :, None] == self.time[:, None, :]) & ~self.event[:, None, :]
        return both & (sooner | same)


def batch_concordance(pairs: np.ndarray, score: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Compute Harrell's C of a score in each pilot, or in each resample of each pilot.

    Parameters
    ----------
    pairs : ndarray of bool, shape (pilots, patients, patients)
        From `Pilots.ordered_pairs`.
    score : ndarray, shape (pilots, patients)
        Larger is worse; of those who are not compared it may be missing.
    counts : ndarray, shape (pilots, resamples, patients), optional
        How often each patient is drawn.

    Returns
    -------
    ndarray
        Shape (pilots,), or (pilots, resamples) with `counts`; missing where no pair can be ordered.
    """
    # Single precision holds these halves exactly and halves the time; `_divide` has double.
    whole = pairs.astype(np.float32)
    right = np.where(pairs, np.stack([order_of_scores(row) for row in score]), 0.0).astype(np.float32)
    if counts is None:
        return _divide(right.sum(axis=(1, 2)), whole.sum(axis=(1, 2)))
    weights = counts.astype(np.float32)
    return _divide(((weights @ right) * weights).sum(axis=2), ((weights @ whole) * weights).sum(axis=2))


def batch_gain(pilots: Pilots, score: np.ndarray) -> np.ndarray:
    """Compute the partial log-likelihood of a score above that of no effect, in each pilot (Efron's ties).

    Under separation the iteration approaches the limit, which is finite.

    Parameters
    ----------
    pilots : Pilots
        Follow-up and events.
    score : ndarray, shape (pilots, patients)
        A number or a class (0, 1).

    Returns
    -------
    ndarray, shape (pilots,)
        Gain; 0 where the score does not vary, missing without an event.
    """
    died, score = pilots.event & pilots.kept, np.where(pilots.kept, score, 0.0)
    order = _falling(pilots.time, died)
    time, event, kept, x = (
        np.take_along_axis(values, order, axis=1)
        for values in (pilots.time, died.astype(float), pilots.kept.astype(float), score)
    )
    n = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    x = (x - (kept * x).sum(axis=1, keepdims=True) / n) * kept
    spread = np.sqrt((x**2).sum(axis=1, keepdims=True) / n)
    x = np.divide(x, spread, out=np.zeros_like(x), where=spread > 0)
    beta, data = np.zeros(len(x)), (x, event, kept, _efron(time, event))
    null, gradient, information = _evaluate(beta, *data)
    best = null.copy()
    for _ in range(_MAX_ITERATIONS):
        moving = (np.abs(gradient) > _GRADIENT) & (information > _GRADIENT)
        if not moving.any():
            break
        step = np.where(moving, gradient / np.where(moving, information, 1.0), 0.0)
        beta, best, gradient, information = _climb(beta, np.clip(step, -_MAX_STEP, _MAX_STEP), best, data)
    return np.where(event.any(axis=1), best - null, np.nan)


def batch_kappa(first: np.ndarray, second: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Compute Cohen's kappa of two classes in each pilot.

    Parameters
    ----------
    first, second : ndarray of bool, shape (pilots, patients)
        Non-response at the two days.
    kept : ndarray of bool, same shape
        Who is compared.

    Returns
    -------
    ndarray, shape (pilots,)
        Kappa; missing where both days put everybody in one and the same class.
    """
    n = kept.sum(axis=1)
    share, other = (_divide((kept & part).sum(axis=1), n) for part in (first, second))
    agreement = _divide((kept & (first == second)).sum(axis=1), n)
    chance = share * other + (1 - share) * (1 - other)
    return _divide(agreement - chance, 1 - chance)


def draw_batch_counts(kept: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw resamples of the compared patients of each pilot.

    Parameters
    ----------
    kept : ndarray of bool, shape (pilots, patients)
        Who is compared.
    samples : int
        Resamples a pilot.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int, shape (pilots, samples, patients)
        How often each patient is drawn.
    """
    n = kept.sum(axis=1)
    chance = _divide(kept.astype(float), n[:, None])
    chance[n == 0] = 0.0
    chance[n == 0, 0] = 1.0  # nobody is drawn of an empty pilot: n is 0
    wide = np.broadcast_to(chance[:, None, :], (len(kept), samples, kept.shape[1]))
    return rng.multinomial(np.broadcast_to(n[:, None], wide.shape[:2]), wide)


def _falling(time: np.ndarray, died: np.ndarray) -> np.ndarray:
    """Order each pilot by falling time; of equal times the censored first, so that they are at risk."""
    order = np.argsort(died, axis=1, kind="stable")
    later = np.argsort(-np.take_along_axis(time, order, axis=1), axis=1, kind="stable")
    return np.take_along_axis(order, later, axis=1)


def _efron(time: np.ndarray, event: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each event, how many patients stand before the end and the first of its tie, and a share.

    Of d events at one time the i-th (from 0) has the denominator (1 - i/d) sum(end) + (i/d) sum(first).
    """
    place = np.arange(time.shape[1])
    tied = (time[:, :, None] == time[:, None, :]) & (event[:, :, None] > 0) & (event[:, None, :] > 0)
    deaths = np.maximum(tied.sum(axis=2), 1)
    earlier = (tied & (place < place[:, None])).sum(axis=2)
    first = place - earlier
    return first + deaths, first, earlier / deaths


def _evaluate(beta: np.ndarray, x: np.ndarray, event: np.ndarray, kept: np.ndarray, ties: tuple):
    """Return log-likelihood, score and information; columns run from the longest time to the shortest."""
    linear = beta[:, None] * x
    peak = np.where(kept > 0, linear, -np.inf).max(axis=1, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    risk = kept * np.exp(np.minimum(linear - peak, 0.0))
    s0, s1, s2 = (_at_risk(risk * x**power, *ties) for power in range(3))
    s0 = np.where(event > 0, s0, 1.0)
    mean = s1 / s0
    value = (event * (linear - peak - np.log(s0))).sum(axis=1)
    return value, (event * (x - mean)).sum(axis=1), (event * (s2 / s0 - mean**2)).sum(axis=1)


def _at_risk(parts: np.ndarray, end: np.ndarray, first: np.ndarray, share: np.ndarray) -> np.ndarray:
    sums = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, axis=1)], axis=1)
    upper, lower = (np.take_along_axis(sums, places, axis=1) for places in (end, first))
    return (1 - share) * upper + share * lower


def _climb(beta: np.ndarray, step: np.ndarray, best: np.ndarray, data: tuple):
    """Take the Newton step, halved in the pilots where it would go down."""
    for _ in range(_MAX_ITERATIONS):
        value, gradient, information = _evaluate(beta + step, *data)
        worse = value < best - 1e-12
        if not worse.any():
            break
        step = np.where(worse, step / 2, step)
    return beta + step, np.maximum(value, best), gradient, information


def _divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), np.asarray(whole, dtype=float))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
