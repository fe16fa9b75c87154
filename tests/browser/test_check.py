"""The browser check finds what is planted, and nothing in a page that is sound."""

import json
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".venv-browser" / "bin" / "python"
CHECK = Path(__file__).parent / "check.py"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
PAGE = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    "<style>body {{ font: 16px sans-serif; }}</style></head>"
    "<body><main><h1>{title}</h1>{body}</main></body></html>"
)
SORT = (
    "<script>for (const button of document.querySelectorAll('th button')) button.onclick = () => {"
    " const head = button.closest('th'), body = head.closest('table').tBodies[0];"
    " const up = head.getAttribute('aria-sort') !== 'ascending';"
    " head.setAttribute('aria-sort', up ? 'ascending' : 'descending');"
    " for (const row of [...body.rows].sort(ORDER)) body.append(row); }</script>"
)
BY_NUMBER = SORT.replace(
    "ORDER", "(a, b) => (up ? 1 : -1) * (parseFloat(a.innerText) - parseFloat(b.innerText))"
)
BY_TEXT = SORT.replace("ORDER", "(a, b) => (up ? 1 : -1) * (a.innerText < b.innerText ? -1 : 1)")
TABLE = (
    "<table><thead><tr><th><button>Days</button></th></tr></thead><tbody>"
    "<tr><td>9</td></tr><tr><td>100</td></tr><tr><td>–</td></tr><tr><td>28</td></tr></tbody></table>"
)
FULL = TABLE.replace("<tr><td>–</td></tr>", "")
SOUND = (
    f'<h2 id="results">Results</h2><p><a href="#results">results</a> <a href="two.html#row-1">28</a></p>'
    f'<figure><img src="{PIXEL}" alt="a dot"></figure>'
)

FAULTS = {
    "opens": ("<script>console.warn('careful')</script>", "careful"),
    "network": ('<img src="https://example.org/a.png" alt="far away">', "example.org"),
    "links": ('<a href="#nowhere">to nothing</a>', "#nowhere"),
    "ids": ('<p id="twice">a</p><p id="twice">b</p>', "more than once"),
    "images": (f'<img src="{PIXEL}">', "no text alternative"),
    "axe": ('<p style="color: #aaa">pale</p>', "contrast"),
    "narrow": ('<p style="width: 500px">broad</p>', "of 360"),
    "wide": ('<p style="font-size: 7px">tiny</p>', "text of 7 px"),
    "print": ('<div style="overflow-x: auto" tabindex="0"><p style="width: 2000px">broad</p></div>', "scroll frame"),
    "sort": (FULL + BY_TEXT, "not in order"),
    "search": ('<label>Search <input type="search"></label>', "no result"),
    "code": ("<button>Show code</button><pre>x = 1</pre>", "changes nothing"),
    "keyboard": ("<style>a:focus { outline: none }</style><a href='index.html'>here</a>", "not seen to have it"),
    "numbers": ('<a href="where/estimates.html#row-3">1.72</a>', "not there"),
}  # fmt: skip


@pytest.fixture(scope="session")
def acts():
    spec = util.spec_from_file_location("acts", CHECK.parent / "acts.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("texts", "direction", "good"),
    [
        (["9", "28", "100", "–"], "ascending", True),
        (["100", "28", "9", "–"], "ascending", False),
        (["100", "28", "9"], "ascending", False),
        (["−3.5", "<0.001", "1.72 (0.83–3.90)", "1,200"], "ascending", True),
        (["D2", "D14", "D28"], "ascending", True),
        (["2015-03-07", "2015-11-01"], "descending", False),
        (["1", "–", "2"], "ascending", False),
    ],
)
def test_order_is_judged_as_a_reader_would(acts, texts, direction, good):
    cells = [{"text": text, "value": None, "level": 0} for text in texts]
    assert acts.in_order(cells, direction) is good


@pytest.mark.parametrize(
    ("row", "printed", "good"),
    [
        ("PFS 1.72029 0.83", "1.72", True),
        ("PFS 1.72029", "1.73", False),
        ("share 0.688889", "68.9 %", True),
        ("P 0.00042", "<0.001", True),
        ("P 0.042", "<0.001", False),
        ("N 1200", "1,200", True),
    ],
)
def test_a_row_holds_a_number_if_it_rounds_to_what_is_printed(acts, row, printed, good):
    assert acts.holds(row, printed) is good


@pytest.fixture(scope="session")
def python():
    """Interpreter that has playwright, and a Chromium beside it; or skips."""
    found = OWN if OWN.is_file() else Path(sys.executable) if util.find_spec("playwright") else None
    if found is None:
        pytest.skip("playwright is not here: make site-check sets up .venv-browser")
    code = "import pathlib, chromium; chromium.find_chromium(pathlib.Path(r'%s'), fetch=False)"
    asked = [found, "-c", code % (ROOT / ".cache" / "chromium")]
    if subprocess.run(asked, cwd=CHECK.parent, capture_output=True, check=False).returncode:
        pytest.skip("Chromium is not here: make site-check fetches it, or CHROMIUM names it")
    return found


def write_site(folder, body):
    for name, title, part in (
        ("index", "First page", SOUND + body),
        ("two", "Second page", '<p id="row-1">28 patients</p><a href="index.html">back</a>'),
    ):
        (folder / f"{name}.html").write_text(PAGE.format(title=title, body=part))
    (folder / "where").mkdir(exist_ok=True)
    page = PAGE.format(title="Where", body='<p id="row-1">no number</p><a href="../index.html">back</a>')
    (folder / "where" / "estimates.html").write_text(page)
    index = folder / "index.html"
    index.write_text(index.read_text().replace("</main>", '<a href="where/estimates.html">rows</a></main>'))


def run(python, folder, *more):
    out = folder.parent / f"{folder.name}-out"
    asked = [python, CHECK, folder, "--out", out, "--no-shots", *more]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert (out / "browser_report.json").is_file(), done.stderr
    return done, json.loads((out / "browser_report.json").read_text())


def test_a_sound_site_passes_and_its_table_sorts(python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    write_site(site, FULL + BY_NUMBER)
    done, report = run(python, site)
    assert report["faults"] == [] and done.returncode == 0
    assert report["checks"]["sort"]["tried"] == 1 and len(report["pages"]) == 3
    assert str(tmp_path) not in json.dumps(report)


@pytest.fixture(scope="session")
def planted(python, tmp_path_factory):
    """Report of one page with every fault, but those that would hide others."""
    site = tmp_path_factory.mktemp("planted")
    write_site(site, "".join(body for body, _ in FAULTS.values()))
    return run(python, site)


@pytest.mark.parametrize("check", FAULTS)
def test_a_planted_fault_is_found(planted, check):
    done, report = planted
    assert done.returncode == 1
    said = [one["says"] for one in report["faults"] if one["check"] == check and one["page"] == "index.html"]
    assert any(FAULTS[check][1] in text for text in said), said


def test_what_a_site_must_have_and_has_not_is_a_fault(python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    write_site(site, "")
    done, report = run(python, site, "--needs", "search")
    assert done.returncode == 1 and [one["check"] for one in report["faults"]] == ["search"]


def test_a_page_nobody_can_reach_and_a_file_that_is_empty_are_faults(python, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    write_site(site, '<a href="table.csv">table</a>')
    (site / "table.csv").write_text("")
    (site / "lost.html").write_text(PAGE.format(title="Lost", body="<p>nobody comes here</p>"))
    said = {(one["page"], one["says"]) for one in run(python, site)[1]["faults"]}
    assert ("index.html", "href='table.csv' is an empty file") in said
    assert ("lost.html", "no chain of links leads here from index.html") in said


def test_a_folder_without_pages_is_refused(python, tmp_path):
    done = subprocess.run([python, CHECK, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "NO_PAGES" in done.stderr
