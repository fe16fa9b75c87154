"""What the data checks share: the evidence, the table of their codes, and how a finding is written.

A check returns USUBJID, DOMAIN, RECORD, MESSAGE of what it found. RECORD names the record as a data manager
would look it up; MESSAGE gives the value. The checks stand in the modules named ``*_checks``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis import plan as plans
from analysis.clinical import dates, lesions, subjects

FOUND = ["USUBJID", "DOMAIN", "RECORD", "MESSAGE"]
SEVERITIES = ("error", "warning", "note")
READER = "how the reader adapted the file"  # meaning of the codes that the reader gives
# columns that name a record without a sequence number, most telling first; a date is added
_NAMING = ("LNKID", "TESTCD", "TRT", "DECOD", "TERM", "NAM")
TUMOUR_DOMAINS = ("TU", "TR", "RS")


@dataclass(frozen=True)
class Evidence:
    """What a check may look at: raw domains, derived tables, the plan; what is costly is worked out once."""

    sdtm: Mapping[str, pd.DataFrame]
    adsl: pd.DataFrame
    adtr: pd.DataFrame
    adrs: pd.DataFrame
    adtte: pd.DataFrame
    plan: plans.Plan
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def rules(self):
        """Section `clinical` of the plan."""
        return self.plan.clinical

    def keep(self, key, make: Callable[[], Any]):
        """Return what `make` gives, made once for each `key`."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def parsed(self, domain: str, name: str) -> pd.DataFrame:
        """Parse a date column (`dates.parse_dates`)."""
        return self.keep(("parsed", domain, name), lambda: dates.parse_dates(column(self.sdtm[domain], name)))

    def when(self, domain: str) -> pd.Series:
        """Return the date of each tumour record as the derivations fill it, on the index of the domain."""
        return self.keep(
            ("when", domain), lambda: subjects.assessment_dates(self.sdtm, domain, self.rules).DATE
        )

    def reads(self, domain: str) -> pd.DataFrame:
        """Return the records of the plan's evaluator."""
        return self.keep(
            ("reads", domain), lambda: lesions.select_reads(self.sdtm[domain], domain, self.rules)
        )

    def date_of(self, frame: pd.DataFrame, name: str) -> pd.Series:
        """Return a date of ADSL (or ``start``: time zero) for each row of `frame`."""
        if name == "start":
            by_subject = lesions.start_dates(self.adsl, self.rules)
        else:
            by_subject = self.adsl.set_index("USUBJID")[name]
        return frame.USUBJID.map(by_subject).astype("datetime64[ns]")


@dataclass(frozen=True)
class Check:
    """A kind of query: how grave it is, what it means, what to do, and how to find it."""

    severity: str
    meaning: str
    action: str
    find: Callable[[Evidence], pd.DataFrame]


CHECKS: dict[str, Check] = {}


def query(code: str, severity: str, meaning: str, action: str):
    """Enter the function below it into the table of checks."""

    def enter(find: Callable[[Evidence], pd.DataFrame]) -> Callable[[Evidence], pd.DataFrame]:
        """Enter one check."""
        if code in CHECKS or severity not in SEVERITIES:
            raise ValueError(f"{code}: a code stands once, with a severity of {SEVERITIES}")
        CHECKS[code] = Check(severity, meaning, action, find)
        return find

    return enter


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column, or one without values where the domain does not keep it."""
    return frame[name] if name in frame else pd.Series(None, index=frame.index, dtype=object)


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


def record_ids(domain: str, rows: pd.DataFrame) -> pd.Series:
    """Name each record: by its sequence number, or by what identifies it where there is none.

    Examples
    --------
    >>> record_ids("EX", pd.DataFrame({"EXSEQ": ["3", None], "EXTRT": ["A", "B"]})).tolist()
    ['EXSEQ 3', 'EXTRT B']
    """
    if domain == "DM":  # one record a subject
        return pd.Series("DM", index=rows.index, dtype=object)
    sequence = column(rows, f"{domain}SEQ")
    named = rows[sequence.isna()]
    fields = [name for name in rows if name.endswith(_NAMING) or name == "VISITNUM"]
    fields += [name for name in rows if name.endswith("DTC")][:1]
    words = [
        " ".join(f"{name} {value}" for name, value in zip(fields, values) if pd.notna(value))
        for values in zip(*(named[name] for name in fields))
    ]
    text = phrase(f"{domain}SEQ {{}}", sequence)
    text.loc[named.index] = words or ""
    return text


def phrase(template: str, *columns: pd.Series) -> pd.Series:
    """Fill a message row by row."""
    text = [template.format(*values) for values in zip(*columns)]
    return pd.Series(text, index=columns[0].index, dtype=object)


def day(moments: pd.Series) -> pd.Series:
    """Write dates as ISO 8601."""
    return moments.dt.strftime("%Y-%m-%d").fillna("no date").astype(object)


def found_in(domain: str, rows: pd.DataFrame, template: str, *columns: pd.Series) -> pd.DataFrame:
    """Return a finding for each of `rows`, records of `domain`, with `template` filled from `columns`."""
    if rows.empty:
        return no_rows()
    return list_rows(rows, domain, record_ids(domain, rows), phrase(template, *columns))
