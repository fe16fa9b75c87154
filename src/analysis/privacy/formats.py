"""What text a file holds: every place a name can hide in, for each kind of file a report is made of.

The kind is read from the bytes, never from the file's name. A file of an unknown kind, an encrypted one or
one that cannot be read to its end is refused: what cannot be searched cannot be passed. The pixels of a
picture are not read; text in an SVG is text.
"""

from __future__ import annotations

import base64
import binascii
import csv
import html
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

DEPTH = 6  # files within files; deeper ones are refused, so that no archive unpacks for ever
# Format characters of Unicode (category Cf): they part a word, and nobody sees them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\ufe00-\ufe0f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+=-]+)*),([^\"'()<>\\]*)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|%[0-9A-Fa-f]{2}|&#?\w{2,8};")
_CODE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class FormatRefused(ValueError):
    """A file that cannot be searched, or that has no place in a report: `rule`, `where` and why."""

    def __init__(self, rule: str, where: str, why: str):
        super().__init__(why)
        self.rule, self.where = rule, where


@dataclass(frozen=True)
class Passage:
    """Text that is searched as one: chunks in the order of the file, each with the place it stands at."""

    chunks: tuple[tuple[str, str], ...]
    separator: str = "\n"

    @property
    def text(self) -> str:
        """Return the text of all chunks."""
        return self.separator.join(text for _, text in self.chunks)


@dataclass
class Contents:
    """What `read` found in a file.

    Attributes
    ----------
    kind : str
        Kind of the file: ``html``, ``png`` and so on.
    passages : list of Passage
        Its text, in unescaped form, NFKC, without invisible characters.
    cells : list of (where, column, value)
        Cells of its tables.
    arrays : list of str
        Where it holds arrays of numbers: pixels, which are for the restricted zone.
    """

    kind: str
    passages: list[Passage] = field(default_factory=list)
    cells: list[tuple[str, str, str]] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)

    def add(self, chunks: Iterator[tuple[str, str]] | list[tuple[str, str]], separator: str = "\n") -> None:
        """Add a passage of these chunks."""
        kept = tuple((where, plain(text)) for where, text in chunks)
        if kept:
            self.passages.append(Passage(kept, separator))

    def include(self, where: str, inner: Contents) -> None:
        """Add what a file within this one holds, its places named after `where`."""
        for passage in inner.passages:
            chunks = tuple((f"{where} > {place}", text) for place, text in passage.chunks)
            self.passages.append(Passage(chunks, passage.separator))
        self.cells += [(f"{where} > {place}", column, value) for place, column, value in inner.cells]
        self.arrays += [f"{where} > {place}" for place in inner.arrays]


def plain(text: str) -> str:
    """Return `text` as it is searched: NFKC, without colour codes and invisible characters."""
    text = _ANSI.sub("", text)
    if text.isascii():
        return text
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def unescaped(text: str) -> str:
    """Return `text` with what JSON, addresses and HTML write in place of letters resolved."""
    if not _ESCAPE.search(text):
        return text
    text = _CODE.sub(lambda match: chr(int(match[1] or match[2], 16)), text)
    return plain(html.unescape(unquote(text, errors="replace")))


def read(name: str, content: bytes, depth: int = 0) -> Contents:
    """Read all text of a file, of the files within it and of its metadata.

    Parameters
    ----------
    name : str
        Name of the file; tells JSON, CSV, notebooks and markup from other text, and nothing else.
    content : bytes
        The whole file.
    depth : int
        How many files this one lies in.

    Raises
    ------
    FormatRefused
        For an image volume, an unknown kind, and a file that is encrypted, damaged or nested too deep.
    """
    from analysis.privacy import documents, pictures, tiff

    if depth > DEPTH:
        raise FormatRefused("FORMAT", "the file", f"files within files deeper than {DEPTH}")
    kind = kind_of(content)
    if kind in _VOLUMES:
        raise FormatRefused("VOLUME", "the file", f"{kind}: images, masks and volumes stay out of reports")
    binary = {
        "png": pictures.read_png,
        "jpeg": pictures.read_jpeg,
        "tiff": tiff.read_tiff,
        "pdf": documents.read_pdf,
        "zip": documents.read_zip,
        "parquet": documents.read_parquet,
        "xport": documents.read_xport,
    }
    if kind in binary:
        return binary[kind](content, depth)
    if kind != "text":
        raise FormatRefused("FORMAT", "the file", "of a kind the gate cannot read")
    return _read_text(PurePosixPath(name).suffix.lower(), content.decode("utf-8-sig"), depth)


_VOLUMES = {"DICOM", "NIfTI", "NRRD", "MetaImage", "NumPy array", "gzip"}


def kind_of(content: bytes) -> str:
    """Return the kind of a file by its bytes; ``unknown`` where they tell nothing."""
    starts = {
        b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpeg",
        b"II*\0": "tiff",
        b"MM\0*": "tiff",
        b"%PDF-": "pdf",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"PAR1": "parquet",
        b"HEADER RECORD*******LIB": "xport",
        b"NRRD0": "NRRD",
        b"ObjectType = Image": "MetaImage",
        b"\x93NUMPY": "NumPy array",
        b"\x1f\x8b": "gzip",
    }
    for start, kind in starts.items():
        if content.startswith(start):
            return kind
    if content[128:132] == b"DICM" or re.match(rb"[\x02\x08]\x00[\x00-\x20]\x00.{4}", content, re.DOTALL):
        return "DICOM"
    if content[344:348] in (b"n+1\0", b"ni1\0"):
        return "NIfTI"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "unknown"
    return "unknown" if _CONTROL.search(text) else "text"


def _read_text(suffix: str, text: str, depth: int) -> Contents:
    from analysis.privacy import typeset

    start = text[:200].lstrip().lower()
    if suffix in {".ipynb", ".json"}:
        return _read_json(suffix, text, depth)
    if suffix in {".html", ".htm", ".svg", ".xml", ".rels"} or start.startswith(
        ("<!doctype", "<html", "<?x", "<svg")
    ):
        return _read_markup(suffix.lstrip(".") or "markup", text, depth)
    if suffix == ".rtf" or start.startswith("{\\rtf"):
        return typeset.read_rtf(text, depth)
    found = Contents(suffix.lstrip(".") or "text")
    text = cut_data_uris(found, "text", text, depth)
    found.add([(f"line {number}", line) for number, line in enumerate(text.splitlines(), start=1)])
    typeset.read_source(found, suffix, text, depth)
    if suffix in {".csv", ".tsv"}:
        rows = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))
        header = rows[0] if rows else []
        for number, row in enumerate(rows[1:], start=2):
            found.cells += [(f"line {number}", column, cell) for column, cell in zip(header, row)]
    return found


def _delimiter(text: str) -> str:
    """Return what parts the columns of a table: what its first line holds most of."""
    first = text.partition("\n")[0]
    return max(",;\t|", key=first.count)


def _all_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of an object; a key that is written twice keeps all its values."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        while key in found:
            key += "\N{NO-BREAK SPACE}"
        found[key] = value
    return found


def _read_json(suffix: str, text: str, depth: int) -> Contents:
    from analysis.privacy import notebook

    try:
        content = json.loads(text, object_pairs_hook=_all_pairs)
    except ValueError as error:
        raise FormatRefused("FORMAT", "the file", f"no valid JSON ({type(error).__name__})") from error
    if suffix == ".ipynb":
        return notebook.read_notebook(content, depth)
    found = Contents("json")
    walk_json(found, "", content, depth)
    return found


def walk_json(found: Contents, where: str, content: Any, depth: int) -> None:
    """Add every key, string and number of JSON to `found`, with its place as a path."""
    chunks: list[tuple[str, str]] = []
    _collect_json(found, chunks, where, content, depth)
    found.add(chunks)


def _collect_json(
    found: Contents, chunks: list, where: str, content: Any, depth: int, column: str = ""
) -> None:
    if isinstance(content, dict):
        for key, value in content.items():
            chunks.append((f"{where}/{key}", str(key)))
            if not isinstance(value, dict | list):
                found.cells += [(f"{where}/{key}", name, str(value)) for name in (str(key), column) if name]
            _collect_json(found, chunks, f"{where}/{key}", value, depth, str(key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            if column and not isinstance(value, dict | list):
                found.cells.append((f"{where}/{number}", column, str(value)))
            _collect_json(found, chunks, f"{where}/{number}", value, depth, column)
    elif isinstance(content, str):
        chunks.append((where, cut_data_uris(found, where, content, depth)))
    elif content is not None and not isinstance(content, bool):
        chunks.append((where, repr(content)))


def cut_data_uris(found: Contents, where: str, text: str, depth: int) -> str:
    """Read the files that stand as ``data:`` addresses in `text` and return the text without them."""

    def _cut(match: re.Match) -> str:
        kind = (match[1] or "text/plain").lower()
        found.include(f"{where}, embedded {kind}", read(name_of(kind), _payload(match), depth + 1))
        return "data:"

    return _DATA_URI.sub(_cut, text) if "data:" in text.lower() else text


def _payload(match: re.Match) -> bytes:
    if ";base64" not in match[2].lower():
        return unquote_to_bytes(match[3])
    return decode_base64(unquote_to_bytes(match[3]).decode("latin-1"))


def decode_base64(text: str) -> bytes:
    """Return the bytes that `text` encodes, refusing what is no base64."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatRefused("FORMAT", "embedded data", "no valid base64") from error


def name_of(mime: str) -> str:
    """Return a file name with the ending that `mime` stands for."""
    kind = mime.split(";")[0].strip().lower()
    endings = {"text/html": ".html", "image/svg+xml": ".svg", "text/csv": ".csv", "text/xml": ".xml"}
    return "embedded" + endings.get(kind, ".json" if kind.endswith("json") else "")


def _read_markup(kind: str, text: str, depth: int) -> Contents:
    from analysis.privacy.markup import Markup

    found = Contents(kind)
    parser = Markup(lambda where, value: cut_data_uris(found, where, value, depth))
    parser.feed(text)
    parser.close()
    found.add(parser.words, separator="")
    found.add(parser.attributes)
    found.add([(where, name) for name, where in parser.names.items()])
    found.cells += parser.cells
    return found
