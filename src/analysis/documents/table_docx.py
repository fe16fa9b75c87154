"""A table as a Word document of its own."""

from __future__ import annotations

from analysis.documents.docx_parts import add_table, open_document, set_page, to_bytes
from analysis.documents.layout import Layout
from analysis.documents.table import PrintedTable


def docx_table(table: PrintedTable, layout: Layout) -> bytes:
    """Write a table as DOCX: caption in Word's style, three rules, head repeated on each page, notes.

    A wide table stands on a landscape page; rows are not split; group heads are bold over all columns. The
    table carries its caption and a description for readers who do not see it.
    """
    document = open_document(layout, title=table.caption, subject=table.study)
    set_page(document.sections[0], layout, table.landscape)
    add_table(document, table, layout)
    return to_bytes(document)
