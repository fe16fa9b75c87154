"""Corrections of the raw tables from a file that says who decided what and why; all of them or none.

A line names one cell (domain, key, variable), the value it has now (old) and the value it gets (new). A line
whose old value is not the one in the data is refused: the data have changed since, or the line means another
record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.clinical.dates import COMPLETE, parse_dates
from analysis.clinical.sdtm import KEYS, FileBroken, Problem, read_frame

COLUMNS = ("domain", "key", "variable", "old", "new", "reason", "who", "when")
AUDIT_COLUMNS = ["DOMAIN", "KEY", "USUBJID", "VARIABLE", "OLD", "NEW", "REASON", "WHO", "WHEN"]
_NEEDED = ("DOMAIN", "KEY", "VARIABLE", "REASON", "WHO", "WHEN")
_PARTS = r"[;,|]"
_DECIMAL = r"-?(?:0|[1-9]\d*)\.\d+"


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
        Raw folder; the file (plan value ``design.corrections_file``) lies in it or in its ``sdtm`` folder.
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
    files = [folder / name for folder in (Path(raw_dir), Path(raw_dir) / "sdtm") if (folder / name).is_file()]
    if not files:
        return None
    if len(files) > 1:
        text = f"{name} lies in the raw folder and in its sdtm folder; keep one"
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
        (``S-1 4``). A blank OLD is a missing value; a blank NEW empties the cell.

    Returns
    -------
    (dict of str to DataFrame, DataFrame)
        The corrected domains, and the audit trail in the contract ``corrections``, sorted by domain, key and
        variable.

    Raises
    ------
    CorrectionError
        With every problem of every line: CORRECTION_INCOMPLETE, CORRECTION_UNKNOWN_DOMAIN,
        CORRECTION_UNKNOWN_VARIABLE, CORRECTION_NO_RECORD, CORRECTION_AMBIGUOUS, CORRECTION_OLD_DIFFERS,
        CORRECTION_NO_CHANGE, CORRECTION_TWICE, CORRECTION_DUPLICATE_KEY.
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
    problems += _key_problems(corrected, cells)
    if problems:
        raise CorrectionError(sorted(problems, key=str))
    return corrected, _audit(sdtm, cells)


def _trimmed(value) -> str | None:
    text = "" if value is None or pd.isna(value) else str(value).strip()
    return text or None


def _plain(value) -> str | None:
    """Write a value so that equal ones are equal text: 21.0 is 21; 01 stays 01."""
    text = _trimmed(value)
    return text.rstrip("0").rstrip(".") if text and re.fullmatch(_DECIMAL, text) else text


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
    wanted, strange = _read_key(line.KEY, domain, frame, subjects.get(domain, {}))
    if strange:
        return [_problem("UNKNOWN_VARIABLE", line, f"the key names {strange!r}, no column of {domain}")], None
    places = _find(frame, wanted, subjects.get(domain, {}))
    if len(places) != 1:
        code, text = ("AMBIGUOUS", "means") if places else ("NO_RECORD", "means")
        more = "; add columns to the key" if places else "; check the key"
        return [_problem(code, line, f"the key {line.KEY!r} {text} {len(places)} records{more}")], None
    return _compare(line, _Cell(domain, places[0], variable, line), frame)


def _incomplete(line: pd.Series) -> list[Problem]:
    blank = [name.lower() for name in _NEEDED if not _trimmed(line[name])]
    problems = [_problem("INCOMPLETE", line, f"{', '.join(blank)} missing")] if blank else []
    when = parse_dates(pd.Series([line.WHEN], dtype=object)).STATUS.iloc[0]
    if _trimmed(line.WHEN) and when != COMPLETE:
        problems.append(_problem("INCOMPLETE", line, f"when is {line.WHEN!r}, not a date YYYY-MM-DD"))
    return problems


def _read_key(key: str, domain: str, frame: pd.DataFrame, subjects) -> tuple[dict[str, str | None], str]:
    """Return the columns and values a key asks for, and what of it is no column of the domain."""
    if "=" in key:
        pairs = [part.partition("=") for part in re.split(_PARTS, key) if part.strip()]
        wanted = {name.strip().upper(): _plain(value) for name, _, value in pairs}
        return wanted, next((name for name in wanted if name not in frame), "")
    subject, _, sequence = re.sub(_PARTS, " ", key).strip().rpartition(" ")
    if not subject or key in subjects:  # an identifier may hold a blank
        return {"USUBJID": key}, ""
    name = f"{domain}SEQ"
    return {"USUBJID": subject.strip(), name: _plain(sequence)}, "" if name in frame else name


def _find(frame: pd.DataFrame, wanted: dict[str, str | None], subjects) -> list[int]:
    places = subjects.get(wanted["USUBJID"], []) if "USUBJID" in wanted else range(len(frame))
    rest = [name for name in wanted if name != "USUBJID"]
    for name in rest:
        values = frame[name].to_numpy()
        places = [place for place in places if _plain(values[place]) == wanted[name]]
    return [int(place) for place in places]


def _compare(line: pd.Series, cell: _Cell, frame: pd.DataFrame) -> tuple[list[Problem], _Cell | None]:
    found = frame[cell.variable].iloc[cell.place]
    if _plain(found) != _plain(line.OLD):
        text = f"the data have {_trimmed(found)!r}, the correction says old is {line.OLD!r}; look at it again"
        return [_problem("OLD_DIFFERS", line, text)], None
    if _plain(line.NEW) == _plain(found):
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
        frame.iloc[cell.place, frame.columns.get_loc(cell.variable)] = _trimmed(cell.line.NEW)
    return corrected


def _key_problems(corrected: Mapping[str, pd.DataFrame], cells: list[_Cell]) -> list[Problem]:
    """Refuse a corrected key that is empty or that another record has."""
    problems = []
    for cell in cells:
        frame, key = corrected[cell.domain], KEYS[cell.domain] or ["USUBJID"]
        if cell.variable not in key:
            continue
        new = frame.iloc[cell.place]
        if pd.isna(new.USUBJID):
            problems.append(_problem("DUPLICATE_KEY", cell.line, "a record cannot lose its subject"))
        elif KEYS[cell.domain] and (frame[key] == new[key]).all(axis=1).sum() > 1:
            problems.append(_problem("DUPLICATE_KEY", cell.line, f"another record has this {' '.join(key)}"))
    return problems


def _audit(sdtm: Mapping[str, pd.DataFrame], cells: list[_Cell]) -> pd.DataFrame:
    rows = [
        {
            "DOMAIN": cell.domain,
            "KEY": cell.line.KEY,
            "USUBJID": sdtm[cell.domain].USUBJID.iloc[cell.place],
            "VARIABLE": cell.variable,
            "OLD": _trimmed(sdtm[cell.domain][cell.variable].iloc[cell.place]),
            "NEW": _trimmed(cell.line.NEW),
            **{name: cell.line[name] for name in ("REASON", "WHO", "WHEN")},
        }
        for cell in cells
    ]
    audit = pd.DataFrame(rows, columns=AUDIT_COLUMNS, dtype=object)
    return audit.sort_values(["DOMAIN", "KEY", "VARIABLE"], ignore_index=True)
