"""Joint permutation test of a specification curve: many analyses of the same patients, tested as one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import check_alpha, check_index
from analysis.survival.permuted import permute_within
from analysis.survival.two_group import fit_two_groups

# Statistics that differ only by rounding are ties, as in the log-rank test by permutation.
_SLACK = 1e-9


@dataclass(frozen=True)
class CurveTest:
    """A specification curve against what it looks like without any effect.

    Attributes
    ----------
    tests : DataFrame
        One row a statistic: statistic (``median_abs_log_hr``, ``share_significant``, ``stouffer_z``,
        ``any_significant``, ``same_side``), observed, expected (mean over permutations), p. The last two are
        1 where it is so and 0 where not: expected is the share of permutations in which it is so.
    null : DataFrame
        One row a place in the curve: RANK (1 for the smallest estimate), LOWER, MEDIAN, UPPER (hazard ratio
        at this place over the permutations: quantiles alpha / 2, 0.5 and 1 - alpha / 2).
    """

    tests: pd.DataFrame
    null: pd.DataFrame


def joint_permutation_test(
    time,
    event,
    exposed,
    strata,
    permutations: int,
    rng: np.random.Generator,
    *,
    ties: str = "efron",
    alpha: float = 0.05,
) -> CurveTest:
    """Test that no specification of a curve has an effect, by permuting whole rows of exposure.

    A permutation gives the exposure of a patient in all specifications at once to another of the same
    stratum, so that what specifications share stays as it is: exposures among themselves, outcomes too.

    Parameters
    ----------
    time, event : array-like, shape (n, specifications)
        Outcome in each specification; without a time the patient's outcome is not in it (an event before the
        landmark, no endpoint), whoever's exposure falls to the patient.
    exposed : array-like, shape (n, specifications)
        1 or True for an exposed patient (a non-responder), 0 or False for another, nan without exposure.
    strata : array-like, shape (n,)
        One label a patient: exposures move between patients with the same label (set of days available).
    permutations : int
        How many.
    rng : numpy.random.Generator
        Source of randomness; the permutations are those of `permute_within`.
    ties : {"efron", "breslow"}
        Treatment of tied events.
    alpha : float
        A specification is significant where its p is below; one minus the level of the null curve.

    Returns
    -------
    CurveTest
        Statistics and null curve.

    Raises
    ------
    ValueError
        If shapes do not fit, there is no specification, or values are not as `fit_two_groups` takes them.

    Notes
    -----
    The estimate is of maximum likelihood; p and z of a specification are of the likelihood ratio, two-sided.
    Statistics: the median of abs(ln HR); the share of specifications with p < alpha, in either direction;
    Stouffer's Z, the sum of z by the root of their number, positive where the exposed do worse; whether the
    smallest p is below alpha; and whether all estimates lie on one side of a hazard ratio of 1 (an estimate
    of 1 lies on neither). All p are two-sided: (1 + b) / (1 + B), with b of B permutations having as large a
    statistic (of Z, an absolute value).

    Where a specification is not estimable (its groups are never at risk together at an event) its z is 0 and
    it is not significant, and the median, the side and the curve are of the others; in the curve these keep
    their place by share of the way from the smallest to the largest. An infinite estimate takes its place at
    the end: a median, and the mean of medians, can be infinite. Work grows with
    specifications times permutations.

    References
    ----------
    Simonsohn, Simmons and Nelson, Nat Hum Behav 2020;4:1208-14. Phipson and Smyth, Stat Appl Genet Mol Biol
    2010;9:39 (p).

    Examples
    --------
    With one exposed patient in a stratum of her own nothing can move, and every permutation is as observed.

    >>> time, event, exposed = [[1], [2], [3]], [[1], [1], [0]], [[0], [1], [0]]
    >>> test = joint_permutation_test(time, event, exposed, ["a", "b", "c"], 9, np.random.default_rng(1))
    >>> test.tests["p"].tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    time, event, exposed = _tables(time, event, exposed)
    if len(strata) != len(time):
        raise ValueError(f"strata must have one label for each of the {len(time)} patients: {len(strata)}")
    unmoved = np.arange(len(time))[None, :]
    moved = np.concatenate([unmoved, permute_within(strata, permutations, rng)])
    coef, z = np.empty((2, len(moved), time.shape[1]))
    for k in range(time.shape[1]):
        fits = fit_two_groups(time[:, k], event[:, k], exposed[moved, k], ties=ties)
        coef[:, k], z[:, k] = fits["coef"], fits["z"]
    statistics = _statistics(coef, z, check_alpha(alpha))
    return CurveTest(_compare(statistics), _null_curve(coef[1:], alpha))


def _tables(*given) -> list[np.ndarray]:
    check_index(**dict(zip(("time", "event", "exposed"), given, strict=True)))
    tables = [np.asarray(values, dtype=float) for values in given]
    shapes = [table.shape for table in tables]
    if tables[0].ndim != 2 or len(set(shapes)) > 1 or tables[0].shape[1] == 0:
        raise ValueError(
            "time, event and exposed must have one row a patient and one column a specification: "
            f"found {shapes}"
        )
    return tables


def _statistics(coef: np.ndarray, z: np.ndarray, alpha: float) -> dict[str, np.ndarray]:
    """Return each statistic of every row."""
    significant = np.abs(z) > norm.isf(alpha / 2)
    return {
        "median_abs_log_hr": _median(np.abs(coef)),
        "share_significant": significant.mean(axis=1),
        "stouffer_z": z.sum(axis=1) / np.sqrt(z.shape[1]),
        "any_significant": significant.any(axis=1).astype(float),
        "same_side": _on_one_side(coef).astype(float),
    }


def _on_one_side(coef: np.ndarray) -> np.ndarray:
    """Tell of each row whether all that is estimable lies on one side of 0; not of a row with nothing."""
    unknown = np.isnan(coef)
    above, below = ((unknown | (side > _SLACK)).all(axis=1) for side in (coef, -coef))
    return (above | below) & ~unknown.all(axis=1)


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median of each row without what is missing; 0 for a row with nothing."""
    ordered, count = np.sort(values, axis=1), (~np.isnan(values)).sum(axis=1)
    rows, last = np.arange(len(values)), np.maximum(count - 1, 0)
    middle = (ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2
    return np.where(count > 0, middle, 0.0)


def _compare(statistics: dict[str, np.ndarray]) -> pd.DataFrame:
    """Compare the first value of each statistic, the observed, with the others."""
    rows = []
    for name, values in statistics.items():
        observed, permuted = values[0], values[1:]
        reached = np.abs(permuted) >= np.abs(observed) - _SLACK
        p = (1 + int(reached.sum())) / (1 + len(permuted))
        rows.append({"statistic": name, "observed": observed, "expected": permuted.mean(), "p": p})
    return pd.DataFrame(rows)


def _at_places(ordered: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Spread the estimates of each row, those missing last, over all places: the k-th of all at place k."""
    size = ordered.shape[1]
    way = (2 * np.arange(size) + 1) * count[:, None]
    # Exactly between two estimates lies their mean, so that the other coding inverts the curve.
    below, above = (
        np.take_along_axis(ordered, np.maximum(at, 0), axis=1)
        for at in ((way - 1) // (2 * size), way // (2 * size))
    )
    with np.errstate(invalid="ignore"):
        return np.where(below == -above, 0.0, (below + above) / 2)


def _null_curve(coef: np.ndarray, alpha: float) -> pd.DataFrame:
    """Return quantiles of the hazard ratio at each place of the sorted curve."""
    size, count = coef.shape[1], (~np.isnan(coef)).sum(axis=1)
    ordered = _at_places(np.sort(coef, axis=1), count)[count > 0]
    shares = {"LOWER": alpha / 2, "MEDIAN": 0.5, "UPPER": 1 - alpha / 2}
    ranks = {"RANK": np.arange(1, size + 1)}
    if not len(ordered):
        return pd.DataFrame({**ranks, **dict.fromkeys(shares, np.nan)})
    # An estimate that occurs, not one between two: they can be infinite.
    found = np.quantile(ordered, list(shares.values()), axis=0, method="inverted_cdf")
    return pd.DataFrame({**ranks, **dict(zip(shares, np.exp(found), strict=True))})
