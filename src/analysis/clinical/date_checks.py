"""Data checks of dates: what was written, how it was filled, and whether its order can be true."""

from __future__ import annotations

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
    phrase,
    query,
    record_ids,
)
from analysis.clinical.terms import upper

_PARTIAL = (dates.NO_DAY, dates.NO_MONTH)
_PERIODS = (
    ("AE", "AESTDTC", "AEENDTC"),
    ("EX", "EXSTDTC", "EXENDTC"),
    ("CM", "CMSTDTC", "CMENDTC"),
    ("SV", "SVSTDTC", "SVENDTC"),
)
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
        pieces.append(found_in(domain, rows, f"{name} {{}} {message}", rows[name]))
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


# --- partial dates: which rule filled them ------------------------------------------------------------------


def _uses(e: Evidence, domain: str, name: str, rows: pd.DataFrame) -> pd.Series:
    """Return the use each date is filled for; empty where no derivation reads it."""
    alive = "contact" if name in e.rules.last_alive_sources[e.rules.endpoint_rules] else ""
    if name == f"{domain}DTC" and domain in TUMOUR_DOMAINS:
        return pd.Series("assessment", index=rows.index)
    if (domain, name) == ("DM", "DTHDTC"):
        return pd.Series("death", index=rows.index)
    use = pd.Series("dose" if domain == "EX" else alive, index=rows.index)
    if name == "CMSTDTC":
        use[upper(rows.CMCAT).isin(e.rules.new_therapy_categories).fillna(False)] = "therapy"
    if name == "DSSTDTC":
        use[upper(rows.DSDECOD).isin(e.rules.progression_terms).fillna(False)] = "event"
    return use


def _filled(e: Evidence, domain: str, name: str, use: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Fill the dates as the derivations do, with the bounds of that use."""
    if use == "assessment":
        return subjects.assessment_dates(e.sdtm, domain, e.rules, rows)
    died = None
    if use == "contact" and e.rules.endpoint_rules == "pearl":
        died = rows.USUBJID.map(subjects.known_deaths(e.sdtm["DM"])).astype("datetime64[ns]")
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
    rows = e.sdtm[domain][e.parsed(domain, name).STATUS.isin(_PARTIAL)]
    pieces = []
    for use, some in rows.groupby(_uses(e, domain, name, rows)):
        rule = e.rules.imputation.get(use, "none")
        filled = _filled(e, domain, name, use, some)
        free = dates.impute_dates(some[name], rule).DATE
        piece = pd.DataFrame(
            {"USUBJID": some.USUBJID, "RECORD": record_ids(domain, some), "TEXT": some[name]}
        )
        piece["DATE"], piece["FLAG"], piece["FREE"] = filled.DATE, filled.FLAG, free
        pieces.append(piece.assign(DOMAIN=domain, NAME=name, USE=use, RULE=rule))
    return pd.concat(pieces) if pieces else pd.DataFrame()


def _partials(e: Evidence) -> pd.DataFrame:
    """List every partial date with the rule that fills it: TEXT USE RULE DATE FLAG FREE (no bounds)."""
    names = [*FOUND[:3], "NAME", "TEXT", "USE", "RULE", "DATE", "FLAG", "FREE"]
    pieces = [_fill(e, domain, name) for domain, name in _date_columns(e)]
    kept = [piece for piece in pieces if len(piece)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=names)


def _list_partials(e: Evidence, wanted) -> pd.DataFrame:
    rows = e.keep("partials", lambda: _partials(e))
    rows = rows[wanted(rows)]
    if rows.empty:
        return rows.reindex(columns=FOUND)
    filled = phrase("filled by {} as {}, flag {}", rows.RULE, day(pd.to_datetime(rows.DATE)), rows.FLAG)
    kept = phrase("not filled (rule {}): the record has no date", rows.RULE)
    how = filled.where(rows.DATE.notna(), kept).where(rows.USE.ne(""), "not used by a derivation")
    text = phrase("{} {} ({}) {}", rows.NAME, rows.TEXT, rows.USE.replace("", "no use"), how)
    return list_rows(rows, rows.DOMAIN, rows.RECORD, text)


@query(
    "DATE_PARTIAL", "note", "a partial date, with the rule that fills it, the result and its flag", _FILLED
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
    return _list_partials(e, lambda rows: rows.USE.eq("assessment"))


@query(
    "DEATH_DATE_PARTIAL",
    "warning",
    "a partial date of death: the fill moves overall survival",
    "give the day of death if the source has it",
)
def _partial_death(e: Evidence) -> pd.DataFrame:
    return _list_partials(e, lambda rows: rows.USE.eq("death"))


@query(
    "FILLED_DATE_BOUNDED",
    "note",
    "a filled date that was kept from crossing the first dose or the last contact",
    _FILLED,
)
def _bounded(e: Evidence) -> pd.DataFrame:
    rows = e.keep("partials", lambda: _partials(e))
    rows = rows[rows.DATE.notna() & rows.DATE.ne(rows.FREE)]
    taken, free = (day(pd.to_datetime(rows[name])) for name in ("DATE", "FREE"))
    text = phrase(
        "{} {} is {}, not {} as {} alone would fill it", rows.NAME, rows.TEXT, taken, free, rows.RULE
    )
    return list_rows(rows, rows.DOMAIN, rows.RECORD, text)


@query(
    "FIRST_DOSE_PARTIAL",
    "error",
    "a partial date that may be the first dose",
    "give the day of first dose: it is time zero and is never filled",
)
def _first_dose(e: Evidence) -> pd.DataFrame:
    ex = e.sdtm["EX"]
    given = ex[pd.to_numeric(ex.EXDOSE, errors="coerce").gt(0)]
    parsed = e.parsed("EX", "EXSTDTC").loc[given.index]
    rows = given[parsed.STATUS.isin(_PARTIAL) & ~(e.date_of(given, "TRTSDT") < parsed.FIRST)]
    return found_in("EX", rows, "EXSTDTC {} is partial and may be the first dose", rows.EXSTDTC)


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
    "ASSESSMENT_AFTER_DEATH",
    "error",
    "a tumour assessment after the date of death",
    "check the scan date and the date of death",
)
def _assessed_after_death(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain in TUMOUR_DOMAINS:
        frame = e.sdtm[domain]
        death = e.date_of(frame, "DTHDT")
        rows = frame[death < e.parsed(domain, f"{domain}DTC").FIRST]  # a filled date proves nothing
        text = f"{domain}DTC {{}}, death on {{}}"
        pieces.append(found_in(domain, rows, text, rows[f"{domain}DTC"], day(death.loc[rows.index])))
    return join_rows(pieces)


@query(
    "AFTER_CUTOFF",
    "note",
    "a death, response, therapy or contact after the data cut-off, the first of a subject and kind",
    "none: what lies after the data cut-off does not enter",
)
def _after_cutoff(e: Evidence) -> pd.DataFrame:
    cut = responses.cutoff_dates(e.adsl, e.rules)
    kinds = {
        name: e.adsl[["USUBJID", name]].set_axis(["USUBJID", "ADT"], axis=1)
        for name in ("DTHDT", "LSTALVDT", "NACTDT")
    }
    for name in ("OVRLRESP", "RSREP"):
        kinds[name] = e.adrs[e.adrs.PARAMCD.eq(name)][["USUBJID", "ADT"]]
    pieces = []
    for name, frame in kinds.items():
        last = frame.USUBJID.map(cut).astype("datetime64[ns]")
        rows = frame[last < frame.ADT].sort_values("ADT").drop_duplicates("USUBJID")
        text = phrase(f"{name} on {{}}, data cut-off {{}}", day(rows.ADT), day(last.loc[rows.index]))
        pieces.append(list_rows(rows, "ADSL" if name in e.adsl else "ADRS", name, text))
    return join_rows(pieces)
