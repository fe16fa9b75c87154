"""Data checks of visits: numbers, dates and their order."""

from __future__ import annotations

import pandas as pd

from analysis.clinical import lesions
from analysis.clinical.checks import (
    TUMOUR_DOMAINS,
    Evidence,
    column,
    day,
    found_in,
    join_rows,
    list_rows,
    no_rows,
    phrase,
    query,
)
from analysis.clinical.domain_checks import repeated
from analysis.clinical.terms import to_number


def _visit_days(e: Evidence, domain: str) -> pd.DataFrame:
    """Return the days of each visit number and subject, once: USUBJID VISITNUM ADT UNSCHED."""
    frame = e.reads(domain) if domain in TUMOUR_DOMAINS else e.sdtm[domain]
    ends = e.when(domain).loc[frame.index] if domain in TUMOUR_DOMAINS else e.parsed(domain, "SVSTDTC").FIRST
    frame = pd.DataFrame(
        {"USUBJID": frame.USUBJID, "VISITNUM": frame.VISITNUM, "VISIT": frame.VISIT, "ADT": ends}
    )
    frame = frame[frame.VISITNUM.notna() & frame.ADT.notna()]
    frame = frame[~repeated(frame, list(frame))]
    return frame.assign(UNSCHED=lesions.is_unscheduled(frame))


def _spread(e: Evidence, domain: str, unscheduled: bool) -> pd.DataFrame:
    rows = e.keep(("visits", domain), lambda: _visit_days(e, domain))
    rows = rows[rows.UNSCHED.eq(unscheduled)]
    return rows.groupby(["USUBJID", "VISITNUM"], as_index=False).agg(
        FIRST=("ADT", "min"), LAST=("ADT", "max"), DAYS=("ADT", "nunique")
    )


@query(
    "VISIT_TWO_DATES",
    "warning",
    "a planned visit whose scans lie further apart than one assessment may",
    "check the dates; the records form separate assessments",
)
def _two_dates(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain in ("TR", "RS"):
        spread = _spread(e, domain, unscheduled=False)
        wide = spread[(spread.LAST - spread.FIRST).dt.days > e.rules.assessment_window_days]
        text = phrase("dated {} and {}", day(wide.FIRST), day(wide.LAST))
        pieces.append(list_rows(wide, domain, phrase("VISITNUM {}", wide.VISITNUM), text))
    return join_rows(pieces)


@query(
    "VISIT_NUMBER_SHARED",
    "note",
    "unscheduled visits of several days under one visit number",
    "none: unscheduled visits are told apart by their date",
)
def _shared_number(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain in ("TR", "RS"):
        spread = _spread(e, domain, unscheduled=True)
        rows = spread[spread.DAYS.gt(1)]
        text = phrase("{} days from {} to {}", rows.DAYS, day(rows.FIRST), day(rows.LAST))
        pieces.append(list_rows(rows, domain, phrase("VISITNUM {}", rows.VISITNUM), text))
    return join_rows(pieces)


@query(
    "VISIT_ORDER",
    "warning",
    "a planned visit dated before an earlier visit number",
    "check the dates and the visit numbers",
)
def _visit_order(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain in ("SV", "TR", "RS"):
        if column(e.sdtm[domain], "VISITNUM").isna().all():
            continue
        rows = _spread(e, domain, unscheduled=False)
        rows = rows.assign(NUMBER=to_number(rows.VISITNUM)).dropna(subset="NUMBER")
        rows = rows.sort_values(["USUBJID", "NUMBER"])
        before = rows.groupby("USUBJID")[["VISITNUM", "FIRST"]].shift()
        odd = rows[rows.LAST < before.FIRST]
        before = before.loc[odd.index]
        text = phrase("on {}, visit {} on {}", day(odd.LAST), before.VISITNUM, day(before.FIRST))
        pieces.append(list_rows(odd, domain, phrase("VISITNUM {}", odd.VISITNUM), text))
    return join_rows(pieces)


@query(
    "VISIT_NOT_IN_SV",
    "warning",
    "a tumour record at a planned visit that SV does not have for this subject",
    "add the visit to SV or correct the visit number",
)
def _visit_unknown(e: Evidence) -> pd.DataFrame:
    if column(e.sdtm["SV"], "VISITNUM").isna().all():
        return no_rows()
    visits = pd.MultiIndex.from_frame(_visits(e.sdtm["SV"]))
    pieces = []
    for domain in TUMOUR_DOMAINS:
        frame = e.reads(domain)
        frame = frame[frame.VISITNUM.notna() & ~lesions.is_unscheduled(frame)]
        one = frame[~repeated(frame, ["USUBJID", "VISITNUM"])]
        rows = one[~pd.MultiIndex.from_frame(_visits(one)).isin(visits)]
        text = "{}DTC {}: VISITNUM {} is not in SV"
        names = pd.Series(domain, index=rows.index)
        pieces.append(found_in(domain, rows, text, names, rows[f"{domain}DTC"], rows.VISITNUM))
    return join_rows(pieces)


def _visits(frame: pd.DataFrame) -> pd.DataFrame:
    number = to_number(frame.VISITNUM)
    return pd.DataFrame({"USUBJID": frame.USUBJID, "VISITNUM": number})
