"""A site is built from reports and tables: numbers lead to their rows, links resolve, text stays text."""

import json
import shutil
import subprocess
from importlib import resources

import nbformat
import pandas as pd
import pytest

from analysis import plan, storage
from analysis.report import plain
from analysis.site import build as building
from analysis.site.edition import Edition, SiteError, read_content, relative
from analysis.site.links import check_links, check_pages
from analysis.site.where import printed

HOSTILE = "<script>alert('x')</script> & \"quotes\""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10pt" height="10pt"></svg>'
NOTEBOOK = "04_survival_association.ipynb"
PILOT_EVIDENCE = {
    "SET": "DECISION", "ITEM": HOSTILE, "TIMEPOINT": "D14", "ESTIMATE": 0.61, "LOWER": 0.5, "UPPER": 0.7,
    "P": None, "N": 30.0, "EVENTS": 20.0, "METHOD": "paired_bootstrap", "ROLE": "DECIDES",
}  # fmt: skip


def number(value, kind, label="a number", table=None, row=None, column=None, **more):
    """Return an entry of values.json."""
    entry = {"value": value, "kind": kind, "label": label, "table": table, "row": row, "column": column}
    told = {"texts": [str(value)], "key": None, "how": "", "notebook": NOTEBOOK, "cell": "cell-01"}
    return entry | told | {"used_in": ["answers"]} | more


VALUES = {
    "pfs_hr": number(1.72, "cell", "PFS, hazard ratio", "pilot_evidence", 1, "ESTIMATE"),
    "pfs_lower": number(0.83, "cell", "PFS, lower limit", "pilot_evidence", 1, "LOWER"),
    "pfs_upper": number(3.9, "cell", "PFS, upper limit", "pilot_evidence", 1, "UPPER"),
    "pfs_n": number(44, "cell", "PFS, patients", "pilot_evidence", 1, "N"),
    "pfs_events": number(36, "cell", "PFS, events", "pilot_evidence", 1, "EVENTS"),
    "pfs_p": number(None, "cell", "PFS, p", "pilot_evidence", 1, "P"),
    "subjects": number(50, "count", HOSTILE, "adsl", how="number of rows"),
    "plan.primary.alpha": number(0.05, "plan", "alpha", column="primary.alpha"),
}
CONTENT = {
    "title": f"PEARL: {HOSTILE}",
    "study": "Study virtual",
    "name": "virtual",
    "scenario": None,
    "simulated": True,
    "question": HOSTILE,
    "answers": [["Hazard ratio ", ["1.72", "pfs_hr"], f" at {HOSTILE} ", ["0.05", "plan.primary.alpha"], "."]],
    "cards": [{"label": "Patients", "value": [["50", "subjects"]], "detail": HOSTILE}],
    "sections": [{"id": "survival", "title": HOSTILE, "paragraphs": [], "items": ["km", "t1"]}],
    "figures": {
        "km": {
            "name": "Figure 1", "title": "Survival", "caption": [HOSTILE], "alt": HOSTILE, "file": "figures/km",
            "width_mm": 85.0, "height_mm": 60.0,
        }
    },
    "tables": {
        "t1": {
            "name": "Table 1", "title": "Ratios", "columns": ["Model", HOSTILE], "notes": [HOSTILE],
            "rows": [{"kind": "row", "level": 0, "cells": [HOSTILE, [["1.72", "pfs_hr"], " (0.83–3.90)"]]}],
            "file": "tables/t1",
        }
    },
    "not_applicable": [],
    "limits": [],
    "colophon": [["study", HOSTILE]],
}  # fmt: skip


def write_notebook(path):
    """Write an executed notebook: prose, the injected parameters, code with a table that attacks."""
    made = nbformat.v4
    injected = made.new_code_cell("study = 'x'", metadata={"tags": ["injected-parameters"]})
    html = (
        f"<table><thead><tr><th></th><th>a</th></tr></thead><tr><td onclick='x()'>{HOSTILE}</td></tr></table>"
    )
    shown = made.new_output("display_data", data={"text/html": html})
    code = made.new_code_cell("run.write('estimates', table)", outputs=[shown])
    cells = [made.new_markdown_cell("# 04 · Survival\n\nA question."), injected, code]
    cells.append(made.new_markdown_cell("## Load\n\nText.\n\n## Load\n\nTwice."))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made.new_notebook(cells=cells), path)


@pytest.fixture
def primary(tmp_path):
    """Return the primary analysis of a small study, on disk."""
    folder = tmp_path / "primary"
    for name in ("figures/km.svg", "figures/km.pdf", "figures/km.png", "tables/t1.csv", "tables/t1.docx"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(SVG)
    (folder / "content.json").write_text(json.dumps(CONTENT))
    write_notebook(folder / "notebooks" / NOTEBOOK)
    return open_edition(folder)


def open_edition(folder, **changes):
    rows = [PILOT_EVIDENCE, {**PILOT_EVIDENCE, "ITEM": "concordance", "ESTIMATE": 1.72, "N": 44.0}]
    tables = {"pilot_evidence": pd.DataFrame(rows), "adsl": pd.DataFrame({"USUBJID": ["SECRET-1"]})}
    given = {
        "name": "primary", "base": "", "folder": folder, "content": read_content(folder), "values": VALUES,
        "read": tables.__getitem__, "plan": plan.defaults(),
    }  # fmt: skip
    return Edition(**given | changes)


@pytest.fixture
def scenario(primary, tmp_path):
    """Return a scenario of it."""
    changes = [{"name": "primary.cut_percent", "value": 15.0, "default": 25.0}]
    folder = tmp_path / "cut15"
    shutil.copytree(primary.folder, folder)
    shutil.rmtree(folder / "notebooks")
    text = json.dumps({**CONTENT, "scenario": {"name": "cut15", "changes": changes}})
    (folder / "content.json").write_text(text)
    lower = {**VALUES, "pfs_hr": VALUES["pfs_hr"] | {"value": 1.31}}
    changed = plan.defaults().override({"primary.cut_percent": 15.0})
    return open_edition(
        folder, name="cut15", base="scenarios/cut15/", plan=changed, values=lower, primary=primary
    )


def build(*editions):
    return {name: content for name, content in building.build(list(editions)).items()}


def put(files, folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_every_link_resolves_also_after_the_folder_was_moved(primary, scenario, tmp_path):
    folder = put(build(primary, scenario), tmp_path / "site")
    assert check_links(folder) == []
    assert check_links(folder.rename(tmp_path / "moved away")) == []


def test_a_number_leads_to_its_row_its_rule_or_its_value_of_the_plan(primary, scenario):
    files = build(primary, scenario)
    page, other = files["index.html"].decode(), files["scenarios/cut15/index.html"].decode()
    assert '<a class="n" href="where/pilot_evidence.html#row-1">1.72</a>' in page
    assert '<a class="n" href="where/computed.html#subjects">50</a>' in page
    assert '<a class="n" href="plan.html#primary.alpha">0.05</a>' in page
    assert '<a class="n" href="where/pilot_evidence.html#row-1">1.72</a>' in other
    assert '<a class="n" href="../../plan.html#primary.alpha">0.05</a>' in other


def test_the_row_tells_which_notebook_and_cell_wrote_it(primary, scenario):
    files = build(primary, scenario)
    link = 'href="../notebooks/04_survival_association.html#cell-01"'
    assert link in files["where/pilot_evidence.html"].decode()
    # What a scenario did not run again was written by the primary analysis.
    assert "../../../notebooks/04_survival" in files["scenarios/cut15/where/pilot_evidence.html"].decode()


def test_the_injected_parameters_do_not_shift_the_numbers_of_the_cells(primary):
    page = build(primary)["notebooks/04_survival_association.html"].decode()
    assert page.index('id="cell-parameters"') < page.index('id="cell-01"') < page.index("run")
    assert 'id="cell-03"' not in page


def test_headings_of_a_notebook_have_one_title_and_ids_of_their_own(primary):
    page = build(primary)["notebooks/04_survival_association.html"].decode()
    assert page.count("<h1>") == 1
    assert 'id="cell-02-load"' in page and 'id="cell-02-load-2"' in page


def test_a_table_of_patients_is_never_shown(primary):
    files = build(primary)
    assert "where/adsl.html" not in files
    assert not [name for name, content in files.items() if b"SECRET-1" in content]


def test_a_value_of_the_plan_that_must_not_leave_is_named_not_shown(primary):
    page = building.build([primary], lambda text: "simulated" not in text)["plan.html"].decode()
    row = page[page.index('id="design.kind"') :].split("</tr>")[0]
    assert "not shown: it has the form of what must not leave" in row
    assert "<code>simulated</code>" not in row


def test_a_long_table_is_shown_by_the_rows_that_numbers_link_to(primary):
    short = primary.plan.settle("site.table_rows", 1, "a test")
    page = build(open_edition(primary.folder, plan=short))["where/pilot_evidence.html"].decode()
    assert "Shown are the 1 rows that numbers of the report link to, of 2" in page
    assert 'id="row-1"' in page and 'id="row-0"' not in page


def test_text_from_outside_is_escaped_on_every_page_and_in_the_index(primary, scenario):
    for name, content in build(primary, scenario).items():
        if name.endswith((".html", ".js")):
            assert b"<script>alert" not in content, name
            assert b"onclick=" not in content, name


def test_every_page_says_that_the_data_are_simulated_and_has_a_menu(primary, scenario):
    for name, content in build(primary, scenario).items():
        if name.endswith(".html"):
            assert b"SIMULATED DATA" in content, name
            assert b'aria-label="Sections"' in content, name
            assert (b"SENSITIVITY ANALYSIS" in content) == name.startswith("scenarios/"), name


def test_scenarios_stand_side_by_side_and_those_not_run_are_named(primary, scenario):
    files = build(primary, scenario)
    page = files["scenarios.html"].decode()
    assert page.index("primary analysis") < page.index("cut15")
    assert "1.72 (0.83–3.90)" in page and "1.31 (0.83–3.90)" in page
    assert "In the plan, not run" in page and "eortc" in page
    assert "scenarios/pfs.svg" in files


def test_what_does_not_apply_is_absent(primary, tmp_path):
    alone = primary.plan.settle("scenarios.list", {}, "none")
    shutil.rmtree(primary.folder / "notebooks")
    bare = {key: CONTENT[key] for key in ("title", "study", "simulated", "question")}
    (primary.folder / "content.json").write_text(
        json.dumps({**bare, "simulated": False, "answers": ["Yes."]})
    )
    files = build(open_edition(primary.folder, plan=alone, values={}))
    pages = {name for name in files if name.endswith(".html")}
    assert pages == {"index.html", "plan.html", "data.html"}
    menu = files["index.html"].decode()
    assert not [
        word for word in ("Figures", "Scenarios", "Numbers", "Notebooks", "Scan quality") if word in menu
    ]
    assert b"SIMULATED" not in files["index.html"]


def test_quality_pages_are_copied_with_a_way_back(primary):
    quality = primary.folder / "quality"
    quality.mkdir()
    (quality / "index.html").write_text('<html><body class="q"><p>Scans</p></body></html>')
    files = build(open_edition(primary.folder))
    assert b'href="../index.html">Report site</a>' in files["quality/index.html"]
    assert b'href="quality/index.html"' in files["index.html"]


def test_the_same_analyses_give_the_same_bytes(primary, scenario):
    assert build(primary, scenario) == build(primary, scenario)


def test_figures_and_tables_offer_the_files_that_were_made(primary):
    page = build(primary)["index.html"].decode()
    for name in ("figures/km.svg", "figures/km.pdf", "figures/km.png", "tables/t1.csv", "tables/t1.docx"):
        assert f'href="{name}" download' in page
    assert "tables/t1.rtf" not in page


def test_a_site_that_cannot_be_built_says_why(primary, tmp_path):
    with pytest.raises(SiteError, match=r"'pfs_hr', which values\.json does not hold"):
        build(open_edition(primary.folder, values={}))
    with pytest.raises(SiteError, match="run 06_publication first"):
        read_content(tmp_path / "nowhere")
    (tmp_path / "content.json").write_text("{")
    with pytest.raises(SiteError, match="cannot be read"):
        read_content(tmp_path)
    for kind in ("svg", "png"):
        (primary.folder / f"figures/km.{kind}").unlink()
    with pytest.raises(SiteError, match="figure 'km' has no SVG or PNG"):
        build(primary)


def test_the_check_finds_every_kind_of_broken_link():
    page = (
        '<a href="gone.html">1</a><a href="#no">2</a><img src="https://x.y/z.png"><a href="/top">3</a>'
        '<p id="a"></p><p id="a"></p><a href="other.html#there">4</a><a href="#a">5</a><img src="data:,">'
    )
    broken = check_pages({"a.html": page.encode(), "other.html": b"<p id='here'></p>"})
    found = "\n".join(broken)
    assert len(broken) == 6
    for part in ("'gone.html' leads to no file", "'#no' leads to no anchor", "reaches outside"):
        assert part in found
    for part in (
        "is no relative address",
        "the id 'a' stands twice",
        "'other.html#there' leads to no anchor",
    ):
        assert part in found


def test_a_build_with_a_broken_link_fails(primary):
    quality = primary.folder / "quality"
    quality.mkdir()
    (quality / "index.html").write_text('<html><body><a href="scan.html">Scan</a></body></html>')
    with pytest.raises(SiteError, match=r"1 broken links: quality/index.html: 'scan.html' leads to no file"):
        build(open_edition(primary.folder))


def test_writing_removes_what_an_earlier_site_left(tmp_path, monkeypatch):
    run = storage.resolve("06", study="tiny", reports_dir=str(tmp_path))
    monkeypatch.setattr(storage.Run, "check", lambda *given: None)
    stale = tmp_path / "site" / "old" / "page.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("x")
    building.write(run, {"index.html": b"new"})
    assert not stale.parent.exists()
    assert (tmp_path / "site" / "index.html").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("page", "address", "link"),
    [
        ("index.html", "where/a.html#row-1", "where/a.html#row-1"),
        ("where/a.html", "where/b.html", "b.html"),
        ("scenarios/x/where/a.html", "scenarios/x/index.html#t", "../index.html#t"),
        ("scenarios/x/index.html", "plan.html", "../../plan.html"),
        ("plan.html", "plan.html#a", "#a"),
    ],
)
def test_links_are_relative(page, address, link):
    assert relative(page, address) == link


def test_numbers_of_a_table_are_printed_with_six_digits():
    shown = [printed(value) for value in (1.7202891, 44.0, None, float("nan"), 1234567.0, "D14")]
    assert shown == ["1.72029", "44", "–", "–", "1234567", "D14"]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_tables_sort_by_value_and_what_is_missing_comes_last():
    script = resources.files("analysis").joinpath("site").joinpath("static", "site.js").read_text()
    around = (
        "const document={currentScript:null,querySelectorAll:()=>[],getElementById:()=>null};"
        "const window={addEventListener(){}};const location={hash:''};"
    )
    texts = ["2", "–", "1.72 (0.83–3.90)", "<0.001", "−28 %", "10", "0.001", "1,200"]
    ask = (
        f"const t={json.dumps(texts)};const k=window.reportSite;"
        "const by=(up)=>[...t].sort((a,b)=>k.compare(k.sortKey(a),k.sortKey(b),up));"
        "console.log(JSON.stringify([by(true),by(false),k.sortKey('D14')]))"
    )
    told = subprocess.run(["node", "-e", around + script + ask], capture_output=True, text=True, check=True)
    up, down, word = json.loads(told.stdout)
    assert up == ["−28 %", "<0.001", "0.001", "1.72 (0.83–3.90)", "2", "10", "1,200", "–"]
    assert down == ["1,200", "10", "2", "1.72 (0.83–3.90)", "0.001", "<0.001", "−28 %", "–"]
    assert word == "D14"


def test_a_linked_text_reads_like_the_plain_one():
    assert plain(CONTENT["answers"][0]).startswith("Hazard ratio 1.72 at <script>")
