"""Intervals of a plain proportion: Clopper-Pearson and Wilson."""

from __future__ import annotations

import pandas as pd
from statsmodels.stats.proportion import proportion_confint

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
        If `successes` is not between 0 and `n`.

    References
    ----------
    Clopper and Pearson, Biometrika 1934;26:404-13. Wilson, JASA 1927;22:209-12.

    Examples
    --------
    >>> proportion(30, 45)[["lower", "upper"]].round(3).to_numpy().tolist()
    [[0.51, 0.8], [0.521, 0.786]]
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n; found {successes} of {n}")
    rows = []
    for name, method in _METHODS.items():
        lower, upper = proportion_confint(successes, n, alpha, method) if n else (0.0, 1.0)
        share = successes / n if n else float("nan")
        rows.append({"method": name, "estimate": share, "lower": float(lower), "upper": float(upper)})
    return pd.DataFrame(rows).assign(successes=int(successes), n=int(n))


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
    """
    cases = {
        "observed": (successes, n),
        "lowest": (successes, n + missing),
        "highest": (successes + missing, n + missing),
    }
    tables = [proportion(k, total, alpha=alpha).assign(case=case) for case, (k, total) in cases.items()]
    return pd.concat(tables, ignore_index=True)
