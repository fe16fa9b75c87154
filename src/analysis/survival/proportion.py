"""Intervals of a plain proportion: Clopper-Pearson and Wilson."""

from __future__ import annotations

from numbers import Real

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from analysis.survival.outcome import check_alpha

_METHODS = {"clopper_pearson": "beta", "wilson": "wilson"}


def proportion(successes: int, n: int, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate a proportion with its Clopper-Pearson and its Wilson interval.

    Parameters
    ----------
    successes : int
        Patients in the named class.
    n : int
        Patients in all; 0 gives a missing estimate with limits 0 and 1.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        Two rows: method, estimate, lower, upper, successes, n (shares between 0 and 1).

    Raises
    ------
    ValueError
        If `successes` is not between 0 and `n`, one of the two is no whole number, or alpha is out of range.

    References
    ----------
    Clopper and Pearson, Biometrika 1934;26:404-13. Wilson, JASA 1927;22:209-12.

    Examples
    --------
    >>> proportion(30, 45)[["lower", "upper"]].round(3).to_numpy().tolist()
    [[0.51, 0.8], [0.521, 0.786]]
    """
    alpha, successes, n = check_alpha(alpha), _count(successes, "successes"), _count(n, "n")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n; found {successes} of {n}")
    rows = []
    for name, method in _METHODS.items():
        lower, upper = proportion_confint(successes, n, alpha, method) if n else (0.0, 1.0)
        share = successes / n if n else float("nan")
        rows.append({"method": name, "estimate": share, "lower": float(lower), "upper": float(upper)})
    return pd.DataFrame(rows).assign(successes=successes, n=n)


def proportion_bounds(successes: int, n: int, missing: int, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate a proportion as observed, and with every missing patient out of or in the class.

    Parameters
    ----------
    successes, n : int
        As in `proportion`, among the patients whose class is known.
    missing : int
        Patients whose class is not known.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        As `proportion`, with ``case``: observed, lowest (no missing patient is in the class), highest (all
        are).

    Raises
    ------
    ValueError
        As in `proportion`; also for fewer than no missing patients.
    """
    missing = _count(missing, "missing")
    if missing < 0:
        raise ValueError(f"missing must be at least 0, found {missing}")
    cases = {
        "observed": (successes, n),
        "lowest": (successes, n + missing),
        "highest": (successes + missing, n + missing),
    }
    tables = [proportion(k, total, alpha=alpha).assign(case=case) for case, (k, total) in cases.items()]
    return pd.concat(tables, ignore_index=True)


def _count(value, name: str) -> int:
    if not isinstance(value, Real) or value != value or value in (float("inf"), -float("inf")):
        raise ValueError(f"{name} must be a number of patients, found {value!r}")
    if value != int(value):
        raise ValueError(f"{name} must be a whole number of patients, found {value!r}")
    return int(value)
