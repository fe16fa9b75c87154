"""Protocol deviations of tumour assessments: missed, outside their window, no baseline or an old one."""

from __future__ import annotations

import pandas as pd

from analysis.clinical.deviation_frame import Found, early_or_late, found_rows, unknown
from analysis.clinical.deviation_records import Records, duty_ends

DAY = pd.Timedelta(days=1)


def _planned_assessments(e: Records) -> pd.DataFrame:
    """List the planned assessments whose window had closed while the subject was on study: K DUE DATE."""
    step, window = 7 * e.rules.interval_weeks, e.rules.window_days
    ends = duty_ends(e.adsl, e.adrs, e.plan)
    rows = []
    for subject, start in e.start.dropna().items():
        until = ends.get(subject, pd.NaT)
        last = 0 if pd.isna(until) else int(((until - start) / DAY - window) // step)
        rows += [(subject, k, start + pd.Timedelta(days=step * k)) for k in range(1, last + 1)]
    return pd.DataFrame(rows, columns=["USUBJID", "K", "DUE"]).astype({"DUE": "datetime64[ns]"})


def _match_assessments(e: Records) -> pd.DataFrame:
    """Give each planned assessment the nearest one made within half an interval: OFF in days, or missing."""
    planned = _planned_assessments(e)
    made, step = e.assessments(), 7 * e.rules.interval_weeks
    both = planned.merge(made, on="USUBJID", how="inner")
    both["OFF"] = (both["ADT"] - both["DUE"]) / DAY
    both = both[both["OFF"].abs() <= step / 2].assign(SIZE=lambda rows: rows["OFF"].abs())
    # An assessment stands for the planned one it is nearest to, and only for that one.
    both = both.sort_values(["USUBJID", "SIZE", "K"]).drop_duplicates(["USUBJID", "ADT"])
    both = both.drop_duplicates(["USUBJID", "K"])[["USUBJID", "K", "OFF"]]
    return planned.merge(both, on=["USUBJID", "K"], how="left", validate="one_to_one")


def _assessment_rows(e: Records, *, missed: bool) -> Found:
    if e.assessments().empty:
        return unknown("no dated tumour assessment")
    matched, window = _match_assessments(e), e.rules.window_days
    weeks = matched["K"] * e.rules.interval_weeks
    matched["AVISIT"] = [f"W{week:g}" for week in weeks]
    matched["LIMIT"] = [f"week {week:g} ± {window:g} days" for week in weeks]
    among = matched["USUBJID"].nunique()
    if missed:
        return Found(found_rows(matched[matched["OFF"].isna()], "ADRS"), among)
    off = matched["OFF"]
    rows = matched[off.abs() > window]
    days = (off.abs() - window).loc[rows.index]
    return Found(found_rows(rows, "ADRS", AVAL=days, UNIT=early_or_late(off.loc[rows.index])), among)


def assessment_missed(e: Records) -> Found:
    """List planned assessments that nobody made while the subject was on study."""
    return _assessment_rows(e, missed=True)


def assessment_out_of_window(e: Records) -> Found:
    """List assessments made outside the window of the planned one they stand for."""
    return _assessment_rows(e, missed=False)


def _baseline_ages(e: Records) -> pd.Series:
    base = e.adtr[e.adtr["AVISITN"].eq(0) & e.adtr["USUBJID"].isin(e.adsl["USUBJID"])]
    first = base.groupby("USUBJID")["ADT"].min()
    return (e.start.reindex(first.index) - first) / DAY


def baseline_missing(e: Records) -> Found:
    """List treated subjects without a baseline assessment, where lesions were sent."""
    if e.adtr.empty:
        return unknown("no lesion of a tumour assessment was sent")
    rows = e.adsl[~e.adsl["USUBJID"].isin(_baseline_ages(e).index)]
    return Found(found_rows(rows[["USUBJID"]], "ADTR", AVISIT="D0"), len(e.adsl))


def baseline_old(e: Records) -> Found:
    """List baseline assessments made longer before the first dose than the plan allows."""
    ages, limit = _baseline_ages(e).dropna(), e.rules.baseline_max_days_before
    if ages.empty:
        return unknown("no dated baseline assessment")
    rows = (ages[ages > limit] - limit).rename("AVAL").rename_axis("USUBJID").reset_index()
    text = f"at most {limit:g} days before the first dose"
    return Found(found_rows(rows, "ADTR", AVISIT="D0", UNIT="days early", LIMIT=text), len(ages))
