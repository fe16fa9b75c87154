"""Agreement of two classifications or two measurements of the same patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binom, f, norm, t

from analysis.survival.checks import check_flags, check_labels
from analysis.survival.outcome import NotEstimable, check_alpha

# A standard error below this is none at all: the square root of what rounding leaves of a variance of 0.
_NO_ERROR = 1e-7


def kappa(first, second, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate Cohen's kappa of two classifications.

    Low where one class dominates, even with near-perfect agreement; read it beside `gwet_ac1`.

    Parameters
    ----------
    first, second : array-like
        Classes of the same patients, none missing.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row: method, estimate, lower, upper (asymptotic), agreement (observed share), n. Missing where
        both classifications put everybody in one and the same class; the limits alone are missing where the
        standard error is 0, as with full agreement.

    Raises
    ------
    ValueError
        For classifications of different patients, a missing class, or an alpha out of range.

    References
    ----------
    Cohen 1960; standard error of Fleiss, Cohen and Everitt 1969.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    alpha = check_alpha(alpha)
    shares, n = _shares(first, second)
    if np.isclose(np.sum(shares.sum(axis=0) * shares.sum(axis=1)), 1):
        return _row("kappa", np.nan, np.nan, np.nan, shares, n)
    # statsmodels divides by the standard error under no agreement, which is 0 where one side has one class.
    with np.errstate(invalid="ignore", divide="ignore"):
        found = cohens_kappa(shares * n)
    half = norm.ppf(1 - alpha / 2) * found.std_kappa
    return _row("kappa", float(found.kappa), *_limits(found.kappa, half), shares, n)


def gwet_ac1(first, second, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate Gwet's AC1 of two classifications.

    Parameters
    ----------
    first, second : array-like
        Classes of the same patients, none missing.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row as in `kappa`; the interval uses the linearised variance and t with n - 1 degrees of freedom.
        The limits are missing where the standard error is 0, as with full agreement, and for one patient.

    Raises
    ------
    ValueError
        As `kappa`.

    References
    ----------
    Gwet, Br J Math Stat Psychol 2008;61:29-48.
    """
    alpha = check_alpha(alpha)
    shares, n = _shares(first, second)
    classes = len(shares)
    if classes == 1:
        return _row("gwet_ac1", 1.0, np.nan, np.nan, shares, n)
    mean_share = (shares.sum(axis=0) + shares.sum(axis=1)) / 2
    chance = float(np.sum(mean_share * (1 - mean_share)) / (classes - 1))
    estimate = float((np.trace(shares) - chance) / (1 - chance))
    # A patient in cell (k, l) contributes agreement 1(k = l) and the chance term of its two classes.
    one = (1 - mean_share) / (classes - 1)
    own_chance = (one[:, None] + one[None, :]) / 2
    value = (np.eye(classes) - chance) / (1 - chance) - 2 * (1 - estimate) * (own_chance - chance) / (
        1 - chance
    )
    if n < 2:
        return _row("gwet_ac1", estimate, np.nan, np.nan, shares, n)
    se = np.sqrt(np.sum(shares * (value - estimate) ** 2) / (n - 1))
    half = float(t.ppf(1 - alpha / 2, n - 1) * se)
    return _row("gwet_ac1", estimate, *_limits(estimate, half), shares, n)


def mcnemar(first, second) -> pd.DataFrame:
    """Test whether two paired classifications call a class equally often (McNemar, exact and mid-p).

    Parameters
    ----------
    first, second : array-like of bool
        Whether the same patients are in the named class: True or 1, False or 0, none missing.

    Returns
    -------
    DataFrame
        One row: n, only_first, only_second, p_exact, p_mid (two-sided).

    Raises
    ------
    ValueError
        For classifications of different patients, or a value that is not yes or no: labels are compared with
        the class that is meant first.

    References
    ----------
    Fagerland, Lydersen and Laake, BMC Med Res Methodol 2013;13:91.

    Examples
    --------
    >>> float(mcnemar([1, 1, 1, 0], [0, 0, 0, 0])["p_exact"].iloc[0])
    0.25
    """
    first, second = check_flags(first, "first"), check_flags(second, "second")
    if first.shape != second.shape:
        raise ValueError(
            f"both classifications must cover the same patients: {first.shape} and {second.shape}"
        )
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    smaller, discordant = min(only_first, only_second), only_first + only_second
    tail, point = binom.cdf(smaller, discordant, 0.5), binom.pmf(smaller, discordant, 0.5)
    exact = min(1.0, 2 * tail)
    middle = 1.0 if discordant == 0 else float(min(1.0, 2 * tail - point))
    row = {"n": len(first), "only_first": only_first, "only_second": only_second}
    return pd.DataFrame([{**row, "p_exact": float(exact), "p_mid": middle}])


def bland_altman(first, second, *, alpha: float = 0.05) -> pd.DataFrame:
    """Compute bias and limits of agreement of two measurements, second minus first.

    Parameters
    ----------
    first, second : array-like
        Measurements of the same patients in the same unit, for example ln SUV ratios at two days.
    alpha : float
        One minus the coverage of the limits and of the interval of the bias.

    Returns
    -------
    DataFrame
        One row: bias, bias_lower, bias_upper, sd, lower, upper (limits of agreement), n. Where sd
        is 0 the interval of the bias is missing; without a patient all is, and for one all but the bias.

    Raises
    ------
    ValueError
        For measurements that are not one-dimensional, as long and finite, or an alpha out of range.

    References
    ----------
    Bland and Altman, Lancet 1986;327:307-10.
    """
    alpha = check_alpha(alpha)
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"both measurements must cover the same patients: {first.shape} and {second.shape}")
    lacking = int(np.sum(~(np.isfinite(first) & np.isfinite(second))))
    if lacking:
        raise ValueError(f"{lacking} patients lack a finite measurement; leave them out by name first")
    difference = second - first
    n = len(difference)
    bias = float(difference.mean()) if n else float("nan")
    sd = float(difference.std(ddof=1)) if n > 1 else float("nan")
    half = float(t.ppf(1 - alpha / 2, n - 1) * sd / np.sqrt(n)) if n > 1 else float("nan")
    half = half if sd > 0 else float("nan")
    reach = norm.ppf(1 - alpha / 2) * sd
    row = {"bias": bias, "bias_lower": bias - half, "bias_upper": bias + half, "sd": sd}
    return pd.DataFrame([{**row, "lower": bias - reach, "upper": bias + reach, "n": n}])


def icc(ratings, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the intraclass correlation of single measurements by several readers.

    Parameters
    ----------
    ratings : array-like, shape (n, k)
        One row a subject (or lesion), one column a reader; same unit, none missing.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row a model: method ``icc_one_way`` (readers differ from subject to subject, ICC(1,1)),
        ``icc_agreement`` (the same readers, drawn from many; a reader who always reads higher disagrees,
        ICC(2,1) or ICC(A,1)) and ``icc_consistency`` (these readers only, a constant shift is forgiven,
        ICC(3,1) or ICC(C,1)); estimate, lower, upper, p (that it is 0, one-sided), n, readers. Numbers are
        missing where all measurements are equal, the limits also where the noise an ICC is measured by is 0
        (readers who never differ).

    Raises
    ------
    NotEstimable
        With fewer than two subjects or readers.
    ValueError
        For a table that is not two-dimensional or lacks a measurement, or an alpha out of range.

    References
    ----------
    Shrout and Fleiss, Psychol Bull 1979;86:420-8. McGraw and Wong, Psychol Methods 1996;1:30-46.
    """
    alpha = check_alpha(alpha)
    ratings = np.asarray(ratings, dtype=float)
    if ratings.ndim != 2 or not np.isfinite(ratings).all():
        raise ValueError(
            f"one finite measurement a subject and reader is needed, found shape {ratings.shape}; "
            "leave out by name whom not every reader measured"
        )
    n, k = ratings.shape
    if min(n, k) < 2:
        raise NotEstimable(f"{n} subjects and {k} readers: two of each are needed for an ICC")
    middle = ratings.mean()
    between = k * np.sum((ratings.mean(axis=1) - middle) ** 2) / (n - 1)
    readers = n * np.sum((ratings.mean(axis=0) - middle) ** 2) / (k - 1)
    whole = np.sum((ratings - middle) ** 2)
    error = max(whole - between * (n - 1) - readers * (k - 1), 0.0) / ((n - 1) * (k - 1))
    within = (readers * (k - 1) + error * (n - 1) * (k - 1)) / (n * (k - 1))
    # Rounding leaves a trace of error where there is none.
    error, within, between = (0.0 if m <= 1e-14 * whole else m for m in (error, within, between))
    rows = [
        ("icc_one_way", *_ratio_icc(between, within, n, k, n * (k - 1), alpha)),
        ("icc_agreement", *_agreement_icc(between, readers, error, n, k, alpha)),
        ("icc_consistency", *_ratio_icc(between, error, n, k, (n - 1) * (k - 1), alpha)),
    ]
    table = pd.DataFrame(rows, columns=["method", "estimate", "lower", "upper", "p"])
    return table.assign(n=n, readers=k)


def _ratio_icc(between: float, noise: float, n: int, k: int, df: int, alpha: float) -> tuple[float, ...]:
    """Return the ICC that is a function of one F ratio, its exact limits and p."""
    if noise == 0:
        return (1.0, np.nan, np.nan, 0.0) if between > 0 else (np.nan,) * 4
    ratio = between / noise
    low = ratio / f.ppf(1 - alpha / 2, n - 1, df)
    high = ratio * f.ppf(1 - alpha / 2, df, n - 1)
    estimate, lower, upper = ((value - 1) / (value + k - 1) for value in (ratio, low, high))
    return estimate, lower, upper, float(f.sf(ratio, n - 1, df))


def _agreement_icc(
    between: float, readers: float, error: float, n: int, k: int, alpha: float
) -> tuple[float, ...]:
    """Return ICC(A,1) with McGraw and Wong's limits (degrees of freedom by Satterthwaite)."""
    if between == 0 and readers == 0 and error == 0:
        return (np.nan,) * 4
    estimate = (between - error) / (between + (k - 1) * error + k * (readers - error) / n)
    if error == 0:
        # The limits divide by the error: without it only the estimate is known.
        return estimate, np.nan, np.nan, 0.0
    shift, rest = k * estimate * readers / error, n * (1 + (k - 1) * estimate) - k * estimate
    df = (k - 1) * (n - 1) * (shift + rest) ** 2 / ((n - 1) * shift**2 + rest**2)
    low, high = f.ppf(1 - alpha / 2, n - 1, df), f.ppf(1 - alpha / 2, df, n - 1)
    noise = k * readers + (k * n - k - n) * error
    lower = n * (between - low * error) / (low * noise + n * between)
    upper = n * (high * between - error) / (noise + n * high * between)
    p = float(f.sf(between / error, n - 1, (n - 1) * (k - 1)))
    return estimate, lower, upper, p


def _shares(first, second) -> tuple[np.ndarray, int]:
    first, second = check_labels(first, "class"), check_labels(second, "class")
    if first.shape != second.shape or first.size == 0:
        raise ValueError(f"both classifications must cover the same patients: {first.shape}, {second.shape}")
    # Together: text on one side and numbers on the other are two codings, not classes that differ.
    both = check_labels([*first.tolist(), *second.tolist()], "class")
    classes, codes = np.unique(both, return_inverse=True)
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (codes[: len(first)], codes[len(first) :]), 1)
    return table / len(first), len(first)


def _limits(estimate: float, half: float) -> tuple[float, float]:
    """Return the limits within -1 and 1; none where the interval would have no width."""
    if not half > _NO_ERROR:
        return np.nan, np.nan
    return max(float(estimate - half), -1.0), min(float(estimate + half), 1.0)


def _row(
    method: str, estimate: float, lower: float, upper: float, shares: np.ndarray, n: int
) -> pd.DataFrame:
    row = {"method": method, "estimate": estimate, "lower": lower, "upper": upper}
    return pd.DataFrame([{**row, "agreement": float(np.trace(shares)), "n": n}])
