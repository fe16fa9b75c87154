"""Kaplan-Meier curves, medians and restricted means by R's conventions (survival::survfit, survRM2)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.survival.outcome import NotEstimable, check_groups, check_time_event

# R's quantile.survfit compares S with 0.5 within this distance: a product of fractions is rarely exactly 0.5.
_TOLERANCE = np.sqrt(np.finfo(float).eps)


def kaplan_meier(time, event, group=None, *, ci: str = "log-log", alpha: float = 0.05) -> pd.DataFrame:
    """Estimate S(t) by the product-limit method, by group.

    Parameters
    ----------
    time, event : array-like
        Follow-up (any unit) and True for an event. An event precedes a censoring at the same time.
    group : array-like, optional
        One label a patient; None for one curve, labelled ``"all"``.
    ci : {"log-log", "log", "plain"}
        Transformation on which the pointwise interval is symmetric (Greenwood variance).
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        One row a group and distinct time, censoring times included, time 0 not: group, time, n_risk
        (patients with T >= t), n_event, n_censor, survival, se, lower, upper. An interval is missing where
        R gives none: at S = 0, and at S = 1 for ``"log-log"``.

    Examples
    --------
    >>> kaplan_meier([1, 2, 3, 4], [1, 1, 1, 1])["survival"].tolist()
    [0.75, 0.5, 0.25, 0.0]
    """
    time, event = check_time_event(time, event)
    labels, levels = check_groups(group, len(time))
    curves = [_curve(time[labels == level], event[labels == level], level) for level in levels]
    table = pd.concat(curves, ignore_index=True)
    greenwood = table.pop("_variance").to_numpy()
    survival = table["survival"].to_numpy()
    with np.errstate(invalid="ignore"):
        table["se"] = np.where(survival > 0, survival * np.sqrt(greenwood), np.nan)
    table["lower"], table["upper"] = _interval(survival, np.sqrt(greenwood), ci, alpha)
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


def median_follow_up(time, event, group=None, *, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate the median follow-up by reverse Kaplan-Meier: being censored is the event.

    Parameters
    ----------
    time, event, group, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        As `median_survival`; ``events`` counts the censored patients.
    """
    time, event = check_time_event(time, event)
    return median_survival(time, ~event, group, alpha=alpha)


def survival_at(time, event, times, group=None, *, ci: str = "log-log", alpha: float = 0.05) -> pd.DataFrame:
    """Read S(t) with its interval at given times, by group.

    Parameters
    ----------
    time, event
        As in `kaplan_meier`.
    times : sequence of float
        Times to read the curve at, in the unit of `time`.
    group, ci, alpha
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        One row a group and time: group, time, n_risk (T >= t), survival, lower, upper. S is missing beyond a
        group's last follow-up unless it has reached 0: the curve is not carried forward.
    """
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
    times : sequence of float
        Times of the table under a curve.
    group : array of labels, optional
        As in `kaplan_meier`.

    Returns
    -------
    DataFrame
        One row a group and time: group, time, n_risk, n_event.
    """
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


def rmst(time, event, group, *, tau: float, reference=None, alpha: float = 0.05) -> pd.DataFrame:
    """Estimate restricted mean survival time to `tau` in two groups, and its difference.

    Parameters
    ----------
    time, event, group
        As in `kaplan_meier`; exactly two groups.
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
        only), tau, n, events. The standard error is that of the area (Greenwood), not of the times.

    Raises
    ------
    NotEstimable
        If `tau` lies beyond a group's follow-up while its curve is still above 0.

    References
    ----------
    Uno et al., J Clin Oncol 2014;32:2380-5.
    """
    from surpyval import KaplanMeier, rmst_diff

    time, event = check_time_event(time, event)
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


def _curve(time: np.ndarray, event: np.ndarray, label) -> pd.DataFrame:
    times, index = np.unique(time, return_inverse=True)
    died = np.bincount(index, weights=event, minlength=len(times))
    left = np.bincount(index, weights=~event, minlength=len(times))
    at_risk = len(time) - np.searchsorted(np.sort(time), times, side="left")
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
    half = norm.ppf(1 - alpha / 2)
    inside = np.where(survival > 0, survival, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        if ci == "plain":
            lower, upper = inside - half * inside * se, inside + half * inside * se
        elif ci == "log":
            lower, upper = inside * np.exp(-half * se), inside * np.exp(half * se)
        elif ci == "log-log":
            inside = np.where(survival < 1, inside, np.nan)
            width = half * se / np.log(inside)
            lower, upper = inside ** np.exp(-width), inside ** np.exp(width)
        else:
            raise ValueError(f"ci must be 'log-log', 'log' or 'plain', found {ci!r}")
    return np.clip(lower, 0, 1), np.clip(upper, 0, 1)


def _crossing(times: pd.Series, curve: pd.Series) -> float:
    """Find when a curve passes one half; the middle of the stretch where it equals one half."""
    known = curve.notna().to_numpy()
    t, fallen = times.to_numpy()[known], 1 - curve.to_numpy()[known]
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


def _check_tau(time: np.ndarray, event: np.ndarray, tau: float, label) -> None:
    last = time.max()
    reaches_zero = event[time == last].all()
    if not tau > 0:
        raise ValueError(f"tau must be positive, found {tau!r}")
    if tau > last and not reaches_zero:
        raise NotEstimable(
            f"tau {tau:g} lies beyond the last follow-up {last:g} of group {label!r}: choose a smaller tau"
        )


def _rmst_row(term: str, found: dict, p: float, inside: np.ndarray, event: np.ndarray, tau: float) -> dict:
    return {
        "term": term,
        "estimate": found["rmst"],
        "se": found["se"],
        "lower": found["lower"],
        "upper": found["upper"],
        "p": p,
        "tau": float(tau),
        "n": int(inside.sum()),
        "events": int((event & inside).sum()),
    }
