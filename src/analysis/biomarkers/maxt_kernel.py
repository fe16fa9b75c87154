"""The inner loop of step-down maxT, compiled: statistics, running maxima from below, how often reached.

A product of matrices by BLAS would be as fast alone, but its threads wait for each other where cores are
shared, and its last digits depend on the machine. Here a statistic never leaves the cache.
"""

from __future__ import annotations

import math

from analysis.survival.compiled import compiled

# Scores that vary among the known subjects by less than this share of the whole do not vary.
_NO_SPREAD = 1e-10


@compiled
def count_reached(unit, scores, starts, missing, observed, statistics, maxima, counts):
    """Go up the markers, raise the running maxima, and count those that reach the observed value.

    Parameters
    ----------
    unit : array, shape (markers, subjects)
        Markers of mean 0 and length 1 among their known subjects, 0 at the others, in falling order of the
        observed statistic.
    scores : array, shape (subjects, permutations)
        Permuted scores of mean 0 and variance 1 over subjects (n - 1).
    starts, missing : array of int, shapes (markers + 1,) and (gaps,)
        Subjects in whom marker i is missing: ``missing[starts[i]:starts[i + 1]]``. Its statistic is then
        standardised by the scores of the others, in every permutation its own.
    observed : array, shape (markers,)
        What counts as reached.
    statistics, maxima : array, shape (permutations,)
        Room for the work; maxima start at 0.
    counts : array of int, shape (markers,)
        Added to in place.
    """
    subjects, permutations = scores.shape
    total = subjects - 1.0
    for i in range(unit.shape[0] - 1, -1, -1):
        statistics[:] = 0.0
        k = 0
        # Four subjects a turn: each statistic is read and written a quarter as often.
        while k + 4 <= subjects:
            a, b, c, d = unit[i, k], unit[i, k + 1], unit[i, k + 2], unit[i, k + 3]
            for j in range(permutations):
                statistics[j] += (
                    a * scores[k, j] + b * scores[k + 1, j] + c * scores[k + 2, j] + d * scores[k + 3, j]
                )
            k += 4
        while k < subjects:
            a = unit[i, k]
            for j in range(permutations):
                statistics[j] += a * scores[k, j]
            k += 1
        first, last = starts[i], starts[i + 1]
        if last > first:
            known = subjects - (last - first)
            for j in range(permutations):
                gone, squares = 0.0, 0.0
                for g in range(first, last):
                    value = scores[missing[g], j]
                    gone += value
                    squares += value * value
                # All scores sum to 0, so those of the known subjects to minus the others'.
                spread = total - squares - gone * gone / max(known, 1)
                if spread > _NO_SPREAD * total:
                    statistics[j] *= math.sqrt((known - 1) / spread)
                else:
                    statistics[j] = 0.0
        limit, reached = observed[i], 0
        for j in range(permutations):
            value = max(maxima[j], abs(statistics[j]))
            maxima[j] = value
            reached += value >= limit
        counts[i] += reached
