"""The results as a Word document."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from docx.shared import Mm

from analysis.documents.content import (
    SIMULATED,
    SIMULATED_BANNER,
    bind,
    caption_of,
    changes_of,
    check_content,
    check_pictures,
    plain,
)
from analysis.documents.docx_parts import (
    NOTICE,
    add_footer,
    add_rows,
    add_table,
    open_document,
    to_bytes,
    turn_page,
)
from analysis.documents.flow import Block, runs_of
from analysis.documents.layout import Layout, fit_picture
from analysis.documents.table import PrintedTable, arrange

_KINDS = {"PNG": b"\x89PNG\r\n\x1a\n"}
_RESERVE_MM = 45.0  # height for the caption under a picture
_MM_PER_CAPTION_LETTER = 0.035  # a caption of 1000 letters is about 35 mm high


def write_docx(
    content: Mapping[str, Any], pictures: Mapping[str, bytes], *, layout: Layout | None = None
) -> bytes:
    """Write the results as DOCX: answers, key numbers, chapters with figures and tables, limits, colophon.

    Parameters
    ----------
    content : mapping
        The content model (content.json).
    pictures : mapping of str to bytes
        Figure id -> PNG.
    layout : Layout, optional
        Paper, typeface and sizes.

    Returns
    -------
    bytes
        The file; the same content gives the same bytes.

    Raises
    ------
    DocumentError
        If a key of the content or a picture is missing, a picture is no PNG or has no alternative text, or
        a table does not hold together.
    """
    layout = layout or Layout.of()
    check_content(content)
    check_pictures(content, pictures, _KINDS)
    tables = {name: _arranged(one, content, layout) for name, one in content["tables"].items()}
    document = open_document(layout, title=plain(content["title"]), subject=plain(content["study"]))
    _add_running_head(document, content)
    _add_front(document, content, layout)
    landscape = False
    for run in runs_of(content, {name for name, one in tables.items() if one.landscape}):
        landscape = _turn(document, layout, landscape, run.landscape)
        for block in run.blocks:
            _add_block(document, block, content, pictures, tables, layout)
    _turn(document, layout, landscape, False)
    _add_end(document, content, layout)
    return to_bytes(document)


def _arranged(table: Mapping[str, Any], content: Mapping[str, Any], layout: Layout) -> PrintedTable:
    return arrange(
        table, layout, study=content["study"], simulated=content["simulated"],
        told=False,
    )  # fmt: skip


def _turn(document, layout: Layout, now: bool, then: bool) -> bool:
    if now != then:
        turn_page(document, layout, then)
    return then


def _add_running_head(document, content: Mapping[str, Any]) -> None:
    section = document.sections[0]
    words = [SIMULATED] if content["simulated"] else []
    if content.get("scenario"):
        words.append(f"Sensitivity analysis {content['scenario']['name']}")
    section.header.paragraphs[0].text = " · ".join([*words, plain(content["title"])])
    add_footer(section)


def _add_front(document, content: Mapping[str, Any], layout: Layout) -> None:
    document.add_paragraph(plain(content["title"]), style="Title")
    document.add_paragraph(plain(content["study"]))
    if content["simulated"]:
        _add_notice(document, SIMULATED, SIMULATED_BANNER)
    if content.get("scenario"):
        head = f"Sensitivity analysis {content['scenario']['name']}, not the primary one"
        _add_notice(document, head, "; ".join(changes_of(content["scenario"])))
    document.add_heading(plain(content["question"]), level=1)
    for answer in content["answers"]:
        document.add_paragraph(bind(plain(answer)))
    cards = [
        [plain(one.get(key) or "") for key in ("label", "value", "detail")]
        for one in content.get("cards") or ()
    ]
    _add_list(document, "Key numbers", ("Quantity", "Value", "Of"), cards, content, layout)


def _add_notice(document, head: str, words: str) -> None:
    notice = document.add_paragraph(style=NOTICE)
    notice.add_run(f"{head}. ").bold = True
    notice.add_run(words)


def _add_list(document, title: str, columns, rows, content: Mapping[str, Any], layout: Layout) -> None:
    """Add a heading and a table without a number of its own; nothing where there are no rows."""
    if not rows:
        return
    document.add_heading(title, level=1)
    table = {
        "name": title,
        "title": title,
        "columns": columns,
        "rows": [{"kind": "row", "level": 0, "cells": [plain(cell) for cell in row]} for row in rows],
    }
    printed = arrange(table, layout, study=content["study"], simulated=False)
    plainly = replace(printed, right=(False,) * len(columns), inset_mm=(0.0,) * len(columns))
    add_rows(document, plainly, layout)
    document.add_paragraph()


def _add_block(document, block: Block, content, pictures, tables, layout: Layout) -> None:
    if block.kind == "heading":
        document.add_heading(block.what, level=1)
    elif block.kind == "paragraph":
        document.add_paragraph(bind(block.what))
    elif block.kind == "table":
        add_table(document, tables[block.what], layout)
    else:
        _add_figure(document, content["figures"][block.what], pictures[block.what], layout)


def _add_figure(document, figure: Mapping[str, Any], picture: bytes, layout: Layout) -> None:
    """Add a picture at its printed size, kept on one page with its caption."""
    heading, caption = caption_of(figure)
    reserve = _RESERVE_MM + _MM_PER_CAPTION_LETTER * len(caption)
    width, height = fit_picture(figure["width_mm"], figure["height_mm"], layout, reserve)
    paragraph = document.add_paragraph()
    paragraph.paragraph_format.keep_with_next = True
    paragraph.paragraph_format.space_before = Mm(4)
    drawn = paragraph.add_run().add_picture(io.BytesIO(picture), width=Mm(width), height=Mm(height))
    drawn._inline.docPr.set("descr", plain(figure["alt"]))
    drawn._inline.docPr.set("name", figure["name"])
    said = document.add_paragraph(style="Caption")
    said.paragraph_format.keep_together = True
    said.add_run(heading)
    said.add_run(f" {bind(caption)}").bold = False


def _add_end(document, content: Mapping[str, Any], layout: Layout) -> None:
    absent = [f"{plain(what)}: {plain(why)}" for what, why in content.get("not_applicable") or ()]
    limits = [plain(text) for text in content.get("limits") or ()]
    for title, texts in (("Not applicable to this study", absent), ("Limits", limits)):
        if texts:
            document.add_heading(title, level=1)
        for text in texts:
            document.add_paragraph(bind(text), style="List Bullet")
    _add_list(document, "Colophon", ("What", "Which"), content.get("colophon") or (), content, layout)
