"""Distribution of the maximally selected statistic when patients' log-rank scores fall at random."""

from __future__ import annotations

from math import comb

import numpy as np

from analysis.survival.checks import check_generator
from analysis.survival.outcome import NotEstimable

# Statistics that differ by less than this share are ties: allocations that give the observed value count.
_SLACK = 1e-9
# Allocations handled at once: few enough to stay in the processor's cache.
_CHUNK = 250
# All subsets of 20 patients are a million; the sums of whole scores of 300 fill a table of 0.1 GB.
_EXACT_MAX_N = 20
_BOUND_MAX_N = 300


def permutation_p(reached: float, scores, below, permutations: int, rng: np.random.Generator | None) -> float:
    """Estimate P(M >= reached) from random allocations.

    Parameters
    ----------
    reached : float
        Observed maximum.
    scores : ndarray, shape (n,)
        Log-rank scores.
    below : ndarray
        Numbers of patients at or below each cut, rising.
    permutations : int
        Random allocations.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    float
        (1 + b) / (1 + B), never 0.

    Raises
    ------
    ValueError
        Without a generator or a permutation.
    """
    rng = check_generator(rng)
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, found {permutations!r}")
    centred = scores - scores.mean()
    limits = np.full(len(centred), np.inf)
    limits[below - 1] = _limits(reached, centred, below)
    count, shuffled = 0, np.tile(centred, (min(_CHUNK, permutations), 1))
    sums = np.empty_like(shuffled)
    for start in range(0, permutations, _CHUNK):
        # Shuffling what is shuffled already is as random, and saves a copy.
        rng.permuted(shuffled, axis=1, out=shuffled)
        np.cumsum(shuffled, axis=1, out=sums)
        np.abs(sums, out=sums)
        count += int((sums[: permutations - start] >= limits).any(axis=1).sum())
    return (1 + count) / (1 + permutations)


def exact_p(reached: float, scores, below) -> float:
    """Compute P(M >= reached) over all n! allocations.

    Parameters
    ----------
    reached, scores, below
        As in `permutation_p`.

    Returns
    -------
    float
        Exact conditional p.

    Raises
    ------
    NotEstimable
        For more than 20 patients.

    Notes
    -----
    What counts is the set of the first m patients, not their order: the probability of having come to each
    of the 2**n sets without reaching the limit is passed on to the sets with one patient more.
    """
    n = len(scores)
    if n > _EXACT_MAX_N:
        raise NotEstimable(
            f"{n} patients have too many allocations (at most {_EXACT_MAX_N}): use 'permutation'"
        )
    centred = scores - scores.mean()
    limits = np.full(n + 1, np.inf)
    limits[below] = _limits(reached, centred, below)
    sums, sizes = np.zeros(1), np.zeros(1, dtype=np.int64)
    for value in centred:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    stops = np.abs(sums) >= limits[sizes]
    chance, p = np.zeros(2**n), 0.0
    chance[0] = 1.0
    layers = np.split(np.argsort(sizes, kind="stable"), np.cumsum(np.bincount(sizes))[:-1])
    for size, layer in enumerate(layers):
        p += float(chance[layer[stops[layer]]].sum())
        going = layer[~stops[layer]]
        for patient in range(n):
            bit = 1 << patient
            free = going[going & bit == 0]
            chance[free | bit] += chance[free] / (n - size)
    return p


def bound_p(reached: float, scores, below) -> float:
    """Compute Hothorn and Lausen's upper bound of P(M >= reached), from whole-number scores.

    Parameters
    ----------
    reached, scores, below
        As in `permutation_p`; scores are whole numbers.

    Returns
    -------
    float
        Bound; may exceed 1 where M is small.

    Raises
    ------
    ValueError
        If a score is not a whole number.
    NotEstimable
        For more than 300 patients.
    """
    scores = _whole(scores)
    chances, mean = _chances(scores), scores.sum() / len(scores)
    limits = _limits(reached, scores - mean, below)
    rising = np.concatenate([[0], np.cumsum(np.sort(scores))])
    sums, total, before = np.arange(scores.sum() + 1), 0.0, None
    for m, limit in zip(below, limits, strict=True):
        chance, deviation = chances(m), sums - m * mean
        total += float(chance[np.abs(deviation) >= limit].sum())
        if before is not None:
            last, last_chance, last_deviation, last_limit = before
            # A sum so low that even the highest scores leave it beyond the limit at this cut, or so high
            # that even the lowest do, had been reached already.
            most, least = rising[-1] - rising[-1 - (m - last)], rising[m - last]
            low = (last_deviation <= -last_limit) & (deviation + most <= -limit)
            high = (last_deviation >= last_limit) & (deviation + least >= limit)
            total -= float(last_chance[low | high].sum())
        before = (m, chance, deviation, limit)
    return total


def maxstat_bound_p(reached: float, scores, below) -> float:
    """Compute what ``pmaxstat`` of R's maxstat 0.7-25 returns, for comparison with R.

    Parameters
    ----------
    reached, scores, below
        As in `bound_p`.

    Returns
    -------
    float
        R's number. It is not P(M >= reached): see the notes of `max_selected_log_rank`, also on where the two
        programs agree.

    Raises
    ------
    ValueError, NotEstimable
        As in `bound_p`.
    """
    scores = _whole(scores)
    n, chances, mean = len(scores), _chances(scores), scores.sum() / len(scores)
    spread = np.var(scores, ddof=1)
    sums = np.arange(scores.sum() + 1)

    def beyond(m: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the probabilities of the sums at m, and which count as beyond the limit."""
        chance = chances(m)
        statistic = np.abs(sums - m * mean) / np.sqrt(m * (n - m) / n * spread)
        # Not where it is only reached, not at a sum of 0, not at a sum that cannot be.
        return chance, (statistic > reached * (1 + _SLACK)) & (sums > 0) & (chance > 0)

    total = sum(float(chance[out].sum()) for chance, out in map(beyond, below))
    for m in below[below > below[0]]:
        chance, out = beyond(m - 1)
        again = beyond(m)[1]
        for step, side in ((scores.max(), sums < (m - 1) * mean), (0, sums > (m - 1) * mean)):
            first = np.flatnonzero(out & side)
            first = first[first + step < len(sums)]
            total -= float(chance[first[again[first + step]]].sum())
    return total


def _limits(reached: float, centred: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return, by cut, how far the centred sum must be from 0 to reach the statistic."""
    n = len(centred)
    variance = below * (n - below) / (n * (n - 1)) * np.sum(centred**2)
    return reached * np.sqrt(variance) * (1 - _SLACK)


def _whole(scores: np.ndarray) -> np.ndarray:
    whole = np.round(scores).astype(np.int64)
    if not np.array_equal(whole, scores):
        raise ValueError("the bound of Hothorn and Lausen needs scores that are whole numbers")
    return whole - whole.min()


def _chances(scores: np.ndarray):
    """Return a function of m: the probabilities of the sums 0, 1, ... of m scores drawn at random."""
    n, total = len(scores), int(scores.sum())
    if n > _BOUND_MAX_N:
        raise NotEstimable(
            f"the sums of {n} scores fill too large a table (at most {_BOUND_MAX_N} patients): use "
            "'permutation'"
        )
    half = n // 2
    counts = np.zeros((half + 1, total + 1))
    counts[0, 0], top = 1.0, 0
    for taken, score in enumerate(np.sort(scores)):
        top += int(score)
        rows = min(taken + 1, half)
        counts[1 : rows + 1, score : top + 1] += counts[:rows, : top + 1 - score].copy()

    def chance(m: int) -> np.ndarray:
        """Return the probabilities; above half by what is left over."""
        row = counts[m] if m <= half else counts[n - m][::-1]
        return row / float(comb(n, int(m)))

    return chance
