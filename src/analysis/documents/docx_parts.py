"""Parts of a Word document: styles, pages, tables of three rules, and a file that never changes."""

from __future__ import annotations

import io
import zipfile
from copy import deepcopy
from xml.sax.saxutils import escape, quoteattr

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Mm, Pt, RGBColor

from analysis.documents.content import bind
from analysis.documents.layout import Layout
from analysis.documents.table import INDENT_MM, PADDING_MM, PrintedTable, Row, spans

_TWIPS_PER_MM = 1440 / 25.4
_TOGETHER = 20  # rows: a table up to this size is kept on one page
TABLE_TEXT, TABLE_NOTE, NOTICE = "Table Text", "Table Note", "Notice"
_HEADINGS = {"Title": 1.7, "Heading 1": 1.4, "Heading 2": 1.15}  # sizes of running text


def open_document(layout: Layout, *, title: str, subject: str):
    """Return an empty Word document: one page size, styles in one typeface, properties without a person."""
    document = Document()
    _drop_thumbnail(document)
    _set_properties(document, layout, title=title, subject=subject)
    _set_styles(document, layout)
    set_page(document.sections[0], layout, landscape=False)
    return document


def set_page(section, layout: Layout, landscape: bool) -> None:
    """Give a section its sheet and its margins."""
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (Mm(side) for side in layout.page_mm(landscape))
    for side in ("left", "right", "top", "bottom"):
        setattr(section, f"{side}_margin", Mm(layout.margin_mm))
    section.header_distance = section.footer_distance = Mm(layout.margin_mm / 2)


def turn_page(document, layout: Layout, landscape: bool) -> None:
    """End the section with the last paragraph and go on with pages of the other orientation."""
    body = document.element.body
    ending = deepcopy(body.sectPr)
    document.paragraphs[-1]._p.get_or_add_pPr().append(ending)
    set_page(document.sections[-1], layout, landscape)


def add_table(document, table: PrintedTable, layout: Layout) -> None:
    """Add caption, table and notes at the end of the document."""
    document.add_paragraph(bind(table.caption), style="Caption").paragraph_format.keep_with_next = True
    add_rows(document, table, layout)
    for note in table.notes or [""]:
        document.add_paragraph(bind(note), style=TABLE_NOTE)


def add_rows(document, table: PrintedTable, layout: Layout) -> None:
    """Add the table itself, at the end of the document; Word wants a paragraph after it."""
    document.element.body.sectPr.addprevious(parse_xml(_table_xml(table, layout)))


def add_field(paragraph, name: str) -> None:
    """Add a field that Word computes (PAGE, NUMPAGES)."""
    for kind, text in (("begin", None), (None, name), ("separate", None), ("text", "1"), ("end", None)):
        run = paragraph.add_run()
        if kind == "text":
            run.text = text
        elif kind is None:
            code = f'<w:instrText {nsdecls("w")} xml:space="preserve"> {text} </w:instrText>'
            run._r.append(parse_xml(code))
        else:
            run._r.append(parse_xml(f'<w:fldChar {nsdecls("w")} w:fldCharType="{kind}"/>'))


def to_bytes(document) -> bytes:
    """Return the file: the same document gives the same bytes, no entry carries a time."""
    saved, fixed = io.BytesIO(), io.BytesIO()
    document.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name)  # 1980-01-01
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            target.writestr(entry, source.read(name))
    return fixed.getvalue()


def _drop_thumbnail(document) -> None:
    """Drop the picture of an empty page that the library's template brings along."""
    package = document.part.package
    for name, relation in list(package.rels.items()):
        if relation.reltype == RELATIONSHIP_TYPE.THUMBNAIL:
            del package.rels[name]


def _set_properties(document, layout: Layout, *, title: str, subject: str) -> None:
    properties = document.core_properties
    properties.title, properties.subject = title[:255], subject[:255]
    properties.author = properties.last_modified_by = properties.comments = properties.keywords = ""
    properties.language, properties.revision = layout.language, 1
    for element in list(properties._element):  # no date, not even one that stands for none: no date leaves
        if element.tag.endswith(("}created", "}modified", "}lastPrinted")):
            properties._element.remove(element)


def _set_styles(document, layout: Layout) -> None:
    styles = document.styles
    for base, name in (("Normal", TABLE_TEXT), ("Normal", TABLE_NOTE), ("Normal", NOTICE)):
        styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH).base_style = styles[base]
    _set_language(styles, layout)
    _style(styles["Normal"], layout, layout.text_pt, after=6)
    for name, share in _HEADINGS.items():
        _style(styles[name], layout, layout.text_pt * share, before=12, after=4, bold=True)
    _style(styles["Caption"], layout, layout.table_pt, before=8, after=4, bold=True)
    _style(styles[TABLE_TEXT], layout, layout.table_pt, before=1.5, after=1.5)
    _style(styles[TABLE_NOTE], layout, layout.note_pt, before=2, after=0)
    _style(styles[NOTICE], layout, layout.text_pt, before=4, after=8)
    for name in ("Header", "Footer"):
        _style(styles[name], layout, layout.note_pt)
    for name in ("Title", NOTICE):
        properties = styles[name].element.get_or_add_pPr()
        for border in properties.findall(qn("w:pBdr")):
            properties.remove(border)
    styles[NOTICE].element.get_or_add_pPr().insert(0, _box())


def _set_language(styles, layout: Layout) -> None:
    defaults = styles.element.find(f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}/{qn('w:rPr')}")
    for known in defaults.findall(qn("w:lang")):
        defaults.remove(known)
    language = OxmlElement("w:lang")
    language.set(qn("w:val"), layout.language)
    defaults.append(language)


def _style(style, layout: Layout, size: float, *, before: float = 0, after: float = 0, bold: bool = False):
    """Set typeface, size and space of a style; the template's theme and colours go."""
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for name in list(fonts.attrib):
        del fonts.attrib[name]
    for script in ("ascii", "hAnsi", "eastAsia", "cs"):
        fonts.set(qn(f"w:{script}"), layout.font)
    style.font.size, style.font.bold, style.font.italic = Pt(round(size * 2) / 2), bold, False
    style.font.color.rgb = RGBColor(0, 0, 0)
    style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(after)
    style.paragraph_format.line_spacing = 1.0 if style.name.startswith("Table") else 1.1


def _box():
    sides = "".join(
        f'<w:{side} w:val="single" w:sz="8" w:space="4" w:color="000000"/>'
        for side in ("top", "left", "bottom", "right")
    )
    return parse_xml(f"<w:pBdr {nsdecls('w')}>{sides}</w:pBdr>")


def _table_xml(table: PrintedTable, layout: Layout) -> str:
    widths = [_twips(width) for width in table.widths_mm]
    padding = _twips(PADDING_MM / 2)
    grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    line = 'w:val="single" w:sz="12" w:space="0" w:color="000000"'
    rules = "".join(f"<w:{side} {line}/>" for side in ("top", "bottom"))
    margins = "".join(f'<w:{side} w:w="{padding}" w:type="dxa"/>' for side in ("left", "right"))
    size = "" if table.size_pt == layout.table_pt else f'<w:sz w:val="{round(table.size_pt * 2)}"/>'
    short = len(table.rows) <= _TOGETHER
    lines = [_row_xml(Row(table.columns), table, widths, size, head=True, keep=True)]
    for position, row in enumerate(table.rows):
        last = position == len(table.rows) - 1
        keep = row.group or (bool(table.notes) if last else short)  # notes stand on the page of the last row
        lines.append(_row_xml(row, table, widths, size, head=False, keep=keep))
    return (
        f'<w:tbl {nsdecls("w")}><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/>'
        f'<w:tblBorders>{rules}</w:tblBorders><w:tblLayout w:type="fixed"/>'
        f"<w:tblCellMar>{margins}</w:tblCellMar>"
        '<w:tblLook w:val="0020" w:firstRow="1" w:lastRow="0" w:firstColumn="1" w:lastColumn="0" '
        f'w:noHBand="1" w:noVBand="1"/><w:tblCaption w:val={quoteattr(table.caption)}/>'
        f"<w:tblDescription w:val={quoteattr(table.describe())}/></w:tblPr>"
        f"<w:tblGrid>{grid}</w:tblGrid>{''.join(lines)}</w:tbl>"
    )


def _row_xml(row: Row, table: PrintedTable, widths, size: str, *, head: bool, keep: bool) -> str:
    marks = "<w:cantSplit/>" + ("<w:tblHeader/>" if head else "")
    if not head and spans(row):
        cells = _cell_xml(
            row.cells[0], sum(widths), size, indent=INDENT_MM * row.level, bold=True, keep=keep,
            span=len(widths),
        )  # fmt: skip
        return f"<w:tr><w:trPr>{marks}</w:trPr>{cells}</w:tr>"
    indents = [INDENT_MM * row.level, *table.inset_mm[1:]]
    bold = [head or row.group, *[head] * (len(widths) - 1)]
    cells = "".join(
        _cell_xml(text, width, size, head=head, keep=keep, right=right, bold=strong, indent=indent)
        for text, width, right, strong, indent in zip(
            row.cells, widths, table.right, bold, indents, strict=True
        )
    )
    return f"<w:tr><w:trPr>{marks}</w:trPr>{cells}</w:tr>"


def _cell_xml(
    text: str, width: int, size: str, *, head: bool = False, bold: bool = False, keep: bool = False,
    right: bool = False, indent: float = 0.0, span: int = 1,
) -> str:  # fmt: skip
    cell = f'<w:tcW w:w="{width}" w:type="dxa"/>' + (f'<w:gridSpan w:val="{span}"/>' if span > 1 else "")
    if head:
        rule = '<w:bottom w:val="single" w:sz="6" w:space="0" w:color="000000"/>'
        cell += f'<w:tcBorders>{rule}</w:tcBorders><w:vAlign w:val="bottom"/>'
    paragraph = (
        '<w:pStyle w:val="TableText"/>'
        + ("<w:keepNext/>" if keep else "")
        + (f'<w:ind w:left="{_twips(indent)}"/>' if indent else "")
        + ('<w:jc w:val="right"/>' if right else "")
    )
    run = ("<w:b/>" if bold else "") + size
    words = f'<w:t xml:space="preserve">{escape(bind(text))}</w:t>'
    words = f"<w:r><w:rPr>{run}</w:rPr>{words}</w:r>" if text else ""
    return f"<w:tc><w:tcPr>{cell}</w:tcPr><w:p><w:pPr>{paragraph}</w:pPr>{words}</w:p></w:tc>"


def _twips(mm: float) -> int:
    return round(mm * _TWIPS_PER_MM)


def add_footer(section) -> None:
    """Write page numbers at the foot: "Page 3 of 12"."""
    paragraph = section.footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    paragraph.add_run("Page ")
    add_field(paragraph, "PAGE")
    paragraph.add_run(" of ")
    add_field(paragraph, "NUMPAGES")
