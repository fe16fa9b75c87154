"""Multiplicity over markers: Benjamini-Hochberg, and Westfall-Young step-down maxT by permutation.

References
----------
Benjamini Y, Hochberg Y. J R Stat Soc B 1995;57:289-300.
Westfall PH, Young SS. Resampling-based multiple testing. Wiley 1993, algorithm 4.1 (step-down maxT).
Phipson B, Smyth GK. Stat Appl Genet Mol Biol 2010;9:39 (a permutation p-value is never zero).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, permutations

import numpy as np
from scipy.stats import rankdata
from statsmodels.stats.multitest import multipletests

# Permutations of one block: the scores of some 60 subjects (120 KiB) stay in a core's own cache.
_BLOCK_PERMUTATIONS = 256
# Scores that vary among the known subjects by less than this share of the whole do not vary.
_NO_SPREAD = 1e-10
# Two statistics that differ by rounding alone are tied; else the order of summation would decide.
_TIE_TOLERANCE = 1e-9


def bh(p_values: np.ndarray) -> np.ndarray:
    """Adjust p-values for the false discovery rate (Benjamini-Hochberg); NaN stays NaN and is not counted.

    >>> bh(np.array([0.01, 0.02, 0.04, np.nan])).round(3)
    array([0.03, 0.03, 0.04,  nan])
    """
    p_values = np.asarray(p_values, float)
    q_values = np.full(p_values.shape, np.nan)
    known = np.isfinite(p_values)
    if known.any():
        q_values[known] = multipletests(p_values[known], method="fdr_bh")[1]
    return q_values


def rank_scores(values: np.ndarray) -> np.ndarray:
    """Return midranks, the scores of the Wilcoxon test."""
    return rankdata(np.asarray(values, float))


def standardised_statistics(markers: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Compute the standardised linear statistic of each marker: mean 0, variance 1 over permutations.

    For a 0/1 marker this is the hypergeometric z with a 0/1 score, the Wilcoxon z with ranks, the
    permutational log-rank z with the scores of `analysis.survival.log_rank.log_rank_scores`. A marker with
    missing values is standardised by mean and SD of the scores of its known subjects, so that it is the
    statistic of these alone. A constant marker gives 0, and so do scores constant among the known.

    Parameters
    ----------
    markers : array, shape (m, n)
        Markers x subjects, NaN where missing.
    scores : array, shape (n,) or (b, n)
        Score of each subject's outcome; many rows are as many permutations of one vector.

    Returns
    -------
    array, shape (m,) or (m, b)
    """
    centred = _standardise_markers(markers)
    scores = np.asarray(scores, float)
    centred_scores = scores - scores.mean(axis=-1, keepdims=True)
    length = math.sqrt(float((np.atleast_2d(centred_scores)[0] ** 2).sum()))
    if length == 0:
        return np.zeros((len(centred), *scores.shape[:-1]))
    found = centred @ centred_scores.T / length * math.sqrt(scores.shape[-1] - 1)
    known = np.isfinite(np.atleast_2d(np.asarray(markers, float)))
    gaps = ~known.all(axis=1)
    if gaps.any():
        found[gaps] *= _rescale(known[gaps], centred_scores, length)
    return found


def _rescale(known: np.ndarray, scores: np.ndarray, length: float) -> np.ndarray:
    """Return what turns the SD of all scores into that of the known subjects' (markers x permutations)."""
    n_known = known.sum(axis=1).reshape(-1, *[1] * (scores.ndim - 1))
    sums, squares = known @ scores.T, known @ (scores**2).T
    spread = squares - sums**2 / np.maximum(n_known, 1)
    share = spread / length**2 * (scores.shape[-1] - 1)
    varies = spread > _NO_SPREAD * length**2
    return np.sqrt(np.divide(n_known - 1, share, out=np.zeros_like(share), where=varies))


def westfall_young(
    markers: np.ndarray, scores: np.ndarray, *, n_permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """Adjust the two-sided p-values of all markers by step-down maxT; strong family-wise control.

    Where there are no more than `n_permutations` orders of the subjects, all are taken and the p-values are
    exact; else the observed order counts as one more permutation. No statistic is kept: memory is that of the
    markers. Runs on one core, compiled at first use.

    Where marker values are missing, each statistic, observed or permuted, is that of the marker's known
    subjects. Outcomes are still exchanged between subjects with and without the value: exact if being
    missing has nothing to do with the outcome. If it has, the statistic keeps mean 0 and variance 1 given
    which outcomes are known, and p is approximate: the shape of its distribution follows all outcomes, not
    those of the known (discrete outcomes in few known subjects).

    Parameters
    ----------
    markers : array, shape (m, n)
        Markers x subjects, NaN where missing. Leave markers under the prevalence floor out before.
    scores : array, shape (n,)
        Score of each subject's outcome: 0/1, ranks, or log-rank scores; finite.
    n_permutations : int
        Number of random permutations.
    rng : numpy Generator
        Source of the permutations; not used when they are all taken.

    Returns
    -------
    array, shape (m,)
        Adjusted p-values, rising with falling absolute statistic.

    Raises
    ------
    ValueError
        ``SCORE_MISSING`` for a score that is not finite, ``SHAPE`` where markers and scores do not agree.
    """
    markers, scores = np.atleast_2d(np.asarray(markers, float)), np.asarray(scores, float)
    if markers.shape[1] != scores.shape[0]:
        raise ValueError(f"SHAPE: markers have {markers.shape[1]} subjects, scores {scores.shape[0]}")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"SCORE_MISSING: {int((~np.isfinite(scores)).sum())} scores missing; leave these subjects out"
        )
    if len(markers) == 0:
        return np.empty(0)
    observed = np.abs(standardised_statistics(markers, scores))
    order = np.argsort(-observed, kind="stable")
    counts, taken = _count_reached(markers[order], scores, observed[order], n_permutations, rng)
    exact = taken == math.factorial(len(scores))
    ordered = counts / taken if exact else (counts + 1) / (taken + 1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(ordered)
    return adjusted


def _count_reached(
    markers: np.ndarray, scores: np.ndarray, observed: np.ndarray, wanted: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Count, by marker in falling order, permutations whose maximum over it and all below reaches it."""
    from analysis.biomarkers.maxt_kernel import count_reached

    unit = _standardise_markers(markers)
    gaps = ~np.isfinite(markers)
    starts, missing = np.append(0, np.cumsum(gaps.sum(axis=1))), np.nonzero(gaps)[1]
    limit = observed - _TIE_TOLERANCE
    counts, taken = np.zeros(len(unit), dtype=np.int64), 0
    # A score without spread gives every statistic 0, as `standardised_statistics` does.
    centred, scale = scores - scores.mean(), math.sqrt(len(scores) - 1)
    length = math.sqrt(float((centred**2).sum()))
    unit_scores = centred / length * scale if length > 0 else np.zeros_like(centred)
    for block in _permuted(unit_scores, wanted, _BLOCK_PERMUTATIONS, rng):
        room = np.zeros((2, len(block)))
        count_reached(unit, np.ascontiguousarray(block.T), starts, missing, limit, room[0], room[1], counts)
        taken += len(block)
    return counts, taken


def _standardise_markers(markers: np.ndarray) -> np.ndarray:
    markers = np.atleast_2d(np.asarray(markers, float))
    known = np.isfinite(markers)
    n_known = known.sum(axis=1, keepdims=True)
    mean = np.where(known, markers, 0).sum(axis=1, keepdims=True) / np.maximum(n_known, 1)
    centred = np.where(known, markers - mean, 0.0)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)


def _permuted(scores: np.ndarray, wanted: int, rows: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    if len(scores) <= 12 and math.factorial(len(scores)) <= wanted:
        every = permutations(range(len(scores)))
        while block := list(islice(every, rows)):
            yield scores[np.array(block)]
        return
    left = wanted
    while left > 0:
        size = min(rows, left)
        yield rng.permuted(np.broadcast_to(scores, (size, len(scores))), axis=1)
        left -= size
