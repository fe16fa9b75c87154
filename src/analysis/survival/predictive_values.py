"""What an early test says about the event by a horizon: predictive values, sensitivity, specificity."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from analysis.survival.checks import check_flags
from analysis.survival.kaplan_meier import kaplan_meier, survival_at
from analysis.survival.outcome import NotEstimable, check_alpha, check_time_event
from analysis.survival.proportion import proportion

# Months added up from two differences of days miss a horizon on that very day in the last bit.
_DECIMALS = 9
_NOT_FOLLOWED = "the {} patients are not followed to the horizon: choose an earlier one"


def predictive_values(
    time, event, positive, horizon: float, *, entry=None, alpha: float = 0.05
) -> pd.DataFrame:
    """Estimate the predictive values of a positive test for the event by a horizon, censoring handled.

    PPV = 1 - S(horizon) among the positive and NPV = S(horizon) among the negative, by Kaplan-Meier.
    Sensitivity and specificity follow from the two by Bayes' rule with the share of positives, so the
    censoring may differ between the groups. Where nobody the quantity rests on is censored before the
    horizon, it is a plain proportion, and is given so.

    Parameters
    ----------
    time, event : array-like
        Follow-up from each patient's landmark (the test) and True for an event.
    positive : array-like
        True for the positive class, which the caller names (here: metabolic non-response).
    horizon : float
        Counted from the time zero before the landmark (start of treatment), unit of `time`.
    entry : array-like, optional
        Time from that zero to each patient's landmark; 0 by default.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    DataFrame
        quantity (ppv, npv, sensitivity, specificity), method, estimate, lower, upper, n (patients the
        quantity rests on), n_censored (those of them censored before the horizon), note. A method is
        ``kaplan_meier_log_log`` (predictive values), ``kaplan_meier_delta`` (sensitivity and specificity;
        delta method on the logit), or two rows ``clopper_pearson`` and ``wilson``. What cannot be given is
        missing, and note says why.

    Raises
    ------
    NotEstimable
        If everybody is positive or nobody is, or if a landmark lies at or after the horizon.

    Notes
    -----
    Everybody here reached the landmark free of the event: the values are those of a patient tested and
    event-free then, and everybody counts as at risk from time zero on. Without censoring that is the plain
    proportion of these patients with the event by the horizon; entering them late would estimate the
    survival of untested patients instead.

    References
    ----------
    Heagerty, Lumley and Pepe, Biometrics 2000;56:337-44 (Bayes' rule with Kaplan-Meier).

    Examples
    --------
    >>> found = predictive_values([1, 2, 9, 9], [1, 1, 1, 1], [True, True, True, False], 5)
    >>> float(found["estimate"].iloc[0].round(3)), found["method"].iloc[0]
    (0.667, 'clopper_pearson')
    """
    alpha = check_alpha(alpha)
    time, event = check_time_event(time, event)
    positive = _check_positive(positive, len(time))
    time, horizon = _from_zero(time, entry, horizon)
    groups = {"positive": positive, "negative": ~positive, "all": np.ones(len(time), dtype=bool)}
    censored = {name: inside & ~event & (time < horizon) for name, inside in groups.items()}
    classes = {name: groups[name] for name in ("positive", "negative")}
    curves = {name: _read(time[one], event[one], horizon, alpha) for name, one in classes.items()}
    by_horizon, rows = event & (time <= horizon), []
    # Patients in the class, of how many, for the proportion; the group whose censoring matters.
    plain = {
        "ppv": (by_horizon & positive, positive, "positive"),
        "npv": (~by_horizon & ~positive, ~positive, "negative"),
        "sensitivity": (by_horizon & positive, by_horizon, "all"),
        "specificity": (~by_horizon & ~positive, ~by_horizon, "all"),
    }
    for quantity, (inside, base, group) in plain.items():
        counts = {"n": int(groups[group].sum()), "n_censored": int(censored[group].sum())}
        if not censored[group].any():
            found = _proportions(inside, base, alpha)
        elif group != "all":
            found = [_predictive(curves[group], group, quantity)]
        else:
            found = [_by_bayes(quantity, float(positive.mean()), len(time), curves, alpha)]
        rows += [{"quantity": quantity, **row, **counts} for row in found]
    columns = ["quantity", "method", "estimate", "lower", "upper", "n", "n_censored", "note"]
    return pd.DataFrame(rows)[columns]


def _read(time, event, horizon: float, alpha: float) -> dict | None:
    """Read S, its log-log limits and its se at the horizon; None beyond follow-up."""
    found = survival_at(time, event, [horizon], ci="log-log", alpha=alpha).iloc[0]
    if np.isnan(found["survival"]):
        return None
    past = kaplan_meier(time, event)
    past = past[past["time"] <= horizon]
    se = past["se"].iloc[-1] if len(past) else 0.0
    return {**found[["survival", "lower", "upper"]].to_dict(), "se": float(se)}


def _predictive(curve: dict | None, group: str, quantity: str) -> dict:
    method = "kaplan_meier_log_log"
    if curve is None:
        return _missing(method, _NOT_FOLLOWED.format(group))
    s, lower, upper = curve["survival"], curve["lower"], curve["upper"]
    if quantity == "ppv":
        s, lower, upper = 1 - s, 1 - upper, 1 - lower
    share = "none" if curve["survival"] == 1 else "all"
    note = "" if np.isfinite(lower) else f"no interval: {share} of the {group} have the event by the horizon"
    return {"method": method, "estimate": s, "lower": lower, "upper": upper, "note": note}


def _by_bayes(quantity: str, share: float, n: int, curves: dict, alpha: float) -> dict:
    """Turn the predictive values; odds are odds of the class x ratio of risks (or of S), so logs add up."""
    method = "kaplan_meier_delta"
    for group, curve in curves.items():
        if curve is None:
            return _missing(method, _NOT_FOLLOWED.format(group))
    order = ("positive", "negative") if quantity == "sensitivity" else ("negative", "positive")
    weights = (share, 1 - share) if quantity == "sensitivity" else (1 - share, share)
    survival = np.array([curves[name]["survival"] for name in order])
    levels = 1 - survival if quantity == "sensitivity" else survival
    total = float(np.sum(weights * levels))
    if total == 0:
        what = "has had" if quantity == "sensitivity" else "is free of"
        return _missing(method, f"nobody {what} the event at the horizon")
    estimate = float(weights[0] * levels[0] / total)
    # Greenwood's error is missing at S = 0.
    errors = np.array([curves[name]["se"] for name in order])
    if levels.min() == 0 or not np.isfinite(errors).all():
        note = "no interval: in one class all, or none, have the event by the horizon"
        return {**_missing(method, note), "estimate": estimate}
    se = np.sqrt(1 / (n * share * (1 - share)) + np.sum((errors / levels) ** 2))
    half = norm.ppf(1 - alpha / 2) * se
    lower, upper = expit(logit(estimate) + np.array([-half, half]))
    return {"method": method, "estimate": estimate, "lower": float(lower), "upper": float(upper), "note": ""}


def _proportions(inside: np.ndarray, base: np.ndarray, alpha: float) -> list[dict]:
    found = proportion(int(inside.sum()), int(base.sum()), alpha=alpha)
    if not base.any():
        return [_missing(method, "no patient to take the proportion of") for method in found["method"]]
    return [{**row, "note": ""} for row in found[["method", "estimate", "lower", "upper"]].to_dict("records")]


def _missing(method: str, note: str) -> dict:
    return {"method": method, "estimate": np.nan, "lower": np.nan, "upper": np.nan, "note": note}


def _check_positive(positive, n: int) -> np.ndarray:
    positive = check_flags(positive, "positive")
    if positive.shape != (n,):
        raise ValueError(
            f"positive must be True or False for each of the {n} patients, found {len(positive)}"
        )
    if positive.all() or not positive.any():
        raise NotEstimable(f"{int(positive.sum())} of {n} patients are positive: one class is empty")
    return positive


def _from_zero(time: np.ndarray, entry, horizon: float) -> tuple[np.ndarray, float]:
    if not (np.isfinite(horizon) and horizon > 0):
        raise ValueError(f"horizon must be a positive number, found {horizon!r}")
    delay = np.zeros(len(time)) if entry is None else np.asarray(entry, dtype=float)
    if delay.shape != time.shape or not np.all(np.isfinite(delay) & (delay >= 0)):
        raise ValueError(f"entry must be a number of at least 0 for each of the {len(time)} patients")
    passed = int(np.sum(delay >= horizon))
    if passed:
        raise NotEstimable(
            f"{passed} of {len(time)} patients reach their landmark at or after the horizon {horizon:g}: "
            "nothing can be predicted for them; choose a later horizon"
        )
    return np.round(delay + time, _DECIMALS), round(float(horizon), _DECIMALS)
