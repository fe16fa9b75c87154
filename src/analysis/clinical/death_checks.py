"""Data checks of death and survival: what the domains say of it, and what cannot follow it."""

from __future__ import annotations

import pandas as pd

from analysis.clinical import subjects
from analysis.clinical.checks import (
    FOUND,
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
from analysis.clinical.domain_checks import found_dates
from analysis.clinical.terms import has_word, to_number, upper


def latest_deaths(e: Evidence, frame: pd.DataFrame) -> pd.DataFrame:
    """Return DTHDTC and LAST, the last day it can mean, for each row: a filled day proves nothing."""
    dm = e.sdtm["DM"]
    stated = pd.DataFrame({"DTHDTC": dm.DTHDTC, "LAST": e.parsed("DM", "DTHDTC").LAST}).set_index(dm.USUBJID)
    return stated.reindex(frame.USUBJID).set_index(frame.index)


def is_fatal(ae: pd.DataFrame) -> pd.Series:
    """Tell which adverse events ended in death."""
    fatal = has_word(column(ae, "AEOUT"), ["FATAL"]) & ~has_word(
        column(ae, "AEOUT"), ["NOT FATAL", "NON-FATAL"]
    )
    return fatal | upper(column(ae, "AESDTH")).eq("Y").fillna(False).astype(bool)


@query(
    "DEATH_BEFORE_CONTACT",
    "error",
    "a contact after the date of death",
    "check the date of death against the later record",
)
def _death_before_contact(e: Evidence) -> pd.DataFrame:
    pieces = []
    for name in e.rules.last_alive_sources[e.rules.endpoint_rules]:
        if name[:2] in (*TUMOUR_DOMAINS, "EX"):  # other queries
            continue
        counts = subjects.contact_dates(e.sdtm, name, e.rules).dropna().index
        frame = e.sdtm[name[:2]].loc[counts]
        contact = frame.assign(FIRST=e.parsed(name[:2], name).FIRST.loc[counts])
        last = contact.sort_values("FIRST").drop_duplicates("USUBJID", keep="last")
        death = latest_deaths(e, last)
        rows = last[death.LAST < last.FIRST]
        text = f"{name} {{}}, death on {{}}"
        pieces.append(
            found_in(name[:2], rows.drop(columns="FIRST"), text, rows[name], death.DTHDTC[rows.index])
        )
    return join_rows(pieces)


@query(
    "DEATH_WITHOUT_DATE",
    "error",
    "a subject flagged dead without a usable date of death",
    "give the date of death",
)
def _death_without_date(e: Evidence) -> pd.DataFrame:
    rows = e.adsl[e.adsl.DTHFL.eq("Y") & e.adsl.DTHDT.isna()]
    stated = rows.USUBJID.map(e.sdtm["DM"].set_index("USUBJID").DTHDTC).fillna("empty")
    return list_rows(rows, "DM", "DTHDTC", phrase("DTHFL is Y, DTHDTC is {}", stated))


@query(
    "DEATH_FLAG_DIFFERS",
    "warning",
    "a date of death without DTHFL Y in a study that fills DTHFL",
    "complete DTHFL or remove the date; the subject counts as dead",
)
def _death_flag(e: Evidence) -> pd.DataFrame:
    dm = e.sdtm["DM"]
    rows = dm[dm.DTHDTC.notna() & upper(dm.DTHFL).ne("Y").fillna(True) & dm.DTHFL.notna().any()]
    return list_rows(
        rows, "DM", "DTHFL", phrase("DTHFL {}, DTHDTC {}", rows.DTHFL.fillna("empty"), rows.DTHDTC)
    )


def _recorded_deaths(e: Evidence) -> pd.DataFrame:
    """List the records of other domains that say a subject died: USUBJID DOMAIN RECORD TEXT FIRST LAST."""
    ds, ss, ae = (e.sdtm[domain] for domain in ("DS", "SS", "AE"))
    status = upper(ss.SSSTRESC.fillna(ss.SSORRES))
    said = {
        ("DS", "DSSTDTC"): (ds[upper(ds.DSDECOD).eq("DEATH").fillna(False)], "DSDECOD DEATH"),
        ("SS", ""): (ss[status.isin(e.rules.dead_terms).fillna(False)], "survival status dead"),
        ("AE", "AEENDTC"): (ae[is_fatal(ae)], "a fatal outcome"),
    }
    pieces = []
    for (domain, name), (rows, text) in said.items():
        piece = found_in(domain, rows, text, rows.USUBJID)
        if name and len(piece):
            parsed = e.parsed(domain, name).loc[rows.index]
            dated = ~has_word(column(rows, "DSSCAT"), e.rules.treatment_end_words)
            for end in ("FIRST", "LAST"):
                piece[end] = parsed[end].where(dated).to_numpy()
        pieces.append(piece)
    deaths = join_rows(pieces).reindex(columns=[*FOUND, "FIRST", "LAST"])
    return deaths.astype({"FIRST": "datetime64[ns]", "LAST": "datetime64[ns]"})


@query(
    "DEATH_NOT_IN_DM",
    "error",
    "a death recorded in DS, SS or AE and not in DM",
    "complete DTHFL and DTHDTC in DM: without them the death is no event",
)
def _death_not_in_dm(e: Evidence) -> pd.DataFrame:
    deaths = _recorded_deaths(e).drop_duplicates(["USUBJID", "DOMAIN"])
    dead = e.adsl[e.adsl.DTHFL.eq("Y")].USUBJID
    rows = deaths[deaths.USUBJID.isin(e.adsl.USUBJID) & ~deaths.USUBJID.isin(dead)]
    text = rows.MESSAGE.astype(str) + ", DM has no death"
    return list_rows(rows, rows.DOMAIN, rows.RECORD, text)


@query(
    "DEATH_ONLY_IN_DM",
    "warning",
    "a death in DM that neither DS, SS nor AE records, in a study whose DS records deaths",
    "check the death in DM, or add the disposition",
)
def _death_only_in_dm(e: Evidence) -> pd.DataFrame:
    deaths = _recorded_deaths(e)
    if not deaths.DOMAIN.eq("DS").any():
        return no_rows()
    rows = e.adsl[e.adsl.DTHFL.eq("Y") & ~e.adsl.USUBJID.isin(deaths.USUBJID)]
    return list_rows(rows, "DM", "DTHDTC", phrase("death on {}, only in DM", day(rows.DTHDT)))


@query(
    "DEATH_DATES_DIFFER",
    "warning",
    "a death in DS, or an adverse event with a fatal outcome that ends, on another day than DTHDTC",
    "check both dates; that of DM counts",
)
def _death_dates(e: Evidence) -> pd.DataFrame:
    deaths = _recorded_deaths(e).dropna(subset="FIRST")
    dm = e.sdtm["DM"].assign(EARLY=e.parsed("DM", "DTHDTC").FIRST, LATE=e.parsed("DM", "DTHDTC").LAST)
    both = deaths.merge(dm[["USUBJID", "DTHDTC", "EARLY", "LATE"]].dropna(), on="USUBJID", validate="m:1")
    rows = both[(both.LATE < both.FIRST) | (both.LAST < both.EARLY)]
    text = phrase("death on {}, DTHDTC {}", day(rows.FIRST), rows.DTHDTC)
    return list_rows(rows, rows.DOMAIN, rows.RECORD, text)


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
        name, death = f"{domain}DTC", latest_deaths(e, frame)
        rows = frame[death.LAST < e.parsed(domain, name).FIRST]  # a filled date proves nothing
        pieces.append(
            found_dates(e, domain, name, rows, f"{name} {{}}, death on {{}}", rows[name], death.DTHDTC)
        )
    return join_rows(pieces)


@query(
    "DOSE_AFTER_DEATH", "error", "a dose after the date of death", "check the dates of the dose and of death"
)
def _dose_after_death(e: Evidence) -> pd.DataFrame:
    ex = e.sdtm["EX"]
    death = latest_deaths(e, ex)
    ends = pd.concat([e.parsed("EX", "EXSTDTC").FIRST, e.parsed("EX", "EXENDTC").FIRST], axis=1).max(axis=1)
    rows = ex[(ends > death.LAST) & to_number(ex.EXDOSE).gt(0)]
    return found_in(
        "EX", rows, "a dose on {}, death on {}", day(ends.loc[rows.index]), death.DTHDTC[rows.index]
    )


@query(
    "LAST_ALIVE_BEFORE_START",
    "warning",
    "a subject last known alive before time zero",
    "add a contact after time zero",
)
def _alive_before_start(e: Evidence) -> pd.DataFrame:
    start = e.date_of(e.adsl, "start")
    rows = e.adsl[start > e.adsl.LSTALVDT]
    text = phrase("last known alive on {}, time zero {}", day(rows.LSTALVDT), day(start.loc[rows.index]))
    return list_rows(rows, "ADSL", "LSTALVDT", text)


@query("PFS_AFTER_OS", "warning", "PFS that ends after OS", "check the date last known alive")
def _pfs_after_os(e: Evidence) -> pd.DataFrame:
    ends = {name: e.adtte[e.adtte.PARAMCD.eq(name)].set_index("USUBJID").AVAL for name in ("PFS", "OS")}
    rows = pd.DataFrame(ends).reset_index(names="USUBJID")
    rows = rows[rows.PFS.gt(rows.OS)]
    return list_rows(rows, "ADTTE", "PFS", phrase("PFS {:g} days, OS {:g} days", rows.PFS, rows.OS))
