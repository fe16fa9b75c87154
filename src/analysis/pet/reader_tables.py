"""Tables in which a reader pointed and decided, checked row by row.

``seeds.csv``, ``reference_regions.csv`` and ``lesion_map.csv``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, NamedTuple

import pandas as pd

SEED_METHODS = ("PERCENT41", "PERCENT50", "FIXED", "PERCIST")
REGIONS = ("LIVER", "AORTA")
DECISIONS = ("ACCEPT", "MOVE", "REJECT")
RELATIONS = ("BASELINE", "SAME", "SPLIT", "MERGED", "NEW")
RESERVED = (*REGIONS, "TOTAL")  # names of the rows of adpet that are no lesion
_PLACE = ("X", "Y", "Z")
_NUMBERS = (*_PLACE, "THRESHOLD")

Rows = dict[tuple[str, str], list[dict[str, Any]]]


class ReaderTable(NamedTuple):
    """Form of one table of the raw folder.

    Attributes
    ----------
    file, code : str
        Its name, and how its codes begin.
    needs, may : tuple of str
        Columns it must and may have.
    name : str
        Column that names the lesion or region, once a scan.
    check : callable
        Row -> what is wrong with it, empty if nothing.
    """

    file: str
    code: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    name: str
    check: Callable[[dict[str, Any]], str]


def rows_by_scan(
    table: pd.DataFrame | None, form: ReaderTable, scans: Iterable[tuple[Any, Any]], subjects: Iterable[str]
) -> tuple[Rows, list[dict[str, Any]]]:
    """Sort the rows of a reader's table by scan; what cannot be used goes to the ledger.

    Parameters
    ----------
    table : DataFrame or None
        The table, all text.
    form : ReaderTable
        `SEEDS`, `REFERENCE_REGIONS` or `LESION_MAP`.
    scans : iterable of (USUBJID, AVISIT)
        Scans found, refused ones included.
    subjects : iterable of str
        USUBJID of all subjects.

    Returns
    -------
    rows : dict
        (USUBJID, AVISIT) -> rows as dicts; X Y Z THRESHOLD are float, an empty cell is None.
    problems : list of dict
        Rows of the exclusions ledger: <code>_WITHOUT_SCAN, <code>_INVALID, <code>_DUPLICATE (several rows for
        one lesion or region of a scan: all are set aside).

    Raises
    ------
    ValueError
        <file>_COLUMNS for missing or unknown columns.
    """
    if table is None:
        return {}, []
    _check_columns(table, form)
    # A scan without subject or visit is no place for rows that name neither.
    known, people = {scan for scan in scans if not any(map(pd.isna, scan))}, set(subjects)
    rows = [_typed(row) for row in table.to_dict("records")]
    count = Counter(_key(row, form) for row in rows)
    found: Rows = {}
    problems = []
    for number, row in enumerate(rows, start=1):
        scan = (row["USUBJID"], row["AVISIT"])
        kind, reason = "", form.check(row) if row[form.name] else f"{form.name} is empty"
        if reason:
            kind = "INVALID"
        elif scan not in known:
            kind = "WITHOUT_SCAN"
            reason = "no PET scan of this subject and visit; send the scan, or correct the row"
        elif count[_key(row, form)] > 1:
            kind, reason = "DUPLICATE", f"several rows for one {form.name} of a scan; keep one"
        if not kind:
            found.setdefault(scan, []).append(row)
            continue
        who = row["USUBJID"] if row["USUBJID"] in people else None
        problems.append(
            {"USUBJID": who, "AVISIT": row["AVISIT"] if scan in known else None, "ITEM": "record",
             "CODE": f"{form.code}_{kind}", "REASON": f"{form.file} row {number}: {reason}"}
        )  # fmt: skip
    return found, problems


def _check_columns(table: pd.DataFrame, form: ReaderTable) -> None:
    lacks = [name for name in form.needs if name not in table]
    unknown = [str(name) for name in table if name not in (*form.needs, *form.may, "COMMENT")]
    if not lacks and not unknown:
        return
    found = [f"no column {', '.join(lacks)}"] if lacks else []
    found += [f"unknown columns {', '.join(unknown)}"] if unknown else []
    raise ValueError(
        f"{form.file.partition('.')[0].upper()}_COLUMNS: {form.file} has {' and '.join(found)}; it needs "
        f"{', '.join(form.needs)}, and may have {', '.join(form.may)}"
    )


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """Strip every text; make numbers of what should be, NaN where it is none."""
    texts = {name: None if pd.isna(value) else str(value).strip() or None for name, value in row.items()}
    for name in _NUMBERS:
        if texts.get(name) is not None:
            try:
                texts[name] = float(texts[name])
            except ValueError:
                texts[name] = math.nan
    return texts


def _key(row: dict[str, Any], form: ReaderTable) -> tuple[Any, ...]:
    return row["USUBJID"], row["AVISIT"], row[form.name]


def _no_place(row: dict[str, Any]) -> str:
    bad = [name for name in _PLACE if row.get(name) is None or not math.isfinite(row[name])]
    return f"{', '.join(bad)} must be a number in mm" if bad else ""


def _check_seed(row: dict[str, Any]) -> str:
    if row["METHOD"] not in SEED_METHODS:
        return f"METHOD must be one of {', '.join(SEED_METHODS)}, found {row['METHOD']!r}"
    threshold = row.get("THRESHOLD")
    if threshold is not None and not (math.isfinite(threshold) and threshold > 0):
        return "THRESHOLD must be an SUV above 0, or empty"
    return _no_place(row)


def _check_region(row: dict[str, Any]) -> str:
    for name, allowed in (("REGION", REGIONS), ("DECISION", DECISIONS)):
        if row[name] not in allowed:
            return f"{name} must be one of {', '.join(allowed)}, found {row[name]!r}"
    if wrong := _no_date(row):
        return wrong
    placed = any(row.get(name) is not None for name in _PLACE)
    return _no_place(row) if placed or row["DECISION"] == "MOVE" else ""


def _no_date(row: dict[str, Any]) -> str:
    if row.get("DECIDEDDT") is not None:
        try:
            date.fromisoformat(row["DECIDEDDT"])
        except ValueError:
            return "DECIDEDDT must be a date as year-month-day, or empty"
    return ""


def _check_lesion(row: dict[str, Any]) -> str:
    if row["LESIONID"] is None:
        return "LESIONID is empty"
    if row["LESIONID"] in RESERVED:
        return f"LESIONID may not be {', '.join(RESERVED)}: names of other rows"
    if row.get("RELATION") not in (None, *RELATIONS):
        return f"RELATION must be one of {', '.join(RELATIONS)}, or empty; found {row['RELATION']!r}"
    return _no_date(row)


def signed_rows(rows: Rows, form: ReaderTable) -> tuple[Rows, list[dict[str, Any]]]:
    """Keep the rows that say who decided and when; the others are not followed.

    Parameters
    ----------
    rows : dict
        As `rows_by_scan` returns it.
    form : ReaderTable
        Form of the table, with READER and DECIDEDDT.

    Returns
    -------
    rows : dict
        Those with READER and DECIDEDDT.
    problems : list of dict
        Rows of the exclusions ledger, <code>_UNSIGNED.
    """
    kept: Rows = {}
    problems = []
    for scan, found in rows.items():
        for row in found:
            if row.get("READER") and row.get("DECIDEDDT"):
                kept.setdefault(scan, []).append(row)
                continue
            reason = f"{form.file}: {row[form.name]}: lacks READER or DECIDEDDT and is not followed"
            problems.append(
                {"USUBJID": scan[0], "AVISIT": scan[1], "ITEM": "record", "CODE": f"{form.code}_UNSIGNED",
                 "REASON": f"{reason}; say who decided, and when"}
            )  # fmt: skip
    return kept, problems


SEEDS = ReaderTable(
    "seeds.csv", "SEED", ("USUBJID", "AVISIT", "LESIONID", *_PLACE, "METHOD"), ("THRESHOLD", "ORGAN"),
    "LESIONID", _check_seed,
)  # fmt: skip
REFERENCE_REGIONS = ReaderTable(
    "reference_regions.csv", "REFERENCE_REGION", ("USUBJID", "AVISIT", "REGION", "DECISION"),
    (*_PLACE, "READER", "DECIDEDDT"), "REGION", _check_region,
)  # fmt: skip
LESION_MAP = ReaderTable(
    "lesion_map.csv", "LESION_MAP", ("USUBJID", "AVISIT", "ROINAME", "LESIONID"),
    ("RELATION", "READER", "DECIDEDDT"), "ROINAME", _check_lesion,
)  # fmt: skip
