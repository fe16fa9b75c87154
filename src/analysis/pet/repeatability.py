"""How far the uptake of an unchanged lesion moves from one scan to the next by measurement alone."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis import plan as plans

_Z95 = 1.96  # QIBA's own rounding of the two-sided 95 % normal quantile


def limits(cv_percent: float) -> tuple[float, float]:
    """Return the change of one lesion, percent, beyond which 95 of 100 unchanged lesions do not go.

    Parameters
    ----------
    cv_percent : float
        Within-subject coefficient of variation of one measurement, percent.

    Returns
    -------
    tuple of float
        Largest fall (negative) and largest rise, percent: ``exp(-+ 1.96 sqrt(2) s) - 1`` with the
        log-normal standard deviation ``s = sqrt(ln(1 + cv^2))``.

    Raises
    ------
    ValueError
        REPEATABILITY_CV if `cv_percent` is negative or not a number.

    References
    ----------
    QIBA Profile FDG-PET/CT v1.14: -28 to +39 % at 12 % (pet.md section 3).

    Examples
    --------
    >>> [round(limit, 1) for limit in limits(12)]
    [-28.2, 39.3]
    """
    if not (math.isfinite(cv_percent) and cv_percent >= 0):
        raise ValueError(
            f"REPEATABILITY_CV: a percentage of at least 0 expected, found {cv_percent!r}; "
            "set response.repeatability_cv_percent"
        )
    reach = _Z95 * math.sqrt(2 * math.log1p((cv_percent / 100) ** 2))
    return 100 * math.expm1(-reach), 100 * math.expm1(reach)


def limits_of(metric: str, rules: plans.Section) -> tuple[float, float] | None:
    """Return the limits of a metric whose repeatability the plan knows, else None.

    Parameters
    ----------
    metric : str
        What changed.
    rules : Section
        Plan section ``response`` (`repeatability_*`).

    Returns
    -------
    tuple of float or None
        As `limits`.
    """
    return limits(rules.repeatability_cv_percent) if metric in rules.repeatability_metrics else None


def judge_change(change: pd.Series, metric: str, rules: plans.Section) -> pd.Series:
    """Tell whether a lesion's change lies within the limits of repeatability; the limits are within.

    Parameters
    ----------
    change : Series of float
        Change, percent of baseline.
    metric : str
        What changed; a metric outside the plan's `repeatability_metrics` has no limits.
    rules : Section
        Plan section ``response`` (`repeatability_*`, `comparison_tolerance`).

    Returns
    -------
    Series of str
        WITHIN, FALL or RISE; None where the change or its limits are unknown.
    """
    if (band := limits_of(metric, rules)) is None:
        return pd.Series([None] * len(change), index=change.index, dtype=object)
    low, high = band
    eps = rules.comparison_tolerance
    held = [change.isna(), change < low - eps, change > high + eps]
    return pd.Series(np.select(held, [None, "FALL", "RISE"], "WITHIN"), index=change.index, dtype=object)
