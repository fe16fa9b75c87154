"""Data checks of whole tables: strangers, duplicates, evaluators, what the reader left out."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
import pandas as pd

from analysis.clinical.checks import (
    FOUND,
    TUMOUR_DOMAINS,
    Evidence,
    found_in,
    join_rows,
    list_rows,
    phrase,
    query,
    record_ids,
)
from analysis.clinical.sdtm import NUMBERS, list_not_numbers
from analysis.clinical.terms import number_groups

_KEYS = ("LNKID", "TESTCD", "DTC", "TRT", "TERM", "DECOD", "QNAM", "VISITNUM")


def not_in_dm(sdtm: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Find subjects of other domains who are not in DM, once a domain."""
    known = set(sdtm["DM"].USUBJID)
    pieces = []
    for domain, frame in sdtm.items():
        strange = frame[~frame.USUBJID.isin(known)]
        if len(strange):
            count = strange.groupby("USUBJID").size().rename("N").reset_index()
            text = phrase("{} record(s) of a subject who is not in DM", count.N)
            pieces.append(list_rows(count, domain, "all", text))
    return join_rows(pieces)


@query(
    "SUBJECT_NOT_IN_DM",
    "error",
    "records of a subject who is not in DM",
    "add the subject to DM or remove the records",
)
def _strangers(e: Evidence) -> pd.DataFrame:
    return not_in_dm(e.sdtm)


@query(
    "NUMBER_UNREADABLE",
    "warning",
    "a value that should be a number and is none (doses, ages and diameters have codes of their own)",
    "give a number, with a point; the value is missing until then",
)
def _unreadable(e: Evidence) -> pd.DataFrame:
    own = {"DM": ["AGE"], "EX": ["EXDOSE"], "TR": ["TRSTRESN"], "QS": ["QSSTRESN"]}
    numbers = {
        domain: [name for name in names if name not in own.get(domain, ())]
        for domain, names in NUMBERS.items()
    }
    rows = list_not_numbers(e.sdtm, numbers)
    number = phrase("{}SEQ {}", rows.DOMAIN, rows.SEQ).where(rows.SEQ.notna(), rows.VARIABLE)
    return list_rows(rows, rows.DOMAIN, number, phrase("{} {}", rows.VARIABLE, rows.VALUE))


def repeated(frame: pd.DataFrame, names: list[str], keep="first") -> np.ndarray:
    """Tell which rows repeat a combination of the values of `names`, as ``DataFrame.duplicated`` does."""
    return pd.Series(number_groups(*(frame[name] for name in names))).duplicated(keep=keep).to_numpy()


def found_dates(e: Evidence, domain: str, name: str, rows: pd.DataFrame, text: str, *columns) -> pd.DataFrame:
    """List records by one of their dates; scans once a date, and only reads that this run uses."""
    if domain not in TUMOUR_DOMAINS or name != f"{domain}DTC":
        return found_in(domain, rows, text, *columns)
    rows = rows[rows.index.isin(e.reads(domain).index)]
    first = rows[~rows.duplicated(["USUBJID", name])]
    found = found_in(domain, first, text, *(values.loc[first.index] for values in columns))
    count = rows.groupby(["USUBJID", name])[name].transform("size").loc[first.index]
    return found.assign(MESSAGE=found.MESSAGE + how_many(count).to_numpy()) if len(found) else found


def how_many(count: pd.Series) -> pd.Series:
    """Say of how many records a query speaks, where there are several."""
    return phrase(" ({:g} records)", count).where(count.gt(1), "")


@query(
    "RECORD_TWICE",
    "warning",
    "records of one subject that are alike in everything but their sequence number",
    "remove the copy",
)
def _copies(e: Evidence) -> pd.DataFrame:
    pieces = []
    for domain, frame in e.sdtm.items():
        names = [name for name in frame if name != f"{domain}SEQ"]
        keys = ["USUBJID", *(name for name in names if name.endswith(_KEYS))]
        likely = frame[repeated(frame, keys, keep=False)]  # few, so that comparing all columns is cheap
        copies = likely[likely.duplicated(names)]
        if copies.empty:
            continue
        number = pd.Series(number_groups(*(likely[name] for name in names)), index=likely.index)
        first = likely.index.to_series().groupby(number).transform("min").loc[copies.index]
        like = record_ids(domain, frame.loc[first]).set_axis(copies.index)
        pieces.append(found_in(domain, copies, "a copy of {}", like))
    return join_rows(pieces)


@query(
    "EVALUATORS_MIXED",
    "note",
    "a domain with reads of other evaluators than the plan's, or reads that are not the accepted ones",
    "none: only the reads of the plan's evaluator count",
)
def _other_evaluators(e: Evidence) -> pd.DataFrame:
    rows = []
    for domain in TUMOUR_DOMAINS:
        frame = e.sdtm[domain]
        left = len(frame) - len(e.reads(domain))
        if left:
            names = ", ".join(sorted(set(frame[f"{domain}EVAL"].dropna().astype(str))))
            rows.append(
                (
                    None,
                    domain,
                    f"{domain}EVAL",
                    f"{left} of {len(frame)} record(s) left out; reads of {names}",
                )
            )
    return pd.DataFrame(rows, columns=FOUND)


@query("COLUMN_LEFT_OUT", "note", "columns of a file that were not kept", "none: the columns are not used")
def _left_out_columns(e: Evidence) -> pd.DataFrame:
    rows = []
    for domain, frame in e.sdtm.items():
        asked = set(_misspelt(e, domain).values())
        names = [name for name in frame.attrs.get("left_out", ()) if name not in asked]
        if names:
            rows.append((None, domain, "", f"{len(names)} column(s) not used: {', '.join(names)}"))
    return pd.DataFrame(rows, columns=FOUND)


@query(
    "COLUMN_MISSPELT",
    "warning",
    "a column that is not used and whose name is near that of a column that is missing or empty",
    "correct the name of the column if it is that column; until then its values are not used",
)
def _misspelt_columns(e: Evidence) -> pd.DataFrame:
    rows = [
        (None, domain, known, f"{known} not found or empty; {name} looks like it")
        for domain in e.sdtm
        for known, name in _misspelt(e, domain).items()
    ]
    return pd.DataFrame(rows, columns=FOUND)


def _misspelt(e: Evidence, domain: str) -> dict[str, str]:
    """Return known column -> the column left out that looks like it."""
    frame = e.sdtm[domain]
    own = e.rules.column_near_names
    strange = [
        n for n in frame.attrs.get("left_out", ()) if n not in own and n.removeprefix(domain) not in own
    ]
    absent = [name for name in frame if frame[name].isna().all()] if strange else []
    found = {}
    for name in strange:
        near = get_close_matches(name, absent, n=1, cutoff=e.rules.column_likeness)
        found |= {known: name for known in near if known not in found}
    return found


def adaptations(sdtm: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """List how the reader adapted the files, each with the code it gave."""
    rows = [
        (None, domain, "", str(message), str(code))
        for domain, frame in sdtm.items()
        for code, message in frame.attrs.get("adaptations", [])
    ]
    return pd.DataFrame(rows, columns=[*FOUND, "CODE"])
