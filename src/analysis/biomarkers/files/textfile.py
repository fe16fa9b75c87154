"""Delimited text as strings with their line numbers, so that every refusal can name file, line and column."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
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
    """Read a UTF-8 text file, or a gzipped one (``.gz``), as lines.

    Byte order mark and CRLF are tolerated, trailing empty lines dropped.

    Raises
    ------
    FileRefused
        ``FILE_MISSING``, ``FILE_EMPTY``, ``FILE_TRUNCATED`` (gzip), or ``FILE_ENCODING`` with the line of the
        first wrong byte.
    """
    content = _read_bytes(path)
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


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise FileRefused(
            "FILE_MISSING", "the file is not there; add it or take its meta file away", path.name
        )
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        message = "no complete gzip file; copy it again"
        raise FileRefused("FILE_TRUNCATED", message, path.name) from error


def read_table(
    path: Path, *, delimiter: str = "\t", required: Sequence[str] = (), optional: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a delimited file with one header line as strings; None is a missing value.

    Lines that start with ``#`` and empty lines are comments; tabs at the end of a line are dropped where the
    header has no column for them. The index is the line number in the file.

    Parameters
    ----------
    path : Path
        File to read.
    delimiter : str
        A tab (no quoting, as the cBioPortal format has it) or a comma (quoted fields allowed).
    required : sequence of str
        Columns the file must have, spelled as here: names are case-sensitive, as in the format's validator.
    optional : sequence of str, optional
        If given, only these and the required columns are read.

    Raises
    ------
    FileRefused
        As `read_lines`; ``HEADER_MISSING``, ``COLUMN_TWICE``, ``COLUMN_MISSING``, ``COLUMN_UNNAMED``;
        ``ROW_LENGTH`` and ``FIELD_QUOTED`` with the line.
    """
    header, rows, numbers = read_rows(path, delimiter=delimiter, required=required)
    kept = [name for name in header if optional is None or name in required or name in optional]
    columns = {}
    for name in kept:
        values = [row[header.index(name)].strip() for row in rows]
        if delimiter == "\t":
            refuse_quotes(values, numbers, path.name, name)
        columns[name] = [None if value.lower() in NULL_WORDS else value for value in values]
    return pd.DataFrame(columns, index=pd.Index(numbers, name="LINE", dtype=int), columns=kept, dtype=object)


def read_rows(
    path: Path, *, delimiter: str = "\t", required: Sequence[str] = ()
) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows (as long as the header) and their line numbers; see `read_table`."""
    numbered = [
        (n, line) for n, line in enumerate(read_lines(path), 1) if line.strip() and not line.startswith("#")
    ]
    if not numbered:
        raise FileRefused("HEADER_MISSING", "only comment lines; the column names are missing", path.name)
    (first, line), *others = numbered
    header = [name.strip() for name in _split(line, delimiter, path.name, first)]
    while len(header) > 1 and not header[-1]:
        header.pop()
    _check_header(header, required, path.name, first)
    rows = [_fit(_split(line, delimiter, path.name, n), len(header), path.name, n) for n, line in others]
    return header, rows, [n for n, _ in others]


def parse_number(text: str) -> float | None:
    """Return a finite number, NaN for a null word, None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return math.nan if text.strip().lower() in NULL_WORDS else None
    if math.isfinite(number) and "_" not in text:
        return number
    return math.nan if text.strip().lower() in NULL_WORDS else None


def read_comments(path: Path) -> list[list[str]]:
    """Return the tab-separated fields of the leading ``#`` lines of a file, the ``#`` taken off."""
    fields = []
    for line in read_lines(path):
        if not line.startswith("#"):
            break
        fields.append(line[1:].split("\t"))
    return fields


def read_numbers(values: pd.Series) -> pd.Series:
    """Return what is a number, or spells one, as floats; anything else is missing."""
    # `pd.to_numeric` is off by a unit in the last place here and there.
    parsed = [
        value if isinstance(value, int | float | np.number)
        else None if pd.isna(value)
        else parse_number(str(value))
        for value in values
    ]  # fmt: skip
    return pd.Series(parsed, index=values.index, dtype=float)


def to_number(
    frame: pd.DataFrame,
    column: str,
    file: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    advice: str = "",
) -> pd.Series:
    """Return a column of strings as numbers within `low` and `high` (inclusive); missing stays missing.

    `advice` says what to do about a number outside.

    Raises
    ------
    FileRefused
        ``NUMBER_MALFORMED`` or ``NUMBER_RANGE`` with the first bad line, the column and how many lines are
        bad.
    """
    values = frame[column]
    parsed = [math.nan if pd.isna(value) else parse_number(str(value)) for value in values]
    bad = pd.Series([number is None for number in parsed], index=values.index, dtype=bool)
    refuse_lines(bad, "NUMBER_MALFORMED", "not a number", file, column, values)
    number = pd.Series(parsed, index=values.index, dtype=float)
    outside = (number < low) | (number > high)
    refuse_lines(outside, "NUMBER_RANGE", f"outside {low:g} to {high:g}{advice}", file, column, values)
    return number


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


def _split(line: str, delimiter: str, file: str, number: int) -> list[str]:
    if delimiter == "\t":
        return line.split("\t")
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise FileRefused("ROW_MALFORMED", f"no valid line of fields: {error}", file, number) from error


def _fit(fields: list[str], length: int, file: str, number: int) -> list[str]:
    if len(fields) > length and not any(field.strip() for field in fields[length:]):
        fields = fields[:length]
    if len(fields) != length:
        found = f"{len(fields)} fields where the header has {length}; mend the line"
        raise FileRefused("ROW_LENGTH", found, file, number)
    return fields


def _check_header(header: list[str], required: Iterable[str], file: str, line: int) -> None:
    seen: set[str] = set()
    for place, name in enumerate(header, 1):
        if not name:
            raise FileRefused("COLUMN_UNNAMED", f"field {place} of the header is empty; name it", file, line)
        if name in seen:
            raise FileRefused("COLUMN_TWICE", "the column name stands twice; rename one", file, line, name)
        seen.add(name)
    missing = [name for name in required if name not in seen]
    if missing:
        near = [name for name in header if name.lower() == missing[0].lower()]
        hint = f"; found {near[0]!r}, but names are case-sensitive" if near else ""
        message = f"required columns {missing} are not there{hint}"
        raise FileRefused("COLUMN_MISSING", message, file, line, missing[0])


def refuse_quotes(values: list[str], numbers: list[int], file: str, column: str) -> None:
    """Refuse fields in quotation marks, with their line."""
    # The format has no quoting: the importer would take the marks as part of the value.
    for value, number in zip(values, numbers):
        if len(value) > 1 and value[0] == value[-1] == '"':
            message = f"the format has no quotation marks around a field ({value!r}); export it without"
            raise FileRefused("FIELD_QUOTED", message, file, number, column)
