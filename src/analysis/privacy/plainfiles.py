"""Identifying values of files that are not DICOM: tables, key-value text, JSON, NIfTI headers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from analysis.privacy.values import UID, iso_date, moment

READ, UNREADABLE, OPAQUE = "READ", "UNREADABLE", "OPAQUE"
CODED = "CODED"  # kind of columns that hold no identity
_SEPARATED = (".csv", ".tsv")
_TABLES = {".xpt": "read_xport", ".sas7bdat": "read_sas7bdat"}
_NIFTI = {"db_name": (14, 18), "descrip": (148, 80), "aux_file": (228, 24), "intent_name": (328, 16)}
# Beginnings and names of documents, workbooks, databases and archives: text that is not looked into.
_DOCUMENTS = (
    *(b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"SQLite format 3", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!"),
    *(b"BZh", b"\xfd7zXZ", b"\x89HDF", b"\x28\xb5\x2f\xfd", b"PAR1", b"ARROW1", b"RDX"),
)
_DOCUMENT_NAMES = (
    *(
        ".csv",
        ".tsv",
        ".txt",
        ".json",
        ".dcm",
        ".xls",
        ".xlsx",
        ".xlsm",
        ".xlsb",
        ".ods",
        ".odt",
        ".doc",
        ".docx",
    ),
    *(
        ".ppt",
        ".pptx",
        ".pdf",
        ".rtf",
        ".zip",
        ".7z",
        ".rar",
        ".tar",
        ".gz",
        ".tgz",
        ".bz2",
        ".xz",
        ".db",
        ".log",
    ),
    *(
        ".sqlite",
        ".sqlite3",
        ".mdb",
        ".accdb",
        ".sav",
        ".dta",
        ".por",
        ".rds",
        ".rda",
        ".rdata",
        ".mat",
        ".pkl",
    ),
    *(".feather", ".h5", ".hdf5", ".msg", ".eml", ".html", ".xml", ".hl7", ".bak"),
)
_CODE = re.compile(r"[^\s^,;]*\d[^\s^,;]*")  # no name of a person holds a digit
_STUDY_KEYS = frozenset(["name", "short_name"])  # of the study, in the files of cBioPortal
_NIFTI_HEADER, _TEXT_SHARE = 352, 0.02


def cells(path: str, columns: Columns) -> tuple[str, Iterator[tuple[str, str]]]:
    """Tell whether a file can be read, and go through its texts.

    Parameters
    ----------
    path : str
        Any file that is not DICOM.
    columns : Columns
        Which columns identify: numbers of tables count in these alone.

    Returns
    -------
    str
        READ; OPAQUE for pictures and other bytes; UNREADABLE for a table or an image that should be readable,
        and for documents, workbooks and archives, which are not looked into.
    iterator of (str, str)
        Column (or key) and text.
    """
    name = path.lower()
    try:
        if name.endswith((".nii", ".nii.gz")):
            return READ, iter(_nifti(path))
        suffix = Path(name).suffix
        if suffix in _TABLES or suffix == ".parquet":
            return READ, iter(_frame_cells(path, suffix, columns))
        data = Path(path).read_bytes()
        text = None if data.startswith(_DOCUMENTS) else _text(data)
        if text is None:
            document = suffix in _DOCUMENT_NAMES or data.startswith(_DOCUMENTS)
            return (UNREADABLE if document else OPAQUE), iter(())
        return READ, iter(
            list(_json_cells(json.loads(text)) if suffix == ".json" else _table_cells(text, suffix))
        )
    except Exception:  # many readers, many errors: each means that the file says what we do not know
        return UNREADABLE, iter(())


def _text(data: bytes) -> str | None:
    """Return the text of a file, None where it is none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    odd = sum(not (c.isprintable() or c.isspace()) for c in text[:4096])
    return text if odd <= _TEXT_SHARE * len(text[:4096]) else None


def _table_cells(text: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Go through a table, or through lines ``key: value``; lines that begin with # are comments."""
    lines = text.splitlines(keepends=True)
    for line in lines:
        if line.startswith("#"):
            yield "COMMENT LINE", line.strip("# \t\r\n")
    body = [line for line in lines if line.strip() and not line.startswith("#")]
    if not body:
        return
    delimiter = max("\t,;|", key=body[0].count)
    if suffix not in _SEPARATED and not body[0].count(delimiter):
        of_study = any(line.startswith("cancer_study_identifier:") for line in body)
        for line in body:
            key, colon, value = line.partition(":")
            key = f"study {key}" if of_study and key in _STUDY_KEYS else key.strip()
            yield (key, value.strip()) if colon else ("TEXT LINE", line.strip())
        return
    csv.field_size_limit(1 << 30)
    rows = csv.reader(io.StringIO("".join(body), newline=""), delimiter=delimiter)
    header = [column.strip() for column in next(rows)]
    for row in rows:
        for position, cell in enumerate(row):
            if cell:
                yield header[position] if position < len(header) else "TEXT LINE", cell


def _json_cells(content: Any, key: str = "TEXT LINE") -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping):
        columns = content.get("columns")
        if isinstance(columns, list) and isinstance(content.get("rows"), list):  # Dataset-JSON
            names = [str(column.get("name", "")) for column in columns]
            for row in content["rows"]:
                for name, cell in zip(names, row):
                    yield from _json_cells(cell, name)
        # The names of a table and its columns are no names of persons.
        layout = {"columns", "rows", "name", "label"} if isinstance(columns, list) else set()
        layout |= {"name", "label"} if {"OID", "itemOID", "itemGroupOID"} & set(content) else set()
        for name, value in content.items():
            if name not in layout:
                yield from _json_cells(value, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from _json_cells(value, key)
    elif isinstance(content, str) and content:
        yield key, content
    elif isinstance(content, (int, float)) and not isinstance(content, bool):
        yield key, _number(content)


def _number(value: float) -> str:
    """Return a number as an identifier is written: whole numbers without a point."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)


def _frame_cells(path: str, suffix: str, columns: Columns) -> list[tuple[str, str]]:
    """List the texts and dates of a table of SAS or Parquet, and the numbers of columns that identify."""
    import pandas as pd
    import pyreadstat

    if suffix == ".parquet":
        frame = pd.read_parquet(path)
        frame = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    else:
        frame = getattr(pyreadstat, _TABLES[suffix])(path)[0]
    found = []
    for position, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, position].dropna()
        if not pd.api.types.is_numeric_dtype(column):
            texts = [_number(cell) if isinstance(cell, float) else str(cell) for cell in column]
        elif columns.kind(name) in ("", CODED):
            continue
        else:
            texts = [_number(cell) for cell in column.tolist()]
        found += [(name, text) for text in texts if text]
    return found


def _nifti(path: str) -> list[tuple[str, str]]:
    opened = gzip.open if path.lower().endswith(".gz") else open
    with opened(path, "rb") as stream:
        head = stream.read(_NIFTI_HEADER)
    if len(head) < _NIFTI_HEADER - 4:
        raise EOFError
    fields = {name: head[at : at + size].partition(b"\0")[0] for name, (at, size) in _NIFTI.items()}
    return [(name, raw.decode("latin-1")) for name, raw in fields.items() if raw.strip()]


class Columns:
    """Which columns of tables identify, by the plan's list of patterns.

    Parameters
    ----------
    rules : mapping
        Plan section ``privacy``.
    """

    def __init__(self, rules: Mapping[str, Any]):
        self._rules = [
            (re.compile(pattern, re.IGNORECASE), kind)
            for kind, patterns in rules["identifier_columns"].items()
            for pattern in patterns
        ]
        self.kind = lru_cache(maxsize=10_000)(self._kind)

    def _kind(self, column: str) -> str:
        return next((kind for pattern, kind in self._rules if pattern.fullmatch(column)), "")

    def kind_of(self, column: str, text: str) -> str:
        """Return the kind of identity of a cell: its column's, else what the text itself looks like.

        Parameters
        ----------
        column, text : str
            Column and cell.

        Returns
        -------
        str
            One of `values.KINDS`; empty where it does not identify.
        """
        kind = self.kind(column)
        if kind in ("NAME", "PERSON") and _CODE.fullmatch(text.strip()):
            return "SUBJECT" if kind == "NAME" else "ID"
        if kind and kind != CODED:
            return kind
        if UID.fullmatch(text):
            return "UID"
        if "-" in text[:5] and (iso_date(text) or moment(text)):
            return "DATETIME"
        return ""
