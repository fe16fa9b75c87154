"""The report: one content model (``content.json``) and the page that holds all of it and needs no script.

Sentences, captions and numbers arrive computed; this module puts them in order and refuses what a reader
could not open from a folder. The report site (`analysis.site`) arranges the same content in the same parts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

REQUIRED = ("title", "study", "simulated", "question", "answers")
OPTIONAL = ("name", "scenario", "cards", "sections", "figures", "tables")
CLOSING = ("not_applicable", "limits", "colophon")
PX_PER_MM = 96 / 25.4
LEAD = 3  # sentences that stand in the box of the answer; the others open the report's first section
WIDE_PX = 480  # a picture printed wider than this scrolls on a phone instead of being shrunk
ON_SCREEN = 1.25  # screens are read from further away than paper
_WIDE, _LONG = 16, 42  # characters: a wide row head keeps room; a long cell may break, a number never
_PNG = b"\x89PNG\r\n\x1a\n"
_REACHES_OUT = re.compile(
    r"""<script|<iframe|<object|<embed|<base\b|@import|javascript:|\son\w+\s*=\s*["']"""
    r"""|(?:src|srcset|href|action)\s*=\s*["']?\s*(?:https?:|//|file:)|url\(\s*["']?\s*(?:https?:|//|file:)""",
    re.IGNORECASE,
)

Said = str | Sequence[str | Sequence[str]]


class ReportError(ValueError):
    """A report that cannot be written: something it needs is missing, unknown, or reaches outside."""


def render_report(content: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Render the report of a run as one self-contained HTML page.

    Parameters
    ----------
    content : mapping
        The content model, as notebook 06 saves it in ``content.json``: ``title``, ``study``, ``simulated``
        (bool), ``question``, ``answers``, and any of ``name``, ``scenario``, ``cards``,
        ``sections``, ``figures``, ``tables``, ``not_applicable``, ``limits``, ``colophon``. A text is a
        string or a list of pieces, each a string or ``[printed number, value id]``. What no section names
        comes last, under "Further results".
    pictures : mapping
        Id of each figure -> bytes of an SVG or PNG.

    Returns
    -------
    str
        The page. The same input gives the same text.

    Raises
    ------
    ReportError
        For a missing or unknown key of the content, an id used twice or unknown, a figure without picture or
        alternative text, a table whose rows do not fit its columns, or what would load from outside.
    """
    sections = arrange(content)
    for part in (part for section in sections for part in section["parts"] if part["kind"] == "figure"):
        # As an image, not inline: identifiers inside one drawing cannot clash with another's.
        part["source"] = _embed(part["id"], pictures)
    page = environment().get_template("report_template.html")
    text = page.render(c=fill(content), sections=sections, say=plain, plain=plain)
    check_self_contained(text)
    return text


def check_self_contained(page: str) -> None:
    """Raise ReportError if `page` runs a script or would load anything from outside itself."""
    found = _REACHES_OUT.search(page)
    if found:
        raise ReportError(f"the report must stand alone, but holds {found.group(0)!r}")


def plain(said: Said) -> str:
    """Return a text of pieces as a plain string.

    Examples
    --------
    >>> plain(["hazard ratio ", ["1.72", "pfs_hr"], "."])
    'hazard ratio 1.72.'
    """
    if isinstance(said, str):
        return said
    return "".join(piece if isinstance(piece, str) else piece[0] for piece in said)


def environment(*loaders: BaseLoader) -> Environment:
    """Return the environment of the report's templates: text is escaped, an unknown name is an error."""
    own = FileSystemLoader(str(resources.files("analysis")))
    return Environment(
        loader=ChoiceLoader([*loaders, own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def describe_scenario(
    overrides: Mapping[str, Any], defaults: Mapping[str, Any], name: str
) -> dict[str, Any] | None:
    """Return the content's ``scenario`` from a plan's overrides; None where nothing is overridden.

    Parameters
    ----------
    overrides : mapping
        Plan name -> value of this run.
    defaults : mapping
        Plan name -> value of the plan itself.
    name : str
        Name of the scenario.
    """
    if not overrides:
        return None
    changes = [
        {"name": key, "value": value, "default": defaults[key]} for key, value in sorted(overrides.items())
    ]
    return {"name": name, "changes": changes}


def fill(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with every optional key present, so that the templates can be strict.

    Raises
    ------
    ReportError
        For a missing or unknown key.
    """
    _check(content)
    filled = {name: None for name in (*OPTIONAL, *CLOSING)} | dict(content)
    filled["lead"] = LEAD
    filled["cards"] = [{"detail": None} | dict(card) for card in filled["cards"] or []]
    if filled["scenario"]:
        changes = [{"default": None, "note": None} | dict(change) for change in filled["scenario"]["changes"]]
        filled["scenario"] = dict(filled["scenario"]) | {"changes": changes}
    return filled


def arrange(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Arrange figures and tables of the content in its sections, ready for the templates.

    Parameters
    ----------
    content : mapping
        As for `render_report`.

    Returns
    -------
    list of dict
        ``id title paragraphs bullets pairs parts`` of each section that holds something; `parts` are figures
        (``source`` still empty) and tables, each with ``kind id name title downloads``.

    Raises
    ------
    ReportError
        As `render_report`.
    """
    _check(content)
    figures, tables = content.get("figures") or {}, content.get("tables") or {}
    twice = sorted(set(figures) & set(tables))
    if twice:
        raise ReportError(f"ids used twice: {twice}")
    parts = {name: _figure(name, given) for name, given in figures.items()}
    parts |= {name: _table(name, given) for name, given in tables.items()}
    detail = list(content["answers"])[LEAD:]
    first = [{"id": "in-detail", "title": "The answer in detail", "paragraphs": detail}] if detail else []
    sections = [*first, *_sections(content, parts), *_closing(content)]
    for section in sections:
        for name in ("paragraphs", "bullets", "pairs", "parts"):
            section.setdefault(name, [])
    ids = [section["id"] for section in sections]
    clashing = sorted({name for name in ids if ids.count(name) > 1} | (set(ids) & set(parts)))
    if clashing:
        raise ReportError(f"ids used twice: {clashing}")
    return sections


def _check(content: Mapping[str, Any]) -> None:
    missing = [name for name in REQUIRED if content.get(name) is None or content[name] == ""]
    unknown = sorted(set(content) - {*REQUIRED, *OPTIONAL, *CLOSING})
    if missing or unknown:
        raise ReportError(f"content of the report: missing {missing}, unknown {unknown}")
    if isinstance(content["answers"], str):
        raise ReportError("content['answers'] is a list of sentences")


def _embed(name: str, pictures: Mapping[str, bytes]) -> Markup:
    picture = pictures.get(name)
    if picture is None:
        raise ReportError(f"figure {name!r} has no picture; there are {sorted(pictures)}")
    kind = "png" if picture.startswith(_PNG) else "svg+xml"
    if kind != "png" and b"<svg" not in picture[:4000]:
        raise ReportError(f"the picture of figure {name!r} is neither a PNG nor an SVG")
    return Markup(f"data:image/{kind};base64,{base64.b64encode(picture).decode()}")


def _figure(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if not given["alt"].strip():
        raise ReportError(f"figure {name!r} has no alternative text")
    width, height = (given[side] * PX_PER_MM for side in ("width_mm", "height_mm"))
    return {
        "kind": "figure",
        "id": name,
        **{key: given[key] for key in ("name", "title", "caption", "alt")},
        "file": given.get("file"),
        "source": "",
        "width": round(width * ON_SCREEN),
        "height": round(height * ON_SCREEN),
        "wide": width > WIDE_PX,
        "lazy": False,
        "downloads": [],
    }


def _table(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    columns, bodies = list(given["columns"]), []
    if not any(row["kind"] == "row" for row in given["rows"]):
        raise ReportError(f"table {name!r} has no rows; leave it out and say why it does not apply")
    for number, row in enumerate(given["rows"]):
        if row["kind"] == "group" or not bodies:
            bodies.append({"group": row["cells"][0] if row["kind"] == "group" else None, "rows": []})
        if row["kind"] == "group":
            continue
        if len(row["cells"]) != len(columns):
            raise ReportError(
                f"table {name!r}, row {number}: {len(row['cells'])} cells under {len(columns)} columns"
            )
        bodies[-1]["rows"].append(
            {"cells": row["cells"], "level": row.get("level", 0), "css": list(_css(row))}
        )
    return {
        "kind": "table",
        "id": name,
        **{key: given[key] for key in ("name", "title")},
        "file": given.get("file"),
        "columns": columns,
        "bodies": bodies,
        "notes": given.get("notes") or [],
        "sortable": False,
        "downloads": [],
    }


def _css(row: Mapping[str, Any]) -> list[str]:
    """Return the class of each cell: the row's head keeps room, a long text may break, a number never."""
    head, *others = (len(plain(cell)) for cell in row["cells"])
    first = "level" if row.get("level") else "wide" if head > _WIDE else ""
    return [first, *("long" if length > _LONG else "" for length in others)]


def _sections(content: Mapping[str, Any], parts: Mapping[str, dict]) -> list[dict[str, Any]]:
    sections, left = [], dict(parts)
    for given in content.get("sections") or []:
        wanted = list(given.get("items", ()))
        unknown = [name for name in wanted if name not in left]
        if unknown:
            raise ReportError(
                f"section {given['id']!r} names {unknown}: no such figure or table, or shown already"
            )
        paragraphs = list(given.get("paragraphs", ()))
        if wanted or paragraphs:
            shown = [left.pop(name) for name in wanted]
            sections.append(
                {"id": given["id"], "title": given["title"], "paragraphs": paragraphs, "parts": shown}
            )
    if left:
        title = "Further results" if sections else "Results"
        sections.append({"id": "further-results", "title": title, "parts": list(left.values())})
    return sections


def _closing(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    sections = []
    if content.get("limits"):
        sections.append({"id": "limits", "title": "Limits", "bullets": list(content["limits"])})
    if content.get("not_applicable"):
        intro = "These parts of the analysis need data the study does not have; they are absent, not empty."
        pairs = [tuple(pair) for pair in content["not_applicable"]]
        sections.append(
            {
                "id": "not-applicable",
                "title": "Not applicable in this study",
                "paragraphs": [intro],
                "pairs": pairs,
            }
        )
    if content.get("colophon"):
        sections.append(
            {"id": "colophon", "title": "Colophon", "pairs": [tuple(pair) for pair in content["colophon"]]}
        )
    return sections
