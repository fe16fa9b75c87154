"""Data checks of lesions: who they are, and what TU and TR call them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.clinical import lesions
from analysis.clinical.checks import (
    Evidence,
    found_in,
    join_rows,
    list_rows,
    phrase,
    query,
)
from analysis.clinical.dates import MISSING
from analysis.clinical.domain_checks import repeated
from analysis.clinical.terms import by_value

# --- identity -----------------------------------------------------------------------------------------------


def lesion_types(e: Evidence) -> pd.Series:
    """Return TARGET, NON-TARGET, NEW or None for each TU record of the plan's evaluator."""
    tu = e.reads("TU")
    return e.keep("types", lambda: by_value(tu.TUSTRESC.fillna(tu.TUORRES), lesions.lesion_type))


def _once_a_lesion(frame: pd.DataFrame, link: str) -> pd.DataFrame:
    return frame[~repeated(frame, ["USUBJID", link])]


def _names(frame: pd.DataFrame, link: str) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[["USUBJID", link]].dropna().drop_duplicates())


def _unidentified(e: Evidence) -> pd.DataFrame:
    measured = _once_a_lesion(e.reads("TR"), "TRLNKID").dropna(subset="TRLNKID")
    known = _names(e.reads("TU"), "TULNKID")
    return measured[~pd.MultiIndex.from_frame(measured[["USUBJID", "TRLNKID"]]).isin(known)]


def _elsewhere(e: Evidence, rows: pd.DataFrame) -> np.ndarray:
    every = _names(e.sdtm["TU"], "TULNKID")
    return pd.MultiIndex.from_frame(rows[["USUBJID", "TRLNKID"]]).isin(every)


@query(
    "LESION_NOT_IN_TU",
    "error",
    "a measured lesion that TU does not identify",
    "identify the lesion in TU; its measurements are left out",
)
def _lesion_not_in_tu(e: Evidence) -> pd.DataFrame:
    rows = e.keep("unidentified", lambda: _unidentified(e))
    rows = rows[~_elsewhere(e, rows)]
    text = phrase("measured on {}, not in TU", rows.TRDTC)
    return list_rows(rows, "TR", phrase("TRLNKID {}", rows.TRLNKID), text)


@query(
    "EVALUATOR_DIFFERS",
    "error",
    "a lesion measured by one evaluator and identified in TU only by another",
    "check the evaluator in TU and TR; its measurements are left out",
)
def _evaluator_differs(e: Evidence) -> pd.DataFrame:
    rows = e.keep("unidentified", lambda: _unidentified(e))
    rows = rows[_elsewhere(e, rows)]
    text = phrase("measured by {}, identified by another", rows.TREVAL.fillna("no evaluator"))
    return list_rows(rows, "TR", phrase("TRLNKID {}", rows.TRLNKID), text)


@query(
    "LESION_UNNAMED",
    "error",
    "a lesion record without the name that links TU and TR",
    "give the lesion its link (TULNKID, TRLNKID); the record is left out",
)
def _unnamed(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain in ("TU", "TR"):
        frame = e.reads(domain)
        rows = frame[frame[f"{domain}LNKID"].isna()]
        pieces.append(found_in(domain, rows, f"no {domain}LNKID; {domain}DTC {{}}", rows[f"{domain}DTC"]))
    return join_rows(pieces)


@query(
    "LESION_TYPE_UNKNOWN",
    "error",
    "a lesion that is neither target, non-target nor new",
    "call it TARGET, NON-TARGET or NEW in TU; it is left out",
)
def _unknown_type(e: Evidence) -> pd.DataFrame:
    tu = e.reads("TU")
    rows = tu[lesion_types(e).isna()]
    said = rows.TUSTRESC.fillna(rows.TUORRES).fillna("empty")
    return found_in("TU", rows, "lesion {} is {}", rows.TULNKID, said)


def _changed(e: Evidence, values: pd.Series, wanted: pd.Series) -> pd.DataFrame:
    tu = e.reads("TU")
    rows = tu[wanted & tu.TULNKID.notna()][["USUBJID", "TULNKID"]].assign(VALUE=values).dropna()
    rows = rows.drop_duplicates()
    rows = rows[rows.duplicated(["USUBJID", "TULNKID"], keep=False)]
    both = rows.groupby(["USUBJID", "TULNKID"], as_index=False).agg(
        VALUE=("VALUE", lambda found: " and ".join(sorted(found)))
    )
    return list_rows(both, "TU", phrase("TULNKID {}", both.TULNKID), both.VALUE)


@query(
    "LESION_TYPE_CHANGED",
    "warning",
    "a lesion that TU calls by two types, such as target and new",
    "keep one type a lesion; a target stays one to the end",
)
def _type_changed(e: Evidence) -> pd.DataFrame:
    return _changed(e, lesion_types(e), lesion_types(e).notna())


@query(
    "LESION_ORGAN_CHANGED",
    "warning",
    "a lesion that TU places in two organs",
    "check whether two lesions share a name",
)
def _organ_changed(e: Evidence) -> pd.DataFrame:
    tu = e.reads("TU")
    return _changed(e, tu.TULOC.str.strip().str.upper(), tu.TULOC.notna())


@query(
    "LOCATION_MISSING",
    "warning",
    "a target lesion without a location: it cannot be told whether it is a node",
    "give the location (TULOC); without it the longest diameter counts",
)
def _no_location(e: Evidence) -> pd.DataFrame:
    tu = e.reads("TU")
    rows = tu[tu.TULOC.isna() & lesion_types(e).eq("TARGET")]
    return found_in("TU", rows, "target {} without TULOC", rows.TULNKID)


@query(
    "SCAN_DATE_MISSING",
    "error",
    "a measurement or a new lesion without a date",
    "give the date of the scan; the record belongs to no assessment until then",
)
def _undated(e: Evidence) -> pd.DataFrame:
    tr, tu = e.reads("TR"), e.reads("TU")
    tr = tr[e.parsed("TR", "TRDTC").STATUS.loc[tr.index].eq(MISSING)]
    new = tu[e.parsed("TU", "TUDTC").STATUS.loc[tu.index].eq(MISSING) & lesion_types(e).eq("NEW")]
    measured = found_in("TR", tr, "{} {} without TRDTC", tr.TRLNKID, tr.TRTESTCD)
    return join_rows([measured, found_in("TU", new, "new lesion {} without TUDTC", new.TULNKID)])
