"""The results as DOCX and PDF: complete, in order, readable by other tools, the same bytes every time."""

import hashlib
import io
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from docx import Document
from docx.oxml.ns import qn
from pypdf import PdfReader

from analysis.documents import DocumentError, Layout, check_content, write_docx, write_pdf

MM = 36000  # English Metric Units


def read_docx(data):
    return Document(io.BytesIO(data))


def words(text):
    """Return a text without any white space: a PDF breaks its lines where it likes."""
    return "".join(text.split())


@pytest.fixture
def document(content, rasters):
    return read_docx(write_docx(content, rasters))


@pytest.fixture
def pdf(content, vectors):
    return PdfReader(io.BytesIO(write_pdf(content, vectors)))


def pdf_text(reader):
    return words("".join(page.extract_text() for page in reader.pages))


def test_docx_has_its_headings_in_order_and_no_empty_chapter(document):
    heads = [one.text for one in document.paragraphs if one.style.name == "Heading 1"]
    assert heads == [
        "Does it fall?", "Key numbers", "Survival", "Further results", "Not applicable to this study", "Limits",
        "Colophon",
    ]  # fmt: skip
    assert [one.text for one in document.paragraphs if one.style.name == "Title"] == ["A trial * of #things"]


def test_docx_says_every_text_once_and_its_notices_first(document, nasty):
    said = [one.text.replace("\u00a0", " ") for one in document.paragraphs]
    assert f"Hazard ratio 1.72, {nasty}" in said
    assert "A sentence with *stars*." in said
    assert f"Figure 1. Curve. It falls below 50 %: {nasty}" in said  # the title is not said twice
    assert "Pilot: no pilot in this study" in said
    assert said[2].startswith("SIMULATED DATA. ")
    assert said[3] == (
        "Sensitivity analysis sensitivity-0a1b2c3d, not the primary one. "
        "response.cut_percent = 15.0 (the plan says 25.0)"
    )
    head = document.sections[0].header.paragraphs[0].text
    assert head.startswith("SIMULATED DATA · Sensitivity analysis sensitivity-0a1b2c3d · A trial")


def test_docx_prints_a_figure_at_its_size_and_a_tall_one_on_its_page(document):
    first, second = document.inline_shapes
    assert (round(first.width / MM), round(first.height / MM)) == (85, 60)
    assert second.height / MM < 297 - 2 * 15
    assert second.width / second.height == pytest.approx(180 / 400, rel=1e-3)
    assert first._inline.docPr.get("descr") == "A line that falls."


def test_docx_turns_the_page_for_a_wide_table_and_back(document):
    wide = [section.page_width > section.page_height for section in document.sections]
    assert wide == [False, True, False]
    fields = [one.text.strip() for one in document.sections[2].footer._element.iter(qn("w:instrText"))]
    assert fields == ["PAGE", "NUMPAGES"]


def test_pdf_says_every_text_as_it_is(pdf, nasty):
    found = pdf_text(pdf)
    for text in (
        "A trial * of #things", f"Hazard ratio 1.72, {nasty}", "A sentence with *stars*.", "Does it fall?",
        f"It falls below 50 %: {nasty}", "SIMULATED DATA", "response.cut_percent = 15.0 (the plan says 25.0)",
        "89.013 (0.11–0.99)", "Pilot: no pilot in this study", "It is small.", "−0.49 (−0.70 to −0.21)",
        f"p of 0.14 is not corrected: {nasty}",
    ):  # fmt: skip
        assert words(text) in found, text


def test_pdf_is_tagged_undated_and_has_bookmarks(pdf):
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"]
    assert pdf.trailer["/Root"]["/Lang"] == "en-GB"
    assert pdf.metadata.title == "A trial * of #things"
    assert pdf.metadata.creation_date is None
    assert "pdfuaid:part" in pdf.xmp_metadata.stream.get_data().decode()
    top = [one.title for one in pdf.outline if not isinstance(one, list)]
    assert top[:3] == ["Does it fall?", "Key numbers", "Survival"]
    assert ["Figure 1. Curve.", "Table 2. Hazard ratios."] in [
        [one.title for one in part] for part in pdf.outline if isinstance(part, list)
    ]


def test_a_long_wide_table_goes_on_over_landscape_pages_with_its_head_repeated(pdf):
    wide = [page for page in pdf.pages if page.mediabox.width > page.mediabox.height]
    assert len(wide) >= 3
    holding = [page for page in wide if "(0.11–0.99)" in page.extract_text().replace("\u00a0", " ")]
    assert all(words("Column 13") in words(page.extract_text()) for page in holding)
    assert pdf.pages[0].mediabox.width < pdf.pages[0].mediabox.height
    assert words(f"3 of {len(pdf.pages)}") in words(pdf.pages[2].extract_text())


def tagged(element, kind):
    """Return the elements of a kind in a PDF's structure, in reading order."""
    element = element.get_object()
    children = element.get("/K", []) if isinstance(element, dict) else []
    children = children if isinstance(children, list) else [children]
    own = [element] if isinstance(element, dict) and element.get("/S") == kind else []
    return own + [found for child in children for found in tagged(child, kind)]


def test_pdf_tags_its_pictures_with_their_words_and_its_tables_with_their_heads(pdf):
    root = pdf.trailer["/Root"]["/StructTreeRoot"]
    assert [one["/Alt"] for one in tagged(root, "/Figure")] == ["A line that falls."] * 2
    tables = tagged(root, "/Table")
    assert len(tables) == 4  # key numbers, table 2, table 3, colophon
    assert [len(tagged(one, "/TH")) for one in tables] == [3, 4 + 2, 14, 2]  # two groups in table 2


def test_the_paper_is_a_choice(content, vectors):
    page = PdfReader(
        io.BytesIO(write_pdf(content, vectors, layout=replace(Layout.of(), paper="us-letter")))
    ).pages[0]
    assert [round(float(side)) for side in (page.mediabox.width, page.mediabox.height)] == [612, 792]


def test_a_real_primary_analysis_is_neither_simulated_nor_a_sensitivity_one(content, rasters, vectors):
    bare = {
        key: content[key] for key in ("title", "study", "question", "answers", "sections", "figures", "tables")
    } | {"simulated": False}  # fmt: skip
    document = read_docx(write_docx(bare, rasters))
    said = "".join(one.text for one in document.paragraphs) + document.sections[0].header.paragraphs[0].text
    found = pdf_text(PdfReader(io.BytesIO(write_pdf(bare, vectors))))
    for absent in (
        "SIMULATED",
        "Sensitivity analysis",
        "Not applicable",
        "Limits",
        "Colophon",
        "Key numbers",
    ):
        assert absent not in said and words(absent) not in found


@pytest.mark.parametrize("write", [write_docx, write_pdf])
def test_a_figure_without_a_picture_of_the_right_format_or_words_is_refused(write, content, rasters):
    with pytest.raises(DocumentError, match=r"no picture of Figure 2 \('tall'\); expected figures/km"):
        write(content, {"km": rasters["km"]})
    with pytest.raises(DocumentError, match="the picture of 'km' is none of"):
        write(content, rasters | {"km": b"GIF89a"})
    content["figures"]["km"]["alt"] = " "
    with pytest.raises(DocumentError, match=r"Figure 1 \('km'\) has no alternative text"):
        write(content, rasters)


def test_a_broken_picture_is_refused_by_name_of_the_tool(content, vectors):
    with pytest.raises(DocumentError, match="typst could not set the report"):
        write_pdf(content, vectors | {"km": b"<svg not xml"})


def test_content_that_lacks_a_part_or_names_an_unknown_one_is_refused(content):
    with pytest.raises(DocumentError, match=r"the content lacks \['question'\]"):
        check_content({key: value for key, value in content.items() if key != "question"})
    content["sections"][0]["items"].append("ghost")
    with pytest.raises(DocumentError, match=r"not in the content: \['ghost'\]"):
        check_content(content)


_WRITE = """
import hashlib, json, sys
from analysis.documents import write_docx, write_pdf, write_table
given = json.load(sys.stdin)
files = {key: {name: bytes.fromhex(data) for name, data in given[key].items()} for key in ("png", "svg")}
content = given["content"]
made = [write_docx(content, files["png"]), write_pdf(content, files["svg"])]
about = dict(study=content["study"], simulated=True)
made += [data for one in content["tables"].values() for data in write_table(one, **about).values()]
print(json.dumps([hashlib.sha256(data).hexdigest() for data in made]))
"""


def test_two_processes_in_two_time_zones_write_the_same_bytes(content, rasters, vectors):
    given = json.dumps(
        {
            "content": content,
            "png": {name: data.hex() for name, data in rasters.items()},
            "svg": {name: data.hex() for name, data in vectors.items()},
        }
    )
    found = []
    for zone, seed in (("Pacific/Kiritimati", "1"), ("America/Adak", "2")):
        env = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
        run = subprocess.run(
            [sys.executable, "-c", _WRITE], input=given, capture_output=True, text=True, check=True,
            env=env | {"TZ": zone, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        found.append(json.loads(run.stdout))
    assert found[0] == found[1] and len(set(found[0])) == 12
    content["answers"] = ["Another answer."]
    assert hashlib.sha256(write_docx(content, rasters)).hexdigest() != found[0][0]


def test_the_content_is_not_changed(content, rasters, vectors):
    before = json.dumps(content)
    write_docx(content, rasters)
    write_pdf(content, vectors)
    assert json.dumps(content) == before
