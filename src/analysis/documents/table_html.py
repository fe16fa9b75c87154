"""A table as a page of its own that reads well, prints well, and pastes into a word processor."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from analysis.documents.layout import Layout
from analysis.documents.table import PADDING_MM, PrintedTable, Row, spans

_ONE_LINE = 24  # characters: a shorter cell is not broken
# The styles that must survive being pasted are said at each element: word processors drop a page's own.
_RULE = "1.5pt solid #000"
_THIN = "0.75pt solid #000"
_PAGE = Markup(
    '<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{title}</title>\n'
    '<meta name="description" content="{study}">\n'
    "<style>body{{margin:1.5rem;color:#000;background:#fff;font-family:{font},Helvetica,sans-serif}}"
    ".scroll{{overflow-x:auto}}thead{{display:table-header-group}}tr{{break-inside:avoid}}"
    "@page{{size:{paper}{turned};margin:{margin}mm}}"
    "@media print{{body{{margin:0}}.scroll{{overflow:visible}}}}"
    '</style>\n</head>\n<body>\n<main>\n<h1 style="font-size:{size}pt;margin:0 0 6pt">{title}</h1>\n'
    '<div class="scroll" tabindex="0" role="region" aria-label="{name}">\n{table}\n</div>\n{notes}</main>\n'
    "</body>\n</html>\n"
)


def html_table(table: PrintedTable, layout: Layout) -> bytes:
    """Write a table as one accessible page: caption, heads with scope, three rules, notes; no script."""
    page = _PAGE.format(
        language=layout.language,
        title=table.caption,
        study=table.study,
        font=layout.font,
        paper={"a4": "A4", "us-letter": "letter"}[layout.paper],
        turned=" landscape" if table.landscape else "",
        margin=f"{layout.margin_mm:g}",
        size=f"{layout.text_pt:g}",
        name=table.name,
        table=_table(table),
        notes=Markup("").join(_note(note, layout) for note in table.notes),
    )
    return page.encode()


def _table(table: PrintedTable) -> Markup:
    sides = [_side(right, inset) for right, inset in zip(table.right, table.inset_mm, strict=True)]
    head = Markup("").join(_head(name, side) for name, side in zip(table.columns, sides, strict=True))
    rows = [_row(row, sides, last=position == len(table.rows) - 1) for position, row in enumerate(table.rows)]
    return Markup(
        '<table style="border-collapse:collapse;font-size:{}pt" aria-label="{}">\n'
        "<thead>\n<tr>{}</tr>\n</thead>\n<tbody>\n{}\n</tbody>\n</table>"
    ).format(f"{table.size_pt:g}", table.caption, head, Markup("\n").join(rows))


def _head(name: str, side: str) -> Markup:
    style = f"border-top:{_RULE};border-bottom:{_THIN};padding:3pt 5pt;vertical-align:bottom;{side}"
    return Markup('<th scope="col" style="{}">{}</th>').format(style, name)


def _side(right: bool, inset_mm: float = 0.0) -> str:
    gap = f"padding-left:{inset_mm + PADDING_MM / 2:g}mm;" if inset_mm else ""
    return f"{gap}text-align:{'right' if right else 'left'}"


def _row(row: Row, sides: Sequence[str], last: bool) -> Markup:
    foot = f"border-bottom:{_RULE};" if last else ""
    base = f"{foot}padding:2pt 5pt;vertical-align:top;"
    weight = "bold" if row.group else "normal"
    indent = f"padding-left:{5 + 10 * row.level}pt;" if row.level else ""
    head_style = f"{base}{indent}font-weight:{weight};{sides[0]}"
    if spans(row):
        return Markup('<tr><th scope="rowgroup" colspan="{}" style="{}">{}</th></tr>').format(
            len(sides), head_style, row.cells[0]
        )
    cells = Markup("").join(
        _cell(text, base + side) for text, side in zip(row.cells[1:], sides[1:], strict=True)
    )
    return Markup('<tr><th scope="row" style="{}">{}</th>{}</tr>').format(head_style, row.cells[0], cells)


def _cell(text: str, style: str) -> Markup:
    whole = ";white-space:nowrap" if 0 < len(text) <= _ONE_LINE else ""
    return Markup('<td style="{}">{}</td>').format(style + whole, escape(text))


def _note(note: str, layout: Layout) -> Markup:
    return Markup('<p style="font-size:{}pt;margin:4pt 0 0">{}</p>\n').format(f"{layout.note_pt:g}", note)
