"""The data checks of subjects, dates and responses.

Each takes the evidence and returns USUBJID, DOMAIN, RECORD, MESSAGE of what it found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis import plan as plans
from analysis.clinical import dates, lesions, responses, subjects

FOUND = ["USUBJID", "DOMAIN", "RECORD", "MESSAGE"]


@dataclass(frozen=True)
class Evidence:
    """What a check may look at: raw domains, derived tables, the plan."""

    sdtm: Mapping[str, pd.DataFrame]
    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    adtte: pd.DataFrame
    plan: plans.Plan | None

    @property
    def rules(self):
        """Section `clinical` of the plan."""
        return self.plan.clinical


def list_rows(rows: pd.DataFrame, domain, record, message) -> pd.DataFrame:
    """Return one finding for every row."""
    columns = {"USUBJID": rows.USUBJID, "DOMAIN": domain, "RECORD": record, "MESSAGE": message}
    return pd.DataFrame(columns, index=rows.index).reset_index(drop=True)


def no_rows() -> pd.DataFrame:
    """Return no finding."""
    return pd.DataFrame(columns=FOUND)


def join_rows(pieces: list[pd.DataFrame]) -> pd.DataFrame:
    """Put findings together."""
    kept = [piece for piece in pieces if len(piece)]
    return pd.concat(kept, ignore_index=True) if kept else no_rows()


def record_ids(domain: str, frame: pd.DataFrame) -> pd.Series:
    """Name each record by its sequence number, empty where the domain has none."""
    sequence = f"{domain}SEQ"
    if sequence not in frame:
        return pd.Series("", index=frame.index)
    return phrase(sequence + " {}", frame[sequence].fillna("?"))


def phrase(template: str, *columns: pd.Series) -> pd.Series:
    """Fill a message row by row."""
    text = [template.format(*values) for values in zip(*columns)]
    return pd.Series(text, index=columns[0].index, dtype=object)


def upper(values: pd.Series) -> pd.Series:
    """Return text in upper case; missing stays missing."""
    return values.astype("string").str.upper()


# --- subjects -----------------------------------------------------------------------------------------------


def not_in_dm(e: Evidence) -> pd.DataFrame:
    """Find subjects of other domains who are not in DM, once a domain."""
    known = set(e.sdtm["DM"].USUBJID)
    pieces = []
    for domain, frame in e.sdtm.items():
        strange = frame[~frame.USUBJID.isin(known)]
        count = strange.groupby("USUBJID").size().rename("N").reset_index()
        if len(count):
            pieces.append(
                list_rows(count, domain, "", phrase("{} record(s) of a subject who is not in DM", count.N))
            )
    return join_rows(pieces)


def treated_screen_failure(e: Evidence) -> pd.DataFrame:
    """Find screen failures with a dose."""
    arm = upper(e.sdtm["DM"].set_index("USUBJID").ARMCD)
    rows = e.adsl[
        e.adsl.TRTSDT.notna() & e.adsl.USUBJID.map(arm).astype("string").str.startswith("SCR").fillna(False)
    ]
    return list_rows(rows, "DM", "ARMCD", "a screen failure with a dose above 0")


# --- dates --------------------------------------------------------------------------------------------------


def _date_columns(sdtm) -> list[tuple[str, str]]:
    return [
        (domain, name) for domain, frame in sdtm.items() for name in frame.columns if name.endswith("DTC")
    ]


def _dates_with(e: Evidence, status: tuple[str, ...], message: str) -> pd.DataFrame:
    pieces = []
    for domain, name in _date_columns(e.sdtm):
        frame = e.sdtm[domain]
        if frame.empty:
            continue
        rows = frame[dates.parse_dates(frame[name]).STATUS.isin(status)]
        if len(rows):
            pieces.append(
                list_rows(
                    rows, domain, record_ids(domain, rows), phrase(f"{name} {{}} {message}", rows[name])
                )
            )
    return join_rows(pieces)


def impossible(e: Evidence) -> pd.DataFrame:
    """Find dates of the calendar's thirty-first of February kind."""
    return _dates_with(e, (dates.IMPOSSIBLE,), "does not exist")


def not_iso(e: Evidence) -> pd.DataFrame:
    """Find dates that are not ISO 8601."""
    return _dates_with(e, (dates.NOT_ISO,), "is not ISO 8601")


def partial(e: Evidence) -> pd.DataFrame:
    """List partial dates; each is filled by the rule of its use, or left out where the rule says so."""
    rules = ", ".join(f"{use} {rule}" for use, rule in sorted(e.rules.imputation.items()))
    return _dates_with(e, (dates.NO_DAY, dates.NO_MONTH), f"is partial (filled by use: {rules})")


def first_dose(e: Evidence) -> pd.DataFrame:
    """Find treated subjects whose earliest dose record has no complete date."""
    ex = e.sdtm["EX"]
    given = ex[pd.to_numeric(ex.EXDOSE, errors="coerce").gt(0)]
    parsed = dates.parse_dates(given.EXSTDTC)
    partial_start = parsed.STATUS.isin([dates.NO_DAY, dates.NO_MONTH])
    earliest = given.USUBJID.map(e.adsl.set_index("USUBJID").TRTSDT).astype("datetime64[ns]")
    rows = given[partial_start & ~(earliest < parsed.FIRST)]
    return list_rows(rows, "EX", record_ids("EX", rows), "EXSTDTC is partial and may be the first dose")


def _death(e: Evidence) -> pd.Series:
    return e.adsl.set_index("USUBJID").DTHDT


def death_before_contact(e: Evidence) -> pd.DataFrame:
    """Find contacts after death, one a subject and source, except tumour assessments (another query)."""
    pieces = []
    for name in e.rules.last_alive_sources[e.rules.endpoint_rules]:
        if name in ("TUDTC", "TRDTC", "RSDTC"):
            continue
        contact = subjects.contact_dates(e.sdtm, name, e.rules).dropna()
        last = contact.groupby("USUBJID", as_index=False).DATE.max()
        rows = last[last.USUBJID.map(_death(e)).astype("datetime64[ns]") < last.DATE]
        if len(rows):
            pieces.append(list_rows(rows, name[:2], name, "a contact after the date of death"))
    return join_rows(pieces)


def death_without_date(e: Evidence) -> pd.DataFrame:
    """Find subjects flagged dead without a usable date of death."""
    rows = e.adsl[e.adsl.DTHFL.eq("Y") & e.adsl.DTHDT.isna()]
    return list_rows(rows, "DM", "DTHDTC", "DTHFL is Y without a usable date")


def assessed_after_death(e: Evidence) -> pd.DataFrame:
    """Find tumour assessments after death."""
    pieces = []
    for domain in ("TU", "TR", "RS"):
        frame = e.sdtm[domain]
        when = dates.impute_dates(frame[f"{domain}DTC"], e.rules.imputation["assessment"]).DATE
        rows = frame[when > frame.USUBJID.map(_death(e)).astype("datetime64[ns]")]
        if len(rows):
            pieces.append(
                list_rows(rows, domain, record_ids(domain, rows), "an assessment after the date of death")
            )
    return join_rows(pieces)


def progression_before_treatment(e: Evidence) -> pd.DataFrame:
    """Find reported progression before time zero."""
    rows = responses.reported_terms(e.sdtm["RS"], e.rules)
    start = rows.USUBJID.map(lesions.start_dates(e.adsl, e.rules)).astype("datetime64[ns]")
    rows = rows[rows.AVALC.eq("PD") & rows.ADT.lt(start)]
    return list_rows(rows, "RS", phrase("RSSEQ {:g}", rows.SEQ), "PD before time zero")


def alive_before_start(e: Evidence) -> pd.DataFrame:
    """Find subjects last known alive before time zero."""
    start = e.adsl.USUBJID.map(lesions.start_dates(e.adsl, e.rules)).astype("datetime64[ns]")
    rows = e.adsl[start > e.adsl.LSTALVDT]
    return list_rows(rows, "ADSL", "LSTALVDT", "last known alive before time zero")


def after_cutoff(e: Evidence) -> pd.DataFrame:
    """List deaths, responses and contacts after the data cut-off, one a subject and kind."""
    cut = responses.cutoff_dates(e.adsl, e.rules)
    kinds = {
        "DTHDT": e.adsl[["USUBJID", "DTHDT"]].rename(columns={"DTHDT": "ADT"}),
        "LSTALVDT": e.adsl[["USUBJID", "LSTALVDT"]].rename(columns={"LSTALVDT": "ADT"}),
        "ADRS": e.adrs[e.adrs.PARAMCD.isin(["OVRLRESP", "RSREP"])][["USUBJID", "ADT"]],
    }
    pieces = []
    for name, frame in kinds.items():
        rows = frame[frame.USUBJID.map(cut).astype("datetime64[ns]") < frame.ADT].drop_duplicates("USUBJID")
        domain = "ADRS" if name == "ADRS" else "ADSL"
        pieces.append(list_rows(rows, domain, name, "after the data cut-off: does not enter"))
    return join_rows(pieces)


def two_dates(e: Evidence) -> pd.DataFrame:
    """Find planned visits whose scans lie further apart than one assessment may."""
    pieces = []
    for domain in ("TR", "RS"):
        frame = e.sdtm[domain]
        when = dates.impute_dates(frame[f"{domain}DTC"], e.rules.imputation["assessment"]).DATE
        planned = frame.VISITNUM.notna() & ~lesions.is_unscheduled(frame) & when.notna()
        rows = frame[planned].assign(ADT=when)
        spread = rows.groupby(["USUBJID", "VISITNUM"], as_index=False).ADT.agg(["min", "max"])
        wide = spread[(spread["max"] - spread["min"]).dt.days > e.rules.assessment_window_days]
        pieces.append(
            list_rows(wide, domain, phrase("VISITNUM {}", wide.VISITNUM), "two dates under one visit number")
        )
    return join_rows(pieces)


# --- responses ----------------------------------------------------------------------------------------------


def unknown_terms(sdtm, rules) -> pd.DataFrame:
    """Return the reported overall responses that are no term of RECIST 1.1."""
    rows = responses.reported_terms(sdtm["RS"], rules)
    return rows[~rows.AVALC.isin(responses.SEVERITY)]


def unknown_response(e: Evidence) -> pd.DataFrame:
    """Find reported overall responses that are no term of RECIST 1.1, such as CHECK."""
    rows = unknown_terms(e.sdtm, e.rules)
    return list_rows(rows, "RS", phrase("RSSEQ {:g}", rows.SEQ), phrase("response {}", rows.AVALC))


def response_after_pd(e: Evidence) -> pd.DataFrame:
    """Find responses other than PD or NE after the first PD."""
    pieces = []
    for name in ("OVRLRESP", "RSREP"):
        rows = e.adrs[e.adrs.PARAMCD.eq(name)]
        first = rows.ADT.where(rows.AVALC.eq("PD")).groupby(rows.USUBJID).transform("min")
        odd = rows[rows.ADT.gt(first) & ~rows.AVALC.isin(["PD", "NE"])]
        pieces.append(list_rows(odd, "ADRS", name, phrase("{} after PD", odd.AVALC)))
    return join_rows(pieces)


def response_differs(e: Evidence) -> pd.DataFrame:
    """List assessments whose reported and derived overall response differ."""
    rows = responses.discrepancies(e.adrs, e.rules.assessment_window_days)
    if rows.empty:
        return no_rows()
    text = phrase("derived {}, reported {}", rows.DERIVED, rows.REPORTED)
    return list_rows(rows, "ADRS", rows.DERIVEDDT.dt.strftime("%Y-%m-%d"), text)


def other_evaluators(e: Evidence) -> pd.DataFrame:
    """Note the domains that hold reads of other evaluators than the plan's."""
    pieces = []
    for domain in ("TU", "TR", "RS"):
        frame = e.sdtm[domain]
        left = len(frame) - len(lesions.select_reads(frame, domain, e.rules))
        if left:
            message = f"{left} record(s) of other evaluators or not accepted reads"
            pieces.append(pd.DataFrame([(None, domain, "", message)], columns=FOUND))
    return join_rows(pieces)


# --- tables ------------------------------------------------------------------------------------------


def pfs_after_os(e: Evidence) -> pd.DataFrame:
    """Find subjects whose PFS ends after their OS."""
    wide = e.adtte.pivot_table(index="USUBJID", columns="PARAMCD", values="AVAL")
    if not {"PFS", "OS"} <= set(wide):
        return no_rows()
    rows = wide[wide.PFS.gt(wide.OS)].reset_index()
    return list_rows(rows, "ADTTE", "PFS", "PFS ends after OS")


def left_out_columns(e: Evidence) -> pd.DataFrame:
    """Note the columns of each domain that were not kept."""
    rows = [
        (None, domain, "", f"{len(names)} column(s) not used: {', '.join(names)}")
        for domain, frame in e.sdtm.items()
        if (names := frame.attrs.get("left_out"))
    ]
    return pd.DataFrame(rows, columns=FOUND)
