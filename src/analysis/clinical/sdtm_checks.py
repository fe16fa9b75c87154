"""What of a domain stops the run: its key or its structure cannot be trusted. All else is a query.

| code | stops because |
|---|---|
| NO_SUBJECT | a record belongs to nobody |
| NO_STUDY | a subject of DM belongs to no study: every table names it |
| NO_SEQUENCE | some records have no number (--SEQ) and others have: nothing can refer to them |
| NOT_A_NUMBER | a record number (--SEQ) is no number |
| DUPLICATE_KEY | two records have one key: one of them is too many, and nobody can say which |
| WRONG_DOMAIN | DOMAIN (RDOMAIN) or the head of Dataset-JSON says that the records are of another domain |
| STUDY_MIXED | more than one study: USUBJID may stand for two people |
| NO_ROWS | a domain that is needed holds nothing |

The key of DM is USUBJID, of SUPPDM it is USUBJID and QNAM, of any other domain USUBJID and --SEQ. A domain
without --SEQ (always SV) has no key but the whole record, with the columns that are left out: records that
are alike in everything are one record, exported twice (1.0 and 1 are alike in a column of numbers).

A bad value of one record (a dose, an age or a diameter that is no number, an impossible date) is a query of
`check_queries`: the text stays as it is. Numbers of subjects are compared as they are written: blanks around
them are no part of them, case is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.clinical.file_text import is_number

_SHOWN = 5  # records named in a message; the count tells the rest


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a domain from being used: code, domain, column, what to do, and the records."""

    code: str
    domain: str
    column: str
    message: str
    records: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.code} {self.domain}{'.' + self.column if self.column else ''}: {self.message}"


def check_domain(
    domain: str, frame: pd.DataFrame, raw: pd.DataFrame, key: Iterable[str], needed: bool
) -> list[Problem]:
    """List what stops one domain.

    Parameters
    ----------
    domain : str
    frame : DataFrame
        Its known columns as text.
    raw : DataFrame
        All columns of the file, in the same order of records; ``attrs["first_line"]`` where lines are known,
        ``attrs["table_names"]`` where the file tells what table it is.
    key : iterable of str
        Columns that tell its records apart; empty for the whole record.
    needed : bool
        Whether the rules need this domain.

    Returns
    -------
    list of Problem
    """
    if frame.empty:
        message = "not one subject; export it again" if domain == "DM" else "not one record; export it again"
        return [Problem("NO_ROWS", domain, "", message)] if needed or domain == "DM" else []
    key = list(key)
    sequence = f"{domain}SEQ"
    without = key[-1:] == [sequence] and frame[sequence].isna().all()
    return [
        *_wrong_domain(domain, raw),
        *_other_table(domain, raw),
        *_no_value("NO_SUBJECT", domain, "USUBJID", "without a subject; complete them", frame, raw),
        *(_no_study(frame, raw) if domain == "DM" else []),
        *([] if without or sequence not in key else _bad_sequence(domain, sequence, frame, raw)),
        *(_same_records(domain, frame, raw) if without or not key else _same_keys(domain, key, frame)),
    ]


def check_study(frames: Mapping[str, pd.DataFrame]) -> list[Problem]:
    """List domains whose STUDYID is not the one of DM, and DM itself if it holds more than one."""
    study = frames["DM"].STUDYID.dropna() if "DM" in frames else pd.Series(dtype=object)
    names = study.unique()
    if len(names) > 1:
        message = f"{len(names)} studies in one folder; give each a folder of its own"
        return [Problem("STUDY_MIXED", "DM", "STUDYID", message, _listed(names))]
    problems = []
    for domain, frame in frames.items():
        others = sorted(set(frame.STUDYID.dropna().unique()) - set(names)) if len(names) else []
        if others:
            message = f"records of a study that is not the one of DM ({names[0]}); remove or correct them"
            problems.append(Problem("STUDY_MIXED", domain, "STUDYID", message, _listed(others)))
    return problems


def list_not_numbers(
    frames: Mapping[str, pd.DataFrame], numbers: Mapping[str, Iterable[str]]
) -> pd.DataFrame:
    """List values that should be numbers and are not; they stop nothing (see the head of this module).

    Parameters
    ----------
    frames : mapping of str to DataFrame
        As `read_sdtm` returns them.
    numbers : mapping of str to iterable of str
        The numeric columns of each domain: `sdtm.NUMBERS`.

    Returns
    -------
    DataFrame
        USUBJID, DOMAIN, VARIABLE, SEQ (None for DM and SV), VALUE; one row a value.
    """
    pieces = [pd.DataFrame(columns=["USUBJID", "DOMAIN", "VARIABLE", "SEQ", "VALUE"], dtype=object)]
    for domain, frame in frames.items():
        for name in numbers.get(domain, ()):
            rows = frame[_not_numbers(frame[name])]
            sequence = rows.get(f"{domain}SEQ")
            found = {"USUBJID": rows.USUBJID, "DOMAIN": domain, "VARIABLE": name}
            pieces.append(pd.DataFrame({**found, "SEQ": sequence, "VALUE": rows[name]}, dtype=object))
    return pd.concat([piece for piece in pieces if len(piece)] or pieces[:1], ignore_index=True)


def _not_numbers(values: pd.Series) -> pd.Series:
    wrong = {value for value in values.dropna().unique() if not is_number(value)}
    return values.isin(wrong) if wrong else pd.Series(False, index=values.index)


def _listed(records) -> tuple[str, ...]:
    return tuple(map(str, records))


def _places(rows, raw: pd.DataFrame) -> tuple[str, ...]:
    """Name records by the line of the file, or by their number where lines are not known."""
    first = raw.attrs.get("first_line")
    word, shift = ("record", 1) if first is None else ("line", first)
    return tuple(f"{word} {place + shift}" for place in np.flatnonzero(np.asarray(rows)))


def show(records: tuple[str, ...]) -> str:
    """Name the first records, and tell that there are more."""
    return "; ".join(records[:_SHOWN]) + (" ..." if len(records) > _SHOWN else "")


def _no_value(code: str, domain: str, name: str, what: str, frame: pd.DataFrame, raw) -> list[Problem]:
    places = _places(frame[name].isna(), raw)
    message = f"{len(places)} record(s) {what}: {show(places)}"
    return [Problem(code, domain, name, message, places)] if places else []


def _no_study(frame: pd.DataFrame, raw: pd.DataFrame) -> list[Problem]:
    return _no_value("NO_STUDY", "DM", "STUDYID", "without a study; complete them", frame, raw)


def _bad_sequence(domain: str, sequence: str, frame: pd.DataFrame, raw: pd.DataFrame) -> list[Problem]:
    what = "without a number, while others have one; complete them"
    problems = _no_value("NO_SEQUENCE", domain, sequence, what, frame, raw)
    wrong = _not_numbers(frame[sequence])
    if wrong.any():
        values, places = frame[sequence][wrong], _places(wrong, raw)
        shown = show(tuple(f"{value!r} ({place})" for value, place in zip(values, places)))
        message = f"{len(values)} record number(s) that are no number: {shown}; correct them"
        problems.append(Problem("NOT_A_NUMBER", domain, sequence, message, places))
    return problems


def _same_keys(domain: str, key: list[str], frame: pd.DataFrame) -> list[Problem]:
    twice = frame.duplicated(key, keep=False)
    rows = frame.loc[twice, key].dropna()
    if rows.empty:
        return []
    records = _listed(rows.drop_duplicates().agg(" ".join, axis=1))
    names = " ".join(key)
    message = f"{len(rows)} records share {len(records)} key(s) ({names}): {show(records)}; keep one of each"
    return [Problem("DUPLICATE_KEY", domain, names, message, records)]


def _same_records(domain: str, frame: pd.DataFrame, raw: pd.DataFrame) -> list[Problem]:
    left_out = raw.loc[:, ~raw.columns.isin(frame.columns)]
    columns = [
        table.iloc[:, place].to_numpy() for table in (frame, left_out) for place in range(table.shape[1])
    ]
    twice = pd.DataFrame(dict(enumerate(columns))).duplicated(keep=False)
    if not twice.any():
        return []
    places = _places(twice, raw)
    message = (
        f"{len(places)} records are alike in every column, and no {domain}SEQ tells them apart: "
        f"{show(places)}; keep one of each, or number them"
    )
    return [Problem("DUPLICATE_KEY", domain, "", message, places)]


def _wrong_domain(domain: str, raw: pd.DataFrame) -> list[Problem]:
    name, meant = ("RDOMAIN", domain[4:]) if domain.startswith("SUPP") else ("DOMAIN", domain)
    if list(raw.columns).count(name) != 1:
        return []
    others = [value for value in raw[name].dropna().unique() if value.upper() != meant]
    if not others:
        return []
    places = _places(raw[name].isin(others), raw)
    message = (
        f"{len(places)} record(s) say that they belong to {show(_listed(others))}: {show(places)}; "
        "put them into the file of their domain"
    )
    return [Problem("WRONG_DOMAIN", domain, name, message, places)]


def _other_table(domain: str, raw: pd.DataFrame) -> list[Problem]:
    others = {
        where: name for where, name in raw.attrs.get("table_names", {}).items() if name.upper() != domain
    }
    message = "the file says that it is {}; put it under the name of its domain"
    return [Problem("WRONG_DOMAIN", domain, where, message.format(name)) for where, name in others.items()]
