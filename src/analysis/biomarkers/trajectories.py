"""Plasma over time by response: a mixed model of the level, draws without a level censored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis import plan
from analysis.biomarkers.course_fit import CURVE_COLUMNS, CourseFit, fit_course, predict_course
from analysis.biomarkers.courses import tabulate_courses
from analysis.biomarkers.plasma import PROGRESSION
from analysis.biomarkers.rows import Analysis, as_rows, join_notes
from analysis.survival.outcome import NotEstimable

__all__ = [
    "TERMS",
    "CourseFit",
    "estimate_course",
    "estimate_trajectories",
    "fit_course",
    "predict_course",
    "tabulate_courses",
]

TERMS = ("TIME", "GROUP", "TIME:GROUP")
_FROM_BASELINE = ("TIME", "TIME:GROUP")
_NO_START = "not estimated: everybody starts at baseline = 1"
_THROUGH = {
    "intercept": "lines through 1 at day 0; the random intercept of the plan is a subject's lasting shift "
    "after baseline",
    "intercept_slope": "lines through 1 at day 0; random intercept (a subject's lasting shift after "
    "baseline) and random slope",
}


def estimate_trajectories(courses: pd.DataFrame, *, group: str = "MRESP", rules=None) -> Analysis:
    """Estimate how the plasma level moves over time in non-responders against responders.

    Parameters
    ----------
    courses : DataFrame
        As `tabulate_courses`.
    group : str
        Column of the class; NON-RESPONDER is 1, RESPONDER 0.
    rules : Section, optional
        The plan's section ``biomarkers``.

    Returns
    -------
    Analysis
        Rows TIME (slope of the responders), GROUP (difference at first dose), TIME:GROUP (difference of the
        slopes); `table` as `predict_course`. A draw detected but not measured counts as over its limit. Draws
        at progression, later than ``trajectory_max_days``,
        not assessable or of unknown class are left out and counted in the note.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    courses = courses.copy()
    courses["GROUP"] = courses[group].map({"NON-RESPONDER": 1.0, "RESPONDER": 0.0})
    free = courses["ASIDE"].isna()
    courses.loc[free & courses["GROUP"].isna(), "ASIDE"] = "response unknown"
    courses.loc[free & (courses["AVISIT"] == PROGRESSION), "ASIDE"] = "taken at progression"
    late = courses["DAY"] > rules.trajectory_max_days
    courses.loc[courses["ASIDE"].isna() & late, "ASIDE"] = f"after day {rules.trajectory_max_days:g}"
    left_out = courses["ASIDE"].value_counts(sort=False).sort_index().to_dict()
    return estimate_course(
        courses[courses["ASIDE"].isna()],
        scale=rules.trajectory_scale,
        outcome=rules.trajectory_measure,
        labels={"PARTYPE": "CTDNA", "SAMPTYPE": "PLASMA"},
        left_out=left_out,
        rules=rules,
    )


def estimate_course(
    frame: pd.DataFrame,
    *,
    scale: str,
    outcome: str,
    labels: Mapping[str, Any],
    marker_names: Mapping[str, str] | None = None,
    left_out: Mapping[str, int] | None = None,
    from_baseline: bool = False,
    rules=None,
) -> Analysis:
    """Estimate the course of a quantity over time in two groups, values known by their limit alone censored.

    Parameters
    ----------
    frame : DataFrame
        USUBJID, DAY (study day), LEVEL, LIMIT (NaN: none), GROUP (1 resistance, 0, NaN left out) and, where
        something else than LEVEL <= LIMIT says so, CENSORED; ABOVE where the value is over LIMIT and no more
        is known.
    scale : {"logit", "log"}
        Scale of the model.
    outcome : str
        What is followed, as in column OUTCOME.
    labels : mapping
        PARTYPE, SAMPTYPE and other columns that all rows share.
    marker_names : mapping, optional
        Other names than TIME, GROUP and TIME:GROUP.
    left_out : mapping, optional
        Reason -> values that were left out before.
    from_baseline : bool
        LEVEL is relative to the subject's baseline, so 1 for everybody at day 0, and DAY counts days since
        then: no intercept and no GROUP, both lines go through 1; the baseline values say nothing and are
        left out. On the log scale only.
    rules : Section, optional
        The plan's section ``biomarkers``: random effects, unit of time, floor of the groups.

    Returns
    -------
    Analysis
        Three rows, TESTED N with the reason where the model cannot be fitted; `table` as `predict_course`.
    """
    rules = plan.defaults().biomarkers if rules is None else rules
    rows, dropped = _usable(frame, scale, from_baseline)
    note = _describe(rows, {**(left_out or {}), **dropped})
    counts = rows.drop_duplicates("USUBJID")["GROUP"]
    shared = {"ANALYSIS": "trajectory", "OUTCOME": outcome, "METHOD": "mixed_censored", **labels}
    shared |= {"STATISTIC": f"{scale}_difference", "N": len(counts), "N_POS": counts.sum()}
    names = {**dict(zip(TERMS, TERMS, strict=True)), **(marker_names or {})}
    course, reason = _try_fit(rows, scale, from_baseline, rules)
    if course is None:
        empty = [{**shared, "MARKER": names[term], "TESTED": "N"} for term in TERMS]
        return Analysis(
            as_rows([{**row, "NOTE": join_notes(reason, note)} for row in empty]),
            pd.DataFrame(columns=CURVE_COLUMNS),
            reason,
        )
    estimates = [{**shared, "MARKER": names[term], **_term_row(course, term, note, rules)} for term in TERMS]
    return Analysis(as_rows(estimates), predict_course(course, alpha=rules.interval_alpha))


def _term_row(course: CourseFit, term: str, note: str, rules) -> dict[str, Any]:
    terms = _FROM_BASELINE if course.from_baseline else ("", *TERMS)
    if term not in terms:
        return {"TESTED": "N", "NOTE": join_notes(_NO_START, note)}
    place, half = terms.index(term), norm.isf(rules.interval_alpha / 2)
    value, error = course.fit.coef[place], course.fit.se[place]
    numbers = {"ESTIMATE": value, "LOWER": value - half * error, "UPPER": value + half * error}
    through = _THROUGH[rules.trajectory_random] if course.from_baseline else None
    said = join_notes(_meaning(term, course.unit_days), through, note)
    return {**numbers, "P": course.p_values[place], "NOTE": said}


def _meaning(term: str, unit_days: float) -> str:
    return {
        "TIME": f"change in {unit_days:g} days where the group is 0",
        "GROUP": "difference of the groups at first dose",
        "TIME:GROUP": f"difference of the groups' change in {unit_days:g} days",
    }[term] + "; Wald limits, p of the likelihood ratio"


def _describe(rows: pd.DataFrame, left_out: Mapping[str, int]) -> str:
    under, above = (int((rows["CENSORED"] == side).sum()) for side in (1, -1))
    said = f"{len(rows)} values of {rows['USUBJID'].nunique()} subjects, {under} censored"
    said += f", {above} detected without a level, known to be over the limit" if above else ""
    lost = ", ".join(f"{reason} {count}" for reason, count in left_out.items() if count)
    return f"{said}; left out: {lost}" if lost else said


def _usable(frame: pd.DataFrame, scale: str, from_baseline: bool) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return rows with finite values on the scale, and how many had none or no group."""
    level, limit = frame["LEVEL"].astype(float), frame["LIMIT"].astype(float)
    said = frame["CENSORED"].astype(bool) if "CENSORED" in frame else pd.Series(False, index=frame.index)
    above = frame["ABOVE"].astype(bool) if "ABOVE" in frame else pd.Series(False, index=frame.index)
    censored = (said | (level <= limit)) & ~above
    value = level.where(~(censored | above), limit)
    inside = (value > 0) & ((value < 1) | (scale == "log")) & np.isfinite(value)
    grouped = frame["GROUP"].notna()
    day = frame["DAY"].astype(float)
    rows = pd.DataFrame(
        {
            "USUBJID": frame["USUBJID"],
            # There is no day 0: the day of first dose is day 1, 0 days since then.
            "SINCE": day if from_baseline else day - (day > 0),
            "LEVEL": value,
            "LIMIT": limit,
            "CENSORED": censored.astype(int) - above.astype(int),
            "GROUP": frame["GROUP"].astype(float),
        }
    )
    dropped = {
        "group unknown": int((~grouped).sum()),
        "no day": int((grouped & day.isna()).sum()),
        f"no value on the {scale} scale": int((grouped & day.notna() & ~inside).sum()),
    }
    kept = grouped & day.notna() & inside
    if from_baseline:
        dropped["at or before baseline, 1 by definition"] = int((kept & (day <= 0)).sum())
        kept &= day > 0
    return rows[kept].reset_index(drop=True), dropped


def _try_fit(
    rows: pd.DataFrame, scale: str, from_baseline: bool, rules
) -> tuple[CourseFit | None, str | None]:
    groups = rows.drop_duplicates("USUBJID")["GROUP"].value_counts()
    floor = rules.min_prevalence_n
    if min(groups.get(0.0, 0), groups.get(1.0, 0)) < floor:
        return None, f"course not estimated: fewer than {floor} subjects in one group"
    try:
        course = fit_course(
            rows,
            scale=scale,
            random=rules.trajectory_random,
            unit_days=rules.trajectory_unit_days,
            from_baseline=from_baseline,
        )
    except NotEstimable as error:
        return None, f"course not estimable: {error}"
    if not course.fit.converged:
        return None, (
            "course not estimable: no reliable maximum of the likelihood, as where all later values of a "
            "group are under the limit, or where subjects differ so much more than the values of one subject "
            "that the likelihood is not exact enough"
        )
    return course, None
