"""Corrections of the raw tables from a file that says who decided what and why; all of them or none.

A line names one cell (domain, key, variable), the value it has now (old) and the value it gets (new). A line
whose old value is not the one in the data is refused: the data have changed since, or the line means another
record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from analysis import contracts
from analysis.clinical.dates import COMPLETE, IMPOSSIBLE, parse_dates
from analysis.clinical.file_text import is_number, number_text
from analysis.clinical.sdtm import KEYS, NUMBERS, FileBroken, Problem, read_frame
from analysis.clinical.sdtm_checks import check_domain, check_study

COLUMNS = ("domain", "key", "variable", "old", "new", "reason", "who", "when")
AUDIT_COLUMNS = contracts.columns("corrections")
_NEEDED = ("DOMAIN", "KEY", "VARIABLE", "REASON", "WHO", "WHEN")
_NEXT_NAME = r"[;,|](?=\s*\w+\s*=)"  # a separator; any other may belong to an identifier
_SUBJECT_AND_NUMBER = r"(.*?)[\s;,|]+([^\s;,|]+)"


class CorrectionError(ValueError):
    """Corrections that cannot be applied; `problems` lists every one, and no correction was applied."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__(
            f"{len(problems)} problem(s) in the corrections, none applied:\n" + "\n".join(map(str, problems))
        )

    def __reduce__(self):
        return type(self), (self.problems,)


@dataclass(frozen=True)
class _Cell:
    """Where a line of the file points to: a place in a domain, and the line."""

    domain: str
    place: int
    variable: str
    line: pd.Series


def read_corrections(raw_dir: str | Path, rules) -> pd.DataFrame | None:
    """Read the corrections of a study.

    Parameters
    ----------
    raw_dir : path
        Raw folder; the file (plan value ``design.corrections_file``, in any case) lies in it or in its
        ``sdtm`` folder.
    rules : Section
        ``design`` of the plan.

    Returns
    -------
    DataFrame or None
        DOMAIN KEY VARIABLE OLD NEW REASON WHO WHEN as text (None where blank) and LINE, the line of the file;
        None if there is no such file.

    Raises
    ------
    CorrectionError
        CORRECTION_TWO_FILES, CORRECTION_UNREADABLE or CORRECTION_NO_COLUMN.
    """
    name = rules.corrections_file
    files = _files(Path(raw_dir), name)
    if not files:
        return None
    if len(files) > 1:
        names = ", ".join(file.relative_to(raw_dir).as_posix() for file in files)
        text = f"one file of corrections a study, found {names}; keep one"
        raise CorrectionError([Problem("CORRECTION_TWO_FILES", "CORRECTIONS", "", text)])
    try:
        raw = read_frame(files[0], COLUMNS)
    except FileBroken as error:
        raise CorrectionError([Problem("CORRECTION_UNREADABLE", "CORRECTIONS", "", str(error))]) from error
    raw.columns = [str(column).strip().lower() for column in raw.columns]
    wrong = [column for column in COLUMNS if list(raw.columns).count(column) != 1]
    if wrong:
        text = f"{name} needs this column once; its columns are {', '.join(COLUMNS)}"
        raise CorrectionError([Problem("CORRECTION_NO_COLUMN", "CORRECTIONS", one, text) for one in wrong])
    table = pd.DataFrame({column.upper(): raw[column].map(_trimmed) for column in COLUMNS}, dtype=object)
    table["LINE"] = range(2, len(table) + 2)
    return table[table.drop(columns="LINE").notna().any(axis=1)].reset_index(drop=True)


def apply_corrections(
    sdtm: Mapping[str, pd.DataFrame], corrections: pd.DataFrame | None
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Apply corrections to the domains; the frames handed in stay as they are.

    Parameters
    ----------
    sdtm : mapping of str to DataFrame
        Domains as `read_sdtm` returns them.
    corrections : DataFrame or None
        As `read_corrections` returns it. KEY is ``USUBJID=S-1; TRSEQ=4`` (columns of the domain, parted by
        ``;`` ``,`` or ``|``), a subject alone (one record of the subject), or subject and sequence number
        (``S-1 4``). A blank OLD is a missing value; a blank NEW empties the cell. Numeric columns
        (`sdtm.NUMBERS`) are compared and written as numbers, 2.0 and 02 as 2, all others as text.

    Returns
    -------
    (dict of str to DataFrame, DataFrame)
        The corrected domains, and the audit trail in the contract ``corrections``, sorted by domain, key and
        variable.

    Raises
    ------
    CorrectionError
        With every problem of every line: CORRECTION_INCOMPLETE, CORRECTION_UNKNOWN_DOMAIN,
        CORRECTION_UNKNOWN_VARIABLE, CORRECTION_NO_RECORD, CORRECTION_AMBIGUOUS, CORRECTION_BAD_KEY,
        CORRECTION_OLD_DIFFERS, CORRECTION_NO_CHANGE, CORRECTION_TWICE, CORRECTION_NO_KEY, and, as
        CORRECTION_*, what `sdtm_checks` finds in the corrected tables: NO_SUBJECT, NO_STUDY, NO_SEQUENCE,
        NOT_A_NUMBER, DUPLICATE_KEY, STUDY_MIXED.
    """
    if corrections is None or corrections.empty:
        return dict(sdtm), pd.DataFrame(columns=AUDIT_COLUMNS, dtype=object)
    problems: list[Problem] = []
    subjects = {name: frame.groupby("USUBJID").indices for name, frame in sdtm.items() if len(frame)}
    cells = []
    for _, line in corrections.iterrows():
        trouble, cell = _resolve(line, sdtm, subjects)
        problems += trouble
        cells += [] if cell is None else [cell]
    problems += _twice(cells)
    corrected = _write(sdtm, cells)
    problems += _check_again(corrected, cells)
    if problems:
        raise CorrectionError(sorted(problems, key=str))
    return corrected, _audit(sdtm, corrected, cells)


def _files(raw_dir: Path, name: str) -> list[Path]:
    wanted = [folder / name for folder in (raw_dir, raw_dir / "sdtm")]
    return [
        file
        for path in wanted
        if path.parent.is_dir()
        for file in sorted(path.parent.iterdir())
        if file.name.casefold() == path.name.casefold() and file.is_file()
    ]


def _trimmed(value) -> str | None:
    text = "" if value is None or pd.isna(value) else str(value).strip()
    return text or None


def _alike(value, domain: str, variable: str) -> str | None:
    """Write a value as `read_sdtm` does: numbers of numeric columns alike, an identifier 1.10 as it is."""
    text = _trimmed(value)
    return number_text(text) if variable in NUMBERS[domain] and is_number(text) else text


def _problem(code: str, line: pd.Series, message: str) -> Problem:
    number = f"line {line.LINE}: " if "LINE" in line else ""
    return Problem(f"CORRECTION_{code}", line.DOMAIN or "CORRECTIONS", line.VARIABLE or "", number + message)


def _resolve(line: pd.Series, sdtm, subjects) -> tuple[list[Problem], _Cell | None]:
    """Find the cell a line means and hold its old value against the data."""
    problems = _incomplete(line)
    domain, variable = str(line.DOMAIN or "").upper(), str(line.VARIABLE or "").upper()
    if line.DOMAIN and domain not in sdtm:
        return [*problems, _problem("UNKNOWN_DOMAIN", line, f"known are {', '.join(sdtm)}")], None
    frame = sdtm.get(domain)
    if line.VARIABLE and frame is not None and variable not in frame:
        unused = variable in frame.attrs.get("left_out", [])
        text = (
            "no derivation uses this column; remove the line" if unused else "the domain has no such column"
        )
        problems.append(_problem("UNKNOWN_VARIABLE", line, text))
    if problems or frame is None:
        return problems, None
    pairs = _read_key(line.KEY, domain, subjects.get(domain, {}))
    wanted = dict(pairs)
    strange = next((name for name in wanted if name not in frame), None)
    if strange is not None:
        return [_problem("UNKNOWN_VARIABLE", line, f"the key names {strange!r}, no column of {domain}")], None
    if len(wanted) < len(pairs):
        return [_problem("BAD_KEY", line, f"the key {line.KEY!r} names a column twice; keep one")], None
    places = _find(domain, frame, wanted, subjects.get(domain, {}))
    if len(places) != 1:
        code, text = ("AMBIGUOUS", "means") if places else ("NO_RECORD", "means")
        more = "; add columns to the key" if places else "; check the key"
        return [_problem(code, line, f"the key {line.KEY!r} {text} {len(places)} records{more}")], None
    return _compare(line, _Cell(domain, places[0], variable, line), frame)


def _incomplete(line: pd.Series) -> list[Problem]:
    blank = [name.lower() for name in _NEEDED if not _trimmed(line[name])]
    problems = [_problem("INCOMPLETE", line, f"{', '.join(blank)} missing")] if blank else []
    wrong = _wrong_date(line.WHEN)
    return [*problems, _problem("INCOMPLETE", line, f"when is {line.WHEN!r}, {wrong}")] if wrong else problems


def _wrong_date(text) -> str:
    """Say why a text is no date of a correction; nothing if it is one, or blank."""
    status = parse_dates(pd.Series([text], dtype=object)).STATUS.iloc[0]
    if not _trimmed(text) or status == COMPLETE:
        return ""
    if status != IMPOSSIBLE:
        return "not a date YYYY-MM-DD"
    try:
        date.fromisoformat(_trimmed(text)[:10])
    except ValueError:
        return "not a possible date"
    return "too far from today to be right"


def _read_key(key: str, domain: str, subjects) -> list[tuple[str, str | None]]:
    """Return the columns and values a key asks for, in their order."""
    if key in subjects:  # an identifier may hold a blank, a comma or an equals sign
        return [("USUBJID", key)]
    if "=" in key:
        parts = [part.partition("=") for part in re.split(_NEXT_NAME, key.rstrip(" ;,|"))]
        named = [(name.strip().upper(), value) for name, _, value in parts]
        return [(name, _alike(value, domain, name)) for name, value in named]
    parts = re.fullmatch(_SUBJECT_AND_NUMBER, key)
    if not parts:
        return [("USUBJID", key)]
    name = f"{domain}SEQ"
    return [("USUBJID", parts[1].strip()), (name, _alike(parts[2], domain, name))]


def _find(domain: str, frame: pd.DataFrame, wanted: dict[str, str | None], subjects) -> list[int]:
    places = subjects.get(wanted["USUBJID"], []) if "USUBJID" in wanted else range(len(frame))
    rest = [name for name in wanted if name != "USUBJID"]
    for name in rest:
        values = frame[name].to_numpy()
        places = [place for place in places if _alike(values[place], domain, name) == wanted[name]]
    return [int(place) for place in places]


def _compare(line: pd.Series, cell: _Cell, frame: pd.DataFrame) -> tuple[list[Problem], _Cell | None]:
    found = frame[cell.variable].iloc[cell.place]
    now, old, new = (_alike(value, cell.domain, cell.variable) for value in (found, line.OLD, line.NEW))
    if now != old:
        text = f"the data have {_trimmed(found)!r}, the correction says old is {line.OLD!r}; look at it again"
        return [_problem("OLD_DIFFERS", line, text)], None
    if now == new:
        return [_problem("NO_CHANGE", line, f"old and new are both {line.NEW!r}; remove the line")], None
    return [], cell


def _twice(cells: list[_Cell]) -> list[Problem]:
    count: dict[tuple, list[_Cell]] = {}
    for cell in cells:
        count.setdefault((cell.domain, cell.place, cell.variable), []).append(cell)
    return [
        _problem("TWICE", cell.line, "another line corrects the same cell; keep one")
        for same in count.values()
        if len(same) > 1
        for cell in same
    ]


def _write(sdtm: Mapping[str, pd.DataFrame], cells: list[_Cell]) -> dict[str, pd.DataFrame]:
    corrected = dict(sdtm)
    for domain in sorted({cell.domain for cell in cells}):
        corrected[domain] = sdtm[domain].copy()
    for cell in cells:
        frame = corrected[cell.domain]
        new = _alike(cell.line.NEW, cell.domain, cell.variable)
        frame.iloc[cell.place, frame.columns.get_loc(cell.variable)] = new
    return corrected


def _check_again(corrected: Mapping[str, pd.DataFrame], cells: list[_Cell]) -> list[Problem]:
    """Hold the corrected tables against what stops the reader, and name the lines that brought it about."""
    found = []
    for domain in sorted({cell.domain for cell in cells}):
        frame = corrected[domain].set_axis(range(len(corrected[domain])))
        frame.attrs = {}  # records are then named by their number, whatever the format of the file
        found += check_domain(domain, frame, frame, KEYS[domain], needed=False)
    if any(cell.variable == "STUDYID" for cell in cells):
        found += check_study({name: frame for name, frame in corrected.items() if len(frame)})
    problems = [
        _problem(problem.code, cell.line, f"after the correction, {problem.message}")
        for problem in found
        for cell in cells
        if _brought_about(problem, cell, corrected[cell.domain])
    ]
    return problems + [
        _problem("NO_KEY", cell.line, f"a record cannot lose its {cell.variable}; give it a value")
        for cell in cells
        if cell.variable in set(KEYS[cell.domain]) - {"USUBJID", f"{cell.domain}SEQ"}
        and _trimmed(cell.line.NEW) is None
    ]


def _brought_about(problem: Problem, cell: _Cell, frame: pd.DataFrame) -> bool:
    """Tell whether a problem of a corrected table is one of this cell; the study of DM is that of all."""
    if problem.column and cell.variable not in problem.column.split():
        return False
    if problem.code == "STUDY_MIXED":
        return cell.domain in (problem.domain, "DM")
    if problem.code == "NO_SEQUENCE":  # a first number makes the others lack one
        return cell.domain == problem.domain
    key = frame.iloc[cell.place][KEYS[cell.domain]].astype(str)
    return cell.domain == problem.domain and (
        f"record {cell.place + 1}" in problem.records or " ".join(key) in problem.records
    )


def _audit(sdtm: Mapping[str, pd.DataFrame], corrected, cells: list[_Cell]) -> pd.DataFrame:
    rows = [
        {
            "DOMAIN": cell.domain,
            "KEY": cell.line.KEY,
            "USUBJID": sdtm[cell.domain].USUBJID.iloc[cell.place],
            "VARIABLE": cell.variable,
            "OLD": _trimmed(sdtm[cell.domain][cell.variable].iloc[cell.place]),
            "NEW": corrected[cell.domain][cell.variable].iloc[cell.place],
            **{name: cell.line[name] for name in ("REASON", "WHO", "WHEN")},
        }
        for cell in cells
    ]
    audit = pd.DataFrame(rows, columns=AUDIT_COLUMNS, dtype=object)
    return audit.sort_values(["DOMAIN", "KEY", "VARIABLE"], ignore_index=True)
