"""One table of a file, whatever its format: CSV, SAS transport, SAS, Parquet or Dataset-JSON, as text.

Dataset-JSON 1.1 is read as one object (``.json``) or by lines (``.ndjson``). The text does not depend on the
format (`file_text`). A file that cannot be read whole is refused: a part of a table is not a table. One loss
cannot be seen: a SAS transport file of version 5 cut exactly between two rows, as it does not count its rows;
version 8 does, if its writer knew their number, as do sas7bdat, Parquet and Dataset-JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from analysis.clinical.file_csv import read_csv
from analysis.clinical.file_text import FileBroken, column_text, is_number, kind_of_format

Columns = tuple[list[str], list, dict]  # names, text of each column, notes
_RECORD = 80  # bytes; a transport file is made of records of this length
_MEMBER, _ROWS = (b"HEADER RECORD*******MEMB", b"HEADER RECORD*******OBS")
_COUNT = slice(48, _RECORD)  # of rows, in the record above them; only version 8 gives it


def read_frame(file: str | Path, expected: Iterable[str] = ()) -> pd.DataFrame:
    """Read one table by its ending: csv, csv.gz, xpt, sas7bdat, parquet, json or ndjson (Dataset-JSON 1.1).

    Parameters
    ----------
    file : path
        Its name may be in any case.
    expected : iterable of str
        Columns by which the delimiter of a CSV file is recognised (`file_csv.read_csv`).

    Returns
    -------
    DataFrame
        Text (object, None where missing), its columns as they are named in the file, without blanks around.
        ``attrs["adaptations"]``: list of [code, message], what was read otherwise than it should be written;
        ``attrs["first_line"]``: line of the first record of a CSV file, where each record is one line;
        ``attrs["table_names"]``: what table a Dataset-JSON file says it is, by where it says so.

    Raises
    ------
    FileBroken
        For an unknown ending, an empty file, a row of another length than the header, any other damage. Its
        `code` is UNREADABLE, ENCODING or NOT_DATASET_JSON.
    """
    file = Path(file)
    suffix = suffix_of(file)
    if suffix is None:
        raise FileBroken(f"no reader for {file.name.lower()!r}; use one of {SUFFIXES}")
    try:
        if not file.is_file():
            raise FileBroken("is a folder or another thing that is no file; put the table there")
        if not file.stat().st_size:
            raise FileBroken("is empty: not even the names of its columns are there; export it again")
        names, columns, notes = _READERS[suffix](file, expected)
    except FileBroken as error:
        raise FileBroken(f"{file.name} {error}", error.code) from error
    except UnicodeError as error:
        raise FileBroken(
            f"{file.name} holds text that is not UTF-8; export it as UTF-8", "ENCODING"
        ) from error
    except PermissionError as error:
        raise FileBroken(f"{file.name} may not be opened; ask for the right to read it") from error
    except Exception as error:  # each reader raises types of its own: all mean that the file is damaged
        raise FileBroken(f"{file.name} cannot be read ({type(error).__name__}); export it again") from error
    frame = pd.DataFrame(dict(enumerate(columns)), dtype=object, columns=range(len(names)))
    frame.columns = pd.Index([str(name).strip() for name in names], dtype=object)
    frame.attrs = {"adaptations": [], **notes}
    return frame


def suffix_of(file: Path) -> str | None:
    """Return the ending by which a file is read, or None."""
    return next((ending for ending in SUFFIXES if file.name.lower().endswith(ending)), None)


def _read_xpt(file: Path, expected: Iterable[str]) -> Columns:
    import pyreadstat

    data = file.read_bytes()
    marks = [place for place in range(0, len(data), _RECORD) if data.startswith(_MEMBER, place)]
    if len(marks) > 1:
        raise FileBroken(f"holds {len(marks)} tables; export one table a file")
    found, about = pyreadstat.read_xport(str(file), disable_datetime_conversion=True, output_format="dict")
    above, rows = data.find(_ROWS), len(next(iter(found.values()), []))
    announced = (data[above : above + _RECORD][_COUNT].split() or [b"0"])[0]
    if announced.isdigit() and int(announced) not in (0, rows):
        raise FileBroken(f"has {rows} of the {int(announced)} rows it announces: it was cut; copy it again")
    # Version 5 does not say how many rows it has: they fill it, up to blanks that complete the last record.
    start, width = above + _RECORD, sum(about.variable_storage_width.values())
    rest = (len(data) - start) % width if width else 0
    if len(data) % _RECORD or (rest and data[-rest:].strip(b" ")):
        raise FileBroken("ends within a row: it was cut; copy or export it again")
    return _sas_columns(found, about)


def _read_sas7bdat(file: Path, expected: Iterable[str]) -> Columns:
    import pyreadstat

    found, about = pyreadstat.read_sas7bdat(str(file), disable_datetime_conversion=True, output_format="dict")
    rows = len(next(iter(found.values()), []))
    if about.number_rows not in (None, rows):
        raise FileBroken(
            f"has {rows} of the {about.number_rows} rows it announces: it was cut; copy it again"
        )
    return _sas_columns(found, about)


def _sas_columns(found: Mapping, about) -> Columns:
    kinds = {name: kind_of_format(about.original_variable_types.get(name)) for name in found}
    return list(found), [column_text(found[name], name, kinds[name]) for name in found], {}


def _read_parquet(file: Path, expected: Iterable[str]) -> Columns:
    from pyarrow import parquet

    with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
        table = opened.read()
    names = table.column_names
    return names, [column_text(column, name) for name, column in zip(names, table.columns)], {}


def _read_json(file: Path, expected: Iterable[str]) -> Columns:
    try:
        content = json.loads(file.read_bytes().decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise FileBroken(f"is no JSON from line {error.lineno} on; export it again") from error
    rows = content.get("rows") if isinstance(content, dict) else None
    return _dataset_json(content, rows)


def _read_ndjson(file: Path, expected: Iterable[str]) -> Columns:
    """Read one JSON value a line: first what describes the table, then each row."""
    lines = file.read_bytes().decode("utf-8-sig").split("\n")  # a value may hold other line ends
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values += [json.loads(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise FileBroken(f"is no JSON in line {number}; export it again") from error
    return _dataset_json(values[0] if values else None, values[1:])


def _dataset_json(about, rows) -> Columns:
    def refuse(what: str):
        raise FileBroken(f"is no Dataset-JSON 1.1: {what}; export it again", "NOT_DATASET_JSON")

    columns = about.get("columns") if isinstance(about, dict) else None
    if not isinstance(columns, list) or not isinstance(rows, list):
        refuse("it needs 'columns' and 'rows'")
    unnamed = [
        number
        for number, column in enumerate(columns, 1)
        if not (isinstance(column, dict) and isinstance(column.get("name"), str) and column["name"].strip())
    ]
    if unnamed or not columns:
        refuse(f"column(s) {unnamed[:5]} have no name" if unnamed else "it has no column")
    uneven = [
        number for number, row in enumerate(rows, 1) if not isinstance(row, list) or len(row) != len(columns)
    ]
    if uneven:
        refuse(f"{len(uneven)} row(s) do not have its {len(columns)} values, first {uneven[:5]}")
    announced = str(len(rows) if about.get("records") is None else about["records"]).strip()
    if not is_number(announced):
        refuse(f"'records' is {announced[:20]!r}, not the number of its rows")
    if float(announced) != len(rows):
        raise FileBroken(f"has {len(rows)} of the {announced} rows it announces; copy or export it again")
    values = list(zip(*rows)) or [()] * len(columns)
    texts = [
        column_text(list(values[place]), column["name"], _kind_in_json(column))
        for place, column in enumerate(columns)
    ]
    return [column["name"] for column in columns], texts, {"table_names": _names_in_json(about)}


def _names_in_json(about: Mapping) -> dict[str, str]:
    """Tell what table the head of Dataset-JSON names; an identifier speaks only in the form ``IG.DM``."""
    names = {key: str(about.get(key) or "").strip() for key in ("name", "itemGroupOID")}
    group = re.fullmatch(r"IG\.(\w+)", names["itemGroupOID"], re.IGNORECASE)
    names["itemGroupOID"] = group[1] if group else ""
    return {key: name for key, name in names.items() if name}


def _kind_in_json(column: Mapping) -> str | None:
    """Tell what numbers of a column stand for; its ISO 8601 text, which is the rule, stays as it is."""
    kind = column.get("dataType")
    return (
        kind
        if kind in ("date", "datetime", "time")
        else kind_of_format(str(column.get("displayFormat") or ""))
    )


_READERS: dict[str, Callable[[Path, Iterable[str]], Columns]] = {
    ".csv.gz": read_csv,
    ".csv": read_csv,
    ".xpt": _read_xpt,
    ".sas7bdat": _read_sas7bdat,
    ".parquet": _read_parquet,
    ".ndjson": _read_ndjson,
    ".json": _read_json,
}
SUFFIXES = tuple(_READERS)
