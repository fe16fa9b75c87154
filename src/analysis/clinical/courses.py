"""Courses of single subjects, as the swimmer, spider and shrinkage plots show them; nothing is derived anew.

Places in time are months from time zero: (date - STARTDT) / days per month, so that time zero is 0 (AVALM of
ADTTE counts the day of the event as well and is one day longer). Time zero, cut-off and the responses that
count are those of PFS and of the best overall response.
"""

from __future__ import annotations

import pandas as pd

from analysis import plan as plans
from analysis.clinical.lesions import start_dates
from analysis.clinical.recist import baseline_targets
from analysis.clinical.responses import ADEQUATE, cutoff_dates, observed_responses, response_parameter

CHANGE_COLUMNS = [
    "USUBJID", "MONTHS", "SUMDIAM", "BASESUM", "CHANGE", "AVALC", "NEWLES", "AFTERPD", "BESTRESP",
]  # fmt: skip
COURSE_COLUMNS = [
    "USUBJID", "TRTSTM", "TRTENM", "TRTONGO", "PFSM", "PFSEVNT", "FUPM", "FUPONGO", "DTHFL", "NACTM",
    "BESTRESP",
]  # fmt: skip
EPISODE_COLUMNS = ["USUBJID", "EVENT", "MONTHS", "ENDM", "ENDED"]
EVENTS = ("PR", "CR", "PD", "CLINPD", "NACT", "DEATH")
_YN = {True: "Y", False: "N"}


def target_changes(
    adtr: pd.DataFrame, adrs: pd.DataFrame, adsl: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Tabulate the change of the sum of target diameters from baseline, percent.

    Parameters
    ----------
    adtr, adrs, adsl : DataFrame
        As derived before.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        One row a subject and assessment at which every target was measured, up to the cut-off and any new
        therapy that ends the observation: USUBJID, MONTHS, SUMDIAM and BASESUM (mm), CHANGE (percent of the
        baseline sum), AVALC (derived overall response), NEWLES (Y/N), AFTERPD (Y after the first derived
        progression), BESTRESP (best overall response). The baseline is a row at month 0 with CHANGE 0 and
        AVALC missing. Subjects without a measured target at baseline, or without time zero, have no rows.
    """
    plan = plan or plans.defaults()
    zero = start_dates(adsl, plan.clinical).dropna()
    base = _baseline_sums(adtr)
    base = base[base.gt(0) & base.index.isin(zero.index)]
    after = _derived_responses(adrs, adsl, plan.clinical)
    after = after[after.USUBJID.isin(base.index) & after.SUMDIAM.notna()]
    start = pd.DataFrame({"ADT": zero.reindex(base.index), "SUMDIAM": base}).rename_axis("USUBJID")
    start = start.reset_index().assign(AVALC=None, NEWLES=None, AFTERPD="N")
    rows = pd.concat([piece for piece in (start, after) if len(piece)] or [start], ignore_index=True)
    rows["MONTHS"] = _months(rows.ADT, rows.USUBJID, zero, plan)
    rows["BASESUM"] = rows.USUBJID.map(base).astype(float)
    rows["CHANGE"] = 100 * (rows.SUMDIAM / rows.BASESUM - 1)
    rows["BESTRESP"] = _best_response(adrs, rows.USUBJID)
    return rows.sort_values(["USUBJID", "MONTHS"], kind="stable", ignore_index=True)[CHANGE_COLUMNS]


def best_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Select the lowest change of each subject on treatment, the first progression included.

    Parameters
    ----------
    changes : DataFrame
        As `target_changes` returns them.

    Returns
    -------
    DataFrame
        One row a subject with targets at baseline: USUBJID, CHANGE (percent; missing without a complete sum
        after baseline), AVALC (best overall response). Ready for ``figures.waterfall``.
    """
    after = changes[changes.MONTHS.gt(0) & changes.AFTERPD.ne("Y")]
    best = changes.drop_duplicates("USUBJID")[["USUBJID", "BESTRESP"]].rename(columns={"BESTRESP": "AVALC"})
    best["CHANGE"] = best.USUBJID.map(after.groupby("USUBJID").CHANGE.min())
    return best[["USUBJID", "CHANGE", "AVALC"]].reset_index(drop=True)


def subject_courses(
    adsl: pd.DataFrame, adrs: pd.DataFrame, adtte: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Tabulate treatment and follow-up of each subject with an endpoint, one row a subject.

    Follow-up goes on (FUPONGO) where the subject is alive and was last known alive at most one planned
    interval and window before the cut-off. Treatment goes on (TRTONGO) where, besides, no new therapy began
    and no contact proves a time without treatment: the last dose lies on or after the cut-off, or on the last
    date known alive. Without a cut-off, the latest contact of the study closes it.

    Parameters
    ----------
    adsl, adrs, adtte : DataFrame
        As derived before.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        USUBJID; TRTSTM and TRTENM, start and end of treatment (last dose; at most the cut-off), missing where
        never treated; TRTONGO; PFSM and PFSEVNT, end of PFS and the event there (missing if censored); FUPM,
        last date of any endpoint; FUPONGO; DTHFL; NACTM, start of a new anti-cancer therapy; BESTRESP. Times
        in months. Empty where the study has no dates.
    """
    plan = plan or plans.defaults()
    dates = _course_dates(adsl, adtte, plan.clinical)
    zero = dates.set_index("USUBJID").STARTDT
    following = dates.DTHFL.eq("N") & _reaches_end(dates, plan.clinical)
    return dates.assign(
        **{name: _months(dates[date], dates.USUBJID, zero, plan) for name, date in _MONTHS_OF.items()},
        FUPONGO=following.map(_YN),
        TRTONGO=(following & _no_time_off_treatment(dates)).map(_YN),
        BESTRESP=_best_response(adrs, dates.USUBJID),
    )[COURSE_COLUMNS]


def response_episodes(adsl: pd.DataFrame, adrs: pd.DataFrame, plan: plans.Plan | None = None) -> pd.DataFrame:
    """Tabulate the periods of response: from the first PR or CR to the first progression.

    A partial response that becomes complete gives two periods that meet. A visit with a lesser response
    between (SD, NE) does not end a period: only progression does, as in the duration of response.

    Returns
    -------
    DataFrame
        At most one row a subject and EVENT (PR, CR): USUBJID, EVENT, MONTHS and ENDM (start and end, months
        from time zero), ENDED (CR or PD; LAST: no progression, the period is seen to the last adequate
        assessment). Sorted by subject and start.
    """
    plan = plan or plans.defaults()
    zero = start_dates(adsl, plan.clinical).dropna()
    rows = _until_progression(observed_responses(adrs, adsl, plan.clinical))
    first = lambda *names: rows[rows.AVALC.isin(names)].groupby("USUBJID").ADT.min()
    last = rows[rows.AVALC.isin(ADEQUATE)].groupby("USUBJID").ADT.max()
    complete, partial, progression = first("CR"), first("PR"), first("PD")
    partial = partial[~partial.ge(complete.reindex(partial.index))]  # a PR after a CR opens no period
    pieces = []
    for event, start, nearer in (("PR", partial, complete), ("CR", complete, None)):
        turned = nearer.reindex(start.index) if nearer is not None else pd.Series(pd.NaT, index=start.index)
        worse = progression.reindex(start.index)
        end = turned.fillna(worse).fillna(last.reindex(start.index))
        ended = pd.Series("LAST", index=start.index).mask(worse.notna(), "PD").mask(turned.notna(), "CR")
        found = {"EVENT": event, "START": start, "END": end, "ENDED": ended}
        pieces.append(pd.DataFrame(found, index=start.index).rename_axis("USUBJID").reset_index())
    out = pd.concat(pieces, ignore_index=True)
    out["MONTHS"] = _months(out.START, out.USUBJID, zero, plan)
    out["ENDM"] = _months(out.END, out.USUBJID, zero, plan)
    return out.sort_values(["USUBJID", "MONTHS"], kind="stable", ignore_index=True)[EPISODE_COLUMNS]


def course_events(
    adsl: pd.DataFrame, adrs: pd.DataFrame, courses: pd.DataFrame, plan: plans.Plan | None = None
) -> pd.DataFrame:
    """Tabulate what happened to the subjects of `courses`, for the symbols of the swimmer plot.

    Parameters
    ----------
    adsl, adrs : DataFrame
        As derived before.
    courses : DataFrame
        As `subject_courses` returns them.
    plan : Plan, optional
        Sections `clinical` and `design`.

    Returns
    -------
    DataFrame
        USUBJID, EVENT (PR and CR as in `response_episodes`; PD first progression of the response that feeds
        PFS; CLINPD where the plan counts it; NACT; DEATH), MONTHS, ENDM and ENDED (PR and CR only).
    """
    plan = plan or plans.defaults()
    zero = start_dates(adsl, plan.clinical).dropna()
    seen = observed_responses(adrs, adsl, plan.clinical)
    pieces = [
        response_episodes(adsl, adrs, plan),
        _first_event(seen[seen.AVALC.eq("PD")], "PD", zero, plan),
        _first_event(_clinical_progression(adrs, adsl, plan.clinical), "CLINPD", zero, plan),
        _at(courses, "NACTM", "NACT"),
        _at(courses[courses.DTHFL.eq("Y")], "FUPM", "DEATH"),
    ]
    events = pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)
    events = events[events.USUBJID.isin(courses.USUBJID)].reindex(columns=EPISODE_COLUMNS)
    place = events.EVENT.map({name: place for place, name in enumerate(EVENTS)})
    order = events.assign(PLACE=place).sort_values(["USUBJID", "MONTHS", "PLACE"], kind="stable").index
    return events.loc[order].reset_index(drop=True)


_MONTHS_OF = {"TRTSTM": "TRTSDT", "TRTENM": "TRTENDT", "PFSM": "PFSDT", "FUPM": "FUPDT", "NACTM": "NACTDT"}


def _months(dates: pd.Series, subjects: pd.Series, zero: pd.Series, plan: plans.Plan) -> pd.Series:
    start = subjects.map(zero).astype("datetime64[ns]")
    return (dates.astype("datetime64[ns]") - start).dt.days / plan.design.days_per_month


def _baseline_sums(adtr: pd.DataFrame) -> pd.Series:
    """Sum the targets at baseline, each by its last measurement, as the derived response does."""
    targets = baseline_targets(adtr)
    last = targets.sort_values("ADT", kind="stable").drop_duplicates(["USUBJID", "LESIONID"], keep="last")
    return last.groupby("USUBJID").DIAM_MM.sum()


def _derived_responses(adrs: pd.DataFrame, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    rows = adrs[adrs.PARAMCD.eq("OVRLRESP")]
    # the derived response, seen through the window of the response that feeds PFS
    kept = observed_responses(rows.assign(PARAMCD=response_parameter(rules)), adsl, rules).index
    rows = rows.loc[kept, ["USUBJID", "ADT", "SUMDIAM", "AVALC"]]
    first_pd = rows.ADT.where(rows.AVALC.eq("PD")).groupby(rows.USUBJID).transform("min")
    rows["AFTERPD"] = rows.ADT.gt(first_pd).map(_YN)
    new = adrs[adrs.PARAMCD.eq("NEWLES")][["USUBJID", "ADT", "AVALC"]].rename(columns={"AVALC": "NEWLES"})
    return rows.merge(new, how="left", on=["USUBJID", "ADT"], validate="1:1")


def _best_response(adrs: pd.DataFrame, subjects: pd.Series) -> pd.Series:
    best = adrs[adrs.PARAMCD.eq("BOR")].set_index("USUBJID").AVALC
    return subjects.map(best).astype(object).fillna("MISSING")


def _endpoint(adtte: pd.DataFrame, name: str) -> pd.DataFrame:
    return adtte[adtte.PARAMCD.eq(name)].set_index("USUBJID")


def _course_dates(adsl: pd.DataFrame, adtte: pd.DataFrame, rules) -> pd.DataFrame:
    endpoints = adtte.dropna(subset=["STARTDT", "ADT"])
    pfs, survival = _endpoint(endpoints, "PFS"), _endpoint(endpoints, "OS")
    dates = endpoints.groupby("USUBJID").agg(STARTDT=("STARTDT", "min"), FUPDT=("ADT", "max"))
    known = adsl.set_index("USUBJID")[["TRTSDT", "TRTEDT", "LSTALVDT", "NACTDT"]]
    dates = dates.join(known.apply(pd.to_datetime))
    dates["CUTDT"] = cutoff_dates(adsl, rules).reindex(dates.index)
    dates["TRTENDT"] = dates.TRTEDT.where(~dates.TRTEDT.gt(dates.CUTDT), dates.CUTDT)
    dates["NACTDT"] = dates.NACTDT.where(~dates.NACTDT.gt(dates.CUTDT))
    dates["PFSDT"] = pfs.ADT.reindex(dates.index)
    dates["PFSEVNT"] = pfs.EVNTDESC.where(pfs.CNSR.eq(0)).reindex(dates.index).astype(object)
    death = survival.ADT.where(survival.CNSR.eq(0)).reindex(dates.index)
    dates["FUPDT"] = death.fillna(dates.FUPDT)
    dates["DTHFL"] = death.notna().map(_YN)
    return dates.reset_index()


def _reaches_end(dates: pd.DataFrame, rules) -> pd.Series:
    alive = dates.LSTALVDT.fillna(dates.FUPDT)
    closing = dates.CUTDT.fillna(max(alive.max(), dates.FUPDT.max()) if len(dates) else pd.NaT)
    return (closing - alive).dt.days <= 7 * rules.interval_weeks + rules.window_days


def _no_time_off_treatment(dates: pd.DataFrame) -> pd.Series:
    known = dates[["LSTALVDT", "CUTDT"]].min(axis=1)
    return dates.NACTDT.isna() & dates.TRTEDT.ge(known)


def _until_progression(rows: pd.DataFrame) -> pd.DataFrame:
    first_pd = rows.ADT.where(rows.AVALC.eq("PD")).groupby(rows.USUBJID).transform("min")
    return rows[first_pd.isna() | rows.ADT.le(first_pd)]


def _clinical_progression(adrs: pd.DataFrame, adsl: pd.DataFrame, rules) -> pd.DataFrame:
    rows = adrs[adrs.PARAMCD.eq("CLINPD")]
    if rules.clinical_progression != "event":
        return rows.iloc[:0]
    return rows[~rows.ADT.gt(rows.USUBJID.map(cutoff_dates(adsl, rules)).astype("datetime64[ns]"))]


def _first_event(rows: pd.DataFrame, event: str, zero: pd.Series, plan: plans.Plan) -> pd.DataFrame:
    first = rows.groupby("USUBJID", as_index=False).ADT.min()
    return first.assign(EVENT=event, MONTHS=_months(first.ADT, first.USUBJID, zero, plan))


def _at(courses: pd.DataFrame, months: str, event: str) -> pd.DataFrame:
    known = courses[courses[months].notna()]
    return pd.DataFrame({"USUBJID": known.USUBJID, "EVENT": event, "MONTHS": known[months]})
