"""Log-rank test: asymptotic, by permutation, and exact by enumeration of all allocations."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import chi2

from analysis import plan
from analysis.survival.checks import check_generator
from analysis.survival.outcome import NotEstimable, check_groups, check_time_event

# Statistics that differ only by rounding are ties: all allocations that give the observed value count.
_SLACK = 1e-9
# A variance below this share of the largest (or of one event's) is rounding.
_NO_VARIANCE = 1e-10
# Halves of at most 2**15 subsets: beyond it an enumeration is no longer a matter of seconds.
_EXACT_MAX_N = 30


def log_rank(
    time,
    event,
    group,
    *,
    strata=None,
    method: str = "asymptotic",
    permutations: int | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Test that groups have the same survival.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    group : array-like
        One label a patient, two groups or more.
    strata : array-like, optional
        One label a patient; groups are compared, and permuted, within a stratum.
    method : {"asymptotic", "permutation", "exact"}
        How p is found. ``"exact"`` takes two groups, no strata and at most 30 patients.
    permutations : int, optional
        Random allocations; the default plan's ``survival.permutations`` by default.
    rng : numpy.random.Generator, optional
        Needed for ``"permutation"``.

    Returns
    -------
    DataFrame
        One row: method, chi2 (hypergeometric variance, as R's survdiff), df, p, n, events, permutations. Data
        whose variance is zero (all events at one time) carry no information: chi2 0, p 1.

    Raises
    ------
    NotEstimable
        If nobody has an event, only one group has patients, or some of several groups are never at risk
        together (where R drops those that are at risk at no event).
    ValueError
        For an unknown method, a missing generator, no permutations, or an exact test that is too large.

    Notes
    -----
    The statistic that is permuted is the linear one: a patient's score is event - Nelson-Aalen(t), and the
    sum of scores in a group is O - E exactly; with more than two groups, the sum of (O - E)^2 / n. Two-sided:
    every allocation that lies as far from 0, or gives the observed value, counts. Monte Carlo p is
    (1 + b) / (1 + B).

    The scores are those of R's coin::logrank_test with its default mid-ranks, of opposite sign, and so are
    the exact p of two groups and the distribution that is sampled. coin's other scores (Hothorn-Lausen,
    average) and exactRankTests::cscores differ under ties: there the sum is no longer O - E. Under strata
    coin scores patients as if there were none, unless trafo() is given the block.

    References
    ----------
    Peto and Peto, J R Stat Soc A 1972;135:185-207 (scores); Phipson and Smyth, Stat Appl Genet Mol Biol
    2010;9:39 (p).
    """
    time, event = check_time_event(time, event)
    labels, levels = check_groups(group, len(time), at_least=2)
    blocks, _ = check_groups(strata, len(time), name="strata")
    if not event.any():
        raise NotEstimable(f"none of the {len(time)} patients has an event: the groups cannot be compared")
    codes = np.searchsorted(levels, labels)
    statistic, scores = _chi_square(time, event, codes, blocks), log_rank_scores(time, event, strata)
    used = 0
    if method == "asymptotic":
        p = float(chi2.sf(statistic, len(levels) - 1))
    elif method == "permutation":
        used = plan.defaults().survival.permutations if permutations is None else permutations
        p = _permutation_p(scores, codes, blocks, used, rng)
    elif method == "exact":
        p, used = _exact_p(scores, codes, stratified=strata is not None)
    else:
        raise ValueError(f"method must be 'asymptotic', 'permutation' or 'exact', found {method!r}")
    found = {"method": method, "chi2": statistic, "df": len(levels) - 1, "p": p, "n": len(time)}
    return pd.DataFrame([{**found, "events": int(event.sum()), "permutations": used}])


def stratified_log_rank(
    time,
    event,
    group,
    strata,
    *,
    method: str = "asymptotic",
    permutations: int | None = None,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Test that groups have the same survival within every stratum.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    group, strata : array-like
        One label a patient; groups are compared, and permuted, within a stratum.
    method : {"asymptotic", "permutation"}
        How p is found.
    permutations : int, optional
        Random allocations; the default plan's ``survival.permutations`` by default.
    rng : numpy.random.Generator, optional
        Needed for ``"permutation"``.

    Returns
    -------
    DataFrame
        One row, as `log_rank` gives it. A stratum with one group, or without an event, adds nothing.

    Raises
    ------
    NotEstimable
        As `log_rank`.
    ValueError
        As `log_rank`, and for missing strata.

    Examples
    --------
    >>> found = stratified_log_rank([1, 2, 3, 4], [1, 1, 1, 1], list("abab"), list("xxyy"))
    >>> found["chi2"].round(6).tolist()
    [2.0]
    """
    if strata is None:
        raise ValueError("a stratified test needs strata, one label a patient; without them use log_rank")
    options = {"strata": strata, "method": method, "permutations": permutations, "rng": rng}
    return log_rank(time, event, group, **options)


def log_rank_scores(time, event, strata=None) -> np.ndarray:
    """Compute log-rank scores, event - Nelson-Aalen(t); their sum over a group is observed - expected events.

    Parameters
    ----------
    time, event : array-like
        Follow-up and True for an event.
    strata : array-like, optional
        Scores are computed within a stratum.

    Returns
    -------
    ndarray
        One score a patient; they sum to 0 in each stratum.

    Examples
    --------
    >>> log_rank_scores([1, 2], [1, 1]).tolist()
    [0.5, -0.5]
    """
    time, event = check_time_event(time, event)
    blocks, levels = check_groups(strata, len(time), name="strata")
    scores = np.empty(len(time))
    for level in levels:
        inside = blocks == level
        scores[inside] = _scores(time[inside], event[inside])
    return scores


def _scores(time: np.ndarray, event: np.ndarray) -> np.ndarray:
    times, index = np.unique(time, return_inverse=True)
    died = np.bincount(index, weights=event, minlength=len(times))
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left")
    return event - np.cumsum(died / at_risk)[index]


def _chi_square(time, event, codes, blocks) -> float:
    """Compare observed with expected events by the generalised inverse of their hypergeometric variance."""
    groups = int(codes.max()) + 1
    excess, variance = np.zeros(groups), np.zeros((groups, groups))
    member = np.eye(groups)[codes]
    for level in np.unique(blocks):
        inside = blocks == level
        times = np.unique(time[inside & event])
        at_risk = (time[inside] >= times[:, None]).astype(float) @ member[inside]
        died = ((time[inside] == times[:, None]) & event[inside]).astype(float) @ member[inside]
        n, deaths = at_risk.sum(axis=1), died.sum(axis=1)
        share = at_risk / n[:, None]
        excess += np.sum(died - deaths[:, None] * share, axis=0)
        factor = deaths * (n - deaths) / np.maximum(n - 1, 1)
        variance += np.diag(factor @ share) - share.T @ (factor[:, None] * share)
    values, vectors = np.linalg.eigh(variance)
    known = values > _NO_VARIANCE * max(values[-1], 1.0)
    if 0 < known.sum() < groups - 1:
        raise NotEstimable(
            "some groups are never at risk together at an event: leave one out or merge it with another"
        )
    return float(np.sum((vectors[:, known].T @ excess) ** 2 / values[known]))


def _permutation_p(scores, codes, blocks, permutations: int, rng: np.random.Generator | None) -> float:
    rng = check_generator(rng)
    if permutations < 1:
        raise ValueError(f"a permutation test needs at least one permutation, not {permutations}")
    observed = _linear_statistic(scores[None, :], codes)[0]
    reached = 0
    for start in range(0, permutations, 1000):
        size = min(1000, permutations - start)
        shuffled = _shuffle_within(scores, blocks, size, rng)
        reached += int(np.sum(_linear_statistic(shuffled, codes) >= observed - _SLACK))
    return (1 + reached) / (1 + permutations)


def _linear_statistic(scores: np.ndarray, codes: np.ndarray) -> np.ndarray:
    indicator = np.eye(codes.max() + 1)[codes]
    return np.sum((scores @ indicator) ** 2 / indicator.sum(axis=0), axis=1)


def _shuffle_within(
    scores: np.ndarray, blocks: np.ndarray, size: int, rng: np.random.Generator
) -> np.ndarray:
    shuffled = np.tile(scores, (size, 1))
    for level in np.unique(blocks):
        inside = np.flatnonzero(blocks == level)
        shuffled[:, inside] = rng.permuted(shuffled[:, inside], axis=1)
    return shuffled


def _exact_p(scores: np.ndarray, codes: np.ndarray, *, stratified: bool) -> tuple[float, int]:
    """Enumerate every allocation: all subset sums of one half against the sorted sums of the other."""
    if stratified or codes.max() > 1 or len(scores) > _EXACT_MAX_N:
        raise ValueError(
            f"the exact log-rank takes two groups, no strata and at most {_EXACT_MAX_N} patients "
            f"({len(scores)} given); use method='permutation'"
        )
    members = int(codes.sum())
    observed = abs(scores[codes == 1].sum()) - _SLACK
    first, second = (_subset_sums(half) for half in np.array_split(scores, 2))
    reached = 0
    for chosen, sums in first.items():
        if members - chosen in second:
            other = second[members - chosen]
            high = len(other) - np.searchsorted(other, observed - sums, side="left")
            low = np.searchsorted(other, -observed - sums, side="right")
            # Where the observed statistic is 0 the two tails are everything: count an allocation once.
            reached += int(np.sum(np.minimum(high + low, len(other))))
    total = math.comb(len(scores), members)
    return reached / total, total


def _subset_sums(values: np.ndarray) -> dict[int, np.ndarray]:
    sums, sizes = np.zeros(1), np.zeros(1, dtype=int)
    for value in values:
        sums, sizes = np.concatenate([sums, sums + value]), np.concatenate([sizes, sizes + 1])
    return {size: np.sort(sums[sizes == size]) for size in range(len(values) + 1)}
