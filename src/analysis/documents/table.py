"""One table of the content model, ready to be printed: plain texts, widths, sides, page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from analysis.documents.content import SIMULATED_NOTE, DocumentError, bind, plain
from analysis.documents.layout import Layout, fit_columns

PADDING_MM = 2.8  # beside the text of a cell, both sides together
INDENT_MM = 3.0  # of a row one level down, and of a text that follows a column of numbers
_NUMBER = re.compile(r"^[<>≤≥−–+-]?\s*[\d∞]|^[–-]?$")
_FIRST_SHARE = 0.7  # of a column's cells: above, it is a column of numbers


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells, how far its head is indented, and whether it heads a group."""

    cells: tuple[str, ...]
    level: int = 0
    group: bool = False


@dataclass(frozen=True)
class PrintedTable:
    """One table with plain texts: what it says and how it lies on the page.

    ``widths_mm`` add up to the line of the page; ``right`` marks columns of numbers, set to the right;
    ``inset_mm`` keeps a column of text off the numbers before it; ``notes`` begin with the words about
    simulated data.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    right: tuple[bool, ...]
    inset_mm: tuple[float, ...]
    widths_mm: tuple[float, ...]
    landscape: bool
    size_pt: float
    study: str
    simulated: bool

    @property
    def caption(self) -> str:
        """Name and title: ``Table 2. Hazard ratios``."""
        return f"{self.name}. {self.title}"

    def describe(self) -> str:
        """Return the table in a sentence, for readers who do not see it."""
        size = f"{len(self.columns)} columns and {sum(not row.group for row in self.rows)} rows"
        return f"{self.title}; {size}. Columns: {'; '.join(self.columns)}."


def arrange(
    table: Mapping[str, Any],
    layout: Layout,
    *,
    study: str,
    simulated: bool,
    breadth: float = 1.0,
    told: bool = True,
) -> PrintedTable:
    """Return a table of the content model ready to be printed.

    Parameters
    ----------
    table : mapping
        An entry of ``content["tables"]``.
    layout : Layout
        Page and sizes.
    study, simulated
        As `analysis.documents.write_table`.
    breadth : float
        Width of the typeface against Arial.
    told : bool
        False inside a document whose pages say SIMULATED DATA themselves.

    Raises
    ------
    DocumentError
        If there are no rows, or a row has more or fewer cells than there are columns.
    """
    name = str(table.get("name", ""))
    columns = tuple(plain(column) for column in table["columns"])
    rows = tuple(_row(row, len(columns), name) for row in table["rows"])
    if not rows:
        raise DocumentError(
            f"{name or 'a table'} has no rows; leave it out: a part that does not apply is absent"
        )
    notes = [SIMULATED_NOTE] if simulated and told else []
    texts = [_column(columns, rows, position) for position in range(len(columns))]
    right = [_of_numbers(column[1:], position) for position, column in enumerate(texts)]
    inset = [INDENT_MM * (not now and before) for before, now in pairwise([False, *right])]
    padding = [PADDING_MM + gap for gap in inset]
    widths, landscape, size = fit_columns(texts, layout, padding_mm=padding, breadth=breadth)
    return PrintedTable(
        name=name,
        title=plain(table["title"]).rstrip("."),
        columns=columns,
        rows=rows,
        notes=(*notes, *(text for text in map(plain, table.get("notes", ())) if text)),
        right=tuple(right),
        inset_mm=tuple(inset),
        widths_mm=tuple(widths),
        landscape=landscape,
        size_pt=size,
        study=plain(study),
        simulated=simulated,
    )


def _row(row: Mapping[str, Any], width: int, name: str) -> Row:
    """Return a row; one that heads a group may come with its head alone."""
    cells = [plain(cell) for cell in row["cells"]]
    group = row.get("kind") == "group"
    if group and len(cells) < width:
        cells += [""] * (width - len(cells))
    if len(cells) != width or not cells:
        raise DocumentError(f"{name}: a row of {len(cells)} cells under {width} columns: {cells[:1]}")
    return Row(tuple(cells), int(row.get("level", 0)), group)


def spans(row: Row) -> bool:
    """Return whether a row is one heading over all columns: it heads a group and says nothing else."""
    return row.group and not any(row.cells[1:])


def _column(columns: Sequence[str], rows: Sequence[Row], position: int) -> list[str]:
    cells = [row.cells[position] for row in rows if not spans(row)]
    if position == 0:  # an indented head needs the room of its indent
        cells = ["  " * row.level + row.cells[0] for row in rows if not spans(row)]
    return [bind(text) for text in (columns[position], *cells)]


def _of_numbers(cells: Sequence[str], position: int) -> bool:
    if position == 0:
        return False
    said = [cell for cell in cells if cell not in ("", "–", "-")]
    numbers = [cell for cell in said if _NUMBER.match(cell) and len(cell) <= 40]
    return bool(said) and len(numbers) >= _FIRST_SHARE * len(said)
