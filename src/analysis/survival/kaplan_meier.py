"""Kaplan-Meier curves, medians and follow-up by R's conventions (survival::survfit)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from analysis.survival.checks import check_times
from analysis.survival.outcome import check_alpha, check_groups, check_time_event, equal_times

INTERVALS = ("log-log", "log", "plain", "logit", "arcsin")
# R's quantile.survfit compares S with 0.5 within this distance: a product of fractions is rarely exactly 0.5.
_TOLERANCE = np.sqrt(np.finfo(float).eps)


def kaplan_meier(
    time, event, group=None, *, ci: str = "log-log", alpha: float = 0.05, entry=None
) -> pd.DataFrame:
    """Estimate S(t) by the product-limit method, by group.

    Parameters
    ----------
    time, event : array-like
        Follow-up (any unit) and True for an event. An event precedes a censoring at the same time.
    group : array-like, optional
        One label a patient; None for one curve, labelled ``"all"``.
    ci : {"log-log", "log", "plain", "logit", "arcsin"}
        Transformation on which the pointwise interval is symmetric (Greenwood variance).
    alpha : float
        One minus the confidence level.
    entry : array-like, optional
        Delayed entry: a row is at risk in (entry, time]. S(t) is then given being event-free at the smallest
        entry. Where few are at risk early, an event can take the curve to 0 for good: `simon_makuch` starts
        curves later.

    Returns
    -------
    DataFrame
        One row a group and distinct time, censoring times included, time 0 not: group, time, n_risk
        (patients with entry < t <= T), n_event, n_censor, survival, se, lower, upper. Limits are cut at 0
        and 1. An interval is missing where R gives none: at S = 0, and at S = 1 for all but ``"plain"`` and
        ``"log"``, whose interval there has no width.

    Raises
    ------
    NotEstimable
        If there is no patient.
    ValueError
        For malformed input, an unknown `ci` or alpha, or an entry that is missing or not before its time.

    References
    ----------
    Klein and Moeschberger, Survival Analysis, 2nd ed., sections 4.2-4.3 and 4.6.

    Examples
    --------
    >>> kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1])["survival"].tolist()
    [0.75, 0.5, 0.25, 0.0]
    """
    time, event = check_time_event(time, event)
    labels, levels = check_groups(group, len(time))
    if ci not in INTERVALS:
        raise ValueError(f"ci must be one of {', '.join(INTERVALS)}; found {ci!r}")
    alpha, (entry, time) = check_alpha(alpha), _check_entry(entry, time)
    curves = [
        _curve(time[labels == level], event[labels == level], entry[labels == level], level)
        for level in levels
    ]
    table = pd.concat(curves, ignore_index=True)
    survival, se_log = table["survival"].to_numpy(), np.sqrt(table.pop("_variance").to_numpy())
    with np.errstate(invalid="ignore"):
        table["se"] = np.where(survival > 0, survival * se_log, np.nan)
    table["lower"], table["upper"] = _interval(survival, se_log, ci, alpha)
    return table


def median_survival(time, event, group=None, *, ci: str = "log-log", alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the median survival time with its Brookmeyer-Crowley interval, by group.

    The limits are where the pointwise limits of S(t) cross one half. Where S is exactly 0.5 over a stretch
    of time, the median is the middle of that stretch, as in R; the first time with S <= 0.5 is another
    convention.

    Parameters
    ----------
    time, event, group, ci, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        One row a group: group, n, events, median, lower, upper; missing where the curve does not get there.

    Raises
    ------
    NotEstimable, ValueError
        As in `kaplan_meier`.

    Notes
    -----
    A product of fractions is rarely exactly one half: S and the limits are compared with it within 1.5e-8,
    as R does. One exception of R is not followed: where a curve ends on a stretch at 0.5 and lies above it
    by rounding, R gives no median (24 patients, the first 12 have events: S ends at 0.5 + 1.1e-16).

    References
    ----------
    Brookmeyer and Crowley, Biometrics 1982;38:29-41.

    Examples
    --------
    >>> float(median_survival([1, 2, 3, 4], [1, 1, 1, 1])["median"].iloc[0])
    2.5
    """
    table = kaplan_meier(time, event, group, ci=ci, alpha=alpha)
    rows = []
    for label, curve in table.groupby("group", sort=True):
        crossing = {name: _crossing(curve["time"], curve[name]) for name in ("survival", "lower", "upper")}
        rows.append(
            {
                "group": label,
                "n": int(curve["n_risk"].iloc[0]),
                "events": int(curve["n_event"].sum()),
                "median": crossing["survival"],
                "lower": crossing["lower"],
                "upper": crossing["upper"],
            }
        )
    return pd.DataFrame(rows)


def median_follow_up(time, event, group=None, *, ci: str = "log-log", alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the median follow-up by reverse Kaplan-Meier: being censored is the event.

    Parameters
    ----------
    time, event, group, ci, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        As `median_survival`; ``events`` counts the censored patients.

    References
    ----------
    Schemper and Smith, Control Clin Trials 1996;17:343-6.
    """
    time, event = check_time_event(time, event)
    return median_survival(time, ~event, group, ci=ci, alpha=alpha)


def survival_at(time, event, times, group=None, *, ci: str = "log-log", alpha: float = 0.05) -> pd.DataFrame:
    """Read S(t) with its interval at given times, by group.

    Parameters
    ----------
    time, event
        As in `kaplan_meier`.
    times : float or sequence of float
        Times to read the curve at, in the unit of `time`.
    group, ci, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        One row a group and time: group, time, n_risk (T >= t), survival, lower, upper. S is missing beyond a
        group's last follow-up unless it has reached 0: the curve is not carried forward.

    Raises
    ------
    NotEstimable, ValueError
        As in `kaplan_meier`; also for times that are missing, infinite or negative.
    """
    times = check_times(times)
    table = kaplan_meier(time, event, group, ci=ci, alpha=alpha)
    rows = []
    for label, curve in table.groupby("group", sort=True):
        rows += [{"group": label, "time": float(t), **_read(curve, float(t))} for t in times]
    return pd.DataFrame(rows)


def numbers_at_risk(time, event, times, group=None) -> pd.DataFrame:
    """Count patients at risk (T >= t) and events so far (T <= t) at given times, by group.

    Parameters
    ----------
    time, event
        As in `kaplan_meier`.
    times : float or sequence of float
        Times of the table under a curve.
    group : array of labels, optional
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        One row a group and time: group, time, n_risk, n_event.

    Raises
    ------
    NotEstimable, ValueError
        As in `survival_at`.
    """
    times = check_times(times)
    time, event = check_time_event(time, event)
    labels, levels = check_groups(group, len(time))
    rows = []
    for level in levels:
        inside = labels == level
        for t in times:
            at_risk = int(np.sum(inside & (time >= t)))
            so_far = int(np.sum(inside & event & (time <= t)))
            rows.append({"group": level, "time": float(t), "n_risk": at_risk, "n_event": so_far})
    return pd.DataFrame(rows)


def _check_entry(entry, time: np.ndarray) -> tuple[np.ndarray, ...]:
    if entry is None:
        return np.full(len(time), -np.inf), time
    entry = np.asarray(entry, dtype=float)
    if entry.shape != time.shape:
        raise ValueError(f"entry must have one value for each of the {len(time)} rows, found {entry.shape}")
    entry, time = equal_times(entry, time) if np.isfinite(entry).all() else (entry, time)
    if not np.all(entry < time):
        raise ValueError(f"{int(np.sum(~(entry < time)))} entries are missing or not before their time")
    return entry, time


def _curve(time: np.ndarray, event: np.ndarray, entry: np.ndarray, label) -> pd.DataFrame:
    times, index = np.unique(time, return_inverse=True)
    died = np.bincount(index, weights=event, minlength=len(times))
    left = np.bincount(index, weights=~event, minlength=len(times))
    entered = np.searchsorted(np.sort(entry), times, side="left")
    at_risk = entered - np.searchsorted(np.sort(time), times, side="left")
    with np.errstate(divide="ignore"):
        variance = np.cumsum(np.where(died > 0, died / (at_risk * (at_risk - died)), 0.0))
    return pd.DataFrame(
        {
            "group": label,
            "time": times,
            "n_risk": at_risk,
            "n_event": died.astype(int),
            "n_censor": left.astype(int),
            "survival": np.cumprod(1 - died / at_risk),
            "_variance": variance,
        }
    )


def _interval(survival: np.ndarray, se: np.ndarray, ci: str, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return limits; `se` is that of ln S. What is 0/0 or 0 x infinity at S = 0 or 1 is missing, as in R."""
    half = norm.ppf(1 - alpha / 2) * se
    inside = np.where(survival > 0, survival, np.nan)
    odds = inside / (1 - np.where(survival < 1, inside, np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        if ci == "plain":
            lower, upper = inside * (1 - half), inside * (1 + half)
        elif ci == "log":
            lower, upper = inside * np.exp(-half), inside * np.exp(half)
        elif ci == "log-log":
            log = np.log(np.where(survival < 1, inside, np.nan))
            lower, upper = np.exp(log * np.exp(-half / log)), np.exp(log * np.exp(half / log))
        elif ci == "logit":
            lower, upper = (expit(np.log(odds) + side * half * (1 + odds)) for side in (-1, 1))
        else:
            angle, width = np.arcsin(np.sqrt(inside)), half * np.sqrt(odds) / 2
            lower, upper = (np.sin(np.clip(angle + side * width, 0, np.pi / 2)) ** 2 for side in (-1, 1))
    return np.clip(lower, 0, 1), np.clip(upper, 0, 1)


def _crossing(times: pd.Series, curve: pd.Series) -> float:
    """Find when a curve passes one half; the middle of the stretch where it equals one half.

    As R's quantile.survfit, which looks at heights in order, not at times: a limit that rises again late (it
    can, where few are left) is passed at the smallest fall that reaches one half.
    """
    known = curve.notna().to_numpy()
    fallen, first = np.unique(1 - curve.to_numpy()[known], return_index=True)
    t = times.to_numpy()[known][first]
    reached = np.flatnonzero(fallen >= 0.5 - _TOLERANCE)
    if reached.size == 0:
        return float("nan")
    passed = np.flatnonzero(fallen > 0.5 + _TOLERANCE)
    end = t[passed[0]] if passed.size else times.iloc[-1]
    return float((t[reached[0]] + end) / 2)


def _read(curve: pd.DataFrame, t: float) -> dict[str, float]:
    at_risk = int(curve["n_risk"].iloc[0] - (curve["n_event"] + curve["n_censor"])[curve["time"] < t].sum())
    past = curve[curve["time"] <= t]
    beyond = t > curve["time"].iloc[-1] and curve["survival"].iloc[-1] > 0
    if past.empty:
        return {"n_risk": at_risk, "survival": 1.0, "lower": np.nan, "upper": np.nan}
    if beyond:
        return {"n_risk": at_risk, "survival": np.nan, "lower": np.nan, "upper": np.nan}
    last = past.iloc[-1]
    return {"n_risk": at_risk, "survival": last["survival"], "lower": last["lower"], "upper": last["upper"]}
