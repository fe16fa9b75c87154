"""A study that sends response classes and no numbers: a laboratory's or a reading centre's verdict.

The class is taken as it was sent: no lesion, no value and no scan stands behind it here, so it has no score,
no boundary and no other cut. The mapping is data of the plan, `pet.classes_table`::

    file: patients.csv                       # CSV under the study's raw folder, one row a subject
    subject: id
    column: change_group                     # the study's own words
    visit: EARLY                             # one of design.followup_visits
    classes: {Increase: NON-RESPONDER, Decrease: RESPONDER}        # every word; NE for "not evaluable"
    metric: CTDNA                            # METRIC of admr: what the verdict is about
    rule: reported                           # RULE of admr: a name of its own
    cut_percent: 0.0                         # CUT of admr: the percent fall the words stand for

A blank is no class: the subject is not evaluable (CLASS_MISSING) and stands in the ledger. A word the mapping
does not know is refused with its line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import contracts
from analysis import plan as plans
from analysis.pet import quality
from analysis.pet.measurement_records import empty_table
from analysis.pet.measurements_in import Measurements
from analysis.pet.response_rules import RULE_TABLES

RESPONDER, NON_RESPONDER, NOT_EVALUABLE = "RESPONDER", "NON-RESPONDER", "NE"
_KEYS = ("file", "subject", "column", "visit", "classes", "metric", "rule", "cut_percent")
_TEXTS = ("file", "subject", "column", "metric", "rule")
_MEANINGS = (RESPONDER, NON_RESPONDER, NOT_EVALUABLE)
_REASONS = {
    "CLASS_MISSING": "no class was sent; missing stays missing",
    "CLASS_NOT_EVALUABLE": "the study calls it not evaluable",
    "SUBJECT_NOT_IN_TABLE": "no row of this subject is in the table; send it, or correct its number",
    "SUBJECT_NOT_IN_ADSL": "no subject of ADSL has this number; correct it, or add the subject",
}
_SHOWN = 5


def check_class_mapping(mapping: Mapping[str, Any], plan: plans.Plan) -> list[str]:
    """List what is wrong with `pet.classes_table`: names, visit, classes, rule, cut.

    Parameters
    ----------
    mapping : mapping
        As at the head of this module.
    plan : Plan
        `design.followup_visits` and `pet.measurements_table`.

    Returns
    -------
    list of str
        One line a problem.
    """
    where = "pet.classes_table"
    problems = [
        f"{where}: unknown name {name!r}; known: {', '.join(_KEYS)}"
        for name in sorted(set(mapping) - set(_KEYS))
    ]
    problems += [f"{where}: {name!r} is missing" for name in _KEYS if name not in mapping]
    if problems:
        return problems
    visits, classes, cut = plan.design.followup_visits, mapping["classes"], mapping["cut_percent"]
    means = list(classes.values()) if isinstance(classes, Mapping) else []
    wrong = {
        f"{', '.join(_TEXTS)} must be words": not all(
            isinstance(mapping[name], str) and mapping[name].strip() for name in _TEXTS
        ),
        f"visit must be one of design.followup_visits ({', '.join(visits)})": mapping["visit"] not in visits,
        f"classes must give each word one of {', '.join(_MEANINGS)}, and name both {NON_RESPONDER} and "
        f"{RESPONDER}": not {RESPONDER, NON_RESPONDER} <= set(means) <= set(_MEANINGS),
        f"rule {mapping['rule']!r} is derived here from lesions; give the sent classes another name": mapping[
            "rule"
        ]
        in RULE_TABLES,
        "cut_percent must be a number from 0 to 100": isinstance(cut, bool)
        or not isinstance(cut, int | float)
        or not 0 <= cut <= 100,
        "pet.measurements_table maps numbers too; keep one of them": bool(plan.pet.measurements_table),
    }
    return [f"{where}: {what}" for what, found in wrong.items() if found]


def read_class_table(
    table: pd.DataFrame | None,
    adsl: pd.DataFrame,
    plan: plans.Plan,
    *,
    decisions: pd.DataFrame | None = None,
    step: str = "02",
) -> Measurements:
    """Read the response classes of a study from one table.

    Parameters
    ----------
    table : DataFrame or None
        The file of the mapping, as text; its first row is line 2 of the file.
    adsl : DataFrame
        USUBJID, and STUDYID SAFFL where known. Subjects who were not treated (SAFFL N) have no row.
    plan : Plan
        Sections ``pet`` (`classes_table`) and ``design`` (`followup_visits`).
    decisions : DataFrame, optional
        ``reader_decisions.csv``: handed on; nothing here reads it.
    step : str
        Number of the notebook, for the ledger.

    Returns
    -------
    Measurements
        `admr` holds one row a treated subject: AVALC is the study's own word, MRESP the plan's reading of it;
        SCORE, NLESION and PETDT are missing. There are no scans and no lesions. `files` counts the rows by
        what became of them.

    Raises
    ------
    FileNotFoundError
        NO_CLASS_TABLE without the file.
    ValueError
        CLASS_TABLE for a mapping or a table that cannot be used; every problem is listed.
    """
    mapping = plan.pet.classes_table
    _refuse(check_class_mapping(mapping, plan))
    if table is None:
        raise FileNotFoundError(
            f"NO_CLASS_TABLE: no file {mapping['file']!r} in the raw folder; put it there (pet.classes_table)"
        )
    _refuse(list(_check_columns(table, mapping)))
    sent = pd.DataFrame(
        {"USUBJID": _text(table[mapping["subject"]]), "WORD": _text(table[mapping["column"]])}
    )
    _refuse(list(_check_rows(sent, mapping)))
    study = next(iter(adsl["STUDYID"].dropna()), plan.study) if "STUDYID" in adsl else plan.study
    treated = adsl[adsl["SAFFL"].ne("N")] if "SAFFL" in adsl else adsl
    admr = _classify(sent.set_index("USUBJID")["WORD"], treated["USUBJID"], mapping, study)
    unknown = sent[~sent["USUBJID"].isin(adsl["USUBJID"])]
    fate = np.select([sent["USUBJID"].isin(unknown["USUBJID"]), sent["WORD"].isna()], ["set aside", "empty"],
                     "used as class")  # fmt: skip
    decisions = contracts.empty("reader_decisions") if decisions is None else decisions
    empty = {name: empty_table(name) for name in ("adpet", "scan_qc", "lesion_map")}
    queries = pd.DataFrame(_ask(unknown, mapping), columns=quality.QUERY_COLUMNS)
    queries.insert(0, "STEP", step)
    return Measurements(
        **empty, admr=admr, exclusions=_exclusions(admr, unknown, mapping, step), queries=queries,
        decisions=decisions, files=Counter(fate.tolist()),
    )  # fmt: skip


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError(f"CLASS_TABLE: {len(problems)} problem(s)\n" + "\n".join(problems))


def _text(column: pd.Series) -> pd.Series:
    text = column.astype("string").str.strip().replace("", pd.NA).astype(object)
    return text.where(text.notna(), None)


def _check_columns(table: pd.DataFrame, mapping: Mapping[str, Any]) -> Iterator[str]:
    for column in (mapping["subject"], mapping["column"]):
        if column not in table:
            yield f"{mapping['file']} has no column {column!r}, which pet.classes_table names; add or map it"
        elif isinstance(table[column], pd.DataFrame):
            yield f"{mapping['file']} has the column {column!r} twice; keep one"
    if table.empty:
        yield f"{mapping['file']} has no rows; export it again"


def _check_rows(sent: pd.DataFrame, mapping: Mapping[str, Any]) -> Iterator[str]:
    """Name rows without a subject, subjects with two rows, and words the mapping does not know, by line."""
    line = pd.Series(np.arange(2, len(sent) + 2), sent.index)
    subject, word = sent["USUBJID"], sent["WORD"]
    known = ", ".join(map(repr, mapping["classes"]))
    for wrong, what in (
        (subject.isna(), f"column {mapping['subject']!r}: no subject; complete it"),
        (subject.notna() & subject.duplicated(), f"column {mapping['subject']!r}: a second row; keep one"),
        (
            word.notna() & ~word.isin(list(mapping["classes"])),
            f"column {mapping['column']!r}: a class that pet.classes_table does not know (it knows {known}); "
            "add or correct it",
        ),
    ):
        if wrong.any():
            lines = line[wrong].tolist()
            shown = ", ".join(map(str, lines[:_SHOWN])) + (" ..." if len(lines) > _SHOWN else "")
            found = word[wrong].iloc[0] if "class" in what else subject[wrong].iloc[0]
            yield f"{mapping['file']}, line {shown} ({len(lines)} in all, first {found!r}), {what}"


def _classify(words: pd.Series, subjects: pd.Series, mapping: Mapping[str, Any], study: str) -> pd.DataFrame:
    """Build admr: a row a subject, sorted."""
    names = pd.Series(sorted(subjects), dtype=object)
    word = names.map(words).astype(object)
    means = word.map(mapping["classes"]).fillna(NOT_EVALUABLE)
    causes = {
        "SUBJECT_NOT_IN_TABLE": ~names.isin(words.index),
        "CLASS_MISSING": word.isna(),
        "CLASS_NOT_EVALUABLE": means.eq(NOT_EVALUABLE),
    }
    why = pd.Series(np.select(list(causes.values()), list(causes), ""), names.index, dtype=object)
    table = pd.DataFrame(
        {"STUDYID": study, "USUBJID": names, "AVISIT": mapping["visit"], "METRIC": mapping["metric"],
         "RULE": mapping["rule"], "CUT": float(mapping["cut_percent"]),
         "AVALC": word.where(word.notna(), NOT_EVALUABLE), "MRESP": means, "SCORE": np.nan,
         "NLESION": np.nan, "PETDT": pd.NaT, "NEREAS": why.where(why.ne(""), None), "ONBOUND": None,
         "DECIDED": np.where(why.isin(["", "CLASS_NOT_EVALUABLE"]), "sent", "not_sent"), "COMPARE": None,
         "PPFL": None, "FLAGS": None}
    )  # fmt: skip
    return contracts.check("admr", table)


def _exclusions(
    admr: pd.DataFrame, unknown: pd.DataFrame, mapping: Mapping[str, Any], step: str
) -> pd.DataFrame:
    """List every subject without a class, and every row of nobody of ADSL."""
    file, column = mapping["file"], mapping["column"]
    rows = [
        {"USUBJID": row.USUBJID, "AVISIT": mapping["visit"], "CODE": row.NEREAS,
         "ITEM": "subject" if row.NEREAS == "SUBJECT_NOT_IN_TABLE" else "record",
         "REASON": f"{file}, {column}: {_REASONS[row.NEREAS]}"}
        for row in admr[admr["NEREAS"].notna()].itertuples(index=False)
    ]  # fmt: skip
    rows += [
        {"USUBJID": name, "AVISIT": mapping["visit"], "ITEM": "record", "CODE": "SUBJECT_NOT_IN_ADSL",
         "REASON": f"{file}: {_REASONS['SUBJECT_NOT_IN_ADSL']}"} for name in sorted(unknown["USUBJID"])
    ]  # fmt: skip
    columns = ["STEP", "USUBJID", "AVISIT", "ITEM", "CODE", "REASON"]
    return pd.DataFrame(rows, columns=columns).assign(STEP=step)


def _ask(unknown: pd.DataFrame, mapping: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"CODE": "SUBJECT_NOT_IN_ADSL", "SEVERITY": "error", "USUBJID": name, "DOMAIN": mapping["file"],
         "RECORD": mapping["visit"], "MESSAGE": _REASONS["SUBJECT_NOT_IN_ADSL"],
         "ACTION": "correct the table"} for name in sorted(unknown["USUBJID"])
    ]  # fmt: skip
