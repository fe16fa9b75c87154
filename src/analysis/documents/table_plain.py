"""A table as CSV: columns and plain cells."""

from __future__ import annotations

import csv
import io

from analysis.documents.content import SIMULATED
from analysis.documents.layout import Layout
from analysis.documents.table import PrintedTable


def csv_table(table: PrintedTable, layout: Layout | None = None) -> bytes:
    """Write a table as CSV (UTF-8, one header line), as it is read: row by row.

    A group is a line with only its head; the heads of rows one level down begin with two spaces. Title and
    notes are in the other formats. A table of simulated data has a last column that says so in every line,
    so that no line loses it when it is copied, sorted or joined.
    """
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    told = table.simulated
    lines.writerow([*table.columns, *([SIMULATED] if told else [])])
    for row in table.rows:
        head, *rest = row.cells
        lines.writerow(["  " * row.level + head, *rest, *(["yes"] if told else [])])
    return text.getvalue().encode()
