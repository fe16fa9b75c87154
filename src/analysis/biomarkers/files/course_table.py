"""One quantity over time from a long table: a row a subject and time (the size of the tumour, say).

The mapping is data of the plan, `biomarkers.course_table`::

    file: sizes.csv                          # below the study's raw folder, comma-separated
    subject: id
    time: time
    time_unit: weeks                         # days, weeks or months, from the study's time zero; default days
    value: size_change
    value_is: percent_change                 # percent_change (of baseline), fraction or level; default level
    floor: 0.02                              # smallest level that could be seen: below it, only that is known
    group: ctdna_status
    groups: {Clearance: Clearance, No clearance: No clearance}       # words of the file: names of the groups
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.subject_table import STEP, list_names, read_subjects, refuse_mapping
from analysis.biomarkers.files.textfile import refuse_lines, to_number
from analysis.contracts import contract_of

COLUMNS = ["USUBJID", "DAY", "LEVEL", "LIMIT", "CENSORED", "GROUP"]
_LEDGER = list(contract_of("exclusions_05").columns)
_QUERIES = list(contract_of("queries_05").columns)
_NEEDED = {"file", "subject", "time", "value", "floor", "group", "groups"}
_UNITS = ("days", "weeks", "months")
# what a value is -> (lowest value it can have, factor and constant that make it a level)
_KINDS = {"level": (0.0, 1.0, 0.0), "fraction": (0.0, 1.0, 0.0), "percent_change": (-100.0, 0.01, 1.0)}


class CourseTable(NamedTuple):
    """What one long table gave.

    Attributes
    ----------
    course : DataFrame
        A row a value: USUBJID, DAY (days from the study's time zero), LEVEL (of baseline where the file holds
        changes or fractions of it, else as sent; NaN where CENSORED), LIMIT (the floor, same unit), CENSORED
        (True: the level is under the floor and no more is known), GROUP. Sorted by subject and day.
    exclusions, queries : DataFrame
        Rows of exclusions_05 and queries_05: `course` and the lines in `exclusions` are all of the file.
    """

    course: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def read_course_table(
    folder: str | Path, adsl: pd.DataFrame, *, rules=None, days_per_month: float | None = None
) -> CourseTable:
    """Read the quantity over time that the plan maps.

    Parameters
    ----------
    folder : path
        The study's raw folder.
    adsl : DataFrame
        USUBJID.
    rules : Section, optional
        The plan's section ``biomarkers``: `course_table`. Without a mapping all tables are empty.
    days_per_month : float, optional
        ``design.days_per_month``, for times in months.

    Returns
    -------
    CourseTable
        Values that are missing are in the ledger (VALUE_MISSING); a group is a subject's, once for all.

    Raises
    ------
    ValueError
        ``COURSE_TABLE`` for a mapping that cannot be used; every problem is listed.
    FileRefused
        With file, line and column: as `read_table`; ``TIME_MISSING``, ``TIME_TWICE`` (two values of a subject
        at one time), ``GROUP_MISSING``, ``GROUP_OF_TWO``, ``WORD_UNKNOWN``, ``NUMBER_MALFORMED``,
        ``NUMBER_RANGE``.
    """
    mapping = (plan.defaults().biomarkers if rules is None else rules).course_table
    if not mapping:
        return CourseTable(_typed(pd.DataFrame(columns=COLUMNS)), _frame([], _LEDGER), _frame([], _QUERIES))
    refuse_mapping("COURSE_TABLE", check_course_mapping(mapping))
    file, names = mapping["file"], [mapping[key] for key in ("time", "value", "group")]
    table, aside, asked = read_subjects(folder, mapping, names, adsl, once=False)
    days = _days(
        table, mapping, plan.defaults().design.days_per_month if days_per_month is None else days_per_month
    )
    lowest, factor, constant = _KINDS[mapping.get("value_is", "level")]
    # rounded far below any measurement: a change of -98 % is the floor of 0.02, not a shade under it
    level = (constant + factor * to_number(table, mapping["value"], file, low=lowest)).round(12)
    under = level.lt(mapping["floor"])
    course = pd.DataFrame(
        {"USUBJID": table["USUBJID"], "DAY": days, "LEVEL": level.mask(under),
         "LIMIT": float(mapping["floor"]), "CENSORED": under, "GROUP": _groups(table, mapping)}
    )  # fmt: skip
    twice = course.duplicated(["USUBJID", "DAY"])
    refuse_lines(
        twice, "TIME_TWICE", "a second value of this subject and time; keep one", file, mapping["time"]
    )
    blank = level.isna()
    aside += [
        (row.USUBJID, None, "record", "VALUE_MISSING",
         f"{file}, line {line}, {mapping['value']}: no value on day {row.DAY:g}; missing stays missing")
        for line, row in zip(course.index[blank], course[blank].itertuples(index=False))
    ]  # fmt: skip
    return CourseTable(_typed(course[~blank]), _frame(aside, _LEDGER), _frame(asked, _QUERIES))


def check_course_mapping(mapping: Mapping[str, Any]) -> list[str]:
    """List what is wrong with `biomarkers.course_table`, one line a problem."""
    where = "biomarkers.course_table"
    problems = list_names(where, mapping, _NEEDED, {"time_unit", "value_is", "resistant", "label"})
    if mapping.get("time_unit", "days") not in _UNITS:
        problems.append(f"{where}: time_unit must be one of {', '.join(_UNITS)}")
    if mapping.get("value_is", "level") not in _KINDS:
        problems.append(f"{where}: value_is must be one of {', '.join(_KINDS)}")
    floor = mapping.get("floor", 1.0)
    if isinstance(floor, bool) or not isinstance(floor, int | float) or not 0 < floor < np.inf:
        problems.append(f"{where}: floor must be a number above 0: on a log scale nothing has a level of 0")
    if not isinstance(mapping.get("groups", {"": ""}), Mapping) or not mapping.get("groups", {"": ""}):
        problems.append(f"{where}: groups must map the words of the file to names")
    return problems


def _days(table: pd.DataFrame, mapping: Mapping[str, Any], days_per_month: float) -> pd.Series:
    file, column = mapping["file"], mapping["time"]
    refuse_lines(table[column].isna(), "TIME_MISSING", "a value without its time; complete it", file, column)
    unit = dict(zip(_UNITS, (1.0, 7.0, days_per_month)))[mapping.get("time_unit", "days")]
    return to_number(table, column, file, low=0.0) * unit


def _groups(table: pd.DataFrame, mapping: Mapping[str, Any]) -> pd.Series:
    file, column = mapping["file"], mapping["group"]
    names = {str(word): str(name) for word, name in mapping["groups"].items()}
    refuse_lines(table[column].isna(), "GROUP_MISSING", "no group; complete it", file, column)
    known = f"a word the plan does not map (it maps {', '.join(map(repr, names))})"
    refuse_lines(~table[column].isin(list(names)), "WORD_UNKNOWN", known, file, column, table[column])
    group = table[column].map(names).astype(object)
    first = group.groupby(table["USUBJID"]).transform("first")
    message = "a subject of two groups; a group is a subject's, once for all"
    refuse_lines(group.ne(first), "GROUP_OF_TWO", message, file, column, table[column])
    return group


def _typed(course: pd.DataFrame) -> pd.DataFrame:
    kinds = {
        "USUBJID": object,
        "DAY": float,
        "LEVEL": float,
        "LIMIT": float,
        "CENSORED": bool,
        "GROUP": object,
    }
    return course.astype(kinds).sort_values(["USUBJID", "DAY"], kind="stable", ignore_index=True)


def _frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame([(STEP, *row) for row in rows], columns=columns).astype(object)
