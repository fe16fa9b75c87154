"""The results as a PDF, set by typst from one template; texts go in as data, never as markup."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
import typst

from analysis.documents.content import (
    SIMULATED,
    SIMULATED_BANNER,
    DocumentError,
    bind,
    caption_of,
    changes_of,
    check_content,
    check_pictures,
    kind_of,
    plain,
)
from analysis.documents.flow import Block, runs_of
from analysis.documents.layout import Layout, fit_picture
from analysis.documents.table import PrintedTable, arrange, spans

FONT, BREADTH = "DejaVu Sans", 1.17  # the typeface of the figures; wider than Arial
STANDARDS = ["ua-1"]  # readable aloud (ISO 14289-1); PDF/A demands a date, and no date leaves
_KINDS = {"svg": b"<svg", "png": b"\x89PNG\r\n\x1a\n"}
_RESERVE_MM = 35.0  # height for heading and caption of a picture
_MM_PER_CAPTION_LETTER = 0.04


def write_pdf(
    content: Mapping[str, Any], pictures: Mapping[str, bytes], *, layout: Layout | None = None
) -> bytes:
    """Write the results as a tagged PDF (PDF/UA-1) with bookmarks.

    Parameters
    ----------
    content : mapping
        The content model (content.json).
    pictures : mapping of str to bytes
        Figure id -> SVG (or PNG).
    layout : Layout, optional
        Paper and sizes; the typeface is that of the figures.

    Returns
    -------
    bytes
        The file; the same content gives the same bytes.

    Raises
    ------
    DocumentError
        If a key of the content or a picture is missing, a picture is no SVG or PNG or has no alternative
        text, a table does not hold together, or typst refuses what it was given.
    """
    layout = layout or Layout.of()
    check_content(content)
    check_pictures(content, pictures, _KINDS)
    files = {name: f"{name}.{kind_of(picture, _KINDS)}" for name, picture in pictures.items()}
    model = json.dumps(_model(content, files, layout), ensure_ascii=False, sort_keys=True)
    template = resources.files("analysis.documents").joinpath("report.typ").read_bytes()
    given = {"main": template, "model.json": model.encode()}
    given |= {files[name]: pictures[name] for name in content["figures"]}
    try:
        compiler = typst.Compiler(given, font_paths=_fonts())
        return compiler.compile(format="pdf", pdf_standards=STANDARDS)
    except typst.TypstError as error:
        raise DocumentError(f"typst could not set the report: {error}") from error


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """Return the fonts that come with matplotlib and no others: the same on every machine."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)])


def _model(content: Mapping[str, Any], files: Mapping[str, str], layout: Layout) -> dict[str, Any]:
    """Return what the template sets: plain texts in order, sizes in mm and points."""
    tables = {
        name: arrange(
            one, layout, study=content["study"], simulated=content["simulated"],
            breadth=BREADTH, told=False,
        )
        for name, one in content["tables"].items()
    }  # fmt: skip
    wide = {name for name, one in tables.items() if one.landscape}
    return {
        "layout": _layout(layout),
        "front": _front(content),
        "runs": [
            {
                "landscape": run.landscape,
                "blocks": [_block(one, content, files, tables, layout) for one in run.blocks],
            }
            for run in runs_of(content, wide)
        ],
        "end": _end(content),
    }


def _layout(layout: Layout) -> dict[str, Any]:
    language, _, region = layout.language.partition("-")
    points = {name: getattr(layout, f"{name}_pt") for name in ("text", "table", "note")}
    width, height = layout.page_mm()
    return points | {
        "width": width, "height": height, "margin": layout.margin_mm,
        "font": FONT, "language": language, "region": region.lower(),
    }  # fmt: skip


def _front(content: Mapping[str, Any]) -> dict[str, Any]:
    scenario = content.get("scenario")
    notices = [[SIMULATED, SIMULATED_BANNER]] if content["simulated"] else []
    if scenario:
        head = f"Sensitivity analysis {scenario['name']}, not the primary one"
        notices.append([head, "; ".join(changes_of(scenario))])
    return {
        "title": plain(content["title"]),
        "study": plain(content["study"]),
        "running": [head for head, _ in notices],
        "notices": notices,
        "question": plain(content["question"]),
        "answers": [bind(plain(answer)) for answer in content["answers"]],
        "cards": [
            {key: bind(plain(one.get(key) or "")) for key in ("label", "value", "detail")}
            for one in content.get("cards") or ()
        ],
    }


def _end(content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "not_applicable": [[plain(what), plain(why)] for what, why in content.get("not_applicable") or ()],
        "limits": [bind(plain(text)) for text in content.get("limits") or ()],
        "colophon": [[plain(str(name)), plain(str(value))] for name, value in content.get("colophon") or ()],
    }


def _block(block: Block, content, files, tables, layout: Layout) -> dict[str, Any]:
    if block.kind == "figure":
        return {"kind": "figure"} | _figure(content["figures"][block.what], files[block.what], layout)
    if block.kind == "table":
        return {"kind": "table"} | _table(tables[block.what])
    return {"kind": block.kind, "text": bind(block.what)}


def _figure(figure: Mapping[str, Any], file: str, layout: Layout) -> dict[str, Any]:
    heading, caption = caption_of(figure)
    reserve = _RESERVE_MM + _MM_PER_CAPTION_LETTER * len(caption)
    width, height = fit_picture(figure["width_mm"], figure["height_mm"], layout, reserve)
    return {
        "file": file, "heading": heading, "caption": bind(caption), "alt": plain(figure["alt"]),
        "width": width, "height": height,
    }  # fmt: skip


def _table(table: PrintedTable) -> dict[str, Any]:
    rows = [
        {
            "cells": [bind(cell) for cell in row.cells],
            "level": row.level,
            "group": row.group,
            "spans": spans(row),
        }
        for row in table.rows
    ]
    return {
        "heading": table.caption + ".", "columns": [bind(name) for name in table.columns], "rows": rows,
        "notes": [bind(note) for note in table.notes],
        "right": list(table.right), "inset": list(table.inset_mm),
        "widths": list(table.widths_mm), "size": table.size_pt, "alt": table.describe(),
    }  # fmt: skip
