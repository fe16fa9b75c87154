"""Data checks of dates: what was written, how it was filled, and whether its order can be true."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical import dates, responses, subjects
from analysis.clinical.checks import (
    FOUND,
    TUMOUR_DOMAINS,
    Evidence,
    day,
    found_in,
    join_rows,
    list_rows,
    no_rows,
    phrase,
    query,
    record_ids,
)
from analysis.clinical.death_checks import is_fatal
from analysis.clinical.domain_checks import found_dates, how_many
from analysis.clinical.terms import is_word, to_number

_PARTIAL = (dates.NO_DAY, dates.NO_MONTH)
_PERIODS = (
    ("AE", "AESTDTC", "AEENDTC"),
    ("EX", "EXSTDTC", "EXENDTC"),
    ("CM", "CMSTDTC", "CMENDTC"),
    ("SV", "SVSTDTC", "SVENDTC"),
)
_KINDS = {
    "DTHDT": "death",
    "LSTALVDT": "last contact",
    "NACTDT": "new therapy",
    "OVRLRESP": "response",
    "RSREP": "reported response",
}
_FILLED = "complete the date if the source has it"


def _date_columns(e: Evidence) -> list[tuple[str, str]]:
    return [
        (domain, name)
        for domain, frame in e.sdtm.items()
        for name in frame.columns
        if name.endswith("DTC") and len(frame)
    ]


def _dates_with(e: Evidence, status: str, message: str) -> pd.DataFrame:
    pieces = []
    for domain, name in _date_columns(e):
        rows = e.sdtm[domain][e.parsed(domain, name).STATUS.eq(status)]
        pieces.append(found_dates(e, domain, name, rows, f"{name} {{}} {message}", rows[name]))
    return join_rows(pieces)


@query(
    "DATE_IMPOSSIBLE",
    "error",
    "a date that is not in the calendar",
    "give the day that was meant; the record has no date until then",
)
def _impossible(e: Evidence) -> pd.DataFrame:
    return _dates_with(e, dates.IMPOSSIBLE, "does not exist")


@query("DATE_NOT_ISO", "error", "a date that is not ISO 8601", "write the date as YYYY-MM-DD")
def _not_iso(e: Evidence) -> pd.DataFrame:
    return _dates_with(e, dates.NOT_ISO, "is not ISO 8601")


# --- partial dates: those that a derivation reads and that could change it ----------------------------------


def _uses(e: Evidence, domain: str, name: str, rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Tell for each use which of the partial dates could change what is derived, first use first."""
    if name == f"{domain}DTC" and domain in TUMOUR_DOMAINS:
        return {"assessment": rows.index.isin(e.reads(domain).index)}
    if (domain, name) == ("DM", "DTHDTC"):
        return {"death": rows.USUBJID.notna()}
    period, uses = e.parsed(domain, name).loc[rows.index], {}
    if name == "CMSTDTC":
        uses["therapy"] = _moves_therapy(e, rows, period)
    if name == "DSSTDTC":
        uses["event"] = is_word(rows.DSDECOD, e.rules.progression_terms)
        registers = is_word(rows.DSDECOD, e.rules.enrolment_terms[e.rules.endpoint_rules])
        uses["enrolment"] = registers & ~e.date_of(rows, "ENRLDT").le(period.FIRST)
    if name in ("EXSTDTC", "EXENDTC"):
        uses["dose"] = _moves_last_dose(e, name, rows, period)
    elif name in e.rules.last_alive_sources[e.rules.endpoint_rules]:
        uses["contact"] = _moves_contact(e, name, rows, period)
    known = rows.USUBJID.isin(e.adsl.USUBJID)
    return {use: known & could for use, could in uses.items()}


def _moves_therapy(e: Evidence, rows: pd.DataFrame, period: pd.DataFrame) -> pd.Series:
    first, start = e.date_of(rows, "NACTDT"), e.date_of(rows, "TRTSDT")
    earliest = pd.concat([period.FIRST, start], axis=1).max(axis=1)
    new = is_word(rows.CMCAT, e.rules.new_therapy_categories)
    return new & ~period.LAST.lt(start) & ~earliest.gt(first)


def _moves_last_dose(e: Evidence, name: str, rows: pd.DataFrame, period: pd.DataFrame) -> pd.Series:
    given = rows.index.isin(subjects.contact_dates(e.sdtm, name, e.rules).index)
    asked = rows.index.isin(_maybe_first_dose(e).index) & (name == "EXSTDTC")  # FIRST_DOSE_PARTIAL
    return given & ~asked & ~period.LAST.le(e.date_of(rows, "TRTEDT"))


def _moves_contact(e: Evidence, name: str, rows: pd.DataFrame, period: pd.DataFrame) -> pd.Series:
    counts = rows.index.isin(subjects.contact_dates(e.sdtm, name, e.rules).index)
    if name == "AEENDTC":  # the end of a fatal event is the death, which is asked about in DM
        counts &= ~is_fatal(rows)
    latest = period.LAST
    if e.rules.endpoint_rules == "pearl":  # filling stops at a known death
        latest = pd.concat([latest, _known_death(e, rows)], axis=1).min(axis=1)
    return counts & ~latest.le(e.date_of(rows, "LSTALVDT"))


def _known_death(e: Evidence, rows: pd.DataFrame) -> pd.Series:
    return rows.USUBJID.map(subjects.known_deaths(e.sdtm["DM"])).astype("datetime64[ns]")


def _filled(e: Evidence, domain: str, name: str, use: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill the dates as the derivations do, with the bounds of that use."""
    if use == "assessment":
        return subjects.assessment_dates(e.sdtm, domain, e.rules, rows)
    died = None
    if use == "contact" and e.rules.endpoint_rules == "pearl":
        died = _known_death(e, rows)
    rule = e.rules.imputation.get(use, "none")
    return dates.impute_dates(rows[name], rule, not_before=_bounds(e, use, rows), not_after=died)


def _bounds(e: Evidence, use: str, rows: pd.DataFrame) -> pd.Series | None:
    """Return the date that filling does not go below, as the derivations set it."""
    if use == "therapy" or (use == "contact" and e.rules.endpoint_rules == "pearl"):
        return e.date_of(rows, "TRTSDT")
    if use == "death" and e.rules.endpoint_rules == "pearl":
        return pd.concat([e.date_of(rows, "LSTALVDT"), e.date_of(rows, "TRTSDT")], axis=1).max(axis=1)
    return None


def _fill(e: Evidence, domain: str, name: str) -> pd.DataFrame:
    status = e.parsed(domain, name).STATUS
    rows = e.sdtm[domain][status.isin(_PARTIAL)]
    pieces = []
    for use, could in _uses(e, domain, name, rows).items() if len(rows) else ():
        some = rows[could]
        filled = _filled(e, domain, name, use, some)
        piece = pd.DataFrame(
            {"USUBJID": some.USUBJID, "RECORD": record_ids(domain, some), "TEXT": some[name]}
        )
        piece["DATE"], piece["FLAG"], piece["STATUS"] = filled.DATE, filled.FLAG, status.loc[some.index]
        piece["FREE"] = dates.impute_dates(some[name], e.rules.imputation.get(use, "none")).DATE
        pieces.append(piece.assign(DOMAIN=domain, NAME=name, USE=use))
        rows = rows[~could]
        if rows.empty:
            break
    kept = [piece for piece in pieces if len(piece)]
    return pd.concat(kept) if kept else pd.DataFrame()


def _partials(e: Evidence) -> pd.DataFrame:
    """List the partial dates that matter: TEXT STATUS USE DATE FLAG FREE (as filled without bounds)."""
    names = [*FOUND[:3], "NAME", "TEXT", "STATUS", "USE", "DATE", "FLAG", "FREE"]
    pieces = [_fill(e, domain, name) for domain, name in _date_columns(e)]
    kept = [piece for piece in pieces if len(piece)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=names)


def _list_partials(e: Evidence, wanted) -> pd.DataFrame:
    rows = e.keep("partials", lambda: _partials(e))
    rows = rows[wanted(rows)]
    if rows.empty:
        return rows.reindex(columns=FOUND)
    date, free = pd.to_datetime(rows.DATE), pd.to_datetime(rows.FREE)
    to_contact = rows.USE.eq("death") & date.eq(e.date_of(rows, "LSTALVDT"))
    to_death = date.eq(_known_death(e, rows))
    bound = np.select([to_contact, to_death], ["the last contact", "the date of death"], "the first dose")
    taken = phrase("taken as {} (flag {})", day(date), rows.FLAG)
    moved = phrase("moved to {}, {} (flag {})", day(date), pd.Series(bound, index=rows.index), rows.FLAG)
    how = taken.where(date.eq(free), moved).where(date.notna(), "not filled: the record has no date")
    text = phrase("{} {} has {}; {}", rows.NAME, rows.TEXT, rows.STATUS, how)
    return list_rows(rows, rows.DOMAIN, rows.RECORD, text)


@query(
    "DATE_PARTIAL",
    "note",
    "a partial date that is used and whose missing part could change a result, with what it was taken as",
    _FILLED,
)
def _partial(e: Evidence) -> pd.DataFrame:
    return _list_partials(e, lambda rows: ~rows.USE.isin(["assessment", "death"]))


@query(
    "SCAN_DATE_PARTIAL",
    "warning",
    "a partial date of a scan or response: the fill may move a progression",
    "give the day of the scan",
)
def _partial_scan(e: Evidence) -> pd.DataFrame:
    found = _list_partials(e, lambda rows: rows.USE.eq("assessment"))
    keys = ["USUBJID", "DOMAIN", "MESSAGE"]
    first = found[~found.duplicated(keys)]  # once a scan, not once a lesion
    count = found.groupby(keys).MESSAGE.transform("size").loc[first.index]
    return first.assign(MESSAGE=first.MESSAGE + how_many(count)) if len(first) else first


@query(
    "DEATH_DATE_PARTIAL",
    "warning",
    "a partial date of death: the fill moves overall survival",
    "give the day of death if the source has it",
)
def _partial_death(e: Evidence) -> pd.DataFrame:
    return _list_partials(e, lambda rows: rows.USE.eq("death"))


@query(
    "FIRST_DOSE_PARTIAL",
    "error",
    "a partial date that may be the first dose",
    "give the day of first dose: it is time zero and is never filled",
)
def _first_dose(e: Evidence) -> pd.DataFrame:
    rows = _maybe_first_dose(e)
    return found_in("EX", rows, "EXSTDTC {} is partial and may be the first dose", rows.EXSTDTC)


def _maybe_first_dose(e: Evidence) -> pd.DataFrame:
    ex = e.sdtm["EX"]
    given = ex[to_number(ex.EXDOSE).gt(0)]
    parsed = e.parsed("EX", "EXSTDTC").loc[given.index]
    return given[parsed.STATUS.isin(_PARTIAL) & ~(e.date_of(given, "TRTSDT") < parsed.FIRST)]


# --- order --------------------------------------------------------------------------------------------------


@query("END_BEFORE_START", "error", "an end date before the start date", "check both dates")
def _end_before_start(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain, first, last in _PERIODS:
        frame = e.sdtm[domain]
        if len(frame) and {first, last} <= set(frame):
            rows = frame[e.parsed(domain, last).LAST < e.parsed(domain, first).FIRST]
            text = f"{first} {{}}, {last} {{}}"
            pieces.append(found_in(domain, rows, text, rows[first], rows[last]))
    return join_rows(pieces)


@query(
    "AFTER_CUTOFF",
    "note",
    "a death, response, therapy or contact after the data cut-off, once a subject",
    "none: no event or response after the data cut-off enters; a later contact proves life on the cut-off",
)
def _after_cutoff(e: Evidence) -> pd.DataFrame:
    cut = responses.cutoff_dates(e.adsl, e.rules)
    kinds = {
        name: e.adsl[["USUBJID", name]].set_axis(["USUBJID", "ADT"], axis=1)
        for name in ("DTHDT", "LSTALVDT", "NACTDT")
    }
    for name in ("OVRLRESP", "RSREP"):
        kinds[name] = e.adrs[e.adrs.PARAMCD.eq(name)][["USUBJID", "ADT"]]
    every = []
    for name, frame in kinds.items():
        last = frame.USUBJID.map(cut).astype("datetime64[ns]")
        rows = frame[last < frame.ADT].sort_values("ADT").drop_duplicates("USUBJID")
        every.append(rows.assign(NAME=name, CUT=last, TEXT=phrase(f"{_KINDS[name]} {{}}", day(rows.ADT))))
    every = pd.concat(every)
    if every.empty:
        return no_rows()
    found = every.groupby("USUBJID", as_index=False).agg(
        {"TEXT": ", ".join, "NAME": " ".join, "CUT": "first"}
    )
    text = phrase("after the data cut-off of {}: {}", day(found.CUT), found.TEXT)
    return list_rows(found, "ADSL", found.NAME, text)


@query(
    "DATE_FAR_AFTER_CUTOFF",
    "warning",
    "a date so long after the data cut-off that it looks mistyped",
    "check the year; the date proves life on the cut-off until it is corrected",
)
def _far_after_cutoff(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain, name in _date_columns(e):
        frame = e.sdtm[domain]
        limit = e.date_of(frame, "DCUTDT") + pd.Timedelta(days=e.rules.far_after_cutoff_days)
        rows = frame[limit < e.parsed(domain, name).FIRST]
        pieces.append(found_dates(e, domain, name, rows, f"{name} {{}}", rows[name]))
    return join_rows(pieces)
