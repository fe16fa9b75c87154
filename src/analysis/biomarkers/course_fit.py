"""The mixed model of a course over time in two groups, and the course of the median subject by it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from analysis.biomarkers.censored_mixed import CensoredMixedFit, fit_censored_mixed, likelihood_ratio_tests

_SCALES = {"logit": (logit, expit), "log": (np.log, np.exp)}
CURVE_COLUMNS = ["GROUP", "DAY", "MEDIAN", "LOWER", "UPPER"]
_CURVE_POINTS = 50


class CourseFit(NamedTuple):
    """A course over time of two groups, fitted.

    Attributes
    ----------
    fit : CensoredMixedFit
        Intercept, TIME, GROUP, TIME:GROUP, on the scale.
    p_values : array, shape (p,)
        Likelihood-ratio p of each.
    rows : DataFrame
        What was fitted: USUBJID SINCE (days since first dose) LEVEL LIMIT CENSORED (1, 0, -1) GROUP.
    scale : {"logit", "log"}
        Scale of the model.
    unit_days : float
        Days of one unit of TIME.
    from_baseline : bool
        Levels are relative to baseline: the fit is TIME, TIME:GROUP alone, through 1 at day 0.
    """

    fit: CensoredMixedFit
    p_values: np.ndarray
    rows: pd.DataFrame
    scale: str
    unit_days: float
    from_baseline: bool = False


def fit_course(
    rows: pd.DataFrame, *, scale: str, random: str, unit_days: float, from_baseline: bool = False
) -> CourseFit:
    """Fit the mixed model of a course: level on its scale by time, group and their product.

    Parameters
    ----------
    rows : DataFrame
        USUBJID SINCE (days since first dose) LEVEL (the limit where CENSORED) LIMIT CENSORED (1 or
        True at or under the limit, -1 above it, 0 measured) GROUP (0/1).
    scale : {"logit", "log"}
        Scale of the model.
    random : {"intercept", "intercept_slope"}
        Random effects of a subject.
    unit_days : float
        Days of one unit of time.
    from_baseline : bool
        Levels relative to baseline: time and its product with group alone, through 1 at day 0.

    Raises
    ------
    NotEstimable
        As `fit_censored_mixed`.
    ValueError
        For levels relative to baseline on another scale than the log: 1 has no logit.
    """
    time, group = rows["SINCE"].to_numpy() / unit_days, rows["GROUP"].to_numpy()
    if from_baseline and scale != "log":
        raise ValueError("levels relative to baseline go through 1 on the log scale alone")
    design = _design(time, group, from_baseline)
    y = _SCALES[scale][0](rows["LEVEL"].to_numpy())
    model = (y, rows["CENSORED"].to_numpy(float), design, rows["USUBJID"].to_numpy())
    fit = fit_censored_mixed(*model, random=random, time=time)
    tests = np.full(design.shape[1], np.nan)
    if fit.converged:
        tests = likelihood_ratio_tests(*model, fit, random=random, time=time)
    return CourseFit(fit, tests, rows, scale, unit_days, from_baseline)


def _design(time: np.ndarray, group: np.ndarray, from_baseline: bool) -> np.ndarray:
    if from_baseline:
        return np.column_stack([time, time * group])
    return np.column_stack([np.ones(len(time)), time, group, time * group])


def predict_course(course: CourseFit, days=None, *, alpha: float = 0.05) -> pd.DataFrame:
    """Predict the course of the median subject of each group.

    Parameters
    ----------
    course : CourseFit
        As `fit_course`.
    days : array, optional
        Study days (days since baseline for levels relative to it); if None, those the group's values span.
    alpha : float
        The pointwise intervals cover 1 - alpha, between-subject variation not included.

    Returns
    -------
    DataFrame
        GROUP (0, 1) DAY MEDIAN LOWER UPPER, in the unit of the level.
    """
    back, half = _SCALES[course.scale][1], norm.isf(alpha / 2)
    parts = []
    for group, rows in course.rows.groupby("GROUP"):
        if days is None:
            start = 0.0 if course.from_baseline else rows["SINCE"].min()
            since = np.linspace(start, rows["SINCE"].max(), _CURVE_POINTS)
            shown = since if course.from_baseline else since + (since >= 0)
        else:
            shown = np.asarray(days, float)
            since = shown if course.from_baseline else shown - (shown > 0)
        design = _design(since / course.unit_days, np.full(len(since), group), course.from_baseline)
        mean = design @ course.fit.coef
        error = half * np.sqrt(((design @ course.fit.covariance) * design).sum(axis=1))
        columns = (shown, back(mean), back(mean - error), back(mean + error))
        parts.append(pd.DataFrame(dict(zip(CURVE_COLUMNS[1:], columns, strict=True))).assign(GROUP=group))
    return pd.concat(parts, ignore_index=True)[CURVE_COLUMNS]
