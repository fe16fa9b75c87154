"""Delimited text as strings with their line numbers, so that every refusal can name file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# Read as "no value" by the importer of the format (cBioPortal study validator, clinical data).
NULL_WORDS = frozenset(
    {
        "",
        "na",
        "nan",
        "[not applicable]",
        "[not available]",
        "[pending]",
        "[discrepancy]",
        "[completed]",
        "[null]",
    }
)
_SHOWN = 5


class FileRefused(ValueError):
    """A file that cannot be used.

    Attributes
    ----------
    code : str
        Kind of fault, for tables and tests.
    file : str
        File name without its folder.
    line : int or None
        Line in the file, the first is 1.
    column : str or None
        Name of the column.
    """

    def __init__(
        self, code: str, message: str, file: str, line: int | None = None, column: str | None = None
    ):
        self.code, self.file, self.line, self.column = code, file, line, column
        self.message = message
        place = [file]
        if line is not None:
            place.append(f"line {line}")
        if column is not None:
            place.append(f"column {column}")
        super().__init__(f"{code}: {', '.join(place)}: {message}")

    def __reduce__(self):
        # An error raised in a worker process travels with all its parts.
        return type(self), (self.code, self.message, self.file, self.line, self.column)


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 text file as lines; byte order mark and CRLF tolerated, trailing empty lines dropped.

    Raises
    ------
    FileRefused
        ``FILE_MISSING``, ``FILE_EMPTY``, or ``FILE_ENCODING`` with the line of the first wrong byte.
    """
    if not path.is_file():
        raise FileRefused(
            "FILE_MISSING", "the file is not there; add it or take its meta file away", path.name
        )
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileRefused("FILE_ENCODING", "not UTF-8; save the file as UTF-8", path.name, line) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise FileRefused("FILE_EMPTY", "no lines; export the file again", path.name)
    return lines


def read_table(path: Path, *, delimiter: str = "\t", required: Sequence[str] = ()) -> pd.DataFrame:
    """Read a delimited file with one header line as strings; None is a missing value.

    Lines that start with ``#`` and empty lines are comments. The index is the line number in the file.

    Parameters
    ----------
    path : Path
        File to read.
    delimiter : str
        A tab (no quoting, as the cBioPortal format has it) or a comma (quoted fields allowed).
    required : sequence of str
        Columns the file must have.

    Raises
    ------
    FileRefused
        As `read_lines`; ``HEADER_MISSING``, ``COLUMN_TWICE``, ``COLUMN_MISSING``; ``ROW_LENGTH`` with the
        line.
    """
    numbered = [
        (n, line) for n, line in enumerate(read_lines(path), 1) if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        raise FileRefused("HEADER_MISSING", "only comment lines; the column names are missing", path.name)
    rows = [(n, _split(line, delimiter)) for n, line in numbered]
    header = [name.strip() for name in rows[0][1]]
    _check_header(header, required, path.name, rows[0][0])
    for n, fields in rows[1:]:
        if len(fields) != len(header):
            found = f"{len(fields)} fields where the header has {len(header)}; mend the line"
            raise FileRefused("ROW_LENGTH", found, path.name, n)
    frame = pd.DataFrame([fields for _, fields in rows[1:]], columns=header, dtype=object)
    frame.index = pd.Index([n for n, _ in rows[1:]], name="LINE")
    return _without_null_words(frame)


def read_comments(path: Path) -> list[list[str]]:
    """Return the tab-separated fields of the leading ``#`` lines of a file, the ``#`` taken off."""
    fields = []
    for line in read_lines(path):
        if not line.startswith("#"):
            break
        fields.append(line[1:].split("\t"))
    return fields


def to_number(
    frame: pd.DataFrame, column: str, file: str, *, low: float = -np.inf, high: float = np.inf
) -> pd.Series:
    """Return a column of strings as numbers within `low` and `high` (inclusive); missing stays missing.

    Raises
    ------
    FileRefused
        ``NUMBER_MALFORMED`` or ``NUMBER_RANGE`` with the first bad line, the column and how many lines are
        bad.
    """
    number = pd.to_numeric(frame[column], errors="coerce")
    bad = number.isna() & frame[column].notna()
    refuse_lines(bad, "NUMBER_MALFORMED", "not a number", file, column, frame[column])
    outside = (number < low) | (number > high)
    refuse_lines(outside, "NUMBER_RANGE", f"outside {low:g} to {high:g}", file, column, frame[column])
    return number.astype(float)


def refuse_lines(
    bad: pd.Series, code: str, message: str, file: str, column: str, values: pd.Series | None = None
) -> None:
    """Raise if any of `bad` (index: line number) is True, naming first line, its value and the count."""
    lines = list(bad.index[bad.to_numpy(bool)])
    if not lines:
        return
    shown = "" if values is None else f" ({values.loc[lines[0]]!r})"
    more = f"; {len(lines)} lines in all, first {lines[:_SHOWN]}" if len(lines) > 1 else ""
    raise FileRefused(code, f"{message}{shown}{more}", file, lines[0], column)


def _split(line: str, delimiter: str) -> list[str]:
    return line.split("\t") if delimiter == "\t" else next(csv.reader([line], delimiter=delimiter))


def _check_header(header: list[str], required: Iterable[str], file: str, line: int) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FileRefused("COLUMN_TWICE", "the column name stands twice; rename one", file, line, twice[0])
    missing = [name for name in required if name not in header]
    if missing:
        raise FileRefused(
            "COLUMN_MISSING", f"required columns {missing} are not there", file, line, missing[0]
        )


def _without_null_words(frame: pd.DataFrame) -> pd.DataFrame:
    stripped = frame.apply(lambda column: column.str.strip())
    return stripped.mask(stripped.apply(lambda column: column.str.lower().isin(NULL_WORDS)), None)
