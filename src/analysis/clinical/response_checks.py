"""Data checks of responses: what RS reports, and how it fits the scans and the derived responses."""

from __future__ import annotations

import pandas as pd

from analysis.clinical import lesions, responses
from analysis.clinical.checks import (
    Evidence,
    day,
    found_in,
    join_rows,
    list_rows,
    no_rows,
    phrase,
    query,
)
from analysis.clinical.dates import MISSING
from analysis.clinical.terms import upper


def unknown_terms(sdtm, rules) -> pd.DataFrame:
    """Return the reported overall responses that are no term of RECIST 1.1."""
    rows = responses.reported_terms(sdtm, rules)
    return rows[~rows.AVALC.isin(responses.SEVERITY)]


def _reported(e: Evidence) -> pd.DataFrame:
    return e.keep("reported", lambda: responses.reported_terms(e.sdtm, e.rules))


def _overall_records(e: Evidence) -> pd.DataFrame:
    rs = e.reads("RS")
    return rs[upper(rs.RSTESTCD).eq("OVRLRESP").fillna(False)]


def _near(left: pd.DataFrame, right: pd.DataFrame, days: int) -> pd.Series:
    """Tell which rows of `left` have a row of `right` of the same subject within `days` (column ADT)."""
    other = right[["USUBJID", "ADT"]].dropna().drop_duplicates().sort_values("ADT").assign(NEAR=True)
    placed = left[["USUBJID", "ADT"]].reset_index(names="ROW").sort_values("ADT")
    tolerance = pd.Timedelta(days=days)
    paired = pd.merge_asof(placed, other, on="ADT", by="USUBJID", direction="nearest", tolerance=tolerance)
    return paired.set_index("ROW").NEAR.notna().reindex(left.index)


@query(
    "RESPONSE_UNKNOWN",
    "error",
    "a reported overall response that is no term of RECIST 1.1, such as CHECK",
    "replace the response by a RECIST 1.1 term; it is left out",
)
def _unknown_response(e: Evidence) -> pd.DataFrame:
    rows = _reported(e)
    rows = rows[~rows.AVALC.isin(responses.SEVERITY)]
    records = e.sdtm["RS"].loc[rows.index]
    return found_in("RS", records, "response {}", rows.AVALC)


@query(
    "RESPONSE_EMPTY",
    "warning",
    "an overall response without a value that is not marked as not done",
    "give the response, or RSSTAT NOT DONE",
)
def _empty_response(e: Evidence) -> pd.DataFrame:
    rows = _overall_records(e)
    done = upper(rows.RSSTAT).ne("NOT DONE").fillna(True)
    rows = rows[rows.RSSTRESC.isna() & rows.RSORRES.isna() & done]
    return found_in("RS", rows, "no response; RSDTC {}", rows.RSDTC)


@query(
    "RESPONSE_WITHOUT_DATE",
    "error",
    "a reported overall response without a date",
    "give the date of the assessment; the response is left out",
)
def _undated_response(e: Evidence) -> pd.DataFrame:
    rows = _reported(e)
    records = e.sdtm["RS"].loc[rows.index]
    undated = e.parsed("RS", "RSDTC").STATUS.loc[rows.index].eq(MISSING)
    return found_in("RS", records[undated], "response {} without RSDTC", rows.AVALC[undated])


@query(
    "RESPONSE_TWICE",
    "warning",
    "different overall responses of one evaluator on one day",
    "keep one response a day; the worst of them stands",
)
def _two_responses(e: Evidence) -> pd.DataFrame:
    rows = _reported(e).dropna(subset="ADT")
    rows = rows[rows.duplicated(["USUBJID", "ADT"], keep=False)].drop_duplicates(["USUBJID", "ADT", "AVALC"])
    both = rows.groupby(["USUBJID", "ADT"], as_index=False).agg(
        TEXT=("AVALC", lambda found: " and ".join(sorted(found))), N=("AVALC", "size")
    )
    both = both[both.N.gt(1)]
    return list_rows(both, "RS", phrase("RSDTC {}", day(both.ADT)), both.TEXT)


@query(
    "PROGRESSION_BEFORE_TREATMENT",
    "warning",
    "a reported progression before time zero",
    "check the response and its date; it counts for nothing",
)
def _early_progression(e: Evidence) -> pd.DataFrame:
    rows = _reported(e)
    start = e.date_of(rows, "start")
    rows = rows[rows.AVALC.eq("PD") & rows.ADT.lt(start)]
    text = "PD on {}, time zero {}"
    return found_in("RS", e.sdtm["RS"].loc[rows.index], text, day(rows.ADT), day(start.loc[rows.index]))


@query(
    "RESPONSE_AFTER_PD",
    "warning",
    "a response other than PD or NE after the first PD",
    "check the progression; the first one stands",
)
def _response_after_pd(e: Evidence) -> pd.DataFrame:
    pieces = []
    for name, label in (("OVRLRESP", "derived"), ("RSREP", "reported")):
        rows = e.adrs[e.adrs.PARAMCD.eq(name)]
        first = rows.USUBJID.map(rows[rows.AVALC.eq("PD")].groupby("USUBJID").ADT.min())
        first = first.astype("datetime64[ns]")
        odd = rows[rows.ADT.gt(first) & ~rows.AVALC.isin(["PD", "NE"])]
        text = phrase(
            f"{label} {{}} on {{}} after PD on {{}}", odd.AVALC, day(odd.ADT), day(first.loc[odd.index])
        )
        pieces.append(list_rows(odd, "ADRS", phrase(f"{name} {{}}", day(odd.ADT)), text))
    return join_rows(pieces)


@query(
    "RESPONSE_DIFFERS",
    "warning",
    "an assessment whose reported and derived overall response differ",
    "the plan says which one counts; reconcile if one is wrong",
)
def _response_differs(e: Evidence) -> pd.DataFrame:
    rows = responses.discrepancies(e.adrs, e.rules.assessment_window_days)
    rows = rows[rows.DERIVED.notna() & rows.REPORTED.notna()]  # a missing side has its own query
    if rows.empty:
        return no_rows()
    text = phrase("derived {}, reported {} on {}", rows.DERIVED, rows.REPORTED, day(rows.REPORTEDDT))
    return list_rows(rows, "ADRS", phrase("OVRLRESP {}", day(rows.DERIVEDDT)), text)


@query(
    "NEW_LESION_WITHOUT_PD",
    "warning",
    "a new lesion at an assessment whose reported overall response is not PD",
    "check the new lesion and the response: a new lesion is progression",
)
def _new_without_pd(e: Evidence) -> pd.DataFrame:
    tu = e.reads("TU")
    new = tu[lesions.lesion_type(tu.TUSTRESC.fillna(tu.TUORRES)).eq("NEW")]
    new = new.assign(ADT=e.when("TU").loc[new.index]).dropna(subset="ADT")
    new = new[e.date_of(new, "start") < new.ADT]
    reported, days = _reported(e).dropna(subset="ADT"), e.rules.assessment_window_days
    progressed = reported[reported.AVALC.eq("PD")]
    first = new.USUBJID.map(progressed.groupby("USUBJID").ADT.min()).astype("datetime64[ns]")
    answered = _near(new, reported, days) & ~_near(new, progressed, days)
    rows = new[answered & ~(first < new.ADT)]
    return found_in("TU", rows, "new lesion {} on {}, no PD reported", rows.TULNKID, day(rows.ADT))


@query(
    "RESPONSE_WITHOUT_SCAN",
    "warning",
    "a reported overall response, other than NE, without any lesion record of that assessment",
    "add the lesion records or correct the date of the response",
)
def _response_without_scan(e: Evidence) -> pd.DataFrame:
    scanned = set(e.reads("TR").USUBJID) | set(e.reads("TU").USUBJID)
    rows = _reported(e)
    rows = rows[rows.USUBJID.isin(scanned) & rows.ADT.notna() & rows.AVALC.ne("NE")]
    scans = [e.reads(name)[["USUBJID"]].assign(ADT=e.when(name)) for name in ("TR", "TU")]
    scans = pd.concat([scan for scan in scans if len(scan)] or scans)
    lost = rows[~_near(rows, scans, e.rules.assessment_window_days)]
    records = e.sdtm["RS"].loc[lost.index]
    text = "{} on {}, no lesion record within {} days"
    days = pd.Series(e.rules.assessment_window_days, index=lost.index)
    return found_in("RS", records, text, lost.AVALC, day(lost.ADT), days)


@query(
    "SCAN_WITHOUT_RESPONSE",
    "warning",
    "an assessment of lesions after time zero without a reported overall response",
    "add the overall response of the assessment",
)
def _scan_without_response(e: Evidence) -> pd.DataFrame:
    reported = _reported(e)
    rows = e.adrs[e.adrs.PARAMCD.eq("OVRLRESP") & e.adrs.USUBJID.isin(reported.USUBJID)].dropna(subset="ADT")
    lost = rows[~_near(rows, reported, e.rules.assessment_window_days)]
    text = phrase("lesions assessed on {} (derived {}), no response", day(lost.ADT), lost.AVALC)
    return list_rows(lost, "RS", phrase("RSDTC {}", day(lost.ADT)), text)


@query(
    "PROGRESSION_NOT_DOCUMENTED",
    "warning",
    "a stop for progression that no scan shows, by then or within one assessment",
    "add the scan that shows it; without one the plan's rule on clinical progression applies",
)
def _not_documented(e: Evidence) -> pd.DataFrame:
    stops = e.adrs[e.adrs.PARAMCD.eq("CLINPD")]
    shown = e.adrs[e.adrs.PARAMCD.isin(["OVRLRESP", "RSREP"]) & e.adrs.AVALC.eq("PD")]
    first = stops.USUBJID.map(shown.groupby("USUBJID").ADT.min()).astype("datetime64[ns]")
    late = first > stops.ADT + pd.Timedelta(days=e.rules.assessment_window_days)
    rows = stops[first.isna() | late]
    return list_rows(
        rows, "DS", "DSDECOD", phrase("stopped for progression on {}, no PD by then", day(rows.ADT))
    )


@query(
    "ASSESSMENT_GAP",
    "note",
    "two or more planned assessments missed between two assessments",
    "add the missing assessments if they were made: an event after such a gap is censored",
)
def _gap(e: Evidence) -> pd.DataFrame:
    rows = e.adrs[e.adrs.PARAMCD.eq(responses.response_parameter(e.rules)) & e.adrs.AVALC.ne("NE")]
    rows = rows[["USUBJID", "ADT"]].dropna().drop_duplicates().sort_values(["USUBJID", "ADT"])
    before = rows.groupby("USUBJID").ADT.shift().fillna(e.date_of(rows, "start"))
    gap = (rows.ADT - before).dt.days
    wide = rows[gap > 2 * 7 * e.rules.interval_weeks + 2 * e.rules.window_days]
    text = phrase("{:g} days since {}", gap.loc[wide.index], day(before.loc[wide.index]))
    return list_rows(wide, "ADRS", phrase("assessment of {}", day(wide.ADT)), text)
