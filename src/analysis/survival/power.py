"""What a trial of this size can find: Schoenfeld's formula, printed beside the p-values."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from analysis.survival.outcome import check_alpha


def schoenfeld_power(events: int, share_exposed: float, hazard_ratio: float, *, alpha: float = 0.05) -> float:
    """Return the power of the log-rank test under proportional hazards.

    Parameters
    ----------
    events : int
        Events in both groups.
    share_exposed : float
        Share of the patients in one group, 0 to 1.
    hazard_ratio : float
        The effect to be found; its direction does not matter.
    alpha : float
        Two-sided level.

    Returns
    -------
    float
        Power, 0 to 1; missing if a group is empty.

    Raises
    ------
    ValueError
        For an alpha out of range.

    References
    ----------
    Schoenfeld, Biometrika 1981: events = (z_alpha/2 + z_power)^2 / (p (1 - p) ln(HR)^2).

    Examples
    --------
    >>> round(schoenfeld_power(43, 1 / 3, 2.5), 2)
    0.81
    """
    alpha = check_alpha(alpha)
    if not 0 < share_exposed < 1:
        return float("nan")
    drift = abs(np.log(hazard_ratio)) * np.sqrt(events * share_exposed * (1 - share_exposed))
    return float(norm.cdf(drift - norm.isf(alpha / 2)))
