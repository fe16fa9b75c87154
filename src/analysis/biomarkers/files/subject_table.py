"""Markers and further outcomes of a study without sample files: columns of one table, one row a subject.

The mapping is data of the plan, `biomarkers.subject_table`::

    file: patients.csv                       # below the study's raw folder, comma-separated
    subject: id
    markers:
      - {paramcd: LEVEL, column: ctdna, partype: LEVEL, samptype: PLASMA, visit: D0, transform: log2p1}
      - {paramcd: CTDNA, column: ctdna, partype: CTDNA, samptype: PLASMA, visit: D0, detected_above: 0.0}
      - {paramcd: TP53, column: p53, partype: MUT, samptype: PRIMARY, visit: D0, levels: {y: MUTATED, n: WT}}
    outcomes:                                # optional: 1 is the resistant side
      NO_OBJECTIVE_RESPONSE: {column: orr, positive: [SD/PD], negative: [CR/PR]}

A marker is a number (`transform`: none, ln, log2, log2p1), a number that is detected above a limit
(`detected_above`), or words (`levels`). A blank is no value: it stands in the ledger, and every subject and
marker is a row or a blank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis import plan
from analysis.biomarkers.files.textfile import read_numbers, read_table, refuse_lines, to_number
from analysis.biomarkers.plasma import DETECTED, NOT_DETECTED
from analysis.contracts import contract_of
from analysis.contracts.biomarkers import PARTYPES

STEP = "05"
COLUMNS = list(contract_of("adbm").columns)
_LEDGER = list(contract_of("exclusions_05").columns)
_QUERIES = list(contract_of("queries_05").columns)
_PRESENT = {"MUTATED": 1.0, "WT": 0.0, DETECTED: 1.0, NOT_DETECTED: 0.0}
_KEYS, _OPTIONAL = {"file", "subject", "markers"}, {"outcomes"}
_MARKER_KEYS = {"paramcd", "column", "partype", "samptype", "visit"}
_READINGS = ("transform", "detected_above", "levels")
# name -> (lowest value it is defined for, what it does)
_TRANSFORMS: dict[str, tuple[float, Callable[[pd.Series], pd.Series]]] = {
    "none": (-np.inf, lambda value: value),
    "ln": (np.nextafter(0, 1), np.log),
    "log2": (np.nextafter(0, 1), np.log2),
    "log2p1": (0.0, lambda value: np.log2(value + 1)),
}


class SubjectTable(NamedTuple):
    """What one table gave.

    Attributes
    ----------
    adbm : DataFrame
        Rows of table adbm.
    outcomes : DataFrame
        Index USUBJID, sorted: a column a further outcome, 1 (resistant), 0, NaN.
    exclusions, queries : DataFrame
        Rows of exclusions_05 and queries_05.
    """

    adbm: pd.DataFrame
    outcomes: pd.DataFrame
    exclusions: pd.DataFrame
    queries: pd.DataFrame


def read_subject_table(folder: str | Path, adsl: pd.DataFrame, *, rules=None) -> SubjectTable:
    """Read markers and further outcomes from the table the plan maps.

    Parameters
    ----------
    folder : path
        The study's raw folder.
    adsl : DataFrame
        USUBJID, and STUDYID where known.
    rules : Section, optional
        The plan's section ``biomarkers``: `subject_table`. Without a mapping all tables are empty.

    Returns
    -------
    SubjectTable
        In `adbm` SAMPLEID is made of subject, kind of sample and visit; ADT and ADY are missing. AVAL is the
        transformed number, AVALC the word; of a number that is only detected or not, AVAL stays missing: it
        is no allele fraction.

    Raises
    ------
    ValueError
        ``SUBJECT_TABLE`` for a mapping that cannot be used; every problem is listed.
    FileRefused
        With file, line and column: as `read_table`; ``SUBJECT_MISSING``, ``SUBJECT_TWICE``, ``WORD_UNKNOWN``,
        ``NUMBER_MALFORMED``, ``NUMBER_RANGE``.
    """
    mapping = (plan.defaults().biomarkers if rules is None else rules).subject_table
    if not mapping:
        return SubjectTable(_typed([]), pd.DataFrame(), _frame([], _LEDGER), _frame([], _QUERIES))
    refuse_mapping("SUBJECT_TABLE", check_subject_mapping(mapping))
    specs, outcomes = mapping["markers"], mapping.get("outcomes", {})
    columns = [spec["column"] for spec in [*specs, *outcomes.values()]]
    table, aside, asked = read_subjects(folder, mapping, columns, adsl)
    study = adsl["STUDYID"].iloc[0] if "STUDYID" in adsl and len(adsl) else None
    parts = []
    for spec in specs:
        rows = _read_marker(table, spec, mapping["file"])
        blank = table[spec["column"]].isna()
        parts.append(rows[~blank])
        aside += _blanks(rows[blank], spec["column"], mapping["file"], "MARKER_MISSING", spec["paramcd"])
    sides = {name: _read_outcome(table, spec, mapping["file"]) for name, spec in outcomes.items()}
    for name, spec in outcomes.items():
        blank = table[table[spec["column"]].isna()].assign(AVISIT=None)
        aside += _blanks(blank, spec["column"], mapping["file"], "OUTCOME_MISSING", name)
    found = pd.DataFrame(sides).set_index(table["USUBJID"]).sort_index()
    return SubjectTable(_typed(parts, study), found, _frame(aside, _LEDGER), _frame(asked, _QUERIES))


def check_subject_mapping(mapping: Mapping[str, Any]) -> list[str]:
    """List what is wrong with `biomarkers.subject_table`, one line a problem."""
    where = "biomarkers.subject_table"
    problems = list_names(where, mapping, _KEYS, _OPTIONAL)
    markers, outcomes = mapping.get("markers"), mapping.get("outcomes", {})
    if not isinstance(markers, list) or not markers or not all(isinstance(one, Mapping) for one in markers):
        return [*problems, f"{where}: markers must be a list of {{paramcd, column, ...}}"]
    for spec in markers:
        problems += _check_marker(f"{where} marker {spec.get('paramcd', '?')!r}", spec)
    keys = [
        tuple(str(spec.get(name)) for name in ("paramcd", "partype", "samptype", "visit")) for spec in markers
    ]
    problems += [f"{where}: marker {key} stands twice" for key in dict.fromkeys(keys) if keys.count(key) > 1]
    if not isinstance(outcomes, Mapping):
        return [*problems, f"{where}: outcomes must map names to {{column, positive, negative}}"]
    for name, spec in outcomes.items():
        here = f"{where} outcome {name!r}"
        if not isinstance(spec, Mapping) or set(spec) != {"column", "positive", "negative"}:
            problems.append(f"{here}: must be {{column, positive: [...], negative: [...]}}")
        elif set(spec["positive"]) & set(spec["negative"]) or not (spec["positive"] and spec["negative"]):
            problems.append(f"{here}: positive and negative must each hold words, none of them both")
        if name != str(name).upper():
            problems.append(f"{here}: the name of an outcome is written in capitals")
    return problems


def _check_marker(where: str, spec: Mapping[str, Any]) -> list[str]:
    problems = list_names(where, spec, _MARKER_KEYS, set(_READINGS))
    if sum(name in spec for name in _READINGS) != 1:
        problems.append(f"{where}: give one of {', '.join(_READINGS)}")
    if spec.get("partype") not in PARTYPES:
        problems.append(f"{where}: partype must be one of {', '.join(PARTYPES)}")
    if spec.get("transform", "none") not in _TRANSFORMS:
        problems.append(f"{where}: transform must be one of {', '.join(_TRANSFORMS)}")
    levels = spec.get("levels", {"": ""})
    if not isinstance(levels, Mapping) or not levels:
        problems.append(f"{where}: levels must map the words of the file")
    limit = spec.get("detected_above", 0.0)
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        problems.append(f"{where}: detected_above must be a number")
    return problems


def list_names(where: str, given: Mapping[str, Any], needed: set[str], optional: set[str]) -> list[str]:
    """List the unknown and the missing names of a mapping."""
    known = needed | optional
    unknown = [f"{where}: unknown name {name!r}; known: {', '.join(sorted(known))}"
               for name in sorted(set(given) - known)]  # fmt: skip
    return unknown + [f"{where}: {name!r} is missing" for name in sorted(needed - set(given))]


def refuse_mapping(code: str, problems: list[str]) -> None:
    """Raise a ValueError with every problem of a mapping, if there is one."""
    if problems:
        raise ValueError(f"{code}: {len(problems)} problem(s)\n" + "\n".join(problems))


def read_subjects(
    folder: str | Path,
    mapping: Mapping[str, Any],
    columns: list[str],
    adsl: pd.DataFrame,
    *,
    once: bool = True,
) -> tuple[pd.DataFrame, list[tuple], list[tuple]]:
    """Read the columns of a mapped table, for subjects of ADSL alone.

    Parameters
    ----------
    folder : path
        The study's raw folder.
    mapping : mapping
        ``file`` and ``subject``.
    columns : list of str
        Columns the file must have.
    adsl : DataFrame
        USUBJID.
    once : bool
        A subject has one row, and who of ADSL has none is set aside.

    Returns
    -------
    table : DataFrame
        The columns as text and USUBJID; the index is the line of the file.
    aside, asked : list of tuple
        Rows of exclusions_05 and queries_05 (without STEP): lines of nobody, subjects without a line.
    """
    file, subject = mapping["file"], mapping["subject"]
    wanted = list(dict.fromkeys([subject, *columns]))
    table = read_table(Path(folder) / file, delimiter=",", required=wanted)[wanted]
    table = table.assign(USUBJID=table[subject])
    refuse_lines(table["USUBJID"].isna(), "SUBJECT_MISSING", "no subject; complete it", file, subject)
    if once:
        twice = table["USUBJID"].duplicated()
        refuse_lines(twice, "SUBJECT_TWICE", "a second row; keep one", file, subject, table["USUBJID"])
    known = table["USUBJID"].isin(adsl["USUBJID"])
    why = "its subject is not in adsl; mend the identifier"
    strangers = [f"{file}, line {line}" for line in table.index[~known]]
    aside = [(None, None, "record", "SUBJECT_UNKNOWN", f"{record}: {why}") for record in strangers]
    asked = [
        ("SUBJECT_UNKNOWN", "error", None, file, record, why, "mend the identifier") for record in strangers
    ]
    if once:
        absent = sorted(set(adsl["USUBJID"]) - set(table["USUBJID"]))
        why = f"{file} has no row of this subject; add it"
        aside += [(name, None, "subject", "SUBJECT_NOT_IN_TABLE", why) for name in absent]
    return table[known], aside, asked


def marker_matrix(adbm: pd.DataFrame, partype: str, visit: str) -> pd.DataFrame:
    """Return subjects x markers of one kind at one visit, for the analyses of notebook 05.

    Parameters
    ----------
    adbm : DataFrame
        Rows of table adbm, one sample a subject, marker and visit.
    partype, visit : str
        PARTYPE and AVISIT.

    Returns
    -------
    DataFrame
        Index USUBJID, a column a PARAMCD, both sorted: AVAL, or 1 (present, detected) or 0 by AVALC.
    """
    rows = adbm[adbm["PARTYPE"].eq(partype) & adbm["AVISIT"].eq(visit)]
    value = rows["AVALC"].map(_PRESENT).astype(float)
    rows = rows.assign(VALUE=value.where(value.notna(), rows["AVAL"].astype(float)))
    wide = rows.set_index(["USUBJID", "PARAMCD"])["VALUE"].unstack("PARAMCD")  # noqa: PD010
    return wide.sort_index().sort_index(axis=1)


def _read_marker(table: pd.DataFrame, spec: Mapping[str, Any], file: str) -> pd.DataFrame:
    """Return a row a subject, blanks included."""
    column = spec["column"]
    value, word = pd.Series(np.nan, table.index), pd.Series(None, table.index, dtype=object)
    if "levels" in spec:
        meaning = _words(table, column, spec["levels"], file)
        value = read_numbers(meaning)
        word = table[column].where(value.notna(), meaning)
    elif "detected_above" in spec:
        number = to_number(table, column, file)
        word = number.gt(spec["detected_above"]).map({True: DETECTED, False: NOT_DETECTED}).astype(object)
    else:
        lowest, change = _TRANSFORMS[spec["transform"]]
        value = change(to_number(table, column, file, low=lowest))
    return pd.DataFrame(
        {"USUBJID": table["USUBJID"], "SAMPTYPE": spec["samptype"], "AVISIT": spec["visit"],
         "SAMPLEID": table["USUBJID"] + f"-{spec['samptype']}-{spec['visit']}", "PARAMCD": spec["paramcd"],
         "PARTYPE": spec["partype"], "AVAL": value, "AVALC": word}
    )  # fmt: skip


def _read_outcome(table: pd.DataFrame, spec: Mapping[str, Any], file: str) -> np.ndarray:
    words = dict.fromkeys(map(str, spec["positive"]), 1.0) | dict.fromkeys(map(str, spec["negative"]), 0.0)
    return _words(table, spec["column"], words, file).to_numpy(float)


def _words(table: pd.DataFrame, column: str, meaning: Mapping[Any, Any], file: str) -> pd.Series:
    known = {str(word): what for word, what in meaning.items()}
    text = table[column]
    unknown = text.notna() & ~text.isin(list(known))
    message = f"a word the plan does not map (it maps {', '.join(map(repr, known))})"
    refuse_lines(unknown, "WORD_UNKNOWN", message, file, column, text)
    return text.map(known).astype(object)


def _blanks(rows: pd.DataFrame, column: str, file: str, code: str, what: str) -> list[tuple]:
    why = f"{file}, {column}: no value of {what}; missing stays missing"
    return [(row.USUBJID, row.AVISIT, "record", code, why) for row in rows.itertuples(index=False)]


def _typed(parts: list[pd.DataFrame], study: str | None = None) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    rows = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()
    rows = rows.assign(STUDYID=study).reindex(columns=COLUMNS)
    rows["ADT"] = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[ns]")
    numbers = ["AVAL", "ADY", "LOD", "DEPTH"]
    texts = [name for name in COLUMNS if name not in (*numbers, "ADT")]
    rows = rows.astype(dict.fromkeys(numbers, float) | dict.fromkeys(texts, object))
    rows[texts] = rows[texts].where(rows[texts].notna(), None)
    order = ["USUBJID", "SAMPTYPE", "SAMPLEID", "PARTYPE", "PARAMCD"]
    return rows.sort_values(order, kind="stable", ignore_index=True)


def _frame(rows: list[tuple], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame([(STEP, *row) for row in rows], columns=columns).astype(object)
