"""Documents of the content model: each table as CSV, HTML, DOCX, LaTeX and RTF; all results as DOCX and PDF.

Every writer takes texts that are already computed and returns bytes: it reads no data, knows no clock and
opens no file but its own template and fonts. The same content gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.documents.content import DocumentError, check_content, plain
from analysis.documents.layout import Layout
from analysis.documents.table import arrange
from analysis.documents.table_docx import docx_table
from analysis.documents.table_html import html_table
from analysis.documents.table_latex import latex_table
from analysis.documents.table_plain import csv_table
from analysis.documents.table_rtf import rtf_table
from analysis.documents.write_docx import write_docx
from analysis.documents.write_pdf import write_pdf

__all__ = [
    "ENDINGS",
    "DocumentError",
    "Layout",
    "check_content",
    "plain",
    "write_docx",
    "write_pdf",
    "write_table",
]

_WRITERS = {"csv": csv_table, "html": html_table, "docx": docx_table, "tex": latex_table, "rtf": rtf_table}

ENDINGS = tuple(_WRITERS)


def write_table(
    table: Mapping[str, Any],
    *,
    study: str,
    simulated: bool,
    layout: Layout | None = None,
) -> dict[str, bytes]:
    """Write one table of the content model in every format: ending -> file.

    Parameters
    ----------
    table : mapping
        An entry of ``content["tables"]``: ``name``, ``title``, ``columns``, ``rows``, ``notes``.
    study : str
        Line that names the study; it goes into the files' properties.
    simulated : bool
        Every file then says SIMULATED DATA: the CSV in a last column, the others in a note.
    layout : Layout, optional
        Paper, typeface and sizes.

    Returns
    -------
    dict of str to bytes
        One entry for each of `ENDINGS`.

    Raises
    ------
    DocumentError
        If the table has no rows, a row does not fit the columns.
    """
    layout = layout or Layout.of()
    printed = arrange(table, layout, study=study, simulated=simulated)
    return {ending: write(printed, layout) for ending, write in _WRITERS.items()}
