"""The chance to be called a non-responder, by number of lesions: what a rule makes of measurement error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis import plan as plans
from analysis.pet import lesion_pairs, response, response_rules
from analysis.survival.outcome import NotEstimable

COLUMNS = ["CV", "CORRELATION", "LESIONS", "FALL", "ESTIMATE", "N"]


def error_sd(cv_percent: float, level: float = 1.0) -> float:
    """Return the standard deviation of ln uptake from its CV: the square root of level x ln(1 + cv^2).

    Parameters
    ----------
    cv_percent : float
        Within-subject CV of one measurement, percent.
    level : float
        Variance, times that of one measurement.

    Examples
    --------
    >>> round(error_sd(12), 4), round(error_sd(12, 2), 4)
    (0.1196, 0.1691)
    """
    return math.sqrt(level * math.log1p((cv_percent / 100) ** 2))


def correlate(own: np.ndarray, common: np.ndarray, correlation: float) -> np.ndarray:
    """Return standard normal errors of lesions with this correlation within a scan.

    Parameters
    ----------
    own, common : ndarray
        Independent standard normal numbers: each lesion's own, and its scan's.
    correlation : float
        Of the errors of two lesions of one scan, 0 to 1.
    """
    return math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own


def nonresponse_by_lesions(
    plan: plans.Plan, rng: np.random.Generator, *, patients: int | None = None
) -> pd.DataFrame:
    """Simulate how often a patient is called a non-responder, by a true change and the number of lesions.

    Parameters
    ----------
    plan : Plan
        Sections ``primary`` (the rule), ``response``, ``misclassification`` and ``design``.
    rng : numpy.random.Generator
        For the errors.
    patients : int, optional
        Simulated patients at each number of lesions; the plan's by default.

    Returns
    -------
    DataFrame
        One row a CV and CORRELATION (percent, as in `redraw_classes`), LESIONS (number) and FALL (true change
        of every lesion, percent): ESTIMATE (chance of being called a non-responder), N (patients simulated).

    Raises
    ------
    NotEstimable
        RULE_READS_MORE for the rules of PERCIST, which read the uptake itself and not its change alone.

    Notes
    -----
    All lesions are equally hot at baseline, evaluable, and (the first `response.max_targets`) targets, none
    is new or gone; each of the two scans has its error. With independent errors the rule ``any_resistant``
    calls 1 - p^n of patients with n lesions non-responders, p being one lesion's chance to fall enough.
    """
    rules, setting = plan.misclassification, _setting(plan)
    patients = rules.patients if patients is None else patients
    counts, most = list(rules.lesions_shown), max(rules.lesions_shown)
    own = rng.standard_normal((2, patients, most))
    common = rng.standard_normal((2, patients, 1))
    rows = []
    for cv in rules.cv_percent:
        for together in rules.lesion_correlations:
            base, follow = np.exp(error_sd(cv) * correlate(own, common, together))
            for fall in rules.falls_shown:
                pairs = _pairs(base, (1 - fall / 100) * follow, counts, plan.response.max_targets)
                called = _calls(pairs, setting, plan.response.lesion_cap)
                rows += [(cv, together, n, fall, called[n], patients) for n in counts]
    return pd.DataFrame(rows, columns=COLUMNS)


def _setting(plan: plans.Plan) -> response_rules.Setting:
    primary = response.in_force(plan).primary
    rule = primary.response_rule
    if response_rules.RULE_TABLES[rule] == "percist_table":
        raise NotEstimable(
            f"RULE_READS_MORE: {rule} reads the uptake itself, not its change alone: the chance of its class "
            "by number of lesions would hang on how hot the lesions are"
        )
    first = next(iter(plan.design.followup_visits), None)
    return response_rules.Setting(plan.response, rule, primary.metric, float(primary.cut_percent), first)


def _pairs(base: np.ndarray, follow: np.ndarray, counts: list[int], targets: int) -> pd.DataFrame:
    """Lay out lesion pairs, as `lesion_pairs.Case` has them, of patients with each number of lesions.

    AVISIT is the number of lesions. A patient with fewer lesions is the one with more, without the last: her
    errors are the same.
    """
    rows = pd.concat([_patients(base, follow, lesions) for lesions in counts], ignore_index=True)
    rows = rows.assign(CHANGE=100 * (rows["FILLED"] / rows["BEST_BASE"] - 1), LOAD=1.0, RANK=1.0, ORGAN=None)
    return rows.assign(EVALUABLE=True, TARGET=rows["LESIONID"] < targets, UNKNOWN=False, RESOLVED=False)


def _patients(base: np.ndarray, follow: np.ndarray, lesions: int) -> pd.DataFrame:
    who, which = (index.ravel() for index in np.indices((len(base), lesions)))
    values = {"BEST_BASE": base[:, :lesions].ravel(), "FILLED": follow[:, :lesions].ravel()}
    return pd.DataFrame({"USUBJID": who, "AVISIT": lesions, "LESIONID": which, **values})


def _calls(pairs: pd.DataFrame, setting: response_rules.Setting, cap: int | None) -> pd.Series:
    """Return the share of non-responders by number of lesions, by the rule's own conditions and table."""
    rules, table = setting.rules, response_rules.RULE_TABLES[setting.rule]
    which = rules.lesion_sets[setting.rule]
    lesions = lesion_pairs.select_set(pairs, which, by_load=setting.rule == "dominance_volume", cap=cap)
    # Dominance judges lesion by lesion: its summary, a median that takes long, decides nothing.
    summary = replace(setting, rule="any_resistant") if table == "dominance_table" else setting
    measured = response_rules.summarise(lesions, summary)
    seen = pd.DataFrame({"BASE_SEEN": True, "SEEN": True}, index=measured.index)
    visits = seen.assign(NEW=False, NEW_UNCONFIRMED=False, LONGDIAM_CHANGE=np.nan)
    conditions = response_rules.CONDITIONS[table](visits, lesions, measured, setting).eq(True)
    classes = response.decide(conditions, getattr(rules, table))["AVALC"]
    return 1 - classes.isin(rules.responder_classes).groupby(level="AVISIT").mean()
