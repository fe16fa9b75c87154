"""Restricted mean survival time in two groups and its difference (survRM2's numbers)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import NotEstimable, check_alpha, check_groups, check_time_event


def rmst(time, event, group, *, tau: float, reference=None, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate restricted mean survival time to `tau` in two groups, and its difference.

    Parameters
    ----------
    time, event : array-like
        Follow-up (any unit) and True for an event.
    group : array-like
        One label a patient; exactly two groups.
    tau : float
        Restriction time, in the unit of `time`, fixed in advance.
    reference : label, optional
        The group that is subtracted; the first label in order by default.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        Three rows, reference, other and their difference: term, estimate, se, lower, upper, p (difference
        only), tau, n, events. The standard error is that of the area (Greenwood), not of the times;
        where it is 0 (nobody of a group has an event by `tau`) the limits are missing.

    Raises
    ------
    NotEstimable
        If `tau` lies beyond a group's follow-up while its curve is still above 0, or a group is empty.
    ValueError
        For more than two groups, an unknown `reference`, a `tau` that is not a positive number, or an alpha
        out of range.

    References
    ----------
    Uno et al., J Clin Oncol 2014;32:2380-5.
    """
    from surpyval import KaplanMeier, rmst_diff

    time, event = check_time_event(time, event)
    alpha = check_alpha(alpha)
    if not (np.isfinite(tau) and tau > 0):
        raise ValueError(f"tau must be positive and finite, found {tau!r}")
    labels, levels = check_groups(group, len(time), at_least=2)
    if len(levels) != 2:
        raise ValueError(f"rmst compares two groups, found {levels.tolist()}")
    reference = levels[0] if reference is None else reference
    if reference not in levels:
        raise ValueError(f"reference {reference!r} is no group; the groups are {levels.tolist()}")
    other = levels[0] if levels[1] == reference else levels[1]
    fits, rows = {}, []
    for level in (reference, other):
        inside = labels == level
        _check_tau(time[inside], event[inside], tau, level)
        fits[level] = KaplanMeier.fit(time[inside], c=(~event[inside]).astype(int))
        rows.append(
            _rmst_row(str(level), fits[level].rmst(tau=tau, alpha_ci=alpha), np.nan, inside, event, tau)
        )
    contrast = rmst_diff(fits[other], fits[reference], tau=tau, alpha_ci=alpha)
    contrast["rmst"] = contrast["difference"]
    everyone = np.ones(len(time), dtype=bool)
    p_value = 2 * norm.sf(abs(contrast["rmst"]) / contrast["se"]) if contrast["se"] > 0 else np.nan
    rows.append(_rmst_row(f"{other} - {reference}", contrast, p_value, everyone, event, tau))
    return pd.DataFrame(rows)


def _check_tau(time: np.ndarray, event: np.ndarray, tau: float, label) -> None:
    last = time.max()
    reaches_zero = event[time == last].all()
    if tau > last and not reaches_zero:
        raise NotEstimable(
            f"tau {tau:g} lies beyond the last follow-up {last:g} of group {label!r}: choose a smaller tau"
        )


def _rmst_row(term: str, found: dict, p: float, inside: np.ndarray, event: np.ndarray, tau: float) -> dict:
    wide = found["se"] > 0
    return {
        "term": term,
        "estimate": found["rmst"],
        "se": found["se"],
        "lower": found["lower"] if wide else np.nan,
        "upper": found["upper"] if wide else np.nan,
        "p": p,
        "tau": float(tau),
        "n": int(inside.sum()),
        "events": int((event & inside).sum()),
    }
