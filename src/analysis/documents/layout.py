"""Paper, typeface and sizes of a document, and the share of a line that each column of a table gets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from analysis import plan
from analysis.documents.content import DocumentError

PAPER_MM = {"a4": (210.0, 297.0), "us-letter": (215.9, 279.4)}
MM_PER_POINT = 25.4 / 72
_NARROW, _BROAD = set("iljftrI.,;:|!'()[]-/ \u00a0"), set("mwMW%@—")
_EM = {"narrow": 0.31, "broad": 0.88, "upper": 0.68, "other": 0.555}  # Arial's letters, in sizes of the type
_ONE_LINE = 24  # characters: a number with its interval stays on one line, a sentence may break
_BOLD, _SLACK = 1.08, 1.05  # a bold head against plain letters; what another machine's typeface may differ
_SMALLEST_PT = 6.0
_RESULT = re.compile(r"[<>≤≥−–+-]?\s*\d.{0,39}$")  # begins with a number and is no sentence
_DEAR = 10.0  # a result that breaks in its interval, against words that break
_STEPS = 50  # in which the room left on a line is given out


@dataclass(frozen=True)
class Layout:
    """Paper, typeface and sizes of a document.

    Parameters
    ----------
    paper : str
        ``a4`` or ``us-letter``.
    margin_mm : float
        Margin on all sides; A4 with 15 mm holds a figure of two columns (180 mm).
    font : str
        Typeface of DOCX, RTF and HTML; the PDF brings its own.
    language : str
        Language and country, as ``en-GB``.
    text_pt, table_pt, note_pt : float
        Sizes of running text, of tables, and of notes and captions.
    """

    paper: str
    margin_mm: float
    font: str
    language: str
    text_pt: float
    table_pt: float
    note_pt: float

    def __post_init__(self):
        if self.paper not in PAPER_MM:
            raise DocumentError(f"no paper {self.paper!r}; known: {sorted(PAPER_MM)}")

    @classmethod
    def of(cls, rules: Any = None) -> Layout:
        """Return the layout of section ``documents`` of a plan, by default the defaults'."""
        rules = rules or plan.defaults().documents
        return cls(**{one.name: getattr(rules, one.name) for one in fields(cls)})

    def page_mm(self, landscape: bool = False) -> tuple[float, float]:
        """Return width and height of the sheet in mm."""
        width, height = PAPER_MM[self.paper]
        return (height, width) if landscape else (width, height)

    def text_mm(self, landscape: bool = False) -> tuple[float, float]:
        """Return width and height inside the margins in mm."""
        width, height = self.page_mm(landscape)
        return width - 2 * self.margin_mm, height - 2 * self.margin_mm


def fit_picture(width_mm: float, height_mm: float, layout: Layout, reserve_mm: float) -> tuple[float, float]:
    """Return width and height of a picture in mm: as printed, smaller only where the page is.

    Parameters
    ----------
    width_mm, height_mm : float
        Printed size.
    layout : Layout
        The page.
    reserve_mm : float
        Height kept for the heading and the caption of the picture.
    """
    width, height = layout.text_mm()
    scale = min(1.0, width / width_mm, (height - reserve_mm) / height_mm)
    return width_mm * scale, height_mm * scale


def _em(letter: str) -> float:
    if letter in _NARROW:
        return _EM["narrow"]
    if letter in _BROAD:
        return _EM["broad"]
    return _EM["upper" if letter.isupper() else "other"]


def fit_columns(
    texts: Sequence[Sequence[str]], layout: Layout, *, padding_mm: Sequence[float], breadth: float = 1.0
) -> tuple[list[float], bool, float]:
    """Return widths of a table's columns in mm, whether it needs a landscape page, and its size of type.

    A column gets at least its longest word or number; the rest of the line goes to the columns whose cells
    still break, the more of them the more. A table too wide for the page is set in smaller type down to that
    of notes, then landscape, then smaller still.

    Parameters
    ----------
    texts : sequence of sequence of str
        One sequence a column: its head and its cells.
    layout : Layout
        The page.
    padding_mm : sequence of float
        Space beside the text of a cell, both sides together, one a column.
    breadth : float
        Width of the typeface against Arial.

    Returns
    -------
    list of float, bool, float
        Widths (their sum is the line), landscape, size in points.
    """
    columns = [[_bold(column[0]), *map(_ems, column[1:])] for column in texts]
    words = [max(_bold(column[0], _longest), *map(_least, column[1:])) * _SLACK for column in texts]
    needs = [_mm(breadth, padding_mm, words, size) for size in (layout.table_pt, layout.note_pt)]
    landscape = sum(needs[1]) > layout.text_mm()[0]
    line = layout.text_mm(landscape)[0]
    size = _size(layout, padding_mm, words, breadth, line)
    least = _mm(breadth, padding_mm, words, size)
    most = _mm(breadth, padding_mm, [max(column) * _SLACK for column in columns], size)
    cells = [_mm(breadth, [gap] * len(own), own, size) for own, gap in zip(columns, padding_mm, strict=True)]
    dear = [[_DEAR if _RESULT.match(text) else 1.0 for text in column] for column in texts]
    return _share(least, most, cells, dear, line), landscape, size


def _mm(breadth: float, padding: Sequence[float], ems: Sequence[float], size: float) -> list[float]:
    return [gap + em * size * MM_PER_POINT * breadth for em, gap in zip(ems, padding, strict=True)]


def _size(
    layout: Layout, padding: Sequence[float], words: Sequence[float], breadth: float, line: float
) -> float:
    """Return the largest size, in half points, at which no word or number breaks."""
    size = layout.table_pt
    while size > _SMALLEST_PT and sum(_mm(breadth, padding, words, size)) > line:
        size -= 0.5
    return size


def _share(
    least: Sequence[float],
    most: Sequence[float],
    cells: Sequence[Sequence[float]],
    dear: Sequence[Sequence[float]],
    line: float,
) -> list[float]:
    """Return widths that fill the line: what all need, the rest to those whose cells still break.

    ``cells`` are the widths every cell would take on one line, ``dear`` what it weighs that it breaks.
    """
    if sum(least) >= line:
        return [width * line / sum(least) for width in least]
    if sum(most) <= line:  # everything fits on one line: what is left over goes to all alike
        return [width * line / sum(most) for width in most]
    widths = list(least)
    step = (line - sum(widths)) / _STEPS
    for _ in range(_STEPS):
        over = [
            sum(price * max(0.0, cell * _SLACK - width) for cell, price in zip(own, prices, strict=True))
            for own, prices, width in zip(cells, dear, widths, strict=True)
        ]
        widths = [width + step * own / sum(over) for width, own in zip(widths, over, strict=True)]
    return widths


def _ems(text: str) -> float:
    return sum(map(_em, text))


def _bold(text: str, measure=_ems) -> float:
    return measure(text) * _BOLD


def _least(text: str) -> float:
    """Return the width below which a text would break inside a word or number, in sizes of the type."""
    if len(text) <= _ONE_LINE and re.search(r"\d", text):
        return _ems(text)
    return _longest(text)


def _longest(text: str) -> float:
    """Return the width of the longest word, in sizes of the type: a head may break between words."""
    return max((_ems(word) for word in text.split(" ")), default=0.0)
