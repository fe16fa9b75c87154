"""Text of PDF, ZIP (DOCX, XLSX), Parquet and SAS transport files, with metadata and the files within."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

from analysis.privacy.formats import Contents, FormatRefused, read

_LARGEST = (
    1 << 28
)  # bytes of one unpacked member; a larger one is refused, so that no archive fills the memory
_PDF_STREAM = re.compile(rb"stream\r?\n.*?endstream", re.DOTALL)
_PADDING = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]+| {2,}")  # what parts the texts of a transport file
_HYPHEN = re.compile("[-\u2010\u00ad][ \t]*\n\\s*")
_MARK = re.compile(rb"<<.*?\b(?:BDC|DP)\b", re.DOTALL)
# A mark of names and numbers alone, as every paragraph of a tagged PDF has one: it holds no text.
_MARK_WITHOUT_TEXT = re.compile(rb"<<[/\w\s.\[\]+-]*>>\s*(?:BDC|DP)\b")
_NO_DATE = (1980, 1, 1)  # the date of a ZIP member that was given none


def read_pdf(content: bytes, depth: int = 0) -> Contents:
    """Read the pages of a PDF as far as pypdf extracts them, and every text object and attachment.

    Raises
    ------
    FormatRefused
        If it is encrypted or cannot be read.
    """
    import pypdf
    from pypdf.errors import PyPdfError

    found = Contents("pdf")
    # What stands between the objects too: comments, names, what an older version of the file said.
    found.add([("between the pages", _PDF_STREAM.sub(b" ", content).decode("latin-1"))])
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            raise FormatRefused("FORMAT", "the file", "an encrypted PDF")
        for number, page in enumerate(reader.pages, start=1):
            _read_page(found, page, number)
        for number in sorted(
            {number for table in reader.xref.values() for number in table} | set(reader.xref_objStm)
        ):
            _read_object(found, reader.get_object(number), f"object {number}", depth)
        _read_object(found, reader.trailer.get("/Info"), "document information", depth)
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatRefused):
            raise
        raise FormatRefused(
            "FORMAT", "the file", f"a PDF that cannot be read ({type(error).__name__})"
        ) from error
    return found


def _read_page(found: Contents, page: Any, number: int) -> None:
    """Add the text of a page: as it is set, and with the words that were hyphenated at the end of a line."""
    text = page.extract_text()
    for words in dict.fromkeys((text, _HYPHEN.sub("", text))):
        lines = words.splitlines()
        found.add(
            [(f"page {number} line {line}", line_text) for line, line_text in enumerate(lines, start=1)]
        )
    _read_marks(found, page.get_contents(), f"page {number}")


def _read_marks(found: Contents, stream: Any, where: str) -> None:
    """Add what a stream of drawing says beside what it draws: the texts of its marked content."""
    from pypdf.generic import ContentStream

    if stream is None or not _MARK.search(_MARK_WITHOUT_TEXT.sub(b"", stream.get_data())):
        return
    for operands, operator in ContentStream(stream, None).operations:
        if operator in {b"BDC", b"DP"}:
            for operand in operands:
                _read_object(found, operand, f"{where}, marked content", 0)


def _read_object(found: Contents, item: Any, where: str, depth: int) -> None:
    """Add the text of one PDF object; what it refers to stands elsewhere in the table of objects."""
    from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

    if isinstance(item, IndirectObject) or item is None:
        return
    if isinstance(item, StreamObject) and item.get("/Type") in {"/EmbeddedFile", "/Metadata"}:
        found.include(
            where, read("metadata.xml" if item["/Type"] == "/Metadata" else "", item.get_data(), depth + 1)
        )
    if isinstance(item, StreamObject) and item.get("/Subtype") == "/Form":
        _read_marks(found, item, where)
    if isinstance(item, DictionaryObject):
        for key in item:
            _read_object(found, item.raw_get(key), f"{where} {key}", depth)
    elif isinstance(item, ArrayObject):
        for entry in list.__iter__(item):
            _read_object(found, entry, where, depth)
    elif isinstance(item, bytes):
        # The two halves of a PDF's /ID are digests; other bytes are text in an unknown encoding.
        found.add([(where, item.decode("latin-1"))])
    elif isinstance(item, str) and not item.startswith("/"):
        found.add([(where, str(item))])


def read_zip(content: bytes, depth: int = 0) -> Contents:
    """Read the members of an archive, their names, dates and comments; DOCX and XLSX are such archives.

    Raises
    ------
    FormatRefused
        If a member is encrypted, damaged, very large or of a kind that cannot be read.
    """
    found = Contents("zip")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found.add([("comment of the archive", archive.comment.decode("utf-8", "replace"))])
            for number, member in enumerate(archive.infolist(), start=1):
                _read_member(found, archive, member, f"member {number}", depth)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise FormatRefused("FORMAT", "the file", "an archive that cannot be read") from error
    return found


def _read_member(
    found: Contents, archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, depth: int
) -> None:
    if member.flag_bits & 1 or member.file_size > _LARGEST:
        raise FormatRefused("FORMAT", where, "encrypted, or too large to unpack")
    notes = [member.filename, member.comment.decode("utf-8", "replace")]
    if member.date_time[:3] != _NO_DATE:
        notes.append("{:04d}-{:02d}-{:02d}".format(*member.date_time[:3]))
    found.add([(f"{where}, name and date", note) for note in notes])
    if not member.is_dir():
        found.include(where, read(member.filename, archive.read(member), depth + 1))


def read_parquet(content: bytes, depth: int = 0) -> Contents:
    """Read the metadata of a Parquet file and its columns of text and dates, each distinct value once.

    Raises
    ------
    FormatRefused
        If it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = Contents("parquet")
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise FormatRefused("FORMAT", "the file", "a Parquet file that cannot be read") from error
    for key, value in (table.schema.metadata or {}).items():
        found.add([("schema metadata", f"{key.decode('latin-1')} {value.decode('utf-8', 'replace')}")])
    for field in table.schema:
        for key, value in (field.metadata or {}).items():
            text = f"{key.decode('latin-1')} {value.decode('utf-8', 'replace')}"
            found.add([(f"metadata of column {field.name}", text)])
    for name in table.column_names:
        found.add([("column name", name)])
        _read_column(found, name, table.column(name))
    return found


def read_xport(content: bytes, depth: int = 0) -> Contents:
    """Read a SAS transport file: its headers and text as they lie in the records, and its columns of text.

    Raises
    ------
    FormatRefused
        If it cannot be read.
    """
    import pandas as pd

    found = Contents("xport")
    try:
        with pd.read_sas(io.BytesIO(content), format="xport", encoding="utf-8", iterator=True) as reader:
            # pandas stops at a file without rows; its columns and records are searched all the same.
            table = reader.read() if reader.nobs > 0 else pd.DataFrame(columns=reader.columns)
    except Exception as error:  # pandas raises many types on a damaged file
        raise FormatRefused("FORMAT", "the file", "a SAS transport file that cannot be read") from error
    # Character values and headers stand in the records as they are, padded with blanks: numbers are the rest.
    words = _PADDING.split(content.decode("utf-8", "replace"))
    found.add([("a record", word) for word in dict.fromkeys(words) if len(word) > 1])
    for name in table.columns:
        found.add([("column name", name)])
        if table[name].dtype == object:
            different = [str(value) for value in table[name].dropna().unique()]
            found.cells += [(f"column {name}", name, value) for value in different]
    return found


def _read_column(found: Contents, name: str, column: Any) -> None:
    import pyarrow as pa

    kind = column.type
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], kind.value_type)
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            found.arrays.append(f"column {name}")
            return
    try:
        values = [str(value) for value in column.unique().to_pylist() if value is not None]
    except pa.ArrowNotImplementedError as error:
        raise FormatRefused(
            "FORMAT", f"column {name}", f"values of type {kind} cannot be searched"
        ) from error
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise FormatRefused("FORMAT", f"column {name}", "bytes of an unknown kind")
    found.cells += [(f"column {name}", name, value) for value in values]
    if pa.types.is_floating(kind):
        # A number of a subject that a missing value made a fraction: 4711234.0.
        values = [value for value in values if value.endswith(".0")]
    if not pa.types.is_boolean(kind):
        found.add([(f"column {name}", value) for value in values])
