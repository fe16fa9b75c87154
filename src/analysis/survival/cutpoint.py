"""Maximally selected log-rank statistic: the best cut of a score, and p-values that know it was selected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis import plan
from analysis.survival.cutpoint_distribution import bound_p, exact_p, maxstat_bound_p, permutation_p
from analysis.survival.outcome import NotEstimable, check_time_event

METHODS = ("lausen92", "lausen94", "hothorn_lausen", "permutation")
_WHOLE = ("hothorn_lausen", "hothorn_lausen_maxstat")
# Scores that differ by less than this share of the largest, and statistics that differ by less than this
# share, differ by rounding only: they are ties.
_ROUNDING = 1e-12
_SLACK = 1e-9


def max_selected_log_rank(
    time,
    event,
    score,
    *,
    min_share: float | None = None,
    max_share: float | None = None,
    methods: str | Sequence[str] | None = None,
    permutations: int | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Test a score at the cut that separates survival most, corrected for having searched the cut.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    score : array-like
        One number a patient, none missing; patients of equal score stay together.
    min_share, max_share : float, optional
        Smallest and largest share of patients at or below a cut; the default plan's
        ``survival.maxstat_range`` by default. As R's minprop and maxprop, rounded down to a number of
        patients.
    methods : str or sequence of str, optional
        How p is found, one row each; by default the two of Lausen, Hothorn-Lausen and, where a generator is
        given, the permutation. ``"lausen92"``, ``"lausen94"``: approximations for large samples.
        ``"hothorn_lausen"``: an upper bound of the conditional p. ``"permutation"``: Monte Carlo, (1 + b) /
        (1 + B). Also ``"exact"`` (all allocations, at most 20 patients) and ``"hothorn_lausen_maxstat"``
        (the number R's maxstat prints, see Notes).
    permutations : int, optional
        Random allocations; the default plan's ``survival.permutations`` by default.
    rng : numpy.random.Generator, optional
        Needed for ``"permutation"``.

    Returns
    -------
    DataFrame
        One row a method: method, statistic (M, the largest standardised two-sample statistic), cut (score <=
        cut against score > cut; the first of several that are equally good), p, n, events. The two
        Hothorn-Lausen methods need whole numbers: their statistic and cut are those of the scores rounded as
        R does.

    Raises
    ------
    NotEstimable
        Without an event; with one distinct score; if no cut leaves the shares asked for; if everybody has
        the same log-rank score (all events at one time); for too many patients for a method.
    ValueError
        For malformed input, an unknown method, shares out of order or a missing generator.

    Notes
    -----
    The scores are Hothorn and Lausen's, see `hothorn_lausen_scores`. The permutation p counts allocations
    that give the observed M; maxstat's ``condMC`` counts larger ones only, which matters where scores are
    few.

    The bound of Hothorn and Lausen adds the probabilities that the statistic is reached at each cut and takes
    off what is certain to have been reached at the cut before. R's maxstat 0.7-25 departs from it in three
    ways, each of which makes p smaller: it counts M > observed and not M >= observed, it leaves out
    allocations in which the patients at or below a cut all have the lowest score, and with tied scores it
    takes off what was reached between two cuts, where nothing was added. ``"hothorn_lausen_maxstat"``
    repeats this for comparison; with ties it can be smaller than the exact p. R compares sums in floating
    point, so allocations that equal the observed value fall on either side by rounding: agreement is exact on
    the reference data, and within the probability of those allocations elsewhere.

    References
    ----------
    Lausen and Schumacher, Biometrics 1992;48:73-85. Lausen, Sauerbrei and Schumacher, in Computational
    Statistics 1994:483-96. Hothorn and Lausen, Comput Stat Data Anal 2003;43:121-37.

    Examples
    --------
    >>> max_selected_log_rank([1, 2, 3, 4], [1, 1, 1, 1], [9, 8, 2, 1], methods=("exact",))["cut"].tolist()
    [1.0]
    """
    time, event, score = _check(time, event, score)
    shares = _shares(min_share, max_share)
    if methods is None:
        methods = [name for name in METHODS if name != "permutation" or rng is not None]
    rows = []
    for method in [methods] if isinstance(methods, str) else methods:
        search = _Search.build(time, event, score, shares, whole=method in _WHOLE)
        found = {"method": method, "statistic": search.statistic, "cut": search.cut}
        p = _p_value(method, search, shares, permutations, rng)
        rows.append({**found, "p": min(max(p, 0.0), 1.0), "n": len(time), "events": int(event.sum())})
    return pd.DataFrame(rows, columns=["method", "statistic", "cut", "p", "n", "events"])


def select_cut(
    time, event, score, *, min_share: float | None = None, max_share: float | None = None
) -> tuple[float, float]:
    """Find the cut of the maximally selected log-rank statistic, without a p: made for resampling.

    Parameters
    ----------
    time, event, score, min_share, max_share
        As in `max_selected_log_rank`.

    Returns
    -------
    tuple of float
        Statistic M and cut (score <= cut against score > cut).

    Raises
    ------
    NotEstimable, ValueError
        As in `max_selected_log_rank`.
    """
    search = _Search.build(*_check(time, event, score), _shares(min_share, max_share))
    return search.statistic, search.cut


def hothorn_lausen_scores(time, event) -> np.ndarray:
    """Compute log-rank scores as R's ``exactRankTests::cscores``: what maxstat adds up.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.

    Returns
    -------
    ndarray
        event - sum over events at or before t of 1 / (n - number of times at or before that event + 1).

    Notes
    -----
    Without tied times these are `log_rank_scores`. In a tie every event is divided by the number still
    followed after the tie, plus one, so that the scores of tied data do not sum to 0; the statistic
    subtracts their mean.

    References
    ----------
    Hothorn and Lausen, Comput Stat Data Anal 2003;43:121-37, section 2.

    Examples
    --------
    >>> hothorn_lausen_scores([1, 1, 2], [1, 1, 1]).tolist()
    [0.0, 0.0, -1.0]
    """
    return _scores(*check_time_event(time, event))


@dataclass(frozen=True)
class _Search:
    """Patients in order of the score: `below[k]` of them lie at or below the k-th cut."""

    scores: np.ndarray  # log-rank scores, as they are
    values: np.ndarray  # the score that is cut
    below: np.ndarray
    statistics: np.ndarray

    @classmethod
    def build(cls, time, event, score, shares: tuple[float, float], *, whole: bool = False) -> _Search:
        n = len(time)
        order = np.argsort(score, kind="stable")
        values = score[order]
        below = 1 + np.flatnonzero(np.diff(values) > _ROUNDING * np.abs(values).max())
        if not len(below):
            raise NotEstimable(f"the score is the same in all {n} patients: there is nothing to cut")
        below = below[(below >= max(1, math.floor(n * shares[0]))) & (below <= math.floor(n * shares[1]))]
        if not len(below):
            raise NotEstimable(
                f"no cut of the score leaves between {shares[0]:g} and {shares[1]:g} of the {n} patients at "
                "or below it: widen survival.maxstat_range"
            )
        scores = _scores(time, event)[order]
        scores = _round_as_maxstat(scores) if whole else scores
        centred = scores - scores.mean()
        if np.ptp(scores) <= _SLACK:
            raise NotEstimable(
                f"all {n} patients have the same log-rank score (nobody outlives anybody): no cut is better "
                "than another"
            )
        # The variance of a sum of m scores drawn without replacement.
        variance = below * (n - below) / (n * (n - 1)) * np.sum(centred**2)
        statistics = np.abs(np.cumsum(centred)[below - 1]) / np.sqrt(variance)
        return cls(scores, values, below, statistics)

    @property
    def statistic(self) -> float:
        return float(self.statistics.max())

    @property
    def cut(self) -> float:
        best = np.flatnonzero(self.statistics >= self.statistic * (1 - _SLACK))[0]
        return float(self.values[self.below[best] - 1])


def _check(time, event, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time, event = check_time_event(time, event)
    score = np.asarray(score, dtype=float)
    if score.shape != time.shape or not np.isfinite(score).all():
        raise ValueError(
            f"score must be {len(time)} numbers, none missing: shape {score.shape}, "
            f"{int((~np.isfinite(score)).sum())} missing or infinite; leave those patients out by name"
        )
    if not event.any():
        raise NotEstimable(f"none of the {len(time)} patients has an event: no cut can be selected")
    return time, event, score


def _shares(min_share: float | None, max_share: float | None) -> tuple[float, float]:
    planned = plan.defaults().survival.maxstat_range
    low = planned[0] if min_share is None else min_share
    high = planned[1] if max_share is None else max_share
    if not 0 < low < high < 1:
        raise ValueError(f"0 < min_share < max_share < 1 is needed, found {low!r} and {high!r}")
    return low, high


def _scores(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    ordered = np.sort(time)
    rank = np.searchsorted(ordered, time, side="right")  # largest rank of a tie
    increments = np.bincount(rank, weights=event / (len(time) - rank + 1), minlength=len(time) + 1)
    return event - np.cumsum(increments)[rank]


def _round_as_maxstat(scores: np.ndarray) -> np.ndarray:
    """Make scores whole numbers from 0 to n, as maxstat: Hothorn and Lausen's distribution needs them."""
    fractions = np.mod(scores, 1)
    if not fractions.any():
        return scores
    if np.isin(fractions, [0, 0.5]).all():
        return 2 * scores
    scores = scores - scores.min()
    return np.round(scores * len(scores) / scores.max())


def _p_value(method: str, search: _Search, shares, permutations: int | None, rng) -> float:
    reached = search.statistic
    if method == "lausen92":
        return _lausen92(reached, *shares)
    if method == "lausen94":
        return _lausen94(reached, search.below, len(search.scores))
    if method == "hothorn_lausen":
        return bound_p(reached, search.scores, search.below)
    if method == "hothorn_lausen_maxstat":
        return maxstat_bound_p(reached, search.scores, search.below)
    if method == "exact":
        return exact_p(reached, search.scores, search.below)
    if method == "permutation":
        used = plan.defaults().survival.permutations if permutations is None else permutations
        return permutation_p(reached, search.scores, search.below, used, rng)
    known = (*METHODS, "exact", "hothorn_lausen_maxstat")
    raise ValueError(f"a method must be one of {known}, found {method!r}")


def _lausen92(reached: float, low: float, high: float) -> float:
    """Return equation 10 of Lausen and Schumacher 1992; below 1 it says nothing."""
    if reached < 1:
        return 1.0
    density = norm.pdf(reached)
    odds = high * (1 - low) / ((1 - high) * low)
    return float(4 * density / reached + density * (reached - 1 / reached) * np.log(odds))


def _lausen94(reached: float, below: np.ndarray, n: int) -> float:
    """Return the improved Bonferroni bound of Lausen, Sauerbrei and Schumacher 1994."""
    first, second = below[:-1].astype(float), below[1:].astype(float)
    gap = np.sqrt(1 - first * (n - second) / ((n - first) * second))
    added = np.exp(-(reached**2) / 2) / np.pi * np.sum(gap - (reached**2 / 4 - 1) * gap**3 / 6)
    return float(2 * norm.sf(reached) + added)
