"""Log-rank scores and permutation tests of many trials, compiled to machine code."""

from __future__ import annotations

import numpy as np

from analysis.survival.compiled import compiled

# Statistics that differ only by rounding are ties, as in `survival.log_rank`.
_SLACK = 1e-9


@compiled
def score_rows(time, event, scores):
    """Set the log-rank scores of each row, as `survival.log_rank.log_rank_scores`.

    Parameters
    ----------
    time : ndarray, shape (rows, n)
        Follow-up; nan for who is not in it.
    event : ndarray of bool, same shape
        Event seen.
    scores : ndarray, same shape
        Set to event - Nelson-Aalen(time); 0 for who is not in it.
    """
    rows, n = time.shape
    for row in range(rows):
        order = np.argsort(np.where(np.isnan(time[row]), np.inf, time[row]))
        inside = n - int(np.sum(np.isnan(time[row])))
        hazard, at = 0.0, 0
        scores[row] = 0.0
        while at < inside:
            end, deaths = at, 0
            while end < inside and time[row, order[end]] == time[row, order[at]]:
                deaths += event[row, order[end]]
                end += 1
            hazard += deaths / (inside - at)
            for k in range(at, end):
                scores[row, order[k]] = event[row, order[k]] - hazard
            at = end


@compiled
def permutation_rows(scores, exposed, permutations, rng, p):
    """Set the two-sided permutation p of each row: (1 + b) / (1 + B), as `survival.log_rank`.

    Parameters
    ----------
    scores : ndarray, shape (rows, n)
        From `score_rows`.
    exposed : ndarray, same shape
        1, 0, or nan for who is not in it.
    permutations : int
        Random allocations of each row.
    rng : numpy.random.Generator
        Source of randomness, drawn row by row.
    p : ndarray, shape (rows,)
        Set; missing where a group is empty or all scores are 0.
    """
    rows, n = scores.shape
    drawn = np.empty(n)
    for row in range(rows):
        inside, members, observed, spread = 0, 0, 0.0, 0.0
        for j in range(n):
            if not np.isnan(exposed[row, j]):
                drawn[inside] = scores[row, j]
                spread = max(spread, abs(scores[row, j]))
                members += int(exposed[row, j])
                observed += exposed[row, j] * scores[row, j]
                inside += 1
        # Scores sum to 0: the smaller group's sum is as far from it as the larger one's.
        few = min(members, inside - members)
        if few == 0 or spread == 0.0:
            p[row] = np.nan
            continue
        reached = 0
        for _ in range(permutations):
            total = 0.0
            for k in range(few):
                other = k + int(rng.random() * (inside - k))
                drawn[k], drawn[other] = drawn[other], drawn[k]
                total += drawn[k]
            reached += abs(total) >= abs(observed) - _SLACK
        p[row] = (1 + reached) / (1 + permutations)
