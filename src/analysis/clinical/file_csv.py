"""CSV files as columns of text: read fast where the file is plain, line by line where it is not.

What is wrong with a file is told by its line, so that a person can go there.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from analysis.clinical.file_text import FileBroken, column_text

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_QUOTE = ord('"')
_LINE_END = re.compile(rb"\r\n|\r|\n")
_ABOVE = re.compile(rb"(?:[ \t,;]*(?:\r\n|\r|\n))*")  # lines of nothing but blanks and separators


def read_csv(file: Path, expected: Iterable[str]) -> tuple[list[str], list, dict]:
    """Read a CSV file, plain or compressed (gz).

    Parameters
    ----------
    file : path
        UTF-8 with or without byte order mark, or UTF-16 with one.
    expected : iterable of str
        Names of columns, in any case, ``A|B`` for one of two: a file in which only splitting by semicolon or
        tab finds them all is split so, and this is noted. Empty lines are no records; nor are lines of
        separators or blanks alone above the header or below the last record, and this is noted too.

    Returns
    -------
    names : list of str
    columns : list of ndarray of object
    notes : dict
        ``adaptations``: list of [code, message]; ``first_line``: the line of the first record where every
        record is one line.

    Raises
    ------
    FileBroken
        Empty, of another encoding (ENCODING), damaged, a quote left open, lines of uneven length.
    """
    data = _decode(_unpack(file))
    head = _ABOVE.match(data)[0]
    above, data = len(_LINE_END.findall(head)), data[len(head) :]
    names, delimiter = _header(data, list(expected), above)
    data, tail = _split_tail(data, delimiter)
    notes: dict = {"adaptations": []}
    if dropped := sum(bool(line) for line in _LINE_END.split(head + tail)):
        message = f"{file.name}: {dropped} line(s) that hold only separators or blanks were left out"
        notes["adaptations"].append(["CSV_BLANK_LINES", message])
    if delimiter != ",":
        message = f"{file.name} is separated by {_DELIMITERS[delimiter]}s, not commas; read so"
        notes["adaptations"].append(["CSV_DELIMITER", message])
    columns = _read_plain(data, len(names), delimiter) if _quotes_are_plain(data, delimiter) else None
    if columns is None:
        columns = _read_by_line(data, len(names), delimiter, above)
    ends = max(data.count(b"\n"), data.count(b"\r")) + (data[-1:] not in b"\r\n")
    if columns and len(columns[0]) + 1 == ends:
        notes["first_line"] = above + 2
    return names, columns, notes


def _unpack(file: Path) -> bytes:
    data = file.read_bytes()
    if not file.name.lower().endswith(".gz"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise FileBroken(f"is no whole gzip file ({error}); copy it again") from error


def _decode(data: bytes) -> bytes:
    """Return the text as UTF-8 without byte order mark."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode("utf-8")
        except UnicodeDecodeError as error:
            raise FileBroken("is a damaged UTF-16 text; export it as UTF-8", "ENCODING") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:  # another encoding would be a guess that may change a name
            line = _line_of(data, error.start)
            raise FileBroken(f"line {line} is not UTF-8; export the file as UTF-8", "ENCODING") from error
    if (place := data.find(b"\0")) >= 0:
        raise FileBroken(f"line {_line_of(data, place)} holds a NUL byte, which no text has; export it again")
    return data


def _line_of(data: bytes, place: int) -> int:
    return max(data.count(b"\n", 0, place), data.count(b"\r", 0, place)) + 1


def _split_tail(data: bytes, delimiter: str) -> tuple[bytes, bytes]:
    """Split off the lines below the last record, which hold nothing but blanks and separators."""
    kept = len(data.rstrip(b" \t\r\n" + delimiter.encode()))
    end = _LINE_END.search(data, kept)
    place = end.end() if end else len(data)
    return data[:place], data[place:]


def _rows(data: bytes, delimiter: str, **how):
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    return csv.reader(text, delimiter=delimiter, **how)


def _header(data: bytes, expected: list[str], above: int) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter that finds most of the expected ones."""
    best: tuple[int, list[str], str] = (-1, [], ",")
    for delimiter in _DELIMITERS:
        try:
            names = next((row for row in _rows(data, delimiter) if row), [])
        except csv.Error as error:
            line = above + 1
            raise FileBroken(
                f"line {line} cannot be read ({error}); mend it or export the file again"
            ) from error
        upper = {name.strip().upper() for name in names}
        found = sum(bool(upper & set(name.upper().split("|"))) for name in expected)
        if found > best[0]:
            best = (found, names, delimiter)
    if not best[1]:
        raise FileBroken("is empty: not even the names of its columns are there; export it again")
    return [name.strip() for name in best[1]], best[2]


def _quotes_are_plain(data: bytes, delimiter: str) -> bool:
    """Tell whether every quotation mark opens a field at its start or closes one at its end."""
    text = np.frombuffer(data, dtype=np.uint8)
    marks = np.flatnonzero(text == _QUOTE)
    if not len(marks):
        return True
    if len(marks) % 2:
        return False
    opening, closing = marks[::2], marks[1::2]
    edges = np.frombuffer(f"{delimiter}\r\n".encode(), dtype=np.uint8)
    before = np.isin(text[np.maximum(opening - 1, 0)], edges) | (opening == 0)
    after = np.isin(text[np.minimum(closing + 1, len(text) - 1)], edges) | (closing == len(text) - 1)
    doubled = closing[:-1] + 1 == opening[1:]  # "" within a field: closes and opens at once
    before[1:] |= doubled
    after[:-1] |= doubled
    return bool(before.all() and after.all())


def _read_plain(data: bytes, width: int, delimiter: str) -> list | None:
    """Read columns of text; None where the reader finds anything amiss, to be told line by line."""
    names = [str(number) for number in range(width)]
    kinds = dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string()))
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            arrow_csv.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=1 << 24),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
            arrow_csv.ConvertOptions(column_types=kinds, strings_can_be_null=False, check_utf8=False),
        )
    except pa.ArrowException:
        return None
    return [column_text(column) for column in table.columns]


def _read_by_line(data: bytes, width: int, delimiter: str, above: int) -> list:
    lines = _rows(data, delimiter, strict=True)
    rows: list[list[str]] = []
    uneven: list[int] = []
    begins = 1
    try:
        for row in lines:
            if row and len(row) != width:
                uneven.append(above + lines.line_num)
            elif row:
                rows.append(row)
            begins = lines.line_num + 1
    except csv.Error as error:
        raise FileBroken(
            f"line {above + begins}: a quotation mark is not closed, or stands where none may ({error}); "
            "mend it or export the file again"
        ) from error
    if uneven:
        raise FileBroken(
            f"has {len(uneven)} line(s) that do not have the {width} fields of the header, "
            f"first {uneven[:5]}; mend them or export it again"
        )
    return [column_text(list(column)) for column in zip(*rows[1:])] or [column_text([])] * width
