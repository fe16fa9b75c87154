"""A table as Rich Text Format 1.9, which every word processor reads."""

from __future__ import annotations

from analysis.documents.content import bind
from analysis.documents.layout import Layout
from analysis.documents.table import INDENT_MM, PADDING_MM, PrintedTable, Row, spans

_TWIPS_PER_MM = 1440 / 25.4
_LANGUAGES = {
    "en-GB": 2057, "en-US": 1033, "fr-BE": 2060, "fr-FR": 1036, "nl-BE": 2067, "nl-NL": 1043, "de-DE": 1031,
}  # fmt: skip
_THICK, _THIN = r"\brdrs\brdrw20", r"\brdrs\brdrw10"
_SPACE = r"\sb20\sa20"  # above and below a line, in twentieths of a point
_SIGNS = {"\\": r"\\", "{": r"\{", "}": r"\}", "\u00a0": r"\~", "\u2011": r"\_"}


def rtf_table(table: PrintedTable, layout: Layout) -> bytes:
    """Write a table as an RTF document: caption, head repeated on each page, rows kept whole, notes.

    Only ASCII: every other letter is written by its number. A wide table stands on a landscape page.
    """
    edges = _edges(table)
    caption = rf"\pard\sb0\sa80\keepn\s1\b\fs{_half(layout.table_pt)} {escape(table.caption)}\b0\par"
    rows = [_head(table, edges)]
    for position, row in enumerate(table.rows):
        rows.append(_row(row, table, edges, last=position == len(table.rows) - 1))
    notes = [rf"\pard\sb40\sa0\s2\fs{_half(layout.note_pt)} {escape(note)}\par" for note in table.notes]
    closing = notes or [r"\pard\par"]
    return "\n".join([*_opening(table, layout), caption, *rows, *closing, "}", ""]).encode("ascii")


def escape(text: str) -> str:
    r"""Return a text as RTF holds it: ASCII, other letters as ``\uN?`` in UTF-16 units.

    >>> escape("≥ 5 {a}")
    '\\u8805?\\~5 \\{a\\}'
    """
    return "".join(_letter(letter) for letter in bind(text))


def _letter(letter: str) -> str:
    if letter in _SIGNS:
        return _SIGNS[letter]
    if ord(letter) < 128:
        return letter
    units = letter.encode("utf-16-le")
    numbers = [int.from_bytes(units[i : i + 2], "little", signed=True) for i in range(0, len(units), 2)]
    return "".join(rf"\u{number}?" for number in numbers)


def _opening(table: PrintedTable, layout: Layout) -> list[str]:
    width, height = (_twips(side) for side in layout.page_mm(table.landscape))
    margin = _twips(layout.margin_mm)
    language = _LANGUAGES.get(layout.language, _LANGUAGES["en-GB"])
    turned, section = (r"\landscape", r"\lndscpsxn") if table.landscape else ("", "")
    return [
        rf"{{\rtf1\ansi\ansicpg1252\deff0\uc1\deflang{language}",
        rf"{{\fonttbl{{\f0\fswiss {escape(layout.font)};}}}}",
        r"{\stylesheet{\s0 Normal;}{\s1\sbasedon0 caption;}{\s2\sbasedon0 Table note;}}",
        rf"{{\info{{\title {escape(table.caption)}}}{{\subject {escape(table.study)}}}}}",
        rf"\paperw{width}\paperh{height}{turned}\margl{margin}\margr{margin}\margt{margin}\margb{margin}",
        rf"\sectd{section}\pgwsxn{width}\pghsxn{height}\plain\f0\lang{language}",
    ]


def _head(table: PrintedTable, edges: list[int]) -> str:
    border = rf"\clvertalb\clbrdrt{_THICK}\clbrdrb{_THIN}"
    frame = _frame(edges, border, r"\trhdr")
    cells = "".join(
        rf"\pard\intbl\keepn{_SPACE}{side}\fs{_half(table.size_pt)}\b {escape(name)}\b0\cell"
        for name, side in zip(table.columns, _sides(table), strict=True)
    )
    return f"{frame}\n{cells}\\row"


def _row(row: Row, table: PrintedTable, edges: list[int], last: bool) -> str:
    border = r"\clvertalt" + (rf"\clbrdrb{_THICK}" if last else "")
    indent = rf"\li{_twips(INDENT_MM * row.level)}" if row.level else ""
    keep = r"\keepn" if row.group else ""
    bold, plain = (r"\b", r"\b0") if row.group else ("", "")
    size = rf"\fs{_half(table.size_pt)}"
    head = rf"\pard\intbl{keep}{_SPACE}\ql{indent}{size}{bold} {escape(row.cells[0])}{plain}\cell"
    if spans(row):
        return f"{_frame(edges[-1:], border)}\n{head}\\row"
    rest = "".join(
        rf"\pard\intbl{_SPACE}{side}{size} {escape(text)}\cell"
        for text, side in zip(row.cells[1:], _sides(table)[1:], strict=True)
    )
    return f"{_frame(edges, border)}\n{head}{rest}\\row"


def _frame(edges: list[int], border: str, extra: str = "") -> str:
    gap = _twips(PADDING_MM / 2)
    cells = "".join(rf"{border}\cellx{edge}" for edge in edges)
    return rf"\trowd\trgaph{gap}\trleft0\trkeep{extra}{cells}"


def _edges(table: PrintedTable) -> list[int]:
    """Return the right edge of each column in twips."""
    reached = 0.0
    return [_twips(reached := reached + width) for width in table.widths_mm]


def _sides(table: PrintedTable) -> list[str]:
    return [
        r"\qr" if right else r"\ql" + (rf"\li{_twips(inset)}" if inset else "")
        for right, inset in zip(table.right, table.inset_mm, strict=True)
    ]


def _twips(mm: float) -> int:
    return round(mm * _TWIPS_PER_MM)


def _half(points: float) -> int:
    return round(points * 2)
