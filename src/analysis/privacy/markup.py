"""Text, comments, attributes and tables of HTML, SVG and XML."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

# Numbers of a drawing: no text, and full of digit runs that look like identifiers.
_GEOMETRY = frozenset(
    ("d", "points", "transform", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "dx", "dy")
    + ("width", "height", "viewbox", "offset")
)
_DRAWN = re.compile(
    r"(?:[\s\d.,;:%()+-]|[MmLlHhVvCcSsQqTtAaZzEe](?![a-z])|translate|scale|rotate|matrix|skew[XY]|px|pt|em|rem|auto|cm|mm|in)*"
)
_INLINE = frozenset(
    (
        "a",
        "b",
        "i",
        "em",
        "strong",
        "span",
        "sub",
        "sup",
        "small",
        "code",
        "u",
        "mark",
        "tspan",
        "wbr",
        "font",
    )
    + (
        "abbr",
        "acronym",
        "bdi",
        "bdo",
        "big",
        "cite",
        "data",
        "del",
        "dfn",
        "ins",
        "kbd",
        "label",
        "q",
        "ruby",
        "s",
    )
    + ("samp", "strike", "time", "tt", "var", "nobr", "textpath", "center", "blink")
)
# Word parts a word into runs wherever it likes; only these of its elements end one.
_WORD_BLOCKS = frozenset(("w:p", "w:tbl", "w:tr", "w:tc", "w:br", "w:cr", "w:tab", "w:body", "w:sectpr"))
_SAME = {"w:tbl": "table", "w:tr": "tr", "w:tc": "td"}


class Markup(HTMLParser):
    """Collects what a markup file holds.

    Parameters
    ----------
    cut : callable
        Called with a place and a text: reads the files embedded in it and returns the text without them.

    Attributes
    ----------
    words, attributes : list of (where, text)
        Text between tags, and the values of attributes and comments.
    names : dict
        Names of tags and attributes -> where each stands first.
    cells : list of (where, column, value)
        Cells of the tables, under the names of their last heading row.
    """

    def __init__(self, cut: Callable[[str, str], str]):
        super().__init__(convert_charrefs=True)
        self._cut = cut
        self.words: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str]] = []
        self.cells: list[tuple[str, str, str]] = []
        self.names: dict[str, str] = {}
        self._header: list[str] = []
        self._row: list[str] | None = None
        self._in_cell = self._is_header = self._is_first = False

    @property
    def _where(self) -> str:
        return f"line {self.getpos()[0]}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note the attributes; a block ends the word before it, a cell starts a value."""
        for name, value in attributes:
            self.names.setdefault(name, self._where)
            if value and not (name in _GEOMETRY and _DRAWN.fullmatch(value)):
                self.attributes.append((self._where, self._cut(self._where, value)))
        self.names.setdefault(tag, self._where)
        self._break(tag)
        # The first row of a Word table is its heading: it marks no heading cells.
        is_first = tag == "w:tr" and not self._header
        tag = _SAME.get(tag, tag)
        if tag == "table":
            self._header = []
        if tag == "tr":
            self._row, self._is_header, self._is_first = [], True, is_first
        if tag in {"td", "th"} and self._row is not None:
            self._row.append("")
            self._in_cell = True
            self._is_header &= tag == "th" or self._is_first

    def handle_endtag(self, tag: str) -> None:
        """Close a cell or a row of a table."""
        self._break(tag)
        tag = _SAME.get(tag, tag)
        if tag in {"td", "th"}:
            self._in_cell = False
        if tag == "tr" and self._row is not None:
            self._close_row(self._row)
            self._row = None

    def handle_data(self, data: str) -> None:
        """Note text; line by line, so that its place is told."""
        text = self._cut(self._where, data)
        if self._in_cell and self._row:
            self._row[-1] += text
        first = self.getpos()[0]
        for number, line in enumerate(text.splitlines(keepends=True)):
            self.words.append((f"line {first + number}", line))

    def handle_comment(self, data: str) -> None:
        """Note a comment: a drawing keeps the text of its labels there."""
        self.attributes.append((self._where, self._cut(self._where, data)))

    def handle_decl(self, decl: str) -> None:
        """Note a declaration."""
        self.attributes.append((self._where, decl))

    def handle_pi(self, data: str) -> None:
        """Note a processing instruction."""
        self.attributes.append((self._where, data))

    def unknown_decl(self, data: str) -> None:
        """Note a marked section (CDATA)."""
        self.words.append((self._where, self._cut(self._where, data)))

    def _break(self, tag: str) -> None:
        if tag in _WORD_BLOCKS or not (tag in _INLINE or tag.startswith("w:")):
            self.words.append((self._where, "\n"))

    def _close_row(self, row: list[str]) -> None:
        texts = [" ".join(cell.split()) for cell in row]
        if self._is_header:
            if any(texts[1:]) or not self._header:
                self._header = texts
            return
        self.cells += [(self._where, column, text) for column, text in zip(self._header, texts)]
