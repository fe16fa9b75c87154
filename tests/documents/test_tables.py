"""One table in five formats: what another tool reads back is what was put in."""

import io
import re
import shutil
import subprocess
import time
import zipfile
from dataclasses import replace

import pandas as pd
import pytest
from docx import Document
from docx.oxml.ns import qn
from lxml import html

from analysis.documents import ENDINGS, DocumentError, Layout, plain, write_table
from analysis.documents.layout import fit_columns

HEADS = ["Analysis", "Events / n", "Hazard ratio (95 % CI)", "Role"]


@pytest.fixture
def expected(nasty):
    """Return the cells row by row, typed by hand."""
    return [
        ["PFS"],
        ["Day 14", "36 / 44", "1.72 (0.83–3.90)", "Primary"],
        [nasty, "36 / 44", "∞ (at least 2.79)", ""],
        ["OS"],
        ["Day 28", "9 / 14", "−0.49 (−0.70 to −0.21)", "Secondary"],
    ]


def written(table, simulated=True, **changes):
    return write_table(table, study="Study X", simulated=simulated, **changes)


def spaced(text):
    return text.replace("\u00a0", " ")


def read_docx(data):
    return Document(io.BytesIO(data))


def read_rtf(data):
    """Return the cells of an RTF table, row by row, each with its control words taken out."""
    body = data.decode("ascii").split(r"\trowd")[1:]
    rows = []
    for row in body:
        cells = row.split(r"\row")[0].split(r"\cell")
        cells = [cell for cell in cells if not re.match(r"x\d", cell) or r"\pard" in cell]
        rows.append([bare(cell.split(r"\pard", 1)[1]) for cell in cells if r"\pard" in cell])
    return rows


def bare(text):
    token = re.compile(r"\\u(-?\d+)\?|\\([\\{}])|(\\~)|\\[a-z]+-?\d* ?|\n")
    return token.sub(
        lambda m: chr(int(m[1]) % 65536) if m[1] else m[2] if m[2] else " " if m[3] else "", text
    )


def test_every_format_is_written_and_a_text_is_its_pieces_without_their_ids(table):
    assert set(written(table)) == set(ENDINGS) == {"csv", "html", "docx", "tex", "rtf"}
    assert plain(["a ", ["1.2", "id"], "\nb"]) == "a 1.2 b"
    assert plain("one\ttext\x00") == "one text"


def test_csv_reads_back_row_by_row(table, expected):
    read = pd.read_csv(io.BytesIO(written(table, simulated=False)["csv"]), keep_default_na=False)
    assert list(read.columns) == HEADS
    wanted = [cells + [""] * (4 - len(cells)) for cells in expected]
    wanted[1][0], wanted[2][0] = "  " + wanted[1][0], "  " + wanted[2][0]  # one level down
    assert read.to_numpy().tolist() == wanted


def test_every_line_of_a_simulated_csv_says_so(table):
    read = pd.read_csv(io.BytesIO(written(table)["csv"]))
    assert (read["SIMULATED DATA"] == "yes").all()


def test_html_reads_back_and_its_heads_say_what_they_head(table, expected):
    page = html.fromstring(written(table)["html"].decode().split("\n", 1)[1])
    rows = [[cell.text_content() for cell in row] for row in page.iterfind(".//tr")]
    assert rows == [HEADS, *expected]
    scopes = [cell.get("scope") for cell in page.iterfind(".//th")]
    assert scopes == ["col"] * 4 + ["rowgroup", "row", "row", "rowgroup", "row"]
    assert page.find(".//h1").text_content() == "Table 2. Hazard ratios"
    assert not page.findall(".//script")


def test_docx_reads_back_with_caption_heads_and_notes(table, expected, nasty):
    document = read_docx(written(table)["docx"])
    rows = [[spaced(cell.text) for cell in row.cells] for row in document.tables[0].rows]
    assert rows[0] == HEADS
    assert rows[1] == ["PFS"] * 4  # one cell over all columns, as python-docx reads it
    assert [rows[2], rows[3], rows[5]] == [expected[1], expected[2], expected[4]]
    texts = {one.style.name: [] for one in document.paragraphs}
    for one in document.paragraphs:
        texts[one.style.name].append(spaced(one.text))
    assert texts["Caption"] == ["Table 2. Hazard ratios"]
    assert texts["Table Note"] == [
        "SIMULATED DATA: these patients do not exist.",
        f"p of 0.14 is not corrected: {nasty}",
    ]


def test_docx_repeats_its_head_keeps_rows_whole_and_describes_itself(table):
    element = read_docx(written(table)["docx"]).tables[0]._tbl
    rows = element.findall(qn("w:tr"))
    assert [row.find(f".//{qn('w:tblHeader')}") is not None for row in rows] == [True] + [False] * 5
    assert all(row.find(f".//{qn('w:cantSplit')}") is not None for row in rows)
    assert element.find(f".//{qn('w:tblCaption')}").get(qn("w:val")) == "Table 2. Hazard ratios"
    assert "4 columns and 3 rows" in element.find(f".//{qn('w:tblDescription')}").get(qn("w:val"))
    assert [len(row.findall(f".//{qn('w:ind')}")) > 0 for row in rows][2:4] == [True, True]


def test_docx_names_no_person_and_no_clock(table):
    data = written(table)["docx"]
    properties = read_docx(data).core_properties
    assert (properties.author, properties.last_modified_by, properties.comments) == ("", "", "")
    assert properties.created is None and properties.modified is None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert "docProps/thumbnail.jpeg" not in archive.namelist()


def test_rtf_reads_back_and_is_balanced(table, expected):
    data = written(table)["rtf"]
    assert read_rtf(data) == [HEADS, *expected]
    text = re.sub(r"\\[\\{}]", "", data.decode("ascii"))
    assert text.startswith(r"{\rtf1") and text.count("{") == text.count("}")
    assert text.count(r"\trhdr") == 1 and text.count(r"\trowd") == text.count(r"\row" + "\n")
    assert "SIMULATED DATA" in text


def test_rtf_writes_letters_beyond_the_first_plane_as_two_units(table):
    table["title"] = "\U0001d6fd"  # UTF-16: D835 DEFD, as signed numbers -10187 -8451
    assert rb"\u-10187?\u-8451?" in written(table)["rtf"]


def test_latex_escapes_every_sign_that_has_a_meaning(table):
    text = written(table)["tex"].decode()
    assert r"\#\_\allowbreak{}\%\&\{\}\textbackslash{}\$\textasciitilde{}\textasciicircum{}" in text
    assert r"$\geq$~2 $-$ 3 -- $\infty$ $\rho$ $\mu$" in text.replace("~3", " 3")
    assert r"\multicolumn{4}{@{}l@{}}{\textbf{PFS}}" in text
    assert r"\leftskip=3mm Day 14 & 36~/~44 & 1.72 (0.83--3.90) & Primary \\" in text
    assert "SIMULATED DATA" in text and r"\endhead" in text
    assert text.isascii()


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex"])
def test_latex_compiles(table, content, tmp_path, engine):
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    for number, one in enumerate([table, content["tables"]["table-3"]]):
        (tmp_path / f"t{number}.tex").write_bytes(written(one)["tex"])
    packages = r"\usepackage{booktabs,longtable,array,pdflscape}"
    body = r"\begin{document}\input{t0.tex}\input{t1.tex}\end{document}"
    (tmp_path / "all.tex").write_text(rf"\documentclass{{article}}{packages}{body}")
    run = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True
    )
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert run.returncode == 0, log[-2000:]
    assert "Missing character" not in log


def test_a_wide_table_turns_its_page_in_every_format(content):
    files = written(content["tables"]["table-3"])
    section = read_docx(files["docx"]).sections[0]
    assert section.page_width > section.page_height
    assert rb"\landscape" in files["rtf"] and rb"\begin{landscape}" in files["tex"]
    assert b"size:A4 landscape" in files["html"]


def test_a_table_of_letter_paper_and_another_typeface(table):
    files = written(table, layout=replace(Layout.of(), paper="us-letter", font="Times New Roman"))
    assert round(read_docx(files["docx"]).sections[0].page_width.mm) == 216
    assert b"Times New Roman" in files["rtf"] and b"size:letter" in files["html"]
    with pytest.raises(DocumentError, match="no paper 'foolscap'"):
        replace(Layout.of(), paper="foolscap")


def test_real_data_are_not_called_simulated_and_a_table_may_have_no_notes(table):
    files = written(table | {"notes": []}, simulated=False)
    assert not [ending for ending, data in files.items() if b"SIMULATED" in data]
    assert "SIMULATED" not in "".join(one.text for one in read_docx(files["docx"]).paragraphs)


def test_numbers_stand_right_and_words_left_and_a_word_keeps_off_the_number_before_it(table):
    cells = read_docx(written(table)["docx"]).tables[0].rows[2].cells
    sides = [cell.paragraphs[0].alignment for cell in cells]
    assert [str(side) for side in sides] == ["None", "RIGHT (2)", "RIGHT (2)", "None"]
    assert cells[3].paragraphs[0].paragraph_format.left_indent.mm == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, "Table 2 has no rows"),
        ({"rows": [{"kind": "row", "level": 0, "cells": ["a", "b"]}]}, "a row of 2 cells under 4 columns"),
    ],
)
def test_a_table_that_does_not_hold_together_is_refused(table, change, message):
    with pytest.raises(DocumentError, match=message):
        written(table | change)


def test_five_files_of_a_table_take_a_moment(table):
    written(table)
    start = time.perf_counter()
    written(table)
    assert time.perf_counter() - start < 1  # a tenth of it on a quiet machine


def test_room_goes_to_the_cells_that_break_and_not_to_the_heads_of_numbers():
    rows = ["Progression between visits dated at the next planned assessment", "Clinical progression counts"]
    numbers = ["36 / 44", "36 / 44"]
    head = "Day 14, events / n"
    widths, landscape, _ = fit_columns(
        [["Choice", *rows], *[[head, *numbers]] * 3], Layout.of(), padding_mm=[2.8] * 4
    )
    assert not landscape and sum(widths) == pytest.approx(180, abs=0.1)
    # 63 letters of 9 points are some 90 mm: with two thirds of the line they stand on one
    assert widths[0] > 2 * max(widths[1:])


def test_a_share_with_its_interval_stays_on_one_line_beside_heads_of_words():
    share = "31/45: 68.9 % (53.4–81.8)"
    heads = ["Rule of the response and its cut in percent, day by day"] * 5
    columns = [["Rule and cut", *heads], *[["Non-responders (95 % CI)", *[share] * 5]] * 3]
    widths, landscape, size = fit_columns(columns, Layout.of(), padding_mm=[2.8] * 4)
    # 25 signs of Arial at 9 points, mostly digits of 0.556 em, blanks and points of 0.278 em: some 38 mm
    assert not landscape and size == 9.0 and min(widths[1:]) > 38
