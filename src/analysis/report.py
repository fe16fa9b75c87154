"""The report: one HTML page that holds everything it shows and needs neither a network nor a script.

Sentences, captions and numbers arrive computed; this module puts them in order and refuses what a reader
could not open from a folder.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from analysis.tables.estimates import tabulate_values
from analysis.tables.present import to_html

REQUIRED = ("title", "study", "simulated", "question", "answers")
OPTIONAL = ("scenario", "cards", "sections", "not_applicable", "limits", "colophon")
PX_PER_INCH, PT_PER_INCH = 96, 72
WIDE_PX = 480  # a picture printed wider than this scrolls on a phone instead of being shrunk
ON_SCREEN = 1.25  # screens are read from further away than paper
_PNG = b"\x89PNG\r\n\x1a\n"
_REACHES_OUT = re.compile(
    r"""<script|<iframe|<object|<embed|<base\b|@import|javascript:|\son\w+\s*=\s*["']"""
    r"""|(?:src|srcset|href|action)\s*=\s*["']?\s*(?:https?:|//|file:)|url\(\s*["']?\s*(?:https?:|//|file:)""",
    re.IGNORECASE,
)

Figure = tuple[str, str, str, str, bytes]
Table = tuple[str, str, str]


class ReportError(ValueError):
    """A report that cannot be written: something it needs is missing, unknown, or reaches outside."""


def render_report(
    context: Mapping[str, Any],
    figures: Sequence[Figure] = (),
    tables: Sequence[Table] = (),
    values: Mapping[str, Any] | None = None,
) -> str:
    """Render the report of a run as one self-contained HTML page.

    Parameters
    ----------
    context : mapping
        ``title``, ``study``, ``simulated`` (bool), ``question``, ``answers`` (computed sentences), and any of

        - ``scenario``: None for the primary analysis, else
          ``{name, changes: [{name, value, default, note}]}``;
        - ``cards``: ``[{label, value, detail}]``, the key numbers;
        - ``sections``: ``[{id, title, paragraphs, items}]``, `items` being ids of figures and tables; what no
          section names comes last, under "Further results";
        - ``not_applicable``: ``[(what, why)]``, steps this study has no data for;
        - ``limits``: sentences; ``colophon``: ``[(name, version)]``, never a time.
    figures : sequence of (id, title, caption, alt, picture)
        Picture as bytes of an SVG or PNG.
    tables : sequence of (id, title, html)
        ``<table>`` elements, as `analysis.tables.to_html` writes them (their text is already escaped).
    values : mapping, optional
        Name -> number or ``{value, label, file, notebook}``: the section "Where the numbers are".

    Returns
    -------
    str
        The page. The same input gives the same text.

    Raises
    ------
    ReportError
        For a missing or unknown key of the context, an id used twice or unknown, a picture without
        alternative text or of another format, or content that would load something from outside.
    """
    _check_context(context)
    parts = {part["id"]: part for part in [*map(_figure, figures), *map(_table, tables)]}
    if len(parts) < len(figures) + len(tables):
        raise ReportError("an id of a figure or table is used twice")
    sections = [*_sections(context, parts), *_closing(context, values or {})]
    ids = [section["id"] for section in sections]
    clashing = sorted({name for name in ids if ids.count(name) > 1} | (set(ids) & set(parts)))
    if clashing:
        raise ReportError(f"ids used twice: {clashing}")
    _name_parts(sections)
    page = _template().render(c=_fill(context), sections=sections)
    check_self_contained(page)
    return page


def check_self_contained(page: str) -> None:
    """Raise ReportError if `page` runs a script or would load anything from outside itself."""
    found = _REACHES_OUT.search(page)
    if found:
        raise ReportError(f"the report must stand alone, but holds {found.group(0)!r}")


def describe_scenario(
    overrides: Mapping[str, Any], defaults: Mapping[str, Any], name: str
) -> dict[str, Any] | None:
    """Return the context's ``scenario`` from a plan's overrides; None where nothing is overridden.

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


def _check_context(context: Mapping[str, Any]) -> None:
    missing = [name for name in REQUIRED if context.get(name) is None or context[name] == ""]
    unknown = sorted(set(context) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        raise ReportError(f"context of the report: missing {missing}, unknown {unknown}")
    if isinstance(context["answers"], str):
        raise ReportError("context['answers'] is a list of sentences")


def _fill(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context with every optional key present, so that the template can be strict."""
    filled = {name: None for name in OPTIONAL} | dict(context)
    filled["cards"] = [{"detail": None} | dict(card) for card in filled["cards"] or []]
    if filled["scenario"]:
        changes = [{"default": None, "note": None} | dict(change) for change in filled["scenario"]["changes"]]
        filled["scenario"] = dict(filled["scenario"]) | {"changes": changes}
    return filled


def _figure(given: Figure) -> dict[str, Any]:
    name, title, caption, alt, picture = given
    if not alt.strip():
        raise ReportError(f"figure {name!r} has no alternative text")
    picture = picture.encode() if isinstance(picture, str) else picture
    kind, width, height = _measure(name, picture)
    source = f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
    return {
        "kind": "figure",
        "id": name,
        "title": title,
        "caption": caption,
        "alt": alt,
        # As an image, not inline: identifiers inside one drawing cannot clash with another's.
        "source": Markup(source),
        "width": round(width * ON_SCREEN),
        "height": round(height * ON_SCREEN),
        "wide": width > WIDE_PX,
    }


def _table(given: Table) -> dict[str, Any]:
    name, title, html = given
    if "<table" not in html:
        raise ReportError(f"table {name!r} holds no <table> element")
    return {"kind": "table", "id": name, "title": title, "html": Markup(html)}


def _measure(name: str, picture: bytes) -> tuple[str, float, float]:
    """Return format, width and height (CSS px at the printed size) of a picture."""
    if picture.startswith(_PNG):
        width, height = struct.unpack(">II", picture[16:24])
        place = picture.find(b"pHYs")
        per_metre = (
            struct.unpack(">I", picture[place + 4 : place + 8])[0] if place > 0 else PX_PER_INCH / 0.0254
        )
        scale = PX_PER_INCH / (per_metre * 0.0254)
        return "png", width * scale, height * scale
    head = re.search(r"<svg[^>]*>", picture[:4000].decode("utf-8", "replace"))
    sizes = dict(re.findall(r'\b(width|height)="([\d.]+)pt"', head.group(0))) if head else {}
    if set(sizes) != {"width", "height"}:
        raise ReportError(f"figure {name!r} is neither a PNG nor an SVG with its size in points")
    width, height = (float(sizes[side]) * PX_PER_INCH / PT_PER_INCH for side in ("width", "height"))
    return "svg+xml", width, height


def _sections(context: Mapping[str, Any], parts: dict[str, dict]) -> list[dict[str, Any]]:
    sections, left = [], dict(parts)
    for given in context.get("sections") or []:
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


def _closing(context: Mapping[str, Any], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    sections = []
    if context.get("limits"):
        sections.append({"id": "limits", "title": "Limits", "bullets": list(context["limits"])})
    if context.get("not_applicable"):
        intro = "These parts of the analysis need data the study does not have; they are absent, not empty."
        pairs = [tuple(pair) for pair in context["not_applicable"]]
        sections.append(
            {
                "id": "not-applicable",
                "title": "Not applicable in this study",
                "paragraphs": [intro],
                "pairs": pairs,
            }
        )
    if values:
        html = to_html(tabulate_values(values))
        part = {
            "kind": "table",
            "id": "values",
            "title": "Named numbers of this report",
            "html": Markup(html),
        }
        sections.append({"id": "where", "title": "Where the numbers are", "parts": [part]})
    if context.get("colophon"):
        sections.append(
            {"id": "colophon", "title": "Colophon", "pairs": [tuple(pair) for pair in context["colophon"]]}
        )
    return sections


def _name_parts(sections: list[dict[str, Any]]) -> None:
    counts = {"figure": 0, "table": 0}
    for section in sections:
        for name in ("paragraphs", "bullets", "pairs", "parts"):
            section.setdefault(name, [])
        for part in section["parts"]:
            counts[part["kind"]] += 1
            part["name"] = f"{part['kind'].capitalize()} {counts[part['kind']]}"


def _template():
    text = resources.files("analysis").joinpath("report_template.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(text)
